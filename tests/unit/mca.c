/* SPDX-License-Identifier: BSD-2-Clause */
/* Machine-check banks as machines have shown them: who has to go, and what a person reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86_64/mca.h"

#define INTEL       \
    {               \
        false, true \
    }
#define OLD          \
    {                \
        false, false \
    }
#define AMD        \
    {              \
        true, true \
    }

/* Status words: VAL OVER UC EN MISCV ADDRV PCC S AR are bits 63 to 55. */
static const struct {
    struct mc_facts f;
    struct mc_bank b;
    enum mc_verdict verdict;
    const char *words;
} banks[] = {
    { INTEL, { 0, 0, 0 }, MC_NOTHING, "corrected" },
    { INTEL,
      { 0x8c00004000010091, 0x12345640, 0 },
      MC_CORRECTED,
      "bank 3: corrected error of the memory controller, reading, channel 1 at 0x12345640 (status "
      "8c00004000010091)" },
    { INTEL,
      { 0xcc0000c0000800c2, 0x7f000, 0 },
      MC_CORRECTED,
      "the memory controller, scrubbing, channel 2 at 0x7f000, and others before it" },
    { INTEL, { 0x8800004000200179, 0, 0 }, MC_CORRECTED, "a cache, level 1 (" },
    { INTEL, { 0x9000004000010005, 0, 0 }, MC_CORRECTED, "the CPU's inside" },
    /* SRAO: found by scrubbing; SRAR: a load got poison; the same, and one was lost */
    { INTEL,
      { 0xbd000000000000cf, 0x1000, 0 },
      MC_CORRECTED,
      "uncorrected error of the memory controller, scrubbing at 0x1000" },
    { INTEL, { 0xbd80000000100134, 0x77000, 0 }, MC_CONTAINED, "a cache, level 0 at 0x77000" },
    { INTEL, { 0xfd80000000100134, 0x77000, 0 }, MC_FATAL, "others before it" },
    /* UCNA: nobody has used it */
    { INTEL, { 0xac00000000000090, 0x5000, 0 }, MC_CORRECTED, "uncorrected" },
    { INTEL, { 0xbe00000000800400, 0, 0 }, MC_FATAL, "an internal timer" },
    { INTEL, { 0xb200000000070f0f, 0, 0 }, MC_FATAL, "the bus, or what is behind it" },
    { INTEL, { 0x9000000000001019, 0, 0 }, MC_CORRECTED, "a TLB, level 1" },
    /* without recovery every uncorrected error is the end */
    { OLD, { 0xbd80000000100134, 0x77000, 0 }, MC_FATAL, "uncorrected" },
    { AMD, { 0x9c2040000000011b, 0x3000, 0 }, MC_CORRECTED, "a cache, some level" },
    { AMD, { 0x8400100000000135, 0x3000, 0 }, MC_CORRECTED, "deferred error of a cache" },
    { AMD, { 0xbc80000000000135, 0x3000, 0 }, MC_CONTAINED, "uncorrected error of a cache" },
    { AMD, { 0xfc80000000000135, 0x3000, 0 }, MC_FATAL, "uncorrected" },
    { AMD, { 0xbea0000000000108, 0x3000, 0 }, MC_FATAL, "uncorrected" },
};

static void each_bank(void **state)
{
    char words[MC_WORDS];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(banks); i++) {
        mc_words(&banks[i].f, 3, &banks[i].b, words);
        if (mc_judge(&banks[i].f, &banks[i].b) != banks[i].verdict ||
            !strstr(words, banks[i].words))
            fail_msg("%u: %d, %s", i, mc_judge(&banks[i].f, &banks[i].b), words);
    }
}

/* Every error code has words that fit and end. */
static void every_code(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x10000; code++) {
        const struct mc_bank b = { ~0xffffull | code, UINT64_MAX, 0 };
        char words[MC_WORDS];

        mc_words(&banks[0].f, 31, &b, words);
        if (strlen(words) >= MC_WORDS - 1 || !strstr(words, "(status ffffffffffff"))
            fail_msg("%x: %s", code, words);
    }
}

static void the_worst_counts(void **state)
{
    const struct mc_facts f = INTEL;
    const struct mc_bank srar = { 0xbd80000000100134, 0x77000, 0 },
                         srao = { 0xbd000000000000cf, 0x1000, 0 },
                         pcc = { 0xbe00000000800400, 0, 0 }, none = { 0, 0, 0 };
    const struct mc_bank two[] = { srao, srar }, worse[] = { srar, pcc }, mild[] = { none, srao };

    (void)state;
    /* what a guest has read is its own loss; what Trivet has read is everybody's */
    assert_int_equal(mc_judge_all(&f, two, 2, 7, true), MC_CONTAINED);
    assert_int_equal(mc_judge_all(&f, two, 2, 7, false), MC_FATAL);
    assert_int_equal(mc_judge_all(&f, worse, 2, 7, true), MC_FATAL);
    assert_int_equal(mc_judge_all(&f, mild, 2, 5, false), MC_CORRECTED);
    assert_int_equal(mc_judge_all(&f, mild, 2, 5, true), MC_CORRECTED);
    /* RIPV is 0: the program cannot go on */
    assert_int_equal(mc_judge_all(&f, mild, 2, 4, false), MC_FATAL);
    assert_int_equal(mc_judge_all(&f, mild, 2, 4, true), MC_CONTAINED);
    /* another CPU's error is told to all: nothing here, and it goes on */
    assert_int_equal(mc_judge_all(&f, &none, 1, 5, false), MC_NOTHING);
    assert_int_equal(mc_judge_all(&f, &none, 1, 4, true), MC_FATAL);
    assert_int_equal(mc_judge_all(&f, &none, 0, 4, true), MC_FATAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_bank),
        cmocka_unit_test(every_code),
        cmocka_unit_test(the_worst_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
