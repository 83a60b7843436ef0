/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Just enough of Linux for the programs that tests/dbt runs here and under qemu-riscv64: they write
 * their results and end.
 */
#include "hosted.h"

enum { SYS_WRITE = 64, SYS_EXIT = 93, SYS_EXIT_GROUP = 94 };

bool hosted_user_ecall(void *owner, struct rv_hart *h)
{
    struct rv_machine *m = owner;
    uint64_t *x = h->cpu.x, off = x[11] - RVM_RAM;

    if (x[17] == SYS_WRITE && off < m->ram_size && x[12] <= m->ram_size - off) {
        m->host->put(m->ctx, (const char *)m->ram + off, x[12]);
        x[10] = x[12];
        return true;
    }
    m->end = x[17] == SYS_EXIT || x[17] == SYS_EXIT_GROUP ? RVM_POWEROFF : RVM_FAILED;
    m->exit_code = (uint32_t)x[10];
    h->stop = h->attention = 1;
    return true;
}
