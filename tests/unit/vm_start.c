/* SPDX-License-Identifier: BSD-2-Clause */
/* What a VM costs, and how VMs that start share the CPU: see vm.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <hv/time.h>

#include "vm_fake.h"

/*
 * Trivet's memory for it is counted: the VM itself while it is off, more while it runs, and the
 * same again after that.
 */
static void test_charged(void **state)
{
    uint64_t running = vm->charge[CHARGE_OVERHEAD].used, kept = vm->charge[CHARGE_OVERHEAD].kept;
    uint64_t limit = vm->charge[CHARGE_OVERHEAD].limit;
    struct pmm_stats s;

    (void)state;
    assert_true(kept >= sizeof(struct vm));
    assert_true(running >= kept + 2 * sizeof(struct vcpu));
    assert_true(running <= vm->charge[CHARGE_OVERHEAD].limit);
    pmm_stats(&s);
    assert_int_equal(s.promised, vm->charge[CHARGE_OVERHEAD].limit - running);
    vm_request_off(vm, "test");
    turns(6);
    assert_int_equal(vm->charge[CHARGE_OVERHEAD].used, kept);
    assert_int_equal(vm->charge[CHARGE_OVERHEAD].limit, 0);
    assert_int_equal(charge_limit(vm, CHARGE_OVERHEAD), limit);
    pmm_stats(&s);
    assert_int_equal(s.promised, 0);
    assert_int_equal(vm_start(vm), 0);
    turns(8);
    assert_int_equal(vm->charge[CHARGE_OVERHEAD].used, running);
}

/*
 * With a limit of any size it starts, or does not and says which key to raise; nothing is left
 * behind.
 */
static void test_overhead_too_small(void **state)
{
    uint64_t need = vm->charge[CHARGE_OVERHEAD].used;
    bool last = false;

    (void)state;
    vm_request_off(vm, "test");
    turns(6);
    for (config.overhead = 64; config.overhead < need + 4096; config.overhead += 64) {
        bool up = vm_start(vm) == 0;

        if (up)
            turns(8);
        up = up && vm->state == VM_RUNNING;
        assert_true(up || !last);
        assert_true(up || (config.overhead < need && strstr(vm->why, "overhead = ") &&
                           strstr(vm->why, "raise it")));
        last = up;
        vm_request_off(vm, "test");
        turns(6);
        assert_int_equal(live_vcpus, 0);
        expect_all_back();
    }
    assert_true(last);
    config.overhead = 0;
    destroys = builds;
}

static struct vm *two[2];
static unsigned built;
static uint64_t tick; /* what looking at the clock takes */

uint64_t time_ns(void) { return host_now += tick; }

/* Nothing of the second's memory is zeroed when the first is built. */
static void expect_first(struct vm *m)
{
    assert_ptr_equal(m, two[built++]);
    assert_int_equal(two[1]->scrubbed, m == two[1]);
    if (m == two[0])
        assert_int_equal(two[1]->gmem.scrub_piece + two[1]->gmem.scrub_off, 0);
}

static void off(struct vm *m)
{
    if (m->state != VM_OFF)
        vm_request_off(m, "test");
    turns(12);
    assert_int_equal(m->state, VM_OFF);
}

/* Two that start together do so one after the other. */
static void test_starts_in_order(void **state)
{
    static struct guest_config configs[2];

    (void)state;
    off(vm);
    for (unsigned i = 0; i < 2; i++) {
        configs[i] = config;
        strcpy(configs[i].name, i ? "second" : "first");
        configs[i].memory = 12 * MIB;
        assert_int_equal(vm_define(&configs[i], &two[i]), 0);
    }
    assert_int_equal(vm_start(two[0]), 0);
    assert_int_equal(vm_start(two[1]), 0);
    during_build = expect_first;
    turns(12);
    during_build = NULL;
    assert_int_equal(built, 2);
    off(two[0]);
    off(two[1]);
    /* The one that is waited for is called off while its memory is zeroed. */
    configs[0].memory = 32 * MIB; /* more than is clean */
    assert_int_equal(vm_start(two[0]), 0);
    assert_int_equal(vm_start(two[1]), 0);
    tick = 1000000;
    for (unsigned n = 0; !two[0]->gmem.scrub_off && n < 20; n++)
        turn();
    assert_true(two[0]->gmem.scrub_off && !two[0]->scrubbed);
    tick = 0;
    vm_request_off(two[0], "changed my mind");
    turns(24);
    assert_int_equal(two[0]->state, VM_OFF);
    assert_int_equal(two[1]->state, VM_RUNNING);
    off(two[1]);
}

static uint32_t ran; /* a bit for each vCPU */
static void note_run(struct vcpu *v) { ran |= 1u << v->id; }
static void begin_all(struct vm *m) { m->vcpu[1]->mp = MP_RUNNABLE; }

/* Every vCPU that a guest begins with runs, and no other: firmware of riscv64 guests expects all.
 */
static void test_who_begins(void **state)
{
    (void)state;
    off(vm);
    during_run = note_run;
    for (unsigned all = 0; all < 2; all++) {
        ran = 0;
        during_build = all ? begin_all : NULL;
        assert_int_equal(vm_start(vm), 0);
        turns(12);
        assert_int_equal(vm->state, VM_RUNNING);
        assert_int_equal(ran, all ? 3 : 1);
        off(vm);
    }
    during_run = NULL;
    during_build = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_charged),
        T(test_overhead_too_small),
        T(test_starts_in_order),
        T(test_who_begins),
    };

    return cmocka_run_group_tests(tests, init, NULL);
}
