/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What firmware tells of hardware errors: ACPI 6.5 chapter 18, records in UEFI 2.10 appendix N.
 * Tables and records may hold anything: every length is checked, every loop is bounded.
 */
#pragma once
#include <hv/acpi.h>

#define CPER_WORDS 200u
#define CPER_ENTRIES_MAX 16u
#define CPER_BLOCK_MAX 65536u /* bytes of a status block that are looked at */

/*
 * A generic error status block (table 18.12), `len` bytes of it: say() gets a line for each of its
 * entries, or one that it is cut off. Returns how many lines; 0: it holds no error. Any context.
 */
unsigned cper_block(const uint8_t *block, uint64_t len, void (*say)(void *ctx, const char *words),
                    void *ctx);

/*
 * Where a source of HEST (section 18.3.2) keeps its status block: the address of an address, and
 * the block's greatest length. *at: 0 before the first, then as it was left. False: no more.
 */
struct hest_source {
    struct acpi_gas where;
    uint32_t len;
};
bool hest_next(const uint8_t *table, uint32_t *at, struct hest_source *);

/* Boot step: logs what BERT and HEST's sources say of the time before. After acpi_init(). */
void cper_boot(void);
