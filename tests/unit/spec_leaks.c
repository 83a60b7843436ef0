/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What CPUs of different years are open to by speculation, and what is done. The expected outcomes
 * follow Intel's "Affected Processors: Guidance for Security Issues on Intel Processors" and AMD's
 * bulletins SB-1036, SB-7005, SB-7014, SB-7029 with "Software Techniques for Managing Speculation".
 * The registers are put together from the manuals' bits for each model with the last microcode (or
 * without), not read from machines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/x86_64/spec.h"

#define B(n) (1u << (n))
#define Q(n) (1ull << (n))
/* CPUID 7 EDX, by the year of the microcode */
/* IBRS and IBPB, STIBP, L1D_FLUSH, SSBD */
#define D2018 (B(26) | B(27) | B(28) | B(31))
#define D2019 (D2018 | B(10)) /* MD_CLEAR */
#define D2020 (D2019 | B(9))  /* SRBDS_CTRL */
#define DSAFE (B(26) | B(27) | B(31) | B(10) | B(29))
#define CAPS B(29)
#define RTM B(11)
#define RND (B(28) | B(30)) /* 1 ECX: AVX, RDRAND */
/* IA32_ARCH_CAPABILITIES */
#define RDCL Q(0)
#define EIBRS Q(1)
#define RSBA Q(2)
#define SKIP Q(3)
#define SSB_NO Q(4)
#define MDS_NO Q(5)
#define PSCH Q(6)
#define TSXC Q(7)
#define TAA_NO Q(8)
#define STALE_NO (Q(13) | Q(14) | Q(15))
#define FB_CLEAR Q(17)
#define RRSBA Q(19)
#define BHI_NO Q(20)
#define PBRSB_NO Q(24)
#define GDS_CTRL Q(25)
#define GDS_NO Q(26)
#define RFDS_NO Q(27)
#define RFDS_CLR Q(28)
#define ITS_NO Q(62)
#define OLD2019 (RDCL | EIBRS | SKIP | MDS_NO)

struct row {
    enum mitigation_class class;
    const char *text;
};
struct cpu {
    const char *name;
    bool amd;
    struct spec_facts f;
    struct row row[MIT_COUNT];
};

/* clang-format off */
#define V1 { MIT_SPECTRE_V1, "Mitigation: masking of indices that guests choose" }
#define MELT { MIT_MELTDOWN, "Mitigation: the hypervisor is not mapped in guests" }
#define SSB { MIT_SPEC_STORE_BYPASS, \
    "Mitigation: Speculative Store Bypass disabled by guests that ask for it" }
#define SSBV { MIT_SPEC_STORE_BYPASS, "Vulnerable" }
#define ITLB { MIT_ITLB_MULTIHIT, "Mitigation: Split huge pages" }
#define UNSURE { MIT_MMIO_STALE_DATA, "Unknown: No mitigations" }
#define V2_OLD { MIT_SPECTRE_V2, \
    "Mitigation: Retpolines; IBPB: disabled; STIBP: disabled; RSB filling; PBRSB-eIBRS: Not " \
    "affected; BHI: Retpoline" }
#define V2_IBRS { MIT_SPECTRE_V2, \
    "Mitigation: IBRS; IBPB: conditional; RSB filling; PBRSB-eIBRS: Not affected; BHI: SW loop" }
#define V2_EIBRS { MIT_SPECTRE_V2, \
    "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional; PBRSB-eIBRS: SW sequence; BHI: " \
    "SW loop" }
#define V2_BHI { MIT_SPECTRE_V2, \
    "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional; PBRSB-eIBRS: SW sequence; BHI: " \
    "BHI_DIS_S" }
#define V2_ATOM { MIT_SPECTRE_V2, \
    "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional; PBRSB-eIBRS: Not affected; " \
    "BHI: SW loop" }
#define V2_NEW { MIT_SPECTRE_V2, \
    "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional; PBRSB-eIBRS: Not affected; " \
    "BHI: BHI_DIS_S" }
