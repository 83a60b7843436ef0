/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One ARM64 VM without an engine, for tests of hv/guest/aarch64's GIC and timers: RAM in an array,
 * a CPU interface that does with the list registers what the hardware does (GICv3 §6.4), and time
 * that moves only by advance(). Included by one C file per program; its definitions win over
 * hv/vm's.
 */
#pragma once
#include <hv/arm.h>
#include <hv/config.h>
#include <hv/gmem.h>
#include <hv/guest.h>
#include <hv/io.h>
#include <hv/irq.h>
#include <hv/percpu.h>
#include <hv/state.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include <stdlib.h>
#include <string.h>

#include "arch/host/host.h"
#include "hv/guest/aarch64/platform.h"
#include "hv/guest/aarch64/its.h"
#include "tests/unit/advance.h"

#ifndef FAKE_VCPUS
#define FAKE_VCPUS 20
#endif
#define FAKE_RAM (1 * MIB)
#define SPURIOUS 1023u
static struct vm fake_vm;
static struct guest_config fake_config;
static struct vcpu fake_vcpu[FAKE_VCPUS];
static struct io_region fake_region[8];
static unsigned fake_nregions, fake_lrs = 4, fake_version = 3;
static _Alignas(4096) uint8_t fake_ram[FAKE_RAM];
static struct memslot fake_slot;
static bool fake_slot_used;
/*
 * What the engine holds of each vCPU. active: priorities of what is being handled, the innermost
 * last.
 */
static struct fake_cpu {
    uint64_t vmcr, cntv_ctl, cntv_cval, cntvoff, phys_active, requests;
    uint64_t lr[ARM_LRS_MAX]; /* what the CPU has */
    uint8_t active[16];
    unsigned depth;
} fake_cpu[FAKE_VCPUS];

void vcpu_request(struct vcpu *v, uint32_t reqs)
{
    fake_cpu[v->id].requests++;
    v->requests |= reqs;
}
uint64_t vm_time_ns(const struct vm *vm)
{
    return (vm->paused_ns ? vm->paused_ns : host_now) + (uint64_t)vm->time_offset_ns;
}
void vm_log(struct vm *vm, enum log_level level, const char *fmt, ...)
{
    (void)vm, (void)level, (void)fmt;
}

void *gmem_ptr(struct vm *vm, gpa_t at, uint64_t len, unsigned prot)
{
    (void)vm, (void)prot;
    return range_within(at.v, len, PLAT_RAM, FAKE_RAM) ? fake_ram + (at.v - PLAT_RAM) : NULL;
}

int gmem_read(struct vm *vm, gpa_t at, void *dst, uint64_t len)
{
    const void *p = gmem_ptr(vm, at, len, PROT_R);

    if (p)
        memcpy(dst, p, len);
    return p ? 0 : -EFAULT;
}

int gmem_map(struct vm *vm, const struct memslot *s)
{
    (void)vm;
    if (fake_slot_used)
        return -EEXIST;
    fake_slot = *s;
    fake_slot_used = true;
    return 0;
}

int gmem_unmap(struct vm *vm, gpa_t at, uint64_t len)
{
    (void)vm;
    if (!fake_slot_used || at.v != fake_slot.base.v || len != fake_slot.len)
        return -EINVAL;
    fake_slot_used = false;
    return 0;
}

int io_register(struct vm *vm, const struct io_region *r)
{
    (void)vm;
    for (unsigned i = 0; i < fake_nregions; i++)
        if (fake_region[i].base < r->base + r->len &&
            r->base < fake_region[i].base + fake_region[i].len)
            return -EEXIST;
    fake_region[fake_nregions++] = *r;
    return 0;
}

static uint64_t *fake_reg(struct vcpu *v, uint32_t id)
{
    struct fake_cpu *f = &fake_cpu[v->id];

    switch (id) {
    case ARM_ICH_VMCR_EL2: return &f->vmcr;
    case ARM_CNTV_CTL_EL0: return &f->cntv_ctl;
    case ARM_CNTV_CVAL_EL0: return &f->cntv_cval;
    case ARM_CNTVOFF_EL2: return &f->cntvoff;
    case ARM_VTIMER_PHYS_ACTIVE: return &f->phys_active;
    default: return NULL;
    }
}

