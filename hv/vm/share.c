/*
 * share.c: work that Trivet does for a guest outside of its vCPUs (devices, RAM disks, the ITS, starting and ending it) is paid for by
 * that guest. While vCPUs wait for this CPU, all such work of one guest gets half of the time: free_at is when the work so far will be
 * paid for; a burst may run ahead. The time also counts as run time of one of its vCPUs, each in turn.
 */
#include <hv/percpu.h>
#include <hv/sched.h>
#include <hv/share.h>
#include <hv/time.h>
#include <hv/vcpu.h>
#include <hv/vm.h>

#define BURST_NS 2000000ull
#define DEBT_NS 20000000ull

bool share_wait(struct vm *vm, struct event *ev)
{
    uint64_t free_at = __atomic_load_n(&vm->share.free_at, __ATOMIC_RELAXED);
    struct sched_stats st;

    if (free_at <= time_ns() + BURST_NS)
        return false;
    sched_cpu_stats(this_cpu()->id, &st);
    if (st.runnable == 0)
        return false;
    event_at(ev, free_at - BURST_NS);
    return true;
}

void share_pay(struct vm *vm, uint64_t from)
{
    struct share *s = &vm->share;
    uint64_t free_at = __atomic_load_n(&s->free_at, __ATOMIC_RELAXED), now = time_ns(), took = now - from;
    uint32_t n = vm->nvcpus;

    __atomic_store_n(&s->free_at, min_u64(max_u64(free_at, from), now + DEBT_NS) + 2 * took, __ATOMIC_RELAXED);
    __atomic_fetch_add(&s->worked_ns, took, __ATOMIC_RELAXED);
    if (n && vm->vcpu[0])
        sched_charge(vm->vcpu[__atomic_fetch_add(&s->turn, 1, __ATOMIC_RELAXED) % n], took);
}
