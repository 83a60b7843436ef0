/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sequences of arch/x86_64/spec_entry.h, run here with RDMSR and WRMSR carried out by a signal
 * handler: which MSRs are written, in which order, and how many instructions each flag costs.
 * Prints a table for tests/bench.
 */
#define _GNU_SOURCE /* REG_RIP */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <cmocka.h>

#include "arch/x86_64/spec.h"
#include "arch/x86_64/spec_entry.h"
#include "arch/x86_64/thunks.h"

uint64_t run_nothing(struct spec_vcpu *), run_entry(struct spec_vcpu *),
    run_exit(struct spec_vcpu *);

struct access {
    bool write;
    uint32_t msr;
    uint64_t val;
};
static struct access seen[8];
static unsigned nseen;
static volatile unsigned steps;
static uint64_t spec_ctrl; /* the MSR */

static void on_step(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info, (void)context;
    steps++;
}

/* RDMSR is 0f 32, WRMSR 0f 30; elsewhere the program ends. */
static void on_fault(int sig, siginfo_t *info, void *context)
{
    ucontext_t *c = context;
    greg_t *r = c->uc_mcontext.gregs;
    const uint8_t *insn = (const uint8_t *)r[REG_RIP];
    uint64_t val = (uint32_t)r[REG_RAX] | (uint64_t)r[REG_RDX] << 32;
    bool write = insn[1] == 0x30;

    (void)info;
    if (insn[0] != 0x0f || (insn[1] != 0x30 && insn[1] != 0x32) || nseen == ARRAY_SIZE(seen)) {
        signal(sig, SIG_DFL);
        return;
    }
    if (!write) {
        val = spec_ctrl;
        r[REG_RAX] = (greg_t)(uint32_t)val;
        r[REG_RDX] = (greg_t)(val >> 32);
    } else if (r[REG_RCX] == SPEC_MSR_CTRL) {
        spec_ctrl = val;
    }
    seen[nseen++] = (struct access){ write, (uint32_t)r[REG_RCX], val };
    r[REG_RIP] += 2;
    steps++;
}

/* cmocka sets its own handler of faults before each test. */
static unsigned count(uint64_t (*run)(struct spec_vcpu *), struct spec_vcpu *s)
{
    struct sigaction step = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO },
                     fault = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
    unsigned nothing;

    sigaction(SIGTRAP, &step, NULL);
    sigaction(SIGSEGV, &fault, NULL);
    steps = 0;
    assert_int_equal(run_nothing(s), 0);
    nothing = steps;
    steps = nseen = 0;
    assert_int_equal(run(s), 0);
    return steps - nothing;
}

static void expect(unsigned i, bool write, uint32_t msr, uint64_t val)
{
    assert_true(i < nseen);
    assert_int_equal(seen[i].write, write);
    assert_int_equal(seen[i].msr, msr);
    assert_int_equal(seen[i].val, val);
}

static void test_nothing_to_switch(void **state)
{
    struct spec_vcpu s = { .guest = 1, .host = 1, .flags = SPEC_SWITCH };

    (void)state;
    count(run_entry, &s);
    assert_int_equal(nseen, 0);
    count(run_exit, &s);
    assert_int_equal(nseen, 0);
    s.flags = SPEC_RSB | SPEC_BHB | SPEC_VERW;
    s.guest = 5;
    count(run_entry, &s);
    count(run_exit, &s);
    assert_int_equal(nseen, 0);
}

/* IBRS that has to be written at each exit, whatever the guest's is. */
static void test_always(void **state)
{
    struct spec_vcpu s = { .guest = 0, .host = 1, .flags = SPEC_SWITCH | SPEC_ALWAYS };

    (void)state;
    spec_ctrl = 1;
    count(run_entry, &s);
    assert_int_equal(nseen, 1);
    expect(0, true, SPEC_MSR_CTRL, 0);
    count(run_exit, &s);
    assert_int_equal(nseen, 1);
    expect(0, true, SPEC_MSR_CTRL, 1);
    s.guest = 1;
    count(run_entry, &s);
    assert_int_equal(nseen, 0);
    count(run_exit, &s);
    expect(0, true, SPEC_MSR_CTRL, 1);
}

