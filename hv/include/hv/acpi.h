/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's ACPI tables, as far as the hypervisor needs them, parsed once at boot into plain
 * numbers (ACPI 6.5 chapter 5). Implemented by hv/firmware. Tables come from firmware and may be
 * broken: every length and checksum is checked, every loop is bounded, and what cannot be used is
 * left out. The result is constant after acpi_init().
 */
#pragma once
#include <hv/types.h>

#define ACPI_CPUS_MAX MAX_CPUS
#define ACPI_IOAPICS_MAX 16
#define ACPI_OVERRIDES_MAX 32
#define ACPI_MCFG_MAX 16

/* Generic address structure, section 5.2.3.2; addr 0: not there. */
enum acpi_space { ACPI_MEMORY = 0, ACPI_IO = 1, ACPI_PCI = 2 };
struct acpi_gas {
    uint64_t addr;
    uint8_t space, bits, access;
};

struct acpi_ioapic {
    uint64_t addr;
    uint32_t gsi;
    uint8_t id;
};
/* ISA interrupt `irq` is wired to `gsi`. */
struct acpi_override {
    uint32_t gsi;
    uint8_t irq;
    bool level, low;
};
struct acpi_mcfg {
    uint64_t base;
    uint16_t segment;
    uint8_t bus_first, bus_last;
};
/*
 * Serial port console redirection (SPCR): kind 0 and 1 are 16550-compatible. baud 0: as the
 * firmware left it.
 */
struct acpi_spcr {
    struct acpi_gas reg;
    uint32_t gsi, baud;
    uint8_t kind;
    bool present;
};
struct acpi_power {
    struct acpi_gas reset;
    uint8_t reset_value;
    bool reset_valid;
    struct acpi_gas pm1a, pm1b; /* PM1 control registers */
    struct acpi_gas pm_timer;
    bool pm_timer_32bit;
    /* from the _S5_ package of the DSDT or an SSDT */
    uint16_t slp_typa, slp_typb;
    bool s5_valid;
    uint32_t smi_cmd;
    uint8_t acpi_enable, century;
    uint16_t sci;
    bool hw_reduced, legacy_kbd, no_vga, no_rtc;
    struct acpi_gas sleep_control; /* hardware-reduced machines */
};

struct acpi_info {
    bool present; /* an RSDP and a root table were found */
    char oem[7], table_oem[9];
    bool madt;
    uint64_t lapic; /* physical address of the local APIC page; 0: not told */
    bool legacy_pic;
    uint32_t ncpus, cpus_dropped;
    uint32_t cpus[ACPI_CPUS_MAX]; /* APIC ids of enabled CPUs, in table order */
    uint32_t nioapics, noverrides, nmcfg;
    struct acpi_ioapic ioapics[ACPI_IOAPICS_MAX];
    struct acpi_override overrides[ACPI_OVERRIDES_MAX];
    struct acpi_mcfg mcfg[ACPI_MCFG_MAX];
    struct acpi_spcr spcr;
    struct acpi_gas hpet;
    struct acpi_power power;
    /* tables seen; tables left out for their length or checksum */
    uint32_t ntables, nbad;
    char signatures[160]; /* of those that fit, with blanks between; printable */
};

/*
 * How the parser reaches physical memory: a read-only view of [phys, phys+len), or NULL. It stays
 * valid.
 */
typedef const void *(*acpi_map_fn)(hpa_t phys, uint64_t len);

/*
 * The parser itself, without side effects; used by acpi_init() and by the tests. False: no usable
 * root table.
 */
bool acpi_parse(struct acpi_info *out, uint64_t rsdp, acpi_map_fn map);
/*
 * Looks for a table by its four letters, the `nth` one (0 the first), checksum verified. NULL:
 * none. The length is in its header at offset 4. Boot steps that need a table of their own (DMAR,
 * IVRS) use this.
 */
const void *acpi_find(uint64_t rsdp, acpi_map_fn map, const char *sig, unsigned nth);

struct boot_info;
/*
 * Boot step, after mmu_init(): parses the tables at boot_info.rsdp. Always 0: a machine without
 * ACPI is no error.
 */
int must_check acpi_init(const struct boot_info *);
const struct acpi_info *acpi_info(void); /* any time: all zero before acpi_init() */
/*
 * acpi_find() on this machine, after acpi_init(), for drivers of the host, at boot. The table stays
 * mapped, read-only.
 */
const void *acpi_table(const char *sig, unsigned nth);

/*
 * Any CPU, any context. Sections 4.8.3.2.1, 4.8.3.7 and 4.8.3.6. They return when the tables
 * describe no way, or when that way does not work.
 */
void acpi_poweroff(void);
void acpi_reset(void);
