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
#include "hv/guest/aarch64/vgic_saved.h"

#define VCPUS 3
#define SEEN 96
static _Alignas(8) uint8_t saved[128 * 1024], again[128 * 1024], good[128 * 1024];
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
    /* as parking does */
    arm_vtimer_unloaded(&fake_vcpu[2], fake_cpu[2].cntv_ctl, fake_cpu[2].cntv_cval);
    len = saved_size();
    assert_in_range(len, 1, sizeof saved);
    save_parked(saved);
    memcpy(engine, fake_cpu, sizeof engine);
    uint64_t then = host_now;
    resume_parked();
    after(0);
    fake_stop();
    host_now = then;
    make(version, lrs);
    memcpy(fake_cpu, engine, sizeof engine);
    assert_int_equal(restore_only(saved), 0);
    save_parked(again);
    if (lrs >= 4)
        assert_memory_equal(saved, again, len);
    resume_parked();
    on(0);
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
    g->lpi[0x123 / 32].route[3] = g->lpi[0x123 / 32].home[3] = 1;
    g->lpi[0x123 / 32].enabled = g->lpi[0x123 / 32].latch = 8;
    g->lpi[0x123 / 32].prio[3] = 0xa0;
    wr64(GITS(0x80), PLAT_RAM + 0x50000 | 1ull << 63);
    g->its.s.ctlr = 1;
    g->its.s.cwriter = 0x60;
    save_parked(saved);
    fake_stop();
    make(3, 4);
    g = fake_vm.vintc;
    assert_int_equal(restore_parked(saved), 0);
    assert_int_equal(rd64(GITS(0x90)), 0);
    assert_int_equal(rd64(GICR(1, 0x70)), PLAT_RAM | 13);
    (void)event_run();
    assert_int_equal(rd64(GITS(0x90)), 0x60);
    assert_int_equal(take(1), 8192 + 0x123);
    assert_int_equal(take(1), SPURIOUS);
    fake_stop();
}

/* ---- what cannot be is refused, and nothing is changed ---- */

static void expect_refused(void)
{
    assert_int_equal(restore_only(saved), -EINVAL);
    on(0);
    save_parked(again);
    assert_memory_equal(again, good, saved_size());
    memcpy(saved, good, saved_size());
}

static struct saved_head *head(void) { return (void *)saved; }
static struct saved_cpu *cpu(unsigned n) { return (struct saved_cpu *)(head() + 1) + n; }
static struct vgic_bank *lpi(unsigned n) { return (struct vgic_bank *)cpu(VCPUS) + n; }

/* A field that may have these bits and no others. */
static void expect_bits(void *field, size_t size, uint64_t bits)
{
    for (unsigned n = 0; n < 8 * size; n++)
        if (!(bits >> n & 1)) {
            ((uint8_t *)field)[n / 8] ^= (uint8_t)(1u << n % 8);
            expect_refused();
        }
}
#define EXPECT_BITS(field, bits) expect_bits(&(field), sizeof(field), bits)

static void good_state(unsigned version)
{
    make(version, 4);
    set_up();
    pulse(65);
    pulse(67);
    (void)attend(1);
    save_parked(good);
    memcpy(saved, good, saved_size());
    assert_int_equal(cpu(1)->nlrs, 2);
}

static void refuse_head(void)
{
    EXPECT_BITS(head()->gic, 0);
    EXPECT_BITS(head()->has_its, 0);
    EXPECT_BITS(head()->nspis, 0);
    EXPECT_BITS(head()->n, 0);
    EXPECT_BITS(head()->s.ctlr, fake_version == 3 ? 3 : 1);
    /* SPIs that there are not: 96 are three banks */
    for (size_t at = 0; at < offsetof(struct vgic_bank, prio); at += 4)
        expect_bits((uint8_t *)&head()->s.spi[3] + at, 4, 0);
    head()->s.irouter[97] = 1;
    expect_refused();
    head()->s.irouter[1] ^= 1ull << 24; /* RES0 */
    expect_refused();
}

static void refuse_bank(struct vgic_bank *b)
{
    EXPECT_BITS(b->deact, b->in_lr);
    EXPECT_BITS(b->unpend, b->in_lr);
    EXPECT_BITS(b->prio[7], VGIC_PRIO_MASK);
    b->home[3] = VCPUS;
    expect_refused();
    b->in_lr ^= 1u << 9; /* in no list register */
    expect_refused();
}

static void refuse_banks(void)
{
    struct vgic_bank *b = &head()->s.spi[1];

    refuse_bank(b);
    refuse_bank(&cpu(2)->s.local);
    b->active |= b->in_lr;
    expect_refused();
    b->in_lr &= b->in_lr - 1;
    expect_refused();
    b->route[1] = fake_version == 3 ? ROUTE_ANY : 1u << VCPUS; /* not what IROUTER says; no CPU */
    expect_refused();
    b->latch |= 2; /* ready where it does not belong: 65 is vCPU 1's */
    b->in_lr &= ~2u;
    b->home[1] = 2;
    expect_refused();
    EXPECT_BITS(cpu(1)->s.local.edge, 0);
    EXPECT_BITS(cpu(1)->s.local.line, PPI_VTIMER | PPI_PTIMER);
    cpu(1)->s.local.home[5] = 0;
    expect_refused();
    cpu(1)->s.local.route[20] = 1;
    expect_refused();
    if (fake_version == 2)
        cpu(1)->s.local.latch ^= 8; /* an SGI from nobody */
    else
        cpu(1)->s.local.route[3] = 1;
    expect_refused();
}

