/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile-mmio: every kind of instruction against every kind of address that is not RAM. What
 * happens to each is free (a value, an exception); that the guest goes on afterwards, and everybody
 * else, is the test. mode=NAME does one thing that the guest cannot survive. Options: from=N (first
 * address), verbose, emulator (QEMU alone: its holes read 0, and it aborts when code runs across
 * the end of a ROM).
 */
#include "lib/guest.h"

enum { PVPANIC_ID = 0x00111b36 };

struct snip {
    const uint8_t *start, *end;
    const char *name;
};
extern const struct snip mmio_snips[];

static uint64_t targets[64];
static unsigned ntargets;

static void add(uint64_t a)
{
    if (ntargets < 64)
        targets[ntargets++] = a;
}

static void add_bars(void)
{
    pci_t d[32];
    unsigned n = pci_scan(d, 32);
    for (unsigned i = 0; i < n; i++) {
        if (pci_read(d[i], 0, 4) == PVPANIC_ID) { /* its byte ends the guest: memory off */
            pci_write(d[i], 4, 2, 0);
            continue;
        }
        for (unsigned b = 0; b < 6; b++) {
            uint64_t size = 0, a = pci_bar(d[i], b, &size);
            if (!a)
                continue;
            add(a);
            add(a + size - 4);
            add(a + size - 1);
        }
    }
}

static void find_targets(void)
{
    static const uint64_t fixed[] = { 0xa0000,    0xbffff,    0xc0000000, 0xcffffffd, 0xe0000000,
                                      0xfebffffc, 0xfec00000, 0xfec00001, 0xfec00010, 0xfec00ffe,
                                      0xfed00000, 0xfed000f0, 0xfee00000, 0xfee00020, 0xfee00021,
                                      0xfee000b0, 0xfee00300, 0xfee0037f, 0xfee00ffe, 0xfee00fff,
                                      0xfef00000, 0xffe00000, 0xfffffff0, 0xfffffffe, 0xffffffff };
    for (unsigned i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        add(fixed[i]);
    add(boot.ram_end);
    add(boot.ram_end - 1);
    add(boot.ram_end - 3);
    if (acpi.ecam) {
        add(acpi.ecam);
        add(acpi.ecam + 0xfff);
        add(acpi.ecam + 0x8000 + 0x10);
        add(acpi.ecam + ((uint64_t)(acpi.ecam_end_bus + 1u) << 20) - 2);
    }
    add_bars();
    add(0x10000000000ull - 2);
    add(0x7fc0000000ull + 0x3ffffffc);
}

static bool try_one(const struct snip *s, uint64_t a, uint8_t *ram)
{
    struct regs r = { .rax = 0x0102030405060708ull,
                      .rbx = a,
                      .rcx = 3,
                      .rsi = a,
                      .rdi = a,
                      .r13 = (uint64_t)ram,
                      .r14 = 1,
                      .rdx = 0x80,
                      .rbp = a };
    int v = code_try(s->start, (size_t)(s->end - s->start), &r);
    idt_load();
    __asm__ volatile("mov %0, %%fs" : : "r"(0));
    if (cmdline_has("verbose"))
        print("  %s at %lx: %d\n", s->name, a, v);
    return v < 0;
}

/*
 * The walk may have moved the APIC's registers and the BARs: nothing here is put back, on purpose.
 */
static void sweep(void)
{
    uint8_t *ram = page_alloc(4);
    unsigned total = 0, faults = 0;
    for (unsigned i = (unsigned)cmdline_num("from", 0); i < ntargets; i++) {
        for (const struct snip *s = mmio_snips; s->start; s++) {
            if (cmdline_has("emulator") && !strncmp(s->name, "exec", 4))
                continue;
            total++;
            faults += !try_one(s, targets[i], ram);
        }
        print("swept %lx\n", targets[i]);
    }
    print("%u accesses, %u faults\n", total, faults);
    pass("hostile-mmio sweep");
}

/* Loads of a hole give all ones, stores vanish: what software that probes relies on. */
static void check_hole(void)
{
    uint64_t a = cmdline_num("hole", 0xfea00000);
    mmio_w32(a, 0x12345678);
    if (mmio_r32(a) == 0xffffffff && mmio_r8(a + 3) == 0xff && mmio_r16(a + 1) == 0xffff &&
        mmio_r64(a) == UINT64_MAX)
        pass("hostile-mmio hole");
    else if (!cmdline_has("emulator"))
        fail("hostile-mmio hole", "%x %x %x %lx", mmio_r32(a), mmio_r8(a + 3), mmio_r16(a + 1),
             mmio_r64(a));
}

/* An instruction whose bytes end with RAM, and one that would go on beyond it. */
static void page_end(void)
{
    static const uint8_t load[] = { 0x8b, 0x03, 0xc3 };
    uint64_t end = boot.ram_end & ~0xfffull;
    for (unsigned back = 1; back <= sizeof load; back++) {
        uint8_t *p = (uint8_t *)end - back;
        memcpy(p, load, back);
        struct regs r = { .rbx = 0xfee00020 };
        uint8_t thunk[] = { 0xff, 0xe1 }; /* jmp *%rcx */
        r.rcx = (uint64_t)p;
        int v = code_try(thunk, sizeof thunk, &r);
        print("instruction with %u bytes before the end of RAM: %d\n", back, v);
    }
    pass("hostile-mmio page end");
}

static void table_in_mmio(uint64_t at)
{
    extern uint64_t pt_pml4[];
    pt_pml4[1] = at | 7;
    print("reading through a page table at %lx\n", at);
    print("got %x\n", mmio_r32(0x8000000000ull));
}

static void lethal(uint64_t at)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) p = { 0xfff, at };
    if (cmdline_has("cr3"))
        write_cr3(at);
    else if (cmdline_has("table"))
        table_in_mmio(at);
    else if (cmdline_has("idt"))
        __asm__ volatile("lidt %0; ud2" : : "m"(p));
    else if (cmdline_has("gdt"))
        __asm__ volatile("lgdt %0; mov %1, %%es; mov %1, %%ss; int3" : : "m"(p), "r"(0x10));
    else if (cmdline_has("exec"))
        __asm__ volatile("jmp *%0" : : "r"(at));
    else if (cmdline_has("stack"))
        __asm__ volatile("lidt %1; mov %0, %%rsp; int3" : : "r"(at), "m"(p));
    else if (cmdline_has("tss")) {
        extern uint64_t gdt[];
        gdt[8] = 0x67 | (at & 0xffffff) << 16 | 0x89ull << 40 | (at >> 24 & 0xff) << 56;
        gdt[9] = at >> 32;
        __asm__ volatile("ltr %w0; ud2" : : "r"(0x40));
    }
}

void guest_main(void)
{
    acpi_init();
    uint64_t at = cmdline_num("at", 0);
    if (at) {
        lethal(at);
        pass("hostile-mmio survived");
        return;
    }
    find_targets();
    check_hole();
    page_end();
    sweep();
}
