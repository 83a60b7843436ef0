/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's PCI devices, found once at boot; constant afterwards. Implemented by drivers/pci. The
 * virtual bus of guests is <hv/pci.h>.
 */
#pragma once
#include <hv/types.h>

#define HOST_PCI_MAX 256

/* One function, as its configuration header says (PCI Local Bus Specification 3.0 section 6.1). */
struct host_pci_dev {
    uint16_t segment, vendor, device;
    uint8_t bus, devfn; /* devfn: device number << 3 | function */
    uint8_t class, subclass, prog_if;
    uint8_t header; /* 0: a device, 1: a bridge, 2: a CardBus bridge */
    uint8_t window; /* of ECAM; for drivers/pci only */
    bool stopped;   /* atomic: see host_pci_stop() */
    uint16_t vf;    /* of a virtual function (PCIe 4.0 §9): which one, from 0 */
    const struct host_pci_dev *physical; /* the function that it is one of; NULL: it is none */
};

/*
 * Boot step of drivers_init(), after acpi_init(). -ENODEV: neither ECAM nor configuration mechanism
 * 1.
 */
int must_check host_pci_init(void);
const struct host_pci_dev *host_pci_devs(uint32_t *count);
/* How configuration space is reached, in words. */
const char *host_pci_access(void);
/*
 * Any CPU; a DRIVER lock may be held. off: bytes from the start of the function's configuration
 * space, a multiple of size, which is 1, 2 or
 * 4. Beyond what the access reaches (256 bytes by mechanism 1, 4096 by ECAM) reads give all ones
 * and writes do nothing.
 */
uint32_t host_pci_read(const struct host_pci_dev *, uint32_t off, unsigned size);
void host_pci_write(const struct host_pci_dev *, uint32_t off, unsigned size, uint32_t val);
/* "storage, NVMe": never NULL. */
const char *host_pci_class(const struct host_pci_dev *);

/*
 * A driver of PCI functions. Its file defines one of these and names it in PCI_DRIVER(); there is
 * no other list. Of those of one class each is asked, in the order in which they are linked.
 */
struct pci_driver {
    const char *name; /* for people: in the log */
    uint32_t class;   /* class << 16 | subclass << 8 | prog_if; the whole must be equal */
    /*
     * Boot CPU, once for each function of that class, before other CPUs are up. It keeps the
     * function or not, as it likes. -ENODEV: it is not for this driver, but maybe for another of
     * that class. -Exxx: it was to be kept but cannot be; the log says so.
     */
    int (*probe)(const struct host_pci_dev *);
    /*
     * Optional. CPU 0, the machine is about to be switched off or restarted, and nobody has a
     * request under way: brings all of its functions to rest, in bounded time.
     */
    void (*shutdown)(void);
};
#define PCI_DRIVER(driver)                                \
    static const struct pci_driver *const driver##_listed \
        __attribute__((used, section("pci_drivers"))) = &driver
/*
 * Boot step of drivers_init(), after host_pci_init(): gives each function to its driver. -ENODEV:
 * no driver found one.
 */
int must_check host_pci_probe(void);
/* CPU 0, at the machine's end: the shutdown() of each driver that has one. */
void host_pci_shutdown(void);

/*
 * What a driver does with its function. Boot CPU, from drivers_init(), but for
 * host_pci_command(), which any CPU may call for a function whose driver it works for. At boot
 * storage and network controllers are no bus masters: what the firmware left running on them
 * reaches memory no more. A driver stops its controller first and makes it a bus master then.
 */
enum host_pci_command_bit { /* PCI Local Bus Specification 3.0 section 6.2.2 */
                            HOST_PCI_IO = 1,
                            HOST_PCI_MEMORY = 2,
                            HOST_PCI_MASTER = 4,
                            HOST_PCI_NO_INTX = 1 << 10
};
/* Sets and clears bits of the command register, and waits until the function has it. */
void host_pci_command(const struct host_pci_dev *, uint16_t set, uint16_t clear);
/*
 * True: it is no bus master any more, and stays none, whoever asks, until this is called with
 * false. What it had written before has arrived then. Any CPU, locks up to LOCK_IOMMU held.
 */
void host_pci_stop(const struct host_pci_dev *, bool stop);
/* A BAR (section 6.2.5.1). Of memory: base and len in bytes; base 0: the firmware gave no place. */
struct host_pci_bar {
    uint64_t base, len;
    bool io, wide, prefetch;
};
/*
 * Sizes BAR i, 0 to 5, of a header of kind 0; it decodes nothing meanwhile, and holds afterwards
 * what it held. Those of a virtual function are its share of what its physical one was given.
 * -ENOENT: there is none, or it is the upper half of another. -EINVAL: what it says cannot be.
 */
int must_check host_pci_bar(const struct host_pci_dev *, unsigned i, struct host_pci_bar *);
/*
 * The first `len` bytes of a memory BAR, uncached, with memory decoding on; they stay mapped. NULL,
 * and a line in the log: no such memory BAR, a shorter one, without a place, or no address space.
 */
void *host_pci_map(const struct host_pci_dev *, unsigned i, uint64_t len);
/* Offset of a capability in configuration space (section 6.7), bounded; 0: there is none. */
enum host_pci_cap_id { HOST_PCI_CAP_MSI = 5, HOST_PCI_CAP_EXPRESS = 0x10, HOST_PCI_CAP_MSIX = 17 };
uint32_t host_pci_cap(const struct host_pci_dev *, uint8_t id);
/* Of those with that id the n-th, from 0. */
uint32_t host_pci_cap_nth(const struct host_pci_dev *, uint8_t id, unsigned n);
/*
 * Interrupt n of the function (MSI-X; by MSI there is 0 only) calls fn(arg) on `cpu`, which is up,
 * from irq_window(); fn posts an event and returns. INTx is off from then on. -ENOTSUP: neither
 * MSI-X nor MSI, or this machine's interrupt controller takes no messages yet (ARM64: the host side
 * of the ITS and of GICv2m is missing): poll. -ENOSPC; -ENOMEM; -EIO: the IOMMU does not answer.
 */
int must_check host_pci_irq(const struct host_pci_dev *, unsigned n, uint32_t cpu,
                            void (*fn)(void *), void *arg);
/*
 * The second half of that, for a caller that makes the message: interrupt n of the function is `m`
 * from here on. By MSI-X: `table`, its table, is mapped with more than n entries; nothing that the
 * function says of it is believed here. NULL: by MSI. Any CPU, one for a function. -ENOTSUP: it has
 * no such capability.
 */
struct irq_message;
int must_check host_pci_irq_write(const struct host_pci_dev *, volatile uint8_t *table, unsigned n,
                                  const struct irq_message *m);
/* Masks interrupt n of those, `table` as there, or lets it through again: as there. */
void host_pci_irq_mask(const struct host_pci_dev *, volatile uint8_t *table, unsigned n, bool on);
/* No interrupt of the function any more, by message or by line: as there. */
void host_pci_irq_off(const struct host_pci_dev *);

/* regs.c: a device's register of 1, 2 or 4 bytes, in what a BAR was mapped to. Any CPU. */
uint32_t host_reg_read(const volatile uint8_t *, unsigned size);
void host_reg_write(volatile uint8_t *, unsigned size, uint32_t);
