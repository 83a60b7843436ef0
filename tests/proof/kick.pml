/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kick: a request that is made of a vCPU is seen soon, wherever the vCPU is: in the guest, on its way in or out, halted,
 * blocked, in a queue, or on another CPU than before. The TLB flush: once vm_tlb_flush() has returned, the guest uses no old
 * translation.
 *
 * One or two CPUs run one vCPU, which may move between them at each pick. Other CPUs ask something of it, or for a flush of
 * its TLB, or have work for the CPU that it runs on (cpu_kick), for which the vCPU leaves its guest.
 *
 * Assumptions:
 * - Sequentially consistent accesses and read-modify-writes take effect in one order and let no earlier store of their CPU
 *   stay behind. All other stores of in_guest wait in a buffer, one for each CPU, for as long as they like (x86 TSO; ARM64
 *   orders STLR before LDAR, so it allows less). Loads happen in program order; where ARM64 might do them earlier, the code's
 *   loads are acquiring ones.
 * - An interrupt stays pending until it is taken; it is taken in irq_wait() and in the guest (exit). The engine enters the
 *   guest with host interrupts off, so that one which is pending already ends the guest at once.
 * - A queue's lock excludes; which queue a vCPU waits in, and who steals it, is left open: any CPU may pick it, but only the CPU
 *   that was chosen is kicked.
 * - Who asks is another CPU. A CPU in its own events does not kick itself (sched_call): it picks after them.
 * - The timer never helps: no time-out rescues a lost request.
 *
 * verify TWICE WORK LEAVES=2: one CPU, two requests one after the other, and other work for the CPU
 * verify FLUSHES LEAVES=2: one CPU, a request and a flush
 * verify CPUS=2 LEAVES=2: two CPUs, one request
 * refute NO_FENCE: a halted vCPU looks at its requests while its in_guest = 0 may still wait in the store buffer
 * refute WEAK_IN_GUEST: in_guest = 1 is not sequentially consistent
 * refute LOOK_FIRST: enter() reads the requests before it sets in_guest
 * refute NO_WAKE_PENDING: sched_put() blocks without a look at wake_pending
 * refute NO_LOOK_AT_WAKE: idle() sleeps without a look at wake
 * refute DOZE_UNSEEN: doze() waits with in_guest = 0
 * refute NO_TLB_WAIT FLUSHES LEAVES=2: vm_tlb_flush() does not wait for the vCPU to leave the guest
 * refute FLUSH_LOST FLUSHES LEAVES=2: attend() sees to the requests that it read first, and clears those that came later, too
 */
#define REQ_GUEST 1
#define REQ_TLB 2
#define NOBODY 9
#ifndef CPUS
#define CPUS 1
#endif
#ifndef LEAVES
#define LEAVES 1
#endif

mtype = { RUNNING, BLOCKED, WAKING, QUEUED, IN_LOOP, IN_GUEST, ASLEEP };

byte requests;                          /* v->requests */
bool in_guest;                          /* v->in_guest, as memory has it */
bool halted;                            /* v->mp != MP_RUNNABLE */
byte last_cpu;
mtype state = QUEUED;                   /* v->sched.state; QUEUED with the place below */
byte place = 0;
bool wake_pending;
bool locked;                            /* the queue's lock */

bool wake[CPUS];                        /* percpu.wake */
mtype where[CPUS] = IN_LOOP;
bool ipi[CPUS];                         /* pending host interrupt */
byte idle_cpus;

bool buffered[CPUS];                    /* the store buffer: an in_guest = 0 or 1 that memory has not got yet */
bool buffer[CPUS];

byte inside = NOBODY;                   /* the CPU that really runs the guest */
bool stale = true;                      /* the guest's TLB holds an old translation */
bool flush_done;                        /* vm_tlb_flush() has returned */
byte leaves = LEAVES;                        /* exits of the guest's own */

inline drain(me) { if :: buffered[me] -> in_guest = buffer[me]; buffered[me] = false :: else fi }
inline store_in_guest(me, v) { d_step { buffer[me] = v; buffered[me] = true } }
inline store_in_guest_sc(me, v) { d_step { buffered[me] = false; in_guest = v } }

active [CPUS] proctype store_buffer()
{
end:
    do
    :: d_step { buffered[_pid] -> in_guest = buffer[_pid]; buffered[_pid] = false }
    od
}

