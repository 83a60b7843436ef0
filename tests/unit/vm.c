/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a VM and of its vCPUs, over an engine and a guest that do what the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <hv/time.h>

#include "vm_fake.h"

/* ---- exits ---- */

static void test_table(void **state)
{
    static const enum exit_reason to_guest[] = { EXIT_MEM, EXIT_PIO, EXIT_SYSREG, EXIT_ISA_0,
                                                 EXIT_CALL };

    (void)state;
    exits(to_guest, ARRAY_SIZE(to_guest));
    script[0].mem.gpa = gpa(1ull << 40);
    for (unsigned i = 1; i < ARRAY_SIZE(to_guest); i++)
        assert_int_equal(calls[to_guest[i]], 1);
    /* The first was a fault on RAM that is there: nothing to emulate. */
    assert_int_equal(calls[EXIT_MEM], 0);
    nscript = 1;
    next_exit = 0;
    script[0] = (struct vcpu_exit){ .reason = EXIT_MEM };
    script[0].mem.gpa = gpa(config.memory);
    turns(2);
    assert_int_equal(calls[EXIT_MEM], 1);
    assert_int_equal(vm->vcpu[0]->stats.count[EXIT_ISA_0], 1);
    assert_int_equal(vm->state, VM_RUNNING);
}

static void test_handler_fails(void **state)
{
    (void)state;
    handler_result = -EIO;
    nscript = 1;
    next_exit = 0;
    script[0] = (struct vcpu_exit){ .reason = EXIT_CALL };
    turns(6);
    assert_int_equal(vm->state, VM_CRASHED);
    assert_non_null(strstr(vm->why, "hypercall"));
}

static void test_fail_kills(void **state)
{
    (void)state;
    nscript = 1;
    next_exit = 0;
    script[0] = (struct vcpu_exit){ .reason = EXIT_FAIL, .fail.what = "odd state" };
    turns(6);
    assert_int_equal(vm->state, VM_CRASHED);
    assert_non_null(strstr(vm->why, "odd state"));
}

static void test_triple_fault_resets(void **state)
{
    (void)state;
    nscript = 1;
    next_exit = 0;
    script[0] = (struct vcpu_exit){ .reason = EXIT_SHUTDOWN };
    turns(8);
    assert_int_equal(vm->state, VM_RUNNING);
    assert_int_equal(vm->resets, 1);
    assert_int_equal(builds, 2);
}

/* A guest that only resets ends. */
static void test_reset_loop(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100 && vm->state != VM_CRASHED; i++) {
        nscript = 1;
        next_exit = 0;
        script[0] = (struct vcpu_exit){ .reason = EXIT_SHUTDOWN };
        turns(8);
    }
    assert_int_equal(vm->state, VM_CRASHED);
    assert_non_null(strstr(vm->why, "keeps resetting"));
}

/* ---- requests ---- */

static void test_irq(void **state)
{
    (void)state;
    pending_vec = 0x31;
    vcpu_request(vm->vcpu[0], REQ_IRQ);
    turn();
    assert_int_equal(accepted, 0x31);
    assert_int_equal(seen.type, VEV_IRQ);
    assert_int_equal(seen.vector, 0x31);
    assert_false(window_on);
}

static void wait_once(struct vcpu *v)
{
    if (v->id == 0 && !v->stats.entries)
        vcpu_wait();
}

/* It waits in spite of what else wakes it, and parks and goes on meanwhile. */
static void test_wait(void **state)
{
    struct vcpu *v = vm->vcpu[0];
    uint64_t entries;

    (void)state;
    v->stats.entries = 0;
    during_run = wait_once;
    turns(2);
    during_run = NULL;
    entries = v->stats.entries;
    assert_int_equal(entries, 1);
    pending_vec = 0x31;
    vcpu_request(v, REQ_IRQ);
    turns(3);
    assert_int_equal(vm_pause(vm), 0);
    turns(3);
    assert_int_equal(vm->state, VM_PAUSED);
    assert_int_equal(vm_resume(vm), 0);
    turns(3);
    assert_int_equal(v->stats.entries, entries);
    vcpu_wait_end(v);
    vcpu_request(v, REQ_IRQ);
    turns(3);
    assert_true(v->stats.entries > entries);
    assert_int_equal(accepted, 0x31);
}

