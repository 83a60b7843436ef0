/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmx_run.c: one stretch of guest time, and what its end means. Intel SDM volume 3 chapters 25 to
 * 27; reasons in appendix C.
 */
#include <hv/assert.h>
#include <hv/gmem.h>
#include <hv/log.h>
#include <hv/percpu.h>
#include <hv/pt.h>
#include <hv/time.h>
#include <hv/x86.h>

#include "private.h"
#include "vmx.h"
#include "vmx_rules.h"

typedef void exit_fn(struct vcpu *, struct vmx_vcpu *, struct vcpu_exit *);

#define RFLAGS_FIXED 2ull
#define RFLAGS_IF (1ull << 9)
#define RFLAGS_KNOWN 0x3f7fd7ull

/*
 * For the exits that can come in the middle of an event's delivery (27.2.4): the event waits again.
 * The others need not look.
 */
static void get_event(struct vcpu *v)
{
    uint32_t info = (uint32_t)vmread(IDT_VECTORING_INFO);

    if (info & INTR_VALID)
        vmx_vectoring(v, info);
}

/* Only few handlers need it; their guests may change it. */
static void get_rsp(struct vcpu *v, struct vmx_vcpu *s)
{
    s->rsp_known = true;
    v->regs.gpr[X86_RSP] = s->rsp = vmread(GUEST_RSP);
}

void vmx_know_rsp(struct vcpu *v)
{
    if (!vmx_of(v)->rsp_known)
        get_rsp(v, vmx_of(v));
}

static uint8_t vmx_run_insn_len(void) { return (uint8_t)vmread(EXIT_INSN_LEN); }

static void vmx_run_raise(struct vcpu *v, uint8_t vector, bool has_error)
{
    v->event =
        (struct vcpu_event){ .type = VEV_EXCEPTION, .vector = vector, .has_error = has_error };
}

/* Posted interrupts want the CPU to acknowledge the host's interrupts itself (26.2.1.1). */
static void vmx_run_exit_irq(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    (void)v, (void)s;
    if (vmx_caps.exit & X_ACK_INT)
        irq_dispatch(vmread(EXIT_INTR_INFO) & 0xff);
    e->reason = EXIT_IRQ;
}

static void exit_timer(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    (void)v;
    s->look_at = UINT64_MAX;
    s->looked_after = time_ns();
    if (s->looked_after >= s->run_until)
        this_cpu()->wake = 1;
    e->reason = EXIT_IRQ;
}

/* The guest has lowered its task priority far enough. */
static void exit_tpr(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    (void)v;
    s->threshold = 0;
    e->reason = EXIT_IRQ_WINDOW;
}

/* INIT to the host: blocked outside guests, and nothing to us. */
static void vmx_run_exit_nothing(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    (void)v, (void)s;
    e->reason = EXIT_NONE;
}

static void vmx_run_exit_shutdown(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    (void)v, (void)s;
    e->reason = EXIT_SHUTDOWN;
}

static void vmx_run_exit_window(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    (void)v;
    vmx_close_window(s, P_INT_WINDOW);
    e->reason = EXIT_IRQ_WINDOW;
}

static void exit_nmi_window(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    (void)v;
    vmx_close_window(s, P_NMI_WINDOW);
    e->reason = EXIT_IRQ_WINDOW;
}

static void simple(struct vcpu_exit *e, enum exit_reason reason)
{
    e->reason = reason;
    e->insn_len = vmx_run_insn_len();
}

static void vmx_run_exit_cpuid(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    (void)v, (void)s;
    simple(e, EXIT_CPUID);
}

static void vmx_run_exit_hlt(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    (void)v, (void)s;
    simple(e, EXIT_HALT);
}

static void exit_vmcall(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    (void)v, (void)s;
    simple(e, EXIT_CALL);
}

/* Table 27-5. String instructions are decoded by the guest's code. */
static void exit_io(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    uint32_t q = (uint32_t)vmread(EXIT_QUALIFICATION);
    uint8_t size = (uint8_t)((q & 7) + 1);

    simple(e, EXIT_PIO);
    e->pio.io.addr = q >> 16;
    e->pio.io.size = size;
    e->pio.io.write = !(q & IOQ_IN);
    e->pio.io.val = v->regs.gpr[X86_RAX] & (0xffffffffu >> (32 - 8 * size));
    e->pio.string = (q & IOQ_STR) != 0;
    e->pio.rep = (q & IOQ_REP) != 0;
    e->pio.addr_size = 0;
    e->pio.seg = 0;
    if (e->pio.string)
        get_rsp(v, s);
}

