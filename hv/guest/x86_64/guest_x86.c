/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest_ops of x86 guests, and what every exit of theirs needs. */
#include "platform.h"
#include "x86.h"
#include "insn.h"
#include "x86_devices.h"
#include <hv/assert.h>
#include <hv/guest_uefi.h>
#include <hv/pci.h>
#include <string.h>

#define INSNS_LEN (X86_INSN_CACHE * sizeof(struct x86_insn))

static int x86_vcpu_init(struct vcpu *v)
{
    struct x86_vcpu *x = vm_alloc(v->vm, sizeof *x);

    assert_cpu0();
    hv_assert(!v->guest);
    if (x == NULL)
        return -ENOMEM;
    x->insns = vm_alloc(v->vm, INSNS_LEN);
    if (x->insns == NULL) {
        vm_free(v->vm, x, sizeof *x);
        return -ENOMEM;
    }
    v->guest = x;
    x->engine = x86_engine_of(v);
    x86_msr_reset(&x->s);
    v->mp = v->id == 0 ? MP_RUNNABLE : MP_WAIT_SIPI;
    return 0;
}

static void x86_vcpu_fini(struct vcpu *v)
{
    struct x86_vcpu *x = v->guest;

    assert_cpu0();
    if (x == NULL)
        return;
    vm_free(v->vm, x->insns, INSNS_LEN);
    vm_free(v->vm, x->fpu, X86_FPU_MAX);
    vm_free(v->vm, x, sizeof *x);
    v->guest = NULL;
}

static uint64_t low_mask(unsigned size) { return size >= 8 ? UINT64_MAX : (1ull << 8 * size) - 1; }

static int x86_pio(struct vcpu *v, struct vcpu_exit *e)
{
    struct io_access *io = &e->pio.io;
    uint64_t *rax = &v->regs.gpr[X86_RAX], mask = low_mask(io->size), dr7;

    debug_assert_own_cpu(v);
    if (e->pio.string)
        return x86_emulate(v, e);
    if (e->insn_len == 0)
        return -EINVAL; /* every engine gives it for IN and OUT */
    if (io->write)
        io->val = *rax & mask;
    if (io_dispatch(v->vm, IO_PORT, io) == -ENOENT)
        x86_log_nobody(v, IO_PORT, io);
    if (!io->write)
        *rax = io->size == 4 ? io->val & mask : (*rax & ~mask) | (io->val & mask);
    v->ops->skip_insn(v, e->insn_len);
    dr7 = x86_get(v, X86_DR7);
    if ((dr7 & DR7_ENABLED) != 0)
        x86_watch_trap(v, x86_watch_hits(v, dr7, WATCH_PORT, io->addr, io->size));
    return 0;
}

static int x86_cpuid_exit(struct vcpu *v, struct vcpu_exit *e)
{
    uint64_t *g = v->regs.gpr;
    struct x86_cpuid r;

    if (!x86_skip(v, e->insn_len, 0x0fa2))
        return 0;
    r = x86_cpuid(v, (uint32_t)g[X86_RAX], (uint32_t)g[X86_RCX]);
    g[X86_RAX] = r.eax;
    g[X86_RBX] = r.ebx;
    g[X86_RCX] = r.ecx;
    g[X86_RDX] = r.edx;
    return 0;
}

static int x86_halt(struct vcpu *v, struct vcpu_exit *e)
{
    if (!x86_skip(v, e->insn_len, 0xf4))
        return 0;
    x86_pv_tick(v);
    if (!x86_pv_kicked(v))
        v->mp = MP_HALTED;
    return 0;
}

/*
 * Arguments: RBX RCX RDX RSI, 32 bits wide outside 64-bit mode. The result is 0 or -errno as Linux
 * numbers them.
 */
