/* SPDX-License-Identifier: BSD-2-Clause */
/* What the TSC is good for, over what CPUs say of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86_64/tsc.h"

/* CPUID leaves 15h and 16h and MSR CEh as CPUs of these names have them. */
static const struct {
    const char *name;
    struct tsc_facts f;
    uint64_t hz, apic_hz;
    bool exact;
} cpus[] = {
    { "Core i7-12700: crystal told",
      { true, 0x90672, 2, 110, 38400000, 2100, 0, 0, 0 },
      2112000000,
      38400000,
      true },
    { "Core i7-6700: crystal by the model",
      { true, 0x506e3, 2, 284, 0, 3400, 0, 0, 0 },
      3408000000,
      24000000,
      true },
    { "Core i7-8700", { true, 0x906ea, 2, 266, 0, 3200, 0, 0, 0 }, 3192000000, 24000000, true },
    { "Celeron J3455: Goldmont",
      { true, 0x506c9, 3, 234, 0, 0, 0, 0, 0 },
      1497600000,
      19200000,
      true },
    { "Gemini Lake tells",
      { true, 0x706a1, 3, 171, 19200000, 0, 0, 0, 0 },
      1094400000,
      19200000,
      true },
    { "Atom C3558: Denverton",
      { true, 0x506f1, 1, 88, 0, 2200, 0, 0, 0 },
      2200000000,
      25000000,
      true },
    { "Xeon Gold 6130: by leaf 16h",
      { true, 0x50654, 2, 168, 0, 2100, 0x1500, 0, 0 },
      2100000000,
      25000000,
      false },
    { "Core i7-4770: by the ratio",
      { true, 0x306c3, 0, 0, 0, 0, 0x80838f3012200, 0, 0 },
      3400000000,
      0,
      false },
    { "Core i7-920: 133 MHz", { true, 0x106a5, 0, 0, 0, 0, 0x1400, 0, 0 }, 2666666660, 0, false },
    { "EPYC says nothing", { false, 0x830f10, 0, 0, 0, 0, 0x2200, 0, 0 }, 0, 0, false },
    { "Silvermont: another layout", { true, 0x30678, 0, 0, 0, 0, 0x1800, 0, 0 }, 0, 0, false },
    { "under KVM",
      { false, 0x830f10, 0, 0, 0, 0, 0, 2794750, 1000000 },
      2794750000,
      1000000000,
      true },
    { "a leaf of zeros", { true, 0x906ea, 0, 0, 24000000, 3200, 0, 0, 0 }, 0, 0, false },
    { "leaf 16h alone has no ratio", { true, 0x806f8, 0, 0, 0, 2000, 0, 0, 0 }, 0, 0, false },
};

static void frequencies(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cpus); i++) {
        struct tsc_told t = tsc_told(&cpus[i].f);

        if (t.hz != cpus[i].hz || t.apic_hz != cpus[i].apic_hz || t.exact != cpus[i].exact)
            fail_msg("%s: %llu, %llu, %d", cpus[i].name, (unsigned long long)t.hz,
                     (unsigned long long)t.apic_hz, t.exact);
        assert_non_null(t.how);
    }
}

static void told_or_measured(void **state)
{
    const struct tsc_told exact = { 3408000000, 24000000, "x", true },
                          rounded = { 3400000000, 0, "x", false }, none = { 0, 0, "x", false };
    bool off;

    (void)state;
    assert_int_equal(tsc_choose(&exact, 0, &off), 3408000000);
    assert_false(off);
    assert_int_equal(tsc_choose(&exact, 3500000000, &off), 3408000000);
    assert_true(off);
    assert_int_equal(tsc_choose(&rounded, 3392111000, &off), 3392111000);
    assert_false(off);
    assert_int_equal(tsc_choose(&rounded, 3560000000, &off), 3560000000);
    assert_true(off); /* overclocked, or the reference is wrong */
    assert_int_equal(tsc_choose(&rounded, 0, &off), 3400000000);
    assert_false(off);
    assert_int_equal(tsc_choose(&none, 2500000000, &off), 2500000000);
    assert_false(off);
    assert_int_equal(tsc_choose(&none, 0, &off), 0);
}

static void deadline_errata(void **state)
{
    static const struct {
        uint32_t signature, needs;
    } cpus[] = {
        { 0x306c3, 0x22 },       /* Core i7-4770 */
        { 0x306f2, 0x3a },       /* Xeon E5-2600 v3 */
        { 0x306f4, 0x0f },       /* Xeon E7 v3 */
        { 0x306f1, 0 },          /* not in the list */
        { 0x406f1, 0x0b000020 }, /* Xeon E5-2600 v4 */
        { 0x50663, 0x0700000e }, /* Xeon D-1500, V1 */
        { 0x50651, UINT32_MAX }, /* a Skylake server before it was sold */
        { 0x50654, 0x02000014 }, /* Xeon Gold 6130 */
        { 0x50657, 0 },          /* Cascade Lake */
        { 0x506e3, 0xb2 },       /* Core i7-6700 */
        { 0x906e9, 0x52 },       /* Core i7-7700 */
        { 0x306a9, 0 },          /* Core i7-3770 */
        { 0x90672, 0 },          /* Core i7-12700 */
        { 0x830f10, 0 },         /* EPYC 7742 */
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cpus); i++)
        if (tsc_deadline_needs(cpus[i].signature) != cpus[i].needs)
            fail_msg("%x: %x", cpus[i].signature, tsc_deadline_needs(cpus[i].signature));
}

/* Two CPUs' readings in turn, the second behind by 70. */
static void a_warp_is_seen(void **state)
{
    struct tsc_warp w = { 0, 0 };

    (void)state;
    for (uint64_t t = 1000; t < 1400; t += 100) {
        tsc_warp_see(&w, t);
        tsc_warp_see(&w, t + 50);
    }
    assert_int_equal(w.worst, 0);
    tsc_warp_see(&w, 1500);
    tsc_warp_see(&w, 1430);
    tsc_warp_see(&w, 1490);
    assert_int_equal(w.worst, 70);
    tsc_warp_see(&w, 1510);
    assert_int_equal(w.last, 1510);
    assert_int_equal(w.worst, 70);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies),
        cmocka_unit_test(told_or_measured),
        cmocka_unit_test(deadline_errata),
        cmocka_unit_test(a_warp_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
