/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of an x86 guest's system registers, shared by the x86 backends and hv/guest/x86_64. MSR
 * numbers are themselves.
 */
#pragma once
#include <hv/exit.h>
#include <hv/types.h>
struct vcpu;
struct vm;
/* enum exit_reason: guest_ops.exits of x86 */
#define EXIT_CPUID EXIT_ISA_0
/*
 * A hardware task switch that the engine leaves to the guest's code. isa[0]: selector of the new
 * TSS; isa[1]: an enum task_how; v->event: what a gate delivers; insn_len: to step over in the old
 * task
 */
#define EXIT_TASK EXIT_ISA_1
/* what asked for it; GATE: a task gate in the IDT */
enum task_how { TASK_CALL, TASK_IRET, TASK_JMP, TASK_GATE };
enum x86_gpr {
    X86_RAX,
    X86_RCX,
    X86_RDX,
    X86_RBX,
    X86_RSP,
    X86_RBP,
    X86_RSI,
    X86_RDI,
    X86_R8,
    X86_R15 = 15
};
/* encoding order */
enum x86_seg { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_LDTR, X86_TR, X86_NSEGS };
/*
 * Segment attributes in the VMCB's layout (AMD APM vol 2, 15.5.1): type 3:0, S 4, DPL 6:5, P 7, AVL
 * 8, L 9, D/B 10, G 11. A limit is in bytes.
 */
enum x86_sysreg {
    X86_CR0 = 0x80000000,
    X86_CR2,
    X86_CR3,
    X86_CR4,
    X86_CR8,
    X86_XCR0,
    X86_DR0,
    X86_DR1,
    X86_DR2,
    X86_DR3,
    X86_DR6,
    X86_DR7,
    X86_GDTR_BASE,
    X86_GDTR_LIMIT,
    X86_IDTR_BASE,
    X86_IDTR_LIMIT,
    X86_CPL,
    X86_INT_SHADOW,
    X86_TSC_OFFSET,
    X86_PDPTR0,
    X86_PDPTR1,
    X86_PDPTR2,
    X86_PDPTR3,
    X86_NMI_BLOCKED,   /* 1: until the next IRET */
    X86_PENDING_DEBUG, /* VMX: pending debug exceptions (SDM vol 3 §24.4.2) */
    /* + enum x86_seg */
    X86_SEG_SEL = 0x80000100,
    X86_SEG_BASE = 0x80000110,
    X86_SEG_LIMIT = 0x80000120,
    X86_SEG_ATTR = 0x80000130,
};
enum {
    X86_EFER = 0xc0000080u,
    X86_FS_BASE = 0xc0000100u,
    X86_GS_BASE = 0xc0000101u,
    X86_KERNEL_GS_BASE = 0xc0000102u,
    X86_PAT = 0x277
};
#define DR7_ENABLED 0xffu /* a breakpoint is on: L0 G0 ... L3 G3 */
enum x86_vector {
    X86_DE,
    X86_DB,
    X86_NMI,
    X86_BP,
    X86_OF,
    X86_BR,
    X86_UD,
    X86_NM,
    X86_DF,
    X86_TS = 10,
    X86_NP,
    X86_SS_FAULT,
    X86_GP,
    X86_PF,
    X86_MF = 16,
    X86_AC,
    X86_MC,
    X86_XM
};
/*
 * A fault: it is pushed with RFLAGS.RF = 1, so that its instruction runs again past a breakpoint
 * (SDM vol 3 section 17.3.1.1, APM vol 2 section 3.1.6). #DB is not counted: its faults are the
 * breakpoints. The others are traps, aborts, and no exception at all.
 */
static inline bool x86_is_fault(unsigned vector)
{
    const uint32_t no =
        1u << X86_DB | 1u << X86_NMI | 1u << X86_BP | 1u << X86_OF | 1u << X86_DF | 1u << X86_MC;

    return vector < 32 && (no >> vector & 1) == 0;
}
/*
 * What decides how a vCPU's instructions and addresses are read, in one call of the engine
 * (x86_engine.mode). Attributes as above; cs_base as it is in the register.
 */