static int fake_get(struct vcpu *v, uint32_t id, uint64_t *val)
{
    const uint64_t *p = fake_reg(v, id);

    if (p)
        *val = *p;
    return p ? 0 : -ENOENT;
}

static int fake_set(struct vcpu *v, uint32_t id, uint64_t val)
{
    uint64_t *p = fake_reg(v, id);

    if (id == ARM_VTIMER_PHYS_ACTIVE && this_cpu()->loaded != v)
        abort();
    if (p)
        *p = val;
    return p ? 0 : -ENOENT;
}

static void fake_features(uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
    (void)subleaf;
    if (leaf != ARM_FEATURE_GIC)
        return;
    r[0] = fake_version;
    r[1] = fake_lrs;
    r[2] = 0x08030000;
    r[3] = 0x1;
}

/* ---- the vCPU whose exit it is ---- */

static inline void on(unsigned v)
{
    this_cpu()->current = &fake_vcpu[v];
    this_cpu()->loaded = &fake_vcpu[v];
}

static inline struct vgic_cpu *cpu_of(unsigned v) { return vgic_cpu_of(&fake_vcpu[v]); }

/*
 * What vcpu.c does before an entry. True: the engine would have been asked to enter with list
 * registers.
 */
static inline bool attend(unsigned v)
{
    on(v);
    while (fake_vcpu[v].requests & REQ_IRQ) {
        fake_vcpu[v].requests &= ~(uint32_t)REQ_IRQ;
        if (vintc_arm.pending(&fake_vcpu[v]) != -1)
            abort();
    }
    if (fake_vcpu[v].vintc_hooks)
        vintc_arm.enter(&fake_vcpu[v]);
    lock_assert_none();
    return fake_vcpu[v].vintc_hooks;
}

/*
 * As the engine does (arch/aarch64/el2_gic.c): only what changed is written; what is not in use
 * must be empty all the same.
 */
static inline void enter_guest(unsigned v)
{
    struct arm_gic_cpu *g = &cpu_of(v)->gic;

    (void)attend(v);
    for (; g->dirty; g->dirty &= g->dirty - 1)
        fake_cpu[v].lr[__builtin_ctz(g->dirty)] = g->lr[__builtin_ctz(g->dirty)];
    for (unsigned n = 0; n < ARM_LRS_MAX; n++) {
        uint64_t lr = fake_cpu[v].lr[n];

        if (g->used >> n & 1 ? lr != g->lr[n]
                             : lr & (ARM_LR_PENDING | ARM_LR_ACTIVE) ||
                                   (lr & (ARM_LR_HW | ARM_LR_EOI)) == ARM_LR_EOI)
            abort();
    }
}

static inline void leave(unsigned v)
{
    struct arm_gic_cpu *g = &cpu_of(v)->gic;

    for (unsigned n = 0; n < ARM_LRS_MAX; n++)
        if (g->used >> n & 1)
            g->lr[n] = fake_cpu[v].lr[n];
    if (fake_vcpu[v].vintc_hooks)
        vintc_arm.leave(&fake_vcpu[v]);
    lock_assert_none();
}

/* As vcpu.c's awake(): a vCPU that wakes asks for its interrupts at once. */
static inline bool wakes(unsigned v)
{
    bool yes = vgic_wakeable(&fake_vcpu[v]);

    if (yes)
        (void)vintc_arm.pending(&fake_vcpu[v]);
    return yes;
}

static inline void visit(unsigned v)
{
    enter_guest(v);
    leave(v);
    (void)attend(v);
}

static inline uint32_t running(const struct fake_cpu *f)
{
    return f->depth ? f->active[f->depth - 1] : 0xffu;
}

/* ---- the guest's CPU interface, in the guest ---- */

