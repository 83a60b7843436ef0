/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a debugger in the guest sees of instructions that Trivet carries out: single steps, rounds
 * of REP, breakpoints on data and ports, RF. SDM vol 3 chapter 17, APM vol 2 section 13.1.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/x86_fake.h"

enum { CODE = 0x1000, DATA = 0x8000, DEVICE = 0x20000, RAM = 0x10000, CR4_DE = 8 };
enum { ON_WRITE = 1, ON_PORT = 2, ON_ACCESS = 3, BYTE = 0, WORD = 1, QUAD = 2, LONG = 3 };
static uint8_t ram[RAM];
static unsigned accesses;

static uint8_t *fake_ram(uint64_t a, uint64_t len)
{
    return range_within(a, len, 0, RAM) ? ram + a : NULL;
}
static void fake_port(struct io_access *io)
{
    accesses++;
    io->val = 0;
}
static void fake_device(struct io_access *io)
{
    accesses++;
    io->val = 0;
}

/* That instruction, RBX, RSI and RDI at the device, RCX 3. */
static void at(const char *insn, unsigned len, uint64_t flags)
{
    fake_reset();
    fake_mode(64);
    memset(ram, 0, sizeof ram);
    memcpy(ram + CODE, insn, len);
    fake_vcpu.regs.pc = CODE;
    fake_vcpu.regs.flags = FLAGS_FIXED | flags;
    fake_vcpu.regs.gpr[X86_RBX] = fake_vcpu.regs.gpr[X86_RSI] = DEVICE;
    fake_vcpu.regs.gpr[X86_RDI] = DEVICE;
    fake_vcpu.regs.gpr[X86_RCX] = 3;
    fake_vcpu.regs.gpr[X86_RSP] = 0x4000;
    fake_vm.gmem = (struct gmem){ .hole_at = DEVICE, .hole_len = PAGE_SIZE };
    accesses = 0;
}

static void watch(unsigned n, uint64_t addr, unsigned rw, unsigned len)
{
    fake_set(NULL, X86_DR0 + n, addr);
    fake_set(NULL, X86_DR7,
             x86_get(&fake_vcpu, X86_DR7) | 2u << 2 * n |
                 (uint64_t)(rw | len << 2) << (16 + 4 * n));
}

static void emulate(enum exit_reason why)
{
    struct vcpu_exit e = { .reason = why };

    if (why == EXIT_MEM)
        e.mem.gpa = gpa(0xffff), e.mem.prot = PROT_R;
    else
        e.pio.string = e.pio.rep = true;
    fake_vcpu.event.type = VEV_NONE;
    assert_int_equal(x86_emulate(&fake_vcpu, &e), 0);
}

static bool trapped(uint64_t pc, uint64_t hits)
{
    assert_int_equal(fake_vcpu.regs.pc, pc);
    assert_int_equal(x86_get(&fake_vcpu, X86_DR6) & 0xf, hits);
    return fake_vcpu.event.type == VEV_EXCEPTION && fake_vcpu.event.vector == X86_DB;
}

static bool rf(void) { return (fake_vcpu.regs.flags & FLAGS_RF) != 0; }

/* A #DB after each round; RF while there is another to come. */
static void test_rounds(void **state)
{
    (void)state;
    at("\xf3\xa4", 2, FLAGS_TF); /* rep movsb */
    for (unsigned left = 3; left-- != 0;) {
        emulate(EXIT_MEM);
        assert_int_equal(fake_vcpu.regs.gpr[X86_RCX], left);
        assert_true(trapped(left != 0 ? CODE : CODE + 2, 0));
        assert_int_equal(rf(), left != 0);
    }
    at("\xf3\x6c", 2, FLAGS_TF); /* rep insb */
    emulate(EXIT_PIO);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RCX], 2);
    assert_true(trapped(CODE, 0));
    at("\xf3\xa6", 2, FLAGS_TF); /* repe cmpsb, equal */
    emulate(EXIT_MEM);
    assert_int_equal(fake_vcpu.regs.gpr[X86_RCX], 2);
    at("\xf2\xa6", 2, FLAGS_TF); /* repne cmpsb: that was the last */
    emulate(EXIT_MEM);
    assert_true(trapped(CODE + 2, 0));
    at("\xf3\xa4", 2, 0);
    emulate(EXIT_MEM);
    assert_int_equal(fake_vcpu.regs.pc, CODE + 2);
    assert_int_equal(fake_vcpu.event.type, VEV_NONE);
    at("\xf3\xaa", 2, 0); /* rep stosb, cut into pieces: an interrupt in between is pushed with RF
                           */
    fake_vcpu.regs.gpr[X86_RCX] = 1000;
    emulate(EXIT_MEM);
    assert_int_equal(fake_vcpu.regs.pc, CODE);
    assert_true(rf());
}