/* stamp: the engine's own, for x86_engine.mode_same */
struct x86_mode_regs {
    uint64_t cr0, cr3, cr4, efer, cs_base;
    uint16_t cs_attr;
    uint8_t cpl;
    uint64_t stamp;
};

/* vcpu.shared of an x86 guest. All on the vCPU's own CPU, unless atomic. */
struct x86_shared {
    /*
     * where the engine keeps the guest's task priority, when CR8 does not exit (see tpr_window);
     * NULL: it does
     */
    uint8_t *tpr;
    /*
     * the page in which the CPU keeps the local APIC while the guest runs (struct vapic_ops); NULL:
     * it does not
     */
    uint8_t *apic;
    /* a bit for each vector, atomic: what vcpu_notify() tells of; NULL: the CPU has no such thing
     */
    uint64_t *posted;
};

/*
 * Engines whose CPU can keep a guest's local APIC: x86_shared.apic holds its registers as the
 * manuals lay them out (Intel SDM vol 3 §11.4.1, AMD APM vol 2 §16.3.2). What a guest with
 * VAPIC_DELIVERS does not exit for: it takes the best interrupt of the page's IRR as soon as it
 * can, ends it by EOI, reads registers, sets its task priority, and sends itself interrupts. IRR
 * and ISR, TPR and PPR belong to the CPU while the guest runs, and nobody else may touch them then.
 * All calls: own CPU, or CPU 0 while the vCPU is loaded nowhere; they take effect at the next run.
 */
enum vapic_mode {
    VAPIC_DELIVERS = 1, /* the CPU delivers from the page */
    /*
     * the guest's APIC page is where it is at reset: accesses go to apic. Without VAPIC_DELIVERS
     * only those to TPR do
     */
    VAPIC_PAGE = 2,
    VAPIC_X2 = 4, /* MSRs 800h-83fh; only with VAPIC_DELIVERS */
};
struct vapic_ops {
    /*
     * Open: the APIC's page is there for vCPUs with VAPIC_PAGE, and must not be seen by others.
     * Closed (at first): every access to it exits. 0, -ENOMEM, -ENOSPC.
     */
    int (*window)(struct vm *, bool open);
    void (*mode)(struct vcpu *, unsigned mode);
    void (*changed)(struct vcpu *); /* we changed IRR or ISR in the page */
    /* bit: its EOI exits (EXIT_VINTC) */
    void (*eoi_exits)(struct vcpu *, const uint64_t vectors[4]);
    /*
     * Where x86_shared.posted is not NULL; any CPU: the CPU v->last_cpu, if it runs v with
     * VAPIC_DELIVERS, moves posted into the page's IRR, without an exit.
     */
    void (*notify)(struct vcpu *);
};

/* vcpu_ops.isa_ops of an engine of x86 guests; NULL: as one with no member but mode */
struct x86_engine {
    /* own CPU: what get_sysreg would give, in one call */
    void (*mode)(struct vcpu *, struct x86_mode_regs *);
    /*
     * While v's exit is handled; NULL: nobody asks. True: mode would give *r still, but for cpl
     * and, in 64-bit code, cs_base, and DR7 turns no breakpoint on. Cheaper than asking for them.
     */
    bool (*mode_same)(struct vcpu *, const struct x86_mode_regs *r);
    /*
     * Own CPU. NULL: the guest's writes to CR8 exit. Else they do not, x86_shared.tpr has the task
     * priority in bits 7:4, and the guest exits with EXIT_IRQ_WINDOW when it falls below `priority`
     * (1 to 15; 0: never).
     */
    void (*tpr_window)(struct vcpu *, unsigned priority);
    const struct vapic_ops *vapic; /* where x86_shared.apic is not NULL */
};