static int x86_call(struct vcpu *v, struct vcpu_exit *e)
{
    uint64_t *g = v->regs.gpr, arg[4] = { g[X86_RBX], g[X86_RCX], g[X86_RDX], g[X86_RSI] },
             nr = g[X86_RAX];
    struct x86_mode m;

    x86_mode_get(v, &m);
    if (!x86_skip_mode(v, &m, e->insn_len, 0x0f01d9))
        return 0;
    for (unsigned i = 0; m.bits != 64 && i < 4; i++)
        arg[i] = (uint32_t)arg[i];
    g[X86_RAX] = x86_hypercall(v, m.bits == 64 ? nr : (uint32_t)nr, arg, m.cpl);
    if (m.bits != 64)
        g[X86_RAX] = (uint32_t)g[X86_RAX];
    return 0;
}

static void start_at(struct vcpu *v, uint16_t segment, uint16_t offset)
{
    struct x86_segment cs = { segment, (uint64_t)segment << 4, 0xffff, 0x09b };

    x86_set_segment(v, X86_CS, cs);
    v->regs.pc = offset;
    v->mp = MP_RUNNABLE;
}

/*
 * INIT of an application processor: back to the reset state, waiting for SIPI (SDM vol 3 §9.4). Of
 * the boot processor: there is no firmware to run, so the machine starts again, unless the guest
 * said where to go on.
 */
static void take_init(struct vcpu *v)
{
    uint16_t segment = 0, offset = 0;

    assert_own_cpu(v);
    if (v->id == 0 && !x86_warm_start(v, &segment, &offset)) {
        vm_request_reset(v->vm, "INIT sent to the boot processor");
        return;
    }
    v->ops->vcpu_reset(v);
    v->event.type = VEV_NONE;
    v->regs.gpr[X86_RDX] = x86_machine_of(v)->cpuid.basic[1].eax;
    memset(x86_of(v)->fetch, 0, sizeof x86_of(v)->fetch);
    v->mp = MP_WAIT_SIPI;
    if (v->id == 0)
        start_at(v, segment, offset);
}

static void take_sipi(struct vcpu *v, unsigned vector)
{
    assert_own_cpu(v);
    hv_assert(vector < 256);
    if (v->mp == MP_WAIT_SIPI)
        start_at(v, (uint16_t)(vector << 8), 0);
}

static void x86_request(struct vcpu *v)
{
    int vector;

    debug_assert_own_cpu(v);
    if (lapic_take_init(v))
        take_init(v);
    vector = lapic_take_sipi(v);
    if (vector >= 0)
        take_sipi(v, (unsigned)vector);
    x86_pv_request(v);
}

static bool x86_wakeable(struct vcpu *v)
{
    if (v->mp == MP_WAIT_SIPI)
        return lapic_has_signal(v);
    if ((__atomic_load_n(&v->requests, __ATOMIC_ACQUIRE) & REQ_NMI) != 0 || lapic_has_signal(v))
        return true;
    if ((__atomic_load_n(&x86_of(v)->clock_requests, __ATOMIC_ACQUIRE) & X86_KICKED) != 0)
        return true;
    return (v->regs.flags & FLAGS_IF) != 0 && lapic_wakes(v);
}

static void x86_shutdown(struct vcpu *v) { x86_processor_reset(v->vm, "triple fault"); }

const struct guest_ops guest_x86 = {
    .isa = ISA_X86_64,
    .vcpus_max = X86_VCPUS_MAX,
    .build = x86_build,
    .build_more = x86_build_more,
    .quiesce = uefi_guest_quiesce,
    .destroy = x86_destroy,
    .release = uefi_guest_release,
    .ram_layout = x86_ram_layout,
    .vcpu_init = x86_vcpu_init,
    .vcpu_fini = x86_vcpu_fini,
    .emulate = x86_emulate,
    .pio = x86_pio,
    .sysreg = x86_sysreg_exit,
    .call = x86_call,
    .halt = x86_halt,
    .shutdown = x86_shutdown,
    /* EXIT_CPUID, EXIT_TASK */
    .exits = { { "cpuid", x86_cpuid_exit }, { "task-switch", x86_task_switch } },
    .request = x86_request,
    .off_cpu = x86_pv_off_cpu,
    .power_button = x86_power_button,
    .screenshot = uefi_screenshot,
    .wakeable = x86_wakeable,
    .vintc = &x86_vintc,
    .state = x86_state_table,
    .pages = x86_pages_table,
};
