/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random instructions, registers, modes and page tables through decode and complete. Bounded work,
 * no access outside what is RAM, registers stay in their widths.
 */
#include <stdint.h>
#include "tests/unit/x86_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM 0x8000
static uint8_t ram[RAM];
static unsigned accesses;

static uint8_t *fake_ram(uint64_t a, uint64_t len)
{
    return range_within(a, len, 0, RAM) ? ram + a : NULL;
}

static void check_access(const struct io_access *io)
{
    if (io->size != 1 && io->size != 2 && io->size != 4 && io->size != 8)
        abort();
    if (++accesses > 128 * 2 * 16)
        abort();
}

static void fake_device(struct io_access *io)
{
    check_access(io);
    if (range_within(io->addr, io->size, 0, RAM))
        abort(); /* RAM must be accessed as RAM */
    io->val = io->write ? io->val : 0x0123456789abcdef ^ accesses;
}

static void fake_port(struct io_access *io)
{
    check_access(io);
    if (io->size > 4 || io->addr > 0xffff)
        abort();
    io->val = io->write ? io->val : accesses;
}

static const uint8_t *next;
static size_t left;

static uint64_t take(unsigned n)
{
    uint64_t v = 0;

    n = n < left ? n : (unsigned)left;
    memcpy(&v, next, n);
    next += n;
    left -= n;
    return v;
}

/*
 * Page tables in the RAM: the last pages, so that the fuzzer can make instructions that change
 * them.
 */
static void paging(unsigned bits)
{
    uint64_t *t = (uint64_t *)(void *)ram;

    fake_set(NULL, X86_CR3, 0x4000);
    t[0x4000 / 8] = bits == 64 ? 0x5007 : 0x5001;
    t[0x5000 / 8] = 0x6007;
    t[0x6000 / 8] = 0x7007;
    t[0x6000 / 8 + 1] = 0xfee00087 & ~0x1fe000ull;
    for (unsigned i = 0; i < 8; i++)
        t[0x7000 / 8 + i] = (uint64_t)i << 12 | 7;
    t[0x7000 / 8 + 9] = take(8);
    fake_set(NULL, X86_CR0, CR0_PE | CR0_PG | (take(1) & 1 ? CR0_WP : 0));
}

static uint64_t a_register(void)
{
    uint64_t how = take(1);

    return how < 64    ? how << 8
           : how < 128 ? 0x8000 + take(2)
           : how < 160 ? 0xfee00000 + take(2)
                       : take(8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned modes[4] = { 64, 32, 16, 64 };
    struct vcpu_exit e = { .reason = EXIT_MEM };
    unsigned bits, n;
    uint64_t flags, again;

    next = data, left = size;
    fake_reset();
    memset(ram, 0, RAM);
    percpus[0].self = &percpus[0];
    flags = take(1);
    bits = modes[flags & 3];
    fake_mode(bits);
    fake_set(NULL, X86_CPL, flags >> 2 & 3);
    if ((flags & 16) != 0 && bits != 16)
        paging(bits);
    for (unsigned i = 0; i < 16; i++)
        fake_vcpu.regs.gpr[i] = a_register();
    again = fake_vcpu.regs.pc = take(2) & 0x3fff;
    fake_vm.gmem = (struct gmem){ .hole_at = RAM, .hole_len = 4 * GIB - RAM };
    fake_vcpu.regs.flags = (take(4) & ~(uint64_t)FLAGS_VM) | FLAGS_FIXED;
    e.mem.gpa = gpa(a_register());
    if (e.mem.gpa.v < RAM)
        /* the engine never sends an exit for RAM */
        e.mem.gpa.v += RAM;
    e.mem.prot = (flags & 32) != 0 ? PROT_W : PROT_R;
    if ((flags & 64) != 0)
        e.reason = EXIT_PIO, e.pio.string = true;
    n = (unsigned)(left < 64 ? left : 64);
    if (n < RAM - fake_vcpu.regs.pc)
        memcpy(ram + fake_vcpu.regs.pc, next, n);
    for (unsigned i = 0; i < 4 && fake_vcpu.event.type == VEV_NONE; i++) {
        uint64_t pc = fake_vcpu.regs.pc;

        accesses = 0;
        if (i == 2)
            /* what was emulated before takes the quick way */
            fake_vcpu.regs.pc = again;
        if (x86_emulate(&fake_vcpu, &e) != 0)
            abort();
        if (fake_vcpu.regs.pc == pc && fake_vcpu.event.type == VEV_NONE && accesses == 0)
            break;
    }
    if (fake_vcpu.event.type != VEV_NONE && fake_vcpu.event.vector > X86_XM)
        abort();
    return 0;
}
