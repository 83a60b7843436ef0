/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IOMMUs: what the host's devices reach by DMA, and which interrupts they may send. The contract
 * `iommu_ops` between the portable core (drivers/iommu/iommu.c), which knows who owns which device,
 * and the drivers of units (VT-d, AMD-Vi, SMMUv3).
 *
 * A device is in one of two states, and there is no third one such as "untranslated". Blocked: it
 * reaches nothing. So is every device once its unit is on, after iommu_detach(), and when it was
 * cut off for its faults. Attached: it reaches what its domain maps, and nothing else.
 *
 * A domain is a set of page tables of one unit. Whose it is decides who maps there. A guest's:
 * gmem.c alone. It is made by iommu_domain_init(), gmem_attach(vm, &d->gmem), iommu_attach(), and
 * unmade by iommu_detach(), gmem_detach(), iommu_domain_fini(); a guest whose devices are behind
 * several units has a domain for each. A host driver's: <hv/dma.h> alone, which maps the buffers of
 * requests under way.
 *
 * The page tables belong to the domain; gpa_t is the address that the device uses.
 *
 * What is not done yet: devices that are no PCI functions, PASIDs and first-level translation, ATS,
 * posted interrupts, hot-plugged units. Errors of the PCI Express fabric (AER) are not this file's.
 *
 * Unless another context is named: CPU 0, no lock held.
 */
#pragma once
#include <hv/event.h>
#include <hv/gmem.h>
#include <hv/host_pci.h>
#include <hv/pt.h>
#include <hv/types.h>
struct irq_message;
struct iommu_unit;
struct iommu_domain;

/* "segment:bus:device.function" as PCI has it in its requests: bus << 8 | devfn. */
static inline uint16_t host_pci_rid(const struct host_pci_dev *d)
{
    return (uint16_t)(d->bus << 8 | d->devfn);
}

/* ---- units ---- */

/*
 * Requester IDs first..last of a segment are the unit's. The unit knows them as stream, stream + 1
 * and so on (VT-d, AMD-Vi: the source or device ID, which is the requester ID; SMMUv3: the
 * StreamID); one_stream: all of them as `stream` (AMD-Vi: an alias).
 */
struct iommu_scope {
    uint16_t segment, first, last;
    bool one_stream;
    uint32_t stream;
};

/* Why a unit refused an access, in words that all kinds of unit share. */
enum iommu_reason {
    IOMMU_OTHER,
    IOMMU_BLOCKED,    /* the device is attached to nothing */
    IOMMU_UNMAPPED,   /* nothing is mapped there, or (where the unit does not tell) not for this */
    IOMMU_DENIED,     /* it is mapped, but not for this: a write to what may be read only */
    IOMMU_RANGE,      /* beyond what the tables can describe */
    IOMMU_INTERRUPT,  /* a message that is no interrupt of the device's; addr: its index */
    IOMMU_BAD_TABLES, /* the unit could not read its tables: a bug of ours, or of the memory */
    IOMMU_REASONS
};
enum iommu_access { IOMMU_READ, IOMMU_WRITE };
struct iommu_fault {
    uint64_t addr; /* as the device gave it, as far as the unit tells: some drop the low 12 bits */
    uint32_t stream;
    uint8_t reason; /* enum iommu_reason */
    uint8_t access; /* enum iommu_access */
    uint16_t code;  /* the unit's own word for it, for the log */
};
/* "the device has no owner": never NULL, for any byte. Any context. */
const char *iommu_reason_text(uint8_t reason);

/*
 * A kind of unit. All but irq, irq_off and irq_line must be there. Streams are those of the unit's
 * scopes; no call but poll and flush comes when the unit is broken.
 */
