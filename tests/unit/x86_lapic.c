/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/x86_fakes.h"

#define MS 1000000ull

static int start(void **state)
{
    (void)state;
    fake_start(4);
    for (unsigned i = 0; i < 4; i++)
        apic_write(i, APIC_SVR, 0x1ff);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fake_stop();
    return 0;
}

static void go_x2(unsigned v)
{
    assert_int_equal(lapic_set_base(&fake_vcpu[v], lapic_get_base(&fake_vcpu[v]) | BASE_X2), 0);
}

static int x2_write(unsigned v, unsigned reg, uint64_t val)
{
    return lapic_msr(&fake_vcpu[v], 0x800 + reg, true, &val);
}

static uint64_t x2_read(unsigned v, unsigned reg)
{
    uint64_t val = 0;

    assert_int_equal(lapic_msr(&fake_vcpu[v], 0x800 + reg, false, &val), 0);
    return val;
}

static void ipi(unsigned v, uint32_t hi, uint32_t lo)
{
    apic_write(v, APIC_ICR2, hi << 24);
    apic_write(v, APIC_ICR, lo);
}

static void test_reset(void **state)
{
    (void)state;
    assert_int_equal(lapic_get_base(&fake_vcpu[0]), 0xfee00900);
    assert_int_equal(lapic_get_base(&fake_vcpu[1]), 0xfee00800);
    assert_int_equal(apic_read(2, APIC_ID), 2u << 24);
    assert_int_equal(apic_read(1, APIC_VERSION), 0x50014);
    assert_int_equal(apic_read(1, APIC_LVT + LVT_LINT0), LVT_MASKED);
    assert_int_equal(apic_read(0, APIC_LVT + LVT_LINT0), 0x700);
    assert_int_equal(apic_read(0, APIC_DFR), ~0u);
}

/* Nesting by priority class; EOI ends the highest. */
static void test_priority(void **state)
{
    (void)state;
    ipi(1, 0, 0x41);
    ipi(1, 0, 0x45);
    ipi(1, 0, 0x63);
    assert_true(fake_vcpu[0].requests & REQ_IRQ);
    assert_int_equal(take(0), 0x63);
    assert_int_equal(apic_read(0, APIC_PPR), 0x60);
    assert_int_equal(take(0), -1);
    ipi(1, 0, 0x6f); /* same class: waits */
    assert_int_equal(take(0), -1);
    ipi(1, 0, 0x70);
    assert_int_equal(take(0), 0x70);
    assert_int_equal(apic_read(0, APIC_ISR + 3), 1u << 16 | 1u << 3);
    fake_vcpu[0].requests = 0;
    apic_write(0, APIC_EOI, 0);
    assert_int_equal(take(0), -1);
    apic_write(0, APIC_EOI, 0);
    assert_true(fake_vcpu[0].requests & REQ_IRQ);
    assert_int_equal(take(0), 0x6f);
    apic_write(0, APIC_EOI, 0);
    assert_int_equal(take(0), 0x45);
    apic_write(0, APIC_EOI, 0);
    assert_int_equal(take(0), 0x41);
    apic_write(0, APIC_EOI, 0);
    apic_write(0, APIC_EOI, 0); /* one too many does nothing */
    assert_int_equal(take(0), -1);
    assert_int_equal(apic_read(0, APIC_PPR), 0);
}

static void test_tpr(void **state)
{
    (void)state;
    apic_write(0, APIC_TPR, 0x40);
    assert_int_equal(fake_cr8[0], 4);
    ipi(1, 0, 0x4f);
    assert_int_equal(take(0), -1);
    assert_int_equal(apic_read(0, APIC_PPR), 0x40);
    lapic_set_cr8(&fake_vcpu[0], 3);
    assert_true(fake_vcpu[0].requests & REQ_IRQ);
    assert_int_equal(take(0), 0x4f);
    assert_int_equal(lapic_get_cr8(&fake_vcpu[0]), 3);
}

static unsigned watched; /* what the engine was asked to watch CR8 for */
static void watch(struct vcpu *v, unsigned priority)
{
    (void)v;
    watched = priority;
}
static const struct x86_engine watching = { .tpr_window = watch };
static uint8_t engines_tpr;

