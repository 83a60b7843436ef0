/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * el2_sysregs.c: the table of el2_sysregs.h, sorted. Arm ARM C5.3, C5.4 and D19; encodings op0,
 * op1, CRn, CRm, op2.
 */
#include <hv/arm.h>

#include "el2_sysregs.h"

#define ONE(a, b, c, d, e) ARM_SYSREG(a, b, c, d, e), ARM_SYSREG(a, b, c, d, e)
#define RANGE(a, b, c, d, e, c2, d2, e2) ARM_SYSREG(a, b, c, d, e), ARM_SYSREG(a, b, c2, d2, e2)

const struct sysreg_trap sysreg_traps[] = {
    { ONE(1, 0, 7, 6, 2), "DC ISW", TRAP_SET_WAY },
    { ONE(1, 0, 7, 10, 2), "DC CSW", TRAP_SET_WAY },
    { ONE(1, 0, 7, 14, 2), "DC CISW", TRAP_SET_WAY },
    { RANGE(2, 0, 0, 0, 0, 0, 15, 7), "DBGBVR<n>_EL1 .. DBGWCR<n>_EL1, MDSCR_EL1, MDCCINT_EL1",
      TRAP_DEBUG },
    { ONE(2, 0, 1, 0, 0), "MDRAR_EL1", TRAP_RAZ },
    { ONE(2, 0, 1, 0, 4), "OSLAR_EL1", TRAP_RAZ_WI },
    { ONE(2, 0, 1, 1, 4), "OSLSR_EL1", TRAP_OSLSR },
    { ONE(2, 0, 1, 3, 4), "OSDLR_EL1", TRAP_RAZ_WI },
    { ONE(2, 0, 1, 4, 4), "DBGPRCR_EL1", TRAP_RAZ_WI },
    { ONE(2, 0, 7, 8, 6), "DBGCLAIMSET_EL1", TRAP_RAZ_WI },
    { ONE(2, 0, 7, 9, 6), "DBGCLAIMCLR_EL1", TRAP_RAZ_WI },
    { ONE(2, 0, 7, 14, 6), "DBGAUTHSTATUS_EL1", TRAP_RAZ },
    { RANGE(2, 1, 0, 0, 0, 15, 15, 7), "TRC*", TRAP_UNDEF },
    { ONE(2, 3, 0, 1, 0), "MDCCSR_EL0", TRAP_RAZ },
    { ONE(2, 3, 0, 4, 0), "DBGDTR_EL0", TRAP_RAZ_WI },
    { ONE(2, 3, 0, 5, 0), "DBGDTRTX_EL0, DBGDTRRX_EL0", TRAP_RAZ_WI },
    { ONE(3, 0, 0, 0, 6), "REVIDR_EL1", TRAP_RAZ },
    { RANGE(3, 0, 0, 1, 0, 0, 7, 7), "ID_*", TRAP_ID },
    { ONE(3, 0, 1, 0, 0), "SCTLR_EL1", TRAP_VM },
    { ONE(3, 0, 1, 0, 1), "ACTLR_EL1", TRAP_RAZ_WI },
    { RANGE(3, 0, 1, 0, 5, 1, 0, 6), "RGSR_EL1, GCR_EL1", TRAP_UNDEF },
    { RANGE(3, 0, 1, 2, 1, 1, 2, 6), "TRFCR_EL1, SMPRI_EL1, SMCR_EL1", TRAP_UNDEF },
    { RANGE(3, 0, 2, 0, 0, 2, 0, 2), "TTBR0_EL1, TTBR1_EL1, TCR_EL1", TRAP_VM },
    { ONE(3, 0, 2, 0, 3), "TCR2_EL1", TRAP_UNDEF },
    { RANGE(3, 0, 5, 1, 0, 5, 1, 1), "AFSR0_EL1, AFSR1_EL1", TRAP_VM },
    { ONE(3, 0, 5, 2, 0), "ESR_EL1", TRAP_VM },
    { RANGE(3, 0, 5, 3, 0, 5, 5, 7), "ERRIDR_EL1, ERRSELR_EL1, ERX*_EL1", TRAP_RAZ_WI },
    { RANGE(3, 0, 5, 6, 0, 5, 6, 1), "TFSR_EL1, TFSRE0_EL1", TRAP_UNDEF },
    { ONE(3, 0, 6, 0, 0), "FAR_EL1", TRAP_VM },
    { RANGE(3, 0, 9, 9, 0, 9, 14, 7), "PMS*_EL1, TRB*_EL1, PMINTEN*_EL1, PMMIR_EL1", TRAP_UNDEF },
    { ONE(3, 0, 10, 2, 0), "MAIR_EL1", TRAP_VM },
    { ONE(3, 0, 10, 3, 0), "AMAIR_EL1", TRAP_VM },
    { RANGE(3, 0, 10, 4, 0, 10, 4, 7), "LORSA_EL1, LOREA_EL1, LORN_EL1, LORC_EL1, LORID_EL1",
      TRAP_UNDEF },
    { ONE(3, 0, 13, 0, 1), "CONTEXTIDR_EL1", TRAP_VM },
    { ONE(3, 0, 13, 0, 7), "SCXTNUM_EL1", TRAP_UNDEF },
    { ONE(3, 1, 0, 0, 4), "GMID_EL1", TRAP_UNDEF },
    { ONE(3, 1, 0, 0, 6), "SMIDR_EL1", TRAP_UNDEF },
    { ONE(3, 1, 0, 0, 7), "AIDR_EL1", TRAP_RAZ },
    { RANGE(3, 3, 9, 12, 0, 9, 14, 7), "PMCR_EL0 .. PMOVSSET_EL0, PMUSERENR_EL0", TRAP_UNDEF },
    { ONE(3, 3, 13, 0, 5), "TPIDR2_EL0", TRAP_UNDEF },
    { ONE(3, 3, 13, 0, 7), "SCXTNUM_EL0", TRAP_UNDEF },
    { RANGE(3, 3, 13, 2, 0, 13, 15, 7), "AM*_EL0", TRAP_UNDEF },
    { RANGE(3, 3, 14, 8, 0, 14, 15, 7), "PMEVCNTR<n>_EL0, PMEVTYPER<n>_EL0, PMCCFILTR_EL0",
      TRAP_UNDEF },
};
const unsigned sysreg_trap_count = ARRAY_SIZE(sysreg_traps);

enum trap_act sysreg_trap_act(uint32_t id)
{
    unsigned lo = 0, hi = ARRAY_SIZE(sysreg_traps);

    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;

        if (id < sysreg_traps[mid].first)
            hi = mid;
        else if (id > sysreg_traps[mid].last)
            lo = mid + 1;
        else
            return sysreg_traps[mid].act;
    }
    return TRAP_FORWARD;
}
