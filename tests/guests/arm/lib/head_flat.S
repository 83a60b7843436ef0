/* SPDX-License-Identifier: BSD-2-Clause */
/* A raw flat image: entered at its first byte. */
    .section .head, "ax"
    .globl image_start, boot_protocol
image_start:
    b       start
    .section .rodata
boot_protocol:
    .asciz  "flat"
    .section .note.GNU-stack, "", @progbits