static void msr_access(struct vcpu *v, struct vcpu_exit *e, bool write)
{
    simple(e, EXIT_SYSREG);
    e->sysreg.id = (uint32_t)v->regs.gpr[X86_RCX];
    e->sysreg.write = write;
    e->sysreg.cr = false;
    e->sysreg.val = (uint32_t)v->regs.gpr[X86_RAX] | v->regs.gpr[X86_RDX] << 32;
}

static void exit_rdmsr(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    (void)s;
    msr_access(v, e, false);
}

static void exit_wrmsr(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    (void)s;
    msr_access(v, e, true);
}

static void cr_access(struct vcpu_exit *e, uint32_t id, bool write)
{
    simple(e, EXIT_SYSREG);
    e->sysreg.id = id;
    e->sysreg.write = write;
    e->sysreg.cr = true;
    e->sysreg.val = 0;
}

/* Table 27-3: MOV to CR, MOV from CR, CLTS, LMSW. The guest's code decodes the instruction. */
static void exit_cr(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    static const uint32_t names[16] = {
        [0] = X86_CR0, [3] = X86_CR3, [4] = X86_CR4, [8] = X86_CR8
    };
    uint32_t q = (uint32_t)vmread(EXIT_QUALIFICATION);

    get_rsp(v, s);
    cr_access(e, names[q & 15], (q >> 4 & 3) != 1);
}

/* XSETBV faults at other levels than 0 before it exits (25.1.1). */
static void exit_xsetbv(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    (void)v, (void)s;
    cr_access(e, X86_XCR0, true);
}

static __attribute__((noinline)) void ept_in_delivery(struct vcpu *v, uint32_t qualification,
                                                      uint32_t info)
{
    if (info & INTR_VALID)
        vmx_vectoring(v, info);
    if ((qualification & EPTQ_NMI_UNBLOCKED) && v->event.type == VEV_NONE)
        vmwrite(GUEST_INTERRUPTIBILITY, vmread(GUEST_INTERRUPTIBILITY) | BLOCK_NMI);
}

/*
 * iTLB multihit: what a guest executes is mapped by 4 KiB pages. Not RAM: the exit says so in the
 * ordinary way.
 */
static void make_exec(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    int err = gmem_make_exec(v->vm, e->mem.gpa);

    if (err == -EFAULT)
        return;
    e->reason = EXIT_NONE;
    vmx_stale(s, true);
    if (err) {
        e->reason = EXIT_FAIL;
        e->fail.hw_code = REASON_EPT_VIOLATION;
        e->fail.hw_info = 0;
        e->fail.what = "no memory for the page tables of what it executes";
    }
}

static void exit_ept(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    static const uint8_t prot[8] = {
        PROT_R, PROT_R, PROT_W, PROT_W, PROT_X, PROT_X, PROT_W, PROT_W
    };
    uint32_t q = (uint32_t)vmread(EXIT_QUALIFICATION), info = (uint32_t)vmread(IDT_VECTORING_INFO);

    static_assert((EPTQ_W | EPTQ_X) == 6, "bits 1 and 2");
    get_rsp(v, s);
    e->reason = EXIT_MEM;
    e->insn_len = 0;
    e->mem.gpa = gpa(vmread(GUEST_PHYSICAL_ADDRESS));
    e->mem.prot = prot[q & 7];
    e->mem.decoded = false;
    if (spec.split_exec && e->mem.prot == PROT_X)
        make_exec(v, s, e);
    if ((info & INTR_VALID) || (q & EPTQ_NMI_UNBLOCKED))
        ept_in_delivery(v, q, info);
}

/*
 * Table 27-6. The page is where the guest has its APIC (vapic_ops.window), so that this is an
 * access to it that the CPU does not carry out. Accesses by the CPU itself have no offset.
 */