struct iommu_ops {
    const char *name; /* "VT-d" */
    /*
     * Page tables for a new domain: pt_init() of d->gmem.pt with the unit's format, and d->id,
     * which no other domain of the unit has. The core has set all else. -ENOSPC: no id is left.
     * -ENOMEM.
     */
    int (*domain_init)(struct iommu_unit *, struct iommu_domain *, pt_pay *, void *payer);
    /* No stream is attached to it any more. Gives the id back; the core calls pt_fini(). */
    void (*domain_fini)(struct iommu_unit *, struct iommu_domain *);
    /*
     * The stream reaches what the domain maps; NULL: nothing. It was blocked before, or is to be.
     * When this returns 0, the unit has forgotten what it knew of the stream. quiet: its faults are
     * not reported from here on (only with NULL). -ENOMEM: it is as it was. -EIO: the unit did not
     * answer in time; the core takes the unit for broken.
     */
    int (*set)(struct iommu_unit *, uint32_t stream, struct iommu_domain *, bool quiet);
    /*
     * When this returns 0, the unit has forgotten all that it knew of [at, at+len) of the domain,
     * tables that were taken out included, and accesses under way there have ended. Any CPU, locks
     * up to LOCK_DMA_PT held. In bounded time: -EIO: the unit did not answer.
     */
    int (*flush)(struct iommu_unit *, struct iommu_domain *, gpa_t at, uint64_t len);
    /*
     * Takes what the unit has recorded, calls iommu_report() for each, at most `most` times. True:
     * there is more.
     */
    bool (*poll)(struct iommu_unit *, unsigned most);
    /*
     * Interrupt remapping; NULL: the unit does none, and a message goes as it is. Interrupt n of
     * the stream is to arrive as `plain` says, which irq_message() made (arch/irq.h): *out is what
     * to write to the device instead. The device can cause this one and no other. Changes the
     * interrupt when it was there before. sender: the stream that the device's messages carry,
     * which a bridge may have put in its place. -ENOSPC; -EIO as above; -EINVAL: `plain` is no such
     * message.
     */
    int (*irq)(struct iommu_unit *, uint32_t stream, unsigned n, uint32_t sender,
               const struct irq_message *plain, struct irq_message *out);
    /* The interrupt does not arrive any more. Harmless for one that is not there. */
    void (*irq_off)(struct iommu_unit *, uint32_t stream, unsigned n, uint32_t sender);
};

/* The driver fills in the first part, constant from iommu_add() on. */
struct iommu_unit {
    const struct iommu_ops *ops;
    char name[16]; /* "vtd0" */
    /* for people: "48-bit addresses, 2 MiB pages, interrupt remapping" */
    char features[96];
    const struct iommu_scope *scopes;
    uint32_t nscopes;
    /* every device of `segment` that is in no unit's scopes is this one's */
    bool all;
    uint16_t segment;
    bool no_irqs;       /* interrupts are not remapped, although ops->irq is there; known before any
                           driver starts */
    bool no_write_only; /* devices read (nothing) from what they write to: map it for both */
    bool told;          /* the core's: that the unit is broken */
    bool polled; /* nothing interrupts when it records a fault: it is looked at now and then */
    /*
     * The core's. broken: it did not answer; what it has is blocked as far as it can be, and nobody
     * is attached any more. Atomic.
     */
    bool broken;
    uint64_t faults, unknown; /* reported; of these, by no device that we know */
    uint32_t ndomains;
    struct event event;
    struct iommu_unit *next;
};
/*
 * Boot, from the driver, when the unit's tables block every device, before it is switched on: set()
 * and flush() may be called. Its devices' reserved memory (below) was told of before.
 */
void iommu_add(struct iommu_unit *);
/*
 * Boot, from the driver, between the two: devices that are bound to reserved memory reach that, and
 * only that, until somebody else attaches them. What fails is logged, and blocked.
 */
void iommu_hold_reserved(const struct iommu_unit *);
/* The i-th unit, or NULL. */
const struct iommu_unit *iommu_by_index(unsigned i);
/*
 * The unit that a device's DMA goes through. NULL: none, so that it reaches all memory when it is a
 * bus master. Any CPU, after boot.
 */
struct iommu_unit *iommu_unit_of(const struct host_pci_dev *);
/* The stream by which `unit` knows a requester ID; false: it is not the unit's. */
bool iommu_stream_of(const struct iommu_unit *, uint16_t segment, uint16_t rid, uint32_t *stream);
/*
 * Requester IDs that requests of the device may carry: its own first, then those of bridges above
 * it that put their own in its place (PCI Express to PCI/PCI-X Bridge Specification 1.0 section
 * 2.3, conventional bridges). At most IOMMU_RIDS of them; returns their number. Devices that share
 * one cannot be kept apart.
 */
#define IOMMU_RIDS 4
unsigned iommu_rids(const struct host_pci_dev *, uint16_t rid[IOMMU_RIDS]);

/* ---- memory that the firmware wants a device to reach ---- */

/*
 * RMRR of VT-d, unity map of AMD-Vi, RMR of IORT: `len` bytes at `base`, whole pages, mapped as
 * they are in every domain that the device (all of the segment's in first..last) is attached to.
 * Boot, before iommu_add(). -ENOSPC: there are too many.
 */
struct iommu_reserved {
    uint16_t segment, first, last;
    uint8_t prot; /* PROT_R, PROT_W */
    uint64_t base, len;
};
int must_check iommu_reserve(const struct iommu_reserved *);
/* The n-th range that the device is bound to, or NULL. */
const struct iommu_reserved *iommu_reserved_of(const struct host_pci_dev *, unsigned n);

