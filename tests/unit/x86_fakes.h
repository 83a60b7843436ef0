/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One x86 VM without an engine, for tests of hv/guest/x86_64's devices: time moves only by
 * advance(), I/O goes straight to the device's functions, and what the devices ask of hv/vm and the
 * console is recorded. Included by one C file per program; its definitions win over hv/vm's at the
 * link.
 */
#pragma once
#include <hv/config.h>
#include <hv/console.h>
#include <hv/guest.h>
#include <hv/io.h>
#include <hv/percpu.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include <hv/x86.h>
#include <stdlib.h>
#include <string.h>

#include "arch/host/host.h"
#include "hv/guest/x86_64/platform.h"
#include "hv/guest/x86_64/x86.h"
#include "hv/guest/x86_64/x86_dev.h"
#include "hv/guest/x86_64/x86_devices.h"
#include "hv/guest/x86_64/x86_intc.h"
#include "tests/unit/advance.h"

#ifndef FAKE_VCPUS
#define FAKE_VCPUS 8
#endif
#define FAKE_RAM 4096
static struct vm fake_vm;
static struct x86_machine fake_machine;
static struct guest_config fake_config;
static struct vcpu fake_vcpu[FAKE_VCPUS];
static struct io_region fake_region[IO_LIST_MAX + 8];
static unsigned fake_nregions;
static uint8_t fake_ram[FAKE_RAM];
static uint64_t fake_cr8[FAKE_VCPUS], fake_tsc_offset;
static unsigned fake_kills, fake_resets, fake_offs;
static int fake_exit_code;
static char fake_out[4096], fake_in[64];
static size_t fake_out_len, fake_in_len;
static struct event *fake_listener;

void vcpu_request(struct vcpu *v, uint32_t reqs)
{
    __atomic_fetch_or(&v->requests, reqs, __ATOMIC_SEQ_CST);
}
/* As hv/vm/vcpu.c does it. */
void vcpu_notify(struct vcpu *v, void (*notify)(struct vcpu *))
{
    vcpu_request(v, REQ_IRQ);
    if (__atomic_load_n(&v->in_guest, __ATOMIC_SEQ_CST))
        notify(v);
}

uint64_t vm_time_ns(const struct vm *vm)
{
    return (vm->paused_ns ? vm->paused_ns : host_now) + (uint64_t)vm->time_offset_ns;
}
uint64_t vm_time_to_host(const struct vm *vm, uint64_t ns)
{
    return ns - (uint64_t)vm->time_offset_ns;
}
void vm_kill(struct vm *vm, const char *fmt, ...)
{
    (void)vm, (void)fmt;
    lock_assert_none();
    fake_kills++;
}
void vm_request_reset(struct vm *vm, const char *why)
{
    (void)vm, (void)why;
    lock_assert_none();
    fake_resets++;
}
void vm_request_off(struct vm *vm, const char *why)
{
    (void)vm, (void)why;
    lock_assert_none();
    fake_offs++;
}
void vm_exited(struct vm *vm, int code)
{
    (void)vm;
    lock_assert_none();
    fake_exit_code = code;
}
void vm_log(struct vm *vm, enum log_level level, const char *fmt, ...)
{
    (void)vm, (void)level, (void)fmt;
}

void *gmem_ptr(struct vm *vm, gpa_t at, uint64_t len, unsigned prot)
{
    (void)vm, (void)prot;
    return range_within(at.v, len, 0, FAKE_RAM) ? fake_ram + at.v : NULL;
}

int gmem_read(struct vm *vm, gpa_t at, void *dst, uint64_t len)
{
    (void)vm;
    if (!range_within(at.v, len, 0, FAKE_RAM))
        return -EFAULT;
    memcpy(dst, fake_ram + at.v, len);
    return 0;
}

int io_register(struct vm *vm, const struct io_region *r)
{
    (void)vm;
    for (unsigned i = 0; i < fake_nregions; i++)
        if (fake_region[i].space == r->space && fake_region[i].base < r->base + r->len &&
            r->base < fake_region[i].base + fake_region[i].len)
            return -EEXIST;
    fake_region[fake_nregions++] = *r;
    return 0;
}

int io_unregister(struct vm *vm, enum io_space space, uint64_t base)
{
    (void)vm;
    for (unsigned i = 0; i < fake_nregions; i++)
        if (fake_region[i].space == space && fake_region[i].base == base) {
            fake_region[i] = fake_region[--fake_nregions];
            return 0;
        }
    return -ENOENT;
}

void console_write(struct console *c, const char *s, size_t n)
{
    (void)c;
    for (size_t i = 0; i < n && fake_out_len < sizeof fake_out; i++)
        fake_out[fake_out_len++] = s[i];
}

int console_listen(struct console *c, unsigned priority, struct event *ready)
{
    (void)c, (void)priority;
    fake_listener = ready;
    return 0;
}

void console_unlisten(struct console *c, struct event *ready)
{
    (void)c;
    if (fake_listener == ready)
        fake_listener = NULL;
}

