/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PVH entry note: XEN_ELFNOTE_PHYS32_ENTRY (18), entered in 32-bit protected mode with %ebx =
 * hvm_start_info.
 */
    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 8, 18
    .asciz "Xen"
    .quad start_entry
    .section .boot, "ax"
    .code32
    .globl start_entry
start_entry:
    movl $0x336ec578, %eax
    jmp start32
    .section .note.GNU-stack, "", @progbits
