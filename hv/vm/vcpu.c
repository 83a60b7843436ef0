/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vcpu.c: a vCPU's inner loop, and how others get its attention.
 *
 * The kick: to get a vCPU's attention, set a bit in `requests`, then read `in_guest`. The vCPU sets
 * `in_guest`, then reads `requests`. So either it sees the bit, or it is seen in the guest and gets
 * an interrupt. Host interrupts are disabled from that look until the engine has entered the guest,
 * where they cause an exit: none is lost in between.
 */
#include <hv/assert.h>
#include <hv/event.h>
#include <hv/guest.h>
#include <hv/irq.h>
#include <hv/log.h>
#include <hv/order.h>
#include <hv/panic.h>
#include <hv/percpu.h>
#include <hv/stretch.h>
#include <hv/time.h>
#include <stdlib.h>

#include "private.h"

enum next { GO_ON, LEAVE, BLOCK };

/* ---- making and unmaking ---- */

static int init_parts(struct vcpu *v)
{
    const struct guest_ops *g = v->vm->guest_ops;
    int err = v->ops->vcpu_init(v);

    if (err)
        return err;
    err = g->vcpu_init ? g->vcpu_init(v) : 0;
    if (err)
        goto no_guest;
    err = g->vintc && g->vintc->vcpu_init ? g->vintc->vcpu_init(v) : 0;
    if (!err)
        return 0;
    if (g->vcpu_fini)
        g->vcpu_fini(v);
no_guest:
    v->ops->vcpu_fini(v);
    return err;
}

int vcpu_create(struct vm *vm, uint32_t id, struct vcpu **out)
{
    struct vcpu *v = vm_alloc(vm, sizeof *v);
    int err;

    assert_cpu0();
    hv_assert(id < MAX_VCPUS && out);
    if (!v)
        return -ENOMEM;
    v->vm = vm;
    v->id = id;
    v->ops = vm->ops;
    v->sched.affinity = vm->config->cpus;
    v->sched.weight = vm->config->weight;
    err = init_parts(v);
    if (err) {
        vm_free(vm, v, sizeof *v);
        return err;
    }
    sched_add(v);
    *out = v;
    return 0;
}

/* A CPU that still knows the vCPU would use it after it is freed. */
static void assert_forgotten(const struct vcpu *v)
{
    for (uint32_t i = 0; DEBUG_LOCKS && i < cpu_count; i++) {
        hv_assert(__atomic_load_n(&percpus[i].loaded, __ATOMIC_ACQUIRE) != v);
        hv_assert(i != this_cpu()->id || percpus[i].current != v);
    }
}

void vcpu_destroy(struct vcpu *v)
{
    const struct guest_ops *g = v->vm->guest_ops;

    assert_cpu0();
    sched_remove(v);
    if (g->vintc && g->vintc->vcpu_fini)
        g->vintc->vcpu_fini(v);
    if (g->vcpu_fini)
        g->vcpu_fini(v);
    v->ops->vcpu_fini(v);
    assert_forgotten(v);
    vm_free(v->vm, v, sizeof *v);
}

/* ---- attention ---- */

/* `by` runs here, or is NULL: another vCPU of the VM may wait for what v does now. */
static void vcpu_wake(struct vcpu *v, const struct vcpu *by)
{
    if (by && by->vm == v->vm)
        sched_wake_urgent(v);
    else
        sched_wake(v);
}

#define NMIS (REQ_NMI | REQ_NMI_NEXT)

static uint32_t one_more_nmi(uint32_t req)
{
    return req & REQ_NMI ? req | REQ_NMI_NEXT : req | REQ_NMI;
}

static uint32_t one_nmi_less(uint32_t req)
{
    return req & REQ_NMI_NEXT ? req & ~(uint32_t)REQ_NMI_NEXT : req & ~(uint32_t)REQ_NMI;
}

/* In one step: REQ_NMI_NEXT is never there alone. */
static void change_nmis(struct vcpu *v, uint32_t (*change)(uint32_t))
{
    uint32_t req = __atomic_load_n(&v->requests, __ATOMIC_RELAXED);

    while (!__atomic_compare_exchange_n(&v->requests, &req, change(req), false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED))
        ;
}

