/* SPDX-License-Identifier: BSD-2-Clause */
/* pt_stage2.c: the format of this machine's stage-2 tables (hv/mm/pt_arm.c), and VTCR_EL2. */
#include "el2_stage2.h"

#include <hv/pt_arm.h>

struct pt_format stage2_format;

void stage2_setup(unsigned ipa_bits, bool fwb)
{
    stage2_format = fwb ? pt_arm_stage2_fwb : pt_arm_stage2;
    pt_arm_set_bits(&stage2_format, ipa_bits);
}

/*
 * Tables in inner-shareable write-back memory; access flag and dirty state are not the hardware's
 * to write.
 */
uint64_t stage2_vtcr(unsigned pa_range, bool vmid16)
{
    return pt_arm_vtcr(&stage2_format, pa_range, true) | (vmid16 ? 1ull << 19 : 0) | 1ull << 31;
}
