/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Register allocation. First the most used guest state gets registers for the whole unit, loops
 * counting more. A value that is such state, or becomes it at once, lives in that register too; the
 * rest is a linear scan within each block (M. Poletto, V. Sarkar: Linear Scan Register Allocation,
 * 1999), which spills the value that is needed last.
 */
#include <hv/jit.h>
#include <string.h>

#define UNPLACED 254
#define NEAR 6 /* instructions between a value and its IR_SET that are looked at */

static bool ra_is_float(unsigned type) { return type == IR_F32 || type == IR_F64; }

static void ra_uses(struct jit_alloc *a, const struct ir_unit *u)
{
    memset(a->last_use, 0, u->n * sizeof a->last_use[0]);
    for (unsigned k = 0; k < u->n; k++) {
        const struct ir_ins *i = &u->ins[k];
        a->last_use[i->a] = a->last_use[i->b] = a->last_use[i->c] = (uint16_t)k;
    }
}

/* How deep in loops each instruction is: what lies between a label and a later jump to it. */
static void ra_loops(struct jit_alloc *a, const struct ir_unit *u)
{
    memset(a->depth, 0, u->n);
    for (unsigned k = 0; k < u->n; k++)
        if (u->ins[k].op == IR_LABEL)
            a->at[u->ins[k].label] = (uint16_t)k;
    for (unsigned k = 0; k < u->n; k++) {
        const struct ir_ins *i = &u->ins[k];
        if (i->op != IR_JUMP && i->op != IR_BRANCH)
            continue;
        for (unsigned j = a->at[i->label]; j <= k; j++)
            a->depth[j] = (uint8_t)min_u64(a->depth[j] + 1u, 4);
    }
}

struct ra_slot {
    uint32_t weight;
    uint16_t offset;
    uint8_t type;
};
#define RA_SLOTS 96

/* Notes a use of guest state; what is used by different widths or kinds gets no pin. */
static void ra_note(struct ra_slot *s, unsigned *n, int64_t offset, unsigned type, unsigned weight)
{
    unsigned k = 0;
    bool good = (type == IR_I64 || type == IR_F64) && !(offset & 7);

    while (k < *n && s[k].offset != (offset & ~7))
        k++;
    if (k == RA_SLOTS)
        return;
    if (k == *n)
        s[(*n)++] = (struct ra_slot){ 0, (uint16_t)(offset & ~7), (uint8_t)type };
    s[k].weight += weight;
    if (!good || s[k].type != type)
        s[k].type = IR_VOID;
}

static unsigned ra_heaviest(struct ra_slot *s, unsigned n, unsigned type)
{
    unsigned best = n;

    for (unsigned k = 0; k < n; k++)
        if (s[k].type == type && s[k].weight > 1 && (best == n || s[k].weight > s[best].weight))
            best = k;
    return best;
}

static void ra_pin_kind(struct jit_alloc *a, struct ra_slot *s, unsigned n, unsigned type,
                        const uint8_t *regs, unsigned most)
{
    for (unsigned k = 0; k < most && a->pins < JIT_PINS; k++) {
        unsigned best = ra_heaviest(s, n, type);
        if (best == n)
            return;
        a->pin_of[s[best].offset / 8] = a->pins;
        a->pin[a->pins++] = (struct jit_pin){ s[best].offset, regs[k] };
        s[best].type = IR_VOID;
    }
}

static void ra_pins(struct jit_alloc *a, const struct ir_unit *u, const struct jit_regs *regs)
{
    struct ra_slot slot[RA_SLOTS];
    unsigned n = 0;

    memset(a->pin_of, JIT_PINS, sizeof a->pin_of);
    a->pins = 0;
    for (unsigned k = 0; k < u->n; k++) {
        const struct ir_ins *i = &u->ins[k];
        unsigned weight = 1u << (3 * a->depth[k]);
        if (i->op == IR_GET || i->op == IR_SET)
            ra_note(slot, &n, i->imm, i->op == IR_GET ? i->type : ir_type_of(u, i->a), weight);
    }
    ra_pin_kind(a, slot, n, IR_I64, regs->ints, regs->int_pins);
    ra_pin_kind(a, slot, n, IR_F64, regs->floats, regs->float_pins);
}

/* The pin that an IR_GET or IR_SET is about; JIT_PINS: none. */
static unsigned ra_pin(const struct jit_alloc *a, const struct ir_ins *i)
{
    return i->op == IR_GET || i->op == IR_SET ? jit_pin_of(a, i->imm) : JIT_PINS;
}

/*
 * May the value that instruction `at` sets be computed in the pin's own register? Only if nobody
 * looks at the old contents between.
 */
static bool ra_early(const struct jit_alloc *a, const struct ir_unit *u, unsigned at)
{
    unsigned def = u->ins[at].a, pin = ra_pin(a, &u->ins[at]);
    unsigned op = u->ins[def].op;

    if (op == IR_CONST || op == IR_GET || at - def > NEAR || a->place[def] != UNPLACED)
        return false;
    for (unsigned k = def + 1; k < at; k++)
        if (ir_info[u->ins[k].op].flags & IR_F_LEAVES || ra_pin(a, &u->ins[k]) == pin)
            return false;
    return true;
}

