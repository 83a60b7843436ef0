/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * svm_irq.c: what the guest's CPU is made to take: interrupts, NMIs, exceptions, and when. AMD APM
 * volume 2 sections 15.20 to 15.22.
 */
#include <hv/assert.h>
#include <hv/irq.h>
#include <hv/percpu.h>
#include <hv/state.h>
#include <hv/vm.h>
#include <hv/x86.h>

#include "svm.h"

#define RFLAGS_TF (1ull << 8)
#define RFLAGS_IF (1ull << 9)
#define RFLAGS_RF (1ull << 16)
#define EFER_LMA (1ull << 10)
#define ATTR_L (1u << 9)
#define DR6_BS (1ull << 14)
#define EXCEPTIONS 32 /* vectors below are exceptions' (8.2) */

bool svm_irq_ready(struct vcpu *v)
{
    debug_assert_own_cpu(v);
    return v->event.type == VEV_NONE && (v->regs.flags & RFLAGS_IF) &&
           !(svm_of(v)->vmcb->interrupt_shadow & 1);
}

/*
 * A virtual interrupt of the highest priority (15.21.4); the CPU takes V_IRQ back when the guest
 * takes the interrupt.
 */
static void virtual_irq(struct svm_vcpu *s, bool on)
{
    struct vmcb *b = s->vmcb;

    if (on)
        b->v_intr |= V_IRQ | V_INTR_PRIO | V_IGN_TPR;
    else
        b->v_intr &= ~(uint32_t)(V_IRQ | V_INTR_PRIO | V_IGN_TPR);
    svm_dirty(s, CLEAN_TPR);
}

/* A dummy virtual interrupt: the guest exits as soon as it could take it. */
void svm_irq_window(struct vcpu *v, bool on)
{
    struct svm_vcpu *s = svm_of(v);
    struct vmcb *b = s->vmcb;

    debug_assert_own_cpu(v);
    if (on == svm_has_window(b))
        return;
    if (on)
        b->intercept_misc1 |= I1_VINTR;
    else
        b->intercept_misc1 &= ~(uint32_t)I1_VINTR;
    virtual_irq(s, on);
    svm_dirty(s, CLEAN_I);
}

static void intercept_iret(struct svm_vcpu *s, bool on)
{
    if (on)
        s->vmcb->intercept_misc1 |= I1_IRET;
    else
        s->vmcb->intercept_misc1 &= ~(uint32_t)I1_IRET;
    svm_dirty(s, CLEAN_I);
}

bool svm_nmi_ready(struct vcpu *v)
{
    struct svm_vcpu *s = svm_of(v);

    debug_assert_own_cpu(v);
    if (s->nmi == NMI_AT_IRET && v->regs.pc != s->iret_rip)
        s->nmi = NMI_OPEN;
    return s->nmi == NMI_OPEN && v->event.type == VEV_NONE && !(s->vmcb->interrupt_shadow & 1);
}

bool svm_nmi_blocked(const struct vcpu *v)
{
    const struct svm_vcpu *s = svm_of(v);

    return s->nmi == NMI_MASKED || (s->nmi == NMI_AT_IRET && v->regs.pc == s->iret_rip);
}

int svm_block_nmi(struct svm_vcpu *s, uint64_t blocked)
{
    if (blocked > 1)
        return -EINVAL;
    s->nmi = blocked ? NMI_MASKED : NMI_OPEN;
    s->nmi_wanted = false;
    intercept_iret(s, blocked);
    return 0;
}

/* ---- <hv/state.h>: what is between the guest's instructions, and no register ---- */

static uint32_t svm_count(const struct vm *vm) { return vm->nvcpus; }

static size_t svm_no_state(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return 0;
}

/* The trap flag is the guest's again; who waits to give an NMI sets it anew. */
static void end_step(struct vcpu *v, struct svm_vcpu *s)
{
    if (s->nmi_step)
        v->regs.flags &= ~RFLAGS_TF;
    s->nmi_step = false;
}

static int svm_quiesce(struct vm *vm, uint32_t i)
{
    end_step(vm->vcpu[i], svm_of(vm->vcpu[i]));
    return 0;
}

