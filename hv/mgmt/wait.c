/* SPDX-License-Identifier: BSD-2-Clause */
/* wait.c: commands that wait for a guest. */
#include "mgmt.h"
#include <hv/assert.h>
#include <hv/time.h>

#define PROGRESS_EVERY (2 * SECOND)

struct wait waiting;

void wait_for(struct vm *vm, uint64_t timeout, wait_fn *poll)
{
    assert_cpu0();
    hv_assert(poll);
    waiting = (struct wait){ .vm = vm, .began = time_ns() };
    waiting.deadline = waiting.began + min_u64(timeout, UINT64_MAX - waiting.began);
    waiting.next_progress = waiting.began + PROGRESS_EVERY;
    shell_wait(poll, NULL);
}

bool wait_progress_due(void)
{
    if (time_ns() < waiting.next_progress)
        return false;
    waiting.next_progress += PROGRESS_EVERY;
    return true;
}

unsigned long long wait_seconds(void) { return (time_ns() - waiting.began) / SECOND; }
