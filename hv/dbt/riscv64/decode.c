/* SPDX-License-Identifier: BSD-2-Clause */
/* From an instruction's bits to its operation and operands, by the rows of table.c. */
#include "table.h"

/* bits[high:low], moved to bit `to`: the manual's notation for scrambled immediates. */
static uint32_t decode_field(uint32_t bits, unsigned high, unsigned low, unsigned to)
{
    return (bits >> low & ((1u << (high - low + 1)) - 1)) << to;
}

static int32_t decode_sign_extend(uint32_t value, unsigned width)
{
    return (int32_t)(value << (32 - width)) >> (32 - width);
}

static int32_t imm_i(uint32_t b) { return (int32_t)b >> 20; }
static int32_t imm_u(uint32_t b) { return (int32_t)(b & 0xfffff000); }

static int32_t imm_s(uint32_t b)
{
    return decode_sign_extend(decode_field(b, 31, 25, 5) | decode_field(b, 11, 7, 0), 12);
}

static int32_t imm_b(uint32_t b)
{
    return decode_sign_extend(decode_field(b, 31, 31, 12) | decode_field(b, 7, 7, 11) |
                                  decode_field(b, 30, 25, 5) | decode_field(b, 11, 8, 1),
                              13);
}

static int32_t imm_j(uint32_t b)
{
    return decode_sign_extend(decode_field(b, 31, 31, 20) | decode_field(b, 19, 12, 12) |
                                  decode_field(b, 20, 20, 11) | decode_field(b, 30, 21, 1),
                              21);
}

static int32_t imm_sh5(uint32_t b) { return (int32_t)decode_field(b, 24, 20, 0); }
static int32_t imm_sh6(uint32_t b) { return (int32_t)decode_field(b, 25, 20, 0); }
static int32_t imm_csr(uint32_t b) { return (int32_t)decode_field(b, 31, 20, 0); }
static int32_t imm_amo(uint32_t b) { return (int32_t)decode_field(b, 26, 25, 0); }

/* Which fields a format has. */
enum { RD = 1, RS1 = 2, RS2 = 4, RS3 = 8, RM = 16 };
static const struct {
    uint8_t has;
    int32_t (*imm)(uint32_t bits);
} formats[FMTS] = {
    [FMT_NONE] = { 0, NULL },
    [FMT_R] = { RD | RS1 | RS2, NULL },
    [FMT_R1] = { RD | RS1, NULL },
    [FMT_RM] = { RD | RS1 | RS2 | RM, NULL },
    [FMT_RM1] = { RD | RS1 | RM, NULL },
    [FMT_R4] = { RD | RS1 | RS2 | RS3 | RM, NULL },
    [FMT_I] = { RD | RS1, imm_i },
    [FMT_SH5] = { RD | RS1, imm_sh5 },
    [FMT_SH6] = { RD | RS1, imm_sh6 },
    [FMT_S] = { RS1 | RS2, imm_s },
    [FMT_B] = { RS1 | RS2, imm_b },
    [FMT_U] = { RD, imm_u },
    [FMT_J] = { RD, imm_j },
    [FMT_CSR] = { RD | RS1, imm_csr },
    [FMT_AMO] = { RD | RS1 | RS2, imm_amo },
};

static uint8_t decode_reg_at(uint32_t bits, unsigned low) { return (uint8_t)(bits >> low & 31); }

static struct rv_insn operands(uint32_t bits, const struct rv_row *row)
{
    unsigned has = formats[row->format].has;
    int32_t (*imm)(uint32_t) = formats[row->format].imm;

    return (struct rv_insn){
        .op = row->op,
        .rd = has & RD ? decode_reg_at(bits, 7) : 0,
        .rs1 = has & RS1 ? decode_reg_at(bits, 15) : 0,
        .rs2 = has & RS2 ? decode_reg_at(bits, 20) : 0,
        .rs3 = has & RS3 ? decode_reg_at(bits, 27) : 0,
        .rm = has & RM ? (uint8_t)decode_field(bits, 14, 12, 0) : 0,
        .length = 4,
        .imm = imm ? imm(bits) : 0,
        .bits = bits,
    };
}

