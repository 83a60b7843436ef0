/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spec_intel.c: what an Intel CPU is open to and what is done. Which bit of IA32_ARCH_CAPABILITIES
 * says what: SDM volume 4 table 2-2; the models: Intel's table of affected processors; the means:
 * the articles of Intel's Security Guidance that each function names.
 */
#include <stdio.h>

#include "spec.h"

#define BIT(n) (1ull << (n))

/* IA32_ARCH_CAPABILITIES */
enum {
    RDCL_NO = 0,
    IBRS_ALL = 1,
    RSBA = 2,
    SKIP_L1DFL = 3,
    SSB_NO = 4,
    MDS_NO = 5,
    PSCHANGE_MC_NO = 6,
    TSX_CTRL = 7,
    TAA_NO = 8,
    SBDR_SSDP_NO = 13,
    FBSDP_NO = 14,
    PSDP_NO = 15,
    FB_CLEAR = 17,
    RRSBA = 19,
    BHI_NO = 20,
    PBRSB_NO = 24,
    GDS_CTRL = 25,
    GDS_NO = 26,
    RFDS_NO = 27,
    RFDS_CLEAR = 28,
    ITS_NO = 62,
};
/* CPUID 1 ECX; 7 EBX; 7 EDX; 7.2 EDX */
enum { L1_AVX = 28, L1_RDRAND = 30 };
enum { L7_RTM = 11, L7_RDSEED = 18 };
enum {
    L7_SRBDS_CTRL = 9,
    L7_MD_CLEAR = 10,
    L7_IBRS = 26,
    L7_STIBP = 27,
    L7_L1D_FLUSH = 28,
    L7_ARCH_CAPS = 29,
    L7_SSBD = 31
};
enum {
    L72_PSFD = 0,
    L72_IPRED_CTRL = 1,
    L72_RRSBA_CTRL = 2,
    L72_DDPD_U = 3,
    L72_BHI_CTRL = 4,
    L72_MCDT_NO = 5
};
/* IA32_MCU_OPT_CTRL */
enum { RNGDS_MITG_DIS = 0, GDS_MITG_DIS = 4, GDS_MITG_LOCK = 5 };

/*
 * What the model alone says. First those that are affected, then those that are not although no bit
 * says so.
 */
enum {
    SRBDS = 1 << 0,
    MMIO = 1 << 1,
    RETBLEED = 1 << 2,
    GDS = 1 << 3,
    ITS = 1 << 4,
    ITS_USER = 1 << 5,
    RFDS = 1 << 6,
    NO_MDS = 1 << 8,
    NO_L1TF = 1 << 9,
    NO_SSB = 1 << 10,
    NO_ITLB = 1 << 11,
    NO_MMIO = 1 << 12,
    NO_PBRSB = 1 << 13,
    MSBDS_ONLY = 1 << 14,
    IN_ORDER = 1 << 15,
};
#define SLM (NO_SSB | NO_L1TF | MSBDS_ONLY | NO_ITLB)
#define GLM (NO_MDS | NO_L1TF | NO_ITLB | NO_MMIO | RFDS)
#define SKL (MMIO | RETBLEED | GDS)
/* ITS_USER: Indirect Target Selection without a way from guest to host. */
#define ICL (MMIO | GDS | ITS | ITS_USER)

struct model {
    uint8_t model, first, last;
    uint16_t bugs;
};

