/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One ARM64 VM without an engine, for tests of hv/guest/aarch64's machine: RAM is an array, system
 * registers are a list, time moves by host_now. What the code asks of hv/vm, the console and the
 * interrupt controller is recorded. Included by one C file per program; its definitions win at the
 * link.
 */
#pragma once
#include <hv/console.h>
#include <hv/charge.h>
#include <hv/guest.h>
#include <hv/time.h>
#include <hv/vintc.h>
#include <stdlib.h>
#include <string.h>

#include "arch/host/host.h"
#include "hv/guest/aarch64/arm.h"
#include "hv/guest/aarch64/arm_dev.h"
#include "tests/unit/advance.h"

#ifndef FAKE_RAM
#define FAKE_RAM (16 * MIB)
#endif
#ifndef FAKE_VCPUS
#define FAKE_VCPUS 20
#endif
#define FAKE_SYSREGS 128
static struct vm fake_vm;
static struct guest_config fake_config;
static struct vcpu fake_vcpu[FAKE_VCPUS];
static uint8_t *fake_ram, fake_pvtime[ARM_VCPUS_MAX * 64];
static struct {
    uint32_t id;
    uint64_t val;
} fake_sysreg[FAKE_VCPUS][FAKE_SYSREGS];
static bool fake_line[64];
static unsigned fake_resets, fake_offs, fake_logs, fake_vcpu_resets, fake_gic = 3;
static uint32_t fake_workarounds[4];
static int fake_exit_code;
static char fake_out[256], fake_in[64];
static size_t fake_out_len, fake_in_len;
static struct event *fake_listener;
static uint64_t fake_wall = 1767225600;

void *scratch_take(size_t len) { return len > 32 * MIB ? NULL : calloc(1, len); }
void scratch_give(void *p, size_t len)
{
    (void)len;
    free(p);
}
void vcpu_request(struct vcpu *v, uint32_t reqs) { v->requests |= reqs; }
uint64_t vm_time_ns(const struct vm *vm) { return host_now + (uint64_t)vm->time_offset_ns; }
uint64_t vm_time_to_host(const struct vm *vm, uint64_t ns)
{
    return ns - (uint64_t)vm->time_offset_ns;
}
uint64_t time_wall_s(void) { return fake_wall; }
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
    fake_logs++;
}
void virq_set(struct vm *vm, uint32_t line, bool level)
{
    (void)vm;
    fake_line[line] = level;
}
unsigned vgic_host_version(const struct vm *vm)
{
    (void)vm;
    return fake_gic;
}
int vgic_create(struct vm *vm, const struct vgic_layout *l)
{
    (void)vm, (void)l;
    return 0;
}
void vgic_vcpu_reset(struct vcpu *v) { (void)v; }
void vtimer_sync_clock(struct vm *vm) { (void)vm; }

static uint8_t *fake_at(uint64_t at, uint64_t len)
{
    if (range_within(at, len, PLAT_PVTIME, plat_pvtime_len(fake_config.vcpus)))
        return fake_pvtime + (at - PLAT_PVTIME);
    return range_within(at, len, PLAT_RAM, fake_config.memory) ? fake_ram + (at - PLAT_RAM) : NULL;
}

void *gmem_ptr(struct vm *vm, gpa_t at, uint64_t len, unsigned prot)
{
    (void)vm, (void)prot;
    return fake_at(at.v, len);
}

int gmem_read(struct vm *vm, gpa_t at, void *dst, uint64_t len)
{
    uint8_t *p = fake_at(at.v, len);

    (void)vm;
    if (p)
        memcpy(dst, p, len);
    return p ? 0 : -EFAULT;
}

int gmem_write(struct vm *vm, gpa_t at, const void *src, uint64_t len)
{
    uint8_t *p = fake_at(at.v, len);

    (void)vm;
    if (p)
        memcpy(p, src, len);
    return p ? 0 : -EFAULT;
}