/* VMRUN may lose the interrupt shadow: see keep_shadow(). */
static void svm_resume(struct vm *vm, uint32_t i)
{
    struct vcpu *v = vm->vcpu[i];
    struct svm_vcpu *s = svm_of(v);

    if (!(s->vmcb->interrupt_shadow & 1))
        return;
    s->shadow_run = v->stats.entries + 1;
    s->shadow_rip = v->regs.pc;
}

static const struct state_ops svm_engine_ops = { .name = "SVM",
                                                 .kind = STATE_ENGINE,
                                                 .version = 1,
                                                 .count = svm_count,
                                                 .quiesce = svm_quiesce,
                                                 .size = svm_no_state,
                                                 .resume = svm_resume };
state_table svm_state_table = { &svm_engine_ops, NULL };

/*
 * The IRET has not run yet, or the instruction in the shadow of STI, MOV SS and POP SS (15.21.5): a
 * trap flag of ours stops the guest right after it.
 */
static void step_one(struct vcpu *v, struct svm_vcpu *s)
{
    if (s->nmi_step || (v->regs.flags & RFLAGS_TF))
        return;
    s->nmi_step = true;
    v->regs.flags |= RFLAGS_TF;
}

void svm_nmi_window(struct vcpu *v)
{
    struct svm_vcpu *s = svm_of(v);

    debug_assert_own_cpu(v);
    s->nmi_wanted = true;
    if (s->nmi == NMI_AT_IRET || (s->nmi == NMI_OPEN && (s->vmcb->interrupt_shadow & 1)))
        step_one(v, s);
}

/* The intercept comes before the IRET runs (15.9). */
void svm_exit_iret(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    e->reason = EXIT_NONE;
    intercept_iret(s, false);
    s->nmi = NMI_AT_IRET;
    s->iret_rip = v->regs.pc;
    if (s->nmi_wanted)
        step_one(v, s);
}

/*
 * #DB is caught because a guest can make its delivery raise #DB again, for ever (CVE-2015-5307,
 * CVE-2015-8104).
 */
void svm_exit_db(struct vcpu *v, struct svm_vcpu *s, struct vcpu_exit *e)
{
    if (s->nmi_step) {
        if (s->nmi == NMI_OPEN)
            end_step(v, s); /* an IRET has loaded the guest's own flags */
        s->nmi_step = s->nmi_wanted = false;
        s->nmi = NMI_OPEN;
        s->vmcb->dr6 &= ~DR6_BS;
        svm_dirty(s, CLEAN_DRX);
        e->reason = EXIT_IRQ_WINDOW;
        return;
    }
    e->reason = EXIT_NONE;
    v->event = (struct vcpu_event){ .type = VEV_EXCEPTION, .vector = X86_DB };
}

/* After the last byte of 4 GiB, code that is not 64-bit goes on at 0. */
static void svm_irq_wrap_pc(struct vcpu *v, const struct vmcb *b, uint64_t from)
{
    if (from >> 32 == 0 && v->regs.pc >> 32 != 0 &&
        !((b->efer & EFER_LMA) && (b->cs.attrib & ATTR_L)))
        v->regs.pc = (uint32_t)v->regs.pc;
}

/*
 * An instruction that we carried out ends as on the CPU: no interrupt shadow, no RF, and a trap
 * when the guest steps (13.1.4). It was that after which an NMI was to come.
 */
void svm_skip_insn(struct vcpu *v, unsigned len)
{
    struct svm_vcpu *s = svm_of(v);

    debug_assert_own_cpu(v);
    debug_assert(len <= 15);
    v->regs.pc += len;
    svm_irq_wrap_pc(v, s->vmcb, v->regs.pc - len);
    v->regs.flags &= ~RFLAGS_RF;
    s->vmcb->interrupt_shadow = 0;
    end_step(v, s);
    if (!(v->regs.flags & RFLAGS_TF) || v->event.type != VEV_NONE)
        return;
    s->vmcb->dr6 |= DR6_BS;
    svm_dirty(s, CLEAN_DRX);
    v->event = (struct vcpu_event){ .type = VEV_EXCEPTION, .vector = X86_DB };
}