#define L1TF(smt) { MIT_L1TF, "Mitigation: VMX: conditional cache flushes, SMT " smt }
#define CLEAR(class, smt) { class, "Mitigation: Clear CPU buffers; SMT " smt }
#define NOCODE(class, smt) { class, "Vulnerable: No microcode; SMT " smt }
#define MICRO(class) { class, "Mitigation: Microcode" }
#define RB_IBRS { MIT_RETBLEED, "Mitigation: IBRS" }
#define RB_EIBRS { MIT_RETBLEED, "Mitigation: Enhanced IBRS" }
#define ITS_THUNKS { MIT_INDIRECT_TARGET_SELECTION, "Mitigation: Aligned branch/return thunks" }
#define ITS_USER { MIT_INDIRECT_TARGET_SELECTION, "Mitigation: Not affected across VM exits" }
#define RFDS { MIT_REG_FILE_DATA_SAMPLING, "Mitigation: Clear Register File" }
#define SHARED .smt = SPEC_SMT_SHARED

static const struct cpu intel[] = {
    { "Atom D525 (Bonnell: in order)", false, { 6, 0x1c, 10, SHARED }, { { 0 } } },
    { "Xeon X5570 (Nehalem)", false, { 6, 0x1a, 5, .l7_edx = D2018, SHARED },
      { V1, MELT, SSB, ITLB, UNSURE, V2_IBRS, L1TF("vulnerable"), NOCODE(MIT_MDS, "vulnerable") } },
    { "Xeon X5650 (Westmere), microcode of 2010", false, { 6, 0x2c, 2, SHARED },
      { V1, MELT, SSBV, ITLB, UNSURE, V2_OLD, L1TF("vulnerable"), NOCODE(MIT_MDS, "vulnerable") } },
    { "Core i7-2600 (Sandy Bridge)", false, { 6, 0x2a, 7, .l1_ecx = B(28), .l7_edx = D2019,
      SHARED },
      { V1, MELT, SSB, ITLB, UNSURE, V2_IBRS, L1TF("vulnerable"), CLEAR(MIT_MDS, "vulnerable") } },
    { "Core i5-3470 (Ivy Bridge)", false, { 6, 0x3a, 9, .l1_ecx = RND, .l7_edx = D2020 },
      { V1, MELT, SSB, ITLB, UNSURE, V2_IBRS, L1TF("disabled"), CLEAR(MIT_MDS, "disabled"),
        MICRO(MIT_SRBDS) } },
    { "Core i7-4770 (Haswell)", false, { 6, 0x3c, 3, .l1_ecx = RND, .l7_edx = D2020, SHARED },
      { V1, MELT, SSB, ITLB, UNSURE, V2_IBRS, L1TF("vulnerable"), CLEAR(MIT_MDS, "vulnerable"),
        MICRO(MIT_SRBDS) } },
    { "Xeon E5-2680 v3 (Haswell-EP)", false, { 6, 0x3f, 2, .l1_ecx = RND, .l7_edx = D2019,
      .smt = SPEC_SMT_CORE },
      { V1, MELT, SSB, ITLB, V2_IBRS, L1TF("core scheduling"), CLEAR(MIT_MDS, "core scheduling"),
        CLEAR(MIT_MMIO_STALE_DATA, "core scheduling") } },
    { "Xeon E5-2690 v4 (Broadwell-EP, TSX)", false, { 6, 0x4f, 1, .l1_ecx = RND, .l7_ebx = RTM,
      .l7_edx = D2019, SHARED },
      { V1, MELT, SSB, ITLB, V2_IBRS, L1TF("vulnerable"), CLEAR(MIT_MDS, "vulnerable"),
        CLEAR(MIT_MMIO_STALE_DATA, "vulnerable"),
        CLEAR(MIT_TSX_ASYNC_ABORT, "vulnerable") } },
    { "Core i7-6700 (Skylake)", false, { 6, 0x5e, 3, .l1_ecx = RND, .l7_edx = D2020 | CAPS,
      .arch_caps = RSBA | GDS_CTRL, SHARED },
      { V1, MELT, SSB, ITLB, V2_IBRS, L1TF("vulnerable"), CLEAR(MIT_MDS, "vulnerable"),
        CLEAR(MIT_MMIO_STALE_DATA, "vulnerable"), MICRO(MIT_SRBDS),
        MICRO(MIT_GATHER_DATA_SAMPLING), RB_IBRS } },
    { "Xeon Gold 6148 (Skylake-SP, TSX)", false, { 6, 0x55, 4, .l1_ecx = RND, .l7_ebx = RTM,
      .l7_edx = D2019 | CAPS, .arch_caps = RSBA | GDS_CTRL, SHARED },
      { V1, MELT, SSB, ITLB, V2_IBRS, L1TF("vulnerable"), CLEAR(MIT_MDS, "vulnerable"),
        CLEAR(MIT_MMIO_STALE_DATA, "vulnerable"),
        CLEAR(MIT_TSX_ASYNC_ABORT, "vulnerable"), MICRO(MIT_GATHER_DATA_SAMPLING), RB_IBRS } },
    { "Core i7-8550U (Kaby Lake-R)", false, { 6, 0x8e, 10, .l1_ecx = RND, .l7_edx = D2020 | CAPS,
      .arch_caps = RSBA | GDS_CTRL },
      { V1, MELT, SSB, ITLB, V2_IBRS, L1TF("disabled"), CLEAR(MIT_MDS, "disabled"),
        CLEAR(MIT_MMIO_STALE_DATA, "disabled"), MICRO(MIT_SRBDS),
        MICRO(MIT_GATHER_DATA_SAMPLING), RB_IBRS } },
    { "Xeon Gold 6248 (Cascade Lake), TSX off", false,
      { 6, 0x55, 7, .l1_ecx = RND, .l7_edx = D2019 | CAPS, .arch_caps = OLD2019 | PSCH | TSXC |
        FB_CLEAR | RRSBA | GDS_CTRL, SHARED },
      { V1, SSB, V2_EIBRS, CLEAR(MIT_MMIO_STALE_DATA, "vulnerable"), { MIT_TSX_ASYNC_ABORT,
        "Mitigation: TSX disabled" }, MICRO(MIT_GATHER_DATA_SAMPLING),
        RB_EIBRS, ITS_THUNKS } },
    { "Core i9-9900K (Coffee Lake-R), stepping 13", false,
      { 6, 0x9e, 13, .l1_ecx = RND, .l7_ebx = RTM, .l7_edx = D2020 | CAPS, .arch_caps = OLD2019 |
        PSCH | TSXC | FB_CLEAR | RRSBA | GDS_CTRL },
      { V1, SSB, V2_EIBRS, CLEAR(MIT_MMIO_STALE_DATA, "disabled"), { MIT_TSX_ASYNC_ABORT,
        "Mitigation: TSX disabled" }, MICRO(MIT_SRBDS), MICRO(MIT_GATHER_DATA_SAMPLING),
        RB_EIBRS, ITS_THUNKS } },
    { "Core i7-10700 (Comet Lake)", false,
      { 6, 0xa5, 5, .l1_ecx = RND, .l7_edx = D2019 | CAPS, .arch_caps = OLD2019 | PSCH | TSXC |
        FB_CLEAR | RRSBA | GDS_CTRL, SHARED },
      { V1, SSB, V2_EIBRS, CLEAR(MIT_MMIO_STALE_DATA, "vulnerable"), { MIT_TSX_ASYNC_ABORT,
        "Mitigation: TSX disabled" }, MICRO(MIT_GATHER_DATA_SAMPLING),
        RB_EIBRS, ITS_THUNKS } },
    { "Core i7-1065G7 (Ice Lake)", false,
      { 6, 0x7e, 5, .l1_ecx = RND, .l7_edx = D2019 | CAPS, .arch_caps = OLD2019 | PSCH | TAA_NO |
        FB_CLEAR | RRSBA | GDS_CTRL, SHARED },
      { V1, SSB, V2_EIBRS, CLEAR(MIT_MMIO_STALE_DATA, "vulnerable"),
        MICRO(MIT_GATHER_DATA_SAMPLING), RB_EIBRS, ITS_USER } },
    { "Xeon 8380 (Ice Lake-SP), protection off and locked", false,
      { 6, 0x6a, 6, .l1_ecx = RND, .l7_edx = D2019 | CAPS, .arch_caps = OLD2019 | PSCH | TAA_NO |
        FB_CLEAR | GDS_CTRL, .mcu_opt = Q(5), SHARED },
      { V1, SSB, V2_EIBRS, CLEAR(MIT_MMIO_STALE_DATA, "vulnerable"), { MIT_GATHER_DATA_SAMPLING,
        "Mitigation: Microcode (locked)" }, ITS_USER } },
    { "Core i7-1185G7 (Tiger Lake)", false,
      { 6, 0x8c, 1, .l1_ecx = RND, .l7_edx = D2019 | CAPS, .arch_caps = OLD2019 | PSCH | TAA_NO |
        STALE_NO | GDS_CTRL },
      { V1, SSB, V2_EIBRS, MICRO(MIT_GATHER_DATA_SAMPLING), ITS_USER } },
    { "Core i7-11700 (Rocket Lake), microcode of 2021", false,
      { 6, 0xa7, 1, .l1_ecx = RND, .l7_edx = D2019 | CAPS, .arch_caps = OLD2019 | PSCH | TAA_NO },
      { V1, SSB, V2_EIBRS, NOCODE(MIT_MMIO_STALE_DATA, "disabled"), { MIT_GATHER_DATA_SAMPLING,
        "Vulnerable: No microcode" }, RB_EIBRS, ITS_USER } },
    { "Core i9-12900K (Alder Lake, hybrid)", false,
      { 6, 0x97, 2, .l1_ecx = RND, .l7_edx = DSAFE, .l7_2_edx = B(2) | B(4), .arch_caps = OLD2019 |
        PSCH | TAA_NO | STALE_NO | RRSBA | GDS_NO | RFDS_CLR, SHARED },
      { V1, SSB, V2_BHI, RFDS } },
    { "Core i9-13900K (Raptor Lake, hybrid)", false,
      { 6, 0xb7, 1, .l1_ecx = RND, .l7_edx = DSAFE, .l7_2_edx = B(2) | B(4), .arch_caps = OLD2019 |
        PSCH | TAA_NO | STALE_NO | RRSBA | PBRSB_NO | GDS_NO | RFDS_CLR },
      { V1, SSB, V2_NEW, RFDS } },
    { "Core Ultra 7 155H (Meteor Lake, hybrid)", false,
      { 6, 0xaa, 4, .l1_ecx = RND, .l7_edx = DSAFE, .l7_2_edx = B(2) | B(4), .arch_caps = OLD2019 |
        PSCH | TAA_NO | STALE_NO | RRSBA | PBRSB_NO | GDS_NO | RFDS_NO },
      { V1, SSB, V2_NEW } },
    { "Xeon 8480+ (Sapphire Rapids)", false,
      { 6, 0x8f, 8, .l1_ecx = RND, .l7_ebx = RTM, .l7_edx = DSAFE, .l7_2_edx = B(2) | B(4),
        .arch_caps = OLD2019 | PSCH | TSXC | TAA_NO | STALE_NO | RRSBA | GDS_NO | RFDS_NO, SHARED },
          { V1, SSB, V2_BHI } },
    { "Xeon 6980P (Granite Rapids)", false,
      { 6, 0xad, 1, .l1_ecx = RND, .l7_edx = DSAFE, .l7_2_edx = B(2) | B(4),
        .arch_caps = OLD2019 | PSCH | TAA_NO | STALE_NO | RRSBA | PBRSB_NO | GDS_NO | RFDS_NO,
          SHARED }, { V1, SSB, V2_NEW } },
    { "Atom C2750 (Silvermont)", false, { 6, 0x4d, 8, .l7_edx = D2019 & ~B(28) & ~B(31) },
      { V1, MELT, UNSURE, V2_IBRS, CLEAR(MIT_MDS, "mitigated") } },
    { "Atom C3955 (Goldmont)", false, { 6, 0x5f, 1, .l1_ecx = B(30), .l7_edx = DSAFE,
      .arch_caps = RDCL | SKIP | RFDS_CLR },
      { V1, SSB, V2_IBRS, RFDS } },
    { "Pentium J5005 (Goldmont Plus), microcode of 2019", false, { 6, 0x7a, 1, .l1_ecx = B(30),
      .l7_edx = DSAFE, .arch_caps = RDCL | SKIP },
      { V1, SSB, V2_IBRS, { MIT_REG_FILE_DATA_SAMPLING, "Vulnerable: No microcode" } } },
    { "Celeron N5105 (Jasper Lake, Tremont)", false,
      { 6, 0x9c, 0, .l1_ecx = B(30), .l7_edx = DSAFE, .arch_caps = OLD2019 | PSCH | TAA_NO |
        FB_CLEAR | RFDS_CLR },
      { V1, SSB, V2_ATOM, CLEAR(MIT_MMIO_STALE_DATA, "disabled"), RFDS } },
    { "Processor N100 (Alder Lake-N, Gracemont)", false,
      { 6, 0xbe, 0, .l1_ecx = RND, .l7_edx = DSAFE, .l7_2_edx = B(2) | B(4), .arch_caps = OLD2019 |
        PSCH | TAA_NO | STALE_NO | RRSBA | PBRSB_NO | GDS_NO | RFDS_CLR },
      { V1, SSB, V2_NEW, RFDS } },
    { "Xeon Phi 7250 (Knights Landing)", false, { 6, 0x57, 1, .l1_ecx = RND,
      .l7_edx = D2019 & ~B(28) & ~B(31), SHARED },
      { V1, MELT, UNSURE, V2_IBRS, CLEAR(MIT_MDS, "mitigated") } },
};
/* clang-format on */

