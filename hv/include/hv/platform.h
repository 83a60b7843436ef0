/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an ARM64 machine consists of, in plain numbers, from ACPI (MADT, GTDT, MCFG, SPCR, DBG2,
 * FADT) or, where there is none, from the device tree. Implemented by hv/firmware and hv/firmware;
 * constant after the boot step "firmware tables". Firmware may be broken: every length is checked,
 * every loop bounded, what cannot be used is left out with one line in the log. Zero: not there.
 */
#pragma once
#include <hv/acpi.h>
#include <hv/types.h>

#define PLATFORM_CPUS_MAX MAX_CPUS
#define PLATFORM_ITS_MAX 8
#define PLATFORM_GICR_MAX 16
#define PLATFORM_ECAM_MAX 16
enum platform_source { PLATFORM_NONE, PLATFORM_ACPI, PLATFORM_FDT };
enum psci_conduit { PSCI_NONE, PSCI_SMC, PSCI_HVC };
enum platform_uart { UART_NONE, UART_PL011, UART_SBSA, UART_16550 };
struct platform_range {
    uint64_t base, len;
};
/*
 * The console's port. baud 0: as the firmware left it; clock in Hz, 0: not told; 16550: registers
 * lie 1 << reg_shift bytes apart.
 */
struct platform_serial {
    enum platform_uart kind;
    uint64_t base;
    uint32_t intid;
    uint32_t baud, clock;
    uint8_t reg_shift;
};
struct platform_ecam {
    uint64_t base;
    uint16_t segment;
    uint8_t bus_first, bus_last;
};

struct platform {
    enum platform_source source;
    uint32_t ncpus, cpus_dropped;
    /* affinity fields, MPIDR_EL1 layout; usable CPUs in table order */
    uint64_t mpidr[PLATFORM_CPUS_MAX];
    enum psci_conduit psci;
    struct {
        uint8_t version;           /* 2 or 3 (4 counts as 3) */
        uint64_t dist;             /* GICD */
        uint64_t gicc, gich, gicv; /* GICv2 (or a v3 with legacy interface) */
        struct platform_range gicr[PLATFORM_GICR_MAX];
        uint32_t ngicr;
        /* ACPI's GICC may name each redistributor instead; 0: search gicr[] */
        uint64_t gicr_cpu[PLATFORM_CPUS_MAX];
        uint64_t its[PLATFORM_ITS_MAX];
        uint32_t its_id[PLATFORM_ITS_MAX];
        uint32_t nits;
        uint32_t maintenance; /* INTID of the maintenance PPI, normally 25 */
    } gic;
    /* INTIDs of the generic timer's PPIs, normally 30, 27, 26, 28 */
    struct {
        uint32_t phys, virt, hyp, hyp_virt;
    } timer;
    struct platform_serial uart;
    /* bit per INTID that is edge-triggered: told by device trees; ACPI's SPCR has none that is */
    uint32_t edge[1024 / 32];
    struct platform_ecam ecam[PLATFORM_ECAM_MAX];
    uint32_t necam;
};
extern struct platform the_platform;

/*
 * Fills the_platform, from ACPI if its MADT knows ARM CPUs, else from the device tree; empty
 * (PLATFORM_NONE) on x86. May be called again: the early console does so before the boot step. Logs
 * nothing.
 */
struct boot_info;
void platform_find(const struct boot_info *);
/*
 * Boot step, after acpi_init(): the same, and one line in the log. A machine without either is no
 * error here.
 */
int must_check platform_init(const struct boot_info *);
/*
 * The parsers, without side effects. False: no ARM64 machine is described there, and *out is empty.
 */
bool acpi_parse_platform(struct platform *out, uint64_t rsdp, acpi_map_fn map);
bool fdt_parse_platform(struct platform *out, uint64_t fdt, acpi_map_fn map);
