    .section .text.start, "ax"
    .globl _start
_start:
    wfi
    b _start
    .section .note.GNU-stack, "", %progbits
