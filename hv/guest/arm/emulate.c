/*
 * Accesses to what is no RAM: a device's register by the syndrome, or by the instruction where the syndrome does not tell; else an external
 * abort to the guest. Device registers are little-endian: a big-endian guest gets them as its CPU would, in its own order of bytes, only
 * when it swaps them itself.
 */
#include "arm.h"
#include "decode.h"

static bool first_time(struct arm_machine *m, uint64_t page)
{
    bool fresh = m->nlogged_page < ARM_LOGGED_PAGES;

    spin_lock(&m->lock);
    for (uint32_t i = 0; i < m->nlogged_page; i++)
        fresh = fresh && m->logged_page[i] != page;
    if (fresh && m->nlogged_page < ARM_LOGGED_PAGES)
        m->logged_page[m->nlogged_page++] = page;
    spin_unlock(&m->lock);
    return fresh;
}

/* Logged once for each page, and only the first ARM_LOGGED_PAGES of them. */
static void log_page(struct vcpu *v, uint64_t addr, const char *what)
{
    if (first_time(arm_machine_of(v), addr / PAGE_SIZE))
        vm_log(v->vm, LOG_WARN, "vCPU %u at %llx: %s at %#llx: external abort", v->id, (unsigned long long)v->regs.pc, what, (unsigned long long)addr);
}

static void abort_external(struct vcpu *v, const struct vcpu_exit *e, bool write)
{
    arm_raise_abort(v, e->syndrome, e->mem.gva, (e->mem.prot & PROT_X) != 0, write, FSC_EXTERNAL);
}

static unsigned insn_len(const struct vcpu_exit *e)
{
    return e->insn_len ? e->insn_len : 4;
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

    if (gmem_ptr(v->vm, e->mem.gpa, e->mem.io.size, e->mem.prot))
        return 0;                  /* RAM, whose mapping was being changed: again */
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
        arm_set_x(v, e->mem.reg, e->mem.sext ? loaded(io->val, io->size, true, e->mem.wide) : io->val);   /* of no more than its size already */
    v->ops->skip_insn(v, insn_len(e));
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

/* One element at va: through the guest's tables, for it may lie on another page than the one that faulted. 0, or -EAGAIN: an exception waits. */
static int element(struct vcpu *v, const struct vcpu_exit *e, const struct arm_ldst *l, uint64_t va, uint64_t *val)
{
    struct arm_access_kind kind = { .write = !l->load, .el0 = arm_at_el0(v) || l->unprivileged };
    struct io_access io = { .size = l->size, .write = !l->load, .val = *val };
    unsigned fsc;
    void *ram;

    if (arm_walk(v, va, kind, &io.addr, &fsc)) {
        arm_raise_abort(v, e->syndrome, va, false, !l->load, fsc);
        return -EAGAIN;
    }
    if ((va & (PAGE_SIZE - 1)) + l->size > PAGE_SIZE) {
        arm_raise_abort(v, e->syndrome, va, false, !l->load, FSC_ALIGNMENT);
        return -EAGAIN;
    }
    ram = gmem_ptr(v->vm, gpa(io.addr), l->size, l->load ? PROT_R : PROT_RW);
    if (ram) {
        __builtin_memcpy(l->load ? (void *)val : ram, l->load ? ram : (void *)val, l->size);
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

/* Nothing of the guest's registers changes before all elements are through. */
static void transfer(struct vcpu *v, const struct vcpu_exit *e, const struct arm_ldst *l)
{
    uint64_t base = base_of(v, l), moved = base + offset_of(v, l), va = l->index == ARM_POST ? base : moved, val[2] = { 0, 0 };

    for (unsigned i = 0; i < l->count; i++) {
        val[i] = l->load ? 0 : arm_x(v, l->rt[i]);
        if (element(v, e, l, va + i * l->size, &val[i]))
            return;
    }
    for (unsigned i = 0; l->load && i < l->count; i++)
        arm_set_x(v, l->rt[i], loaded(val[i], l->size, l->sext, l->wide));
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
    if (first_time(arm_machine_of(v), e->mem.gpa.v / PAGE_SIZE))
        vm_log(v->vm, LOG_WARN, "vCPU %u at %llx: instruction %08x touches %#llx, no RAM: external abort", v->id, (unsigned long long)v->regs.pc,
               (unsigned)insn, (unsigned long long)e->mem.gpa.v);
    abort_external(v, e, write);
    return 0;
}

/* The guest's page tables lie where no RAM is. The walk finds the level at which; if the guest has changed them, the access is simply tried again. */
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
    if (e->syndrome & ISS_CM) {                        /* cache maintenance by address: nothing is cached there */
        v->ops->skip_insn(v, 4);
        return 0;
    }
    return by_instruction(v, e);
}

int arm_emulate(struct vcpu *v, struct vcpu_exit *e)
{
    return e->mem.decoded ? by_syndrome(v, e) : not_decoded(v, e);
}