/* 80000008h EBX, 80000021h EAX */
#define IBPB B(12)
#define IBRS B(14)
#define STIBP B(15)
#define SAME_MODE B(19)
#define SSBD B(24)
#define SSB_SAFE B(26)
#define BTC_NO B(29)
#define IBPB_RET B(30)
#define LFENCE B(2)
#define VERW_CLR B(5)
#define AUTO B(8)
#define BRTYPE (B(27) | B(28))
#define SRSO_NO B(29)
#define USER_NO B(30)
#define REDUCE B(31)
/* clang-format off */
#define AMD_V2(means, ibpb, stibp, rsb) { MIT_SPECTRE_V2, "Mitigation: " means "; IBPB: " ibpb \
    "; STIBP: " stibp rsb "; PBRSB-eIBRS: Not affected; BHI: Not affected" }
#define FILL "; RSB filling"
#define RB(smt) { MIT_RETBLEED, "Mitigation: IBPB; " smt }
#define SRSO(text) { MIT_SPEC_RSTACK_OVERFLOW, text }
/* clang-format on */
#define STIBP_ON "SMT enabled with STIBP protection"

/* clang-format off */
static const struct cpu amd[] = {
    { "Opteron 6174 (K10)", true, { 0x10, 9, 1, .smt = SPEC_SMT_NONE },
      { V1, AMD_V2("Retpolines", "disabled", "disabled", FILL) } },
    { "FX-8150 (Bulldozer), microcode of 2012", true, { 0x15, 1, 2, .smt = SPEC_SMT_NONE },
      { V1, SSBV, AMD_V2("Retpolines", "disabled", "disabled", FILL), { MIT_RETBLEED,
        "Vulnerable" } } },
    { "FX-8350 (Piledriver)", true, { 0x15, 2, 0, .x8_ebx = IBPB },
      { V1, SSBV, AMD_V2("IBPB on VMEXIT", "always-on", "disabled", FILL), RB("SMT disabled") } },
    { "A4-5000 (Jaguar)", true, { 0x16, 0, 1, .x8_ebx = IBPB },
      { V1, SSBV, AMD_V2("IBPB on VMEXIT", "always-on", "disabled", FILL), RB("SMT disabled") } },
    { "EPYC 7601 (Zen)", true, { 0x17, 1, 2, .x8_ebx = IBPB, SHARED },
      { V1, SSBV, AMD_V2("IBPB on VMEXIT", "always-on", "disabled", FILL), RB("SMT vulnerable"),
        SRSO("Mitigation: IBPB on VMEXIT only") } },
    { "Ryzen 7 2700X (Zen+), SMT off", true, { 0x17, 8, 2, .x8_ebx = IBPB },
      { V1, SSBV, AMD_V2("IBPB on VMEXIT", "always-on", "disabled", FILL), RB("SMT disabled"),
        SRSO("Mitigation: SMT disabled") } },
    { "EPYC 7742 (Zen 2)", true, { 0x17, 0x31, 0, .x8_ebx = IBPB | IBRS | STIBP | SSBD, SHARED },
      { V1, SSB, AMD_V2("IBRS", "always-on", "always-on", FILL), RB(STIBP_ON),
        SRSO("Mitigation: IBPB on VMEXIT only") } },
    { "Ryzen 5 3600 (Zen 2), SMT off", true, { 0x17, 0x71, 0, .x8_ebx = IBPB | STIBP | SSBD },
      { V1, SSB, AMD_V2("IBPB on VMEXIT", "always-on", "disabled", FILL), RB("SMT disabled"),
        SRSO("Mitigation: SMT disabled") } },
    { "Hygon C86 7185", true, { 0x18, 0, 1, .x8_ebx = IBPB, SHARED },
      { V1, SSBV, AMD_V2("IBPB on VMEXIT", "always-on", "disabled", FILL), RB("SMT vulnerable"),
        SRSO("Mitigation: IBPB on VMEXIT only") } },
    { "EPYC 7763 (Zen 3)", true,
      { 0x19, 1, 1, .x8_ebx = IBPB | IBRS | STIBP | SAME_MODE | SSBD | BTC_NO, .x21_eax = LFENCE |
        BRTYPE | VERW_CLR, SHARED },
      { V1, SSB, AMD_V2("IBRS", "always-on", "always-on", FILL),
        SRSO("Mitigation: IBPB on VMEXIT only"), { MIT_TSA, "Mitigation: Clear CPU buffers" } } },
    { "Ryzen 9 5950X (Zen 3), microcode of 2021", true,
      { 0x19, 0x21, 0, .x8_ebx = IBPB | IBRS | STIBP | SAME_MODE | SSBD | BTC_NO, .x21_eax = LFENCE,
        SHARED },
      { V1, SSB, AMD_V2("IBRS", "conditional", "always-on", FILL), SRSO("Vulnerable: No microcode"),
        { MIT_TSA, "Vulnerable: No microcode" } } },
    { "EPYC 9654 (Zen 4)", true,
      { 0x19, 0x11, 1, .x8_ebx = IBPB | IBRS | STIBP | SAME_MODE | SSBD | BTC_NO | IBPB_RET,
        .x21_eax = LFENCE | AUTO | BRTYPE | VERW_CLR, SHARED },
      { V1, SSB, AMD_V2("Enhanced / Automatic IBRS", "always-on", "always-on", ""),
        SRSO("Mitigation: IBPB on VMEXIT only"),
        { MIT_TSA, "Mitigation: Clear CPU buffers" } } },
    { "EPYC 9655 (Zen 5), BpSpecReduce", true,
      { 0x1a, 2, 1, .x8_ebx = IBPB | IBRS | STIBP | SAME_MODE | SSBD | BTC_NO | IBPB_RET,
        .x21_eax = LFENCE | AUTO | BRTYPE | USER_NO | REDUCE, SHARED },
      { V1, SSB, AMD_V2("Enhanced / Automatic IBRS", "conditional", "always-on", ""),
        SRSO("Mitigation: Reduced Speculation") } },
    { "Ryzen 9 9950X (Zen 5), first microcode", true,
      { 0x1a, 0x44, 0, .x8_ebx = IBPB | IBRS | STIBP | SAME_MODE | SSBD | BTC_NO | IBPB_RET,
        .x21_eax = LFENCE | AUTO | BRTYPE | USER_NO },
      { V1, SSB, AMD_V2("Enhanced / Automatic IBRS", "always-on", "disabled", ""),
        SRSO("Mitigation: IBPB on VMEXIT only") } },
};
/* clang-format on */

