/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A riscv64 hart as guests see it: its architectural state and its decoded instructions. Portable,
 * and shared by the interpreter, the translator and the guest's machine. Names are those of The
 * RISC-V Instruction Set Manual, volumes I (unprivileged, 20191213) and II (privileged, 20211203).
 */
#ifndef HV_RISCV64_H
#define HV_RISCV64_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Operations: one for each instruction; a compressed instruction has the operation it expands to.
 */
enum rv_op {
    RV_ILLEGAL, /* zero: also what no row of the table matches */
    /* RV64I, volume I, chapters 2 and 5 */
    RV_LUI,
    RV_AUIPC,
    RV_JAL,
    RV_JALR,
    RV_BEQ,
    RV_BNE,
    RV_BLT,
    RV_BGE,
    RV_BLTU,
    RV_BGEU,
    RV_LB,
    RV_LH,
    RV_LW,
    RV_LD,
    RV_LBU,
    RV_LHU,
    RV_LWU,
    RV_SB,
    RV_SH,
    RV_SW,
    RV_SD,
    RV_ADDI,
    RV_SLTI,
    RV_SLTIU,
    RV_XORI,
    RV_ORI,
    RV_ANDI,
    RV_SLLI,
    RV_SRLI,
    RV_SRAI,
    RV_ADD,
    RV_SUB,
    RV_SLL,
    RV_SLT,
    RV_SLTU,
    RV_XOR,
    RV_SRL,
    RV_SRA,
    RV_OR,
    RV_AND,
    RV_ADDIW,
    RV_SLLIW,
    RV_SRLIW,
    RV_SRAIW,
    RV_ADDW,
    RV_SUBW,
    RV_SLLW,
    RV_SRLW,
    RV_SRAW,
    RV_FENCE,
    RV_FENCE_I, /* Zifencei */
    RV_ECALL,
    RV_EBREAK,
    /* Zicsr */
    RV_CSRRW,
    RV_CSRRS,
    RV_CSRRC,
    RV_CSRRWI,
    RV_CSRRSI,
    RV_CSRRCI,
    /* M */
    RV_MUL,
    RV_MULH,
    RV_MULHSU,
    RV_MULHU,
    RV_DIV,
    RV_DIVU,
    RV_REM,
    RV_REMU,
    RV_MULW,
    RV_DIVW,
    RV_DIVUW,
    RV_REMW,
    RV_REMUW,
    /* A: .W and .D in the same order */
    RV_LR_W,
    RV_SC_W,
    RV_AMOSWAP_W,
    RV_AMOADD_W,
    RV_AMOXOR_W,
    RV_AMOAND_W,
    RV_AMOOR_W,
    RV_AMOMIN_W,
    RV_AMOMAX_W,
    RV_AMOMINU_W,
    RV_AMOMAXU_W,
    RV_LR_D,
    RV_SC_D,
    RV_AMOSWAP_D,
    RV_AMOADD_D,
    RV_AMOXOR_D,
    RV_AMOAND_D,
    RV_AMOOR_D,
    RV_AMOMIN_D,
    RV_AMOMAX_D,
    RV_AMOMINU_D,
    RV_AMOMAXU_D,
    /* F */
    RV_FLW,
    RV_FSW,
    RV_FMADD_S,
    RV_FMSUB_S,
    RV_FNMSUB_S,
    RV_FNMADD_S,
    RV_FADD_S,
    RV_FSUB_S,
    RV_FMUL_S,
    RV_FDIV_S,
    RV_FSQRT_S,
    RV_FSGNJ_S,
    RV_FSGNJN_S,
    RV_FSGNJX_S,
    RV_FMIN_S,
    RV_FMAX_S,
    RV_FCVT_W_S,
    RV_FCVT_WU_S,
    RV_FCVT_L_S,
    RV_FCVT_LU_S,
    RV_FMV_X_W,
    RV_FEQ_S,
    RV_FLT_S,
    RV_FLE_S,
    RV_FCLASS_S,
    RV_FCVT_S_W,
    RV_FCVT_S_WU,
    RV_FCVT_S_L,
    RV_FCVT_S_LU,
    RV_FMV_W_X,
    /* D */
    RV_FLD,
    RV_FSD,
    RV_FMADD_D,
    RV_FMSUB_D,
    RV_FNMSUB_D,
    RV_FNMADD_D,
    RV_FADD_D,
    RV_FSUB_D,
    RV_FMUL_D,
    RV_FDIV_D,
    RV_FSQRT_D,
    RV_FSGNJ_D,
    RV_FSGNJN_D,
    RV_FSGNJX_D,
    RV_FMIN_D,
    RV_FMAX_D,
    RV_FCVT_S_D,
    RV_FCVT_D_S,
    RV_FEQ_D,
    RV_FLT_D,
    RV_FLE_D,
    RV_FCLASS_D,
    RV_FCVT_W_D,
    RV_FCVT_WU_D,
    RV_FCVT_L_D,
    RV_FCVT_LU_D,
    RV_FMV_X_D,
    RV_FCVT_D_W,
    RV_FCVT_D_WU,
    RV_FCVT_D_L,
    RV_FCVT_D_LU,
    RV_FMV_D_X,
    /* Zba: bit manipulation, version 1.0.0 */
    RV_ADD_UW,
    RV_SH1ADD,
    RV_SH1ADD_UW,
    RV_SH2ADD,
    RV_SH2ADD_UW,
    RV_SH3ADD,
    RV_SH3ADD_UW,
    RV_SLLI_UW,
    /* Zbb */
    RV_ANDN,
    RV_ORN,
    RV_XNOR,
    RV_CLZ,
    RV_CLZW,
    RV_CTZ,
    RV_CTZW,
    RV_CPOP,
    RV_CPOPW,
    RV_MAX,
    RV_MAXU,
    RV_MIN,
    RV_MINU,
    RV_SEXT_B,
    RV_SEXT_H,
    RV_ZEXT_H,
    RV_ROL,
    RV_ROLW,
    RV_ROR,
    RV_RORI,
    RV_RORIW,
    RV_RORW,
    RV_ORC_B,
    RV_REV8,
    /* Zbs */
    RV_BCLR,
    RV_BCLRI,
    RV_BEXT,
    RV_BEXTI,
    RV_BINV,
    RV_BINVI,
    RV_BSET,
    RV_BSETI,
    /* volume II, section 3.3 and 4.2 */
    RV_SRET,
    RV_MRET,
    RV_WFI,
    RV_SFENCE_VMA,
    RV_OPS
};

