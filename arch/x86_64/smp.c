/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * smp.c: starts every CPU by INIT and start-up IPIs (AMD APM volume 2 section 16.5), one after the
 * other.
 */
#include <arch/common.h>
#include <arch/cpu.h>
#include <arch/mmu.h>
#include <arch/smp.h>
#include <arch/timer.h>

#include <hv/acpi.h>
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/percpu.h>
#include <hv/pmm.h>
#include <hv/time.h>
#include <string.h>

#include "boot/boot_info.h"
#include "private.h"

/* between INIT and the start-up IPI; the 10 ms of old are not needed since P6 */
#define INIT_NS 10000ull
#define RESEND_NS 300000ull /* then the start-up IPI is sent a second time */

#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_PS 0x80ull

/* The parameters at the end of the start-up code in entry.S. */
struct ap_params {
    uint64_t gdt[4];
    uint16_t gdtr_limit;
    uint32_t gdtr_base;
    uint16_t pad;
    uint32_t far32;
    uint16_t sel32, pad32;
    uint32_t far64;
    uint16_t sel64, pad64;
    uint64_t low_root, root, stack, cpu, entry;
} __attribute__((packed));
static_assert(sizeof(struct ap_params) == 32 + 8 + 8 + 8 + 40, "entry.S: x86_ap_params");

extern const uint8_t x86_ap_code[], x86_ap_params[], x86_ap_code_end[];
void x86_ap_start(void);

/*
 * A root below 1 MiB (it is loaded with 32 bits): our upper half, and 2 MiB at 0 for the start-up
 * page itself.
 */
static int make_low_root(uint64_t phys)
{
    uint64_t *root = phys_to_virt(hpa(phys));
    /* charge: Trivet's own */
    hpa_t pdpt = pmm_alloc_zero(0, PMM_PT), pd = pmm_alloc_zero(0, PMM_PT);

    if (!pdpt.v || !pd.v)
        return -ENOMEM;
    memset(root, 0, PAGE_SIZE / 2);
    memcpy(root + 256, (uint64_t *)phys_to_virt(hpa(mmu_root())) + 256, PAGE_SIZE / 2);
    root[0] = pdpt.v | PTE_P | PTE_W;
    *(uint64_t *)phys_to_virt(pdpt) = pd.v | PTE_P | PTE_W;
    *(uint64_t *)phys_to_virt(pd) = PTE_P | PTE_PS;
    return 0;
}

static struct ap_params *place_code(uint64_t page)
{
    uint8_t *to = phys_to_virt(hpa(page));
    struct ap_params *p = (struct ap_params *)(to + (x86_ap_params - x86_ap_code));

    memcpy(to, x86_ap_code, (size_t)(x86_ap_code_end - x86_ap_code));
    p->gdtr_base += (uint32_t)page;
    p->far32 += (uint32_t)page;
    p->far64 += (uint32_t)page;
    p->low_root = page + PAGE_SIZE;
    p->root = mmu_root();
    p->entry = (uint64_t)x86_ap_start;
    return p;
}

static bool wake(uint32_t apic_id, uint64_t page)
{
    uint32_t sipi = ICR_STARTUP | (uint32_t)(page >> PAGE_SHIFT);

    ap_expect();
    lapic_send(apic_id, ICR_INIT);
    for (uint64_t end = time_ns() + INIT_NS; time_ns() < end;)
        /* no cpu_relax(): emulators that count instructions let others run for long at a PAUSE */
        ;
    lapic_send(apic_id, sipi);
    if (ap_answered(RESEND_NS))
        return true;
    lapic_send(apic_id, sipi);
    if (ap_answered(AP_ANSWER_NS) || !ap_give_up())
        return true;
    lapic_send(apic_id, ICR_INIT); /* it waits for a start-up IPI, and runs nothing before one */
    return false;
}

static int start_cpu(struct ap_params *p, uint64_t page, uint32_t apic_id)
{
    hpa_t mem = pmm_alloc_zero(2, PMM_HV); /* charge: Trivet's own */
    struct percpu *cpu = ap_prepare();

    static_assert(sizeof(struct x86_cpu) <= PAGE_SIZE << 2, "struct x86_cpu");
    if (!mem.v || !cpu)
        return -ENOMEM;
    cpu->hw_id = apic_id;
    cpu->arch = phys_to_virt(mem);
    p->stack = (uint64_t)cpu->stack_top;
    p->cpu = cpu->id;
    if (wake(apic_id, page)) {
        ap_go();
        tsc_meet_boot(cpu->id);
    } else {
        log_err("CPU with APIC id %u does not answer: it is left out", apic_id);
    }
    return 0;
}

static bool is_reachable(uint32_t apic_id) { return lapic_x2 || apic_id <= 254; }

/*
 * CPUs that Trivet has no use for leave the firmware's code, whose memory may be somebody else's
 * by now, and wait for a start-up IPI that nobody sends.
 */
static void park(const uint32_t *ids, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (ids[i] != percpus[0].hw_id && is_reachable(ids[i]))
            lapic_send(ids[i], ICR_INIT);
}

static int start_others(const struct boot_info *bi)
{
    const struct acpi_info *a = acpi_info();
    const uint32_t *ids = a->ncpus ? a->cpus : bi->cpu_ids;
    uint32_t n = a->ncpus ? a->ncpus : bi->ncpus, self = lapic_id();
    int err = 0;

    assert_cpu0();
    percpus[0].hw_id = self;
    if (n <= 1)
        return 0;
    if (!bi->trampoline || make_low_root(bi->trampoline + PAGE_SIZE)) {
        log_err("no memory below 1 MiB to start other CPUs from: only the boot CPU is used");
        return 0;
    }
    struct ap_params *p = place_code(bi->trampoline);
    for (uint32_t i = 0; i < n && !err; i++) {
        if (ids[i] == self || !is_reachable(ids[i]))
            continue;
        if (cpu_count == cpu_most) {
            log_warn("this machine has %u CPUs; Trivet uses the first %u", n, cpu_most);
            park(ids + i, n - i);
            break;
        }
        err = start_cpu(p, bi->trampoline, ids[i]);
    }
    return err;
}

int smp_init(const struct boot_info *bi)
{
    mca_cpu_init(); /* boot CPU */
    return start_others(bi);
}

/* On the new CPU, on its own stack. */
_Noreturn void x86_ap_entry(uint32_t id)
{
    struct percpu *self = &percpus[id];

    x86_desc_init(self->arch);
    x86_set_percpu(self);
    microcode_cpu();
    if (arch_cpu_init() || lapic_cpu_init() || timer_cpu_init())
        cpu_halt_forever();
    ap_arrive();
    tsc_meet();
    mca_cpu_init();
    log_info("CPU %u: APIC id %u is up", id, self->hw_id);
    ap_main();
}
