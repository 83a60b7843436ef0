/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmx_irq.c: what the guest's CPU is made to take: interrupts, NMIs, exceptions, and when. Intel
 * SDM volume 3 sections 24.8.3, 26.6, 27.2.
 */
#include <hv/assert.h>
#include <hv/x86.h>

#include "private.h"
#include "vmx.h"
#include "vmx_rules.h"

#define RFLAGS_TF (1ull << 8)
#define RFLAGS_IF (1ull << 9)
#define RFLAGS_RF (1ull << 16)
#define EFER_LMA (1ull << 10)
#define CS_AR_L (1u << 13)
#define DR6_BS (1ull << 14)
#define DR6_TRAPS 0xe00full /* B0-B3 BD BS BT */
#define DR7_GD (1ull << 13)

static uint64_t vmx_irq_dr6_get(void)
{
    uint64_t v;

    __asm__ volatile("mov %%db6, %0" : "=r"(v));
    return v;
}

static void vmx_irq_dr6_set(uint64_t v) { __asm__ volatile("mov %0, %%db6" : : "r"(v)); }

static __attribute__((noinline)) uint32_t blocking_elsewhere(struct vcpu *v)
{
    uint32_t b;

    vmx_use(v);
    b = (uint32_t)vmread(GUEST_INTERRUPTIBILITY);
    vmx_done(v);
    return b;
}

static uint32_t blocking(struct vcpu *v)
{
    return vmx_is_current(v) ? (uint32_t)vmread(GUEST_INTERRUPTIBILITY) : blocking_elsewhere(v);
}

bool vmx_irq_ready(struct vcpu *v)
{
    debug_assert_own_cpu(v);
    return v->event.type == VEV_NONE && (v->regs.flags & RFLAGS_IF) &&
           !(blocking(v) & (BLOCK_STI | BLOCK_MOV_SS));
}

/* Some CPUs refuse an NMI after STI too (26.3.1.5). */
bool vmx_nmi_ready(struct vcpu *v)
{
    debug_assert_own_cpu(v);
    return v->event.type == VEV_NONE && !(blocking(v) & (BLOCK_STI | BLOCK_MOV_SS | BLOCK_NMI));
}

static __attribute__((noinline)) void set_primary_elsewhere(struct vcpu *v)
{
    vmx_use(v);
    vmwrite(PRIMARY_CONTROLS, vmx_of(v)->primary);
    vmx_done(v);
}

static void set_primary(struct vcpu *v, uint32_t want)
{
    vmx_of(v)->primary = want;
    if (vmx_is_current(v))
        vmwrite(PRIMARY_CONTROLS, want);
    else
        set_primary_elsewhere(v);
}

/* The guest exits as soon as it could take an interrupt (25.2). */
void vmx_irq_window(struct vcpu *v, bool on)
{
    uint32_t now = vmx_of(v)->primary;

    debug_assert_own_cpu(v);
    if (((now & P_INT_WINDOW) != 0) != on)
        set_primary(v, now ^ P_INT_WINDOW);
}

/* Memory only: put_threshold() writes it. */
void vmx_tpr_window(struct vcpu *v, unsigned priority)
{
    struct vmx_vcpu *s = vmx_of(v);

    debug_assert_own_cpu(v);
    debug_assert(priority <= 15);
    s->threshold = (uint8_t)priority;
    s->watching = (s->threshold | s->threshold_set) != 0;
}

void vmx_nmi_window(struct vcpu *v)
{
    uint32_t now = vmx_of(v)->primary;

    debug_assert_own_cpu(v);
    if (!(now & P_NMI_WINDOW))
        set_primary(v, now | P_NMI_WINDOW);
}

/* At the exit for it. */
void vmx_close_window(struct vmx_vcpu *s, uint32_t bit)
{
    s->primary &= ~bit;
    vmwrite(PRIMARY_CONTROLS, s->primary);
}

