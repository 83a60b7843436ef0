/* SPDX-License-Identifier: BSD-2-Clause */
/* font.S: the console's font, as Debian packages it. */
        .section .rodata
        .globl  fb_font, fb_font_end
        .balign 16
fb_font:
        .incbin FONT
fb_font_end:
        .section .note.GNU-stack, "", %progbits
