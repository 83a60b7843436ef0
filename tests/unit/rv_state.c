/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Images of riscv64 machines: saved, restored into fresh ones, and gone on with in step with ones
 * that were not saved; each field refused that cannot be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rv_vm.h"

#define RUNS 400 /* random machines */
#define MOVES 4
static _Alignas(8) uint8_t image[8192], good[8192], again[8192];
static struct fake stays, moves_in[2], *moves = &moves_in[0], *next = &moves_in[1];
static uint64_t seed;

static uint64_t rv_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

/* Mostly instructions that there are: atomics, floating point, CSRs, loads, stores, branches. */
static uint32_t any_insn(void)
{
    static const uint8_t opcodes[] = { 0x13, 0x33, 0x03, 0x23, 0x73, 0x2f, 0x53, 0x63, 0x1b, 0x07 };
    static const uint16_t csrs[] = { 0x001, 0x003, 0x100, 0x104, 0x105, 0x140, 0x144, 0x14d,
                                     0x180, 0x300, 0x304, 0x302, 0x303, 0x340, 0x344, 0x30a,
                                     0x320, 0x3a0, 0x3b0, 0x3b1, 0xb00, 0xb02, 0xc00, 0xc01 };
    uint32_t w = (uint32_t)rv_random();
    uint8_t op = opcodes[rv_random() % sizeof opcodes];

    w = (w & ~0x7fu) | op;
    if (op == 0x63)
        w &= 0x0fffff7f; /* a short way, forwards */
    if (op == 0x2f)
        w = (w & 0xf9ffffffu & ~0x7000u) | (w & 0x1000u) | 0x2000;
    if (op == 0x73)
        w = (w & 0xfffff) | (uint32_t)csrs[rv_random() % (sizeof csrs / 2)] << 20;
    return rv_random() % 8 ? w : (uint32_t)rv_random();
}

static void begin(struct fake *f, uint64_t from)
{
    uint8_t how[8];

    seed = from * 0x9e3779b97f4a7c15 + 1;
    fake_make(f, from & 1);
    for (unsigned i = 0; i < FAKE_RAM; i += 4) {
        uint32_t w = any_insn();

        memcpy(f->ram + i, &w, sizeof w);
    }
    for (unsigned n = 0; n < FAKE_HARTS; n++) {
        uint64_t r = rv_random();

        memcpy(how, &r, sizeof how);
        if (n == 0 || !(from & 1)) /* else SBI may start it */
            fake_begin(f, n, how);
    }
}

static void assert_same(const struct fake *a, const struct fake *b)
{
    struct rvm_state s, t;

    for (unsigned n = 0; n < FAKE_HARTS; n++)
        assert_memory_equal(&a->hart[n].cpu, &b->hart[n].cpu, sizeof a->hart[n].cpu);
    rvm_save(&a->g.m, &s);
    rvm_save(&b->g.m, &t);
    assert_memory_equal(&s, &t, sizeof s);
    assert_memory_equal(a->ram, b->ram, FAKE_RAM);
}

/* `moves` becomes a machine that was just made, and is told what it was. */
static void move(bool sbi)
{
    size_t len = fake_save(moves, image, sizeof image);
    struct fake *old = moves;

    fake_make(next, sbi);
    memcpy(next->ram, old->ram, FAKE_RAM);
    next->typed = old->typed;
    next->vm.paused_ns = host_now;
    assert_int_equal(state_restore(&next->vm, image, len), 0);
    assert_int_equal(next->wakes, 0);
    assert_int_equal(fake_save(next, again, sizeof again), len);
    assert_memory_equal(image, again, len);
    next->vm.paused_ns = 0;
    state_resume(&next->vm);
    (void)event_run();
    lock_assert_none();
    moves = next;
    next = old;
}

/* The other is not saved: it looks at its timers, and loses LR's reservations, as it may anytime.
 */
static void stay(void)
{
    for (unsigned n = 0; n < FAKE_HARTS; n++) {
        struct rv_cpu *c = &stays.hart[n].cpu;

        c->reserved = c->reserved_pa = c->reserved_value = 0;
        rvm_timers(&stays.g.m, n);
        rvm_timers(&moves->g.m, n);
    }
}

