/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions that touch memory at (%rbx), one by one, for hostile-mmio. On entry %rbx = the
 * address, %rsi = %rdi = the address too, %rcx = a count, %r13 = 4 KiB of RAM, %rax = a value. The
 * code may ruin every register but %rsp.
 */
    .text
    .code64
.macro SNIP name:req, code:vararg
    .pushsection .rodata.snips, "a"
    .quad 8f, 9f, 7f
    .popsection
    .pushsection .rodata.str, "a"
7:  .asciz "\name"
    .popsection
8:  \code
9:
.endm
    .section .rodata.snips, "a"
    .globl mmio_snips
mmio_snips:
    .text
SNIP ld8, movb (%rbx), %al
SNIP ld16, movw (%rbx), %ax
SNIP ld32, movl (%rbx), %eax
SNIP ld64, movq (%rbx), %rax
SNIP ld8h, movb (%rbx), %ah
SNIP ldr15, movl (%rbx), %r15d
SNIP st8, movb %al, (%rbx)
SNIP st16, movw %ax, (%rbx)
SNIP st32, movl %eax, (%rbx)
SNIP st64, movq %rax, (%rbx)
SNIP st8h, movb %ah, (%rbx)
SNIP sti8, movb $0x5a, (%rbx)
SNIP sti16, movw $0x5a5a, (%rbx)
SNIP sti32, movl $0x5a5a5a5a, (%rbx)
SNIP sti64, movq $-1, (%rbx)
SNIP moffs, .byte 0x67; movb 0xfec00000, %al
SNIP movzx, movzbl (%rbx), %eax
SNIP movzxw, movzwq (%rbx), %rax
SNIP movsx, movsbq (%rbx), %rax
SNIP movsxd, movslq (%rbx), %rax
SNIP xchg, xchgl %eax, (%rbx)
SNIP xchg8, xchgb %al, (%rbx)
SNIP xadd, lock; xaddl %eax, (%rbx)
SNIP cmpxchg, lock; cmpxchgl %ecx, (%rbx)
SNIP cmpxchg8b, lock; cmpxchg8b (%rbx)
SNIP and, andl %eax, (%rbx)
SNIP or, lock; orl %eax, (%rbx)
SNIP addi, addl $3, (%rbx)
SNIP inc, lock; incq (%rbx)
SNIP neg, negb (%rbx)
SNIP not, notl (%rbx)
SNIP test, testl %eax, (%rbx)
SNIP testi, testb $1, (%rbx)
SNIP cmp, cmpl %eax, (%rbx)
SNIP cmpr, cmpq (%rbx), %rax
SNIP adc, adcl (%rbx), %eax
SNIP sub, subl %eax, (%rbx)
SNIP xor, xorq (%rbx), %rax
SNIP imul, imull (%rbx), %eax
SNIP mul, mull (%rbx)
SNIP div, divl (%rbx)
SNIP shl, shll %cl, (%rbx)
SNIP shld, shldl $3, %eax, (%rbx)
SNIP rol, rolb (%rbx)
SNIP bt, btl $5, (%rbx)
SNIP btr, btrq %rax, (%rbx)
SNIP bts, lock; btsl $31, (%rbx)
SNIP bsf, bsfl (%rbx), %eax
SNIP cmov, cmovzl (%rbx), %eax
SNIP setc, setc (%rbx)
SNIP movs8, rep; movsb
SNIP movs32, rep; movsl
SNIP movs64, rep; movsq
SNIP movs_out, movq %r13, %rsi; rep; movsw
SNIP movs_in, movq %r13, %rdi; rep; movsl
SNIP movs_back, std; rep; movsq; cld
SNIP movs_big, movl $0x100000, %ecx; movq %r13, %rsi; xorl %ecx, %ecx; rep; movsb
SNIP stos8, rep; stosb
SNIP stos64, rep; stosq
SNIP lods, rep; lodsl
SNIP cmps, movq %r13, %rdi; repe; cmpsb
SNIP cmps2, repne; cmpsq
SNIP scas, repne; scasb
SNIP ins, movw $0x71, %dx; rep; insb
SNIP insd, movw $0xcf8, %dx; insl
SNIP outs, movw $0x80, %dx; rep; outsb
SNIP outsd, movw $0xcf8, %dx; outsl
SNIP push, pushq (%rbx); popq %rax
SNIP pop, pushq %rax; popq (%rbx)
SNIP call, callq *(%rbx)
SNIP jmp, jmpq *(%rbx)
SNIP lcall, lcall *(%rbx)
SNIP stack_push, movq %rsp, %r12; movq %rbx, %rsp; pushq %rax; movq %r12, %rsp
SNIP stack_pop, movq %rsp, %r12; movq %rbx, %rsp; popq %rax; movq %r12, %rsp
SNIP stack_call, movq %rsp, %r12; movq %rbx, %rsp; call 1f; 1: movq %r12, %rsp
SNIP stack_enter, movq %rsp, %r12; movq %rbx, %rsp; enter $16, $3; movq %r12, %rsp
SNIP stack_iret, movq %rsp, %r12; movq %rbx, %rsp; iretq
SNIP stack_pushf, movq %rsp, %r12; movq %rbx, %rsp; pushfq; movq %r12, %rsp
SNIP exec, callq *%rbx
SNIP movups_ld, movups (%rbx), %xmm0
SNIP movups_st, movups %xmm0, (%rbx)
SNIP movaps_ld, movaps (%rbx), %xmm15
SNIP movdqa_st, movdqa %xmm1, (%rbx)
SNIP movd, movd (%rbx), %xmm1
SNIP movq_st, movq %xmm1, (%rbx)
SNIP movnti, movnti %rax, (%rbx)
SNIP movntdq, movntdq %xmm0, (%rbx)
SNIP maskmov, maskmovdqu %xmm0, %xmm1
SNIP paddb, paddb (%rbx), %xmm0
SNIP fld, fldt (%rbx)
SNIP fstp, fld1; fstpt (%rbx)
SNIP fxsave, fxsave (%rbx)
SNIP fxrstor, fxsave (%r13); fxrstor (%rbx)
SNIP fnsave, fnsave (%rbx)
SNIP ldmxcsr, ldmxcsr (%rbx)
SNIP stmxcsr, stmxcsr (%rbx)
SNIP crc32, crc32l (%rbx), %eax
SNIP movbe, movbe (%rbx), %eax
SNIP popcnt, popcntq (%rbx), %rax
SNIP vmovdqu, vmovdqu (%rbx), %ymm0
SNIP vmovdqu_st, vmovdqu %ymm0, (%rbx)
SNIP gather, vpcmpeqd %ymm2, %ymm2, %ymm2; vpxor %ymm1, %ymm1, %ymm1; \
    vpgatherdd %ymm2, (%rbx,%ymm1,4), %ymm0
