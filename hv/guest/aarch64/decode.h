/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A64 loads and stores of general and of vector registers, taken apart: what a device access needs
 * when the syndrome does not tell. Private to hv/guest/aarch64.
 */
#pragma once
#include <hv/types.h>
enum arm_index { ARM_OFFSET, ARM_PRE, ARM_POST };
struct arm_ldst {
    uint8_t size;          /* of an element: 1, 2, 4 or 8 bytes; 16 of a vector register */
    uint8_t count;         /* 1, or 2 for a pair */
    uint8_t rt[2], rn, rm; /* 31: XZR, but rn 31: SP */
    bool load, sext, wide; /* wide: the register's 64 bits are written */
    bool simd;             /* rt are B, H, S, D or Q registers */
    bool unprivileged;     /* LDTR, STTR: as EL0 would */
    uint8_t index;         /* enum arm_index */
    bool by_register;      /* the offset is rm, extended by `option`, shifted */
    uint8_t option, shift;
    int64_t imm;
};
/*
 * 0, or -EINVAL: not such an instruction (structures of vectors, atomics, exclusives, prefetches,
 * and what the manual calls unpredictable).
 */
int must_check arm_decode_ldst(uint32_t insn, struct arm_ldst *l);
