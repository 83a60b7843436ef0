/* SPDX-License-Identifier: BSD-2-Clause */
/* Entry of a workload in machine mode: stack, floating point on, main(), its result to a device. */
    .section .text.start, "ax"
    .globl _start
_start:
    la      sp, stack_end
    li      t0, 3 << 13         /* mstatus.FS: dirty */
    csrs    mstatus, t0
    csrw    fcsr, zero
    call    main
    andi    a0, a0, 0xff
    slli    a0, a0, 16
    li      t0, 0x3333          /* SiFive's test device: end with this status */
    or      a0, a0, t0
    li      t1, 0x100000
    sw      a0, 0(t1)
1:  j       1b
    .bss
    .balign 16
    .space  65536
stack_end:
