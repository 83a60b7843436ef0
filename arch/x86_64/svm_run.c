/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * svm_run.c: one stretch of guest time, and what its end means. AMD APM volume 2 chapter 15; exit
 * codes in appendix C.
 */
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/percpu.h>
#include <hv/pt.h>
#include <hv/vm.h>
#include <hv/x86.h>

#include <string.h>

#include "private.h"
#include "svm.h"

typedef void exit_fn(struct vcpu *, struct svm_vcpu *, struct vcpu_exit *);

/* Length of the instruction that was caught, where the CPU tells it (15.7.1). */
static uint8_t svm_run_insn_len(const struct vmcb *b)
{
    return svm_has(SVM_NRIPS) && b->nrip ? (uint8_t)(b->nrip - b->rip) : 0;
}

static void svm_run_raise(struct vcpu *v, uint8_t vector, bool has_error)
{
    v->event =
        (struct vcpu_event){ .type = VEV_EXCEPTION, .vector = vector, .has_error = has_error };
}

/*
 * The instruction after STI has not run yet, whatever the CPU says: it was in the shadow at the
 * exit before, and is the same.
 */
static bool still_in_shadow(const struct vcpu *v, const struct svm_vcpu *s)
{
    return s->shadow_run && s->shadow_run == v->stats.entries && s->shadow_rip == v->regs.pc;
}

/*
 * QEMU's VMRUN (7.2) does not load the interrupt shadow (15.21.5): what is left of it at the next
 * exit is ours to know.
 */
static void keep_shadow(struct vcpu *v, struct svm_vcpu *s)
{
    struct vmcb *b = s->vmcb;

    if (still_in_shadow(v, s))
        b->interrupt_shadow |= 1;
    if (b->interrupt_shadow & 1) {
        s->shadow_run = v->stats.entries + 1;
        s->shadow_rip = v->regs.pc;
    }
}

static void svm_run_exit_irq(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    keep_shadow(v, s);
    e->reason = EXIT_IRQ;
}

/* NMI, SMI, INIT: taken by the host with STGI, which has run by now. */
static void svm_run_exit_nothing(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    (void)v, (void)s;
    e->reason = EXIT_NONE;
}

/*
 * In the shadow only where VMRUN lost it. Mostly the instruction is HLT, and an interrupt taken
 * before it would not end it: the guest halts, and wakes at once. (If it is not, nobody waits for
 * the interrupt, and this exit does nothing.)
 */
static void svm_run_exit_window(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    svm_irq_window(v, false);
    e->reason = EXIT_IRQ_WINDOW;
    if (!still_in_shadow(v, s))
        return;
    __atomic_fetch_or(&v->requests, REQ_IRQ, __ATOMIC_RELAXED);
    e->reason = EXIT_HALT;
    e->insn_len = 0;
}

static void svm_run_exit_cpuid(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    (void)v;
    e->reason = EXIT_CPUID;
    e->insn_len = svm_run_insn_len(s->vmcb);
}

static void svm_run_exit_hlt(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    (void)v;
    e->reason = EXIT_HALT;
    e->insn_len = svm_run_insn_len(s->vmcb);
}

static void exit_vmmcall(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    (void)v;
    e->reason = EXIT_CALL;
    e->insn_len = svm_run_insn_len(s->vmcb);
}

static void exit_ioio(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    uint32_t info = (uint32_t)s->vmcb->exitinfo1;
    uint8_t size = info >> IOIO_SIZE_SHIFT & 7;

    e->reason = EXIT_PIO;
    e->insn_len = (uint8_t)(s->vmcb->exitinfo2 - s->vmcb->rip);
    e->pio.io.addr = info >> 16;
    e->pio.io.size = size;
    e->pio.io.write = !(info & IOIO_IN);
    e->pio.io.val = v->regs.gpr[X86_RAX] & (0xffffffffu >> (32 - 8 * size));
    e->pio.string = (info & IOIO_STR) != 0;
    e->pio.rep = (info & IOIO_REP) != 0;
    e->pio.addr_size = (uint8_t)((info >> IOIO_ADDR_SHIFT & 7) << 1);
    e->pio.seg = info >> IOIO_SEG_SHIFT & 7;
}

