/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ata.h: what the drivers of ATA disks share. "ACS" is ATA/ATAPI Command Set 3.
 */
#pragma once
#include <hv/disk.h>
#include <hv/types.h>

/* The queued ones: Serial ATA 3 section 13.6 */
enum ata_command {
    ATA_DATA_SET = 6,
    ATA_READ = 0x25,
    ATA_WRITE = 0x35,
    ATA_READ_QUEUED = 0x60,
    ATA_WRITE_QUEUED = 0x61,
    ATA_SMART = 0xb0,
    ATA_FLUSH = 0xea,
    ATA_IDENTIFY = 0xec
};
/* ATA8-ACS section 7.52: features of ATA_SMART, what it has in the address, the log of errors */
enum { SMART_READ_DATA = 0xd0, SMART_READ_LOG = 0xd5, SMART_MID = 0x4f, SMART_HIGH = 0xc2 };
enum { SMART_ERROR_LOG = 1 };
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
/* Sectors of 512 bytes that one ATA_DATA_SET with a block of ranges may discard; 0: none. */
uint32_t ata_discard_most(const uint8_t *ident, uint32_t block);
/* ACS section 7.6: the ranges of such a command, for `blocks` of the disk from `first` on. */
void ata_put_ranges(uint8_t ranges[512], uint64_t first, uint64_t blocks);
/* How many of the two below it has, and are switched on: 0, 1 or 2. */
unsigned ata_smart_pages(const uint8_t *ident);
/*
 * What 512 bytes that SMART_READ_DATA or the log of errors gave say of the disk's health. The
 * attributes are the vendors' own; these are what most of them mean by the same numbers. False: the
 * checksum is wrong, and nothing is changed.
 */
bool must_check ata_smart_data(const uint8_t *page, struct disk_health *);
bool must_check ata_smart_errors(const uint8_t *page, struct disk_health *);
/* The command that a read, a write, a flush or a discard becomes. */
enum ata_command ata_opcode(uint8_t op, bool queued);
