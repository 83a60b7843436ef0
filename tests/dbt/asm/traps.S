/* SPDX-License-Identifier: BSD-2-Clause */
/* Causes, mtval and mepc; delegation; returns; what each mode may not do. Volume II, 3.1 to 3.3. */
#include "test.inc"

test:
/* illegal instructions: mtval has the bits */
    TRAPS 1, 2, .word 0xffffffff
    CHECK 2, s1, 0xffffffff
    TRAPS 3, 2, .half 0
    CHECK 4, s1, 0
    TRAPS 5, 2, .word 0x30102573 + (0x1bf << 20)
    TRAPS 6, 2, csrw cycle, zero
    TRAPS 7, 2, csrw mhartid, zero
    TRAPS 8, 2, fadd.s f0, f0, f0 /* FS is off */
    TRAPS 9, 2, csrr a0, fcsr
    li t0, 0x6000
    csrs mstatus, t0
    fadd.s f0, f0, f0
    TRAPS 10, 2, .word 0x00005053 /* rounding mode 5 */
    csrwi frm, 5
    TRAPS 11, 2, fadd.s f0, f0, f0, dyn
    csrwi frm, 0
    csrr t1, mstatus
    li s11, 12
    bgez t1, fail /* SD */

    TRAPS 20, 3, ebreak
    TRAPS 21, 3, c.ebreak
    TRAPS 22, 11, ecall
    CHECK 23, s1, 0
    li t0, 0x1000
    TRAPS 24, 5, ld a0, 8(t0)
    CHECK 25, s1, 0x1008
    TRAPS 26, 7, sb a0, 1(t0)
    CHECK 27, s1, 0x1001
    li s11, 28
    la s10, 1f
    jr t0
    j fail
1:  CHECK 29, s0, 1
    CHECK 30, s1, 0x1000
    CHECK 31, s2, 0x1000

/* atomics must be aligned, others need not be, across pages too */
    la t0, page + 4094
    li t1, 0x1122334455667788
    sd t1, 0(t0)
    ld t2, 0(t0)
    CHECK_REGS 40, t1, t2
    lhu t2, 2(t0)
    CHECK 41, t2, 0x5566
    la t0, page + 2
    TRAPS 42, 6, amoadd.w a0, a0, (t0)
    CHECK_REGS 43, s1, t0
    TRAPS 44, 4, lr.w a0, (t0)
    TRAPS 45, 6, sc.w a0, a0, (t0)
    la t0, page
    sd zero, 0(t0)
    sc.w a0, t1, (t0)
    CHECK 46, a0, 1
    lr.d a1, (t0)
    sc.d a0, t1, (t0)
    CHECK 47, a0, 0
    sc.d a0, t1, (t0)
    CHECK 48, a0, 1
    lr.w a1, (t0)
    sw zero, 0(t0)
    sc.w a0, t1, (t0)
    CHECK 49, a0, 1

/* without PMP entries lower modes reach nothing */
    li s11, 50
    la s10, 2f
    ENTER 1
    j fail
2:  CHECK 51, s0, 1
    li t0, -1
    csrw pmpaddr0, t0
    li t0, 0x1f
    csrw pmpcfg0, t0
    csrr t1, pmpcfg0
    CHECK_REGS 52, t0, t1

/* ECALL from S and U; delegation to S */
    ENTER 1
    TRAPS 60, 9, ecall
    CHECK 61, s3, 3
    ENTER 0
    TRAPS 62, 8, ecall
    CHECK 63, s3, 3
    li t0, 0x100
    csrw medeleg, t0
    ENTER 0
    TRAPS 64, 8, ecall
    CHECK 65, s3, 1
    li t0, 0x100
    and t1, s4, t0
    CHECK 66, t1, 0 /* SPP: from U */
    TRAPS 67, 9, ecall
    li t0, -1
    csrw medeleg, t0
    csrr t1, medeleg
    CHECK 68, t1, 0xb3ff
    csrw medeleg, zero

/* what S may not do */
    ENTER 1
    TRAPS 70, 2, csrr a0, mstatus
    ENTER 1
    TRAPS 71, 2, mret
    ENTER 1
    TRAPS 72, 2, rdtime a0
    li t0, 7
    csrw mcounteren, t0
    ENTER 1
    rdtime a0
    rdcycle a0
    TRAPS 73, 2, csrr a0, 0x14d /* stimecmp without STCE */
    li t0, 0x100000 /* TVM */
    csrs mstatus, t0
    ENTER 1
    TRAPS 74, 2, csrr a0, satp
    ENTER 1
    TRAPS 75, 2, sfence.vma
    csrc mstatus, t0
    li t0, 0x200000 /* TW */
    csrs mstatus, t0
    ENTER 1
    TRAPS 76, 2, wfi
    csrc mstatus, t0
    li t0, 0x400000 /* TSR */
    csrs mstatus, t0
    ENTER 1
    TRAPS 77, 2, sret
    csrc mstatus, t0

/* what U may not do */
    ENTER 0
    TRAPS 80, 2, csrr a0, sstatus
    ENTER 0
    TRAPS 81, 2, sret
    ENTER 0
    TRAPS 82, 2, wfi
    ENTER 0
    TRAPS 83, 2, sfence.vma
    ENTER 0
    TRAPS 84, 2, rdtime a0 /* scounteren */
    csrwi scounteren, 7
    ENTER 0
    rdtime a0
    TRAPS 85, 8, ecall

/* WARL fields */
    li t0, -1
    csrw mideleg, t0
    csrr t1, mideleg
    CHECK 90, t1, 0x222
    csrw mie, t0
    csrr t1, mie
    CHECK 91, t1, 0xaaa
    csrr t1, sie
    CHECK 92, t1, 0x222
    csrw mie, zero
    csrw mideleg, zero
    csrw mepc, t0
    csrr t1, mepc
    CHECK 93, t1, -2
    li t0, 0x3000
    csrc mstatus, t0
    li t0, 0x1000 /* MPP 2 does not exist: it stays what it was */
    csrs mstatus, t0
    csrr t1, mstatus
    srli t1, t1, 11
    andi t1, t1, 3
    li s11, 94
    li t2, 2
    beq t1, t2, fail
    csrr t1, misa
    CHECK 95, t1, 0x800000000014112d
    li t0, 0x1000
    csrw satp, zero
    li t0, 5 << 60
    csrw satp, t0
    csrr t1, satp
    CHECK 96, t1, 0

/* counters: what is written is what the next instruction reads */
    li t0, 1000
    csrw minstret, t0
    csrr t1, minstret
    CHECK 100, t1, 1000
    csrr t1, minstret
    CHECK 101, t1, 1004 /* li, li and bne lie between */
    csrwi mcountinhibit, 5
    csrr t1, minstret
    csrr t2, minstret
    CHECK_REGS 102, t1, t2
    csrwi mcountinhibit, 0
    j pass

    .bss
    .balign 4096
page: .zero 8192
