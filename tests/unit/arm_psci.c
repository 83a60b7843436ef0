/* SPDX-License-Identifier: BSD-2-Clause */
/* What HVC gives an ARM64 guest: SMCCC, PSCI, TRNG, stolen time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arm_machine.h"

#define ENTRY (PLAT_RAM + 0x1000)

static int setup(void **state)
{
    (void)state;
    fake_start(20);
    fake_machine();
    arm_steal_init(&fake_vm);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_stop();
    return 0;
}

static int64_t call_on(unsigned cpu, uint64_t id, uint64_t x1, uint64_t x2, uint64_t x3)
{
    struct vcpu_exit e = { .reason = EXIT_CALL, .syndrome = 0x16ull << 26 | ESR_IL };
    uint64_t *g = fake_vcpu[cpu].regs.gpr;

    g[0] = id, g[1] = x1, g[2] = x2, g[3] = x3, g[4] = 0x4444, g[17] = 0x1717;
    assert_int_equal(arm_call(&fake_vcpu[cpu], &e), 0);
    assert_int_equal(g[4], 0x4444);
    assert_int_equal(g[17], 0x1717);
    lock_assert_none();
    return (int64_t)g[0];
}

static int64_t call(uint64_t id, uint64_t x1, uint64_t x2, uint64_t x3)
{
    return call_on(0, id, x1, x2, x3);
}

static void test_versions(void **state)
{
    struct vcpu_exit e = { .syndrome = 0x16ull << 26 | 1 };

    (void)state;
    assert_int_equal(call(0x80000000, 0, 0, 0), 0x10002);
    assert_int_equal(call(0x84000000, 0, 0, 0), 0x10001);
    assert_int_equal(call(0x84000050, 0, 0, 0), 0x10000);
    assert_int_equal(call(0x84000006, 0, 0, 0), 2);
    /* the upper half does not count */
    assert_int_equal(call(0x84000001ull | 0xabcd00000000, 0, 0, 0), 0);
    assert_int_equal(call(0, 0, 0, 0), -1);
    assert_int_equal(call(0x8400000b, 0, 0, 0), -1);
    /* PSCI_VERSION has no 64-bit form */
    assert_int_equal(call(0xc4000000, 0, 0, 0), -1);
    assert_int_equal(call(0x8600ff01, 0, 0, 0), -1);
    fake_vcpu[0].regs.gpr[0] = 0x84000000;
    assert_int_equal(arm_call(&fake_vcpu[0], &e), 0);
    assert_int_equal((int64_t)fake_vcpu[0].regs.gpr[0], -1); /* HVC #1 */
}

static void test_features(void **state)
{
    static const uint32_t psci[] = { 0x84000000, 0x84000001, 0xc4000001, 0x84000002, 0x84000003,
                                     0xc4000003, 0x84000004, 0xc4000004, 0x84000006, 0x84000008,
                                     0x84000009, 0x8400000a, 0x84000012, 0xc4000012, 0x80000000 };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(psci); i++)
        assert_int_equal(call(0x8400000a, psci[i], 0, 0), 0);
    assert_int_equal(call(0x8400000a, 0x84000005, 0, 0), -1); /* MIGRATE */
    assert_int_equal(call(0x8400000a, 0x84000053, 0, 0), -1); /* not PSCI's */
    assert_int_equal(call(0x80000001, 0x80000000, 0, 0), 0);
    assert_int_equal(call(0x80000001, 0x80008000, 0, 0), -1);
    assert_int_equal(call(0x80000001, 0xc5000020, 0, 0), 0);
    assert_int_equal(call(0x84000051, 0xc4000053, 0, 0), 0);
    assert_int_equal(call(0x84000051, 0x84000054, 0, 0), -1);
}

/* ARCH_FEATURES of each, and a call of it. */
static void expect_workarounds(const int want[3][2])
{
    static const uint32_t ids[] = { 0x80008000, 0x80007fff, 0x80003fff };

    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(call(0x80000001, ids[i], 0, 0), want[i][0]);
        assert_int_equal(call(ids[i], 1, 0, 0), want[i][1]);
    }
}