static const struct model models[] = {
    { 0x1c, 0, 15, IN_ORDER },
    { 0x26, 0, 15, IN_ORDER },
    { 0x27, 0, 15, IN_ORDER },
    { 0x35, 0, 15, IN_ORDER },
    { 0x36, 0, 15, IN_ORDER },
    { 0x3a, 0, 15, SRBDS }, /* Ivy Bridge */
    /* Haswell */
    { 0x3c, 0, 15, SRBDS },
    { 0x45, 0, 15, SRBDS },
    { 0x46, 0, 15, SRBDS },
    { 0x3f, 0, 15, MMIO },
    /* Broadwell */
    { 0x3d, 0, 15, SRBDS },
    { 0x47, 0, 15, SRBDS },
    { 0x4f, 0, 15, MMIO },
    { 0x56, 0, 15, MMIO },
    /* Skylake */
    { 0x4e, 0, 15, SKL | SRBDS },
    { 0x5e, 0, 15, SKL | SRBDS },
    /* Skylake-SP; Cascade and Cooper Lake */
    { 0x55, 0, 5, SKL },
    { 0x55, 6, 15, SKL | ITS },
    /* Kaby, Amber, Whiskey, Comet Lake-U */
    { 0x8e, 0, 11, SKL | SRBDS },
    { 0x8e, 12, 15, SKL | SRBDS | ITS },
    /* Kaby, Coffee Lake */
    { 0x9e, 0, 12, SKL | SRBDS },
    { 0x9e, 13, 15, SKL | SRBDS | ITS },
    /* Comet Lake */
    { 0xa5, 0, 15, SKL | ITS },
    { 0xa6, 0, 0, MMIO | RETBLEED | ITS },
    { 0xa6, 1, 15, SKL | ITS },
    /* Cannon Lake */
    { 0x66, 0, 15, RETBLEED },
    /* Ice Lake */
    { 0x7d, 0, 15, ICL | RETBLEED },
    { 0x7e, 0, 15, ICL | RETBLEED },
    { 0x6a, 0, 15, ICL },
    { 0x6c, 0, 15, ICL },
    /* Tiger Lake */
    { 0x8c, 0, 15, GDS | ITS | ITS_USER | NO_MMIO },
    { 0x8d, 0, 15, GDS | ITS | ITS_USER | NO_MMIO },
    /* Rocket Lake */
    { 0xa7, 0, 15, ICL | RETBLEED },
    /* Lakefield */
    { 0x8a, 0, 15, MMIO | RETBLEED },
    /* Alder Lake, Raptor Lake, Gracemont */
    { 0x97, 0, 15, RFDS | NO_MMIO },
    { 0x9a, 0, 15, RFDS | NO_MMIO },
    { 0xb7, 0, 15, RFDS },
    { 0xba, 0, 15, RFDS },
    { 0xbf, 0, 15, RFDS },
    { 0xbe, 0, 15, RFDS },
    /* Silvermont, Airmont, Xeon Phi */
    { 0x37, 0, 15, SLM },
    { 0x4a, 0, 15, SLM },
    { 0x4c, 0, 15, SLM },
    { 0x4d, 0, 15, SLM },
    { 0x57, 0, 15, SLM },
    { 0x85, 0, 15, SLM },
    { 0x5a, 0, 15, NO_L1TF | MSBDS_ONLY | NO_ITLB },
    { 0x75, 0, 15, NO_SSB | NO_L1TF | NO_ITLB },
    /* Goldmont */
    { 0x5c, 0, 15, GLM },
    { 0x5f, 0, 15, GLM },
    { 0x7a, 0, 15, GLM | NO_PBRSB },
    /* Tremont */
    { 0x86, 0, 15, MMIO | RFDS | NO_ITLB | NO_PBRSB },
    { 0x96, 0, 15, MMIO | RFDS | NO_PBRSB },
    { 0x9c, 0, 15, MMIO | RFDS | NO_PBRSB },
};

/* One CPU while it is decided about. */
struct state {
    const struct spec_facts *f;
    struct spec_plan *p;
    uint16_t bugs;
    bool off;
};

static bool spec_intel_has(const struct state *s, unsigned bit)
{
    return s->f->arch_caps >> bit & 1;
}

static bool l7(const struct state *s, unsigned bit) { return s->f->l7_edx >> bit & 1; }

static bool is(const struct state *s, uint16_t bug) { return s->bugs & bug; }

static struct mitigation *spec_intel_told(const struct state *s, enum mitigation_class c)
{
    return &s->p->told.class[c];
}

const char *spec_smt_words(enum spec_smt smt)
{
    static const char *const words[] = {
        [SPEC_SMT_NONE] = "SMT disabled",
        [SPEC_SMT_CORE] = "SMT core scheduling",
        [SPEC_SMT_SHARED] = "SMT vulnerable",
    };

    return words[smt];
}

static uint16_t bugs_of(const struct spec_facts *f)
{
    if (f->family != 6)
        return f->family < 6 ? IN_ORDER : 0;
    for (unsigned i = 0; i < ARRAY_SIZE(models); i++)
        if (models[i].model == f->model && f->stepping >= models[i].first &&
            f->stepping <= models[i].last)
            return models[i].bugs;
    return 0;
}

/*
 * The means against a class whose protection needs microcode: have says that it is there. True: it
 * is used.
 */
