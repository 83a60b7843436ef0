/* SPDX-License-Identifier: BSD-2-Clause */
/* What guests with firmware have: flash, fw_cfg, the script for ACPI tables, firmware's files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <hv/cfi_flash.h>
#include <hv/fw_cfg.h>
#include <hv/guest_acpi.h>
#include <hv/guest_uefi.h>
#include <string.h>

/* ---- flash ---- */

#define BLOCK 4096u
#define LEN (4 * BLOCK)
static uint8_t array[LEN];
static uint32_t changed_at, changed_len;
static unsigned changes;

static void on_change(struct cfi_flash *f, uint32_t off, uint32_t len)
{
    (void)f;
    assert_true(range_within(off, len, 0, LEN));
    changed_at = off;
    changed_len = len;
    changes++;
}

static struct cfi_flash make(uint8_t bank, uint8_t chip)
{
    struct cfi_flash f = {
        .data = array, .len = LEN, .block = BLOCK, .bank = bank, .chip = chip, .changed = on_change
    };

    for (unsigned i = 0; i < LEN; i++)
        array[i] = (uint8_t)i;
    changes = 0;
    cfi_flash_reset(&f);
    return f;
}

/* What OVMF's driver does to see whether it is flash: its status, once cleared, is 0. */
static void test_flash_probe(void **state)
{
    struct cfi_flash f = make(1, 1);

    (void)state;
    assert_true(cfi_flash_is_array(&f));
    assert_int_equal(cfi_flash_read(&f, 3, 1), 3);
    assert_int_equal(cfi_flash_read(&f, 0x104, 4), 0x07060504);
    cfi_flash_write(&f, 3, 1, 0x50);
    assert_int_equal(cfi_flash_read(&f, 3, 1), 3);
    cfi_flash_write(&f, 3, 1, 0x70);
    assert_false(cfi_flash_is_array(&f));
    assert_int_equal(cfi_flash_read(&f, 3, 1), 0);
    cfi_flash_write(&f, 3, 1, 0xff);
    assert_int_equal(cfi_flash_read(&f, 3, 1), 3);
    assert_int_equal(changes, 0);
}

static void test_flash_program(void **state)
{
    struct cfi_flash f = make(1, 1);

    (void)state;
    cfi_flash_write(&f, 0x1001, 1, 0x10);
    cfi_flash_write(&f, 0x1001, 1, 0xab);
    assert_int_equal(cfi_flash_read(&f, 0, 1), 0x80); /* the status, everywhere */
    assert_int_equal(changes, 1);
    assert_int_equal(changed_at, 0x1001);
    assert_int_equal(changed_len, 1);
    cfi_flash_write(&f, 0x1001, 1, 0xff);
    assert_int_equal(cfi_flash_read(&f, 0x1000, 4), 0x0302ab00);
}

static void test_flash_erase(void **state)
{
    struct cfi_flash f = make(1, 1);

    (void)state;
    cfi_flash_write(&f, 0x2345, 1, 0x20);
    cfi_flash_write(&f, 0x2345, 1, 0xd0);
    assert_int_equal(changed_at, 0x2000);
    assert_int_equal(changed_len, BLOCK);
    assert_int_equal(array[0x1fff], 0xff); /* as it was */
    array[0x1fff] = 1;
    assert_int_equal(array[0x2000], 0xff);
    assert_int_equal(array[0x2fff], 0xff);
    assert_int_equal(array[0x3000], 0);
    cfi_flash_write(&f, 0, 1, 0x20); /* not confirmed */
    cfi_flash_write(&f, 0, 1, 0xff);
    assert_int_equal(changes, 1);
    assert_int_equal(cfi_flash_read(&f, 0, 1), 0xb0);
}