/* After the last byte of 4 GiB, code that is not 64-bit goes on at 0: 26.3.1.4 wants no more bits.
 */
static void vmx_irq_wrap_pc(struct vcpu *v, uint64_t from)
{
    if (from >> 32 == 0 && v->regs.pc >> 32 != 0 &&
        !((vmx_of(v)->efer & EFER_LMA) && (vmread(GUEST_CS_AR) & CS_AR_L)))
        v->regs.pc = (uint32_t)v->regs.pc;
}

/* Behind an instruction there is no blocking by STI or MOV SS; b: GUEST_INTERRUPTIBILITY. */
static void end_shadow(uint64_t b)
{
    if (!(b & (BLOCK_STI | BLOCK_MOV_SS)))
        return;
    vmwrite(GUEST_INTERRUPTIBILITY, b & ~(uint64_t)(BLOCK_STI | BLOCK_MOV_SS));
    vmwrite(GUEST_PENDING_DEBUG, 0);
}

/*
 * An instruction that we carried out ends as on the CPU: no blocking by STI or MOV SS, no RF, and a
 * trap when the guest steps.
 */
void vmx_skip_insn(struct vcpu *v, unsigned len)
{
    uint64_t b = vmread(GUEST_INTERRUPTIBILITY);

    debug_assert_own_cpu(v);
    debug_assert(len <= 15);
    v->regs.pc += len;
    vmx_irq_wrap_pc(v, v->regs.pc - len);
    v->regs.flags &= ~RFLAGS_RF;
    end_shadow(b);
    if (!(v->regs.flags & RFLAGS_TF) || v->event.type != VEV_NONE)
        return;
    vmx_irq_dr6_set(vmx_irq_dr6_get() | DR6_BS);
    v->event = (struct vcpu_event){ .type = VEV_EXCEPTION, .vector = X86_DB };
}

/* In real mode no exception has an error code; elsewhere these must have one (26.2.1.3). */
static bool wants_error(const struct vmx_vcpu *s, unsigned vector)
{
    return (s->cr0 & 1) &&
           (vector == X86_DF || (vector >= X86_TS && vector <= X86_PF) || vector == X86_AC);
}

/* At most three VMREADs, for guests that step themselves. */
static __attribute__((noinline)) void settle_step(const struct vcpu *v)
{
    uint64_t now = vmread(GUEST_PENDING_DEBUG),
             want = vmx_pending_debug(now, vmread(GUEST_INTERRUPTIBILITY), v->regs.flags,
                                      vmread(GUEST_DEBUGCTL));

    if (want != now)
        vmwrite(GUEST_PENDING_DEBUG, want);
}

void vmx_inject(struct vcpu *v, struct vmx_vcpu *s)
{
    static const uint8_t types[] = { [VEV_IRQ] = INTR_EXT,
                                     [VEV_NMI] = INTR_NMI,
                                     [VEV_EXCEPTION] = INTR_EXCEPTION,
                                     [VEV_SOFT] = INTR_SOFT };
    const struct vcpu_event *ev = &v->event;
    uint32_t type = types[ev->type], info;

    debug_assert_on_cpu(v);
    if (ev->type == VEV_EXCEPTION && x86_is_fault(ev->vector))
        v->regs.flags |= RFLAGS_RF;
    if (ev->type == VEV_EXCEPTION && (ev->vector == X86_BP || ev->vector == X86_OF))
        type = INTR_SOFT_EXCEPTION;
    if (ev->type == VEV_SOFT && (ev->vector == X86_BP || ev->vector == X86_OF))
        type = INTR_SOFT_EXCEPTION;
    info = INTR_VALID | type << 8 | (ev->type == VEV_NMI ? X86_NMI : ev->vector);
    if (type == INTR_EXCEPTION && wants_error(s, ev->vector)) {
        info |= INTR_ERROR_VALID;
        vmwrite(ENTRY_ERROR_CODE, ev->error & 0xffff);
    }
    if (type >= INTR_SOFT)
        vmwrite(ENTRY_INSN_LEN, ev->insn_len ? ev->insn_len : 1);
    vmwrite(ENTRY_INTR_INFO, info);
    if (v->regs.flags & RFLAGS_TF)
        settle_step(v);
    s->changed = true;
    v->event.type = VEV_NONE;
}

