/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC: state, registers, priorities. Intel SDM vol 3 §11, AMD APM vol 2 §16. */
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/nospec.h>
#include <hv/order.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include <hv/x86.h>
#include <stdlib.h>
#include <string.h>
#include "x86.h"
#include "x86_devices.h"
#include "x86_intc.h"

#define LAPIC_VERSION (0x14u | (LVT_COUNT - 1u) << 16)

static uint64_t bit_of(unsigned n) { return 1ull << (n & 63); }

static int highest(const uint64_t *w)
{
    for (int i = 3; i >= 0; i--) {
        uint64_t x = __atomic_load_n(&w[i], __ATOMIC_RELAXED);

        if (x)
            return i * 64 + 63 - __builtin_clzll(x);
    }
    return -1;
}

void lapic_raise(struct lapic *l, uint8_t vector, bool level)
{
    uint64_t *tmr = &l->s.tmr[vector >> 6], m = bit_of(vector);

    debug_assert(vector >= 16);
    if (level)
        __atomic_fetch_or(tmr, m, __ATOMIC_SEQ_CST);
    else if (__atomic_load_n(tmr, __ATOMIC_RELAXED) & m)
        __atomic_fetch_and(tmr, ~m, __ATOMIC_SEQ_CST);
    if (!level && l->hw.posted && __atomic_load_n(&l->mode, __ATOMIC_RELAXED) & VAPIC_DELIVERS) {
        if (!(__atomic_fetch_or(&l->hw.posted[vector >> 6], m, __ATOMIC_SEQ_CST) & m))
            vcpu_notify(l->v, lapic_engine(l->v->vm)->vapic->notify);
        return;
    }
    if (!(__atomic_fetch_or(&l->s.irr[vector >> 6], m, __ATOMIC_SEQ_CST) & m))
        vcpu_request(l->v, REQ_IRQ);
}

void lapic_error(struct lapic *l, uint32_t esr_bit)
{
    if (!(__atomic_fetch_or(&l->s.esr_new, esr_bit, __ATOMIC_SEQ_CST) & esr_bit))
        lapic_local(l, LVT_ERROR);
}

/*
 * An error entry with a bad vector reports nothing further: lapic_error() calls again only for a
 * bit that is new.
 */
void lapic_local(struct lapic *l, enum lapic_lvt i)
{
    uint32_t lvt = __atomic_load_n(&l->s.lvt[i], __ATOMIC_RELAXED);
    unsigned mode = i == LVT_TIMER || i == LVT_ERROR ? DM_FIXED : (lvt >> 8) & 7;

    debug_assert(i < LVT_COUNT);
    if (lvt & LVT_MASKED || !lapic_hw_enabled(l))
        return;
    if (mode == DM_NMI)
        vcpu_request(l->v, REQ_NMI);
    else if (mode == DM_EXTINT)
        vcpu_request(l->v, REQ_IRQ);
    else if (mode == DM_FIXED && (lvt & 0xff) < 16)
        lapic_error(l, ESR_RECV_ILLEGAL);
    else if (mode == DM_FIXED)
        lapic_raise(l, (uint8_t)lvt, false);
}

bool lapic_wants_pic(const struct lapic *l)
{
    uint32_t lvt = __atomic_load_n(&l->s.lvt[LVT_LINT0], __ATOMIC_RELAXED);

    if (!lapic_hw_enabled(l))
        return (l->s.base & BASE_BSP) != 0; /* INTR is wired to the boot processor's pin */
    return (!(lvt & LVT_MASKED) && ((lvt >> 8) & 7) == DM_EXTINT) ||
           __atomic_load_n(&l->s.extint, __ATOMIC_RELAXED);
}

/*
 * Where the guest writes CR8 without exits, the engine has the task priority, and all of TPR where
 * it keeps the APIC; else the low half is ours.
 */
uint32_t lapic_tpr(struct lapic *l)
{
    const uint8_t *engines = l->hw.tpr;

    if (l->hw.apic)
        l->s.tpr = *engines;
    else if (engines && (*engines ^ l->s.tpr) & 0xf0)
        l->s.tpr = *engines & 0xf0;
    return l->s.tpr;
}

uint32_t lapic_ppr(struct lapic *l)
{
    uint32_t isr;

    debug_assert_own_cpu(l->v);
    lapic_take_back(l);
    isr = l->isr_top < 0 ? 0 : (uint32_t)l->isr_top & 0xf0;
    return (lapic_tpr(l) & 0xf0) >= isr ? l->s.tpr : isr;
}

