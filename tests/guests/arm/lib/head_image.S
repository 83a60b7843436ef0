/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The header of a Linux Image (Documentation/arm64/booting.rst): 4 KiB pages, anywhere in memory,
 * at an offset from 2 MiB.
 */
    .section .head, "ax"
    .globl image_start, boot_protocol
image_start:
    nop
    b       start
    .quad   0x10000                 /* text_offset */
    .quad   image_size
    .quad   0xa
    .quad   0, 0, 0
    .long   0x644d5241              /* "ARM\x64" */
    .long   0
    .section .rodata
boot_protocol:
    .asciz  "image"
    .section .note.GNU-stack, "", @progbits
