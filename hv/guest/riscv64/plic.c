/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The platform-level interrupt controller, RISC-V PLIC Specification 1.0.0: 63 level-triggered
 * sources, a context for M-mode and one for S-mode of each hart.
 */
#include "machine_parts.h"

enum {
    PRIORITY = 0,
    PENDING = 0x1000,
    ENABLE = 0x2000,
    ENABLE_STEP = 0x80,
    CONTEXT = 0x200000,
    CONTEXT_STEP = 0x1000
};
enum { THRESHOLD = 0, CLAIM = 4 };
#define PRIORITY_MAX 7u

/* The source that context c would claim, 0: none. Of equal priority the lowest number wins. */
static unsigned plic_best(const struct rvm_plic_state *p, unsigned c)
{
    uint64_t candidates = p->pending & ~p->active & p->enable[c];
    unsigned found = 0, most = 0;

    for (unsigned i = 1; candidates >> i; i++) {
        if (candidates >> i & 1 && p->priority[i] > most) {
            found = i;
            most = p->priority[i];
        }
        if (i == RVM_SOURCES - 1)
            break;
    }
    return found;
}

/* Has context c an interrupt? */
static bool plic_up(const struct rvm_plic_state *p, unsigned c)
{
    unsigned source = plic_best(p, c);

    return source && p->priority[source] > p->threshold[c];
}

static uint64_t plic_line(unsigned c) { return 1ull << (c & 1 ? RV_IRQ_SEI : RV_IRQ_MEI); }

static void plic_update(struct rv_machine *m)
{
    for (unsigned c = 0; c < 2 * m->harts; c++) {
        if (plic_up(&m->plic, c))
            rvm_raise(m, c / 2, plic_line(c));
        else
            rv_clear_mip(m->hart[c / 2], plic_line(c));
    }
}

void plic_restored(struct rv_machine *m)
{
    for (unsigned c = 0; c < 2 * m->harts; c++) {
        if (plic_up(&m->plic, c))
            (void)rv_set_mip(m->hart[c / 2], plic_line(c));
        else
            rv_clear_mip(m->hart[c / 2], plic_line(c));
    }
}

static bool contexts_valid(const struct rvm_plic_state *p, unsigned harts)
{
    for (unsigned c = 0; c < 2 * RVM_HARTS; c++)
        if (p->enable[c] & 1 || p->threshold[c] > PRIORITY_MAX ||
            (c >= 2 * harts && (p->enable[c] || p->threshold[c])))
            return false;
    return true;
}

/* Source 0 is none, and what is claimed does not pend. */
bool plic_valid(const struct rvm_plic_state *p, unsigned harts)
{
    for (unsigned i = 0; i < RVM_SOURCES; i++)
        if (p->priority[i] > (i ? PRIORITY_MAX : 0))
            return false;
    return p->version == 1 && !p->pad && !((p->line | p->pending | p->active) & 1) &&
           !(p->pending & p->active) && contexts_valid(p, harts);
}

/* "Interrupt Gateways": none is passed on between claim and completion. */
void rvm_irq(struct rv_machine *m, unsigned source, bool up)
{
    uint64_t bit = 1ull << source;

    m->plic.line = up ? m->plic.line | bit : m->plic.line & ~bit;
    if (up)
        m->plic.pending |= bit & ~m->plic.active;
    plic_update(m);
}

static uint32_t plic_claim(struct rv_machine *m, unsigned c)
{
    unsigned source = plic_best(&m->plic, c);

    if (source) {
        m->plic.pending &= ~(1ull << source);
        m->plic.active |= 1ull << source;
        plic_update(m);
    }
    return source;
}

/* The gateway asks again while the line is up. */
static void complete(struct rv_machine *m, unsigned c, uint32_t source)
{
    uint64_t bit;

    if (source == 0 || source >= RVM_SOURCES || !(m->plic.enable[c] >> source & 1))
        return;
    bit = 1ull << source;
    m->plic.active &= ~bit;
    m->plic.pending |= m->plic.line & bit;
    plic_update(m);
}

static uint32_t half(uint64_t bits, uint64_t off) { return (uint32_t)(off ? bits >> 32 : bits); }

static void set_half(uint64_t *bits, uint64_t off, uint32_t value)
{
    uint64_t high = off ? 32 : 0;

    *bits = (*bits & ~(0xffffffffull << high)) | (uint64_t)value << high;
}

static uint32_t read_context(struct rv_machine *m, uint64_t off)
{
    uint64_t c = off / CONTEXT_STEP, reg = off % CONTEXT_STEP;

    if (c >= 2 * m->harts)
        return 0;
    if (reg == THRESHOLD)
        return m->plic.threshold[index_nospec(c, 2 * RVM_HARTS)];
    return reg == CLAIM ? plic_claim(m, (unsigned)index_nospec(c, 2 * RVM_HARTS)) : 0;
}

uint32_t plic_read(struct rv_machine *m, uint64_t off)
{
    const struct rvm_plic_state *p = &m->plic;
    uint64_t c = (off - ENABLE) / ENABLE_STEP;

    if (off < PRIORITY + 4 * RVM_SOURCES)
        return p->priority[index_nospec(off / 4, RVM_SOURCES)];
    if (off == PENDING || off == PENDING + 4)
        return half(p->pending, off - PENDING);
    if (off >= CONTEXT)
        return read_context(m, off - CONTEXT);
    if (off >= ENABLE && c < 2 * m->harts && off % ENABLE_STEP < 8)
        return half(p->enable[index_nospec(c, 2 * RVM_HARTS)], off % ENABLE_STEP);
    return 0;
}

static void write_context(struct rv_machine *m, uint64_t off, uint32_t value)
{
    uint64_t c = off / CONTEXT_STEP, reg = off % CONTEXT_STEP;

    if (c >= 2 * m->harts)
        return;
    if (reg == THRESHOLD)
        m->plic.threshold[index_nospec(c, 2 * RVM_HARTS)] = value & PRIORITY_MAX;
    else if (reg == CLAIM)
        complete(m, (unsigned)index_nospec(c, 2 * RVM_HARTS), value);
}

void plic_write(struct rv_machine *m, uint64_t off, uint32_t value)
{
    struct rvm_plic_state *p = &m->plic;
    uint64_t c = (off - ENABLE) / ENABLE_STEP;

    if (off >= 4 && off < PRIORITY + 4 * RVM_SOURCES)
        p->priority[index_nospec(off / 4, RVM_SOURCES)] = value & PRIORITY_MAX;
    else if (off >= CONTEXT)
        write_context(m, off - CONTEXT, value);
    else if (off >= ENABLE && c < 2 * m->harts && off % ENABLE_STEP < 8)
        set_half(&p->enable[index_nospec(c, 2 * RVM_HARTS)], off % ENABLE_STEP,
                 off % ENABLE_STEP ? value : value & ~1u);
    plic_update(m);
}