static bool need(const struct state *s, enum mitigation_class c, bool have, const char *detail,
                 const char *more)
{
    if (s->off)
        mitigation_say(spec_intel_told(s, c), MIT_VULNERABLE, NULL);
    else if (!have)
        mitigation_say(spec_intel_told(s, c), MIT_VULNERABLE, "No microcode%s", more);
    else
        mitigation_say(spec_intel_told(s, c), MIT_MITIGATED, "%s%s", detail, more);
    return have && !s->off;
}

/*
 * ---- steering indirect branches ----
 * "Branch History Injection and Intra-mode Branch Target Injection", "Post-barrier RSB".
 */

static const char *bhi(const struct state *s, bool all)
{
    if (spec_intel_has(s, BHI_NO) || is(s, IN_ORDER))
        return "Not affected";
    if (all && (s->f->l7_2_edx >> L72_BHI_CTRL & 1)) {
        s->p->host |= SPEC_CTRL_BHI_DIS;
        return "BHI_DIS_S";
    }
    s->p->clear_bhb = true;
    return "SW loop";
}

static void spec_intel_spectre_v2(struct state *s)
{
    bool ibrs = l7(s, L7_IBRS), all = ibrs && spec_intel_has(s, IBRS_ALL),
         safe = all && (spec_intel_has(s, PBRSB_NO) || is(s, NO_PBRSB));
    const char *history;

    if (s->off) {
        mitigation_say(spec_intel_told(s, MIT_SPECTRE_V2), MIT_VULNERABLE,
                       "IBPB: disabled; STIBP: disabled; BHI: %s",
                       spec_intel_has(s, BHI_NO) ? "Not affected" : "Vulnerable");
        return;
    }
    if (!ibrs) { /* and no IBPB: guests can train one another */
        s->p->retpolines = s->p->fill_rsb = true;
        mitigation_say(spec_intel_told(s, MIT_SPECTRE_V2), MIT_MITIGATED,
                       "Retpolines; IBPB: disabled; STIBP: disabled; RSB filling; "
                       "PBRSB-eIBRS: Not affected; BHI: Retpoline");
        return;
    }
    s->p->ibpb = true;
    s->p->ibrs_exit = !all;
    s->p->fill_rsb = !all;
    s->p->fill_one = all && !safe;
    s->p->host |= SPEC_CTRL_IBRS;
    s->p->host |= spec_intel_has(s, RRSBA) && (s->f->l7_2_edx >> L72_RRSBA_CTRL & 1)
                      ? SPEC_CTRL_RRSBA_DIS
                      : 0;
    history = bhi(s, all);
    mitigation_say(spec_intel_told(s, MIT_SPECTRE_V2), MIT_MITIGATED,
                   "%s; IBPB: conditional%s; PBRSB-eIBRS: %s; BHI: %s",
                   all ? "Enhanced / Automatic IBRS" : "IBRS",
                   s->p->fill_rsb ? "; RSB filling" : "",
                   !all || safe ? "Not affected" : "SW sequence", history);
}

/*
 * "Return Stack Buffer Underflow": IBRS keeps what a return falls back to from being the guest's.
 */
static void spec_intel_retbleed(struct state *s)
{
    if (!is(s, RETBLEED) && !spec_intel_has(s, RSBA))
        mitigation_say(spec_intel_told(s, MIT_RETBLEED), MIT_NOT_AFFECTED, NULL);
    else if (s->off || !l7(s, L7_IBRS))
        mitigation_say(spec_intel_told(s, MIT_RETBLEED), MIT_VULNERABLE, NULL);
    else
        mitigation_say(spec_intel_told(s, MIT_RETBLEED), MIT_MITIGATED,
                       spec_intel_has(s, IBRS_ALL) ? "Enhanced IBRS" : "IBRS");
}

/*
 * "Indirect Target Selection": CPUs with BHI_CTRL are not affected. Where it does not cross VM
 * exits nobody can train us. The thunks are always there.
 */
static void its(struct state *s)
{
    struct mitigation *m = spec_intel_told(s, MIT_INDIRECT_TARGET_SELECTION);

    if (!is(s, ITS) || spec_intel_has(s, ITS_NO) || (s->f->l7_2_edx >> L72_BHI_CTRL & 1))
        mitigation_say(m, MIT_NOT_AFFECTED, NULL);
    else if (is(s, ITS_USER))
        mitigation_say(m, MIT_MITIGATED, "Not affected across VM exits");
    else
        mitigation_say(m, MIT_MITIGATED, "Aligned branch/return thunks");
}

/* ---- buffers ---- */