static int set_cr8(struct vcpu *v, uint32_t id, uint64_t val)
{
    (void)v;
    if (id != X86_CR8)
        return -ENOENT;
    engines_tpr = (uint8_t)(val << 4);
    return 0;
}

/*
 * An engine that lets the guest write CR8: its value counts, and it is asked to tell only where CR8
 * alone holds something back.
 */
static void test_tpr_in_the_engine(void **state)
{
    const struct vcpu_ops *old = fake_vcpu[0].ops;
    struct vcpu_ops ops = *old;

    (void)state;
    ops.isa_ops = &watching;
    ops.set_sysreg = set_cr8;
    fake_vm.ops = fake_vcpu[0].ops = &ops;
    lapic_of(&fake_vcpu[0])->hw.tpr = &engines_tpr;
    engines_tpr = 0x50; /* MOV CR8, without an exit */
    assert_int_equal(apic_read(0, APIC_TPR), 0x50);
    assert_int_equal(apic_read(0, APIC_PPR), 0x50);
    ipi(1, 0, 0x4f);
    assert_int_equal(take(0), -1);
    assert_int_equal(watched, 4);
    engines_tpr = 0x30;
    assert_int_equal(take(0), 0x4f);
    ipi(1, 0, 0x4e); /* held back by the one in service: its EOI tells */
    assert_int_equal(take(0), -1);
    assert_int_equal(watched, 0);
    apic_write(0, APIC_TPR, 0x62);
    assert_int_equal(engines_tpr, 0x60);
    assert_int_equal(apic_read(0, APIC_TPR), 0x62);
    apic_write(0, APIC_EOI, 0);
    assert_int_equal(take(0), -1);
    assert_int_equal(watched, 4);
    assert_int_equal(lapic_get_cr8(&fake_vcpu[0]), 6);
    fake_vm.ops = fake_vcpu[0].ops = old;
    lapic_of(&fake_vcpu[0])->hw.tpr = NULL;
}

static unsigned received(uint8_t vec)
{
    unsigned hit = 0;

    for (unsigned i = 0; i < 4; i++) {
        int got = take(i);

        if (got < 0)
            continue;
        assert_int_equal(got, vec);
        hit |= 1u << i;
        apic_write(i, APIC_EOI, 0);
    }
    return hit;
}

static void test_destinations(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        apic_write(i, APIC_LDR, 1u << (24 + i));
    ipi(0, 2, 0x50);
    assert_int_equal(received(0x50), 1 << 2);
    ipi(0, 0xff, 0x51);
    assert_int_equal(received(0x51), 0xf);
    ipi(0, 7, 0x52);
    assert_int_equal(received(0x52), 0);
    ipi(0, 0x0a, 0x853); /* logical, flat */
    assert_int_equal(received(0x53), 0xa);
    ipi(1, 0, 0x40054); /* self */
    assert_int_equal(received(0x54), 2);
    ipi(1, 0, 0x80055);
    assert_int_equal(received(0x55), 0xf);
    ipi(1, 0, 0xc0056);
    assert_int_equal(received(0x56), 0xd);
    for (unsigned i = 0; i < 4; i++) {
        apic_write(i, APIC_DFR, 0x0fffffff);
        apic_write(i, APIC_LDR, (0x10 * (i / 2) | 1u << (i % 2)) << 24);
    }
    ipi(0, 0x13, 0x857); /* cluster 1, both members */
    assert_int_equal(received(0x57), 0xc);
    ipi(0, 0x02, 0x858);
    assert_int_equal(received(0x58), 2);
}

static void test_lowest(void **state)
{
    unsigned count[4] = { 0 };

    (void)state;
    apic_write(3, APIC_SVR, 0xff); /* disabled: never chosen */
    for (unsigned i = 0; i < 4; i++)
        apic_write(i, APIC_LDR, 1u << (24 + i));
    for (unsigned n = 0; n < 9; n++) {
        unsigned hit;

        ipi(0, 0x0f, 0x960);
        hit = received(0x60);
        assert_int_equal(__builtin_popcount(hit), 1);
        count[__builtin_ctz(hit)]++;
    }
    assert_int_equal(count[0], 3);
    assert_int_equal(count[1], 3);
    assert_int_equal(count[2], 3);
}