static void exit_msr(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    e->reason = EXIT_SYSREG;
    e->insn_len = svm_run_insn_len(s->vmcb);
    e->sysreg.id = (uint32_t)v->regs.gpr[X86_RCX];
    e->sysreg.write = s->vmcb->exitinfo1 & 1;
    e->sysreg.cr = false;
    e->sysreg.val = (uint32_t)v->regs.gpr[X86_RAX] | v->regs.gpr[X86_RDX] << 32;
}

static void cr_write(const struct svm_vcpu *s, struct vcpu_exit *e, uint32_t id)
{
    e->reason = EXIT_SYSREG;
    e->insn_len = svm_run_insn_len(s->vmcb);
    e->sysreg.id = id;
    e->sysreg.write = e->sysreg.cr = true;
    e->sysreg.val = 0;
}

/* The task priority lives in the local APIC. */
static void exit_cr8_write(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    (void)v;
    cr_write(s, e, X86_CR8);
}

/* Not every bit that the CPU takes is in the guest's CPUID: protection keys, for one. */
static void exit_cr4_write(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    (void)v;
    cr_write(s, e, X86_CR4);
}

/* Bits other than TS and MP change. Rare, and not every CPU checks what VMRUN would then refuse. */
static void exit_cr0_write(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    (void)v;
    cr_write(s, e, X86_CR0);
}

/* The error code's present bit is not reliable everywhere; gmem knows what is mapped. */
static void exit_npf(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    const struct vmcb *b = s->vmcb;
    uint64_t info = b->exitinfo1;

    (void)v;
    e->reason = EXIT_MEM;
    e->insn_len = 0;
    e->mem.gpa = gpa(b->exitinfo2);
    e->mem.prot = info & NPF_W ? PROT_W : info & NPF_ID ? PROT_X : PROT_R;
    e->mem.decoded = false;
    if (svm_has(SVM_DECODE_ASSISTS) && b->bytes_fetched) {
        e->insn_bytes_len = b->bytes_fetched & 15;
        memcpy(e->insn_bytes, b->guest_bytes, sizeof e->insn_bytes);
    }
}

static void svm_run_exit_shutdown(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    (void)v, (void)s;
    e->reason = EXIT_SHUTDOWN;
}

/* SVM and MONITOR are not in the guest's CPUID. */
static void svm_run_exit_ud(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    (void)s;
    svm_run_raise(v, X86_UD, false);
    e->reason = EXIT_NONE;
}

/* No performance counters. */
static void svm_run_exit_gp(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    (void)s;
    svm_run_raise(v, X86_GP, true);
    e->reason = EXIT_NONE;
}

static void step_over(struct vcpu *v, struct svm_vcpu *s, unsigned len)
{
    svm_skip_insn(v, svm_run_insn_len(s->vmcb) ? svm_run_insn_len(s->vmcb) : len);
}

/*
 * INVD would throw away what others wrote; caches are coherent without WBINVD. Both are 2 bytes
 * long.
 */
static void svm_run_exit_cache(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    step_over(v, s, 2);
    e->reason = EXIT_NONE;
}

static void exit_icebp(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    step_over(v, s, 1);
    svm_run_raise(v, X86_DB, false);
    e->reason = EXIT_NONE;
}

/*
 * How many PAUSEs in a row are taken for spinning, 15.14.4: few while somebody may wait for this
 * CPU, as when it has just turned to this vCPU, and more each time that nobody took over.
 */
enum { PAUSES_FEW = 50, PAUSES_MOST = 3200 };

void svm_watch_spins(const struct vcpu *v, struct svm_vcpu *s)
{
    s->vmcb->pause_filter_count = PAUSES_FEW;
    if (v->vm->nvcpus > 1)
        s->vmcb->intercept_misc1 |= I1_PAUSE;
}

