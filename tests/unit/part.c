/* SPDX-License-Identifier: BSD-2-Clause */
/* Partition tables: what sfdisk would write, and what nobody should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hv/part.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 4096, GPT_AT = 1, ENTRIES_AT = 2, LAST = BLOCKS - 1 };
static uint8_t *disk, buf[4096];
static uint32_t block;
static uint64_t broken_from, broken_to; /* blocks that cannot be read */
static struct part_table table;

static int read_block(void *ctx, uint64_t lba, void *to)
{
    (void)ctx;
    assert_in_range(lba, 0, BLOCKS - 1);
    if (lba >= broken_from && lba < broken_to)
        return -EIO;
    memcpy(to, disk + lba * block, block);
    return 0;
}

static int parse(void)
{
    struct part_source s = { read_block, NULL, block, BLOCKS };

    return part_read(&s, buf, &table);
}

static uint8_t *lba(uint64_t n) { return disk + n * block; }
static void p32(uint8_t *p, uint32_t v) { memcpy(p, &v, 4); }
static void p64(uint8_t *p, uint64_t v) { memcpy(p, &v, 8); }

/* The table-driven form, so that the test does not share a mistake with the code. */
static uint32_t crc(const uint8_t *p, size_t n)
{
    uint32_t table_of[256], c = UINT32_MAX;

    for (uint32_t i = 0; i < 256; i++) {
        uint32_t v = i;

        for (unsigned k = 0; k < 8; k++)
            v = v & 1 ? 0xedb88320 ^ v >> 1 : v >> 1;
        table_of[i] = v;
    }
    for (size_t i = 0; i < n; i++)
        c = table_of[(c ^ p[i]) & 255] ^ c >> 8;
    return ~c;
}

static void mbr_entry(uint64_t at, unsigned i, uint8_t type, uint32_t first, uint32_t n)
{
    uint8_t *e = lba(at) + 446 + 16 * i;

    e[4] = type;
    p32(e + 8, first);
    p32(e + 12, n);
    lba(at)[510] = 0x55;
    lba(at)[511] = 0xaa;
}

static void gpt_entry(unsigned i, uint64_t first, uint64_t last, const char *name)
{
    for (unsigned second = 0; second < 2; second++) {
        uint8_t *e = lba(second ? LAST - 16384 / block : ENTRIES_AT) + 128 * i;

        memset(e, 0, 128);
        memset(e, 0x11, 16);
        memset(e + 16, (int)i + 1, 16);
        p64(e + 32, first);
        p64(e + 40, last);
        for (unsigned c = 0; name[c] && c < 36; c++)
            e[56 + 2 * c] = (uint8_t)name[c];
    }
}

static void seal(uint64_t at)
{
    uint8_t *h = lba(at);

    p32(h + 16, 0);
    p32(h + 16, crc(h, 92));
}

static void gpt_header(uint64_t at, uint64_t entries)
{
    uint8_t *h = lba(at);

    memcpy(h, "EFI PART", 8);
    p32(h + 8, 0x10000);
    p32(h + 12, 92);
    p64(h + 24, at);
    p64(h + 32, at == GPT_AT ? LAST : GPT_AT);
    p64(h + 40, 2 + 16384 / block);
    p64(h + 48, LAST - 16384 / block - 1);
    p64(h + 72, entries);
    p32(h + 80, 128);
    p32(h + 84, 128);
    p32(h + 88, crc(lba(entries), 16384));
    seal(at);
}

static void finish(void)
{
    gpt_header(GPT_AT, ENTRIES_AT);
    gpt_header(LAST, LAST - 16384 / block);
}

static int setup_of(uint32_t size)
{
    block = size;
    free(disk);
    disk = calloc(BLOCKS, block);
    broken_from = broken_to = 0;
    mbr_entry(0, 0, 0xee, 1, BLOCKS - 1);
    gpt_entry(0, 100, 199, "boot");
    gpt_entry(4, 200, 200, "root");
    finish();
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return setup_of(512);
}

static void is_right(void)
{
    assert_int_equal(parse(), 0);
    assert_int_equal(table.kind, PART_GPT);
    assert_int_equal(table.n, 2);
    assert_int_equal(table.dropped, 0);
    assert_int_equal(table.part[0].first, 100 * (block / 512));
    assert_int_equal(table.part[0].sectors, 100 * (block / 512));
    assert_string_equal(table.part[0].label, "boot");
    assert_int_equal(table.part[1].number, 5);
    assert_int_equal(table.part[1].sectors, block / 512);
}

static void gpt(void **state)
{
    char text[37];

    (void)state;
    is_right();
    assert_false(table.second);
    part_guid_text(table.part[1].guid, text);
    assert_string_equal(text, "05050505-0505-0505-0505-050505050505");
    setup_of(4096);
    is_right();
    free(disk);
    disk = NULL;
}

