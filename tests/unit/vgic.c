/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's GICv3: registers, list registers, priorities, routing, SGIs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define FAKE_VCPUS 512
#include "tests/unit/vgic_fakes.h"

#define VCPUS 4

/* Both groups on; every interrupt of group 1, of priority 0xa0, none enabled. */
static int start(void **state)
{
    (void)state;
    fake_start(3, VCPUS);
    wr(GICD(0), 3);
    for (unsigned n = 0; n < VCPUS; n++) {
        wr(GICS(n, 0x80), ~0u);
        wr(GICR(n, 0x14), 0);
        for (unsigned k = 0; k < 32; k += 4)
            wr(GICS(n, 0x400 + k), 0xa0a0a0a0);
    }
    for (unsigned k = 32; k < 128; k += 4)
        wr(GICD(0x400 + k), 0xa0a0a0a0);
    for (unsigned k = 4; k < 16; k += 4)
        wr(GICD(0x80 + k), ~0u);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fake_stop();
    return 0;
}

static void enable(unsigned id) { wr(GICD(0x100 + id / 32 * 4), 1u << id % 32); }
static void disable(unsigned id) { wr(GICD(0x180 + id / 32 * 4), 1u << id % 32); }
static void edge(unsigned id)
{
    wr(GICD(0xc00 + id / 16 * 4), rd(GICD(0xc00 + id / 16 * 4)) | 2u << id % 16 * 2);
}
static void route(unsigned id, uint64_t aff) { wr64(GICD(0x6000 + 8 * id), aff); }
static void prio(unsigned id, uint8_t p) { wr8(GICD(0x400 + id), p); }
static uint32_t spi_bit(uint32_t reg, unsigned id)
{
    return rd(GICD(reg + id / 32 * 4)) >> id % 32 & 1;
}
static void line(unsigned id, bool level) { virq_set(&fake_vm, id, level); }
static void enable_local(unsigned v, uint32_t bits) { wr(GICS(v, 0x100), bits); }

static void sgi1(unsigned from, uint64_t val)
{
    on(from);
    assert_int_equal(vgic_sysreg(&fake_vcpu[from], ARM_ICC_SGI1R_EL1, true, &val), 0);
}

static void test_dist_registers(void **state)
{
    (void)state;
    assert_int_equal(rd(GICD(0)), 0x53);
    wr(GICD(0), 0);
    assert_int_equal(rd(GICD(0)), 0x50);
    assert_int_equal(rd(GICD(4)), 3 | 1u << 17 | 13u << 19);
    assert_int_equal(rd(GICD(8)) & 0xfff, 0x43b);
    assert_int_equal(rd(GICD(0xffe8)), 0x3b);
    assert_int_equal(rd(GICD(0x80)), 0); /* SGIs and PPIs are in the redistributors */
    assert_int_equal(rd(GICD(0x84)), ~0u);
    wr(GICD(0x84), 5);
    assert_int_equal(rd(GICD(0x84)), 5);
    wr(GICD(0x104), 0xf0);
    wr(GICD(0x104), 1);
    assert_int_equal(rd(GICD(0x104)), 0xf1);
    assert_int_equal(rd(GICD(0x184)), 0xf1);
    wr(GICD(0x184), 0x30);
    assert_int_equal(rd(GICD(0x104)), 0xc1);
    wr(GICD(0x110), ~0u); /* INTID 128: there is none */
    assert_int_equal(rd(GICD(0x110)), 0);
    wr(GICD(0x100), ~0u);
    assert_int_equal(rd(GICD(0x100)), 0);
    wr(GICD(0x420), 0xffffffff);
    assert_int_equal(rd(GICD(0x420)), 0xf8f8f8f8);
    wr8(GICD(0x422), 0x57);
    assert_int_equal(rd(GICD(0x420)), 0xf850f8f8);
    assert_int_equal(rd8(GICD(0x422)), 0x50);
    assert_int_equal(rd(GICD(0x400)), 0);
    wr(GICD(0xc08), ~0u);
    assert_int_equal(rd(GICD(0xc08)), 0xaaaaaaaa);
    assert_int_equal(rd(GICD(0xc00)), 0);
    wr64(GICD(0x6000 + 8 * 40), ~0ull);
    assert_int_equal(rd64(GICD(0x6000 + 8 * 40)), 0xff80ffffff);
    wr(GICD(0x6000 + 8 * 40), 2);
    assert_int_equal(rd64(GICD(0x6000 + 8 * 40)), 0xff00000002);
    assert_int_equal(rd(GICD(0x6004 + 8 * 40)), 0xff);
    assert_int_equal(rd64(GICD(0x6000 + 8 * 31)), 0);
    assert_int_equal(rd8(GICD(0x104)), 0); /* no byte access there */
    assert_int_equal(rd(GICD(0x5000)), 0);
    wr(GICD(0x5000), 1);
}

