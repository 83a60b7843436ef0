/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spec_amd.c: what an AMD CPU (or Hygon's, which is one) is open to and what is done. "Software
 * Techniques for Managing Speculation on AMD Processors"; AMD-SB-1036 (branch type confusion,
 * "retbleed"), AMD-SB-1045 (return predictions across threads), AMD-SB-7005 (SRSO), AMD-SB-7029
 * (TSA).
 *
 * Branch type confusion and SRSO are met by IBPB at each exit, not by return thunks: it needs no
 * rewriting of code, clears whatever a guest trained, and Trivet has no user mode whose calls would
 * have to pay for it. It is the dearest of the means: thousands of cycles an exit.
 */
#include "spec.h"

/* CPUID 80000008h EBX; 80000021h EAX and ECX; 7 EBX is not asked */
enum {
    X8_IBPB = 12,
    X8_IBRS = 14,
    X8_STIBP = 15,
    X8_IBRS_ALWAYS = 16,
    X8_STIBP_ALWAYS = 17,
    X8_IBRS_PREFERRED = 18,
    X8_IBRS_SAME_MODE = 19,
    X8_SSBD = 24,
    X8_SSB_NO = 26,
    X8_PSFD = 28,
    X8_BTC_NO = 29,
    X8_IBPB_RET = 30
};
enum {
    X21_LFENCE = 2,
    X21_VERW_CLEAR = 5,
    X21_AUTO_IBRS = 8,
    X21_SBPB = 27,
    X21_IBPB_BRTYPE = 28,
    X21_SRSO_NO = 29,
    X21_SRSO_USER_NO = 30,
    X21_BP_SPEC_REDUCE = 31
};
enum { X21C_TSA_SQ_NO = 1, X21C_TSA_L1_NO = 2 };
enum { ZEN1_2 = 0x17, HYGON = 0x18, ZEN3_4 = 0x19, ZEN5 = 0x1a };

struct state {
    const struct spec_facts *f;
    struct spec_plan *p;
    bool off;
};

static bool x8(const struct state *s, unsigned bit) { return s->f->x8_ebx >> bit & 1; }

static bool x21(const struct state *s, unsigned bit) { return s->f->x21_eax >> bit & 1; }

static struct mitigation *spec_amd_told(const struct state *s, enum mitigation_class c)
{
    return &s->p->told.class[c];
}

static bool zen1_2(const struct state *s)
{
    return s->f->family == ZEN1_2 || s->f->family == HYGON;
}

/*
 * Threads of a core share predictions: STIBP keeps the other one's out while Trivet runs; without
 * it the other one can still train.
 */
static const char *smt(const struct state *s)
{
    if (s->f->smt == SPEC_SMT_NONE)
        return "SMT disabled";
    return x8(s, X8_STIBP) ? "SMT enabled with STIBP protection" : "SMT vulnerable";
}

/* Branch type confusion: families 15h to 18h. */
static void spec_amd_retbleed(struct state *s)
{
    bool affected = s->f->family >= 0x15 && s->f->family <= HYGON && !x8(s, X8_BTC_NO);

    if (!affected) {
        mitigation_say(spec_amd_told(s, MIT_RETBLEED), MIT_NOT_AFFECTED, NULL);
    } else if (s->off || !x8(s, X8_IBPB)) {
        mitigation_say(spec_amd_told(s, MIT_RETBLEED), MIT_VULNERABLE, NULL);
    } else {
        s->p->ibpb_exit = true;
        mitigation_say(spec_amd_told(s, MIT_RETBLEED), MIT_MITIGATED, "IBPB; %s", smt(s));
    }
}

/*
 * IBPB clears the predictions that matter on families 17h and 18h as it is, on later ones with the
 * microcode that reports IBPB_BRTYPE.
 */
