/*
 * void handoff_switch(uint64_t cr3, uint64_t entry, uint64_t bi_virt): leaves the firmware's page tables and jumps to
 * the hypervisor with rdi = bi_virt, interrupts off, no stack. Its own pages are mapped identically on both sides.
 */
        .text
        .globl  handoff_switch, handoff_switch_end
        .balign 64
handoff_switch:
        cli
        cld
        mov     %rdx, %r8
        mov     $0xc0000080, %ecx       /* EFER: NX bits must not be reserved bits (AMD APM vol 2 section 5.6.1) */
        rdmsr
        or      $0x800, %eax
        wrmsr
        mov     $0x620, %eax            /* CR4: PAE, OSFXSR, OSXMMEXCPT; no global pages, no PCIDs */
        mov     %rax, %cr4
        mov     %rdi, %cr3
        mov     %cr0, %rax
        or      $0x10000, %eax          /* WP */
        mov     %rax, %cr0
        mov     %r8, %rdi
        xor     %ebp, %ebp
        jmp     *%rsi
handoff_switch_end:
        .section .note.GNU-stack, "", @progbits
