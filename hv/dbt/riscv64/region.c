/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which instructions a unit is made of, and their order: translate.h.
 */
#include <string.h>
#include "hv/dbt/riscv64/region.h"

static bool region_branches(unsigned op) { return op >= RV_BEQ && op <= RV_BGEU; }

/*
 * CSR instructions that the mapping of code does not depend on: those that only read, and S-mode's
 * sstatus, sie, sscratch, sepc, scause and stval. An interrupt that one lets through, or another
 * state of floating point, is seen to where it is called.
 */
static bool region_csr_goes_on(const struct rv_insn *i)
{
    unsigned number = (unsigned)i->imm;

    if (i->op != RV_CSRRW && i->op != RV_CSRRWI && !i->rs1)
        return true;
    return number == 0x100 || number == 0x104 || (number >= 0x140 && number <= 0x143);
}

/* What is never followed by the instruction behind it in the same unit. */
static bool region_ends(const struct rv_insn *i)
{
    switch (i->op) {
    case RV_ILLEGAL:
    case RV_JAL:
    case RV_JALR:
    case RV_FENCE_I:
    case RV_ECALL:
    case RV_EBREAK:
    case RV_SRET:
    case RV_MRET:
    case RV_WFI:
    case RV_SFENCE_VMA: return true;
    default: return i->op >= RV_CSRRW && i->op <= RV_CSRRCI && !region_csr_goes_on(i);
    }
}

enum region_flow region_flow(const struct rv_insn *i)
{
    if (region_branches(i->op))
        return REGION_BRANCH;
    if (i->op == RV_JAL && !i->rd)
        return REGION_JUMP;
    return region_ends(i) ? REGION_ENDS : REGION_NEXT;
}

bool region_target(const struct rv_region *r, unsigned at, const struct rv_insn *i, unsigned *to)
{
    int64_t t = (int64_t)at + i->imm;

    *to = (unsigned)t;
    return t >= 0 && t < (int64_t)PAGE_SIZE && r->index[t / 2];
}

unsigned region_order(const struct rv_region *r, unsigned at)
{
    return (at - r->entry) & (PAGE_SIZE - 1);
}

static bool region_decode(struct rv_region *r, unsigned at, struct rv_insn *i)
{
    uint32_t bits = 0;
    unsigned n = at + 4 <= PAGE_SIZE ? 4 : 2;

    memcpy(&bits, r->in->page + at, n);
    if (!rv_is_compressed(bits) && n < 4)
        return false;
    *i = rv_decode(bits);
    return true;
}

static void region_later(struct rv_region *r, unsigned at, int32_t distance)
{
    int64_t to = (int64_t)at + distance;

    if (to >= 0 && to < (int64_t)PAGE_SIZE && !r->index[to / 2] && r->n_todo < RV_REGION)
        r->todo[r->n_todo++] = (uint16_t)to;
}

/* From `at` on, until control goes elsewhere. */
static void region_follow(struct rv_region *r, unsigned at)
{
    while (at < PAGE_SIZE && !r->index[at / 2] && r->n < r->in->most) {
        struct rv_insn *i = &r->insn[r->n];
        if (!region_decode(r, at, i))
            return;
        r->at[r->n++] = (uint16_t)at;
        r->index[at / 2] = (uint16_t)r->n;
        r->granules |= 1ull << (at / 64) | 1ull << ((at + i->length - 1u) / 64);
        enum region_flow flow = region_flow(i);
        if (flow == REGION_BRANCH || flow == REGION_JUMP)
            region_later(r, at, i->imm);
        if (flow == REGION_JUMP || flow == REGION_ENDS)
            return;
        at += i->length;
    }
}

/* Which instructions are jumped to: they get labels; backwards: they check the budget. */
static void region_leaders(struct rv_region *r)
{
    for (unsigned k = 0; k < r->n; k++) {
        unsigned at = r->at[k], to;
        enum region_flow flow = region_flow(&r->insn[k]);
        if ((flow == REGION_BRANCH || flow == REGION_JUMP) &&
            region_target(r, at, &r->insn[k], &to))
            r->leader[to / 2] |=
                region_order(r, to) <= region_order(r, at) ? RV_TARGET | RV_BACK : RV_TARGET;
        to = at + r->insn[k].length;
        if (flow != REGION_JUMP && flow != REGION_ENDS && to < PAGE_SIZE && r->index[to / 2] &&
            region_after(r, at) != to)
            r->leader[to / 2] |= RV_TARGET | RV_BACK;
    }
}

unsigned region_after(const struct rv_region *r, unsigned at)
{
    for (unsigned n = region_order(r, at) + 2; n < PAGE_SIZE; n += 2) {
        unsigned next = (r->entry + n) & (PAGE_SIZE - 1);
        if (r->index[next / 2])
            return next;
    }
    return PAGE_SIZE;
}

int region_find(struct rv_region *r)
{
    r->entry = (unsigned)(r->in->pc & (PAGE_SIZE - 1));
    r->base = r->in->pc - r->entry;
    r->n = r->n_todo = r->exits = 0;
    r->granules = 0;
    memset(r->index, 0, sizeof r->index);
    memset(r->leader, 0, sizeof r->leader);
    region_follow(r, r->entry);
    if (!r->n)
        return -ENOENT;
    while (r->n_todo)
        region_follow(r, r->todo[--r->n_todo]);
    r->leader[r->entry / 2] |= RV_BACK;
    region_leaders(r);
    return 0;
}
