/* SPDX-License-Identifier: BSD-2-Clause */
/* vmx.h: what the files of the VMX backend share. */
#pragma once
#include <hv/types.h>
#include <hv/vcpu.h>
#include <hv/x86.h>

#include "guest_fpu.h"
#include "private.h"
#include "vmcs.h"
#include "vmx_check.h"
#include "spec.h"

/* What this machine's VMX has; the same on every CPU. Filled by vmx_probe(). */
struct vmx_caps {
    uint32_t revision;
    uint32_t pin, primary, secondary, exit, entry; /* controls as every guest starts with them */
    uint64_t ept;                                  /* IA32_VMX_EPT_VPID_CAP */
    /* bits that must be 1 in the guest; PE and PG are free with unrestricted guest */
    uint64_t cr0_fixed, cr4_fixed;
    uint64_t cr4_known; /* bits that may be 1 */
    /* the latter: for guests whose x2APIC the CPU keeps; [1]: SPEC_CTRL does not exit */
    uint64_t msr_bitmap_pa[2], x2_bitmap_pa[2];
    /* secondary controls by which the CPU keeps a guest's local APIC; 0: it does not */
    uint32_t apic;
    bool posted; /* and takes posted interrupts */
    /* a millisecond in units of the preemption timer; 0: there is none that can be saved */
    uint32_t preemption;
};
extern struct vmx_caps vmx_caps;
extern struct vmx_limits vmx_limits; /* what the CPU allows, for vmx_check() */

/*
 * Each host CPU. A generation of VPIDs ends when they run out; then everything is flushed and a new
 * one starts.
 */
struct vmx_vcpu;
struct own_line vmx_cpu {
    uint64_t generation; /* unique over all CPUs, never 0 */
    uint32_t next_vpid;
    uint64_t vmxon_pa;
    const struct vmx_vcpu *current; /* whose VMCS is current here; NULL: none */
    /* that one too, when nothing has to be flushed before it is entered; NULL: vmx_run() looks */
    const struct vmx_vcpu *fit;
};
extern struct vmx_cpu vmx_cpus[MAX_CPUS];

#define VAPIC_TPR 0x80                /* in that page (29.1.1) */
#define APIC_RESET_BASE 0xfee00000ull /* of IA32_APIC_BASE (11.4.4) */
/*
 * CR0 bits that the guest owns; all others are ours: it reads the shadow, and exits when it changes
 * them (25.3).
 */
#define CR0_GUEST_OWNS (CR0_TS | CR0_MP)
#define CR4_GUEST_OWNS CR4_PGE
#define VMX_MSRS 5 /* STAR LSTAR CSTAR SFMASK KERNEL_GS_BASE */

/*
 * v->arch. The fields "in VMCS" mirror it, so that only what changes is written, and little is
 * read.
 */
struct vmx_vcpu {
    uint64_t vmcs_pa, eptp;
    /* the VM's page that stands for its APICs'; never accessed (29.4) */
    uint64_t apic_page_pa;
    uint64_t generation;       /* of the CPU that gave the VPID; 0: needs a new one */
    uint64_t host_rsp;         /* in VMCS; written by vmx_entry.S */
    uint64_t rip, rsp, rflags; /* in VMCS */
    uint64_t cr0, cr4;         /* as the guest sees them, without the bits that it owns */
    uint64_t efer, pat, tsc_offset;
    uint64_t modes;                   /* how often cr0, cr4 or efer was set */
    uint64_t cr2, dr6, msr[VMX_MSRS]; /* current unless loaded on a CPU */
    uint32_t primary;                 /* in VMCS */
    uint64_t run_until;               /* time_ns(): when run() has to end */
    uint64_t looked_after;            /* time_ns() when the preemption timer last ran out */
    /*
     * time_cycles() when that would be by the host's clock, which does not stand still; UINT64_MAX:
     * the timer is written at the next entry
     */
    uint64_t look_at;
    uint8_t threshold, threshold_set; /* of the task priority: wanted, in VMCS */
    bool watching;                    /* either is not 0 */
    /* the virtual-APIC page; only the task priority of it is used, unless shared.apic points to it
     */
    uint8_t *vapic;
    struct x86_shared shared;
    uint32_t secondary;   /* as the APIC's mode wants it */
    uint32_t spin_window; /* PLE_WINDOW as it was written */
    uint64_t eoi_exits[4];
    uint8_t apic_stale; /* enum vmx_apic_part: what the VMCS does not have yet */
    uint16_t vpid;
    bool launched;
    /* by us since the last entry: debug builds check it (vmx_check.h) */
    bool changed;
    /* v->regs.gpr[X86_RSP] is the guest's: most exits do not read it */
    bool rsp_known;
    bool flush_vpid, flush_ept; /* before the next entry; set by vmx_stale() */
    struct guest_fpu fpu;
    struct spec_vcpu spec;
};

static inline struct vmx_vcpu *vmx_of(const struct vcpu *v) { return v->arch; }

