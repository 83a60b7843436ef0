/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * smmuv3_event.c: what an SMMU records of accesses that it refused (§7). The ring is the unit's to
 * fill: its index is checked, each record is copied once.
 */
#include "smmuv3.h"

#include <arch/barrier.h>

#include <hv/log.h>

enum { EVENT_WORDS = 4, EVENT_TYPES = 0x30 };
#define EVENT_TYPE(e) ((unsigned)((e)->word[0] & 0xff))
#define EVENT_STREAM(e) ((uint32_t)((e)->word[0] >> 32))
#define EVENT_READ (1ull << 35) /* RnW */

/* §7.3: which reason an event is for, and whether it has the address of an access. */
static const struct {
    uint8_t reason;
    bool known, address;
} event_types[EVENT_TYPES] = {
    [0x01] = { IOMMU_OTHER, true, true },       /* F_UUT: an unsupported transaction */
    [0x02] = { IOMMU_BLOCKED, true, false },    /* C_BAD_STREAMID */
    [0x03] = { IOMMU_BAD_TABLES, true, false }, /* F_STE_FETCH */
    [0x04] = { IOMMU_BLOCKED, true, false },    /* C_BAD_STE: those that were never set */
    [0x05] = { IOMMU_OTHER, true, true },       /* F_BAD_ATS_TREQ */
    [0x06] = { IOMMU_BLOCKED, true, false },    /* F_STREAM_DISABLED */
    [0x07] = { IOMMU_OTHER, true, true },       /* F_TRANSL_FORBIDDEN */
    [0x08] = { IOMMU_OTHER, true, false },      /* C_BAD_SUBSTREAMID */
    [0x09] = { IOMMU_BAD_TABLES, true, false }, /* F_CD_FETCH */
    [0x0a] = { IOMMU_BAD_TABLES, true, false }, /* C_BAD_CD */
    [0x0b] = { IOMMU_BAD_TABLES, true, true },  /* F_WALK_EABT */
    [0x10] = { IOMMU_UNMAPPED, true, true },    /* F_TRANSLATION */
    [0x11] = { IOMMU_RANGE, true, true },       /* F_ADDR_SIZE */
    [0x12] = { IOMMU_DENIED, true, true },      /* F_ACCESS */
    [0x13] = { IOMMU_DENIED, true, true },      /* F_PERMISSION */
    [0x20] = { IOMMU_BAD_TABLES, true, true },  /* F_TLB_CONFLICT */
    [0x21] = { IOMMU_BAD_TABLES, true, false }, /* F_CFG_CONFLICT */
};

bool smmu_decode(const struct smmu_event *e, struct iommu_fault *out)
{
    unsigned type = EVENT_TYPE(e);

    if (type >= EVENT_TYPES || !event_types[type].known)
        return false;
    *out = (struct iommu_fault){ .stream = EVENT_STREAM(e),
                                 .reason = event_types[type].reason,
                                 .code = (uint16_t)type };
    if (event_types[type].address) {
        out->addr = e->word[2];
        out->access = e->word[1] & EVENT_READ ? IOMMU_READ : IOMMU_WRITE;
    }
    return true;
}

static void event_report(struct smmu *s, const struct smmu_event *e)
{
    struct iommu_fault f;

    if (!smmu_decode(e, &f)) {
        log_debug("IOMMU %s: event %x of stream %x", s->unit.name, EVENT_TYPE(e), EVENT_STREAM(e));
        return;
    }
    if (f.reason == IOMMU_UNMAPPED && smmu_is_blocked(s, f.stream))
        f.reason = IOMMU_BLOCKED;
    iommu_report(&s->unit, &f);
}

/*
 * How many records wait. The unit's index has a bit beside it that turns when records were lost,
 * and that we turn back.
 */
static uint32_t event_count(struct smmu *s)
{
    struct smmu_queue *q = &s->eventq;
    uint32_t prod = smmu_read(s, SMMU_EVENTQ_PROD), mask = (2u << q->bits) - 1, n;

    dma_rmb(); /* the index before the records */
    if ((prod ^ q->cons) & SMMU_QUEUE_OVERFLOW) {
        if (!s->lost++)
            log_warn("IOMMU %s: its event queue overflowed: faults were lost", s->unit.name);
        q->cons ^= SMMU_QUEUE_OVERFLOW;
    }
    n = (prod - q->cons) & mask;
    if (n <= 1u << q->bits)
        return n;
    if (!s->lies++)
        log_err("IOMMU %s: it claims more events than its queue holds", s->unit.name);
    q->cons = (q->cons & SMMU_QUEUE_OVERFLOW) | (prod & mask);
    return 0;
}

static void event_take(struct smmu *s, struct smmu_event *e)
{
    struct smmu_queue *q = &s->eventq;
    uint32_t mask = (2u << q->bits) - 1;
    const volatile uint64_t *from = q->at + (q->cons & ((1u << q->bits) - 1)) * EVENT_WORDS;

    for (unsigned i = 0; i < EVENT_WORDS; i++)
        e->word[i] = from[i];
    q->cons = (q->cons & SMMU_QUEUE_OVERFLOW) | ((q->cons + 1) & mask);
}

bool smmu_poll(struct iommu_unit *u, unsigned most)
{
    struct smmu *s = smmu_of(u);
    struct smmu_event e;
    uint32_t n, before = s->eventq.cons;

    if (!smmu_global_errors(s))
        return false;
    n = event_count(s);
    for (uint32_t i = 0; i < n && i < most; i++) {
        event_take(s, &e);
        event_report(s, &e);
    }
    dma_wmb(); /* the records are read before their places are given back */
    if (s->eventq.cons != before)
        smmu_write(s, SMMU_EVENTQ_CONS, s->eventq.cons);
    return n > most;
}
