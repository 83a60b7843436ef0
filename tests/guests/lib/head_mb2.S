/* SPDX-License-Identifier: BSD-2-Clause */
/* Multiboot 2 header (Multiboot2 Specification 2.0, 3.1): no optional tags. */
    .section .boot, "ax"
    .code32
    .balign 8
mb2_header:
    .long 0xe85250d6
    .long 0
    .long mb2_end - mb2_header
    .long -(0xe85250d6 + (mb2_end - mb2_header))
    .short 0, 0
    .long 8
mb2_end:
    .globl start_entry
start_entry:
    jmp start32
    .section .note.GNU-stack, "", @progbits