static void test_flash_read_only(void **state)
{
    struct cfi_flash f = make(1, 1);
    uint8_t before[LEN];

    (void)state;
    memcpy(before, array, LEN);
    f.read_only = true;
    cfi_flash_write(&f, 5, 1, 0x40);
    cfi_flash_write(&f, 5, 1, 0x55);
    assert_int_equal(cfi_flash_read(&f, 5, 1), 0x90);
    cfi_flash_write(&f, 5, 1, 0x20);
    cfi_flash_write(&f, 5, 1, 0xd0);
    assert_int_equal(cfi_flash_read(&f, 5, 1), 0xb0);
    assert_memory_equal(before, array, LEN);
    assert_int_equal(changes, 0);
}

/* Two 16-bit chips side by side, as ARM64's firmware has them. */
static void test_flash_buffered(void **state)
{
    struct cfi_flash f = make(4, 2);

    (void)state;
    cfi_flash_write(&f, 0x1400, 4, 0x00e800e8);
    assert_int_equal(cfi_flash_read(&f, 0x1400, 4), 0x00800080);
    cfi_flash_write(&f, 0x1400, 4, 0x00010001); /* two words */
    cfi_flash_write(&f, 0x1408, 4, 0x11223344);
    cfi_flash_write(&f, 0x140c, 4, 0x55667788);
    assert_int_equal(changes, 0);
    cfi_flash_write(&f, 0x1400, 4, 0x00d000d0);
    assert_int_equal(changes, 1);
    assert_int_equal(changed_at, 0x1408);
    assert_int_equal(changed_len, 8);
    cfi_flash_write(&f, 0, 4, 0x00ff00ff);
    assert_int_equal(cfi_flash_read(&f, 0x1408, 8), 0x5566778811223344);
    assert_int_equal(cfi_flash_read(&f, 0x1410, 1), 0x10);
}

static void test_flash_buffer_bounds(void **state)
{
    struct cfi_flash f = make(4, 2);

    (void)state;
    cfi_flash_write(&f, 0, 4, 0x00e800e8);
    cfi_flash_write(&f, 0, 4, 0x01000100); /* 257 words: one too many */
    assert_int_equal(cfi_flash_read(&f, 0, 4), 0x00b000b0);
    cfi_flash_write(&f, 0, 4, 0x00500050);
    cfi_flash_write(&f, 0, 4, 0x00e800e8);
    cfi_flash_write(&f, 0, 4, 0x00000000);
    cfi_flash_write(&f, CFI_BUFFER, 4, 0x12345678); /* beyond the window */
    assert_int_equal(cfi_flash_read(&f, 0, 4), 0x00900090);
    assert_int_equal(changes, 0);
    cfi_flash_write(&f, 0, 4, 0x00e800e8);
    cfi_flash_write(&f, 0, 4, 0x00000000);
    cfi_flash_write(&f, 0, 4, 0x12345678);
    cfi_flash_write(&f, 0, 4, 0x00ff00ff); /* not confirmed */
    assert_int_equal(changes, 0);
}

static void test_flash_query(void **state)
{
    struct cfi_flash f = make(1, 1);

    (void)state;
    cfi_flash_write(&f, 0x55, 1, 0x98);
    assert_int_equal(cfi_flash_read(&f, 0x10, 1), 'Q');
    assert_int_equal(cfi_flash_read(&f, 0x12, 1), 'Y');
    assert_int_equal(cfi_flash_read(&f, 0x13, 1), 1);
    assert_int_equal(cfi_flash_read(&f, 0x27, 1), 14);
    assert_int_equal(cfi_flash_read(&f, 0x2d, 1), LEN / BLOCK - 1);
    assert_int_equal(cfi_flash_read(&f, 0x2f, 1), BLOCK / 256);
    cfi_flash_write(&f, 0, 1, 0x90);
    assert_int_equal(cfi_flash_read(&f, 0, 1), 0x89);
    f = make(4, 2);
    cfi_flash_write(&f, 0, 4, 0x00980098);
    assert_int_equal(cfi_flash_read(&f, 0x40, 4), 'Q' | 'Q' << 16);
    assert_int_equal(cfi_flash_read(&f, 0x27 * 4, 1), 13);
}