static struct spec_plan decide(const struct cpu *c, bool off)
{
    struct spec_plan p;

    memset(&p, 0xff, sizeof p);
    (c->amd ? spec_amd : spec_intel)(&c->f, off, &p);
    return p;
}

static const char *expected(const struct cpu *c, enum mitigation_class class)
{
    for (unsigned i = 0; i < MIT_COUNT; i++)
        if (c->row[i].text && c->row[i].class == class)
            return c->row[i].text;
    return "Not affected";
}

static unsigned compare(const struct cpu *c)
{
    struct spec_plan p = decide(c, false);
    unsigned wrong = 0;

    for (unsigned class = 0; class < MIT_COUNT; class ++) {
        const char *want = expected(c, class);

        if (strcmp(want, p.told.class[class].text) == 0)
            continue;
        printf("%s: %s: \"%s\" instead of \"%s\"\n", c->name, mitigation_name(class),
               p.told.class[class].text, want);
        wrong++;
    }
    return wrong;
}

static void test_recorded_cpus(void **state)
{
    unsigned wrong = 0;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(intel); i++)
        wrong += compare(&intel[i]);
    for (unsigned i = 0; i < ARRAY_SIZE(amd); i++)
        wrong += compare(&amd[i]);
    assert_int_equal(wrong, 0);
    assert_true(ARRAY_SIZE(intel) >= 15 && ARRAY_SIZE(amd) >= 12 &&
                ARRAY_SIZE(intel) + ARRAY_SIZE(amd) >= 30);
}

