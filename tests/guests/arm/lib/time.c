/* SPDX-License-Identifier: BSD-2-Clause */
/* The virtual counter: CNTFRQ_EL0 says how fast it is. */
#include "guest.h"

uint64_t ticks_hz = 62500000;

void time_init(void)
{
    uint64_t hz = read_reg(cntfrq_el0);
    ticks_hz = hz ? hz : ticks_hz;
}
