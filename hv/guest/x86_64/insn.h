/* SPDX-License-Identifier: BSD-2-Clause */
/* Decoded instructions, as far as emulation needs them. Private to hv/guest/x86_64. */
#pragma once
#include "x86.h"

#define X86_INSN_CACHE 64 /* power of two */
/* What an instruction does: the index of emulate.c's table of functions. */
enum x86_op {
    OP_NONE,
    OP_MOV,
    OP_MOVZX,
    OP_MOVSX,
    OP_ALU,
    OP_TEST,
    OP_XCHG,
    OP_XADD,
    OP_CMPXCHG,
    OP_CMPXCHG8B,
    OP_INCDEC,
    OP_NOT,
    OP_NEG,
    OP_SHIFT,
    OP_SHD,
    OP_BT,
    OP_MUL,
    OP_IMUL,
    OP_SETCC,
    OP_CMOV,
    OP_MOVBE,
    OP_PUSH,
    OP_POP,
    OP_CALL,
    OP_JMP,
    OP_RET,
    OP_XLAT,
    OP_BITSCAN,
    OP_POPCNT,
    OP_CRC32,
    OP_ENTER,
    OP_LEAVE,
    OP_FAR,
    OP_STORE_SYS,
    OP_LOAD_SEG,
    OP_MOVS,
    OP_STOS,
    OP_LODS,
    OP_SCAS,
    OP_CMPS,
    OP_INS,
    OP_OUTS,
    OP_SSE,
    OP_NOP,
    OP_COUNT
};
/* Where its operands are. RM is the ModRM operand, in memory or a register. */
enum x86_form {
    FORM_NONE,
    FORM_RM_R,
    FORM_R_RM,
    FORM_RM_I,
    FORM_RM,
    FORM_R,
    FORM_I,
    FORM_A_OFF,
    FORM_OFF_A,
    FORM_RM_1,
    FORM_RM_CL,
    FORM_R_RM_I
};

enum { NO_REG = 0xff, REG_RIP = 16 };
/* sub of OP_SSE. LOW and HIGH replace half of the register, LOAD clears the rest. */
enum x86_simd {
    SSE_LOAD,
    SSE_LOAD_LOW,
    SSE_LOAD_HIGH,
    SSE_STORE,
    SSE_STORE_HIGH,
    MMX_LOAD,
    MMX_STORE
};
/*
 * sub of OP_BITSCAN, OP_FAR and OP_STORE_SYS; a segment's number (enum x86_seg) for OP_LOAD_SEG,
 * and for OP_STORE_SYS below STORE_MSW.
 */
enum x86_bitscan { SCAN_BSF, SCAN_BSR, SCAN_TZCNT, SCAN_LZCNT };
enum x86_far { FAR_CALL, FAR_JMP };
enum { STORE_MSW = X86_NSEGS };
struct x86_insn {
    uint64_t word[2], mask[2]; /* the bytes, and which of them count */
    int64_t disp;
    uint64_t imm;
    uint8_t bits, len;     /* bits: code size that it was decoded for; 0: empty slot */
    uint8_t op, form, sub; /* sub: which of the ALU's, shifts, conditions, SIMD moves ... */
    /* bytes; src_size: of the memory operand of MOVZX, MOVSX */
    uint8_t size, src_size, addr_size;
    uint8_t reg, rm;                 /* ModRM.reg and .rm with their REX bits */
    uint8_t base, index, scale, seg; /* base REG_RIP: relative to the next instruction */
    uint8_t rex;                     /* 0: no REX prefix (AH..BH are addressable) */
    /* mem: the ModRM operand is in memory; two_mem: and there is another memory operand */
    bool mem, rep, repne, two_mem, vex, l256;
    /* quick.c's; nothing of it counts unless quick is set. */
    bool store;
    uint8_t quick;
    uint64_t pc, keep, take; /* of the register: bits that a load leaves, bits that are moved */
    const struct x86_fetch_cache *page;
    /* of *page: another one means that the slot holds something else */
    uint64_t serial;
    struct x86_mode_regs mode;
};
static inline struct x86_insn *x86_insn_slot(const struct vcpu *v, uint64_t pc)
{
    return &x86_of(v)->insns[(pc ^ pc >> 6) & (X86_INSN_CACHE - 1)];
}
/*
 * Decodes bytes. 0: *in is filled. -ENOEXEC: not an instruction; -EAGAIN: more bytes are needed;
 * -ENOTSUP: not one that is emulated.
 */
int must_check x86_decode(struct x86_insn *in, const uint8_t *bytes, unsigned n, unsigned bits);
/*
 * The instruction at the vCPU's pc. Fetches and decodes, through the cache. NULL with *err 0: a
 * fault was queued, or run again; else as x86_decode, with the bytes in buf.
 */
const struct x86_insn *x86_insn_get(struct vcpu *v, const struct x86_mode *m,
                                    const struct vcpu_exit *e, uint8_t buf[16], int *err);

/* id 0: one that is not done, raise #UD */
struct x86_cr_insn {
    uint32_t id;
    uint8_t gpr, len;
    bool write, is64, lmsw;
};
/* False: no such instruction is there any more, or a fault was queued. */
bool must_check x86_cr_decode(struct vcpu *v, const struct vcpu_exit *e, struct x86_cr_insn *out);

/*
 * alu.c: results and flags of integer instructions, size in bytes. Flags that the manual leaves
 * undefined are cleared or kept.
 */
/* op: ADD OR ADC SBB AND SUB XOR CMP, as encoded */
uint64_t x86_alu(unsigned op, unsigned size, uint64_t a, uint64_t b, uint64_t *flags);
uint64_t x86_incdec(bool dec, unsigned size, uint64_t a, uint64_t *flags);
/* ROL ROR RCL RCR SHL SHR SHL SAR, as encoded */
uint64_t x86_shift(unsigned op, unsigned size, uint64_t a, unsigned count, uint64_t *flags);
uint64_t x86_shd(bool right, unsigned size, uint64_t a, uint64_t b, unsigned count,
                 uint64_t *flags);
uint64_t x86_imul2(unsigned size, uint64_t a, uint64_t b, uint64_t *flags);
/* MUL, IMUL, DIV, IDIV of ModRM.reg 4..7 with lo:hi (AL:AH for bytes). -EDOM: #DE. */
int must_check x86_muldiv(unsigned op, unsigned size, uint64_t *lo, uint64_t *hi, uint64_t b,
                          uint64_t *flags);
bool x86_condition(unsigned cc, uint64_t flags);
static inline uint64_t x86_size_mask(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (1ull << 8 * size) - 1;
}
