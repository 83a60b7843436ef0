/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spec.h: attacks by speculation: what a CPU is open to, what is done, and how the entry code does
 * it. Intel: "Affected Processors: Guidance for Security Issues on Intel Processors", SDM volume 4
 * (IA32_ARCH_CAPABILITIES, IA32_SPEC_CTRL); AMD: "Software Techniques for Managing Speculation on
 * AMD Processors", APM volume 2 section 3.2.9 and the bulletins AMD-SB-1036, 7005 and 7029. The
 * decisions have no host instruction.
 */
#pragma once
#include <hv/mitigations.h>
#include <hv/types.h>

/* How the threads of a core are used: there is one only; they run vCPUs of one guest; anybody's. */
enum spec_smt { SPEC_SMT_NONE, SPEC_SMT_CORE, SPEC_SMT_SHARED };

/* What a CPU says of itself. A leaf or an MSR that is not there: 0. */
struct spec_facts {
    uint8_t family, model, stepping; /* with the extended parts added (CPUID 1 EAX) */
    uint32_t l1_ecx, l7_ebx, l7_edx, l7_2_edx;
    uint32_t x8_ebx, x21_eax, x21_ecx; /* leaves 80000008h and 80000021h */
    uint64_t arch_caps;                /* IA32_ARCH_CAPABILITIES */
    uint64_t mcu_opt;                  /* IA32_MCU_OPT_CTRL */
    enum spec_smt smt;
};

/* SPEC_CTRL (48h) and PRED_CMD (49h), the same on both makers' CPUs. */
#define SPEC_CTRL_IBRS (1ull << 0)
#define SPEC_CTRL_STIBP (1ull << 1)
#define SPEC_CTRL_SSBD (1ull << 2)
/* for user mode and for the supervisor; so are the next */
#define SPEC_CTRL_IPRED_DIS (3ull << 3)
#define SPEC_CTRL_RRSBA_DIS_U (1ull << 5)
#define SPEC_CTRL_RRSBA_DIS (1ull << 6)
#define SPEC_CTRL_PSFD (1ull << 7)
#define SPEC_CTRL_DDPD_U (1ull << 8)
#define SPEC_CTRL_BHI_DIS (1ull << 10)

/*
 * What a guest reads of this in CPUID and IA32_ARCH_CAPABILITIES, so that it can protect itself:
 * nothing that the CPU lacks or the engines do not pass on.
 */
struct spec_offer {
    uint32_t l7_edx, l7_2_edx, x8_ebx, x21_eax, x21_ecx;
    uint64_t arch_caps; /* where l7_edx says that the MSR is there */
};

/* What is done. */
struct spec_plan {
    bool spec_ctrl;      /* there is a SPEC_CTRL */
    uint64_t spec_known; /* bits of it that a guest may set */
    /*
     * its value while Trivet runs, and guests that have written none where it may stay (!ibrs_exit)
     */
    uint64_t host;
    /* it is written at each exit, and guests run with their own value: 0 unless they wrote one */
    bool ibrs_exit;
    bool ibpb;       /* PRED_CMD.IBPB is there: when a CPU turns to another guest */
    bool ibpb_exit;  /* and at each exit, before the first return */
    bool fill_rsb;   /* exits: the guest's return predictions are not followed */
    bool fill_one;   /* exits: nor is the one that enhanced IBRS leaves */
    bool clear_bhb;  /* exits: its branch history neither */
    bool retpolines; /* Trivet's indirect branches are none (thunks.S) */
    bool verw;       /* entries: VERW clears buffers */
    /* entries after other work of this CPU: L1TF; the second: no FLUSH_CMD, a buffer is read */
    bool flush_l1d, flush_by_reads;
    bool auto_ibrs; /* EFER.AIBRSE */
    /* LFENCE is made to wait for older instructions (AMD, DE_CFG bit 1) */
    bool lfence;
    bool bp_spec_reduce; /* BP_CFG bit 4 (AMD, SRSO) */
    /* IA32_TSX_CTRL: transactions abort at once, and CPUID does not have them */
    bool tsx_off;
    /* bits of IA32_MCU_OPT_CTRL that turn protection off and are cleared */
    uint64_t mcu_clear;
    /*
     * guests' large pages are not executable; what they execute is mapped by 4 KiB pages (iTLB
     * multihit)
     */
    bool split_exec;
    struct spec_offer guest;
    struct mitigation_report told;
};

/* Pure. off: nothing is done, and told says what that leaves open. */
void spec_intel(const struct spec_facts *, bool off, struct spec_plan *);
void spec_amd(const struct spec_facts *, bool off, struct spec_plan *);
const char *spec_smt_words(enum spec_smt);

/* spec.c: this machine's. Filled by arch_mitigations_init(). */
extern struct spec_plan spec;
extern const uint16_t spec_selector; /* what VERW names */

/* A vCPU's part, read and written by the entry code (spec_entry.h). */
struct spec_vcpu {
    uint64_t guest, host; /* SPEC_CTRL: the guest's where it is switched; ours */
    uint32_t flags;       /* SPEC_SWITCH and so on; 0: entries and exits need nothing */
    uint32_t padding;
    /* what the guest wrote; where SPEC_READ is set, guest is newer */
    uint64_t own;
    uint64_t stay; /* v->sched.since when the cache was last flushed for it */
};
/* With the vCPU, and at its reset: as a guest that has written nothing. */
void spec_vcpu_reset(struct spec_vcpu *);
/* Own CPU, when it turns to a vCPU: the first time, this CPU is set up. */
void spec_load(void);
/* CPUID for guests: in these registers, the bits that spec.guest is about are made its own. */
void spec_features(uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);
/* IA32_ARCH_CAPABILITIES for guests. -ENOENT: they have none. */
int must_check spec_get_caps(uint64_t *val);
/*
 * A guest's SPEC_CTRL. -ENOENT: this CPU has none. -EINVAL: bits that it lacks. Afterwards
 * SPEC_READ says whether accesses need not exit.
 */
int must_check spec_get(const struct spec_vcpu *, uint64_t *val);
int must_check spec_check(uint64_t val);
void spec_set(struct spec_vcpu *, uint64_t val); /* spec_check() said 0 */
/* Own CPU, before an entry after other work, where spec.flush_l1d. */
void spec_flush_l1d(void);