inline cpu_kick(cpu)
{
    // code hv/core/percpu.c cpu_kick: if (__atomic_exchange_n(&c->wake, 1, __ATOMIC_SEQ_CST)) return;
    d_step { was = wake[cpu]; wake[cpu] = true }
    if
    :: was
    :: else ->
        // code hv/core/percpu.c cpu_kick: __atomic_load_n(&c->where, __ATOMIC_SEQ_CST) != CPU_IN_LOOP
        // code hv/core/percpu.c cpu_kick: irq_send_kick(cpu)
        if :: where[cpu] != IN_LOOP -> ipi[cpu] = true :: else fi
    fi
}

inline sched_wake()
{
    // code hv/vm/sched.c sched_wake: __atomic_store_n(&v->sched.wake_pending, 1, __ATOMIC_RELEASE)
    // code hv/vm/sched.c sched_wake: store_before_load()
    wake_pending = true;
    // code hv/vm/sched.c sched_wake: __atomic_load_n(&v->sched.state, __ATOMIC_SEQ_CST) != SCHED_BLOCKED
    if
    :: state != BLOCKED
    :: else ->
        // code hv/vm/sched.c sched_wake: lock_queue_of(v)
        atomic { !locked -> locked = true }
        // code hv/vm/sched.c sched_wake: bool ours = __atomic_load_n(&v->sched.state, __ATOMIC_RELAXED) == SCHED_BLOCKED
        // code hv/vm/sched.c sched_wake: __atomic_store_n(&v->sched.state, SCHED_WAKING, __ATOMIC_RELAXED)
        d_step { ours = state == BLOCKED; if :: ours -> state = WAKING :: else fi; locked = false }
        if
        :: ours ->
            if :: to = 0 :: to = CPUS - 1 fi;
            // code hv/vm/sched.c queue_woken: spin_lock(&q->lock)
            // code hv/vm/sched.c queue_woken: queue_add(q, v)
            atomic { !locked -> place = to; state = QUEUED }
            // code hv/vm/sched.c queue_woken: sched_call(cpu)
            // code hv/vm/sched.c sched_call: cpu_kick(cpu)
            cpu_kick(to)
        :: else
        fi;
        d_step { ours = false; to = 0; was = false }
    fi
}

/* v == this_cpu()->current is the caller's own vCPU and needs no kick: not modelled. */
inline vcpu_request(bits)
{
    // code hv/vm/vcpu.c vcpu_request: __atomic_fetch_or(&v->requests, reqs, __ATOMIC_SEQ_CST)
    requests = requests | bits;
    // code hv/vm/vcpu.c vcpu_request: if (__atomic_load_n(&v->in_guest, __ATOMIC_SEQ_CST))
    if
    :: in_guest ->
        // code hv/vm/vcpu.c vcpu_request: irq_send_kick(v->last_cpu)
        ipi[last_cpu] = true
    :: else ->
        // code hv/vm/vcpu.c vcpu_request: vcpu_wake(v, current)
        sched_wake()
    fi
}

/* Into the guest and out. */
inline enter(me)
{
    // code hv/vm/vcpu.c vcpu_enter: __atomic_store_n(&v->in_guest, 1, __ATOMIC_RELEASE)
    // code hv/vm/vcpu.c vcpu_enter: store_before_load()
    // code hv/vm/vcpu.c vcpu_enter: if ((__atomic_load_n(&v->requests, __ATOMIC_SEQ_CST) & ~ignore) || c->wake)
#ifdef LOOK_FIRST
    seen = requests != 0 || wake[me];
    store_in_guest_sc(me, true);
#elif defined(WEAK_IN_GUEST)
    store_in_guest(me, true);
    seen = requests != 0 || wake[me];
#else
    store_in_guest_sc(me, true);
    seen = requests != 0 || wake[me];
#endif
    if
    :: seen ->
        // code hv/vm/vcpu.c vcpu_enter: __atomic_store_n(&v->in_guest, 0, __ATOMIC_RELEASE)
        store_in_guest(me, false)
    :: else ->
        // code hv/vm/vcpu.c vcpu_enter: v->ops->run(v, e)
        atomic { assert(inside == NOBODY); assert(!(flush_done && stale)); inside = me }
in_the_guest:
        if
        :: atomic { ipi[me] -> ipi[me] = false; inside = NOBODY }
        :: atomic { leaves > 0 -> leaves--; inside = NOBODY }
        :: atomic { leaves > 0 -> leaves--; inside = NOBODY; halted = true }
        fi;
        // code hv/vm/vcpu.c vcpu_enter: __atomic_store_n(&v->in_guest, 0, __ATOMIC_RELEASE)
        store_in_guest(me, false)
    fi
}

