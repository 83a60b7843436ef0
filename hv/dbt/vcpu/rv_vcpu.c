/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The translator as an engine of Trivet: <hv/vcpu.h> for guests of riscv64. It runs no host
 * instruction of its own, so it is there on every host, with or without VMX, SVM or EL2.
 *
 * An access to a device ends the run. When the guest's side has done it, the instruction is tried
 * again, alone, and finds its answer: so no device is called from within run(), where locks must
 * not be taken (vm_tlb_flush() waits for it), and no interrupt comes between access and answer.
 */
#include <arch/cpu.h>
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/gmem.h>
#include <hv/guest.h>
#include <hv/log.h>
#include <hv/pmm.h>
#include <hv/rv_engine.h>
#include <hv/rv_machine.h>
#include <hv/rv_vcpu.h>
#include <hv/time.h>
#include <hv/vm.h>
#include <string.h>

#define PASS 1000u     /* instructions between two looks at what waits */
#define PASS_JIT 4000u /* the same, compiled */
#define CODE_ORDER 12u /* 16 MiB of compiled code for each vCPU */
#define CODE (PAGE_SIZE << CODE_ORDER)
#define HOT 64u          /* times that a place is interpreted before it is compiled */
#define RUN_NS 200000ull /* then the host's interrupts are taken */

/* vcpu.arch */
struct dbt_vcpu {
    struct vcpu *v;
    struct rv_shared shared;
    struct vcpu_exit *exit; /* of the run that goes on */
    uint64_t run_cycles;    /* RUN_NS */
    void *jit;              /* rv_jit_bytes(); NULL: it interprets */
    struct rv_engine engine;
    uint64_t run_time;              /* in dbt_run(), by time_cycles() */
    uint64_t counts[ENGINE_COUNTS]; /* atomic */
};
/* vm.arch: where each vCPU's code is; hpa 0: nowhere */
struct dbt_vm {
    uint32_t n;
    struct {
        hpa_t pa;
        uint8_t *run; /* in the VM's view */
    } code[MAX_VCPUS];
};
static bool dbt_compiles; /* this host can; set at boot */

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
    __atomic_store_n(&d->engine.hart.stop, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&d->engine.hart.attention, 1, __ATOMIC_RELAXED);
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
    d->engine.hart.again = true;
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

/* The hart goes on behind the instruction, when it was answered; false: it traps to M-mode. */
static bool dbt_ecall(void *owner, struct rv_hart *h)
{
    struct dbt_vcpu *d = owner;

    (void)h;
    if (d->shared.firmware)
        return false;
    dbt_stop(d, EXIT_CALL);
    return true;
}

static bool dbt_others_wrote(void *owner)
{
    struct rv_shared *s = &((struct dbt_vcpu *)owner)->shared;

    return __atomic_exchange_n(&s->device_wrote, 0, __ATOMIC_ACQUIRE) |
           __atomic_load_n(&s->others_run, __ATOMIC_RELAXED);
}

static const struct rv_machine_ops dbt_machine = {
    .ram = dbt_ram,
    .read = dbt_read,
    .write = dbt_write,
    .time = dbt_time,
    .ecall = dbt_ecall,
    .others_wrote = dbt_others_wrote,
};

/* ---- counts ---- */

/* What the console shows from another CPU. */
static void dbt_count(struct dbt_vcpu *d)
{
    struct rv_jit_stats s = { 0 };

    if (d->jit)
        rv_jit_stats(d->jit, &s);
    const uint64_t now[ENGINE_COUNTS] = {
        [ENGINE_INSNS] = d->engine.hart.cpu.instret,
        [ENGINE_COLD] = d->jit ? s.cold : d->engine.hart.cpu.instret,
        [ENGINE_STEPS] = s.steps,
        [ENGINE_UNITS] = s.units,
        [ENGINE_LIVE] = s.live,
        [ENGINE_BYTES] = s.live_bytes,
        [ENGINE_CHAINS] = s.chains,
        [ENGINE_ENTRIES] = s.entries,
        [ENGINE_LOOKUPS] = s.indirect,
        [ENGINE_MISSES] = s.slow_memory,
        [ENGINE_INVALIDATED] = s.invalidated,
        [ENGINE_EVICTIONS] = s.evictions,
        [ENGINE_COMPILED_NS] = s.cycles,
        [ENGINE_RUN_NS] = d->run_time,
    };

    for (unsigned k = 0; k < ENGINE_COUNTS; k++)
        __atomic_store_n(&d->counts[k], now[k], __ATOMIC_RELAXED);
}