static void test_redist_registers(void **state)
{
    (void)state;
    assert_int_equal(rd64(GICR(1, 8)), 1ull << 32 | 1 << 8 | 1);
    assert_int_equal(rd(GICR(3, 8)), 3 << 8 | 1 | 1 << 4);
    assert_int_equal(rd(GICR(3, 12)), 3);
    assert_int_equal(rd(GICR(2, 0xffe8)), 0x3b);
    assert_int_equal(rd(GICR(2, 4)) & 0xfff, 0x43b);
    wr(GICR(0, 0x14), 2);
    assert_int_equal(rd(GICR(0, 0x14)), 6);
    wr(GICR(0, 0x14), 0);
    assert_int_equal(rd(GICR(0, 0x14)), 0);
    assert_int_equal(rd(GICS(1, 0x80)), ~0u);
    enable_local(1, 0xff00ff00);
    assert_int_equal(rd(GICS(1, 0x100)), 0xff00ff00);
    assert_int_equal(rd(GICS(0, 0x100)), 0);
    wr(GICS(1, 0x180), 0xff000000);
    assert_int_equal(rd(GICS(1, 0x180)), 0x0000ff00);
    wr8(GICS(1, 0x41f), 0x28);
    assert_int_equal(rd(GICS(1, 0x41c)), 0x28a0a0a0);
    assert_int_equal(rd(GICS(1, 0xc00)), 0xaaaaaaaa);
    assert_int_equal(rd(GICS(1, 0xc04)), 0);
    wr(GICS(1, 0xc04), ~0u);
    assert_int_equal(rd(GICS(1, 0xc04)), 0);
    wr64(GICR(0, 0x70), ~0ull);
    assert_int_equal(rd64(GICR(0, 0x70)), 0x070fffffffffff9full);
    wr64(GICR(0, 0x78), ~0ull);
    assert_int_equal(rd64(GICR(0, 0x78)), 0x070fffffffff0f80ull);
    assert_int_equal(rd(GICR(0, 0x74)), 0x070fffff);
}

static void test_edge(void **state)
{
    (void)state;
    edge(40);
    line(40, true);
    line(40, false);
    assert_int_equal(take(0), SPURIOUS);
    assert_false(fake_vcpu[0].vintc_hooks);
    assert_int_equal(spi_bit(0x200, 40), 1);
    enable(40); /* it waited */
    assert_int_equal(ack(0), 40);
    assert_int_equal(spi_bit(0x200, 40), 0);
    assert_int_equal(spi_bit(0x300, 40), 1);
    line(40, true); /* again, while it is handled */
    assert_int_equal(spi_bit(0x200, 40), 1);
    assert_int_equal(ack(0), SPURIOUS);
    assert_int_equal(spi_bit(0x300, 40), 1);
    eoi(0, 40);
    assert_int_equal(take(0), 40);
    assert_int_equal(take(0), SPURIOUS);
    assert_int_equal(spi_bit(0x300, 40), 0);
    assert_false(fake_vcpu[0].vintc_hooks);
    line(40, false);
    line(40, true);
    line(40, true);
    assert_int_equal(take(0), 40);
    assert_int_equal(take(0), SPURIOUS);
    line(40, false);
    line(40, true);
    (void)attend(0);
    line(40, false);
    /* joins the one that waits in a list register */
    line(40, true);
    assert_int_equal(take(0), 40);
    assert_int_equal(take(0), SPURIOUS);
}

