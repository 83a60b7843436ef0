/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's devices as they are saved, and back. What is given back may come from anywhere: it
 * is one that this machine can have, or it is refused.
 */
#include "machine_parts.h"

void rvm_save(const struct rv_machine *m, struct rvm_state *to)
{
    *to = (struct rvm_state){ .version = RVM_STATE_VERSION,
                              .harts = m->harts,
                              .sbi = m->sbi,
                              .end = m->end,
                              .exit_code = m->exit_code,
                              .plic = m->plic,
                              .aclint = m->aclint,
                              .uart = m->uart.s };
    for (unsigned n = 0; n < m->harts; n++)
        to->hart_state[n] = m->hart_state[n];
}

/* A hart that is not there has neither a state nor a timer. */
static bool save_harts_valid(const struct rvm_state *s)
{
    for (unsigned n = 0; n < RVM_HARTS; n++)
        if (s->hart_state[n] > RVM_STOPPED ||
            (n >= s->harts && (s->hart_state[n] || s->aclint.mtimecmp[n])))
            return false;
    return true;
}

bool rvm_valid(const struct rv_machine *m, const struct rvm_state *s)
{
    return s->version == RVM_STATE_VERSION && s->harts == m->harts && s->sbi == m->sbi &&
           s->end <= RVM_RESET && !s->zero && !s->zero1 && save_harts_valid(s) &&
           plic_valid(&s->plic, m->harts) && s->aclint.version == 1 && !s->aclint.pad &&
           uart16550_valid(&s->uart);
}

void rvm_restore(struct rv_machine *m, const struct rvm_state *s)
{
    m->end = s->end;
    m->exit_code = s->exit_code;
    for (unsigned n = 0; n < m->harts; n++)
        m->hart_state[n] = s->hart_state[n];
    m->plic = s->plic;
    m->aclint = s->aclint;
    m->uart.s = s->uart;
    plic_restored(m);
}
