/* SPDX-License-Identifier: BSD-2-Clause */
/* private.h: the parts of the ACPI parser. */
#pragma once
#include <hv/platform.h>

/* Table header, ACPI 6.5 section 5.2.6. */
struct acpi_header {
    char sig[4];
    uint32_t len;
    uint8_t rev, sum;
    char oem[6], table_oem[8];
    uint32_t oem_rev, creator, creator_rev;
} __attribute__((packed));
static_assert(sizeof(struct acpi_header) == 36, "ACPI table header");
static_assert(offsetof(struct acpi_header, len) == 4, "ACPI 6.5 §5.2.6");
static_assert(offsetof(struct acpi_header, sum) == 9, "ACPI 6.5 §5.2.6");
static_assert(offsetof(struct acpi_header, oem) == 10, "ACPI 6.5 §5.2.6");
static_assert(offsetof(struct acpi_header, table_oem) == 16, "ACPI 6.5 §5.2.6");
static_assert(offsetof(struct acpi_header, oem_rev) == 24, "ACPI 6.5 §5.2.6");

/* no table is larger; a DSDT is a few hundred KiB at most */
#define TABLE_MAX (1u << 22)

/* Unaligned little-endian reads within [0, len) of a table; 0 beyond it. */
struct bytes {
    const uint8_t *p;
    uint32_t len;
};
uint64_t acpi_get(struct bytes b, uint32_t off, uint32_t size);
struct acpi_gas acpi_gas_at(struct bytes b, uint32_t off);
struct bytes acpi_bytes(const struct acpi_header *);

/*
 * The entries of a MADT from offset 44 on, ACPI 6.5 section 5.2.12: each has its type and its
 * length in the first bytes. False: no more.
 */
bool acpi_madt_entry(struct bytes table, uint32_t *off, struct bytes *entry);

/* Each takes a table whose length and checksum are good. */
void acpi_parse_madt(struct acpi_info *, struct bytes);
void acpi_parse_mcfg(struct acpi_info *, struct bytes);
void acpi_parse_spcr(struct acpi_info *, struct bytes);
void acpi_parse_hpet(struct acpi_info *, struct bytes);
void acpi_parse_fadt(struct acpi_info *, struct bytes, uint64_t *dsdt);
void acpi_parse_aml(struct acpi_info *, struct bytes); /* DSDT or SSDT: the _S5_ package */

void iort_parse(struct platform *, struct bytes); /* which SMMUs there are */

/*
 * acpi_tables.c: a table at a physical address, mapped and verified; NULL (and *bad counted) if it
 * is not good.
 */
const struct acpi_header *acpi_map_table(uint64_t phys, acpi_map_fn map, uint32_t *bad);
