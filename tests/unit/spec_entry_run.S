/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spec_entry_run.S: the sequences of spec_entry.h as functions of an ordinary program,
 * single-stepped between pushf and pushf: void run_nothing(struct spec_vcpu *), run_entry(),
 * run_exit(). What is left of RSP is returned: 0, if it is as it was.
 */
#include "arch/x86_64/spec_entry.h"

.macro RUN name, body:vararg
        .globl  \name
        .type   \name, @function
\name:
        mov     %rdi, %r8
        mov     %rsp, %rdi
        pushf
        orl     $0x100, (%rsp)
        popf
        \body
        pushf
        andl    $~0x100, (%rsp)
        popf
        mov     %rdi, %rax
        sub     %rsp, %rax
        ret
        .size   \name, . - \name
.endm

        .text
RUN run_nothing
RUN run_entry, SPEC_ENTRY SPEC_FLAGS(%r8), %r8
RUN run_exit, SPEC_EXIT SPEC_FLAGS(%r8), %r8
        .section .note.GNU-stack, "", @progbits
