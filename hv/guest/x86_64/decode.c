/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From bytes to struct x86_insn. Zydis finds the parts of the instruction; tables indexed by opcode
 * say what it does. What is not in the tables cannot touch a device: the guest gets #UD, and the
 * log the bytes. Opcodes: APM vol 3 appendix A.
 */
#include "insn.h"
#include <Zydis/Zydis.h>
#include <string.h>

enum op_flags {
    F_BYTE0 = 1, /* opcode bit 0 clear: byte operands */
    F_BYTE = 2,
    F_DEF64 = 4,  /* operand size is 8 in 64-bit mode (stack and branches) */
    F_TWO = 8,    /* a second memory operand (stack, strings) */
    F_GROUP = 16, /* ModRM.reg chooses: sub is the group's number */
    F_CC = 32,    /* sub = low four bits of the opcode */
    F_RM = 64,    /* has a ModRM operand */
    F_SRC8 = 128,
    F_SRC16 = 256,
    F_SRC32 = 512,
    F_ZREG = 1024,           /* the register is in the opcode's low bits */
    F_MIN32 = 2048,          /* no 16-bit form */
    F_ONLY64 = 4096,         /* another instruction outside 64-bit mode */
    F_WORD = 16384,          /* 16 bits in memory, whatever the operand size */
    F_NEAR = 8192 | F_DEF64, /* and a 66 prefix changes nothing there, as on Intel's processors */
};
#define M F_RM
struct op_desc {
    uint8_t op, form, sub;
    uint16_t flags;
};

