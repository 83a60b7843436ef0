/* SPDX-License-Identifier: BSD-2-Clause */
/* wait.c: since when and until when a command waits for a guest. */
#include "mgmt.h"
#include <hv/time.h>

#define PROGRESS_EVERY (2 * SECOND)

void wait_begin(struct wait *w, struct vm *vm, uint64_t timeout)
{
    w->vm = vm;
    w->began = time_ns();
    w->deadline = w->began + min_u64(timeout, UINT64_MAX - w->began);
    w->next_progress = w->began + PROGRESS_EVERY;
}

bool wait_progress_due(struct wait *w)
{
    if (time_ns() < w->next_progress)
        return false;
    w->next_progress += PROGRESS_EVERY;
    return true;
}

unsigned long long wait_seconds(const struct wait *w) { return (time_ns() - w->began) / SECOND; }
