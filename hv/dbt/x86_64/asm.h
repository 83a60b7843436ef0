/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Host instructions, x86-64: asm.c is the one file that knows their encodings. Names and encodings:
 * Intel SDM volume 2. All but ASM_VFMADD213S*, ASM_SHLX, ASM_SHRX and ASM_SARX exist wherever
 * POPCNT does. Any context; nothing is allocated: what does not fit sets `full`.
 */
#pragma once
#include <hv/types.h>

enum asm_reg { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

enum asm_cond {
    ASM_O,
    ASM_NO,
    ASM_B,
    ASM_AE,
    ASM_E,
    ASM_NE,
    ASM_BE,
    ASM_A,
    ASM_S,
    ASM_NS,
    ASM_P,
    ASM_NP,
    ASM_L,
    ASM_GE,
    ASM_LE,
    ASM_G
};

/* An operand: a register (base) or memory at base + index * 1 + disp. index RSP: none. */
struct asm_rm {
    bool mem;
    uint8_t base, index;
    int32_t disp;
};
static inline struct asm_rm asm_r(unsigned r)
{
    return (struct asm_rm){ .base = (uint8_t)r, .index = RSP };
}
static inline struct asm_rm asm_m(unsigned base, int32_t disp)
{
    return (struct asm_rm){ .mem = true, .base = (uint8_t)base, .index = RSP, .disp = disp };
}
static inline struct asm_rm asm_mx(unsigned base, unsigned index, int32_t disp)
{
    return (struct asm_rm){ true, (uint8_t)base, (uint8_t)index, disp };
}

/* Instructions with a register and an operand; the first is written unless the name says store. */
enum asm_op {
    ASM_ADD,
    ASM_OR,
    ASM_AND,
    ASM_SUB,
    ASM_XOR,
    ASM_CMP,
    ASM_TEST,
    ASM_MOV,
    ASM_MOV_STORE,
    ASM_MOV_STORE8,
    ASM_MOV_STORE16,
    ASM_LEA,
    ASM_XCHG,    /* memory only, as the next two: all are atomic */
    ASM_XADD,    /* memory += reg, reg = what was there */
    ASM_CMPXCHG, /* memory equals rax: memory = reg, ZF; else rax = memory */
    ASM_IMUL,
    ASM_MOVZX8,
    ASM_MOVZX16,
    ASM_MOVSX8,
    ASM_MOVSX16,
    ASM_MOVSXD,
    ASM_BSF,
    ASM_BSR,
    ASM_POPCNT,
    ASM_SHLX, /* reg = rm shifted by `third` */
    ASM_SHRX,
    ASM_SARX,
    /* one operand: the register field is part of the opcode */
    ASM_NOT,
    ASM_NEG,
    ASM_MUL,
    ASM_IMUL1,
    ASM_DIV,
    ASM_IDIV,
    ASM_SHL_CL,
    ASM_SHR_CL,
    ASM_SAR_CL,
    ASM_ROL_CL,
    ASM_ROR_CL,
    ASM_JMP_RM,
    ASM_CALL_RM,
    ASM_LDMXCSR,
    ASM_STMXCSR,
    /* SSE, first scalar double then single; W of movq and cvt: a 64-bit integer */
    ASM_MOVSD,
    ASM_MOVSS,
    ASM_MOVSD_STORE,
    ASM_MOVSS_STORE,
    ASM_MOVAPS,
    ASM_MOVQ_TO_X, /* xmm from a general register; W 0: movd */
    ASM_MOVQ_FROM_X,
    ASM_ADDSD,
    ASM_ADDSS,
    ASM_SUBSD,
    ASM_SUBSS,
    ASM_MULSD,
    ASM_MULSS,
    ASM_DIVSD,
    ASM_DIVSS,
    ASM_SQRTSD,
    ASM_SQRTSS,
    ASM_UCOMISD,
    ASM_UCOMISS,
    ASM_COMISD,
    ASM_COMISS,
    ASM_XORPS,
    ASM_ORPS,
    ASM_CVTSD2SS,
    ASM_CVTSS2SD,
    ASM_CVTSI2SD,
    ASM_CVTSI2SS,
    ASM_CVTTSD2SI,
    ASM_CVTTSS2SI,
    ASM_VFMADD213SD, /* reg = third * reg + rm */
    ASM_VFMADD213SS,
    ASM_OPS
};

struct asm_buf {
    uint8_t *at, *end;
    bool full;
};

/* w: 64 bits. third: only where the table says so, else ignored. */
void asm_op3(struct asm_buf *b, enum asm_op op, bool w, unsigned reg, struct asm_rm rm,
             unsigned third);
static inline void asm_op(struct asm_buf *b, enum asm_op op, bool w, unsigned reg, struct asm_rm rm)
{
    asm_op3(b, op, w, reg, rm, 0);
}
/* ADD OR AND SUB XOR CMP with an immediate, sign-extended to 64 bits. */
void asm_imm(struct asm_buf *b, enum asm_op op, bool w, struct asm_rm rm, int32_t imm);
void asm_test_imm(struct asm_buf *b, bool w, struct asm_rm rm, int32_t imm);
void asm_imul_imm(struct asm_buf *b, bool w, unsigned reg, struct asm_rm rm, int32_t imm);
/* ASM_SHL_CL and its like by a constant. */
void asm_shift(struct asm_buf *b, enum asm_op op, bool w, struct asm_rm rm, unsigned count);
/* The shortest that sets all 64 bits. Flags stay. */
void asm_mov_imm(struct asm_buf *b, unsigned reg, uint64_t v);
void asm_mov_store_imm(struct asm_buf *b, bool w, struct asm_rm rm, int32_t imm);
void asm_bswap(struct asm_buf *b, bool w, unsigned reg);
void asm_setcc(struct asm_buf *b, enum asm_cond c, unsigned reg);
void asm_cmov(struct asm_buf *b, enum asm_cond c, bool w, unsigned reg, struct asm_rm rm);
/* Every earlier store is seen before any later load. */
void asm_mfence(struct asm_buf *b);
void asm_cqo(struct asm_buf *b, bool w);
void asm_push(struct asm_buf *b, unsigned reg);
void asm_pop(struct asm_buf *b, unsigned reg);
void asm_ret(struct asm_buf *b);
/* Jumps with 32-bit displacements; return where the displacement is, for asm_patch(). */
uint8_t *asm_jcc(struct asm_buf *b, enum asm_cond c);
uint8_t *asm_jmp(struct asm_buf *b);
uint8_t *asm_call(struct asm_buf *b);
void asm_patch(struct asm_buf *b, uint8_t *at, const uint8_t *target);
void asm_bytes(struct asm_buf *b, const void *p, size_t n);