SNIP xsave, movl $7, %eax; xorl %edx, %edx; xsave (%rbx)
SNIP clflush, clflush (%rbx)
SNIP prefetch, prefetcht0 (%rbx)
SNIP invlpg, invlpg (%rbx)
SNIP sgdt, sgdt (%rbx)
SNIP sidt, sidt (%rbx)
SNIP str, str (%rbx)
SNIP smsw, smsw (%rbx)
SNIP lmsw, lmsw (%rbx)
SNIP lldt, lldt (%rbx)
SNIP verr, verr (%rbx)
SNIP lar, lar (%rbx), %eax
SNIP movsr, movw (%rbx), %fs
SNIP movrs, movw %ds, (%rbx)
SNIP lss, lss (%rbx), %eax
SNIP bound_xlat, xlat
SNIP addr32, addr32; movl (%ebx), %eax
SNIP prefixes, .byte 0x2e, 0x36, 0x3e, 0x26, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x8b, 0x03
SNIP prefixes15, .byte 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, \
    0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x8b, 0x03
SNIP prefixes16, .byte 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, \
    0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x8b, 0x03
SNIP lockld, .byte 0xf0; movl (%rbx), %eax
SNIP reprex, .byte 0xf3, 0x48, 0x8b, 0x03
SNIP fs, movl %fs:(%rbx), %eax
SNIP sib, movl (%rbx,%r14,8), %eax
SNIP riprel, movl 0x1000(%rip), %eax
    .section .rodata.snips, "a"
    .quad 0, 0, 0
    .section .note.GNU-stack, "", @progbits
