/* SPDX-License-Identifier: BSD-2-Clause */
/* Sv39 with 4 KiB and 1 GiB pages, A and D, SUM, MXR, MPRV, fences, PMP: volume II, 3.7 and 4.3. */
#include "test.inc"

enum_V = 1
enum_R = 2
enum_W = 4
enum_X = 8
enum_U = 16
enum_A = 64
enum_D = 128
#define RWX (enum_V | enum_R | enum_W | enum_X | enum_A | enum_D)

/* Entry n of the last table, for address 0x40000000 + 4096 n: `page`, with these bits. */
    .macro MAP n, bits
    la t5, page
    srli t5, t5, 2
    ori t5, t5, (\bits) & 0xff
    la t6, table0
    sd t5, 8 * \n(t6)
    sfence.vma
    .endm

test:
    li t0, -1
    csrw pmpaddr0, t0
    li t0, 0x1f
    csrw pmpcfg0, t0
/* root: 1 GiB at 0x80000000 as it is; 0x40000000 through two tables */
    la t0, root
    li t1, 0x80000000 >> 2 | RWX
    sd t1, 16(t0)
    la t1, table1
    srli t1, t1, 2
    ori t1, t1, 1
    sd t1, 8(t0)
    la t2, table1
    la t1, table0
    srli t1, t1, 2
    ori t1, t1, 1
    sd t1, 0(t2)
    srli t0, t0, 12
    li t1, 8 << 60
    or t0, t0, t1
    csrw satp, t0
    sfence.vma
    la t0, page
    li t1, 0x1234
    sd t1, 0(t0)
    sd t1, 8(t0)
    li a2, 0x40000000
    li a3, 0x40001008

/* A and D trap while Svadu is off */
    MAP 0, enum_V | enum_R | enum_W
    ENTER 1
    TRAPS 1, 13, ld a0, 0(a2)
    CHECK_REGS 2, s1, a2
    MAP 0, enum_V | enum_R | enum_W | enum_A
    ENTER 1
    ld a0, 0(a2)
    CHECK 3, a0, 0x1234
    TRAPS 4, 15, sd a0, 0(a2)
    CHECK_REGS 5, s1, a2
    MAP 0, RWX
    ENTER 1
    sd a2, 0(a2)
    TRAPS 6, 9, ecall
    la t0, page
    ld t1, 0(t0)
    CHECK 7, t1, 0x40000000
/* Svadu sets them */
    li t0, 1 << 61
    csrs 0x30a, t0
    MAP 0, enum_V | enum_R | enum_W
    ENTER 1
    ld a0, 0(a2)
    TRAPS 10, 9, ecall
    la t0, table0
    ld t1, 0(t0)
    andi t1, t1, 0xff
    CHECK 11, t1, enum_V | enum_R | enum_W | enum_A
    ENTER 1
    amoadd.w a0, zero, (a2)
    TRAPS 12, 9, ecall
    la t0, table0
    ld t1, 0(t0)
    andi t1, t1, 0xff
    CHECK 13, t1, enum_V | enum_R | enum_W | enum_A | enum_D

/* permissions */
    MAP 0, 0
    ENTER 1
    TRAPS 20, 13, lb a0, 5(a2)
    addi t0, a2, 5
    CHECK_REGS 21, s1, t0
    MAP 0, enum_V | enum_W | enum_A | enum_D /* reserved */
    ENTER 1
    TRAPS 22, 15, sb a0, 0(a2)
    MAP 0, enum_V | enum_R | enum_A
    ENTER 1
    TRAPS 23, 15, sc.w a0, a0, (a2)
    ENTER 1
    TRAPS 24, 15, amoor.d a0, a0, (a2)
    MAP 0, enum_V | enum_X | enum_A
    ENTER 1
    TRAPS 25, 13, ld a0, 0(a2)
    li t0, 0x80000 /* MXR */
    csrs mstatus, t0
    ENTER 1
    ld a0, 8(a2)
    CHECK 26, a0, 0x1234
    TRAPS 27, 9, ecall
    csrc mstatus, t0
    MAP 0, RWX | enum_U
    ENTER 1
    TRAPS 28, 13, ld a0, 0(a2)
    li t0, 0x40000 /* SUM */
    csrs mstatus, t0
    ENTER 1
    ld a0, 8(a2)
    CHECK 29, a0, 0x1234
    li s11, 30
    la s10, 1f
    jr a2 /* but no code of U in S */
1:  CHECK 31, s0, 12
    CHECK_REGS 32, s1, a2
    CHECK_REGS 33, s2, a2
    li t0, 0x40000
    csrc mstatus, t0
/* not canonical; a large page that is not aligned; a pointer with A */
    li t0, 1 << 40
    ENTER 1
    TRAPS 34, 13, ld a0, 0(t0)
    CHECK 35, s1, 1 << 40
    la t0, root
    li t1, 0x80001000 >> 2 | RWX
    sd t1, 24(t0)
    sfence.vma
    ENTER 1
    li t0, 0xc0000000
    TRAPS 36, 13, ld a0, 0(t0)
    la t0, root
    li t1, (1 << 54) | (0x80000000 >> 2) | RWX /* reserved bits */
    sd t1, 24(t0)
    sfence.vma
    ENTER 1
    li t0, 0xc0000000
    TRAPS 37, 13, ld a0, 0(t0)

