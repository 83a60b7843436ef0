/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A firmware's file: code alone, whose volume is a page behind its first instruction. IMAGE: the
 * guest, a flat image, which is copied into RAM; the device tree is at the start of that.
 */
    .section .rom, "ax"
#define RAM 0x40000000
code:
    b       1f
    .org 0x1000 + 40
    .ascii "_FVH"
    .balign 64
1:  mov     x0, #RAM
    add     x1, x0, #0x200000
    mov     x4, x1
    adr     x2, image
    adr     x3, image_end
2:  ldr     x5, [x2], #8
    str     x5, [x1], #8
    cmp     x2, x3
    b.lo    2b
    dsb     sy
    ic      iallu
    dsb     sy
    isb
    br      x4
    .balign 16
image:
    .incbin IMAGE
    .balign 8
image_end:
    .balign 4096
    .section .note.GNU-stack, "", @progbits
