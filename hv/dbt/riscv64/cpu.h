/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the front end share. All functions: from the thread that runs the hart. */
#ifndef HV_DBT_RISCV64_CPU_H
#define HV_DBT_RISCV64_CPU_H

#include <hv/rv_hart.h>

/* What each operation does: by enum rv_op. They set h->next, or trap. */
typedef void rv_exec_fn(struct rv_hart *h, const struct rv_insn *i);

#define RV_BIT(n) (1ull << (n))
#define RV_IRQ_S (RV_BIT(RV_IRQ_SSI) | RV_BIT(RV_IRQ_STI) | RV_BIT(RV_IRQ_SEI))
#define RV_IRQ_M (RV_BIT(RV_IRQ_MSI) | RV_BIT(RV_IRQ_MTI) | RV_BIT(RV_IRQ_MEI))

#define MENVCFG_FIOM RV_BIT(0)
#define MENVCFG_ADUE RV_BIT(61)
#define MENVCFG_STCE RV_BIT(63)

/* Which bits there are to be written. */
#define MSTATUS_KEPT                                                                        \
    (RV_MSTATUS_SIE | RV_MSTATUS_MIE | RV_MSTATUS_SPIE | RV_MSTATUS_MPIE | RV_MSTATUS_SPP | \
     RV_MSTATUS_MPP | RV_MSTATUS_FS | RV_MSTATUS_MPRV | RV_MSTATUS_SUM | RV_MSTATUS_MXR |   \
     RV_MSTATUS_TVM | RV_MSTATUS_TW | RV_MSTATUS_TSR)
#define MEDELEG_KEPT 0xb3ffull /* every exception but ECALL from M-mode */
#define INHIBIT_CY 1u
#define INHIBIT_IR 4u

#define SATP_MODE(satp) ((satp) >> 60)
#define SATP_ASID(satp) ((satp) >> 44 & 0xffff)
#define SATP_PPN(satp) ((satp) & ((1ull << 44) - 1))
enum { SATP_BARE = 0, SATP_SV39 = 8, SATP_SV48 = 9, SATP_SV57 = 10 };

/* mmu.c: struct dbt_mem_ops.walk; owner is the hart. */
enum dbt_fault rv_walk(void *owner, uint64_t va, enum dbt_access access, unsigned size,
                       struct dbt_translation *out);
/* The mode of loads and stores: MPP's under MPRV. */
unsigned rv_data_mode(const struct rv_cpu *c);
/* Selects the contexts of cpu's mode, satp, SUM, MXR and MPRV. */
void rv_select(struct rv_hart *h);

/* pmp.c: volume II, 3.7. May `mode` do this? *whole_page is cleared if the answer is not that of
 * all bytes of the page. */
bool rv_pmp_allows(const struct rv_cpu *c, unsigned mode, uint64_t pa, unsigned size,
                   enum dbt_access access, bool *whole_page);
void rv_pmpcfg_write(struct rv_cpu *c, unsigned first, uint64_t value);
void rv_pmpaddr_write(struct rv_cpu *c, unsigned n, uint64_t value);

/* Is there such an entry's cfg? */
bool rv_pmpcfg_valid(uint8_t cfg);
/* Is there such a satp? */
bool rv_satp_valid(uint64_t satp);

/* csr.c. false: there is none, or not in this mode, or not to be written. */
bool rv_csr_read(struct rv_hart *h, unsigned number, uint64_t *value);
bool rv_csr_write(struct rv_hart *h, unsigned number, uint64_t value);

/* trap.c */
void rv_illegal(struct rv_hart *h, const struct rv_insn *i);
uint64_t rv_mip(const struct rv_cpu *c);
void rv_attend(struct rv_hart *h);

/* The operations, a file for each group. */
extern rv_exec_fn *const rv_exec[RV_OPS];
rv_exec_fn rv_do_ecall, rv_do_ebreak, rv_do_csr, rv_do_sret, rv_do_mret, rv_do_wfi,
    rv_do_sfence_vma, rv_do_fence_i;

static inline uint64_t rv_x1(const struct rv_hart *h, const struct rv_insn *i)
{
    return h->cpu.x[i->rs1];
}
static inline uint64_t rv_x2(const struct rv_hart *h, const struct rv_insn *i)
{
    return h->cpu.x[i->rs2];
}
static inline void rv_set(struct rv_hart *h, const struct rv_insn *i, uint64_t value)
{
    h->cpu.x[i->rd] = value;
    h->cpu.x[0] = 0;
}
static inline void rv_set_w(struct rv_hart *h, const struct rv_insn *i, uint64_t value)
{
    rv_set(h, i, (uint64_t)(int64_t)(int32_t)value);
}

#endif
