/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI's IVRS table: which AMD-Vi units there are, and for whom. AMD I/O Virtualization Technology
 * (IOMMU) Specification 48882 revision 3.07 section 5.2. The firmware's: each length is checked,
 * each loop bounded, what cannot be used is left out.
 */
#pragma once
#include <hv/iommu.h>

enum { IVRS_UNITS = 32, IVRS_RANGES = 256, IVRS_SPECIALS = 32, IVRS_RESERVED = 32 };
enum ivrs_special { IVRS_IOAPIC = 1, IVRS_HPET = 2 };
struct ivrs {
    uint32_t nunits, nranges, nspecials, nreserved;
    uint32_t bad; /* blocks and entries left out */
    struct {
        uint64_t base, features; /* features: as the block gives them; 0: it does not */
        uint16_t segment, rid;   /* rid: the unit's own function */
        uint8_t flags;           /* of the block: 5.2.2.1 */
        bool all;                /* of the segment */
        uint32_t range, nranges;
    } unit[IVRS_UNITS];
    struct {
        uint16_t first, last;
        bool aliased;
        uint16_t alias; /* by which the unit knows all of them */
    } range[IVRS_RANGES];
    struct {
        uint8_t kind, id; /* id: of the I/O APIC, the HPET */
        uint16_t rid;
        uint32_t unit;
    } special[IVRS_SPECIALS];
    struct {
        uint16_t first, last;
        uint64_t base, len;
        uint8_t prot;
    } reserved[IVRS_RESERVED];
};
/* `table`: with its ACPI header, whose length and checksum were verified. False: it is none. */
bool ivrs_parse(struct ivrs *, const void *table);
