/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a 32-bit loader (%eax = its magic, %ebx = its information) to 64-bit C: identity map of the
 * first 512 GiB where the CPU has 1 GiB pages, else of 4 GiB; then guest_start().
 */
    .section .boot, "ax"
    .code32
    .globl start32
start32:
    cli
    cld
    movl %eax, boot_magic
    movl %ebx, boot_info_addr
    movl $boot_stack_top, %esp
    movl $pt_pml4, %edi
    movl $pt_pdpt + 7, (%edi)
    movl $pt_pdpt, %edi             /* four page directories: 4 GiB in 2 MiB pages */
    movl $pt_pd + 7, %eax
    movl $4, %ecx
1:  movl %eax, (%edi)
    addl $8, %edi
    addl $4096, %eax
    loop 1b
    movl $pt_pd, %edi
    movl $0x87, %eax                /* present, write, user, 2 MiB */
    movl $2048, %ecx
2:  movl %eax, (%edi)
    addl $8, %edi
    addl $0x200000, %eax
    loop 2b
    movl $0x80000001, %eax
    cpuid
    testl $(1 << 26), %edx
    jz 4f
    movl $pt_pdpt + 4 * 8, %edi     /* 1 GiB pages for the rest */
    movl $4, %ecx
3:  movl %ecx, %eax
    shll $30, %eax
    orl $0x87, %eax
    movl %eax, (%edi)
    movl %ecx, %eax
    shrl $2, %eax
    movl %eax, 4(%edi)
    addl $8, %edi
    incl %ecx
    cmpl $512, %ecx
    jb 3b
4:  call enter64
    .code64
    xorl %ebp, %ebp
    call guest_start
5:  hlt
    jmp 5b

/* Called in 32-bit mode with paging off; returns in 64-bit mode. Clobbers %eax %ecx %edx. */
    .code32
    .globl enter64
enter64:
    movl %cr4, %eax
    orl $0x620, %eax                /* PAE, OSFXSR, OSXMMEXCPT */
    movl %eax, %cr4
    movl $pt_pml4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax                /* EFER.LME */
    wrmsr
    movl %cr0, %eax
    andl $~0x6000000c, %eax         /* caches on; no EM, no TS */
    orl $0x80010023, %eax           /* PG, WP, NE, MP, PE */
    movl %eax, %cr0
    lgdt gdt_ptr
    popl %edx
    ljmp $0x08, $6f
    .code64
6:  movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl %esp, %esp
    movl %edx, %edx
    jmp *%rdx

/*
 * The other CPUs start here, copied to AP_TRAMPOLINE (0x8000): real mode, to 32 bits, to enter64.
 * Each takes the next number and, with it, its stack.
 */
    .code16
    .globl ap_start
ap_start:
    cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl ap_gdt_ptr - ap_start + 0x8000
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $0x18, $ap_start32
ap_gdt_ptr:
    .short 0x27
    .long gdt
    .globl ap_end
ap_end:
    .code32
ap_start32:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $1, %ebx
    lock xaddl %ebx, ap_next
    movl %ebx, %eax
    incl %eax
    shll $14, %eax                  /* CPU_STACK */
    addl $cpu_stacks, %eax
    movl %eax, %esp
    call enter64
    .code64
    movl %ebx, %edi
    xorl %ebp, %ebp
    call ap_main
7:  hlt
    jmp 7b

    .data
    .globl ap_next, gdt, gdt_ptr
    .balign 8
ap_next:
    .long 1
    .long 0
gdt:
    .quad 0
    .quad 0x00af9b000000ffff        /* 08: 64-bit code */
    .quad 0x00cf93000000ffff        /* 10: data */
    .quad 0x00cf9b000000ffff        /* 18: 32-bit code */
    .quad 0x00cff3000000ffff        /* 20: user data */
    .quad 0x00affb000000ffff        /* 28: user 64-bit code */
    .quad 0x00009b000000ffff        /* 30: 16-bit code, base 0 */
    .quad 0x000093000000ffff        /* 38: 16-bit data, base 0 */
    .fill 2 * 66, 8, 0              /* 40: a task-state segment (two slots) for each CPU */
gdt_end:
gdt_ptr:
    .short gdt_end - gdt - 1
    .quad gdt

    .bss
    .globl pt_pml4, pt_pdpt, pt_pd, cpu_stacks, boot_magic, boot_info_addr
    .balign 4096
pt_pml4:
    .skip 4096
pt_pdpt:
    .skip 4096
pt_pd:
    .skip 4 * 4096
cpu_stacks:
    .skip 16384
boot_stack_top:
    .skip 16384 * 64
boot_magic:
    .skip 4
boot_info_addr:
    .skip 4
    .section .note.GNU-stack, "", @progbits
