/* SPDX-License-Identifier: BSD-2-Clause */
/* mca.c: machine-check banks, judged and in words. */
#include "mca.h"

#include <stdio.h>

/* IA32_MCi_STATUS, SDM volume 3 figure 15-6; AMD APM volume 2 section 9.3.2.2. */
#define S_VAL (1ull << 63)
#define S_OVER (1ull << 62)
#define S_UC (1ull << 61)
#define S_EN (1ull << 60)
#define S_ADDRV (1ull << 58)
#define S_PCC (1ull << 57)
#define S_S (1ull << 56)        /* Intel: told by a machine check */
#define S_AR (1ull << 55)       /* Intel: the program must not go on with what it has read */
#define S_TCC (1ull << 55)      /* AMD: the thread's state is lost */
#define S_DEFERRED (1ull << 44) /* AMD: somebody will stumble over it later */
#define G_RIPV 1ull             /* IA32_MCG_STATUS: the program can go on where it was */

static enum mc_verdict judge_amd(const struct mc_facts *f, uint64_t s)
{
    if (s & S_PCC)
        return MC_FATAL;
    if (!(s & S_UC))
        return MC_CORRECTED; /* also deferred ones */
    return f->recovers && !(s & S_OVER) ? MC_CONTAINED : MC_FATAL;
}

/* Table 15-6: UCNA and SRAO need no action now, SRAR by the program that it came to. */
static enum mc_verdict judge_intel(const struct mc_facts *f, uint64_t s)
{
    if (!(s & S_UC))
        return MC_CORRECTED;
    if ((s & S_PCC) || !f->recovers)
        return MC_FATAL;
    if (!(s & S_S) || !(s & S_EN))
        return MC_CORRECTED; /* UCNA; or somebody else's bank, left over */
    if (!(s & S_AR))
        return MC_CORRECTED; /* SRAO: one more was lost at most */
    return s & S_OVER ? MC_FATAL : MC_CONTAINED;
}

enum mc_verdict mc_judge(const struct mc_facts *f, const struct mc_bank *b)
{
    if (!(b->status & S_VAL))
        return MC_NOTHING;
    return f->amd ? judge_amd(f, b->status) : judge_intel(f, b->status);
}

enum mc_verdict mc_judge_all(const struct mc_facts *f, const struct mc_bank *b, unsigned n,
                             uint64_t mcg_status, bool in_guest)
{
    enum mc_verdict worst = MC_NOTHING;

    for (unsigned i = 0; i < n; i++) {
        enum mc_verdict v = mc_judge(f, &b[i]);

        worst = v > worst ? v : worst;
    }
    if (worst == MC_CONTAINED && !in_guest)
        return MC_FATAL; /* what Trivet itself has read is wrong */
    if (worst < MC_CONTAINED && !(mcg_status & G_RIPV))
        return in_guest && worst == MC_CORRECTED ? MC_CONTAINED : MC_FATAL;
    return worst;
}

/* ---- words: SDM volume 3 table 15-9, compound error codes ---- */

static const char *const levels[4] = { "level 0", "level 1", "level 2", "some level" };

/* Bits 3:0 are a channel, 15: which is not told. */
static void memory_words(unsigned code, char *to, size_t n)
{
    static const char *const what[8] = { "", ", reading", ", writing", ", command", ", scrubbing",
                                         "", "",          "" };

    if ((code & 15) == 15)
        snprintf(to, n, "the memory controller%s", what[code >> 4 & 7]);
    else
        snprintf(to, n, "the memory controller%s, channel %u", what[code >> 4 & 7], code & 15);
}

static void where(unsigned code, char *to, size_t n)
{
    code &= 0xefff; /* bit 12: corrections are filtered */
    if ((code & 0xff80) == 0x0080)
        memory_words(code, to, n);
    else if (code >> 11 == 1)
        snprintf(to, n, "the bus, or what is behind it");
    else if (code >> 8 == 1)
        snprintf(to, n, "a cache, %s", levels[code & 3]);
    else if (code >> 4 == 1)
        snprintf(to, n, "a TLB, %s", levels[code & 3]);
    else if (code >> 2 == 3)
        snprintf(to, n, "a cache, %s", levels[code & 3]);
    else if (code == 0x400)
        snprintf(to, n, "an internal timer");
    else
        snprintf(to, n, "the CPU's inside");
}

void mc_words(const struct mc_facts *f, unsigned nr, const struct mc_bank *b, char out[MC_WORDS])
{
    char place[64], addr[40] = "";
    const char *kind = !(b->status & S_UC)
                           ? f->amd && (b->status & S_DEFERRED) ? "deferred" : "corrected"
                           : "uncorrected";

    where((unsigned)b->status & 0xffff, place, sizeof place);
    if (b->status & S_ADDRV)
        snprintf(addr, sizeof addr, " at %#llx", (unsigned long long)b->addr);
    snprintf(out, MC_WORDS, "bank %u: %s error of %s%s%s (status %016llx)", nr, kind, place, addr,
             b->status & S_OVER ? ", and others before it" : "", (unsigned long long)b->status);
}