static void exit_apic_access(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    static const uint8_t prot[4] = { PROT_R, PROT_W, PROT_X, PROT_W };
    uint64_t q = vmread(EXIT_QUALIFICATION);

    get_rsp(v, s);
    get_event(v);
    e->reason = EXIT_MEM;
    e->insn_len = 0;
    e->mem.gpa = gpa(APIC_RESET_BASE | (q & 0xfff));
    e->mem.prot = prot[q >> 12 & 3];
    e->mem.decoded = false;
}

/* vmx_is_unknown_insn() */
static void vmx_run_exit_ud(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    (void)s;
    vmx_run_raise(v, X86_UD, false);
    e->reason = EXIT_NONE;
}

/* No performance counters. */
static void vmx_run_exit_gp(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    (void)s;
    vmx_run_raise(v, X86_GP, true);
    e->reason = EXIT_NONE;
}

/* INVD would throw away what others wrote; caches are coherent without WBINVD. */
static void vmx_run_exit_cache(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    (void)s;
    vmx_skip_insn(v, vmx_run_insn_len());
    e->reason = EXIT_NONE;
}

/*
 * For how many TSC cycles a loop of PAUSEs is taken for spinning (24.6.13, 25.1.3): short while
 * somebody may wait for this CPU, as when it has just turned to this vCPU, and longer each time
 * that nobody took over.
 */
enum { SPIN_SHORT = 4096, SPIN_LONG = 262144 };

void vmx_watch_spins(struct vmx_vcpu *s)
{
    if (!(vmx_caps.secondary & S_PAUSE_LOOP) || s->spin_window == SPIN_SHORT)
        return;
    s->spin_window = SPIN_SHORT;
    vmwrite(PLE_WINDOW, s->spin_window);
}

static bool vmx_run_spins_for_long(struct vmx_vcpu *s)
{
    if (s->spin_window >= SPIN_LONG)
        return true;
    s->spin_window *= 4;
    vmwrite(PLE_WINDOW, s->spin_window);
    return false;
}

/*
 * The guest spins: others may need the CPU more. It goes on behind the PAUSE, so that it looks
 * before it is caught again.
 */
static void vmx_run_exit_pause(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    vmx_skip_insn(v, vmx_run_insn_len());
    __atomic_fetch_or(&v->requests, vmx_run_spins_for_long(s) ? REQ_YIELD : REQ_SPIN,
                      __ATOMIC_RELAXED);
    e->reason = EXIT_NONE;
}

static void vmx_run_fail(struct vcpu_exit *e, uint64_t code, uint64_t info, const char *what)
{
    e->reason = EXIT_FAIL;
    e->fail.hw_code = code;
    e->fail.hw_info = info;
    e->fail.what = what;
}

/*
 * Table 27-2. An event that came through a task gate is in v->event by now, but for software's own,
 * after which the old task goes on behind the instruction. An NMI's handler is the new task:
 * further ones stay blocked until it ends by IRET.
 */
static void exit_task(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    uint32_t q = (uint32_t)vmread(EXIT_QUALIFICATION), info = (uint32_t)vmread(IDT_VECTORING_INFO);
    enum task_how how = q >> 30 & 3;
    uint64_t block;

    get_rsp(v, s);
    get_event(v);
    block = vmread(GUEST_INTERRUPTIBILITY) & ~(uint64_t)(BLOCK_STI | BLOCK_MOV_SS);
    e->reason = EXIT_TASK;
    e->isa[0] = (uint16_t)q;
    e->isa[1] = how;
    e->insn_len = how != TASK_GATE || INTR_TYPE(info) >= INTR_SOFT ? vmx_run_insn_len() : 0;
    if (how == TASK_IRET)
        block &= ~(uint64_t)BLOCK_NMI;
    else if (v->event.type == VEV_NMI)
        block |= BLOCK_NMI;
    vmwrite(GUEST_INTERRUPTIBILITY, block);
    vmwrite(GUEST_PENDING_DEBUG, 0);
}

static void exit_misconfig(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    (void)s;
    get_event(v);
    vmx_run_fail(e, REASON_EPT_MISCONFIG, vmread(GUEST_PHYSICAL_ADDRESS),
                 "an EPT entry that the CPU does not accept");
}

static void exit_exception(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    get_event(v);
    vmx_exit_exception(v, s, e);
}