/* Without the filter, the first PAUSE alone is caught. */
static bool svm_run_spins_for_long(struct svm_vcpu *s)
{
    struct vmcb *b = s->vmcb;

    svm_dirty(s, CLEAN_I);
    if (!svm_has(SVM_PAUSE_FILTER)) {
        b->intercept_misc1 &= ~(uint32_t)I1_PAUSE;
        return false;
    }
    if (b->pause_filter_count >= PAUSES_MOST)
        return true;
    b->pause_filter_count = (uint16_t)(b->pause_filter_count * 4);
    return false;
}

/*
 * The guest spins: others may need the CPU more. It goes on behind the PAUSE, else it would be
 * caught there again before it has looked. (What is left of a longer one is a NOP.)
 */
static void svm_run_exit_pause(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    step_over(v, s, 2);
    __atomic_fetch_or(&v->requests, svm_run_spins_for_long(s) ? REQ_YIELD : REQ_SPIN,
                      __ATOMIC_RELAXED);
    e->reason = EXIT_NONE;
}

/*
 * Caught for the same reason as #DB: a stack that is not aligned can make its delivery raise it
 * again.
 */
static void exit_ac(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    svm_run_raise(v, X86_AC, true);
    v->event.error = (uint32_t)s->vmcb->exitinfo1;
    e->reason = EXIT_NONE;
}

static void exit_mc(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    (void)v;
    e->reason = EXIT_NONE;
    if (mca_in_guest())
        return;
    e->reason = EXIT_FAIL;
    e->fail.hw_code = VMEXIT_EXCP0 + X86_MC;
    e->fail.hw_info = s->vmcb->exitinfo1;
    e->fail.what =
        "the machine lost what the guest was reading, or its state (#MC): the log says where";
}

static exit_fn *const handlers[VMEXIT_TLBSYNC + 1] = {
    [VMEXIT_CR0_WRITE + 4] = exit_cr4_write,
    [VMEXIT_CR0_WRITE + 8] = exit_cr8_write,
    [VMEXIT_EXCP0 + X86_DB] = svm_exit_db,
    [VMEXIT_EXCP0 + X86_AC] = exit_ac,
    [VMEXIT_EXCP0 + X86_MC] = exit_mc,
    [VMEXIT_INTR] = svm_run_exit_irq,
    [VMEXIT_NMI] = svm_run_exit_nothing,
    [VMEXIT_SMI] = svm_run_exit_nothing,
    [VMEXIT_INIT] = svm_run_exit_nothing,
    [VMEXIT_VINTR] = svm_run_exit_window,
    [VMEXIT_CR0_SEL] = exit_cr0_write,
    [VMEXIT_RDPMC] = svm_run_exit_gp,
    [VMEXIT_CPUID] = svm_run_exit_cpuid,
    [VMEXIT_RSM] = svm_run_exit_ud,
    [VMEXIT_IRET] = svm_exit_iret,
    [VMEXIT_INVD] = svm_run_exit_cache,
    [VMEXIT_PAUSE] = svm_run_exit_pause,
    [VMEXIT_HLT] = svm_run_exit_hlt,
    [VMEXIT_INVLPGA] = svm_run_exit_ud,
    [VMEXIT_IOIO] = exit_ioio,
    [VMEXIT_MSR] = exit_msr,
    [VMEXIT_SHUTDOWN] = svm_run_exit_shutdown,
    [VMEXIT_VMRUN] = svm_run_exit_ud,
    [VMEXIT_VMMCALL] = exit_vmmcall,
    [VMEXIT_VMLOAD] = svm_run_exit_ud,
    [VMEXIT_VMSAVE] = svm_run_exit_ud,
    [VMEXIT_STGI] = svm_run_exit_ud,
    [VMEXIT_CLGI] = svm_run_exit_ud,
    [VMEXIT_SKINIT] = svm_run_exit_ud,
    [VMEXIT_ICEBP] = exit_icebp,
    [VMEXIT_WBINVD] = svm_run_exit_cache,
    [VMEXIT_MONITOR] = svm_run_exit_ud,
    [VMEXIT_MWAIT] = svm_run_exit_ud,
    [VMEXIT_MWAIT_ARMED] = svm_run_exit_ud,
    [VMEXIT_RDPRU] = svm_run_exit_ud,
    [VMEXIT_INVLPGB] = svm_run_exit_ud,
    [VMEXIT_INVLPGB_ILLEGAL] = svm_run_exit_ud,
    [VMEXIT_MCOMMIT] = svm_run_exit_ud,
    [VMEXIT_TLBSYNC] = svm_run_exit_ud,
};