static void second_header(void **state)
{
    static const unsigned fields[] = { 0, 8, 12, 16, 24, 40, 48, 72, 80, 84, 88 };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
        setup_of(512);
        lba(GPT_AT)[fields[i]] ^= 0x40;
        is_right();
        assert_true(table.second);
        assert_non_null(table.why);
    }
    setup_of(512);
    lba(ENTRIES_AT)[128 * 7] = 1; /* an entry that the checksum does not know */
    is_right();
    assert_true(table.second);
    setup_of(512);
    broken_from = 1;
    broken_to = 2;
    is_right();
    assert_true(table.second);
    broken_to = BLOCKS;
    assert_int_equal(parse(), -EIO);
    assert_int_equal(table.n, 0);
    setup_of(512);
    lba(GPT_AT)[16] ^= 1;
    lba(LAST)[16] ^= 1;
    assert_int_equal(parse(), 0);
    assert_int_equal(table.n, 0);
    assert_int_equal(table.kind, PART_NONE);
    assert_non_null(table.why);
}

/* A sealed header that says what cannot be: both are refused alike. */
static void refuses(unsigned off, uint64_t v, unsigned size)
{
    setup_of(512);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t at = i ? LAST : GPT_AT;

        memcpy(lba(at) + off, &v, size);
        seal(at);
    }
    assert_int_equal(parse(), 0);
    assert_int_equal(table.n, 0);
    assert_non_null(table.why);
}

static void bounds(void **state)
{
    (void)state;
    refuses(40, 0, 8);              /* first usable: the headers themselves */
    refuses(40, 4000000, 8);        /* beyond the last */
    refuses(48, BLOCKS, 8);         /* last usable: beyond the disk */
    refuses(48, UINT64_MAX, 8);     /* */
    refuses(72, BLOCKS - 5, 8);     /* entries across the end */
    refuses(72, UINT64_MAX - 3, 8); /* and around it */
    refuses(72, 50, 8);             /* entries where partitions are */
    refuses(72, 0, 8);
    refuses(80, 0, 4);
    refuses(80, UINT32_MAX, 4);
    refuses(84, 0, 4);
    refuses(84, 127, 4);
    refuses(84, 192, 4);
    refuses(84, 0x80000000, 4);
    refuses(12, 513, 4); /* the checksum over more than a block */
}

static void entries(void **state)
{
    (void)state;
    gpt_entry(1, 150, 250, "overlaps both");
    gpt_entry(2, 300, 299, "ends before it begins");
    gpt_entry(3, 10, 20, "before the first usable block");
    gpt_entry(5, 3000, LAST, "beyond the last");
    gpt_entry(6, 3000, UINT64_MAX, "far beyond");
    gpt_entry(7, 400, 499, "123456789012345678901234567890123456");
    finish();
    assert_int_equal(parse(), 0);
    assert_int_equal(table.dropped, 5 + 0);
    assert_int_equal(table.n, 3);
    assert_int_equal(strlen(table.part[2].label), 36);
}

static void mbr(void **state)
{
    (void)state;
    memset(disk, 0, 512);
    mbr_entry(0, 0, 0x83, 64, 100);
    mbr_entry(0, 1, 0x0f, 200, 1000);
    mbr_entry(0, 3, 0x83, 4000, 97); /* a block more than the disk has */
    mbr_entry(200, 0, 0x83, 10, 50);
    mbr_entry(200, 1, 0x05, 100, 200);
    mbr_entry(300, 0, 0x83, 10, 90);
    mbr_entry(300, 1, 0x05, 100, 200); /* a circle */
    p32(disk + 440, 0x12345678);
    assert_int_equal(parse(), 0);
    assert_int_equal(table.kind, PART_MBR);
    assert_int_equal(table.mbr_signature, 0x12345678);
    assert_int_equal(table.n, 3);
    assert_int_equal(table.part[0].number, 1);
    assert_int_equal(table.part[1].number, 5);
    assert_int_equal(table.part[1].first, 210);
    assert_int_equal(table.part[2].first, 310);
    assert_true(table.dropped > 1);
}

static void none(void **state)
{
    (void)state;
    disk[510] = 0;
    assert_int_equal(parse(), 0);
    assert_int_equal(table.kind, PART_NONE);
    assert_null(table.why);
    disk[510] = 0x55;
    disk[446] = 0x12; /* no flag of a table: the boot sector of a file system */
    assert_int_equal(parse(), 0);
    assert_int_equal(table.kind, PART_NONE);
    free(disk);
    disk = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(gpt, setup),    cmocka_unit_test_setup(second_header, setup),
        cmocka_unit_test_setup(bounds, setup), cmocka_unit_test_setup(entries, setup),
        cmocka_unit_test_setup(mbr, setup),    cmocka_unit_test_setup(none, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
