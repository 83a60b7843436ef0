/* SPDX-License-Identifier: BSD-2-Clause */
/* drivers.c: every driver of the host, in probe order. */
#include <arch/mmu.h>

#include <hv/disk.h>
#include <hv/assert.h>
#include <hv/drivers.h>
#include <hv/host_pci.h>
#include <hv/lock.h>
#include <hv/log.h>
#include <hv/smbios.h>
#include <string.h>

#include "boot/boot_info.h"
#include "fb/fb.h"
#include "input/i8042.h"
#include "iommu/amdvi.h"
#include "iommu/smmuv3.h"
#include "iommu/vtd.h"
#include "serial/serial.h"

static bool have_serial, have_fb, have_keyboard;
static struct smbios_info told;

/*
 * Both: a serial port that nobody reads must not leave the screen dark. A line at a time: CPUs that
 * come up log, too.
 */
static void early_sink(const char *s, size_t n)
{
    static struct spinlock lock = SPINLOCK_INIT(LOCK_EARLY);

    spin_lock(&lock);
    if (have_serial)
        serial_early_write(s, n);
    fb_write_sync(s, n);
    spin_unlock(&lock);
}

void drivers_early_console(const struct boot_info *bi)
{
    have_fb = fb_early(bi);
    have_serial = serial_early(bi);
    if (have_serial || have_fb)
        log_set_sink(early_sink);
}

bool drivers_have_screen(void) { return have_fb; }

/* 0: the driver found its device. -ENODEV: it is not there. */
static int init_serial(const struct boot_info *bi)
{
    (void)bi;
    int err = serial_init();

    have_serial = err == 0;
    return err;
}

static int init_fb(const struct boot_info *bi)
{
    (void)bi;
    return fb_init();
}

/* One who types wants to see it: without a screen, none is looked for. */
static int init_keyboard(const struct boot_info *bi)
{
    (void)bi;
    int err = have_fb ? i8042_init() : -ENODEV;

    have_keyboard = err == 0;
    return err;
}

/*
 * Not a device, but the firmware's word on what machine this is: the first question about any
 * fault.
 */
static int init_smbios(const struct boot_info *bi)
{
    struct smbios_info *s = &told;

    if (!smbios_parse(s, bi->smbios, mmu_map_firmware))
        return -ENODEV;
    log_info("machine: %s %s; firmware %s", s->maker, s->product, s->firmware);
    return 0;
}

static int init_pci(const struct boot_info *bi)
{
    (void)bi;
    return host_pci_init();
}

/* Before any driver makes its function a bus master. */
static int init_iommus(const struct boot_info *bi)
{
    (void)bi;
    int vtd = vtd_init(), amdvi = amdvi_init(), smmu = smmuv3_init();

    return vtd != -ENODEV ? vtd : amdvi != -ENODEV ? amdvi : smmu;
}

/* The drivers of PCI functions, each of which names itself: PCI_DRIVER(). */
static int init_pci_drivers(const struct boot_info *bi)
{
    (void)bi;
    return host_pci_probe();
}

/* Not a device: which of the disks is the one that Trivet came from. */
static int init_boot_disk(const struct boot_info *bi)
{
    disk_hold_boot(bi);
    return 0;
}

static const struct driver {
    const char *name;
    int (*init)(const struct boot_info *);
} drivers[] = {
    { "SMBIOS", init_smbios },
    { "serial", init_serial },
    { "framebuffer", init_fb },
    { "keyboard", init_keyboard },
    { "PCI", init_pci },
    { "IOMMUs", init_iommus },
    { "PCI functions", init_pci_drivers },
    { "boot disk", init_boot_disk },
};

void drivers_shutdown(void)
{
    assert_cpu0();
    host_pci_shutdown();
}

void drivers_firmware(struct drivers_firmware *f)
{
    f->smbios = told;
    memcpy(f->tables, acpi_info()->signatures, sizeof f->tables);
}

int drivers_init(const struct boot_info *bi)
{
    assert_cpu0();
    hv_assert(bi);
    for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
        int err = drivers[i].init(bi);

        if (err && err != -ENODEV)
            log_err("driver %s failed: error %d", drivers[i].name, -err);
    }
    if (!have_serial)
        log_warn("no serial port was found: the log is on the screen%s%s%s", have_fb ? ", a " : "",
                 have_fb ? fb_name() : "",
                 have_keyboard ? "" : "; no PC keyboard was found: a USB keyboard may work");
    return 0;
}
