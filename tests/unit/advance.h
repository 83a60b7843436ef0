/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's time in tests of devices: it moves by advance() only. */
#pragma once
#include <hv/event.h>

#include "arch/host/host.h"

/* Runs the events due until `ns` from now, each at its time. */
static inline void advance(uint64_t ns)
{
    uint64_t end = host_now + ns;

    (void)event_run();
    while (event_next() <= end) {
        host_now = max_u64(host_now, event_next());
        (void)event_run();
    }
    host_now = end;
}
