/* SPDX-License-Identifier: BSD-2-Clause */
/* clang-format off */
/*
 * spec_entry.h: what the entry code of both engines does against speculation, as assembler macros.
 * \flags is where the flags of struct spec_vcpu (spec.h) are, \s where its address is. No
 * indirect branch and no return comes before SPEC_EXIT has ended, but those of CLEAR_BHB behind an
 * LFENCE of their own: its own conditional branches may be predicted by what the guest trained, and
 * the LFENCE at its end waits until they are resolved.
 */
#pragma once
#define SPEC_GUEST 0
#define SPEC_HOST  8
#define SPEC_FLAGS 16
/* the guest's SPEC_CTRL at entries, ours at exits, where they differ */
#define SPEC_SWITCH (1 << 0)
/* ours at exits even then: the write is the barrier (IBRS that is not "enhanced") */
#define SPEC_ALWAYS (1 << 1)
#define SPEC_READ   (1 << 2)            /* the guest writes its own: it is read at exits */
#define SPEC_IBPB   (1 << 3)
#define SPEC_RSB    (1 << 4)
#define SPEC_BHB    (1 << 5)
#define SPEC_VERW   (1 << 6)
/* of SPEC_RSB only what IBRS leaves: the first return after an exit */
#define SPEC_RET    (1 << 7)
#define SPEC_MSR_CTRL 0x48
#define SPEC_MSR_PRED 0x49
#define SPEC_MSR_CAPS 0x10a             /* IA32_ARCH_CAPABILITIES */
#define SPEC_MSR_FLUSH 0x10b            /* IA32_FLUSH_CMD */

#ifdef __ASSEMBLER__
/*
 * The return predictions are the guest's: 32 calls replace them, the most that any CPU keeps. What
 * speculation would return to is a trap.
 */
.macro FILL_RSB
        .rept 32
        call    8f
7:      pause
        lfence
        jmp     7b
8:
        .endr
        add     $32 * 8, %rsp
.endm

/*
 * "Post-barrier Return Stack Buffer Predictions": with enhanced IBRS only a return that no call of
 * ours precedes may follow the guest.
 */
.macro FILL_RSB_ONE
        call    8f
7:      pause
        lfence
        jmp     7b
8:      add     $8, %rsp
.endm

/*
 * Taken branches and calls push the guest's out of the branch history: the sequence for CPUs
 * without BHI_CTRL in Intel's "Branch History Injection", software BHB-clearing: 5 times 5
 * branches. What was filled before is in the RSB when its returns come. Changes eax, ecx.
 */
.macro CLEAR_BHB
        lfence
        mov     $5, %ecx
        call    .Lbhb1\@
        jmp     .Lbhb5\@
        .balign 64, 0xcc
        .skip   32 - 5, 0xcc            /* both returns begin an upper half: see thunks.S */
.Lbhb1\@:
        call    .Lbhb2\@
        ret
        .balign 64, 0xcc
        .skip   32 - 18, 0xcc
.Lbhb2\@:
        mov     $5, %eax
.Lbhb3\@:
        jmp     .Lbhb4\@
        nop
.Lbhb4\@:
        sub     $1, %eax
        jnz     .Lbhb3\@
        sub     $1, %ecx
        jnz     .Lbhb1\@
        ret
.Lbhb5\@:
.endm

/* Before the guest's registers are loaded. \s: a register. Changes rax, rcx, rdx. */
.macro SPEC_ENTRY flags, s
        testb   $SPEC_SWITCH, \flags
        jz      .Lentry\@
        mov     SPEC_GUEST(\s), %rax
        cmp     SPEC_HOST(\s), %rax
        je      .Lentry\@
        mov     %rax, %rdx
        shr     $32, %rdx
        mov     $SPEC_MSR_CTRL, %ecx
        wrmsr
.Lentry\@:
.endm

/* After the guest's registers are saved. Changes rax, rcx, rdx, r8, r9. */
.macro SPEC_EXIT flags, s
        mov     \flags, %r9d
        test    $SPEC_READ | SPEC_SWITCH | SPEC_IBPB, %r9d
        jz      4f
        mov     \s, %r8
        test    $SPEC_READ, %r9d
        jz      1f
        mov     $SPEC_MSR_CTRL, %ecx
        rdmsr
        mov     %eax, SPEC_GUEST(%r8)
        mov     %edx, SPEC_GUEST + 4(%r8)
1:      test    $SPEC_SWITCH, %r9d
        jz      3f
        mov     SPEC_HOST(%r8), %rax
        test    $SPEC_ALWAYS, %r9d
        jnz     2f
        cmp     SPEC_GUEST(%r8), %rax
        je      3f
2:      mov     %rax, %rdx
        shr     $32, %rdx
        mov     $SPEC_MSR_CTRL, %ecx
        wrmsr
3:      test    $SPEC_IBPB, %r9d
        jz      4f
        mov     $SPEC_MSR_PRED, %ecx
        mov     $1, %eax
        xor     %edx, %edx
        wrmsr
4:      test    $SPEC_RSB, %r9d
        jnz     .Lfill\@
        test    $SPEC_RET, %r9d
        jz      .Lfilled\@
        FILL_RSB_ONE
        jmp     .Lfilled\@
.Lfill\@:
        FILL_RSB
.Lfilled\@:
        test    $SPEC_BHB, %r9d
        jz      6f
        CLEAR_BHB
6:      lfence
.endm

/*
 * Nothing of the guest's stays in a register that C code could use by speculation before it writes
 * it.
 */
.macro CLEAR_GPRS
        xor     %ecx, %ecx
        xor     %edx, %edx
        xor     %ebx, %ebx
        xor     %ebp, %ebp
        xor     %r8d, %r8d
        xor     %r9d, %r9d
        xor     %r10d, %r10d
        xor     %r11d, %r11d
        xor     %r12d, %r12d
        xor     %r13d, %r13d
        xor     %r14d, %r14d
        xor     %r15d, %r15d
.endm

/* The end of both engines' functions, whose callers' registers are on the stack. */
.macro RETURN_CLEARED
        CLEAR_GPRS
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbx
        pop     %rbp
        jmp     __x86_return_thunk
.endm
#endif
