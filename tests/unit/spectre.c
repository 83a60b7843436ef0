/* SPDX-License-Identifier: BSD-2-Clause */
/* What is done against attacks by speculation, by CPU and by the firmware's answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "arch/aarch64/spectre.h"
#include <hv/mitigations.h>
#include <string.h>

#define CSV2(n) ((uint64_t)(n) << 56)
#define SSBS 0x10u
#define CLRBHB (1ull << 28)
#define ECBHB (1ull << 60)
enum { CALL = 0, NOT_NEEDED = 1, NONE = -1 };
enum { OPEN = SPECTRE_OPEN, DONE = SPECTRE_MITIGATED, SAFE = SPECTRE_SAFE };

/* Each with another revision than the table's (0), for only maker and part count. */
static const struct {
    const char *what;
    struct spectre_cpu c;
    uint8_t v2, bhb, v4, at_exit, loops;
    bool ssbs;
} cases[] = {
    /* clang-format off */
    { "A53", { 0x410fd034, 0, 0, 0, 0, NONE, NONE, NONE },
      SAFE, SAFE, SAFE, AT_EXIT_NONE, 0, false },
    { "A72, no firmware", { 0x410fd083, 0, 0, 0, 0, NONE, NONE, NONE },
      OPEN, DONE, OPEN, AT_EXIT_LOOP, 8, false },
    { "A72, WORKAROUND_1 and 2", { 0x410fd083, 0, 0, 0, 0, CALL, CALL, NONE },
      DONE, DONE, DONE, AT_EXIT_CALL_1, 0, false },
    { "A72, all three", { 0x410fd083, 0, 0, 0, 0, CALL, CALL, CALL },
      DONE, DONE, DONE, AT_EXIT_CALL_3, 0, false },
    { "A72 r1p0, CSV2", { 0x411fd080, CSV2(1), 0, 0, 0, NOT_NEEDED, CALL, NOT_NEEDED },
      SAFE, DONE, DONE, AT_EXIT_LOOP, 8, false },
    { "A73, WORKAROUND_1", { 0x410fd092, 0, 0, 0, 0, CALL, CALL, NONE },
      DONE, OPEN, DONE, AT_EXIT_CALL_1, 0, false },
    { "A73, all three", { 0x410fd092, 0, 0, 0, 0, CALL, CALL, CALL },
      DONE, DONE, DONE, AT_EXIT_CALL_3, 0, false },
    { "A75, no firmware", { 0x412fd0a1, CSV2(1), 0, 0, 0, NONE, NONE, NONE },
      SAFE, OPEN, OPEN, AT_EXIT_NONE, 0, false },
    { "A75, WORKAROUND_3", { 0x412fd0a1, CSV2(1), SSBS, 0, 0, NONE, NONE, CALL },
      SAFE, DONE, DONE, AT_EXIT_CALL_3, 0, true },
    { "A75, not needed here", { 0x412fd0a1, CSV2(1), 0, 0, 0, NONE, NOT_NEEDED, NOT_NEEDED },
      SAFE, SAFE, SAFE, AT_EXIT_NONE, 0, false },
    { "N1", { 0x414fd0c1, CSV2(1), 2 * SSBS, 0, 0, NONE, NONE, NONE },
      SAFE, DONE, DONE, AT_EXIT_LOOP, 24, true },
    { "N1, firmware has a call too", { 0x414fd0c1, CSV2(1), 0, 0, 0, NOT_NEEDED, CALL, CALL },
      SAFE, DONE, DONE, AT_EXIT_LOOP, 24, false },
    { "V1", { 0x411fd401, CSV2(1), SSBS, 0, 0, NONE, NONE, NONE },
      SAFE, DONE, DONE, AT_EXIT_LOOP, 32, true },
    { "V2", { 0x410fd4f1, CSV2(2), SSBS, 0, 0, NONE, NONE, NONE },
      SAFE, DONE, DONE, AT_EXIT_LOOP, 132, true },
    { "A720", { 0x410fd811, CSV2(2), SSBS, 0, 0, NONE, NONE, NONE },
      SAFE, DONE, DONE, AT_EXIT_LOOP, 38, true },
    { "N2 with ECBHB", { 0x410fd493, CSV2(1), SSBS, CLRBHB, ECBHB, NONE, NONE, NONE },
      SAFE, SAFE, DONE, AT_EXIT_NONE, 0, true },
    { "N2 with CLRBHB", { 0x410fd493, CSV2(1), SSBS, CLRBHB, 0, NONE, NONE, NONE },
      SAFE, DONE, DONE, AT_EXIT_CLRBHB, 0, true },
    { "CSV2 3", { 0x414fd0c1, CSV2(3), SSBS, CLRBHB, 0, NONE, NONE, CALL },
      SAFE, SAFE, DONE, AT_EXIT_NONE, 0, true },
    { "AmpereOne", { 0xc00fac30, CSV2(1), SSBS, 0, 0, NONE, NONE, NONE },
      SAFE, DONE, DONE, AT_EXIT_LOOP, 11, true },
    { "Ampere's number, Arm's maker", { 0x410fac30, CSV2(1), SSBS, 0, 0, NONE, NONE, NONE },
      SAFE, SAFE, DONE, AT_EXIT_NONE, 0, true },
    { "Kryo 4xx Gold", { 0x51df804e, 0, 0, 0, 0, CALL, NONE, NONE },
      DONE, DONE, OPEN, AT_EXIT_CALL_1, 0, false },
    { "TSV110", { 0x481fd010, 0, 0, 0, 0, NONE, NONE, NONE },
      SAFE, SAFE, OPEN, AT_EXIT_NONE, 0, false },
    { "QEMU's max", { 0x000f0510, CSV2(2), 2 * SSBS, 0, 0, NONE, NONE, NONE },
      SAFE, SAFE, DONE, AT_EXIT_NONE, 0, true },
    { "unknown, old", { 0x500f0000, 0, 0, 0, 0, NONE, NONE, NONE },
      OPEN, SAFE, OPEN, AT_EXIT_NONE, 0, false },
    /* clang-format on */
};