/* The list register that it would take next, or -1. */
static inline int best_lr(unsigned v)
{
    const struct fake_cpu *f = &fake_cpu[v];
    uint32_t prio = running(f);
    int best = -1;

    if (prio > (f->vmcr >> 24 & 0xff))
        prio = f->vmcr >> 24 & 0xff;
    for (int n = 0; n < ARM_LRS_MAX; n++) {
        uint64_t lr = f->lr[n];
        uint32_t p = lr >> ARM_LR_PRIORITY_SHIFT & 0xff;

        if ((lr & (ARM_LR_PENDING | ARM_LR_ACTIVE)) != ARM_LR_PENDING || p >= prio)
            continue;
        if (!(f->vmcr >> (lr & ARM_LR_GROUP1 ? 1 : 0) & 1))
            continue;
        best = n;
        prio = p;
    }
    return best;
}

/* Reads IAR in the guest: the INTID (v2: with the source in 12:10). */
static inline uint32_t ack(unsigned v)
{
    struct fake_cpu *f = &fake_cpu[v];
    uint32_t id = SPURIOUS;
    int n;

    enter_guest(v);
    n = best_lr(v);
    if (n >= 0) {
        id = (uint32_t)f->lr[n];
        if (f->depth == ARRAY_SIZE(f->active))
            abort();
        f->active[f->depth++] = f->lr[n] >> ARM_LR_PRIORITY_SHIFT & 0xff;
        f->lr[n] = (f->lr[n] & ~ARM_LR_PENDING) | (id < 8192 ? ARM_LR_ACTIVE : 0);
    }
    leave(v);
    return id;
}

/* Writes EOIR in the guest. */
static inline void eoi(unsigned v, uint32_t id)
{
    struct arm_gic_cpu *g = &cpu_of(v)->gic;
    struct fake_cpu *f = &fake_cpu[v];
    bool found = false;

    enter_guest(v);
    if (!f->depth)
        abort();
    f->depth--;
    for (unsigned n = 0; n < ARM_LRS_MAX; n++) {
        if ((uint32_t)f->lr[n] != id || !(f->lr[n] & ARM_LR_ACTIVE))
            continue;
        f->lr[n] &= ~ARM_LR_ACTIVE;
        if (f->lr[n] & ARM_LR_HW)
            f->phys_active = 0;
        found = true;
    }
    if (!found && id < 8192 && g->hcr & ARM_HCR_LRENPIE)
        g->hcr += 1u << ARM_HCR_EOICOUNT_SHIFT;
    leave(v);
}

/* ack, then eoi at once. */
static inline uint32_t take(unsigned v)
{
    uint32_t id = ack(v);

    if (id != SPURIOUS)
        eoi(v, id);
    return id;
}

/* ---- state: all are parked, as hv/vm/vm.c has them ---- */

static inline size_t saved_size(void) { return vgic_state.size(&fake_vm, 0); }

static inline void save_parked(void *buf)
{
    const struct vcpu *was = this_cpu()->current;

    this_cpu()->loaded = this_cpu()->current = NULL;
    if (vgic_state.quiesce(&fake_vm, 0))
        abort();
    memset(buf, 0, saved_size());
    if (vgic_state.save(&fake_vm, 0, buf))
        abort();
    lock_assert_none();
    if (was)
        on(was->id);
}

static inline void resume_parked(void)
{
    vtimer_sync_clock(&fake_vm);
    vgic_state.resume(&fake_vm, 0);
    lock_assert_none();
    for (unsigned v = 0; v < fake_vm.nvcpus; v++)
        fake_vcpu[v].requests |= REQ_IRQ;
}

/*
 * Without resume. unload() leaves the CPU's list registers empty, and the next load() asks for the
 * virtual timer's interrupt.
 */
static inline int restore_only(const void *buf)
{
    int err;

    this_cpu()->loaded = this_cpu()->current = NULL;
    err = vgic_state.restore(&fake_vm, 0, buf);
    lock_assert_none();
    for (unsigned v = 0; !err && v < fake_vm.nvcpus; v++) {
        memset(fake_cpu[v].lr, 0, sizeof fake_cpu[v].lr);
        fake_cpu[v].phys_active = arm_vtimer_active(&fake_vcpu[v]);
    }
    return err;
}

static inline int restore_parked(const void *buf)
{
    int err = restore_only(buf);

    if (!err)
        resume_parked();
    on(0);
    return err;
}

