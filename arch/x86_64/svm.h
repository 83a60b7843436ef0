/* SPDX-License-Identifier: BSD-2-Clause */
/* svm.h: what the files of the SVM backend share. */
#pragma once
#include <hv/types.h>
#include <hv/vcpu.h>
#include <hv/x86.h>

#include "guest_fpu.h"
#include "spec.h"
#include "svm_check.h"
#include "vmcb.h"

/* What this machine's SVM has; the same on every CPU. Filled by svm_probe(). */
struct svm_caps {
    uint32_t features; /* enum svm_feature */
    struct svm_limits limits;
    /* permission maps, the same for every guest; [1]: SPEC_CTRL does not exit */
    uint64_t iopm_pa, msrpm_pa[2];
    uint32_t clean_after_run; /* CLEAN_ALL, or 0 where the CPU knows no clean bits */
};
extern struct svm_caps svm_caps;

/*
 * Each host CPU. A generation of ASIDs ends when they run out; then everything is flushed and a new
 * one starts.
 */
struct own_line svm_cpu {
    uint64_t generation; /* unique over all CPUs, never 0 */
    uint32_t next_asid;  /* first that this generation has not given out */
    bool flush;          /* the generation is new: flush all at the next entry */
    uint64_t host_pa;    /* page with the host's VMLOAD state, made by VMSAVE */
    uint64_t hsave_pa;
};
extern struct svm_cpu svm_cpus[MAX_CPUS];

/* AT_IRET: the IRET that opens it is about to run */
enum svm_nmi { NMI_OPEN, NMI_MASKED, NMI_AT_IRET };

/* Offset-free view: v->arch. */
struct svm_vcpu {
    struct vmcb *vmcb;
    uint64_t vmcb_pa;
    uint64_t generation; /* of the CPU that gave guest_asid; 0: needs a new ASID */
    struct guest_fpu fpu;
    struct spec_vcpu spec;
    uint64_t iret_rip;
    /* an exit in the interrupt shadow: stats.entries in the run after it, and where */
    uint64_t shadow_run, shadow_rip;
    uint8_t nmi;  /* enum svm_nmi */
    bool changed; /* Trivet wrote what VMRUN checks, since the last entry */
    bool nmi_wanted;
    /* RFLAGS.TF was set by us, to stop after the IRET, or after the instruction in the shadow */
    bool nmi_step;
};

static inline struct svm_vcpu *svm_of(const struct vcpu *v) { return v->arch; }
static inline bool svm_has(uint32_t feature) { return (svm_caps.features & feature) != 0; }
static inline void svm_dirty(struct svm_vcpu *s, uint32_t bits)
{
    s->vmcb->clean &= ~bits;
    s->changed = true;
}

/* svm.c */
extern const struct vcpu_ops svm_ops;
/* svm_entry.S: runs the guest until its next exit. On return GIF is 1 and interrupts are off. */
void svm_enter(struct vcpu_regs *, struct vmcb *, uint64_t vmcb_pa, uint64_t host_pa);
/* spec_vcpu.flags is not 0 */
void svm_enter_guarded(struct vcpu_regs *, struct vmcb *, uint64_t vmcb_pa, uint64_t host_pa,
                       struct spec_vcpu *);
/* svm_run.c */
void svm_watch_spins(const struct vcpu *, struct svm_vcpu *); /* it was loaded just now */
void svm_run(struct vcpu *, struct vcpu_exit *);
/* svm_irq.c: interrupts, NMIs, exceptions */
bool svm_irq_ready(struct vcpu *);
bool svm_nmi_ready(struct vcpu *);
void svm_irq_window(struct vcpu *, bool on);
void svm_nmi_window(struct vcpu *);
void svm_skip_insn(struct vcpu *, unsigned len);
static inline bool svm_has_window(const struct vmcb *b)
{
    return (b->intercept_misc1 & I1_VINTR) != 0;
}
bool svm_nmi_blocked(const struct vcpu *);
int must_check svm_block_nmi(struct svm_vcpu *, uint64_t blocked);
extern const struct state_ops *const svm_state_table[];
void svm_inject(struct vcpu *, struct svm_vcpu *); /* takes v->event */
/* gives back a virtual interrupt that is still in the VMCB */
void svm_take_back(struct vcpu *, struct svm_vcpu *);
void svm_exitintinfo(struct vcpu *, struct svm_vcpu *, uint64_t); /* gives it back */
void svm_exit_iret(struct vcpu *, struct svm_vcpu *, struct vcpu_exit *);
void svm_exit_db(struct vcpu *, struct svm_vcpu *, struct vcpu_exit *);
/* svm_regs.c */
int must_check svm_get_sysreg(struct vcpu *, uint32_t id, uint64_t *val);
void svm_x86_mode(struct vcpu *, struct x86_mode_regs *);
bool svm_x86_mode_same(struct vcpu *, const struct x86_mode_regs *);
int must_check svm_set_sysreg(struct vcpu *, uint32_t id, uint64_t val);
void svm_reset_state(struct vcpu *, bool init); /* init: keep what INIT keeps */
/* pt_npt.c */
extern struct pt_format npt_format; /* leaf_levels is set by svm_probe() */