static void test_irq_window(void **state)
{
    (void)state;
    ready = false;
    pending_vec = 0x31;
    vcpu_request(vm->vcpu[0], REQ_IRQ);
    turn();
    assert_int_equal(seen.type, VEV_NONE);
    assert_true(window_on);
    ready = true;
    nscript = 1;
    next_exit = 0;
    script[0] = (struct vcpu_exit){ .reason = EXIT_IRQ_WINDOW };
    turn();
    assert_int_equal(seen.type, VEV_IRQ);
    assert_false(window_on);
}

/* An NMI that cannot be taken does not keep the guest from running, and is not lost. */
static void test_nmi(void **state)
{
    unsigned before = runs;

    (void)state;
    nmi_open = false;
    vcpu_request(vm->vcpu[0], REQ_NMI);
    turn();
    assert_true(runs > before);
    assert_int_equal(seen.type, VEV_NONE);
    assert_true(nmi_windows > 0);
    nmi_open = true;
    turn();
    assert_int_equal(seen.type, VEV_NMI);
    turn();
    assert_int_equal(seen.type, VEV_NONE);
}

static unsigned nmis;

/* The guest begins to handle an NMI, and can take none. */
static void handle_nmi(struct vcpu *v)
{
    (void)v;
    if (seen.type != VEV_NMI)
        return;
    nmis++;
    nmi_open = false;
}

/* Two at once are two; of those that come while it can take none, one is kept. */
static void test_nmis(void **state)
{
    (void)state;
    nmis = 0;
    during_run = handle_nmi;
    vcpu_request(vm->vcpu[0], REQ_NMI);
    vcpu_request(vm->vcpu[0], REQ_NMI);
    turns(2);
    assert_int_equal(nmis, 1);
    assert_true(nmi_windows > 0);
    vcpu_request(vm->vcpu[0], REQ_NMI);
    vcpu_request(vm->vcpu[0], REQ_NMI);
    turns(2);
    assert_int_equal(nmis, 1);
    nmi_open = true;
    turns(2);
    assert_int_equal(nmis, 2);
    nmi_open = true;
    turns(2);
    assert_int_equal(nmis, 2);
    assert_int_equal(vm->vcpu[0]->requests & (REQ_NMI | REQ_NMI_NEXT), 0);
}

static void test_halt(void **state)
{
    static const enum exit_reason hlt[] = { EXIT_HALT };
    unsigned before;

    (void)state;
    exits(hlt, 1);
    before = runs;
    turns(3);
    assert_int_equal(runs, before);     /* sleeps */
    vcpu_request(vm->vcpu[0], REQ_IRQ); /* nothing that it can take: sleeps on */
    turns(2);
    assert_int_equal(runs, before);
    wake_up = true;
    pending_vec = 0x44;
    vcpu_request(vm->vcpu[0], REQ_IRQ);
    turn();
    assert_true(runs > before);
    assert_int_equal(seen.vector, 0x44);
    assert_int_equal(vm->vcpu[0]->stats.halts, 1);
}

static unsigned more_waits;

/* Asked for by another CPU: in its halt the vCPU gets an interrupt, as in its guest. */
static void wake_it(void)
{
    uint32_t kicks = host_kicks[0];

    assert_int_equal(vm->vcpu[0]->in_guest, 1);
    wake_up = ++more_waits == 2; /* the first is nothing that wakes it */
    host_cpu = 1;
    vcpu_request(vm->vcpu[0], REQ_IRQ);
    host_cpu = 0;
    assert_int_equal(host_kicks[0], kicks + 1);
    assert_int_equal(vm->vcpu[0]->sched.wake_pending, 0);
}

