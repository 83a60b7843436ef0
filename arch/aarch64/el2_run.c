/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * el2_run.c: one stretch of guest time, and what its end means. Arm ARM D1.3 (exceptions), D19.2.37
 * (ESR_EL2).
 *
 * An exception that the guest is to see itself is made by hv/guest/aarch64/inject.c.
 */
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/percpu.h>
#include <hv/vm.h>

#include "el2.h"
#include "el2_esr.h"
#include "private.h"

typedef void exit_fn(struct vcpu *, struct vcpu_exit *);

#define ESR_SERROR_ISS 0x1ffffffull
#define DISR_A (1ull << 31)
#define PAR_F 1ull
#define PAR_PA 0x000ffffffffff000ull

#define SPSR_SS (1ull << 21)
#define SPSR_BTYPE (3ull << 10)
#define SPSR_AA32 (1ull << 4)
#define SPSR_T (1ull << 5)

/* AArch32 Thumb: IT[1:0] are bits 26:25, IT[7:2] bits 15:10 (G1.10). Only EL0 can be in AArch32. */
static uint64_t it_advance(uint64_t spsr)
{
    uint64_t it = (spsr >> 25 & 3) | (spsr >> 10 & 0x3f) << 2;

    if (!it)
        return spsr;
    it = it & 7 ? (it & 0xe0) | (it << 1 & 0x1f) : 0;
    spsr &= ~(3ull << 25 | 0x3full << 10);
    return spsr | (it & 3) << 25 | (it >> 2) << 10;
}

/* An instruction that we carried out leaves the processor state as it would have itself. */
void el2_skip_insn(struct vcpu *v, unsigned len)
{
    uint64_t spsr = v->regs.flags;

    debug_assert_own_cpu(v);
    debug_assert(len <= 4);
    v->regs.pc += len;
    spsr = spsr & SPSR_AA32 ? it_advance(spsr) : spsr & ~SPSR_BTYPE;
    v->regs.flags = spsr & ~SPSR_SS;
}

static void exit_undefined(struct vcpu *v, struct vcpu_exit *e)
{
    el2_guest(v)->raise_undefined(v);
    e->reason = EXIT_NONE;
}

static void exit_wfx(struct vcpu *v, struct vcpu_exit *e)
{
    e->insn_len = e->syndrome & ESR_IL ? 4 : 2;
    e->insn_bytes_len = 0;
    if (ESR_WFX_TI(e->syndrome) == 0) {
        e->reason = EXIT_HALT;
        return;
    }
    el2_skip_insn(v, e->insn_len);
    __atomic_fetch_or(&v->requests, REQ_YIELD, __ATOMIC_RELAXED);
    e->reason = EXIT_NONE;
}

static void exit_hvc(struct vcpu *v, struct vcpu_exit *e)
{
    (void)v;
    e->reason = EXIT_CALL;
    e->insn_len = e->insn_bytes_len = 0;
}

static void exit_smc(struct vcpu *v, struct vcpu_exit *e)
{
    el2_skip_insn(v, 4);
    exit_hvc(v, e);
}

static void exit_sysreg(struct vcpu *v, struct vcpu_exit *e)
{
    esr_sysreg(e->syndrome, v->regs.gpr, e);
    if (e->sysreg.id != ARM_ICC_SGI1R_EL1 && el2_trap_sysreg(v, e))
        e->reason = EXIT_NONE;
}

static void exit_fp(struct vcpu *v, struct vcpu_exit *e)
{
    el2_fp_give(el2_of(v), false);
    e->reason = EXIT_NONE;
}

static void exit_sve(struct vcpu *v, struct vcpu_exit *e)
{
    if (!el2_caps.policy.sve) {
        exit_undefined(v, e);
        return;
    }
    el2_fp_give(el2_of(v), true);
    e->reason = EXIT_NONE;
}

/* ---- aborts ---- */

/*
 * The page that the guest's own stage 1 gives for an address. Its tables may have changed since the
 * fault: then the instruction is simply tried again. AT leaves its answer in PAR_EL1, which is the
 * guest's (C6.2.25).
 */
