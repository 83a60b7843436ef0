/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's PCI Express bus: one bus of 32 functions (00:00.0 is the host bridge), configuration
 * space by CF8/CFC (x86) and ECAM, BARs, capability lists, MSI-X, INTx. PCI Local Bus spec 3.0 §6,
 * PCIe base spec 5.0 §7.
 */
#pragma once
#include <hv/io.h>
#include <hv/lock.h>
#include <hv/types.h>
struct guest_config;
struct vm;
struct vpci_dev;
struct vpci_id;
#define VPCI_ECAM_LEN MIB /* one bus */
#define VPCI_SLOTS 32
#define VPCI_BARS 6
#define VPCI_REGIONS 8 /* pieces of all BARs of one device */
#define VPCI_MSIX_MAX 32
/*
 * ecam: base of VPCI_ECAM_LEN bytes. mmio32, mmio64: windows for BARs; io: for those of ports,
 * io_len 0: there are no ports. cf8: ports 0xcf8..0xcff, among them 0xcf9, the reset control
 * register. GSIs intx_gsi..+3 serve INTA..D by swizzle;
 * intx_line[]: what the Interrupt Line register says for each (0: the GSI itself).
 */
struct vpci_layout {
    uint64_t ecam, mmio32, mmio32_len, mmio64, mmio64_len;
    uint32_t io, io_len;
    bool cf8;
    bool q35; /* 00:00.0 is Intel's Q35, whose PCIEXBAR moves configuration space */
    uint32_t intx_gsi;
    uint8_t intx_line[4];
};
/*
 * CPU 0. Sets vm->pci, which assigns the BARs of devices that are attached later. -ENOMEM, or those
 * of io_register().
 */
int must_check vpci_create(struct vm *, const struct vpci_layout *);
/* CPU 0, no vCPU runs, all devices are detached. Harmless when there is none. */
void vpci_destroy(struct vm *);
/*
 * virtio devices for a guest, in this order on the bus: console, rng, blk ... (hv/vio/build.c); bdf
 * 00:01.0 up. Errors as of volume_open(), passthrough_build(), virtio_add() and net_port_add();
 * -ENODEV: no such network; -EFBIG: a file for a disk is too large; with vm->why.
 */
int must_check vio_build(struct vm *, const struct guest_config *);
/*
 * CPU 0, no vCPU runs: every device is reset. -EINPROGRESS: not yet; vm->lifecycle is posted, to
 * call this again.
 */
int must_check vio_quiesce(struct vm *);
/*
 * the devices, quiesced; what backs them (RAM disks) stays for the next vio_build. Harmless when
 * there are none
 */
void vio_destroy(struct vm *);
/*
 * VM off, after vio_destroy(): frees the backing too, a piece at a time. True: more is left, call
 * it again.
 */
bool must_check vio_release(struct vm *);
/*
 * <hv/state.h>, for the tables of guest ISAs. vio_dev_ops comes before interrupt controllers: until
 * it stands still, a device may send interrupts.
 */
struct state_ops;
struct state_pages;
extern const struct state_ops vpci_bus_ops, vpci_dev_ops, vio_dev_ops, vio_disk_ops;
extern const struct state_pages vio_disk_pages;

/* ---- for device models ---- */
/* Offsets of the type 0 header (PCI 3.0 §6.1, §6.2) */
enum pci_reg {
    PCI_VENDOR_ID = 0x00,
    PCI_DEVICE_ID = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION = 0x08,
    PCI_CLASS = 0x09,
    PCI_CACHE_LINE = 0x0c,
    PCI_LATENCY = 0x0d,
    PCI_HEADER_TYPE = 0x0e,
    PCI_BAR0 = 0x10,
    PCI_SUBSYS_VENDOR = 0x2c,
    PCI_SUBSYS_ID = 0x2e,
    PCI_CAP_PTR = 0x34,
    PCI_INT_LINE = 0x3c,
    PCI_INT_PIN = 0x3d,
};
enum pci_command {
    PCI_CMD_IO = 1 << 0,
    PCI_CMD_MEM = 1 << 1,
    PCI_CMD_MASTER = 1 << 2,
    PCI_CMD_INTX_OFF = 1 << 10
};
enum pci_status { PCI_STATUS_INTX = 1 << 3, PCI_STATUS_CAPS = 1 << 4 };
enum pci_cap { PCI_CAP_VENDOR = 0x09, PCI_CAP_MSIX = 0x11 };

