/* SPDX-License-Identifier: BSD-2-Clause */
/* thunks.h: the layout of thunks.S, for it and for spec.c. */
#pragma once
#define THUNK_STRIDE 64   /* a cache line each */
#define THUNK_COUNT 15    /* registers without RSP */
#define THUNK_RETPOLINE 4 /* bytes from an indirect thunk's entry to its retpoline */

#ifndef __ASSEMBLER__
#include <hv/types.h>

extern uint8_t thunks[(THUNK_COUNT + 1) * THUNK_STRIDE]; /* the last: of returns */

/*
 * Makes retpolines of them. They must be writable. Other CPUs may run through them: each is changed
 * by one aligned store.
 */
static inline void thunks_make_retpolines(void)
{
    const uint16_t jump = (THUNK_RETPOLINE - 2) << 8 | 0xeb; /* jmp short */

    for (unsigned i = 0; i < THUNK_COUNT; i++)
        *(volatile uint16_t *)(void *)&thunks[i * THUNK_STRIDE + THUNK_STRIDE / 2] = jump;
}
#endif
