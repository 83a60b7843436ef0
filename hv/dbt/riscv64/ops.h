/* SPDX-License-Identifier: BSD-2-Clause */
/* The functions of the table in exec.c, by file. */
#ifndef HV_DBT_RISCV64_OPS_H
#define HV_DBT_RISCV64_OPS_H

#include "cpu.h"

/* alu.c */
rv_exec_fn rv_do_lui, rv_do_auipc, rv_do_addi, rv_do_slti, rv_do_sltiu, rv_do_xori, rv_do_ori,
    rv_do_andi, rv_do_slli, rv_do_srli, rv_do_srai, rv_do_add, rv_do_sub, rv_do_sll, rv_do_slt,
    rv_do_sltu, rv_do_xor, rv_do_srl, rv_do_sra, rv_do_or, rv_do_and, rv_do_addiw, rv_do_slliw,
    rv_do_srliw, rv_do_sraiw, rv_do_addw, rv_do_subw, rv_do_sllw, rv_do_srlw, rv_do_sraw, rv_do_mul,
    rv_do_mulh, rv_do_mulhsu, rv_do_mulhu, rv_do_div, rv_do_divu, rv_do_rem, rv_do_remu, rv_do_mulw,
    rv_do_divw, rv_do_divuw, rv_do_remw, rv_do_remuw, rv_do_sh1add, rv_do_sh1add_uw, rv_do_sh2add,
    rv_do_sh2add_uw, rv_do_sh3add, rv_do_sh3add_uw, rv_do_add_uw, rv_do_slli_uw, rv_do_andn,
    rv_do_orn, rv_do_xnor, rv_do_clz, rv_do_clzw, rv_do_ctz, rv_do_ctzw, rv_do_cpop, rv_do_cpopw,
    rv_do_max, rv_do_maxu, rv_do_min, rv_do_minu, rv_do_sext_b, rv_do_sext_h, rv_do_zext_h,
    rv_do_rol, rv_do_ror, rv_do_rori, rv_do_rolw, rv_do_rorw, rv_do_roriw, rv_do_orc_b, rv_do_rev8,
    rv_do_bclr, rv_do_bclri, rv_do_binv, rv_do_binvi, rv_do_bset, rv_do_bseti, rv_do_bext,
    rv_do_bexti;

/* access.c; LR, SC and AMOs share a function */
rv_exec_fn rv_do_lb, rv_do_lh, rv_do_lw, rv_do_ld, rv_do_lbu, rv_do_lhu, rv_do_lwu, rv_do_sb,
    rv_do_sh, rv_do_sw, rv_do_sd, rv_do_atomic;

/* exec.c */
rv_exec_fn rv_do_jal, rv_do_jalr, rv_do_beq, rv_do_bne, rv_do_blt, rv_do_bge, rv_do_bltu,
    rv_do_bgeu, rv_do_fence;

/* fp.c */
rv_exec_fn rv_do_fadd_s, rv_do_fsub_s, rv_do_fmul_s, rv_do_fdiv_s, rv_do_fsqrt_s, rv_do_fmadd_s,
    rv_do_fmsub_s, rv_do_fnmsub_s, rv_do_fnmadd_s, rv_do_fsgnj_s, rv_do_fsgnjn_s, rv_do_fsgnjx_s,
    rv_do_fmin_s, rv_do_fmax_s, rv_do_feq_s, rv_do_flt_s, rv_do_fle_s, rv_do_fclass_s,
    rv_do_fcvt_w_s, rv_do_fcvt_wu_s, rv_do_fcvt_l_s, rv_do_fcvt_lu_s, rv_do_fcvt_s_w,
    rv_do_fcvt_s_wu, rv_do_fcvt_s_l, rv_do_fcvt_s_lu, rv_do_fadd_d, rv_do_fsub_d, rv_do_fmul_d,
    rv_do_fdiv_d, rv_do_fsqrt_d, rv_do_fmadd_d, rv_do_fmsub_d, rv_do_fnmsub_d, rv_do_fnmadd_d,
    rv_do_fsgnj_d, rv_do_fsgnjn_d, rv_do_fsgnjx_d, rv_do_fmin_d, rv_do_fmax_d, rv_do_feq_d,
    rv_do_flt_d, rv_do_fle_d, rv_do_fclass_d, rv_do_fcvt_w_d, rv_do_fcvt_wu_d, rv_do_fcvt_l_d,
    rv_do_fcvt_lu_d, rv_do_fcvt_d_w, rv_do_fcvt_d_wu, rv_do_fcvt_d_l, rv_do_fcvt_d_lu,
    rv_do_fcvt_s_d, rv_do_fcvt_d_s, rv_do_fmv_x_w, rv_do_fmv_w_x, rv_do_fmv_x_d, rv_do_fmv_d_x,
    rv_do_flw, rv_do_fld, rv_do_fsw, rv_do_fsd;

#endif