/* FORM_R_RM and so on for the four first columns of the ALU rows 00..3F are made by alu_row(). */
static const struct op_desc map_one[256] = {
    [0x50] = { OP_PUSH, FORM_R, 0, F_DEF64 | F_ZREG },
    [0x51] = { OP_PUSH, FORM_R, 0, F_DEF64 | F_ZREG },
    [0x52] = { OP_PUSH, FORM_R, 0, F_DEF64 | F_ZREG },
    [0x53] = { OP_PUSH, FORM_R, 0, F_DEF64 | F_ZREG },
    [0x54] = { OP_PUSH, FORM_R, 0, F_DEF64 | F_ZREG },
    [0x55] = { OP_PUSH, FORM_R, 0, F_DEF64 | F_ZREG },
    [0x56] = { OP_PUSH, FORM_R, 0, F_DEF64 | F_ZREG },
    [0x57] = { OP_PUSH, FORM_R, 0, F_DEF64 | F_ZREG },
    [0x58] = { OP_POP, FORM_R, 0, F_DEF64 | F_ZREG },
    [0x59] = { OP_POP, FORM_R, 0, F_DEF64 | F_ZREG },
    [0x5a] = { OP_POP, FORM_R, 0, F_DEF64 | F_ZREG },
    [0x5b] = { OP_POP, FORM_R, 0, F_DEF64 | F_ZREG },
    [0x5c] = { OP_POP, FORM_R, 0, F_DEF64 | F_ZREG },
    [0x5d] = { OP_POP, FORM_R, 0, F_DEF64 | F_ZREG },
    [0x5e] = { OP_POP, FORM_R, 0, F_DEF64 | F_ZREG },
    [0x5f] = { OP_POP, FORM_R, 0, F_DEF64 | F_ZREG },
    [0x63] = { OP_MOVSX, FORM_R_RM, 0, M | F_SRC32 | F_ONLY64 },
    [0x68] = { OP_PUSH, FORM_I, 0, F_DEF64 },
    [0x6a] = { OP_PUSH, FORM_I, 0, F_DEF64 },
    [0x69] = { OP_IMUL, FORM_R_RM_I, 0, M },
    [0x6b] = { OP_IMUL, FORM_R_RM_I, 0, M },
    [0x6c] = { OP_INS, FORM_NONE, 0, F_BYTE0 | F_TWO },
    [0x6d] = { OP_INS, FORM_NONE, 0, F_BYTE0 | F_TWO },
    [0x6e] = { OP_OUTS, FORM_NONE, 0, F_BYTE0 | F_TWO },
    [0x6f] = { OP_OUTS, FORM_NONE, 0, F_BYTE0 | F_TWO },
    [0x80] = { OP_ALU, FORM_RM_I, 1, M | F_BYTE0 | F_GROUP },
    [0x81] = { OP_ALU, FORM_RM_I, 1, M | F_BYTE0 | F_GROUP },
    [0x82] = { OP_ALU, FORM_RM_I, 1, M | F_BYTE0 | F_GROUP },
    [0x83] = { OP_ALU, FORM_RM_I, 1, M | F_BYTE0 | F_GROUP },
    [0x84] = { OP_TEST, FORM_RM_R, 0, M | F_BYTE0 },
    [0x85] = { OP_TEST, FORM_RM_R, 0, M | F_BYTE0 },
    [0x86] = { OP_XCHG, FORM_RM_R, 0, M | F_BYTE0 },
    [0x87] = { OP_XCHG, FORM_RM_R, 0, M | F_BYTE0 },
    [0x88] = { OP_MOV, FORM_RM_R, 0, M | F_BYTE0 },
    [0x89] = { OP_MOV, FORM_RM_R, 0, M | F_BYTE0 },
    [0x8a] = { OP_MOV, FORM_R_RM, 0, M | F_BYTE0 },
    [0x8b] = { OP_MOV, FORM_R_RM, 0, M | F_BYTE0 },
    [0x8c] = { OP_STORE_SYS, FORM_RM, 9, M | F_GROUP | F_WORD },
    [0x8e] = { OP_LOAD_SEG, FORM_RM, 10, M | F_GROUP | F_WORD },
    [0x8f] = { OP_POP, FORM_RM, 0, M | F_DEF64 | F_TWO },
    [0xa0] = { OP_MOV, FORM_A_OFF, 0, F_BYTE0 },
    [0xa1] = { OP_MOV, FORM_A_OFF, 0, F_BYTE0 },
    [0xa2] = { OP_MOV, FORM_OFF_A, 0, F_BYTE0 },
    [0xa3] = { OP_MOV, FORM_OFF_A, 0, F_BYTE0 },
    [0xa4] = { OP_MOVS, FORM_NONE, 0, F_BYTE0 | F_TWO },
    [0xa5] = { OP_MOVS, FORM_NONE, 0, F_BYTE0 | F_TWO },
    [0xa6] = { OP_CMPS, FORM_NONE, 0, F_BYTE0 | F_TWO },
    [0xa7] = { OP_CMPS, FORM_NONE, 0, F_BYTE0 | F_TWO },
    [0xaa] = { OP_STOS, FORM_NONE, 0, F_BYTE0 | F_TWO },
    [0xab] = { OP_STOS, FORM_NONE, 0, F_BYTE0 | F_TWO },
    [0xac] = { OP_LODS, FORM_NONE, 0, F_BYTE0 | F_TWO },
    [0xad] = { OP_LODS, FORM_NONE, 0, F_BYTE0 | F_TWO },
    [0xae] = { OP_SCAS, FORM_NONE, 0, F_BYTE0 | F_TWO },
    [0xaf] = { OP_SCAS, FORM_NONE, 0, F_BYTE0 | F_TWO },
    [0xc0] = { OP_SHIFT, FORM_RM_I, 2, M | F_BYTE0 | F_GROUP },
    [0xc1] = { OP_SHIFT, FORM_RM_I, 2, M | F_BYTE0 | F_GROUP },
    [0xc2] = { OP_RET, FORM_I, 0, F_NEAR },
    [0xc3] = { OP_RET, FORM_NONE, 0, F_NEAR },
    [0xc6] = { OP_MOV, FORM_RM_I, 0, M | F_BYTE0 },
    [0xc7] = { OP_MOV, FORM_RM_I, 0, M | F_BYTE0 },
    [0xc8] = { OP_ENTER, FORM_I, 0, F_DEF64 },
    [0xc9] = { OP_LEAVE, FORM_NONE, 0, F_DEF64 },
    [0xd0] = { OP_SHIFT, FORM_RM_1, 2, M | F_BYTE0 | F_GROUP },
    [0xd1] = { OP_SHIFT, FORM_RM_1, 2, M | F_BYTE0 | F_GROUP },
    [0xd2] = { OP_SHIFT, FORM_RM_CL, 2, M | F_BYTE0 | F_GROUP },
    [0xd3] = { OP_SHIFT, FORM_RM_CL, 2, M | F_BYTE0 | F_GROUP },
    [0xd7] = { OP_XLAT, FORM_NONE, 0, F_BYTE },
    [0xe8] = { OP_CALL, FORM_I, 0, F_NEAR },
    [0xf6] = { OP_NONE, FORM_RM, 3, M | F_BYTE0 | F_GROUP },
    [0xf7] = { OP_NONE, FORM_RM, 3, M | F_BYTE0 | F_GROUP },
    [0xfe] = { OP_NONE, FORM_RM, 4, M | F_BYTE0 | F_GROUP },
    [0xff] = { OP_NONE, FORM_RM, 4, M | F_BYTE0 | F_GROUP },
};
static const struct op_desc map_0f[256] = {
    [0x00] = { OP_NONE, FORM_RM, 8, M | F_GROUP | F_WORD },
    [0x01] = { OP_STORE_SYS, FORM_RM, 11, M | F_GROUP | F_WORD },
    [0xb8] = { OP_POPCNT, FORM_R_RM, 0, M },
    [0xbc] = { OP_BITSCAN, FORM_R_RM, SCAN_BSF, M },
    [0xbd] = { OP_BITSCAN, FORM_R_RM, SCAN_BSR, M },
    [0x0d] = { OP_NOP, FORM_RM, 0, M },
    [0x18] = { OP_NOP, FORM_RM, 0, M },
    [0x1f] = { OP_NOP, FORM_RM, 0, M },
    [0xa3] = { OP_BT, FORM_RM_R, 0, M },
    [0xab] = { OP_BT, FORM_RM_R, 1, M },
    [0xb3] = { OP_BT, FORM_RM_R, 2, M },
    [0xbb] = { OP_BT, FORM_RM_R, 3, M },
    [0xba] = { OP_BT, FORM_RM_I, 5, M | F_GROUP },
    [0xa4] = { OP_SHD, FORM_RM_I, 0, M },
    [0xa5] = { OP_SHD, FORM_RM_CL, 0, M },
    [0xac] = { OP_SHD, FORM_RM_I, 1, M },
    [0xad] = { OP_SHD, FORM_RM_CL, 1, M },
    [0xaf] = { OP_IMUL, FORM_R_RM, 0, M },
    [0xb0] = { OP_CMPXCHG, FORM_RM_R, 0, M | F_BYTE0 },
    [0xb1] = { OP_CMPXCHG, FORM_RM_R, 0, M | F_BYTE0 },
    [0xb6] = { OP_MOVZX, FORM_R_RM, 0, M | F_SRC8 },
    [0xb7] = { OP_MOVZX, FORM_R_RM, 0, M | F_SRC16 },
    [0xbe] = { OP_MOVSX, FORM_R_RM, 0, M | F_SRC8 },
    [0xbf] = { OP_MOVSX, FORM_R_RM, 0, M | F_SRC16 },
    [0xc0] = { OP_XADD, FORM_RM_R, 0, M | F_BYTE0 },
    [0xc1] = { OP_XADD, FORM_RM_R, 0, M | F_BYTE0 },
    [0xc3] = { OP_MOV, FORM_RM_R, 0, M | F_MIN32 },
    [0xc7] = { OP_CMPXCHG8B, FORM_RM, 6, M | F_GROUP },
    [0xae] = { OP_NOP, FORM_RM, 7, M | F_GROUP },
};