static uint64_t eventinj(struct vcpu *v, struct svm_vcpu *s)
{
    static const uint8_t types[] = { [VEV_IRQ] = EVENT_INTR,
                                     [VEV_NMI] = EVENT_NMI,
                                     [VEV_EXCEPTION] = EVENT_EXCEPTION,
                                     [VEV_SOFT] = EVENT_SOFT };
    const struct vcpu_event *ev = &v->event;
    uint64_t inj = EVENT_VALID | (uint64_t)types[ev->type] << 8 | ev->vector;

    if (ev->has_error)
        inj |= EVENT_ERROR_VALID | (uint64_t)ev->error << 32;
    if (ev->type == VEV_NMI) {
        inj = (inj & ~0xffull) | X86_NMI;
        s->nmi = NMI_MASKED;
        s->nmi_wanted = false;
        intercept_iret(s, true);
    }
    return inj;
}

/*
 * An interrupt goes in as a virtual interrupt, unless that slot serves as the window for the next
 * one; all else by EVENTINJ (15.20). By EVENTINJ, QEMU (7.2) may deliver the interrupt once more,
 * wherever the guest then is and with its interrupts off: VMRUN leaves it behind as the exception
 * to raise when another of QEMU's threads calls the CPU. An exit makes it forget that: the kick
 * ends the guest's run at the first instruction of its handler. (The kick cannot come with a
 * virtual interrupt: it would be first.) An NMI that had to wait for the event comes by the same
 * kick.
 */
void svm_inject(struct vcpu *v, struct svm_vcpu *s)
{
    struct vmcb *b = s->vmcb;

    debug_assert_own_cpu(v);
    if (v->event.type == VEV_IRQ && !svm_has_window(b)) {
        b->v_intr_vector = v->event.vector;
        virtual_irq(s, true);
    } else {
        end_step(v, s);
        if (v->event.type == VEV_EXCEPTION && x86_is_fault(v->event.vector))
            v->regs.flags |= RFLAGS_RF;
        b->eventinj = eventinj(v, s);
        s->changed = true;
        if (v->event.type == VEV_IRQ || (s->nmi_wanted && s->nmi == NMI_OPEN))
            irq_send_kick(this_cpu()->id);
    }
    v->event.type = VEV_NONE;
}

/* The exit came before the guest took the virtual interrupt, or (with EXITINTINFO) while it did. */
void svm_take_back(struct vcpu *v, struct svm_vcpu *s)
{
    struct vmcb *b = s->vmcb;

    virtual_irq(s, false);
    if (!(b->exitintinfo & EVENT_VALID))
        v->event = (struct vcpu_event){ .type = VEV_IRQ, .vector = (uint8_t)b->v_intr_vector };
}

/*
 * The exit came while an event was being delivered: it is delivered again. Software interrupts and
 * INT3/INTO are not: RIP still points at the instruction, which simply runs again (15.7.2). QEMU
 * (7.2) calls an interrupt whose delivery was cut off an exception; none has such a vector.
 */
void svm_exitintinfo(struct vcpu *v, struct svm_vcpu *s, uint64_t info)
{
    static const uint8_t types[8] = {
        [EVENT_INTR] = VEV_IRQ, [EVENT_NMI] = VEV_NMI, [EVENT_EXCEPTION] = VEV_EXCEPTION
    };
    uint8_t vector = (uint8_t)info, type = types[EVENT_TYPE(info)];

    (void)s;
    if (EVENT_TYPE(info) == EVENT_SOFT || type == VEV_NONE)
        return;
    if (type == VEV_EXCEPTION && (vector == X86_BP || vector == X86_OF))
        return;
    if (vector >= EXCEPTIONS)
        type = VEV_IRQ;
    v->event = (struct vcpu_event){ .type = type,
                                    .vector = vector,
                                    .has_error = (info & EVENT_ERROR_VALID) != 0,
                                    .error = (uint32_t)(info >> 32) };
}
