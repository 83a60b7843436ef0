/* SPDX-License-Identifier: BSD-2-Clause */
/* The walk through a guest's page tables: rights, accessed and dirty bits, error codes, and every
 * reserved or ignored bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/x86_fake.h"

static const uint64_t ram_base = 0x20000000;
static uint8_t ram[5 * 4096] __attribute__((aligned(8)));

static uint8_t *fake_ram(uint64_t a, uint64_t len)
{
    return range_within(a, len, ram_base, sizeof ram) ? ram + (a - ram_base) : NULL;
}
static void fake_device(struct io_access *io) { (void)io; }
static void fake_port(struct io_access *io) { (void)io; }

/* 4-level tables in RAM: rights, accessed and dirty bits, error codes. */
static void test_walk(void **state)
{
    struct x86_mode m = { .cr0 = CR0_PE | CR0_PG | CR0_WP,
                          .cr3 = ram_base,
                          .cr4 = CR4_PAE,
                          .efer = EFER_LME | EFER_LMA | EFER_NXE,
                          .bits = 64 };
    uint64_t *t = (uint64_t *)ram, out = 0;
    uint32_t error = 0;

    (void)state;
    memset(ram, 0, sizeof ram);
    t[0] = (ram_base + 0x1000) | 7;
    t[512] = (ram_base + 0x2000) | 7;
    t[1024] = (ram_base + 0x3000) | 7;
    t[1025] = 0x40000000 | 0x87;              /* 2 MiB */
    t[1536 + 5] = 0xabcd000 | 1 | 1ull << 63; /* read-only, supervisor, no execute */
    assert_int_equal(x86_walk(&fake_vcpu, &m, 0x5123, 0, &out, &error), 0);
    assert_int_equal(out, 0xabcd123);
    assert_int_equal(t[1536 + 5] & 0x60, 0x20);
    assert_int_equal(t[0] & 0x20, 0x20);
    assert_int_equal(x86_walk(&fake_vcpu, &m, 0x5123, PF_W, &out, &error), -EFAULT);
    assert_int_equal(error, PF_P | PF_W);
    assert_int_equal(x86_walk(&fake_vcpu, &m, 0x5123, PF_U, &out, &error), -EFAULT);
    assert_int_equal(error, PF_P | PF_U);
    assert_int_equal(x86_walk(&fake_vcpu, &m, 0x5123, PF_I, &out, &error), -EFAULT);
    assert_int_equal(error, PF_P | PF_I);
    assert_int_equal(x86_walk(&fake_vcpu, &m, 0x6123, PF_W, &out, &error), -EFAULT);
    assert_int_equal(error, PF_W);
    m.cr0 &= ~(uint64_t)CR0_WP;
    assert_int_equal(x86_walk(&fake_vcpu, &m, 0x5123, PF_W, &out, &error), 0);
    assert_int_equal(t[1536 + 5] & 0x60, 0x60);
    assert_int_equal(x86_walk(&fake_vcpu, &m, 0x212345, PF_W | PF_U, &out, &error), 0);
    assert_int_equal(out, 0x40012345);
    m.cr4 |= CR4_SMAP;
    assert_int_equal(x86_walk(&fake_vcpu, &m, 0x212345, 0, &out, &error), -EFAULT);
    fake_vcpu.regs.flags |= FLAGS_AC;
    assert_int_equal(x86_walk(&fake_vcpu, &m, 0x212345, 0, &out, &error), 0);
    t[1025] |= 1 << 14;
    assert_int_equal(x86_walk(&fake_vcpu, &m, 0x212345, 0, &out, &error), -EFAULT);
    assert_int_equal(error, PF_P | PF_RSVD);
    t[512] = 0x123456000 | 7; /* a table that is no RAM */
    assert_int_equal(x86_walk(&fake_vcpu, &m, 0x5123, 0, &out, &error), -EFAULT);
    assert_int_equal(error, PF_P | PF_RSVD);
}