static void test_level(void **state)
{
    (void)state;
    enable(33);
    line(33, true);
    assert_int_equal(ack(0), 33);
    assert_true(cpu_of(0)->gic.lr[0] & ARM_LR_EOI);
    /* pending and active: the level is still high */
    assert_int_equal(spi_bit(0x200, 33), 1);
    assert_int_equal(spi_bit(0x300, 33), 1);
    assert_int_equal(ack(0), SPURIOUS);
    eoi(0, 33);
    assert_int_equal(ack(0), 33); /* still high: again */
    line(33, false);
    eoi(0, 33);
    assert_int_equal(take(0), SPURIOUS);
    assert_int_equal(spi_bit(0x200, 33), 0);
    assert_int_equal(cpu_of(0)->gic.used, 0);
    line(33, true); /* falls before it is taken */
    (void)attend(0);
    assert_int_equal(cpu_of(0)->gic.used, 1);
    line(33, false);
    assert_int_equal(take(0), SPURIOUS);
    /* the same by another CPU: no kick, but at the next exit */
    on(1);
    line(33, true);
    enter_guest(0);
    on(1);
    line(33, false);
    assert_int_equal(fake_vcpu[0].requests & REQ_IRQ, 0);
    on(0);
    leave(0);
    assert_int_equal(take(0), SPURIOUS);
    wr(GICD(0x204), 2); /* pending by software */
    assert_int_equal(take(0), 33);
    assert_int_equal(take(0), SPURIOUS);
    wr(GICD(0x204), 2);
    assert_int_equal(ack(0), 33);
    wr(GICD(0x204), 2); /* once more while active */
    eoi(0, 33);
    assert_int_equal(take(0), 33);
    wr(GICD(0x204), 2);
    wr(GICD(0x284), 2);
    assert_int_equal(take(0), SPURIOUS);
}

static void test_enables(void **state)
{
    (void)state;
    edge(50);
    enable(50);
    line(50, true);
    (void)attend(0);
    assert_int_equal(cpu_of(0)->gic.used, 1);
    disable(50); /* taken back, not lost */
    assert_int_equal(take(0), SPURIOUS);
    assert_int_equal(cpu_of(0)->gic.used, 0);
    assert_int_equal(spi_bit(0x200, 50), 1);
    enable(50);
    wr(GICD(0), 1); /* its group is off */
    assert_int_equal(take(0), SPURIOUS);
    assert_false(wakes(0));
    wr(GICD(0), 2);
    assert_true(wakes(0));
    wr(GICD(0), 1);
    assert_int_equal(take(0), SPURIOUS);
    wr(GICD(0), 2);
    (void)attend(0);
    wr(GICD(0x284), 1u << 18); /* ICPENDR reaches into the list register */
    assert_int_equal(take(0), SPURIOUS);
    assert_int_equal(spi_bit(0x200, 50), 0);
    line(50, false);
    line(50, true);
    wr(GICD(0x84), 0); /* group 0 now */
    assert_int_equal(take(0), SPURIOUS);
    wr(GICD(0), 3);
    assert_true(attend(0));
    assert_false(cpu_of(0)->gic.lr[0] & ARM_LR_GROUP1);
    assert_int_equal(take(0), 50);
}

static void test_wakeable(void **state)
{
    (void)state;
    enable_local(0, 4);
    assert_false(wakes(0));
    sgi1(1, 2ull << 24 | 1);
    fake_cpu[0].vmcr = 0xa0000003; /* the mask holds back priority 0xa0 */
    assert_false(wakes(0));
    fake_cpu[0].vmcr = 0xf0000001; /* group 1 off in the CPU interface */
    assert_false(wakes(0));
    fake_cpu[0].vmcr = 0xa8000002;
    assert_true(wakes(0));
    assert_int_equal(take(0), 2);
    assert_false(wakes(0));
}

