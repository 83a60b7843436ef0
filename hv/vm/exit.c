/* SPDX-License-Identifier: BSD-2-Clause */
/* exit.c: one table from the reason of an exit to what is done about it. */
#include <hv/assert.h>
#include <hv/guest.h>
#include <hv/irq.h>
#include <hv/vm.h>

#include "private.h"

static const char *const exit_names[EXIT_ISA_0] = {
    [EXIT_NONE] = "none",         [EXIT_IRQ] = "interrupt",
    [EXIT_MEM] = "memory",        [EXIT_PIO] = "port",
    [EXIT_SYSREG] = "register",   [EXIT_CALL] = "hypercall",
    [EXIT_HALT] = "halt",         [EXIT_IRQ_WINDOW] = "irq-window",
    [EXIT_SHUTDOWN] = "shutdown", [EXIT_VINTC] = "irq-controller",
    [EXIT_FAIL] = "failure",
};

const char *exit_name(const struct vm *vm, enum exit_reason why)
{
    const char *own;

    hv_assert(why < EXIT_REASONS);
    if (why < EXIT_ISA_0)
        return exit_names[why];                        /* nospec: the engine's word */
    own = vm->guest_ops->exits[why - EXIT_ISA_0].name; /* nospec: the same */
    return own ? own : "unknown";
}

static int on_none(struct vcpu *v, struct vcpu_exit *e)
{
    (void)v, (void)e;
    return 0;
}

static int exit_on_irq(struct vcpu *v, struct vcpu_exit *e)
{
    (void)v, (void)e;
    irq_window();
    return 0;
}

/*
 * RAM that is mapped with the rights that were wanted needs no emulation: the fault was spurious,
 * or another CPU was faster. An access that the CPU has decoded is most probably to a device: guest
 * code looks when it has found none.
 */
static __attribute__((noinline)) int on_other_mem(struct vcpu *v, struct vcpu_exit *e)
{
    debug_assert_own_cpu(v);
    if (gmem_log_exit(v, e->mem.gpa))
        return 0;
    return gmem_ptr(v->vm, e->mem.gpa, 1, e->mem.prot) ? 0 : v->vm->guest_ops->emulate(v, e);
}

static int on_mem(struct vcpu *v, struct vcpu_exit *e)
{
    if (__builtin_expect(!e->mem.decoded, 0) && !gmem_in_hole(&v->vm->gmem, e->mem.gpa))
        return on_other_mem(v, e);
    return v->vm->guest_ops->emulate(v, e);
}

static int on_pio(struct vcpu *v, struct vcpu_exit *e)
{
    return e->pio.string ? v->vm->guest_ops->emulate(v, e) : v->vm->guest_ops->pio(v, e);
}

static int on_sysreg(struct vcpu *v, struct vcpu_exit *e) { return v->vm->guest_ops->sysreg(v, e); }

static int on_isa_0(struct vcpu *v, struct vcpu_exit *e)
{
    return v->vm->guest_ops->exits[0].handle(v, e);
}

static int on_isa_1(struct vcpu *v, struct vcpu_exit *e)
{
    return v->vm->guest_ops->exits[1].handle(v, e);
}

static int on_call(struct vcpu *v, struct vcpu_exit *e) { return v->vm->guest_ops->call(v, e); }

static int on_halt(struct vcpu *v, struct vcpu_exit *e)
{
    v->stats.halts++;
    return v->vm->guest_ops->halt(v, e);
}

/* The engine has closed its window: look again at what waits. */
static int on_window(struct vcpu *v, struct vcpu_exit *e)
{
    (void)e;
    __atomic_fetch_or(&v->requests, REQ_IRQ, __ATOMIC_RELAXED);
    return 0;
}

static int on_shutdown(struct vcpu *v, struct vcpu_exit *e)
{
    assert_own_cpu(v);
    (void)e;
    if (v->vm->guest_ops->shutdown)
        v->vm->guest_ops->shutdown(v);
    else
        vm_request_reset(v->vm, "triple fault");
    return 0;
}

static int on_vintc(struct vcpu *v, struct vcpu_exit *e)
{
    v->vm->guest_ops->vintc->exit(v, e);
    return 0;
}

static int on_fail(struct vcpu *v, struct vcpu_exit *e)
{
    assert_own_cpu(v);
    vm_kill(v->vm, "vCPU %u at %llx: %s (code %llx, info %llx)", v->id,
            (unsigned long long)v->regs.pc, e->fail.what ? e->fail.what : "?",
            (unsigned long long)e->fail.hw_code, (unsigned long long)e->fail.hw_info);
    return 0;
}

int (*const vcpu_exit_handlers[EXIT_REASONS])(struct vcpu *, struct vcpu_exit *) = {
    [EXIT_NONE] = on_none,         [EXIT_IRQ] = exit_on_irq,  [EXIT_MEM] = on_mem,
    [EXIT_PIO] = on_pio,           [EXIT_SYSREG] = on_sysreg, [EXIT_ISA_0] = on_isa_0,
    [EXIT_CALL] = on_call,         [EXIT_HALT] = on_halt,     [EXIT_IRQ_WINDOW] = on_window,
    [EXIT_SHUTDOWN] = on_shutdown, [EXIT_ISA_1] = on_isa_1,   [EXIT_VINTC] = on_vintc,
    [EXIT_FAIL] = on_fail,
};
