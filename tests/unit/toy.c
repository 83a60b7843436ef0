/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest ISA and an engine of a few lines, to show that a new one needs its own files and a line
 * in each of the two tables of hv/guests.c (here: in this program's own), and nothing in hv/vm.
 * The real engine.c, vm.c, vcpu.c, exit.c, io.c, gmem.c and sched.c run it. Its number in enum isa
 * is RISC-V's, whose own code is not in this program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <hv/guest.h>
#include <hv/io.h>
#include <hv/percpu.h>
#include <hv/time.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include <string.h>

#include "arch/host/host.h"

/* ---- <hv/toy.h>: what the engine and the guest's side share ---- */

#define ISA_TOY ISA_RISCV64
#define EXIT_TOY_SIGNAL EXIT_ISA_0 /* isa[0]: the operand */
#define TOY_HZ 10000000ull
#define TOY_PRINT 0x10000000ull /* a device: a byte stored here is printed */
#define TOY_LINE 3              /* the interrupt that pending() tells of */

/* vcpu.shared */
struct toy_shared {
    uint64_t signals;
};
/* vcpu_ops.isa_ops */
struct toy_engine {
    uint64_t (*signals)(const struct vcpu *);
};
/* guest_ops.engine_calls */
struct toy_calls {
    void (*odd)(struct vcpu *, uint8_t op);
};

/* An instruction: its code and an operand, 32 bits. The accumulator is gpr[0], gpr[1] a counter. */
enum toy_op { TOY_LOAD, TOY_STORE, TOY_CALL, TOY_SIGNAL, TOY_WAIT, TOY_COUNT, TOY_LOOP, TOY_ODD };
struct toy_insn {
    uint32_t op, val;
};

/* ---- hv/toyengine/: vcpu_ops ---- */

static struct toy_shared shared[2];
static unsigned enabled, probes;

static int refuse(void)
{
    probes++;
    return -ENOTSUP;
}

static int probe(void)
{
    probes++;
    return 0;
}

static int enable(void)
{
    enabled++;
    return 0;
}

static int vm_ok(struct vm *m)
{
    (void)m;
    return 0;
}

static void vm_done(struct vm *m) { (void)m; }

static int toy_vcpu_init(struct vcpu *v)
{
    v->shared = &shared[v->id];
    return 0;
}

static void vcpu_none(struct vcpu *v) { (void)v; }
static bool is_ready(struct vcpu *v) { return v->event.type == VEV_NONE; }

static bool window;
static void irq_window(struct vcpu *v, bool on)
{
    (void)v;
    window = on;
}

static void step_over(struct vcpu *v, unsigned len) { v->regs.pc += len; }
static void flush(struct vm *m, gpa_t at, uint64_t len) { (void)m, (void)at, (void)len; }

static const struct toy_calls *calls_of(const struct vcpu *v)
{
    return v->vm->guest_ops->engine_calls;
}

static void store(struct vcpu *v, struct vcpu_exit *e, uint32_t at)
{
    uint8_t *p = gmem_ptr(v->vm, gpa(at), 1, PROT_W);

    if (p) {
        *p = (uint8_t)v->regs.gpr[0];
        step_over(v, sizeof(struct toy_insn));
        return;
    }
    e->reason = EXIT_MEM;
    e->mem.gpa = gpa(at);
    e->mem.prot = PROT_W;
    e->mem.decoded = true;
    e->mem.io = (struct io_access){ .addr = at, .val = v->regs.gpr[0], .size = 1, .write = true };
}

/* What the engine does itself: no exit. */
static void plain(struct vcpu *v, const struct toy_insn *in)
{
    if (in->op == TOY_LOAD)
        v->regs.gpr[0] = in->val;
    else if (in->op == TOY_COUNT)
        v->regs.gpr[0] = vm_counter(v->vm);
    step_over(v, sizeof *in);
    if (in->op == TOY_LOOP && v->regs.gpr[1] == 0)
        v->regs.pc = in->val;
}

static void step(struct vcpu *v, struct vcpu_exit *e)
{
    static const enum exit_reason exits[] = {
        [TOY_CALL] = EXIT_CALL, [TOY_SIGNAL] = EXIT_TOY_SIGNAL, [TOY_WAIT] = EXIT_HALT
    };
    struct toy_insn in;

    assert_int_equal(gmem_read(v->vm, gpa(v->regs.pc), &in, sizeof in), 0);
    e->insn_len = sizeof in;
    if (in.op == TOY_STORE) {
        store(v, e, in.val);
    } else if (in.op == TOY_LOAD || in.op == TOY_COUNT || in.op == TOY_LOOP) {
        plain(v, &in);
    } else if (in.op < ARRAY_SIZE(exits)) {
        e->reason = exits[in.op];
        e->isa[0] = in.val;
    } else {
        calls_of(v)->odd(v, (uint8_t)in.op);
        step_over(v, sizeof in);
    }
}

static void run(struct vcpu *v, struct vcpu_exit *e)
{
    e->reason = EXIT_NONE;
    if (v->event.type == VEV_IRQ)
        v->regs.gpr[1] += v->event.vector;
    v->event.type = VEV_NONE;
    for (unsigned i = 0; i < 100 && e->reason == EXIT_NONE; i++)
        step(v, e);
    if (e->reason != EXIT_NONE)
        return;
    e->reason = EXIT_IRQ;
    this_cpu()->wake = 1;
}

static uint64_t signals(const struct vcpu *v)
{
    return ((const struct toy_shared *)v->shared)->signals;
}

static uint64_t clock_hz(void) { return TOY_HZ; }

static const struct toy_engine isa_ops = { .signals = signals };
static const struct vcpu_ops best_engine = {
    .name = "toy",
    .guest_isas = 1u << ISA_TOY,
    .probe = probe,
    .cpu_enable = enable,
    .vm_init = vm_ok,
    .vm_fini = vm_done,
    .vcpu_init = toy_vcpu_init,
    .vcpu_fini = vcpu_none,
    .load = vcpu_none,
    .unload = vcpu_none,
    .run = run,
    .irq_ready = is_ready,
    .nmi_ready = is_ready,
    .irq_window = irq_window,
    .nmi_window = vcpu_none,
    .skip_insn = step_over,
    .tlb_flush = flush,
    .vcpu_tlb_flush = vcpu_none,
    .isa_ops = &isa_ops,
    .clock_hz = clock_hz,
};
/* two more, one of which is not there */
static const struct vcpu_ops no_engine = { .name = "toy-absent",
                                           .guest_isas = 1u << ISA_TOY,
                                           .probe = refuse };
static const struct vcpu_ops slow_engine = { .name = "toy-slow",
                                             .guest_isas = 1u << ISA_TOY,
                                             .probe = probe };

/* ---- hv/guest/toy/: guest_ops ---- */

static char printed[64];
static size_t nprinted;
static unsigned odd_ops;
static bool line;
static const struct toy_insn *program;
static size_t program_len;

static int print(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    (void)dev, (void)off, (void)size;
    assert_true(nprinted < sizeof printed - 1);
    printed[nprinted++] = (char)val;
    return 0;
}
static const struct io_ops printer = { .write = print, .sizes = 1 };

static int build(struct vm *m, const struct guest_config *c)
{
    const struct io_region r = {
        .name = "printer", .space = IO_MEM, .base = TOY_PRINT, .len = 1, .ops = &printer
    };

    (void)c;
    gmem_enter(&m->gmem);
    return gmem_write(m, gpa(0), program, program_len) || io_register(m, &r) ? -EIO : 0;
}

static int layout(struct vm *m, const struct guest_config *c)
{
    return gmem_add_ram(m, gpa(0), c->memory);
}

static int quiesce(struct vm *m)
{
    (void)m;
    return 0;
}

static bool release(struct vm *m)
{
    (void)m;
    return false;
}

static int emulate(struct vcpu *v, struct vcpu_exit *e)
{
    int err = io_dispatch(v->vm, IO_MEM, &e->mem.io);

    v->ops->skip_insn(v, e->insn_len);
    return err;
}

static int call(struct vcpu *v, struct vcpu_exit *e)
{
    v->ops->skip_insn(v, e->insn_len);
    vm_request_off(v->vm, "it asked for it");
    return 0;
}

static int halt(struct vcpu *v, struct vcpu_exit *e)
{
    v->ops->skip_insn(v, e->insn_len);
    v->mp = MP_HALTED;
    return 0;
}

static int on_signal(struct vcpu *v, struct vcpu_exit *e)
{
    ((struct toy_shared *)v->shared)->signals += e->isa[0];
    v->ops->skip_insn(v, e->insn_len);
    line = true;
    vcpu_request(v, REQ_IRQ);
    return 0;
}

static void odd(struct vcpu *v, uint8_t op)
{
    (void)v;
    assert_int_equal(op, TOY_ODD);
    odd_ops++;
}

static bool wakeable(struct vcpu *v)
{
    (void)v;
    return line;
}

static int pending(struct vcpu *v)
{
    (void)v;
    return line ? TOY_LINE : -1;
}

static int accept(struct vcpu *v, int vec)
{
    (void)v;
    line = false;
    return vec;
}

static const struct vintc_ops vintc = { .pending = pending, .accept = accept };
static const struct toy_calls engine_calls = { .odd = odd };
static const struct guest_ops guest_toy = {
    .isa = ISA_TOY,
    .build = build,
    .quiesce = quiesce,
    .destroy = vm_done,
    .release = release,
    .ram_layout = layout,
    .emulate = emulate,
    .call = call,
    .halt = halt,
    .exits = { { "signal", on_signal } },
    .request = vcpu_none,
    .wakeable = wakeable,
    .vintc = &vintc,
    .engine_calls = &engine_calls,
};

/* ---- hv/guests.c: the two tables ---- */

const struct guest_ops *const guest_isas[] = { &guest_toy, NULL };
const struct vcpu_ops *const portable_engines[] = { &no_engine, &best_engine, &slow_engine, NULL };

/* ---- what is shown ---- */

static struct guest_config config = { .name = "toy",
                                      .isa = ISA_COUNT,
                                      .memory = 2 * MIB,
                                      .vcpus = 1,
                                      .weight = 100,
                                      .on_crash = POLICY_STOP,
                                      .on_poweroff = POLICY_STOP };
static struct vm *vm;

static void turns(unsigned n)
{
    struct percpu *c = this_cpu();

    while (n--) {
        c->wake = 0;
        host_now += 1000000;
        event_run();
        struct vcpu *v = sched_pick();
        if (!v)
            continue;
        c->current = v;
        vcpu_run(v);
        c->current = NULL;
    }
}

static void start(const struct toy_insn *code, size_t len)
{
    program = code;
    program_len = len;
    nprinted = 0;
    odd_ops = 0;
    line = false;
    memset(shared, 0, sizeof shared);
    if (!vm)
        assert_int_equal(vm_define(&config, &vm), 0);
    assert_int_equal(vm_start(vm), 0);
}

/* Engines that are not there are passed over; the others come in the order of the table. */
static void test_engines(void **state)
{
    (void)state;
    assert_int_equal(probes, 3);
    assert_int_equal(enabled, 1); /* the best, on the one CPU; the other has nothing to turn on */
    assert_ptr_equal(engine_for(ISA_TOY, 0), &best_engine);
    assert_ptr_equal(engine_for(ISA_TOY, 1), &slow_engine);
    assert_null(engine_for(ISA_TOY, 2));
    assert_null(engine_for(ISA_X86_64, 0));
    assert_null(engine_for(ISA_COUNT, 0));
    assert_ptr_equal(engine_at(1), &slow_engine);
    assert_null(engine_at(2));
    assert_int_equal(engine_default_isa(), ISA_TOY);
    assert_ptr_equal(guest_ops_for(ISA_TOY), &guest_toy);
    assert_null(guest_ops_for(ISA_AARCH64));
}

/* From its first instruction to its power-off: a device, an exit of its own, an interrupt. */
static void test_runs(void **state)
{
    static const struct toy_insn code[] = {
        { TOY_LOAD, 'h' },  { TOY_STORE, TOY_PRINT }, { TOY_LOAD, 'i' }, { TOY_STORE, TOY_PRINT },
        { TOY_SIGNAL, 40 }, { TOY_SIGNAL, 2 },        { TOY_WAIT, 0 },   { TOY_LOOP, 7 * 8 },
        { TOY_ODD, 0 },     { TOY_STORE, 0x1000 },    { TOY_CALL, 0 },
    };

    (void)state;
    start(code, sizeof code);
    turns(8);
    assert_int_equal(vm->vcpu[0]->mp, MP_HALTED);
    assert_int_equal(vm->vcpu[0]->regs.gpr[1], 2 * TOY_LINE);
    line = true;
    vcpu_request(vm->vcpu[0], REQ_IRQ);
    turns(8);
    assert_int_equal(vm->state, VM_OFF);
    assert_string_equal(vm->why, "it asked for it");
    assert_memory_equal(printed, "hi", 2);
    assert_int_equal(shared[0].signals, 42);
    assert_int_equal(odd_ops, 1);
}

static void test_exits_have_names(void **state)
{
    static const struct toy_insn code[] = { { TOY_SIGNAL, 1 }, { TOY_LOOP, 0 } };

    (void)state;
    start(code, sizeof code);
    turns(6);
    assert_int_equal(vm->state, VM_RUNNING);
    assert_ptr_equal(vm->ops, &best_engine);
    assert_string_equal(exit_name(vm, EXIT_TOY_SIGNAL), "signal");
    assert_string_equal(exit_name(vm, EXIT_ISA_1), "unknown");
    assert_string_equal(exit_name(vm, EXIT_MEM), "memory");
    assert_true(vm->vcpu[0]->stats.count[EXIT_TOY_SIGNAL] > 0);
    assert_true(vm->vcpu[0]->stats.injected_irqs > 0);
    assert_int_equal(((const struct toy_engine *)vm->ops->isa_ops)->signals(vm->vcpu[0]),
                     shared[0].signals);
    vm_request_off(vm, "test");
    turns(6);
    assert_int_equal(vm->state, VM_OFF);
}

/* A counter of the VM's own rate, which stands still while the VM is paused. */
static void test_clock(void **state)
{
    static const struct toy_insn code[] = { { TOY_COUNT, 0 }, { TOY_LOOP, 0 } };
    uint64_t before;

    (void)state;
    start(code, sizeof code);
    turns(6);
    assert_int_equal(vm->state, VM_RUNNING);
    assert_int_equal(vm->clock_hz, TOY_HZ);
    before = vm->vcpu[0]->regs.gpr[0];
    turns(100); /* 100 ms */
    assert_in_range(vm->vcpu[0]->regs.gpr[0] - before, TOY_HZ / 10 - 1, TOY_HZ / 10 + 1);
    assert_int_equal(vm_counter_to_ns(vm, 1), 100);
    assert_int_equal(vm_counter_to_ns(vm, TOY_HZ * 3600 + 1), 3600000000000 + 100);
    assert_int_equal(vm_counter_to_ns(vm, UINT64_MAX), UINT64_MAX);
    assert_int_equal(vm_pause(vm), 0);
    turns(4);
    assert_int_equal(vm->state, VM_PAUSED);
    before = vm_counter(vm);
    turns(50);
    assert_int_equal(vm_counter(vm), before);
    assert_int_equal(vm_resume(vm), 0);
    turns(4);
    vm_request_off(vm, "test");
    turns(6);
}

static int boot(void **state)
{
    (void)state;
    host_init(1, 64 * MIB);
    return engines_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_engines),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_exits_have_names),
        cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests(tests, boot, NULL);
}
