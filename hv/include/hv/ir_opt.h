/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Passes over a unit of the intermediate representation. Each keeps what the unit means, leaves a
 * unit that verifies, and takes time in proportion to its length (ir_opt_cse(): times a constant).
 * Nothing is allocated. Any CPU.
 */
#pragma once
#include <hv/ir.h>

/* Working memory of the passes. */
struct ir_work {
    uint16_t map[IR_MAX_INS];  /* what each value is replaced by */
    uint64_t zero[IR_MAX_INS]; /* bits known to be 0 */
    uint8_t sext[IR_MAX_INS];  /* the value is its own lower half, sign-extended */
};

/* Guest state that is known already, and what is written without being looked at. */
void ir_opt_state(struct ir_unit *u, struct ir_work *w);
/* Constants, what changes nothing, and operations that known bits make superfluous. */
void ir_opt_fold(struct ir_unit *u, struct ir_work *w);
/* Values that were computed before in the block. */
void ir_opt_cse(struct ir_unit *u, struct ir_work *w);
/* Values that nobody reads; then closes the gaps. */
void ir_opt_dead(struct ir_unit *u, struct ir_work *w);
/* All of them, in that order. */
void ir_optimize(struct ir_unit *u, struct ir_work *w);

/* Between the passes: takes IR_NOPs out. */
void ir_opt_close(struct ir_unit *u, struct ir_work *w);
/* Operands as the map says. */
static inline void ir_opt_operands(struct ir_ins *i, const struct ir_work *w)
{
    i->a = w->map[i->a];
    i->b = w->map[i->b];
    i->c = w->map[i->c];
}
static inline void ir_opt_remove(struct ir_ins *i) { *i = (struct ir_ins){ .op = IR_NOP }; }