/* The guest's next step down is of interest only if the task priority alone holds `vec` back. */
static void watch_tpr(struct lapic *l, unsigned vec)
{
    unsigned priority = vec && (l->s.tpr & 0xf0) >= (vec & 0xf0) ? vec >> 4 : 0;

    debug_assert_own_cpu(l->v);
    if (l->hw.tpr && (priority | l->watched)) {
        l->watched = (uint8_t)priority;
        lapic_engine(l->v->vm)->tpr_window(l->v, priority);
    }
}

/* Something became deliverable that was held back: look again before the next entry. */
static void recheck(struct lapic *l)
{
    if (highest(l->s.irr) >= 0 || pic_output(l->intc))
        vcpu_request(l->v, REQ_IRQ);
}

/* The best that can be delivered, when the CPU does not do it. */
static int best(struct lapic *l)
{
    int vec = highest(l->s.irr);

    if (vec < 0 || !lapic_hw_enabled(l)) {
        watch_tpr(l, 0);
        return -1;
    }
    if (l->pv_flag && lapic_pv_disarm(l)) /* one waits behind it: the guest's EOI must exit */
        lapic_end(l);
    if (((uint32_t)vec & 0xf0) > (lapic_ppr(l) & 0xf0))
        return vec;
    watch_tpr(l, (unsigned)vec);
    return -1;
}

static bool look(struct lapic *l)
{
    debug_assert_own_cpu(l->v);
    if (__atomic_load_n(&l->timer_due, __ATOMIC_RELAXED))
        lapic_timer_check(l);
    if (l->hw.posted)
        lapic_collect(l);
    return pic_output(l->intc) && lapic_wants_pic(l);
}

int lapic_pending(struct lapic *l)
{
    bool pic = look(l);

    if (lapic_delivers(l))
        lapic_hand_over(l);
    if (pic)
        return VEC_EXTINT;
    return lapic_delivers(l) ? -1 : best(l);
}

bool lapic_wakes(struct vcpu *v)
{
    struct lapic *l = lapic_of(v);

    if (look(l))
        return true;
    lapic_take_back(l);
    return best(l) >= 0;
}

int lapic_accept(struct lapic *l, int vec)
{
    debug_assert_own_cpu(l->v);
    debug_assert(vec == VEC_EXTINT || (vec >= 16 && vec < 256));
    if (vec == VEC_EXTINT) {
        __atomic_store_n(&l->s.extint, 0, __ATOMIC_RELEASE);
        vec = pic_ack(l->intc);
        recheck(l);
        return vec;
    }
    __atomic_fetch_and(&l->s.irr[vec >> 6], ~bit_of((unsigned)vec), __ATOMIC_SEQ_CST);
    l->s.isr[vec >> 6] |= bit_of((unsigned)vec);
    l->isr_top = vec;
    if (l->s.pv_eoi & 1 && highest(l->s.irr) < 0)
        lapic_pv_arm(l, vec);
    return vec;
}

void lapic_end(struct lapic *l)
{
    int vec;
    uint64_t m;

    debug_assert_own_cpu(l->v);
    if (l->live)
        lapic_take_back(l);
    vec = l->isr_top;
    if (vec < 0)
        return;
    if (l->pv_flag)
        (void)lapic_pv_disarm(l);
    m = bit_of((unsigned)vec);
    l->s.isr[vec >> 6 & 3] &= ~m;
    l->isr_top = highest(l->s.isr);
    if (__atomic_load_n(&l->s.tmr[vec >> 6 & 3], __ATOMIC_RELAXED) & m)
        ioapic_eoi(l->intc, (uint8_t)vec);
    recheck(l);
}

/* Reset (SDM vol 3 §11.4.7.1): all but the base MSR and the ID. */
static void reset_registers(struct lapic *l)
{
    struct lapic_state *s = &l->s;
    uint64_t base = s->base, pv_eoi = s->pv_eoi;
    uint32_t id = s->id;

    assert_own_cpu(l->v);
    lapic_take_back(l);
    lapic_timer_stop(l);
    if (l->pv_flag)
        (void)lapic_pv_disarm(l);
    memset(s, 0, offsetof(struct lapic_state, signals)); /* a SIPI may come at any moment */
    s->version = LAPIC_STATE_VERSION;
    s->base = base;
    s->id = id;
    s->pv_eoi = pv_eoi;
    s->svr = 0xff;
    s->dfr = ~0u;
    for (unsigned i = 0; i < LVT_COUNT; i++)
        s->lvt[i] = LVT_MASKED;
    if (base & BASE_X2)
        s->ldr = (id >> 4) << 16 | 1u << (id & 15);
    l->isr_top = -1;
    if (l->v->ops && l->v->ops->set_sysreg)
        (void)l->v->ops->set_sysreg(l->v, X86_CR8, 0);
    lapic_set_mode(l);
}

