/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * smmuv3.h: Arm's System Memory Management Unit version 3. "§" is a section of Arm IHI 0070 (issue
 * F.b). What the files of its driver share; only smmuv3.c is entered from outside, by iommu_ops.
 *
 * Every stream that the driver has not set is invalid in the stream table, so that it reaches
 * nothing and each try is recorded. A stream that is set but blocked is translated by tables that
 * are empty, so that the record has the address, too. One that is to be quiet is aborted without a
 * record.
 */
#pragma once
#include <hv/iommu.h>
#include <hv/platform.h>
#include <hv/pt.h>

/* §6.3: registers of 32 bits, those marked 64 of two; page 1 lies 64 KiB behind page 0. */
enum smmu_reg {
    SMMU_IDR0 = 0x00,
    SMMU_IDR1 = 0x04,
    SMMU_IDR3 = 0x0c,
    SMMU_IDR5 = 0x14,
    SMMU_CR0 = 0x20,
    SMMU_CR0ACK = 0x24,
    SMMU_CR1 = 0x28,
    SMMU_CR2 = 0x2c,
    SMMU_GBPA = 0x44,
    SMMU_IRQ_CTRL = 0x50,
    SMMU_IRQ_CTRLACK = 0x54,
    SMMU_GERROR = 0x60,
    SMMU_GERRORN = 0x64,
    SMMU_STRTAB_BASE = 0x80, /* 64 */
    SMMU_STRTAB_BASE_CFG = 0x88,
    SMMU_CMDQ_BASE = 0x90, /* 64 */
    SMMU_CMDQ_PROD = 0x98,
    SMMU_CMDQ_CONS = 0x9c,
    SMMU_EVENTQ_BASE = 0xa0,     /* 64 */
    SMMU_EVENTQ_IRQ_CFG0 = 0xb0, /* 64 */
    SMMU_EVENTQ_IRQ_CFG1 = 0xb8,
    SMMU_EVENTQ_IRQ_CFG2 = 0xbc,
    SMMU_EVENTQ_PROD = 0x100a8,
    SMMU_EVENTQ_CONS = 0x100ac,
    SMMU_REGS = 0x20000 /* bytes of both pages */
};
/* §6.3.9, §6.3.15, §6.3.19, §6.3.17 */
enum smmu_cr0 { CR0_SMMUEN = 1, CR0_EVENTQEN = 1 << 2, CR0_CMDQEN = 1 << 3 };
#define GBPA_ABORT (1u << 20)
#define GBPA_UPDATE (1u << 31)
enum smmu_irq_ctrl { IRQ_GERROR = 1, IRQ_EVENTQ = 1 << 2 };
enum smmu_gerror { GERROR_CMDQ = 1, GERROR_EVENTQ_ABT = 1 << 2, GERROR_SFM = 1 << 8 };
#define SMMU_QUEUE_OVERFLOW (1u << 31) /* OVFLG, OVACKFLG: §6.3.28 */

/* Commands, §4.1.1: the opcodes. */
enum smmu_op {
    CMD_CFGI_STE = 0x03,
    CMD_CFGI_ALL = 0x04,
    CMD_CFGI_CD = 0x05,
    CMD_TLBI_NH_ASID = 0x11,
    CMD_TLBI_NH_VA = 0x12,
    CMD_TLBI_S12_VMALL = 0x28,
    CMD_TLBI_S2_IPA = 0x2a,
    CMD_TLBI_NSNH_ALL = 0x30,
    CMD_SYNC = 0x46
};
struct smmu_cmd {
    uint64_t word[2];
};
/* An event record, §7.3. */
struct smmu_event {
    uint64_t word[4];
};
/* A stream table entry, §5.2, and a context descriptor, §5.4. */
struct smmu_ste {
    uint64_t word[8];
};
struct smmu_cd {
    uint64_t word[8];
};
static_assert(sizeof(struct smmu_cmd) == 16, "IHI 0070 4.1");
static_assert(sizeof(struct smmu_event) == 32, "IHI 0070 7.2");
static_assert(sizeof(struct smmu_ste) == 64, "IHI 0070 5.2");
static_assert(sizeof(struct smmu_cd) == 64, "IHI 0070 5.4");

/* Ids of domains: VMIDs (§5.2), ASIDs (§5.4), of which 8 bits are everywhere; 0: the empty one */
enum { SMMU_IDS = 256 };
enum { SMMU_SPLIT = 8, SMMU_STES = 1 << SMMU_SPLIT }; /* streams of a second-level table */
/* Streams and memory of a stream table that is not of two levels. */
enum { SMMU_LINEAR_BITS = 16, SMMU_LEVEL1_BITS = 18 };
enum { SMMU_QUEUE_BITS = 7 }; /* log2 of the entries of a queue, where the unit has so many */

struct smmu_level2 {
    volatile struct smmu_ste *at; /* SMMU_STES of them; NULL: nobody has used that part yet */
};