static bool acts(const struct spec_plan *p)
{
    return p->host || p->ibrs_exit || p->ibpb || p->ibpb_exit || p->fill_rsb || p->fill_one ||
           p->retpolines || p->clear_bhb || p->verw || p->flush_l1d || p->auto_ibrs || p->lfence ||
           p->bp_spec_reduce || p->mcu_clear || p->tsx_off || p->split_exec || p->told.core;
}

/* [host] mitigations = off: nothing is done, and nothing that would have been done is told. */
static void check_off(const struct cpu *c)
{
    struct spec_plan on = decide(c, false), off = decide(c, true);

    assert_false(acts(&off));
    for (unsigned i = 0; i < MIT_COUNT; i++) {
        const char *text = off.told.class[i].text;

        assert_false((on.told.class[i].state == MIT_NOT_AFFECTED) !=
                     (off.told.class[i].state == MIT_NOT_AFFECTED));
        if (off.told.class[i].state == MIT_MITIGATED && strcmp(text, on.told.class[i].text) != 0)
            fail_msg("%s: %s: %s", c->name, mitigation_name(i), text);
        assert_null(strstr(text, "IBRS;"));
        assert_null(strstr(text, "Clear CPU"));
    }
}

static void test_off(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(intel); i++)
        check_off(&intel[i]);
    for (unsigned i = 0; i < ARRAY_SIZE(amd); i++)
        check_off(&amd[i]);
}