static void test_plans(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct spectre_plan p = spectre_plan(&cases[i].c);

        if (p.v2 != cases[i].v2 || p.bhb != cases[i].bhb || p.v4 != cases[i].v4 ||
            p.at_exit != cases[i].at_exit || p.loops != cases[i].loops || p.ssbs != cases[i].ssbs)
            fail_msg("%s: v2 %u, history %u, v4 %u, at exit %u, %u branches, ssbs %d",
                     cases[i].what, p.v2, p.bhb, p.v4, p.at_exit, p.loops, p.ssbs);
    }
}

/* The lines that people read, of the same recorded CPUs. */
static void test_words(void **state)
{
    static const struct {
        const char *what, *v2, *v4;
    } rows[] = {
        { "A53", "Not affected", "Not affected" },
        { "A72, no firmware", "Vulnerable: branch targets: the firmware has no call against it",
          "Vulnerable" },
        { "A72, WORKAROUND_1 and 2",
          "Mitigation: Branch predictor hardening, BHB: at each exit firmware call (WORKAROUND_1)",
          "Mitigation: loads never pass stores, by the firmware (WORKAROUND_2)" },
        { "A72 r1p0, CSV2", "Mitigation: CSV2, BHB: at each exit a loop of branches (8 taken)",
          "Mitigation: loads never pass stores, by the firmware (WORKAROUND_2)" },
        { "A75, no firmware", "Vulnerable: BHB: the firmware has no call against it",
          "Vulnerable" },
        { "A75, WORKAROUND_3", "Mitigation: CSV2, BHB: at each exit firmware call (WORKAROUND_3)",
          "Mitigation: SSBS is 0 in Trivet, and a guest's own choice in it" },
        { "N1", "Mitigation: CSV2, BHB: at each exit a loop of branches (24 taken)",
          "Mitigation: SSBS is 0 in Trivet, and a guest's own choice in it" },
        { "V2", "Mitigation: CSV2, BHB: at each exit a loop of branches (132 taken)",
          "Mitigation: SSBS is 0 in Trivet, and a guest's own choice in it" },
        { "N2 with ECBHB", "Not affected",
          "Mitigation: SSBS is 0 in Trivet, and a guest's own choice in it" },
        { "N2 with CLRBHB", "Mitigation: CSV2, BHB: at each exit CLRBHB",
          "Mitigation: SSBS is 0 in Trivet, and a guest's own choice in it" },
        { "CSV2 3", "Not affected",
          "Mitigation: SSBS is 0 in Trivet, and a guest's own choice in it" },
        { "AmpereOne", "Mitigation: CSV2, BHB: at each exit a loop of branches (11 taken)",
          "Mitigation: SSBS is 0 in Trivet, and a guest's own choice in it" },
    };
    unsigned found = 0;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct spectre_plan p = spectre_plan(&cases[i].c);
        struct mitigation_report m;

        for (unsigned k = 0; k < ARRAY_SIZE(rows); k++) {
            if (strcmp(rows[k].what, cases[i].what) != 0)
                continue;
            found++;
            spectre_report(&p, true, &m);
            assert_string_equal(m.class[MIT_SPECTRE_V2].text, rows[k].v2);
            assert_string_equal(m.class[MIT_SPEC_STORE_BYPASS].text, rows[k].v4);
            assert_int_equal(m.class[MIT_RETBLEED].state, MIT_NOT_AFFECTED);
        }
        spectre_report(&p, false, &m);
        assert_true((p.at_exit == AT_EXIT_NONE && p.v2 == SAFE && p.bhb == SAFE) ==
                    (m.class[MIT_SPECTRE_V2].state == MIT_NOT_AFFECTED));
    }
    assert_int_equal(found, ARRAY_SIZE(rows));
}

/* big.LITTLE: a guest may run on either. */
static void test_least(void **state)
{
    struct spectre_plan little = spectre_plan(&cases[0].c), big = spectre_plan(&cases[10].c),
                        both = spectre_least(&little, &big);

    (void)state;
    assert_string_equal(cases[10].what, "N1");
    assert_int_equal(both.bhb, DONE);
    assert_int_equal(both.at_exit, AT_EXIT_LOOP);
    assert_int_equal(both.loops, 24);
    assert_false(both.ssbs);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_plans), cmocka_unit_test(test_words),
                                        cmocka_unit_test(test_least) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
