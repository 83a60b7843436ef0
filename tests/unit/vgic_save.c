/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A saved state of the guest's GIC and timers, put back into a machine that was just made, behaves
 * as the first would have.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/vgic_fakes.h"

#define VCPUS 3
#define SEEN 96
static _Alignas(8) uint8_t saved[128 * 1024];
static struct fake_cpu engine[VCPUS]; /* saved and put back by others */
static uint32_t seen[2][SEEN];
static unsigned nseen;

static void make(unsigned version, unsigned lrs)
{
    fake_lrs = lrs;
    fake_start(version, VCPUS);
}

static void set_up(void)
{
    wr(GICD(0), 3);
    for (unsigned n = 0; n < VCPUS; n++) {
        on(n);
        wr(fake_version == 2 ? GICD(0x100) : GICS(n, 0x100), ~0u);
        for (unsigned k = 0; k < 32; k += 4)
            wr((fake_version == 2 ? GICD(0x400) : GICS(n, 0x400)) + k, 0xa0a0a0a0);
    }
    on(0);
    for (unsigned k = 32; k < 128; k += 4)
        wr(GICD(0x400 + k), 0xa0a0a0a0);
    wr(GICD(0x104), ~0u);
    wr(GICD(0x108), ~0u);
    wr(GICD(0xc10), 0xaaaaaaaa); /* 64..79: edges */
    for (unsigned id = 32; id < 96; id++)
        if (fake_version == 2)
            wr8(GICD(0x800 + id), (uint8_t)(1u << id % 2));
        else
            wr64(GICD(0x6000 + 8 * id), id % 2);
}

static void pulse(unsigned id)
{
    virq_set(&fake_vm, id, true);
    virq_set(&fake_vm, id, false);
}

static void sgi(unsigned from, unsigned to, unsigned id)
{
    uint64_t val = (uint64_t)id << 24 | 1u << to;

    on(from);
    if (fake_version == 2)
        wr(GICD(0xf00), 0x10000u << to | id);
    else
        assert_int_equal(vgic_sysreg(&fake_vcpu[from], ARM_ICC_SGI0R_EL1, true, &val), 0);
}

/*
 * Something in each place: list registers, active in and out of them, ready, raised and not looked
 * at, disabled; both timers.
 */
static void before(void)
{
    uint64_t val = 0;

    for (unsigned n = 0; n < 5; n++) { /* nested: more than list registers */
        wr8(GICD(0x400 + 64 + 2 * n), (uint8_t)(0x80 - 8 * n));
        pulse(64 + 2 * n);
        assert_int_equal(ack(0), 64 + 2 * n);
    }
    virq_set(&fake_vm, 33, true); /* a level, active and still high */
    assert_int_equal(ack(1), 33);
    wr8(GICD(0x400 + 67), 0xb0);
    pulse(65); /* in a list register of vCPU 1, not taken */
    pulse(67);
    (void)attend(1);
    pulse(67);
    wr(GICD(0x188), 1u << 15); /* disabled, pending */
    pulse(79);
    virq_set(&fake_vm, 35, true);
    sgi(0, 2, 5);
    sgi(1, 2, 5);
    sgi(1, 0, 7);
    (void)attend(0);
    fake_cpu[2].cntv_cval = host_now - fake_cpu[2].cntvoff + 5000;
    fake_cpu[2].cntv_ctl = 1;
    on(2);
    val = host_now - fake_cpu[2].cntvoff + 9000;
    assert_int_equal(vgic_sysreg(&fake_vcpu[2], ARM_CNTP_CVAL_EL0, true, &val), 0);
    val = 1;
    assert_int_equal(vgic_sysreg(&fake_vcpu[2], ARM_CNTP_CTL_EL0, true, &val), 0);
}

static void note(unsigned run, uint32_t what)
{
    assert_in_range(nseen, 0, SEEN - 1);
    seen[run][nseen++] = what;
}

/* What the guest sees from then on. */
static void after(unsigned run)
{
    nseen = 0;
    this_cpu()->loaded = this_cpu()->current = NULL;
    advance(20000);
    for (unsigned v = 0; v < VCPUS; v++) {
        on(v);
        for (unsigned reg = 0x80; reg < 0x400; reg += 0x80)
            note(run, fake_version == 2 ? rd(GICD(reg)) : rd(GICS(v, reg)));
    }
    for (unsigned reg = 0x100; reg < 0x400; reg += 0x100)
        for (unsigned k = 4; k < 16; k += 4)
            note(run, rd(GICD(reg + k)));
    fake_cpu[2].cntv_ctl = 0;
    for (unsigned n = 0; n < 4; n++)
        note(run, take(2));
    virq_set(&fake_vm, 35, false);
    for (unsigned n = 5; n-- > 0;) {
        eoi(0, 64 + 2 * n);
        note(run, rd(GICD(0x308)));
    }
    note(run, take(0));
    note(run, take(0));
    eoi(1, 33);
    virq_set(&fake_vm, 33, false);
    for (unsigned n = 0; n < 4; n++)
        note(run, take(1));
    on(0);
    wr(GICD(0x108), 1u << 15);
    note(run, take(1));
    note(run, take(1));
    for (unsigned v = 0; v < VCPUS; v++) {
        note(run, cpu_of(v)->gic.used);
        note(run, cpu_of(v)->nready);
        note(run, cpu_of(v)->active_out);
    }
}

