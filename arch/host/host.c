/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/host/host.h"
#include <hv/event.h>
#include <hv/panic.h>
#include <hv/percpu.h>
#include <hv/pmm.h>
#include <hv/sched.h>
#include <sys/mman.h>

#include "boot/boot_info.h"

static void give_ram(uint64_t bytes)
{
    static struct boot_info bi;
    static struct boot_mem mem;
    char *p = mmap(NULL, bytes + GIB, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    hv_assert(p != MAP_FAILED);
    mem = (struct boot_mem){ .base = align_up((uint64_t)p, GIB),
                             .len = bytes,
                             .type = BOOT_MEM_FREE };
    bi = (struct boot_info){ .mem = (uint64_t)&mem, .nmem = 1 };
    hv_assert(pmm_init(&bi) == 0);
}

void host_init(uint32_t cpus, uint64_t bytes)
{
    cpu_count = cpus;
    for (uint32_t i = cpus; i-- > 0;) {
        host_cpu = i;
        percpus[i].self = &percpus[i];
        percpus[i].id = i;
        if (!percpus[i].events.there)
            event_cpu_init();
    }
    hv_assert(sched_init() == 0);
    if (bytes)
        give_ram(bytes);
}