/*
 * A guest that waits keeps the CPU while nobody else has work for it, and its waiting is idle time.
 */
static void test_doze(void **state)
{
    uint64_t idle = this_cpu()->idle_ns, ran = vm->vcpu[0]->sched.ran_ns;
    unsigned before = runs;

    (void)state;
    waits = more_waits = 0;
    during_wait = wake_it;
    pending_vec = 0x45;
    nscript = 1;
    next_exit = 0;
    script[0] = (struct vcpu_exit){ .reason = EXIT_HALT, .insn_len = 2 };
    turn();
    assert_int_equal(waits, 2);
    assert_int_equal(runs, before + 2);
    assert_int_equal(seen.vector, 0x45);
    assert_int_equal(this_cpu()->idle_ns, idle + 10000000);
    assert_int_equal(this_cpu()->idle_since, 0);
    assert_int_equal(vm->vcpu[0]->sched.ran_ns, ran);
    assert_int_equal(vm->vcpu[0]->sched.state, SCHED_QUEUED);
    during_wait = post_it; /* something else is to be done: it blocks */
    wake_up = false;
    next_exit = 0;
    turn();
    assert_int_equal(waits, 3);
    assert_int_equal(vm->vcpu[0]->sched.state, SCHED_BLOCKED);
    assert_int_equal(vm->vcpu[0]->in_guest, 0);
}

/* An NMI wakes a halted vCPU, but not from within the handler of another. */
static void test_halt_nmi(void **state)
{
    static const enum exit_reason hlt[] = { EXIT_HALT };
    unsigned before;

    (void)state;
    exits(hlt, 1);
    before = runs;
    nmi_open = false;
    vcpu_request(vm->vcpu[0], REQ_NMI);
    turns(3);
    assert_int_equal(runs, before);
    nmi_open = true;
    vcpu_request(vm->vcpu[0], REQ_IRQ);
    turn();
    assert_true(runs > before);
    assert_int_equal(seen.type, VEV_NMI);
}

static void test_wait_sipi(void **state)
{
    (void)state;
    vcpu_request(vm->vcpu[1], REQ_IRQ);
    turns(4);
    assert_int_equal(vm->vcpu[1]->stats.entries, 0);
    vcpu_request(vm->vcpu[1], REQ_GUEST);
    turns(40);
    assert_true(vm->vcpu[1]->stats.entries > 0);
}

static void from_cpu1(struct vcpu *v)
{
    host_cpu = 1;
    vcpu_request(v, REQ_TLB);
    host_cpu = 0;
    during_run = NULL;
}

/*
 * Who asks while the guest runs sends an interrupt, once; and the request is served before the next
 * entry.
 */
static void test_kick(void **state)
{
    uint32_t before = host_kicks[0];

    (void)state;
    during_run = from_cpu1;
    turn();
    assert_int_equal(host_kicks[0], before + 1);
    turn();
    assert_int_equal(flushes, 1);
    vcpu_request(vm->vcpu[0], REQ_TLB); /* not in the guest: no interrupt */
    assert_int_equal(host_kicks[0], before + 1);
    turn();
    assert_int_equal(flushes, 2);
}

static void test_tlb_flush_waits_for_nobody_outside(void **state)
{
    (void)state;
    vm_tlb_flush(vm, gpa(0), 4096);
    turns(2);
    /* once each; vCPU 1 sleeps, and may get its turn later */
    assert_in_range(flushes, 1, 2);
    assert_false(vm->vcpu[0]->requests & REQ_TLB);
    assert_int_equal(flushes == 1, (vm->vcpu[1]->requests & REQ_TLB) != 0);
}

/* ---- life ---- */