static void refused(const struct vmcb *b, const char *rule, struct vcpu_exit *e)
{
    e->reason = EXIT_FAIL;
    e->fail.hw_code = b->exitcode;
    e->fail.hw_info = b->exitinfo1;
    e->fail.what = rule;
}

/*
 * Before the entry, in debug builds: after a VMRUN that failed, QEMU (7.2) has the host's state in
 * the VMCB.
 */
static const char *svm_run_broken_rule(struct svm_vcpu *s)
{
    const char *rule = s->changed ? svm_check(s->vmcb, &svm_caps.limits) : NULL;

    s->changed = false;
    if (rule)
        s->vmcb->exitcode = VMEXIT_INVALID;
    return rule;
}

static void svm_run_exit_unknown(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    const struct vmcb *b = s->vmcb;
    const char *rule = "an exit that was not asked for";

    (void)v;
    if ((uint32_t)b->exitcode == VMEXIT_INVALID)
        rule = svm_check(b, &svm_caps.limits);
    refused(b, rule ? rule : "VMRUN refused a VMCB that breaks no rule of 15.5.1", e);
}

/*
 * A new ASID: its translations were flushed when this CPU's generation began, and nobody has used
 * it since.
 */
static void new_asid(struct svm_vcpu *s, struct svm_cpu *c)
{
    if (c->next_asid >= svm_caps.limits.asids) {
        c->generation += MAX_CPUS;
        c->next_asid = 1;
        c->flush = true;
    }
    s->vmcb->guest_asid = c->next_asid++;
    s->generation = c->generation;
    svm_dirty(s, CLEAN_ALL);
}

/*
 * The flush of a new generation comes with its first entry; it also covers one asked for by
 * vcpu_tlb_flush.
 */
static void flush_all(struct svm_vcpu *s, struct svm_cpu *c)
{
    c->flush = false;
    s->vmcb->tlb_control = TLB_FLUSH_ALL;
}

void svm_run(struct vcpu *v, struct vcpu_exit *e)
{
    struct svm_vcpu *s = svm_of(v);
    struct svm_cpu *c = &svm_cpus[this_cpu()->id];
    struct vmcb *b = s->vmcb;
    const char *rule;

    debug_assert_own_cpu(v);
    if (s->generation != c->generation)
        new_asid(s, c);
    if (c->flush)
        flush_all(s, c);
    b->eventinj = 0;
    if (v->event.type != VEV_NONE)
        svm_inject(v, s);
    if (DEBUG_LOCKS && (rule = svm_run_broken_rule(s)) != NULL) {
        refused(b, rule, e);
        return;
    }
    if (s->spec.flags)
        svm_enter_guarded(&v->regs, b, s->vmcb_pa, c->host_pa, &s->spec);
    else
        svm_enter(&v->regs, b, s->vmcb_pa, c->host_pa);
    b->clean = svm_caps.clean_after_run;
    b->tlb_control = TLB_NOTHING;
    e->insn_bytes_len = 0;
    if ((b->v_intr & V_IRQ) && !svm_has_window(b))
        svm_take_back(v, s);
    if (b->exitintinfo & EVENT_VALID)
        svm_exitintinfo(v, s, b->exitintinfo);
    uint32_t code = (uint32_t)b->exitcode;
    exit_fn *fn = code < ARRAY_SIZE(handlers) ? handlers[code]
                  : code == VMEXIT_NPF        ? exit_npf
                                              : svm_run_exit_unknown;
    (fn ? fn : svm_run_exit_unknown)(v, s, e);
}