static void test_workarounds(void **state)
{
    (void)state;
    memset(fake_workarounds, 0, sizeof fake_workarounds);
    expect_workarounds((const int[3][2]){ { -1, -1 }, { -1, -1 }, { -1, -1 } });
    memcpy(
        fake_workarounds,
        (const uint32_t[]){ ARM_WORKAROUND_CALL, ARM_WORKAROUND_NOT_NEEDED, ARM_WORKAROUND_ABSENT },
        12);
    expect_workarounds((const int[3][2]){ { 0, 0 }, { 1, 0 }, { -1, -1 } });
    memcpy(
        fake_workarounds,
        (const uint32_t[]){ ARM_WORKAROUND_NOT_NEEDED, ARM_WORKAROUND_ABSENT, ARM_WORKAROUND_CALL },
        12);
    expect_workarounds((const int[3][2]){ { 1, 0 }, { -1, -1 }, { 0, 0 } });
    memset(fake_workarounds, 0xff, sizeof fake_workarounds); /* no such answer */
    expect_workarounds((const int[3][2]){ { -1, -1 }, { -1, -1 }, { -1, -1 } });
}

static void test_cpu_on(void **state)
{
    struct vcpu *t = &fake_vcpu[17];

    (void)state;
    /* AFFINITY_INFO of vCPU 17: off */
    assert_int_equal(call(0xc4000004, 0x101, 0, 0), 1);
    assert_int_equal(call(0xc4000003, 0x101, ENTRY, 0xc0de), 0);
    assert_int_equal(t->requests, REQ_GUEST);
    assert_int_equal(call(0xc4000004, 0x101, 0, 0), 2); /* on its way */
    assert_int_equal(call(0xc4000003, 0x101, ENTRY, 0), -5);
    t->regs.gpr[5] = 99;
    arm_psci_request(t);
    assert_int_equal(fake_vcpu_resets, 1);
    assert_int_equal(t->mp, MP_RUNNABLE);
    assert_int_equal(t->regs.pc, ENTRY);
    assert_int_equal(t->regs.gpr[0], 0xc0de);
    assert_int_equal(t->regs.gpr[5], 0);
    assert_int_equal(t->regs.flags, 0x3c5);
    assert_int_equal(call(0xc4000004, 0x101, 0, 0), 0);
    assert_int_equal(call(0xc4000003, 0x101, ENTRY, 0), -4);
    t->regs.pc = 0x77;
    /* nothing more to do */
    arm_psci_request(t);
    assert_int_equal(t->regs.pc, 0x77);
    (void)call_on(17, 0x84000002, 0, 0, 0);
    assert_int_equal(t->mp, MP_OFF);
    assert_int_equal(call(0xc4000004, 0x101, 0, 0), 1);
    /* again, by the 32-bit call */
    assert_int_equal(call(0x84000003, 0x101, ENTRY, 0xffffffff12345678), 0);
    arm_psci_request(t);
    assert_int_equal(t->regs.gpr[0], 0x12345678);
    assert_int_equal(fake_vcpu_resets, 2);
}

static void test_cpu_on_refused(void **state)
{
    (void)state;
    assert_int_equal(call(0xc4000003, 0, ENTRY, 0), -4);     /* itself */
    assert_int_equal(call(0xc4000003, 0x104, ENTRY, 0), -2); /* there are 20 */
    assert_int_equal(call(0xc4000003, 0x10, ENTRY, 0), -2);
    assert_int_equal(call(0xc4000003, 1ull << 32 | 1, ENTRY, 0), -2);
    assert_int_equal(call(0xc4000003, 1, 0x1000, 0), -9); /* no RAM */
    assert_int_equal(call(0xc4000003, 1, ENTRY + 1, 0), -9);
    /* cluster 0: vCPU 0 is on */
    assert_int_equal(call(0xc4000004, 1, 1, 0), 0);
    assert_int_equal(call(0xc4000004, 0x100, 1, 0), 1);
    assert_int_equal(call(0xc4000004, 0x200, 1, 0), -2);
    assert_int_equal(call(0xc4000004, 0, 4, 0), -2);
    assert_int_equal(call(0xc4000004, 0, UINT64_MAX, 0), -2);
}