static void srso(struct state *s)
{
    struct mitigation *m = spec_amd_told(s, MIT_SPEC_RSTACK_OVERFLOW);
    bool clears = zen1_2(s) ? x8(s, X8_IBPB) : x21(s, X21_IBPB_BRTYPE);

    if (s->f->family < ZEN1_2 || s->f->family > ZEN5 || x21(s, X21_SRSO_NO)) {
        mitigation_say(m, MIT_NOT_AFFECTED, NULL);
    } else if (zen1_2(s) && s->f->smt == SPEC_SMT_NONE) {
        mitigation_say(m, MIT_MITIGATED, "SMT disabled");
    } else if (s->off) {
        mitigation_say(m, MIT_VULNERABLE, NULL);
    } else if (x21(s, X21_BP_SPEC_REDUCE)) {
        s->p->bp_spec_reduce = true;
        mitigation_say(m, MIT_MITIGATED, "Reduced Speculation");
    } else if (clears) {
        s->p->ibpb_exit = true;
        mitigation_say(m, MIT_MITIGATED, "IBPB on VMEXIT only");
    } else {
        mitigation_say(m, MIT_VULNERABLE, "No microcode");
    }
}

/* The first of these that the CPU has. IBPB at exits serves, where it is done anyway. */
static const char *v2_means(const struct state *s)
{
    if (x21(s, X21_AUTO_IBRS))
        return "Enhanced / Automatic IBRS";
    if (x8(s, X8_IBRS))
        return "IBRS";
    return s->p->ibpb_exit ? "IBPB on VMEXIT" : NULL;
}

/*
 * Automatic IBRS drops the return predictions at exits by itself; so does IBPB where the CPU says
 * so (IBPB_RET).
 */
static void spec_amd_spectre_v2(struct state *s)
{
    const char *means = s->off ? NULL : v2_means(s);
    bool stibp = s->f->smt != SPEC_SMT_NONE && x8(s, X8_STIBP);

    if (!means && !s->off && !x8(s, X8_IBPB)) {
        s->p->retpolines = s->p->fill_rsb = true;
        mitigation_say(spec_amd_told(s, MIT_SPECTRE_V2), MIT_MITIGATED,
                       "Retpolines; IBPB: disabled; STIBP: disabled; RSB filling; "
                       "PBRSB-eIBRS: Not affected; BHI: Not affected");
        return;
    }
    if (!means) {
        mitigation_say(spec_amd_told(s, MIT_SPECTRE_V2), MIT_VULNERABLE,
                       "IBPB: %s; STIBP: disabled",
                       !s->off && x8(s, X8_IBPB) ? "conditional" : "disabled");
        s->p->ibpb = !s->off && x8(s, X8_IBPB);
        return;
    }
    s->p->ibpb = x8(s, X8_IBPB);
    s->p->auto_ibrs = x21(s, X21_AUTO_IBRS);
    s->p->fill_rsb = s->p->ibpb_exit ? !x8(s, X8_IBPB_RET) : !s->p->auto_ibrs;
    s->p->host =
        (!s->p->auto_ibrs && x8(s, X8_IBRS) ? SPEC_CTRL_IBRS : 0) | (stibp ? SPEC_CTRL_STIBP : 0);
    s->p->ibrs_exit = (s->p->host & SPEC_CTRL_IBRS) && !x8(s, X8_IBRS_SAME_MODE);
    mitigation_say(spec_amd_told(s, MIT_SPECTRE_V2), MIT_MITIGATED,
                   "%s; IBPB: %s; STIBP: %s%s; PBRSB-eIBRS: Not affected; BHI: Not affected", means,
                   s->p->ibpb_exit ? "always-on"
                   : s->p->ibpb    ? "conditional"
                                   : "disabled",
                   stibp ? "always-on" : "disabled", s->p->fill_rsb ? "; RSB filling" : "");
}

/*
 * Transient scheduler attacks: Zen 3 and 4. Microcode makes VERW clear; it is done before entries,
 * the data of one guest being Trivet's too.
 */
static void tsa(struct state *s)
{
    const uint32_t immune = 1u << X21C_TSA_SQ_NO | 1u << X21C_TSA_L1_NO;

    if (s->f->family != ZEN3_4 || (s->f->x21_ecx & immune) == immune) {
        mitigation_say(spec_amd_told(s, MIT_TSA), MIT_NOT_AFFECTED, NULL);
    } else if (s->off) {
        mitigation_say(spec_amd_told(s, MIT_TSA), MIT_VULNERABLE, NULL);
    } else if (!x21(s, X21_VERW_CLEAR)) {
        mitigation_say(spec_amd_told(s, MIT_TSA), MIT_VULNERABLE, "No microcode");
    } else {
        s->p->verw = true;
        mitigation_say(spec_amd_told(s, MIT_TSA), MIT_MITIGATED, "Clear CPU buffers");
    }
}

