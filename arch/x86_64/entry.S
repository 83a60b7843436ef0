/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * entry.S: where the loader jumps to (rdi = struct boot_info, in the direct map), the exception and
 * interrupt stubs, and the code that every further CPU starts with. Interrupts are off. Stacks are
 * given by C.
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
        call    stack_guard_init
        mov     %rbx, %rdi
        call    hv_main
1:      cli
        hlt
        jmp     1b

/*
 * Calls fn(arg) on the stack whose top is rdx, and never returns: void x86_on_stack(fn, arg, top).
 * The old stack is left.
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

/*
 * bool arch_probe(enum probe what, const void *at): reads, writes (what it has read) or executes at
 * `at`, and returns whether that faulted. trap.c sends the fault to x86_probe_fault while
 * x86_probe_sp is set.
 */
        .globl  arch_probe, x86_probe_fault, arch_a_return
arch_probe:
        push    %rbp
        mov     %rsp, %rbp
        mov     %rsp, x86_probe_sp(%rip)
        cmp     $1, %edi
        ja      2f
        mov     (%rsi), %al
        jb      3f
        mov     %al, (%rsi)
        jmp     3f
2:      call    *%rsi
3:      xor     %eax, %eax
4:      movq    $0, x86_probe_sp(%rip)
        pop     %rbp
arch_a_return:
        ret
x86_probe_fault:
        mov     x86_probe_sp(%rip), %rsp
        mov     $1, %eax
        jmp     4b

/*
 * One stub per vector, 16 bytes each: error code (0 where the CPU pushes none), vector, common
 * part.
 */
        .balign 16
        .globl  x86_stubs
x86_stubs:
        vec = 0
        .rept   256
        .balign 16
        .if     !(vec == 8 || (vec >= 10 && vec <= 14) || vec == 17 || vec == 21 || \
                  vec == 29 || vec == 30)
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

/*
 * How every further CPU starts: smp.c copies this to a page below 1 MiB, fills in the parameters at
 * its end, and sends the page's number as start-up IPI (AMD APM volume 2 section 16.5; mode
 * switches: section 14.6). One CPU at a time.
 */
        .section .rodata
        .globl  x86_ap_code, x86_ap_params, x86_ap_code_end
        .balign 64
x86_ap_code:
        .code16
        cli
        cld
        xor     %ebx, %ebx
        mov     %cs, %bx
        mov     %bx, %ds
        shl     $4, %ebx                /* where this page lies */
        lgdtl   ap_gdtr - x86_ap_code
        mov     %cr0, %eax
        or      $1, %eax
        mov     %eax, %cr0
        ljmpl   *(ap_far32 - x86_ap_code)
        .code32
ap_32:  mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     $0x620, %eax            /* PAE, OSFXSR, OSXMMEXCPT */
        mov     %eax, %cr4
        mov     (ap_low_root - x86_ap_code)(%ebx), %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx
        rdmsr
        or      $0x900, %eax            /* LME, NXE */
        wrmsr
        mov     $0x80010033, %eax       /* PG, WP, NE, ET, MP, PE; caches on */
        mov     %eax, %cr0
        ljmpl   *(ap_far64 - x86_ap_code)(%ebx)
        .code64
ap_64:  mov     (ap_root - x86_ap_code)(%rbx), %rax
        mov     (ap_stack - x86_ap_code)(%rbx), %rsp
        mov     (ap_cpu - x86_ap_code)(%rbx), %rdi
        mov     (ap_entry - x86_ap_code)(%rbx), %rcx
        jmp     *%rcx
        .balign 8
x86_ap_params:                          /* struct ap_params in smp.c */
ap_gdt: .quad   0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff
ap_gdtr:
        .word   31
        .long   ap_gdt - x86_ap_code    /* + page */
        .word   0
ap_far32:
        .long   ap_32 - x86_ap_code     /* + page */
        .word   0x18, 0
ap_far64:
        .long   ap_64 - x86_ap_code     /* + page */
        .word   0x08, 0
ap_low_root:
        .quad   0
ap_root:
        .quad   0
ap_stack:
        .quad   0
ap_cpu: .quad   0
ap_entry:
        .quad   0
x86_ap_code_end:

        .text
        .globl  x86_ap_start
x86_ap_start:                           /* in the image: the start-up page is no longer needed */
        mov     %rax, %cr3
        xor     %ebp, %ebp
        push    %rbp
        push    %rbp
        mov     %rsp, %rbp
        call    x86_ap_entry
        ud2

        .section .bss
        .balign 4096
        .globl  boot_stack_guard, boot_stack_top, x86_probe_sp
x86_probe_sp:
        .quad   0
        .balign 4096
boot_stack_guard:
        .space  4096
        .space  32768
boot_stack_top:
        .section .note.GNU-stack, "", @progbits