static void test_pause(void **state)
{
    uint64_t t;
    unsigned before;

    (void)state;
    assert_int_equal(vm_resume(vm), -EBUSY);
    assert_int_equal(vm_pause(vm), 0);
    turns(4);
    assert_int_equal(vm->state, VM_PAUSED);
    assert_null(this_cpu()->loaded);
    t = vm_time_ns(vm);
    before = runs;
    turns(4);
    assert_int_equal(runs, before);
    assert_int_equal(vm_time_ns(vm), t);
    vcpu_request(vm->vcpu[0], REQ_IRQ); /* what wakes it does not let it run */
    turns(2);
    assert_int_equal(runs, before);
    assert_int_equal(vm_resume(vm), 0);
    turns(2);
    assert_true(runs > before);
    assert_true(vm_time_ns(vm) >= t && vm_time_ns(vm) < t + 10000000);
    assert_int_equal(vm_time_to_host(vm, vm_time_ns(vm)), host_now);
    assert_true(vm->time_offset_ns < 0); /* the end of the guest's time is not in the past */
    assert_int_equal(vm_time_to_host(vm, UINT64_MAX - 1), UINT64_MAX);
    assert_int_equal(vm_pause(vm), 0); /* and once more */
    turns(4);
    assert_int_equal(vm->state, VM_PAUSED);
}

/* Let go and asked again before it has run: it is not parked, although it was a moment ago. */
static void test_pause_again_at_once(void **state)
{
    (void)state;
    assert_int_equal(vm_pause(vm), 0);
    turns(4);
    assert_int_equal(vm->state, VM_PAUSED);
    assert_int_equal(vm_resume(vm), 0);
    assert_int_equal(vm_pause(vm), 0);
    /* CPU 0's loop, while the vCPUs wait for their turns */
    event_run();
    assert_int_equal(vm->state, VM_RUNNING);
    turns(4);
    assert_int_equal(vm->state, VM_PAUSED);
    assert_int_equal(vm_resume(vm), 0);
    turns(4);
    assert_int_equal(vm->vcpu[0]->requests & (REQ_PARK | REQ_PARKED), 0);
}

static void test_kill_paused(void **state)
{
    (void)state;
    assert_int_equal(vm_pause(vm), 0);
    turns(4);
    vm_kill(vm, "bad %d", 7);
    turns(4);
    assert_int_equal(vm->state, VM_CRASHED);
    assert_string_equal(vm->why, "bad 7");
}

static void test_exit_code(void **state)
{
    (void)state;
    vm_exited(vm, 33);
    vm_request_reset(vm, "later wishes do not count");
    turns(6);
    assert_int_equal(vm->state, VM_OFF);
    assert_int_equal(vm->exit_code, 33);
    assert_non_null(strstr(vm->why, "33"));
}

/*
 * What a device that is slow to end its work would still write to is not freed, whichever way the
 * guest goes.
 */
static void test_a_busy_device_keeps_the_memory(void **state)
{
    static void (*const ways[])(struct vm *, const char *) = { vm_request_off, vm_request_reset };
    struct pmm_stats s;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        unsigned ended = destroys;

        busy = 1;
        if (i < ARRAY_SIZE(ways))
            ways[i](vm, "test");
        else
            vm_kill(vm, "test");
        turns(6);
        pmm_stats(&s);
        assert_true(s.by_owner[PMM_GUEST] >= config.memory);
        assert_int_equal(destroys, ended);
        assert_int_equal(live_vcpus, 2);
        busy = 0;
        event_post(&vm->lifecycle);
        turns(8);
        assert_int_equal(destroys, ended + 1);
        if (vm->state != VM_RUNNING) {
            pmm_stats(&s);
            assert_int_equal(s.by_owner[PMM_GUEST], 0);
            assert_int_equal(vm_start(vm), 0);
            turns(8);
        }
        assert_int_equal(vm->state, VM_RUNNING);
    }
}

static void test_build_fails(void **state)
{
    char text[240];

    (void)state;
    vm_request_off(vm, "test");
    turns(6);
    handler_result = -ENOMEM;
    assert_int_equal(vm_start(vm), 0);
    turns(8);
    assert_int_equal(vm->state, VM_OFF);
    assert_true(vm->not_started);
    assert_string_equal(vm_why(vm, text, sizeof text), "did not start: not enough free memory");
}

