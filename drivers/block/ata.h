/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ata.h: what the drivers of ATA disks share. "ACS" is ATA/ATAPI Command Set 3.
 */
#pragma once
#include <hv/disk.h>
#include <hv/types.h>

/* The queued ones: Serial ATA 3 section 13.6 */
enum ata_command {
    ATA_READ = 0x25,
    ATA_WRITE = 0x35,
    ATA_READ_QUEUED = 0x60,
    ATA_WRITE_QUEUED = 0x61,
    ATA_FLUSH = 0xea,
    ATA_IDENTIFY = 0xec
};
enum { ATA_DEVICE_LBA = 0x40, ATA_IDENT_LEN = 512 };
enum {
    ATA_STATUS_ERROR = 1,
    ATA_STATUS_REQUEST = 8,
    ATA_STATUS_FAULT = 0x20,
    ATA_STATUS_BUSY = 0x80
};

/* Word i of 512 bytes of IDENTIFY DEVICE data, ACS section 7.12.7. i: 0 to 255. */
uint32_t ata_word(const uint8_t *ident, unsigned i);
/*
 * From such data: size, block, model, serial number of a disk. -ENOTSUP: it cannot be used; it
 * lacks 48-bit addresses or their flush, or its size cannot be.
 */
int must_check ata_describe(const uint8_t *ident, struct disk *);
/* The command that a read, a write or a flush becomes. */
enum ata_command ata_opcode(uint8_t op, bool queued);