/*
 * One decoded instruction. Fields that an operation does not have are 0. Registers are 0 to 31; the
 * operation says whether x or f. imm is sign-extended as the format says: the value to add (lui and
 * auipc: already shifted by 12), a branch's distance, a shift amount, the number of a CSR (0 to
 * 0xfff; for csrr*i rs1 is the 5-bit value), RV_AQ and RV_RL of an atomic.
 */
#define RV_RL 1
#define RV_AQ 2
struct rv_insn {
    uint16_t op; /* enum rv_op */
    uint8_t rd, rs1, rs2, rs3;
    uint8_t rm;     /* rounding mode 0 to 4, or 7: frm; 5 and 6 do not decode */
    uint8_t length; /* bytes: 2 or 4, also of an illegal one */
    int32_t imm;
    uint32_t bits; /* as fetched; the upper half is 0 when length is 2: mtval of an illegal one */
};
static_assert(sizeof(struct rv_insn) == 16, "two decoded instructions in 32 bytes");

/*
 * Decodes the instruction that begins with `bits` (the upper half is ignored if it is a compressed
 * one). A pure function: any context.
 */
struct rv_insn rv_decode(uint32_t bits);

/* The manual's name, "addi"; of RV_ILLEGAL "illegal". */
const char *rv_op_name(unsigned op);

static inline bool rv_is_compressed(uint32_t bits) { return (bits & 3) != 3; }

enum rv_mode { RV_U = 0, RV_S = 1, RV_M = 3 };

/* Causes of exceptions: volume II, table 3.6. With the highest bit: of interrupts, number of a bit
 * of mip. */
