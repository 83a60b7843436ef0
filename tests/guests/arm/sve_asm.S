/* SPDX-License-Identifier: BSD-2-Clause */
/* For sve.c. x0: Z0 to Z31, x1: P0 to P15 and FFR, as many bytes as the vectors have now. */
        .arch   armv8.2-a+sve
        .macro  z_all op
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, \
                   16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        \op     z\n, [x0, #\n, mul vl]
        .endr
        .endm
        .macro  p_all op
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        \op     p\n, [x1, #\n, mul vl]
        .endr
        .endm

        .globl  sve_load
sve_load:
        ldr     p0, [x1, #16, mul vl]
        wrffr   p0.b
        z_all   ldr
        p_all   ldr
        ret

        .globl  sve_store
sve_store:
        z_all   str
        p_all   str
        rdffr   p0.b
        str     p0, [x1, #16, mul vl]
        ldr     p0, [x1]
        ret

        .globl  sve_length
sve_length:
        rdvl    x0, #1
        ret
        .section .note.GNU-stack, "", %progbits
