/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * payload.S: the hypervisor, as it was linked, inside the loader. The build gives PAYLOAD its path.
 */
        .section .data.payload, "aw"
        .globl  trivet_elf, trivet_elf_end
        .balign 64
trivet_elf:
        .incbin PAYLOAD
trivet_elf_end:
        .section .note.GNU-stack, "", %progbits
