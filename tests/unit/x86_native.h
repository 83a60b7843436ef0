/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs an instruction on this CPU and through x86_emulate(), and compares what they leave: what
 * tests/unit/x86_emulate.c stands on. Included once, behind <cmocka.h>.
 */
#pragma once
#include <cpuid.h>
#include <stdio.h>
#include <sys/mman.h>
#include "x86_fake.h"

#define DATA 512
/* one page, writable and executable, low enough for any pointer */
static uint8_t *code;
static uint8_t *native_data, fake_data[DATA]; /* native_data: below 4 GiB, for 32-bit addresses */
/* address of native_data, and of the device for the emulator */
static uint64_t data_base;
static unsigned accesses;
static bool zero_data; /* compare(): the memory holds zeroes */
static struct io_access first_access;
static uint64_t ram_base, ram_len; /* further RAM for the hand-written tests */
static uint8_t ram[16384];

static uint8_t *fake_ram(uint64_t a, uint64_t len)
{
    if (range_within(a, len, (uint64_t)code, PAGE_SIZE))
        return code + (a - (uint64_t)code);
    if (ram_len != 0 && range_within(a, len, ram_base, ram_len))
        return ram + (a - ram_base);
    return NULL;
}

static void fake_device(struct io_access *io)
{
    if (accesses++ == 0)
        first_access = *io;
    if (!range_within(io->addr, io->size, data_base, DATA)) {
        io->val = UINT64_MAX;
        return;
    }
    if (io->write)
        memcpy(fake_data + (io->addr - data_base), &io->val, io->size);
    else
        io->val = 0, memcpy(&io->val, fake_data + (io->addr - data_base), io->size);
}

static void fake_port(struct io_access *io)
{
    accesses++;
    if (!io->write)
        io->val = 0x11223344 + accesses;
}

static uint64_t rnd(void)
{
    static uint64_t s = 88172645463325252ull;

    s ^= s << 13, s ^= s >> 7, s ^= s << 17;
    return s;
}

/* rax rcx rdx rbx rsp rbp rsi rdi r8..r15 flags. rsp is not loaded. */
struct state {
    uint64_t r[16], flags;
};

