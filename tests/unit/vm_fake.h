/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An engine and a guest that do what a test says, on a machine of one CPU: what tests/unit/vm.c
 * stands on. Included once, behind <cmocka.h>.
 */
#pragma once
#include <hv/guest.h>
#include <hv/irq.h>
#include <hv/pci.h>
#include <hv/percpu.h>
#include <hv/pmm.h>
#include <hv/save.h>
#include <hv/state.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include <string.h>

#include "arch/host/host.h"

/* ---- the engine: each run() ends with the next exit of the script, then with interrupts ---- */

static struct vcpu_exit script[16];
static unsigned nscript, next_exit, runs, loads, unloads, flushes, windows, nmi_windows;
static bool ready, nmi_open, window_on;
static struct vcpu_event seen;
static void (*during_run)(struct vcpu *);
static unsigned waits;
static void (*during_wait)(void);
static unsigned calls[EXIT_REASONS], builds, destroys, live_vcpus;
static int handler_result, pending_vec, accepted;
static bool wake_up;
static struct guest_config config = { .name = "g",
                                      .isa = ISA_X86_64,
                                      .memory = 4 * MIB,
                                      .vcpus = 2,
                                      .weight = 100,
                                      .on_crash = POLICY_STOP,
                                      .on_poweroff = POLICY_STOP };
static struct vm *vm;

static int fake_ok(struct vm *m)
{
    (void)m;
    return 0;
}
static void fake_void(struct vm *m) { (void)m; }
static int fake_vcpu_init(struct vcpu *v)
{
    (void)v;
    live_vcpus++;
    return 0;
}
static void fake_vcpu_fini(struct vcpu *v)
{
    (void)v;
    live_vcpus--;
}
static void fake_load(struct vcpu *v)
{
    (void)v;
    loads++;
}
static void fake_unload(struct vcpu *v)
{
    (void)v;
    unloads++;
}
static bool fake_irq_ready(struct vcpu *v) { return ready && v->event.type == VEV_NONE; }
static bool fake_nmi_ready(struct vcpu *v) { return nmi_open && v->event.type == VEV_NONE; }
static void fake_irq_window(struct vcpu *v, bool on)
{
    (void)v;
    window_on = on;
    windows += on;
}
static void fake_nmi_window(struct vcpu *v)
{
    (void)v;
    nmi_windows++;
}
static void fake_vcpu_flush(struct vcpu *v)
{
    (void)v;
    flushes++;
}
static void fake_flush(struct vm *m, gpa_t at, uint64_t len) { (void)m, (void)at, (void)len; }

static void fake_run(struct vcpu *v, struct vcpu_exit *e)
{
    assert_ptr_equal(this_cpu()->loaded, v);
    assert_ptr_equal(this_cpu()->view, &v->vm->gmem.view);
    assert_false(v->requests & REQ_PARK);
    runs++;
    seen = v->event;
    v->event.type = VEV_NONE;
    if (during_run)
        during_run(v);
    if (next_exit < nscript) {
        *e = script[next_exit++];
    } else {
        e->reason = EXIT_IRQ;
        this_cpu()->wake = 1;
    }
}

/* Without stage 2; a test that wants one sets it before start(). */
static struct vcpu_ops engine = {
    .name = "fake",
    .guest_isas = 1,
    .vm_init = fake_ok,
    .vm_fini = fake_void,
    .vcpu_init = fake_vcpu_init,
    .vcpu_fini = fake_vcpu_fini,
    .load = fake_load,
    .unload = fake_unload,
    .run = fake_run,
    .irq_ready = fake_irq_ready,
    .nmi_ready = fake_nmi_ready,
    .irq_window = fake_irq_window,
    .nmi_window = fake_nmi_window,
    .tlb_flush = fake_flush,
    .vcpu_tlb_flush = fake_vcpu_flush,
};
const struct vcpu_ops *engine_for(enum isa isa, unsigned n)
{
    return isa == ISA_X86_64 && n == 0 ? &engine : NULL;
}
enum isa engine_default_isa(void) { return ISA_X86_64; }

/* ---- the guest ---- */

static int count(struct vcpu *v, struct vcpu_exit *e)
{
    (void)v;
    calls[e->reason]++;
    return handler_result;
}

static int halt(struct vcpu *v, struct vcpu_exit *e)
{
    v->mp = MP_HALTED;
    return count(v, e);
}

static void (*during_build)(struct vm *);
static int build(struct vm *m, const struct guest_config *c)
{
    (void)c;
    builds++;
    m->vcpu[1]->mp = MP_WAIT_SIPI;
    if (during_build)
        during_build(m);
    return handler_result;
}

/* > 0: so many more steps; -Exxx after that. */
static int more_steps, more_result, off_at;
static int build_more(struct vm *m)
{
    assert_int_equal(m->state, VM_STARTING);
    if (off_at && more_steps == off_at)
        vm_request_off(m, "in the middle");
    return more_steps > 0 ? more_steps-- : more_result;
}

