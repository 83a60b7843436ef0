/* SPDX-License-Identifier: BSD-2-Clause */
/* fw_cfg.c: see <hv/fw_cfg.h>. */
#include <hv/fw_cfg.h>
#include <hv/nospec.h>
#include <string.h>

enum { ID_TRADITIONAL = 1, ID_DMA = 2 };
/* FWCfgDmaAccess.control; bits 31:16 are the item of DMA_SELECT */
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };
#define DMA_SIGNATURE 0x51454d5520434647ull /* "QEMU CFG" */
#define ZEROS 4096u

/* All in big-endian. */
struct dma_access {
    uint32_t control, length;
    uint64_t address;
};
struct directory_entry {
    uint32_t size;
    uint16_t select, reserved;
    char name[FW_CFG_NAME];
};
static_assert(sizeof(struct dma_access) == 16, "QEMU docs/specs/fw_cfg");
static_assert(sizeof(struct directory_entry) == 64, "QEMU docs/specs/fw_cfg");

static struct fw_cfg_item *item_find(struct fw_cfg *f, uint16_t key)
{
    for (unsigned i = 0; i < f->nitems; i++)
        if (f->item[i].key == key)
            return &f->item[i];
    return NULL;
}

static struct fw_cfg_item *item_add(struct fw_cfg *f, uint16_t key, const void *data, uint32_t len)
{
    struct fw_cfg_item *n = &f->item[f->nitems];

    if (f->nitems == FW_CFG_ITEMS)
        return NULL;
    f->nitems++;
    *n = (struct fw_cfg_item){ .data = data, .len = len, .key = key };
    return n;
}

int fw_cfg_number(struct fw_cfg *f, uint16_t key, unsigned size, uint64_t val)
{
    struct fw_cfg_item *n;

    if (size > 8 || item_find(f, key))
        return -EINVAL;
    n = item_add(f, key, NULL, size);
    if (!n)
        return -ENOSPC;
    n->number = val;
    return 0;
}

int fw_cfg_file(struct fw_cfg *f, const char *name, const void *data, uint32_t len)
{
    struct directory_entry e = { .size = __builtin_bswap32(len) };
    uint16_t key = (uint16_t)(FW_CFG_FILE_FIRST + f->nfiles);
    struct fw_cfg_item *n;
    uint32_t count;

    if (strlen(name) >= FW_CFG_NAME || !data)
        return -EINVAL;
    n = item_add(f, key, data, len);
    if (!n)
        return -ENOSPC;
    memcpy(n->name, name, strlen(name) + 1);
    e.select = __builtin_bswap16(key);
    memcpy(e.name, n->name, sizeof e.name);
    memcpy(f->directory + 4 + f->nfiles * sizeof e, &e, sizeof e);
    count = __builtin_bswap32(++f->nfiles);
    memcpy(f->directory, &count, sizeof count);
    item_find(f, FW_CFG_FILE_DIR)->len = (uint32_t)(4 + f->nfiles * sizeof e);
    return 0;
}

int fw_cfg_writable(struct fw_cfg *f, const char *name, uint8_t *data, uint32_t len)
{
    int err = fw_cfg_file(f, name, data, len);

    if (!err)
        f->item[f->nitems - 1].writable = data;
    return err;
}

void fw_cfg_init(struct fw_cfg *f)
{
    static const char signature[4] = { 'Q', 'E', 'M', 'U' }; /* what firmware looks for */

    memset(&f->s, 0, sizeof f->s);
    f->s.version = FW_CFG_STATE_VERSION;
    f->nitems = f->nfiles = 0;
    memset(f->directory, 0, sizeof f->directory);
    (void)item_add(f, FW_CFG_SIGNATURE, signature, sizeof signature);
    (void)item_add(f, FW_CFG_FILE_DIR, f->directory, 4);
    (void)!fw_cfg_number(f, FW_CFG_ID, 4, ID_TRADITIONAL | ID_DMA);
}

/* ---- what the guest does ---- */

void fw_cfg_select(struct fw_cfg *f, uint16_t key)
{
    f->s.key = key;
    f->s.offset = 0;
}

