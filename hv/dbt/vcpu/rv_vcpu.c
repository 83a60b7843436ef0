/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The translator as an engine of Trivet: <hv/vcpu.h> for guests of riscv64. It runs no host
 * instruction of its own, so it is there on every host, with or without VMX, SVM or EL2.
 *
 * An access to a device ends the run. When the guest's side has done it, the instruction is tried
 * again, alone, and finds its answer: so no device is called from within run(), where locks must
 * not be taken (vm_tlb_flush() waits for it), and no interrupt comes between access and answer.
 */
#include <hv/assert.h>
#include <hv/gmem.h>
#include <hv/guest.h>
#include <hv/rv_machine.h>
#include <hv/rv_vcpu.h>
#include <hv/time.h>
#include <hv/vm.h>
#include <string.h>

#define PASS 1000u       /* instructions between two looks at what waits */
#define RUN_NS 200000ull /* then the host's interrupts are taken */

/* vcpu.arch */
struct dbt_vcpu {
    struct vcpu *v;
    struct rv_shared shared;
    struct vcpu_exit *exit; /* of the run that goes on */
    uint64_t run_cycles;    /* RUN_NS */
    struct rv_hart hart;
};

static struct dbt_vcpu *dbt_of(const struct vcpu *v) { return v->arch; }

/* ---- the machine's side of a hart: owner is its struct dbt_vcpu ---- */

static uint8_t *dbt_ram(void *owner, uint64_t pa)
{
    struct dbt_vcpu *d = owner;

    return gmem_ptr(d->v->vm, gpa(pa), PAGE_SIZE, PROT_R | PROT_W);
}

static void dbt_stop(struct dbt_vcpu *d, enum exit_reason why)
{
    d->exit->reason = why;
    __atomic_store_n(&d->hart.stop, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&d->hart.attention, 1, __ATOMIC_RELAXED);
}

/* True: the answer is there. False: there is an exit to be made, or nobody answered. */
static bool dbt_access(struct dbt_vcpu *d, uint64_t pa, unsigned size, bool write, uint64_t *value)
{
    struct rv_answer *a = &d->shared.answer;
    struct vcpu_exit *e = d->exit;

    if (a->there && a->pa == pa && a->size == size && a->write == write) {
        a->there = false;
        if (!write)
            *value = a->value;
        return a->ok;
    }
    dbt_stop(d, EXIT_MEM);
    d->hart.again = true;
    e->mem.gpa = gpa(pa);
    e->mem.prot = write ? PROT_W : PROT_R;
    e->mem.decoded = true;
    e->mem.io =
        (struct io_access){ .addr = pa, .val = *value, .size = (uint8_t)size, .write = write };
    return false;
}

static bool dbt_read(void *owner, struct rv_hart *h, uint64_t pa, unsigned size, uint64_t *value)
{
    (void)h;
    *value = 0;
    return dbt_access(owner, pa, size, false, value);
}

static bool dbt_write(void *owner, struct rv_hart *h, uint64_t pa, unsigned size, uint64_t value)
{
    (void)h;
    return dbt_access(owner, pa, size, true, &value);
}

static uint64_t dbt_time(void *owner)
{
    const struct dbt_vcpu *d = owner;

    return vm_counter(d->v->vm);
}

/* The hart goes on behind the instruction, when it was answered. */
static bool dbt_ecall(void *owner, struct rv_hart *h)
{
    (void)h;
    dbt_stop(owner, EXIT_CALL);
    return true;
}

static const struct rv_machine_ops dbt_machine = {
    .ram = dbt_ram,
    .read = dbt_read,
    .write = dbt_write,
    .time = dbt_time,
    .ecall = dbt_ecall,
};

/* ---- run ---- */

static bool dbt_is_called(const struct vcpu *v)
{
    return __atomic_load_n(&v->requests, __ATOMIC_RELAXED) != 0;
}

/* The instruction whose access was answered: before any interrupt. */
static void dbt_finish(struct dbt_vcpu *d)
{
    struct rv_insn insn;

    if (rv_fetch(&d->hart, &insn))
        (void)rv_execute(&d->hart, &insn);
    d->shared.answer.there = false;
}

