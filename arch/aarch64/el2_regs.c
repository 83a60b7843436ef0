/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * el2_regs.c: EL1's system registers: in the CPU while their vCPU is loaded, else in memory. With
 * VHE they are reached by their EL12 and EL02 names, without by their own (Arm ARM D19.1.2); both
 * names are here and nowhere else.
 */
#include <hv/assert.h>
#include <hv/percpu.h>

#include <string.h>

#include "el2.h"
#include "private.h"

#define MRS_TEXT(a, b, c, d, e) "S" #a "_" #b "_C" #c "_C" #d "_" #e
#define RAW_READ(a, b, c, d, e)                                                         \
    ({                                                                                  \
        uint64_t raw_;                                                                  \
        __asm__ volatile("mrs %0, " MRS_TEXT(a, b, c, d, e) : "=r"(raw_) : : "memory"); \
        raw_;                                                                           \
    })
#define RAW_WRITE(a, b, c, d, e, val) \
    __asm__ volatile("msr " MRS_TEXT(a, b, c, d, e) ", %0" : : "rZ"((uint64_t)(val)) : "memory")

#define LOAD_NVHE(name, a, b, c, d, e, v) RAW_WRITE(a, b, c, d, e, sys[R_##name]);
#define LOAD_VHE(name, a, b, c, d, e, v) RAW_WRITE(a, v, c, d, e, sys[R_##name]);
#define SAVE_NVHE(name, a, b, c, d, e, v) sys[R_##name] = RAW_READ(a, b, c, d, e);
#define SAVE_VHE(name, a, b, c, d, e, v) sys[R_##name] = RAW_READ(a, v, c, d, e);

bool el2_loaded(const struct vcpu *v) { return this_cpu()->loaded == v; }

static void load_el1(const uint64_t *sys) { EL1_REGS(LOAD_NVHE) }

static void load_el12(const uint64_t *sys) { EL1_REGS(LOAD_VHE) }

static void save_el1(uint64_t *sys) { EL1_REGS(SAVE_NVHE) }

static void save_el12(uint64_t *sys) { EL1_REGS(SAVE_VHE) }

/* The table walks that TCR_EL1 allows begin when everything else is in place. */
void el2_regs_load(const struct el2_vcpu *s)
{
    const uint64_t *sys = s->sys;

    if (el2_caps.vhe)
        load_el12(sys);
    else
        load_el1(sys);
    if (el2_caps.pauth) {
        PAUTH_REGS(LOAD_NVHE)
    }
    if (el2_caps.ras) {
        RAS_REGS(LOAD_NVHE)
    }
}

void el2_regs_save(struct el2_vcpu *s)
{
    uint64_t *sys = s->sys;

    if (el2_caps.vhe)
        save_el12(sys);
    else
        save_el1(sys);
    if (el2_caps.pauth) {
        PAUTH_REGS(SAVE_NVHE)
    }
    if (el2_caps.ras) {
        RAS_REGS(SAVE_NVHE)
    }
}

/* ---- one register ---- */

#define READ_ONE(name, a, b, c, d, e, v) \
    case R_##name:                       \
        return el2_caps.vhe ? RAW_READ(a, v, c, d, e) : RAW_READ(a, b, c, d, e);
#define WRITE_ONE(name, a, b, c, d, e, v)  \
    case R_##name:                         \
        if (el2_caps.vhe)                  \
            RAW_WRITE(a, v, c, d, e, val); \
        else                               \
            RAW_WRITE(a, b, c, d, e, val); \
        break;
#define INDEX_ONE(name, a, b, c, d, e, v) \
    case ARM_SYSREG(a, b, c, d, e): return R_##name;

static uint64_t hw_read(enum el2_reg r)
{
    switch (r) {
        EL1_REGS(READ_ONE)
        PAUTH_REGS(READ_ONE)
        RAS_REGS(READ_ONE)
    /* in_hw(): never asked for */
    case R_APIAKEYLO_EL1:
    case R_APIAKEYHI_EL1:
    case R_COUNT: break;
    }
    return 0;
}

static void hw_write(enum el2_reg r, uint64_t val)
{
    switch (r) {
        EL1_REGS(WRITE_ONE)
        PAUTH_REGS(WRITE_ONE)
        RAS_REGS(WRITE_ONE)
    case R_APIAKEYLO_EL1:
    case R_APIAKEYHI_EL1:
    case R_COUNT: break;
    }
}

/*
 * Registers that the CPU does not have, and whose access would be undefined, keep what is in
 * memory.
 */
static bool in_hw(const struct vcpu *v, enum el2_reg r)
{
    if (!el2_loaded(v))
        return false;
    if (r >= R_VSESR_EL2)
        return el2_caps.ras;
    return r < R_APIAKEYLO_EL1 || (r > R_APIAKEYHI_EL1 && el2_caps.pauth);
}

uint64_t el2_reg_get(const struct vcpu *v, enum el2_reg r)
{
    debug_assert_own_cpu(v);
    return in_hw(v, r) ? hw_read(r) : el2_of(v)->sys[r];
}

void el2_reg_set(struct vcpu *v, enum el2_reg r, uint64_t val)
{
    debug_assert_own_cpu(v);
    el2_of(v)->sys[r] = val;
    if (in_hw(v, r))
        hw_write(r, val);
}

int el2_reg_index(uint32_t id)
{
    switch (id) {
        EL1_REGS(INDEX_ONE)
        PAUTH_IA_REGS(INDEX_ONE)
        PAUTH_REGS(INDEX_ONE)
        RAS_REGS(INDEX_ONE)
    default: return -ENOENT;
    }
}