static void test_system(void **state)
{
    (void)state;
    (void)call(0x84000008, 0, 0, 0);
    assert_int_equal(fake_offs, 1);
    assert_int_equal(fake_vcpu[0].mp, MP_OFF);
    (void)call(0x84000009, 0, 0, 0);
    (void)call(0xc4000012, 0, 7, 0);
    assert_int_equal(fake_resets, 2);
    assert_int_equal(call(0xc4000012, 1, 0, 0), -2);
    assert_int_equal(call(0xc4000012, 0x80000000, 0, 0), -2);
    assert_int_equal(fake_resets, 2);
    fake_vcpu[1].mp = MP_RUNNABLE;
    /* CPU_SUSPEND: a standby */
    assert_int_equal(call_on(1, 0xc4000001, 0x40000000, ENTRY, 0), 0);
    assert_int_equal(fake_vcpu[1].mp, MP_HALTED);
}

static void test_trng(void **state)
{
    uint64_t *g = fake_vcpu[0].regs.gpr, first;

    (void)state;
    assert_int_equal(call(0xc4000053, 192, 0, 0), -3); /* NO_ENTROPY, until there is */
    assert_int_equal(g[1] | g[2] | g[3], 0);
    assert_int_equal(random_start(), 0);
    assert_int_equal(call(0xc4000053, 192, 0, 0), 0);
    assert_true(g[1] && g[2] && g[3] && g[3] >> 32);
    first = g[3];
    assert_int_equal(call(0xc4000053, 65, 0, 0), 0);
    assert_int_equal(g[1], 0);
    assert_in_range(g[2], 0, 1);
    assert_int_not_equal(g[3], first);
    assert_int_equal(call(0x84000053, 96, 0, 0), 0);
    assert_int_equal((g[1] | g[2] | g[3]) >> 32, 0);
    assert_int_equal(call(0x84000053, 97, 5, 6), -2);
    assert_int_equal(g[1] | g[2] | g[3], 0);
    assert_int_equal(call(0xc4000053, 0, 0, 0), -2);
    assert_int_equal(call(0xc4000053, 193, 0, 0), -2);
    assert_true(call(0x84000052, 0, 0, 0) > 0);
}

static void test_stolen_time(void **state)
{
    uint64_t at, ns;

    (void)state;
    assert_int_equal(call(0xc5000020, 0xc5000021, 0, 0), 0);
    assert_int_equal(call(0xc5000020, 0xc5000022, 0, 0), -1);
    at = (uint64_t)call_on(3, 0xc5000021, 0, 0, 0);
    assert_int_equal(at, PLAT_PVTIME + 3 * 64);
    assert_int_equal(gmem_read(&fake_vm, gpa(at), &ns, 8), 0);
    /* revision and attributes */
    assert_int_equal(ns, 0);
    fake_vcpu[3].sched.steal_ns = 123456789;
    guest_arm.off_cpu(&fake_vcpu[3], false);
    assert_int_equal(gmem_read(&fake_vm, gpa(at + 8), &ns, 8), 0);
    assert_int_equal(ns, 123456789);
    arm_machine_of(&fake_vcpu[0])->pv = false;
    assert_int_equal(call(0xc5000021, 0, 0, 0), -1);
    assert_int_equal(call(0x80000001, 0xc5000020, 0, 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_features, setup, teardown),
        cmocka_unit_test_setup_teardown(test_workarounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cpu_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cpu_on_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_system, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trng, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stolen_time, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
