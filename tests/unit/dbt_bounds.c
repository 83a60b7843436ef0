/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest cannot make long: each look at its compiled code ends, whatever the code does and
 * wherever it lies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <unistd.h>
#include "hv/dbt/riscv64/jit.h"
#include "tests/unit/rv_harts.h"

#define PASS 4000
#define LATE_S 20 /* by then it is said to hang */

static struct rv_jit_stats stats_of(const struct rv_engine *e)
{
    struct rv_jit_stats s;

    rv_jit_stats(e->jit, &s);
    return s;
}

/* Traps from `start`, to a handler whose first instruction traps: none retires, but a NOP before.
 */
static void handler_that_traps(uint32_t insn, uint64_t cause)
{
    const uint32_t start[] = { ADDI(0, 0, 0), insn };
    struct rv_engine *e = hart_new(0, true);

    memcpy(harts_ram, &insn, sizeof insn);
    memcpy(harts_ram + 0x100, start, sizeof start);
    e->hart.cpu.mtvec = HARTS_BASE;
    for (unsigned k = 0; k < 3; k++) {
        e->hart.cpu.pc = HARTS_BASE + 0x100;
        assert_in_range(rv_engine_pass(e, PASS), 1, PASS);
        assert_int_equal(e->hart.cpu.pc, HARTS_BASE);
    }
    assert_int_equal(e->hart.cpu.mcause, cause);
    assert_int_equal(e->hart.cpu.instret, 3);
    assert_true(stats_of(e).entries > 3);
    hart_free(e);
}

static void traps_in_a_trap(void **state)
{
    (void)state;
    handler_that_traps(0x00003303 /* ld x6, (x0) */, RV_LOAD_ACCESS);
    handler_that_traps(0x00603023 /* sd x6, (x0) */, RV_STORE_ACCESS);
    handler_that_traps(AMO(ADD, D, 6, 7, 0), RV_STORE_ACCESS);
    handler_that_traps(0x7ff02373 /* csrr x6, no such */, RV_INSN_ILLEGAL);
}

/* ---- many units in one place ---- */

#define JUMP_ON 0xa081        /* c.j 64 */
#define JUMP_X5 0x8282        /* c.jr x5 */
#define JUMPS (8 * PAGE_SIZE) /* offset in RAM of the pages full of jumps */
#define START 0x200
#define STOP 0x300

static void put16(size_t at, uint16_t v) { memcpy(harts_ram + at, &v, sizeof v); }

/* A page in which each place is that of a unit, which jumps through the rest of it, then to x5 + k.
 */
static void page_of_jumps(unsigned k)
{
    for (size_t at = 0; at < PAGE_SIZE; at += 2)
        put16(JUMPS + k * PAGE_SIZE + at,
              at < PAGE_SIZE - 64 ? JUMP_ON : (uint16_t)(JUMP_X5 + (k << 7)));
}

/* Makes the unit at an offset in RAM: control comes there by a jump, and ends in WFI. */
static void visit(struct rv_engine *e, size_t at)
{
    e->hart.cpu.x[4] = HARTS_BASE + at;
    for (unsigned k = 5; k < 8; k++)
        e->hart.cpu.x[k] = HARTS_BASE + STOP;
    e->hart.cpu.pc = HARTS_BASE + START;
    e->hart.cpu.waiting = 0;
    for (unsigned k = 0; !e->hart.cpu.waiting; k++) {
        assert_true(k < 20);
        (void)rv_engine_pass(e, PASS);
    }
}

static struct rv_engine *new_with_pages(unsigned n)
{
    static const uint32_t jump_x4 = 0x00020067, wfi = WFI;

    memset(harts_ram, 0, JUMPS);
    memcpy(harts_ram + START, &jump_x4, 4);
    memcpy(harts_ram + STOP, &wfi, 4);
    for (unsigned k = 0; k < n; k++)
        page_of_jumps(k);
    return hart_new(0, true);
}

/* All units of a page are looked at when something is written there: they are not too many. */
static void units_of_one_page(void **state)
{
    struct rv_engine *e = new_with_pages(1);
    uint64_t live;

    (void)state;
    for (size_t at = 0; at < PAGE_SIZE; at += 2)
        visit(e, JUMPS + at);
    live = stats_of(e).live;
    assert_in_range(live, PAGE_UNITS, PAGE_UNITS + 10);
    rv_jit_written(e->jit, HARTS_BASE + JUMPS + PAGE_SIZE - 64, 64); /* of them all */
    assert_int_equal(stats_of(e).live, live - PAGE_UNITS);
    hart_free(e);
}

/* After FENCE.I a page's units are compared with memory: of a few pages in each pass. */
static void comparing_with_memory(void **state)
{
    struct rv_engine *e = new_with_pages(3);
    uint64_t round, looks = 0;

    (void)state;
    for (unsigned k = 0; k < 3; k++)
        for (size_t at = 0; at < 160; at += 2)
            visit(e, JUMPS + k * PAGE_SIZE + at);
    rv_jit_verify(e->jit);
    round = e->jit->round;
    e->hart.cpu.waiting = 0;
    e->hart.cpu.x[4] = HARTS_BASE + JUMPS;
    e->hart.cpu.x[5] = HARTS_BASE + JUMPS + PAGE_SIZE;
    e->hart.cpu.x[6] = HARTS_BASE + JUMPS + 2 * PAGE_SIZE;
    e->hart.cpu.pc = HARTS_BASE + START;
    (void)rv_engine_pass(e, PASS);
    for (unsigned k = 1; k < PAGES; k++)
        looks += e->jit->pages[k].count >= 64 && e->jit->pages[k].checked == round;
    assert_int_equal(looks, 1);
    visit(e, JUMPS + 2 * PAGE_SIZE); /* it goes on all the same */
    hart_free(e);
}

static unsigned chain_of_units(const struct rv_jit *j, uint32_t hash)
{
    unsigned n = 0;

    for (uint32_t k = j->heads[hash]; k; k = j->units[k].next)
        n++;
    return n;
}

static unsigned chain_of_pages(const struct rv_jit *j, uint32_t hash)
{
    unsigned n = 0;

    for (uint32_t k = j->page_heads[hash]; k; k = j->pages[k].next)
        n++;
    return n;
}

/* A guest chooses addresses of one hash: its chain stays short. */
static void addresses_of_one_hash(void **state)
{
    struct rv_engine *e = new_with_pages(0);
    uint64_t pa = HARTS_BASE;

    (void)state;
    for (unsigned n = 0; n < 4 * CHAIN; pa += 2) /* in a few pages */
        if (units_hash(pa, pa, 3) == 5) {
            (void)units_new(e->jit, pa, pa, 3);
            n++;
        }
    assert_int_equal(chain_of_units(e->jit, 5), CHAIN);
    for (unsigned n = 0; n < 4 * CHAIN; pa += PAGE_SIZE)
        if (units_page_hash(pa) == 7) {
            (void)units_new(e->jit, pa, pa, 3);
            (void)units_new(e->jit, pa + 2, pa + 2, 3);
            n++;
        }
    assert_in_range(chain_of_pages(e->jit, 7), CHAIN, CHAIN);
    assert_int_equal(stats_of(e).live, CHAIN + 2 * CHAIN);
    hart_free(e);
}

static int late(void **state)
{
    (void)state;
    alarm(LATE_S);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup(traps_in_a_trap, late),
                                        cmocka_unit_test_setup(units_of_one_page, late),
                                        cmocka_unit_test_setup(comparing_with_memory, late),
                                        cmocka_unit_test_setup(addresses_of_one_hash, late) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