static void round_trip(unsigned version, unsigned lrs)
{
    size_t len;

    make(version, 4);
    set_up();
    before();
    len = vgic_save_size(&fake_vm);
    assert_in_range(len, 1, sizeof saved);
    assert_int_equal(vgic_save(&fake_vm, saved, len), 0);
    memcpy(engine, fake_cpu, sizeof engine);
    /* as parking does */
    arm_vtimer_unloaded(&fake_vcpu[2], fake_cpu[2].cntv_ctl, fake_cpu[2].cntv_cval);
    uint64_t then = host_now;
    after(0);
    fake_stop();
    host_now = then;
    make(version, lrs);
    memcpy(fake_cpu, engine, sizeof engine);
    assert_int_equal(restore_parked(saved, len), 0);
    after(1);
    assert_memory_equal(seen[0], seen[1], nseen * sizeof seen[0][0]);
    fake_stop();
}

static void test_v3(void **state)
{
    (void)state;
    round_trip(3, 4);
}
static void test_v2(void **state)
{
    (void)state;
    round_trip(2, 4);
}
static void test_more_registers(void **state)
{
    (void)state;
    round_trip(3, 16);
}
static void test_fewer_registers(void **state)
{
    (void)state;
    round_trip(3, 2);
}

/* With an ITS: an LPI that waits, and commands that were not yet done. */
static void test_lpi(void **state)
{
    struct vgic *g;

    (void)state;
    make(3, 4);
    wr(GICD(0), 3);
    g = fake_vm.vintc;
    fake_ram[0x123] = 0xa1;
    wr64(GICR(1, 0x70), PLAT_RAM | 13);
    wr64(GICR(1, 0x78), PLAT_RAM + 0x10000);
    wr(GICR(1, 0), 1);
    g->lpi[0x123 / 32].route[3] = 1;
    g->lpi[0x123 / 32].enabled = g->lpi[0x123 / 32].latch = 8;
    g->lpi[0x123 / 32].prio[3] = 0xa0;
    wr64(GITS(0x80), PLAT_RAM + 0x50000 | 1ull << 63);
    g->its.s.ctlr = 1;
    g->its.s.cwriter = 0x60;
    assert_int_equal(vgic_save(&fake_vm, saved, vgic_save_size(&fake_vm)), 0);
    fake_stop();
    make(3, 4);
    g = fake_vm.vintc;
    assert_int_equal(restore_parked(saved, vgic_save_size(&fake_vm)), 0);
    assert_int_equal(rd64(GITS(0x90)), 0);
    assert_int_equal(rd64(GICR(1, 0x70)), PLAT_RAM | 13);
    (void)event_run();
    assert_int_equal(rd64(GITS(0x90)), 0x60);
    assert_int_equal(take(1), 8192 + 0x123);
    assert_int_equal(take(1), SPURIOUS);
    fake_stop();
}

/* What cannot be is refused, and nothing is changed. */
static void test_refused(void **state)
{
    size_t len;
    uint32_t *words = (uint32_t *)saved;

    (void)state;
    make(3, 4);
    set_up();
    pulse(65);
    (void)attend(1);
    len = vgic_save_size(&fake_vm);
    assert_int_equal(vgic_save(&fake_vm, saved, len - 8), -EINVAL);
    assert_int_equal(vgic_save(&fake_vm, saved, len), 0);
    assert_int_equal(vgic_restore(&fake_vm, saved, len - 8), -EINVAL);
    words[0]++; /* another version */
    assert_int_equal(vgic_restore(&fake_vm, saved, len), -EINVAL);
    words[0]--;
    /* the list register names an interrupt that there is not */
    for (size_t n = 0; n < len; n++)
        if (n % 8 == 0 && *(uint64_t *)(saved + n) == cpu_of(1)->gic.lr[0])
            *(uint64_t *)(saved + n) += 1000;
    assert_int_equal(vgic_restore(&fake_vm, saved, len), -EINVAL);
    assert_int_equal(take(1), 65);
    fake_stop();
    make(2, 4); /* another machine */
    assert_int_equal(vgic_restore(&fake_vm, saved, vgic_save_size(&fake_vm)), -EINVAL);
    fake_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v3),
        cmocka_unit_test(test_v2),
        cmocka_unit_test(test_more_registers),
        cmocka_unit_test(test_fewer_registers),
        cmocka_unit_test(test_lpi),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