/* The end of a guest is no consequence of a reset that was asked for before: it has its own reason.
 */
static void test_reason_after_reset(void **state)
{
    (void)state;
    busy = 1;
    vm_request_reset(vm, "reset from the console");
    vm_request_reset(vm, "another");
    assert_string_equal(vm->why, "reset from the console");
    vm_request_off(vm, "stopped from the console");
    vm_kill(vm, "what follows");
    assert_string_equal(vm->why, "stopped from the console");
    busy = 0;
    turns(6);
    assert_int_equal(vm->state, VM_CRASHED);
}

#define SECOND 1000000000ull

static void end_as(enum policy crash, enum policy reboot, enum policy off)
{
    config.on_crash = crash;
    config.on_reboot = reboot;
    config.on_poweroff = off;
}

/* It starts again: after a second, then two, then four; from the beginning when it ran for long. */
static void test_restarts(void **state)
{
    char text[240];

    (void)state;
    end_as(POLICY_RESTART, POLICY_RESTART, POLICY_STOP);
    for (unsigned i = 0; i < 4; i++) {
        if (i == 3)
            host_now += 61 * SECOND;
        vm_kill(vm, "bad");
        turns(8);
        assert_int_equal(vm->state, VM_CRASHED);
        snprintf(text, sizeof text, "starts again in %u s", i == 3 ? 1 : 1u << i);
        assert_non_null(strstr(vm_why(vm, (char[240]){ 0 }, 240), text));
        host_now += (i == 3 ? SECOND : SECOND << i) - SECOND / 2;
        turns(8);
        assert_int_equal(vm->state, VM_CRASHED);
        host_now += SECOND / 2;
        turns(10);
        assert_int_equal(vm->state, VM_RUNNING);
    }
    vm_kill(vm, "bad");
    turns(8);
    assert_true(vm_stay_down(vm));
    host_now += 70 * SECOND;
    turns(8);
    assert_int_equal(vm->state, VM_CRASHED);
    vm_request_off(vm, "no restart after this");
    end_as(POLICY_STOP, POLICY_RESTART, POLICY_STOP);
    assert_int_equal(vm_start(vm), 0);
    turns(8);
}

/* Slow resets wait after the third; those that somebody asked for never do. */
static void test_slow_resets_wait(void **state)
{
    (void)state;
    end_as(POLICY_STOP, POLICY_RESTART, POLICY_STOP);
    for (unsigned i = 0; i < 5; i++) {
        host_now += 6 * SECOND;
        vm_request_reset(vm, "panic=-1");
        turns(10);
        assert_int_equal(vm->state, i < 3 ? VM_RUNNING : VM_STARTING);
        assert_string_equal(vm->last_reset, "panic=-1");
        host_now += i < 3 ? 0 : SECOND << (i - 3);
        turns(10);
        assert_int_equal(vm->state, VM_RUNNING);
    }
    host_now += 6 * SECOND;
    vm_by_hand(vm);
    vm_request_reset(vm, "reset from the console");
    turns(10);
    assert_int_equal(vm->state, VM_RUNNING);
    host_now += 6 * SECOND;
    vm_request_reset(vm, "panic=-1"); /* it waits: a stop does not */
    turns(10);
    assert_int_equal(vm->state, VM_STARTING);
    vm_request_off(vm, "stopped");
    turns(10);
    assert_int_equal(vm->state, VM_OFF);
    assert_int_equal(vm_start(vm), 0);
    turns(10);
}