/* What firmware leaves at the boot processor: the PIC's interrupts come through. */
static void virtual_wire(struct lapic *l)
{
    l->s.svr = SVR_ENABLE | 0xff;
    l->s.lvt[LVT_LINT0] = DM_EXTINT << 8;
    l->s.lvt[LVT_LINT1] = DM_NMI << 8;
    lapic_set_mode(l);
}

void lapic_power_on(struct lapic *l)
{
    bool bsp = l->v->id == 0;

    assert_cpu0();
    l->s.base = PLAT_LAPIC | BASE_EN | (bsp ? BASE_BSP : 0);
    l->s.id = l->v->id;
    l->s.pv_eoi = 0;
    l->s.signals = 0;
    reset_registers(l);
    if (bsp)
        virtual_wire(l);
}

struct lapic *lapic_new(struct x86_intc *x, struct vcpu *v)
{
    struct lapic *l = vm_alloc(v->vm, sizeof *l);

    assert_cpu0();
    if (!l)
        return NULL;
    l->v = v;
    l->intc = x;
    if (v->shared)
        l->hw = *(const struct x86_shared *)v->shared;
    lapic_timer_init(l);
    lapic_power_on(l);
    return l;
}

void lapic_free(struct lapic *l)
{
    assert_cpu0();
    if (!l)
        return;
    event_kill(&l->timer);
    vm_free(l->v->vm, l, sizeof *l);
}

/* --- registers --- */

static uint32_t read_id(struct lapic *l, unsigned r)
{
    (void)r;
    return lapic_x2(l) ? l->s.id : l->s.id << 24;
}
static uint32_t read_version(struct lapic *l, unsigned r)
{
    (void)l;
    (void)r;
    return LAPIC_VERSION;
}
static uint32_t read_tpr(struct lapic *l, unsigned r)
{
    (void)r;
    return lapic_tpr(l);
}
static uint32_t read_ppr(struct lapic *l, unsigned r)
{
    (void)r;
    return lapic_ppr(l);
}
static uint32_t read_ldr(struct lapic *l, unsigned r)
{
    (void)r;
    return l->s.ldr;
}
static uint32_t read_dfr(struct lapic *l, unsigned r)
{
    (void)r;
    return l->s.dfr;
}
static uint32_t read_svr(struct lapic *l, unsigned r)
{
    (void)r;
    return l->s.svr;
}
static uint32_t read_esr(struct lapic *l, unsigned r)
{
    (void)r;
    return l->s.esr;
}
static uint32_t read_icr(struct lapic *l, unsigned r)
{
    (void)r;
    return (uint32_t)l->s.icr;
}
static uint32_t read_icr2(struct lapic *l, unsigned r)
{
    (void)r;
    return (uint32_t)(l->s.icr >> 32);
}
static uint32_t read_tmict(struct lapic *l, unsigned r)
{
    (void)r;
    return l->s.tmict;
}
static uint32_t read_tmcct(struct lapic *l, unsigned r)
{
    (void)r;
    return lapic_timer_left(l);
}
static uint32_t read_tdcr(struct lapic *l, unsigned r)
{
    (void)r;
    return l->s.tdcr;
}
static uint32_t read_lvt(struct lapic *l, unsigned r) { return l->s.lvt[r - APIC_LVT]; }
static uint32_t read_zero(struct lapic *l, unsigned r)
{
    (void)l;
    (void)r;
    return 0;
}

static uint32_t read_vectors(struct lapic *l, unsigned r)
{
    const uint64_t *w = r >= APIC_IRR ? l->s.irr : r >= APIC_TMR ? l->s.tmr : l->s.isr;

    lapic_take_back(l);
    return (uint32_t)(__atomic_load_n(&w[(r & 7) / 2], __ATOMIC_RELAXED) >> (r & 1) * 32);
}

