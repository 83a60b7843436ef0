/* SPDX-License-Identifier: BSD-2-Clause */
/* rv_board.h: a riscv64 machine with RAM and harts of its own, for tests of what they begin with.
 */
#pragma once
#include <hv/rv_machine.h>
#include <stdlib.h>
#include <string.h>

static inline void rv_board_make(struct rv_machine *m, const struct rvm_host *host, unsigned harts,
                                 uint64_t ram, bool sbi)
{
    memset(m, 0, sizeof *m);
    m->ram_size = ram;
    m->ram = calloc(1, ram);
    m->harts = harts;
    m->sbi = sbi;
    m->host = host;
    for (unsigned n = 0; n < harts; n++)
        m->hart[n] = calloc(1, sizeof *m->hart[n]);
    rvm_init(m);
}

static inline void rv_board_drop(struct rv_machine *m)
{
    for (unsigned n = 0; n < m->harts; n++)
        free(m->hart[n]);
    free(m->ram);
}
