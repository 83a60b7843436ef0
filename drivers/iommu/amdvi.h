/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amdvi.h: what the files of AMD's IOMMU (AMD-Vi) share. Sections are those of AMD I/O
 * Virtualization Technology (IOMMU) Specification 48882 revision 3.07. Host page tables ("v1"); no
 * device passes untranslated. What more than one CPU uses is under the unit's lock.
 */
#pragma once
#include <hv/iommu.h>
#include <hv/lock.h>

/* 3.4: registers, by their offset */
enum amdvi_reg {
    AMDVI_DEVTAB = 0x00,
    AMDVI_CMDBUF = 0x08,
    AMDVI_EVTLOG = 0x10,
    AMDVI_CONTROL = 0x18,
    AMDVI_EXCLUSION = 0x20,
    AMDVI_FEATURES = 0x30,
    AMDVI_CMD_HEAD = 0x2000,
    AMDVI_CMD_TAIL = 0x2008,
    AMDVI_EVT_HEAD = 0x2010,
    AMDVI_EVT_TAIL = 0x2018,
    AMDVI_STATUS = 0x2020
};
enum { AMDVI_WINDOW = 16384 };
/* 3.4.4 */
enum {
    CONTROL_ON = 1 << 0,
    CONTROL_EVENTS = 1 << 2,
    CONTROL_EVENT_IRQ = 1 << 3,
    CONTROL_KEPT = 1 << 1 | 7 << 5 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11, /* the firmware's */
    CONTROL_COMMANDS = 1 << 12
};
enum { STATUS_OVERFLOW = 1 << 0, STATUS_EVENT_IRQ = 1 << 1, STATUS_RUNS = 1 << 3 | 1 << 4 };
#define FEATURE_ALL_INVALIDATED (1ull << 6) /* IASup */

/* 2.2.2.1: a device table entry */
struct amdvi_dte {
    uint64_t q[4];
};
static_assert(sizeof(struct amdvi_dte) == 32, "2.2.2.1");
enum { AMDVI_RIDS = 65536, AMDVI_DEVTAB_ORDER = 9 };
static_assert(sizeof(struct amdvi_dte) * AMDVI_RIDS == PAGE_SIZE << AMDVI_DEVTAB_ORDER, "2.2.2");
#define DTE_VALID 1ull
#define DTE_TRANSLATED 2ull
#define DTE_LEVELS(n) ((uint64_t)(n) << 9)
#define DTE_READ (1ull << 61)
#define DTE_WRITE (1ull << 62)
/* of q[1] */
#define DTE_QUIET (1ull << 34) /* SA: page faults are not logged */
/* of q[2] */
#define DTE_IRQS_VALID 1ull
#define DTE_IRQS_LEN ((uint64_t)10 << 1) /* 1024 entries: a page */
#define DTE_IRQS_AT 0x000ffffffffff000ull
#define DTE_IRQS_REMAPPED (2ull << 60) /* 0: refused */

/* 2.4, 2.5: both are 16 bytes */
struct amdvi_entry {
    uint64_t q[2];
};
enum { AMDVI_QUEUE = 256, AMDVI_QUEUE_LEN = 8, AMDVI_IDS = 1024 };
static_assert(sizeof(struct amdvi_entry) * AMDVI_QUEUE == PAGE_SIZE, "2.4");
struct amdvi {
    struct iommu_unit unit;
    const struct host_pci_dev *pci; /* its own function; NULL: not found */
    volatile uint8_t *regs;
    uint64_t features;
    struct spinlock lock;
    struct amdvi_dte *devtab;
    struct amdvi_entry *commands, *events; /* of one page each */
    volatile uint64_t *done;               /* the unit writes here what it has come to */
    uint32_t tail;
    uint64_t serial;
    uint64_t ids[AMDVI_IDS / 64]; /* domain IDs in use; 0 is nobody's */
    uint64_t lost;                /* times that events were lost */
    struct amdvi *next;
};
extern const struct pt_format amdvi_format; /* amdvi_pt.c */

uint64_t amdvi_read(const struct amdvi *, uint32_t reg);
void amdvi_write(const struct amdvi *, uint32_t reg, uint64_t val);

/*
 * amdvi_cmd.c: commands (2.4). Under the lock; when it returns 0, all has been done. -EIO: not in
 * time.
 */
int must_check amdvi_forget_device(struct amdvi *, uint16_t rid);
int must_check amdvi_forget_range(struct amdvi *, uint16_t domain, uint64_t at, uint64_t len);
int must_check amdvi_forget_all(struct amdvi *);
int must_check amdvi_forget_irqs(struct amdvi *, uint16_t rid);

/* amdvi_event.c: an entry of the event log, decoded. False: it is about no device. */
bool amdvi_decode(const struct amdvi_entry *, struct iommu_fault *);
bool amdvi_poll(struct iommu_unit *, unsigned most); /* an iommu_ops.poll */

/* amdvi.c. Registers are mapped. On error nothing was changed. */
int must_check amdvi_begin(struct amdvi *);
/*
 * Its tables, all blocked, become the unit's, and it is on; it may have been. Then iommu_add().
 */
int must_check amdvi_take_over(struct amdvi *);
/* amdvi_irq.c: iommu_ops.irq and irq_off; the I/O APIC of that requester ID may send all vectors.
 */
int must_check amdvi_irq(struct iommu_unit *, uint32_t stream, unsigned n, uint32_t sender,
                         const struct irq_message *plain, struct irq_message *out);
void amdvi_irq_off(struct iommu_unit *, uint32_t stream, unsigned n, uint32_t sender);
int must_check amdvi_let_lines(struct amdvi *, uint16_t rid);
/* Boot step of drivers_init(), between the PCI scan and the drivers of functions. -ENODEV: none. */
int must_check amdvi_init(void);
