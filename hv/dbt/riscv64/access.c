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

static unsigned size_of(const struct rv_insn *i) { return i->op >= RV_LR_D ? 8 : 4; }

/* What an atomic works on; NULL: it trapped. */
static void *target(struct rv_hart *h, const struct rv_insn *i, enum dbt_access access,
                    uint64_t *pa)
{
    void *host;
    enum dbt_fault fault = dbt_atomic(&h->mem, rv_x1(h, i), size_of(i), access, &host, pa);

    if (fault == DBT_OK)
        return host;
    rv_memory_trap(h, fault, access);
    return NULL;
}

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

void rv_do_lr(struct rv_hart *h, const struct rv_insn *i)
{
    uint64_t pa;
    const void *at = target(h, i, DBT_LOAD, &pa);

    if (!at)
        return;
    h->cpu.reserved = size_of(i);
    h->cpu.reserved_pa = pa;
    h->cpu.reserved_value = atomic_read(at, size_of(i));
    rv_set(h, i, sign_extended(h->cpu.reserved_value, size_of(i)));
}

/* A store of the same value by another hart in between goes unseen, as with every emulation by
 * compare-and-swap. */
void rv_do_sc(struct rv_hart *h, const struct rv_insn *i)
{
    uint64_t pa;
    void *at = target(h, i, DBT_STORE, &pa);
    bool done;

    if (!at)
        return;
    done = h->cpu.reserved == size_of(i) && h->cpu.reserved_pa == pa &&
           swap_if(at, size_of(i), h->cpu.reserved_value, rv_x2(h, i));
    h->cpu.reserved = 0;
    if (done)
        dbt_atomic_done(&h->mem, pa, size_of(i));
    rv_set(h, i, !done);
}

static uint64_t lesser(uint64_t a, uint64_t b, bool is_signed, bool greater)
{
    bool less = is_signed ? (int64_t)a < (int64_t)b : a < b;

    return less != greater ? a : b;
}

/* What an AMO stores; operands of .w: sign-extended, which keeps the order of unsigned ones too. */
static uint64_t access_combined(unsigned op, uint64_t old, uint64_t operand)
{
    switch (op >= RV_LR_D ? op - (RV_LR_D - RV_LR_W) : op) {
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

static void amo(struct rv_hart *h, const struct rv_insn *i, unsigned size)
{
    uint64_t pa, old, operand = sign_extended(rv_x2(h, i), size);
    void *at = target(h, i, DBT_STORE, &pa);

    if (!at)
        return;
    do
        old = sign_extended(atomic_read(at, size), size);
    while (!swap_if(at, size, old, access_combined(i->op, old, operand)));
    dbt_atomic_done(&h->mem, pa, size);
    rv_set(h, i, old);
}

void rv_do_amo_w(struct rv_hart *h, const struct rv_insn *i) { amo(h, i, 4); }
void rv_do_amo_d(struct rv_hart *h, const struct rv_insn *i) { amo(h, i, 8); }