static bool find_page(uint64_t va, uint64_t *page)
{
    uint64_t kept = read_sysreg(par_el1), par;

    __asm__ volatile("at s1e1r, %0" : : "r"(va) : "memory");
    isb();
    par = read_sysreg(par_el1);
    write_sysreg(par_el1, kept);
    *page = par & PAR_PA;
    return !(par & PAR_F);
}

static void reflect(struct vcpu *v, struct vcpu_exit *e, unsigned fsc)
{
    uint64_t esr = e->syndrome;

    e->reason = EXIT_NONE;
    el2_guest(v)->raise_sync(v, esr_for_el1(esr, PSTATE_EL0(v->regs.flags), fsc),
                             read_sysreg(far_el2));
}

static void external(struct vcpu *v, struct vcpu_exit *e)
{
    vm_log(v->vm, LOG_WARN,
           "vCPU %u at %llx: the memory system answered with an error (syndrome %llx)", v->id,
           (unsigned long long)v->regs.pc, (unsigned long long)e->syndrome);
    reflect(v, e, FSC_EXTERNAL);
}

#define SCTLR_BIG_ENDIAN (3ull << 24) /* EE, E0E */
/* there they make a status that is not plain: one test serves both */
#define TO_FAULT_STATUS 21

/*
 * Whether accesses of EL1, or of EL0, are big-endian: then the instruction is taken apart, for the
 * syndrome does not count bytes that way.
 */
static inline uint64_t el2_run_big_endian(void)
{
    return (el2_caps.vhe ? read_sysreg(S3_5_C1_C0_0) : read_sysreg(sctlr_el1)) & SCTLR_BIG_ENDIAN;
}

static __attribute__((noinline)) void other_abort(struct vcpu *v, struct vcpu_exit *e, uint64_t far,
                                                  uint64_t hpfar)
{
    uint64_t page;

    switch (esr_abort(e->syndrome, far, hpfar, v->regs.gpr, e)) {
    case ABORT_MEM_NO_IPA:
        if (find_page(far, &page))
            esr_set_page(e, page);
        else
            e->reason = EXIT_NONE;
        __attribute__((fallthrough));
    case ABORT_MEM: e->mem.decoded = e->mem.decoded && !el2_run_big_endian(); return;
    case ABORT_EXTERNAL: external(v, e); return;
    case ABORT_CONFLICT:
        el2_flush_vm(v->vm->arch);
        e->reason = EXIT_NONE;
        return;
    case ABORT_OTHER: reflect(v, e, e->syndrome & 63);
    }
}

static void exit_abort(struct vcpu *v, struct vcpu_exit *e)
{
    uint64_t esr = e->syndrome, far = read_sysreg(far_el2), hpfar = read_sysreg(hpfar_el2);

    if (__builtin_expect(esr_is_plain(esr | el2_run_big_endian() >> TO_FAULT_STATUS), 1))
        esr_plain(esr, far, hpfar, v->regs.gpr, e);
    else
        other_abort(v, e, far, hpfar);
}

/* Classes between those with a name are nothing that a guest shall have. */
static exit_fn *const handlers[EC_COUNT] = {
    [0] = exit_undefined,          [EC_WFX] = exit_wfx,
    [2 ... 6] = exit_undefined,    [EC_FP] = exit_fp,
    [8 ... 0x15] = exit_undefined, [EC_HVC64] = exit_hvc,
    [EC_SMC64] = exit_smc,         [EC_SYSREG] = exit_sysreg,
    [EC_SVE] = exit_sve,           [0x1a ... 0x1f] = exit_undefined,
    [EC_IABT_LOW] = exit_abort,    [0x21 ... 0x23] = exit_undefined,
    [EC_DABT_LOW] = exit_abort,    [0x25 ... 0x3f] = exit_undefined,
};

/* ---- SErrors ---- */

