/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Common subexpressions of a block, found by a small hash table of the latest.
 */
#include <hv/ir_opt.h>
#include <string.h>

#define HEADS 256
#define NEAR 48 /* a value that is kept longer costs more than it saves */

static unsigned cse_hash(const struct ir_ins *i)
{
    uint64_t h = i->op * 31u + i->type * 7u + i->cond * 131u;

    h = (h + i->a * 0x9e3779b1u + i->b * 0x85ebca6bu + i->c * 0xc2b2ae35u + (uint64_t)i->imm) *
        0x9e3779b97f4a7c15ull;
    return (unsigned)(h >> 56) % HEADS;
}

static bool cse_same(const struct ir_ins *x, const struct ir_ins *y)
{
    return x->op == y->op && x->type == y->type && x->cond == y->cond && x->size == y->size &&
           x->a == y->a && x->b == y->b && x->c == y->c && x->imm == y->imm;
}

void ir_opt_cse(struct ir_unit *u, struct ir_work *w)
{
    uint16_t head[HEADS] = { 0 };

    for (unsigned k = 0; k < u->n; k++) {
        struct ir_ins *i = &u->ins[k];
        w->map[k] = (uint16_t)k;
        ir_opt_operands(i, w);
        if (i->op == IR_LABEL)
            memset(head, 0, sizeof head);
        if (!(ir_info[i->op].flags & IR_F_PURE))
            continue;
        uint16_t *h = &head[cse_hash(i)];
        if (*h && k - *h < NEAR && cse_same(&u->ins[*h], i)) {
            w->map[k] = *h;
            ir_opt_remove(i);
        } else {
            *h = (uint16_t)k;
        }
    }
}