/* 32-bit two-level and PAE paging. */
static void test_walk_32(void **state)
{
    struct x86_mode m = { .cr0 = CR0_PE | CR0_PG, .cr3 = ram_base, .cr4 = CR4_PSE, .bits = 32 };
    uint32_t *t = (uint32_t *)ram, error = 0;
    uint64_t *p = (uint64_t *)ram, out = 0;

    (void)state;
    memset(ram, 0, sizeof ram);
    t[1] = (uint32_t)ram_base + 0x1000 + 7;
    t[1024 + 2] = 0x7654000 | 7;
    t[3] = 0x00c00000 | 3 << 13 | 0x87; /* 4 MiB at 0x3_00c00000 by PSE-36 */
    assert_int_equal(x86_walk(&fake_vcpu, &m, 0x402abc, PF_W | PF_U, &out, &error), 0);
    assert_int_equal(out, 0x7654abc);
    assert_int_equal(t[1026] & 0x60, 0x60);
    assert_int_equal(x86_walk(&fake_vcpu, &m, 0xc12345, 0, &out, &error), 0);
    assert_int_equal(out, 0x300c12345);
    memset(ram, 0, sizeof ram);
    m.cr4 = CR4_PAE;
    p[1] = (ram_base + 0x1000) | 1;
    p[512] = (ram_base + 0x2000) | 7;
    p[1024 + 4] = 0x123456000 | 7;
    assert_int_equal(x86_walk(&fake_vcpu, &m, 0x40004321, PF_W | PF_U, &out, &error), 0);
    assert_int_equal(out, 0x123456321);
    assert_int_equal(p[1] & 0x20, 0); /* PDPTEs have no accessed bit */
}

/* ---- every bit of every entry ---- */

enum bit_kind { IGNORED, RESERVED };
/* Ranges of bits and what the manuals say of them; bits not named mean something else (rights, A,
 * D, PS, the address). */
struct bits {
    uint8_t low, high;
    enum bit_kind kind;
};
struct entry {
    const char *name;
    uint64_t cr4, efer;
    unsigned at;
    struct bits bits[5];
}; /* at: the entry, in the tables of set_up_tables() */

#define LONG (EFER_LME | EFER_LMA | EFER_NXE)
#define PHYS_BITS 40
#define PHYS(n) ((unsigned)(n) << 16)
#define AT(e) ((e)->at & 0xffff)
enum { PML5E = 2048, PDE32 = 1024, PTE32 = 2048, PDE_4M = 1025 };
/* SDM vol 3 tables 4-8 to 4-20, APM vol 2 figures 5-9 to 5-26, with MAXPHYADDR 40. NX is allowed
 * everywhere but where EFER.NXE is 0. */
static const struct entry entries[] = {
    { "PML4E",
      CR4_PAE,
      LONG,
      0,
      { { 7, 7, RESERVED }, { 40, 51, RESERVED }, { 9, 11, IGNORED }, { 52, 62, IGNORED } } },
    { "PDPTE",
      CR4_PAE,
      LONG,
      512,
      { { 9, 11, IGNORED }, { 40, 51, RESERVED }, { 52, 62, IGNORED } } },
    { "PDE",
      CR4_PAE,
      LONG,
      1024,
      { { 8, 11, IGNORED }, { 40, 51, RESERVED }, { 52, 62, IGNORED } } },
    { "PTE",
      CR4_PAE,
      LONG,
      1536,
      { { 9, 11, IGNORED }, { 40, 51, RESERVED }, { 52, 62, IGNORED } } },
    { "2 MiB PDE",
      CR4_PAE,
      LONG,
      1025,
      { { 9, 12, IGNORED }, { 13, 20, RESERVED }, { 40, 51, RESERVED }, { 52, 62, IGNORED } } },
    { "1 GiB PDPTE",
      CR4_PAE,
      LONG,
      513,
      { { 9, 12, IGNORED }, { 13, 29, RESERVED }, { 40, 51, RESERVED }, { 52, 62, IGNORED } } },
    { "PTE without NXE",
      CR4_PAE,
      EFER_LME | EFER_LMA,
      1536,
      { { 63, 63, RESERVED }, { 52, 62, IGNORED } } },
    { "PAE PDPTE",
      CR4_PAE,
      EFER_NXE,
      512,
      { { 1, 2, RESERVED },
        { 5, 5, IGNORED },
        { 6, 8, RESERVED },
        { 9, 11, IGNORED },
        { 40, 63, RESERVED } } },
    { "PAE PDE", CR4_PAE, EFER_NXE, 1024, { { 8, 11, IGNORED }, { 40, 62, RESERVED } } },
    { "PAE PTE", CR4_PAE, EFER_NXE, 1536, { { 9, 11, IGNORED }, { 40, 62, RESERVED } } },
    { "PAE 2 MiB PDE",
      CR4_PAE,
      EFER_NXE,
      1025,
      { { 9, 12, IGNORED }, { 13, 20, RESERVED }, { 40, 62, RESERVED } } },
    { "PAE PTE without NXE", CR4_PAE, 0, 1536, { { 40, 63, RESERVED } } },
    { "PML5E",
      CR4_PAE | CR4_LA57,
      LONG,
      PML5E,
      { { 7, 7, RESERVED }, { 40, 51, RESERVED }, { 8, 11, IGNORED }, { 52, 62, IGNORED } } },
    { "PML4E under a PML5E",
      CR4_PAE | CR4_LA57,
      LONG,
      0,
      { { 7, 7, RESERVED }, { 40, 51, RESERVED }, { 8, 11, IGNORED }, { 52, 62, IGNORED } } },
    { "32-bit PDE", CR4_PSE, 0, PDE32, { { 3, 6, IGNORED }, { 8, 11, IGNORED } } },
    { "32-bit PDE without PSE", 0, 0, PDE32, { { 3, 11, IGNORED } } },
    { "32-bit PTE", CR4_PSE, 0, PTE32, { { 3, 11, IGNORED } } },
    { "4 MiB PDE",
      CR4_PSE,
      0,
      PDE_4M,
      { { 3, 6, IGNORED }, { 8, 20, IGNORED }, { 21, 21, RESERVED } } },
    { "4 MiB PDE, 36 address bits",
      CR4_PSE,
      0,
      PDE_4M | PHYS(36),
      { { 8, 16, IGNORED }, { 17, 21, RESERVED } } },
    { "4 MiB PDE, 32 address bits",
      CR4_PSE,
      0,
      PDE_4M | PHYS(32),
      { { 8, 12, IGNORED }, { 13, 21, RESERVED } } },
    { "PTE, 36 address bits",
      CR4_PAE,
      LONG,
      1536 | PHYS(36),
      { { 12, 35, IGNORED }, { 36, 51, RESERVED } } },
    { "PAE PTE, 32 address bits", CR4_PAE, EFER_NXE, 1536 | PHYS(32), { { 32, 62, RESERVED } } },
};

