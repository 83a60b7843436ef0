/* SPDX-License-Identifier: BSD-2-Clause */
/* el2.h: what the files of the EL2 engine share. "Arm ARM" is DDI 0487. */
#pragma once
#include <hv/arm.h>
#include <hv/guest.h>
#include <hv/state.h>
#include <hv/types.h>
#include <hv/vcpu.h>
#include <hv/vm.h>

#include "el2_id.h"
#include "el2_vmid.h"

/*
 * EL1's registers that a vCPU takes with it: name, op0, op1, CRn, CRm, op2, and the op1 by which
 * EL2 reaches EL1's register when HCR_EL2.E2H is set (5 is the alias NAME_EL12, D19.1.2). They move
 * by load() and unload() only. TCR_EL1 is the last to be loaded.
 */
#define GUEST_REGS(X)                    \
    X(SCTLR_EL1, 3, 0, 1, 0, 0, 5)       \
    X(CPACR_EL1, 3, 0, 1, 0, 2, 5)       \
    X(TTBR0_EL1, 3, 0, 2, 0, 0, 5)       \
    X(TTBR1_EL1, 3, 0, 2, 0, 1, 5)       \
    X(SPSR_EL1, 3, 0, 4, 0, 0, 5)        \
    X(ELR_EL1, 3, 0, 4, 0, 1, 5)         \
    X(AFSR0_EL1, 3, 0, 5, 1, 0, 5)       \
    X(AFSR1_EL1, 3, 0, 5, 1, 1, 5)       \
    X(ESR_EL1, 3, 0, 5, 2, 0, 5)         \
    X(FAR_EL1, 3, 0, 6, 0, 0, 5)         \
    X(MAIR_EL1, 3, 0, 10, 2, 0, 5)       \
    X(AMAIR_EL1, 3, 0, 10, 3, 0, 5)      \
    X(VBAR_EL1, 3, 0, 12, 0, 0, 5)       \
    X(CONTEXTIDR_EL1, 3, 0, 13, 0, 1, 5) \
    X(CNTKCTL_EL1, 3, 0, 14, 1, 0, 5)    \
    X(CNTV_CVAL_EL0, 3, 3, 14, 3, 2, 5)  \
    X(SP_EL0, 3, 0, 4, 1, 0, 0)          \
    X(SP_EL1, 3, 4, 4, 1, 0, 4)          \
    X(PAR_EL1, 3, 0, 7, 4, 0, 0)         \
    X(TPIDR_EL1, 3, 0, 13, 0, 4, 0)      \
    X(TPIDR_EL0, 3, 3, 13, 0, 2, 3)      \
    X(TPIDRRO_EL0, 3, 3, 13, 0, 3, 3)    \
    X(CSSELR_EL1, 3, 2, 0, 0, 0, 2)      \
    X(MDSCR_EL1, 2, 0, 0, 2, 2, 0)       \
    X(CNTV_CTL_EL0, 3, 3, 14, 3, 1, 5)   \
    X(TCR_EL1, 3, 0, 2, 0, 2, 5)
/* What the machine gives the vCPU. */
#define MACHINE_REGS(X)             \
    X(VMPIDR_EL2, 3, 4, 0, 0, 5, 4) \
    X(CNTVOFF_EL2, 3, 4, 14, 0, 3, 4)
#define EL1_REGS(X) MACHINE_REGS(X) GUEST_REGS(X)
/*
 * Where the CPU has pointer authentication. The first key is in the CPU only while the guest runs:
 * the host has its own (el2_entry.S).
 */
#define PAUTH_IA_REGS(X)               \
    X(APIAKEYLO_EL1, 3, 0, 2, 1, 0, 0) \
    X(APIAKEYHI_EL1, 3, 0, 2, 1, 1, 0)
