/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses to what is no RAM: a device's register by the syndrome, or by the instruction where the
 * syndrome does not tell; else an external abort to the guest. Device registers are little-endian:
 * a guest whose accesses are big-endian gets their bytes in the order in which its CPU would.
 * Engines leave such accesses to the instruction's decoder.
 */
#include <hv/assert.h>
#include "arm.h"
#include "decode.h"

/* Logged once for each page, and only for the first of them. */
static void log_page(struct vcpu *v, uint64_t addr, const char *what)
{
    if (seen_first(&arm_machine_of(v)->seen_page, addr / PAGE_SIZE))
        vm_log(v->vm, LOG_WARN, "vCPU %u at %llx: %s at %#llx: external abort", v->id,
               (unsigned long long)v->regs.pc, what, (unsigned long long)addr);
}

static void abort_external(struct vcpu *v, const struct vcpu_exit *e, bool write)
{
    arm_raise_abort(v, e->syndrome, e->mem.gva, (e->mem.prot & PROT_X) != 0, write, FSC_EXTERNAL);
}

/* What a load leaves in its register. */
static uint64_t loaded(uint64_t val, unsigned size, bool sext, bool wide)
{
    if (sext && size < 8)
        val = (uint64_t)((int64_t)(val << (64 - 8 * size)) >> (64 - 8 * size));
    return wide ? val : (uint32_t)val;
}

/* ---- the syndrome tells: Arm ARM D17.2.37, ISV 1 ---- */

static __attribute__((noinline)) int no_device(struct vcpu *v, struct vcpu_exit *e)
{
    bool write = e->mem.io.write;

    if (gmem_log_exit(v, e->mem.gpa))
        return 0;
    if (gmem_ptr(v->vm, e->mem.gpa, e->mem.io.size, e->mem.prot))
        return 0; /* RAM, whose mapping was being changed: again */
    log_page(v, e->mem.gpa.v, write ? "a write to no device" : "a read of no device");
    abort_external(v, e, write);
    return 0;
}

static int by_syndrome(struct vcpu *v, struct vcpu_exit *e)
{
    struct io_access *io = &e->mem.io;

    if (io_dispatch(v->vm, IO_MEM, io) == -ENOENT)
        return no_device(v, e);
    if (!io->write)
        /* of no more than its size already */
        arm_set_x(v, e->mem.reg,
                  e->mem.sext ? loaded(io->val, io->size, true, e->mem.wide) : io->val);
    v->ops->skip_insn(v, e->insn_len);
    return 0;
}

/* ---- the instruction tells ---- */

/* 0: *insn. -EAGAIN: an exception waits. */
static int fetch(struct vcpu *v, uint32_t *insn)
{
    struct arm_access_kind kind = { .exec = true, .el0 = arm_at_el0(v) };
    unsigned fsc = FSC_EXTERNAL;
    uint64_t pa;

    if (arm_walk(v, v->regs.pc, kind, &pa, &fsc) == 0) {
        fsc = FSC_EXTERNAL;
        if (gmem_read(v->vm, gpa(pa), insn, sizeof *insn) == 0)
            return 0;
    }
    arm_raise_abort(v, ESR_IL, v->regs.pc, true, false, fsc);
    return -EAGAIN;
}

/* The stack pointer of the current level: SPSel at EL1. */
static uint32_t sp_of(const struct vcpu *v)
{
    return !arm_at_el0(v) && (v->regs.flags & PSTATE_SP) ? ARM_SP_EL1 : ARM_SP_EL0;
}

static uint64_t base_of(struct vcpu *v, const struct arm_ldst *l)
{
    return l->rn == 31 ? arm_get(v, sp_of(v)) : v->regs.gpr[l->rn];
}

/* ExtendReg(): option 010 UXTW, 011 LSL, 110 SXTW, 111 SXTX. */
static uint64_t offset_of(struct vcpu *v, const struct arm_ldst *l)
{
    uint64_t m = arm_x(v, l->rm);

    if (!l->by_register)
        return (uint64_t)l->imm;
    if (!(l->option & 1))
        m = l->option & 4 ? (uint64_t)(int64_t)(int32_t)m : (uint32_t)m;
    return m << l->shift;
}

/* A device's bus is 8 bytes wide: a Q register takes two accesses. */
#define UNIT_MAX 8u
#define UNITS_MAX 4u

static unsigned unit_size(const struct arm_ldst *l)
{
    return l->size < UNIT_MAX ? l->size : UNIT_MAX;
}
/* of one register */
static unsigned units_of(const struct arm_ldst *l) { return l->size / unit_size(l); }

/*
 * BigEndian() of the Arm ARM, J1.1.3, in AArch64: for any access by the current level, LDTR's too.
 */
static bool big_endian(struct vcpu *v)
{
    return arm_get(v, ARM_SCTLR_EL1) & (arm_at_el0(v) ? SCTLR_E0E : SCTLR_EE);
}

static uint64_t swap_bytes(uint64_t val, unsigned size)
{
    return __builtin_bswap64(val) >> (64 - 8 * size);
}

/*
 * One unit at va: through the guest's tables, for it may lie on another page than the one that
 * faulted. 0, or -EAGAIN: an exception waits.
 */
