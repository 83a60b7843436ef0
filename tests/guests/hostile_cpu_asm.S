/* SPDX-License-Identifier: BSD-2-Clause */
/* hostile-cpu's ways down: a hardware task switch in 32-bit mode, and garbage in real mode. */
    .text
    .code64
    .globl to_task_switch, to_real_garbage
.macro leave_long_mode to:req
    pushq $0x18
    pushq $1f
    lretq
    .code32
1:  movl $0x10, %eax
    movl %eax, %ss
    movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0
    movl $0xc0000080, %ecx
    rdmsr
    andl $~0x100, %eax
    wrmsr
    jmp \to
    .code64
.endm

/*
 * A 32-bit TSS of zeros but for what is needed to go on at task_entry; then back by IRET with NT,
 * to a null link.
 */
to_task_switch:
    leave_long_mode task_32
    .code32
task_32:
    movl %cr4, %eax
    andl $~0x20, %eax
    movl %eax, %cr4
    movl $task_tss1, %eax           /* the two descriptors: base in three parts */
    movl $task_gdt + 0x18, %edi
    call task_descriptor
    movl $task_tss2, %eax
    movl $task_gdt + 0x20, %edi
    call task_descriptor
    lgdt task_gdt_ptr
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    ljmp $0x08, $2f
2:  movl $0x18, %eax
    ltr %ax
    movl $0, %ecx
3:  cmpl $3, %ecx
    jae 4f
    incl %ecx
    movl $task_entry, task_tss2 + 32
    lcall $0x20, $0                 /* to the second task, three times */
    jmp 3b
4:  lidt task_idt_ptr
    movl $0x12345678, %ebp
    int $0x40                       /* through a task gate */
    movl $task_gp, task_tss2 + 32
    movl $0x1234, %eax
    movl %eax, %fs                  /* #GP through a task gate, with an error code */
    movl $task_jump, task_tss2 + 32
    ljmp $0x20, $0
    movl $0x11, %eax                /* failed, passed: the debug-exit port */
    cmpl $5, task_count
    jne 5f
    cmpl $0x1234, task_error
    jne 5f
    cmpl $0x12345678, %ebp
    jne 5f
    movl %cr0, %ebx
    testl $8, %ebx                  /* TS: every switch sets it */
    jz 5f
    movl $0x10, %eax
5:  outl %eax, $0xf4
6:  hlt
    jmp 6b
task_descriptor:
    movl %eax, %edx
    shll $16, %eax
    orl $0x67, %eax
    movl %eax, (%edi)
    movl %edx, %eax
    andl $0xff000000, %eax
    shrl $16, %edx
    movb %dl, %al
    orl $0x8900, %eax
    movl %eax, 4(%edi)
    ret
task_entry:
    incl task_count
    xorl %ebp, %ebp
    movl $0, %eax
    cpuid
    iretl                           /* NT is set by the call: back to the caller */
    jmp task_entry
task_gp:
    popl task_error
    addl $2, task_tss1 + 32         /* behind the instruction that faulted */
    iretl
task_jump:
    incl task_count
    ljmp $0x18, $0

    .code64
to_real_garbage:
    leave_long_mode real_32
    .code32
real_32:
    movl $0x38, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    ljmp $0x30, $0x9000
    .code16
    .globl real_garbage, real_garbage_end
real_garbage:
    movl %cr0, %eax
    andb $0xfe, %al
    movl %eax, %cr0
    ljmpw $0, $real_flat - real_garbage + 0x9000
real_flat:
    xorw %ax, %ax
    movw %ax, %ss
    movw $0x9000, %sp
    movw $0xffff, %ax
    movw %ax, %ds
    movw %ax, %es
    movl $0x1234, %eax
    cpuid
    movw %ax, %cs:0x8f00
    movb 0x10, %al                  /* above 1 MiB by way of ffff:0010 */
    movw $0xa000, %ax
    movw %ax, %ds
    movw %ax, %es
    movw 0, %ax                     /* into the hole at a0000 */
    movw %ax, 0xfffe
    movl %eax, 0xffff               /* beyond the limit: #GP through a garbage IVT */
    movw $0xfff0, %di
    movw $0xffff, %cx
    movw $0x71, %dx
    rep insw
    rep stosl
    lidtl %cs:0x8000
    int $0x21
    .byte 0xf0, 0x0f, 0xc7, 0xc8
    hlt
real_garbage_end:

    .data
    .balign 16
task_gdt:
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00cf93000000ffff
    .quad 0
    .quad 0
task_gdt_end:
task_gdt_ptr:
    .short task_gdt_end - task_gdt - 1
    .long task_gdt
task_idt:
    .fill 13, 8, 0
    .quad 0x0000850000200000        /* task gates to the second task: #GP, INT 40h */
    .fill 0x40 - 14, 8, 0
    .quad 0x0000850000200000
task_idt_ptr:
    .short . - task_idt - 1
    .long task_idt
task_count:
    .long 0
task_error:
    .long 0
    .balign 128
task_tss1:
    .fill 104, 1, 0
    .balign 128
task_tss2:
    .long 0, task_stack, 0x10, task_stack, 0x10, task_stack, 0x10, 0    /* link, stacks, CR3 */
    .long task_entry, 2                                                  /* EIP, EFLAGS */
    .long 0, 0, 0, 0, task_stack, 0, 0, 0                                /* general registers */
    /* ES CS SS DS FS GS LDT, I/O map */
    .long 0x10, 0x08, 0x10, 0x10, 0, 0, 0, 0x680000
    .bss
    .balign 16
    .skip 1024
task_stack:
    .skip 16
    .section .note.GNU-stack, "", @progbits
