/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What goes on at the warm-reset vector: real-mode code, copied to WARM_AT. Each start counts, says
 * so on COM1, and resets the processor in the next way; the last one ends the run.
 */
#define WARM_AT 0x7000
#define AT(label) (WARM_AT + (label) - warm_code)
    .section .rodata
    .global warm_code, warm_code_end
    .code16
warm_code:
    cli
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %ss
    mov $0x7000, %sp
    mov $0x0f, %al
    out %al, $0x70
    in $0x71, %al
    test %al, %al               /* firmware takes the code back */
    jnz bad
    incb AT(count)
    mov $AT(text), %si
    call say
    mov AT(count), %al
    add $'0', %al
    call put
    mov $'\n', %al
    call put
    mov $0x0f, %al
    out %al, $0x70
    mov $0x0a, %al
    out %al, $0x71
    cmpb $2, AT(count)
    jb by_kbc
    je by_port92
    cmpb $3, AT(count)
    je by_triple_fault
    mov $0x10, %al
    out %al, $0xf4
by_kbc:
    mov $0xfe, %al
    out %al, $0x64
    jmp stay
by_port92:
    xor %al, %al
    out %al, $0x92
    inc %al
    out %al, $0x92
    jmp stay
by_triple_fault:
    lidtl AT(no_idt)
    int $3
bad:
    mov $AT(bad_text), %si
    call say
    mov $0x11, %al
    out %al, $0xf4
stay:
    hlt
    jmp stay
say:
    lodsb
    test %al, %al
    jz 1f
    call put
    jmp say
1:  ret
put:
    mov %al, %ah
    mov $0x3fd, %dx
2:  in %dx, %al
    test $0x20, %al
    jz 2b
    mov $0x3f8, %dx
    mov %ah, %al
    out %al, %dx
    ret
no_idt:
    .word 0, 0, 0
count:
    .byte 0
text:
    .asciz "PASS warm start "
bad_text:
    .asciz "FAIL warm start: the shutdown code is still there\n"
warm_code_end:
    .code64