static const struct cpu *find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(intel); i++)
        if (strstr(intel[i].name, name))
            return &intel[i];
    for (unsigned i = 0; i < ARRAY_SIZE(amd); i++)
        if (strstr(amd[i].name, name))
            return &amd[i];
    fail_msg("%s", name);
    abort();
}

/* What is said is what is done: the flags behind the words. */
static void test_actions(void **state)
{
    struct spec_plan p = decide(find("(Skylake)"), false);

    (void)state;
    assert_true(p.ibrs_exit && p.fill_rsb && p.clear_bhb && p.verw && p.flush_l1d &&
                !p.flush_by_reads && p.split_exec && p.told.core && p.ibpb);
    assert_int_equal(p.host, SPEC_CTRL_IBRS);
    assert_int_equal(p.mcu_clear, Q(0) | Q(4));
    p = decide(find("Westmere"), false);
    assert_true(p.flush_by_reads && p.flush_l1d && !p.spec_ctrl && !p.ibpb && p.retpolines &&
                p.fill_rsb && !p.verw);
    assert_true(decide(find("Coffee Lake-R"), false).tsx_off &&
                !decide(find("Broadwell-EP"), false).tsx_off &&
                !decide(find("Sapphire"), false).tsx_off);
    p = decide(find("Ice Lake-SP"), false);
    assert_int_equal(p.mcu_clear, 0);
    assert_true(p.verw && !p.ibrs_exit && !p.flush_l1d && !p.split_exec && !p.told.core);
    p = decide(find("Alder Lake, hybrid"), false);
    assert_int_equal(p.host, SPEC_CTRL_IBRS | SPEC_CTRL_BHI_DIS | SPEC_CTRL_RRSBA_DIS);
    assert_true(p.verw && p.fill_one && !p.fill_rsb && !p.clear_bhb);
    p = decide(find("Raptor"), false);
    assert_true(!p.fill_one && !p.fill_rsb);
    p = decide(find("(Zen)"), false);
    assert_true(p.ibpb_exit && p.fill_rsb && p.lfence && !p.spec_ctrl && p.told.core &&
                !p.auto_ibrs);
    p = decide(find("EPYC 7742"), false);
    assert_int_equal(p.host, SPEC_CTRL_IBRS | SPEC_CTRL_STIBP);
    assert_true(p.ibrs_exit && p.ibpb_exit && !p.told.core);
    p = decide(find("EPYC 7763"), false);
    assert_true(!p.ibrs_exit && p.ibpb_exit && p.verw && p.fill_rsb && !p.lfence);
    p = decide(find("BpSpecReduce"), false);
    assert_true(p.bp_spec_reduce && p.auto_ibrs && !p.ibpb_exit && !p.fill_rsb && p.ibpb);
}

