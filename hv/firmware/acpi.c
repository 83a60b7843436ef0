/* SPDX-License-Identifier: BSD-2-Clause */
/* acpi.c: this machine's tables, power off and reset. */
#include <arch/io.h>
#include <arch/mmu.h>

#include <hv/acpi.h>
#include <hv/assert.h>
#include <hv/log.h>

#include "boot/boot_info.h"
#include "acpi_private.h"

static struct acpi_info info;
static uint64_t rsdp;

static const void *acpi_map(hpa_t phys, uint64_t len) { return mmu_map_firmware(phys, len); }

int acpi_init(const struct boot_info *bi)
{
    assert_cpu0();
    hv_assert(bi);
    rsdp = bi->rsdp;
    if (!acpi_parse(&info, rsdp, acpi_map)) {
        /* an ARM64 machine without ACPI: everything is in the device tree */
        if (bi->fdt)
            return 0;
        log_warn("no usable ACPI tables: power-off, reset and other CPUs may not work");
        return 0;
    }
    if (info.nbad)
        log_warn("ACPI: %u tables with a bad length or checksum are ignored", info.nbad);
    if (info.cpus_dropped)
        log_warn("ACPI: %u CPUs beyond the first %u are ignored", info.cpus_dropped, ACPI_CPUS_MAX);
    log_debug("ACPI: %s %s, %u tables, %u CPUs, %u IOAPICs", info.oem, info.table_oem, info.ntables,
              info.ncpus, info.nioapics);
    return 0;
}

const struct acpi_info *acpi_info(void) { return &info; }

const void *acpi_table(const char *sig, unsigned nth)
{
    return acpi_find(rsdp, acpi_map, sig, nth);
}

static uint32_t reg_read(const struct acpi_gas *g)
{
    if (g->space == ACPI_IO)
        return port_read((uint16_t)g->addr, 2);
    return 0;
}

static void reg_write(const struct acpi_gas *g, unsigned size, uint32_t val)
{
    if (g->space == ACPI_IO) {
        port_write((uint16_t)g->addr, size, val);
    } else if (g->space == ACPI_MEMORY) {
        void *p = mmu_map_device(hpa(g->addr), 4);

        if (p && size == 1)
            mmio_write8(p, (uint8_t)val);
        else if (p)
            mmio_write32(p, val);
    }
}

#define SCI_EN 1u
#define SLP_EN (1u << 13)
#define SLP_TYP(t) ((uint32_t)(t) << 10)

/* Section 4.8.3.2.1, and 4.8.3.7 for hardware-reduced machines. */
void acpi_poweroff(void)
{
    const struct acpi_power *p = &info.power;

    if (!info.present || !p->s5_valid)
        return;
    if (p->hw_reduced) {
        if (p->sleep_control.addr)
            reg_write(&p->sleep_control, 1, 1u << 5 | (uint32_t)p->slp_typa << 2);
        return;
    }
    if (p->smi_cmd && p->acpi_enable && !(reg_read(&p->pm1a) & SCI_EN)) {
        port_write((uint16_t)p->smi_cmd, 1, p->acpi_enable);
        for (int i = 0; i < 100000 && !(reg_read(&p->pm1a) & SCI_EN); i++)
            ;
    }
    reg_write(&p->pm1a, 2, (reg_read(&p->pm1a) & SCI_EN) | SLP_TYP(p->slp_typa) | SLP_EN);
    if (p->pm1b.addr)
        reg_write(&p->pm1b, 2, (reg_read(&p->pm1b) & SCI_EN) | SLP_TYP(p->slp_typb) | SLP_EN);
    for (int i = 0; i < 100000; i++)
        (void)port_read(0x80, 1);
}

void acpi_reset(void)
{
    const struct acpi_power *p = &info.power;

    if (info.present && p->reset_valid)
        reg_write(&p->reset, 1, p->reset_value);
}
