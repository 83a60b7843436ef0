/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * driver.c: which driver works for which function of the host's PCI devices. The drivers are in
 * section pci_drivers, where PCI_DRIVER() puts each.
 */
#include <hv/assert.h>
#include <hv/host_topology.h>
#include <hv/log.h>

/* The section's first entry and its end: the linker knows. Weak: a test may have no driver. */
extern const struct pci_driver *const __start_pci_drivers[] __attribute__((weak));
extern const struct pci_driver *const __stop_pci_drivers[] __attribute__((weak));

/* Asks the drivers of its class, until one has it. True: one has. */
static bool driver_probe(const struct host_pci_dev *d)
{
    uint32_t class = (uint32_t)d->class << 16 | (uint32_t)d->subclass << 8 | d->prog_if;

    /* cppcheck-suppress comparePointers ; both ends of one section */
    for (const struct pci_driver *const *p = __start_pci_drivers; p < __stop_pci_drivers; p++) {
        int err = (*p)->class == class ? (*p)->probe(d) : -ENODEV;

        if (err == -ENODEV)
            continue;
        if (err)
            log_err("PCI %04x:%02x:%02x.%u: driver %s failed: error %d", d->segment, d->bus,
                    d->devfn >> 3, d->devfn & 7u, (*p)->name, -err);
        host_topology_set_driver(d, (*p)->name);
        return true;
    }
    return false;
}

void host_pci_shutdown(void)
{
    assert_cpu0();
    /* cppcheck-suppress comparePointers ; as above */
    for (const struct pci_driver *const *p = __start_pci_drivers; p < __stop_pci_drivers; p++)
        if ((*p)->shutdown)
            (*p)->shutdown();
}

int host_pci_probe(void)
{
    uint32_t count;
    const struct host_pci_dev *d = host_pci_devs(&count);
    bool any = false;

    assert_cpu0();
    for (uint32_t i = 0; i < count; i++)
        if (!d[i].physical && !host_topology_is_kept(&d[i])) /* virtual ones are for guests */
            any |= driver_probe(&d[i]);
    return any ? 0 : -ENODEV;
}
