/* SPDX-License-Identifier: BSD-2-Clause */
/* Firmware of a riscv64 machine: where its parts go in RAM of any size, and what harts begin with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/rv_board.h"

#define HARTS 2
#define M (1024 * 1024ull)
#define RAM (64 * M)
#define JUMP (RVM_RAM + 34 * M) /* where fw_jump moves the device tree */
#define INFO 48                 /* bytes of struct fw_dynamic_info */

static struct rv_machine m;
static struct rvm_host host;
static uint8_t file[4 * M];

static uint64_t now;

static uint64_t the_time(void *ctx)
{
    (void)ctx;
    return now;
}

static int make(void **state)
{
    (void)state;
    host = (struct rvm_host){ .time = the_time };
    rv_board_make(&m, &host, HARTS, RAM, false);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    rv_board_drop(&m);
    return 0;
}

static bool places(uint64_t firmware, uint64_t next, uint64_t initrd, struct rvm_places *p)
{
    return rvm_firmware_places(&m, &(struct rvm_bytes){ firmware, next, initrd }, p);
}

static void test_places(void **state)
{
    struct rvm_places p;

    (void)state;
    assert_true(places(1, 0, 0, &p));
    assert_int_equal(p.fdt, JUMP);
    assert_true(places(M, 32 * M, 28 * M, &p)); /* to the last byte of RAM */
    assert_int_equal(p.fdt, JUMP);
    assert_int_equal(p.initrd, JUMP + 2 * M);
    assert_true(places(M, 32 * M + 1, 1, &p)); /* the kernel is there */
    assert_int_equal(p.fdt, RVM_RAM + 36 * M);
    assert_false(places(M, 32 * M, 28 * M + 1, &p));
    assert_true(places(M, 10 * M, 40 * M, &p)); /* too much to leave a gap */
    assert_int_equal(p.fdt, RVM_RAM + 12 * M);
    assert_int_equal(p.initrd, RVM_RAM + 14 * M);
    assert_false(places(M, 60 * M + 1, 0, &p)); /* no room for the device tree */
    assert_true(places(M, 60 * M, 0, &p));
    assert_false(places(2 * M + 1, 1, 0, &p)); /* it would be in the kernel's place */
    assert_true(places(2 * M + 1, 0, 0, &p));
    assert_false(places(RAM, 0, 0, &p));
    m.ram_size = 4 * M;
    assert_true(places(M, 0, 0, &p));
    assert_int_equal(p.fdt, RVM_RAM + 2 * M);
    assert_false(places(M, M, 0, &p));
}

/* Sizes of anything: either all is within RAM, and nothing in another's place, or there is no room.
 */
static void test_any_size(void **state)
{
    static const uint64_t sizes[] = { 0,
                                      1,
                                      2 * M,
                                      2 * M + 1,
                                      32 * M,
                                      62 * M,
                                      RAM,
                                      RAM + 1,
                                      UINT64_MAX / 2,
                                      UINT64_MAX - RVM_RAM,
                                      UINT64_MAX - 2 * M,
                                      UINT64_MAX,
                                      RVM_NEXT,
                                      0 - RVM_NEXT };
    const unsigned n = sizeof sizes / sizeof sizes[0];

    (void)state;
    for (unsigned i = 0; i < n * n * n; i++) {
        uint64_t firmware = sizes[i % n], next = sizes[i / n % n], initrd = sizes[i / n / n];
        struct rvm_places p;

        if (!places(firmware, next, initrd, &p))
            continue;
        assert_true(firmware <= RAM && next <= RAM && initrd <= RAM);
        assert_true(p.fdt >= (next ? RVM_NEXT + next : RVM_RAM + firmware));
        assert_true(p.fdt + RVM_FDT_ROOM + INFO <= p.initrd);
        assert_true(p.fdt + RVM_FDT_ROOM + INFO <= RVM_RAM + RAM);
        assert_true(!initrd || p.initrd + initrd <= RVM_RAM + RAM);
    }
}

static void test_start(void **state)
{
    const struct rvm_files f = { .firmware = file,
                                 .firmware_size = 4096,
                                 .kernel = file + 4096,
                                 .kernel_size = 100,
                                 .append = "words" };
    const uint64_t *info;
    const void *fdt;

    (void)state;
    memset(file, 0xaa, 4096);
    memset(file + 4096, 0xbb, 100);
    assert_int_equal(rvm_load_firmware(&m, &f), 0);
    assert_memory_equal(m.ram, file, 4096);
    assert_memory_equal(m.ram + 2 * M, file + 4096, 100);
    for (unsigned n = 0; n < HARTS; n++) {
        const struct rv_cpu *c = &m.hart[n]->cpu;

        assert_true(c->mode == RV_M && c->pc == RVM_RAM && m.hart_state[n] == RVM_STARTED);
        assert_true(c->x[10] == n && c->x[11] == JUMP && c->x[12] == JUMP + RVM_FDT_ROOM);
    }
    info = (const void *)(m.ram + (m.hart[1]->cpu.x[12] - RVM_RAM));
    assert_int_equal(info[0], 0x4942534f);
    assert_int_equal(info[1], 2);
    assert_int_equal(info[2], RVM_NEXT);
    assert_int_equal(info[3], 1);
    assert_true(!info[4] && !info[5]);
    fdt = m.ram + (JUMP - RVM_RAM);
    assert_int_equal(fdt_check_header(fdt), 0);
    assert_true(fdt_path_offset(fdt, "/soc/clint@2000000") > 0); /* M-mode's */
    assert_string_equal(fdt_getprop(fdt, fdt_path_offset(fdt, "/chosen"), "bootargs", NULL),
                        "words");
}

/* Nothing follows: it is told so. */
static void test_alone(void **state)
{
    const struct rvm_files f = { .firmware = file, .firmware_size = sizeof file, .append = "" };
    const uint64_t *info;

    (void)state;
    assert_int_equal(rvm_load_firmware(&m, &f), 0);
    info = (const void *)(m.ram + (m.hart[0]->cpu.x[12] - RVM_RAM));
    assert_int_equal(info[0], 0x4942534f);
    assert_int_equal(info[2], 0);
}

/* A timer that is due and masked must not hide the other, nor be waited for. */
static void test_next_timer(void **state)
{
    struct rv_cpu *c = &m.hart[0]->cpu;

    (void)state;
    now = 100;
    rvm_start(&m, 0, RVM_RAM, 0, 0);
    assert_int_equal(rvm_hart_timer(&m, 0), UINT64_MAX);
    assert_true(rvm_write(&m, RVM_ACLINT + 0x4000, 8, 50));
    assert_int_equal(rvm_hart_timer(&m, 0), UINT64_MAX);
    c->menvcfg = 1ull << 63;
    c->stimecmp = 200;
    assert_int_equal(rvm_hart_timer(&m, 0), 200);
    assert_true(rvm_write(&m, RVM_ACLINT + 0x4000, 8, 150));
    assert_int_equal(rvm_hart_timer(&m, 0), 150);
    now = 160;
    assert_int_equal(rvm_hart_timer(&m, 0), 150); /* until its hart has looked */
    rvm_timers(&m, 0);
    assert_int_equal(rvm_hart_timer(&m, 0), 200);
    c->menvcfg = 0; /* without Sstc it is none */
    assert_int_equal(rvm_hart_timer(&m, 0), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_places, make, drop),
        cmocka_unit_test_setup_teardown(test_any_size, make, drop),
        cmocka_unit_test_setup_teardown(test_start, make, drop),
        cmocka_unit_test_setup_teardown(test_alone, make, drop),
        cmocka_unit_test_setup_teardown(test_next_timer, make, drop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
