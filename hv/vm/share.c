/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * share.c: work that Trivet does for a guest outside of its vCPUs (devices, RAM disks, the ITS,
 * starting and ending it) is paid for by that guest. `had` is what it has had of such work on each
 * CPU, on the scale of that CPU's virtual run times (those of two CPUs have nothing to do with one
 * another), for a guest of one vCPU of its weight. While other
 * guests want this CPU, the work waits as soon as it is ahead of those who have had least; a burst
 * may run ahead. While nobody else does, it never waits. The time also counts as run time of one of
 * its vCPUs, each in turn.
 */
#include <hv/assert.h>
#include <hv/percpu.h>
#include <hv/sched.h>
#include <hv/share.h>
#include <hv/time.h>
#include <hv/vcpu.h>
#include <hv/vm.h>

#define BURST_NS 2000000ull
#define FAR_NS 10000000ull
#define DEBT_NS 20000000ull
#define FOREIGN_NS 2000000000ull /* so far ahead is nobody of his own: see DEBT_NS */

/*
 * More than so much, while others want this CPU. Beyond SHARE_CPUS an account may have been used on
 * another CPU, whose scale is far above this one's: its guest begins anew here.
 */
static bool share_is_ahead(struct vm *vm, uint64_t ns)
{
    uint64_t *at = &vm->share.had[this_cpu()->id % SHARE_CPUS], floor = sched_floor();
    uint64_t had = __atomic_load_n(at, __ATOMIC_RELAXED);

    if (had > floor + FOREIGN_NS) {
        had = floor + DEBT_NS;
        __atomic_store_n(at, had, __ATOMIC_RELAXED);
    }
    return had > floor + ns && sched_others_want(vm);
}

bool share_wait(struct vm *vm, struct event *ev)
{
    debug_assert(ev->cpu == this_cpu()->id);
    if (!share_is_ahead(vm, BURST_NS))
        return false;
    event_put_off(ev);
    return true;
}

bool share_is_far_ahead(struct vm *vm) { return share_is_ahead(vm, FAR_NS); }

void share_pay(struct vm *vm, uint64_t from)
{
    struct share *s = &vm->share;
    uint64_t *at = &s->had[this_cpu()->id % SHARE_CPUS];
    uint64_t had = __atomic_load_n(at, __ATOMIC_RELAXED), floor = sched_floor(),
             took = time_ns() - from;
    uint32_t n = vm->nvcpus;

    had = min_u64(max_u64(had, floor), floor + DEBT_NS);
    __atomic_store_n(at, had + sched_virtual(vm->config->weight, took) / (n ? n : 1),
                     __ATOMIC_RELAXED);
    __atomic_fetch_add(&s->worked_ns, took, __ATOMIC_RELAXED);
    if (n && vm->vcpu[0])
        sched_charge(vm->vcpu[__atomic_fetch_add(&s->turn, 1, __ATOMIC_RELAXED) % n], took);
}
