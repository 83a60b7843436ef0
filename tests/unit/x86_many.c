/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages between the APICs of a guest with as many vCPUs as there can be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define FAKE_VCPUS X86_VCPUS_MAX
#include "tests/unit/x86_fakes.h"

#define LAST (X86_VCPUS_MAX - 1)

static int start(void **state)
{
    (void)state;
    fake_start(X86_VCPUS_MAX);
    for (unsigned i = 0; i < X86_VCPUS_MAX; i++) {
        apic_write(i, APIC_SVR, 0x1ff);
        assert_int_equal(lapic_set_base(&fake_vcpu[i], lapic_get_base(&fake_vcpu[i]) | BASE_X2), 0);
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fake_stop();
    return 0;
}

static void icr(unsigned from, uint32_t dest, uint32_t low)
{
    uint64_t val = (uint64_t)dest << 32 | low;

    assert_int_equal(lapic_msr(&fake_vcpu[from], 0x830, true, &val), 0);
}

/* How many have that vector, and have taken it now. */
static unsigned taken(int vector)
{
    unsigned n = 0;

    for (unsigned i = 0; i < X86_VCPUS_MAX; i++) {
        uint64_t eoi = 0;

        if (take(i) != vector)
            continue;
        n++;
        assert_int_equal(lapic_msr(&fake_vcpu[i], 0x80b, true, &eoi), 0);
    }
    return n;
}

static void test_to_one(void **state)
{
    (void)state;
    for (unsigned i = 0; i < X86_VCPUS_MAX; i++) {
        icr(LAST - i, i, 0x41);
        assert_int_equal(take(i), 0x41);
        assert_int_equal(lapic_msr(&fake_vcpu[i], 0x80b, true, &(uint64_t){ 0 }), 0);
        icr(0, i >> 4 << 16 | 1u << (i & 15), 0x842); /* the logical destination of the same */
        assert_int_equal(take(i), 0x42);
        assert_int_equal(lapic_msr(&fake_vcpu[i], 0x80b, true, &(uint64_t){ 0 }), 0);
        assert_int_equal(taken(0x41) + taken(0x42), 0);
    }
    icr(0, X86_VCPUS_MAX, 0x41); /* nobody */
    icr(0, 0x100 << 16 | 1, 0x841);
    assert_int_equal(taken(0x41), 0);
}

static void test_to_many(void **state)
{
    (void)state;
    icr(7, ~0u, 0x43);
    assert_int_equal(taken(0x43), X86_VCPUS_MAX);
    icr(LAST, 0, 0xc0044); /* all but itself */
    assert_int_equal(take(LAST), -1);
    assert_int_equal(taken(0x44), LAST);
    icr(3, 0, 0x80045); /* all */
    assert_int_equal(taken(0x45), X86_VCPUS_MAX);
    icr(3, 5 << 16 | 0xffff, 0x846); /* a cluster */
    assert_int_equal(taken(0x46), 16);
}

/* In turn among those of a cluster. */
static void test_lowest_priority(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 32; i++) {
        icr(0, 14 << 16 | 0xffff, 0x947);
        assert_int_equal(take(14 * 16 + i % 16), 0x47);
        assert_int_equal(lapic_msr(&fake_vcpu[14 * 16 + i % 16], 0x80b, true, &(uint64_t){ 0 }), 0);
    }
}

static void test_by_hypercall(void **state)
{
    (void)state;
    assert_int_equal(lapic_pv_ipi(&fake_vcpu[0], ~0ull, ~0ull, 130, 0x48), LAST - 129);
    assert_int_equal(taken(0x48), LAST - 129);
    assert_int_equal(lapic_pv_ipi(&fake_vcpu[0], 1, 1ull << 63, 60, 0x49), 2);
    assert_int_equal(take(60), 0x49);
    assert_int_equal(take(187), 0x49);
    assert_int_equal(lapic_pv_ipi(&fake_vcpu[0], 1, 0, X86_VCPUS_MAX, 0x49), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_to_one, start, stop),
        cmocka_unit_test_setup_teardown(test_to_many, start, stop),
        cmocka_unit_test_setup_teardown(test_lowest_priority, start, stop),
        cmocka_unit_test_setup_teardown(test_by_hypercall, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