/* "L1 Terminal Fault". Without FLUSH_CMD a buffer is read that is larger than the cache. */
static void l1tf(struct state *s)
{
    struct mitigation *m = spec_intel_told(s, MIT_L1TF);

    if (spec_intel_has(s, RDCL_NO) || is(s, NO_L1TF | IN_ORDER)) {
        mitigation_say(m, MIT_NOT_AFFECTED, NULL);
    } else if (s->off) {
        mitigation_say(m, MIT_VULNERABLE, "VMX: vulnerable");
    } else if (spec_intel_has(s, SKIP_L1DFL)) {
        mitigation_say(m, MIT_MITIGATED, "VMX: flush not necessary");
    } else {
        s->p->flush_l1d = true;
        s->p->flush_by_reads = !l7(s, L7_L1D_FLUSH);
        s->p->told.core = true;
        mitigation_say(m, MIT_MITIGATED, "VMX: conditional cache flushes, %s",
                       spec_smt_words(s->f->smt));
    }
}

static void smt_detail(const struct state *s, char *to, size_t len)
{
    snprintf(to, len, "; %s", is(s, MSBDS_ONLY) ? "SMT mitigated" : spec_smt_words(s->f->smt));
}

/* "Microarchitectural Data Sampling": VERW with MD_CLEAR. */
static void mds(struct state *s)
{
    char smt[40];

    if (spec_intel_has(s, MDS_NO) || is(s, NO_MDS | IN_ORDER)) {
        mitigation_say(spec_intel_told(s, MIT_MDS), MIT_NOT_AFFECTED, NULL);
        return;
    }
    smt_detail(s, smt, sizeof smt);
    s->p->verw |= need(s, MIT_MDS, l7(s, L7_MD_CLEAR), "Clear CPU buffers", smt);
    s->p->told.core |= !s->off && !is(s, MSBDS_ONLY);
}

/*
 * "Transactional Asynchronous Abort". Guests do not see TSX and could not know that it leaks: it is
 * turned off where microcode lets us, as in Linux.
 */
static void taa(struct state *s)
{
    bool rtm = s->f->l7_ebx >> L7_RTM & 1;
    char smt[40];

    if (spec_intel_has(s, TAA_NO) || (!rtm && !spec_intel_has(s, TSX_CTRL))) {
        mitigation_say(spec_intel_told(s, MIT_TSX_ASYNC_ABORT), MIT_NOT_AFFECTED, NULL);
    } else if (!rtm) {
        mitigation_say(spec_intel_told(s, MIT_TSX_ASYNC_ABORT), MIT_MITIGATED, "TSX disabled");
    } else if (spec_intel_has(s, TSX_CTRL)) {
        s->p->tsx_off = need(s, MIT_TSX_ASYNC_ABORT, true, "TSX disabled", "");
    } else {
        smt_detail(s, smt, sizeof smt);
        s->p->verw |= need(s, MIT_TSX_ASYNC_ABORT, l7(s, L7_MD_CLEAR) && !spec_intel_has(s, MDS_NO),
                           "Clear CPU buffers", smt);
        s->p->told.core |= !s->off;
    }
}

/* "Processor MMIO Stale Data". Old models that Intel does not list were never examined. */
static void spec_intel_mmio(struct state *s)
{
    const uint64_t immune = BIT(SBDR_SSDP_NO) | BIT(FBSDP_NO) | BIT(PSDP_NO);
    bool clears = spec_intel_has(s, FB_CLEAR) ||
                  (l7(s, L7_MD_CLEAR) && l7(s, L7_L1D_FLUSH) && !spec_intel_has(s, MDS_NO));
    char smt[40];

    if ((s->f->arch_caps & immune) == immune || is(s, NO_MMIO | IN_ORDER)) {
        mitigation_say(spec_intel_told(s, MIT_MMIO_STALE_DATA), MIT_NOT_AFFECTED, NULL);
    } else if (!is(s, MMIO)) {
        mitigation_say(spec_intel_told(s, MIT_MMIO_STALE_DATA), MIT_UNKNOWN, "No mitigations");
    } else {
        smt_detail(s, smt, sizeof smt);
        s->p->verw |= need(s, MIT_MMIO_STALE_DATA, clears, "Clear CPU buffers", smt);
    }
}

