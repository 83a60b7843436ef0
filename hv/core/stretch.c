/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stretch.c: see <hv/stretch.h>. A line in the log at level debug, at most each TELL_NS on each
 * CPU, names the last one.
 */
#include <hv/log.h>
#include <hv/panic.h>
#include <hv/percpu.h>
#include <hv/stretch.h>
#include <hv/time.h>

#define TELL_NS 10000000000ull

/* True: it is to be told. */
static bool stretch_note(uint64_t ns)
{
    struct stretches *s = &this_cpu()->stretches;
    uint64_t now, told;

    if (ns > __atomic_load_n(&s->longest_ns, __ATOMIC_RELAXED))
        __atomic_store_n(&s->longest_ns, ns, __ATOMIC_RELAXED);
    if (ns < STRETCH_LONG_NS)
        return false;
    __atomic_store_n(&s->count, s->count + 1, __ATOMIC_RELAXED);
    now = time_ns();
    told = __atomic_load_n(&s->told_ns, __ATOMIC_RELAXED);
    if (told && now - told < TELL_NS)
        return false;
    __atomic_store_n(&s->told_ns, now, __ATOMIC_RELAXED);
    return true;
}

void stretch_event(void (*fn)(struct event *), uint64_t ns)
{
    const char *name;
    uint64_t off;

    if (!stretch_note(ns))
        return;
    if (!symbol_lookup((uint64_t)(uintptr_t)fn, &name, &off))
        name = "?";
    log_debug("CPU %u: event %s took %llu us without a break", this_cpu()->id, name,
              (unsigned long long)(ns / 1000));
}

void stretch_exit(const char *guest, const char *reason, uint64_t ns)
{
    if (stretch_note(ns))
        log_debug("CPU %u: %s: an exit (%s) took %llu us without a break", this_cpu()->id, guest,
                  reason, (unsigned long long)(ns / 1000));
}

void stretches_clear(void)
{
    for (unsigned i = 0; i < cpu_count; i++) {
        struct stretches *s = &percpus[i].stretches;

        __atomic_store_n(&s->longest_ns, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&s->told_ns, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&s->count, 0, __ATOMIC_RELAXED);
    }
}
