/* SPDX-License-Identifier: BSD-2-Clause */
/* Software, timer and external interrupts: order, delegation, WFI, vectors, Sstc; PLIC, 16550. */
#include "test.inc"

#define CLINT 0x2000000
#define PLIC 0xc000000
#define UART 0x10000000
#define IRQ (1 << 63)

    .macro INTERRUPTED n, cause
    li s11, \n
    la s10, 1f
    csrsi mstatus, 8
    j fail
1:  li t6, IRQ | \cause
    bne s0, t6, fail
    bnez s1, fail
    .endm

test:
    li t0, -1
    csrw pmpaddr0, t0
    li t0, 0x1f
    csrw pmpcfg0, t0
    li a2, CLINT
/* software: MSIP */
    li t0, 0xaaa
    csrw mie, t0
    li t0, 1
    sw t0, 0(a2)
    csrr t1, mip
    CHECK 1, t1, 8
    INTERRUPTED 2, 3
    sw zero, 0(a2)
    csrr t1, mip
    CHECK 3, t1, 0
/* timer: at once, and by WFI */
    li a3, CLINT + 0x4000
    sd zero, 0(a3)
    INTERRUPTED 4, 7
    li a4, CLINT + 0xbff8
    ld t0, 0(a4)
    li t1, 20000
    add t0, t0, t1
    sd t0, 0(a3)
    csrci mstatus, 8
    wfi
    ld t1, 0(a4)
    li s11, 5
    bltu t1, t0, fail
    csrr t1, mip
    CHECK 6, t1, 0x80
    rdtime t1
    bltu t1, t0, fail
    li t0, -1
    sd t0, 0(a3)
/* the order: MEI, MSI, MTI, SEI, SSI, STI */
    li t0, 0x222
    csrw mip, t0
    INTERRUPTED 10, 9
    li t0, 0x200
    csrc mip, t0
    INTERRUPTED 11, 1
    csrci mip, 2
    INTERRUPTED 12, 5
    li t0, 1
    sw t0, 0(a2)
    INTERRUPTED 13, 3
    sw zero, 0(a2)
/* delegated ones do not reach M-mode, and S-mode only with SIE */
    li t0, 0x222
    csrw mideleg, t0
    csrci mstatus, 2
    ENTER 1
    li s11, 20
    la s10, 1f
    csrsi sstatus, 2
    j fail
1:  CHECK 21, s0, IRQ | 5
    CHECK 22, s3, 1
    csrr t0, sip
    CHECK 23, t0, 0x20
    TRAPS 24, 9, ecall
/* vectored */
    la t0, vectors + 1
    csrw stvec, t0
    ENTER 0
    j fail_here
back:
    CHECK 25, s9, 5
    TRAPS 26, 9, ecall
    li t0, 0x20
    csrc mip, t0
    la t0, trap_s
    csrw stvec, t0
/* Sstc: STIP is the comparison */
    li t0, 1 << 63
    csrs 0x30a, t0
    csrw 0x14d, zero
    csrr t0, mip
    CHECK 30, t0, 0x20
    li t0, 0x20
    csrc mip, t0
    csrr t0, mip
    CHECK 31, t0, 0x20
    li t0, -1
    csrw 0x14d, t0
    csrr t0, mip
    CHECK 32, t0, 0
    li t0, 2
    csrw mcounteren, t0
    ENTER 1
    rdtime t0
    li t1, 10000
    add t0, t0, t1
    csrw 0x14d, t0
    wfi
    rdtime t1
    li s11, 33
    bltu t1, t0, fail
    TRAPS 34, 9, ecall
    li t0, -1
    csrw 0x14d, t0
/* the serial port's transmitter through the PLIC, in M-mode and S-mode's context */
    li a5, UART
    li a6, PLIC
    li t0, 2
    sb t0, 1(a5)
    li t0, 3
    sw t0, 40(a6) /* priority of source 10 */
    li t1, PLIC + 0x2000
    li t0, 1 << 10
    sw t0, 0(t1)
    csrr t0, mip
    CHECK 40, t0, 0x800
    INTERRUPTED 41, 11
    li t1, PLIC + 0x200000
    lw t0, 4(t1)
    CHECK 42, t0, 10
    csrr t2, mip
    CHECK 43, t2, 0
    lw t2, 4(t1)
    CHECK 44, t2, 0
    lbu t2, 2(a5) /* IIR: it is answered */
    CHECK 45, t2, 2
    sw t0, 4(t1)
    csrr t2, mip
    CHECK 46, t2, 0
    li t0, 3
    sw t0, 0(t1) /* threshold */
    li t0, 0
    sb t0, 1(a5)
    li t0, 2
    sb t0, 1(a5)
    csrr t2, mip
    CHECK 47, t2, 0
    sw zero, 0(t1)
    csrr t2, mip
    CHECK 48, t2, 0x800
/* up and down again between claim and completion: it is not asked for once more */
    lw t0, 4(t1)
    CHECK 49, t0, 10
    sb zero, 1(a5)
    li t2, 2
    sb t2, 1(a5)
    sb zero, 1(a5)
    sw t0, 4(t1)
    csrr t2, mip
    CHECK 50, t2, 0
    li t3, PLIC + 0x1000
    lw t2, 0(t3)
    CHECK 51, t2, 0
/* still up at its completion: it is */
    li t2, 2
    sb t2, 1(a5)
    lw t0, 4(t1)
    CHECK 52, t0, 10
    sb zero, 1(a5)
    sb t2, 1(a5)
    lw t2, 0(t3)
    CHECK 53, t2, 0
    sw t0, 4(t1)
    csrr t2, mip
    CHECK 54, t2, 0x800
    j pass

    .balign 4
fail_here:
    j fail_here

    .balign 256
vectors:
    j fail
    j fail
    j fail
    j fail
    j fail
    li s9, 5
    la t0, back
    jr t0