/* "Register File Data Sampling" */
static void rfds(struct state *s)
{
    if (spec_intel_has(s, RFDS_NO) || (!is(s, RFDS) && !spec_intel_has(s, RFDS_CLEAR)))
        mitigation_say(spec_intel_told(s, MIT_REG_FILE_DATA_SAMPLING), MIT_NOT_AFFECTED, NULL);
    else
        s->p->verw |= need(s, MIT_REG_FILE_DATA_SAMPLING, spec_intel_has(s, RFDS_CLEAR),
                           "Clear Register File", "");
}

/* "Special Register Buffer Data Sampling": microcode does it, unless it was told not to. */
static void srbds(struct state *s)
{
    bool random = (s->f->l1_ecx >> L1_RDRAND & 1) || (s->f->l7_ebx >> L7_RDSEED & 1),
         rtm = s->f->l7_ebx >> L7_RTM & 1;

    if (!is(s, SRBDS) || !random)
        mitigation_say(spec_intel_told(s, MIT_SRBDS), MIT_NOT_AFFECTED, NULL);
    else if (spec_intel_has(s, MDS_NO) && !rtm &&
             spec_intel_told(s, MIT_MMIO_STALE_DATA)->state == MIT_NOT_AFFECTED)
        mitigation_say(spec_intel_told(s, MIT_SRBDS), MIT_MITIGATED, "TSX disabled");
    else if (need(s, MIT_SRBDS, l7(s, L7_SRBDS_CTRL), "Microcode", ""))
        s->p->mcu_clear |= BIT(RNGDS_MITG_DIS);
}

/* "Gather Data Sampling": the same; the gathers came with AVX2. */
static void gds(struct state *s)
{
    bool lock = spec_intel_has(s, GDS_CTRL) && (s->f->mcu_opt >> GDS_MITG_LOCK & 1);

    if (!is(s, GDS) || spec_intel_has(s, GDS_NO) || !(s->f->l1_ecx >> L1_AVX & 1))
        mitigation_say(spec_intel_told(s, MIT_GATHER_DATA_SAMPLING), MIT_NOT_AFFECTED, NULL);
    else if (need(s, MIT_GATHER_DATA_SAMPLING, spec_intel_has(s, GDS_CTRL), "Microcode",
                  lock ? " (locked)" : "") &&
             !lock)
        s->p->mcu_clear |= BIT(GDS_MITG_DIS);
}

/* ---- the rest ---- */

/* "Machine Check Error Avoidance on Page Size Change" */
static void itlb_multihit(struct state *s)
{
    bool affected = !spec_intel_has(s, PSCHANGE_MC_NO) && !is(s, NO_ITLB | IN_ORDER);

    s->p->split_exec = affected && !s->off;
    if (!affected)
        mitigation_say(spec_intel_told(s, MIT_ITLB_MULTIHIT), MIT_NOT_AFFECTED, NULL);
    else
        mitigation_say(spec_intel_told(s, MIT_ITLB_MULTIHIT),
                       s->off ? MIT_VULNERABLE : MIT_MITIGATED, s->off ? NULL : "Split huge pages");
}

/* Trivet itself runs with store bypass, as kernels do. */
static void spec_intel_ssb(struct state *s)
{
    if (spec_intel_has(s, SSB_NO) || is(s, NO_SSB | IN_ORDER))
        mitigation_say(spec_intel_told(s, MIT_SPEC_STORE_BYPASS), MIT_NOT_AFFECTED, NULL);
    else if (s->off || !l7(s, L7_SSBD))
        mitigation_say(spec_intel_told(s, MIT_SPEC_STORE_BYPASS), MIT_VULNERABLE, NULL);
    else
        mitigation_say(spec_intel_told(s, MIT_SPEC_STORE_BYPASS), MIT_MITIGATED,
                       "Speculative Store Bypass disabled by guests that ask for it");
}

static void spectre_v1_and_meltdown(struct state *s)
{
    if (is(s, IN_ORDER))
        return;
    mitigation_say(spec_intel_told(s, MIT_SPECTRE_V1), MIT_MITIGATED,
                   "masking of indices that guests choose");
    if (!spec_intel_has(s, RDCL_NO))
        mitigation_say(spec_intel_told(s, MIT_MELTDOWN), MIT_MITIGATED,
                       "the hypervisor is not mapped in guests");
}

