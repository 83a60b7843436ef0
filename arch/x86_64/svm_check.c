/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * svm_check.c: what makes VMRUN fail. AMD APM volume 2 section 15.5.1, "canonicalization and
 * consistency checks", and 15.25.4. Asked when VMRUN has refused.
 */
#include "svm_check.h"

#include "insn.h"

typedef const struct vmcb vmcb;
typedef const struct svm_limits limits;

#define CR0_PE 1ull
#define CR0_PG (1ull << 31)
#define CR4_CET (1ull << 23)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)
/* SCE, LME, LMA, NXE, SVME, LMSLE, FFXSR, TCE, MCOMMIT, INTWB, UAIE, AIBRSE */
#define EFER_KNOWN                                                                            \
    (1ull | EFER_LME | EFER_LMA | EFER_NXE | EFER_SVME | 0x2000 | 0x4000 | 0x8000 | 0x20000 | \
     0x40000 | 0x100000 | 0x200000)
#define ATTR_L (1u << 9)
#define ATTR_D (1u << 10)
#define IOPM_BYTES 0x3000u
#define MSRPM_BYTES 0x2000u

static bool paged_long(vmcb *b) { return (b->efer & EFER_LME) && (b->cr0 & CR0_PG); }
static bool fits(limits *l, uint64_t pa, uint64_t len)
{
    return !(pa >> l->phys_bits) && !((pa + len - 1) >> l->phys_bits);
}

static bool efer_svme(vmcb *b, limits *l) { return (void)l, !(b->efer & EFER_SVME); }
static bool svm_check_efer_bits(vmcb *b, limits *l)
{
    return (void)l, (b->efer & ~EFER_KNOWN) != 0;
}
static bool cr0_cache(vmcb *b, limits *l)
{
    return (void)l, !(b->cr0 & CR0_CD) && (b->cr0 & CR0_NW);
}
static bool cr0_high(vmcb *b, limits *l) { return (void)l, b->cr0 >> 32 != 0; }
static bool cr3_bits(vmcb *b, limits *l) { return b->cr3 >> l->phys_bits != 0; }
static bool cr4_bits(vmcb *b, limits *l) { return (b->cr4 & ~l->cr4_may) != 0; }
static bool dr6_high(vmcb *b, limits *l) { return (void)l, b->dr6 >> 32 != 0; }
static bool dr7_high(vmcb *b, limits *l) { return (void)l, b->dr7 >> 32 != 0; }
static bool long_pae(vmcb *b, limits *l) { return (void)l, paged_long(b) && !(b->cr4 & CR4_PAE); }
static bool long_pe(vmcb *b, limits *l) { return (void)l, paged_long(b) && !(b->cr0 & CR0_PE); }
static bool long_cs(vmcb *b, limits *l)
{
    (void)l;
    return paged_long(b) && (b->cr4 & CR4_PAE) && (b->cs.attrib & ATTR_L) &&
           (b->cs.attrib & ATTR_D);
}
static bool cet_wp(vmcb *b, limits *l) { return (void)l, (b->cr4 & CR4_CET) && !(b->cr0 & CR0_WP); }
static bool no_vmrun(vmcb *b, limits *l) { return (void)l, !(b->intercept_misc2 & I2_VMRUN); }
static bool asid(vmcb *b, limits *l) { return !b->guest_asid || b->guest_asid >= l->asids; }
static bool iopm(vmcb *b, limits *l) { return !fits(l, b->iopm_base_pa, IOPM_BYTES); }
static bool msrpm(vmcb *b, limits *l) { return !fits(l, b->msrpm_base_pa, MSRPM_BYTES); }
static bool ncr3(vmcb *b, limits *l) { return b->np_enable && (b->n_cr3 >> l->phys_bits) != 0; }
static bool svm_check_pat(vmcb *b, limits *l)
{
    (void)l;
    for (unsigned i = 0; b->np_enable && i < 64; i += 8) {
        unsigned type = b->g_pat >> i & 0xff;

        if (type > 7 || type == 2 || type == 3)
            return true;
    }
    return false;
}

static bool event_type(vmcb *b, limits *l)
{
    unsigned type = EVENT_TYPE(b->eventinj);

    (void)l;
    return (b->eventinj & EVENT_VALID) && (type == 1 || type > EVENT_SOFT);
}

/* Vector 2 is no exception, and #OF and #BOUND do not exist in 64-bit mode (15.20). */
static bool event_vector(vmcb *b, limits *l)
{
    unsigned vector = b->eventinj & 0xff;

    (void)l;
    if (!(b->eventinj & EVENT_VALID) || EVENT_TYPE(b->eventinj) != EVENT_EXCEPTION)
        return false;
    return vector > 31 || vector == 2 || (paged_long(b) && (b->cs.attrib & ATTR_L) && vector == 5);
}

static const struct {
    const char *why;
    bool (*broken)(vmcb *, limits *);
} rules[] = {
    { "EFER: SVME is 0 (15.5.1)", efer_svme },
    { "EFER: a reserved bit is 1 (15.5.1)", svm_check_efer_bits },
    { "CR0: NW is 1 while CD is 0 (15.5.1)", cr0_cache },
    { "CR0: bits 63:32 not 0 (15.5.1)", cr0_high },
    { "CR3: beyond the physical-address width (15.5.1)", cr3_bits },
    { "CR4: a reserved bit is 1 (15.5.1)", cr4_bits },
    { "DR6: bits 63:32 not 0 (15.5.1)", dr6_high },
    { "DR7: bits 63:32 not 0 (15.5.1)", dr7_high },
    { "CR4: PAE is 0 in long mode (15.5.1)", long_pae },
    { "CR0: PE is 0 in long mode (15.5.1)", long_pe },
    { "CS: L and D both 1 in long mode (15.5.1)", long_cs },
    { "CR4: CET is 1 while CR0.WP is 0 (15.5.1)", cet_wp },
    { "INTERCEPT: VMRUN is not intercepted (15.5.1)", no_vmrun },
    { "GUEST_ASID: 0, or more than the CPU has (15.5.1)", asid },
    { "IOPM_BASE_PA: beyond the physical-address width (15.5.1)", iopm },
    { "MSRPM_BASE_PA: beyond the physical-address width (15.5.1)", msrpm },
    { "N_CR3: beyond the physical-address width (15.25.4)", ncr3 },
    { "G_PAT: a memory type that does not exist (15.25.4)", svm_check_pat },
    { "EVENTINJ: a type that does not exist (15.20)", event_type },
    { "EVENTINJ: a vector that is no exception of this mode (15.20)", event_vector },
};

const char *svm_check(vmcb *b, limits *l)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rules); i++)
        if (rules[i].broken(b, l))
            return rules[i].why;
    return NULL;
}

uint64_t svm_cr4_may(uint32_t l1_ecx, uint32_t l7_ebx, uint32_t l7_ecx)
{
    /* bits of CR4 with the bit of CPUID that says so: leaf 1 ECX, leaf 7 EBX, leaf 7 ECX */
    static const struct {
        uint8_t cr4, reg, bit;
    } rows[] = { { 11, 2, 2 }, { 12, 2, 16 }, { 16, 1, 0 }, { 17, 0, 17 }, { 18, 0, 26 },
                 { 20, 1, 7 }, { 21, 1, 20 }, { 22, 2, 3 }, { 23, 2, 7 } };
    const uint32_t regs[] = { l1_ecx, l7_ebx, l7_ecx };
    uint64_t may = 0x7ff; /* VME to OSXMMEXCPT */

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (regs[rows[i].reg] >> rows[i].bit & 1)
            may |= 1ull << rows[i].cr4;
    return may;
}
