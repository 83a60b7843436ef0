/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events against a model: which are posted, which are timed, and that each runs exactly when it
 * should.
 */
#include <hv/event.h>
#include <hv/percpu.h>
#include <stdlib.h>
#include <string.h>

#include "arch/host/host.h"

#define N 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    struct event ev;
    bool posted, timed;
    uint64_t when;
    uint8_t act;
} e[N];

static void fn(struct event *ev)
{
    for (unsigned i = 0; i < N; i++) {
        if (&e[i].ev != ev)
            continue;
        if (!e[i].posted && !(e[i].timed && e[i].when <= host_now))
            abort();
        /* A timer that is due when a posted run starts was taken with it. */
        if (e[i].timed && e[i].when <= host_now)
            e[i].timed = false;
        e[i].posted = false;
        unsigned other = e[i].act % N;
        if (e[i].act & 0x80) {
            event_cancel(&e[other].ev);
            e[other].posted = e[other].timed = false;
        }
    }
}

static void check(void)
{
    uint64_t next = UINT64_MAX;

    for (unsigned i = 0; i < N; i++) {
        if (e[i].posted || (e[i].timed && e[i].when <= host_now))
            abort();
        if (e[i].timed)
            next = min_u64(next, e[i].when);
    }
    if (event_next() != next)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;

    if (!ready)
        host_init(1, 0);
    ready = true;
    for (unsigned i = 0; i < N; i++) {
        memset(&e[i], 0, sizeof(e[i]));
        event_init(&e[i].ev, fn, 0);
    }
    for (; size >= 3; data += 3, size -= 3) {
        unsigned i = data[1] % N;

        switch (data[0] & 3) {
        case 0:
            e[i].act = data[2];
            e[i].posted = true;
            event_post(&e[i].ev);
            break;
        case 1:
            e[i].when = host_now + data[2];
            e[i].timed = true;
            event_at(&e[i].ev, e[i].when);
            break;
        case 2:
            event_cancel(&e[i].ev);
            e[i].posted = e[i].timed = false;
            break;
        default:
            host_now += data[2];
            event_run();
            check();
        }
    }
    for (unsigned i = 0; i < N; i++)
        event_cancel(&e[i].ev);
    if (event_run() || event_next() != UINT64_MAX)
        abort();
    return 0;
}