/*
 * SIMD moves: no arithmetic. Prefix: 0, 0x66, 0xf3, 0xf2 (VEX.pp in the same order). bytes 0: the
 * whole vector.
 */
#define OPCODE_MOVNTDQA 0x382a
struct sse_desc {
    uint16_t opcode;
    uint8_t prefix;
    uint8_t sub;
    uint8_t bytes;
};
static const struct sse_desc sse[] = {
    { 0x10, 0, SSE_LOAD, 0 },       { 0x10, 0x66, SSE_LOAD, 0 },
    { 0x10, 0xf3, SSE_LOAD, 4 },    { 0x10, 0xf2, SSE_LOAD, 8 },
    { 0x11, 0, SSE_STORE, 0 },      { 0x11, 0x66, SSE_STORE, 0 },
    { 0x11, 0xf3, SSE_STORE, 4 },   { 0x11, 0xf2, SSE_STORE, 8 },
    { 0x12, 0, SSE_LOAD_LOW, 8 },   { 0x12, 0x66, SSE_LOAD_LOW, 8 },
    { 0x13, 0, SSE_STORE, 8 },      { 0x13, 0x66, SSE_STORE, 8 },
    { 0x16, 0, SSE_LOAD_HIGH, 8 },  { 0x16, 0x66, SSE_LOAD_HIGH, 8 },
    { 0x17, 0, SSE_STORE_HIGH, 8 }, { 0x17, 0x66, SSE_STORE_HIGH, 8 },
    { 0x28, 0, SSE_LOAD, 0 },       { 0x28, 0x66, SSE_LOAD, 0 },
    { 0x29, 0, SSE_STORE, 0 },      { 0x29, 0x66, SSE_STORE, 0 },
    { 0x2b, 0, SSE_STORE, 0 },      { 0x2b, 0x66, SSE_STORE, 0 },
    { 0x6e, 0x66, SSE_LOAD, 1 },    { 0x7e, 0x66, SSE_STORE, 1 },
    { 0x6e, 0, MMX_LOAD, 1 },       { 0x7e, 0, MMX_STORE, 1 },
    { 0x7e, 0xf3, SSE_LOAD, 8 },    { 0xd6, 0x66, SSE_STORE, 8 },
    { 0x6f, 0, MMX_LOAD, 8 },       { 0x7f, 0, MMX_STORE, 8 },
    { 0xe7, 0, MMX_STORE, 8 },      { 0xe7, 0x66, SSE_STORE, 0 },
    { 0x6f, 0x66, SSE_LOAD, 0 },    { 0x6f, 0xf3, SSE_LOAD, 0 },
    { 0x7f, 0x66, SSE_STORE, 0 },   { 0x7f, 0xf3, SSE_STORE, 0 },
    { 0xf0, 0xf2, SSE_LOAD, 0 },    { OPCODE_MOVNTDQA, 0x66, SSE_LOAD, 0 }, /* LDDQU; MOVNTDQA */
};

