/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * el2_entry.S: into the guest and out again.
 *
 * uint32_t el2_enter(struct vcpu_regs *regs, uint64_t *ia)
 *
 * ERET synchronises the context (Arm ARM D1.3.3), so that what load() and run() wrote holds in the
 * guest. The vectors of lower exception levels (entry.S) branch to el2_exit_*, with every general
 * register the guest's and SP the host's, as el2_enter left it; or to el2_exit_*_saved, with x0 and
 * x1 on the stack already.
 */
#include "sysreg.h"

#define GPR(n) ((n) * 8)
#define REGS_PC 256
#define REGS_FLAGS 272
#define FRAME 112
#define FRAME_REGS 96

        .text
        .globl  el2_enter
        .type   el2_enter, %function
el2_enter:
        stp     x29, x30, [sp, #-FRAME]!
        mov     x29, sp
        stp     x19, x20, [sp, #16]
        stp     x21, x22, [sp, #32]
        stp     x23, x24, [sp, #48]
        stp     x25, x26, [sp, #64]
        stp     x27, x28, [sp, #80]
        stp     x0, x1, [sp, #FRAME_REGS]
        cbz     x1, 1f
        ldp     x2, x3, [x1]
        msr     APIAKEYLO_EL1, x2
        msr     APIAKEYHI_EL1, x3
1:      ldr     x1, [x0, #REGS_PC]
        ldr     x2, [x0, #REGS_FLAGS]
        msr     elr_el2, x1
        msr     spsr_el2, x2
        ldp     x2, x3, [x0, #GPR(2)]
        ldp     x4, x5, [x0, #GPR(4)]
        ldp     x6, x7, [x0, #GPR(6)]
        ldp     x8, x9, [x0, #GPR(8)]
        ldp     x10, x11, [x0, #GPR(10)]
        ldp     x12, x13, [x0, #GPR(12)]
        ldp     x14, x15, [x0, #GPR(14)]
        ldp     x16, x17, [x0, #GPR(16)]
        ldp     x18, x19, [x0, #GPR(18)]
        ldp     x20, x21, [x0, #GPR(20)]
        ldp     x22, x23, [x0, #GPR(22)]
        ldp     x24, x25, [x0, #GPR(24)]
        ldp     x26, x27, [x0, #GPR(26)]
        ldp     x28, x29, [x0, #GPR(28)]
        ldr     x30, [x0, #GPR(30)]
        ldp     x0, x1, [x0]
        eret
        /* No speculation beyond. */
        dsb     nsh
        isb
        .size   el2_enter, . - el2_enter

        .macro  exit name, kind
        .globl  \name
        .type   \name, %function
\name:
        stp     x0, x1, [sp, #-16]!
        .globl  \name\()_saved
\name\()_saved:
        mov     x1, #\kind
        b       el2_exit
        .size   \name, . - \name
        .endm

        exit    el2_exit_irq, 1
        exit    el2_exit_fiq, 2
        exit    el2_exit_serror, 3

        .globl  el2_exit_sync
        .type   el2_exit_sync, %function
el2_exit_sync:
        stp     x0, x1, [sp, #-16]!
        .globl  el2_exit_sync_saved
el2_exit_sync_saved:
        mov     x1, #0
el2_exit:
        ldr     x0, [sp, #16 + FRAME_REGS]
        stp     x2, x3, [x0, #GPR(2)]
        stp     x4, x5, [x0, #GPR(4)]
        stp     x6, x7, [x0, #GPR(6)]
        stp     x8, x9, [x0, #GPR(8)]
        stp     x10, x11, [x0, #GPR(10)]
        stp     x12, x13, [x0, #GPR(12)]
        stp     x14, x15, [x0, #GPR(14)]
        stp     x16, x17, [x0, #GPR(16)]
        stp     x18, x19, [x0, #GPR(18)]
        stp     x20, x21, [x0, #GPR(20)]
        stp     x22, x23, [x0, #GPR(22)]
        stp     x24, x25, [x0, #GPR(24)]
        stp     x26, x27, [x0, #GPR(26)]
        stp     x28, x29, [x0, #GPR(28)]
        str     x30, [x0, #GPR(30)]
        ldp     x2, x3, [sp], #16
        ldr     x6, [sp, #FRAME_REGS + 8]
        cbz     x6, 1f
        mrs     x7, APIAKEYLO_EL1
        mrs     x8, APIAKEYHI_EL1
        stp     x7, x8, [x6]
        adrp    x6, arm_host_key
        add     x6, x6, :lo12:arm_host_key
        ldp     x7, x8, [x6]
        msr     APIAKEYLO_EL1, x7
        msr     APIAKEYHI_EL1, x8
        isb
1:      mrs     x4, elr_el2
        mrs     x5, spsr_el2
        stp     x2, x3, [x0]
        str     x4, [x0, #REGS_PC]
        str     x5, [x0, #REGS_FLAGS]
        mov     x0, x1
        /*
         * What the guest left, and our key, steer no speculation of ours: x1 to x18 get what our
         * stack has for x19 to x28.
         */
        ldp     x1, x2, [sp, #16]
        ldp     x3, x4, [sp, #32]
        ldp     x5, x6, [sp, #48]
        ldp     x7, x8, [sp, #64]
        ldp     x9, x10, [sp, #80]
        ldp     x11, x12, [sp, #16]
        ldp     x13, x14, [sp, #32]
        ldp     x15, x16, [sp, #48]
        ldp     x17, x18, [sp, #64]
        ldp     x19, x20, [sp, #16]
        ldp     x21, x22, [sp, #32]
        ldp     x23, x24, [sp, #48]
        ldp     x25, x26, [sp, #64]
        ldp     x27, x28, [sp, #80]
        ldp     x29, x30, [sp], #FRAME
        ret
        .size   el2_exit_sync, . - el2_exit_sync
        .section .note.GNU-stack, "", %progbits
