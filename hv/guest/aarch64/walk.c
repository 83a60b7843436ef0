/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's own translation, stage 1 of EL1&0: Arm ARM D8.2, all granules, 16 to 52 bits. At most
 * 5 reads of guest memory.
 */
#include <hv/assert.h>
#include "arm.h"

/* How the half of the address space that holds an address is translated. */
struct regime {
    uint64_t ttbr;
    unsigned tsz, page_shift;
    bool off, hpd, wide; /* off: EPD; wide: output addresses of 52 bits */
    bool ds, el0_off;    /* ds: TCR_EL1.DS, descriptors of FEAT_LPA2 */
};
struct descriptor {
    uint64_t d;
    unsigned level;
    bool no_el0, read_only;
};

static bool bit(uint64_t v, unsigned n) { return v >> n & 1; }

/* TG0 and TG1 name the granules differently (D17.2.131). 0: reserved. */
static unsigned page_shift(uint64_t tcr, bool high)
{
    static const uint8_t tg0[4] = { 12, 16, 14, 0 }, tg1[4] = { 0, 14, 12, 16 };

    return high ? tg1[tcr >> 30 & 3] : tg0[tcr >> 14 & 3];
}

static struct regime regime_of(struct vcpu *v, uint64_t tcr, bool high)
{
    unsigned shift = page_shift(tcr, high);

    return (struct regime){
        .ttbr = arm_get(v, high ? ARM_TTBR1_EL1 : ARM_TTBR0_EL1),
        .tsz = (unsigned)(high ? tcr >> 16 : tcr) & 0x3f,
        .page_shift = shift,
        .off = bit(tcr, high ? 23 : 7),
        .hpd = bit(tcr, high ? 42 : 41),
        .ds = bit(tcr, 59) && shift != 16,
        .wide = (bit(tcr, 59) && shift != 16) || (shift == 16 && (tcr >> 32 & 7) >= 6),
        .el0_off = bit(tcr, high ? 56 : 55),
    };
}

/* Top-byte ignore: bits 63:56 do not count. Of instruction addresses they may count (TBID). */
static bool top_ignored(uint64_t tcr, bool high, bool exec)
{
    return bit(tcr, high ? 38 : 37) && !(exec && bit(tcr, high ? 52 : 51));
}

/* Bits above the translated ones repeat bit 55. */
static bool canonical(uint64_t va, unsigned bits, bool ignore)
{
    int64_t top = (int64_t)(ignore ? va << 8 : va) >> (ignore ? bits + 8 : bits);

    return top == 0 || top == -1;
}

static uint64_t output_address(const struct regime *r, uint64_t d)
{
    uint64_t a = d & 0x0000ffffffffffffull & ~((1ull << r->page_shift) - 1);

    if (r->ds)
        a = (d & 0x0003ffffffffffffull & ~((1ull << r->page_shift) - 1)) | (d >> 8 & 3) << 50;
    else if (r->wide)
        a |= (d >> 12 & 0xf) << 48;
    return a;
}

static uint64_t table_base(const struct regime *r, unsigned entries_shift)
{
    uint64_t base = r->ttbr & 0x0000fffffffffffeull;
    unsigned align = entries_shift + 3;

    if (r->wide) {
        base = (base & ~0x3full) | (r->ttbr >> 2 & 0xf) << 48;
        align = align < 6 ? 6 : align;
    }
    return base & ~((1ull << align) - 1);
}

static bool block_allowed(const struct regime *r, int level)
{
    if (r->page_shift == 12)
        return level == 1 || level == 2 || (level == 0 && r->ds);
    return level == 2 || (level == 1 && (r->page_shift == 14 ? r->ds : r->wide));
}

/* A fault code with its level; level -1 exists with 52-bit addresses only. */
static unsigned at_level(unsigned fsc, int level)
{
    if (level >= 0)
        return fsc | (unsigned)level;
    return fsc == FSC_EXTERNAL_WALK ? 0x13 : 0x2b;
}

