/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of an x86 guest's system registers, shared by the x86 backends and hv/guest/x86_64. MSR
 * numbers are themselves.
 */
#pragma once
#include <hv/types.h>
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
 * What decides how a vCPU's instructions and addresses are read, in one call of the engine
 * (vcpu_ops.x86_mode). Attributes as above; cs_base as it is in the register.
 */
/* stamp: the engine's own, for x86_mode_same */
struct x86_mode_regs {
    uint64_t cr0, cr3, cr4, efer, cs_base;
    uint16_t cs_attr;
    uint8_t cpl;
    uint64_t stamp;
};