/* an access that crosses: mtval is the first byte that is not there */
    MAP 0, RWX
    MAP 1, 0
    ENTER 1
    li t0, 0x40000ffc
    TRAPS 40, 15, sd a0, 0(t0)
    CHECK 41, s1, 0x40001000
    la t0, page + 0xffc
    lw t1, 0(t0)
    CHECK 42, t1, 0 /* and nothing was stored */

/* an instruction across pages */
    la t0, page + 0xffe
    li t1, 0x0001 /* c.nop, then the first half of one */
    li t1, 0x8513
    sh t1, 0(t0)
    li s11, 43
    la s10, 1f
    ENTER 1
    li t0, 0x40000ffe
    jr t0
1:  CHECK 44, s0, 12
    CHECK 45, s1, 0x40001000
    CHECK 46, s2, 0x40000ffe

/* fences: of one address, of one address space, of all */
    MAP 0, RWX
    ENTER 1
    ld a0, 8(a2)
    la t6, table0
    sd zero, 0(t6)
    sfence.vma a2, zero
    TRAPS 50, 13, ld a0, 8(a2)
/* the same for code that runs often: the page is another one at its second turn */
    MAP 0, RWX
    la t3, root
    srli t1, t3, 2
    ori t1, t1, RWX
    ENTER 1
    la t6, table0
    li t4, 2
1:  li t5, 100
2:  ld a0, 8(a2)
    addi t5, t5, -1
    bnez t5, 2b
    sd t1, 0(t6)
    sfence.vma a2, zero
    addi t4, t4, -1
    bnez t4, 1b
    ld t0, 8(t3)
    CHECK_REGS 53, a0, t0
    TRAPS 54, 9, ecall
    MAP 0, RWX
    ENTER 1
    ld a0, 8(a2)
    la t6, table0
    sd zero, 0(t6)
    li t0, 5
    sfence.vma zero, t0 /* another one: may do nothing */
    sfence.vma zero, zero
    TRAPS 51, 13, ld a0, 8(a2)
    la t0, root /* a large page by an address in its middle */
    li t1, 0x80000000 >> 2 | RWX
    sd t1, 24(t0)
    sfence.vma
    ENTER 1
    li t0, 0xc0000000
    lw a0, 0(t0)
    la t1, root
    sd zero, 24(t1)
    li t2, 0xc0123000
    sfence.vma t2, zero
    TRAPS 52, 13, lw a0, 0(t0)

/*
 * code that maps itself anew goes on in the other page, and whoever calls it next comes there, too,
 * however it went before
 */
    la s6, table0 + 16
    la s7, code_one
    srli s7, s7, 2
    ori s7, s7, RWX
    la s8, code_two
    srli s8, s8, 2
    ori s8, s8, RWX
    sd s7, 0(s6)
    sfence.vma
    li s9, 0x40002000
    li a4, 1103515245
    li a5, 400
    li a6, 1
    ENTER 1
1:  mul t5, t5, a4
    addi t5, t5, 1021
    srli t0, t5, 16
    andi t0, t0, 1
    mv t2, s7
    beqz t0, 2f
    mv t2, s8
2:  addi t3, t0, 1
    jalr s9
    bne a0, a6, 3f
    bne a1, t3, 3f
    mv a6, t3
    addi a5, a5, -1
    bnez a5, 1b
3:  TRAPS 55, 9, ecall
    CHECK_REGS 56, a5, zero

/* MPRV: loads and stores as MPP's mode, fetches as M's */
    MAP 0, RWX
    li t0, 0x1800
    csrc mstatus, t0
    li t0, 1 << 17 | 1 << 11
    csrs mstatus, t0
    ld a0, 8(a2)
    li t0, 1 << 17
    csrc mstatus, t0
    CHECK 60, a0, 0x1234

/* PMP: an entry of 8 bytes in a page that another allows; a locked one binds M-mode too */
    csrw satp, zero
    sfence.vma
    la t0, page + 0x100
    srli t0, t0, 2
    csrw pmpaddr0, t0 /* NAPOT of 8 bytes, nothing allowed */
    li t1, -1
    csrw pmpaddr1, t1
    li t1, 0x1f18
    csrw pmpcfg0, t1
    la a4, page + 0x100
    ENTER 1
    ld a0, 8(a4)
    ld a0, -8(a4)
    TRAPS 70, 5, lw a0, 4(a4)
    ENTER 1
    TRAPS 71, 7, sd a0, 0(a4)
    ENTER 1
    TRAPS 72, 5, ld a0, -4(a4) /* half in it */
    ld a0, 0(a4)
    li t1, 0x98 /* locked */
    csrs pmpcfg0, t1
    TRAPS 73, 5, ld a0, 0(a4)
    csrw pmpcfg0, zero
    csrr t1, pmpcfg0
    CHECK 74, t1, 0x98
    csrw pmpaddr0, zero
    TRAPS 75, 5, ld a0, 0(a4)
    j pass

/* The entry of the page that they run in becomes t2; a0 tells who began, a1 who went on. */
    .macro CODE n, name
    .balign 4096
\name:
    li a0, \n
    sd t2, 0(s6)
    sfence.vma s9, zero
    li a1, \n
    ret
    .endm
    CODE 1, code_one
    CODE 2, code_two
    .balign 4096

    .bss
    .balign 4096
root: .zero 4096
table1: .zero 4096
table0: .zero 4096
page: .zero 8192
