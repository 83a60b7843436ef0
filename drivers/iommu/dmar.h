/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI's DMAR table: which VT-d units there are, and for whom. Intel VT-d specification 3.4 chapter
 * 8. The firmware's: each length is checked, each loop bounded, what cannot be used is left out.
 */
#pragma once
#include <hv/iommu.h>

enum { DMAR_UNITS = 32, DMAR_SCOPES = 256, DMAR_PATH = 8, DMAR_RESERVED = 32 };
/* device scope types, section 8.3.1 */
enum dmar_scope_type {
    DMAR_ENDPOINT = 1,
    DMAR_BRIDGE = 2, /* and all that is below it */
    DMAR_IOAPIC = 3,
    DMAR_HPET = 4,
    DMAR_NAMESPACE = 5
};
struct dmar_scope {
    uint8_t type, id;        /* id: of the I/O APIC, the HPET */
    uint8_t bus;             /* that the path begins at */
    uint8_t npath;           /* at least 1 */
    uint8_t path[DMAR_PATH]; /* devfn of each bridge on the way, and of the device */
};
struct dmar_part {
    uint16_t segment;
    uint16_t scope, nscopes; /* of dmar.scope[] */
};
struct dmar {
    uint8_t width; /* bits of addresses that DMA may have */
    bool irqs, no_x2apic;
    uint32_t nunits, nscopes, nreserved, atsr, rhsa;
    uint32_t bad; /* structures and scopes left out */
    struct {
        struct dmar_part part;
        uint64_t base;
        bool all;
    } unit[DMAR_UNITS];
    struct {
        struct dmar_part part;
        uint64_t base, limit; /* limit: the last byte */
    } reserved[DMAR_RESERVED];
    struct dmar_scope scope[DMAR_SCOPES];
};
/* `table`: with its ACPI header, whose length and checksum were verified. False: it is none. */
bool dmar_parse(struct dmar *, const void *table);
/*
 * The requester IDs of a scope, by the buses that bridges have now: of the device; of a bridge, a
 * second range for what is below it. Their number; 0: a bridge on the way is not there.
 */
unsigned dmar_scope_rids(const struct dmar_scope *, uint16_t segment, struct iommu_scope out[2]);
