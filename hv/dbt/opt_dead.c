/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Removes values that nobody reads, and the gaps that passes leave. And the order of the passes.
 */
#include <hv/ir_opt.h>

/* A read of guest state has no effect either. */
static bool dead_may_go(const struct ir_ins *i)
{
    return ir_info[i->op].flags & IR_F_PURE || i->op == IR_GET;
}

static void dead_find(struct ir_unit *u, struct ir_work *w)
{
    for (unsigned k = 0; k < u->n; k++)
        w->map[k] = 0;
    for (unsigned k = u->n; k-- > 0;) {
        struct ir_ins *i = &u->ins[k];
        if (!w->map[k] && dead_may_go(i))
            ir_opt_remove(i);
        w->map[i->a] = w->map[i->b] = w->map[i->c] = 1;
    }
}

void ir_opt_close(struct ir_unit *u, struct ir_work *w)
{
    unsigned n = 0;

    for (unsigned k = 0; k < u->n; k++) {
        struct ir_ins i = u->ins[k];
        w->map[k] = (uint16_t)n;
        if (i.op == IR_NOP)
            continue;
        ir_opt_operands(&i, w);
        u->ins[n++] = i;
    }
    u->n = (uint16_t)n;
}

void ir_opt_dead(struct ir_unit *u, struct ir_work *w)
{
    dead_find(u, w);
    ir_opt_close(u, w);
}

void ir_optimize(struct ir_unit *u, struct ir_work *w)
{
    ir_opt_state(u, w);
    ir_opt_fold(u, w);
    ir_opt_cse(u, w);
    ir_opt_dead(u, w);
}
