/*
 * vmx_entry.S: into the guest and out again. Intel SDM volume 3 chapters 26 and 27.
 *
 * bool vmx_enter(struct vcpu_regs *regs, bool launched, uint64_t *host_rsp)
 *
 * VM entry loads RSP, RIP, RFLAGS and the segments; the rest is ours. A VM exit arrives at vmx_exit with the stack as it was
 * and RFLAGS 2, hence with interrupts off. HOST_RSP is written only when it differs from *host_rsp.
 */
#define GPR(n) ((n) * 8)(%rdi)
#define VMCS_HOST_RSP 0x6c14

        .text
        .globl  vmx_enter, vmx_exit, vmx_exit_fill
        .type   vmx_enter, @function
vmx_enter:
        push    %rbp
        mov     %rsp, %rbp
        push    %rbx
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        push    %rdi                    /* regs */
        cmp     %rsp, (%rdx)
        je      1f
        mov     %rsp, (%rdx)
        mov     $VMCS_HOST_RSP, %eax
        vmwrite %rsp, %rax
1:      test    %sil, %sil              /* MOV leaves the flags alone */
        mov     GPR(0), %rax
        mov     GPR(1), %rcx
        mov     GPR(2), %rdx
        mov     GPR(3), %rbx
        mov     GPR(5), %rbp
        mov     GPR(6), %rsi
        mov     GPR(8), %r8
        mov     GPR(9), %r9
        mov     GPR(10), %r10
        mov     GPR(11), %r11
        mov     GPR(12), %r12
        mov     GPR(13), %r13
        mov     GPR(14), %r14
        mov     GPR(15), %r15
        mov     GPR(7), %rdi
        jz      2f
        vmresume
        jmp     3f
2:      vmlaunch
3:      xor     %eax, %eax              /* only a failure comes here; the registers are still in regs */
        pop     %rdi
        jmp     4f
        /*
         * The return predictions are the guest's: 32 calls replace them, the most that any CPU keeps. What speculation would
         * return to is a trap. Only RSP and flags change, so that the guest's registers need not be saved first.
         */
        .balign 16
vmx_exit_fill:
        .rept 32
        call    6f
5:      pause
        lfence
        jmp     5b
6:
        .endr
        add     $32 * 8, %rsp
        lfence
        .balign 16
vmx_exit:
        push    %rdi
        mov     8(%rsp), %rdi           /* regs */
        mov     %rax, GPR(0)
        mov     %rcx, GPR(1)
        mov     %rdx, GPR(2)
        mov     %rbx, GPR(3)
        mov     %rbp, GPR(5)
        mov     %rsi, GPR(6)
        mov     %r8, GPR(8)
        mov     %r9, GPR(9)
        mov     %r10, GPR(10)
        mov     %r11, GPR(11)
        mov     %r12, GPR(12)
        mov     %r13, GPR(13)
        mov     %r14, GPR(14)
        mov     %r15, GPR(15)
        pop     GPR(7)
        pop     %rdi
        mov     $1, %eax
4:      pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbx
        pop     %rbp
        ret
        .size   vmx_enter, . - vmx_enter
        .section .note.GNU-stack, "", @progbits
