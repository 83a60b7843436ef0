/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * acpi: the tables and their checksums, then one way out: cf9, kbd, fadt, triple (comes back by a
 * reset, counted in CMOS where that outlives it, else again and again), or s5 (must not come back).
 */
#include "lib/guest.h"

static uint8_t cmos(uint8_t reg)
{
    outb(0x70, reg);
    return inb(0x71);
}
static void cmos_set(uint8_t reg, uint8_t v)
{
    outb(0x70, reg);
    outb(0x71, v);
}

static void tables(void)
{
    if (!acpi_init()) {
        fail("acpi", "no RSDP");
        return;
    }
    for (unsigned i = 0; i < acpi.ntables; i++) {
        const struct acpi_header *h = (const void *)acpi.tables[i];
        print("%c%c%c%c %u bytes at %lx\n", h->sig[0], h->sig[1], h->sig[2], h->sig[3], h->len,
              acpi.tables[i]);
    }
    print("%u cpus, ioapic %lx, ecam %lx, pm timer %x, S5 %x, reset register %lx in space %u\n",
          acpi.ncpus, acpi.ioapic, acpi.ecam, acpi.pm_timer, acpi.slp_s5, acpi.reset_addr,
          acpi.reset_space);
    if (acpi.bad_sums)
        fail("acpi checksums", "%u tables are wrong", acpi.bad_sums);
    else
        pass("acpi checksums");
    if (acpi_find("APIC") && acpi_find("FACP") && acpi_find("DSDT") && acpi.ioapic &&
        acpi.pm_timer && acpi.slp_s5 != 0xffff && acpi.reset_addr)
        pass("acpi tables");
    else
        fail("acpi tables", "something is missing");
}

extern const char warm_code[], warm_code_end[];

/* Low memory, where the compiler expects nothing. */
static uint16_t *low(uintptr_t at)
{
    uint16_t *p = (uint16_t *)at;
    __asm__ volatile("" : "+r"(p));
    return p;
}

/*
 * Resets that leave memory alone, with CMOS 0Fh saying that the guest goes on at 40:67: by INIT
 * here, by the keyboard controller, port 92h and a triple fault there.
 */
static void warm(void)
{
    memcpy(low(0x7000), warm_code, (size_t)(warm_code_end - warm_code));
    low(0x467)[0] = 0;
    low(0x467)[1] = 0x700;
    cmos_set(0x0f, 0x0a);
    apic_icr(apic_id(), 0x4500);
}

/* What a BIOS leaves at 40:00: COM1, and memory that ends where the EBDA begins.
 */
static void bios_data(void)
{
    const uint16_t *bda = low(0x400);
    uint32_t ebda = (uint32_t)bda[7] << 4, kib = *low(0x413);
    if (bda[0] == 0x3f8 && ebda >= 0x80000 && ebda < 0xa0000 && ebda == kib * 1024)
        pass("BIOS data area");
    else
        fail("BIOS data area", "COM1 %x, EBDA %x, %u KiB", bda[0], ebda, kib);
}

static void leave(void)
{
    if (cmdline_has("cf9")) {
        outb(0xcf9, 2);
        outb(0xcf9, 6);
    } else if (cmdline_has("kbd")) {
        outb(0x64, 0xfe);
    } else if (cmdline_has("fadt")) {
        outb((uint16_t)acpi.reset_addr, acpi.reset_value);
    } else if (cmdline_has("triple")) {
        struct {
            uint16_t limit;
            uint64_t base;
        } __attribute__((packed)) none = { 0, 0 };
        __asm__ volatile("lidt %0; ud2" : : "m"(none));
    } else if (cmdline_has("s5")) {
        outw((uint16_t)acpi.pm1a_cnt, (uint16_t)(acpi.slp_s5 << 10 | 0x2000));
    }
    for (uint64_t t = rdtsc(); rdtsc() - t < 20000000000ull;)
        cpu_pause();
    fail("acpi", "still here");
}

void guest_main(void)
{
    uint8_t n = cmos(0x41);
    tables();
    bios_data();
    if (cmdline_has("warm"))
        warm();
    if (!cmdline_has("cf9") && !cmdline_has("kbd") && !cmdline_has("fadt") &&
        !cmdline_has("triple") && !cmdline_has("s5"))
        return;
    if (n == 1) {
        cmos_set(0x41, 0);
        pass("acpi came back");
        return;
    }
    cmos_set(0x41, 1);
    leave();
}
