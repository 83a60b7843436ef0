/* SPDX-License-Identifier: BSD-2-Clause */
/* vtd_fault.c: primary fault logging, section 7.3. What a record says is the unit's word. */
#include "vtd.h"

#include <hv/assert.h>

/* 7.1.3 and 5.1.4.1: in legacy mode, and of interrupt remapping; others: IOMMU_OTHER */
static const uint8_t reasons[] = {
    [0x1] = IOMMU_BLOCKED,    [0x2] = IOMMU_BLOCKED,    [0x3] = IOMMU_BAD_TABLES,
    [0x4] = IOMMU_RANGE,      [0x5] = IOMMU_UNMAPPED,   [0x6] = IOMMU_UNMAPPED,
    [0x7] = IOMMU_BAD_TABLES, [0x8] = IOMMU_BAD_TABLES, [0x9] = IOMMU_BAD_TABLES,
    [0xa] = IOMMU_BAD_TABLES, [0xb] = IOMMU_BAD_TABLES, [0xc] = IOMMU_BAD_TABLES,
    [0xd] = IOMMU_BLOCKED,    [0xe] = IOMMU_RANGE,      [0x20] = IOMMU_INTERRUPT,
    [0x21] = IOMMU_INTERRUPT, [0x22] = IOMMU_INTERRUPT, [0x23] = IOMMU_BAD_TABLES,
    [0x24] = IOMMU_INTERRUPT, [0x25] = IOMMU_INTERRUPT, [0x26] = IOMMU_INTERRUPT,
};

enum iommu_reason vtd_reason(uint8_t code)
{
    return code < sizeof reasons ? (enum iommu_reason)reasons[code] : IOMMU_OTHER;
}

/* False: there is nothing in this record. */
static bool vtd_fault_take(struct vtd *v, unsigned i, struct iommu_fault *f)
{
    uint32_t at = CAP_FRO(v->cap) + i * RECORD_LEN, top = vtd_read(v, at + 12);
    uint64_t info;

    if (!(top & RECORD_FAULT))
        return false;
    info = vtd_read64(v, at);
    *f = (struct iommu_fault){ .code = top & 0xff,
                               .stream = vtd_read(v, at + 8) & 0xffff,
                               .reason = (uint8_t)vtd_reason(top & 0xff),
                               .access = top & RECORD_READ ? IOMMU_READ : IOMMU_WRITE,
                               .addr = info & ~(PAGE_SIZE - 1) };
    if (f->reason == IOMMU_INTERRUPT)
        f->addr = info >> 48;
    vtd_write(v, at + 12, RECORD_FAULT);
    return true;
}

bool vtd_poll(struct iommu_unit *u, unsigned most)
{
    struct vtd *v = container_of(u, struct vtd, unit);
    unsigned taken = 0;
    struct iommu_fault f;

    assert_cpu0();
    for (unsigned i = 0; i < CAP_NFR(v->cap) && taken < most; i++)
        if (vtd_fault_take(v, i, &f)) {
            iommu_report(u, &f);
            taken++;
        }
    if (vtd_read(v, VTD_FSTS) & FSTS_OVERFLOW) {
        v->lost++;
        vtd_write(v, VTD_FSTS, FSTS_OVERFLOW);
    }
    return taken == most || (taken && vtd_read(v, VTD_FSTS) & FSTS_PENDING);
}
