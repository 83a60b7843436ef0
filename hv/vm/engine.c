/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine.c: which engines can be used on this machine; finds out at boot and turns them on on every
 * CPU. Which guest ISAs there are.
 */
#include <arch/cpu.h>
#include <hv/assert.h>
#include <hv/event.h>
#include <hv/guest.h>
#include <hv/log.h>
#include <hv/percpu.h>
#include <hv/time.h>
#include <hv/vcpu.h>

#define ENABLE_TIMEOUT_NS 1000000000ull

#define ENGINES_MAX 8
static const struct vcpu_ops *usable[ENGINES_MAX]; /* in order of preference */
static unsigned nusable, native;                   /* native: of them the host's own */

static struct enabling {
    const struct vcpu_ops *ops;
    uint32_t left; /* CPUs that have not answered; atomic */
    int err;       /* of any that failed */
    struct event event[MAX_CPUS];
} enabling;

static void enable_here(struct event *ev)
{
    int err = enabling.ops->cpu_enable();

    (void)ev;
    if (err) {
        log_err("%s cannot be enabled on CPU %u: error %d", enabling.ops->name, this_cpu()->id,
                -err);
        __atomic_store_n(&enabling.err, err, __ATOMIC_RELAXED);
    }
    __atomic_sub_fetch(&enabling.left, 1, __ATOMIC_RELEASE);
}

static int enable_everywhere(const struct vcpu_ops *ops)
{
    uint64_t deadline = time_ns() + ENABLE_TIMEOUT_NS;

    enabling = (struct enabling){ .ops = ops, .left = cpu_count };
    for (uint32_t i = 1; i < cpu_count; i++) {
        event_init(&enabling.event[i], enable_here, i);
        event_post(&enabling.event[i]);
    }
    enable_here(NULL);
    while (__atomic_load_n(&enabling.left, __ATOMIC_ACQUIRE)) {
        if (time_ns() > deadline) {
            log_err("%u CPUs did not enable %s within a second", enabling.left, ops->name);
            return -EIO;
        }
        cpu_relax();
    }
    return enabling.err;
}

static void try_engines(const struct vcpu_ops *const *e)
{
    for (; *e; e++) {
        if ((*e)->probe() || ((*e)->cpu_enable && enable_everywhere(*e)))
            continue;
        hv_assert(nusable < ENGINES_MAX);
        usable[nusable++] = *e;
    }
}

int engines_init(void)
{
    assert_cpu0();
    nusable = 0;
    try_engines(arch_vcpu_backends);
    native = nusable;
    try_engines(portable_engines);
    return nusable ? 0 : -ENOTSUP;
}

bool engine_is_native(unsigned n) { return n < native; }

const struct vcpu_ops *engine_at(unsigned n) { return n < nusable ? usable[n] : NULL; }

const struct vcpu_ops *engine_for(enum isa guest, unsigned n)
{
    for (unsigned i = 0; guest < ISA_COUNT && i < nusable; i++)
        if ((usable[i]->guest_isas >> guest & 1) && !n--)
            return usable[i];
    return NULL;
}

enum isa engine_default_isa(void)
{
    if (!nusable)
        return ISA_COUNT;
    hv_assert(usable[0]->guest_isas);
    return (enum isa)__builtin_ctz(usable[0]->guest_isas);
}

const struct guest_ops *guest_ops_for(enum isa isa)
{
    for (const struct guest_ops *const *g = guest_isas; *g; g++)
        if ((*g)->isa == isa)
            return *g;
    return NULL;
}
