/*
 * entry.S: where the loader jumps to (rdi = struct boot_info, in the direct map), the exception and interrupt stubs, and
 * the code that every further CPU starts with. Interrupts are off. Stacks are given by C.
 */
        .section .text.start, "ax"
        .globl  _start
_start: lea     boot_stack_top(%rip), %rsp
        xor     %ebp, %ebp
        push    %rbp                    /* ends the back trace */
        push    %rbp
        mov     %rsp, %rbp
        mov     %rdi, %rbx
        call    x86_boot_percpu
        mov     %rbx, %rdi
        call    hv_main
1:      cli
        hlt
        jmp     1b

/*
 * Calls fn(arg) on the stack whose top is rdx, and never returns: void x86_on_stack(fn, arg, top). The old stack is left.
 */
        .text
        .globl  x86_on_stack
x86_on_stack:
        mov     %rdx, %rsp
        mov     %rdi, %rax
        mov     %rsi, %rdi
        xor     %ebp, %ebp
        push    %rbp
        push    %rbp
        mov     %rsp, %rbp
        call    *%rax
        ud2

/* One stub per vector, 16 bytes each: error code (0 where the CPU pushes none), vector, common part. */
        .balign 16
        .globl  x86_stubs
x86_stubs:
        vec = 0
        .rept   256
        .balign 16
        .if     !(vec == 8 || (vec >= 10 && vec <= 14) || vec == 17 || vec == 21 || vec == 29 || vec == 30)
        push    $0
        .endif
        push    $vec
        jmp     x86_stub_common
        vec = vec + 1
        .endr

/* The order of the pushes is struct x86_frame, in reverse. */
        .balign 16
x86_stub_common:
        cld
        push    %rax
        push    %rcx
        push    %rdx
        push    %rbx
        push    %rbp
        push    %rsi
        push    %rdi
        push    %r8
        push    %r9
        push    %r10
        push    %r11
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %rsp, %rdi
        call    x86_trap
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %r11
        pop     %r10
        pop     %r9
        pop     %r8
        pop     %rdi
        pop     %rsi
        pop     %rbp
        pop     %rbx
        pop     %rdx
        pop     %rcx
        pop     %rax
        add     $16, %rsp
        iretq

        .section .bss
        .balign 4096
        .globl  boot_stack, boot_stack_top
boot_stack:
        .space  32768
boot_stack_top:
        .section .note.GNU-stack, "", @progbits