static void serror(struct vcpu *v, uint64_t iss)
{
    vm_log(v->vm, LOG_WARN,
           "vCPU %u at %llx: an asynchronous error of the memory system (SError, syndrome %llx) is "
           "passed to the guest",
           v->id, (unsigned long long)v->regs.pc, (unsigned long long)iss);
    el2_guest(v)->raise_serror(v, iss & ESR_SERROR_ISS);
}

static bool window_open[MAX_CPUS], window_hit[MAX_CPUS];

bool el2_host_serror(struct arm_frame *f)
{
    uint32_t cpu = this_cpu()->id;

    (void)f;
    window_hit[cpu] = window_open[cpu];
    return window_open[cpu];
}

/*
 * What the guest did may be answered by an SError only now. They are masked while we run; with the
 * barrier all of this guest's have come, and are its own, before another guest has the CPU.
 */
void el2_serror_window(struct vcpu *v)
{
    uint32_t cpu = this_cpu()->id;

    window_hit[cpu] = false;
    window_open[cpu] = true;
    __asm__ volatile("dsb sy\n\tmsr daifclr, #4\n\tisb\n\tmsr daifset, #4\n\tisb" : : : "memory");
    window_open[cpu] = false;
    if (window_hit[cpu])
        serror(v, 0);
}

static __attribute__((noinline)) uint32_t deferred(struct vcpu *v, uint64_t disr, uint32_t kind)
{
    write_sysreg(DISR_EL1, 0);
    serror(v, disr);
    return kind;
}

/*
 * Where the CPU has RAS, an ESB at each exit tells at once, and for little, what the guest left
 * behind (Arm ARM A2.2, "RAS"). Returns kind, so that nothing has to be kept over the rare call.
 */
static inline uint32_t check_deferred(struct vcpu *v, uint32_t kind)
{
    uint64_t disr;

    __asm__ volatile("hint #16" : : : "memory");
    disr = read_sysreg(DISR_EL1);
    return __builtin_expect(disr & DISR_A, 0) ? deferred(v, disr, kind) : kind;
}

/* ---- the run ---- */

static void exit_other(struct vcpu *v, struct vcpu_exit *e, uint32_t kind)
{
    e->reason = EXIT_IRQ;
    if (kind == VECTOR_SERROR) {
        e->reason = EXIT_NONE;
        serror(v, read_sysreg(esr_el2));
    }
}

/* A virtual SError stays pending until the guest has taken it: HCR_EL2.VSE says so. */
static void note_vse(struct el2_vcpu *s)
{
    if (!(read_sysreg(hcr_el2) & HCR_VSE))
        s->hcr &= ~HCR_VSE;
}

static inline uint32_t el2_run_enter(struct vcpu *v, const struct el2_vcpu *s)
{
    uint32_t kind = el2_enter(&v->regs, s->key);

    return el2_caps.ras ? check_deferred(v, kind) : kind;
}

/* Apart, so that a run without interrupts saves no registers for it. */
static __attribute__((noinline)) uint32_t enter_with_gic(struct vcpu *v, struct arm_gic_cpu *g)
{
    struct el2_gic *hw = &el2_of(v)->gic;
    uint32_t kind;

    if (g->dirty | g->hcr)
        el2_gic->enter(hw, g);
    kind = el2_run_enter(v, el2_of(v));
    el2_gic->leave(g);
    return kind;
}

void el2_run(struct vcpu *v, struct vcpu_exit *e)
{
    struct arm_gic_cpu *g = v->vintc;
    struct el2_vcpu *s = el2_of(v);
    uint32_t kind = g->used | g->hcr | g->dirty ? enter_with_gic(v, g) : el2_run_enter(v, s);

    debug_assert_on_cpu(v);
    debug_assert_no_locks();
    if (__builtin_expect(s->hcr & HCR_VSE, 0))
        note_vse(s);
    if (kind != VECTOR_SYNC) {
        exit_other(v, e, kind);
        return;
    }
    e->syndrome = read_sysreg(esr_el2);
    handlers[ESR_EC(e->syndrome)](v, e);
}
