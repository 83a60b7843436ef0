/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * svm_entry.S: into the guest and out again. AMD APM volume 2 sections 15.5 and 15.17.
 *
 * void svm_enter(struct vcpu_regs *regs, struct vmcb *vmcb, uint64_t vmcb_pa, uint64_t host_pa)
 * void svm_enter_guarded(same, struct spec_vcpu *): where something is done against speculation at
 * each entry and exit
 *
 * VMRUN loads RAX, RSP, RIP and RFLAGS; VMLOAD loads FS, GS, TR, LDTR and the SYSCALL and SYSENTER
 * MSRs; the rest is ours. Between CLGI and STGI nothing can interrupt, so that STI opens nothing
 * here: with V_INTR_MASKING it only says that a host interrupt ends the guest's run (15.21.1). It
 * also closes the gap between the last look at requests and VMRUN.
 */
#include "spec_entry.h"

#define GPR(n) ((n) * 8)(%rdi)
#define REGS_PC 256
#define REGS_FLAGS 272
#define VMCB_RFLAGS 0x570
#define VMCB_RIP 0x578
#define VMCB_RSP 0x5d8
#define VMCB_RAX 0x5f8

.macro PUSH_HOST
        push    %rbp
        mov     %rsp, %rbp
        push    %rbx
        push    %r12
        push    %r13
        push    %r14
        push    %r15
.endm

/* What VMRUN loads; then nothing interrupts. */
.macro TO_VMCB
        push    %rcx                    /* host_pa */
        push    %rsi                    /* vmcb */
        push    %rdi                    /* regs */
        mov     GPR(0), %r9
        mov     GPR(4), %rcx
        mov     REGS_PC(%rdi), %r10
        mov     REGS_FLAGS(%rdi), %r11
        mov     %r9, VMCB_RAX(%rsi)
        mov     %rcx, VMCB_RSP(%rsi)
        mov     %r10, VMCB_RIP(%rsi)
        mov     %r11, VMCB_RFLAGS(%rsi)
        clgi
        sti
.endm

.macro LOAD_GUEST
        vmload  %rax
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
.endm

.macro SAVE_GUEST
        vmsave  %rax
        push    %rdi
        mov     8(%rsp), %rdi           /* regs */
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
        add     $8, %rsp
        pop     %rsi                    /* vmcb */
        pop     %rax                    /* host_pa */
.endm

/* regs in %rdi, vmcb in %rsi, host_pa in %rax */
.macro LEAVE
        vmload  %rax
        cli
        stgi
        mov     VMCB_RAX(%rsi), %r8
        mov     VMCB_RSP(%rsi), %r9
        mov     VMCB_RIP(%rsi), %r10
        mov     VMCB_RFLAGS(%rsi), %r11
        mov     %r8, GPR(0)
        mov     %r9, GPR(4)
        mov     %r10, REGS_PC(%rdi)
        mov     %r11, REGS_FLAGS(%rdi)
        RETURN_CLEARED
.endm

        .text
        .globl  svm_enter, svm_enter_guarded
        .type   svm_enter, @function
svm_enter:
        PUSH_HOST
        TO_VMCB
        mov     %rdx, %rax
        LOAD_GUEST
        vmrun   %rax
        SAVE_GUEST
        LEAVE
        .size   svm_enter, . - svm_enter

        .balign 16
        .type   svm_enter_guarded, @function
svm_enter_guarded:
        PUSH_HOST
        push    SPEC_FLAGS(%r8)
        push    %r8
        TO_VMCB
        mov     %rdx, %r9
        SPEC_ENTRY SPEC_FLAGS(%r8), %r8
        mov     %r9, %rax
        LOAD_GUEST
        testb   $SPEC_VERW, 32(%rsp)
        jz      1f
        verw    spec_selector(%rip)
1:      vmrun   %rax
        SAVE_GUEST
        mov     %rax, %r10
        SPEC_EXIT 8(%rsp), (%rsp)
        add     $16, %rsp
        mov     %r10, %rax
        LEAVE
        .size   svm_enter_guarded, . - svm_enter_guarded
        .section .note.GNU-stack, "", @progbits
