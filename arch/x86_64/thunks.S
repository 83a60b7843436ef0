/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * thunks.S: where the compiler sends every indirect branch (-mindirect-branch) and every return
 * (-mfunction-return) of Trivet's C code.
 *
 * Each lies in the upper half of a cache line: those in the lower half may be steered by direct
 * branches, a guest's too, on CPUs with Indirect Target Selection (Intel, "Indirect Target
 * Selection"). They are plain branches until spec.c writes a short jump over the first two bytes of
 * each, on CPUs without IBRS: then the target is only ever returned to, and what the CPU predicts
 * is the endless loop (Intel, "Retpoline").
 */
#include "thunks.h"

.macro INDIRECT reg
        .balign THUNK_STRIDE, 0xcc
        .skip   THUNK_STRIDE / 2, 0xcc
        .globl  __x86_indirect_thunk_\reg
        .type   __x86_indirect_thunk_\reg, @function
__x86_indirect_thunk_\reg:
        jmp     *%\reg
        .skip   __x86_indirect_thunk_\reg + THUNK_RETPOLINE - ., 0xcc
        call    2f
1:      pause
        lfence
        jmp     1b
2:      mov     %\reg, (%rsp)
        ret
        int3
        .size   __x86_indirect_thunk_\reg, . - __x86_indirect_thunk_\reg
.endm

        .section .text.thunks, "ax"
        .globl  thunks, __x86_return_thunk
        .balign THUNK_STRIDE, 0xcc
thunks:
        .irp    reg, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
        INDIRECT \reg
        .endr
        .balign THUNK_STRIDE, 0xcc
        .skip   THUNK_STRIDE / 2, 0xcc
        .type   __x86_return_thunk, @function
__x86_return_thunk:
        ret
        int3
        .size   __x86_return_thunk, . - __x86_return_thunk
        .section .note.GNU-stack, "", @progbits
