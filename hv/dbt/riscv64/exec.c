/* SPDX-License-Identifier: BSD-2-Clause */
/* The interpreter: fetch, decode, one function for each operation. */
#include "ops.h"

static void exec_go(struct rv_hart *h, const struct rv_insn *i)
{
    h->next = h->cpu.pc + (uint64_t)(int64_t)i->imm;
}

static int64_t exec_s1(const struct rv_hart *h, const struct rv_insn *i)
{
    return (int64_t)rv_x1(h, i);
}
static int64_t exec_s2(const struct rv_hart *h, const struct rv_insn *i)
{
    return (int64_t)rv_x2(h, i);
}

/* Control transfer: volume I, 2.5. Every target is even, so none is misaligned (C). */
void rv_do_jal(struct rv_hart *h, const struct rv_insn *i)
{
    rv_set(h, i, h->next);
    exec_go(h, i);
}

void rv_do_jalr(struct rv_hart *h, const struct rv_insn *i)
{
    uint64_t target = (rv_x1(h, i) + (uint64_t)(int64_t)i->imm) & ~1ull;

    rv_set(h, i, h->next);
    h->next = target;
}

void rv_do_beq(struct rv_hart *h, const struct rv_insn *i)
{
    if (rv_x1(h, i) == rv_x2(h, i))
        exec_go(h, i);
}

void rv_do_bne(struct rv_hart *h, const struct rv_insn *i)
{
    if (rv_x1(h, i) != rv_x2(h, i))
        exec_go(h, i);
}

void rv_do_blt(struct rv_hart *h, const struct rv_insn *i)
{
    if (exec_s1(h, i) < exec_s2(h, i))
        exec_go(h, i);
}

void rv_do_bge(struct rv_hart *h, const struct rv_insn *i)
{
    if (exec_s1(h, i) >= exec_s2(h, i))
        exec_go(h, i);
}

void rv_do_bltu(struct rv_hart *h, const struct rv_insn *i)
{
    if (rv_x1(h, i) < rv_x2(h, i))
        exec_go(h, i);
}

void rv_do_bgeu(struct rv_hart *h, const struct rv_insn *i)
{
    if (rv_x1(h, i) >= rv_x2(h, i))
        exec_go(h, i);
}