enum rv_cause {
    RV_INSN_MISALIGNED = 0,
    RV_INSN_ACCESS = 1,
    RV_INSN_ILLEGAL = 2,
    RV_BREAKPOINT = 3,
    RV_LOAD_MISALIGNED = 4,
    RV_LOAD_ACCESS = 5,
    RV_STORE_MISALIGNED = 6,
    RV_STORE_ACCESS = 7,
    RV_ECALL_U = 8,
    RV_ECALL_S = 9,
    RV_ECALL_M = 11,
    RV_INSN_PAGE = 12,
    RV_LOAD_PAGE = 13,
    RV_STORE_PAGE = 15,
};
#define RV_CAUSE_INTERRUPT (1ull << 63)

enum {
    RV_IRQ_SSI = 1,
    RV_IRQ_MSI = 3,
    RV_IRQ_STI = 5,
    RV_IRQ_MTI = 7,
    RV_IRQ_SEI = 9,
    RV_IRQ_MEI = 11
};

/* mstatus: volume II, 3.1.6. */
#define RV_MSTATUS_SIE (1ull << 1)
#define RV_MSTATUS_MIE (1ull << 3)
#define RV_MSTATUS_SPIE (1ull << 5)
#define RV_MSTATUS_MPIE (1ull << 7)
#define RV_MSTATUS_SPP (1ull << 8)
#define RV_MSTATUS_MPP (3ull << 11)
#define RV_MSTATUS_FS (3ull << 13) /* 0: off, every F and D instruction is illegal; 3: dirty */
#define RV_MSTATUS_MPRV (1ull << 17)
#define RV_MSTATUS_SUM (1ull << 18)
#define RV_MSTATUS_MXR (1ull << 19)
#define RV_MSTATUS_TVM (1ull << 20)
#define RV_MSTATUS_TW (1ull << 21)
#define RV_MSTATUS_TSR (1ull << 22)
#define RV_MSTATUS_UXL (3ull << 32)
#define RV_MSTATUS_SXL (3ull << 34)
#define RV_MSTATUS_SD (1ull << 63) /* not kept: computed from FS when read */

#define RV_PMPS 16

/*
 * What a hart is, all of it: plain, without pointers, so that a copy saves it. x[0] is always 0: a
 * writer of registers skips it. f holds raw bits; a single is NaN-boxed. Owned by the one thread or
 * CPU that runs the hart, except mip, which others change with atomic operations.
 */
struct rv_cpu {
    uint64_t x[32];
    uint64_t f[32];
    uint64_t pc;
    uint32_t fflags;  /* 0 to 31 */
    uint32_t frm;     /* 0 to 7 */
    uint32_t mode;    /* enum rv_mode */
    uint32_t waiting; /* in WFI */
    uint64_t mstatus; /* without SD */
    uint64_t mip;     /* MEIP, MTIP, MSIP from the machine; STIP is computed if Sstc is on */
    uint64_t mie, mideleg, medeleg;
    uint64_t mtvec, mscratch, mepc, mcause, mtval;
    uint64_t stvec, sscratch, sepc, scause, stval;
    uint64_t satp, stimecmp, menvcfg, senvcfg;
    uint64_t mcounteren, scounteren, mcountinhibit;
    uint64_t hartid;
    uint64_t instret;      /* instructions retired since reset: minstret less instret_base */
    uint64_t instret_base; /* what a write of minstret added */
    uint64_t cycle_base;   /* the same for mcycle, which counts instructions too */
    /* LR's reservation: valid, its physical address and the value that was read (A, 8.2) */
    uint64_t reserved, reserved_pa, reserved_value;
    uint64_t pmpaddr[RV_PMPS];
    uint8_t pmpcfg[RV_PMPS];
    uint64_t seip_line; /* the interrupt controller's SEIP, ored into mip.SEIP when read */
};
/* What compiled code relies on. */
static_assert(offsetof(struct rv_cpu, x) == 0, "layout");
static_assert(offsetof(struct rv_cpu, f) == 256, "layout");
static_assert(offsetof(struct rv_cpu, pc) == 512, "layout");
static_assert(offsetof(struct rv_cpu, fflags) == 520, "layout");
static_assert(offsetof(struct rv_cpu, frm) == 524, "layout");
static_assert(offsetof(struct rv_cpu, mode) == 528, "layout");
static_assert(offsetof(struct rv_cpu, mstatus) == 536, "layout");
static_assert(sizeof(struct rv_cpu) == 536 + 8 * 46 + 16, "layout");

#endif
