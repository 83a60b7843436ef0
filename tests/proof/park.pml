/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parking: a VM's life goes on (it is paused, ends) only while no vCPU touches any part of it: none is in the guest, sees to requests
 * or stores its state. Whatever is asked of a VM happens in the end, whoever is woken, kicked, let go or asked again meanwhile.
 *
 * VCPUS vCPUs; CPU 0's loop with the lifecycle event and a user who pauses and resumes CYCLES times; another CPU that ends the VM at
 * any moment; one that interrupts the vCPUs.
 *
 * Assumptions:
 * - A kick reaches the vCPU wherever it runs, and a wake-up is not lost: that is what kick.pml shows. So CPUs, queues and who steals
 *   from whom are left out: a vCPU that is woken runs again at some time, somewhere.
 * - Memory is one: `requests` is changed by sequentially consistent read-modify-writes alone.
 * - The lifecycle event is posted and runs as event.pml has it.
 * - What a vCPU that has parked still does (it posts the lifecycle event and leaves its CPU) touches the struct vm alone, which stays.
 *
 * verify KILLS: one vCPU, paused and resumed, and ended at any moment
 * verify CYCLES=2 WAKES: one vCPU, paused and resumed twice, and woken at any moment
 * verify VCPUS=2: two vCPUs
 * refute STALE: `parked` is a flag of its own, which the vCPU takes back when it runs again: let go, it passes for parked until then
 * refute PARK_ALONE: a resume takes back REQ_PARK, and leaves REQ_PARKED to the vCPU
 * refute BLIND: park() sets REQ_PARKED without a look whether REQ_PARK is still there
 * refute NO_POST: park() does not post the lifecycle event
 * refute NOT_AGAIN: the lifecycle event does not ask those to park that a resume has let go
 * refute ALL_CLEARED: attend() takes REQ_PARK for seen to
 * refute REMOVED_RUNNING: the VM is unmade while a vCPU that has parked has not yet left its CPU
 */
#ifndef VCPUS
#define VCPUS 1
#endif
#ifndef CYCLES
#define CYCLES 1
#endif
#define REQ_IRQ 1
#define REQ_PARK 2
#define REQ_PARKED 4

byte requests[VCPUS];
bool in_guest[VCPUS], ipi[VCPUS], wake_pending[VCPUS], blocked[VCPUS];
bool loaded[VCPUS];                     /* a CPU holds its state; it stays in that CPU's queue until it does not */
bool touches[VCPUS];                    /* parts of the VM */
bool stale[VCPUS];                      /* STALE: v->parked */
bool posted;                            /* the lifecycle event */
bool pausing, killing, paused, gone;
byte pauses;

inline vcpu_request(v, bits)
{
    // code hv/vm/vcpu.c vcpu_request: __atomic_fetch_or(&v->requests, reqs, __ATOMIC_SEQ_CST)
    requests[v] = requests[v] | (bits);
    // code hv/vm/vcpu.c vcpu_request: if (__atomic_load_n(&v->in_guest, __ATOMIC_SEQ_CST))
    if
    :: in_guest[v] -> ipi[v] = true
    :: else -> wake_pending[v] = true
    fi
}

inline ask_to_park()
{
    // code hv/vm/vm.c ask_to_park: vcpu_request(vm->vcpu[i], REQ_PARK)
    i = 0;
    do
    :: i < VCPUS -> vcpu_request(i, REQ_PARK); i++
    :: else -> break
    od;
    i = 0
}

proctype vcpu(byte me)
{
    byte req;

block:
    atomic { wake_pending[me] || gone -> if :: gone -> goto end :: else -> wake_pending[me] = false; blocked[me] = false fi }
loop:
    // code hv/vm/vcpu.c attend: uint32_t req = __atomic_load_n(&v->requests, __ATOMIC_SEQ_CST)
    req = requests[me];
    // code hv/vm/vcpu.c attend: if (req & REQ_PARK) { if (vcpu_park(v)) return BLOCK;
    if
    :: req & REQ_PARK ->
        // code hv/vm/vcpu.c vcpu_park: vcpu_unload_remote(v)
        // code hv/vm/vcpu.c vcpu_unload_remote: if (!v || c->loaded != v) return;
        touches[me] = loaded[me];
        d_step { loaded[me] = false; touches[me] = false };
        // code hv/vm/vcpu.c vcpu_park: req = __atomic_load_n(&v->requests, __ATOMIC_SEQ_CST)
        req = requests[me];
        // code hv/vm/vcpu.c vcpu_park: if (!(req & REQ_PARK)) return false;
        // code hv/vm/vcpu.c vcpu_park: __atomic_compare_exchange_n(&v->requests, &req, req | REQ_PARKED, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#ifdef STALE
        atomic { req = (stale[me] -> REQ_PARKED : 0); stale[me] = true };
#elif defined(BLIND)
        d_step { req = requests[me]; requests[me] = requests[me] | REQ_PARKED };
#else
        do
        :: !(req & REQ_PARK) -> goto let_go
        :: else ->
            atomic {
                if
                :: requests[me] == req -> requests[me] = req | REQ_PARKED; break
                :: else -> req = requests[me]
                fi }
        od;
#endif
        // code hv/vm/vcpu.c vcpu_park: if (!(req & REQ_PARKED)) event_post(&v->vm->lifecycle);
#ifndef NO_POST
        if :: !(req & REQ_PARKED) -> posted = true :: else fi;
#endif
        goto put
    :: else
    fi;
let_go:
    touches[me] = true;
    assert(!gone);
    // code hv/vm/vcpu.c attend: req = __atomic_fetch_and(&v->requests, REQ_PARK | REQ_WAIT | NMIS, __ATOMIC_SEQ_CST)
#ifdef STALE
    stale[me] = false;
#endif
#ifdef PARK_ALONE
    requests[me] = requests[me] & ~REQ_PARKED;
#endif
#ifdef ALL_CLEARED
    requests[me] = 0;
#else
    requests[me] = requests[me] & ~REQ_IRQ;
#endif
    if
    :: touches[me] = false; goto put    /* halted */
    :: true
    fi;
    // code hv/vm/vcpu.c run_loop: if (c->loaded != v) take_cpu(c, v);
    loaded[me] = true;
    // code hv/vm/vcpu.c vcpu_enter: __atomic_store_n(&v->in_guest, 1, __ATOMIC_RELEASE)
    // code hv/vm/vcpu.c vcpu_enter: store_before_load()
    in_guest[me] = true;
    // code hv/vm/vcpu.c vcpu_enter: if ((__atomic_load_n(&v->requests, __ATOMIC_SEQ_CST) & ~ignore) || c->wake)
    if
    :: requests[me] != 0
    :: else ->
        // code hv/vm/vcpu.c vcpu_enter: v->ops->run(v, e)
end_in_the_guest:
        ipi[me]
    fi;
    d_step { ipi[me] = false; in_guest[me] = false; touches[me] = false; req = 0 };
    goto loop;
put:
    // code hv/vm/vcpu.c vcpu_run: sched_put(v, runnable)
    assert(!gone);
    d_step { blocked[me] = true; req = 0 };
    goto block;
end:
    skip
}