/*
 * Family 0Fh to 12h: loads do not pass older stores. Trivet itself runs with store bypass, as
 * kernels do.
 */
static void spec_amd_ssb(struct state *s)
{
    if (x8(s, X8_SSB_NO) || s->f->family <= 0x12)
        mitigation_say(spec_amd_told(s, MIT_SPEC_STORE_BYPASS), MIT_NOT_AFFECTED, NULL);
    else if (s->off || !x8(s, X8_SSBD))
        mitigation_say(spec_amd_told(s, MIT_SPEC_STORE_BYPASS), MIT_VULNERABLE, NULL);
    else
        mitigation_say(spec_amd_told(s, MIT_SPEC_STORE_BYPASS), MIT_MITIGATED,
                       "Speculative Store Bypass disabled by guests that ask for it");
}

static void spectre_v1(struct state *s)
{
    s->p->lfence = !s->off && s->f->family >= 0x10 && s->f->family != 0x11 && !x21(s, X21_LFENCE);
    mitigation_say(spec_amd_told(s, MIT_SPECTRE_V1), MIT_MITIGATED,
                   "masking of indices that guests choose");
}

static void spec_amd_spec_ctrl(struct state *s)
{
    s->p->spec_ctrl = x8(s, X8_IBRS) || x8(s, X8_STIBP) || x8(s, X8_SSBD);
    s->p->spec_known =
        (x8(s, X8_IBRS) ? SPEC_CTRL_IBRS : 0) | (x8(s, X8_STIBP) ? SPEC_CTRL_STIBP : 0) |
        (x8(s, X8_SSBD) ? SPEC_CTRL_SSBD : 0) | (x8(s, X8_PSFD) ? SPEC_CTRL_PSFD : 0);
}

/*
 * SBPB and IBPB are writes of PRED_CMD; BpSpecReduce is an MSR that guests do not have. SSBD by
 * LS_CFG or VIRT_SPEC_CTRL is not passed on.
 */
static void spec_amd_offer(struct state *s)
{
    const uint32_t ctrl = 1u << X8_IBRS | 1u << X8_STIBP | 1u << X8_IBRS_ALWAYS |
                          1u << X8_STIBP_ALWAYS | 1u << X8_IBRS_PREFERRED |
                          1u << X8_IBRS_SAME_MODE | 1u << X8_SSBD | 1u << X8_PSFD;
    const uint32_t pred = 1u << X8_IBPB | 1u << X8_IBPB_RET,
                   facts = 1u << X8_SSB_NO | 1u << X8_BTC_NO;
    struct spec_offer *g = &s->p->guest;

    g->x8_ebx = s->f->x8_ebx & (facts | (s->p->spec_ctrl ? ctrl : 0) | (x8(s, X8_IBPB) ? pred : 0));
    g->x21_eax = s->f->x21_eax & (1u << X21_LFENCE | 1u << X21_VERW_CLEAR | 1u << X21_AUTO_IBRS |
                                  1u << X21_SRSO_NO | 1u << X21_SRSO_USER_NO |
                                  (x8(s, X8_IBPB) ? 1u << X21_SBPB | 1u << X21_IBPB_BRTYPE : 0));
    g->x21_ecx = s->f->x21_ecx & (1u << X21C_TSA_SQ_NO | 1u << X21C_TSA_L1_NO);
}

/*
 * Return predictions go from one thread to the other when that one goes idle (AMD-SB-1045): filling
 * at exits covers it.
 */
void spec_amd(const struct spec_facts *f, bool off, struct spec_plan *p)
{
    static void (*const classes[])(struct state *) = {
        spec_amd_spec_ctrl, spec_amd_retbleed, srso,          spec_amd_spectre_v2, tsa,
        spec_amd_ssb,       spectre_v1,        spec_amd_offer
    };
    struct state s = { .f = f, .p = p, .off = off };

    *p = (struct spec_plan){ 0 };
    for (unsigned c = 0; c < MIT_COUNT; c++)
        mitigation_say(&p->told.class[c], MIT_NOT_AFFECTED, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(classes); i++)
        classes[i](&s);
    p->told.core = !off && f->smt != SPEC_SMT_NONE && zen1_2(&s) && !x8(&s, X8_STIBP);
}
