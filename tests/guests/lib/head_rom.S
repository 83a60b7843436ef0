/* SPDX-License-Identifier: BSD-2-Clause */
/* Entered at its first byte, in 32-bit mode: by rom.S. */
    .section .boot, "ax"
    .code32
    .globl start_entry
start_entry:
    jmp start32
    .section .note.GNU-stack, "", @progbits