static void test_disabled(void **state)
{
    (void)state;
    apic_write(1, APIC_LVT + LVT_ERROR, 0x33);
    apic_write(1, APIC_SVR, 0xff);
    assert_true(apic_read(1, APIC_LVT + LVT_ERROR) & LVT_MASKED);
    apic_write(1, APIC_LVT + LVT_ERROR, 0x33);
    assert_true(apic_read(1, APIC_LVT + LVT_ERROR) & LVT_MASKED);
    ipi(0, 1, 0x50);
    assert_int_equal(take(1), -1);
    ipi(0, 1, 0x400); /* an NMI arrives all the same */
    assert_true(fake_vcpu[1].requests & REQ_NMI);
}

static void test_errors(void **state)
{
    (void)state;
    apic_write(0, APIC_LVT + LVT_ERROR, 0x33);
    ipi(0, 1, 0x0f);
    assert_int_equal(take(1), -1);
    assert_int_equal(take(0), 0x33);
    apic_write(0, APIC_EOI, 0);
    assert_int_equal(apic_read(0, APIC_ESR), 0);
    (void)apic_read(0, 0x3f); /* no such register in xAPIC mode */
    apic_write(0, APIC_ESR, 0);
    assert_int_equal(apic_read(0, APIC_ESR), ESR_SEND_ILLEGAL | ESR_ILLEGAL_REG);
    apic_write(0, APIC_ESR, 0);
    assert_int_equal(apic_read(0, APIC_ESR), 0);
    assert_int_equal(x86_vintc.send_msi(&fake_vm, 8, 0xfee01000, 0x05), 0);
    apic_write(1, APIC_ESR, 0);
    assert_int_equal(apic_read(1, APIC_ESR), ESR_RECV_ILLEGAL);
    /* a bad vector in the error entry itself: no recursion */
    apic_write(1, APIC_LVT + LVT_ERROR, 0x03);
    (void)apic_read(1, 0x3f);
    apic_write(1, APIC_ESR, 0);
    assert_int_equal(apic_read(1, APIC_ESR), ESR_RECV_ILLEGAL | ESR_ILLEGAL_REG);
}

static void test_init_sipi(void **state)
{
    (void)state;
    fake_vcpu[2].requests = 0;
    apic_write(2, APIC_TPR, 0x80);
    ipi(0, 2, 0x699);  /* SIPI alone */
    ipi(0, 2, 0x4500); /* INIT forgets it */
    assert_true(fake_vcpu[2].requests & REQ_GUEST);
    assert_true(lapic_has_signal(&fake_vcpu[2]));
    assert_true(lapic_take_init(&fake_vcpu[2]));
    assert_false(lapic_take_init(&fake_vcpu[2]));
    assert_int_equal(apic_read(2, APIC_TPR), 0);
    assert_int_equal(apic_read(2, APIC_SVR), 0xff);
    assert_int_equal(lapic_take_sipi(&fake_vcpu[2]), -1);
    ipi(0, 2, 0x8500); /* de-assert: nothing */
    assert_false(lapic_has_signal(&fake_vcpu[2]));
    ipi(0, 2, 0x69a);
    ipi(0, 2, 0x69b); /* the second is not wanted */
    assert_int_equal(lapic_take_sipi(&fake_vcpu[2]), 0x9a);
    assert_int_equal(lapic_take_sipi(&fake_vcpu[2]), -1);
}

static bool reaches(struct vcpu *v, uint64_t at)
{
    struct io_access io = { .addr = at, .size = 4 };

    return lapic_access(v, &io);
}