struct prefixes {
    uint8_t seg, simd;
    bool op16, addr, rep, repne;
};

static bool long_mode(const ZydisDecodedInstruction *z)
{
    return z->machine_mode == ZYDIS_MACHINE_MODE_LONG_64;
}

/*
 * 64-bit mode ignores these four, so an FS or GS prefix before them stays in force: APM vol 3
 * section 1.2.4.
 */
static void flat_segment(struct prefixes *p, const ZydisDecodedInstruction *z, uint8_t seg)
{
    if (!long_mode(z))
        p->seg = seg;
}

static struct prefixes read_prefixes(const ZydisDecodedInstruction *z)
{
    struct prefixes p = { .seg = NO_REG };

    for (unsigned i = 0; i < z->raw.prefix_count; i++) {
        switch (z->raw.prefixes[i].value) {
        case 0x26: flat_segment(&p, z, X86_ES); break;
        case 0x2e: flat_segment(&p, z, X86_CS); break;
        case 0x36: flat_segment(&p, z, X86_SS); break;
        case 0x3e: flat_segment(&p, z, X86_DS); break;
        case 0x64: p.seg = X86_FS; break;
        case 0x65: p.seg = X86_GS; break;
        case 0x66: p.op16 = true; break;
        case 0x67: p.addr = true; break;
        case 0xf2: p.repne = true, p.rep = false; break;
        case 0xf3: p.rep = true, p.repne = false; break;
        default: break;
        }
    }
    p.simd = p.repne ? 0xf2 : p.rep ? 0xf3 : p.op16 ? 0x66 : 0;
    return p;
}

static struct op_desc alu_row(unsigned opcode)
{
    return (struct op_desc){ OP_ALU, (opcode & 2) != 0 ? FORM_R_RM : FORM_RM_R,
                             (uint8_t)(opcode >> 3), M | F_BYTE0 };
}

/* Groups 3 (F6, F7) and 4, 5 (FE, FF): ModRM.reg is part of the opcode. */
static struct op_desc group3(struct op_desc d, unsigned reg)
{
    static const uint8_t op[8] = {
        OP_TEST, OP_TEST, OP_NOT, OP_NEG, OP_MUL, OP_MUL, OP_MUL, OP_MUL
    };

    d.op = op[reg & 7];
    d.sub = (uint8_t)reg;
    d.form = reg < 2 ? FORM_RM_I : FORM_RM;
    return d;
}

static struct op_desc group5(struct op_desc d, unsigned reg, unsigned opcode)
{
    static const uint8_t op[8] = { OP_INCDEC, OP_INCDEC, OP_CALL, OP_FAR,
                                   OP_JMP,    OP_FAR,    OP_PUSH, OP_NONE };
    static const uint16_t flags[8] = {
        0, 0, F_TWO | F_NEAR, F_TWO, F_TWO | F_NEAR, F_TWO, F_TWO | F_DEF64, 0
    };

    d.op = opcode == 0xfe && reg > 1 ? OP_NONE : op[reg & 7];
    d.sub = d.op == OP_FAR ? (reg == 3 ? FAR_CALL : FAR_JMP) : (uint8_t)reg;
    d.flags |= flags[reg & 7];
    return d;
}

/* SLDT, STR, LLDT, LTR. */
static struct op_desc group6(struct op_desc d, unsigned reg)
{
    d.op = reg < 2 ? OP_STORE_SYS : reg < 4 ? OP_LOAD_SEG : OP_NONE;
    d.sub = (reg & 1) != 0 ? X86_TR : X86_LDTR;
    return d;
}

