/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files of microcode: Intel's with several updates and more signatures, AMD's with an equivalence
 * table; each cut off at every byte, and with each byte changed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86_64/microcode.h"
#include "tests/unit/microcode_file.h"

static uint8_t file[16384];
static uint32_t len;
static struct ucode_update found;
static const struct ucode_cpu i7 = { .signature = 0x306a9, .platform = 1 << 1, .revision = 0x10 };

/* In a block of its own, so that ASan sees every step beyond it. */
static enum ucode_answer ask(enum ucode_answer (*fn)(const uint8_t *, uint64_t,
                                                     const struct ucode_cpu *,
                                                     struct ucode_update *),
                             uint32_t n, const struct ucode_cpu *c)
{
    uint8_t *copy = malloc(n ? n : 1);
    enum ucode_answer a;

    memcpy(copy, file, n);
    found = (struct ucode_update){ 0 };
    a = fn(copy, n, c, &found);
    if (a == UCODE_FOUND) {
        assert_true(found.data >= copy && found.len <= n);
        assert_true(found.data + found.len <= copy + n);
        found.data = file + (found.data - copy);
    }
    free(copy);
    return a;
}

static void intel_takes_the_newest(void **state)
{
    (void)state;
    len = intel_update(file, 0x206a7, 0x12, 0x2f, 0);
    len += intel_update(file + len, 0x306a9, 0x12, 0x15, 0);
    uint32_t third = len;
    len += intel_update(file + len, 0x306a9, 0x12, 0x21, 0);
    len += intel_update(file + len, 0x306a9, 0x12, 0x1c, 0);
    assert_int_equal(ask(ucode_intel, len, &i7), UCODE_FOUND);
    assert_int_equal(found.revision, 0x21);
    assert_int_equal(found.date, 0x20190213);
    assert_ptr_equal(found.data, file + third + 48);
    assert_int_equal(found.len, 2000);
}

static void intel_leaves_what_does_not_fit(void **state)
{
    struct ucode_cpu c = i7;

    (void)state;
    len = intel_update(file, 0x306a9, 0x12, 0x21, 0);
    c.platform = 1 << 2; /* another socket */
    assert_int_equal(ask(ucode_intel, len, &c), UCODE_OTHER_CPUS);
    c = i7;
    c.signature = 0x306a8;
    assert_int_equal(ask(ucode_intel, len, &c), UCODE_OTHER_CPUS);
    c = i7;
    c.revision = 0x21;
    assert_int_equal(ask(ucode_intel, len, &c), UCODE_NOT_NEWER);
    c.revision = 0x80000001; /* below 0: of a CPU in development */
    assert_int_equal(ask(ucode_intel, len, &c), UCODE_FOUND);
    /* an update for every platform */
    len = intel_update(file, 0x306a9, 0, 0x21, 0);
    assert_int_equal(ask(ucode_intel, len, &i7), UCODE_FOUND);
}

static void intel_has_more_signatures(void **state)
{
    (void)state;
    len = intel_update(file, 0x306a4, 0x12, 0x21, 0x306a9);
    assert_int_equal(ask(ucode_intel, len, &i7), UCODE_FOUND);
    assert_int_equal(found.revision, 0x21);
    /* more entries than there is room for */
    put_le(file + 2048, 4, 0x10000);
    assert_int_equal(ask(ucode_intel, len, &i7), UCODE_BROKEN);
}

/* Each byte of an update is under a checksum. */
static void intel_sees_every_change(void **state)
{
    (void)state;
    len = intel_update(file, 0x306a4, 0x12, 0x21, 0x306a9);
    for (uint32_t i = 0; i < 2048 + 20 + 12; i++) {
        file[i] ^= 0x20;
        enum ucode_answer a = ask(ucode_intel, len, &i7);
        if (a == UCODE_FOUND || a == UCODE_NOT_NEWER)
            fail_msg("byte %u", i);
        file[i] ^= 0x20;
    }
    assert_int_equal(ask(ucode_intel, len, &i7), UCODE_FOUND);
}

static void intel_is_cut_off(void **state)
{
    (void)state;
    len = intel_update(file, 0x306a9, 0x12, 0x21, 0);
    uint32_t one = len;
    len += intel_update(file + len, 0x306a9, 0x12, 0x30, 0);
    for (uint32_t n = 0; n < len; n++) {
        enum ucode_answer a = ask(ucode_intel, n, &i7);
        assert_int_equal(a, n == 0 ? UCODE_OTHER_CPUS : n < one ? UCODE_NO_FORMAT : UCODE_FOUND);
        if (n >= one)
            assert_int_equal(found.revision, 0x21);
    }
}

static const struct ucode_cpu zen2 = { .signature = 0x830f10, .revision = 0x8301034 };

static void amd_goes_by_the_table(void **state)
{
    (void)state;
    len = amd_container(file);
    len += amd_patch(file + len, 0x8012, 0x8001230, 0);
    len += amd_patch(file + len, 0x8310, 0x8301039, 0x1022);
    uint32_t third = len;
    len += amd_patch(file + len, 0x8310, 0x8301038, 0);
    assert_int_equal(ask(ucode_amd, len, &zen2), UCODE_FOUND);
    assert_int_equal(found.revision, 0x8301038);
    assert_int_equal(found.date, 0x20190213);
    assert_ptr_equal(found.data, file + third + 8);
    assert_int_equal(found.len, 256);
    struct ucode_cpu c = zen2;
    c.revision = 0x8301038;
    assert_int_equal(ask(ucode_amd, len, &c), UCODE_NOT_NEWER);
    c.signature = 0xa20f10;
    assert_int_equal(ask(ucode_amd, len, &c), UCODE_OTHER_CPUS);
}

/* linux-firmware's files, one behind the other: each with a table of its own. */
static void amd_has_several_containers(void **state)
{
    (void)state;
    len = amd_container(file);
    put_le(file + 12, 4, 0x100f22);
    put_le(file + 28, 4, 0x100f23);
    len += amd_patch(file + len, 0x8310, 0x8301099, 0); /* of another CPU there */
    uint32_t second = len;
    len += amd_container(file + len);
    len += amd_patch(file + len, 0x8310, 0x8301055, 0);
    assert_int_equal(ask(ucode_amd, len, &zen2), UCODE_FOUND);
    assert_int_equal(found.revision, 0x8301055);
    for (uint32_t n = 4; n < len; n++)
        assert_int_not_equal(ask(ucode_amd, n, &zen2), UCODE_FOUND);
    file[second] ^= 1;
    assert_int_equal(ask(ucode_amd, len, &zen2), UCODE_BROKEN);
}

static void each_knows_its_own(void **state)
{
    (void)state;
    len = amd_container(file);
    assert_int_equal(ask(ucode_intel, len, &i7), UCODE_NO_FORMAT);
    len = intel_update(file, 0x306a9, 0x12, 0x21, 0);
    assert_int_equal(ask(ucode_amd, len, &zen2), UCODE_NO_FORMAT);
    for (unsigned a = UCODE_FOUND; a <= UCODE_NO_FORMAT; a++)
        assert_non_null(ucode_words((enum ucode_answer)a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intel_takes_the_newest),
        cmocka_unit_test(intel_leaves_what_does_not_fit),
        cmocka_unit_test(intel_has_more_signatures),
        cmocka_unit_test(intel_sees_every_change),
        cmocka_unit_test(intel_is_cut_off),
        cmocka_unit_test(amd_goes_by_the_table),
        cmocka_unit_test(amd_has_several_containers),
        cmocka_unit_test(each_knows_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