/* The address whose walk goes through entry `at`. */
static uint64_t address_of(const struct entry *e)
{
    unsigned at = AT(e);

    if ((e->cr4 & CR4_PAE) == 0)
        return at == PDE_4M ? 0x400000 : 0;
    return at == 1025 ? 0x200000 : at == 513 ? 0x40000000 : 0;
}

static void set_up_tables(const struct entry *e)
{
    uint64_t *t = (uint64_t *)ram, rights = (e->efer & EFER_LMA) != 0 ? 7 : 1;
    uint32_t *t32 = (uint32_t *)ram;

    memset(ram, 0, sizeof ram);
    if ((e->cr4 & CR4_PAE) == 0) {
        t32[PDE32] = (uint32_t)ram_base + 0x2000 + 7;
        t32[PTE32] = 0xabcd007;
        t32[PDE_4M] = 0x40000087;
        return;
    }
    t[PML5E] = ram_base | 7;
    t[0] = (ram_base + 0x1000) | 7;
    t[512] = (ram_base + 0x2000) | rights;
    t[513] = 0x80000000 | 0x87;
    t[1024] = (ram_base + 0x3000) | 7;
    t[1025] = 0x40000000 | 0x87;
    t[1536] = 0xabcd000 | 7;
}

static enum bit_kind walk_with(const struct entry *e, unsigned bit)
{
    bool lma = (e->efer & EFER_LMA) != 0, la57 = (e->cr4 & CR4_LA57) != 0;
    struct x86_mode m = { .cr0 = CR0_PE | CR0_PG,
                          .cr4 = e->cr4,
                          .efer = e->efer,
                          .bits = lma ? 64 : 32,
                          .cr3 = ram_base + (la57  ? 0x4000
                                             : lma ? 0
                                                   : 0x1000) };
    uint64_t out;
    uint32_t error = 0;

    set_up_tables(e);
    fake_machine.cpuid.ext[8].eax = e->at > 0xffff ? e->at >> 16 : PHYS_BITS;
    if ((e->cr4 & CR4_PAE) != 0)
        ((uint64_t *)ram)[AT(e)] |= 1ull << bit;
    else
        ((uint32_t *)ram)[AT(e)] |= 1u << bit;
    if (x86_walk(&fake_vcpu, &m, address_of(e), 0, &out, &error) == 0)
        return IGNORED;
    if (error != (PF_P | PF_RSVD))
        fail_msg("%s, bit %u: error code %x", e->name, bit, error);
    return RESERVED;
}

static void test_every_bit(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(entries); i++)
        for (const struct bits *b = entries[i].bits;
             b < entries[i].bits + ARRAY_SIZE(entries[i].bits) && b->high != 0; b++)
            for (unsigned bit = b->low; bit <= b->high; bit++)
                if (walk_with(&entries[i], bit) != b->kind)
                    fail_msg("%s: bit %u should be %s", entries[i].name, bit,
                             b->kind == RESERVED ? "reserved" : "ignored");
    fake_machine.cpuid.ext[8].eax = 0;
}

static int setup(void **state)
{
    (void)state;
    percpus[0].self = &percpus[0];
    fake_reset();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_walk_32),
        cmocka_unit_test(test_every_bit),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
