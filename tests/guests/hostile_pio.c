/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile-pio: every port, every size, reads and writes, and string I/O with wild addresses and
 * counts. Ports that reset the machine or end the guest are written only with "lethal". Options:
 * lethal, step=N.
 */
#include "lib/guest.h"

static bool deadly(unsigned port, unsigned size)
{
    static const uint16_t stop[] = { 0x64,   0x92,  0xf4,  0xcf9, 0x8900, 0xb2,
                                     0xb004, 0x600, 0x604, 0x404, 0x505 };
    uint16_t pm1 = (uint16_t)acpi.pm1a_cnt, rst = (uint16_t)acpi.reset_addr;
    if (cmdline_has("emulator") && size > 1 && port < 0x400)
        return true; /* QEMU alone aborts on a wide access to its UART */
    if (cmdline_has("lethal"))
        return port <= DEBUG_EXIT && DEBUG_EXIT < port + size;
    for (unsigned i = 0; i < sizeof stop / sizeof stop[0]; i++)
        if (stop[i] + 3u >= port && stop[i] < port + size)
            return true;
    return (pm1 + 2u > port && pm1 < port + size) || (rst && rst >= port && rst < port + size);
}

static bool uart(unsigned port, unsigned size) { return port + size > 0x3f8 && port < 0x400; }

static void poke(unsigned port, unsigned size, uint32_t v)
{
    uint16_t p = (uint16_t)port;
    if (size == 1)
        outb(p, (uint8_t)v);
    else if (size == 2)
        outw(p, (uint16_t)v);
    else
        outl(p, v);
}

static uint32_t peek(unsigned port, unsigned size)
{
    uint16_t p = (uint16_t)port;
    return size == 1 ? inb(p) : size == 2 ? inw(p) : inl(p);
}

static void uart_reset(void)
{
    outb(0x3fb, 0x83);
    outb(0x3f8, 1);
    outb(0x3f9, 0);
    outb(0x3fb, 3);
    outb(0x3fc, 0x0b);
    outb(0x3f9, 0);
    outb(0x3fa, 7);
}

/*
 * Above the ports that machines have something at, a part of them is as good as all: an exit for
 * nothing is like the next.
 */
static unsigned after(unsigned port)
{
    return port < 0x1000 || (port >= 0xb000 && port < 0xb100)
               ? port + 1
               : port + (unsigned)cmdline_num("step", 1);
}

static void reads(void)
{
    uint32_t x = 0;
    for (unsigned size = 1; size <= 4; size *= 2)
        for (unsigned port = 0; port < 0x10000; port = after(port))
            x ^= cmdline_has("emulator") && size > 1 && port < 0x400 ? 0 : peek(port, size);
    print("all ports read: %x\n", x);
    pass("hostile-pio reads");
}

static void writes(void)
{
    static const uint32_t val[] = { 0, 0xffffffff, 0xa5a5a5a5 };
    for (unsigned size = 1; size <= 4; size *= 2)
        for (unsigned port = 0; port < 0x10000; port = after(port))
            for (unsigned i = 0; i < 3; i++)
                if (!deadly(port, size) && !(uart(port, size) && i))
                    poke(port, size, val[i]);
    uart_reset();
    print("all ports written\n");
    pass("hostile-pio writes");
}

static const uint8_t ins[3][2] = { { 0xf3, 0x6c }, { 0xf3, 0x6d }, { 0xf3, 0x6d } };
static const uint8_t outs[3][2] = { { 0xf3, 0x6e }, { 0xf3, 0x6f }, { 0xf3, 0x6f } };

/* 66h gives the 16-bit form; with std the string runs down. */
static int string_io(bool in, unsigned size, bool down, uint16_t port, uint64_t addr,
                     uint64_t count)
{
    uint8_t code[8];
    unsigned n = 0;
    struct regs r = { .rdx = port, .rsi = addr, .rdi = addr, .rcx = count };
    if (down)
        code[n++] = 0xfd;
    if (size == 2)
        code[n++] = 0x66;
    memcpy(code + n, in ? ins[size / 2] : outs[size / 2], 2);
    n += 2;
    code[n++] = 0xfc;
    int v = code_try(code, n, &r);
    __asm__ volatile("cld");
    return v;
}

static void strings(void)
{
    uint64_t ram = (uint64_t)page_alloc(4);
    uint64_t addr[] = { ram,
                        ram + 0xfff,
                        ram + 1,
                        boot.ram_end - 2,
                        boot.ram_end,
                        0xa0000,
                        0xfee00000,
                        0xfee000ff,
                        0xfec00000,
                        0xfffffffe,
                        0x800000000000,
                        0xffffffffffffffff,
                        0xfffffffffffffffd,
                        0x7fffffffffff,
                        acpi.ecam ? acpi.ecam + 0x10 : 0xe0000000 };
    uint16_t ports[] = { 0x80, 0x71, 0x40, 0x21, 0xcf8, 0xcfc, 0x1234, 0xffff, 0x3fd, 0x3f9 };
    unsigned nports = cmdline_has("emulator") ? 8 : 10;
    unsigned faults = 0;
    for (unsigned a = 0; a < sizeof addr / sizeof addr[0]; a++)
        for (unsigned p = 0; p < nports; p++)
            for (unsigned k = 0; k < 12; k++)
                faults += string_io(k & 1, 1u << (k >> 1) % 3, k >= 6, ports[p], addr[a], 5) >= 0;
    uart_reset();
    print("string I/O: %u faults\n", faults);
    string_io(false, 1, false, 0x80, ram, 100000);
    string_io(true, 4, false, 0xcfc, ram, 4000);
    string_io(true, 1, false, 0x71, 0x100000, 0);
    pass("hostile-pio strings");
}

/* A big string that starts in RAM and would run off it: it must end, by a fault or by the count. */
static void long_strings(void)
{
    int v = string_io(false, 4, false, 0x80, boot.ram_end - 0x1000, 0x8000);
    print("string off the end of RAM: %d\n", v);
    pass("hostile-pio long strings");
}

static void config_garbage(void)
{
    uint32_t seed = 12345;
    for (unsigned round = 0; round < 2; round++) {
        pci_use_ecam = round && acpi.ecam;
        for (unsigned d = 0; d < 64; d++)
            for (unsigned reg = 0; reg < 256; reg += 1) {
                seed = seed * 1664525 + 1013904223;
                pci_write((pci_t)(d * 4), reg & ~3u, 4, seed);
                pci_write((pci_t)(d * 4), reg & ~1u, 2, seed >> 7);
                pci_write((pci_t)(d * 4), reg, 1, seed >> 11);
                pci_read((pci_t)(d * 4), reg, 1);
            }
    }
    pass("hostile-pio config space");
}

void guest_main(void)
{
    acpi_init();
    cpu_cli();
    reads();
    strings();
    long_strings();
    if (!cmdline_has("emulator"))
        config_garbage();
    writes();
}
