/* SPDX-License-Identifier: BSD-2-Clause */
/* Hardware errors as firmware records them, and records cut off at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <hv/cper.h>

static uint8_t block[512];
static uint32_t len;
static char said[4][CPER_WORDS];
static unsigned nsaid;

static void say(void *ctx, const char *words)
{
    assert_ptr_equal(ctx, block);
    assert_true(strlen(words) < CPER_WORDS);
    strcpy(said[nsaid++ % 4], words);
}

/* In a block of its own length, so that ASan sees every step beyond it. */
static unsigned ask(uint32_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    unsigned lines;

    memcpy(copy, block, n);
    nsaid = 0;
    said[0][0] = 0;
    lines = cper_block(copy, n, say, block);
    free(copy);
    assert_int_equal(lines, nsaid);
    return lines;
}

static const uint8_t memory[16] = { 0x14, 0x11, 0xbc, 0xa5, 0x64, 0x6f, 0xde, 0x4e,
                                    0xb8, 0x63, 0x3e, 0x83, 0xed, 0x7c, 0x83, 0xb1 };
static const uint8_t pcie[16] = { 0x54, 0xe9, 0x95, 0xd9, 0xc1, 0xbb, 0x0f, 0x43,
                                  0xad, 0x91, 0xb4, 0x4d, 0xcb, 0x3c, 0x6f, 0x35 };

/* An entry of `size` bytes of data at the block's end; returns where these begin. */
static uint32_t entry(const uint8_t type[16], unsigned severity, unsigned revision, uint32_t size)
{
    uint32_t at = len, head = revision >= 0x300 ? 72 : 64;

    memcpy(block + at, type, 16);
    put_le(block + at + 16, 4, severity);
    put_le(block + at + 20, 2, revision);
    put_le(block + at + 24, 4, size);
    len += head + size;
    put_le(block + 12, 4, len - 20);
    return at + head;
}

static int fresh(void **state)
{
    (void)state;
    memset(block, 0, sizeof block);
    block[0] = 1;
    len = 20;
    return 0;
}

static void memory_and_a_device(void **state)
{
    uint32_t at;

    (void)state;
    at = entry(memory, 1, 0x201, 80);
    put_le(block + at, 8, 2);
    put_le(block + at + 16, 8, 0x12345000);
    block[20 + 22] = 2;
    memcpy(block + 20 + 44, "DIMM A1", 7);
    at = entry(pcie, 2, 0x300, 208);
    put_le(block + at, 8, 8);
    block[at + 31] = 1;
    block[at + 32] = 0x1f;
    put_le(block + at + 33, 2, 2);
    block[at + 35] = 0xc1;
    assert_int_equal(ask(len), 2);
    assert_string_equal(said[0], "fatal error of memory at 0x12345000, \"DIMM A1\"");
    assert_string_equal(said[1], "corrected error of PCI device 0002:c1:1f.1");
    /* the second cut off: the first is told; the first cut off: that there was something */
    for (uint32_t n = 0; n < len; n++) {
        unsigned lines = ask(n);
        assert_int_equal(lines, n < 20 ? 0 : 1);
        assert_int_equal(strncmp(said[0], "fatal error of memory", 21) == 0, n >= 164);
    }
}

static void what_is_not_told(void **state)
{
    static const uint8_t odd[16] = { 1, 2, 3, 4 };

    (void)state;
    entry(memory, 0, 0, 0); /* no data at all */
    entry(odd, 77, 0x300, 8);
    assert_int_equal(ask(len), 2);
    assert_string_equal(said[0], "recoverable error of memory");
    assert_string_equal(said[1],
                        "some error of a part of a kind that Trivet does not know (04030201)");
    block[20 + 22] = 2; /* a text of 20 bytes without an end, then one that is none */
    memset(block + 20 + 44, 'x', 20);
    ask(len);
    assert_string_equal(said[0], "recoverable error of memory, \"xxxxxxxxxxxxxxxxxxxx\"");
    block[20 + 44] = 27;
    ask(len);
    assert_string_equal(said[0], "recoverable error of memory");
}

static void nothing_happened(void **state)
{
    (void)state;
    entry(memory, 1, 0, 0);
    block[0] = 0;
    assert_int_equal(ask(len), 0);
    block[0] = 1;
    put_le(block + 12, 4, 0);
    assert_int_equal(ask(len), 1);
    assert_string_equal(said[0], "an error without a record that can be read");
    put_le(block + 12, 4, 0xffffffff);
    put_le(block + 20 + 24, 4, 0xfffffff0);
    assert_int_equal(ask(len), 1);
    assert_string_equal(said[0], "an error without a record that can be read");
}

/* A HEST with a machine check of two banks, a root port, and two sources with status blocks. */
static void sources(void **state)
{
    static uint8_t t[512];
    uint32_t at = 0, end = 40;
    struct hest_source s;

    (void)state;
    put_le(t + 36, 4, 4);
    t[end + 32] = 2;
    end += 40 + 2 * 28;
    t[end] = 6;
    end += 48;
    for (unsigned i = 0; i < 2; i++) {
        t[end] = (uint8_t)(9 + i);
        put_le(t + end + 24, 8, 0x7f000000 + i * 8);
        put_le(t + end + 60, 4, 0x1000);
        end += i ? 92 : 64;
    }
    put_le(t + 4, 4, end);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(hest_next(t, &at, &s));
        assert_int_equal(s.where.addr, 0x7f000000 + i * 8);
        assert_int_equal(s.where.space, ACPI_MEMORY);
        assert_int_equal(s.len, 0x1000);
    }
    assert_false(hest_next(t, &at, &s));
    for (uint32_t n = 0; n < end; n++) {
        uint8_t *copy = malloc(n < 8 ? 8 : n);
        unsigned found = 0;

        memcpy(copy, t, n < 8 ? 8 : n);
        put_le(copy + 4, 4, n);
        for (at = 0; hest_next(copy, &at, &s);)
            found++;
        assert_int_equal(found, n >= end - 92 ? 1 : 0);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(memory_and_a_device, fresh),
        cmocka_unit_test_setup(what_is_not_told, fresh),
        cmocka_unit_test_setup(nothing_happened, fresh),
        cmocka_unit_test(sources),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
