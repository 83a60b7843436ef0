/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions that cpu.c tries, vector state, and code for EL0. */
    .arch armv8-a+fp+simd
    .text

/* void vec_load(const struct vec *), void vec_store(struct vec *): Q0 to Q31, FPCR, FPSR */
    .globl vec_load, vec_store
vec_load:
    mov     x1, x0
    ld1     {v0.16b-v3.16b}, [x1], #64
    ld1     {v4.16b-v7.16b}, [x1], #64
    ld1     {v8.16b-v11.16b}, [x1], #64
    ld1     {v12.16b-v15.16b}, [x1], #64
    ld1     {v16.16b-v19.16b}, [x1], #64
    ld1     {v20.16b-v23.16b}, [x1], #64
    ld1     {v24.16b-v27.16b}, [x1], #64
    ld1     {v28.16b-v31.16b}, [x1], #64
    ldp     x2, x3, [x1]
    msr     fpcr, x2
    msr     fpsr, x3
    ret
vec_store:
    mov     x1, x0
    st1     {v0.16b-v3.16b}, [x1], #64
    st1     {v4.16b-v7.16b}, [x1], #64
    st1     {v8.16b-v11.16b}, [x1], #64
    st1     {v12.16b-v15.16b}, [x1], #64
    st1     {v16.16b-v19.16b}, [x1], #64
    st1     {v20.16b-v23.16b}, [x1], #64
    st1     {v24.16b-v27.16b}, [x1], #64
    st1     {v28.16b-v31.16b}, [x1], #64
    mrs     x2, fpcr
    mrs     x3, fpsr
    stp     x2, x3, [x1]
    ret