static struct rv_insn illegal(uint32_t bits, uint8_t length)
{
    return (struct rv_insn){ .op = RV_ILLEGAL, .length = length, .bits = bits };
}

static struct rv_insn decode_32(uint32_t bits)
{
    for (unsigned i = 0; i < RV_OPS - 1; i++) {
        if ((bits & rv_rows[i].mask) == rv_rows[i].match) {
            struct rv_insn insn = operands(bits, &rv_rows[i]);

            return insn.rm == 5 || insn.rm == 6 ? illegal(bits, 4) : insn;
        }
    }
    return illegal(bits, 4);
}

/* Immediates of compressed instructions: volume I, 16.3 to 16.5. */
static int32_t imm_ci(uint32_t b)
{
    return decode_sign_extend(decode_field(b, 12, 12, 5) | decode_field(b, 6, 2, 0), 6);
}

static int32_t imm_ci_lui(uint32_t b) { return imm_ci(b) * 4096; }

static int32_t imm_ci_16(uint32_t b)
{
    return decode_sign_extend(decode_field(b, 12, 12, 9) | decode_field(b, 6, 6, 4) |
                                  decode_field(b, 5, 5, 6) | decode_field(b, 4, 3, 7) |
                                  decode_field(b, 2, 2, 5),
                              10);
}

static int32_t imm_c_shift(uint32_t b)
{
    return (int32_t)(decode_field(b, 12, 12, 5) | decode_field(b, 6, 2, 0));
}

static int32_t imm_ci_lw(uint32_t b)
{
    return (int32_t)(decode_field(b, 12, 12, 5) | decode_field(b, 6, 4, 2) |
                     decode_field(b, 3, 2, 6));
}

static int32_t imm_ci_ld(uint32_t b)
{
    return (int32_t)(decode_field(b, 12, 12, 5) | decode_field(b, 6, 5, 3) |
                     decode_field(b, 4, 2, 6));
}

static int32_t imm_css_w(uint32_t b)
{
    return (int32_t)(decode_field(b, 12, 9, 2) | decode_field(b, 8, 7, 6));
}
static int32_t imm_css_d(uint32_t b)
{
    return (int32_t)(decode_field(b, 12, 10, 3) | decode_field(b, 9, 7, 6));
}

static int32_t imm_ciw(uint32_t b)
{
    return (int32_t)(decode_field(b, 12, 11, 4) | decode_field(b, 10, 7, 6) |
                     decode_field(b, 6, 6, 2) | decode_field(b, 5, 5, 3));
}

static int32_t imm_cl_w(uint32_t b)
{
    return (int32_t)(decode_field(b, 12, 10, 3) | decode_field(b, 6, 6, 2) |
                     decode_field(b, 5, 5, 6));
}

static int32_t imm_cl_d(uint32_t b)
{
    return (int32_t)(decode_field(b, 12, 10, 3) | decode_field(b, 6, 5, 6));
}

static int32_t imm_cj(uint32_t b)
{
    return decode_sign_extend(decode_field(b, 12, 12, 11) | decode_field(b, 11, 11, 4) |
                                  decode_field(b, 10, 9, 8) | decode_field(b, 8, 8, 10) |
                                  decode_field(b, 7, 7, 6) | decode_field(b, 6, 6, 7) |
                                  decode_field(b, 5, 3, 1) | decode_field(b, 2, 2, 5),
                              12);
}

static int32_t imm_cb(uint32_t b)
{
    return decode_sign_extend(decode_field(b, 12, 12, 8) | decode_field(b, 11, 10, 3) |
                                  decode_field(b, 6, 5, 6) | decode_field(b, 4, 3, 1) |
                                  decode_field(b, 2, 2, 5),
                              9);
}

/* Where a register of a compressed instruction comes from: one that the expansion names, or a
 * field. */
enum { X0, X1, X2, AT_7, AT_2, P_7, P_2 };

