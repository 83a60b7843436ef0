/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmx_entry.S: into the guest and out again. Intel SDM volume 3 chapters 26 and 27.
 *
 * bool vmx_enter(struct vcpu_regs *regs, bool launched, uint64_t *host_rsp, struct spec_vcpu *)
 *
 * VM entry loads RSP, RIP, RFLAGS and the segments; the rest is ours. A VM exit arrives at
 * vmx_exit, or at vmx_exit_guarded where something is done against speculation, with the stack as
 * it was and RFLAGS 2, hence with interrupts off. HOST_RSP is written only when it differs from
 * *host_rsp.
 */
#include "spec_entry.h"

#define GPR(n) ((n) * 8)(%rdi)
#define VMCS_HOST_RSP 0x6c14

.macro SAVE_GUEST
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
.endm

/* The function's end; the result is in %eax. */
.macro LEAVE
        xor     %esi, %esi
        xor     %edi, %edi
        RETURN_CLEARED
.endm

        .text
        .globl  vmx_enter, vmx_exit, vmx_exit_guarded
        .type   vmx_enter, @function
vmx_enter:
        push    %rbp
        mov     %rsp, %rbp
        push    %rbx
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        movzbl  %sil, %eax
        shl     $8, %eax
        or      SPEC_FLAGS(%rcx), %eax
        push    %rcx                    /* struct spec_vcpu */
        push    %rax                    /* its flags in the lowest byte, launched in the next one */
        push    %rdi                    /* regs */
        cmp     %rsp, (%rdx)
        je      1f
        mov     %rsp, (%rdx)
        mov     $VMCS_HOST_RSP, %edx
        vmwrite %rsp, %rdx
1:      SPEC_ENTRY %al, %rcx
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
        testb   $SPEC_VERW, 8(%rsp)
        jz      3f
        verw    spec_selector(%rip)
3:      cmpb    $0, 9(%rsp)
        je      4f
        vmresume
        jmp     5f
4:      vmlaunch
        /*
         * Only a failure comes here: the guest's registers are still in regs, and SPEC_CTRL may be
         * the guest's.
         */
5:      pop     %rdi
        cmpb    $0, (%rsp)
        je      9f
        SPEC_EXIT (%rsp), 8(%rsp)
9:      add     $16, %rsp
        xor     %eax, %eax
        LEAVE
        .balign 16
vmx_exit_guarded:
        SAVE_GUEST
        SPEC_EXIT 8(%rsp), 16(%rsp)
        add     $24, %rsp
        mov     $1, %eax
        LEAVE
        .balign 16
vmx_exit:
        SAVE_GUEST
        add     $24, %rsp
        mov     $1, %eax
        LEAVE
        .size   vmx_enter, . - vmx_enter
        .section .note.GNU-stack, "", @progbits