static void test_flash_valid(void **state)
{
    struct cfi_flash f = make(1, 1);
    struct cfi_flash_state s;

    (void)state;
    assert_true(cfi_flash_valid(&f, &f.s));
    cfi_flash_write(&f, 0x400, 1, 0xe8);
    cfi_flash_write(&f, 0x400, 1, 1);
    assert_true(cfi_flash_valid(&f, &f.s));
    cfi_flash_write(&f, 0x401, 1, 1);
    assert_true(cfi_flash_valid(&f, &f.s));
    s = f.s, s.window = LEN;
    assert_false(cfi_flash_valid(&f, &s));
    s = f.s, s.high = CFI_BUFFER + 1;
    assert_false(cfi_flash_valid(&f, &s));
    s = f.s, s.left = 0;
    assert_false(cfi_flash_valid(&f, &s));
    s = f.s, s.phase = CFI_PHASES;
    assert_false(cfi_flash_valid(&f, &s));
    s = f.s, s.view = CFI_ARRAY;
    assert_false(cfi_flash_valid(&f, &s));
    s = f.s, s.status = 1;
    assert_false(cfi_flash_valid(&f, &s));
}

/* ---- fw_cfg ---- */

static uint8_t memory[0x4000];

static int mem_read(void *ctx, uint64_t at, void *to, uint64_t len)
{
    (void)ctx;
    if (!range_within(at, len, 0, sizeof memory))
        return -EFAULT;
    memcpy(to, memory + at, len);
    return 0;
}

static int mem_write(void *ctx, uint64_t at, const void *from, uint64_t len)
{
    (void)ctx;
    if (!range_within(at, len, 0, sizeof memory))
        return -EFAULT;
    memcpy(memory + at, from, len);
    return 0;
}

static struct fw_cfg cfg;
static const char hello[] = "hello, firmware";

static int cfg_setup(void **state)
{
    (void)state;
    memset(memory, 0xee, sizeof memory);
    cfg.read = mem_read;
    cfg.write = mem_write;
    fw_cfg_init(&cfg);
    assert_int_equal(fw_cfg_number(&cfg, FW_CFG_NB_CPUS, 2, 0x0304), 0);
    assert_int_equal(fw_cfg_file(&cfg, "etc/hello", hello, sizeof hello), 0);
    return 0;
}

static uint64_t bytes(unsigned n)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < n; i++)
        v |= (uint64_t)fw_cfg_byte(&cfg) << (8 * i);
    return v;
}

static void test_cfg_items(void **state)
{
    (void)state;
    fw_cfg_select(&cfg, FW_CFG_SIGNATURE);
    assert_int_equal(bytes(4), 'Q' | 'E' << 8 | 'M' << 16 | (uint32_t)'U' << 24);
    assert_int_equal(bytes(4), 0); /* behind the end */
    fw_cfg_select(&cfg, FW_CFG_ID);
    assert_int_equal(bytes(4), 3);
    fw_cfg_select(&cfg, FW_CFG_NB_CPUS);
    assert_int_equal(bytes(8), 0x0304);
    fw_cfg_select(&cfg, 0x1234);
    assert_int_equal(bytes(4), 0);
    assert_int_equal(fw_cfg_number(&cfg, FW_CFG_NB_CPUS, 2, 1), -EINVAL);
}

static void test_cfg_directory(void **state)
{
    char name[FW_CFG_NAME];

    (void)state;
    fw_cfg_select(&cfg, FW_CFG_FILE_DIR);
    assert_int_equal(__builtin_bswap32((uint32_t)bytes(4)), 1);
    assert_int_equal(__builtin_bswap32((uint32_t)bytes(4)), sizeof hello);
    assert_int_equal(__builtin_bswap16((uint16_t)bytes(2)), FW_CFG_FILE_FIRST);
    assert_int_equal(bytes(2), 0);
    for (unsigned i = 0; i < sizeof name; i++)
        name[i] = (char)fw_cfg_byte(&cfg);
    assert_string_equal(name, "etc/hello");
    assert_int_equal(bytes(8), 0);
    fw_cfg_select(&cfg, FW_CFG_FILE_FIRST);
    assert_int_equal(bytes(1), 'h');
}