static void dbt_counts(const struct vcpu *v, uint64_t counts[ENGINE_COUNTS])
{
    const struct dbt_vcpu *d = dbt_of(v);

    for (unsigned k = 0; k < ENGINE_COUNTS; k++)
        counts[k] = __atomic_load_n(&d->counts[k], __ATOMIC_RELAXED);
    counts[ENGINE_COMPILED_NS] = time_cycles_to_ns(counts[ENGINE_COMPILED_NS]);
    counts[ENGINE_RUN_NS] = time_cycles_to_ns(counts[ENGINE_RUN_NS]);
}

/* ---- run ---- */

static bool dbt_is_called(const struct vcpu *v)
{
    return __atomic_load_n(&v->requests, __ATOMIC_RELAXED) != 0;
}

/* The instruction whose access was answered: before any interrupt. */
static void dbt_finish(struct dbt_vcpu *d)
{
    struct rv_insn insn;

    if (rv_fetch(&d->engine.hart, &insn))
        (void)rv_execute(&d->engine.hart, &insn);
    d->shared.answer.there = false;
}

/* False: there is an exit. */
static bool dbt_goes_on(struct dbt_vcpu *d)
{
    const struct rv_cpu *c = &d->engine.hart.cpu;

    if (d->exit->reason != EXIT_NONE)
        return false;
    if (c->mode == RV_M && !d->shared.firmware) {
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
    d->engine.hart.stop = 0;
    d->engine.hart.again = false;
    rv_regs_in(v);
    if (d->shared.answer.there)
        dbt_finish(d);
    calls->poll(v);
    if (d->engine.hart.cpu.waiting)
        (void)rv_interpret(&d->engine.hart, 0); /* something has come, perhaps */
    while (dbt_goes_on(d)) {
        if (dbt_is_called(v) || time_cycles() - start > d->run_cycles) {
            e->reason = EXIT_IRQ;
            break;
        }
        if (d->jit)
            (void)rv_engine_pass(&d->engine, PASS_JIT);
        else
            (void)rv_interpret(&d->engine.hart, PASS);
        calls->poll(v);
    }
    d->engine.hart.again = false;
    rv_regs_out(v);
    d->run_time += time_cycles() - start;
    dbt_count(d);
}

/* ---- life ---- */

static int dbt_probe(void)
{
    arch_code_enter(NULL);
    dbt_compiles = jit_host_ready();
    return 0;
}

/* Not zeroed: it is written before it runs. False: there is none. */
static bool dbt_code_get(struct vm *vm, struct dbt_vm *m, uint32_t n)
{
    hpa_t pa;

    if (charge(vm, CHARGE_OVERHEAD, CODE))
        return false;
    pa = pmm_alloc(CODE_ORDER, PMM_HV); /* charge: above */
    if (pa.v && !view_map_code(&vm->gmem.view, n, pa, CODE, &m->code[n].run)) {
        m->code[n].pa = pa;
        return true;
    }
    if (pa.v)
        pmm_free(pa, CODE_ORDER, PMM_HV);
    uncharge(vm, CHARGE_OVERHEAD, CODE);
    return false;
}

static bool dbt_wants_code(const struct vm *vm)
{
    return dbt_compiles && vm->config->engine != CONFIG_ENGINE_INTERPRET;
}

/* It lasts as long as the view, which resets leave alone. */
static int dbt_vm_init(struct vm *vm)
{
    struct dbt_vm *m = vm_alloc(vm, sizeof *m);

    if (m == NULL)
        return -ENOMEM;
    vm->arch = m;
    m->n = vm->config->vcpus;
    if (vm->config->engine == CONFIG_ENGINE_JIT && !dbt_compiles)
        log_warn("%s: `engine = jit` is not available on this machine: it is interpreted",
                 vm->config->name);
    for (uint32_t n = 0; dbt_wants_code(vm) && n < m->n && n < MAX_VCPUS; n++) {
        if (!dbt_code_get(vm, m, n)) {
            log_info("%s: no memory for compiled code: it is interpreted", vm->config->name);
            break;
        }
    }
    return 0;
}

/* No CPU is in the view, nor will be. */
static void dbt_vm_fini(struct vm *vm)
{
    struct dbt_vm *m = vm->arch;

    for (uint32_t n = 0; m && n < m->n && n < MAX_VCPUS; n++) {
        if (!m->code[n].pa.v)
            continue;
        pmm_free(m->code[n].pa, CODE_ORDER, PMM_HV);
        uncharge(vm, CHARGE_OVERHEAD, CODE);
    }
    vm_free(vm, m, sizeof *m);
    vm->arch = NULL;
}

/* The compiler for this vCPU, if it has memory for code. */
static void dbt_jit_init(struct dbt_vcpu *d)
{
    const struct dbt_vm *m = d->v->vm->arch;
    hpa_t pa = m->code[d->v->id].pa; /* nospec: the vCPU's number */
    struct jit_memory code = { .room = CODE };

    if (!pa.v)
        return;
    code.w = phys_to_virt(pa);
    code.shift = m->code[d->v->id].run - code.w; /* nospec: the same */
    d->jit = vm_alloc(d->v->vm, rv_jit_bytes());
    if (d->jit &&
        rv_engine_init(&d->engine, d->jit, code,
                       d->v->vm->config->engine == CONFIG_ENGINE_JIT ? 0 : HOT, time_cycles)) {
        vm_free(d->v->vm, d->jit, rv_jit_bytes());
        d->jit = NULL;
    }
}

static void dbt_changed(struct dbt_vcpu *d)
{
    if (d->jit)
        rv_engine_changed(&d->engine);
    else
        rv_changed(&d->engine.hart);
}

static void dbt_vcpu_reset(struct vcpu *v)
{
    struct dbt_vcpu *d = dbt_of(v);

    d->shared.answer.there = false;
    rv_reset(&d->engine.hart, 0);
    dbt_changed(d);
    rv_regs_out(v);
}

static int dbt_vcpu_init(struct vcpu *v)
{
    struct dbt_vcpu *d = vm_alloc(v->vm, sizeof *d);

    if (d == NULL)
        return -ENOMEM;
    d->v = v;
    d->shared.hart = &d->engine.hart;
    d->run_cycles = time_ns_to_cycles(RUN_NS);
    rv_hart_init(&d->engine.hart, &dbt_machine, d, v->id);
    v->arch = d;
    dbt_jit_init(d);
    v->shared = &d->shared;
    rv_regs_out(v);
    return 0;
}

static void dbt_vcpu_fini(struct vcpu *v)
{
    struct dbt_vcpu *d = v->arch;

    if (d && d->jit)
        vm_free(v->vm, d->jit, rv_jit_bytes());
    vm_free(v->vm, d, sizeof *d);
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

/* The guest's memory is another: REQ_TLB, which follows, means more than SBI's fences. */
static void dbt_flush(struct vm *vm, gpa_t at, uint64_t len)
{
    (void)at, (void)len;
    for (uint32_t n = 0; n < vm->nvcpus; n++)
        if (vm->vcpu[n] && vm->vcpu[n]->shared)
            __atomic_store_n(&rv_shared_of(vm->vcpu[n])->changed, 1, __ATOMIC_RELEASE);
}

static void dbt_vcpu_flush(struct vcpu *v)
{
    struct dbt_vcpu *d = dbt_of(v);

    if (__atomic_exchange_n(&d->shared.changed, 0, __ATOMIC_ACQUIRE))
        dbt_changed(d);
    rv_fences_do(&d->shared.fences, &d->engine.hart);
    if (__atomic_exchange_n(&d->shared.fence_i, 0, __ATOMIC_ACQUIRE) && d->jit)
        rv_jit_verify(d->jit);
}

/* No vCPU's registers are in the CPU now: compiled code may have them. */
static void dbt_enter(struct vcpu *v) { arch_code_enter(v->vm); }

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
    .load = dbt_enter,
    .unload = dbt_nothing,
    .run = dbt_run,
    .irq_ready = dbt_ready,
    .nmi_ready = dbt_ready,
    .irq_window = dbt_window,
    .nmi_window = dbt_nothing,
    .skip_insn = dbt_skip,
    .state = rv_hart_states,
    .tlb_flush = dbt_flush,
    .vcpu_tlb_flush = dbt_vcpu_flush,
    .clock_hz = dbt_clock_hz,
    .counts = dbt_counts,
    .overhead = CODE + 8 * MIB,
};