/* A ring that one side fills and the other takes from, §3.5. */
struct smmu_queue {
    volatile uint64_t *at;
    uint32_t bits; /* log2 of the entries */
    uint32_t prod, cons;
};

/* What the registers say that the unit can do. */
struct smmu_caps {
    bool stage1, stage2, coherent, two_level, msi, hyp;
    uint8_t sid_bits, cmdq_bits, eventq_bits;
    uint8_t oas;      /* as IDR5.OAS, IPS and S2PS have it, at most 5 */
    uint8_t oas_bits; /* the same in bits */
};

struct smmu {
    struct iommu_unit unit;
    volatile uint8_t *regs;
    const struct platform_smmu *is;
    struct smmu_caps caps;
    struct pt_format format;
    struct spinlock lock; /* of the command queue and `dead` */
    bool dead;            /* it did not answer, or said what cannot be */
    struct smmu_queue cmdq, eventq;
    /* the stream table: STEs, or the descriptors of tables of them (§5.1) */
    volatile uint64_t *strtab;
    uint32_t sid_bits;            /* of the table: at most caps.sid_bits */
    struct smmu_level2 *level2;   /* two levels: where each table is */
    volatile struct smmu_cd *cds; /* stage 1: SMMU_IDS of them */
    hpa_t cds_at;
    uint64_t ids[SMMU_IDS / 64]; /* those in use */
    struct pt nothing;           /* tables that map nothing */
    uint64_t lost, lies;         /* records that overflowed; indices that could not be */
};

static inline struct smmu *smmu_of(struct iommu_unit *u)
{
    return container_of(u, struct smmu, unit);
}

/* ---- smmuv3.c ---- */

uint32_t smmu_read(const struct smmu *, uint32_t reg);
void smmu_write(const struct smmu *, uint32_t reg, uint32_t val);
/* Until a register has (value & mask) == want, in bounded time. -EIO: it never had. */
int must_check smmu_wait(const struct smmu *, uint32_t reg, uint32_t mask, uint32_t want);
#define SMMU_WAIT_NS 100000000ull
/*
 * What the unit can do, from its ID registers. NULL: Trivet can drive it; else why it cannot, in
 * words.
 */
const char *smmu_read_caps(const struct smmu *, struct smmu_caps *);
/*
 * Memory that the unit reads or writes, zeros, 2^order pages: *at is where to write, the result its
 * address. hpa(0): there is none. What is written by the CPU to a table is cleaned after it:
 * smmu_publish().
 */
hpa_t must_check smmu_alloc(const struct smmu *, unsigned order, volatile void **at);
void smmu_publish(const struct smmu *, volatile void *at, uint64_t len);
/*
 * Boot, before the drivers of PCI functions: each SMMUv3 that the firmware tells of is turned on,
 * with all streams blocked. -ENODEV: there is none.
 */
int must_check smmuv3_init(void);
/* One of them: -ENOTSUP: Trivet cannot drive it; -EIO; -ENOMEM. What is wrong is in the log. */
int must_check smmu_start(struct smmu *);

/* ---- smmuv3_queue.c: any CPU ---- */

/* Takes a queue's place in memory. -ENOMEM */
int must_check smmu_queue_init(struct smmu *, struct smmu_queue *, unsigned bits, unsigned words,
                               hpa_t *base);
/* Commands, then CMD_SYNC, and waits until all are done, in bounded time. -EIO */
int must_check smmu_commands(struct smmu *, const struct smmu_cmd *, unsigned n);
/*
 * Forgets [at, at+len) of the domain with that id; len 0: all of it. The same bounds.
 */
int must_check smmu_forget(struct smmu *, uint32_t id, uint64_t at, uint64_t len);
/* What the unit says went wrong with it. False: it is of no more use. CPU 0 */
bool smmu_global_errors(struct smmu *);

/* ---- smmuv3_event.c: CPU 0 ---- */

bool smmu_poll(struct iommu_unit *, unsigned most);
/* An event in the words of <hv/iommu.h>. False: it is about no access. Any context. */
bool smmu_decode(const struct smmu_event *, struct iommu_fault *);

/* ---- smmuv3_stream.c: CPU 0 ---- */

/* Tables for streams up to `last`, all invalid. -ENOMEM; -ENOTSUP: there are too many */
int must_check smmu_stream_init(struct smmu *, uint32_t last);
int must_check smmu_set(struct iommu_unit *, uint32_t stream, struct iommu_domain *, bool quiet);
/* Whether the stream is blocked; what its last record then means. */
bool smmu_is_blocked(const struct smmu *, uint32_t stream);
/* The empty domain, and where context descriptors are. -ENOMEM */
int must_check smmu_domains_start(struct smmu *);
int must_check smmu_domain_init(struct iommu_unit *, struct iommu_domain *, pt_pay *, void *payer);
void smmu_domain_fini(struct iommu_unit *, struct iommu_domain *);
