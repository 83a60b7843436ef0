/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * entry.S: where the loader jumps to (x0 = struct boot_info, in the direct map), the exception
 * vectors of EL2, and the code that every further CPU starts with. Interrupts are masked, always:
 * see irq.c. Stacks are given by C.
 */
#include "sysreg.h"

#define FRAME_SIZE  288                 /* struct arm_frame */
/* set in every address of a stack, clear in the 32 KiB below it (mmu.c) */
#define STACK_BIT   15

        .macro  adrl reg, symbol
        adrp    \reg, \symbol
        add     \reg, \reg, :lo12:\symbol
        .endm

        .section .text.start, "ax"
        .globl  _start
_start: hint    #38                     /* BTI JC */
        adrl    x1, arm_vectors
        msr     vbar_el2, x1
        isb
        adrl    x1, boot_stack_top
        mov     sp, x1
        mov     x29, xzr                /* ends the back trace */
        mov     x30, xzr
        mov     x19, x0
        bl      arm_boot_start
        bl      stack_guard_init
        bl      load_host_key
        cbz     x0, 1f
        mrs     x1, sctlr_el2           /* here nothing waits for a return that was not signed */
        orr     x1, x1, #SCTLR_EnIA
        msr     sctlr_el2, x1
        isb
1:      mov     x0, x19
        bl      hv_main
2:      wfi
        b       2b

/*
 * Pointer authentication's key A for instructions, this CPU: the host's. Returns 0 where the CPU
 * has none.
 */
load_host_key:
        adrl    x1, arm_host_key
        ldp     x2, x3, [x1]
        orr     x0, x2, x3
        cbz     x0, 1f
        msr     APIAKEYLO_EL1, x2
        msr     APIAKEYHI_EL1, x3
        isb
1:      ret

/*
 * Vectors (Arm ARM D1.3.1.4). From EL2 itself: a frame on the stack, then arm_trap(); on an
 * overflown stack that ends on another one. Interrupts are never unmasked at EL2, so that only
 * faults, and SErrors where the engine lets them come, arrive here.
 */
        .macro  from_el2 kind
        .balign 128
        sub     sp, sp, #FRAME_SIZE
        /* looks at SP with no register to spare: sp + x0 and back */
        add     sp, sp, x0
        sub     x0, sp, x0
        tbz     x0, #STACK_BIT, 1f
        sub     x0, sp, x0
        sub     sp, sp, x0
        stp     x0, x1, [sp]
        add     x0, sp, #FRAME_SIZE
        mov     x1, #\kind
        b       arm_vector_common