static void refuse_cpu(void)
{
    struct saved_cpu *c = cpu(1);
    uint64_t its = fake_version == 3 ? ~0ull : 0;

    EXPECT_BITS(c->s.ctlr, its & GICR_CTLR_LPIS);
    EXPECT_BITS(c->s.propbaser, its & 0x070fffffffffff9f);
    EXPECT_BITS(c->s.pendbaser, its & 0x470fffffffff0f80);
    EXPECT_BITS(c->s.cntp_ctl, 3);
    EXPECT_BITS(c->raise, 0xffff | PPI_VTIMER | PPI_PTIMER);
    EXPECT_BITS(c->sgi_src[4], fake_version == 2 ? 7 : 0);
    EXPECT_BITS(c->lr_pending, 3);
    c->s.waker = 2;
    expect_refused();
    c->nlrs = 17;
    expect_refused();
    c->nlrs = 1;
    expect_refused();
    c->lr[2] = ARM_LR_PENDING | 69; /* beyond the number; and in no bank */
    expect_refused();
    c->lr[2] = ARM_LR_PENDING | 69, c->nlrs = 3;
    expect_refused();
    c->lr[1] = c->lr[0]; /* twice */
    expect_refused();
    c->lr[0] &= ~(ARM_LR_PENDING | ARM_LR_ACTIVE);
    expect_refused();
    c->lr[0] |= ARM_LR_HW; /* follows from the interrupt */
    expect_refused();
    c->lr[0] += 1000; /* there is no such INTID */
    expect_refused();
    head()->s.spi[1].home[1] = 0; /* in a list register elsewhere */
    expect_refused();
}

static void test_refused(void **state)
{
    (void)state;
    for (unsigned version = 2; version <= 3; version++) {
        good_state(version);
        refuse_head();
        refuse_banks();
        refuse_cpu();
        assert_int_equal(take(1), 65);
        fake_stop();
    }
}

static void test_refused_its(void **state)
{
    (void)state;
    good_state(3);
    EXPECT_BITS(head()->its.ctlr, 1);
    EXPECT_BITS(head()->its.zero, 0);
    EXPECT_BITS(head()->its.cbaser, 0xb8effffffffffcff);
    EXPECT_BITS(head()->its.cwriter, 0xfffe0);
    EXPECT_BITS(head()->its.creadr, 0xfffe1);
    EXPECT_BITS(head()->its.baser[1], 0xb8e0ffffffffffff);
    EXPECT_BITS(lpi(2)->edge, 0);
    EXPECT_BITS(lpi(2)->group1, 0);
    EXPECT_BITS(lpi(2)->line, 0);
    EXPECT_BITS(lpi(2)->active, 0);
    EXPECT_BITS(lpi(VGIC_LPI_BANKS - 1)->prio[31], VGIC_PRIO_MASK);
    lpi(2)->route[0] = ROUTE_ANY;
    expect_refused();
    lpi(2)->route[0] = VCPUS;
    expect_refused();
    lpi(2)->enabled = lpi(2)->latch = 1; /* ready on vCPU 0, and routed to 1 */
    lpi(2)->route[0] = 1;
    expect_refused();
    fake_stop();
}

/*
 * An LPI has no active state (GICv3 section 4.1.2), but some CPUs show it in the list register: it
 * goes with the register.
 */
static void test_lpi_active(void **state)
{
    (void)state;
    good_state(3);
    for (unsigned lrs = 4; lrs >= 2; lrs -= 2) {
        fake_stop();
        make(3, lrs);
        memcpy(saved, good, saved_size());
        lpi(0)->in_lr = 1, lpi(0)->home[0] = 1, cpu(1)->nlrs = 3;
        cpu(1)->lr[2] = ARM_LR_ACTIVE | VGIC_LPI_INTID;
        assert_int_equal(restore_parked(saved), 0);
        assert_int_equal(cpu_of(1)->gic.used, lrs == 4 ? 7 : 3);
        assert_int_equal(cpu_of(1)->active_out, 0);
        assert_int_equal(((struct vgic *)fake_vm.vintc)->lpi[0].active, 0);
    }
    fake_stop();
}

/* A GICv2 has no such state. */
static void test_no_its(void **state)
{
    (void)state;
    good_state(2);
    EXPECT_BITS(head()->its.cwriter, 0);
    EXPECT_BITS(head()->s.irouter[0], 0);
    fake_stop();
}

/* 1 of N: it stays where it was ready, and those that follow go on where they would have. */
static void test_any(void **state)
{
    uint16_t home;

    (void)state;
    make(3, 1);
    set_up();
    for (unsigned n = 0; n < VCPUS; n++)
        wr(GICR(n, 0x14), 0);
    for (unsigned id = 64; id < 70; id++)
        wr64(GICD(0x6000 + 8 * id), 1ull << 31);
    for (unsigned id = 64; id < 69; id++)
        pulse(id);
    home = ((struct vgic *)fake_vm.vintc)->s.spi[1].home[3];
    save_parked(saved);
    fake_stop();
    make(3, 1);
    assert_int_equal(restore_only(saved), 0);
    save_parked(again);
    assert_memory_equal(saved, again, saved_size());
    resume_parked();
    assert_int_equal(((struct vgic *)fake_vm.vintc)->s.spi[1].home[3], home);
    pulse(69);
    assert_int_equal(((struct vgic *)fake_vm.vintc)->s.spi[1].home[5], (home + 2) % VCPUS);
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
        cmocka_unit_test(test_refused_its),
        cmocka_unit_test(test_lpi_active),
        cmocka_unit_test(test_no_its),
        cmocka_unit_test(test_any),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
