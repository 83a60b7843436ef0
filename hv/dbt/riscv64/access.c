/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads, stores and atomics: volume I, 2.6 and chapter 8. */
#include "ops.h"

static uint64_t access_address(const struct rv_hart *h, const struct rv_insn *i)
{
    return rv_x1(h, i) + (uint64_t)(int64_t)i->imm;
}

static inline bool access_load(struct rv_hart *h, const struct rv_insn *i, unsigned size,
                               uint64_t *value)
{
    enum dbt_fault fault = dbt_load(&h->mem, access_address(h, i), size, value);

    if (fault == DBT_OK)
        return true;
    rv_memory_trap(h, fault, DBT_LOAD);
    return false;
}

static inline void access_store(struct rv_hart *h, const struct rv_insn *i, unsigned size)
{
    enum dbt_fault fault = dbt_store(&h->mem, access_address(h, i), size, rv_x2(h, i));

    if (fault != DBT_OK)
        rv_memory_trap(h, fault, DBT_STORE);
}

static inline void load_signed(struct rv_hart *h, const struct rv_insn *i, unsigned size)
{
    unsigned shift = 64 - 8 * size;
    uint64_t v;

    if (access_load(h, i, size, &v))
        rv_set(h, i, (uint64_t)((int64_t)(v << shift) >> shift));
}

static inline void load_unsigned(struct rv_hart *h, const struct rv_insn *i, unsigned size)
{
    uint64_t v;

    if (access_load(h, i, size, &v))
        rv_set(h, i, v);
}

void rv_do_lb(struct rv_hart *h, const struct rv_insn *i) { load_signed(h, i, 1); }
void rv_do_lh(struct rv_hart *h, const struct rv_insn *i) { load_signed(h, i, 2); }
void rv_do_lw(struct rv_hart *h, const struct rv_insn *i) { load_signed(h, i, 4); }
void rv_do_ld(struct rv_hart *h, const struct rv_insn *i) { load_unsigned(h, i, 8); }
void rv_do_lbu(struct rv_hart *h, const struct rv_insn *i) { load_unsigned(h, i, 1); }
void rv_do_lhu(struct rv_hart *h, const struct rv_insn *i) { load_unsigned(h, i, 2); }
void rv_do_lwu(struct rv_hart *h, const struct rv_insn *i) { load_unsigned(h, i, 4); }
void rv_do_sb(struct rv_hart *h, const struct rv_insn *i) { access_store(h, i, 1); }
void rv_do_sh(struct rv_hart *h, const struct rv_insn *i) { access_store(h, i, 2); }
void rv_do_sw(struct rv_hart *h, const struct rv_insn *i) { access_store(h, i, 4); }
void rv_do_sd(struct rv_hart *h, const struct rv_insn *i) { access_store(h, i, 8); }

static unsigned atomic_size(unsigned op) { return op >= RV_LR_D ? 8 : 4; }

/* The operation of the same kind on words. */
static unsigned atomic_kind(unsigned op) { return op >= RV_LR_D ? op - (RV_LR_D - RV_LR_W) : op; }

static uint64_t sign_extended(uint64_t v, unsigned size)
{
    return size == 4 ? (uint64_t)(int64_t)(int32_t)v : v;
}

static uint64_t atomic_read(const void *at, unsigned size)
{
    if (size == 4)
        return __atomic_load_n((const uint32_t *)at, __ATOMIC_SEQ_CST);
    return __atomic_load_n((const uint64_t *)at, __ATOMIC_SEQ_CST);
}

static bool swap_if(void *at, unsigned size, uint64_t old, uint64_t value)
{
    uint32_t old4 = (uint32_t)old;

    if (size == 4)
        return __atomic_compare_exchange_n((uint32_t *)at, &old4, (uint32_t)value, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return __atomic_compare_exchange_n((uint64_t *)at, &old, value, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

static uint64_t atomic_lr(struct rv_cpu *c, const void *at, uint64_t pa, unsigned size)
{
    c->reserved = size;
    c->reserved_pa = pa;
    c->reserved_value = atomic_read(at, size);
    return sign_extended(c->reserved_value, size);
}

/* A store of the same value by another hart in between goes unseen, as with every emulation by
 * compare-and-swap. */
static uint64_t atomic_sc(struct rv_hart *h, void *at, uint64_t pa, unsigned size, uint64_t value)
{
    struct rv_cpu *c = &h->cpu;
    bool done =
        c->reserved == size && c->reserved_pa == pa && swap_if(at, size, c->reserved_value, value);

    c->reserved = 0;
    if (done)
        dbt_atomic_done(&h->mem, pa, size);
    return !done;
}

static uint64_t lesser(uint64_t a, uint64_t b, bool is_signed, bool greater)
{
    bool less = is_signed ? (int64_t)a < (int64_t)b : a < b;

    return less != greater ? a : b;
}

/* What an AMO stores; operands of .w: sign-extended, which keeps the order of unsigned ones too. */
static uint64_t access_combined(unsigned kind, uint64_t old, uint64_t operand)
{
    switch (kind) {
    case RV_AMOSWAP_W: return operand;
    case RV_AMOADD_W: return old + operand;
    case RV_AMOXOR_W: return old ^ operand;
    case RV_AMOAND_W: return old & operand;
    case RV_AMOOR_W: return old | operand;
    case RV_AMOMIN_W: return lesser(old, operand, true, false);
    case RV_AMOMAX_W: return lesser(old, operand, true, true);
    case RV_AMOMINU_W: return lesser(old, operand, false, false);
    default: return lesser(old, operand, false, true);
    }
}

static uint64_t amo(struct rv_hart *h, void *at, uint64_t pa, unsigned op, uint64_t operand)
{
    unsigned size = atomic_size(op);
    uint64_t old;

    operand = sign_extended(operand, size);
    do
        old = sign_extended(atomic_read(at, size), size);
    while (!swap_if(at, size, old, access_combined(atomic_kind(op), old, operand)));
    dbt_atomic_done(&h->mem, pa, size);
    return old;
}

enum dbt_fault rv_atomic(struct rv_hart *h, unsigned op, uint64_t va, uint64_t operand,
                         uint64_t *result)
{
    unsigned size = atomic_size(op), kind = atomic_kind(op);
    uint64_t pa;
    void *at;
    enum dbt_fault fault = dbt_atomic(&h->mem, va, size, rv_atomic_access(op), &at, &pa);

    if (fault != DBT_OK)
        return fault;
    if (kind == RV_LR_W)
        *result = atomic_lr(&h->cpu, at, pa, size);
    else if (kind == RV_SC_W)
        *result = atomic_sc(h, at, pa, size, operand);
    else
        *result = amo(h, at, pa, op, operand);
    return DBT_OK;
}

/*
 * Volume I, 8.1. What the C language's order does not say: that all that was done before an LR is
 * seen before it, and that what comes behind an AMO or SC is behind its store, too.
 */
void rv_do_atomic(struct rv_hart *h, const struct rv_insn *i)
{
    bool lr = atomic_kind(i->op) == RV_LR_W;
    enum dbt_fault fault;
    uint64_t v;

    if (lr && i->imm & RV_RL)
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    fault = rv_atomic(h, i->op, rv_x1(h, i), rv_x2(h, i), &v);
    if (!lr && i->imm & RV_AQ)
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (fault == DBT_OK)
        rv_set(h, i, v);
    else
        rv_memory_trap(h, fault, rv_atomic_access(i->op));
}