static void test_cfg_full(void **state)
{
    char name[FW_CFG_NAME + 1] = "n";
    int err = 0;

    (void)state;
    for (unsigned i = 0; !err && i < 2 * FW_CFG_ITEMS; i++)
        err = fw_cfg_file(&cfg, name, hello, 1);
    assert_int_equal(err, -ENOSPC);
    memset(name, 'x', FW_CFG_NAME);
    assert_int_equal(fw_cfg_file(&cfg, name, hello, 1), -EINVAL);
}

/* A transfer described at 0x100; returns what its control says afterwards. */
static uint32_t dma(uint32_t control, uint32_t len, uint64_t at)
{
    uint32_t c = __builtin_bswap32(control), l = __builtin_bswap32(len);
    uint64_t a = __builtin_bswap64(at);

    memcpy(memory + 0x100, &c, 4);
    memcpy(memory + 0x104, &l, 4);
    memcpy(memory + 0x108, &a, 8);
    fw_cfg_dma_write(&cfg, 0, 4, 0);
    fw_cfg_dma_write(&cfg, 4, 4, __builtin_bswap32(0x100));
    memcpy(&c, memory + 0x100, 4);
    return __builtin_bswap32(c);
}

static void test_cfg_dma(void **state)
{
    (void)state;
    assert_int_equal(fw_cfg_dma_read(0, 8), 0x4746432055 << 24 | 0x4d4551);
    assert_int_equal(dma(FW_CFG_FILE_FIRST << 16 | 8 | 2, 5, 0x1000), 0);
    assert_memory_equal(memory + 0x1000, "hello\xee", 6);
    assert_int_equal(dma(4, 2, 0), 0); /* skip */
    assert_int_equal(dma(2, 32, 0x2000), 0);
    assert_string_equal((char *)memory + 0x2000, "firmware");
    for (unsigned i = 8; i < 32; i++)
        assert_int_equal(memory[0x2000 + i], 0);
    assert_int_equal(memory[0x2020], 0xee);
    assert_int_equal(dma(16, 1, 0x2000), 1); /* nothing is writable */
    fw_cfg_select(&cfg, FW_CFG_FILE_FIRST);
    assert_int_equal(dma(2, 4, sizeof memory - 2), 1); /* not RAM */
    assert_int_equal(dma(2, FW_CFG_DMA_MAX + 1, 0), 1);
    assert_int_equal(dma(2, 0xffffffff, 0), 1);
    assert_int_equal(dma(4, 0xffffffff, 0), 0);
    assert_int_equal(dma(4, 0xffffffff, 0), 0);
    assert_int_equal(cfg.s.offset, UINT32_MAX);
    assert_int_equal(bytes(2), 0);
    fw_cfg_dma_write(&cfg, 0, 8, UINT64_MAX); /* a descriptor nowhere */
    fw_cfg_dma_write(&cfg, 4, 8, 0);          /* of no register */
}