void rv_do_fence(struct rv_hart *h, const struct rv_insn *i)
{
    (void)h, (void)i;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

rv_exec_fn *const rv_exec[RV_OPS] = {
    [RV_ILLEGAL] = rv_illegal,
    [RV_LUI] = rv_do_lui,
    [RV_AUIPC] = rv_do_auipc,
    [RV_ADDI] = rv_do_addi,
    [RV_SLTI] = rv_do_slti,
    [RV_SLTIU] = rv_do_sltiu,
    [RV_XORI] = rv_do_xori,
    [RV_ORI] = rv_do_ori,
    [RV_ANDI] = rv_do_andi,
    [RV_SLLI] = rv_do_slli,
    [RV_SRLI] = rv_do_srli,
    [RV_SRAI] = rv_do_srai,
    [RV_ADD] = rv_do_add,
    [RV_SUB] = rv_do_sub,
    [RV_SLL] = rv_do_sll,
    [RV_SLT] = rv_do_slt,
    [RV_SLTU] = rv_do_sltu,
    [RV_XOR] = rv_do_xor,
    [RV_SRL] = rv_do_srl,
    [RV_SRA] = rv_do_sra,
    [RV_OR] = rv_do_or,
    [RV_AND] = rv_do_and,
    [RV_ADDIW] = rv_do_addiw,
    [RV_SLLIW] = rv_do_slliw,
    [RV_SRLIW] = rv_do_srliw,
    [RV_SRAIW] = rv_do_sraiw,
    [RV_ADDW] = rv_do_addw,
    [RV_SUBW] = rv_do_subw,
    [RV_SLLW] = rv_do_sllw,
    [RV_SRLW] = rv_do_srlw,
    [RV_SRAW] = rv_do_sraw,
    [RV_MUL] = rv_do_mul,
    [RV_MULH] = rv_do_mulh,
    [RV_MULHSU] = rv_do_mulhsu,
    [RV_MULHU] = rv_do_mulhu,
    [RV_DIV] = rv_do_div,
    [RV_DIVU] = rv_do_divu,
    [RV_REM] = rv_do_rem,
    [RV_REMU] = rv_do_remu,
    [RV_MULW] = rv_do_mulw,
    [RV_DIVW] = rv_do_divw,
    [RV_DIVUW] = rv_do_divuw,
    [RV_REMW] = rv_do_remw,
    [RV_REMUW] = rv_do_remuw,
    [RV_SH1ADD] = rv_do_sh1add,
    [RV_SH1ADD_UW] = rv_do_sh1add_uw,
    [RV_SH2ADD] = rv_do_sh2add,
    [RV_SH2ADD_UW] = rv_do_sh2add_uw,
    [RV_SH3ADD] = rv_do_sh3add,
    [RV_SH3ADD_UW] = rv_do_sh3add_uw,
    [RV_ADD_UW] = rv_do_add_uw,
    [RV_SLLI_UW] = rv_do_slli_uw,
    [RV_ANDN] = rv_do_andn,
    [RV_ORN] = rv_do_orn,
    [RV_XNOR] = rv_do_xnor,
    [RV_CLZ] = rv_do_clz,
    [RV_CLZW] = rv_do_clzw,
    [RV_CTZ] = rv_do_ctz,
    [RV_CTZW] = rv_do_ctzw,
    [RV_CPOP] = rv_do_cpop,
    [RV_CPOPW] = rv_do_cpopw,
    [RV_MAX] = rv_do_max,
    [RV_MAXU] = rv_do_maxu,
    [RV_MIN] = rv_do_min,
    [RV_MINU] = rv_do_minu,
    [RV_SEXT_B] = rv_do_sext_b,
    [RV_SEXT_H] = rv_do_sext_h,
    [RV_ZEXT_H] = rv_do_zext_h,
    [RV_ROL] = rv_do_rol,
    [RV_ROR] = rv_do_ror,
    [RV_RORI] = rv_do_rori,
    [RV_ROLW] = rv_do_rolw,
    [RV_RORW] = rv_do_rorw,
    [RV_RORIW] = rv_do_roriw,
    [RV_ORC_B] = rv_do_orc_b,
    [RV_REV8] = rv_do_rev8,
    [RV_BCLR] = rv_do_bclr,
    [RV_BCLRI] = rv_do_bclri,
    [RV_BINV] = rv_do_binv,
    [RV_BINVI] = rv_do_binvi,
    [RV_BSET] = rv_do_bset,
    [RV_BSETI] = rv_do_bseti,
    [RV_BEXT] = rv_do_bext,
    [RV_BEXTI] = rv_do_bexti,
    [RV_LB] = rv_do_lb,
    [RV_LH] = rv_do_lh,
    [RV_LW] = rv_do_lw,
    [RV_LD] = rv_do_ld,
    [RV_LBU] = rv_do_lbu,
    [RV_LHU] = rv_do_lhu,
    [RV_LWU] = rv_do_lwu,
    [RV_SB] = rv_do_sb,
    [RV_SH] = rv_do_sh,
    [RV_SW] = rv_do_sw,
    [RV_SD] = rv_do_sd,
    [RV_LR_W] = rv_do_atomic,
    [RV_SC_W] = rv_do_atomic,
    [RV_AMOSWAP_W] = rv_do_atomic,
    [RV_AMOADD_W] = rv_do_atomic,
    [RV_AMOXOR_W] = rv_do_atomic,
    [RV_AMOAND_W] = rv_do_atomic,
    [RV_AMOOR_W] = rv_do_atomic,
    [RV_AMOMIN_W] = rv_do_atomic,
    [RV_AMOMAX_W] = rv_do_atomic,
    [RV_AMOMINU_W] = rv_do_atomic,
    [RV_AMOMAXU_W] = rv_do_atomic,
    [RV_LR_D] = rv_do_atomic,
    [RV_SC_D] = rv_do_atomic,
    [RV_AMOSWAP_D] = rv_do_atomic,
    [RV_AMOADD_D] = rv_do_atomic,
    [RV_AMOXOR_D] = rv_do_atomic,
    [RV_AMOAND_D] = rv_do_atomic,
    [RV_AMOOR_D] = rv_do_atomic,
    [RV_AMOMIN_D] = rv_do_atomic,
    [RV_AMOMAX_D] = rv_do_atomic,
    [RV_AMOMINU_D] = rv_do_atomic,
    [RV_AMOMAXU_D] = rv_do_atomic,
    [RV_JAL] = rv_do_jal,
    [RV_JALR] = rv_do_jalr,
    [RV_BEQ] = rv_do_beq,
    [RV_BNE] = rv_do_bne,
    [RV_BLT] = rv_do_blt,
    [RV_BGE] = rv_do_bge,
    [RV_BLTU] = rv_do_bltu,
    [RV_BGEU] = rv_do_bgeu,
    [RV_FENCE] = rv_do_fence,
    [RV_ECALL] = rv_do_ecall,
    [RV_EBREAK] = rv_do_ebreak,
    [RV_SRET] = rv_do_sret,
    [RV_MRET] = rv_do_mret,
    [RV_WFI] = rv_do_wfi,
    [RV_SFENCE_VMA] = rv_do_sfence_vma,
    [RV_FENCE_I] = rv_do_fence_i,
    [RV_FADD_S] = rv_do_fadd_s,
    [RV_FSUB_S] = rv_do_fsub_s,
    [RV_FMUL_S] = rv_do_fmul_s,
    [RV_FDIV_S] = rv_do_fdiv_s,
    [RV_FSQRT_S] = rv_do_fsqrt_s,
    [RV_FMADD_S] = rv_do_fmadd_s,
    [RV_FMSUB_S] = rv_do_fmsub_s,
    [RV_FNMSUB_S] = rv_do_fnmsub_s,
    [RV_FNMADD_S] = rv_do_fnmadd_s,
    [RV_FSGNJ_S] = rv_do_fsgnj_s,
    [RV_FSGNJN_S] = rv_do_fsgnjn_s,
    [RV_FSGNJX_S] = rv_do_fsgnjx_s,
    [RV_FMIN_S] = rv_do_fmin_s,
    [RV_FMAX_S] = rv_do_fmax_s,
    [RV_FEQ_S] = rv_do_feq_s,
    [RV_FLT_S] = rv_do_flt_s,
    [RV_FLE_S] = rv_do_fle_s,
    [RV_FCLASS_S] = rv_do_fclass_s,
    [RV_FCVT_W_S] = rv_do_fcvt_w_s,
    [RV_FCVT_WU_S] = rv_do_fcvt_wu_s,
    [RV_FCVT_L_S] = rv_do_fcvt_l_s,
    [RV_FCVT_LU_S] = rv_do_fcvt_lu_s,
    [RV_FCVT_S_W] = rv_do_fcvt_s_w,
    [RV_FCVT_S_WU] = rv_do_fcvt_s_wu,
    [RV_FCVT_S_L] = rv_do_fcvt_s_l,
    [RV_FCVT_S_LU] = rv_do_fcvt_s_lu,
    [RV_FADD_D] = rv_do_fadd_d,
    [RV_FSUB_D] = rv_do_fsub_d,
    [RV_FMUL_D] = rv_do_fmul_d,
    [RV_FDIV_D] = rv_do_fdiv_d,
    [RV_FSQRT_D] = rv_do_fsqrt_d,
    [RV_FMADD_D] = rv_do_fmadd_d,
    [RV_FMSUB_D] = rv_do_fmsub_d,
    [RV_FNMSUB_D] = rv_do_fnmsub_d,
    [RV_FNMADD_D] = rv_do_fnmadd_d,
    [RV_FSGNJ_D] = rv_do_fsgnj_d,
    [RV_FSGNJN_D] = rv_do_fsgnjn_d,
    [RV_FSGNJX_D] = rv_do_fsgnjx_d,
    [RV_FMIN_D] = rv_do_fmin_d,
    [RV_FMAX_D] = rv_do_fmax_d,
    [RV_FEQ_D] = rv_do_feq_d,
    [RV_FLT_D] = rv_do_flt_d,
    [RV_FLE_D] = rv_do_fle_d,
    [RV_FCLASS_D] = rv_do_fclass_d,
    [RV_FCVT_W_D] = rv_do_fcvt_w_d,
    [RV_FCVT_WU_D] = rv_do_fcvt_wu_d,
    [RV_FCVT_L_D] = rv_do_fcvt_l_d,
    [RV_FCVT_LU_D] = rv_do_fcvt_lu_d,
    [RV_FCVT_D_W] = rv_do_fcvt_d_w,
    [RV_FCVT_D_WU] = rv_do_fcvt_d_wu,
    [RV_FCVT_D_L] = rv_do_fcvt_d_l,
    [RV_FCVT_D_LU] = rv_do_fcvt_d_lu,
    [RV_FCVT_S_D] = rv_do_fcvt_s_d,
    [RV_FCVT_D_S] = rv_do_fcvt_d_s,
    [RV_FMV_X_W] = rv_do_fmv_x_w,
    [RV_FMV_W_X] = rv_do_fmv_w_x,
    [RV_FMV_X_D] = rv_do_fmv_x_d,
    [RV_FMV_D_X] = rv_do_fmv_d_x,
    [RV_FLW] = rv_do_flw,
    [RV_FLD] = rv_do_fld,
    [RV_FSW] = rv_do_fsw,
    [RV_FSD] = rv_do_fsd,
    [RV_CSRRW] = rv_do_csr,
    [RV_CSRRS] = rv_do_csr,
    [RV_CSRRC] = rv_do_csr,
    [RV_CSRRWI] = rv_do_csr,
    [RV_CSRRSI] = rv_do_csr,
    [RV_CSRRCI] = rv_do_csr,
};

/* Knuth's multiplicative hash of an instruction's bits. Decoding is a function of the bits alone,
 * so that what is remembered never goes stale. */
static struct rv_insn *remembered(struct rv_hart *h, uint32_t bits)
{
    struct rv_insn *d = &h->decoded[bits * 2654435761u >> (32 - RV_DECODED_BITS)];

    if (d->bits != bits)
        *d = rv_decode(bits);
    return d;
}

/* Fetch by halves: at the end of a page, or on a miss. */
static struct rv_insn *fetch_slow(struct rv_hart *h)
{
    uint64_t pc = h->cpu.pc;
    uint16_t low, high = 0;
    enum dbt_fault fault = dbt_fetch_slow(&h->mem, pc, &low);

    if (fault == DBT_OK && !rv_is_compressed(low))
        fault = dbt_fetch_slow(&h->mem, pc + 2, &high);
    if (fault == DBT_OK)
        return remembered(h, (uint32_t)high << 16 | low);
    rv_memory_trap(h, fault, DBT_FETCH);
    return NULL;
}

/* NULL: it trapped, and h->next is the handler's. */
static inline struct rv_insn *exec_fetch(struct rv_hart *h)
{
    const uint8_t *host = dbt_hit(&h->mem, DBT_FETCH, h->cpu.pc, 4);
    uint32_t bits;

    if (!host)
        return fetch_slow(h);
    bits = (uint32_t)dbt_get(host, 4);
    return remembered(h, rv_is_compressed(bits) ? bits & 0xffff : bits);
}

bool rv_fetch(struct rv_hart *h, struct rv_insn *insn)
{
    const struct rv_insn *i = exec_fetch(h);

    if (i)
        *insn = *i;
    else
        h->cpu.pc = h->next;
    return i;
}

static inline bool execute(struct rv_hart *h, const struct rv_insn *i)
{
    h->trapped = false;
    h->next = h->cpu.pc + i->length;
    rv_exec[i->op](h, i);
    h->cpu.pc = h->next;
    h->cpu.instret += !h->trapped;
    return !h->trapped;
}

bool rv_execute(struct rv_hart *h, const struct rv_insn *insn) { return execute(h, insn); }

/* Something changed. false: leave the interpreter. What is to be seen to first keeps interrupts. */
static bool attended(struct rv_hart *h)
{
    __atomic_store_n(&h->attention, 0, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&h->stop, __ATOMIC_ACQUIRE)) {
        rv_attend(h);
        return false;
    }
    if (h->cpu.waiting && rv_wakes(h))
        h->cpu.waiting = 0;
    rv_interrupt(h);
    return !h->cpu.waiting;
}

uint64_t rv_interpret(struct rv_hart *h, uint64_t budget)
{
    uint64_t n = 0;

    if (!attended(h))
        return 0;
    for (; n < budget; n++) {
        const struct rv_insn *i;

        if (__atomic_load_n(&h->attention, __ATOMIC_RELAXED) && !attended(h))
            break;
        i = exec_fetch(h);
        if (i)
            execute(h, i);
        else
            h->cpu.pc = h->next;
    }
    return n;
}
