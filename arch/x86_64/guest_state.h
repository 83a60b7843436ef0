/* SPDX-License-Identifier: BSD-2-Clause */
/* guest_state.h: the registers that make up an x86 vCPU's state (vcpu_ops.sysregs). */
#pragma once
#include <hv/types.h>

/*
 * In the order in which they can be set: paging off, tables, modes, paging on; the limit of a
 * segment before its attributes. Those behind GUEST_SYSREGS are one engine's.
 */
#define GUEST_SYSREGS 61
#define SVM_SYSREGS (GUEST_SYSREGS + 1)
#define VMX_SYSREGS (GUEST_SYSREGS + 5)
extern const uint32_t svm_sysregs[SVM_SYSREGS], vmx_sysregs[VMX_SYSREGS];