static void test_sgi(void **state)
{
    uint64_t val = 0;

    (void)state;
    for (unsigned n = 0; n < VCPUS; n++)
        enable_local(n, 0xffff);
    sgi1(0, 5ull << 24 | 0xe);
    assert_int_equal(take(0), SPURIOUS);
    for (unsigned n = 1; n < VCPUS; n++)
        assert_int_equal(take(n), 5);
    sgi1(2, 1ull << 40 | 7ull << 24 | 0xffff); /* IRM: all but itself */
    assert_int_equal(take(2), SPURIOUS);
    assert_int_equal(take(0), 7);
    assert_int_equal(take(3), 7);
    assert_int_equal(rd(GICS(1, 0x200)), 1u << 7); /* vCPU 1 has not looked yet */
    assert_int_equal(take(1), 7);
    sgi1(0, 3ull << 24 | 1); /* oneself */
    assert_int_equal(take(0), 3);
    sgi1(0, 1ull << 16 | 3ull << 24 | 0xf); /* cluster 1: nobody */
    sgi1(0, 1ull << 32 | 3ull << 24 | 0xf);
    sgi1(0, 1ull << 48 | 3ull << 24 | 0xf);
    sgi1(0, 1ull << 44 | 3ull << 24 | 0xf);
    for (unsigned n = 0; n < VCPUS; n++)
        assert_int_equal(take(n), SPURIOUS);
    fake_cpu[1].requests = 0; /* the second needs no kick */
    sgi1(0, 3ull << 24 | 2);
    sgi1(0, 3ull << 24 | 2);
    assert_int_equal(fake_cpu[1].requests, 1);
    assert_int_equal(take(1), 3);
    assert_int_equal(take(1), SPURIOUS);
    val = 4ull << 24 | 2; /* SGI0R does not reach group 1 */
    on(0);
    assert_int_equal(vgic_sysreg(&fake_vcpu[0], ARM_ICC_SGI0R_EL1, true, &val), 0);
    assert_int_equal(take(1), SPURIOUS);
    wr(GICS(1, 0x80), ~0x10u);
    assert_int_equal(vgic_sysreg(&fake_vcpu[0], ARM_ICC_SGI0R_EL1, true, &val), 0);
    assert_int_equal(take(1), 4);
    assert_int_equal(vgic_sysreg(&fake_vcpu[0], ARM_ICC_SGI1R_EL1, false, &val), -ENOENT);
    assert_int_equal(vgic_sysreg(&fake_vcpu[0], ARM_ICC_SRE_EL1, false, &val), 0);
    assert_int_equal(val, 7);
    assert_int_equal(vgic_sysreg(&fake_vcpu[0], ARM_SCTLR_EL1, false, &val), -ENOENT);
}

/* `stats` shows them: what was put into a list register, and an edge that joined an active one. */
static void test_counted(void **state)
{
    (void)state;
    enable_local(0, 0xffff);
    edge(40);
    enable(40);
    enable(33);
    sgi1(1, 5ull << 24 | 1);
    assert_int_equal(take(0), 5);
    assert_int_equal(fake_vcpu[0].stats.injected_irqs, 1);
    line(33, true);
    assert_int_equal(ack(0), 33);
    line(33, false);
    eoi(0, 33);
    assert_int_equal(fake_vcpu[0].stats.injected_irqs, 2);
    line(40, true);
    assert_int_equal(ack(0), 40);
    line(40, false);
    line(40, true);
    (void)attend(0);
    assert_int_equal(fake_vcpu[0].stats.injected_irqs, 4);
    assert_int_equal(fake_vcpu[1].stats.injected_irqs, 0);
}

static void test_sgi_clusters(void **state)
{
    fake_stop();
    fake_start(3, 20);
    (void)state;
    wr(GICD(0), 3);
    for (unsigned n = 0; n < 20; n++) {
        wr(GICS(n, 0x80), ~0u);
        enable_local(n, 0xffff);
    }
    assert_int_equal(rd(GICR(17, 12)), 0x101);
    assert_int_equal(rd(GICR(19, 8)) & 0x10, 0x10);
    sgi1(0, 1ull << 16 | 9ull << 24 | 0xa);
    assert_int_equal(take(17), 9);
    assert_int_equal(take(19), 9);
    assert_int_equal(take(1), SPURIOUS);
    assert_int_equal(take(18), SPURIOUS);
    sgi1(0, 1ull << 16 | 9ull << 24 | 0xfff0); /* vCPUs 20 and up: there are none */
}

/* As many vCPUs as there can be: SGIs and routes reach the last. */
static void test_512(void **state)
{
    static const unsigned some[] = { 0, 254, 255, 256, 511 };
    uint64_t asked;

    (void)state;
    fake_stop();
    fake_start(3, 512);
    wr(GICD(0), 3);
    edge(70);
    enable(70);
    for (unsigned i = 0; i < ARRAY_SIZE(some); i++) {
        unsigned n = some[i];
        uint64_t cluster = n / 16;

        wr(GICS(n, 0x80), ~0u);
        enable_local(n, 0xffff);
        assert_int_equal(rd(GICR(n, 12)), cluster << 8 | n % 16);
        sgi1(511 - n, cluster << 16 | 9ull << 24 | 1ull << n % 16);
        assert_int_equal(take(n), 9);
        route(70, cluster << 8 | n % 16);
        line(70, true);
        asked = fake_cpu[n].requests;
        (void)attend(n);
        on(n == 0);
        assert_int_equal(spi_bit(0x200, 70), 1); /* in a list register of that vCPU's: asks it */
        assert_true(fake_cpu[n].requests > asked);
        line(70, false);
        assert_int_equal(take(n), 70);
    }
    assert_int_equal(take(1), SPURIOUS);
}

