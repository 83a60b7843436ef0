/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile-mmio: every kind of instruction against every kind of address that is not RAM. What
 * happens to each is free (a value, an exception); that the guest goes on afterwards, and everybody
 * else, is the test. With at=ADDRESS and one of these words it does one thing that it need not
 * survive: ttbr table vbar exec stack code queue. Options: from=N (first address), verbose,
 * emulator (QEMU alone: no devices that another guest's life hangs on).
 */
#include "lib/guest.h"

enum { PVPANIC_ID = 0x00111b36 };

struct snip {
    const char *start, *end, *name;
};
extern const struct snip mmio_snips[];

static uint64_t targets[64];
static unsigned ntargets;

static void add(uint64_t a)
{
    if (a && ntargets < 64)
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
            if (!a || ntargets > 50)
                continue;
            add(a);
            add(a + size - 4);
            add(a + size - 1);
        }
    }
}

static void find_targets(void)
{
    static const uint64_t fixed[] = { 0x1000,     0x07fffffc, 0x0b000000, 0x0b000001,
                                      0x0b000ffd, 0x3ffffffc, 0x3ffffffe };
    for (unsigned i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        add(fixed[i]);
    add(boot.gicd + GICD_TYPER);
    add(boot.gicd + GICD_ISPENDR + 5);
    add(boot.gicd + (boot.gic_version == 3 ? 0xfffe : 0xffe));
    add(boot.gicr ? boot.gicr + GICR_TYPER : 0);
    add(boot.gicr ? boot.gicr + boot.gicr_size - 2 : 0);
    add(boot.gicr ? boot.gicr + GICR_SGI + GICD_IPRIORITYR + 3 : 0);
    add(boot.its ? boot.its + 0x84 : 0);
    add(boot.its ? boot.its + 0x10040 : 0);
    add(boot.its ? boot.its + 0x1fffc : 0);
    add(boot.gicc ? boot.gicc + GICC_PMR : 0);
    add(boot.v2m ? boot.v2m + 0x40 : 0);
    add(boot.uart + 0x18);
    add(boot.uart + 0xffe);
    add(boot.rtc ? boot.rtc + 8 : 0);
    add(boot.ecam);
    add(boot.ecam ? boot.ecam + 0xfff : 0);
    add(boot.ecam ? boot.ecam + 0x8010 : 0);
    add(boot.ram_end);
    add(boot.ram_end - 1);
    add(boot.ram_end - 3);
    add_bars();
    add(0x7fffffff0ull);
    add(0x7f40000000ull - 4);
}

static bool try_one(const struct snip *s, uint64_t a, uint8_t *ram)
{
    struct regs r = { .x = { 0x0102030405060708, a, 0x1112131415161718, 0x2122232425262728, 8,
                             (uint64_t)ram } };
    int v = code_try((const uint32_t *)s->start, (unsigned)(s->end - s->start) / 4, &r);
    if (cmdline_has("verbose"))
        print("  %s at %lx: %x\n", s->name, a, v);
    return v < 0;
}

/* The debug-exit register is left out: a store to it ends the guest, as it should. */
static void sweep(void)
{
    uint8_t *ram = page_alloc(4);
    unsigned total = 0, faults = 0;
    for (unsigned i = (unsigned)cmdline_num("from", 0); i < ntargets; i++) {
        for (const struct snip *s = mmio_snips; s->start; s++, total++)
            faults += !try_one(s, targets[i], ram);
        print("swept %lx\n", targets[i]);
    }
    print("%u accesses, %u faults\n", total, faults);
    pass("hostile-mmio sweep");
}

/* The same through other memory types: normal, not cached, and two pages of which one is RAM. */
static void other_types(void)
{
    static const unsigned how[] = { MAP_NORMAL, MAP_NC, MAP_DEVICE, MAP_RO };
    uint8_t *ram = page_alloc(4);
    unsigned total = 0, faults = 0;
    for (unsigned i = 0; i < ntargets; i += 3)
        for (unsigned k = 0; k < 4; k++) {
            uint64_t va = MAP_BASE + 0x100000 + (i * 4 + k) * 0x4000;
            map_page(va, (uint64_t)ram, 0);
            map_page(va + 0x1000, targets[i], how[k]);
            map_page(va + 0x2000, (uint64_t)ram + 4096, 0);
            for (const struct snip *s = mmio_snips; s->start; s++, total += 3) {
                faults += !try_one(s, va + 0x1000 - 4, ram); /* from RAM into the device */
                faults += !try_one(s, va + 0x1ffe, ram);     /* and out of it */
                faults += !try_one(s, va + 0x1000 + (targets[i] & 0xfff), ram);
            }
        }
    print("%u accesses by other types, %u faults\n", total, faults);
    pass("hostile-mmio memory types");
}

/* An instruction that ends with RAM, and one that begins beyond it. */
static void page_end(void)
{
    uint64_t end = boot.ram_end & ~0xfffull;
    uint32_t ldr = 0xb9400020, br = 0xd61f0040; /* ldr w0, [x1]; br x2 */
    memcpy((void *)(end - 4), &ldr, 4);
    __asm__ volatile("dc cvau, %0; dsb ish; ic ivau, %0; dsb ish; isb" : : "r"(end - 4) : "memory");
    struct regs r = { .x = { 0, boot.uart + 0x18, end - 4 } };
    int v = code_try(&br, 1, &r);
    print("the last instruction of RAM reads a device, then goes on beyond: %x\n", v);
    pass("hostile-mmio page end");
}

static void still_works(void)
{
    volatile uint32_t *ram = page_alloc(1);
    *ram = 0x12345678;
    if (*ram == 0x12345678 && psci(PSCI_VERSION, 0, 0, 0) >= 0x10000 &&
        (mmio_r32(boot.gicd + GICD_TYPER) & 31))
        pass("hostile-mmio goes on");
    else
        fail("hostile-mmio goes on", "%x", mmio_r32(boot.gicd + GICD_TYPER));
}

/* ---- what it need not survive ---- */
static void in_device(uint64_t at)
{
    page_table[0x6000000000ull >> 30] = at | 3;
    dsb();
    isb();
    print("reading through a table at %lx\n", at);
    print("got %x\n", mmio_r32(0x6000000000));
}

static void lethal(uint64_t at)
{
    if (cmdline_has("ttbr")) {
        print("TTBR0 = %lx\n", at);
        write_reg(ttbr0_el1, at);
        __asm__ volatile("tlbi vmalle1; dsb sy; isb");
    } else if (cmdline_has("table")) {
        in_device(at);
    } else if (cmdline_has("vbar")) {
        write_reg(vbar_el1, at & ~0x7ffull);
        __asm__ volatile("svc #1");
    } else if (cmdline_has("exec")) {
        map_page(MAP_BASE + 0x1000, at, MAP_NORMAL);
        ((void (*)(void))(MAP_BASE + 0x1000 + (at & 0xfff)))();
    } else if (cmdline_has("stack")) {
        __asm__ volatile("msr spsel, #1; mov sp, %0; svc #1" : : "r"(at));
    } else if (cmdline_has("nommu")) {
        write_reg(sctlr_el1, 0x30d00800);
        for (uint64_t a = at; a < at + 0x100000; a += 0xff4)
            (void)*(volatile uint64_t *)a;
    }
}

void guest_main(void)
{
    uint64_t at = cmdline_num("at", 0);
    if (at) {
        int v = trap_try((void (*)(void *))(uintptr_t)lethal, (void *)at);
        print("ended with %x\n", v);
        pass("hostile-mmio survived");
        return;
    }
    find_targets();
    page_end();
    sweep();
    other_types();
    still_works();
}
