/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Formats of Arm's translation tables with the 4 KiB granule (Arm ARM D8.3), for whoever walks
 * them: CPUs at EL2 and SMMUs. They are templates: ia_bits, levels and clean_to_ram are set in a
 * copy before the first table is made. No host instruction.
 */
#pragma once
#include <hv/pt.h>

/* What MemAttr of stage 2 means with FEAT_S2FWB (STE.S2FWB), and without. */
extern const struct pt_format pt_arm_stage2, pt_arm_stage2_fwb;
/*
 * Stage 1 for devices: of one ASID, for unprivileged accesses, with PT_ARM_MAIR. What may be
 * written may be read; with neither nothing is reached.
 */
extern const struct pt_format pt_arm_stage1;
#define PT_ARM_MAIR 0x0444ffull /* index 0, 1, 2: write-back, non-cacheable, device nGnRE */

/*
 * Of a copy: addresses of `bits` (32..48). Stage 2 begins at level 0 above 43 bits, else at level 1
 * with up to 16 tables in a row (D8.2.5); stage 1 begins at level 0 above 39 bits, else at level 1.
 */
void pt_arm_set_bits(struct pt_format *, unsigned bits);
/*
 * T0SZ, SL0, IRGN0, ORGN0, SH0, TG0 and PS of VTCR_EL2 for such a format (D19.2.150), which STE
 * has in the same order (Arm IHI 0070 section 5.2, S2T0SZ on). pa_range: as PARange has it, at most
 * 5. coherent: the walks look into the inner-shareable caches.
 */
uint64_t pt_arm_vtcr(const struct pt_format *, unsigned pa_range, bool coherent);
