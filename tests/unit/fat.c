/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FAT volumes as mtools and mkfs.fat make them, with what is in them; and volumes that were
 * tampered with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <hv/fat.h>

#define BIG 300000u
static struct fat fat;
static struct fat_find find;
static uint8_t *image, *big;
static uint64_t sectors;
static unsigned reads, runs;
static char why[100], folder[] = "/tmp/trivet-fat-XXXXXX";

static void sh(const char *fmt, ...) printf_like(1, 2);
static void sh(const char *fmt, ...)
{
    char command[1000];
    int n = snprintf(command, sizeof command,
                     "set -e; cd %s; export MTOOLS_SKIP_CHECK=1 LC_ALL=C.UTF-8; ", folder);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(command + n, sizeof command - (size_t)n, fmt, ap);
    va_end(ap);
    assert_int_equal(system(command), 0);
}

static int make_files(void **state)
{
    FILE *f;

    (void)state;
    assert_non_null(mkdtemp(folder));
    big = malloc(BIG);
    for (uint32_t i = 0; i < BIG; i++)
        big[i] = (uint8_t)(i * 7 ^ i >> 8 ^ i >> 16);
    sh("mkdir t; printf 'a small file' > t/small; : > t/empty; mkdir -p 't/Guests/The Web Server'");
    sh("printf long > 't/Guests/The Web Server/a rather long name, with \xc3\xa4 and "
       "\xe2\x82\xac.img'");
    sh("for i in $(seq 100); do echo $i > t/Guests/number-$i.conf; done; printf 8.3 > t/UPPER.TXT");
    snprintf(why, sizeof why, "%s/t/big.bin", folder);
    f = fopen(why, "wb");
    assert_int_equal(fwrite(big, 1, BIG, f), BIG);
    return fclose(f);
}

static int remove_files(void **state)
{
    (void)state;
    free(big);
    free(image);
    sh("rm -rf -- %s", folder);
    return 0;
}

static void load(void)
{
    char path[64];
    FILE *f;
    long n;

    snprintf(path, sizeof path, "%s/v", folder);
    f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    n = ftell(f);
    rewind(f);
    free(image);
    image = malloc((size_t)n);
    assert_int_equal(fread(image, 1, (size_t)n, f), n);
    fclose(f);
    sectors = (uint64_t)n / 512;
}

static int mount_it(void) { return fat_mount(&fat, image, sectors, 512, why, sizeof why); }

static void serve(void)
{
    assert_true(range_within(fat.want.sector, fat.want.nsectors, 0, sectors));
    assert_true(++reads < 20000);
    fat_feed(&fat, image + fat.want.sector * 512);
}

static int look_up(const char *path)
{
    int res;

    reads = 0;
    fat_find_begin(&fat, &find, path);
    while ((res = fat_find(&fat, &find)) == 1)
        serve();
    return res;
}

/* All of it; how many bytes, or the error. */
static int64_t contents(uint8_t *to, uint32_t most)
{
    struct fat_run run;
    int64_t n = 0;
    int res;

    runs = 0;
    do {
        while ((res = fat_read(&fat, &find.found, most, &run)) == 1)
            serve();
        if (res)
            return res;
        assert_true(range_within(run.sector, run.nsectors, 0, sectors));
        assert_true(run.nsectors * 512 <= most && run.bytes <= run.nsectors * 512);
        assert_true(n + run.bytes <= BIG);
        memcpy(to + n, image + run.sector * 512, run.bytes);
        n += run.bytes;
        runs++;
    } while (run.bytes);
    return n;
}

static void expect(const char *path, const char *text)
{
    static uint8_t got[BIG];

    assert_int_equal(look_up(path), 0);
    assert_int_equal(contents(got, 65536), strlen(text));
    assert_memory_equal(got, text, strlen(text));
}

static void check_tree(void)
{
    static uint8_t got[BIG];

    assert_int_equal(mount_it(), 0);
    expect("small", "a small file");
    expect("/SMALL", "a small file");
    expect("./small", "a small file");
    expect("empty", "");
    expect("upper.txt", "8.3");
    expect("guests\\Number-1.conf", "1\n");
    expect("Guests/number-100.conf", "100\n");
    expect("/guests//the web server/A rather long name, with \xc3\xa4 and \xe2\x82\xac.IMG",
           "long");
    expect("Guests/The Web Server/../../small", "a small file");
    assert_int_equal(look_up("Guests"), 0);
    assert_true(find.found.dir);
    for (uint32_t most = FAT_BLOCK_MAX; most <= 65536; most *= 16) {
        assert_int_equal(look_up("big.bin"), 0);
        assert_int_equal(find.found.size, BIG);
        assert_int_equal(contents(got, most), BIG);
        assert_memory_equal(got, big, BIG);
    }
    assert_int_equal(look_up("nothing"), -ENOENT);
    assert_int_equal(look_up("small/x"), -ENOENT);
    assert_int_equal(look_up("Guests/number-101.conf"), -ENOENT);
    assert_int_equal(look_up("Guests/number-1.con"), -ENOENT);
    assert_int_equal(look_up("\xff\xfe"), -ENOENT);
    assert_int_equal(look_up(""), -ENOENT);
}

