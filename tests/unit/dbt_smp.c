/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * riscv64 harts that run at the same time, interpreted and compiled: their atomics lose nothing,
 * and a lock keeps others out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "tests/unit/rv_harts.h"

#define HARTS HARTS_MOST
#define SHARED 0x8000 /* offset in RAM of what all harts change, a line each */
#define ROUNDS 20000

/* Code: x5 is 1, x7 an address, x10 the hart's number, x11 SHARED, x12 what is left to do. */
enum { BY_ADD, BY_ADD_W, BY_SC, BY_SC_W, BY_XOR, BY_MAXU, LOCK, BY_LOCK };
#define LINE(n) ((n)*64)

static const uint32_t counting[] = {
    AMO(ADD, D, 6, 5, 11),
    ADDI(7, 11, LINE(BY_ADD_W)),
    AMO(ADD, W, 6, 5, 7),
    ADDI(7, 11, LINE(BY_SC)),
    AMO(LR, D, 6, 0, 7),
    ADDI(6, 6, 1),
    AMO(SC, D, 8, 6, 7),
    0xfe041ae3, /* bnez x8, the LR */
    ADDI(7, 11, LINE(BY_SC_W)),
    AMO(LR, W, 6, 0, 7),
    ADDI(6, 6, 1),
    AMO(SC, W, 8, 6, 7),
    0xfe041ae3,
    ADDI(7, 11, LINE(BY_XOR)),
    AMO(XOR, D, 6, 12, 7),
    ADDI(7, 11, LINE(BY_MAXU)),
    0x00361693, /* slli x13, x12, 3 */
    0x00a6e6b3, /* or x13, x13, x10 */
    AMO(MAXU, D, 6, 13, 7),
    ADDI(7, 11, LINE(LOCK)),
    AMO(SWAP, W, 6, 5, 7) | 1 << 26, /* .aq */
    0xfe031ee3,                      /* bnez x6, the AMOSWAP */
    ADDI(14, 11, LINE(BY_LOCK)),
    AMO(LR, D, 6, 0, 14), /* as two accesses, but no race in the C language */
    ADDI(6, 6, 1),
    AMO(SWAP, D, 0, 6, 14),
    AMO(SWAP, W, 0, 0, 7) | 1 << 25, /* .rl */
    ADDI(12, 12, -1),
    0xf80618e3, /* bnez x12, the first */
    WFI,
};

static uint64_t steps_of(const struct rv_engine *e)
{
    struct rv_jit_stats s;

    rv_jit_stats(e->jit, &s);
    return s.steps;
}

/* One hart is interpreted beside those that compile. */
static void nothing_is_lost(void **state)
{
    struct rv_engine *harts[HARTS];
    uint64_t xored = 0;

    (void)state;
    memcpy(harts_ram, counting, sizeof counting);
    for (unsigned k = 0; k < HARTS; k++) {
        harts[k] = hart_new(k, k > 0);
        harts[k]->hart.cpu.x[5] = 1;
        harts[k]->hart.cpu.x[11] = HARTS_BASE + SHARED;
        harts[k]->hart.cpu.x[12] = ROUNDS;
    }
    harts_run(harts, HARTS);
    for (uint64_t k = 1; k <= ROUNDS; k++)
        xored ^= k;
    assert_int_equal(*harts_word(SHARED + LINE(BY_ADD)), HARTS * ROUNDS);
    assert_int_equal(*harts_word(SHARED + LINE(BY_ADD_W)), HARTS * ROUNDS);
    assert_int_equal(*harts_word(SHARED + LINE(BY_SC)), HARTS * ROUNDS);
    assert_int_equal(*harts_word(SHARED + LINE(BY_SC_W)), HARTS * ROUNDS);
    assert_int_equal(*harts_word(SHARED + LINE(BY_XOR)), HARTS & 1 ? xored : 0);
    assert_int_equal(*harts_word(SHARED + LINE(BY_MAXU)), ROUNDS << 3 | (HARTS - 1));
    assert_int_equal(*harts_word(SHARED + LINE(BY_LOCK)), HARTS * ROUNDS);
    for (unsigned k = 1; k < HARTS; k++) /* all of it was compiled */
        assert_int_equal(steps_of(harts[k]), 0);
    for (unsigned k = 0; k < HARTS; k++)
        hart_free(harts[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(nothing_is_lost) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
