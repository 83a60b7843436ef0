/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * switch.S: from the firmware's translation at EL2 to ours: handoff_switch(root, entry, info,
 * HCR_EL2, TCR_EL2, MAIR_EL2, SCTLR_EL2). The MMU is off in between, because HCR_EL2.E2H changes
 * what TCR_EL2 means; no memory is touched then, and the code lies clean in RAM and is mapped to
 * itself on both sides. The hypervisor is entered with x0 = struct boot_info in the direct map,
 * exceptions masked.
 */
        .text
        .globl  handoff_code, handoff_code_end, handoff_switch
        .balign 256
handoff_code:
handoff_switch:
        msr     daifset, #15
        mrs     x7, sctlr_el2
        bic     x7, x7, #1              /* M */
        bic     x7, x7, #4              /* C */
        dsb     sy
        msr     sctlr_el2, x7
        isb
        msr     hcr_el2, x3
        isb
        msr     mair_el2, x5
        msr     tcr_el2, x4
        msr     ttbr0_el2, x0
        isb
        tlbi    alle2
        ic      iallu
        dsb     sy
        isb
        msr     sctlr_el2, x6
        isb
        msr     spsel, #1
        mov     x0, x2
        br      x1
handoff_code_end:
        .section .note.GNU-stack, "", %progbits
