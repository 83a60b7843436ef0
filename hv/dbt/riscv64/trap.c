/* SPDX-License-Identifier: BSD-2-Clause */
/* Traps, interrupts and the instructions that return from them: volume II, 3.1.6 to 3.1.15 and 3.3.
 */
#include "cpu.h"
#include <hv/rv_fence.h>

void rv_attend(struct rv_hart *h) { __atomic_store_n(&h->attention, 1, __ATOMIC_RELEASE); }

/* The controller's SEIP is not software's bit: volume II, 3.1.9. Returns which of them were up. */
static uint64_t lines(struct rv_hart *h, uint64_t bits, bool up)
{
    uint64_t mip = bits & ~RV_BIT(RV_IRQ_SEI), was = 0;

    if (bits & RV_BIT(RV_IRQ_SEI))
        was = __atomic_exchange_n(&h->cpu.seip_line, up ? RV_BIT(RV_IRQ_SEI) : 0, __ATOMIC_ACQ_REL);
    if (up)
        was |= __atomic_fetch_or(&h->cpu.mip, mip, __ATOMIC_ACQ_REL) & mip;
    else
        was |= __atomic_fetch_and(&h->cpu.mip, ~mip, __ATOMIC_ACQ_REL) & mip;
    rv_attend(h);
    return was;
}

bool rv_set_mip(struct rv_hart *h, uint64_t bits) { return bits & ~lines(h, bits, true); }
void rv_clear_mip(struct rv_hart *h, uint64_t bits) { lines(h, bits, false); }

uint64_t rv_mip(const struct rv_cpu *c)
{
    return __atomic_load_n(&c->mip, __ATOMIC_ACQUIRE) |
           __atomic_load_n(&c->seip_line, __ATOMIC_ACQUIRE);
}

bool rv_wakes(struct rv_hart *h) { return rv_mip(&h->cpu) & h->cpu.mie; }

void rv_timer(struct rv_hart *h)
{
    uint64_t stip = RV_BIT(RV_IRQ_STI);
    bool due;

    if (!(h->cpu.menvcfg & MENVCFG_STCE))
        return;
    due = h->machine->time(h->owner) >= h->cpu.stimecmp;
    if (due != !!(__atomic_load_n(&h->cpu.mip, __ATOMIC_RELAXED) & stip))
        lines(h, stip, due);
}

/* From mstatus, one mode's bits: IE, PIE and PP. */
static void enter_s(struct rv_cpu *c, uint64_t cause, uint64_t tval)
{
    uint64_t m = c->mstatus & ~(RV_MSTATUS_SIE | RV_MSTATUS_SPIE | RV_MSTATUS_SPP);

    m |= c->mstatus & RV_MSTATUS_SIE ? RV_MSTATUS_SPIE : 0;
    c->mstatus = m | (c->mode == RV_S ? RV_MSTATUS_SPP : 0);
    c->sepc = c->pc;
    c->scause = cause;
    c->stval = tval;
    c->mode = RV_S;
}

static void enter_m(struct rv_cpu *c, uint64_t cause, uint64_t tval)
{
    uint64_t m = c->mstatus & ~(RV_MSTATUS_MIE | RV_MSTATUS_MPIE | RV_MSTATUS_MPP);

    m |= c->mstatus & RV_MSTATUS_MIE ? RV_MSTATUS_MPIE : 0;
    c->mstatus = m | (uint64_t)c->mode << 11;
    c->mepc = c->pc;
    c->mcause = cause;
    c->mtval = tval;
    c->mode = RV_M;
}

void rv_trap(struct rv_hart *h, uint64_t cause, uint64_t tval)
{
    struct rv_cpu *c = &h->cpu;
    bool irq = cause & RV_CAUSE_INTERRUPT;
    uint64_t number = cause & 63, deleg = irq ? c->mideleg : c->medeleg;
    bool to_s = c->mode != RV_M && deleg >> number & 1;
    uint64_t tvec = to_s ? c->stvec : c->mtvec;

    if (to_s)
        enter_s(c, cause, tval);
    else
        enter_m(c, cause, tval);
    h->next = (tvec & ~3ull) + (irq && tvec & 1 ? 4 * number : 0);
    h->trapped = true;
    rv_select(h);
    rv_attend(h);
}

void rv_illegal(struct rv_hart *h, const struct rv_insn *i)
{
    rv_trap(h, RV_INSN_ILLEGAL, i->bits);
}

void rv_memory_trap(struct rv_hart *h, enum dbt_fault fault, enum dbt_access access)
{
    static const uint8_t causes[DBT_ACCESSES][DBT_FAULT_MISALIGNED + 1] = {
        [DBT_LOAD] = { [DBT_FAULT_PAGE] = RV_LOAD_PAGE,
                       [DBT_FAULT_ACCESS] = RV_LOAD_ACCESS,
                       [DBT_FAULT_MISALIGNED] = RV_LOAD_MISALIGNED },
        [DBT_STORE] = { [DBT_FAULT_PAGE] = RV_STORE_PAGE,
                        [DBT_FAULT_ACCESS] = RV_STORE_ACCESS,
                        [DBT_FAULT_MISALIGNED] = RV_STORE_MISALIGNED },
        [DBT_FETCH] = { [DBT_FAULT_PAGE] = RV_INSN_PAGE, [DBT_FAULT_ACCESS] = RV_INSN_ACCESS },
    };

    if (h->again) {
        h->next = h->cpu.pc;
        h->trapped = true;
        return;
    }
    rv_trap(h, causes[access][fault], h->mem.fault_va);
}