static void test_other_policies(void **state)
{
    (void)state;
    end_as(POLICY_HOLD, POLICY_STOP, POLICY_RESTART);
    vm_kill(vm, "bad");
    turns(8);
    assert_int_equal(vm->state, VM_PAUSED);
    assert_true(vm->held);
    assert_string_equal(vm_why(vm, (char[240]){ 0 }, 240), "held: bad");
    assert_int_equal(vm_resume(vm), -EBUSY);
    vm_by_hand(vm);
    vm_request_reset(vm, "reset from the console");
    turns(10);
    assert_int_equal(vm->state, VM_RUNNING);
    vm_kill(vm, "bad");
    turns(8);
    vm_by_hand(vm);
    vm_request_off(vm, "stopped");
    turns(8);
    assert_int_equal(vm->state, VM_OFF);
    assert_false(vm_stay_down(vm));
    assert_int_equal(vm_start(vm), 0);
    turns(8);
    vm_request_reset(vm, "it reboots");
    turns(8);
    assert_int_equal(vm->state, VM_OFF);
    assert_false(vm_stay_down(vm));
    assert_int_equal(vm_start(vm), 0);
    turns(8);
    vm_request_off(vm, "ACPI S5");
    turns(8);
    assert_int_equal(vm->state, VM_OFF);
    assert_true(vm_stay_down(vm));
    end_as(POLICY_STOP, POLICY_RESTART, POLICY_STOP);
    assert_int_equal(vm_start(vm), 0);
    turns(8);
}

static void test_left_out(void **state)
{
    char text[240];

    (void)state;
    vm_request_off(vm, "test");
    turns(6);
    vm_leave_out(vm, "it is for %s", "another");
    assert_int_equal(vm_start(vm), -ENOTSUP);
    assert_int_equal(vm->state, VM_OFF);
    assert_string_equal(vm_why(vm, text, sizeof text), "left out: it is for another");
    vm->left_out = false;
    assert_int_equal(vm_start(vm), 0);
}

static void test_off_while_starting(void **state)
{
    (void)state;
    vm_request_off(vm, "test");
    turns(6);
    assert_int_equal(vm_start(vm), 0);
    vm_request_off(vm, "changed my mind");
    turns(6);
    assert_int_equal(vm->state, VM_OFF);
    assert_int_equal(builds, 1);
}

/* A build in pieces: the guest starts after the last; may fail, or be stopped, in the middle. */
static void test_build_in_steps(void **state)
{
    static const struct {
        int result;
        bool off;
        uint32_t want;
    } cases[] = { { 0, false, VM_RUNNING }, { -EINVAL, false, VM_OFF }, { 0, true, VM_OFF } };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        vm_request_off(vm, "test");
        turns(6);
        runs = 0;
        more_steps = 5;
        off_at = cases[i].off ? 3 : 0;
        more_result = cases[i].result;
        assert_int_equal(vm_start(vm), 0);
        turns(12);
        assert_int_equal(more_steps, cases[i].off ? 2 : 0);
        assert_int_equal(vm->state, cases[i].want);
        assert_false(vm->building);
        assert_int_equal(runs > 0, cases[i].want == VM_RUNNING);
        more_steps = more_result = off_at = 0;
    }
}

static void test_names(void **state)
{
    struct vm *other;

    (void)state;
    assert_ptr_equal(vm_find("g"), vm);
    assert_null(vm_find("h"));
    assert_int_equal(vm_define(&config, &other), -EEXIST);
    assert_int_equal(vm_count(), 1);
    assert_null(vm_by_index(1));
}