static void test_cfg_write(void **state)
{
    static uint8_t file[28], before[28];
    uint32_t key = FW_CFG_FILE_FIRST + cfg.nfiles;

    (void)state;
    assert_int_equal(fw_cfg_writable(&cfg, "etc/ramfb", file, sizeof file), 0);
    memset(memory + 0x1000, 0x5a, 64);
    assert_int_equal(dma(key << 16 | 8 | 16, 27, 0x1000), 0);
    assert_int_equal(file[26], 0x5a);
    assert_int_equal(file[27], 0);
    assert_int_equal(dma(16, 2, 0x1000), 1); /* one byte too many: none is written */
    assert_int_equal(file[27], 0);
    assert_int_equal(dma(16, 1, sizeof memory), 1); /* not RAM */
    assert_int_equal(dma(16, 1, 0x1000), 0);
    assert_int_equal(file[27], 0x5a);
    assert_int_equal(dma(16, 0, 0x1000), 0);
    memcpy(before, file, sizeof file);
    assert_int_equal(dma(key << 16 | 8 | 16, 29, 0x1000), 1);
    assert_int_equal(dma(key << 16 | 8 | 16, 0xffffffff, 0x1000), 1);
    assert_int_equal(dma(4, 0xffffffff, 0), 0);
    assert_int_equal(dma(16, 1, 0x1000), 1);
    assert_memory_equal(file, before, sizeof file);
    assert_int_equal(dma(key << 16 | 8 | 2, 28, 0x2000), 0); /* and reads back */
    assert_memory_equal(memory + 0x2000, file, sizeof file);
    assert_int_equal(dma(FW_CFG_FILE_FIRST << 16 | 8 | 16, 1, 0x1000), 1); /* others stay so */
}

/* ---- the script, carried out as firmware does it ---- */

#define TABLES_AT 0x7e120000u
#define RSDP_AT 0x000f5a40u
static uint8_t tables[8192], rsdp[36], script[32 * FW_ACPI_COMMAND];

static uint64_t get(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;

    memcpy(&v, p, size);
    return v;
}

static uint8_t *file_of(const uint8_t *name)
{
    if (strcmp((const char *)name, "etc/acpi/tables") == 0)
        return tables;
    assert_string_equal((const char *)name, "etc/acpi/rsdp");
    return rsdp;
}

static uint8_t sum(const uint8_t *p, uint64_t len)
{
    uint8_t s = 0;

    while (len--)
        s = (uint8_t)(s + *p++);
    return s;
}

static void carry_out(const uint8_t *c)
{
    uint8_t *f = file_of(c + 4);
    uint32_t off = (uint32_t)get(c + 60, 4);
    uint64_t v;

    switch (get(c, 4)) {
    case 1: assert_true(f == rsdp ? c[64] == 2 && off == 16 : c[64] == 1 && off == 64); break;
    case 2:
        assert_ptr_equal(file_of(c + 60), tables);
        off = (uint32_t)get(c + 116, 4);
        v = get(f + off, c[120]);
        assert_in_range(v, 1, sizeof tables);
        v += TABLES_AT;
        memcpy(f + off, &v, c[120]);
        break;
    case 3:
        assert_int_equal(f[off], 0);
        f[off] = (uint8_t)-sum(f + get(c + 64, 4), get(c + 68, 4));
        break;
    default: fail();
    }
}

static const uint8_t *at(uint64_t address)
{
    assert_in_range(address, TABLES_AT, TABLES_AT + sizeof tables - 1);
    return tables + (address - TABLES_AT);
}

static uint64_t make_tables(struct tables *t)
{
    uint8_t *r = tables_take(t, RSDP_LEN, 16), *facs = tables_take(t, 64, 64), *fadt, *mcfg;
    uint64_t all[2];

    memcpy(facs, "FACS", 4);
    mcfg = tables_begin(t, "MCFG", 1, 60);
    all[0] = tables_seal(t, mcfg);
    fadt = tables_begin(t, "FACP", 6, 276);
    tables_put(fadt, 36, 4, tables_address(t, facs));
    tables_put(fadt, 140, 8, all[0]);
    all[1] = tables_seal(t, fadt);
    return tables_root(t, r, all, 2);
}

