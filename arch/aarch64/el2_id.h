/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * el2_id.h: what a guest reads in the CPU's ID registers, decided in one place. Arm ARM D19.2,
 * ID_AA64PFR0_EL1 and following. The space is op0 3, op1 0, CRn 0, CRm 1 to 7: what is not listed
 * reads as zero, which says "not there". No host instruction.
 */
#pragma once
#include <hv/types.h>

#define ID_FIRST_CRM 1u
#define ID_COUNT 56u /* CRm 1..7, op2 0..7 */
#define ID_INDEX(crm, op2) (((crm)-ID_FIRST_CRM) * 8 + (op2))
#define ID_AA64PFR0 ID_INDEX(4, 0)
#define ID_AA64PFR1 ID_INDEX(4, 1)
#define ID_AA64ZFR0 ID_INDEX(4, 4)
#define ID_AA64SMFR0 ID_INDEX(4, 5)
#define ID_AA64DFR0 ID_INDEX(5, 0)
#define ID_AA64ISAR0 ID_INDEX(6, 0)
#define ID_AA64ISAR1 ID_INDEX(6, 1)
#define ID_AA64ISAR2 ID_INDEX(6, 2)
#define ID_AA64MMFR0 ID_INDEX(7, 0)
#define ID_AA64MMFR1 ID_INDEX(7, 1)
#define ID_AA64MMFR2 ID_INDEX(7, 2)

/* What the engine cannot or does not give on this host. */
struct id_policy {
    bool gicv3, sve, pauth;
};
/* host: the CPU's own value. */
uint64_t id_guest_value(const struct id_policy *, unsigned index, uint64_t host);
/* Of two CPUs: what both have. */
uint64_t id_common(unsigned index, uint64_t a, uint64_t b);
/*
 * Memory partitioning, whose registers EL1 may use unless MPAM2_EL2 says otherwise (DDI 0598, 5.2
 * and 9.7.9): of ID_AA64PFR0_EL1 and PFR1.
 */
bool id_has_mpam(uint64_t pfr0, uint64_t pfr1);
/* TRAPMPAM1EL1, TRAPMPAM0EL1; the rest 0: partition 0, no EL1 access to SM's */
#define MPAM2_TRAPS (3ull << 48)
/* By MRS encoding; false: not in the space. */
bool id_index(uint32_t id, unsigned *index);
/* NULL: not listed. */
const char *id_name(unsigned index);
