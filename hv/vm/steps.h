/* SPDX-License-Identifier: BSD-2-Clause */
/* How far the scheduler walks: counted by the unit test that includes its sources, else nothing. */
#pragma once
#include <hv/types.h>

#ifndef COUNT_STEPS
#define COUNT_STEPS 0
#endif
extern uint64_t sched_steps;

static inline void note_step(void)
{
    if (COUNT_STEPS)
        sched_steps++;
}