/*
 * void sve_load(const void *), void sve_store(void *): Z0 to Z31, then P0 to P15 and FFR, each as
 * long as it is; sve_bytes(): Z's length
 */
    .arch armv8.2-a+sve
    .macro z_all op
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, \
            16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    \op     z\n, [x0, #\n, mul vl]
    .endr
    .endm
    .macro p_all op
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    \op     p\n, [x1, #\n, mul vl]
    .endr
    .endm
    .globl sve_load, sve_store, sve_bytes
sve_load:
    addvl   x1, x0, #31
    addvl   x1, x1, #1
    z_all   ldr
    ldr     p0, [x1, #16, mul vl]
    wrffr   p0.b
    p_all   ldr
    ret
sve_store:
    addvl   x1, x0, #31
    addvl   x1, x1, #1
    z_all   str
    p_all   str
    rdffr   p0.b
    str     p0, [x1, #16, mul vl]
    ret
sve_bytes:
    rdvl    x0, #1
    ret
    .arch armv8-a+fp+simd

/*
 * void user_call(uint64_t pc, uint64_t spsr): never returns by itself; what the code there traps
 * with ends trap_try()
 */
    .globl user_call
user_call:
    msr     elr_el1, x0
    msr     spsr_el1, x1
    mov     x0, #1
    mov     x1, #2
    eret

    .globl user_svc, user_hvc, user_daif, user_end
user_svc:
    add     x0, x0, #41
    mrs     x1, tpidr_el0
    svc     #7
user_hvc:
    hvc     #0
user_daif:
    mrs     x0, ttbr0_el1
user_end:

/*
 * struct snip { start, end, name, changes }: the registers an instruction may change, one bit each.
 * X28 = a device's register that may be read and written, X27 = RAM, X0 = 0x84000000 (PSCI_VERSION)
 */
    .macro snip name, changes, insn:vararg
    .pushsection .rodata.names, "aMS", @progbits, 1
1:  .asciz  "\name"
    .popsection
2:  \insn
3:  .pushsection .data.rel.ro, "aw"
    .quad   2b, 3b, 1b, \changes
    .popsection
    .endm
    .pushsection .data.rel.ro, "aw"
    .balign 8
    .globl exit_snips
exit_snips:
    .popsection
    snip "hvc", 0xf, hvc #0
    snip "load w1", 2, ldr w1, [x28]
    snip "load w26", 1 << 26, ldr w26, [x28]
    snip "load w30", 0, ldr w30, [x28]
    snip "load xzr", 0, ldr wzr, [x28]
    snip "load byte", 4, ldrb w2, [x28, #1]
    snip "load half", 4, ldrh w2, [x28, #2]
    snip "store", 0, str w5, [x28, #16]
    snip "store zero", 0, str wzr, [x28, #16]
    snip "load acquire", 8, ldar w3, [x28]
    snip "load pair", 0x18, ldp w3, w4, [x28]
    snip "load post-index", 1 << 28 | 8, ldr w3, [x28], #4
    snip "mrs pfr0", 32, mrs x5, id_aa64pfr0_el1
    snip "mrs pfr0 xzr", 0, mrs xzr, id_aa64pfr0_el1
    snip "mrs mpidr", 1 << 20, mrs x20, mpidr_el1
    snip "mrs cntvct", 64, mrs x6, cntvct_el0
    snip "mrs cntpct", 64, mrs x6, cntpct_el0
    snip "mrs cntp_ctl", 1 << 29, mrs x29, cntp_ctl_el0
    snip "msr cntp_ctl", 0, msr cntp_ctl_el0, xzr
    snip "mrs actlr", 128, mrs x7, actlr_el1
    snip "mrs oslsr", 128, mrs x7, oslsr_el1
    snip "wfe", 0, sev; wfe; wfe
    snip "dc cisw", 0, dc cisw, x9
    snip "dc civac", 0, dc civac, x27
    snip "ic iallu", 0, ic iallu
    snip "tlbi", 0, tlbi vmalle1is
    snip "at", 0, at s1e1r, x27
    snip "yield", 0, yield
    .pushsection .data.rel.ro, "aw"
    .quad   0, 0, 0, 0
    .popsection

/*
 * Loads whose result must be worked out; X28 = an address, X1 gets the value, X28 is written back
 * where asked
 */
    .macro load name, size, sign, wide, back, insn:vararg
    .pushsection .rodata.names, "aMS", @progbits, 1
1:  .asciz  "\name"
    .popsection
2:  \insn
3:  .pushsection .data.rel.ro, "aw"
    .quad   2b, 3b, 1b, \size | \sign << 8 | \wide << 16 | (\back & 0xff) << 24
    .popsection
    .endm
    /* A snippet of several instructions is a macro: a semicolon would end the argument. */
    .macro to_w1 op, reg, at:vararg
    \op     \reg, \at
    umov    w1, v0.s[0]
    .endm
    .macro all_of_d
    ldur    s7, [x28]
    umov    x1, v7.d[0]
    .endm
    .macro pair_of_s
    ldp     s1, s0, [x28], #8
    fmov    w1, s1
    fmov    w2, s0
    .endm
    /* SCTLR_EL1.EE; without the MMU, for it would read its tables in that order, too */
    .macro big_endian op, swap
    mrs     x3, sctlr_el1
    orr     x4, x3, #1 << 25
    and     x4, x4, #~1
    msr     sctlr_el1, x4
    isb
    \op     w1, [x28]
    msr     sctlr_el1, x3
    isb
    \swap   w1, w1
    .endm
    .pushsection .data.rel.ro, "aw"
    .globl load_snips
load_snips:
    .popsection
    load "ldrb", 1, 0, 0, 0, ldrb w1, [x28]
    load "ldrsb w", 1, 1, 0, 0, ldrsb w1, [x28]
    load "ldrsb x", 1, 1, 1, 0, ldrsb x1, [x28]
    load "ldrh", 2, 0, 0, 0, ldrh w1, [x28]
    load "ldrsh w", 2, 1, 0, 0, ldrsh w1, [x28]
    load "ldrsh x", 2, 1, 1, 0, ldrsh x1, [x28]
    load "ldr w", 4, 0, 0, 0, ldr w1, [x28]
    load "ldrsw", 4, 1, 1, 0, ldrsw x1, [x28]
    load "ldur w", 4, 0, 0, 0, ldur w1, [x28]
    load "ldr w register", 4, 0, 0, 0, ldr w1, [x28, xzr]
    load "ldr w post", 4, 0, 0, 4, ldr w1, [x28], #4
    load "ldr w post down", 4, 0, 0, -16, ldr w1, [x28], #-16
    load "ldrb post", 1, 0, 0, 1, ldrb w1, [x28], #1
    load "ldrsb x post", 1, 1, 1, 1, ldrsb x1, [x28], #1
    load "ldrsh w post", 2, 1, 0, 2, ldrsh w1, [x28], #2
    load "ldrsw post", 4, 1, 1, 4, ldrsw x1, [x28], #4
    load "ldp w", 4, 0, 0, 0, ldp w1, w2, [x28]
    load "ldp w post", 4, 0, 0, 8, ldp w1, w2, [x28], #8
    load "ldpsw", 4, 1, 1, 0, ldpsw x1, x2, [x28]
    load "ldr b", 1, 0, 0, 0, to_w1 ldr, b0, [x28]
    load "ldr h post", 2, 0, 0, 2, to_w1 ldr, h0, [x28], #2
    load "ldr s", 4, 0, 0, 0, to_w1 ldr, s0, [x28]
    load "ldur s, all of d", 4, 0, 1, 0, all_of_d
    load "ldp s post", 4, 0, 0, 8, pair_of_s
    load "ldr w big-endian", 4, 0, 0, 0, big_endian ldr, rev
    load "ldrh w big-endian", 2, 0, 0, 0, big_endian ldrh, rev16
    .pushsection .data.rel.ro, "aw"
    .quad   0, 0, 0, 0
    .popsection
    .section .note.GNU-stack, "", @progbits
