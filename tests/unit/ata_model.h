/* SPDX-License-Identifier: BSD-2-Clause */
/* What the models of ATA disks share: IDENTIFY DEVICE (ATA8-ACS section 7.16) and what is on them.
 */
#pragma once
#include <stdint.h>
#include <stdlib.h>

/* Text has the two bytes of each word the other way round. */
static void ata_text(uint16_t *ident, unsigned word, const char *s)
{
    uint8_t *at = (uint8_t *)(ident + word);

    for (unsigned i = 0; s[i]; i++)
        at[i ^ 1] = (uint8_t)s[i];
}

/* A disk of `bytes` bytes with 48-bit addresses and a cache that can be flushed. */
static void ata_identify(uint16_t *ident, const char *serial, const char *model, uint32_t bytes)
{
    ata_text(ident, 10, serial);
    ata_text(ident, 27, model);
    ident[83] = 0x4000 | 1 << 10 | 1 << 13;
    ident[100] = (uint16_t)(bytes >> 9);
}

/* `disk`, or a new one of `bytes` bytes where that is NULL, with what each test expects on it. */
static uint8_t *ata_fill(uint8_t *disk, unsigned bytes)
{
    uint8_t *at = disk ? disk : calloc(1, bytes);

    for (unsigned i = 4096; at && i < bytes; i++)
        at[i] = (uint8_t)(i ^ i >> 8 ^ i >> 15);
    return at;
}
