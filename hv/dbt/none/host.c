/* SPDX-License-Identifier: BSD-2-Clause */
/* A host for which nothing can be compiled: its guests are interpreted. */
#include <hv/jit.h>

const struct jit_regs jit_host_regs;

bool jit_host_ready(void) { return false; }
bool jit_host_has_fma(void) { return false; }

uint32_t jit_emit_stubs(struct jit_memory m, const struct jit_layout *l, jit_call_fn fn, void *arg,
                        struct jit_stubs *stubs)
{
    (void)m, (void)l, (void)fn, (void)arg, (void)stubs;
    return 0;
}

int jit_emit(const struct jit_emit *e, struct jit_code *code)
{
    (void)e, (void)code;
    return -ENOTSUP;
}

void jit_chain(struct jit_memory m, uint8_t *record, const uint8_t *target)
{
    (void)m, (void)record, (void)target;
}