static void test_goes_on(void **state)
{
    uint64_t insns = 0;
    unsigned ends = 0;

    (void)state;
    for (unsigned run = 0; run < RUNS; run++) {
        begin(&stays, run);
        begin(moves, run);
        for (unsigned i = 0; i < MOVES; i++) {
            fake_turn(&stays, 97);
            fake_turn(moves, 97);
            assert_same(&stays, moves);
            move(run & 1);
            stay();
            assert_same(&stays, moves);
        }
        insns += stays.hart[0].cpu.instret + stays.hart[1].cpu.instret;
        ends += stays.g.m.end != RVM_RUNS;
    }
    assert_true(insns > RUNS * 20u);
    assert_true(ends < RUNS / 2);
}

/* ---- single things ---- */

static void make(bool sbi)
{
    fake_make(moves, sbi);
    rvm_start(&moves->g.m, 0, RVM_RAM, 0, 0);
    rv_regs_out(&moves->vcpu[0]);
    moves->vcpu[0].mp = MP_RUNNABLE;
}

/* An access was answered, and its instruction did not go on yet. */
static void test_answer(void **state)
{
    struct rv_answer *a;

    (void)state;
    make(true);
    a = &moves->shared[0].answer;
    *a =
        (struct rv_answer){ .there = true, .ok = true, .size = 2, .pa = 0x1234, .value = 0x99abcd };
    move(true);
    a = &moves->shared[0].answer;
    assert_true(a->there && a->ok && !a->write && a->size == 2);
    assert_int_equal(a->pa, 0x1234);
    assert_int_equal(a->value, 0xabcd);
    *a = (struct rv_answer){ .there = true, .write = true, .size = 8, .pa = 8, .value = 5 };
    move(true);
    a = &moves->shared[0].answer;
    assert_true(a->there && !a->ok && a->write && a->size == 8 && a->pa == 8 && !a->value);
    a->there = false;
    move(true);
    assert_false(moves->shared[0].answer.there);
}

/* The controller's lines and the timers are not saved: they are up again. */
static void test_interrupts(void **state)
{
    struct rv_machine *m = &moves->g.m;
    uint64_t claimed;

    (void)state;
    make(true);
    assert_true(rvm_write(m, RVM_PLIC + 4 * 7, 4, 3));
    assert_true(rvm_write(m, RVM_PLIC + 0x2080, 4, 1 << 7)); /* hart 0, S-mode */
    rvm_irq(m, 7, true);
    m->hart[0]->cpu.menvcfg = 1ull << 63;
    m->hart[0]->cpu.stimecmp = 0;
    assert_true(m->hart[0]->cpu.seip_line);
    move(true);
    m = &moves->g.m;
    assert_int_equal(m->hart[0]->cpu.seip_line, 1 << RV_IRQ_SEI);
    assert_false(m->hart[1]->cpu.seip_line);
    rvm_timers(m, 0);
    assert_int_equal(m->hart[0]->cpu.mip, 1 << RV_IRQ_STI);
    rvm_irq(m, 7, false);
    assert_true(rvm_read(m, RVM_PLIC + 0x201004, 4, &claimed));
    assert_int_equal(claimed, 7);
    move(true); /* between claim and completion */
    assert_false(moves->g.m.hart[0]->cpu.seip_line);
    assert_int_equal(moves->g.m.plic.active, 1 << 7);
}

/* What compiled code and the TLB hold is of another machine. */
static void test_made_anew(void **state)
{
    (void)state;
    make(true);
    move(true);
    for (unsigned n = 0; n < FAKE_HARTS; n++) {
        assert_true(moves->shared[n].changed && moves->shared[n].fence_i);
        assert_true(moves->vcpu[n].requests & REQ_TLB);
    }
}

