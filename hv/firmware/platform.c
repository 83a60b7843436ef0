/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * platform.c: what this ARM64 machine consists of, from whichever description the firmware gives.
 */
#include <arch/mmu.h>

#include <hv/assert.h>
#include <hv/log.h>
#include <hv/platform.h>
#include <string.h>

#include "boot/boot_info.h"
#include "fdt_private.h"

struct platform the_platform;
static const void *tree; /* the device tree, where the machine is described by one */

void platform_find(const struct boot_info *bi)
{
    assert_cpu0();
    if (!acpi_parse_platform(&the_platform, bi->rsdp, mmu_map_firmware) &&
        !fdt_parse_platform(&the_platform, bi->fdt, mmu_map_firmware))
        memset(&the_platform, 0, sizeof the_platform);
}

int platform_init(const struct boot_info *bi)
{
    static const char *const sources[] = {
        [PLATFORM_ACPI] = "ACPI", [PLATFORM_FDT] = "device tree"
    };
    static const char *const conduits[] = {
        [PSCI_NONE] = "no PSCI", [PSCI_SMC] = "PSCI by SMC", [PSCI_HVC] = "PSCI by HVC"
    };
    const struct platform *p = &the_platform;

    assert_cpu0();
    platform_find(bi);
    tree = p->source == PLATFORM_FDT ? fdt_map_tree(bi->fdt, mmu_map_firmware) : NULL;
    if (p->source == PLATFORM_NONE)
        return 0;
    log_info("machine from %s: %u CPU%s, GICv%u with %u ITS, %s", sources[p->source], p->ncpus,
             p->ncpus == 1 ? "" : "s", p->gic.version, p->gic.nits, conduits[p->psci]);
    if (p->cpus_dropped)
        log_warn("%u CPUs beyond the first %u are ignored", p->cpus_dropped, PLATFORM_CPUS_MAX);
    if (p->smmus_dropped)
        log_warn("%u SMMUs beyond the first %u are ignored", p->smmus_dropped, PLATFORM_SMMUS_MAX);
    return 0;
}

int platform_route(uint16_t segment, uint16_t rid, struct platform_route *out)
{
    if (the_platform.source == PLATFORM_FDT)
        return fdt_route(&the_platform, tree, segment, rid, out);
    return iort_route(&the_platform, acpi_table("IORT", 0), segment, rid, out);
}

int platform_route_named(const char *name, uint32_t n, struct platform_route *out)
{
    if (the_platform.source == PLATFORM_FDT)
        return fdt_route_named(&the_platform, tree, name, n, out);
    return iort_route_named(&the_platform, acpi_table("IORT", 0), name, n, out);
}

bool platform_reserved(unsigned n, struct platform_reserved *out)
{
    return the_platform.source == PLATFORM_ACPI &&
           iort_reserved(&the_platform, acpi_table("IORT", 0), n, out);
}