/* MOV to and from a segment register: there are six, and CS is not written. */
static struct op_desc mov_segment(struct op_desc d, unsigned reg)
{
    if (reg > X86_GS || (d.op == OP_LOAD_SEG && reg == X86_CS))
        d.op = OP_NONE;
    d.sub = (uint8_t)reg;
    return d;
}

static struct op_desc resolve_group(struct op_desc d, unsigned reg, unsigned opcode)
{
    switch (d.sub) {
    case 3: return group3(d, reg);
    case 4: return group5(d, reg, opcode);
    case 5:
        d.sub = (uint8_t)(reg - 4);
        d.op = reg >= 4 ? d.op : OP_NONE;
        return d;
    case 6: d.op = reg == 1 ? d.op : OP_NONE; return d;
    case 8: return group6(d, reg);
    case 9:
    case 10: return mov_segment(d, reg);
    case 11:
        d.op = reg == 4 ? d.op : OP_NONE;
        d.sub = STORE_MSW;
        return d;                                       /* SMSW */
    case 7: d.op = reg == 7 ? d.op : OP_NONE; return d; /* CLFLUSH, CLFLUSHOPT */
    default: d.sub = (uint8_t)reg; return d;
    }
}

/* MOVBE, and CRC32 with F2. */
static struct op_desc movbe(unsigned opcode, const struct prefixes *p)
{
    if ((opcode & 0xfe) == 0xf0 && p->repne)
        return (struct op_desc){ OP_CRC32, FORM_R_RM, 0, M | F_BYTE0 };
    if ((opcode & 0xfe) != 0xf0 || p->rep)
        return (struct op_desc){ OP_NONE, 0, 0, 0 };
    return (struct op_desc){ OP_MOVBE, opcode == 0xf0 ? FORM_R_RM : FORM_RM_R, 0, M };
}

/* BSF, BSR and POPCNT's opcode mean others with F3 or without it. */
static struct op_desc by_rep(struct op_desc d, const struct prefixes *p)
{
    if (d.op == OP_BITSCAN && p->rep)
        d.sub += SCAN_TZCNT - SCAN_BSF;
    if (d.op == OP_POPCNT && !p->rep)
        d.op = OP_NONE;
    return d;
}

static struct op_desc find_op(const ZydisDecodedInstruction *z, const struct prefixes *p)
{
    struct op_desc d = { OP_NONE, 0, 0, 0 };
    unsigned opcode = z->opcode;

    if (z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return d;
    if (z->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT)
        d = opcode < 0x40 && (opcode & 7) < 4 ? alu_row(opcode) : map_one[opcode & 0xff];
    else if (z->opcode_map == ZYDIS_OPCODE_MAP_0F && (opcode & 0xf0) == 0x40)
        d = (struct op_desc){ OP_CMOV, FORM_R_RM, 0, M | F_CC };
    else if (z->opcode_map == ZYDIS_OPCODE_MAP_0F && (opcode & 0xf0) == 0x90)
        d = (struct op_desc){ OP_SETCC, FORM_RM, 0, M | F_CC | F_BYTE };
    else if (z->opcode_map == ZYDIS_OPCODE_MAP_0F)
        d = by_rep(map_0f[opcode & 0xff], p);
    else if (z->opcode_map == ZYDIS_OPCODE_MAP_0F38)
        d = movbe(opcode, p);
    if ((d.flags & F_ONLY64) != 0 && !long_mode(z))
        d = (struct op_desc){ OP_NONE, 0, 0, 0 };
    if ((d.flags & F_GROUP) != 0)
        d = resolve_group(d, z->raw.modrm.reg, opcode);
    if ((d.flags & F_CC) != 0)
        d.sub = opcode & 15;
    return d;
}

/* Fills in what a SIMD move does. False: it is not one. */
static bool sse_find(struct x86_insn *in, const ZydisDecodedInstruction *z,
                     const struct prefixes *p)
{
    static const uint8_t pp[4] = { 0, 0x66, 0xf3, 0xf2 };
    bool vex = z->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX,
         w = vex ? z->raw.vex.W != 0 : (in->rex & 8) != 0;
    uint8_t prefix = vex ? pp[z->raw.vex.pp & 3] : p->simd;
    uint16_t opcode = z->opcode;

    if (z->opcode_map == ZYDIS_OPCODE_MAP_0F38 && opcode == 0x2a)
        opcode = OPCODE_MOVNTDQA;
    else if (z->opcode_map != ZYDIS_OPCODE_MAP_0F)
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(sse); i++) {
        if (sse[i].opcode != opcode || sse[i].prefix != prefix)
            continue;
        in->op = OP_SSE;
        in->sub = sse[i].sub;
        in->vex = vex;
        in->l256 = vex && z->raw.vex.L != 0;
        in->size = sse[i].bytes == 0   ? (in->l256 ? 32 : 16)
                   : sse[i].bytes == 1 ? (w ? 8 : 4)
                                       : sse[i].bytes;
        return !(vex &&
                 (in->sub == SSE_LOAD_LOW || in->sub == SSE_LOAD_HIGH || in->sub >= MMX_LOAD));
    }
    return false;
}

