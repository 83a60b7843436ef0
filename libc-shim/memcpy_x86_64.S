/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memcpy for x86-64 in integer registers. newlib's stores past the caches from 256 bytes on, so
 * that a guest would read its own disk's data from memory; and it is called for a few bytes most of
 * the time. rep movsq is what CPUs since 2012 copy best with.
 */
.text
.balign 16
.globl memcpy
.type memcpy, @function
memcpy:                             /* rdi: to, rsi: from, rdx: bytes; the ranges do not overlap */
    movq    %rdi, %rax
    cmpq    $16, %rdx
    jb      3f
    movq    -16(%rsi,%rdx), %r8     /* the last 16 bytes: stored last, over what is there already */
    movq    -8(%rsi,%rdx), %r9
    leaq    -16(%rdi,%rdx), %r10
    cmpq    $256, %rdx
    jae     2f
    subq    $16, %rdx
    jbe     5f
1:  movq    (%rsi), %rcx
    movq    8(%rsi), %r11
    movq    %rcx, (%rdi)
    movq    %r11, 8(%rdi)
    addq    $16, %rsi
    addq    $16, %rdi
    subq    $16, %rdx
    ja      1b
5:  movq    %r8, (%r10)
    movq    %r9, 8(%r10)
    ret
2:  movq    %rdx, %rcx
    shrq    $3, %rcx
    rep movsq
    movq    %r9, 8(%r10)
    ret
3:  cmpl    $8, %edx                /* fewer than 16 */
    jb      4f
    movq    (%rsi), %r8
    movq    -8(%rsi,%rdx), %r9
    movq    %r8, (%rdi)
    movq    %r9, -8(%rdi,%rdx)
    ret
4:  cmpl    $4, %edx
    jb      6f
    movl    (%rsi), %r8d
    movl    -4(%rsi,%rdx), %r9d
    movl    %r8d, (%rdi)
    movl    %r9d, -4(%rdi,%rdx)
    ret
6:  testl   %edx, %edx
    jz      7f
    movzbl  (%rsi), %r8d
    movzbl  -1(%rsi,%rdx), %r9d
    leaq    -1(%rdi,%rdx), %r11
    shrl    $1, %edx                /* 0 for 1 byte, 1 for 2 and 3: the one in the middle */
    movzbl  (%rsi,%rdx), %ecx
    movb    %r8b, (%rdi)
    movb    %cl, (%rdi,%rdx)
    movb    %r9b, (%r11)
7:  ret
.size memcpy, . - memcpy
.section .note.GNU-stack, "", @progbits