size_t console_read(struct console *c, struct event *ready, char *buf, size_t n)
{
    (void)c, (void)ready;
    n = min_u64(n, fake_in_len);
    memcpy(buf, fake_in, n);
    memmove(fake_in, fake_in + n, fake_in_len - n);
    fake_in_len -= n;
    return n;
}

static int fake_get(struct vcpu *v, uint32_t id, uint64_t *val)
{
    *val = id == X86_TSC_OFFSET ? fake_tsc_offset : fake_cr8[v->id];
    return 0;
}

static int fake_set(struct vcpu *v, uint32_t id, uint64_t val)
{
    if (id == X86_CR8)
        fake_cr8[v->id] = val;
    return 0;
}

/*
 * An access as hv/vm/io.c makes it: to the device if its size is allowed. All ones when nobody
 * answers.
 */
static uint64_t fake_io(enum io_space space, uint64_t addr, unsigned size, bool write, uint64_t val)
{
    uint64_t mask = size == 8 ? ~0ull : (1ull << size * 8) - 1;

    for (unsigned i = 0; i < fake_nregions; i++) {
        const struct io_region *r = &fake_region[i];

        if (r->space != space || !range_within(addr, size, r->base, r->len) ||
            !(r->ops->sizes & size))
            continue;
        if (write)
            return (uint64_t)r->ops->write(r->dev, addr - r->base, size, val & mask);
        val = ~0ull;
        (void)r->ops->read(r->dev, addr - r->base, size, &val);
        lock_assert_none();
        return val & mask;
    }
    return mask;
}

int io_dispatch(struct vm *vm, enum io_space space, struct io_access *a)
{
    (void)vm;
    a->val = fake_io(space, a->addr, a->size, a->write, a->val);
    return 0;
}

static inline uint8_t inb(uint16_t port) { return (uint8_t)fake_io(IO_PORT, port, 1, false, 0); }
static inline void outb(uint16_t port, uint8_t val) { (void)fake_io(IO_PORT, port, 1, true, val); }
static inline uint32_t mem_read(uint64_t a) { return (uint32_t)fake_io(IO_MEM, a, 4, false, 0); }
static inline void mem_write(uint64_t a, uint32_t val) { (void)fake_io(IO_MEM, a, 4, true, val); }

/* The interrupt that v takes next, or -1. */
static inline int take(unsigned v)
{
    int vec = x86_vintc.pending(&fake_vcpu[v]);

    fake_vcpu[v].requests &= ~(uint32_t)REQ_IRQ;
    return vec < 0 ? -1 : x86_vintc.accept(&fake_vcpu[v], vec);
}

static inline uint32_t apic_read(unsigned v, unsigned reg)
{
    uint32_t val = 0;

    lapic_mmio(&fake_vcpu[v], reg << 4, false, &val);
    return val;
}

static inline void apic_write(unsigned v, unsigned reg, uint32_t val)
{
    lapic_mmio(&fake_vcpu[v], reg << 4, true, &val);
}

static inline void fake_start(unsigned vcpus)
{
    static const struct vcpu_ops ops = { .name = "fake",
                                         .get_sysreg = fake_get,
                                         .set_sysreg = fake_set };
    static const struct guest_ops guest = { .isa = ISA_X86_64, .vintc = &x86_vintc };
    static bool ready;

    if (!ready)
        host_init(1, 0);
    ready = true;
    fake_config = (struct guest_config){
        .memory = 64 * MIB, .vcpus = vcpus, .debug_exit = true, .x2apic = true
    };
    fake_vm = (struct vm){ .config = &fake_config,
                           .ops = &ops,
                           .guest_ops = &guest,
                           .guest = &fake_machine,
                           .nvcpus = vcpus,
                           .console = (struct console *)fake_out };
    fake_vm.time_offset_ns = -(int64_t)host_now;
    fake_kills = fake_resets = fake_offs = 0;
    fake_out_len = fake_in_len = 0;
    fake_exit_code = -1;
    fake_tsc_offset = 0;
    memset(fake_ram, 0, sizeof fake_ram);
    if (x86_vintc.vm_init(&fake_vm))
        abort();
    for (unsigned i = 0; i < vcpus; i++) {
        fake_vcpu[i] = (struct vcpu){ .vm = &fake_vm, .id = i, .ops = &ops };
        fake_vm.vcpu[i] = &fake_vcpu[i];
        if (x86_vintc.vcpu_init(&fake_vcpu[i]))
            abort();
    }
    if (x86_devices_create(&fake_vm, &fake_config))
        abort();
}

static inline void fake_stop(void)
{
    x86_devices_destroy(&fake_vm);
    for (unsigned i = 0; i < fake_vm.nvcpus; i++)
        x86_vintc.vcpu_fini(&fake_vcpu[i]);
    x86_vintc.vm_fini(&fake_vm);
    if (fake_nregions || event_next() != UINT64_MAX)
        abort(); /* something was left behind */
}
