/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an ARM64 machine consists of, in plain numbers, from ACPI (MADT, GTDT, MCFG, SPCR, DBG2,
 * FADT) or, where there is none, from the device tree. Implemented by hv/firmware; constant after
 * the boot step "firmware tables". Firmware may be broken: every length is checked, every loop
 * bounded, what cannot be used is left out with one line in the log. Zero: not there.
 */
#pragma once
#include <hv/acpi.h>
#include <hv/types.h>

#define PLATFORM_CPUS_MAX MAX_CPUS
#define PLATFORM_ITS_MAX 8
#define PLATFORM_GICR_MAX 16
#define PLATFORM_ECAM_MAX 16
#define PLATFORM_SMMUS_MAX 16
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
    int node; /* device tree: where its node lies */
};

/*
 * An SMMUv3 (Arm IHI 0070): its registers, and its wired interrupts (section 3.18), which are
 * edges; 0: there is none, or it comes by message only.
 */
struct platform_smmu {
    uint64_t base;
    uint32_t event, gerror;
    bool coherent; /* the firmware says that its walks look into the caches */
    uint32_t node; /* of hv/firmware: IORT, the node's offset; device tree, its phandle */
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
        /* bytes from one redistributor to the next, told by device trees; 0: GICR_TYPER says it */
        uint64_t gicr_stride;
        /* ACPI's GICC may name each redistributor instead; 0: search gicr[] */
        uint64_t gicr_cpu[PLATFORM_CPUS_MAX];
        uint64_t its[PLATFORM_ITS_MAX];
        uint32_t its_id[PLATFORM_ITS_MAX];
        uint32_t its_node[PLATFORM_ITS_MAX]; /* device tree: its phandle */
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
    struct platform_smmu smmu[PLATFORM_SMMUS_MAX];
    /* told; SMMUv3 beyond the array; of an older architecture, which Trivet does not drive */
    uint32_t nsmmus, smmus_dropped, old_smmus;
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

/*
 * Where a device's DMA and messages go. smmu, its: places in the_platform.smmu and
 * the_platform.gic.its; -1: they pass none.
 */
struct platform_route {
    int smmu, its;
    uint32_t stream, device; /* its StreamID there, its DeviceID there */
    bool old_smmu;           /* it is behind an SMMU of an older architecture */
    /*
     * So many requester ids behind this one go the same way, their StreamIDs and DeviceIDs in a row
     * (-ENOENT: go nowhere, too).
     */
    uint32_t more;
};
/*
 * Of the PCI function with that requester id (bus << 8 | devfn). Boot CPU, after platform_init().
 * -ENOENT: the firmware does not say (or the machine is not ARM64). -EINVAL: what it says is no
 * answer: two of them, a circle, an SMMU that is not there. *out is then empty but for
 * `more`.
 */
int must_check platform_route(uint16_t segment, uint16_t rid, struct platform_route *out);
/*
 * Of a device that is not on PCI, by its name in the firmware's words: IORT's device object name,
 * or the path of a node. n: of its ids the n-th. Errors as of platform_route().
 */
int must_check platform_route_named(const char *name, uint32_t n, struct platform_route *out);

/*
 * Memory that the firmware wants streams to reach as it is (IORT's RMR nodes): whole pages.
 */
struct platform_reserved {
    int smmu;
    uint32_t first, last; /* StreamIDs */
    uint64_t base, len;
};
/* The n-th. False: no more. Boot CPU, after platform_init(). */
bool platform_reserved(unsigned n, struct platform_reserved *out);

/*
 * The parsers of that, without side effects. `fdt`, `iort`: verified, of their whole length. 0;
 * -ENOENT: the tables name no such device; -EINVAL: they contradict themselves.
 */
int must_check iort_route(const struct platform *, const void *iort, uint16_t segment, uint16_t rid,
                          struct platform_route *out);
int must_check iort_route_named(const struct platform *, const void *iort, const char *name,
                                uint32_t n, struct platform_route *out);
bool iort_reserved(const struct platform *, const void *iort, unsigned n,
                   struct platform_reserved *out);
int must_check fdt_route(const struct platform *, const void *fdt, uint16_t segment, uint16_t rid,
                         struct platform_route *out);
int must_check fdt_route_named(const struct platform *, const void *fdt, const char *path,
                               uint32_t n, struct platform_route *out);
