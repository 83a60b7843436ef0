/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.c: the table of an x86 machine's objects (<hv/state.h>), and those that have no file of
 * their own for it: the clocks, a vCPU's MSRs, the interrupt controllers. The devices' are in their
 * files.
 */
#include <hv/guest_uefi.h>
#include <hv/pci.h>
#include <hv/pvpanic.h>
#include <hv/state.h>
#include <hv/time.h>
#include <string.h>
#include "x86.h"
#include "x86_dev.h"
#include "x86_devices.h"

#define SECOND 1000000000ull

static uint32_t vcpus_of(const struct vm *vm) { return vm->nvcpus; }

/* ---- the machine's clocks ---- */

#define MACHINE_VERSION 1
struct machine_state {
    uint64_t tsc;    /* of the guest, before TSC_ADJUST, when it stood still */
    uint64_t tsc_hz; /* its rate */
    /* wall-clock time at guest time 0, and whole seconds of it as the RTC has it */
    uint64_t wall_boot_ns, wall_s;
};
static_assert(sizeof(struct machine_state) == 32, "a saved state");

static size_t machine_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct machine_state);
}

/*
 * The guest's TSC, before TSC_ADJUST, where its clock (vm_time_ns()) stopped: at `stopped` by
 * time_ns(). With a reading of its own it would part from the other clocks by what came between.
 */
static uint64_t machine_tsc(const struct x86_machine *m, uint64_t stopped)
{
    return m->tsc_stands ? m->stopped_tsc : time_cycles_at(stopped) + m->tsc_offset;
}

static int machine_save(struct vm *vm, uint32_t i, void *buf)
{
    const struct x86_machine *m = vm->guest;
    struct machine_state *s = buf;

    (void)i;
    *s = (struct machine_state){ .tsc = machine_tsc(m, vm->paused_ns),
                                 .tsc_hz = time_cycles_hz(),
                                 .wall_boot_ns = m->wall_boot_ns,
                                 .wall_s = m->wall_s };
    return 0;
}

/* No TSC is scaled: the rate has to be this machine's. */
static int machine_restore(struct vm *vm, uint32_t i, const void *buf)
{
    struct x86_machine *m = vm->guest;
    const struct machine_state *s = buf;

    (void)i;
    if (s->tsc_hz != time_cycles_hz())
        return -EINVAL;
    m->stopped_tsc = s->tsc;
    m->tsc_stands = true;
    m->wall_boot_ns = s->wall_boot_ns;
    m->wall_s = s->wall_s;
    return 0;
}

/* The world's clock went on while the guest's stood: the RTC and the PV wall clock follow it. */
static void follow_wall_clock(struct vm *vm, struct x86_machine *m)
{
    uint64_t now = x86_wall_s(vm);
    int64_t passed = (int64_t)(now - m->wall_s);

    m->wall_boot_ns += (uint64_t)passed * SECOND;
    rtc_move(&x86_devices_of(vm)->rtc, passed);
    m->wall_s = now;
}

static void machine_resume(struct vm *vm, uint32_t i)
{
    struct x86_machine *m = vm->guest;

    (void)i;
    m->tsc_offset = machine_tsc(m, vm->stopped_ns) - time_cycles_at(vm->resumed_ns);
    m->tsc_stands = false;
    for (unsigned n = 0; n < vm->nvcpus; n++)
        x86_set(vm->vcpu[n], X86_TSC_OFFSET, m->tsc_offset + x86_of(vm->vcpu[n])->s.tsc_adjust);
    follow_wall_clock(vm, m);
    x86_pv_resumed(vm);
}

static const struct state_ops machine_ops = { .name = "clocks",
                                              .kind = STATE_X86_MACHINE,
                                              .version = MACHINE_VERSION,
                                              .size = machine_size,
                                              .save = machine_save,
                                              .restore = machine_restore,
                                              .resume = machine_resume };

/* ---- a vCPU's MSRs and what waits for it ---- */

struct cpu_state {
    struct x86_state s;
    uint64_t steal_ns;
    uint32_t kicked, zero;
};
static_assert(sizeof(struct x86_state) == 328, "a saved state");
static_assert(sizeof(struct cpu_state) == 344, "a saved state");

static size_t cpu_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct cpu_state);
}