static void set_sizes(struct x86_insn *in, const struct op_desc *d, const struct prefixes *p)
{
    bool is64 = in->bits == 64;

    in->addr_size = is64 ? (p->addr ? 4 : 8) : (in->bits == 32) != p->addr ? 4 : 2;
    in->size = (is64 || in->bits == 32) != p->op16 ? 4 : 2;
    if (is64 && (d->flags & F_DEF64) != 0 && (!p->op16 || (d->flags & F_NEAR) == F_NEAR))
        in->size = 8;
    if (is64 && (in->rex & 8) != 0)
        in->size = 8;
    if ((d->flags & F_BYTE) != 0)
        in->size = 1;
    if ((d->flags & F_WORD) != 0)
        in->size = 2;
    if ((d->flags & F_MIN32) != 0 && in->size == 2)
        in->size = 4;
    if ((d->op == OP_INS || d->op == OP_OUTS) && in->size == 8)
        in->size = 4;
    in->src_size = (d->flags & F_SRC8) != 0    ? 1
                   : (d->flags & F_SRC16) != 0 ? 2
                   : (d->flags & F_SRC32) != 0 ? 4
                                               : in->size;
}

/* 16-bit addressing, APM vol 3 table A-33. */
static void rm16(struct x86_insn *in, const ZydisDecodedInstruction *z)
{
    static const uint8_t base[8] = { X86_RBX, X86_RBX, X86_RBP, X86_RBP,
                                     X86_RSI, X86_RDI, X86_RBP, X86_RBX };
    static const uint8_t index[8] = { X86_RSI, X86_RDI, X86_RSI, X86_RDI,
                                      NO_REG,  NO_REG,  NO_REG,  NO_REG };

    in->base = z->raw.modrm.mod == 0 && z->raw.modrm.rm == 6 ? NO_REG : base[z->raw.modrm.rm];
    in->index = index[z->raw.modrm.rm];
}

static void rm_wide(struct x86_insn *in, const ZydisDecodedInstruction *z, unsigned rex_x,
                    unsigned rex_b)
{
    bool no_base = z->raw.modrm.mod == 0;

    if (z->raw.modrm.rm != 4) {
        in->base = (uint8_t)(z->raw.modrm.rm | rex_b);
        if (no_base && z->raw.modrm.rm == 5)
            in->base = in->bits == 64 ? REG_RIP : NO_REG;
        return;
    }
    in->base = no_base && z->raw.sib.base == 5 ? NO_REG : (uint8_t)(z->raw.sib.base | rex_b);
    in->index = (uint8_t)(z->raw.sib.index | rex_x);
    if (in->index == X86_RSP)
        in->index = NO_REG;
    in->scale = z->raw.sib.scale;
}

