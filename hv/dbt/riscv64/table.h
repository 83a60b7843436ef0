/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of instructions, which decode.c reads. */
#ifndef HV_DBT_RISCV64_TABLE_H
#define HV_DBT_RISCV64_TABLE_H

#include <hv/riscv64.h>

/* Where the operands of a 32-bit instruction are: volume I, 2.2 and 2.3. */
enum rv_format {
    FMT_NONE, /* no operands that matter */
    FMT_R,    /* rd, rs1, rs2 */
    FMT_R1,   /* rd, rs1 */
    FMT_RM,   /* rd, rs1, rs2, rounding mode */
    FMT_RM1,  /* rd, rs1, rounding mode */
    FMT_R4,   /* rd, rs1, rs2, rs3, rounding mode */
    FMT_I,
    FMT_SH5, /* rd, rs1, shift amount of 5 bits */
    FMT_SH6,
    FMT_S,
    FMT_B,
    FMT_U,
    FMT_J,
    FMT_CSR, /* rd, rs1, the CSR's number */
    FMT_AMO, /* rd, rs1, rs2, aq and rl */
    FMTS
};

struct rv_row {
    const char *name;
    uint32_t mask, match; /* bits & mask == match */
    uint8_t format;
    uint16_t op;
};

/* Ordered by operation: row i is that of operation i + 1. */
extern const struct rv_row rv_rows[RV_OPS - 1];

/* Of compressed ones: volume I, 16.2 to 16.8. rd', rs1' and rs2' are x8 to x15. */
enum rvc_format {
    FMT_C_NONE,
    FMT_CIW,    /* rd', x2, scaled by 4 */
    FMT_CL_W,   /* rd', rs1', scaled by 4 */
    FMT_CL_D,   /* the same by 8 */
    FMT_CS_W,   /* rs2', rs1' */
    FMT_CS_D,   /* the same by 8 */
    FMT_CI,     /* rd, rd, imm */
    FMT_CI_LI,  /* rd, x0, imm */
    FMT_CI_LUI, /* rd, imm << 12 */
    FMT_CI_16,  /* x2, x2, scaled by 16 */
    FMT_CI_SH,  /* rd, rd, shift amount */
    FMT_CI_LW,  /* rd, x2, scaled by 4 */
    FMT_CI_LD,  /* rd, x2, scaled by 8 */
    FMT_CSS_W,  /* rs2, x2 */
    FMT_CSS_D,
    FMT_CB_SH, /* rd', rd', shift amount */
    FMT_CB_I,  /* rd', rd', imm */
    FMT_CA,    /* rd', rd', rs2' */
    FMT_CJ,    /* x0, distance */
    FMT_CB,    /* rs1', x0, distance */
    FMT_CR_JR, /* x0, rs1 */
    FMT_CR_JALR,
    FMT_CR_MV,  /* rd, x0, rs2 */
    FMT_CR_ADD, /* rd, rd, rs2 */
    FMTS_C
};

/* What must not be zero; else the encoding is reserved and illegal. */
enum { NZ_RD = 1, NZ_IMM = 2, NZ_RS1 = 4 };

struct rvc_row {
    const char *name;
    uint16_t mask, match;
    uint8_t format, needs;
    uint16_t op; /* what it expands to */
};

/* The first row that matches counts. */
extern const struct rvc_row rvc_rows[];
extern const unsigned rvc_row_count;

#endif
