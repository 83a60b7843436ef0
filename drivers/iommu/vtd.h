/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vtd.h: what the files of Intel's VT-d share. Sections are those of the Intel Virtualization
 * Technology for Directed I/O specification 3.4. Legacy mode: root and context tables, second-level
 * page tables; nothing passes untranslated. Everything about a unit that more than one CPU uses is
 * under its lock.
 */
#pragma once
#include <hv/iommu.h>
#include <hv/lock.h>

/* section 11.4: registers, by their offset */
enum vtd_reg {
    VTD_VER = 0x00,
    VTD_CAP = 0x08,
    VTD_ECAP = 0x10,
    VTD_GCMD = 0x18,
    VTD_GSTS = 0x1c,
    VTD_RTADDR = 0x20,
    VTD_FSTS = 0x34,
    VTD_FECTL = 0x38,
    VTD_FEDATA = 0x3c,
    VTD_FEADDR = 0x40,
    VTD_FEUADDR = 0x44,
    VTD_PMEN = 0x64,
    VTD_IQH = 0x80,
    VTD_IQT = 0x88,
    VTD_IQA = 0x90,
    VTD_IRTA = 0xb8
};
/* 11.4.4: GCMD and GSTS */
#define VTD_TE (1u << 31)
#define VTD_SRTP (1u << 30)
#define VTD_WBF (1u << 27)
#define VTD_QIE (1u << 26)
#define VTD_IRE (1u << 25)
#define VTD_SIRTP (1u << 24)
#define VTD_CFI (1u << 23)
#define VTD_LASTING 0x96ffffffu /* bits of GSTS that a command keeps as they are */
/* 11.4.2 */
#define CAP_DOMAINS(c) (4u + 2u * ((unsigned)(c)&7u)) /* bits of a domain ID */
#define CAP_RWBF (1ull << 4)
#define CAP_CM (1ull << 7)
#define CAP_SAGAW(c) ((unsigned)((c) >> 8) & 0x1fu)
#define CAP_MGAW(c) (((unsigned)((c) >> 16) & 0x3fu) + 1u)
#define CAP_ZLR (1ull << 22)
#define CAP_FRO(c) (((unsigned)((c) >> 24) & 0x3ffu) * 16u)
#define CAP_SLLPS(c) ((unsigned)((c) >> 34) & 0xfu)
#define CAP_PSI (1ull << 39)
#define CAP_NFR(c) (((unsigned)((c) >> 40) & 0xffu) + 1u)
#define CAP_MAMV(c) ((unsigned)((c) >> 48) & 0x3fu)
#define CAP_DRAIN_WRITES (1ull << 54)
#define CAP_DRAIN_READS (1ull << 55)
/* 11.4.3 */
#define ECAP_COHERENT (1ull << 0)
#define ECAP_QI (1ull << 1)
#define ECAP_IR (1ull << 3)
#define ECAP_EIM (1ull << 4)
#define ECAP_SC (1ull << 7)
/* 11.4.9.1: FSTS */
enum { FSTS_OVERFLOW = 1, FSTS_PENDING = 2, FSTS_QUEUE_ERROR = 1 << 4 };
/* 11.4.9.2 */
#define FECTL_MASK (1u << 31)
/* 11.4.9.6: a fault record's upper half, as two words */
#define RECORD_LEN 16u
#define RECORD_FAULT (1u << 31)
#define RECORD_READ (1u << 30)
/* PMEN */
#define PMEN_ENABLE (1u << 31)
#define PMEN_STATUS 1u

/* 9.1, 9.3 */
struct vtd_entry {
    uint64_t lo, hi;
};
static_assert(sizeof(struct vtd_entry) == 16, "9.1");
#define ENTRY_PRESENT 1ull
#define CONTEXT_QUIET 2ull /* fault processing disabled; heeded in an entry that is not present */
#define CONTEXT_AW(levels) ((uint64_t)(levels)-2)
#define CONTEXT_DID(hi) ((uint16_t)((hi) >> 8))