/* SBI has started a hart, which has not begun. */
static void test_entry(void **state)
{
    struct fake *f = moves;

    (void)state;
    make(true);
    fake_hart_start(f, 1, RVM_RAM + 0x40, 0x77);
    f->g.m.hart_state[1] = RVM_STARTED;
    move(true);
    f = moves;
    assert_true(f->vcpu[1].requests & REQ_GUEST);
    guest_riscv.request(&f->vcpu[1]);
    assert_int_equal(f->vcpu[1].regs.pc, RVM_RAM + 0x40);
    assert_int_equal(f->hart[1].cpu.x[11], 0x77);
    assert_int_equal(f->vcpu[1].mp, MP_RUNNABLE);
    assert_true(f->shared[0].others_run && f->shared[1].others_run);
}

/* Input waits in the console while it stands still. */
static void test_input(void **state)
{
    (void)state;
    make(true);
    (void)fake_save(moves, image, sizeof image);
    assert_true(moves->g.held);
    rvm_poll(&moves->g.m, 0);
    assert_int_equal(moves->g.m.uart.s.fill, 0);
    (void)fake_save(moves, again, sizeof again);
    assert_memory_equal(image, again, state_size(&moves->vm));
    state_resume(&moves->vm);
    rvm_poll(&moves->g.m, 0);
    assert_int_equal(moves->g.m.uart.s.fill, 1);
    (void)event_run();
}

/* The guest has ended its machine, and nobody has seen it yet. */
static void test_end(void **state)
{
    (void)state;
    make(true);
    assert_true(rvm_write(&moves->g.m, RVM_SYSCON, 4, 0x7777));
    move(true);
    assert_int_equal(moves->ends, 1);
}

/* ---- what is refused ---- */

static size_t len;

static void begin_refusing(bool sbi)
{
    make(sbi);
    moves->vm.paused_ns = host_now;
    moves->hart[0].cpu.menvcfg = 1ull << 63;
    moves->hart[0].cpu.x[9] = 0x1234;
    rv_regs_out(&moves->vcpu[0]);
    moves->shared[0].answer =
        (struct rv_answer){ .there = true, .ok = true, .size = 4, .pa = 4, .value = 1 };
    len = fake_save(moves, good, sizeof good);
    memcpy(image, good, len);
}

static void expect_refused(void)
{
    assert_int_equal(state_restore(&moves->vm, image, len), -EINVAL);
    assert_true(moves->vm.why[0] != '\0');
    memcpy(image, good, len);
}

/* Any bit turned: it is refused, or it is what is saved again. */
static void test_any_bit(void **state)
{
    unsigned taken = 0;

    (void)state;
    begin_refusing(true);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        image[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (state_restore(&moves->vm, image, len) == 0) {
            taken++;
            assert_int_equal(fake_save(moves, again, sizeof again), len);
            assert_memory_equal(image, again, len);
        }
        memcpy(image, good, len);
    }
    assert_in_range(taken, 2 * len, 5 * len); /* in all 8 * len */
}

#define REFUSE(kind, type, n, field, value)     \
    do {                                        \
        type *r_ = fake_record(image, kind, n); \
        r_->field = value;                      \
        expect_refused();                       \
    } while (0)
#define REFUSE_HART(field, value) REFUSE(STATE_RV_HART, struct rv_cpu, 0, field, value)
#define REFUSE_MACHINE(field, value) REFUSE(STATE_RV_MACHINE, struct rvm_state, 0, field, value)

