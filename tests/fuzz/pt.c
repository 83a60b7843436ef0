/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walker against an array: 8 MiB around a 1 GiB boundary, page by page, with memory that may
 * run out at any time; with each format that processors and IOMMUs have, and one that nobody
 * has. Whether a right is kept is the format's to say: what a leaf says at once is what it must say
 * later, whatever was split and joined around it.
 */
#include <stdio.h>

#include <hv/pt_arm.h>

#include "drivers/iommu/amdvi.h"
#include "drivers/iommu/vtd.h"
#include "tests/unit/fakept.h"

#define PAGES 2048u
#define BASE (GIB - 4 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    uint64_t oa;
    unsigned prot;
    bool mapped;
} model[PAGES];
static struct pt pt;

/* A unit of Intel's that can all that there is: 48 bits, 1 GiB. */
static struct vtd vtd = { .cap = 4ull << 8 | 47ull << 16 | 3ull << 34 };

extern struct pt_format ept_format, npt_format; /* arch/x86_64/pt_*.c */
static const struct {
    const struct pt_format *of;
    uint8_t arm_bits, leaf_levels; /* 0: as it is */
    uint8_t least;                 /* a leaf without this right is a hole: it is always asked for */
} formats[] = {
    { &fake_format, 0, 0, 0 },     { &pt_arm_stage1, 48, 0, 0 }, { &pt_arm_stage1, 39, 0, 0 },
    { &pt_arm_stage2, 48, 0, 0 },  { &pt_arm_stage2, 40, 0, 0 }, { &pt_arm_stage2_fwb, 44, 0, 0 },
    { &ept_format, 0, 7, 0 },      { &npt_format, 0, 7, 0 },     { &amdvi_format, 0, 0, 0 },
    { &vtd.format, 0, 0, PROT_R },
};
static struct pt_format format;
static unsigned least;

static void choose(uint8_t n)
{
    if (vtd_format(&vtd))
        abort();
    format = *formats[n % ARRAY_SIZE(formats)].of;
    least = formats[n % ARRAY_SIZE(formats)].least;
    if (formats[n % ARRAY_SIZE(formats)].arm_bits)
        pt_arm_set_bits(&format, formats[n % ARRAY_SIZE(formats)].arm_bits);
    if (formats[n % ARRAY_SIZE(formats)].leaf_levels)
        format.leaf_levels = formats[n % ARRAY_SIZE(formats)].leaf_levels;
}

/* The rights that a leaf has which is asked for these. */
static unsigned kept(unsigned prot) { return format.prot(format.leaf(hpa(0), 0, prot, MEM_WB), 0); }

static void check(void)
{
    for (unsigned i = 0; i < PAGES; i++) {
        unsigned prot = 0;
        hpa_t oa = hpa(0);
        bool mapped = pt_lookup(&pt, gpa(BASE + i * PAGE_SIZE), &oa, &prot);

        if (mapped != model[i].mapped || (mapped && (oa.v != model[i].oa || prot != model[i].prot)))
            abort();
    }
}

static bool all_free(unsigned at, unsigned n)
{
    for (unsigned i = at; i < at + n; i++)
        if (model[i].mapped)
            return false;
    return true;
}

static void op_map(unsigned at, unsigned n, uint64_t oa, unsigned prot)
{
    int err = pt_map(&pt, gpa(BASE + at * PAGE_SIZE), hpa(oa), n * PAGE_SIZE, prot, MEM_WB);

    if ((err == -EEXIST) == all_free(at, n) || (err && err != -EEXIST && err != -ENOMEM))
        abort();
    for (unsigned i = at; !err && i < at + n; i++) {
        model[i].mapped = true;
        model[i].oa = oa + (i - at) * PAGE_SIZE;
        model[i].prot = kept(prot);
    }
}

static void op_unmap(unsigned at, unsigned n)
{
    int err = pt_unmap(&pt, gpa(BASE + at * PAGE_SIZE), n * PAGE_SIZE);

    if (err && err != -ENOMEM)
        abort();
    for (unsigned i = at; !err && i < at + n; i++)
        model[i].mapped = false;
}

static void op_protect(unsigned at, unsigned n, unsigned prot)
{
    int err = pt_protect(&pt, gpa(BASE + at * PAGE_SIZE), n * PAGE_SIZE, prot);

    if (err && err != -ENOMEM)
        abort();
    for (unsigned i = at; !err && i < at + n; i++)
        model[i].prot = kept(prot);
}

static void one(const uint8_t *op)
{
    unsigned at = (op[1] | (unsigned)op[2] << 8) % PAGES,
             n = (op[3] | (unsigned)op[4] << 8) % (PAGES - at) + 1, prot = (op[5] & 7) | least;
    uint64_t oa = op[6] & 1 ? BASE + at * PAGE_SIZE : (uint64_t)op[6] * 12 * PAGE_SIZE;

    if (op[0] & 0x80) { /* round: large leaves */
        at &= ~511u;
        n = (n + 511) & ~511u;
    }
    pages_left = op[0] & 0x40 ? op[7] % 8 : 1 << 20;
    switch (op[0] & 3) {
    case 0: op_map(at, n, oa, prot); break;
    case 1: op_unmap(at, n); break;
    case 2: op_protect(at, n, prot); break;
    default: pt_reap(&pt);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(model, 0, sizeof(model));
    pages_left = 1 << 20;
    choose(size ? *data : 0);
    data += size != 0;
    size -= size != 0;
    if (pt_init(&pt, &format, NULL, NULL))
        abort();
    for (unsigned ops = 0; size >= 8 && ops < 32; data += 8, size -= 8, ops++)
        one(data);
    check();
    pt_fini(&pt);
    if (pages_out)
        abort();
    return 0;
}