/* Only in xAPIC mode, as AMD's CPUs have it; CPUID goes on telling the number from before. */
static void write_id(struct lapic *l, unsigned r, uint32_t val)
{
    (void)r;
    __atomic_store_n(&l->s.id, val >> 24, __ATOMIC_RELEASE);
    if (l->s.id != l->v->id)
        __atomic_store_n(&l->intc->renamed, 1, __ATOMIC_RELEASE);
}

static void write_tpr(struct lapic *l, unsigned r, uint32_t val)
{
    uint32_t old = lapic_tpr(l);

    (void)r;
    l->s.tpr = val & 0xff;
    if (l->hw.apic)
        *l->hw.tpr = (uint8_t)val;
    else if ((old ^ l->s.tpr) & 0xf0 && l->v->ops && l->v->ops->set_sysreg)
        (void)l->v->ops->set_sysreg(l->v, X86_CR8, l->s.tpr >> 4);
    if (l->s.tpr < old)
        recheck(l);
}

static void write_eoi(struct lapic *l, unsigned r, uint32_t val)
{
    (void)r;
    (void)val;
    lapic_end(l);
}

static void write_ldr(struct lapic *l, unsigned r, uint32_t val)
{
    (void)r;
    l->s.ldr = val & 0xff000000;
}

static void write_dfr(struct lapic *l, unsigned r, uint32_t val)
{
    (void)r;
    l->s.dfr = val | 0x0fffffff;
}

static void write_svr(struct lapic *l, unsigned r, uint32_t val)
{
    (void)r;
    l->s.svr = val & 0x1ff;
    lapic_set_mode(l);
    if (val & SVR_ENABLE)
        return;
    for (unsigned i = 0; i < LVT_COUNT; i++)
        l->s.lvt[i] |= LVT_MASKED;
    lapic_timer_set_lvt(l, l->s.lvt[LVT_TIMER]);
}

static void write_esr(struct lapic *l, unsigned r, uint32_t val)
{
    (void)r;
    (void)val;
    l->s.esr = __atomic_exchange_n(&l->s.esr_new, 0, __ATOMIC_SEQ_CST);
}

static void write_icr(struct lapic *l, unsigned r, uint32_t val)
{
    (void)r;
    lapic_icr_write(l, (l->s.icr & 0xffffffff00000000) | val);
}

static void write_icr2(struct lapic *l, unsigned r, uint32_t val)
{
    (void)r;
    l->s.icr = (uint64_t)(val & 0xff000000) << 32 | (uint32_t)l->s.icr;
}

static void write_self_ipi(struct lapic *l, unsigned r, uint32_t val)
{
    (void)r;
    if ((val & 0xff) < 16)
        lapic_error(l, ESR_SEND_ILLEGAL);
    else if (lapic_sw_enabled(l))
        lapic_raise(l, (uint8_t)val, false);
}