void vcpu_request(struct vcpu *v, uint32_t reqs)
{
    const struct vcpu *current = this_cpu()->current;

    debug_assert(reqs);
    if (reqs & REQ_NMI)
        change_nmis(v, one_more_nmi);
    __atomic_fetch_or(&v->requests, reqs, __ATOMIC_SEQ_CST);
    if (v == current)
        return; /* its loop looks before it enters or blocks */
    if (__atomic_load_n(&v->in_guest, __ATOMIC_SEQ_CST))
        irq_send_kick(v->last_cpu);
    else
        vcpu_wake(v, current);
}

void vcpu_wait(void)
{
    struct vcpu *v = this_cpu()->current;

    if (v)
        __atomic_fetch_or(&v->requests, REQ_WAIT, __ATOMIC_SEQ_CST);
}

void vcpu_wait_end(struct vcpu *v)
{
    __atomic_fetch_and(&v->requests, ~(uint32_t)REQ_WAIT, __ATOMIC_SEQ_CST);
}

/*
 * REQ_IRQ stays set when the CPU has seen to it: that costs a look after the next exit. When it has
 * not, because the guest was left in that moment, that look does.
 */
void vcpu_notify(struct vcpu *v, void (*notify)(struct vcpu *))
{
    const struct vcpu *current = this_cpu()->current;

    __atomic_fetch_or(&v->requests, REQ_IRQ, __ATOMIC_SEQ_CST);
    if (v == current)
        return;
    if (__atomic_load_n(&v->in_guest, __ATOMIC_SEQ_CST))
        notify(v);
    else
        vcpu_wake(v, current);
}

/* Once out of the guest, it flushes before it enters again. */
void vcpu_flush_wait(struct vcpu *v)
{
    while (__atomic_load_n(&v->in_guest, __ATOMIC_SEQ_CST) &&
           (__atomic_load_n(&v->requests, __ATOMIC_SEQ_CST) & REQ_TLB))
        cpu_relax();
}

void vm_tlb_flush(struct vm *vm, gpa_t at, uint64_t len)
{
    if (vm->ops)
        vm->ops->tlb_flush(vm, at, len);
    for (uint32_t i = 0; i < vm->nvcpus; i++)
        if (vm->vcpu[i])
            vcpu_request(vm->vcpu[i], REQ_TLB);
    for (uint32_t i = 0; i < vm->nvcpus; i++)
        if (vm->vcpu[i])
            vcpu_flush_wait(vm->vcpu[i]);
}

/* ---- whose state this CPU holds ---- */

void vcpu_unload_remote(struct vcpu *v)
{
    struct percpu *c = this_cpu();

    if (!v || c->loaded != v)
        return;
    gmem_enter(&v->vm->gmem); /* off_cpu tells the guest */
    v->ops->unload(v);
    if (v->vm->guest_ops->off_cpu)
        v->vm->guest_ops->off_cpu(v, true);
    __atomic_store_n(&c->loaded, NULL, __ATOMIC_RELEASE);
}

static void take_cpu(struct percpu *c, struct vcpu *v)
{
    debug_assert_on_cpu(v);
    if (c->loaded)
        vcpu_unload_remote(c->loaded);
    view_enter(c, &v->vm->gmem.view);
    v->ops->load(v);
    if (v->vm->guest_ops->off_cpu)
        v->vm->guest_ops->off_cpu(v, false);
    __atomic_store_n(&c->loaded, v, __ATOMIC_RELEASE);
}

/* ---- before the guest is entered ---- */

/*
 * Answers REQ_PARK in the same word. A resume takes both bits back at once, so that a vCPU that was
 * let go and has not run since does not pass for parked when it is asked again. False: it was let
 * go meanwhile.
 */