/*
 * The exit came while an event was being delivered: it is delivered again. Software interrupts and
 * exceptions are not: RIP still points at the instruction, which simply runs again (27.3.3). An
 * NMI's delivery had blocked further NMIs (27.2.4).
 */
void vmx_vectoring(struct vcpu *v, uint32_t info)
{
    static const uint8_t types[8] = {
        [INTR_EXT] = VEV_IRQ, [INTR_NMI] = VEV_NMI, [INTR_EXCEPTION] = VEV_EXCEPTION
    };
    uint8_t type = types[INTR_TYPE(info)];
    bool has_error = (info & INTR_ERROR_VALID) != 0;

    if (type == VEV_NONE)
        return;
    if (type == VEV_NMI)
        vmwrite(GUEST_INTERRUPTIBILITY, vmread(GUEST_INTERRUPTIBILITY) & ~(uint64_t)BLOCK_NMI);
    v->event =
        (struct vcpu_event){ .type = type,
                             .vector = (uint8_t)info,
                             .has_error = has_error,
                             .error = has_error ? (uint32_t)vmread(IDT_VECTORING_ERROR) : 0 };
}

/*
 * #DB is caught because a guest can make its delivery raise #DB again, for ever (CVE-2015-5307).
 * The CPU has not written DR6 or DR7 (27.1).
 */
static void reflect_db(struct vcpu *v, uint32_t info)
{
    uint64_t qualification = vmread(EXIT_QUALIFICATION);

    if (INTR_TYPE(info) == INTR_PRIV_SOFT_EXCEPTION) { /* INT1: a trap */
        v->regs.pc += vmread(EXIT_INSN_LEN);
        end_shadow(vmread(GUEST_INTERRUPTIBILITY));
    } else
        vmx_irq_dr6_set((vmx_irq_dr6_get() & ~0xfull) | (qualification & DR6_TRAPS));
    vmwrite(GUEST_DR7, vmread(GUEST_DR7) & ~DR7_GD);
    v->event = (struct vcpu_event){ .type = VEV_EXCEPTION, .vector = X86_DB };
}

/* #AC is caught for the same reason as #DB (CVE-2015-8104). */
static void reflect_ac(struct vcpu *v, uint32_t info)
{
    (void)info;
    v->event = (struct vcpu_event){ .type = VEV_EXCEPTION,
                                    .vector = X86_AC,
                                    .has_error = true,
                                    .error = (uint32_t)vmread(EXIT_INTR_ERROR) };
}

static void vmx_machine_check(struct vcpu_exit *e)
{
    if (mca_in_guest())
        return;
    e->reason = EXIT_FAIL;
    e->fail.hw_code = X86_MC;
    e->fail.hw_info = 0;
    e->fail.what =
        "the machine lost what the guest was reading, or its state (#MC): the log says where";
}

void vmx_exit_exception(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    uint32_t info = (uint32_t)vmread(EXIT_INTR_INFO), vector = info & 0xff;

    (void)s;
    e->reason = EXIT_NONE;
    if ((info & INTR_NMI_UNBLOCKED) && v->event.type == VEV_NONE)
        vmwrite(GUEST_INTERRUPTIBILITY, vmread(GUEST_INTERRUPTIBILITY) | BLOCK_NMI);
    if (INTR_TYPE(info) == INTR_NMI)
        /* the host's; its IRET opens NMIs again */
        __asm__ volatile("int $2" : : : "memory");
    else if (vector == X86_DB)
        reflect_db(v, info);
    else if (vector == X86_AC)
        reflect_ac(v, info);
    else
        vmx_machine_check(e);
}