#define PAUTH_REGS(X)                  \
    X(APIBKEYLO_EL1, 3, 0, 2, 1, 2, 0) \
    X(APIBKEYHI_EL1, 3, 0, 2, 1, 3, 0) \
    X(APDAKEYLO_EL1, 3, 0, 2, 2, 0, 0) \
    X(APDAKEYHI_EL1, 3, 0, 2, 2, 1, 0) \
    X(APDBKEYLO_EL1, 3, 0, 2, 2, 2, 0) \
    X(APDBKEYHI_EL1, 3, 0, 2, 2, 3, 0) \
    X(APGAKEYLO_EL1, 3, 0, 2, 3, 0, 0) \
    X(APGAKEYHI_EL1, 3, 0, 2, 3, 1, 0)
/* Where it has RAS: the syndrome of a virtual SError, and what an ESB of the guest found. */
#define RAS_REGS(X)                \
    X(VSESR_EL2, 3, 4, 5, 2, 3, 4) \
    X(VDISR_EL2, 3, 4, 12, 1, 1, 4)
#define EL2_REG_INDEX(name, a, b, c, d, e, v) R_##name,
enum el2_reg {
    EL1_REGS(EL2_REG_INDEX) PAUTH_IA_REGS(EL2_REG_INDEX) PAUTH_REGS(EL2_REG_INDEX)
        RAS_REGS(EL2_REG_INDEX) R_COUNT
};

/* breakpoints, and watchpoints, that the architecture can have (without FEAT_Debugv8p9) */
#define DBG_PAIRS 16u
struct el2_debug {
    uint64_t bvr[DBG_PAIRS], bcr[DBG_PAIRS], wvr[DBG_PAIRS], wcr[DBG_PAIRS];
};

/* FP, SIMD and SVE: in memory unless `live`. */
struct el2_fp {
    uint8_t *area;            /* V0..V31, or Z, P and FFR once the vCPU has used SVE */
    uint64_t fpcr, fpsr, zcr; /* zcr: ZCR_EL1 */
    bool live;                /* in the CPU's registers, and the guest may use them */
    bool sve;                 /* the guest has used SVE since its reset */
};

/* Off-CPU state of the GIC's virtual CPU interface, and what the CPU's has now. */
struct el2_gic {
    uint32_t vmcr;             /* ICH_VMCR_EL2 */
    uint32_t ap0r[4], ap1r[4]; /* ICH_AP<n>R<m>_EL2; GICv2: ap1r[0] is GICH_APR */
    uint32_t lr_live;          /* list registers of this CPU that may not be empty */
};

/* v->arch. What a guest can see of it is plain words. */
struct el2_vcpu {
    uint64_t hcr; /* HCR_EL2 while it is loaded */
    uint64_t sys[R_COUNT];
    uint64_t mdcr; /* MDCR_EL2 while it is loaded */
    /* where APIAKEY is in sys[]; NULL: no pointer authentication */
    uint64_t *key;
    struct el2_gic gic;
    struct el2_fp fp;
    struct el2_debug dbg;
    /* breakpoints and watchpoints are in the CPU, and the guest may write them */
    bool dbg_live;
    /* it cleans caches by set and way: no access of it may ever bypass them */
    bool watch_mmu;
};

/* vm->arch */
struct el2_vm {
    struct vm *vm;
    uint64_t vttbr;
    uint32_t vmid;
    /* id + 1 of the vCPU whose local translations each CPU has; 0: none */
    uint16_t last_vcpu[]; /* cpu_count of them */
};

/* What this machine has; the same on every CPU. Filled by probe(). */
struct el2_caps {
    bool vhe, pauth, ras, sve, fwb, hcx, fgt;
    uint8_t ipa_bits, gic_version;
    uint8_t breakpoints, watchpoints;
    uint32_t vl;              /* bytes of a Z register at most */
    uint64_t vtcr, hcr, mdcr; /* what every guest begins with */
    struct id_policy policy;
    uint64_t id[ID_COUNT]; /* what guests read */
};
extern struct el2_caps el2_caps;