/* Parts of registers can be read and not written. */
static void test_sizes(void **state)
{
    struct vcpu *v = &fake_vcpu[1];
    struct io_access io = { .addr = 0xfee000f0, .size = 4, .write = true, .val = 0x1ab };

    (void)state;
    assert_true(lapic_access(v, &io));
    io = (struct io_access){ .addr = 0xfee000f1, .size = 1 };
    assert_true(lapic_access(v, &io));
    assert_int_equal(io.val, 1);
    io = (struct io_access){ .addr = 0xfee000f0, .size = 1 };
    assert_true(lapic_access(v, &io));
    assert_int_equal(io.val, 0xab);
    io = (struct io_access){ .addr = 0xfee000f0, .size = 8 };
    assert_true(lapic_access(v, &io));
    assert_int_equal(io.val, 0x1ab);
    for (unsigned i = 0; i < 2; i++) {
        io = (struct io_access){
            .addr = 0xfee000f0 + i, .size = i == 0 ? 2 : 4, .write = true, .val = 0x1cd
        };
        assert_true(lapic_access(v, &io));
        io = (struct io_access){ .addr = 0xfee000f0, .size = 4 };
        assert_true(lapic_access(v, &io));
        assert_int_equal(io.val, 0x1ab);
    }
}

/*
 * A count that ran out is judged by the mode under which it ran out; one that still runs goes on
 * under the new mode.
 */
static void test_mode_change(void **state)
{
    (void)state;
    /* divider 1: a count is 1 ns */
    apic_write(0, APIC_TDCR, 0xb);
    apic_write(0, APIC_LVT + LVT_TIMER, LVT_MASKED | 0x40);
    apic_write(0, APIC_TMICT, 1000);
    advance(5000);
    apic_write(0, APIC_LVT + LVT_TIMER, LVT_MASKED | TIMER_PERIODIC << 17 | 0x40);
    assert_int_equal(apic_read(0, APIC_TMCCT), 0);
    advance(500);
    assert_int_equal(apic_read(0, APIC_TMCCT), 0);
    /* periodic now: in its sixth period */
    apic_write(0, APIC_TMICT, 1000);
    advance(5300);
    apic_write(0, APIC_LVT + LVT_TIMER, LVT_MASKED | 0x40);
    assert_int_equal(apic_read(0, APIC_TMCCT), 700);
    advance(300);
    assert_int_equal(apic_read(0, APIC_TMCCT), 400);
    apic_write(0, APIC_LVT + LVT_TIMER, 0x40);
    advance(400);
    assert_int_equal(take(0), 0x40); /* one-shot: once */
    apic_write(0, APIC_EOI, 0);
    advance(5000);
    assert_int_equal(take(0), -1);
}

/*
 * A periodic timer whose ticks are looked at late comes less often: else the guest would get
 * nothing of its CPU.
 */
static void test_late_looks(void **state)
{
    (void)state;
    apic_write(0, APIC_TDCR, 0xb);
    apic_write(0, APIC_LVT + LVT_TIMER, TIMER_PERIODIC << 17 | 0x40);
    apic_write(0, APIC_TMICT, 1);
    advance(40000);
    /* 40 us late: 50 + 4 * 40 us from here */
    assert_int_equal(take(0), 0x40);
    apic_write(0, APIC_EOI, 0);
    advance(200000);
    assert_int_equal(take(0), -1);
    advance(20000);
    assert_int_equal(take(0), 0x40);
}

static void test_base(void **state)
{
    struct vcpu *v = &fake_vcpu[1];
    uint64_t base = 0xfee00000;

    (void)state;
    assert_true(reaches(v, base + 0x20));
    assert_false(reaches(v, base + 0x1020));
    assert_int_equal(lapic_set_base(v, base | BASE_X2), -EINVAL); /* EXTD without EN */
    assert_int_equal(lapic_set_base(v, base | BASE_EN | 1), -EINVAL);
    assert_int_equal(lapic_set_base(v, base | BASE_EN | 1ull << 52), -EINVAL);
    fake_machine.cpuid.ext[8].eax = 40; /* MAXPHYADDR */
    assert_int_equal(lapic_set_base(v, base | BASE_EN | 1ull << 40), -EINVAL);
    assert_int_equal(lapic_set_base(v, base | BASE_EN | 1ull << 39), 0);
    fake_machine.cpuid.ext[8].eax = 0;
    assert_int_equal(lapic_set_base(v, base | BASE_EN | BASE_X2), 0);
    assert_false(reaches(v, base + 0x20));
    assert_int_equal(lapic_set_base(v, base | BASE_EN), -EINVAL); /* x2APIC -> xAPIC */
    assert_int_equal(lapic_set_base(v, base), 0);
    /* disabled -> x2APIC */
    assert_int_equal(lapic_set_base(v, base | BASE_EN | BASE_X2), -EINVAL);
    assert_int_equal(lapic_set_base(v, base | BASE_EN | BASE_BSP), 0);
    /* BSP cannot be changed */
    assert_int_equal(lapic_get_base(v), base | BASE_EN);
    assert_int_equal(apic_read(1, APIC_SVR), 0xff); /* it was reset */
    fake_config.x2apic = false;
    assert_int_equal(lapic_set_base(v, base | BASE_EN | BASE_X2), -EINVAL);
}

