/* SPDX-License-Identifier: BSD-2-Clause */
/* amdvi_event.c: the event log, section 2.5. What an entry says is the unit's word. */
#include <arch/barrier.h>

#include "amdvi.h"

#include <hv/assert.h>

enum {
    EVENT_NONE = 0,
    EVENT_BAD_DTE = 1,
    EVENT_PAGE_FAULT = 2,
    EVENT_DTE_ERROR = 3,
    EVENT_TABLE_ERROR = 4,
    EVENT_BAD_COMMAND = 5,
    EVENT_COMMAND_ERROR = 6,
    EVENT_TIMEOUT = 7,
    EVENT_BAD_REQUEST = 8
};
#define EVENT_CODE(q) ((uint8_t)((q) >> 60))
/* 2.5.3 */
#define FAULT_IRQ (1ull << 51)
#define FAULT_PRESENT (1ull << 52)
#define FAULT_WRITE (1ull << 53)
#define FAULT_DENIED (1ull << 54)

static enum iommu_reason page_fault(uint64_t q)
{
    if (q & FAULT_IRQ)
        return IOMMU_INTERRUPT;
    return q & FAULT_PRESENT && q & FAULT_DENIED ? IOMMU_DENIED : IOMMU_UNMAPPED;
}

bool amdvi_decode(const struct amdvi_entry *e, struct iommu_fault *f)
{
    static const uint8_t reasons[] = {
        [EVENT_BAD_DTE] = IOMMU_BAD_TABLES,   [EVENT_PAGE_FAULT] = IOMMU_UNMAPPED,
        [EVENT_DTE_ERROR] = IOMMU_BAD_TABLES, [EVENT_TABLE_ERROR] = IOMMU_BAD_TABLES,
        [EVENT_TIMEOUT] = IOMMU_OTHER,        [EVENT_BAD_REQUEST] = IOMMU_OTHER
    };
    uint8_t code = EVENT_CODE(e->q[0]);

    *f = (struct iommu_fault){ .addr = e->q[1],
                               .stream = (uint16_t)e->q[0],
                               .access = e->q[0] & FAULT_WRITE ? IOMMU_WRITE : IOMMU_READ,
                               .code = (uint16_t)((uint64_t)code << 12 | (e->q[0] >> 48 & 0xfff)) };
    f->reason = (uint8_t)(code < sizeof reasons ? (enum iommu_reason)reasons[code] : IOMMU_OTHER);
    if (code == EVENT_PAGE_FAULT)
        f->reason = (uint8_t)page_fault(e->q[0]);
    return code != EVENT_NONE && code != EVENT_BAD_COMMAND && code != EVENT_COMMAND_ERROR;
}

/* Copied once; its place is empty then, so that an entry that was never written is seen. */
static struct amdvi_entry amdvi_event_take(struct amdvi *v, uint32_t head)
{
    volatile struct amdvi_entry *at = &v->events[head / sizeof *v->events];
    struct amdvi_entry e = { { at->q[0], at->q[1] } };

    at->q[0] = at->q[1] = 0;
    return e;
}

/* 2.5.2: a log that has overflowed is started anew. */
static void restart_log(struct amdvi *v)
{
    uint64_t control = amdvi_read(v, AMDVI_CONTROL);

    v->lost++;
    amdvi_write(v, AMDVI_CONTROL, control & ~(uint64_t)CONTROL_EVENTS);
    amdvi_write(v, AMDVI_STATUS, STATUS_OVERFLOW);
    amdvi_write(v, AMDVI_EVT_HEAD, 0);
    amdvi_write(v, AMDVI_EVT_TAIL, 0);
    amdvi_write(v, AMDVI_CONTROL, control);
}

bool amdvi_poll(struct iommu_unit *u, unsigned most)
{
    struct amdvi *v = container_of(u, struct amdvi, unit);
    const uint32_t mask = PAGE_SIZE - sizeof *v->events;
    struct iommu_fault f;
    uint32_t head, tail;

    assert_cpu0();
    amdvi_write(v, AMDVI_STATUS, STATUS_EVENT_IRQ); /* what comes after the look interrupts again */
    head = (uint32_t)amdvi_read(v, AMDVI_EVT_HEAD) & mask;
    tail = (uint32_t)amdvi_read(v, AMDVI_EVT_TAIL) & mask;
    dma_rmb();
    for (; most && head != tail; most--, head = (head + sizeof *v->events) & mask) {
        struct amdvi_entry e = amdvi_event_take(v, head);

        if (amdvi_decode(&e, &f))
            iommu_report(u, &f);
    }
    amdvi_write(v, AMDVI_EVT_HEAD, head);
    if (head == tail && amdvi_read(v, AMDVI_STATUS) & STATUS_OVERFLOW)
        restart_log(v);
    return head != tail;
}
