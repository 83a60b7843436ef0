/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mca.h: what the machine-check banks hold, judged and in words. No registers are touched; any
 * context; nothing fails. Intel SDM volume 3 chapter 15, AMD APM volume 2 chapter 9.
 */
#pragma once
#include <hv/types.h>

struct mc_bank {
    uint64_t status, addr, misc; /* addr, misc: 0 where status says that there is none */
};

/* What can go on after it. */
enum mc_verdict {
    MC_NOTHING,   /* the bank is empty */
    MC_CORRECTED, /* the machine mended it, or deferred it */
    MC_CONTAINED, /* lost: what the interrupted program asked for, and no more */
    MC_FATAL,     /* the CPU's own state, or more errors than there is room for */
};
struct mc_facts {
    bool amd;      /* else Intel */
    bool recovers; /* MCG_CAP bit 24 (Intel), SUCCOR (AMD): errors may be contained */
};
enum mc_verdict mc_judge(const struct mc_facts *, const struct mc_bank *);

/*
 * The verdict on a machine check: the worst of its banks. Without any, or where the program that
 * it came to cannot go on (MCG_STATUS bit 0 is 0), contained errors are fatal unless a guest ran:
 * that is ended anyway. `in_guest`: it came while a guest ran.
 */
enum mc_verdict mc_judge_all(const struct mc_facts *, const struct mc_bank *, unsigned n,
                             uint64_t mcg_status, bool in_guest);

/* "bank 7: uncorrected error of the memory controller, channel 2, at 0x12345640 (status ...)" */
#define MC_WORDS 160u
void mc_words(const struct mc_facts *, unsigned nr, const struct mc_bank *, char out[MC_WORDS]);
