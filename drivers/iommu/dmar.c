/* SPDX-License-Identifier: BSD-2-Clause */
/* dmar.c: see dmar.h. Sections are those of the Intel VT-d specification 3.4. */
#include "dmar.h"

#include <string.h>

enum { HEAD = 48, CFG_SECONDARY = 0x19, CFG_SUBORDINATE = 0x1a };
/* 8.1 */
enum { TABLE_WIDTH = 36, TABLE_FLAGS = 37, FLAG_IRQS = 1, FLAG_NO_X2APIC = 2 };
/* 8.2 */
enum dmar_type { TYPE_DRHD = 0, TYPE_RMRR = 1, TYPE_ATSR = 2, TYPE_RHSA = 3, TYPES };
/* 8.3, 8.4 */
enum { PART_FLAGS = 4, DRHD_ALL = 1, PART_SEGMENT = 6, PART_BASE = 8, RMRR_LIMIT = 16 };
/* 8.3.1 */
enum { SCOPE_ID = 4, SCOPE_BUS = 5, SCOPE_PATH = 6 };

/* ---- scopes ---- */

static bool add_scope(struct dmar *d, const uint8_t *p, unsigned len)
{
    struct dmar_scope *s = &d->scope[d->nscopes];

    if (len < SCOPE_PATH + 2 || len > SCOPE_PATH + 2 * DMAR_PATH || len & 1 ||
        d->nscopes == DMAR_SCOPES)
        return false;
    *s = (struct dmar_scope){ .type = p[0],
                              .id = p[SCOPE_ID],
                              .bus = p[SCOPE_BUS],
                              .npath = (uint8_t)((len - SCOPE_PATH) / 2) };
    for (unsigned i = 0; i < s->npath; i++) {
        const uint8_t *step = p + SCOPE_PATH + 2 * i;

        if (step[0] > 31 || step[1] > 7)
            return false;
        s->path[i] = (uint8_t)(step[0] << 3 | step[1]);
    }
    d->nscopes++;
    return true;
}

/* Those from `at` to the end of a structure. */
static struct dmar_part read_part(struct dmar *d, const uint8_t *p, unsigned at, unsigned len)
{
    struct dmar_part part = { .segment = (uint16_t)get_le(p + PART_SEGMENT, 2),
                              .scope = (uint16_t)d->nscopes };

    while (at < len) {
        unsigned rest = len - at, n = rest >= 2 ? p[at + 1] : 0;

        if (n < 2 || n > rest) {
            d->bad++;
            break;
        }
        d->bad += !add_scope(d, p + at, n);
        at += n;
    }
    part.nscopes = (uint16_t)(d->nscopes - part.scope);
    return part;
}

/* ---- structures ---- */

static bool read_drhd(struct dmar *d, const uint8_t *p, unsigned len)
{
    uint64_t base = get_le(p + PART_BASE, 8);

    if (!base || base & (PAGE_SIZE - 1) || d->nunits == DMAR_UNITS)
        return false;
    d->unit[d->nunits].part = read_part(d, p, 16, len);
    d->unit[d->nunits].base = base;
    d->unit[d->nunits++].all = p[PART_FLAGS] & DRHD_ALL;
    return true;
}

static bool read_rmrr(struct dmar *d, const uint8_t *p, unsigned len)
{
    uint64_t base = get_le(p + PART_BASE, 8), limit = get_le(p + RMRR_LIMIT, 8);

    if (base & (PAGE_SIZE - 1) || limit < base || limit == UINT64_MAX ||
        (limit + 1) & (PAGE_SIZE - 1) || limit - base >= 4 * GIB || d->nreserved == DMAR_RESERVED)
        return false;
    d->reserved[d->nreserved].part = read_part(d, p, 24, len);
    d->reserved[d->nreserved].base = base;
    d->reserved[d->nreserved++].limit = limit;
    return true;
}

static bool read_atsr(struct dmar *d, const uint8_t *p, unsigned len)
{
    (void)p, (void)len;
    d->atsr++;
    return true;
}

static bool read_rhsa(struct dmar *d, const uint8_t *p, unsigned len)
{
    (void)p, (void)len;
    d->rhsa++;
    return true;
}

static const struct {
    bool (*read)(struct dmar *, const uint8_t *, unsigned len);
    unsigned least;
} types[TYPES] = {
    [TYPE_DRHD] = { read_drhd, 16 },
    [TYPE_RMRR] = { read_rmrr, 24 },
    [TYPE_ATSR] = { read_atsr, 8 },
    [TYPE_RHSA] = { read_rhsa, 20 },
};

bool dmar_parse(struct dmar *d, const void *table)
{
    const uint8_t *p = table;
    uint64_t len = get_le(p + 4, 4);

    *d = (struct dmar){ .nunits = 0 };
    if (len < HEAD)
        return false;
    d->width = (uint8_t)min_u64(p[TABLE_WIDTH] + 1u, 64);
    d->irqs = p[TABLE_FLAGS] & FLAG_IRQS;
    d->no_x2apic = p[TABLE_FLAGS] & FLAG_NO_X2APIC;
    for (uint64_t at = HEAD; at < len;) {
        uint64_t rest = len - at, n = rest >= 4 ? get_le(p + at + 2, 2) : 0;
        uint64_t type = rest >= 4 ? get_le(p + at, 2) : 0;

        if (n < 4 || n > rest) {
            d->bad++;
            break;
        }
        if (type < TYPES)
            d->bad += n < types[type].least || !types[type].read(d, p + at, (unsigned)n);
        at += n;
    }
    return d->nunits > 0;
}

/* ---- requester IDs ---- */

static const struct host_pci_dev *device_at(uint16_t segment, unsigned bus, uint8_t devfn)
{
    uint32_t count;
    const struct host_pci_dev *d = host_pci_devs(&count);

    for (uint32_t i = 0; i < count; i++)
        if (d[i].segment == segment && d[i].bus == bus && d[i].devfn == devfn)
            return &d[i];
    return NULL;
}

unsigned dmar_scope_rids(const struct dmar_scope *s, uint16_t segment, struct iommu_scope out[2])
{
    const struct host_pci_dev *bridge;
    unsigned bus = s->bus, last;
    uint16_t rid;

    for (unsigned i = 0; i + 1u < s->npath; i++) {
        bridge = device_at(segment, bus, s->path[i]);
        if (!bridge || bridge->header != 1)
            return 0;
        bus = host_pci_read(bridge, CFG_SECONDARY, 1);
    }
    rid = (uint16_t)(bus << 8 | s->path[s->npath - 1]);
    out[0] = (struct iommu_scope){ .segment = segment, .first = rid, .last = rid, .stream = rid };
    bridge = s->type == DMAR_BRIDGE ? device_at(segment, bus, s->path[s->npath - 1]) : NULL;
    if (!bridge || bridge->header != 1)
        return 1;
    bus = host_pci_read(bridge, CFG_SECONDARY, 1);
    last = host_pci_read(bridge, CFG_SUBORDINATE, 1);
    if (bus == 0 || last < bus)
        return 1;
    out[1] = (struct iommu_scope){ .segment = segment,
                                   .first = (uint16_t)(bus << 8),
                                   .last = (uint16_t)(last << 8 | 0xff),
                                   .stream = bus << 8 };
    return 2;
}
