/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fw_cfg, by which firmware of virtual machines asks what machine it is on: items by number, some
 * of them files with names (QEMU docs/specs/fw_cfg). Only what fw_cfg_writable() added can be
 * written.
 *
 * Any context; the caller holds a lock over all calls for one of them, or nobody else has it.
 */
#pragma once
#include <hv/types.h>

#define FW_CFG_ITEMS 32
#define FW_CFG_NAME 56
#define FW_CFG_DMA_MAX MIB   /* one transfer; a longer one fails */
#define FW_CFG_WRITE_MAX 64u /* the same, to an item that can be written */
#define FW_CFG_STATE_VERSION 1

/* Items without a name. */
enum fw_cfg_key {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01,
    FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NB_CPUS = 0x05,
    FW_CFG_BOOT_MENU = 0x0e,
    FW_CFG_MAX_CPUS = 0x0f,
    FW_CFG_FILE_DIR = 0x19,
    FW_CFG_FILE_FIRST = 0x20
};
struct fw_cfg_item {
    const void *data;  /* not owned; NULL: `number` */
    uint8_t *writable; /* the same, or NULL: it cannot be written */
    uint32_t len;
    uint16_t key;
    uint64_t number;
    char name[FW_CFG_NAME]; /* "": none */
};
/* What a guest can see and change. */
struct fw_cfg_state {
    uint32_t version;
    uint16_t key, zero;
    uint32_t offset;   /* into the item, of the next byte */
    uint32_t dma_high; /* upper half of the address of the next transfer */
};
static_assert(sizeof(struct fw_cfg_state) == 16, "a saved state");
struct fw_cfg {
    struct fw_cfg_state s;
    struct fw_cfg_item item[FW_CFG_ITEMS];
    unsigned nitems, nfiles;
    uint8_t directory[4 + 64 * FW_CFG_ITEMS];
    /* guest memory: 0 or -EFAULT */
    int (*read)(void *ctx, uint64_t at, void *to, uint64_t len);
    int (*write)(void *ctx, uint64_t at, const void *from, uint64_t len);
    void *ctx;
};

/* Empties it, and gives it what every fw_cfg has. `read`, `write` and `ctx` stay. */
void fw_cfg_init(struct fw_cfg *);
/*
 * Before the guest runs. -ENOSPC; -EINVAL: a name too long, no data, a key that is there. Data is
 * not copied; a number is kept as it is: size 1, 2, 4 or 8 bytes, little-endian.
 */
int must_check fw_cfg_number(struct fw_cfg *, uint16_t key, unsigned size, uint64_t val);
int must_check fw_cfg_file(struct fw_cfg *, const char *name, const void *data, uint32_t len);
/* A file that the guest may write, by DMA, within its length; what it wrote is for the owner of
 * `data` to check. Errors as of fw_cfg_file(). */
int must_check fw_cfg_writable(struct fw_cfg *, const char *name, uint8_t *data, uint32_t len);

/* From exits. */
void fw_cfg_select(struct fw_cfg *, uint16_t key);
uint8_t fw_cfg_byte(struct fw_cfg *); /* the next one of the item; 0 behind its end */
/*
 * The DMA address register, 8 bytes, big-endian, from off on; val as the CPU has it, size 4 or 8.
 * Writing its end starts a transfer, which is done on return.
 */
void fw_cfg_dma_write(struct fw_cfg *, unsigned off, unsigned size, uint64_t val);
uint64_t fw_cfg_dma_read(unsigned off, unsigned size); /* a signature */

/*
 * etc/table-loader: says how the firmware puts ACPI tables in memory and makes their pointers and
 * checksums right. `tables`: made by <hv/guest_acpi.h> for the address 0, the RSDP first; the
 * checksums that change are zeroed. `rsdp` gets a copy of it, for etc/acpi/rsdp. Returns the
 * script's bytes, or -ENOSPC; -EINVAL: `tables` holds no RSDP. When a guest's machine is built.
 */
#define FW_ACPI_COMMAND 128
int must_check fw_acpi_script(uint8_t *tables, uint64_t len, uint8_t rsdp[36], uint8_t *script,
                              uint64_t room);