static uint64_t targets_of(const struct x86_intc *x, const struct apic_msg *m)
{
    struct apic_set to;

    apic_targets(x, m, &to);
    for (unsigned i = 1; i < APIC_SET_WORDS; i++)
        assert_int_equal(to.w[i], 0);
    return to.w[0];
}

/*
 * An identifier that was written is the one that messages reach, until the APIC is turned off or
 * goes to x2APIC mode.
 */
static void test_written_id(void **state)
{
    const struct x86_intc *x = fake_vm.vintc;
    struct apic_msg m = { .dest = 9, .vector = 0x41 };
    struct vcpu *v = &fake_vcpu[1];

    (void)state;
    apic_write(1, APIC_ID, 9u << 24 | 0x123456);
    assert_int_equal(apic_read(1, APIC_ID), 9u << 24);
    assert_int_equal(targets_of(x, &m), 1 << 1);
    m.dest = 1;
    assert_int_equal(targets_of(x, &m), 0);
    m.dest = 0;
    assert_int_equal(targets_of(x, &m), 1 << 0);
    ipi(0, 9, 0x51);
    assert_int_equal(take(1), 0x51);
    apic_write(1, APIC_EOI, 0);
    apic_write(2, APIC_ID, 9u << 24);
    m.dest = 9;
    assert_int_equal(targets_of(x, &m), 1 << 1 | 1 << 2);
    assert_int_equal(lapic_set_base(v, lapic_get_base(v) & ~(uint64_t)BASE_EN), 0);
    assert_int_equal(lapic_set_base(v, lapic_get_base(v) | BASE_EN), 0);
    assert_int_equal(apic_read(1, APIC_ID), 1u << 24);
    go_x2(2);
    assert_int_equal(x2_read(2, APIC_ID), 2);
    assert_int_equal(lapic_msr(&fake_vcpu[2], 0x802, true, &(uint64_t){ 5 }), -EINVAL);
    assert_int_equal(targets_of(x, &m), 0);
}

/* What fell due before the divider or the count was written comes all the same. */
static void test_due_before_a_write(void **state)
{
    static const uint32_t regs[] = { APIC_TDCR, APIC_TMICT };

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        apic_write(0, APIC_TDCR, 0xb);
        apic_write(0, APIC_LVT + LVT_TIMER, TIMER_PERIODIC << 17 | 0x40);
        apic_write(0, APIC_TMICT, 10 * MS);
        host_now += 11 * MS; /* and nobody has looked */
        apic_write(0, regs[i], i ? 20 * MS : 0);
        assert_int_equal(take(0), 0x40);
        apic_write(0, APIC_EOI, 0);
        assert_int_equal(take(0), -1);
    }
}

