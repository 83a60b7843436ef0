/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moves that are emulated the quick way the second time, and everything that must send them the
 * long way: hv/guest/x86_64/quick.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "x86_fake.h"

#define CODE 0x10000000ull
#define DATA 512
static const uint64_t data_base = 0x11000340, ram_base = 0x20000000;
static uint8_t code[PAGE_SIZE], fake_data[DATA], ram[0x6000];

static uint8_t *fake_ram(uint64_t a, uint64_t len)
{
    if (range_within(a, len, CODE, PAGE_SIZE))
        return code + (a - CODE);
    return range_within(a, len, ram_base, sizeof ram) ? ram + (a - ram_base) : NULL;
}

static void fake_device(struct io_access *io)
{
    io->val = UINT64_MAX;
    if (range_within(io->addr, io->size, data_base, DATA))
        io->val = 0, memcpy(&io->val, fake_data + (io->addr - data_base), io->size);
}

static void fake_port(struct io_access *io) { io->val = 0; }

static int emulate(uint64_t a, unsigned prot)
{
    struct vcpu_exit e = { .reason = EXIT_MEM, .mem = { .gpa = gpa(a), .prot = (uint8_t)prot } };

    return x86_emulate(&fake_vcpu, &e);
}

static void at(const void *insn, unsigned len)
{
    memset(code, 0xcc, sizeof code);
    memcpy(code, insn, len);
    fake_vcpu.regs.gpr[X86_RBX] = data_base;
    for (unsigned i = 0; i < DATA; i++)
        fake_data[i] = (uint8_t)i;
}

/* Emulates the code at the pc and says whether that was quick. */
static bool was_quick(uint64_t a, unsigned prot)
{
    unsigned before = fake_modes;

    fake_vcpu.regs.pc = CODE;
    fake_vcpu.regs.gpr[X86_RAX] = 0;
    assert_int_equal(emulate(a, prot), 0);
    return fake_modes == before;
}

static void test_quick(void **state)
{
    (void)state;
    fake_vm.gmem = (struct gmem){ .hole_at = data_base, .hole_len = DATA };
    at("\x8b\x43\x04", 3); /* mov eax, [rbx + 4] */
    assert_false(was_quick(data_base + 4, PROT_R));
    assert_true(was_quick(data_base + 4, PROT_R));
    assert_int_equal(fake_vcpu.regs.gpr[X86_RAX], 0x07060504);
    assert_int_equal(fake_vcpu.regs.pc, CODE + 3);
    /* not what this instruction does */
    assert_false(was_quick(data_base + 4, PROT_W));
    assert_false(was_quick(data_base + 5, PROT_R)); /* another address */
    fake_vm.gmem.hole_len = 2 * PAGE_SIZE;
    fake_vcpu.regs.gpr[X86_RBX] += 0xff9 - (data_base & 0xfff);
    /* crosses into the next page */
    assert_false(was_quick(((data_base & ~0xfffull) | 0xff9) + 4, PROT_R));
    fake_vcpu.regs.gpr[X86_RBX] = data_base;
    fake_vm.gmem.hole_len = DATA;
    (void)was_quick(data_base + 4, PROT_R);
    assert_true(was_quick(data_base + 4, PROT_R));
    fake_vm.gmem.hole_len = 4;
    assert_false(was_quick(data_base + 4, PROT_R)); /* perhaps RAM */
    fake_vm.gmem.hole_len = DATA;
    assert_false(was_quick(data_base + 4, PROT_R));
    assert_true(was_quick(data_base + 4, PROT_R));
    code[2] = 5;
    assert_false(was_quick(data_base + 5, PROT_R)); /* the guest changed its code */
    assert_int_equal(fake_vcpu.regs.gpr[X86_RAX], 0x08070605);
    assert_true(was_quick(data_base + 5, PROT_R));
    fake_set(NULL, X86_CR3, 0x5000);
    assert_false(was_quick(data_base + 5, PROT_R)); /* or its address space */
    assert_true(was_quick(data_base + 5, PROT_R));
    fake_set(NULL, X86_CR3, 0);
    assert_false(was_quick(data_base + 5, PROT_R));
    /* mov ecx, [rbx + 6], remembered in the same place */
    memcpy(code + 65, "\x8b\x4b\x06", 3);
    fake_vcpu.regs.pc = CODE + 65;
    assert_int_equal(emulate(data_base + 5, PROT_R), 0);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RCX], 0x09080706);
    assert_false(was_quick(data_base + 5, PROT_R));
    assert_true(was_quick(data_base + 5, PROT_R));
    memset(fake_x86.fetch, 0, sizeof fake_x86.fetch); /* as INIT does */
    assert_false(was_quick(data_base + 5, PROT_R));
    fake_vcpu.event.type = VEV_IRQ;
    fake_vcpu.regs.pc = CODE;
    assert_true(emulate(data_base + 5, PROT_R) < 0);
    fake_vcpu.event.type = VEV_NONE;
    fake_kills = 0;
    at("\x64\x8b\x03", 3); /* mov eax, fs:[rbx] */
    assert_false(was_quick(data_base, PROT_R));
    assert_false(was_quick(data_base, PROT_R));
    at("\xff\x03", 2); /* inc dword [rbx] */
    assert_false(was_quick(data_base, PROT_W));
    assert_false(was_quick(data_base, PROT_W));
}

/* The same instruction through page tables: each entry that leads to it counts. */
static void test_quick_tables(void **state)
{
    uint64_t *t = (uint64_t *)ram;

    (void)state;
    fake_vm.gmem = (struct gmem){ .hole_at = data_base, .hole_len = DATA };
    at("\x8b\x03", 2);
    memset(ram, 0, sizeof ram);
    t[0] = (ram_base + 0x1000) | 0x27;
    t[512] = (ram_base + 0x2000) | 0x27;
    t[1024 + 128] = (ram_base + 0x3000) | 0x27;
    t[1536] = (ram_base + 0x4000) | 0x27;
    memcpy(ram + 0x4000, "\x8b\x03", 2); /* mov eax, [rbx] */
    memcpy(ram + 0x5000, "\x8b\x0b", 2); /* mov ecx, [rbx] */
    fake_set(NULL, X86_CR3, ram_base);
    fake_set(NULL, X86_CR0, CR0_PE | CR0_PG | CR0_ET);
    assert_false(was_quick(data_base, PROT_R));
    assert_true(was_quick(data_base, PROT_R));
    assert_int_equal(fake_vcpu.regs.gpr[X86_RAX], 0x03020100);
    t[1536] = (ram_base + 0x5000) | 0x27;
    assert_false(was_quick(data_base, PROT_R));
    assert_int_equal(fake_vcpu.regs.gpr[X86_RCX], 0x03020100);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RAX], 0);
    assert_true(was_quick(data_base, PROT_R));
    for (unsigned i = 0; i <= 1536; i += 128) {
        if (t[i] == 0)
            continue;
        t[i] ^= 0x200; /* a bit that means nothing */
        assert_false(was_quick(data_base, PROT_R));
        assert_true(was_quick(data_base, PROT_R));
    }
    t[1536] = 0;
    fake_vcpu.regs.pc = CODE;
    assert_int_equal(emulate(data_base, PROT_R), 0);
    assert_int_equal(fake_vcpu.event.vector, X86_PF);
}

static int setup(void **state)
{
    (void)state;
    percpus[0].self = &percpus[0];
    fake_reset();
    fake_mode(64);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup(test_quick, setup),
                                        cmocka_unit_test_setup(test_quick_tables, setup) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