static int layout(struct vm *m, const struct guest_config *c)
{
    return gmem_add_ram(m, gpa(0), c->memory);
}
static void destroy(struct vm *m)
{
    (void)m;
    destroys++;
}
static unsigned busy; /* a device still works */
static int quiesce(struct vm *m)
{
    (void)m;
    return busy ? -EINPROGRESS : 0;
}
static bool release(struct vm *m)
{
    (void)m;
    return false;
}
static bool wakeable(struct vcpu *v)
{
    (void)v;
    return wake_up;
}
static void request(struct vcpu *v) { v->mp = MP_RUNNABLE; }
static int pending(struct vcpu *v)
{
    (void)v;
    return pending_vec;
}
static int accept(struct vcpu *v, int vec)
{
    (void)v;
    accepted = vec;
    pending_vec = -1;
    return vec;
}

/* A device with a state of a byte, which takes as long to stand still as a test says. */
static uint8_t fake_device_value;
static int fake_standing, fake_refuses;
static int fake_stand(struct vm *m, uint32_t i)
{
    (void)m, (void)i;
    return fake_standing;
}
static size_t fake_state_size(const struct vm *m, uint32_t i)
{
    (void)m, (void)i;
    return 1;
}
static int fake_state_save(struct vm *m, uint32_t i, void *buf)
{
    (void)m, (void)i;
    *(uint8_t *)buf = fake_device_value;
    return 0;
}
static int fake_state_restore(struct vm *m, uint32_t i, const void *buf)
{
    (void)m, (void)i;
    if (!fake_refuses)
        fake_device_value = *(const uint8_t *)buf;
    return fake_refuses;
}
static const struct state_ops fake_device = { .name = "device",
                                              .kind = STATE_KBC,
                                              .version = 1,
                                              .quiesce = fake_stand,
                                              .size = fake_state_size,
                                              .save = fake_state_save,
                                              .restore = fake_state_restore };
static state_table fake_objects = { &fake_device, NULL };

static const struct vintc_ops vintc = { .pending = pending, .accept = accept };
static const struct guest_ops guest = {
    .isa = ISA_X86_64,
    .build = build,
    .build_more = build_more,
    .quiesce = quiesce,
    .destroy = destroy,
    .release = release,
    .ram_layout = layout,
    .emulate = count,
    .pio = count,
    .sysreg = count,
    .exits = { { "cpuid", count } },
    .call = count,
    .halt = halt,
    .request = request,
    .wakeable = wakeable,
    .vintc = &vintc,
    .state = fake_objects,
};
const struct guest_ops *guest_ops_for(enum isa isa) { return isa == ISA_X86_64 ? &guest : NULL; }

/* ---- a machine of one CPU ---- */

static void post_it(void) { this_cpu()->wake = 1; }

void irq_wait(void)
{
    waits++;
    host_now += 5000000;
    during_wait();
}

static void turn(void)
{
    struct percpu *c = this_cpu();

    c->wake = 0;
    host_now += 1000000;
    event_run();
    view_enter(c, NULL); /* another guest's work */
    struct vcpu *v = sched_pick();
    if (!v)
        return;
    c->current = v;
    vcpu_run(v);
    c->current = NULL;
}

static void turns(unsigned n)
{
    while (n--)
        turn();
}

__attribute__((unused)) static void exits(const enum exit_reason *r, unsigned n)
{
    nscript = n;
    next_exit = 0;
    for (unsigned i = 0; i < n; i++)
        script[i] = (struct vcpu_exit){ .reason = r[i], .insn_len = 2 };
    turns(2);
    assert_int_equal(next_exit, n);
}

static int start(void **state)
{
    (void)state;
    nscript = next_exit = runs = loads = unloads = flushes = windows = nmi_windows = builds =
        destroys = 0;
    memset(calls, 0, sizeof calls);
    handler_result = more_steps = more_result = 0;
    pending_vec = -1;
    during_run = NULL;
    during_wait = post_it;
    ready = nmi_open = true;
    wake_up = false;
    if (!vm)
        assert_int_equal(vm_define(&config, &vm), 0);
    assert_int_equal(vm_start(vm), 0);
    assert_int_equal(vm->state, VM_STARTING);
    assert_int_equal(vm_start(vm), -EBUSY);
    turns(8);
    assert_int_equal(vm->state, VM_RUNNING);
    assert_int_equal(builds, 1);
    assert_true(runs > 0);
    return 0;
}

static void expect_all_back(void)
{
    for (unsigned k = 0; k < CHARGES; k++)
        assert_int_equal(vm->charge[k].used, vm->charge[k].kept);
}

static int stop(void **state)
{
    struct pmm_stats s;

    (void)state;
    if (vm->state != VM_OFF && vm->state != VM_CRASHED)
        vm_request_off(vm, "test");
    turns(6);
    assert_true(vm->state == VM_OFF || vm->state == VM_CRASHED);
    assert_int_equal(live_vcpus, 0);
    assert_int_equal(destroys, builds);
    assert_int_equal(loads, unloads);
    expect_all_back();
    assert_null(this_cpu()->view);
    pmm_stats(&s);
    assert_int_equal(s.promised, 0);
    assert_int_equal(s.by_owner[PMM_GUEST], 0);
    return 0;
}

/* A test of one running guest; init is the group's. */
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)

__attribute__((unused)) static int init(void **state)
{
    (void)state;
    host_init(1, 128 * MIB);
    return 0;
}