static void test_script(void **state)
{
    struct tables t = { .buf = tables, .room = sizeof tables, .model = "TESTTEST" };
    const uint8_t *xsdt, *fadt;
    int n;

    (void)state;
    assert_int_equal(make_tables(&t), 0);
    n = fw_acpi_script(tables, t.used, rsdp, script, sizeof script);
    assert_true(n > 0 && n % FW_ACPI_COMMAND == 0);
    for (int i = 0; i < n; i += FW_ACPI_COMMAND)
        carry_out(script + i);
    assert_int_equal(sum(rsdp, 20), 0);
    assert_int_equal(sum(rsdp, 36), 0);
    xsdt = at(get(rsdp + 24, 8));
    assert_memory_equal(xsdt, "XSDT", 4);
    assert_int_equal(sum(xsdt, get(xsdt + 4, 4)), 0);
    assert_memory_equal(at(get(xsdt + 36, 8)), "MCFG", 4);
    fadt = at(get(xsdt + 44, 8));
    assert_memory_equal(fadt, "FACP", 4);
    assert_int_equal(sum(fadt, 276), 0);
    assert_memory_equal(at(get(fadt + 36, 4)), "FACS", 4);
    assert_memory_equal(at(get(fadt + 140, 8)), "MCFG", 4);
    assert_int_equal(get(fadt + 132, 8), 0);
    memset(tables, 0, sizeof tables);
    t.used = 0;
    assert_int_equal(make_tables(&t), 0);
    assert_int_equal(fw_acpi_script(tables, t.used, rsdp, script, 3 * FW_ACPI_COMMAND), -ENOSPC);
}

/* ---- a firmware's file ---- */

static uint8_t file[6 * 4096];

static void volume(uint8_t *p, uint64_t len, bool variables)
{
    static const uint8_t guid[] = { 0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c,
                                    0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50 };

    memset(p, 0, 64);
    if (variables)
        memcpy(p + 16, guid, 16);
    memcpy(p + 32, &len, 8);
    memcpy(p + 40, "_FVH", 4);
}

static void test_file(void **state)
{
    struct uefi_file f;

    (void)state;
    volume(file, 8192, true);
    volume(file + 8192, 4096, false);
    assert_null(uefi_file_parts(file, sizeof file, &f));
    assert_ptr_equal(f.vars, file);
    assert_ptr_equal(f.code, file + 8192);
    assert_int_equal(f.vars_len, 8192);
    assert_int_equal(f.code_len, sizeof file - 8192);
    assert_non_null(strstr(uefi_file_parts(file, 8192, &f), "without code"));
    assert_non_null(strstr(uefi_file_parts(file, 4096, &f), "cut short"));
    assert_non_null(strstr(uefi_file_parts(file, sizeof file - 1, &f), "cut short"));
    assert_non_null(strstr(uefi_file_parts(file, 20, &f), "not UEFI firmware"));
    assert_non_null(strstr(uefi_file_parts(file, 0, &f), "not UEFI firmware"));
    assert_non_null(strstr(uefi_file_parts(file + 8192, 8192, &f), "no variable store"));
    memset(file + 8192, 0, 64);
    assert_non_null(strstr(uefi_file_parts(file, sizeof file, &f), "no code follows"));
    volume(file, UINT64_MAX - 4095, true);
    assert_non_null(strstr(uefi_file_parts(file, sizeof file, &f), "cut short"));
    memcpy(file, "\0\4\0\x14", 4); /* ARM64's */
    memset(file + 4, 0xff, 4092);
    volume(file + 4096, 4096, false);
    assert_null(uefi_file_parts(file, sizeof file, &f));
    assert_null(f.vars);
    assert_ptr_equal(f.code, file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flash_probe),
        cmocka_unit_test(test_flash_program),
        cmocka_unit_test(test_flash_erase),
        cmocka_unit_test(test_flash_read_only),
        cmocka_unit_test(test_flash_buffered),
        cmocka_unit_test(test_flash_buffer_bounds),
        cmocka_unit_test(test_flash_query),
        cmocka_unit_test(test_flash_valid),
        cmocka_unit_test_setup(test_cfg_items, cfg_setup),
        cmocka_unit_test_setup(test_cfg_directory, cfg_setup),
        cmocka_unit_test_setup(test_cfg_full, cfg_setup),
        cmocka_unit_test_setup(test_cfg_dma, cfg_setup),
        cmocka_unit_test_setup(test_cfg_write, cfg_setup),
        cmocka_unit_test(test_script),
        cmocka_unit_test(test_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