static void test_x2(void **state)
{
    uint64_t val = 0;

    (void)state;
    /* not in x2APIC mode */
    assert_int_equal(lapic_msr(&fake_vcpu[0], 0x802, false, &val), -EINVAL);
    for (unsigned i = 0; i < 4; i++)
        go_x2(i);
    assert_int_equal(x2_read(3, APIC_ID), 3);
    assert_int_equal(x2_read(3, APIC_LDR), 8);
    assert_int_equal(x2_write(3, APIC_LDR, 0), -EINVAL);
    assert_int_equal(x2_write(3, APIC_EOI, 1), -EINVAL);
    assert_int_equal(x2_write(3, APIC_EOI, 0), 0);
    assert_int_equal(x2_write(3, APIC_TPR, 0x100), -EINVAL);
    assert_int_equal(x2_write(3, APIC_ICR2, 0), -EINVAL);
    assert_int_equal(x2_write(3, APIC_ESR, 1), -EINVAL);
    assert_int_equal(lapic_msr(&fake_vcpu[0], 0x80e, false, &val), -EINVAL); /* no DFR */
    assert_int_equal(lapic_msr(&fake_vcpu[0], 0x83f, false, &val), -EINVAL); /* write-only */
    assert_int_equal(lapic_msr(&fake_vcpu[0], 0x8ff, false, &val), -EINVAL);
    assert_int_equal(x2_write(1, APIC_SELF_IPI, 0x44), 0);
    assert_int_equal(received(0x44), 1 << 1);
}