static void test_refused_hart(void **state)
{
    (void)state;
    begin_refusing(true);
    REFUSE_HART(x[0], 1);
    REFUSE_HART(x[9], 1); /* the vCPU's record says something else */
    REFUSE_HART(pc, RVM_RAM + 4);
    REFUSE_HART(fflags, 32);
    REFUSE_HART(frm, 8);
    REFUSE_HART(mode, 2);
    REFUSE_HART(mode, 4);
    REFUSE_HART(waiting, 2);
    REFUSE_HART(mstatus, 2ull << 11); /* MPP */
    REFUSE_HART(mstatus, RV_MSTATUS_SD);
    REFUSE_HART(mip, 1ull << RV_IRQ_MEI);
    REFUSE_HART(mip, 1ull << RV_IRQ_STI); /* Sstc's */
    REFUSE_HART(mip, 1);
    REFUSE_HART(mie, 1);
    REFUSE_HART(mideleg, 8);
    REFUSE_HART(medeleg, 1 << RV_ECALL_M);
    REFUSE_HART(mtvec, 2);
    REFUSE_HART(stvec, 2);
    REFUSE_HART(sepc, 1);
    REFUSE_HART(mepc, 1);
    REFUSE_HART(satp, 7ull << 60);
    REFUSE_HART(satp, 11ull << 60);
    REFUSE_HART(menvcfg, 2);
    REFUSE_HART(senvcfg, 2);
    REFUSE_HART(mcounteren, 1ull << 32);
    REFUSE_HART(mcountinhibit, 2);
    REFUSE_HART(hartid, 1);
    REFUSE_HART(reserved, 1);
    REFUSE_HART(seip_line, 1 << RV_IRQ_SEI);
    REFUSE_HART(pmpaddr[3], 1ull << 54);
    REFUSE_HART(pmpcfg[3], 2);
    REFUSE_HART(pmpcfg[15], 0x20);
}

static void test_refused_machine(void **state)
{
    (void)state;
    begin_refusing(true);
    REFUSE_MACHINE(version, 2);
    REFUSE_MACHINE(harts, 1);
    REFUSE_MACHINE(sbi, 0);
    REFUSE_MACHINE(end, RVM_FAILED);
    REFUSE_MACHINE(hart_state[0], 2);
    REFUSE_MACHINE(hart_state[2], 1);
    REFUSE_MACHINE(plic.version, 2);
    REFUSE_MACHINE(plic.priority[0], 1);
    REFUSE_MACHINE(plic.priority[63], 8);
    REFUSE_MACHINE(plic.threshold[3], 8);
    REFUSE_MACHINE(plic.threshold[4], 1); /* of no hart */
    REFUSE_MACHINE(plic.enable[0], 1);
    REFUSE_MACHINE(plic.enable[15], 2);
    REFUSE_MACHINE(plic.pending, 1);
    REFUSE_MACHINE(aclint.version, 0);
    REFUSE_MACHINE(aclint.mtimecmp[7], 1);
    REFUSE_MACHINE(uart.fill, 17);
    REFUSE_MACHINE(zero, 1);
}

/* A start that its vCPU would not hear of; and with firmware there is none. */
static void test_refused_entry(void **state)
{
    struct state_vcpu *v;
    uint64_t *pc;

    (void)state;
    make(true);
    moves->vm.paused_ns = host_now;
    fake_hart_start(moves, 1, RVM_RAM, 0);
    moves->g.m.hart_state[1] = RVM_STARTED;
    len = fake_save(moves, good, sizeof good);
    memcpy(image, good, len);
    v = fake_record(image, STATE_VCPU, 1);
    v->requests = 0;
    expect_refused();
    REFUSE_MACHINE(hart_state[1], RVM_STOPPED);
    pc = (uint64_t *)(void *)((struct rvm_state *)fake_record(image, STATE_RV_MACHINE, 0) + 1);
    pc[1]++; /* odd */
    expect_refused();
    pc[0] = RVM_RAM; /* of no start */
    expect_refused();
    assert_int_equal(state_restore(&moves->vm, image, len), 0);
}

static void test_refused_vcpu(void **state)
{
    struct state_vcpu *v;

    (void)state;
    begin_refusing(false);
    v = fake_record(image, STATE_VCPU, 0);
    v->mp = MP_WAIT_SIPI;
    expect_refused();
    v->requests = REQ_NMI;
    expect_refused();
    v->event_type = VEV_EXCEPTION;
    expect_refused();
}

static int setup(void **state)
{
    (void)state;
    host_init(1, 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goes_on),       cmocka_unit_test(test_answer),
        cmocka_unit_test(test_interrupts),    cmocka_unit_test(test_made_anew),
        cmocka_unit_test(test_entry),         cmocka_unit_test(test_input),
        cmocka_unit_test(test_end),           cmocka_unit_test(test_any_bit),
        cmocka_unit_test(test_refused_hart),  cmocka_unit_test(test_refused_machine),
        cmocka_unit_test(test_refused_entry), cmocka_unit_test(test_refused_vcpu),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
