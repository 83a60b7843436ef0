/* SPDX-License-Identifier: BSD-2-Clause */
/* Saved states of virtio devices, the bus and a RAM disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "vio_state.h"

static _Alignas(8) uint8_t image[IMAGE_MAX], again[IMAGE_MAX];

static size_t saved(uint64_t ring)
{
    size_t len;

    new_machine();
    get_busy(ring);
    len = take(image);
    fake_down();
    return len;
}

static void goes_on(uint64_t ring)
{
    size_t len = saved(ring);
    uint8_t status = 0, want = 0;
    unsigned before;

    put_memory();
    assert_int_equal(state_restore(&vm, image, len), 0);
    assert_int_equal(state_size(&vm), len);
    assert_int_equal(state_save(&vm, again, len), 0);
    assert_memory_equal(image, again, len);
    run_events();
    (void)gmem_read(&vm, gpa(ST), &status, 1);
    assert_int_equal(status, 0xee); /* it stands still */
    before = msis + lines_high;
    state_resume(&vm);
    run_events();
    (void)gmem_read(&vm, gpa(ST), &status, 1);
    assert_int_equal(status, 0);
    assert_int_equal(drvq_used(&diskq, 3), 4097);
    assert_true(msis + lines_high > before);
    (void)gmem_read(&vm, gpa(DATA), &want, 1);
    assert_int_equal(want, 0); /* what was written, not what is in the file at sector 1 */
    ask(0, 128, 512);          /* and the disk goes on working */
    drvq_kick(&diskq);
    assert_int_equal(drvq_used(&diskq, 3), 513);
    assert_int_equal(cr(&disk, C_STATUS, 1), 15);
    assert_int_equal(cr(&con, C_STATUS, 1), 15);
    fake_down();
}

static void test_split(void **state)
{
    (void)state;
    goes_on(0);
}

static void test_packed(void **state)
{
    (void)state;
    goes_on(F(34));
}

/* What was typed and not yet taken by the guest comes after the restore. */
static void test_input(void **state)
{
    const struct buf in = { DATA + 0x20000, 64, true };
    size_t len = saved(0);
    char got[7] = "";

    (void)state;
    put_memory();
    assert_int_equal(state_restore(&vm, image, len), 0);
    state_resume(&vm);
    assert_non_null(con_ready); /* and what is typed from now on comes here, too */
    (void)drvq_used(&inq, 1);
    drvq_add(&inq, &in, 1, 0);
    drvq_kick(&inq);
    assert_int_equal(drvq_used(&inq, 1), 6);
    (void)gmem_read(&vm, gpa(DATA + 0x20000), got, 6);
    assert_string_equal(got, "d text");
    fake_down();
}

/* A piece that the guest discarded is zeroes, not the file's. */
static void test_discarded(void **state)
{
    uint8_t byte = 1;
    size_t len;

    (void)state;
    new_machine();
    get_busy(0);
    state_resume(&vm);
    run_events();
    (void)drvq_used(&diskq, 3);
    ask(11, 0, 16);
    p64(DATA, 128);
    p32(DATA + 8, 128);
    p32(DATA + 12, 0);
    drvq_kick(&diskq);
    assert_int_equal(drvq_used(&diskq, 3), 1);
    assert_int_equal(state_quiesce(&vm), 0);
    len = take(image);
    fake_down();
    put_memory();
    assert_int_equal(state_restore(&vm, image, len), 0);
    state_resume(&vm);
    ask(0, 128, 512);
    drvq_kick(&diskq);
    assert_int_equal(drvq_used(&diskq, 3), 513);
    (void)gmem_read(&vm, gpa(DATA), &byte, 1);
    assert_int_equal(byte, 0);
    fake_down();
}

/* A request that may not reach memory does not move: the guest can be paused, but not saved. */
static void test_no_bus_master(void **state)
{
    (void)state;
    new_machine();
    get_busy(0);
    state_resume(&vm);
    run_events();
    (void)drvq_used(&diskq, 3);
    ask(0, 0, 200 * 1024);
    mem_wr(disk.notify, 2, 0);
    tick = 3000000; /* each run of events ends soon: a part of it is done */
    event_run();
    tick = 0;
    cfg_wr(SLOT_BLK, PCI_COMMAND, 2, PCI_CMD_MEM);
    run_events();
    assert_int_equal(state_quiesce(&vm), 0);
    assert_int_equal(state_save(&vm, image, state_size(&vm)), -EBUSY);
    assert_non_null(strstr(vm.why, "reach memory"));
    state_resume(&vm);
    cfg_wr(SLOT_BLK, PCI_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
    run_events();
    assert_int_equal(drvq_used(&diskq, 3), 200 * 1024 + 1);
    fake_down();
}

/* One bit of every byte: refused, or saved again as it is. */
static void test_bits(void **state)
{
    size_t len = saved(0);
    unsigned taken = 0, refused = 0;

    (void)state;
    for (size_t i = sizeof(struct state_image); i < len; i++) {
        uint8_t turned = (uint8_t)(1 << (i * 5 % 8));

        put_memory();
        image[i] ^= turned;
        if (state_restore(&vm, image, len) == 0) {
            assert_int_equal(state_save(&vm, again, len), 0);
            assert_memory_equal(image, again, len);
            state_resume(&vm);
            run_events();
            taken++;
        } else {
            refused++;
        }
        image[i] ^= turned;
        fake_down();
    }
    assert_true(taken > 100 && refused > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),         cmocka_unit_test(test_packed),
        cmocka_unit_test(test_input),         cmocka_unit_test(test_discarded),
        cmocka_unit_test(test_no_bus_master), cmocka_unit_test(test_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