/* The project's images are of the third kind; 4096: as on a disk of such blocks. */
static void test_kinds(void **state)
{
    static const struct {
        uint32_t bits, kib, block;
        const char *make;
    } kinds[] = {
        { 12, 1440, 512, "mformat -i v -f 1440 ::" },
        { 12, 8192, 1024, "mkfs.fat -F 12 -S 1024 -s 4 v >t.log" },
        { 16, 32768, 512, "mformat -i v -c 2 -h 16 -s 63 -T 65536 ::" },
        { 32, 65536, 512, "mformat -i v -F -c 1 -h 255 -s 63 -T 131072 ::" },
        { 32, 300000, 4096, "mkfs.fat -F 32 -S 4096 -s 1 v >t.log" },
        { 32, 49152, 512, "mkfs.fat -F 32 -s 1 -f 1 v >t.log" },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        sh("rm -f v; truncate -s %uK v; %s", kinds[i].kib, kinds[i].make);
        sh("mcopy -i v -s t/small t/empty t/Guests t/UPPER.TXT ::; mcopy -i v t/big.bin ::");
        load();
        assert_int_equal(mount_it(), 0);
        assert_int_equal(fat.bits, kinds[i].bits);
        assert_int_equal(fat.block, kinds[i].block);
        check_tree();
    }
}

/* Every second cluster is another file's. */
static void test_fragments(void **state)
{
    static uint8_t got[BIG];

    (void)state;
    sh("rm -f v; truncate -s 4M v; mkfs.fat -F 12 -s 4 v >t.log; "
       "head -c 2048 /dev/zero > t/one; for i in $(seq 300); do echo t/one ::one$i; done | "
       "xargs -n 2 mcopy -i v; for i in $(seq 1 2 300); do echo ::one$i; done | xargs mdel -i v; "
       "mcopy -i v t/big.bin ::");
    load();
    assert_int_equal(mount_it(), 0);
    assert_int_equal(look_up("big.bin"), 0);
    assert_int_equal(contents(got, 65536), BIG);
    assert_memory_equal(got, big, BIG);
    assert_true(runs >= BIG / 2048 / 2);
}

static void put(uint64_t at, unsigned n, uint64_t v) { memcpy(image + at, &v, n); }

static void fat16_anew(void)
{
    sh("rm -f v; truncate -s 32M v; mformat -i v -c 2 -h 16 -s 63 -T 65536 ::; "
       "mcopy -i v -s t/small t/Guests ::; mcopy -i v t/big.bin ::");
    load();
    assert_int_equal(mount_it(), 0);
}

static void test_broken_headers(void **state)
{
    static const struct {
        uint32_t at, n;
        uint64_t v;
        const char *says;
    } cases[] = {
        { 510, 2, 0, "no FAT" },         { 3, 8, 0x2020205441465845, "exFAT or NTFS" },
        { 11, 2, 0, "no FAT" },          { 11, 2, 500, "no FAT" },
        { 11, 2, 8192, "no FAT" },       { 13, 1, 0, "no FAT" },
        { 13, 1, 3, "no FAT" },          { 14, 2, 0, "no FAT" },
        { 16, 1, 0, "no FAT" },          { 22, 2, 0, "broken" },
        { 22, 2, 0xffff, "broken" },     { 17, 2, 0, "broken" },
        { 32, 4, 0, "broken" },          { 32, 4, 65537, "broken" },
        { 32, 4, UINT32_MAX, "broken" }, { 13, 1, 128, NULL }, /* FAT12 then */
    };

    (void)state;
    fat16_anew();
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t kept[512];

        memcpy(kept, image, 512);
        put(19, 2, 0), put(32, 4, 65536);
        put(cases[i].at, cases[i].n, cases[i].v);
        if (!cases[i].says) {
            assert_int_equal(mount_it(), 0);
        } else {
            assert_int_equal(mount_it(), -EINVAL);
            assert_non_null(strstr(why, cases[i].says));
        }
        memcpy(image, kept, 512);
    }
    assert_int_equal(fat_mount(&fat, image, sectors, 4096, why, sizeof why), -EINVAL);
}

/* FAT32 with two tables of which the header says that the second alone is in use. */
static void test_second_table(void **state)
{
    static uint8_t got[BIG];
    uint64_t table, len;

    (void)state;
    sh("rm -f v; truncate -s 64M v; mformat -i v -F -c 1 -h 255 -s 63 -T 131072 ::; "
       "mcopy -i v -s t/small t/empty t/Guests t/UPPER.TXT t/big.bin ::");
    load();
    assert_int_equal(mount_it(), 0);
    table = fat.table * 512;
    len = fat.table_blocks * 512;
    memset(image + table, 0, len); /* the first */
    assert_int_equal(mount_it(), 0);
    assert_int_equal(look_up("big.bin"), 0);
    assert_int_equal(contents(got, 65536), -EINVAL);
    put(40, 2, 0x81);
    check_tree();
    put(40, 2, 0x82);
    assert_int_equal(mount_it(), -EINVAL);
    put(40, 2, 0), put(44, 4, 0x0fffffff);
    assert_int_equal(mount_it(), -EINVAL);
}

