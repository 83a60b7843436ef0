/* Entry on ARM64: x0 = struct boot_info *. A stack, this_cpu() of the boot CPU, then the portable code. */
    .section .text.start, "ax"
    .globl _start
_start:
    adrp x1, boot_stack_top
    add x1, x1, :lo12:boot_stack_top
    mov sp, x1
    adrp x1, percpus
    add x1, x1, :lo12:percpus
    msr tpidr_el2, x1
    mov x29, xzr
    mov x30, xzr
    bl hv_main
1:  wfi
    b 1b

    .section .bss
    .balign 16
    .space 16384
boot_stack_top:
    .section .note.GNU-stack, "", %progbits