static int cpu_save(struct vm *vm, uint32_t i, void *buf)
{
    const struct x86_vcpu *x = x86_of(vm->vcpu[i]);
    struct cpu_state *s = buf;

    s->s = x->s;
    s->steal_ns = vm->vcpu[i]->sched.steal_ns;
    s->kicked = (__atomic_load_n(&x->clock_requests, __ATOMIC_ACQUIRE) & X86_KICKED) != 0;
    return 0;
}

static int cpu_restore(struct vm *vm, uint32_t i, const void *buf)
{
    struct x86_vcpu *x = x86_of(vm->vcpu[i]);
    const struct cpu_state *s = buf;

    if (!x86_state_valid(&s->s) || s->kicked > 1 || s->zero)
        return -EINVAL;
    x->s = s->s;
    vm->vcpu[i]->sched.steal_ns = s->steal_ns;
    __atomic_store_n(&x->clock_requests, s->kicked ? X86_KICKED : 0, __ATOMIC_RELEASE);
    return 0;
}

static const struct state_ops cpu_ops = { .name = "MSRs",
                                          .kind = STATE_X86_CPU,
                                          .version = X86_STATE_VERSION,
                                          .count = vcpus_of,
                                          .size = cpu_size,
                                          .save = cpu_save,
                                          .restore = cpu_restore };

/* ---- a local APIC ---- */

#define DEADLINE_FAR (1ull << 40) /* ns: more than any count of any divider */

static size_t lapic_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct lapic_state);
}

/* All of it is in l->s then, and nothing of it in guest memory. */
static int lapic_quiesce(struct vm *vm, uint32_t i)
{
    struct lapic *l = lapic_of(vm->vcpu[i]);

    lapic_timer_hold(l);
    if (l->pv_flag && lapic_pv_disarm(l))
        lapic_end(l);
    lapic_take_back(l);
    if (l->hw.posted)
        lapic_collect(l);
    return 0;
}

static int lapic_save(struct vm *vm, uint32_t i, void *buf)
{
    struct lapic *l = lapic_of(vm->vcpu[i]);

    l->s.tpr = lapic_tpr(l);
    memcpy(buf, &l->s, sizeof l->s);
    return 0;
}

static bool base_valid(const struct vcpu *v, uint64_t base)
{
    bool en = base & BASE_EN, x2 = base & BASE_X2;

    return !(base >> x86_phys_bits(v)) && !(base & 0x2ff) && (en || !x2) &&
           (!x2 || v->vm->config->x2apic) && !(base & BASE_BSP) == (v->id != 0);
}

static bool id_valid(const struct lapic *l, const struct lapic_state *s)
{
    return s->base & BASE_X2 ? s->id == l->v->id : s->id <= 0xff;
}

static bool lapic_valid(const struct lapic *l, const struct lapic_state *s)
{
    static const struct state_limit limits[] = {
        STATE_LIMIT(struct lapic_state, tpr, 0xff),     STATE_LIMIT(struct lapic_state, svr, 0x1ff),
        STATE_LIMIT(struct lapic_state, esr, 0xff),     STATE_LIMIT(struct lapic_state, tdcr, 0xb),
        STATE_LIMIT(struct lapic_state, esr_new, 0xff), STATE_LIMIT(struct lapic_state, extint, 1),
    };

    for (unsigned i = 0; i < LVT_COUNT; i++)
        if (s->lvt[i] & ~lapic_lvt_bits[i])
            return false;
    return s->version == LAPIC_STATE_VERSION && id_valid(l, s) && base_valid(l->v, s->base) &&
           state_within(s, limits, ARRAY_SIZE(limits)) && !(s->tdcr & 4) &&
           !((s->irr[0] | s->isr[0]) & 0xffff) &&
           !(s->signals & ~(0xff00u | SIG_INIT | SIG_SIPI)) &&
           s->deadline <= vm_time_ns(l->v->vm) + DEADLINE_FAR && lapic_pv_valid(l, s->pv_eoi);
}

static int lapic_restore(struct vm *vm, uint32_t i, const void *buf)
{
    struct lapic *l = lapic_of(vm->vcpu[i]);

    if (!lapic_valid(l, buf))
        return -EINVAL;
    memcpy(&l->s, buf, sizeof l->s);
    l->intc->renamed |= l->s.id != l->v->id;
    lapic_restored(l);
    return 0;
}

static void lapic_resume(struct vm *vm, uint32_t i)
{
    lapic_timer_release(lapic_of(vm->vcpu[i]));
    vcpu_request(vm->vcpu[i], REQ_IRQ);
}