static int read_descriptor(struct vcpu *v, uint64_t addr, bool big_endian, uint64_t *d)
{
    int err = gmem_read(v->vm, gpa(addr), d, sizeof *d);

    if (!err && big_endian)
        *d = __builtin_bswap64(*d);
    return err;
}

/* Down to the leaf. 0: *out and the bits of the address that it leaves in *shift. */
static int descend(struct vcpu *v, const struct regime *r, uint64_t va, struct descriptor *out,
                   unsigned *shift, unsigned *fsc)
{
    unsigned ia = 64 - r->tsz, stride = r->page_shift - 3,
             levels = (ia - r->page_shift + stride - 1) / stride;
    unsigned top = ia - r->page_shift - (levels - 1) * stride;
    uint64_t table = table_base(r, top), mask = (1ull << top) - 1;
    bool big_endian = arm_get(v, ARM_SCTLR_EL1) & SCTLR_EE;

    for (int level = 4 - (int)levels; level <= 3; level++) {
        *shift = r->page_shift + (unsigned)(3 - level) * stride;
        *fsc = at_level(FSC_EXTERNAL_WALK, level);
        if (read_descriptor(v, table + ((va >> *shift) & mask) * 8, big_endian, &out->d))
            return -EFAULT;
        *fsc = at_level(FSC_TRANSLATION, level);
        if (!bit(out->d, 0) || (level == 3 && !bit(out->d, 1)))
            return -EFAULT;
        out->level = (unsigned)level;
        if (level == 3 || !bit(out->d, 1))
            return level == 3 || block_allowed(r, level) ? 0 : -EFAULT;
        out->no_el0 |= !r->hpd && bit(out->d, 61);
        out->read_only |= !r->hpd && bit(out->d, 62);
        table = output_address(r, out->d);
        mask = (1ull << stride) - 1;
    }
    return -EFAULT;
}

/* AP[2:1] are bits 7:6 (D8.4.1). Execution is not checked: the instruction was executed. */
static bool permitted(struct vcpu *v, uint64_t tcr, const struct descriptor *l,
                      struct arm_access_kind kind)
{
    bool el0_may = bit(l->d, 6) && !l->no_el0, dirty_managed = bit(tcr, 40) && bit(l->d, 51);

    if (kind.exec)
        return true;
    if (kind.write && ((bit(l->d, 7) && !dirty_managed) || l->read_only))
        return false;
    if (kind.el0)
        return el0_may;
    return !(el0_may && (v->regs.flags & PSTATE_PAN));
}

int arm_walk(struct vcpu *v, uint64_t va, struct arm_access_kind kind, uint64_t *pa, unsigned *fsc)
{
    uint64_t tcr = arm_get(v, ARM_TCR_EL1);
    bool high = bit(va, 55), ignore = top_ignored(tcr, high, kind.exec);
    struct regime r = regime_of(v, tcr, high);
    struct descriptor leaf = { 0 };
    unsigned shift;

    debug_assert_own_cpu(v);
    *fsc = FSC_TRANSLATION;
    if (!(arm_get(v, ARM_SCTLR_EL1) & SCTLR_M)) {
        *pa = ignore ? va & ~(0xffull << 56) : va;
        return 0;
    }
    if (r.off || r.page_shift == 0 || (kind.el0 && r.el0_off))
        return -EFAULT;
    if (r.tsz > 48 || r.tsz < 12 || 64 - r.tsz <= r.page_shift ||
        !canonical(va, 64 - r.tsz, ignore))
        return -EFAULT;
    if (descend(v, &r, va, &leaf, &shift, fsc))
        return -EFAULT;
    *fsc = at_level(FSC_ACCESS, (int)leaf.level);
    if (!bit(leaf.d, 10) && !bit(tcr, 39))
        return -EFAULT;
    *fsc = at_level(FSC_PERMISSION, (int)leaf.level);
    if (!permitted(v, tcr, &leaf, kind))
        return -EFAULT;
    *pa = (output_address(&r, leaf.d) & ~((1ull << shift) - 1)) | (va & ((1ull << shift) - 1));
    return 0;
}