/* ---- accesses as hv/vm/io.c makes them ---- */

static inline uint64_t fake_io(uint64_t addr, unsigned size, bool write, uint64_t val)
{
    uint64_t mask = size == 8 ? ~0ull : (1ull << size * 8) - 1;

    for (unsigned i = 0; i < fake_nregions; i++) {
        const struct io_region *r = &fake_region[i];

        if (!range_within(addr, size, r->base, r->len) || !(r->ops->sizes & size))
            continue;
        if (write)
            (void)r->ops->write(r->dev, addr - r->base, size, val & mask);
        else
            (void)r->ops->read(r->dev, addr - r->base, size, &val);
        lock_assert_none();
        return val & mask;
    }
    return mask;
}

static inline uint32_t rd(uint64_t a) { return (uint32_t)fake_io(a, 4, false, 0); }
static inline void wr(uint64_t a, uint32_t val) { (void)fake_io(a, 4, true, val); }
static inline uint64_t rd64(uint64_t a) { return fake_io(a, 8, false, 0); }
static inline void wr64(uint64_t a, uint64_t val) { (void)fake_io(a, 8, true, val); }
static inline uint8_t rd8(uint64_t a) { return (uint8_t)fake_io(a, 1, false, 0); }
static inline void wr8(uint64_t a, uint8_t val) { (void)fake_io(a, 1, true, val); }
#define GICD(off) (PLAT_GICD + (off))
#define GICR(v, off) (plat_gicr(fake_vm.nvcpus) + (v)*PLAT_GICR_STRIDE + (off))
#define GICS(v, off) GICR(v, 0x10000u + (off))
#define GITS(off) (PLAT_ITS + (off))

static inline void fake_start(unsigned version, unsigned vcpus)
{
    static const struct vcpu_ops ops = {
        .name = "fake", .get_sysreg = fake_get, .set_sysreg = fake_set, .features = fake_features
    };
    static const struct guest_ops guest = { .isa = ISA_AARCH64,
                                            .vintc = &vintc_arm,
                                            .wakeable = vgic_wakeable };
    static bool ready;
    struct vgic_layout l = { .version = (uint8_t)version,
                             .nr_spis = 96,
                             .gicd = PLAT_GICD,
                             .gicr = plat_gicr(vcpus),
                             .its = PLAT_ITS,
                             .gicc = PLAT_GICC,
                             .v2m = PLAT_V2M,
                             .v2m_first = 64,
                             .v2m_count = 64 };

    if (!ready)
        host_init(1, 0);
    ready = true;
    fake_version = version;
    fake_config = (struct guest_config){ .memory = 64 * MIB, .vcpus = vcpus };
    fake_vm =
        (struct vm){ .config = &fake_config, .ops = &ops, .guest_ops = &guest, .nvcpus = vcpus };
    fake_vm.time_offset_ns = -(int64_t)host_now;
    memset(fake_ram, 0, sizeof fake_ram);
    memset(fake_cpu, 0, sizeof fake_cpu);
    if (vintc_arm.vm_init(&fake_vm))
        abort();
    for (unsigned i = 0; i < vcpus; i++) {
        fake_vcpu[i] = (struct vcpu){ .vm = &fake_vm, .id = i, .ops = &ops };
        fake_vm.vcpu[i] = &fake_vcpu[i];
        fake_cpu[i].vmcr = 0xff000003;
        if (vintc_arm.vcpu_init(&fake_vcpu[i]))
            abort();
    }
    if (vgic_create(&fake_vm, &l))
        abort();
    vtimer_sync_clock(&fake_vm);
    on(0);
}

static inline void fake_stop(void)
{
    this_cpu()->current = this_cpu()->loaded = NULL;
    for (unsigned i = 0; i < fake_vm.nvcpus; i++)
        vintc_arm.vcpu_fini(&fake_vcpu[i]);
    vintc_arm.vm_fini(&fake_vm);
    fake_nregions = 0;
    (void)event_run();
    if (event_next() != UINT64_MAX || fake_slot_used || fake_vm.charge[CHARGE_OVERHEAD].used)
        abort(); /* something was left behind */
}