static const uint8_t *bytes_of(const struct fw_cfg_item *n)
{
    return n->data ? n->data : (const uint8_t *)&n->number;
}

static void cfg_advance(struct fw_cfg *f, uint32_t n)
{
    f->s.offset = f->s.offset > UINT32_MAX - n ? UINT32_MAX : f->s.offset + n;
}

uint8_t fw_cfg_byte(struct fw_cfg *f)
{
    const struct fw_cfg_item *n = item_find(f, f->s.key);
    uint8_t b = 0;

    if (n && f->s.offset < n->len)
        b = bytes_of(n)[index_nospec(f->s.offset, n->len)];
    cfg_advance(f, 1);
    return b;
}

static int give_zeros(struct fw_cfg *f, uint64_t at, uint32_t len)
{
    static const uint8_t zeros[ZEROS];
    int err = 0;

    for (uint32_t n; len && !err; at += n, len -= n) {
        n = (uint32_t)min_u64(len, ZEROS);
        err = f->write(f->ctx, at, zeros, n);
    }
    return err;
}

/* What is of the item, then zeros. */
static int dma_transfer(struct fw_cfg *f, uint64_t at, uint32_t len)
{
    const struct fw_cfg_item *n = item_find(f, f->s.key);
    uint32_t have = n && f->s.offset < n->len ? n->len - f->s.offset : 0;
    int err = 0;

    if (len > FW_CFG_DMA_MAX)
        return -EINVAL;
    have = (uint32_t)min_u64(have, len);
    if (have)
        err = f->write(f->ctx, at, bytes_of(n) + index_nospec(f->s.offset, n->len), have);
    if (!err)
        err = give_zeros(f, at + have, len - have);
    if (!err)
        cfg_advance(f, len);
    return err;
}

/* All of it, or nothing where it would go beyond the item's end. */
static int dma_take(struct fw_cfg *f, uint64_t at, uint32_t len)
{
    const struct fw_cfg_item *n = item_find(f, f->s.key);
    uint8_t bytes[FW_CFG_WRITE_MAX];
    int err;

    if (!n || !n->writable || len > sizeof bytes || !range_within(f->s.offset, len, 0, n->len))
        return -EINVAL;
    err = f->read(f->ctx, at, bytes, len);
    if (err || !len)
        return err;
    memcpy(n->writable + index_nospec(f->s.offset, n->len), bytes, len);
    cfg_advance(f, len);
    return 0;
}

static void dma(struct fw_cfg *f, uint64_t at)
{
    struct dma_access a;
    uint32_t control, length;
    int err = 0;

    if (f->read(f->ctx, at, &a, sizeof a))
        return; /* nowhere to say so */
    control = __builtin_bswap32(a.control);
    length = __builtin_bswap32(a.length);
    if (control & DMA_SELECT)
        fw_cfg_select(f, (uint16_t)(control >> 16));
    if (control & DMA_READ)
        err = dma_transfer(f, __builtin_bswap64(a.address), length);
    else if (control & DMA_WRITE)
        err = dma_take(f, __builtin_bswap64(a.address), length);
    else if (control & DMA_SKIP)
        cfg_advance(f, length);
    a.control = __builtin_bswap32(err ? DMA_ERROR : 0);
    (void)!f->write(f->ctx, at, &a.control, sizeof a.control);
}

void fw_cfg_dma_write(struct fw_cfg *f, unsigned off, unsigned size, uint64_t val)
{
    uint64_t high = f->s.dma_high;

    if (size == 8 && off == 0) {
        dma(f, __builtin_bswap64(val));
    } else if (size == 4 && off == 0) {
        f->s.dma_high = __builtin_bswap32((uint32_t)val);
    } else if (size == 4 && off == 4) {
        f->s.dma_high = 0;
        dma(f, high << 32 | __builtin_bswap32((uint32_t)val));
    }
}

uint64_t fw_cfg_dma_read(unsigned off, unsigned size)
{
    uint64_t all = __builtin_bswap64(DMA_SIGNATURE) >> (8 * (off & 7));

    return size >= 8 ? all : all & ((1ull << 8 * size) - 1);
}