/*
 * Nothing that the CPU lacks, nothing of the other maker's, and no capability that promises an MSR.
 */
static void check_offer(const struct cpu *c)
{
    struct spec_plan p = decide(c, false);
    const struct spec_offer *g = &p.guest;

    assert_int_equal(g->l7_edx & ~c->f.l7_edx, 0);
    assert_int_equal(g->l7_2_edx & ~c->f.l7_2_edx, 0);
    assert_int_equal(g->x8_ebx & ~c->f.x8_ebx, 0);
    assert_int_equal(g->x21_eax & ~c->f.x21_eax, 0);
    assert_int_equal(
        c->amd ? g->l7_edx | g->l7_2_edx | g->arch_caps : g->x8_ebx | g->x21_eax | g->x21_ecx, 0);
    assert_int_equal(g->arch_caps & (TSXC | GDS_CTRL | Q(10) | Q(18) | Q(21)), 0);
    assert_true(g->arch_caps == 0 || (g->l7_edx & CAPS));
    assert_true(p.spec_ctrl ==
                !!(g->l7_edx & (B(26) | B(27) | B(31)) || g->x8_ebx & (IBRS | STIBP | SSBD)));
    assert_int_equal(g->x21_eax & REDUCE, 0);
}

static void test_offers(void **state)
{
    struct spec_plan p;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(intel); i++)
        check_offer(&intel[i]);
    for (unsigned i = 0; i < ARRAY_SIZE(amd); i++)
        check_offer(&amd[i]);
    p = decide(find("Cascade Lake"), false);
    assert_int_equal(p.guest.l7_edx, D2019 | CAPS);
    /* microcode's protection against GDS is everybody's */
    assert_int_equal(p.guest.arch_caps, OLD2019 | PSCH | FB_CLEAR | RRSBA | GDS_NO);
    p = decide(find("Rocket Lake"), false);
    assert_int_equal(p.guest.arch_caps & GDS_NO, 0);
    p = decide(find("Alder Lake, hybrid"), false);
    assert_int_equal(p.guest.l7_2_edx, B(2) | B(4));
    assert_int_equal(p.spec_known, SPEC_CTRL_IBRS | SPEC_CTRL_STIBP | SPEC_CTRL_SSBD |
                                       SPEC_CTRL_RRSBA_DIS | SPEC_CTRL_RRSBA_DIS_U |
                                       SPEC_CTRL_BHI_DIS);
    p = decide(find("Goldmont)"), false);
    assert_int_equal(p.guest.arch_caps, RDCL | SKIP | PSCH | GDS_NO | RFDS_CLR);
    p = decide(find("EPYC 9654"), false);
    assert_int_equal(p.guest.x8_ebx, IBPB | IBRS | STIBP | SAME_MODE | SSBD | BTC_NO | IBPB_RET);
    assert_int_equal(p.guest.x21_eax, LFENCE | AUTO | BRTYPE | VERW_CLR);
    p = decide(find("K10"), false);
    assert_int_equal(p.guest.x8_ebx | p.guest.x21_eax, 0);
    p = decide(find("EPYC 7742"), true);
    /* mitigations = off is about Trivet, not about its guests */
    assert_int_equal(p.guest.x8_ebx, IBPB | IBRS | STIBP | SSBD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_cpus),
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_actions),
        cmocka_unit_test(test_offers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