static uint8_t *table16(uint32_t cluster) { return image + fat.table * 512 + cluster * 2; }

static void chain(uint32_t cluster, uint16_t next)
{
    memcpy(table16(cluster), &next, 2);
    assert_int_equal(mount_it(), 0); /* nothing is cached */
}

static void test_broken_chains(void **state)
{
    static const uint16_t wrong[] = { 0, 1, 0xfff7, 0xffff, 0xfff0 };
    static uint8_t got[2 * BIG];
    uint32_t first;

    (void)state;
    fat16_anew();
    assert_int_equal(look_up("big.bin"), 0);
    first = find.found.cluster;
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        chain(first + 5, wrong[i]);
        assert_int_equal(look_up("big.bin"), 0);
        assert_int_equal(contents(got, 65536), -EINVAL);
    }
    for (uint16_t back = 0; back < 6; back++) { /* loops of 1 to 6 clusters */
        chain(first + 5, (uint16_t)(first + back));
        assert_int_equal(look_up("big.bin"), 0);
        assert_int_equal(contents(got, 65536), -EINVAL);
    }
    assert_int_equal(look_up("Guests"), 0);
    first = find.found.cluster;
    chain(first, (uint16_t)first); /* a directory without an end */
    assert_int_equal(look_up("Guests/nothing"), -EINVAL);
    chain(first, 1);
    assert_int_equal(look_up("Guests/nothing"), -EINVAL);
    chain(first, 0xfff8); /* it ends at its first cluster */
    assert_int_equal(look_up("Guests/number-100.conf"), -ENOENT);
}

/* mtools writes no name beyond 16 bits. */
static void test_surrogates(void **state)
{
    uint8_t *e = NULL;

    (void)state;
    fat16_anew();
    sh("printf bird > t/p12X; mcopy -i v t/p12X ::");
    load();
    for (uint64_t at = fat.root_at * 512; at < fat.data * 512; at += 32)
        if (memcmp(image + at, "P12X    ", 8) == 0)
            e = image + at;
    assert_non_null(e);
    assert_int_equal(e[-32], 0x41);
    memcpy(e - 32 + 3, "\x3d\xd8\x27\xdc", 4);
    assert_int_equal(mount_it(), 0);
    expect("P\xf0\x9f\x90\xa7x", "bird");
    expect("p12x", "bird"); /* the short name */
    assert_int_equal(look_up("p\xf0\x9f\x90\xa6x"), -ENOENT);
}

/* Long names whose pieces do not belong together: the short name stays. */
static void test_broken_names(void **state)
{
    uint8_t *e = NULL;

    (void)state;
    fat16_anew();
    assert_int_equal(look_up("Guests"), 0);
    for (uint64_t at = fat.root_at * 512; at < fat.data * 512; at += 32)
        if (memcmp(image + at, "GUESTS  ", 8) == 0 || memcmp(image + at, "BIG     BIN", 11) == 0)
            e = image + at;
    assert_non_null(e);
    sh("printf x > 't/two pieces, so long'; mcopy -i v 't/two pieces, so long' ::");
    load();
    for (uint64_t at = fat.root_at * 512; at < fat.data * 512; at += 32)
        if (memcmp(image + at, "TWOPIE~1", 8) == 0)
            e = image + at;
    assert_int_equal(mount_it(), 0);
    expect("two pieces, so long", "x");
    e[-32 + 13] ^= 1; /* the checksum of one piece */
    assert_int_equal(mount_it(), 0);
    assert_int_equal(look_up("two pieces, so long"), -ENOENT);
    expect("twopie~1", "x");
    e[-32 + 13] ^= 1;
    e[-32] = 3; /* its order */
    assert_int_equal(mount_it(), 0);
    assert_int_equal(look_up("two pieces, so long"), -ENOENT);
    e[-32] = 1;
    e[-64] = 0x40 | 21; /* more pieces than there can be */
    assert_int_equal(mount_it(), 0);
    assert_int_equal(look_up("two pieces, so long"), -ENOENT);
    e[-64] = 0x42;
    e[0] = 'U'; /* the entry's name: no longer of that checksum */
    assert_int_equal(mount_it(), 0);
    assert_int_equal(look_up("two pieces, so long"), -ENOENT);
    expect("uwopie~1", "x");
    e[11] = 8; /* a label is no file */
    assert_int_equal(mount_it(), 0);
    assert_int_equal(look_up("uwopie~1"), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),          cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_broken_headers), cmocka_unit_test(test_second_table),
        cmocka_unit_test(test_broken_chains),  cmocka_unit_test(test_broken_names),
        cmocka_unit_test(test_surrogates),
    };

    return cmocka_run_group_tests(tests, make_files, remove_files);
}
