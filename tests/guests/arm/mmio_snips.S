/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One instruction each for hostile_mmio.c: every form of access to the address in X1. X0, X2, X3:
 * data; X4 = 8 (an index); X5 = RAM.
 */
    .arch armv8.5-a+lse+simd+fp+crc+memtag+rcpc+sve
    .text
    .macro snip name, insn:vararg
    .pushsection .rodata.names, "aMS", @progbits, 1
1:  .asciz  "\name"
    .popsection
2:  \insn
3:  .pushsection .data.rel.ro, "aw"
    .quad   2b, 3b, 1b
    .popsection
    .endm
    .macro group op, insns:vararg
    .irp i, \insns
    snip "\i\op", \i \op
    .endr
    .endm
    .pushsection .data.rel.ro, "aw"
    .balign 8
    .globl mmio_snips
mmio_snips:
    .popsection
    group " w0, [x1]", ldrb, ldrh, ldr, ldrsb, ldrsh, ldurb, ldurh, ldur, strb, strh, str, sturb
    group " w0, [x1]", sturh, stur, ldtr, sttr, ldtrb, sttrh
    group " x0, [x1]", ldr, ldrsb, ldrsh, ldrsw, ldursw, str, ldtr, sttr
    group " w0, [x1]", ldar, ldarb, ldarh, stlr, stlrb, stlrh, ldapr
    group " x0, [x1]", ldar, stlr, ldapr
    group " w0, [x1], #4", ldr, ldrb, ldrh, str, strb, strh
    group " x0, [x1], #-8", ldr, ldrsw, str
    group " w0, [x1, #4]!", ldr, ldrsb, ldrsh, str, strh
    group " x0, [x1, #-256]!", ldr, str
    group " x0, [x1, x4]", ldr, str
    group " w0, [x1, w4, sxtw #2]", ldr, str
    group " x0, [x1, x4, lsl #3]", ldr, str
    group " x1, [x1], #8", ldr
    group " w0, w2, [x1]", ldp, stp, ldnp, stnp
    group " x0, x2, [x1]", ldp, stp, ldpsw
    group " x0, x2, [x1], #16", ldp, stp
    group " x0, x2, [x1, #-16]!", ldp, stp
    group " x0, x1, [x1]", ldp
    group " w0, [x1]", ldxr, ldaxr, ldxrb, ldaxrh
    group " x0, x2, [x1]", ldxp, ldaxp
    group " w0, w2, [x1]", stxr, stlxr, stxrb, stlxrh
    group " w0, x2, x3, [x1]", stxp, stlxp
    group " w0, w2, [x1]", ldadd, ldaddal, ldset, ldclr, ldeor, ldsmax, ldumin, swp, swpal, cas
    group " w0, w2, [x1]", casal, ldaddb, swph, casb
    group " x0, x2, [x1]", ldadd, swp, cas, ldsetl
    group " x2, x3, x2, x3, [x1]", casp
    group " q0, [x1]", ldr, str, ldur, stur
    group " d0, [x1]", ldr, str
    group " s0, [x1]", ldr, str
    group " h0, [x1]", ldr, str
    group " b0, [x1]", ldr, str
    group " q0, [x1], #16", ldr, str
    group " q0, q1, [x1]", ldp, stp
    group " d0, d1, [x1, #-16]!", ldp, stp
    group " {v0.16b}, [x1]", ld1, st1, ld1r
    group " {v0.16b-v3.16b}, [x1], #64", ld1, st1, ld4, st4
    group " {v0.s}[1], [x1]", ld1, st1
    group " {v0.2d, v1.2d}, [x1], x4", ld2, st2
    snip "prfm", prfm pldl1keep, [x1]
    snip "prfm pst", prfm pstl3strm, [x1]
    snip "dc zva", dc zva, x1
    snip "dc civac", dc civac, x1
    snip "dc ivac", dc ivac, x1
    snip "dc cvac", dc cvac, x1
    snip "dc cvau", dc cvau, x1
    snip "dc isw", dc isw, x1
    snip "ic ivau", ic ivau, x1
    snip "at s1e1r", at s1e1r, x1
    snip "at s1e0w", at s1e0w, x1
    snip "tlbi vae1is", tlbi vae1is, x1
    snip "br", br x1
    snip "ret to it", mov x30, x1; ret
    snip "exclusive pair", ldxr w0, [x1]; stxr w2, w0, [x1]
    snip "RAM exclusive, device store", ldxr w0, [x5]; str w0, [x1]; stxr w2, w0, [x5]
    snip "sve ld1", .inst 0xa400a020
    snip "sve str", .inst 0xe5804020
    snip "ldg", .inst 0xd9600020
    snip "stg", .inst 0xd9200820
    snip "ld64b", .inst 0xf83fd020
    snip "st64b", .inst 0xf83f9020
    snip "stack", mov x6, sp; mov sp, x1; str x0, [sp]; mov sp, x6
    snip "stack trap", mov x6, sp; mov sp, x1; svc #1
    .pushsection .data.rel.ro, "aw"
    .quad   0, 0, 0
    .popsection
    .section .note.GNU-stack, "", @progbits