/* Without a ModRM byte, mod and rm read as 0: they would name (%rax) or (%bx,%si). */
static bool names_memory(const ZydisDecodedInstruction *z)
{
    return (z->attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0 && z->raw.modrm.mod != 3;
}

static void set_operands(struct x86_insn *in, const ZydisDecodedInstruction *z,
                         const struct prefixes *p)
{
    bool vex = z->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
    unsigned r = vex ? !z->raw.vex.R : in->rex >> 2 & 1, x = vex ? !z->raw.vex.X : in->rex >> 1 & 1,
             b = vex ? !z->raw.vex.B : in->rex & 1;

    in->reg = (uint8_t)(z->raw.modrm.reg | r << 3);
    in->rm = (uint8_t)(z->raw.modrm.rm | b << 3);
    in->base = in->index = NO_REG;
    in->disp = z->raw.disp.value;
    in->mem = names_memory(z);
    if (in->mem && in->addr_size == 2)
        rm16(in, z);
    else if (in->mem)
        rm_wide(in, z, x << 3, b << 3);
    in->seg = p->seg;
    if (in->seg == NO_REG)
        in->seg = in->base == X86_RSP || in->base == X86_RBP ? X86_SS : X86_DS;
}

static uint64_t immediate(const ZydisDecodedInstruction *z)
{
    unsigned n = z->raw.imm[0].size;
    uint64_t u = z->raw.imm[0].value.u;

    return n == 0 || n >= 64 ? u : (uint64_t)((int64_t)(u << (64 - n)) >> (64 - n));
}

static void set_bytes(struct x86_insn *in, const uint8_t *bytes)
{
    uint8_t b[16] = { 0 }, m[16] = { 0 };

    memcpy(b, bytes, in->len);
    memset(m, 0xff, in->len);
    memcpy(in->word, b, 16);
    memcpy(in->mask, m, 16);
}

static int zydis(ZydisDecodedInstruction *z, const uint8_t *bytes, unsigned n, unsigned bits)
{
    ZydisDecoder d;
    ZyanStatus s;

    if (bits == 64)
        s = ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    else if (bits == 32)
        s = ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    else
        s = ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
    if (ZYAN_SUCCESS(s))
        s = ZydisDecoderDecodeInstruction(&d, NULL, bytes, n, z);
    if (ZYAN_SUCCESS(s))
        return 0;
    return s == ZYDIS_STATUS_NO_MORE_DATA ? -EAGAIN : -ENOEXEC;
}

int x86_decode(struct x86_insn *in, const uint8_t *bytes, unsigned n, unsigned bits)
{
    ZydisDecodedInstruction z;
    struct prefixes p;
    struct op_desc d;
    int err = zydis(&z, bytes, n, bits);

    if (err != 0)
        return err;
    memset(in, 0, sizeof *in);
    p = read_prefixes(&z);
    in->len = z.length;
    in->bits = (uint8_t)bits;
    if (z.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
        (z.attributes & ZYDIS_ATTRIB_HAS_REX) != 0)
        in->rex =
            (uint8_t)(0x40 | z.raw.rex.W << 3 | z.raw.rex.R << 2 | z.raw.rex.X << 1 | z.raw.rex.B);
    d = find_op(&z, &p);
    if ((d.flags & F_BYTE0) != 0 && (z.opcode & 1) == 0)
        d.flags |= F_BYTE;
    set_sizes(in, &d, &p);
    set_operands(in, &z, &p);
    in->op = d.op;
    in->form = d.form;
    in->sub = d.sub;
    in->imm = immediate(&z);
    if (in->op == OP_ENTER)
        in->sub = z.raw.imm[1].value.u & 31;
    in->rep = p.rep;
    in->repne = p.repne;
    in->two_mem = (d.flags & F_TWO) != 0;
    in->mem = in->mem && (d.flags & F_RM) != 0;
    if ((d.flags & F_ZREG) != 0)
        in->reg = (uint8_t)((z.opcode & 7) | (in->rex & 1) << 3);
    set_bytes(in, bytes);
    if (in->op != OP_NONE)
        return 0;
    in->mem = names_memory(&z);
    return sse_find(in, &z, &p) ? 0 : -ENOTSUP;
}

static bool cache_hit(const struct x86_insn *in, const uint8_t buf[16], unsigned n, unsigned bits)
{
    uint64_t w[2];

    memcpy(w, buf, 16);
    return in->bits == bits && in->len <= n && (w[0] & in->mask[0]) == in->word[0] &&
           (w[1] & in->mask[1]) == in->word[1];
}

/* Bytes at the pc, in up to two pages. Returns how many; 0 with *err. */
static int fetch_more(struct vcpu *v, const struct x86_mode *m, uint8_t buf[16], unsigned have,
                      int *err)
{
    uint64_t va = m->cs_base + v->regs.pc + have;
    uint32_t code = 0;
    int n = x86_fetch(v, m, va, buf + have, 15 - have, &code);

    if (n > 0)
        return n;
    *err = n == -ENXIO ? -ENXIO : 0;
    if (n == -EFAULT)
        x86_raise_pf(v, va, code);
    return 0;
}

const struct x86_insn *x86_insn_get(struct vcpu *v, const struct x86_mode *m,
                                    const struct vcpu_exit *e, uint8_t buf[16], int *err)
{
    struct x86_insn *in = x86_insn_slot(v, v->regs.pc);
    unsigned n = e->insn_bytes_len <= 15 ? e->insn_bytes_len : 15;

    *err = 0;
    if (n == 0 && x86_fetch_fast(v, m, m->cs_base + v->regs.pc, buf) &&
        cache_hit(in, buf, 15, m->bits))
        return in;
    memset(buf, 0, 16);
    memcpy(buf, e->insn_bytes, n);
    if (n == 0)
        n = (unsigned)fetch_more(v, m, buf, 0, err);
    if (n == 0)
        return NULL;
    if (cache_hit(in, buf, n, m->bits))
        return in;
    in->bits = 0;
    *err = x86_decode(in, buf, n, m->bits);
    if (*err == -EAGAIN && n < 15) {
        *err = 0;
        n += (unsigned)fetch_more(v, m, buf, n, err);
        if (*err != 0 || v->event.type != VEV_NONE)
            return NULL;
        *err = x86_decode(in, buf, n, m->bits);
    }
    if (*err == 0)
        return in;
    in->bits = 0;
    return NULL;
}

/* MOV CRn, r; MOV r, CRn (LOCK MOV CR0 is CR8 on AMD); XSETBV; LMSW. */
static bool cr_fields(const ZydisDecodedInstruction *z, struct x86_cr_insn *out)
{
    static const uint32_t id[16] = {
        [0] = X86_CR0, [2] = X86_CR2, [3] = X86_CR3, [4] = X86_CR4, [8] = X86_CR8
    };
    bool rex = (z->attributes & ZYDIS_ATTRIB_HAS_REX) != 0, lock = false;
    unsigned cr = z->raw.modrm.reg | (rex ? (unsigned)z->raw.rex.R << 3 : 0);

    out->len = z->length;
    if (z->opcode_map != ZYDIS_OPCODE_MAP_0F)
        return false;
    if (z->opcode == 0x01 && z->raw.modrm.mod == 3 && z->raw.modrm.reg == 2 &&
        z->raw.modrm.rm == 1) {
        out->id = X86_XCR0;
        out->write = true;
        return true;
    }
    /* LMSW; from memory it is not done: id stays 0 */
    if (z->opcode == 0x01 && z->raw.modrm.reg == 6) {
        out->id = z->raw.modrm.mod == 3 ? X86_CR0 : 0;
        out->gpr = (uint8_t)(z->raw.modrm.rm | (rex ? z->raw.rex.B << 3 : 0));
        out->write = out->lmsw = true;
        return true;
    }
    for (unsigned i = 0; i < z->raw.prefix_count; i++)
        lock = lock || z->raw.prefixes[i].value == 0xf0;
    out->id = id[lock && cr == 0 ? 8 : cr];
    out->write = z->opcode == 0x22;
    out->gpr = (uint8_t)(z->raw.modrm.rm | (rex ? z->raw.rex.B << 3 : 0));
    return (z->opcode == 0x20 || z->opcode == 0x22) && out->id != 0;
}

/* The form that compilers make: a REX prefix or none, 0F 20 or 22, ModRM. */
static bool cr_short(struct vcpu *v, const struct x86_mode *m, struct x86_cr_insn *out)
{
    static const uint32_t id[16] = {
        [0] = X86_CR0, [2] = X86_CR2, [3] = X86_CR3, [4] = X86_CR4, [8] = X86_CR8
    };
    uint8_t b[16], rex = 0, *p = b;

    if (m->bits != 64 || !x86_fetch_fast(v, m, v->regs.pc, b))
        return false;
    if ((*p & 0xf0) == 0x40)
        rex = *p++;
    if (p[0] != 0x0f || (p[1] != 0x20 && p[1] != 0x22))
        return false;
    out->id = id[(p[2] >> 3 & 7) | (rex & 4) << 1];
    out->gpr = (uint8_t)((p[2] & 7) | (rex & 1) << 3);
    out->write = p[1] == 0x22;
    out->len = (uint8_t)(p - b + 3);
    return out->id != 0;
}

bool x86_cr_decode(struct vcpu *v, const struct vcpu_exit *e, struct x86_cr_insn *out)
{
    ZydisDecodedInstruction z;
    struct x86_mode m;
    uint8_t buf[16];
    unsigned n;
    int err = 0;

    (void)e;
    x86_mode_get(v, &m);
    memset(out, 0, sizeof *out);
    out->is64 = m.bits == 64;
    if (cr_short(v, &m, out))
        return true;
    n = (unsigned)fetch_more(v, &m, buf, 0, &err);
    if (n == 0)
        return false;
    err = zydis(&z, buf, n, m.bits);
    if (err == -EAGAIN) {
        n += (unsigned)fetch_more(v, &m, buf, n, &err);
        err = zydis(&z, buf, n, m.bits);
    }
    return err == 0 && cr_fields(&z, out);
}