const uint32_t lapic_lvt_bits[LVT_COUNT] = {
    [LVT_TIMER] = 0x700ff, [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff,
    [LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff,   [LVT_ERROR] = 0x100ff,
};

static void write_lvt(struct lapic *l, unsigned r, uint32_t val)
{
    unsigned i = r - APIC_LVT;

    val &= lapic_lvt_bits[i];
    if (!lapic_sw_enabled(l))
        val |= LVT_MASKED;
    if (i == LVT_TIMER) {
        lapic_timer_set_lvt(l, val);
        return;
    }
    __atomic_store_n(&l->s.lvt[i], val, __ATOMIC_RELEASE);
    store_before_load();
    if (i == LVT_LINT0 && pic_output(l->intc))
        lapic_local(l, LVT_LINT0);
}

static void write_tmict(struct lapic *l, unsigned r, uint32_t val)
{
    (void)r;
    lapic_timer_set_count(l, val);
}

static void write_tdcr(struct lapic *l, unsigned r, uint32_t val)
{
    (void)r;
    lapic_timer_set_divider(l, val & 0xb);
}

/* In x2APIC mode, bits outside x2_bits fault, and so does an access that is not listed. In xAPIC
 * mode, registers with no access at all set ESR bit 7; accesses in the wrong direction do nothing.
 */
enum { X_R = 1, X_W = 2, X2_R = 4, X2_W = 8, RW = 15, RO = X_R | X2_R };
struct reg {
    uint8_t access;
    uint32_t x2_bits;
    uint32_t (*read)(struct lapic *, unsigned reg);
    void (*write)(struct lapic *, unsigned reg, uint32_t val);
};
#define LVT_REG(i) [APIC_LVT + (i)] = { RW, 0x1f7ff, read_lvt, write_lvt }
static const struct reg regs[APIC_REGS] = {
    [APIC_ID] = { RO | X_W, 0, read_id, write_id },
    [APIC_VERSION] = { RO, 0, read_version, NULL },
    [APIC_TPR] = { RW, 0xff, read_tpr, write_tpr },
    [APIC_APR] = { X_R, 0, read_zero, NULL },
    [APIC_PPR] = { RO, 0, read_ppr, NULL },
    [APIC_EOI] = { X_W | X2_W, 0, NULL, write_eoi },
    [APIC_RRD] = { X_R, 0, read_zero, NULL },
    [APIC_LDR] = { RO | X_W, 0, read_ldr, write_ldr },
    [APIC_DFR] = { X_R | X_W, 0, read_dfr, write_dfr },
    [APIC_SVR] = { RW, 0x1ff, read_svr, write_svr },
    [APIC_ISR... APIC_IRR + 7] = { RO, 0, read_vectors, NULL },
    [APIC_ESR] = { RW, 0, read_esr, write_esr },
    [APIC_ICR] = { RW, 0xcdfff, read_icr, write_icr },
    [APIC_ICR2] = { X_R | X_W, 0, read_icr2, write_icr2 },
    [APIC_LVT] = { RW, 0x710ff, read_lvt, write_lvt },
    LVT_REG(LVT_THERMAL),
    LVT_REG(LVT_PERF),
    LVT_REG(LVT_LINT0),
    LVT_REG(LVT_LINT1),
    LVT_REG(LVT_ERROR),
    [APIC_TMICT] = { RW, ~0u, read_tmict, write_tmict },
    [APIC_TMCCT] = { RO, 0, read_tmcct, NULL },
    [APIC_TDCR] = { RW, 0xb, read_tdcr, write_tdcr },
    [APIC_SELF_IPI] = { X2_W, 0xff, NULL, write_self_ipi },
};

uint32_t lapic_show_reg(struct lapic *l, unsigned reg)
{
    const struct reg *r = &regs[reg];

    debug_assert_own_cpu(l->v);
    return r->read && r->access & (lapic_x2(l) ? X2_R : X_R) ? r->read(l, reg) : 0;
}

void lapic_written(struct lapic *l, unsigned reg, uint32_t val)
{
    debug_assert_own_cpu(l->v);
    if (regs[reg].write)
        regs[reg].write(l, reg, val);
    if (lapic_delivers(l))
        lapic_show(l, reg);
}

static inline void mmio(struct lapic *l, uint32_t off, bool write, uint32_t *val)
{
    unsigned i = (unsigned)index_nospec(off >> 4, APIC_REGS);
    const struct reg *r = off >> 4 < APIC_REGS ? &regs[i] : NULL;

    if (lapic_delivers(l))
        lapic_fetch_icr(l);
    if (!r || !(r->access & (X_R | X_W))) {
        lapic_error(l, ESR_ILLEGAL_REG);
        r = NULL;
    }
    if (write) {
        if (r && !(off & 15))
            lapic_written(l, i, *val);
        return;
    }
    /* Only the first four bytes of each 16 exist (SDM vol 3 §11.4.1). */
    *val = r && r->read && (off & 15) < 4 ? r->read(l, i) >> (off & 3) * 8 : 0;
}

void lapic_mmio(struct vcpu *v, uint32_t off, bool write, uint32_t *val)
{
    debug_assert_own_cpu(v);
    mmio(lapic_of(v), off, write, val);
}

/*
 * Aligned 32-bit registers. Other reads see their part of the register, other writes are dropped.
 */
bool lapic_access(struct vcpu *v, struct io_access *io)
{
    struct lapic *l = lapic_of(v);
    uint32_t off = (uint32_t)io->addr & 0xfff, val = (uint32_t)io->val;

    debug_assert_own_cpu(v);
    if ((l->s.base ^ io->addr) >> 12 != 0 || (l->s.base & (BASE_EN | BASE_X2)) != BASE_EN)
        return false;
    if (!io->write) {
        mmio(l, off & ~3u, false, &val);
        io->val = (uint64_t)val >> 8 * (off & 3) & (UINT64_MAX >> (64 - 8 * io->size));
    } else if ((off & 3) == 0 && io->size >= 4) {
        mmio(l, off, true, &val);
    }
    return true;
}

static int x2_icr(struct lapic *l, bool write, uint64_t *val)
{
    if (!write)
        *val = l->s.icr;
    else if ((uint32_t)*val & ~regs[APIC_ICR].x2_bits)
        return -EINVAL;
    else
        lapic_icr_write(l, *val);
    lapic_show(l, APIC_ICR);
    return 0;
}

int lapic_msr(struct vcpu *v, uint32_t msr, bool write, uint64_t *val)
{
    struct lapic *l = lapic_of(v);
    unsigned i = msr - 0x800;
    const struct reg *r;

    debug_assert_own_cpu(v);
    if (!lapic_x2(l) || i >= APIC_REGS)
        return -EINVAL;
    i = (unsigned)index_nospec(i, APIC_REGS);
    if (i == APIC_ICR)
        return x2_icr(l, write, val);
    r = &regs[i];
    if (!(r->access & (write ? X2_W : X2_R)) || (write && *val & ~(uint64_t)r->x2_bits))
        return -EINVAL;
    if (write)
        lapic_written(l, i, (uint32_t)*val);
    else
        *val = r->read(l, i);
    return 0;
}

/* --- IA32_APIC_BASE, CR8, INIT --- */

uint64_t lapic_get_base(const struct vcpu *v) { return lapic_of(v)->s.base; }

/* Legal transitions: SDM vol 3 §11.12.5, figure 11-26. Disabling resets the registers. */
int lapic_set_base(struct vcpu *v, uint64_t val)
{
    struct lapic *l = lapic_of(v);
    uint64_t x2 = v->vm->config->x2apic ? BASE_X2 : 0, old = l->s.base;
    bool was_x2 = old & BASE_X2, was_en = old & BASE_EN, to_x2 = val & BASE_X2,
         to_en = val & BASE_EN;

    assert_own_cpu(v);
    if (val >> x86_phys_bits(v) || val & 0x2ff || (val & BASE_X2 & ~x2))
        return -EINVAL;
    /* EN clear with EXTD set is invalid; so is disabled -> x2APIC */
    if (to_x2 && (!to_en || !was_en))
        return -EINVAL;
    if (was_x2 && to_en && !to_x2) /* x2APIC leads only to disabled */
        return -EINVAL;
    l->s.base = (val & ~BASE_BSP) | (old & BASE_BSP);
    if ((was_en && !to_en) || (to_x2 && !was_x2))
        __atomic_store_n(&l->s.id, l->v->id, __ATOMIC_RELEASE); /* the one that CPUID tells */
    if (was_en && !to_en)
        reset_registers(l);
    if (to_x2 && !was_x2) {
        l->s.ldr = (l->s.id >> 4) << 16 | 1u << (l->s.id & 15);
        l->s.icr &= 0xffffffff;
    }
    lapic_set_mode(l);
    return 0;
}

uint8_t lapic_get_cr8(const struct vcpu *v) { return (uint8_t)(lapic_tpr(lapic_of(v)) >> 4); }

void lapic_set_cr8(struct vcpu *v, uint8_t cr8)
{
    debug_assert_own_cpu(v);
    write_tpr(lapic_of(v), APIC_TPR, (cr8 & 15u) << 4);
}

uint32_t lapic_apic_id(const struct vcpu *v) { return lapic_of(v)->s.id; }

bool lapic_has_signal(const struct vcpu *v)
{
    return __atomic_load_n(&lapic_of(v)->s.signals, __ATOMIC_SEQ_CST) != 0;
}

bool lapic_take_init(struct vcpu *v)
{
    struct lapic *l = lapic_of(v);

    assert_own_cpu(v);
    if (!(__atomic_fetch_and(&l->s.signals, ~(uint32_t)SIG_INIT, __ATOMIC_SEQ_CST) & SIG_INIT))
        return false;
    reset_registers(l);
    if (v->id == 0)
        virtual_wire(l);
    return true;
}

int lapic_take_sipi(struct vcpu *v)
{
    uint32_t *p = &lapic_of(v)->s.signals, old = __atomic_load_n(p, __ATOMIC_SEQ_CST);

    assert_own_cpu(v);
    while (old & SIG_SIPI && !__atomic_compare_exchange_n(p, &old, old & SIG_INIT, false,
                                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
    return old & SIG_SIPI ? (int)(old >> 8 & 0xff) : -1;
}