/* PCIe §7.7.2: ctrl bit 0 masks */
struct vpci_msix_entry {
    uint64_t addr;
    uint32_t data, ctrl;
};
static_assert(sizeof(struct vpci_msix_entry) == 16, "PCIe 5.0 §7.7.2");
static_assert(offsetof(struct vpci_msix_entry, data) == 8, "PCIe 5.0 §7.7.2");
static_assert(offsetof(struct vpci_msix_entry, ctrl) == 12, "PCIe 5.0 §7.7.2");
/* What a guest can see and change of one function. */
struct vpci_state {
    uint32_t version, pad;
    uint8_t cfg[256];
    struct vpci_msix_entry msix[VPCI_MSIX_MAX];
    uint32_t msix_pending; /* the PBA */
    uint32_t intx;         /* the device's reasons to hold INTx; 0: none */
};
static_assert(sizeof(struct vpci_state) == 784, "a saved state");
/*
 * A piece of a BAR. Trapped: the device's ops see offsets from `off`. ops NULL: the guest reaches
 * the host's memory at `host` there, whole pages of a device of the machine.
 */
struct vpci_region {
    const char *name;
    uint64_t off, len;
    const struct io_ops *ops;
    void *dev;
    uint64_t host;
    bool combine; /* of host: writes may be combined */
    uint8_t bar;
    bool mapped;
};
struct vpci_dev {
    struct vpci_state s;
    struct vm *vm;
    uint8_t slot, pin;              /* pin: 0 none, 1 INTA */
    uint8_t wmask[256];             /* bits of cfg that the guest may write */
    uint64_t bar_size[VPCI_BARS];   /* 0: none; a 64-bit BAR also occupies the next */
    uint64_t bar_mapped[VPCI_BARS]; /* where its regions are registered; 0: nowhere */
    uint64_t bar_told[VPCI_BARS];   /* where the log says that they cannot be yet; 0: nowhere */
    struct vpci_region region[VPCI_REGIONS];
    uint8_t nregions, cap_tail, cap_free, msix_cap, nmsix;
    struct spinlock lock; /* MSI-X state */
    /*
     * Optional. Any vCPU's CPU, no lock held: true when the device dealt with this access (addr:
     * register) to its configuration space itself.
     */
    bool (*cfg_access)(struct vpci_dev *, struct io_access *);
    /* Optional; no lock held: the guest wrote the command register, or a capability. */
    void (*command_changed)(struct vpci_dev *);
    /*
     * Optional: whether the device holds INTx now. While its line is up this is asked each time
     * that a vCPU has left the guest, so that the line is down at the guest's end of interrupt. Any
     * vCPU's CPU, no lock held.
     */
    bool (*intx_level)(struct vpci_dev *);
};
struct vpci_id {
    uint16_t vendor, device, subsys_vendor, subsys;
    uint32_t class_code; /* 24 bits */
    uint8_t revision, pin;
};

/* Set-up, CPU 0, before the guest runs, in this order. */
void vpci_dev_init(struct vpci_dev *, struct vm *, const struct vpci_id *);
/* size: power of two >= 16 */
void vpci_add_bar(struct vpci_dev *, unsigned bar, uint64_t size, bool is64);
/* Whether guests of this bus have ports: no device may have a BAR of them else. */
bool vpci_has_ports(const struct vm *);
/* The same, of ports; size: power of two, 4 to 256. Its regions are trapped. */
void vpci_add_io_bar(struct vpci_dev *, unsigned bar, uint32_t size);
/* copies all but bar and mapped */
void vpci_add_region(struct vpci_dev *, unsigned bar, const struct vpci_region *);
/* body: what follows the two bytes id and next; wmask: its writable bits, or NULL. Returns the
 * capability's offset. All of a device's capabilities must fit into its 256 bytes of configuration
 * space. */