static void test_priorities(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 8; n++) {
        edge(64 + n);
        enable(64 + n);
        prio(64 + n, (uint8_t)(0x80 - 8 * n));
    }
    for (unsigned n = 0; n < 8; n++)
        line(64 + n, true);
    (void)attend(0);
    assert_int_equal(cpu_of(0)->gic.used, 15);
    assert_int_equal(cpu_of(0)->gic.hcr & ARM_HCR_NPIE, ARM_HCR_NPIE);
    for (unsigned n = 8; n-- > 0;)
        assert_int_equal(take(0), 64 + n);
    assert_int_equal(take(0), SPURIOUS);
    assert_int_equal(cpu_of(0)->gic.hcr, 0);
    assert_int_equal(cpu_of(0)->nready, 0);
    for (unsigned n = 8; n-- > 0;) { /* alike: the lowest INTIDs first */
        prio(64 + n, 0x80);
        line(64 + n, false);
        line(64 + n, true);
    }
    (void)attend(0);
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal((uint32_t)cpu_of(0)->gic.lr[n], 64 + n);
    for (unsigned n = 0; n < 8; n++)
        assert_in_range(take(0), 64, 71);
    assert_int_equal(take(0), SPURIOUS);
    for (unsigned n = 0; n < 8; n++)
        prio(64 + n, (uint8_t)(0x80 - 8 * n));
    /* Something urgent displaces what is merely pending, and preempts what is active. */
    for (unsigned n = 0; n < 5; n++) {
        line(64 + n, false);
        line(64 + n, true);
    }
    assert_int_equal(ack(0), 68);
    edge(100);
    enable(100);
    prio(100, 0x10);
    line(100, true);
    assert_int_equal(take(0), 100);
    eoi(0, 68);
    for (unsigned n = 4; n-- > 0;)
        assert_int_equal(take(0), 64 + n);
    /* a changed priority reaches a list register */
    line(64, false);
    line(64, true);
    line(65, false);
    line(65, true);
    (void)attend(0);
    prio(64, 0x20);
    visit(0);
    assert_int_equal(take(0), 64);
    assert_int_equal(take(0), 65);
}

/* More nested interrupts than list registers: the rest is ended by EOIcount. */
static void test_nested(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 10; n++) {
        edge(64 + n);
        enable(64 + n);
        prio(64 + n, (uint8_t)(0x80 - 8 * n));
        line(64 + n, true);
        assert_int_equal(ack(0), 64 + n);
    }
    assert_int_equal(cpu_of(0)->active_out, 6);
    assert_true(cpu_of(0)->gic.hcr & ARM_HCR_LRENPIE);
    assert_int_equal(rd(GICD(0x308)), 0x3ff);
    for (unsigned n = 10; n-- > 0;)
        eoi(0, 64 + n);
    assert_int_equal(rd(GICD(0x308)), 0);
    assert_int_equal(cpu_of(0)->active_out, 0);
    assert_int_equal(cpu_of(0)->gic.hcr, 0);
    line(64, false);
    line(64, true);
    assert_int_equal(take(0), 64);
}

static void test_routing(void **state)
{
    (void)state;
    edge(70);
    enable(70);
    route(70, 2);
    line(70, true);
    assert_int_equal(take(0), SPURIOUS);
    assert_int_equal(take(2), 70);
    line(70, false);
    line(70, true);
    route(70, 3); /* pending: moves */
    assert_int_equal(take(2), SPURIOUS);
    assert_int_equal(take(3), 70);
    line(70, false);
    line(70, true);
    (void)attend(3);
    assert_int_equal(cpu_of(3)->gic.used, 1);
    on(0);
    /* in a list register: moves when its CPU comes by */
    route(70, 1);
    assert_true(fake_vcpu[3].requests & REQ_IRQ);
    assert_int_equal(take(3), SPURIOUS);
    assert_int_equal(take(1), 70);
    line(70, false);
    line(70, true);
    assert_int_equal(ack(1), 70);
    on(0);
    route(70, 0); /* active: ends where it began */
    line(70, false);
    line(70, true);
    assert_int_equal(take(0), SPURIOUS);
    eoi(1, 70);
    assert_int_equal(take(1), SPURIOUS);
    assert_int_equal(take(0), 70);
    route(70, 9); /* nobody */
    line(70, false);
    line(70, true);
    for (unsigned n = 0; n < VCPUS; n++)
        assert_int_equal(take(n), SPURIOUS);
    route(70, 1);
    assert_int_equal(take(1), 70);
}