enum { VTD_QUEUE = 256, VTD_IDS = 1024, VTD_IRQS = 4096, VTD_IRQS_ORDER = 4 };
static_assert(VTD_IRQS * sizeof(struct vtd_entry) == PAGE_SIZE << VTD_IRQS_ORDER, "5.1.3");
static_assert(VTD_QUEUE * sizeof(struct vtd_entry) == PAGE_SIZE, "IQA.QS is 0");
struct vtd {
    struct iommu_unit unit;
    volatile uint8_t *regs;
    uint64_t cap, ecap;
    struct pt_format format; /* what this unit can */
    struct spinlock lock;
    struct vtd_entry *root;
    struct vtd_entry *queue;   /* of one page */
    volatile uint32_t *status; /* the unit writes here what it has come to */
    uint32_t tail, serial;
    uint64_t ids[VTD_IDS / 64]; /* domain IDs in use; 0 is nobody's */
    uint32_t nids;
    struct vtd_entry *irqs;     /* the table of interrupts; NULL: they are not remapped */
    uint64_t irq_key[VTD_IRQS]; /* whose each entry is; 0: nobody's. CPU 0 */
    bool x2apic;
    uint64_t lost; /* times that faults were lost */
    struct vtd *next;
};

uint32_t vtd_read(const struct vtd *, uint32_t reg);
void vtd_write(const struct vtd *, uint32_t reg, uint32_t val);
uint64_t vtd_read64(const struct vtd *, uint32_t reg);
void vtd_write64(const struct vtd *, uint32_t reg, uint64_t val);
/* Bounded: until (reg & mask) == want. -EIO. */
int must_check vtd_wait(const struct vtd *, uint32_t reg, uint32_t mask, uint32_t want);
/* A bit of GCMD, and until GSTS has it. -EIO. */
int must_check vtd_command(const struct vtd *, uint32_t bit, bool on);

/* vtd_pt.c: the second-level format that this unit can. -ENOTSUP: none of those we know. */
int must_check vtd_format(struct vtd *);
/* What was written to tables is where the unit looks. */
void vtd_clean(const struct vtd *, const void *, uint64_t len);

/*
 * vtd_queue.c: queued invalidation (6.5.2). Under the lock; when it returns 0, all has been done.
 * -EIO: not in time, or the unit refuses.
 */
int must_check vtd_queue_start(struct vtd *);
int must_check vtd_forget_all(struct vtd *);
/* What it has of the device's context entry, and of the domain that it had (0: none). */
int must_check vtd_forget_device(struct vtd *, uint16_t rid, uint16_t domain);
int must_check vtd_forget_range(struct vtd *, uint16_t domain, uint64_t at, uint64_t len);

int must_check vtd_forget_irq(struct vtd *, unsigned entry);
int must_check vtd_forget_irqs(struct vtd *);

/*
 * vtd_irq.c: iommu_ops.irq and irq_off, and the same for a line of the I/O APIC that has this
 * requester ID: its entry there, or 0. CPU 0.
 */
int must_check vtd_irq(struct iommu_unit *, uint32_t stream, unsigned n, uint32_t sender,
                       const struct irq_message *plain, struct irq_message *out);
void vtd_irq_off(struct iommu_unit *, uint32_t stream, unsigned n, uint32_t sender);
struct irq_line;
uint64_t vtd_line(struct vtd *, uint16_t rid, const struct irq_line *);
/* From now on no other interrupt arrives from the unit's devices. -ENOMEM; -EIO. */
int must_check vtd_irqs_on(struct vtd *);

/* vtd_fault.c: an iommu_ops.poll; and what a code says. */
bool vtd_poll(struct iommu_unit *, unsigned most);
enum iommu_reason vtd_reason(uint8_t code);

/* vtd.c. A unit at `regs`, of which the first page is mapped; on error nothing was changed. */
int must_check vtd_begin(struct vtd *);
/* Its tables, all blocked, become the unit's. Then iommu_add(). */
int must_check vtd_take_over(struct vtd *);
int must_check vtd_switch_on(struct vtd *);
/* Boot step of drivers_init(), between the PCI scan and the drivers of functions. -ENODEV: none. */
int must_check vtd_init(void);