int gmem_zero(struct vm *vm, gpa_t at, uint64_t len)
{
    uint8_t *p = fake_at(at.v, len);

    (void)vm;
    if (p)
        memset(p, 0, len);
    return p ? 0 : -EFAULT;
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
    (void)c, (void)ready;
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

static inline int fake_get(struct vcpu *v, uint32_t id, uint64_t *val)
{
    *val = 0;
    for (unsigned i = 0; i < FAKE_SYSREGS; i++)
        if (fake_sysreg[v->id][i].id == id)
            *val = fake_sysreg[v->id][i].val;
    return 0;
}

/* As an engine does: the lower half of a vector register clears the upper one. */
static inline int fake_set(struct vcpu *v, uint32_t id, uint64_t val)
{
    unsigned i = 0;

    while (i < FAKE_SYSREGS && fake_sysreg[v->id][i].id != 0 && fake_sysreg[v->id][i].id != id)
        i++;
    if (i == FAKE_SYSREGS)
        abort();
    fake_sysreg[v->id][i].id = id;
    fake_sysreg[v->id][i].val = val;
    if (id >= ARM_VREG(0, 0) && id <= ARM_VREG(31, 1) && !(id & 1))
        return fake_set(v, id | 1, 0);
    return 0;
}

static inline uint64_t sysreg(unsigned v, uint32_t id)
{
    uint64_t val;

    (void)fake_get(&fake_vcpu[v], id, &val);
    return val;
}

static inline void set_sysreg(unsigned v, uint32_t id, uint64_t val)
{
    (void)fake_set(&fake_vcpu[v], id, val);
}
static inline void fake_skip(struct vcpu *v, unsigned len) { v->regs.pc += len; }
static inline void fake_reset(struct vcpu *v)
{
    (void)v;
    fake_vcpu_resets++;
}

static inline void fake_features(uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    (void)subleaf;
    memcpy(regs, leaf == ARM_FEATURE_WORKAROUNDS ? fake_workarounds : (const uint32_t[4]){ 0 },
           sizeof fake_workarounds);
}

static inline uint64_t mmio_read(uint64_t at, unsigned size)
{
    struct io_access a = { .addr = at, .size = (uint8_t)size };
    int err = io_dispatch(&fake_vm, IO_MEM, &a);

    lock_assert_none();
    return err ? UINT64_MAX : a.val;
}

static inline void mmio_write(uint64_t at, unsigned size, uint64_t val)
{
    struct io_access a = { .addr = at, .size = (uint8_t)size, .write = true, .val = val };

    (void)io_dispatch(&fake_vm, IO_MEM, &a);
    lock_assert_none();
}

/*
 * vCPUs in reset state, no devices: io_init() and vcpu_init() as hv/vm does before guest_ops.build.
 */
static inline void fake_start(unsigned vcpus)
{
    static const struct vcpu_ops ops = { .name = "fake",
                                         .get_sysreg = fake_get,
                                         .set_sysreg = fake_set,
                                         .skip_insn = fake_skip,
                                         .vcpu_reset = fake_reset,
                                         .features = fake_features };

    if (!fake_ram) {
        host_init(1, 0);
        fake_ram = malloc(FAKE_RAM);
    }
    memset(fake_ram, 0, FAKE_RAM);
    memset(fake_pvtime, 0xee, sizeof fake_pvtime);
    memset(fake_sysreg, 0, sizeof fake_sysreg);
    memset(fake_line, 0, sizeof fake_line);
    fake_config = (struct guest_config){
        .memory = FAKE_RAM, .vcpus = vcpus, .debug_exit = true, .pv = true, .isa = ISA_COUNT
    };
    fake_vm = (struct vm){ .config = &fake_config,
                           .ops = &ops,
                           .guest_ops = &guest_arm,
                           .nvcpus = vcpus,
                           .console = (struct console *)fake_out };
    fake_vm.time_offset_ns = -(int64_t)host_now;
    fake_resets = fake_offs = fake_logs = fake_vcpu_resets = 0;
    fake_out_len = fake_in_len = 0;
    fake_exit_code = -1;
    fake_gic = 3;
    if (io_init(&fake_vm))
        abort();
    for (unsigned i = 0; i < vcpus; i++) {
        fake_vcpu[i] = (struct vcpu){ .vm = &fake_vm, .id = i, .ops = &ops };
        fake_vm.vcpu[i] = &fake_vcpu[i];
        if (guest_arm.vcpu_init(&fake_vcpu[i]))
            abort();
    }
}

/* A machine without build(): what the exits need. */
static inline void fake_machine(void)
{
    struct arm_machine *m = vm_alloc(&fake_vm, sizeof *m);

    if (!m)
        abort();
    spin_init(&m->lock, LOCK_DEVICE);
    m->gic = (uint8_t)fake_gic;
    m->pv = true;
    fake_vm.guest = m;
}

static inline void fake_stop(void)
{
    guest_arm.destroy(&fake_vm);
    for (unsigned i = 0; i < fake_vm.nvcpus; i++)
        guest_arm.vcpu_fini(&fake_vcpu[i]);
    io_fini(&fake_vm);
    if (event_next() != UINT64_MAX || fake_vm.charge[CHARGE_OVERHEAD].used)
        abort(); /* something was left behind */
}

/* After fake_machine() and arm_devices_create(). */
static inline void fake_machine_destroy(struct arm_devices *devices)
{
    struct arm_machine *m = fake_vm.guest;

    arm_devices_destroy(devices);
    vm_free(&fake_vm, m, sizeof *m);
    fake_vm.guest = NULL;
    fake_stop();
}