static exit_fn *const handlers[REASON_APIC_WRITE + 1] = {
    [REASON_EXCEPTION] = exit_exception,
    [REASON_EXT_INT] = vmx_run_exit_irq,
    [REASON_TRIPLE_FAULT] = vmx_run_exit_shutdown,
    [REASON_INIT] = vmx_run_exit_nothing,
    [REASON_INT_WINDOW] = vmx_run_exit_window,
    [REASON_NMI_WINDOW] = exit_nmi_window,
    [REASON_TASK_SWITCH] = exit_task,
    [REASON_CPUID] = vmx_run_exit_cpuid,
    [REASON_HLT] = vmx_run_exit_hlt,
    [REASON_INVD] = vmx_run_exit_cache,
    [REASON_RDPMC] = vmx_run_exit_gp,
    [REASON_VMCALL] = exit_vmcall,
    [REASON_CR] = exit_cr,
    [REASON_IO] = exit_io,
    [REASON_RDMSR] = exit_rdmsr,
    [REASON_WRMSR] = exit_wrmsr,
    [REASON_PAUSE] = vmx_run_exit_pause,
    [REASON_EPT_VIOLATION] = exit_ept,
    [REASON_EPT_MISCONFIG] = exit_misconfig,
    [REASON_PREEMPTION] = exit_timer,
    [REASON_TPR] = exit_tpr,
    [REASON_APIC_ACCESS] = exit_apic_access,
    [REASON_EOI] = vmx_exit_eoi,
    [REASON_APIC_WRITE] = vmx_exit_apic_write,
    [REASON_WBINVD] = vmx_run_exit_cache,
    [REASON_XSETBV] = exit_xsetbv,
};

static uint64_t read_field(uint32_t field) { return vmread((enum vmcs_field)field); }

/* The rule that an entry with the current VMCS breaks; NULL: none. */
static const char *vmx_run_broken_rule(const struct vmx_vcpu *s)
{
    const struct vmx_fields f = { .read = read_field,
                                  .limits = &vmx_limits,
                                  .vtpr = s->vapic[VAPIC_TPR] };

    return vmx_check(&f);
}

static void vmx_run_exit_unknown(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e,
                                 uint32_t reason)
{
    const char *rule = NULL;
    uint64_t info = reason == REASON_VMFAIL ? vmread(INSN_ERROR) : vmread(EXIT_QUALIFICATION);

    (void)v, (void)s;
    if ((reason & 0xffff) == REASON_BAD_GUEST || reason == REASON_VMFAIL || reason == REASON_RULE)
        rule = vmx_run_broken_rule(s);
    if (!rule && reason == REASON_VMFAIL)
        rule = vmx_insn_error(info);
    vmx_run_fail(e, reason, info,
                 rule                           ? rule
                 : reason & REASON_ENTRY_FAILED ? "VM entry refused the guest's state"
                                                : "an exit that was not asked for");
}

/* Only what differs from the VMCS is written. Outside 64-bit code RIP has 32 bits (26.3.1.4). */
static void put_regs(struct vcpu *v, struct vmx_vcpu *s)
{
    if (v->regs.pc != s->rip) {
        if (v->regs.pc >> 32 && (!(vmread(GUEST_CS_AR) & AR_L) || !(s->efer & 1 << 10)))
            v->regs.pc = (uint32_t)v->regs.pc;
        vmwrite(GUEST_RIP, s->rip = v->regs.pc);
    }
    if (v->regs.flags != s->rflags) {
        v->regs.flags = (v->regs.flags & RFLAGS_KNOWN) | RFLAGS_FIXED;
        vmwrite(GUEST_RFLAGS, s->rflags = v->regs.flags);
        s->changed = true;
    }
    if (s->rsp_known && v->regs.gpr[X86_RSP] != s->rsp)
        vmwrite(GUEST_RSP, s->rsp = v->regs.gpr[X86_RSP]);
}

static void get_regs(struct vcpu *v, struct vmx_vcpu *s)
{
    v->regs.pc = s->rip = vmread(GUEST_RIP);
    v->regs.flags = s->rflags = vmread(GUEST_RFLAGS);
    s->rsp_known = false;
}