/* vmx_probe.c */
int must_check vmx_probe(void);
/* vmx.c */
extern const struct vcpu_ops vmx_ops;
/*
 * Own CPU: makes v's VMCS current; vmx_done() leaves it so only if this CPU holds v, so that
 * another CPU may take it.
 */
void vmx_make_current(struct vmx_vcpu *, struct vmx_cpu *);
void vmx_drop(struct vmx_vcpu *);
static inline bool vmx_is_current(const struct vcpu *v)
{
    return vmx_cpus[x86_this_cpu()->id].current == vmx_of(v);
}
static inline void vmx_use(struct vcpu *v)
{
    struct vmx_cpu *c = &vmx_cpus[x86_this_cpu()->id];

    if (c->current != vmx_of(v))
        vmx_make_current(vmx_of(v), c);
}
static inline void vmx_done(struct vcpu *v)
{
    if (x86_this_cpu()->loaded != v)
        vmx_drop(vmx_of(v));
}
void vmx_put_spec(const struct vmx_vcpu *);
void vmx_flush(struct vmx_vcpu *);
/* own CPU, or not loaded: translations by the guest's tables, or all */
void vmx_stale(struct vmx_vcpu *, bool ept);
void vmx_new_vpid(struct vmx_vcpu *, struct vmx_cpu *);
/*
 * vmx_entry.S: runs the guest until its next exit. False: the instruction failed. Interrupts stay
 * off.
 */
bool vmx_enter(struct vcpu_regs *, bool launched, uint64_t *host_rsp, struct spec_vcpu *);
/* where exits arrive; guarded: where spec_vcpu.flags is not 0 */
extern const uint8_t vmx_exit[], vmx_exit_guarded[];
/* vmx_run.c */
void vmx_run(struct vcpu *, struct vcpu_exit *);
void vmx_watch_spins(struct vmx_vcpu *); /* current; it was loaded just now, or is new */
/* the VMCS is current: v->regs has the stack pointer too */
void vmx_know_rsp(struct vcpu *);
bool vmx_run_until(struct vcpu *, uint64_t ns);
/* vmx_irq.c */
bool vmx_irq_ready(struct vcpu *);
bool vmx_nmi_ready(struct vcpu *);
void vmx_tpr_window(struct vcpu *, unsigned priority);
void vmx_irq_window(struct vcpu *, bool on);
void vmx_nmi_window(struct vcpu *);
void vmx_close_window(struct vmx_vcpu *, uint32_t bit);
void vmx_skip_insn(struct vcpu *, unsigned len);
void vmx_inject(struct vcpu *, struct vmx_vcpu *); /* takes v->event */
void vmx_vectoring(struct vcpu *, uint32_t info);  /* gives it back */
void vmx_exit_exception(struct vcpu *, struct vmx_vcpu *, struct vcpu_exit *);
/* vmx_apic.c */
enum vmx_apic_part { APIC_MODE = 1, APIC_STATUS = 2, APIC_EOI_EXITS = 4 };
extern const struct vapic_ops vmx_vapic;
/*
 * The posted-interrupt descriptor (29.6), 64 bytes in the virtual-APIC page, where there is no
 * register: PIR comes first. We set nothing else: ON and SN are for other agents than CPUs.
 */
static inline uint64_t *vmx_posted(const struct vmx_vcpu *s)
{
    return (uint64_t *)(void *)(s->vapic + 0x800);
}
/* the page that stands for its APICs' in vm->arch; -ENOMEM */
int must_check vmx_apic_vm_init(struct vm *vm);
void vmx_apic_vm_fini(struct vm *vm);
int must_check vmx_apic_probe(void);  /* after the controls and the MSR bitmap */
const char *vmx_apic_words(void);     /* for the log: what of it is used */
void vmx_put_apic(struct vmx_vcpu *); /* before an entry, the VMCS is current */
void vmx_exit_eoi(struct vcpu *, struct vmx_vcpu *, struct vcpu_exit *);
void vmx_exit_apic_write(struct vcpu *, struct vmx_vcpu *, struct vcpu_exit *);
/* vmx_regs.c */
int must_check vmx_get_sysreg(struct vcpu *, uint32_t id, uint64_t *val);
int must_check vmx_set_sysreg(struct vcpu *, uint32_t id, uint64_t val);
void vmx_x86_mode(struct vcpu *, struct x86_mode_regs *);
bool vmx_x86_mode_same(struct vcpu *, const struct x86_mode_regs *);
/* init: keep what INIT keeps; the VMCS is current */
void vmx_reset_state(struct vcpu *, bool init);
uint64_t vmx_guest_cr0(const struct vmx_vcpu *, uint64_t owned);
uint64_t vmx_guest_cr4(const struct vmx_vcpu *, uint64_t owned);
/* pt_ept.c */
extern struct pt_format ept_format; /* leaf_levels is set by vmx_probe() */
/* from now on large leaves are not executable (iTLB multihit); before there is a guest */
void ept_split_exec(void);
