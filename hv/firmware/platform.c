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

struct platform the_platform;

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
    if (p->source == PLATFORM_NONE)
        return 0;
    log_info("machine from %s: %u CPU%s, GICv%u with %u ITS, %s", sources[p->source], p->ncpus,
             p->ncpus == 1 ? "" : "s", p->gic.version, p->gic.nits, conduits[p->psci]);
    if (p->cpus_dropped)
        log_warn("%u CPUs beyond the first %u are ignored", p->cpus_dropped, PLATFORM_CPUS_MAX);
    return 0;
}
