/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the image's first byte (head_flat.S, head_image.S) to C: x0 = the device tree, at EL1 with
 * the MMU off, at any address that is a multiple of 64 KiB.
 */
    .text
    .globl start
start:
    msr     daifset, #15
    mov     x20, x0
    adrp    x0, image_start         /* relocation: every pointer in tables, by R_AARCH64_RELATIVE */
    add     x0, x0, :lo12:image_start
    adrp    x1, __rela_start
    add     x1, x1, :lo12:__rela_start
    adrp    x2, __rela_end
    add     x2, x2, :lo12:__rela_end
1:  cmp     x1, x2
    b.hs    2f
    ldp     x3, x4, [x1]
    ldr     x5, [x1, #16]
    add     x1, x1, #24
    cmp     w4, #1027
    b.ne    1b
    add     x5, x5, x0
    str     x5, [x0, x3]
    b       1b
2:  adrp    x1, __bss_start
    add     x1, x1, :lo12:__bss_start
    adrp    x2, __bss_end
    add     x2, x2, :lo12:__bss_end
3:  cmp     x1, x2
    b.hs    4f
    str     xzr, [x1], #8
    b       3b
4:  adrp    x0, boot_block
    add     x0, x0, :lo12:boot_block
    adrp    x1, cpus
    add     x1, x1, :lo12:cpus
    bl      stacks
    mov     x0, x20
    b       guest_start

/*
 * x0 = this CPU's block, x1 = its struct cpu: the block's first word says whose it is. Runs on
 * SP_EL0 from here on.
 */
stacks:
    str     x1, [x0]
    msr     spsel, #1
    add     x2, x0, #0x10000
    mov     sp, x2
    msr     spsel, #0
    add     x2, x0, #0x8000
    mov     sp, x2
    ret

/* PSCI CPU_ON enters here with x0 = the CPU's block, which already says whose it is. MMU off. */
    .globl cpu_boot
cpu_boot:
    msr     daifset, #15
    ldr     x1, [x0]
    bl      stacks
    mov     x0, x1
    b       cpu_main

/* ---- traps: SP_EL1 is the stack of handlers, so a wild SP in a test does no harm ---- */
    .macro vector n
    .balign 128
    sub     sp, sp, #304
    stp     x0, x1, [sp]
    mov     x0, #\n
    b       trap_common
    .endm
    .balign 2048
    .globl vectors
vectors:
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vector \n
    .endr

trap_common:
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    mrs     x1, sp_el0
    stp     x30, x1, [sp, #240]
    mrs     x1, elr_el1
    mrs     x2, spsr_el1
    stp     x1, x2, [sp, #256]
    mrs     x1, esr_el1
    mrs     x2, far_el1
    stp     x1, x2, [sp, #272]
    str     x0, [sp, #288]
    mov     x0, sp
    bl      trap_c
    ldp     x1, x2, [sp, #256]
    msr     elr_el1, x1
    msr     spsr_el1, x2
    ldp     x30, x1, [sp, #240]
    msr     sp_el0, x1
    ldp     x0, x1, [sp]
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldp     x18, x19, [sp, #144]
    ldp     x20, x21, [sp, #160]
    ldp     x22, x23, [sp, #176]
    ldp     x24, x25, [sp, #192]
    ldp     x26, x27, [sp, #208]
    ldp     x28, x29, [sp, #224]
    add     sp, sp, #304
    eret

/* int jmp_set(struct jmp *): 0 now, the value given to jmp_back later. */
    .globl jmp_set
jmp_set:
    stp     x19, x20, [x0]
    stp     x21, x22, [x0, #16]
    stp     x23, x24, [x0, #32]
    stp     x25, x26, [x0, #48]
    stp     x27, x28, [x0, #64]
    stp     x29, x30, [x0, #80]
    mov     x1, sp
    str     x1, [x0, #96]
    mov     w0, #0
    ret
    .globl jmp_back
jmp_back:
    ldp     x19, x20, [x0]
    ldp     x21, x22, [x0, #16]
    ldp     x23, x24, [x0, #32]
    ldp     x25, x26, [x0, #48]
    ldp     x27, x28, [x0, #64]
    ldp     x29, x30, [x0, #80]
    ldr     x2, [x0, #96]
    mov     sp, x2
    mov     w0, w1
    ret

/*
 * void regs_call(struct regs *r, void *code): X0 to X29 and NZCV from *r, calls the code, stores
 * them back.
 */
    .globl regs_call
regs_call:
    stp     x29, x30, [sp, #-128]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    str     x0, [sp, #96]
    mov     x30, x1
    ldr     x1, [x0, #248]
    msr     nzcv, x1
    ldp     x2, x3, [x0, #16]
    ldp     x4, x5, [x0, #32]
    ldp     x6, x7, [x0, #48]
    ldp     x8, x9, [x0, #64]
    ldp     x10, x11, [x0, #80]
    ldp     x12, x13, [x0, #96]
    ldp     x14, x15, [x0, #112]
    ldp     x16, x17, [x0, #128]
    ldp     x18, x19, [x0, #144]
    ldp     x20, x21, [x0, #160]
    ldp     x22, x23, [x0, #176]
    ldp     x24, x25, [x0, #192]
    ldp     x26, x27, [x0, #208]
    ldp     x28, x29, [x0, #224]
    ldp     x0, x1, [x0]
    blr     x30
    str     x30, [sp, #104]
    ldr     x30, [sp, #96]
    stp     x0, x1, [x30]
    stp     x2, x3, [x30, #16]
    stp     x4, x5, [x30, #32]
    stp     x6, x7, [x30, #48]
    stp     x8, x9, [x30, #64]
    stp     x10, x11, [x30, #80]
    stp     x12, x13, [x30, #96]
    stp     x14, x15, [x30, #112]
    stp     x16, x17, [x30, #128]
    stp     x18, x19, [x30, #144]
    stp     x20, x21, [x30, #160]
    stp     x22, x23, [x30, #176]
    stp     x24, x25, [x30, #192]
    stp     x26, x27, [x30, #208]
    stp     x28, x29, [x30, #224]
    mrs     x1, nzcv
    str     x1, [x30, #248]
    ldp     x19, x20, [sp, #16]
    ldp     x21, x22, [sp, #32]
    ldp     x23, x24, [sp, #48]
    ldp     x25, x26, [sp, #64]
    ldp     x27, x28, [sp, #80]
    ldp     x29, x30, [sp], #128
    ret

    .globl hvc_call, smc_call
hvc_call:
    hvc     #0
    ret
smc_call:
    smc     #0
    ret

    .bss
    .balign 65536
boot_block:
    .skip   65536
    .section .note.GNU-stack, "", @progbits