/* One that trivet.conf names no more, and names again: first up, then off. */
static void test_removed(void **state)
{
    struct guest_config again = config;
    char why[240];
    struct vm *back;

    (void)state;
    vm_remove(vm);
    assert_false(vm_is_gone(vm));
    assert_int_equal(vm->state, VM_RUNNING);
    assert_non_null(strstr(vm_why(vm, why, sizeof why), "it goes when it is off"));
    vm_remove_not(vm);
    assert_string_equal(vm_why(vm, why, sizeof why), "");
    vm_remove(vm);
    vm_request_reset(vm, "test"); /* that is no end */
    turns(8);
    assert_int_equal(vm->state, VM_RUNNING);
    vm->own->on_poweroff = POLICY_RESTART; /* it must not */
    vm_request_off(vm, "test");
    turns(8);
    assert_int_equal(vm->state, VM_OFF);
    assert_true(vm_is_gone(vm));
    assert_int_equal(vm->again_ns, 0);
    assert_int_equal(vm_count(), 0);
    assert_null(vm_find("g"));
    vm->state = VM_CRASHED; /* the same for one that has crashed, and with a change that waits */
    assert_int_equal(vm_change(vm, &again, "memory"), 0);
    again.memory = 8 * MIB;
    assert_int_equal(vm_define(&again, &back), 0);
    assert_ptr_equal(back, vm);
    assert_int_equal(vm->state, VM_OFF);
    assert_null(vm->next);
    assert_string_equal(vm->unsaved, "");
    assert_false(vm_is_gone(vm));
    assert_ptr_equal(vm->config, &config); /* others have that pointer */
    assert_int_equal(config.memory, 8 * MIB);
    config.memory = 4 * MIB;
    assert_int_equal(vm_start(vm), 0);
    turns(8);
    assert_int_equal(vm->state, VM_RUNNING);
}

/* What trivet.conf says now: at once when it is off, else at its next start. */
static void test_reconfigured(void **state)
{
    struct guest_config next = config, first = config;
    char why[240];

    (void)state;
    assert_int_equal(vm_reconfigure(vm, &next, false), 0);
    next.line = 77; /* where it stands is nothing */
    assert_int_equal(vm_reconfigure(vm, &next, false), 0);
    next.weight = 7;
    assert_int_equal(vm_change(vm, &first, "memory"), 0);
    assert_int_equal(vm_reconfigure(vm, &next, false), 1);
    assert_string_equal(vm->unsaved, "");
    assert_int_equal(vm->config->weight, 100);
    assert_non_null(strstr(vm_why(vm, why, sizeof why), "a change waits"));
    assert_int_equal(vm_reconfigure(vm, &first, false), 0); /* back again */
    assert_string_equal(vm_why(vm, why, sizeof why), "");
    assert_int_equal(vm_reconfigure(vm, &first, true), 1); /* its files only */
    assert_non_null(strstr(vm_why(vm, why, sizeof why), "a change waits"));
    assert_int_equal(vm_reconfigure(vm, &next, false), 1);
    vm_request_off(vm, "test");
    turns(8);
    assert_int_equal(vm->config->weight, 100);
    assert_int_equal(vm_start(vm), 0);
    assert_int_equal(vm->config->weight, 7);
    assert_string_equal(vm_why(vm, why, sizeof why), "");
    vm_request_off(vm, "test");
    turns(8);
    assert_int_equal(vm->state, VM_OFF);
    assert_int_equal(vm_reconfigure(vm, &first, false), 1);
    assert_int_equal(vm->config->weight, 100); /* at once */
    assert_int_equal(vm_start(vm), 0);
    turns(8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_removed),
        T(test_reconfigured),
        T(test_table),
        T(test_handler_fails),
        T(test_fail_kills),
        T(test_triple_fault_resets),
        T(test_reset_loop),
        T(test_irq),
        T(test_wait),
        T(test_irq_window),
        T(test_nmi),
        T(test_nmis),
        T(test_halt),
        T(test_doze),
        T(test_halt_nmi),
        T(test_wait_sipi),
        T(test_kick),
        T(test_tlb_flush_waits_for_nobody_outside),
        T(test_pause),
        T(test_pause_again_at_once),
        T(test_kill_paused),
        T(test_exit_code),
        T(test_build_fails),
        T(test_reason_after_reset),
        T(test_left_out),
        T(test_restarts),
        T(test_slow_resets_wait),
        T(test_other_policies),
        T(test_a_busy_device_keeps_the_memory),
        T(test_build_in_steps),
        T(test_off_while_starting),
        T(test_names),
    };

    return cmocka_run_group_tests(tests, init, NULL);
}
