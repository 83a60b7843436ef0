/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * el2_stage2.h: the format of stage-2 tables and what goes with it. Arm ARM D8.2, D8.3; VTCR_EL2
 * D19.2.150. No host instruction.
 */
#pragma once
#include <hv/pt.h>
extern struct pt_format stage2_format; /* levels, ia_bits: by stage2_setup() */
/*
 * ipa_bits: 32..48. fwb: HCR_EL2.FWB is set (FEAT_S2FWB), which changes what MemAttr means. Before
 * the first table is made.
 */
void stage2_setup(unsigned ipa_bits, bool fwb);
/* pa_range: ID_AA64MMFR0_EL1.PARange of the CPU, at most 5. */
uint64_t stage2_vtcr(unsigned pa_range, bool vmid16);