static int unit(struct vcpu *v, const struct vcpu_exit *e, const struct arm_ldst *l, uint64_t va,
                uint64_t *val)
{
    struct arm_access_kind kind = { .write = !l->load, .el0 = arm_at_el0(v) || l->unprivileged };
    unsigned size = unit_size(l), fsc;
    struct io_access io = { .size = (uint8_t)size, .write = !l->load, .val = *val };
    void *ram;

    if (arm_walk(v, va, kind, &io.addr, &fsc)) {
        arm_raise_abort(v, e->syndrome, va, false, !l->load, fsc);
        return -EAGAIN;
    }
    if ((va & (PAGE_SIZE - 1)) + size > PAGE_SIZE) {
        arm_raise_abort(v, e->syndrome, va, false, !l->load, FSC_ALIGNMENT);
        return -EAGAIN;
    }
    ram = gmem_ptr(v->vm, gpa(io.addr), size, l->load ? PROT_R : PROT_RW);
    if (ram) {
        __builtin_memcpy(l->load ? (void *)val : ram, l->load ? ram : (void *)val, size);
        return 0;
    }
    if (io_dispatch(v->vm, IO_MEM, &io) == -ENOENT) {
        log_page(v, io.addr, "an access to no device");
        arm_raise_abort(v, e->syndrome, va, false, !l->load, FSC_EXTERNAL);
        return -EAGAIN;
    }
    *val = io.val;
    return 0;
}

/* Part `half` of register number i. */
static uint64_t reg_get(struct vcpu *v, const struct arm_ldst *l, unsigned i, unsigned half)
{
    return l->simd ? arm_get(v, ARM_VREG(l->rt[i], half)) : arm_x(v, l->rt[i]);
}

/* The lower half comes first: it clears what is above. */
static void reg_set(struct vcpu *v, const struct arm_ldst *l, unsigned i, unsigned half,
                    uint64_t val)
{
    if (l->simd)
        arm_set(v, ARM_VREG(l->rt[i], half), val);
    else
        arm_set_x(v, l->rt[i], loaded(val, l->size, l->sext, l->wide));
}

/* Units in the order of their addresses; big-endian, a register's upper half is the first. */
static int move_units(struct vcpu *v, const struct vcpu_exit *e, const struct arm_ldst *l,
                      uint64_t va, bool big, uint64_t val[UNITS_MAX])
{
    unsigned per = units_of(l), size = unit_size(l);

    for (unsigned n = 0; n < l->count * per; n++) {
        unsigned half = big ? per - 1 - n % per : n % per;
        uint64_t x = l->load ? 0 : reg_get(v, l, n / per, half);

        x = big ? swap_bytes(x, size) : x;
        if (unit(v, e, l, va + n * size, &x))
            return -EAGAIN;
        val[n / per * per + half] = big ? swap_bytes(x, size) : x;
    }
    return 0;
}

/* Nothing of the guest's registers changes before all elements are through. */
static void transfer(struct vcpu *v, const struct vcpu_exit *e, const struct arm_ldst *l)
{
    uint64_t base = base_of(v, l), moved = base + offset_of(v, l),
             va = l->index == ARM_POST ? base : moved, val[UNITS_MAX];
    unsigned per = units_of(l);

    if (move_units(v, e, l, va, big_endian(v), val))
        return;
    for (unsigned n = 0; l->load && n < l->count * per; n++)
        reg_set(v, l, n / per, n % per, val[n]);
    if (l->index != ARM_OFFSET && l->rn == 31)
        arm_set(v, sp_of(v), moved);
    else if (l->index != ARM_OFFSET)
        v->regs.gpr[l->rn] = moved;
    v->ops->skip_insn(v, 4);
}

static int by_instruction(struct vcpu *v, struct vcpu_exit *e)
{
    bool write = (e->mem.prot & PROT_W) != 0;
    struct arm_ldst l;
    uint32_t insn = 0;

    if (!(v->regs.flags & PSTATE_NRW)) {
        if (fetch(v, &insn))
            return 0;
        if (arm_decode_ldst(insn, &l) == 0) {
            transfer(v, e, &l);
            return 0;
        }
    }
    if (seen_first(&arm_machine_of(v)->seen_page, e->mem.gpa.v / PAGE_SIZE))
        vm_log(v->vm, LOG_WARN,
               "vCPU %u at %llx: instruction %08x touches %#llx, no RAM: external abort", v->id,
               (unsigned long long)v->regs.pc, (unsigned)insn, (unsigned long long)e->mem.gpa.v);
    abort_external(v, e, write);
    return 0;
}

/*
 * The guest's page tables lie where no RAM is. The walk finds the level at which; if the guest has
 * changed them, the access is simply tried again.
 */
static int tables_in_nowhere(struct vcpu *v, struct vcpu_exit *e)
{
    bool exec = (e->mem.prot & PROT_X) != 0;
    struct arm_access_kind kind = { .exec = exec, .el0 = arm_at_el0(v) };
    unsigned fsc = FSC_EXTERNAL_WALK;
    uint64_t pa;

    log_page(v, e->mem.gpa.v, "page tables in no RAM");
    if (arm_walk(v, e->mem.gva, kind, &pa, &fsc) == 0)
        fsc = FSC_EXTERNAL_WALK;
    arm_raise_abort(v, e->syndrome, e->mem.gva, exec, (e->syndrome & ISS_WNR) != 0, fsc);
    return 0;
}

static __attribute__((noinline)) int not_decoded(struct vcpu *v, struct vcpu_exit *e)
{
    if (e->syndrome & ISS_S1PTW)
        return tables_in_nowhere(v, e);
    if (e->mem.prot & PROT_X) {
        log_page(v, e->mem.gpa.v, "execution from no RAM");
        abort_external(v, e, false);
        return 0;
    }
    /* cache maintenance by address: nothing is cached there */
    if (e->syndrome & ISS_CM) {
        v->ops->skip_insn(v, 4);
        return 0;
    }
    return by_instruction(v, e);
}

int arm_emulate(struct vcpu *v, struct vcpu_exit *e)
{
    debug_assert_own_cpu(v);
    return e->mem.decoded ? by_syndrome(v, e) : not_decoded(v, e);
}