static void test_one_of_n(void **state)
{
    unsigned got[VCPUS] = { 0 };

    (void)state;
    wr(GICR(2, 0x14), 2); /* asleep */
    edge(80);
    enable(80);
    route(80, 1ull << 31);
    for (unsigned n = 0; n < 30; n++) {
        unsigned taken = 0;

        line(80, false);
        line(80, true);
        for (unsigned v = 0; v < VCPUS; v++)
            if (take(v) == 80) {
                got[v]++;
                taken++;
            }
        assert_int_equal(taken, 1);
    }
    assert_int_equal(got[2], 0);
    assert_true(got[0] > 5 && got[1] > 5 && got[3] > 5);
}

static void test_active_registers(void **state)
{
    (void)state;
    edge(40);
    enable(40);
    line(40, true);
    assert_int_equal(ack(0), 40);
    wr(GICD(0x384), 1u << 8); /* ICACTIVER, by its own CPU */
    line(40, false);
    line(40, true);
    fake_cpu[0].depth = 0;
    assert_int_equal(ack(0), 40);
    on(1);
    wr(GICD(0x384), 1u << 8); /* by another */
    visit(0);
    assert_int_equal(spi_bit(0x300, 40), 0);
    fake_cpu[0].depth = 0;
    /* ISACTIVER: it does not come until deactivated */
    wr(GICD(0x304), 1u << 8);
    assert_int_equal(spi_bit(0x300, 40), 1);
    line(40, false);
    line(40, true);
    assert_int_equal(take(0), SPURIOUS);
    wr(GICD(0x384), 1u << 8);
    assert_int_equal(take(0), 40);
    assert_int_equal(cpu_of(0)->active_out, 0);
    wr(GICS(0, 0x300), 1u << 20);
    assert_int_equal(rd(GICS(0, 0x300)), 1u << 20);
    assert_int_equal(rd(GICS(1, 0x300)), 0);
    wr(GICS(0, 0x380), 1u << 20);
    assert_int_equal(rd(GICS(0, 0x380)), 0);
}

static void test_cpu_reset(void **state)
{
    (void)state;
    edge(40);
    edge(41);
    enable(40);
    enable(41);
    line(40, true);
    assert_int_equal(ack(0), 40);
    line(41, true);
    (void)attend(0);
    vgic_vcpu_reset(&fake_vcpu[0]);
    fake_cpu[0].depth = 0;
    assert_int_equal(cpu_of(0)->active_out, 0);
    assert_int_equal(rd(GICD(0x304)), 0);
    assert_int_equal(take(0), 41);
    assert_int_equal(take(0), SPURIOUS);
}

static void test_bad_lines(void **state)
{
    (void)state;
    line(31, true);
    line(128, true);
    line(~0u, true);
    assert_int_equal(virq_msi(&fake_vm, 0, 0x1234, 5), -ENOENT);
    for (unsigned n = 0; n < VCPUS; n++)
        assert_int_equal(take(n), SPURIOUS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_dist_registers, start, stop),
        cmocka_unit_test_setup_teardown(test_redist_registers, start, stop),
        cmocka_unit_test_setup_teardown(test_edge, start, stop),
        cmocka_unit_test_setup_teardown(test_level, start, stop),
        cmocka_unit_test_setup_teardown(test_enables, start, stop),
        cmocka_unit_test_setup_teardown(test_wakeable, start, stop),
        cmocka_unit_test_setup_teardown(test_sgi, start, stop),
        cmocka_unit_test_setup_teardown(test_counted, start, stop),
        cmocka_unit_test_setup_teardown(test_sgi_clusters, start, stop),
        cmocka_unit_test_setup_teardown(test_512, start, stop),
        cmocka_unit_test_setup_teardown(test_priorities, start, stop),
        cmocka_unit_test_setup_teardown(test_nested, start, stop),
        cmocka_unit_test_setup_teardown(test_routing, start, stop),
        cmocka_unit_test_setup_teardown(test_one_of_n, start, stop),
        cmocka_unit_test_setup_teardown(test_active_registers, start, stop),
        cmocka_unit_test_setup_teardown(test_cpu_reset, start, stop),
        cmocka_unit_test_setup_teardown(test_bad_lines, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