struct ra_block {
    uint16_t next[JIT_PINS]; /* the instruction that next overwrites each pin's register */
};

static void ra_alias_set(struct jit_alloc *a, const struct ir_unit *u, struct ra_block *b,
                         unsigned at, unsigned pin)
{
    unsigned v = u->ins[at].a;

    if (ra_early(a, u, at) && a->last_use[v] <= b->next[pin]) {
        a->place[v] = a->pin[pin].reg;
        b->next[pin] = (uint16_t)v;
    } else {
        b->next[pin] = (uint16_t)at;
    }
}

/* A narrowed copy of a pin needs no register of its own. */
static void ra_alias_trunc(struct jit_alloc *a, const struct ir_unit *u, const struct ra_block *b,
                           unsigned at)
{
    unsigned from = u->ins[at].a, pin = ra_pin(a, &u->ins[from]);

    if (u->ins[from].op != IR_GET || pin == JIT_PINS || a->place[at] != UNPLACED ||
        a->last_use[at] > b->next[pin])
        return;
    for (unsigned k = from + 1; k < at; k++)
        if (u->ins[k].op == IR_SET && ra_pin(a, &u->ins[k]) == pin)
            return;
    a->place[at] = a->pin[pin].reg;
}

/* Unless it was placed because it is set at once. */
static void ra_unplace_trunc(struct jit_alloc *a, const struct ir_unit *u, unsigned at)
{
    unsigned pin = ra_pin(a, &u->ins[u->ins[at].a]);

    if (pin < JIT_PINS && a->place[at] == a->pin[pin].reg)
        a->place[at] = UNPLACED;
}

static void ra_overwritten(struct ra_block *b, unsigned at)
{
    for (unsigned k = 0; k < JIT_PINS; k++)
        b->next[k] = (uint16_t)at;
}

/* Values of [from, to) that live in a pin's register: backwards, so that what comes is known. */
static void ra_alias(struct jit_alloc *a, const struct ir_unit *u, unsigned from, unsigned to)
{
    struct ra_block b;

    ra_overwritten(&b, to);
    for (unsigned k = to; k-- > from;) {
        const struct ir_ins *i = &u->ins[k];
        unsigned pin = ra_pin(a, i);
        if (i->op == IR_TRUNC)
            ra_alias_trunc(a, u, &b, k);
        if (i->op == IR_CALL) /* a helper may change guest state */
            ra_overwritten(&b, k);
        if (pin == JIT_PINS)
            continue;
        if (i->op == IR_SET)
            ra_alias_set(a, u, &b, k, pin);
        else if (a->last_use[k] <= b.next[pin])
            a->place[k] = a->pin[pin].reg;
    }
    /* no narrowed copy in a pin that its source is not in */
    for (unsigned k = from; k < to; k++)
        if (u->ins[k].op == IR_TRUNC && u->ins[u->ins[k].a].op == IR_GET &&
            a->place[k] != a->place[u->ins[k].a])
            ra_unplace_trunc(a, u, k);
}

struct ra_scan {
    uint32_t free;       /* registers, a bit each: 0 to 31 */
    uint16_t holder[32]; /* value in each; 0: none */
    uint64_t spill_free; /* slots */
    uint16_t slot_until[JIT_SPILLS];
    unsigned block; /* its first instruction */
};

static void ra_expire(struct jit_alloc *a, struct ra_scan *s, unsigned at)
{
    for (unsigned r = 0; r < 32; r++)
        if (s->holder[r] && a->last_use[s->holder[r]] <= at) {
            s->holder[r] = 0;
            s->free |= 1u << r;
        }
}

/* A slot whose earlier value is dead since before `def`; JIT_SPILLS: none. */
static unsigned ra_slot(struct jit_alloc *a, struct ra_scan *s, unsigned def, unsigned until)
{
    for (unsigned k = 0; k < JIT_SPILLS; k++)
        if (s->slot_until[k] <= def || s->slot_until[k] <= s->block) {
            s->slot_until[k] = (uint16_t)until;
            if (k >= a->spills)
                a->spills = (uint8_t)(k + 1);
            return k;
        }
    return JIT_SPILLS;
}

/* No register: of the class's values and the new one, that which lives longest goes to a slot. */
static bool ra_spill(struct jit_alloc *a, struct ra_scan *s, unsigned v, uint32_t class)
{
    unsigned victim = v, reg = 32, slot;

    for (unsigned r = 0; r < 32; r++)
        if (class >> r & 1 && s->holder[r] && a->last_use[s->holder[r]] > a->last_use[victim])
            victim = s->holder[r], reg = r;
    slot = ra_slot(a, s, victim, a->last_use[victim]);
    if (slot == JIT_SPILLS)
        return false;
    a->place[victim] = (uint8_t)(JIT_SPILL + slot);
    if (victim != v) {
        s->holder[reg] = (uint16_t)v;
        a->place[v] = (uint8_t)reg;
    }
    return true;
}

