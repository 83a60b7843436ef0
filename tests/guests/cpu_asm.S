/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of the cpu tests that C cannot say: vector state, single steps, user mode, and a trip
 * to real mode.
 */
    .text
    .code64

/*
 * void vec_load(const void *image): 512 bytes for %ymm0..15, then eight x87 registers of 10 bytes,
 * 16 bytes each.
 */
    .globl vec_load
vec_load:
    testl $1, vec_avx
    jz 1f
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmovdqu \n * 32(%rdi), %ymm\n
    .endr
    jmp 2f
1:  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movdqu \n * 32(%rdi), %xmm\n
    .endr
2:  fninit
    .irp n, 7, 6, 5, 4, 3, 2, 1, 0
    fldt 512 + \n * 16(%rdi)
    .endr
    ret

    .globl vec_store
vec_store:
    testl $1, vec_avx
    jz 1f
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmovdqu %ymm\n, \n * 32(%rdi)
    .endr
    jmp 2f
1:  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movdqu %xmm\n, \n * 32(%rdi)
    .endr
2:  .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    fstpt 512 + \n * 16(%rdi)
    .endr
    ret

/* uint64_t user_call(uint64_t arg): ring 3, then SYSCALL back; the SYSCALL's entry adds 1. */
    .globl user_call, syscall_entry
user_call:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, user_saved_rsp
    movq %rdi, %rax
    leaq 1f(%rip), %rcx
    movl $2, %r11d
    leaq user_stack_top(%rip), %rsp
    sysretq
1:  addq $0x100, %rax               /* in ring 3 */
    movw %cs, %bx
    movzwl %bx, %ebx
    pushq %rax
    pushq %rbx
    xorl %eax, %eax
    xorl %ecx, %ecx
    cpuid
    popq %rbx
    popq %rax
    syscall
    ud2
syscall_entry:
    movq user_saved_rsp, %rsp
    addq $1, %rax
    shlq $32, %rbx
    orq %rbx, %rax
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

/*
 * uint32_t real_mode(void): goes to real mode at 0x9000, works there, comes back; returns what it
 * counted.
 */
    .globl real_mode
real_mode:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, real_saved_rsp
    pushq $0x18
    pushq $real_32
    lretq
    .code32
real_32:
    movl $0x10, %eax
    movl %eax, %ss
    movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0                 /* paging off: leaves long mode */
    movl $0xc0000080, %ecx
    rdmsr
    andl $~0x100, %eax
    wrmsr
    movl $0x38, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    ljmp $0x30, $0x9000

    .code16
    .globl real_code, real_code_end
real_code:
    movl %cr0, %eax
    andb $0xfe, %al
    movl %eax, %cr0
    ljmpw $0, $real_flat - real_code + 0x9000
real_flat:
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x9000, %sp
    lidtl real_idt - real_code + 0x9000
    xorl %ebp, %ebp
    xorl %eax, %eax                 /* exits of several kinds */
    xorl %ecx, %ecx
    cpuid
    testl %eax, %eax
    jz 1f
    incl %ebp
1:  inb $0x21, %al
    movb $0x5a, %al
    outb %al, $0x80
    movl $0x1b, %ecx
    rdmsr
    testl $0x800, %eax
    jz 2f
    incl %ebp
2:  int $0x60                       /* its handler counts */
    ud2                             /* its handler counts and steps over */
    movw $0x8f00, %di               /* string input to real-mode memory */
    movw $0x21, %dx
    movw $4, %cx
    rep insb
    cmpw $0x8f04, %di
    jne 3f
    incl %ebp
3:  pushw $0x1234
    popw %ax
    cmpw $0x1234, %ax
    jne 4f
    incl %ebp
4:  lgdtl real_gdt - real_code + 0x9000
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $0x18, $real_back
real_int60:
    incl %ebp
    iretw
real_int6:
    incl %ebp
    pushw %bp
    movw %sp, %bp
    addw $2, 2(%bp)
    popw %bp
    iretw
real_idt:
    .short 0x3ff
    .long 0
real_gdt:
    .short 0x3f
    .long gdt
    .globl real_int60_off, real_int6_off
real_code_end:
    .set real_int60_off, real_int60 - real_code + 0x9000
    .set real_int6_off, real_int6 - real_code + 0x9000

    .code32
real_back:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl real_saved_rsp, %esp
    call enter64
    .code64
    movl %ebp, %eax
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

    .bss
    .globl vec_avx
vec_avx:
    .skip 8
user_saved_rsp:
    .skip 8
real_saved_rsp:
    .skip 8
    .balign 16
    .skip 4096
user_stack_top:
    .skip 16
    .section .note.GNU-stack, "", @progbits
