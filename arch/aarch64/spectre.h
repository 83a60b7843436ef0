/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spectre.h: which of the attacks by speculation a CPU is open to, and what is done about it. Arm:
 * "Cache Speculation Side-channels"; "Spectre-BHB"; the calls to the firmware: SMCCC (DEN0028)
 * §7.5 to §7.8. No host instruction.
 */
#pragma once
#include <hv/types.h>

/* Spectre v2: drop what branch prediction has learnt */
#define SMCCC_ARCH_WORKAROUND_1 0x80008000u
/* v4: x1 says whether loads may pass stores; the firmware begins with no */
#define SMCCC_ARCH_WORKAROUND_2 0x80007fffu
/* Spectre-BHB; v2 too, so that it stands for the first one */
#define SMCCC_ARCH_WORKAROUND_3 0x80003fffu

/*
 * What one CPU is, and the firmware's answers to SMCCC_ARCH_FEATURES on it: 0 call it, 1 not needed
 * here, negative: not there.
 */
struct spectre_cpu {
    uint32_t midr;
    uint64_t pfr0, pfr1, isar2, mmfr1; /* ID_AA64..._EL1 as the CPU itself has them */
    int32_t wa1, wa2, wa3;
};

/* In this order: of several CPUs the least holds for a guest, which may run on any. */
enum spectre_state { SPECTRE_OPEN, SPECTRE_MITIGATED, SPECTRE_SAFE };
/* Done at each exit from a guest, before the first indirect branch. */
enum spectre_exit {
    AT_EXIT_NONE,
    AT_EXIT_LOOP,
    AT_EXIT_CLRBHB,
    AT_EXIT_CALL_1,
    AT_EXIT_CALL_3,
    AT_EXIT_COUNT
};
struct spectre_plan {
    uint8_t v2, bhb, v4; /* enum spectre_state */
    uint8_t at_exit;     /* enum spectre_exit */
    /* AT_EXIT_LOOP: taken branches that fill the branch history */
    uint8_t loops;
    /* v4 is the guest's own choice, by PSTATE.SSBS; ours is 0 */
    bool ssbs;
};
struct spectre_plan spectre_plan(const struct spectre_cpu *);
/*
 * The least of two CPUs' plans, for what guests and people are told: at_exit and loops are those of
 * the CPU that needs more.
 */
struct spectre_plan spectre_least(const struct spectre_plan *, const struct spectre_plan *);
/* Fills every class. wanted: `mitigations` is not off. */
struct mitigation_report;
void spectre_report(const struct spectre_plan *, bool wanted, struct mitigation_report *);
