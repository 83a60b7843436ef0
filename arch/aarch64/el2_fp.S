/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * el2_fp.S: moves FP, SIMD and SVE registers: the only code of the hypervisor's that touches them.
 * Arm ARM C7, C8.
 */
        .arch   armv8.2-a+sve

        .text
        .globl  el2_v_save
        .type   el2_v_save, %function
el2_v_save:
        stp     q0, q1, [x0, #0]
        stp     q2, q3, [x0, #32]
        stp     q4, q5, [x0, #64]
        stp     q6, q7, [x0, #96]
        stp     q8, q9, [x0, #128]
        stp     q10, q11, [x0, #160]
        stp     q12, q13, [x0, #192]
        stp     q14, q15, [x0, #224]
        stp     q16, q17, [x0, #256]
        stp     q18, q19, [x0, #288]
        stp     q20, q21, [x0, #320]
        stp     q22, q23, [x0, #352]
        stp     q24, q25, [x0, #384]
        stp     q26, q27, [x0, #416]
        stp     q28, q29, [x0, #448]
        stp     q30, q31, [x0, #480]
        ret
        .size   el2_v_save, . - el2_v_save

        .globl  el2_v_load
        .type   el2_v_load, %function
el2_v_load:
        ldp     q0, q1, [x0, #0]
        ldp     q2, q3, [x0, #32]
        ldp     q4, q5, [x0, #64]
        ldp     q6, q7, [x0, #96]
        ldp     q8, q9, [x0, #128]
        ldp     q10, q11, [x0, #160]
        ldp     q12, q13, [x0, #192]
        ldp     q14, q15, [x0, #224]
        ldp     q16, q17, [x0, #256]
        ldp     q18, q19, [x0, #288]
        ldp     q20, q21, [x0, #320]
        ldp     q22, q23, [x0, #352]
        ldp     q24, q25, [x0, #384]
        ldp     q26, q27, [x0, #416]
        ldp     q28, q29, [x0, #448]
        ldp     q30, q31, [x0, #480]
        ret
        .size   el2_v_load, . - el2_v_load

        /* After the 32 Z registers come 16 predicates of an eighth of their length, then FFR. */
        .macro  z_all op
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, \
                   16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        \op     z\n, [x0, #\n, mul vl]
        .endr
        .endm
        .macro  p_all op
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        \op     p\n, [x2, #\n, mul vl]
        .endr
        .endm

        .globl  el2_z_save
        .type   el2_z_save, %function
el2_z_save:
        add     x2, x0, x1, lsl #5
        z_all   str
        p_all   str
        rdffr   p0.b
        str     p0, [x2, #16, mul vl]
        ldr     p0, [x2]
        ret
        .size   el2_z_save, . - el2_z_save

        .globl  el2_z_load
        .type   el2_z_load, %function
el2_z_load:
        add     x2, x0, x1, lsl #5
        ldr     p0, [x2, #16, mul vl]
        wrffr   p0.b
        z_all   ldr
        p_all   ldr
        ret
        .size   el2_z_load, . - el2_z_load

        .globl  el2_z_clear
        .type   el2_z_clear, %function
el2_z_clear:
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        pfalse  p\n\().b
        .endr
        wrffr   p0.b
        ret
        .size   el2_z_clear, . - el2_z_clear

        .globl  el2_z_length
        .type   el2_z_length, %function
el2_z_length:
        rdvl    x0, #1
        ret
        .size   el2_z_length, . - el2_z_length
        .section .note.GNU-stack, "", %progbits