static bool vcpu_park(struct vcpu *v)
{
    uint32_t req;

    debug_assert_on_cpu(v);
    vcpu_unload_remote(v);
    req = __atomic_load_n(&v->requests, __ATOMIC_SEQ_CST);
    do {
        if (!(req & REQ_PARK))
            return false;
    } while (!__atomic_compare_exchange_n(&v->requests, &req, req | REQ_PARKED, false,
                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    if (!(req & REQ_PARKED))
        event_post(&v->vm->lifecycle);
    return true;
}

/*
 * A CPU has one latch for an NMI that it cannot take now. One that it can take leaves it free for
 * another.
 */
static void inject_nmi(struct vcpu *v)
{
    debug_assert_on_cpu(v);
    if (!v->ops->nmi_ready(v)) {
        __atomic_fetch_and(&v->requests, ~(uint32_t)REQ_NMI_NEXT, __ATOMIC_RELAXED);
        v->ops->nmi_window(v);
        return;
    }
    change_nmis(v, one_nmi_less);
    if (__atomic_load_n(&v->requests, __ATOMIC_RELAXED) & REQ_NMI)
        v->ops->nmi_window(v);
    v->event = (struct vcpu_event){ .type = VEV_NMI };
}

/* Gives the guest its best interrupt, or asks to be told when it can take one. */
static void inject_irq(struct vcpu *v)
{
    const struct vintc_ops *ic = v->vm->guest_ops->vintc;
    int vec = ic->pending(v);

    debug_assert_on_cpu(v);
    if (vec >= 0 && v->ops->irq_ready(v)) {
        int got = ic->accept(v, vec);

        if (got >= 0) {
            v->event = (struct vcpu_event){ .type = VEV_IRQ, .vector = (uint8_t)got };
            v->stats.injected_irqs++;
        }
        vec = ic->pending(v);
    }
    v->ops->irq_window(v, vec >= 0);
}

/*
 * Halted, or waiting for another vCPU to start it. True: it runs on. An NMI wakes it only when it
 * can be taken.
 */
static bool awake(struct vcpu *v)
{
    bool nmi = (__atomic_load_n(&v->requests, __ATOMIC_RELAXED) & REQ_NMI) && v->ops->nmi_ready(v);

    if (v->mp == MP_HALTED && (nmi || v->vm->guest_ops->wakeable(v)))
        v->mp = MP_RUNNABLE;
    return v->mp == MP_RUNNABLE;
}

/*
 * REQ_PARK, REQ_WAIT and the NMIs stay set: until the VM resumes, the wait ends, the guest takes
 * them.
 * *seen: requests that were tried and are not to be tried again before the guest has run.
 */
static enum next attend(struct vcpu *v, uint32_t *seen)
{
    debug_assert_on_cpu(v);
    debug_assert_no_locks();
    /*
     * Before a vCPU that is halted or waits blocks, "not in the guest" must be seen by others: it
     * was stored without a fence.
     */
    if (v->mp != MP_RUNNABLE || __atomic_load_n(&v->requests, __ATOMIC_RELAXED) & REQ_WAIT)
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint32_t req = __atomic_load_n(&v->requests, __ATOMIC_SEQ_CST);

    if (req & REQ_PARK) {
        if (vcpu_park(v))
            return BLOCK;
        req = __atomic_load_n(&v->requests, __ATOMIC_SEQ_CST);
    }
    if (req & REQ_WAIT)
        return BLOCK;
    *seen = req & REQ_NMI;
    if (req & ~(uint32_t)NMIS)
        req = __atomic_fetch_and(&v->requests, REQ_PARK | REQ_WAIT | NMIS, __ATOMIC_SEQ_CST);
    if (req & REQ_TLB)
        v->ops->vcpu_tlb_flush(v);
    if (req & REQ_GUEST)
        v->vm->guest_ops->request(v);
    if (v->mp != MP_RUNNABLE) {
        if (!awake(v))
            return BLOCK;
        req |= REQ_IRQ;
    }
    if (req & REQ_NMI)
        inject_nmi(v);
    if (req & REQ_IRQ)
        inject_irq(v);
    if (req & (REQ_YIELD | REQ_SPIN) && sched_spins(v, req & REQ_YIELD))
        return LEAVE;
    return GO_ON;
}

/* ---- the loop ---- */

static inline void vcpu_after_run(struct vm *vm)
{
    void (*look)(struct vm *) = __atomic_load_n(&vm->after_run, __ATOMIC_RELAXED);

    if (__builtin_expect(look != NULL, 0))
        look(vm);
}

/* Into the guest and out. False: something came up at the last moment. */
static bool vcpu_enter(struct percpu *c, struct vcpu *v, struct vcpu_exit *e, uint32_t ignore)
{
    debug_assert(c->loaded == v && c->view == &v->vm->gmem.view);
    debug_assert_no_locks();
    __atomic_store_n(&v->in_guest, 1, __ATOMIC_RELEASE);
    store_before_load();
    if ((__atomic_load_n(&v->requests, __ATOMIC_SEQ_CST) & ~ignore) || c->wake) {
        __atomic_store_n(&v->in_guest, 0, __ATOMIC_RELEASE);
        return false;
    }
    if (v->vintc_hooks)
        v->vm->guest_ops->vintc->enter(v);
    v->ops->run(v, e);
    __atomic_store_n(&v->in_guest, 0, __ATOMIC_RELEASE);
    vcpu_after_run(v->vm);
    if (v->vintc_hooks)
        v->vm->guest_ops->vintc->leave(v);
    return true;
}

/*
 * Halted: the CPU sleeps here while nobody else has work for it, as if the guest were in its halt:
 * to get its attention, others send an interrupt. False: there is other work, or was.
 */
static bool doze(struct percpu *c, struct vcpu *v, uint32_t ignore)
{
    debug_assert_on_cpu(v);
    if (v->mp != MP_HALTED || v->requests & (REQ_PARK | REQ_WAIT) || c->wake ||
        event_waits_in(&c->events) || !sched_doze(v))
        return false;
    event_check_timer(v->sched.since);
    __atomic_store_n(&v->in_guest, 1, __ATOMIC_RELEASE);
    store_before_load();
    while (!(__atomic_load_n(&v->requests, __ATOMIC_SEQ_CST) & ~ignore) && !c->wake)
        irq_wait();
    __atomic_store_n(&v->in_guest, 0, __ATOMIC_RELEASE);
    store_before_load();
    sched_doze_end(v);
    return __atomic_load_n(&v->requests, __ATOMIC_SEQ_CST) & ~ignore;
}

static uint64_t long_cycles; /* STRETCH_LONG_NS; 0: not yet worked out */

static __attribute__((noinline)) void long_exit(const struct vcpu *v, enum exit_reason why,
                                                uint64_t cycles)
{
    if (!long_cycles)
        __atomic_store_n(&long_cycles, time_ns_to_cycles(STRETCH_LONG_NS), __ATOMIC_RELAXED);
    stretch_exit(v->vm->config->name, exit_name(v->vm, why), time_cycles_to_ns(cycles));
}

static bool run_loop(struct percpu *c, struct vcpu *v)
{
    struct vcpu_exit e;
    uint64_t out = 0; /* when the guest was left; 0: not yet entered */

    e.reason = EXIT_NONE;
    for (;;) {
        uint32_t ignore = 0;

        if (v->requests || v->mp != MP_RUNNABLE) {
            enum next next = attend(v, &ignore);

            if (next == BLOCK && doze(c, v, ignore)) {
                out = 0;
                continue;
            }
            if (next != GO_ON)
                return next == LEAVE;
        }
        if (c->loaded != v)
            take_cpu(c, v);
        if (out) {
            uint64_t took = time_cycles() - out;

            v->stats.cycles[e.reason] += took;
            if (__builtin_expect(took > long_cycles, 0))
                long_exit(v, e.reason, took);
        }
        out = 0;
        if (!vcpu_enter(c, v, &e, ignore)) {
            if (c->wake)
                return true;
            continue;
        }
        out = time_cycles();
        v->stats.count[e.reason]++;
        v->stats.entries++;
        int err = vcpu_exit_handlers[e.reason](v, &e); /* nospec: the engine's word */
        if (err)
            vm_kill_error(v->vm, v, &e, err);
    }
}

void vcpu_run(struct vcpu *v)
{
    struct percpu *c = this_cpu();
    bool runnable;

    debug_assert_on_cpu(v);
    debug_assert_no_locks();
    v->last_cpu = c->id;
    view_enter(c, &v->vm->gmem.view);
    runnable = run_loop(c, v);
    sched_put(v, runnable); /* the last look at v: from here on it may be gone */
}
