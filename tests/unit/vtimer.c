/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's generic timers: the virtual one through its hardware list register, the physical one
 * by events.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/vgic_fakes.h"

#define VIRT 27u
#define PHYS 30u

static int start(void **state)
{
    (void)state;
    host_now += 12345;
    fake_start(3, 2);
    wr(GICD(0), 2);
    for (unsigned v = 0; v < 2; v++) {
        wr(GICS(v, 0x80), ~0u);
        wr(GICS(v, 0x100), 1u << VIRT | 1u << PHYS);
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fake_stop();
    return 0;
}

static uint64_t count(void) { return host_now - fake_cpu[0].cntvoff; }

static uint64_t get(unsigned v, uint32_t id)
{
    uint64_t val = ~0ull;

    on(v);
    assert_int_equal(vgic_sysreg(&fake_vcpu[v], id, false, &val), 0);
    return val;
}

static void set(unsigned v, uint32_t id, uint64_t val)
{
    on(v);
    assert_int_equal(vgic_sysreg(&fake_vcpu[v], id, true, &val), 0);
}

/* The engine's part: the host's interrupt arrives while v is loaded. */
static void fire(unsigned v)
{
    on(v);
    assert_false(fake_cpu[v].phys_active);
    fake_cpu[v].phys_active = 1;
    arm_vtimer_irq(&fake_vcpu[v]);
}

static void arm(unsigned v, uint64_t in)
{
    fake_cpu[v].cntv_cval = count() + in;
    fake_cpu[v].cntv_ctl = 1;
}

static void unload(unsigned v)
{
    arm_vtimer_unloaded(&fake_vcpu[v], fake_cpu[v].cntv_ctl, fake_cpu[v].cntv_cval);
    this_cpu()->loaded = NULL;
    fake_cpu[v].phys_active = 0;
}

static void load(unsigned v)
{
    this_cpu()->loaded = &fake_vcpu[v];
    fake_cpu[v].phys_active = arm_vtimer_active(&fake_vcpu[v]);
    arm_vtimer_loaded(&fake_vcpu[v]);
}

static void test_fires(void **state)
{
    (void)state;
    arm(0, 0);
    fire(0);
    assert_true(arm_vtimer_active(&fake_vcpu[0]));
    assert_int_equal(ack(0), VIRT);
    assert_true(cpu_of(0)->gic.lr[0] & ARM_LR_HW);
    assert_int_equal(cpu_of(0)->gic.lr[0] >> ARM_LR_PINTID_SHIFT & 0x3ff, VIRT);
    assert_false(cpu_of(0)->gic.lr[0] & ARM_LR_EOI);
    assert_true(arm_vtimer_active(&fake_vcpu[0]));
    arm(0, 1000);
    /* the hardware deactivates the physical one */
    eoi(0, VIRT);
    assert_int_equal(fake_cpu[0].phys_active, 0);
    assert_false(arm_vtimer_active(&fake_vcpu[0]));
    assert_int_equal(take(0), SPURIOUS);
    assert_false(fake_vcpu[0].vintc_hooks);
    arm(0, 0);
    fire(0);
    assert_int_equal(take(0), VIRT);
}

/* The guest turns its timer off, or moves it on, before it took the interrupt. */
static void test_dropped(void **state)
{
    (void)state;
    arm(0, 0);
    fire(0);
    enter_guest(0);
    assert_int_equal(cpu_of(0)->gic.used, 1);
    fake_cpu[0].cntv_ctl = 0;
    leave(0);
    assert_int_equal(cpu_of(0)->gic.used, 0);
    assert_int_equal(fake_cpu[0].phys_active, 0);
    assert_false(arm_vtimer_active(&fake_vcpu[0]));
    arm(0, 0);
    wr(GICS(0, 0x180), 1u << VIRT); /* while it is disabled in the GIC */
    fire(0);
    assert_int_equal(take(0), SPURIOUS);
    assert_int_equal(fake_cpu[0].phys_active, 1);
    assert_int_equal(rd(GICS(0, 0x200)), 1u << VIRT);
    arm(0, 500);
    wr(GICS(0, 0x100), 1u << VIRT);
    assert_int_equal(take(0), SPURIOUS);
    assert_int_equal(fake_cpu[0].phys_active, 0);
    arm(0, 0);
    fire(0);
    assert_int_equal(take(0), VIRT);
}

static void test_deactivated_by_mmio(void **state)
{
    (void)state;
    arm(0, 0);
    fire(0);
    assert_int_equal(ack(0), VIRT);
    wr(GICS(0, 0x380), 1u << VIRT);
    fake_cpu[0].depth = 0;
    visit(0);
    assert_int_equal(fake_cpu[0].phys_active, 0);
    assert_int_equal(rd(GICS(0, 0x300)), 0);
    fire(0);
    assert_int_equal(ack(0), VIRT);
    on(1); /* by another vCPU: its own CPU does it */
    wr(GICS(0, 0x380), 1u << VIRT);
    fake_cpu[0].depth = 0;
    visit(0);
    assert_int_equal(fake_cpu[0].phys_active, 0);
    wr(GICS(0, 0x200), 1u << VIRT); /* pending by software: not the hardware's */
    fake_cpu[0].cntv_ctl = 0;
    assert_int_equal(ack(0), VIRT);
    assert_false(cpu_of(0)->gic.lr[0] & ARM_LR_HW);
    eoi(0, VIRT);
    assert_int_equal(take(0), SPURIOUS);
}

static void test_unloaded(void **state)
{
    (void)state;
    arm(0, 5000);
    unload(0);
    this_cpu()->current = NULL;
    fake_vcpu[0].requests = 0;
    advance(4000);
    assert_int_equal(fake_vcpu[0].requests, 0);
    advance(2000);
    assert_int_equal(fake_vcpu[0].requests, REQ_IRQ); /* it wakes */
    on(0);
    this_cpu()->loaded = NULL;
    assert_true(wakes(0));
    load(0);
    assert_int_equal(fake_cpu[0].phys_active, 1);
    assert_int_equal(take(0), VIRT);
    assert_int_equal(fake_cpu[0].phys_active, 0);
    arm(0, 5000); /* loaded again in time: no event */
    unload(0);
    load(0);
    fake_vcpu[0].requests = 0;
    advance(10000);
    assert_int_equal(fake_vcpu[0].requests, 0);
    arm(0, 5000); /* off or masked: none either */
    fake_cpu[0].cntv_ctl = 3;
    unload(0);
    assert_int_equal(event_next(), UINT64_MAX);
    fake_cpu[0].cntv_ctl = 1;
    fake_cpu[0].cntv_cval = ~0ull; /* far away */
    unload(0);
    assert_true(event_next() > host_now + 1000000000ull * 3600);
    load(0);
}

/* In a handler while the vCPU changes its CPU. */
static void test_moves_active(void **state)
{
    (void)state;
    arm(0, 0);
    fire(0);
    assert_int_equal(ack(0), VIRT);
    unload(0);
    load(0);
    assert_int_equal(fake_cpu[0].phys_active, 1);
    eoi(0, VIRT);
    assert_int_equal(fake_cpu[0].phys_active, 0);
}

static void test_pause(void **state)
{
    uint64_t before;

    (void)state;
    arm(0, 5000);
    set(1, ARM_CNTP_CVAL_EL0, count() + 6000);
    set(1, ARM_CNTP_CTL_EL0, 1);
    on(0);
    unload(0);
    advance(1000);
    before = count();
    this_cpu()->current = NULL;
    assert_int_equal(vgic_state.quiesce(&fake_vm, 0), 0);
    fake_vm.paused_ns = host_now;
    fake_vcpu[0].requests = 0;
    assert_int_equal(event_next(), UINT64_MAX);
    advance(100000);
    assert_int_equal(fake_vcpu[0].requests & REQ_IRQ, 0);
    fake_vm.time_offset_ns -= (int64_t)(host_now - fake_vm.paused_ns);
    fake_vm.paused_ns = 0;
    resume_parked();
    assert_int_equal(count(), before);
    assert_int_equal(fake_cpu[1].cntvoff, fake_cpu[0].cntvoff);
    advance(3990);
    assert_int_equal(take(0), SPURIOUS);
    on(0);
    unload(0);
    advance(20);
    assert_true(fake_vcpu[0].requests & REQ_IRQ);
    load(0);
    assert_int_equal(take(0), VIRT);
    assert_int_equal(take(1), SPURIOUS);
    advance(1000);
    assert_int_equal(take(1), PHYS);
}

/* Woken just before the pause: afterwards it is too early, and must wake again. */
static void test_pause_race(void **state)
{
    (void)state;
    arm(0, 1000);
    unload(0);
    advance(1001);
    assert_true(fake_vcpu[0].requests & REQ_IRQ);
    fake_cpu[0].cntvoff += 500;
    ((struct vgic *)fake_vm.vintc)->cntvoff += 500;
    this_cpu()->current = &fake_vcpu[0];
    fake_vcpu[0].requests = 0;
    assert_false(wakes(0));
    advance(600);
    assert_true(fake_vcpu[0].requests & REQ_IRQ);
    assert_true(wakes(0));
    load(0);
    assert_int_equal(take(0), VIRT);
}

static void test_phys(void **state)
{
    (void)state;
    assert_int_equal(get(0, ARM_CNTPCT_EL0), count());
    advance(100);
    assert_int_equal(get(0, ARM_CNTPCT_EL0), count());
    set(0, ARM_CNTP_TVAL_EL0, 1000);
    assert_int_equal(get(0, ARM_CNTP_CVAL_EL0), count() + 1000);
    assert_int_equal(get(0, ARM_CNTP_TVAL_EL0), 1000);
    advance(1500);
    assert_int_equal(take(0), SPURIOUS); /* not enabled */
    assert_int_equal(get(0, ARM_CNTP_CTL_EL0), 0);
    assert_int_equal(get(0, ARM_CNTP_TVAL_EL0), (uint32_t)-500);
    set(0, ARM_CNTP_CTL_EL0, 1); /* past: at once */
    assert_int_equal(get(0, ARM_CNTP_CTL_EL0), 5);
    assert_int_equal(ack(0), PHYS);
    assert_true(cpu_of(0)->gic.lr[0] & ARM_LR_EOI);
    assert_int_equal(rd(GICS(0, 0x300)), 1u << PHYS);
    eoi(0, PHYS);
    assert_int_equal(take(0), PHYS); /* a level: until the guest moves it */
    set(0, ARM_CNTP_TVAL_EL0, 2000);
    assert_int_equal(get(0, ARM_CNTP_CTL_EL0), 1);
    assert_int_equal(take(0), SPURIOUS);
    advance(1000);
    assert_int_equal(take(0), SPURIOUS);
    advance(1001);
    assert_int_equal(ack(0), PHYS);
    set(0, ARM_CNTP_CTL_EL0, 3); /* masked */
    assert_int_equal(get(0, ARM_CNTP_CTL_EL0), 7);
    eoi(0, PHYS);
    assert_int_equal(take(0), SPURIOUS);
    set(0, ARM_CNTP_TVAL_EL0, (uint32_t)-100); /* signed: in the past */
    set(0, ARM_CNTP_CTL_EL0, 1);
    (void)attend(0);
    assert_int_equal(cpu_of(0)->gic.used, 1);
    set(0, ARM_CNTP_CTL_EL0, 0); /* taken back */
    assert_int_equal(take(0), SPURIOUS);
    set(0, ARM_CNTP_CVAL_EL0, ~0ull);
    set(0, ARM_CNTP_CTL_EL0, 1);
    assert_int_equal(get(0, ARM_CNTP_CTL_EL0), 1);
    vgic_vcpu_reset(&fake_vcpu[0]);
    assert_int_equal(get(0, ARM_CNTP_CTL_EL0), 0);
    assert_int_equal(event_next(), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fires, start, stop),
        cmocka_unit_test_setup_teardown(test_dropped, start, stop),
        cmocka_unit_test_setup_teardown(test_deactivated_by_mmio, start, stop),
        cmocka_unit_test_setup_teardown(test_unloaded, start, stop),
        cmocka_unit_test_setup_teardown(test_moves_active, start, stop),
        cmocka_unit_test_setup_teardown(test_pause, start, stop),
        cmocka_unit_test_setup_teardown(test_pause_race, start, stop),
        cmocka_unit_test_setup_teardown(test_phys, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