/* Requests are seen to; `blocks`: nothing to run. */
inline attend(me)
{
    blocks = false;
    // code hv/vm/vcpu.c attend: if (v->mp != MP_RUNNABLE || __atomic_load_n(&v->requests, __ATOMIC_RELAXED) & REQ_WAIT) __atomic_thread_fence(__ATOMIC_SEQ_CST)
#ifndef NO_FENCE
    d_step { if :: halted -> drain(me) :: else fi }
#endif
    // code hv/vm/vcpu.c attend: uint32_t req = __atomic_load_n(&v->requests, __ATOMIC_SEQ_CST)
    req = requests;
    if
    :: req != 0 ->
        // code hv/vm/vcpu.c attend: req = __atomic_fetch_and(&v->requests, REQ_PARK | REQ_WAIT | NMIS, __ATOMIC_SEQ_CST)
#ifdef FLUSH_LOST
        d_step { drain(me); requests = 0 }
#else
        d_step { drain(me); req = requests; requests = 0 }
#endif
    :: else
    fi;
    // code hv/vm/vcpu.c attend: if (req & REQ_TLB) v->ops->vcpu_tlb_flush(v)
    if :: req & REQ_TLB -> stale = false :: else fi;
    // code hv/vm/vcpu.c attend: if (req & REQ_GUEST) v->vm->guest_ops->request(v)
    // code hv/vm/vcpu.c attend: if (!awake(v)) return BLOCK
    if
    :: halted && (req & REQ_GUEST) -> halted = false
    :: halted && !(req & REQ_GUEST) -> blocks = true
    :: else
    fi;
    req = 0
}

/* True in `seen`: a request came, and the vCPU goes on. */
inline doze(me)
{
    seen = false;
    // code hv/vm/vcpu.c doze: c->wake || event_waits_in(&c->events) || !sched_doze(v)
    if
    :: wake[me]
    :: true ->                          /* somebody waits: sched_doze() says no */
        // code hv/vm/sched.c sched_doze: marks_set(&idle_cpus, c->id)
        // code hv/vm/marks.c marks_set: __atomic_fetch_or(&m->group[cpu / 64].cpus, 1ull << (cpu & 63), __ATOMIC_SEQ_CST)
        d_step { drain(me) }
    :: !wake[me] ->
        // code hv/vm/vcpu.c doze: __atomic_store_n(&v->in_guest, 1, __ATOMIC_RELEASE)
        // code hv/vm/vcpu.c doze: store_before_load()
#ifndef DOZE_UNSEEN
        store_in_guest_sc(me, true);
#else
        store_in_guest_sc(me, false);
#endif
        // code hv/vm/vcpu.c doze: while (!(__atomic_load_n(&v->requests, __ATOMIC_SEQ_CST) & ~ignore) && !c->wake)
        do
        :: requests != 0 || wake[me] -> break
        :: else ->
            // code hv/vm/vcpu.c doze: irq_wait()
end_doze:   atomic { ipi[me] -> ipi[me] = false }
        od;
        // code hv/vm/vcpu.c doze: __atomic_store_n(&v->in_guest, 0, __ATOMIC_RELEASE)
        // code hv/vm/vcpu.c doze: store_before_load()
        store_in_guest_sc(me, false);
        // code hv/vm/vcpu.c doze: return __atomic_load_n(&v->requests, __ATOMIC_SEQ_CST) & ~ignore
        seen = requests != 0
    fi
}

inline sched_put(me, runnable)
{
    // code hv/vm/sched.c sched_put: spin_lock(&q->lock)
    atomic { !locked -> locked = true; drain(me) }
    if
    :: !runnable ->
        // code hv/vm/sched.c sched_put: __atomic_store_n(&se->state, SCHED_BLOCKED, __ATOMIC_RELEASE)
        // code hv/vm/sched.c sched_put: store_before_load()
        state = BLOCKED;
        // code hv/vm/sched.c sched_put: runnable = __atomic_load_n(&se->wake_pending, __ATOMIC_SEQ_CST)
#ifndef NO_WAKE_PENDING
        runnable = wake_pending
#endif
    :: else
    fi;
    // code hv/vm/sched.c sched_put: queue_add(q, v)
    d_step { if :: runnable -> state = QUEUED; place = me :: else fi; locked = false }
}

