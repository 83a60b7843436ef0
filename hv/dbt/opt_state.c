/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest state within a block: a read of what was read or written before is that value, a write that
 * is overwritten before anybody looks is none.
 */
#include <hv/ir_opt.h>
#include <string.h>

#define SLOTS 80
#define NEAR 16 /* a value that is kept longer costs a register, and the state may have one */

struct st_slot {
    uint16_t offset, value, set; /* set: the last IR_SET that nobody has looked at; 0: none */
    uint8_t type;
};
struct st {
    struct st_slot slot[SLOTS];
    unsigned n;
};

static unsigned st_width(unsigned type) { return type == IR_I64 || type == IR_F64 ? 8 : 4; }

/* Forgets what overlaps, but for the very same bytes if `same`. */
static struct st_slot *st_find(struct st *s, int64_t offset, unsigned type)
{
    struct st_slot *found = NULL;

    for (unsigned k = 0; k < s->n; k++) {
        struct st_slot *t = &s->slot[k];
        if (t->offset == offset && st_width(t->type) == st_width(type))
            found = t;
        else if (t->offset < offset + st_width(type) && offset < t->offset + st_width(t->type))
            t->type = IR_VOID, t->set = 0;
    }
    if (!found && s->n < SLOTS) {
        found = &s->slot[s->n++];
        *found = (struct st_slot){ .offset = (uint16_t)offset, .type = IR_VOID };
    }
    return found;
}

/* The value is where the register allocator would look for it: not a copy of other state. */
static bool st_own(const struct ir_unit *u, uint16_t v, int64_t offset)
{
    return u->ins[v].op != IR_GET || u->ins[v].imm == offset;
}

static void st_get(struct ir_unit *u, struct ir_work *w, struct st *s, unsigned at)
{
    struct ir_ins *i = &u->ins[at];
    struct st_slot *t = st_find(s, i->imm, i->type);

    if (!t)
        return;
    if (t->type == i->type && t->value && at - t->value < NEAR && st_own(u, t->value, i->imm)) {
        w->map[at] = t->value;
        ir_opt_remove(i);
        return;
    }
    if (t->type != i->type)
        t->set = 0; /* read as another type: the write stays */
    t->type = i->type;
    t->value = (uint16_t)at;
    t->set = 0;
}

static void st_set(struct ir_unit *u, struct st *s, unsigned at)
{
    struct ir_ins *i = &u->ins[at];
    unsigned type = ir_type_of(u, i->a);
    struct st_slot *t = st_find(s, i->imm, type);

    if (!t)
        return;
    if (t->type == type && t->value == i->a) {
        ir_opt_remove(i);
        return;
    }
    if (t->set)
        ir_opt_remove(&u->ins[t->set]);
    *t = (struct st_slot){ (uint16_t)i->imm, i->a, (uint16_t)at, (uint8_t)type };
}

static void st_seen(struct st *s)
{
    for (unsigned k = 0; k < s->n; k++)
        s->slot[k].set = 0;
}

void ir_opt_state(struct ir_unit *u, struct ir_work *w)
{
    struct st s = { .n = 0 };

    for (unsigned k = 0; k < u->n; k++) {
        struct ir_ins *i = &u->ins[k];
        w->map[k] = (uint16_t)k;
        ir_opt_operands(i, w);
        if (i->op == IR_LABEL || i->op == IR_CALL)
            s.n = 0;
        else if (ir_info[i->op].flags & IR_F_LEAVES)
            st_seen(&s);
        else if (i->op == IR_GET)
            st_get(u, w, &s, k);
        else if (i->op == IR_SET)
            st_set(u, &s, k);
    }
}
