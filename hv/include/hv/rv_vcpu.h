/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU of a riscv64 guest: what its engine (hv/dbt/vcpu) and the guest's side (hv/guest/riscv64)
 * share.
 */
#pragma once
#include <hv/rv_fence.h>
#include <hv/types.h>
#include <hv/vcpu.h>

/*
 * vcpu.shared. Owned by the vCPU's own CPU, but of `hart` what <hv/rv_hart.h> leaves to others.
 */
struct rv_shared {
    struct rv_hart *hart;
    bool firmware; /* the guest's own runs in M-mode; else SBI is Trivet's. Set before it runs */
    /*
     * Atomic. A device was given work or has done some, so that it may have written instructions;
     * other harts run, which may always.
     */
    uint32_t device_wrote, others_run;
    /* With REQ_TLB: what SBI asks this hart for, and, atomic, all translations or instructions. */
    struct rv_fences fences;
    uint32_t changed, fence_i;
    /*
     * The access that the last EXIT_MEM told of is done: the engine tries it again, and gives the
     * instruction this answer. ok false: nothing is there.
     */
    struct rv_answer {
        bool there, ok, write;
        uint8_t size;
        uint64_t pa, value;
    } answer;
};
static inline struct rv_shared *rv_shared_of(const struct vcpu *v) { return v->shared; }

/* <hv/state.h>: vcpu_ops.state of an engine that has a struct rv_shared; ends with NULL */
extern const struct state_ops *const rv_hart_states[];

/* guest_ops.engine_calls */
struct rv_calls {
    /* own CPU, within run(), with no lock to be taken: timers that are due */
    void (*poll)(struct vcpu *);
};

/* hart -> vcpu.regs, which the next run() takes for granted */
static inline void rv_regs_out(struct vcpu *v)
{
    const struct rv_cpu *c = &rv_shared_of(v)->hart->cpu;

    for (unsigned i = 0; i < 32; i++)
        v->regs.gpr[i] = c->x[i];
    v->regs.pc = c->pc;
    v->regs.sp = c->x[2];
    v->regs.flags = c->mode;
}
static inline void rv_regs_in(struct vcpu *v)
{
    struct rv_cpu *c = &rv_shared_of(v)->hart->cpu;

    for (unsigned i = 1; i < 32; i++)
        c->x[i] = v->regs.gpr[i];
    c->pc = v->regs.pc & ~1ull;
}