static void test_data(void **state)
{
    (void)state;
    at("\x89\x03", 2, 0); /* mov [rbx], eax */
    watch(1, DEVICE + 3, ON_WRITE, BYTE);
    emulate(EXIT_MEM);
    assert_true(trapped(CODE + 2, 2));
    at("\x89\x03", 2, 0);
    watch(1, DEVICE + 4, ON_WRITE, LONG);
    watch(2, DEVICE - 1, ON_ACCESS, BYTE);
    emulate(EXIT_MEM);
    assert_false(trapped(CODE + 2, 0));
    at("\x8b\x03", 2, FLAGS_RF); /* mov eax, [rbx] */
    watch(0, DEVICE, ON_WRITE, LONG);
    watch(3, DEVICE + 6, ON_ACCESS, QUAD); /* its address is rounded down */
    emulate(EXIT_MEM);
    assert_true(trapped(CODE + 2, 8));
    assert_false(rf());
    at("\x8b\x03", 2, 0);
    fake_set(NULL, X86_DR0, DEVICE);
    fake_set(NULL, X86_DR7, 0xf0000); /* not turned on */
    emulate(EXIT_MEM);
    assert_false(trapped(CODE + 2, 0));
    at("\xff\x33", 2, 0); /* push [rbx]: the stack is watched */
    watch(0, 0x3ff8, ON_WRITE, QUAD);
    emulate(EXIT_MEM);
    assert_true(trapped(CODE + 2, 1));
    at("\xf3\xa5", 2, 0); /* rep movsd: after the round that hits */
    watch(0, DEVICE + 4, ON_WRITE, WORD);
    emulate(EXIT_MEM);
    assert_true(trapped(CODE, 1));
    assert_int_equal(fake_vcpu.regs.gpr[X86_RCX], 1);
    assert_true(rf());
    emulate(EXIT_MEM);
    assert_int_equal(fake_vcpu.regs.pc, CODE + 2);
    assert_int_equal(fake_vcpu.event.type, VEV_NONE);
}

/* An instruction done once the short way asks again when a breakpoint is turned on. */
static void test_quick(void **state)
{
    (void)state;
    at("\x89\x03", 2, 0);
    for (unsigned i = 0; i < 3; i++) {
        fake_vcpu.regs.pc = CODE;
        if (i == 2)
            watch(0, DEVICE, ON_WRITE, LONG);
        emulate(EXIT_MEM);
    }
    assert_true(trapped(CODE + 2, 1));
}

static void test_ports(void **state)
{
    (void)state;
    at("\xf3\x6e", 2, 0); /* rep outsb */
    fake_vcpu.regs.gpr[X86_RDX] = 0x60;
    watch(0, 0x60, ON_PORT, BYTE);
    emulate(EXIT_PIO);
    assert_int_equal(fake_vcpu.regs.pc, CODE + 2); /* without CR4.DE there are none */
    at("\xf3\x6e", 2, 0);
    fake_vcpu.regs.gpr[X86_RDX] = 0x60;
    fake_set(NULL, X86_CR4, CR4_PAE | CR4_DE);
    watch(0, 0x60, ON_PORT, BYTE);
    emulate(EXIT_PIO);
    assert_true(trapped(CODE, 1));
    assert_int_equal(fake_vcpu.regs.gpr[X86_RCX], 2);
}

static void pio(uint16_t port, unsigned size)
{
    struct vcpu_exit e = { .reason = EXIT_PIO,
                           .insn_len = 1,
                           .pio.io = { .addr = port, .size = (uint8_t)size } };

    assert_int_equal(guest_x86.pio(&fake_vcpu, &e), 0);
}

static void test_in(void **state)
{
    (void)state;
    at("\xed", 1, 0); /* in eax, dx */
    fake_set(NULL, X86_CR4, CR4_PAE | CR4_DE);
    watch(2, 0x73, ON_PORT, BYTE);
    pio(0x70, 4);
    assert_true(trapped(CODE + 1, 4));
    at("\xed", 1, 0);
    fake_set(NULL, X86_CR4, CR4_PAE | CR4_DE);
    watch(2, 0x74, ON_PORT, BYTE);
    watch(1, 0x70, ON_ACCESS, LONG); /* of memory */
    pio(0x70, 4);
    assert_false(trapped(CODE + 1, 0));
}

/* MOV SS holds the trap back until the next instruction. */
static void test_shadow(void **state)
{
    (void)state;
    at("\x8e\x13", 2, FLAGS_TF); /* mov ss, [rbx]: a null selector */
    emulate(EXIT_MEM);
    assert_false(trapped(CODE + 2, 0));
    assert_int_equal(x86_get(&fake_vcpu, X86_INT_SHADOW), 1);
}

/* An operand that ends beyond the last canonical address faults. */
static void test_canonical(void **state)
{
    (void)state;
    at("\x48\x8b\x03", 3, 0); /* mov rax, [rbx] */
    fake_vcpu.regs.gpr[X86_RBX] = 0x7ffffffffffc;
    emulate(EXIT_MEM);
    assert_int_equal(fake_vcpu.event.vector, X86_GP);
    assert_int_equal(accesses, 0);
}

static void test_faults(void **state)
{
    static const uint8_t no[] = { X86_DB, X86_NMI, X86_BP, X86_OF, X86_DF, X86_MC, 0x20, 0x80 };
    unsigned faults = 0;

    (void)state;
    for (unsigned i = 0; i < 256; i++)
        faults += x86_is_fault(i) ? 1 : 0;
    assert_int_equal(faults, 32 - 6);
    for (unsigned i = 0; i < sizeof no; i++)
        assert_false(x86_is_fault(no[i]));
}

static int setup(void **state)
{
    (void)state;
    percpus[0].self = &percpus[0];
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounds), cmocka_unit_test(test_data),
        cmocka_unit_test(test_quick),  cmocka_unit_test(test_ports),
        cmocka_unit_test(test_in),     cmocka_unit_test(test_shadow),
        cmocka_unit_test(test_faults), cmocka_unit_test(test_canonical),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
