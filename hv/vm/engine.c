/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine.c: which engine runs the guests of each ISA; finds out at boot and turns it on on every
 * CPU.
 */
#include <arch/cpu.h>
#include <hv/assert.h>
#include <hv/event.h>
#include <hv/log.h>
#include <hv/percpu.h>
#include <hv/time.h>
#include <hv/vcpu.h>

#define ENABLE_TIMEOUT_NS 1000000000ull

static const struct vcpu_ops *engines[ISA_COUNT];

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
        log_err("%s cannot be turned on on CPU %u: error %d", enabling.ops->name, this_cpu()->id,
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
            log_err("%u CPUs did not turn %s on within a second", enabling.left, ops->name);
            return -EIO;
        }
        cpu_relax();
    }
    return enabling.err;
}

int vcpu_backends_init(void)
{
    bool any = false;

    assert_cpu0();
    for (const struct vcpu_ops *const *e = arch_vcpu_backends; *e; e++) {
        if ((*e)->probe() || enable_everywhere(*e))
            continue;
        for (unsigned isa = 0; isa < ISA_COUNT; isa++)
            if (((*e)->guest_isas >> isa & 1) && !engines[isa])
                engines[isa] = *e;
        any = true;
    }
    return any ? 0 : -ENOTSUP;
}

const struct vcpu_ops *vcpu_backend(enum isa guest)
{
    return guest < ISA_COUNT ? engines[guest] : NULL;
}