static void test_x2_ipi(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        go_x2(i);
    assert_int_equal(x2_write(0, APIC_ICR, 3ull << 32 | 0x51), 0);
    assert_int_equal(take(3), 0x51);
    assert_int_equal(x2_read(0, APIC_ICR), 3ull << 32 | 0x51);
    /* no broadcast here */
    assert_int_equal(x2_write(0, APIC_ICR, 0xffull << 32 | 0x52), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(take(i), -1);
    assert_int_equal(x2_write(0, APIC_ICR, 0xffffffffull << 32 | 0x61), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(take(i), 0x61);
    /* logical: cluster 0, 1 and 2 */
    assert_int_equal(x2_write(0, APIC_ICR, 6ull << 32 | 0x871), 0);
    assert_int_equal(take(0), -1);
    assert_int_equal(take(1), 0x71);
    assert_int_equal(take(2), 0x71);
    /* cluster 1: nobody */
    assert_int_equal(x2_write(0, APIC_ICR, 0x10006ull << 32 | 0x881), 0);
    assert_int_equal(take(1), -1);
}

static void test_msi(void **state)
{
    (void)state;
    assert_int_equal(x86_vintc.send_msi(&fake_vm, 1, 0xfee02000, 0x4041), 0);
    assert_int_equal(take(2), 0x41);
    assert_int_equal(x86_vintc.send_msi(&fake_vm, 1, 0xfef02000, 0x4042), -EINVAL);
    assert_int_equal(x86_vintc.send_msi(&fake_vm, 1, 0x1fee02000, 0x4042), -EINVAL);
    assert_int_equal(x86_vintc.send_msi(&fake_vm, 1, 0xfeeff000, 0x4052), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(take(i), 0x52);
}

static void test_oneshot(void **state)
{
    (void)state;
    apic_write(0, APIC_TDCR, 0xb); /* divide by 1: 1 ns a count */
    apic_write(0, APIC_LVT + LVT_TIMER, 0x40);
    apic_write(0, APIC_TMICT, 10 * MS);
    advance(4 * MS);
    assert_int_equal(apic_read(0, APIC_TMCCT), 6 * MS);
    assert_int_equal(take(0), -1);
    apic_write(0, APIC_TDCR, 0); /* divide by 2: the counts left take twice as long */
    advance(11 * MS);
    assert_int_equal(take(0), -1);
    assert_int_equal(apic_read(0, APIC_TMCCT), MS / 2);
    advance(MS);
    assert_int_equal(take(0), 0x40);
    apic_write(0, APIC_EOI, 0);
    advance(100 * MS);
    assert_int_equal(take(0), -1);
    assert_int_equal(apic_read(0, APIC_TMCCT), 0);
    apic_write(0, APIC_TMICT, 5 * MS);
    apic_write(0, APIC_TMICT, 0); /* stopped */
    advance(100 * MS);
    assert_int_equal(take(0), -1);
}

static void test_periodic(void **state)
{
    (void)state;
    apic_write(0, APIC_TDCR, 0xb);
    apic_write(0, APIC_LVT + LVT_TIMER, TIMER_PERIODIC << 17 | 0x40);
    apic_write(0, APIC_TMICT, 10 * MS);
    for (unsigned i = 0; i < 5; i++) {
        advance(9 * MS + (i ? 0 : MS / 2));
        assert_int_equal(take(0), -1);
        advance(MS);
        assert_int_equal(take(0), 0x40);
        apic_write(0, APIC_EOI, 0);
    }
    advance(95 * MS); /* the guest did not look: one tick, and no drift */
    assert_int_equal(take(0), 0x40);
    apic_write(0, APIC_EOI, 0);
    assert_int_equal(take(0), -1);
    assert_int_equal(apic_read(0, APIC_TMCCT), 10 * MS - 5 * MS - MS / 2);
    apic_write(0, APIC_LVT + LVT_TIMER, LVT_MASKED | TIMER_PERIODIC << 17 | 0x40);
    advance(100 * MS);
    assert_int_equal(take(0), -1);
    apic_write(0, APIC_LVT + LVT_TIMER, TIMER_PERIODIC << 17 | 0x40);
    assert_int_equal(take(0), -1);
    advance(10 * MS);
    assert_int_equal(take(0), 0x40);
}

/* A period of 1 ns costs no more than one event in 50 us. */
static void test_flood(void **state)
{
    unsigned events = 0;

    (void)state;
    apic_write(0, APIC_TDCR, 0xb);
    apic_write(0, APIC_LVT + LVT_TIMER, TIMER_PERIODIC << 17 | 0x40);
    apic_write(0, APIC_TMICT, 1);
    for (unsigned i = 0; i < 1000; i++) {
        advance(1000);
        events += take(0) == 0x40;
        apic_write(0, APIC_EOI, 0);
    }
    assert_in_range(events, 10, 21);
    apic_write(0, APIC_TMICT, 0);
}

static void test_tsc_deadline(void **state)
{
    struct vcpu *v = &fake_vcpu[0];

    (void)state;
    fake_tsc_offset = (uint64_t)-500;
    lapic_set_tsc_deadline(v, host_now + MS); /* not in that mode: ignored */
    assert_int_equal(lapic_get_tsc_deadline(v), 0);
    apic_write(0, APIC_LVT + LVT_TIMER, TIMER_TSC << 17 | 0x40);
    lapic_set_tsc_deadline(v, host_now - 500 + MS);
    advance(MS - 10);
    assert_int_equal(take(0), -1);
    assert_true(lapic_get_tsc_deadline(v) != 0);
    advance(20);
    assert_int_equal(take(0), 0x40);
    assert_int_equal(lapic_get_tsc_deadline(v), 0);
    apic_write(0, APIC_EOI, 0);
    lapic_set_tsc_deadline(v, 1); /* the past: at once */
    assert_int_equal(take(0), 0x40);
    apic_write(0, APIC_EOI, 0);
    lapic_set_tsc_deadline(v, UINT64_MAX); /* the end of time, not the past */
    assert_int_equal(take(0), -1);
    advance(MS);
    assert_true(lapic_get_tsc_deadline(v) == UINT64_MAX);
    lapic_set_tsc_deadline(v, host_now - 500 + MS);
    lapic_set_tsc_deadline(v, 0);
    advance(2 * MS);
    assert_int_equal(take(0), -1);
    lapic_set_tsc_deadline(v, host_now + MS);
    apic_write(0, APIC_LVT + LVT_TIMER, 0x40); /* leaving the mode disarms */
    advance(2 * MS);
    assert_int_equal(take(0), -1);
}

/* While the VM is paused its time stands still, and a timer that comes early waits. */
static void test_pause(void **state)
{
    (void)state;
    apic_write(0, APIC_TDCR, 0xb);
    apic_write(0, APIC_LVT + LVT_TIMER, 0x40);
    apic_write(0, APIC_TMICT, 10 * MS);
    advance(4 * MS);
    fake_vm.paused_ns = host_now;
    advance(20 * MS);
    assert_int_equal(apic_read(0, APIC_TMCCT), 6 * MS);
    fake_vm.time_offset_ns -= 20 * (int64_t)MS;
    fake_vm.paused_ns = 0;
    assert_int_equal(take(0), -1);
    advance(5 * MS);
    assert_int_equal(take(0), -1);
    advance(1 * MS + 1);
    assert_int_equal(take(0), 0x40);
}

static void test_pv_eoi(void **state)
{
    struct vcpu *v = &fake_vcpu[0];

    (void)state;
    assert_int_equal(lapic_set_pv_eoi(v, 0x103), -EINVAL);
    assert_int_equal(lapic_set_pv_eoi(v, 0x101), 0);
    ipi(1, 0, 0x41);
    assert_int_equal(take(0), 0x41);
    assert_int_equal(fake_ram[0x100], 1);
    assert_true(v->vintc_hooks);
    x86_vintc.leave(v);
    assert_int_equal(apic_read(0, APIC_ISR + 2), 2); /* still in service */
    fake_ram[0x100] = 0;                             /* the guest's EOI */
    x86_vintc.leave(v);
    assert_int_equal(apic_read(0, APIC_ISR + 2), 0);
    assert_false(v->vintc_hooks);
    ipi(1, 0, 0x41);
    assert_int_equal(take(0), 0x41);
    /* one waits: the flag goes, the guest must exit */
    ipi(1, 0, 0x42);
    assert_int_equal(take(0), -1);
    assert_int_equal(fake_ram[0x100], 0);
    apic_write(0, APIC_EOI, 0);
    assert_int_equal(take(0), 0x42);
    apic_write(0, APIC_EOI, 0); /* a guest that ignores the flag */
    assert_int_equal(fake_ram[0x100], 0);
    assert_int_equal(apic_read(0, APIC_ISR + 2), 0);
    assert_int_equal(lapic_set_pv_eoi(v, 0x100001), 0); /* not RAM */
    ipi(1, 0, 0x41);
    assert_int_equal(take(0), 0x41);
    assert_false(v->vintc_hooks);
}

/* An interrupt of higher class between: each EOI ends its own. */
static void test_pv_nested(void **state)
{
    struct vcpu *v = &fake_vcpu[0];

    (void)state;
    assert_int_equal(lapic_set_pv_eoi(v, 0x101), 0);
    ipi(1, 0, 0x41);
    assert_int_equal(take(0), 0x41);
    ipi(1, 0, 0x81);
    assert_int_equal(take(0), 0x81);
    assert_int_equal(fake_ram[0x100], 1);
    /* ends 0x81 without an exit; 0x41's EOI exits */
    fake_ram[0x100] = 0;
    x86_vintc.leave(v);
    apic_write(0, APIC_EOI, 0);
    assert_int_equal(apic_read(0, APIC_ISR + 2), 0);
    assert_int_equal(apic_read(0, APIC_ISR + 4), 0);
}

static void test_pv_ipi(void **state)
{
    (void)state;
    assert_int_equal(lapic_pv_ipi(&fake_vcpu[0], 5, 0, 1, 0x71), 2);
    assert_int_equal(received(0x71), 1 << 1 | 1 << 3);
    assert_int_equal(lapic_pv_ipi(&fake_vcpu[0], ~0ull, ~0ull, 0, 0x72), 4);
    assert_int_equal(received(0x72), 0xf);
    assert_int_equal(lapic_pv_ipi(&fake_vcpu[0], 1, 0, ~0ull, 0x72), -EINVAL);
    assert_int_equal(lapic_pv_ipi(&fake_vcpu[0], 1, 0, 0, 0x500), -EINVAL);
    assert_int_equal(lapic_pv_ipi(&fake_vcpu[0], 1, 0, 0, 0x05), -EINVAL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_reset),
        T(test_priority),
        T(test_tpr),
        T(test_tpr_in_the_engine),
        T(test_destinations),
        T(test_lowest),
        T(test_disabled),
        T(test_errors),
        T(test_init_sipi),
        T(test_sizes),
        T(test_base),
        T(test_mode_change),
        T(test_late_looks),
        T(test_written_id),
        T(test_due_before_a_write),
        T(test_x2),
        T(test_x2_ipi),
        T(test_msi),
        T(test_oneshot),
        T(test_periodic),
        T(test_flood),
        T(test_tsc_deadline),
        T(test_pause),
        T(test_pv_eoi),
        T(test_pv_nested),
        T(test_pv_ipi),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