void el2_hcr_set(struct vcpu *v, uint64_t hcr)
{
    debug_assert_own_cpu(v);
    el2_of(v)->hcr = hcr;
    if (el2_loaded(v))
        write_sysreg(hcr_el2, hcr);
}

static void set_vmcr(struct vcpu *v, uint32_t val)
{
    el2_of(v)->gic.vmcr = val;
    if (el2_loaded(v))
        el2_gic->set_vmcr(val);
}

/* What the guest's timer asks for at every turn, without a search. */
static bool get_loaded_timer(const struct vcpu *v, uint32_t id, uint64_t *val)
{
    if ((id != ARM_CNTV_CTL_EL0 && id != ARM_CNTV_CVAL_EL0) || !el2_loaded(v))
        return false;
    if (id == ARM_CNTV_CTL_EL0)
        *val = el2_caps.vhe ? RAW_READ(3, 5, 14, 3, 1) : RAW_READ(3, 3, 14, 3, 1);
    else
        *val = el2_caps.vhe ? RAW_READ(3, 5, 14, 3, 2) : RAW_READ(3, 3, 14, 3, 2);
    return true;
}

/* VSESR_EL2 is there without RAS too: it says that a virtual SError is pending. */
static bool has_reg(enum el2_reg r)
{
    if (r == R_VDISR_EL2)
        return el2_caps.ras;
    return r < R_APIAKEYLO_EL1 || r >= R_VSESR_EL2 || el2_caps.pauth;
}

/* Registers that are the machine's. False: not one of these. */
static bool el2_regs_get_constant(uint32_t id, uint64_t *val)
{
    unsigned index;

    if (id_index(id, &index))
        *val = el2_caps.id[index];
    else if (id == ARM_MIDR_EL1)
        *val = arm_features.midr;
    else if (id == ARM_ICH_VTR_EL2)
        *val = el2_gic_vtr;
    else
        return false;
    return true;
}

static bool is_vreg(uint32_t id) { return id >= ARM_VREG(0, 0) && id <= ARM_VREG(31, 1); }

int el2_get_sysreg(struct vcpu *v, uint32_t id, uint64_t *val)
{
    int r;

    debug_assert_own_cpu(v);
    if (id == ARM_ICH_VMCR_EL2) { /* first: it is asked for at each wake-up */
        *val = el2_loaded(v) ? el2_gic->vmcr() : el2_of(v)->gic.vmcr;
        return 0;
    }
    if (get_loaded_timer(v, id, val))
        return 0;
    if (el2_regs_get_constant(id, val))
        return 0;
    if (is_vreg(id)) {
        *val = el2_fp_vreg(v, id >> 1 & 31, id & 1);
        return 0;
    }
    r = el2_reg_index(id == ARM_MPIDR_EL1 ? ARM_VMPIDR_EL2 : id);
    if (r < 0 || !has_reg((enum el2_reg)r))
        return -ENOENT;
    *val = el2_reg_get(v, (enum el2_reg)r);
    return 0;
}

/*
 * A virtual SError is pending from here on until the guest takes it (Arm ARM D1.3.4). What is the
 * machine's can be set to what it is.
 */
int el2_set_sysreg(struct vcpu *v, uint32_t id, uint64_t val)
{
    uint64_t is;
    int r;

    debug_assert_own_cpu(v);
    if (el2_regs_get_constant(id, &is))
        return val == is ? 0 : -EINVAL;
    if (id == ARM_ICH_VMCR_EL2) {
        if (val >> 32)
            return -EINVAL;
        set_vmcr(v, (uint32_t)val);
        return 0;
    }
    if (id == ARM_VTIMER_PHYS_ACTIVE) {
        if (el2_loaded(v))
            gic->set_active(ARM_PPI_VTIMER, val != 0);
        return 0;
    }
    if (is_vreg(id)) {
        el2_fp_set_vreg(v, id >> 1 & 31, id & 1, val);
        return 0;
    }
    r = el2_reg_index(id == ARM_MPIDR_EL1 ? ARM_VMPIDR_EL2 : id);
    if (r < 0 || !has_reg((enum el2_reg)r))
        return -ENOENT;
    el2_reg_set(v, (enum el2_reg)r, val);
    if (id == ARM_VSESR_EL2)
        el2_hcr_set(v, el2_of(v)->hcr | HCR_VSE);
    return 0;
}

/* ---- reset, Arm ARM D1.2 and the reset values of D19 ---- */

#define SCTLR_EL1_RESET 0x30d00800ull /* RES1 bits; MMU, caches and checks off */
#define VMPIDR_RES1 (1ull << 31)

/*
 * What belongs to the machine rather than to the CPU's state stays: MPIDR_EL1 and the offset of the
 * virtual count.
 */
void el2_regs_reset(struct vcpu *v)
{
    struct el2_vcpu *s = el2_of(v);
    uint64_t mpidr = s->sys[R_VMPIDR_EL2], voff = s->sys[R_CNTVOFF_EL2];

    assert_own_cpu(v);
    memset(s->sys, 0, sizeof s->sys);
    s->sys[R_SCTLR_EL1] = SCTLR_EL1_RESET;
    s->sys[R_VMPIDR_EL2] = mpidr ? mpidr : VMPIDR_RES1 | v->id;
    s->sys[R_CNTVOFF_EL2] = voff;
    memset(&v->regs, 0, sizeof v->regs);
    v->regs.flags = PSTATE_DAIF | 5; /* EL1h */
    if (el2_loaded(v))
        el2_regs_load(s);
}
