/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest_ops of riscv64 guests. */
#include "rv_guest.h"
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/guest.h>
#include <hv/pci.h>

/* ---- vCPUs ---- */

static void rv_timer_event(struct event *ev)
{
    vcpu_request(container_of(ev, struct rv_vcpu, timer)->v, REQ_IRQ);
}

static int rv_vcpu_init(struct vcpu *v)
{
    struct rv_vcpu *r = vm_alloc(v->vm, sizeof *r);

    assert_cpu0();
    if (r == NULL)
        return -ENOMEM;
    r->v = v;
    event_init(&r->timer, rv_timer_event, 0);
    v->guest = r;
    v->mp = MP_OFF; /* also the first, until the kernel is there */
    return 0;
}

static void rv_vcpu_fini(struct vcpu *v)
{
    assert_cpu0();
    event_kill(&rv_vcpu_of(v)->timer);
    vm_free(v->vm, v->guest, sizeof(struct rv_vcpu));
    v->guest = NULL;
}

/* When nothing else happens: the time of its timer, on this CPU. */
static void rv_arm(struct vcpu *v)
{
    struct event *ev = &rv_vcpu_of(v)->timer;
    uint64_t due = rvm_hart_timer(&rv_guest_of(v->vm)->m, v->id);

    if (ev->cpu != this_cpu()->id) {
        event_cancel(ev);
        ev->cpu = (uint16_t)this_cpu()->id;
    }
    if (due == UINT64_MAX)
        event_cancel(ev);
    else
        event_at(ev, vm_time_to_host(v->vm, vm_counter_to_ns(v->vm, due)));
}

static int rv_halt(struct vcpu *v, struct vcpu_exit *e)
{
    (void)e;
    debug_assert_own_cpu(v);
    v->mp = MP_HALTED;
    rv_arm(v);
    return 0;
}

static void rv_poll(struct vcpu *v) { rvm_timers(&rv_guest_of(v->vm)->m, v->id); }

static bool rv_wakeable(struct vcpu *v)
{
    if (v->mp != MP_HALTED)
        return false;
    rv_poll(v);
    if (rv_wakes(rv_shared_of(v)->hart))
        return true;
    rv_arm(v); /* another hart may have set its timer (ACLINT), or the VM stood still */
    return false;
}

/* SBI started it. */
static void rv_request(struct vcpu *v)
{
    struct rv_guest *g = rv_guest_of(v->vm);
    struct rv_entry e;

    debug_assert_own_cpu(v);
    spin_lock(&g->lock);
    e = g->entry[v->id];
    g->entry[v->id].there = false;
    if (e.there)
        rvm_start(&g->m, v->id, e.pc, v->id, e.a1);
    spin_unlock(&g->lock);
    if (!e.there)
        return;
    rv_regs_out(v);
    v->mp = MP_RUNNABLE;
}

/* ---- exits ---- */

void rv_look(struct vm *vm)
{
    struct rv_guest *g = rv_guest_of(vm);
    enum rvm_end how;
    uint32_t code;

    spin_lock(&g->lock);
    how = g->m.end;
    code = g->m.exit_code;
    spin_unlock(&g->lock);
    if (how == RVM_RUNS)
        return;
    if (how == RVM_RESET)
        vm_request_reset(vm, "the guest asked for a reset");
    else if (code && vm->config->debug_exit)
        vm_exited(vm, (int)(code << 1 | 1));
    else
        vm_request_off(vm, code ? "the guest powered itself off, and says that it failed"
                                : "the guest powered itself off");
}

static int rv_emulate(struct vcpu *v, struct vcpu_exit *e)
{
    struct io_access *io = &e->mem.io;
    struct rv_answer *a = &rv_shared_of(v)->answer;

    debug_assert_own_cpu(v);
    *a = (struct rv_answer){ .there = true, .write = io->write, .size = io->size, .pa = io->addr };
    a->ok = io_dispatch(v->vm, IO_MEM, io) != -ENOENT;
    a->value = io->val;
    if (io->write && io->addr >= RVG_ECAM)
        rv_device_wrote(v->vm);
    rv_look(v->vm);
    return 0;
}

/* All at once, then until the last has left its guest: it does its fences before it goes on. */
static void rv_fence_harts(struct vm *vm, uint32_t harts)
{
    for (uint32_t n = 0; n < vm->nvcpus; n++)
        if (harts >> n & 1)
            vcpu_request(vm->vcpu[n], REQ_TLB);
    for (uint32_t n = 0; n < vm->nvcpus; n++)
        if (harts >> n & 1)
            vcpu_flush_wait(vm->vcpu[n]);
}

/* SBI: the registers are the hart's. */
static int rv_call(struct vcpu *v, struct vcpu_exit *e)
{
    struct rv_guest *g = rv_guest_of(v->vm);
    uint32_t fence;
    bool stopped;

    (void)e;
    debug_assert_own_cpu(v);
    spin_lock(&g->lock);
    rvm_sbi(&g->m, g->m.hart[v->id]);
    fence = g->fence;
    g->fence = 0;
    stopped = g->m.hart_state[v->id] == RVM_STOPPED;
    spin_unlock(&g->lock);
    rv_regs_out(v);
    rv_fence_harts(v->vm, fence);
    if (stopped)
        v->mp = MP_OFF;
    rv_look(v->vm);
    return 0;
}

/* Ports, registers: the engine has no such exits. */
static int rv_none(struct vcpu *v, struct vcpu_exit *e)
{
    (void)v, (void)e;
    return -EINVAL;
}

static int rv_power_button(struct vm *vm)
{
    (void)vm;
    return -ENOTSUP;
}

/* ---- interrupts: bits of the harts ---- */

static void rv_set_line(struct vm *vm, uint32_t line, bool level)
{
    struct rv_guest *g = vm->guest;

    if (!g || line == 0 || line >= RVM_SOURCES)
        return;
    rv_device_wrote(vm);
    spin_lock(&g->lock);
    rvm_irq(&g->m, line, level);
    spin_unlock(&g->lock);
}

static int rv_send_msi(struct vm *vm, uint32_t devid, uint64_t addr, uint32_t data)
{
    (void)vm, (void)devid, (void)addr, (void)data;
    return -ENOTSUP;
}

static int rv_pending(struct vcpu *v)
{
    (void)v;
    return -1;
}

static int rv_accept(struct vcpu *v, int vec)
{
    (void)v, (void)vec;
    return -1;
}

static const struct vintc_ops rv_vintc = {
    .set_line = rv_set_line, .send_msi = rv_send_msi, .pending = rv_pending, .accept = rv_accept
};
static const struct rv_calls rv_calls_of_engine = { .poll = rv_poll };

const struct guest_ops guest_riscv = {
    .isa = ISA_RISCV64,
    .vcpus_max = RVM_HARTS,
    .build = rv_build,
    .build_more = rv_build_more,
    .quiesce = vio_quiesce,
    .destroy = rv_destroy,
    .release = vio_release,
    .ram_layout = rv_ram_layout,
    .vcpu_init = rv_vcpu_init,
    .vcpu_fini = rv_vcpu_fini,
    .emulate = rv_emulate,
    .pio = rv_none,
    .sysreg = rv_none,
    .call = rv_call,
    .halt = rv_halt,
    .request = rv_request,
    .power_button = rv_power_button,
    .wakeable = rv_wakeable,
    .vintc = &rv_vintc,
    .engine_calls = &rv_calls_of_engine,
    .state = rv_states,
    .pages = rv_pages,
};