const struct state_ops lapic_state_ops = { .name = "local APIC",
                                           .kind = STATE_LAPIC,
                                           .version = LAPIC_STATE_VERSION,
                                           .count = vcpus_of,
                                           .quiesce = lapic_quiesce,
                                           .size = lapic_size,
                                           .save = lapic_save,
                                           .restore = lapic_restore,
                                           .resume = lapic_resume };

/* ---- IOAPIC, PIC, lines ---- */

#define INTC_VERSION 1
struct intc_state {
    struct ioapic_state ioapic;
    struct pic_state pic;
    uint16_t shared[IOAPIC_PINS];
    uint32_t rotor, zero;
};
static_assert(sizeof(struct intc_state) == 304, "a saved state");

static size_t intc_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct intc_state);
}

static int intc_save(struct vm *vm, uint32_t i, void *buf)
{
    struct x86_intc *x = vm->vintc;
    struct intc_state *s = buf;

    (void)i;
    spin_lock(&x->lock);
    s->ioapic = x->ioapic;
    s->pic = x->pic;
    memcpy(s->shared, x->shared, sizeof s->shared);
    spin_unlock(&x->lock);
    s->rotor = __atomic_load_n(&x->rotor, __ATOMIC_RELAXED);
    return 0;
}

static bool chip_valid(const struct pic_chip *c)
{
    static const struct state_limit limits[] = {
        STATE_LIMIT(struct pic_chip, low, 7),      STATE_LIMIT(struct pic_chip, icw, 4),
        STATE_LIMIT(struct pic_chip, read_isr, 1), STATE_LIMIT(struct pic_chip, poll, 1),
        STATE_LIMIT(struct pic_chip, aeoi, 1),     STATE_LIMIT(struct pic_chip, special_mask, 1),
        STATE_LIMIT(struct pic_chip, sfnm, 1),     STATE_LIMIT(struct pic_chip, rotate_aeoi, 1),
        STATE_LIMIT(struct pic_chip, pad, 0),
    };

    return state_within(c, limits, ARRAY_SIZE(limits)) && !(c->base & 7);
}

static bool ioapic_valid(const struct ioapic_state *s)
{
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        if (s->rte[i] & ~(RTE_WRITABLE | RTE_REMOTE))
            return false;
    return s->version == 1 && s->select <= 0xff && s->id <= 0xf && !(s->lines >> IOAPIC_PINS);
}

static bool intc_valid(const struct intc_state *s)
{
    for (unsigned i = 0; i < 16; i++)
        if (s->shared[i] > 1)
            return false;
    return ioapic_valid(&s->ioapic) && s->pic.version == 1 && s->pic.out <= 1 &&
           state_all_zero(s->pic.pad, sizeof s->pic.pad) && chip_valid(&s->pic.chip[0]) &&
           chip_valid(&s->pic.chip[1]) && !s->zero;
}

static int intc_restore(struct vm *vm, uint32_t i, const void *buf)
{
    struct x86_intc *x = vm->vintc;
    const struct intc_state *s = buf;

    (void)i;
    if (!intc_valid(s))
        return -EINVAL;
    spin_lock(&x->lock);
    x->ioapic = s->ioapic;
    x->pic = s->pic;
    memcpy(x->shared, s->shared, sizeof x->shared);
    spin_unlock(&x->lock);
    __atomic_store_n(&x->rotor, s->rotor, __ATOMIC_RELAXED);
    return 0;
}

const struct state_ops intc_state_ops = { .name = "IOAPIC and PIC",
                                          .kind = STATE_X86_INTC,
                                          .version = INTC_VERSION,
                                          .size = intc_size,
                                          .save = intc_save,
                                          .restore = intc_restore };

const struct state_pages *const x86_pages_table[] = { &vio_disk_pages, &uefi_vars_pages, NULL };

/* ---- the table; the clocks resume before all that asks them ---- */

state_table x86_state_table = {
    &vio_dev_ops,        &vio_disk_ops,
    &vpci_bus_ops,       &vpci_dev_ops,
    &machine_ops,        &cpu_ops,
    &lapic_state_ops,    &intc_state_ops,
    &pit_state_ops,      &rtc_state_ops,
    &hpet_state_ops,     &pm_state_ops,
    &uart_state_ops,     &kbc_state_ops,
    &watchdog_state_ops, &uefi_flash_state_ops,
    &uefi_cfg_state_ops, &uefi_ramfb_state_ops,
    &pvpanic_state_ops,  NULL,
};