/* ---- domains ---- */

struct iommu_domain {
    struct gmem_domain gmem; /* pt of the unit's format; flush: the core's */
    struct iommu_unit *unit;
    uint32_t id;    /* the driver's: VT-d and AMD-Vi domain ID, VMID of SMMUv3 */
    char owner[48]; /* for people: "guest web", "the NVMe driver" */
    /*
     * Optional: a device of the domain's faulted. cut: it was blocked for that, and is no bus
     * master any more. NULL and cut: its unit does not answer, so that the device is stopped, and
     * no guest gets it again. Called from an event on CPU 0; it must not detach (post an event).
     */
    void (*fault)(struct iommu_domain *, const struct host_pci_dev *, const struct iommu_fault *,
                  bool cut);
    uint32_t nstreams; /* attached; the core's */
    bool firmware;     /* the core's: it holds reserved memory alone, and gives way to anybody */
};
/*
 * Empty, for devices of the unit that `dev` is behind. owner is copied; d->fault may be set
 * afterwards. pay, payer: as for pt_init(); NULL: nobody. -ENODEV: it is behind no unit; -EIO: the
 * unit is broken; -ENOSPC; -ENOMEM.
 */
int must_check iommu_domain_init(struct iommu_domain *, const struct host_pci_dev *dev,
                                 const char *owner, pt_pay *pay, void *payer);
/* Nothing is attached and nothing mapped but what the firmware wanted (which goes, too). */
void iommu_domain_fini(struct iommu_domain *);
/*
 * From here on the device reaches what the domain maps, and its reserved ranges, which are mapped
 * in the domain until its end: before a device is given to a guest, look at iommu_reserved_of().
 * -EBUSY: it, or one that it cannot be told from, is somebody else's; see iommu_owner(). -EEXIST:
 * the domain maps something else where a reserved range lies. -EXDEV: it is behind another unit;
 * -EINVAL: such a range is beyond what the unit can map; -ENODEV; -EIO; -ENOMEM. On error it is
 * blocked.
 */
int must_check iommu_attach(struct iommu_domain *, const struct host_pci_dev *);
/*
 * It reaches nothing when this returns, and its interrupts are gone; one that was cut off may be
 * attached again. The caller has stopped the device. Harmless for a device that is not attached.
 */
void iommu_detach(const struct host_pci_dev *);
/*
 * For the device, which was attached, the unit does nothing: it goes past it by its own definition
 * (a virtio device without VIRTIO_F_ACCESS_PLATFORM). Said in the log and by iommu_dev_stats(),
 * until it is attached again.
 */
void iommu_bypass(const struct host_pci_dev *);
/* Who has it: "guest web", or NULL: it is blocked, or behind no unit. Valid until it is detached.
 */
const char *iommu_owner(const struct host_pci_dev *);
struct iommu_domain *iommu_domain_of(const struct host_pci_dev *);

/* ---- faults ---- */

/*
 * From iommu_ops.poll: counts it, tells the domain, and writes a line to the log: of each device
 * IOMMU_FAULT_LINES in a second, then how many there were. A device that has more than
 * IOMMU_FAULT_BURST, of which one a second is forgotten, is cut off: no bus master, blocked.
 */
#define IOMMU_FAULT_LINES 4
#define IOMMU_FAULT_BURST 64
void iommu_report(struct iommu_unit *, const struct iommu_fault *);
/* Any context: from the unit's interrupt, or when nobody knows: its records are looked at soon. */
void iommu_kick(struct iommu_unit *);
struct iommu_stats {
    uint64_t faults;
    bool cut;
    bool bypass;             /* see iommu_bypass() */
    struct iommu_fault last; /* when faults != 0 */
};
void iommu_dev_stats(const struct host_pci_dev *, struct iommu_stats *);

/* ---- interrupts ---- */

/*
 * What to write to the device so that its interrupt n (MSI: 0 up to 31; MSI-X: the entry) arrives
 * as `plain` says. If nothing remaps, that is `plain` itself: iommu_irqs_safe() tells. CPU 0.
 * -ENOSPC: no entry is left, or n is too high; -ENOMEM; -EIO: the unit is broken.
 */
int must_check iommu_irq(const struct host_pci_dev *, unsigned n, const struct irq_message *plain,
                         struct irq_message *out);
/* CPU 0: interrupt n is refused from here on. Harmless when it was never given. */
void iommu_irq_off(const struct host_pci_dev *, unsigned n);
/* Whether the device can send no interrupt but those that it was given. */
bool iommu_irqs_safe(const struct host_pci_dev *);
