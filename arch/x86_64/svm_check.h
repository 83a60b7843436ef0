/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * svm_check.h: the checks that VMRUN makes, in C: each rule names its field and what the manual
 * asks of it. AMD APM volume 2 sections 15.5.1 and 15.25.4. Pure functions of the VMCB and of what
 * the CPU has, so that a test can break each rule.
 */
#pragma once
#include <hv/types.h>

#include "vmcb.h"

/* What this machine's CPUs have. */
struct svm_limits {
    uint32_t asids;    /* number of ASIDs, 0 (the host) included */
    uint8_t phys_bits; /* of a physical address */
    uint64_t cr4_may;  /* bits of CR4 that are not reserved */
};

/* The first rule that is broken, as "FIELD: rule (section)"; NULL: none. Constant strings. */
const char *svm_check(const struct vmcb *, const struct svm_limits *);
/* CR4's bits by CPUID: leaf 1 ECX, leaf 7 EBX and ECX (APM volume 2 section 3.1.3). */
uint64_t svm_cr4_may(uint32_t l1_ecx, uint32_t l7_ebx, uint32_t l7_ecx);