/* Bits beyond sysreg.h's. HCR_EL2, D19.2.48. */
#define HCR_VSE (1ull << 8) /* a virtual SError is pending */
#define HCR_FB (1ull << 9)
#define HCR_BSU_IS (1ull << 10)
#define HCR_DC (1ull << 12)
#define HCR_TWI (1ull << 13)
#define HCR_TWE (1ull << 14)
#define HCR_TID1 (1ull << 16)
#define HCR_TID3 (1ull << 18)
#define HCR_TSC (1ull << 19)
#define HCR_TIDCP (1ull << 20)
#define HCR_TACR (1ull << 21)
#define HCR_TSW (1ull << 22)
#define HCR_TVM (1ull << 26)
#define HCR_TLOR (1ull << 35)
#define HCR_TERR (1ull << 36)
#define HCR_TEA (1ull << 37)
#define HCR_APK (1ull << 40)
#define HCR_API (1ull << 41)
#define HCR_FWB (1ull << 46)
#define HCR_TID5 (1ull << 58)
/* MDCR_EL2, D19.2.97 (the manual's chapter on debug registers) */
#define MDCR_TPMCR (1ull << 5)
#define MDCR_TPM (1ull << 6)
#define MDCR_TDA (1ull << 9)
#define MDCR_TDOSA (1ull << 10)
#define MDCR_TDRA (1ull << 11)
#define MDCR_TPMS (1ull << 14)
#define MDCR_TTRF (1ull << 19)
#define SCTLR_EL1_M 1ull
#define TCR_EPD0 (1ull << 7)
#define TCR_EPD1 (1ull << 23)
#define PSTATE_EL0(spsr) (((spsr)&0xf) == 0) /* AArch64 EL0t, and User mode of AArch32 */

static inline const struct arm_calls *el2_guest(const struct vcpu *v)
{
    return v->vm->guest_ops->engine_calls;
}
static inline struct el2_vcpu *el2_of(const struct vcpu *v) { return v->arch; }

/* el2.c */
extern const struct vcpu_ops el2_ops;
/* every translation of the VM, on every CPU */
void el2_flush_vm(const struct el2_vm *);
/*
 * el2_entry.S: runs the guest until its next exit; which vector it came to: enum arm_vector. The
 * host's registers are as before.
 */
/* ia: the guest's APIAKEY_EL1, two words, or NULL where the CPU has no pointer authentication. */
uint32_t el2_enter(struct vcpu_regs *, uint64_t *ia);
/*
 * el2_state.c: what makes up a vCPU beside its general and FP registers: the list that vcpu_ops
 * has, and STATE_ENGINE, version 1. No host instruction.
 */
