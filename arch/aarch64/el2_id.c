/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * el2_id.c: the policy for ID registers. Fields are four bits wide; a row's `most` holds, field by
 * field, the highest value that a guest may see: 0 hides a feature, f passes the host's value. Most
 * fields count upwards; `sgn` marks those where f means "not there" (D19.1.3). Hidden: what needs
 * state that the engine does not switch (MTE, SME, PMU, SPE, trace, AMU, MPAM, RAS error records,
 * SCXTNUM, TCR2 ...), what needs HCRX_EL2 (LS64, MOPS, XS), nested virtualisation, EL3, LORegions,
 * timed WFE and WFI.
 */
#include <hv/arm.h>

#include "el2_id.h"

#define ALL UINT64_MAX

struct id_rule {
    uint8_t index;
    const char *name;
    uint64_t most, sgn;
};

static const struct id_rule rules[] = {
    /* AArch32, of use at EL0 only. */
    { ID_INDEX(1, 0), "ID_PFR0_EL1", ALL, 0 },
    { ID_INDEX(1, 1), "ID_PFR1_EL1", 0x000f0f0f, 0 },
    { ID_INDEX(1, 2), "ID_DFR0_EL1", 0x0000000f, 0 },
    { ID_INDEX(1, 4), "ID_MMFR0_EL1", ALL, 0 },
    { ID_INDEX(1, 5), "ID_MMFR1_EL1", ALL, 0 },
    { ID_INDEX(1, 6), "ID_MMFR2_EL1", ALL, 0 },
    { ID_INDEX(1, 7), "ID_MMFR3_EL1", ALL, 0 },
    { ID_INDEX(2, 0), "ID_ISAR0_EL1", ALL, 0 },
    { ID_INDEX(2, 1), "ID_ISAR1_EL1", ALL, 0 },
    { ID_INDEX(2, 2), "ID_ISAR2_EL1", ALL, 0 },
    { ID_INDEX(2, 3), "ID_ISAR3_EL1", ALL, 0 },
    { ID_INDEX(2, 4), "ID_ISAR4_EL1", ALL, 0 },
    { ID_INDEX(2, 5), "ID_ISAR5_EL1", ALL, 0 },
    { ID_INDEX(2, 6), "ID_MMFR4_EL1", ALL, 0 },
    { ID_INDEX(2, 7), "ID_ISAR6_EL1", ALL, 0 },
    { ID_INDEX(3, 0), "MVFR0_EL1", ALL, 0 },
    { ID_INDEX(3, 1), "MVFR1_EL1", ALL, 0 },
    { ID_INDEX(3, 2), "MVFR2_EL1", ALL, 0 },
    { ID_INDEX(3, 4), "ID_PFR2_EL1", 0x0f1, 0 },
    { ID_INDEX(3, 6), "ID_MMFR5_EL1", ALL, 0 },
    /* CSV3 CSV2 - DIT - - - SVE RAS GIC AdvSIMD FP - - EL1 EL0: EL1 is AArch64 only */
    { ID_AA64PFR0, "ID_AA64PFR0_EL1", 0x1101000111ff0012, 0x0000000000ff0000 },
    /* SSBS BT */
    { ID_AA64PFR1, "ID_AA64PFR1_EL1", 0x21, 0 },
    { ID_AA64ZFR0, "ID_AA64ZFR0_EL1", ALL, 0 },
    /* DoubleLock, CTX_CMPs, WRPs, BRPs, DebugVer (Armv8.2) */
    { ID_AA64DFR0, "ID_AA64DFR0_EL1", 0x000000f0f0f0f008, 0x000000f000000000 },
    /* all but TME */
    { ID_AA64ISAR0, "ID_AA64ISAR0_EL1", 0xfffffffff0fffff0, 0 },
    /* all but LS64, XS */
    { ID_AA64ISAR1, "ID_AA64ISAR1_EL1", 0x00ffffffffffffff, 0 },
    /* CSSC, CLRBHB, PAC_frac, BC, APA3, GPA3, RPRES */
    { ID_AA64ISAR2, "ID_AA64ISAR2_EL1", 0x00f00000fff0fff0, 0 },
    /* TGran4, TGran64, TGran16, BigEndEL0, SNSMem, BigEnd, ASIDBits, PARange (48 bits) */
    { ID_AA64MMFR0, "ID_AA64MMFR0_EL1", 0x00000000001ffff5, 0x00000000ff000000 },
    /* nTLBPA, AFP, ETS, SpecSEI, PAN, HPDS, HAFDBS */
    { ID_AA64MMFR1, "ID_AA64MMFR1_EL1", 0x000ff0f00ff0f002, 0 },
    /* E0PD, BBM, TTL, AT, ST, CCIDX, VARange, IESB, LSM, UAO, CnP */
    { ID_AA64MMFR2, "ID_AA64MMFR2_EL1", 0x1021000110111111, 0 },
};

static const struct id_rule *rule_of(unsigned index)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rules); i++)
        if (rules[i].index == index)
            return &rules[i];
    return NULL;
}

const char *id_name(unsigned index)
{
    const struct id_rule *r = rule_of(index);

    return r ? r->name : NULL;
}

bool id_index(uint32_t id, unsigned *index)
{
    if (id < ARM_SYSREG(3, 0, 0, ID_FIRST_CRM, 0) || id > ARM_SYSREG(3, 0, 0, 7, 7))
        return false;
    *index = id - ARM_SYSREG(3, 0, 0, ID_FIRST_CRM, 0);
    return true;
}

/* Signed fields as -8..7, so that f counts as less than 0. */
static uint64_t least_field(uint64_t a, uint64_t b, bool sgn)
{
    uint64_t flip = sgn ? 8 : 0;

    return (a ^ flip) < (b ^ flip) ? a : b;
}

static uint64_t least(uint64_t a, uint64_t b, uint64_t sgn)
{
    uint64_t out = 0;

    for (unsigned shift = 0; shift < 64; shift += 4)
        out |= least_field(a >> shift & 15, b >> shift & 15, sgn >> shift & 15) << shift;
    return out;
}

uint64_t id_common(unsigned index, uint64_t a, uint64_t b)
{
    const struct id_rule *r = rule_of(index);

    return r ? least(a, b, r->sgn) : 0;
}

static uint64_t el2_id_clear(uint64_t value, bool keep, uint64_t fields)
{
    return keep ? value : value & ~fields;
}

/* A signed field's highest value is 7, which `most` writes as f: "as the host has it". */
static uint64_t limit(const struct id_rule *r, uint64_t host)
{
    return least(host, r->most ^ (r->most & r->sgn & 0x8888888888888888ull), r->sgn);
}

uint64_t id_guest_value(const struct id_policy *p, unsigned index, uint64_t host)
{
    const struct id_rule *r = rule_of(index);
    uint64_t v = r ? limit(r, host) : 0;

    switch (index) {
    case ID_AA64PFR0:
        return el2_id_clear(el2_id_clear(v, p->gicv3, 0xfull << 24), p->sve, 0xfull << 32);
    case ID_AA64ZFR0: return el2_id_clear(v, p->sve, ALL);
    case ID_AA64ISAR1: /* APA, API, GPA, GPI */ return el2_id_clear(v, p->pauth, 0xff000ff0ull);
    case ID_AA64ISAR2: /* GPA3, APA3, PAC_frac */ return el2_id_clear(v, p->pauth, 0x0f00ff00ull);
    default: return v;
    }
}

bool id_has_mpam(uint64_t pfr0, uint64_t pfr1) { return (pfr0 >> 40 & 15) || (pfr1 >> 16 & 15); }