unsigned vpci_add_cap(struct vpci_dev *, uint8_t id, const void *body, const void *wmask,
                      unsigned len);
/*
 * Table at 0 and PBA at 2 KiB of a BAR of 4 KiB or more that the caller has added. nvec:
 * 1..VPCI_MSIX_MAX.
 */
void vpci_add_msix(struct vpci_dev *, unsigned bar, unsigned nvec);
/*
 * Puts it into the first free slot, assigns the BARs and turns memory decoding on. -ENOSPC: no slot
 * is free, or no room for a BAR; -EEXIST: a BAR would lie on another. vm->pci must exist.
 */
int must_check vpci_attach(struct vpci_dev *);
/* The same, into that slot. -EEXIST also: it is taken; -ENOSPC: no room for a BAR. */
int must_check vpci_attach_at(struct vpci_dev *, unsigned slot);
/* CPU 0: what is there; NULL: nothing, or the host bridge. slot: below VPCI_SLOTS. */
const struct vpci_dev *vpci_at(const struct vm *, unsigned slot);
/* CPU 0, no vCPU runs. Harmless when not attached. */
void vpci_detach(struct vpci_dev *);

/* Any CPU, no lock at or above LOCK_DEVICE held. */
bool vpci_msix_enabled(const struct vpci_dev *);
/* sends, or sets the pending bit when masked or no bus master */
void vpci_msix_notify(struct vpci_dev *, unsigned vec);
/*
 * The guest's own MSI-X table at off, for devices that place it themselves: accesses of other sizes
 * than 4 and 8, and what is behind its entries, read as zero and are ignored.
 */
uint64_t vpci_msix_table_read(struct vpci_dev *, uint64_t off, unsigned size);
void vpci_msix_table_write(struct vpci_dev *, uint64_t off, unsigned size, uint64_t);
/* adds reasons and asserts the line, unless disabled */
void vpci_intx_raise(struct vpci_dev *, uint32_t reasons);
/* returns and clears the reasons, deasserts */
uint32_t vpci_intx_take(struct vpci_dev *);
/* Sets them to one reason, or to none, as `level` says. */
void vpci_intx_set(struct vpci_dev *, bool level);
/*
 * An access to the BAR's contents from inside (virtio's configuration-space window). -ENOENT:
 * nothing there.
 */
int must_check vpci_bar_access(struct vpci_dev *, unsigned bar, struct io_access *);
/*
 * Bytes of configuration space are read on the device's CPU while a vCPU writes them: each is read
 * and written whole.
 */
static inline uint32_t vpci_cfg_get(const struct vpci_dev *d, unsigned reg, unsigned size)
{
    uint32_t v = 0;

    static_assert(offsetof(struct vpci_dev, s.cfg) % 4 == 0, "a register at once");
    if (size == 4 && reg % 4 == 0)
        return __atomic_load_n((const uint32_t *)(const void *)&d->s.cfg[reg], __ATOMIC_RELAXED);
    for (unsigned i = 0; i < size; i++)
        v |= (uint32_t)__atomic_load_n(&d->s.cfg[reg + i], __ATOMIC_RELAXED) << (8 * i);
    return v;
}
/* The device may reach memory and send messages. Any CPU. */
static inline bool vpci_bus_master(const struct vpci_dev *d)
{
    return vpci_cfg_get(d, PCI_COMMAND, 1) & PCI_CMD_MASTER;
}
static inline void vpci_cfg_set(struct vpci_dev *d, unsigned reg, unsigned size, uint64_t v)
{
    for (unsigned i = 0; i < size; i++)
        __atomic_store_n(&d->s.cfg[reg + i], (uint8_t)(v >> (8 * i)), __ATOMIC_RELAXED);
}