#define EL2_ONE(...) +1
enum {
    EL2_SYSREGS = 0 GUEST_REGS(EL2_ONE) PAUTH_IA_REGS(EL2_ONE) PAUTH_REGS(EL2_ONE) +
                  1 /* VDISR_EL2 */ + 1 /* ICH_VMCR_EL2 */ + 1 /* MIDR_EL1 */ + ID_COUNT
};
extern const uint32_t el2_sysreg_list[EL2_SYSREGS];
enum { EL2_STATE_VSE = 1, EL2_STATE_WATCH_MMU = 2 };
struct el2_state {
    uint32_t flags, zero;
    uint64_t vsesr;            /* VSESR_EL2 */
    uint32_t ap0r[4], ap1r[4]; /* as in struct el2_gic */
    struct el2_debug dbg;
};
static_assert(sizeof(struct el2_state) == 560, "layout of images");
extern const struct state_ops *const el2_states[];
/* el2_run.c */
void el2_run(struct vcpu *, struct vcpu_exit *);
void el2_skip_insn(struct vcpu *, unsigned len);
void el2_serror_window(struct vcpu *); /* loaded, soon not any more */
/* el2_regs.c: own CPU */
bool el2_loaded(const struct vcpu *);
void el2_regs_reset(struct vcpu *);
void el2_regs_load(const struct el2_vcpu *);
void el2_regs_save(struct el2_vcpu *);
uint64_t el2_reg_get(const struct vcpu *, enum el2_reg);
void el2_reg_set(struct vcpu *, enum el2_reg, uint64_t);
void el2_hcr_set(struct vcpu *, uint64_t); /* now, when loaded */
int must_check el2_get_sysreg(struct vcpu *, uint32_t id, uint64_t *val);
int must_check el2_set_sysreg(struct vcpu *, uint32_t id, uint64_t val);
int must_check el2_reg_index(uint32_t id); /* -ENOENT */
/* el2_trap.c: EC 0x18. True: dealt with. */
bool el2_trap_sysreg(struct vcpu *, struct vcpu_exit *);
/* el2_debug.c: own CPU, loaded */
void el2_debug_give(struct el2_vcpu *);
void el2_debug_load(struct el2_vcpu *);
void el2_debug_unload(struct el2_vcpu *);
void el2_debug_reset(struct el2_vcpu *);
/* el2_spectre.c */
/* each CPU: what it is open to, and what is done */
void el2_spectre_cpu_enable(void);
/* own CPU, before it runs a guest: its way out of guests */
void el2_spectre_use(void);
void el2_spectre_answers(uint32_t regs[4]); /* ARM_FEATURE_WORKAROUNDS */
/* el2_fp.c: own CPU, loaded, except init, fini, reset */
int must_check el2_fp_init(struct vcpu *);
void el2_fp_fini(struct vcpu *);
void el2_fp_reset(struct el2_vcpu *);
void el2_fp_give(struct el2_vcpu *, bool sve); /* the guest met the trap */
void el2_fp_unload(struct el2_vcpu *);
int must_check el2_fp_get(struct vcpu *, void *state, size_t *len);
int must_check el2_fp_set(struct vcpu *, const void *state, size_t len);
/* half 0 or 1 of V<reg> */
uint64_t el2_fp_vreg(struct vcpu *, unsigned reg, unsigned half);
/* half 0 clears what is above */
void el2_fp_set_vreg(struct vcpu *, unsigned reg, unsigned half, uint64_t val);
int must_check el2_fp_probe(void);
void el2_fp_cpu_enable(void);
/* el2_fp.S */
void el2_v_save(void *area); /* 32 registers of 16 bytes */
void el2_v_load(const void *area);
/* Z0..31, P0..15, FFR; vl: bytes of a Z register */
void el2_z_save(void *area, uint64_t vl);
void el2_z_load(const void *area, uint64_t vl);
void el2_z_clear(void);      /* P0..15, FFR */
uint64_t el2_z_length(void); /* RDVL */

/* el2_gic.c: the two hosts' virtual CPU interfaces. Own CPU. */
struct el2_gic_ops {
    int (*probe)(void);
    int (*cpu_enable)(void);
    void (*load)(struct el2_gic *);
    void (*unload)(struct el2_gic *);
    void (*enter)(struct el2_gic *, struct arm_gic_cpu *);
    void (*leave)(struct arm_gic_cpu *);
    uint32_t (*vmcr)(void);
    void (*set_vmcr)(uint32_t);
};
extern const struct el2_gic_ops *el2_gic;
int must_check el2_gic_probe(void);
extern uint32_t el2_gic_vtr; /* ICH_VTR_EL2 */
/* How many active-priority registers each group has: PREbits 28:26 (GICv3 §12.4.10). */
static inline unsigned el2_gic_aprs(uint32_t vtr)
{
    unsigned bits = (vtr >> 26 & 7) + 1;

    return bits >= 7 ? 4 : bits == 6 ? 2 : 1;
}
void el2_gic_features(uint32_t regs[4]);
