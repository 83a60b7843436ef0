/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * switch.S: leaves the firmware's page tables and jumps to the hypervisor with rdi = struct
 * boot_info in the direct map, interrupts off, no stack. It goes through 32-bit mode with paging
 * off, because a firmware that uses 5-level paging can be left in no other way (AMD APM volume 2
 * sections 5.3.1 and 14.6). handoff.c copies it to a page below 4 GiB that is mapped to itself on
 * both sides, fills in the parameters, and calls it with rdi = that page.
 */
        .text
        .globl  handoff_code, handoff_params, handoff_code_end
        .balign 64
handoff_code:
        cli
        cld
        mov     %rdi, %rbx
        lea     4096(%rbx), %rsp        /* the page's end serves as stack for the far return */
        lgdt    (h_gdtr - handoff_code)(%rbx)
        lea     (h_32 - handoff_code)(%rbx), %rax
        pushq   $0x18
        push    %rax
        lretq
        .code32
h_32:   mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        /* PCIDE must go before PG does; LA57 can only go after it */
        mov     %cr4, %eax
        and     $~0x20080, %eax
        mov     %eax, %cr4
        mov     %cr0, %eax
        and     $0x7fffffff, %eax
        mov     %eax, %cr0
        mov     $0x620, %eax            /* PAE, OSFXSR, OSXMMEXCPT */
        mov     %eax, %cr4
        mov     (h_root - handoff_code)(%ebx), %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx
        rdmsr
        /* EFER: LME, and NXE, so that NX bits are not reserved bits (section 5.6.1) */
        or      $0x900, %eax
        wrmsr
        mov     %cr0, %eax
        or      $0x80010001, %eax       /* PG, WP, PE */
        mov     %eax, %cr0
        ljmp    *(h_far64 - handoff_code)(%ebx)
        .code64
h_64:   mov     (h_entry - handoff_code)(%rbx), %rsi
        mov     (h_info - handoff_code)(%rbx), %rdi
        xor     %ebp, %ebp
        jmp     *%rsi
        .balign 8
handoff_params:                         /* struct params in handoff.c */
        .quad   0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff
h_gdtr: .word   31
        .quad   0
        .word   0
h_far64:
        .long   h_64 - handoff_code     /* + page */
        .word   0x08, 0
h_root: .quad   0
h_entry:
        .quad   0
h_info: .quad   0
handoff_code_end:
        .section .note.GNU-stack, "", @progbits