/* False: there is an exit. */
static bool dbt_goes_on(struct dbt_vcpu *d)
{
    const struct rv_cpu *c = &d->hart.cpu;

    if (d->exit->reason != EXIT_NONE)
        return false;
    if (c->mode == RV_M) {
        d->exit->reason = EXIT_FAIL;
        d->exit->fail.what = "a trap to M-mode, where it has no firmware";
        d->exit->fail.hw_code = c->mcause;
        d->exit->fail.hw_info = c->mtval;
        return false;
    }
    if (!c->waiting)
        return true;
    d->exit->reason = EXIT_HALT;
    return false;
}

static void dbt_run(struct vcpu *v, struct vcpu_exit *e)
{
    struct dbt_vcpu *d = dbt_of(v);
    const struct rv_calls *calls = v->vm->guest_ops->engine_calls;
    uint64_t start = time_cycles();

    d->exit = e;
    e->reason = EXIT_NONE;
    e->insn_len = 0;
    d->hart.stop = 0;
    d->hart.again = false;
    rv_regs_in(v);
    if (d->shared.answer.there)
        dbt_finish(d);
    calls->poll(v);
    if (d->hart.cpu.waiting)
        (void)rv_interpret(&d->hart, 0); /* something has come, perhaps */
    while (dbt_goes_on(d)) {
        if (dbt_is_called(v) || time_cycles() - start > d->run_cycles) {
            e->reason = EXIT_IRQ;
            break;
        }
        (void)rv_interpret(&d->hart, PASS);
        calls->poll(v);
    }
    d->hart.again = false;
    rv_regs_out(v);
}

/* ---- life ---- */

static int dbt_probe(void) { return 0; }
static int dbt_vm_init(struct vm *vm)
{
    (void)vm;
    return 0;
}
static void dbt_vm_fini(struct vm *vm) { (void)vm; }

static void dbt_vcpu_reset(struct vcpu *v)
{
    struct dbt_vcpu *d = dbt_of(v);

    d->shared.answer.there = false;
    rv_reset(&d->hart, 0);
    rv_regs_out(v);
}

static int dbt_vcpu_init(struct vcpu *v)
{
    struct dbt_vcpu *d = vm_alloc(v->vm, sizeof *d);

    if (d == NULL)
        return -ENOMEM;
    d->v = v;
    d->shared.hart = &d->hart;
    d->run_cycles = time_ns_to_cycles(RUN_NS);
    rv_hart_init(&d->hart, &dbt_machine, d, v->id);
    v->arch = d;
    v->shared = &d->shared;
    rv_regs_out(v);
    return 0;
}

static void dbt_vcpu_fini(struct vcpu *v)
{
    vm_free(v->vm, v->arch, sizeof(struct dbt_vcpu));
    v->arch = v->shared = NULL;
}

static void dbt_nothing(struct vcpu *v) { (void)v; }

/* Interrupts are bits of the hart, which looks by itself: none is ever injected. */
static bool dbt_ready(struct vcpu *v)
{
    (void)v;
    return false;
}

static void dbt_window(struct vcpu *v, bool on) { (void)v, (void)on; }

static void dbt_skip(struct vcpu *v, unsigned len) { v->regs.pc += len; }

static void dbt_flush(struct vm *vm, gpa_t at, uint64_t len) { (void)vm, (void)at, (void)len; }

static void dbt_vcpu_flush(struct vcpu *v) { rv_changed(&dbt_of(v)->hart); }

static uint64_t dbt_clock_hz(void) { return RVM_TIMEBASE; }

const struct vcpu_ops dbt_riscv64 = {
    .name = "dbt",
    .guest_isas = 1u << ISA_RISCV64,
    .probe = dbt_probe,
    .vm_init = dbt_vm_init,
    .vm_fini = dbt_vm_fini,
    .vcpu_init = dbt_vcpu_init,
    .vcpu_fini = dbt_vcpu_fini,
    .vcpu_reset = dbt_vcpu_reset,
    .load = dbt_nothing,
    .unload = dbt_nothing,
    .run = dbt_run,
    .irq_ready = dbt_ready,
    .nmi_ready = dbt_ready,
    .irq_window = dbt_window,
    .nmi_window = dbt_nothing,
    .skip_insn = dbt_skip,
    .tlb_flush = dbt_flush,
    .vcpu_tlb_flush = dbt_vcpu_flush,
    .clock_hz = dbt_clock_hz,
};
