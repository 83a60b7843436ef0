/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A FENCE in compiled code, and an LR that releases, keep a load behind the store before it, as
 * another hart that runs at the same time sees it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "tests/unit/rv_harts.h"

#define SHARED 0x8000 /* offset in RAM of what both harts store, a line each */
#define LOGS 0x100000 /* and of what they read */
#define STORES 1000000
#define ROUNDS 6
#define MOVES 200000
#define LINE(n) ((n)*64)

/* x10: where to store, x11: what the other hart stores, x13: the log of what was read. */
#define STORING(fence, load)                                          \
    {                                                                 \
        ADDI(5, 5, 1), 0x00553023,       /* sd x5, (x10) */           \
            fence, load, 0x0066b023,     /* sd x6, (x13) */           \
            ADDI(13, 13, 8), 0xfec294e3, /* bne x5, x12, the first */ \
            WFI,                                                      \
    }
static const uint32_t by_fence[] = STORING(FENCE_RW_RW, 0x0005b303 /* ld x6, (x11) */);
static const uint32_t by_lr[] = STORING(ADDI(0, 0, 0), AMO(LR, D, 6, 0, 11) | 3 << 25 /* .aqrl */);

static const uint64_t *log_of(unsigned n) { return harts_word(LOGS + n * 8ul * STORES); }

static void both_store(void)
{
    struct rv_engine *harts[2];

    for (unsigned k = 0; k < 2; k++) {
        harts[k] = hart_new(k, true);
        harts[k]->hart.cpu.x[10] = HARTS_BASE + SHARED + LINE(k);
        harts[k]->hart.cpu.x[11] = HARTS_BASE + SHARED + LINE(1 - k);
        harts[k]->hart.cpu.x[12] = STORES;
        harts[k]->hart.cpu.x[13] = HARTS_BASE + LOGS + k * 8ul * STORES;
        *harts_word(SHARED + LINE(k)) = 0;
    }
    harts_run(harts, 2);
    for (unsigned k = 0; k < 2; k++)
        hart_free(harts[k]);
}

/*
 * Each counts up and reads how far the other is. If one, having stored k, reads less than j, then
 * the other, having stored j, reads k or more. How often one saw the other move.
 */
static unsigned check_order(void)
{
    const uint64_t *first = log_of(0), *second = log_of(1);
    unsigned moves = 0;

    for (uint64_t k = 1; k <= STORES; k++) {
        uint64_t j = first[k - 1] + 1;
        moves += k > 1 && first[k - 1] != first[k - 2];
        if (j <= STORES && second[j - 1] < k)
            fail_msg("%llu and %llu", (unsigned long long)k, (unsigned long long)j);
    }
    return moves;
}

/* On a busy machine they seldom run at the same time. */
static void keeps_order(const uint32_t *code, size_t bytes)
{
    unsigned moves = 0;

    memcpy(harts_ram, code, bytes);
    for (unsigned round = 0; round < ROUNDS && moves < MOVES; round++) {
        both_store();
        moves += check_order();
    }
}

static void a_fence_keeps_order(void **state)
{
    (void)state;
    keeps_order(by_fence, sizeof by_fence);
}

static void a_releasing_lr_keeps_order(void **state)
{
    (void)state;
    keeps_order(by_lr, sizeof by_lr);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_fence_keeps_order),
                                        cmocka_unit_test(a_releasing_lr_keeps_order) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
