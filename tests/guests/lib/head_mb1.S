/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot 1 header (Multiboot Specification 0.6.96, 3.1): page-align modules, give a memory map.
 */
    .section .boot, "ax"
    .code32
    .balign 4
    .long 0x1badb002
    .long 0x3
    .long -(0x1badb002 + 0x3)
    .globl start_entry
start_entry:
    jmp start32
    .section .note.GNU-stack, "", @progbits