static void spec_intel_spec_ctrl(struct state *s)
{
    static const struct {
        uint8_t bit;
        uint64_t controls;
    } rows[] = {
        { L72_PSFD, SPEC_CTRL_PSFD },
        { L72_IPRED_CTRL, SPEC_CTRL_IPRED_DIS },
        { L72_RRSBA_CTRL, SPEC_CTRL_RRSBA_DIS | SPEC_CTRL_RRSBA_DIS_U },
        { L72_DDPD_U, SPEC_CTRL_DDPD_U },
        { L72_BHI_CTRL, SPEC_CTRL_BHI_DIS },
    };

    s->p->spec_ctrl = l7(s, L7_IBRS) || l7(s, L7_STIBP) || l7(s, L7_SSBD);
    s->p->spec_known = (l7(s, L7_IBRS) ? SPEC_CTRL_IBRS : 0) |
                       (l7(s, L7_STIBP) ? SPEC_CTRL_STIBP : 0) |
                       (l7(s, L7_SSBD) ? SPEC_CTRL_SSBD : 0);
    for (unsigned i = 0; i < ARRAY_SIZE(rows) && s->p->spec_ctrl; i++)
        s->p->spec_known |= s->f->l7_2_edx >> rows[i].bit & 1 ? rows[i].controls : 0;
}

/*
 * IA32_ARCH_CAPABILITIES for guests: bits that say what the CPU does not do or does better, none
 * that promises another MSR. What Trivet or microcode keeps from guests is told as not there;
 * guests could do nothing about it.
 */
static uint64_t caps_for_guests(const struct state *s)
{
    const uint64_t passed = BIT(RDCL_NO) | BIT(IBRS_ALL) | BIT(RSBA) | BIT(SKIP_L1DFL) |
                            BIT(SSB_NO) | BIT(MDS_NO) | BIT(PSCHANGE_MC_NO) | BIT(TAA_NO) |
                            BIT(SBDR_SSDP_NO) | BIT(FBSDP_NO) | BIT(PSDP_NO) | BIT(FB_CLEAR) |
                            BIT(RRSBA) | BIT(BHI_NO) | BIT(PBRSB_NO) | BIT(GDS_NO) | BIT(RFDS_NO) |
                            BIT(RFDS_CLEAR) | BIT(ITS_NO);
    uint64_t caps = s->f->arch_caps & passed;

    if (spec_intel_told(s, MIT_GATHER_DATA_SAMPLING)->state != MIT_VULNERABLE)
        caps |= BIT(GDS_NO);
    if (spec_intel_told(s, MIT_ITLB_MULTIHIT)->state != MIT_VULNERABLE)
        caps |= BIT(PSCHANGE_MC_NO);
    return caps;
}

/* Asked after all others. */
static void spec_intel_offer(struct state *s)
{
    const uint32_t l7_passed = 1u << L7_MD_CLEAR | 1u << L7_IBRS | 1u << L7_STIBP |
                               1u << L7_L1D_FLUSH | 1u << L7_ARCH_CAPS | 1u << L7_SSBD;
    const uint32_t l72_passed = 1u << L72_PSFD | 1u << L72_IPRED_CTRL | 1u << L72_RRSBA_CTRL |
                                1u << L72_DDPD_U | 1u << L72_BHI_CTRL;
    struct spec_offer *g = &s->p->guest;

    g->l7_edx = s->f->l7_edx & l7_passed;
    g->l7_2_edx = s->f->l7_2_edx & (1u << L72_MCDT_NO | (s->p->spec_ctrl ? l72_passed : 0));
    g->arch_caps = l7(s, L7_ARCH_CAPS) ? caps_for_guests(s) : 0;
}

void spec_intel(const struct spec_facts *f, bool off, struct spec_plan *p)
{
    static void (*const classes[])(struct state *) = {
        spec_intel_spec_ctrl,
        spec_intel_spectre_v2,
        spec_intel_retbleed,
        its,
        l1tf,
        mds,
        taa,
        spec_intel_mmio,
        rfds,
        srbds,
        gds,
        itlb_multihit,
        spec_intel_ssb,
        spectre_v1_and_meltdown,
        spec_intel_offer,
    };
    struct state s = { .f = f, .p = p, .bugs = bugs_of(f), .off = off };

    *p = (struct spec_plan){ 0 };
    for (unsigned c = 0; c < MIT_COUNT; c++)
        mitigation_say(&p->told.class[c], MIT_NOT_AFFECTED, NULL);
    for (unsigned i = is(&s, IN_ORDER) ? ARRAY_SIZE(classes) : 0; i < ARRAY_SIZE(classes); i++)
        classes[i](&s);
}