1:      msr     tpidr_el0, x1
        mov     x1, #\kind
        b       arm_vector_overflow
        .endm

        .macro  from_guest_plain target
        .balign 128
        b       \target
        .endm

        /*
         * What a guest's branches have taught is dropped before the first indirect one of ours:
         * spectre.h says which way.
         */
        .macro  from_guest_loop target
        .balign 128
        stp     x0, x1, [sp, #-16]!
        mrs     x0, tpidr_el2
        ldr     x0, [x0, #PERCPU_ARCH]
        ldr     x0, [x0, #CPU_BHB_LOOPS]
1:      b       2f
2:      subs    x0, x0, #1
        b.ne    1b
        dsb     nsh
        isb
        b       \target\()_saved
        .endm

        .macro  from_guest_clrbhb target
        .balign 128
        hint    #22                     /* CLRBHB */
        isb
        b       \target
        .endm

        .macro  from_guest_call target, id
        .balign 128
        stp     x0, x1, [sp, #-16]!
        stp     x2, x3, [sp, #-16]!     /* the others stay: SMCCC 1.1 */
        mov     w0, #\id
        movk    w0, #0x8000, lsl #16
        smc     #0
        ldp     x2, x3, [sp], #16
        b       \target\()_saved
        .endm

        .macro  from_guest_call_1 target
        from_guest_call \target, 0x8000
        .endm

        .macro  from_guest_call_3 target
        from_guest_call \target, 0x3fff
        .endm

        .macro  vectors name, from_guest
        .balign 2048
        .globl  \name
\name:
        from_el2 0                      /* with SP_EL0, which EL2 never uses */
        from_el2 1
        from_el2 2
        from_el2 3
        from_el2 0
        from_el2 1
        from_el2 2
        from_el2 3
        \from_guest el2_exit_sync       /* AArch64 */
        \from_guest el2_exit_irq
        \from_guest el2_exit_fiq
        \from_guest el2_exit_serror
        \from_guest el2_exit_sync       /* AArch32 at EL0 */
        \from_guest el2_exit_irq
        \from_guest el2_exit_fiq
        \from_guest el2_exit_serror
        .balign 128
        .endm

        .text
        vectors arm_vectors, from_guest_plain
        vectors arm_vectors_loop, from_guest_loop
        vectors arm_vectors_clrbhb, from_guest_clrbhb
        vectors arm_vectors_call_1, from_guest_call_1
        vectors arm_vectors_call_3, from_guest_call_3

/*
 * x0 = the bad SP, SP = the sum of that and x0, x1 in TPIDR_EL0. This is the end: a guest's
 * registers serve as notepad.
 */
arm_vector_overflow:
        msr     tpidrro_el0, x0
        sub     x0, sp, x0
        msr     sp_el0, x0
        adrl    x0, overflow_stack_top
        sub     x0, x0, #FRAME_SIZE
        mov     sp, x0
        mrs     x0, sp_el0
        str     x0, [sp]
        mrs     x0, tpidr_el0
        str     x0, [sp, #8]
        mrs     x0, tpidrro_el0
        add     x0, x0, #FRAME_SIZE

arm_vector_common:                      /* x0 = SP before, x1 = which vector */
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
        stp     x30, x0, [sp, #240]
        mrs     x2, elr_el2
        mrs     x3, spsr_el2
        stp     x2, x3, [sp, #256]
        mrs     x2, esr_el2
        mrs     x3, far_el2
        stp     x2, x3, [sp, #272]
        mov     x0, sp
        bl      arm_trap
        ldp     x2, x3, [sp, #256]
        msr     elr_el2, x2
        msr     spsr_el2, x3
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
        ldr     x30, [sp, #240]
        ldp     x0, x1, [sp]
        add     sp, sp, #FRAME_SIZE
        eret

/*
 * bool arch_probe(enum probe what, const void *at): reads, writes (what it has read) or executes at
 * `at`, and returns whether that faulted. trap.c sends the fault to arm_probe_fault while
 * arm_probe_sp is set.
 */
        .globl  arch_probe, arm_probe_fault, arch_a_return
        .type   arch_probe, %function
arch_probe:
        hint    #34                     /* BTI C */
        stp     x29, x30, [sp, #-16]!
        mov     x29, sp
        adrl    x9, arm_probe_sp
        mov     x10, sp
        str     x10, [x9]
        cmp     w0, #1
        b.hi    2f
        ldrb    w11, [x1]
        b.lo    3f
        strb    w11, [x1]
        b       3f
2:      blr     x1
3:      mov     x0, xzr
4:      adrl    x9, arm_probe_sp
        str     xzr, [x9]
        ldp     x29, x30, [sp], #16
        ret
arm_probe_fault:
        adrl    x9, arm_probe_sp
        ldr     x10, [x9]
        mov     sp, x10
        mov     x0, #1
        b       4b
        .type   arch_a_return, %function
arch_a_return:
        hint    #34                     /* BTI C */
        ret

/*
 * How every further CPU starts (PSCI CPU_ON, DEN 0022 section 5.1.4): MMU and caches off, at this
 * code's physical address, with x0 = the physical address of struct ap_start in smp.c, which is
 * clean in RAM. The page is mapped to itself by the first root.
 */
        .balign 256
        .globl  arm_ap_start
arm_ap_start:
        msr     daifset, #15
        mrs     x1, CurrentEL
        cmp     x1, #8
        b.ne    9f                      /* not EL2: it is left out */
        ldp     x1, x2, [x0]            /* HCR_EL2, TCR_EL2 */
        ldp     x3, x4, [x0, #16]       /* MAIR_EL2, SCTLR_EL2 */
        ldp     x5, x6, [x0, #32]       /* the first root; the root of all */
        ldp     x7, x8, [x0, #48]       /* stack; entry */
        ldr     x9, [x0, #64]           /* CPU */
        msr     hcr_el2, x1
        isb
        msr     tcr_el2, x2
        msr     mair_el2, x3
        msr     ttbr0_el2, x5
        isb
        tlbi    alle2
        ic      iallu
        dsb     sy
        isb
        msr     sctlr_el2, x4
        isb
        br      x8
9:      wfi
        b       9b

        .globl  arm_ap_high
/* in the image: the mapping to itself is no longer needed */
arm_ap_high:
        hint    #38                     /* BTI JC */
        msr     ttbr0_el2, x6
        isb
        tlbi    alle2
        dsb     nsh
        isb
        msr     spsel, #1
        mov     sp, x7
        adrl    x1, arm_vectors
        msr     vbar_el2, x1
        isb
        mov     x29, xzr
        mov     x30, xzr
        mov     x19, x9
        bl      load_host_key
        mov     x0, x19
        bl      arm_ap_entry
1:      wfi
        b       1b

        .section .bss
        .globl  boot_stack_guard, boot_stack_top, arm_probe_sp
arm_probe_sp:
        .quad   0
        .balign 16
        .space  8192
overflow_stack_top:
        .balign 65536
        .space  28672
boot_stack_guard:
        .space  4096
        .space  32768
boot_stack_top:
        .section .note.GNU-stack, "", %progbits