/* The interrupts that mstatus and the mode let through to M or to S: volume II, 3.1.9. */
static uint64_t let_through(const struct rv_cpu *c)
{
    uint64_t pending = rv_mip(c) & c->mie, m = pending & ~c->mideleg, s = pending & c->mideleg;

    if (m && (c->mode != RV_M || c->mstatus & RV_MSTATUS_MIE))
        return m;
    if (s && (c->mode == RV_U || (c->mode == RV_S && c->mstatus & RV_MSTATUS_SIE)))
        return s;
    return 0;
}

bool rv_interrupt_due(const struct rv_hart *h) { return let_through(&h->cpu) != 0; }

bool rv_interrupt(struct rv_hart *h)
{
    static const uint8_t order[] = { RV_IRQ_MEI, RV_IRQ_MSI, RV_IRQ_MTI,
                                     RV_IRQ_SEI, RV_IRQ_SSI, RV_IRQ_STI };
    uint64_t due = let_through(&h->cpu);

    if (!due)
        return false;
    h->cpu.waiting = 0;
    for (unsigned i = 0; i < sizeof order; i++) {
        if (due >> order[i] & 1) {
            rv_trap(h, RV_CAUSE_INTERRUPT | order[i], 0);
            break;
        }
    }
    h->cpu.pc = h->next;
    return true;
}

void rv_do_sret(struct rv_hart *h, const struct rv_insn *i)
{
    struct rv_cpu *c = &h->cpu;
    uint64_t m = c->mstatus;

    if (c->mode == RV_U || (c->mode == RV_S && m & RV_MSTATUS_TSR)) {
        rv_illegal(h, i);
        return;
    }
    c->mode = m & RV_MSTATUS_SPP ? RV_S : RV_U;
    m &= ~(RV_MSTATUS_SIE | RV_MSTATUS_SPP | RV_MSTATUS_MPRV);
    m |= c->mstatus & RV_MSTATUS_SPIE ? RV_MSTATUS_SIE : 0;
    c->mstatus = m | RV_MSTATUS_SPIE;
    h->next = c->sepc;
    rv_select(h);
    rv_attend(h);
}

void rv_do_mret(struct rv_hart *h, const struct rv_insn *i)
{
    struct rv_cpu *c = &h->cpu;
    uint64_t m = c->mstatus;

    if (c->mode != RV_M) {
        rv_illegal(h, i);
        return;
    }
    c->mode = (uint32_t)(m >> 11 & 3);
    m &= ~(RV_MSTATUS_MIE | RV_MSTATUS_MPP | (c->mode == RV_M ? 0 : RV_MSTATUS_MPRV));
    m |= c->mstatus & RV_MSTATUS_MPIE ? RV_MSTATUS_MIE : 0;
    c->mstatus = m | RV_MSTATUS_MPIE;
    h->next = c->mepc;
    rv_select(h);
    rv_attend(h);
}

void rv_do_ecall(struct rv_hart *h, const struct rv_insn *i)
{
    static const uint8_t causes[] = {
        [RV_U] = RV_ECALL_U, [RV_S] = RV_ECALL_S, [RV_M] = RV_ECALL_M
    };

    (void)i;
    if (h->cpu.mode == RV_S && h->machine->ecall && h->machine->ecall(h->owner, h))
        return;
    rv_trap(h, causes[h->cpu.mode], 0);
}

void rv_do_ebreak(struct rv_hart *h, const struct rv_insn *i)
{
    (void)i;
    rv_trap(h, RV_BREAKPOINT, h->cpu.pc);
}

void rv_do_wfi(struct rv_hart *h, const struct rv_insn *i)
{
    if (h->cpu.mode == RV_U || (h->cpu.mode == RV_S && h->cpu.mstatus & RV_MSTATUS_TW)) {
        rv_illegal(h, i);
        return;
    }
    h->cpu.waiting = !rv_wakes(h);
    rv_attend(h);
}

void rv_do_sfence_vma(struct rv_hart *h, const struct rv_insn *i)
{
    if (h->cpu.mode == RV_U || (h->cpu.mode == RV_S && h->cpu.mstatus & RV_MSTATUS_TVM)) {
        rv_illegal(h, i);
        return;
    }
    rv_fence(h, &(struct rv_fence){ .va = rv_x1(h, i),
                                    .pages = i->rs1 != 0,
                                    .asid = i->rs2 ? rv_x2(h, i) & 0xffff : RV_FENCE_ALL });
}

void rv_do_fence_i(struct rv_hart *h, const struct rv_insn *i)
{
    (void)i;
    if (h->machine->fence_i)
        h->machine->fence_i(h->owner, h);
}