inline act()
{
    assert(!touches[0] && !touches[VCPUS - 1])
}

inline look_who_is_parked()
{
    i = 0;
    all = true;
    do
    :: i < VCPUS ->
        // code hv/vm/vm.c all_parked: if (!(__atomic_load_n(&vm->vcpu[i]->requests, __ATOMIC_ACQUIRE) & REQ_PARKED))
#ifdef STALE
        all = all && stale[i];
#else
        all = all && (requests[i] & REQ_PARKED);
#endif
        i++
    :: else -> break
    od;
    i = 0
}

/* CPU 0's loop: the lifecycle event, and the user's commands. */
active proctype cpu0()
{
    byte i;
    bool all, kills;

end_loop:
    do
    :: gone -> break
    :: posted && !gone ->
        posted = false;
        // code hv/vm/vm.c on_up: uint32_t wishes = __atomic_load_n(&vm->pending, __ATOMIC_SEQ_CST)
        kills = killing;
        if
        :: pausing || kills ->
            // code hv/vm/vm.c on_up: ask_to_park(vm)
#ifndef NOT_AGAIN
            ask_to_park();
#endif
            // code hv/vm/vm.c on_up: if (!all_parked(vm)
            look_who_is_parked();
            if
            :: all && kills ->
                act();
                // code hv/vm/vm.c unmake_machine: sched_remove(vm->vcpu[i])
                // code hv/vm/vm.c unmake_machine: vm->guest_ops->destroy(vm)
#ifndef REMOVED_RUNNING
                d_step { blocked[0] && blocked[VCPUS - 1] -> act(); gone = true }
#else
                d_step { act(); gone = true }
#endif
            :: all && !kills ->
                act();
                // code hv/vm/vm.c on_up: pause_now(vm)
                d_step { pausing = false; paused = true }
            :: else
            fi
        :: else
        fi;
        d_step { all = false; kills = false }
    :: !paused && !pausing && !gone && pauses < CYCLES ->
        // code hv/vm/vm.c vm_pause: wish(vm, VMP_PAUSE, NULL)
        pauses++;
        pausing = true;
        ask_to_park();
        posted = true
    :: paused && !gone ->
        // code hv/vm/vm.c vm_resume: vm_set_state(vm, VM_RUNNING)
        paused = false;
        do
        :: i < VCPUS ->
            // code hv/vm/vm.c vm_resume: __atomic_fetch_and(&vm->vcpu[i]->requests, ~(uint32_t)(REQ_PARK | REQ_PARKED), __ATOMIC_SEQ_CST)
#ifdef PARK_ALONE
            requests[i] = requests[i] & ~REQ_PARK;
#else
            requests[i] = requests[i] & ~(REQ_PARK | REQ_PARKED);
#endif
            // code hv/vm/vm.c vm_resume: vcpu_request(vm->vcpu[i], REQ_IRQ)
            vcpu_request(i, REQ_IRQ);
            i++
        :: else -> break
        od;
        i = 0;
        // code hv/vm/vm.c vm_resume: event_post(&vm->lifecycle)
        posted = true
    od
}

#ifdef KILLS
active proctype killer()
{
    byte i;

    // code hv/vm/vm.c wish: __atomic_fetch_or(&vm->pending, what, __ATOMIC_SEQ_CST)
    killing = true;
    // code hv/vm/vm.c wish: ask_to_park(vm)
    ask_to_park();
    // code hv/vm/vm.c wish: event_post(&vm->lifecycle)
    posted = true
}
#endif

#ifdef WAKES
/* A timer's interrupt, at any time. */
active proctype waker()
{
    if
    :: !gone -> vcpu_request(0, REQ_IRQ)
    :: true
    fi
}
#endif

init
{
    byte i;

    atomic {
        do
        :: i < VCPUS -> wake_pending[i] = true; blocked[i] = true; run vcpu(i); i++
        :: else -> break
        od
    }
}

/* When nothing moves any more, all that was asked has been done. */
active proctype quiet()
{
    timeout ->
    assert(gone || (!killing && !pausing && !posted && pauses == CYCLES))
}