static uint8_t c_reg(uint32_t bits, unsigned from)
{
    switch (from) {
    case AT_7: return decode_reg_at(bits, 7);
    case AT_2: return decode_reg_at(bits, 2);
    case P_7: return (uint8_t)(8 + decode_field(bits, 9, 7, 0));
    case P_2: return (uint8_t)(8 + decode_field(bits, 4, 2, 0));
    default: return (uint8_t)from;
    }
}

static const struct {
    uint8_t rd, rs1, rs2;
    int32_t (*imm)(uint32_t bits);
} c_formats[FMTS_C] = {
    [FMT_C_NONE] = { X0, X0, X0, NULL },
    [FMT_CIW] = { P_2, X2, X0, imm_ciw },
    [FMT_CL_W] = { P_2, P_7, X0, imm_cl_w },
    [FMT_CL_D] = { P_2, P_7, X0, imm_cl_d },
    [FMT_CS_W] = { X0, P_7, P_2, imm_cl_w },
    [FMT_CS_D] = { X0, P_7, P_2, imm_cl_d },
    [FMT_CI] = { AT_7, AT_7, X0, imm_ci },
    [FMT_CI_LI] = { AT_7, X0, X0, imm_ci },
    [FMT_CI_LUI] = { AT_7, X0, X0, imm_ci_lui },
    [FMT_CI_16] = { X2, X2, X0, imm_ci_16 },
    [FMT_CI_SH] = { AT_7, AT_7, X0, imm_c_shift },
    [FMT_CI_LW] = { AT_7, X2, X0, imm_ci_lw },
    [FMT_CI_LD] = { AT_7, X2, X0, imm_ci_ld },
    [FMT_CSS_W] = { X0, X2, AT_2, imm_css_w },
    [FMT_CSS_D] = { X0, X2, AT_2, imm_css_d },
    [FMT_CB_SH] = { P_7, P_7, X0, imm_c_shift },
    [FMT_CB_I] = { P_7, P_7, X0, imm_ci },
    [FMT_CA] = { P_7, P_7, P_2, NULL },
    [FMT_CJ] = { X0, X0, X0, imm_cj },
    [FMT_CB] = { X0, P_7, X0, imm_cb },
    [FMT_CR_JR] = { X0, AT_7, X0, NULL },
    [FMT_CR_JALR] = { X1, AT_7, X0, NULL },
    [FMT_CR_MV] = { AT_7, X0, AT_2, NULL },
    [FMT_CR_ADD] = { AT_7, AT_7, AT_2, NULL },
};

static struct rv_insn c_operands(uint32_t bits, const struct rvc_row *row)
{
    int32_t (*imm)(uint32_t) = c_formats[row->format].imm;

    return (struct rv_insn){
        .op = row->op,
        .rd = c_reg(bits, c_formats[row->format].rd),
        .rs1 = c_reg(bits, c_formats[row->format].rs1),
        .rs2 = c_reg(bits, c_formats[row->format].rs2),
        .length = 2,
        .imm = imm ? imm(bits) : 0,
        .bits = bits,
    };
}

static bool reserved(const struct rv_insn *insn, unsigned needs)
{
    return (needs & NZ_RD && insn->rd == 0) || (needs & NZ_RS1 && insn->rs1 == 0) ||
           (needs & NZ_IMM && insn->imm == 0);
}

static struct rv_insn decode_16(uint32_t bits)
{
    for (unsigned i = 0; i < rvc_row_count; i++) {
        if ((bits & rvc_rows[i].mask) == rvc_rows[i].match) {
            struct rv_insn insn = c_operands(bits, &rvc_rows[i]);

            return reserved(&insn, rvc_rows[i].needs) ? illegal(bits, 2) : insn;
        }
    }
    return illegal(bits, 2);
}

struct rv_insn rv_decode(uint32_t bits)
{
    return rv_is_compressed(bits) ? decode_16(bits & 0xffff) : decode_32(bits);
}

const char *rv_op_name(unsigned op)
{
    return op > RV_ILLEGAL && op < RV_OPS ? rv_rows[op - 1].name : "illegal";
}