/* A guest that writes its own: read first, then ours, then IBPB; upper halves are not lost. */
static void test_passed_through(void **state)
{
    struct spec_vcpu s = { .guest = 4,
                           .host = 1ull << 40 | 1,
                           .flags = SPEC_SWITCH | SPEC_READ | SPEC_IBPB | SPEC_RSB | SPEC_BHB };

    (void)state;
    spec_ctrl = s.host;
    count(run_entry, &s);
    expect(0, true, SPEC_MSR_CTRL, 4);
    spec_ctrl = 1ull << 33 | 6; /* what it wrote meanwhile */
    count(run_exit, &s);
    assert_int_equal(nseen, 3);
    expect(0, false, SPEC_MSR_CTRL, 1ull << 33 | 6);
    expect(1, true, SPEC_MSR_CTRL, s.host);
    expect(2, true, SPEC_MSR_PRED, 1);
    assert_int_equal(s.guest, 1ull << 33 | 6);
}

static unsigned cost(uint32_t flags)
{
    struct spec_vcpu s = { .guest = 0, .host = 1, .flags = flags };

    spec_ctrl = 0;
    return count(run_entry, &s) + count(run_exit, &s);
}

/* README has these figures. */
static void test_cost(void **state)
{
    static const struct {
        const char *what;
        uint32_t flags;
        unsigned more;
    } rows[] = {
        { "SPEC_CTRL switched", SPEC_SWITCH, 23 },
        { "SPEC_CTRL passed through", SPEC_SWITCH | SPEC_READ, 27 },
        { "IBPB", SPEC_IBPB, 11 },
        { "RSB filling", SPEC_RSB, 31 },
        { "RSB, one entry", SPEC_RET, 3 },
        { "branch history clearing", SPEC_BHB, 105 },
    };
    unsigned none = cost(0), wrong = 0;

    (void)state;
    printf("sequence none %u\n", none);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        unsigned more = cost(rows[i].flags) - none;

        printf("sequence %s: %u\n", rows[i].what, more);
        wrong += more != rows[i].more;
    }
    assert_int_equal(wrong, 0);
}

/* Through a thunk; RAX and R15 have encodings of different lengths. */
static unsigned calls;
static void target(void) { calls++; }

static void call_through(void)
{
    void (*at)(void) = target;

    __asm__ volatile("lea -128(%%rsp), %%rsp\n\tmov %0, %%rax\n\tcall __x86_indirect_thunk_rax\n\t"
                     "mov %0, %%r15\n\tcall __x86_indirect_thunk_r15\n\tlea 128(%%rsp), %%rsp"
                     :
                     : "b"(at)
                     : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r15", "memory",
                       "cc");
}

/*
 * Each branch of the thunks lies in the upper half of a cache line, before they become retpolines
 * and after.
 */
static void test_thunks(void **state)
{
    uint64_t page = (uint64_t)thunks & ~4095ull, end = (uint64_t)thunks + sizeof thunks;

    (void)state;
    assert_int_equal((uint64_t)thunks % THUNK_STRIDE, 0);
    for (unsigned i = 0; i < THUNK_COUNT; i++) {
        const uint8_t *t = &thunks[i * THUNK_STRIDE + THUNK_STRIDE / 2];

        assert_true(t[0] == 0xff || t[1] == 0xff);  /* JMP r/m64 */
        assert_int_equal(t[THUNK_RETPOLINE], 0xe8); /* CALL */
        assert_int_equal(t[-1], 0xcc);
    }
    assert_int_equal(thunks[THUNK_COUNT * THUNK_STRIDE + THUNK_STRIDE / 2], 0xc3);
    call_through();
    assert_int_equal(calls, 2);
    assert_int_equal(mprotect((void *)page, end - page, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
    thunks_make_retpolines();
    call_through();
    assert_int_equal(calls, 4);
    for (unsigned i = 0; i < THUNK_COUNT; i++)
        assert_int_equal(thunks[i * THUNK_STRIDE + THUNK_STRIDE / 2], 0xeb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thunks), cmocka_unit_test(test_nothing_to_switch),
        cmocka_unit_test(test_always), cmocka_unit_test(test_passed_through),
        cmocka_unit_test(test_cost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
