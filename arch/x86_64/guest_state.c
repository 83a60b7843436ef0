/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest_state.c: the registers that make up an x86 vCPU's state, for both engines. The general
 * registers are in struct vcpu, the task priority in the local APIC, the TSC in the machine.
 */
#include <hv/x86.h>

#include "guest_state.h"
#include "spec_entry.h"

#define MSR_STAR 0xc0000081
#define MSR_TSC_AUX 0xc0000103

#define SEG(n) \
    X86_SEG_SEL + X86_##n, X86_SEG_BASE + X86_##n, X86_SEG_LIMIT + X86_##n, X86_SEG_ATTR + X86_##n
#define COMMON                                                                                   \
    X86_CR3, X86_CR4, X86_EFER, X86_CR0, X86_CR2, X86_XCR0, X86_DR0, X86_DR1, X86_DR2, X86_DR3,  \
        X86_DR6, X86_DR7, X86_GDTR_BASE, X86_GDTR_LIMIT, X86_IDTR_BASE, X86_IDTR_LIMIT, SEG(ES), \
        SEG(CS), SEG(SS), SEG(DS), SEG(FS), SEG(GS), SEG(LDTR), SEG(TR), X86_PAT,                \
        X86_KERNEL_GS_BASE, MSR_STAR, MSR_STAR + 1, MSR_STAR + 2, MSR_STAR + 3, 0x174, 0x175,    \
        0x176, MSR_TSC_AUX, SPEC_MSR_CTRL, X86_INT_SHADOW, X86_NMI_BLOCKED

const uint32_t svm_sysregs[] = { COMMON, X86_CPL };
const uint32_t vmx_sysregs[] = { COMMON,     X86_PDPTR0, X86_PDPTR1,
                                 X86_PDPTR2, X86_PDPTR3, X86_PENDING_DEBUG };
