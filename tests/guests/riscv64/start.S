/* SPDX-License-Identifier: BSD-2-Clause */
/* A Linux Image's header, where harts begin, and their traps. */
#include "riscv.h"

    .section .text.start, "ax"
    .globl _start
_start:
    j 1f
    .balign 8
    .dword 0x200000                 /* text_offset */
    .dword image_end - _start       /* image_size */
    .dword 0, 2, 0                  /* flags, version, reserved */
    .ascii "RISCV\0\0\0"
    .ascii "RSC\x05"
    .word 0
1:  la sp, stacks + STACK
    la t0, trap
    csrw stvec, t0
    call kernel
2:  j 2b

/* Where SBI starts another hart: a0 its number, a1 its stack's end. */
    .globl second
second:
    mv sp, a1
    la t0, trap
    csrw stvec, t0
    call second_hart
3:  wfi
    j 3b

/* The same for one that tells at a1 what the instruction `twice` says, and stops. */
    .globl third, twice
    .option push
    .option norvc
    .balign 4096
third:
    li t0, 1000
twice:
    li a0, 1
    addi t0, t0, -1
    bnez t0, twice
    sd a0, 0(a1)
    li a7, 0x48534d
    li a6, 1
    ecall
    .balign 4096
    .option pop

/*
 * An exception during a probe goes on at `resume`, with its cause; others, and interrupts, are for
 * C. All that a caller need not save is saved.
 */
    .balign 4
trap:
    addi sp, sp, -136
    sd ra, 0(sp)
    sd t0, 8(sp)
    sd t1, 16(sp)
    sd t2, 24(sp)
    sd a0, 32(sp)
    sd a1, 40(sp)
    sd a2, 48(sp)
    sd a3, 56(sp)
    sd a4, 64(sp)
    sd a5, 72(sp)
    sd a6, 80(sp)
    sd a7, 88(sp)
    sd t3, 96(sp)
    sd t4, 104(sp)
    sd t5, 112(sp)
    sd t6, 120(sp)
    csrr a0, scause
    csrr a1, sepc
    csrr a2, stval
    call on_trap
    csrw sepc, a0
    ld ra, 0(sp)
    ld t0, 8(sp)
    ld t1, 16(sp)
    ld t2, 24(sp)
    ld a0, 32(sp)
    ld a1, 40(sp)
    ld a2, 48(sp)
    ld a3, 56(sp)
    ld a4, 64(sp)
    ld a5, 72(sp)
    ld a6, 80(sp)
    ld a7, 88(sp)
    ld t3, 96(sp)
    ld t4, 104(sp)
    ld t5, 112(sp)
    ld t6, 120(sp)
    addi sp, sp, 136
    sret

/* uint64_t probe_load(uint64_t at), probe_store(at), probe_jump(at): the cause, 0 without. */
    .macro probe name, insn:vararg
    .globl \name
\name:
    la t0, resume
    la t1, 1f
    sd t1, 0(t0)
    la t2, cause
    sd zero, 0(t2)
    mv t3, ra
    \insn
1:  sd zero, 0(t0)
    la t2, cause
    ld a0, 0(t2)
    mv ra, t3
    ret
    .endm
    probe probe_load, ld t1, 0(a0)
    probe probe_store, sd a0, 0(a0)
    probe probe_amo, amoadd.d t1, a0, (a0)
    probe probe_jump, jalr a0

    .section .bss
    .balign 16
stacks:
    .space STACK * HARTS
    .globl stacks