active [CPUS] proctype cpu()
{
    byte me = _pid - CPUS, req;
    bool seen, blocks, runs;

loop:
    // code hv/vm/loop.c cpu_loop: __atomic_store_n(&c->wake, 0, __ATOMIC_RELEASE)
    // code hv/vm/loop.c cpu_loop: store_before_load()
    atomic { drain(me); wake[me] = false }
    // code hv/vm/loop.c cpu_loop: struct vcpu *v = sched_pick()
    atomic { !locked -> drain(me);
        if
        :: state == QUEUED -> locked = true
        :: state != QUEUED || place != me -> goto idle      /* it may see the other queue's vCPU, or not */
        fi }
    // code hv/vm/queue.c queue_start: __atomic_store_n(&se->wake_pending, 0, __ATOMIC_RELAXED)
    wake_pending = false;
    // code hv/vm/queue.c queue_start: __atomic_store_n(&se->state, SCHED_RUNNING, __ATOMIC_RELEASE)
    // code hv/vm/queue.c queue_start: store_before_load()
    d_step { state = RUNNING; locked = false }
    // code hv/vm/loop.c run_guest: set_where(c, CPU_IN_GUEST)
    where[me] = IN_GUEST;
    // code hv/vm/loop.c run_guest: vcpu_run(v)
    // code hv/vm/vcpu.c vcpu_run: v->last_cpu = c->id
    last_cpu = me;
run_loop:
    // code hv/vm/vcpu.c run_loop: if (v->requests || v->mp != MP_RUNNABLE)
    blocks = false;
    if
    :: requests != 0 || halted -> attend(me)
    :: else
    fi;
    if
    :: blocks ->
        // code hv/vm/vcpu.c run_loop: if (next == BLOCK && doze(c, v, ignore))
        doze(me);
        if
        :: seen -> goto run_loop
        :: else -> runs = false; goto put
        fi
    :: else
    fi;
    // code hv/vm/vcpu.c run_loop: if (!vcpu_enter(c, v, &e, ignore))
    enter(me);
    // code hv/vm/vcpu.c run_loop: if (c->wake) return true;
    if
    :: seen && wake[me] -> runs = true; goto put
    :: else -> goto run_loop
    fi;
put:
    // code hv/vm/vcpu.c vcpu_run: sched_put(v, runnable)
    sched_put(me, runs);
    // code hv/vm/loop.c run_guest: set_where(c, CPU_IN_LOOP)
    d_step { drain(me); where[me] = IN_LOOP }
    goto loop;
idle:
    // code hv/vm/loop.c loop_idle: set_where(c, CPU_ASLEEP)
    where[me] = ASLEEP;
    // code hv/vm/loop.c loop_idle: if (!__atomic_load_n(&c->wake, __ATOMIC_SEQ_CST)) irq_wait();
#ifndef NO_LOOK_AT_WAKE
    if
    :: wake[me] -> goto woken
    :: else
    fi;
#endif
end_idle:
    atomic { ipi[me] -> ipi[me] = false }
woken:
    // code hv/vm/loop.c loop_idle: set_where(c, CPU_IN_LOOP)
    where[me] = IN_LOOP;
    goto loop
}

#ifdef FLUSHES
active proctype flusher()
{
    bool was, ours;
    byte to;

    // code hv/vm/vcpu.c vm_tlb_flush: vcpu_request(vm->vcpu[i], REQ_TLB)
    vcpu_request(REQ_TLB);
#ifndef NO_TLB_WAIT
    // code hv/vm/vcpu.c vcpu_flush_wait: while (__atomic_load_n(&v->in_guest, __ATOMIC_SEQ_CST) && (__atomic_load_n(&v->requests, __ATOMIC_SEQ_CST) & REQ_TLB))
    (!in_guest || !(requests & REQ_TLB));
#endif
    atomic { flush_done = true; assert(inside == NOBODY || !stale) }
}
#endif

active proctype asker()
{
    bool was, ours;
    byte to;

    vcpu_request(REQ_GUEST);
#ifdef TWICE
    vcpu_request(REQ_GUEST)
#endif
}

#ifdef WORK
active proctype other_work()
{
    bool was;

    cpu_kick(0)
}
#endif

/* When nothing moves any more, nothing waits to be seen, and what is runnable runs. */
active proctype quiet()
{
    timeout ->
    assert(requests == 0);
    assert(state == RUNNING || state == BLOCKED);
    assert(state != BLOCKED || halted);
#ifdef FLUSHES
    assert(flush_done)
#endif
}