/* Loads the state, runs the code, stores the state. The code is at `code` and ends with RET. */
__attribute__((no_sanitize("address", "undefined"), noinline)) static void run_native(
    struct state *s)
{
    __asm__ volatile(
        "push %%rbx; push %%rbp; push %%r12; push %%r13; push %%r14; push %%r15; push %0; push %1\n"
        "mov %0, %%rax\n"
        "pushq 128(%%rax); popfq\n"
        "mov 8(%%rax), %%rcx; mov 16(%%rax), %%rdx; mov 24(%%rax), %%rbx; mov 40(%%rax), %%rbp; "
        "mov 48(%%rax), %%rsi; mov 56(%%rax), %%rdi\n"
        "mov 64(%%rax), %%r8; mov 72(%%rax), %%r9; mov 80(%%rax), %%r10; mov 88(%%rax), %%r11; "
        "mov 96(%%rax), %%r12; mov 104(%%rax), %%r13\n"
        "mov 112(%%rax), %%r14; mov 120(%%rax), %%r15; mov (%%rax), %%rax\n"
        "call *(%%rsp)\n"
        "push %%rax; mov 16(%%rsp), %%rax\n"
        "mov %%rcx, 8(%%rax); mov %%rdx, 16(%%rax); mov %%rbx, 24(%%rax); mov %%rbp, 40(%%rax); "
        "mov %%rsi, 48(%%rax); mov %%rdi, 56(%%rax)\n"
        "mov %%r8, 64(%%rax); mov %%r9, 72(%%rax); mov %%r10, 80(%%rax); mov %%r11, 88(%%rax); "
        "mov %%r12, 96(%%rax); mov %%r13, 104(%%rax)\n"
        "mov %%r14, 112(%%rax); mov %%r15, 120(%%rax); pop (%%rax); pushfq; popq 128(%%rax)\n"
        "cld; pop %%rcx; pop %%rcx; pop %%r15; pop %%r14; pop %%r13; pop %%r12; pop %%rbp; "
        "pop %%rbx\n"
        :
        : "D"(s), "S"(code)
        : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
}

static int emulate(uint64_t gpa_hint, unsigned prot)
{
    struct vcpu_exit e = { .reason = EXIT_MEM,
                           .mem = { .gpa = gpa(gpa_hint), .prot = (uint8_t)prot } };

    return x86_emulate(&fake_vcpu, &e);
}

static void put_code(const uint8_t *insn, unsigned len)
{
    memset(code, 0xcc, 64);
    memcpy(code, insn, len);
    code[len] = 0xc3;
}

static void load_state(const struct state *s)
{
    memcpy(fake_vcpu.regs.gpr, s->r, sizeof s->r);
    fake_vcpu.regs.flags = s->flags | FLAGS_FIXED;
    fake_vcpu.regs.pc = (uint64_t)code;
    fake_vcpu.event.type = VEV_NONE;
}

static void hex(char *out, const uint8_t *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        sprintf(out + 3 * i, "%02x ", b[i]);
}

/* `in`, emulated with an exit at that address, must become `n`. */
static void expect(const char *text, unsigned len, const struct state *in, const struct state *n,
                   uint64_t flags, uint64_t gpa_hint, unsigned prot)
{
    load_state(in);
    accesses = 0;
    assert_int_equal(emulate(gpa_hint, prot), 0);
    if (fake_vcpu.event.type != VEV_NONE)
        fail_msg("%s: fault %u", text, fake_vcpu.event.vector);
    if (fake_vcpu.regs.pc != (uint64_t)code + len)
        fail_msg("%s: stepped %ld, not %u", text, (long)(fake_vcpu.regs.pc - (uint64_t)code), len);
    for (unsigned i = 0; i < 16; i++)
        if (i != X86_RSP && n->r[i] != fake_vcpu.regs.gpr[i])
            fail_msg("%s: register %u is %lx, the CPU makes it %lx of %lx", text, i,
                     fake_vcpu.regs.gpr[i], n->r[i], in->r[i]);
    if (((n->flags ^ fake_vcpu.regs.flags) & flags) != 0)
        fail_msg("%s: flags %lx, the CPU makes them %lx (mask %lx)", text, fake_vcpu.regs.flags,
                 n->flags, flags);
    if (memcmp(native_data, fake_data, DATA) != 0)
        fail_msg("%s: memory differs", text);
}

/*
 * Runs one instruction both ways; twice by the emulator, with an address that does not fit and with
 * the right one. `flags`: those that the manual defines for it.
 */
static void compare(const uint8_t *insn, unsigned len, struct state in, uint64_t flags)
{
    struct state n = in;
    uint8_t data[DATA];
    char text[64];

    hex(text, insn, len);
    put_code(insn, len);
    for (unsigned i = 0; i < DATA; i++)
        native_data[i] = fake_data[i] = data[i] = zero_data ? 0 : (uint8_t)rnd();
    run_native(&n);
    fake_vm.gmem = (struct gmem){ .hole_at = data_base, .hole_len = rnd() & 1 ? DATA : 0 };
    expect(text, len, &in, &n, flags, rnd() & 1 ? data_base + 0x9ffe : 0xfff, PROT_R);
    memcpy(fake_data, data, DATA);
    fake_vm.gmem.hole_len = DATA;
    for (unsigned i = 0; i < 2 && accesses != 0; i++) {
        expect(text, len, &in, &n, flags, first_access.addr, first_access.write ? PROT_W : PROT_R);
        memcpy(fake_data, data, DATA);
    }
}

static struct state random_state(void)
{
    struct state s;

    for (unsigned i = 0; i < 16; i++)
        s.r[i] = rnd() >> (rnd() & 63);
    s.r[X86_RBX] = data_base + 128;
    s.flags = (rnd() & FLAGS_ARITH) | FLAGS_FIXED;
    return s;
}