static uint32_t ra_class(const struct jit_alloc *a, const struct jit_regs *regs, bool floats)
{
    const uint8_t *r = floats ? regs->floats : regs->ints;
    unsigned n = floats ? regs->n_floats : regs->n_ints;
    uint32_t set = 0;

    for (unsigned k = 0; k < n; k++)
        set |= 1u << r[k];
    for (unsigned k = 0; k < a->pins; k++)
        set &= ~(1u << a->pin[k].reg);
    return set;
}

/* The register of the first operand, if the value dies here, saves a move. */
static unsigned ra_choose(const struct jit_alloc *a, const struct ir_ins *i, uint32_t free)
{
    unsigned hint = a->place[i->a];

    if (i->a && hint < 32 && free >> hint & 1)
        return hint;
    return (unsigned)__builtin_ctz(free);
}

static bool ra_place(struct jit_alloc *a, const struct ir_unit *u, const struct jit_regs *regs,
                     struct ra_scan *s, unsigned v)
{
    uint32_t class = ra_class(a, regs, ra_is_float(u->ins[v].type)), free = class & s->free;

    if (!free)
        return ra_spill(a, s, v, class);
    unsigned r = ra_choose(a, &u->ins[v], free);
    a->place[v] = (uint8_t)r;
    s->holder[r] = (uint16_t)v;
    s->free &= ~(1u << r);
    return true;
}

static bool ra_scan(struct jit_alloc *a, const struct ir_unit *u, const struct jit_regs *regs)
{
    struct ra_scan s = { .free = UINT32_MAX };

    for (unsigned k = 0; k < u->n; k++) {
        const struct ir_ins *i = &u->ins[k];
        if (i->op == IR_LABEL)
            s = (struct ra_scan){ .free = UINT32_MAX, .block = k };
        ra_expire(a, &s, k);
        if (i->type == IR_VOID || i->op == IR_CONST || !a->last_use[k])
            a->place[k] = JIT_NOWHERE;
        else if (a->place[k] == UNPLACED && !ra_place(a, u, regs, &s, k))
            return false;
    }
    return true;
}

/* Where control goes from instruction k: at most one label. */
static bool ra_goes(const struct ir_ins *i) { return i->op == IR_JUMP || i->op == IR_BRANCH; }

/* Which pins may be newer than memory at each instruction: forwards, until nothing changes. */
static void ra_dirty(struct jit_alloc *a, const struct ir_unit *u)
{
    bool again = true;

    memset(a->dirty_in, 0, sizeof a->dirty_in);
    while (again) {
        uint32_t now = 0;
        again = false;
        for (unsigned k = 0; k < u->n; k++) {
            const struct ir_ins *i = &u->ins[k];
            unsigned pin = ra_pin(a, i);
            if (i->op == IR_LABEL)
                now = a->dirty_in[i->label] |= now;
            a->dirty[k] = now;
            if (i->op == IR_SET && pin < JIT_PINS)
                now |= 1u << pin;
            if (ra_goes(i) && now & ~a->dirty_in[i->label]) {
                a->dirty_in[i->label] |= now;
                again = true;
            }
            if (ir_info[i->op].flags & IR_F_ENDS)
                now = 0;
        }
    }
}

/* Which pins are read before they are written, writing back included: backwards. */
static void ra_live(struct jit_alloc *a, const struct ir_unit *u)
{
    bool again = true;

    memset(a->live_in, 0, sizeof a->live_in);
    while (again) {
        uint32_t now = 0;
        again = false;
        for (unsigned k = u->n; k-- > 0;) {
            const struct ir_ins *i = &u->ins[k];
            unsigned pin = ra_pin(a, i);
            if (ir_info[i->op].flags & IR_F_ENDS)
                now = 0;
            if (ra_goes(i))
                now |= a->live_in[i->label];
            if (ir_info[i->op].flags & IR_F_LEAVES && !ra_goes(i))
                now |= a->dirty[k];
            if (pin < JIT_PINS)
                now = i->op == IR_SET ? now & ~(1u << pin) : now | 1u << pin;
            if (i->op == IR_LABEL && now & ~a->live_in[i->label]) {
                a->live_in[i->label] |= now;
                again = true;
            }
        }
    }
    a->loaded = a->live_in[u->ins[0].label];
}

int jit_allocate(struct jit_alloc *a, const struct ir_unit *u, const struct jit_regs *regs)
{
    unsigned start = 0;

    ra_uses(a, u);
    ra_loops(a, u);
    ra_pins(a, u, regs);
    a->spills = 0;
    memset(a->place, UNPLACED, u->n);
    for (unsigned k = 1; k <= u->n; k++)
        if (k == u->n || u->ins[k].op == IR_LABEL) {
            ra_alias(a, u, start, k);
            start = k;
        }
    ra_dirty(a, u);
    ra_live(a, u);
    return ra_scan(a, u, regs) ? 0 : -ENOSPC;
}