bool vmx_run_until(struct vcpu *v, uint64_t ns)
{
    struct vmx_vcpu *s = vmx_of(v);

    debug_assert_on_cpu(v);
    if (!vmx_caps.preemption)
        return false;
    if (ns != s->run_until) {
        s->run_until = ns;
        s->look_at = UINT64_MAX;
    }
    return true;
}

/*
 * The preemption timer ends slices, without an interrupt of the host's timer. It stands still
 * outside the guest, so that it is written only when it has run out or the slice is another.
 * Bochs 2.7 keeps external interrupts masked in a guest that is entered with RFLAGS.IF 0 until it
 * changes IF itself, against section 25.2: such a guest is looked after each millisecond, and none
 * runs longer than ten, whatever its slices are: one that yields all the time gets a new one each
 * time.
 */
static void put_timer(struct vmx_vcpu *s)
{
    uint64_t end = min_u64(s->run_until,
                           s->looked_after + (s->rflags & RFLAGS_IF ? 10000000 : 1000000)),
             now = time_ns();

    s->look_at = time_cycles() + (end > now ? end - now : 0) * (time_cycles_hz() / 1000) / 1000000;
    vmwrite(PREEMPTION_VALUE, (end > now ? end - now : 0) * vmx_caps.preemption / 1000000 + 1);
}

/*
 * Never above the virtual task priority (26.2.1.1): it was lower already, then, and has been looked
 * at.
 */
static void put_threshold(struct vmx_vcpu *s)
{
    uint8_t t = (uint8_t)min_u64(s->threshold, s->vapic[VAPIC_TPR] >> 4);

    if (t != s->threshold_set)
        vmwrite(TPR_THRESHOLD, s->threshold_set = t);
    s->watching = (s->threshold | t) != 0;
}

/*
 * What else ran on this CPU since the vCPU was picked may be in the cache; what its own exits bring
 * there is its own, or no secret.
 */
static __attribute__((noinline)) void flush_l1d(struct vcpu *v, struct vmx_vcpu *s)
{
    s->spec.stay = v->sched.since;
    spec_flush_l1d();
}

static uint32_t vmx_run_enter(struct vcpu *v, struct vmx_vcpu *s)
{
    bool entered;

    put_regs(v, s);
    if (s->look_at == UINT64_MAX && vmx_caps.preemption)
        put_timer(s);
    if (s->watching)
        put_threshold(s);
    if (DEBUG_LOCKS) {
        if (s->changed && vmx_run_broken_rule(s))
            return REASON_RULE;
        s->changed = false;
    }
    if (spec.flush_l1d && s->spec.stay != v->sched.since)
        flush_l1d(v, s);
    entered = vmx_enter(&v->regs, s->launched, &s->host_rsp, &s->spec);
    if (!entered)
        return REASON_VMFAIL;
    s->launched = true;
    return (uint32_t)vmread(EXIT_REASON);
}

static __attribute__((noinline)) void prepare(struct vcpu *v, struct vmx_vcpu *s, struct vmx_cpu *c)
{
    vmx_use(v);
    if (s->generation != c->generation)
        vmx_new_vpid(s, c);
    if (s->flush_vpid || s->flush_ept)
        vmx_flush(s);
    if (s->apic_stale)
        vmx_put_apic(s);
    c->fit = s;
}

void vmx_run(struct vcpu *v, struct vcpu_exit *e)
{
    struct vmx_vcpu *s = vmx_of(v);
    struct vmx_cpu *c = &vmx_cpus[x86_this_cpu()->id];

    debug_assert_on_cpu(v);
    debug_assert_no_locks();
    if (rdtsc() > s->look_at) { /* it exits so often that its own time does not run out */
        exit_timer(v, s, e);
        return;
    }
    if (c->fit != s)
        prepare(v, s, c);
    if (v->event.type != VEV_NONE)
        vmx_inject(v, s);
    uint32_t reason = vmx_run_enter(v, s);

    get_regs(v, s);
    e->insn_bytes_len = 0;
    exit_fn *fn = reason < ARRAY_SIZE(handlers) ? handlers[reason] : NULL;
    if (fn)
        fn(v, s, e);
    else if (vmx_is_unknown_insn(reason))
        vmx_run_exit_ud(v, s, e);
    else
        vmx_run_exit_unknown(v, s, e, reason);
}
