/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's accesses to flash and fw_cfg, and a firmware's file: none reaches beyond what it is
 * given, flash changes only where it says so, and what a machine came to is a state that it would
 * take.
 */
#include <hv/cfi_flash.h>
#include <hv/fw_cfg.h>
#include <hv/guest_uefi.h>
#include <hv/ramfb.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BLOCK 4096u
#define LEN (2 * BLOCK)
static uint8_t *array, shadow[LEN], ram[8192];

static void on_change(struct cfi_flash *f, uint32_t off, uint32_t len)
{
    if (!range_within(off, len, 0, LEN))
        abort();
    memcpy(shadow + off, f->data + off, len);
}

static int ram_read(void *ctx, uint64_t at, void *to, uint64_t len)
{
    (void)ctx;
    if (!range_within(at, len, 0, sizeof ram))
        return -EFAULT;
    memcpy(to, ram + at, len);
    return 0;
}

static int ram_write(void *ctx, uint64_t at, const void *from, uint64_t len)
{
    (void)ctx;
    if (!range_within(at, len, 0, sizeof ram))
        return -EFAULT;
    memcpy(ram + at, from, len);
    return 0;
}

struct op {
    uint8_t what, shift;
    uint16_t at;
    uint32_t val;
};

static void flash_op(struct cfi_flash *f, const struct op *o)
{
    unsigned n = 1u << (o->shift & 3);
    uint64_t off = o->at % (LEN - n + 1), val = o->val | (uint64_t)o->val << 32;

    if (o->what & 1)
        cfi_flash_write(f, off, n, val);
    else
        (void)cfi_flash_read(f, off, n);
    if (!cfi_flash_valid(f, &f->s))
        abort();
}

static void cfg_op(struct fw_cfg *c, const struct op *o)
{
    switch (o->shift & 3) {
    case 0: fw_cfg_select(c, (uint16_t)o->val); break;
    case 1: (void)fw_cfg_byte(c); break;
    case 2: fw_cfg_dma_write(c, o->at & 4, o->what & 1 ? 8 : 4, o->val); break;
    default: memcpy(ram + o->at % (sizeof ram - 3), &o->val, 4);
    }
}

/* What the guest wrote of its picture: no row is where none can be, or larger than its buffer. */
static void see_picture(const uint8_t *config)
{
    static uint8_t rgb[RAMFB_RGB_MAX];
    struct ramfb_picture p;
    uint8_t *row;

    if (ramfb_picture(config, &p))
        return;
    if (p.width > RAMFB_SIDE_MAX || p.height - 1 >= RAMFB_SIDE_MAX || p.row > p.stride ||
        p.row > RAMFB_ROW_MAX || p.at > UINT64_MAX - (uint64_t)p.stride * (p.height - 1) - p.row)
        abort();
    row = calloc(1, p.row); /* for the sanitizer: its very end */
    ramfb_rgb(&p, row, rgb);
    free(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t banks[][2] = { { 1, 1 }, { 2, 2 }, { 4, 2 }, { 4, 4 } };
    struct cfi_flash f = { .len = LEN, .block = BLOCK, .changed = on_change };
    static struct fw_cfg c;
    uint8_t *config; /* of ramfb */
    struct uefi_file parts;
    struct op o;
    char *heap;

    if (size == 0)
        return 0;
    heap = malloc(size); /* for the sanitizer: its very end */
    memcpy(heap, data, size);
    if (!uefi_file_parts((uint8_t *)heap, size, &parts) && parts.vars &&
        (parts.vars_len + parts.code_len != size || parts.code_len == 0))
        abort();
    free(heap);
    array = malloc(LEN);
    memset(array, 0xa5, LEN);
    memset(shadow, 0xa5, LEN);
    f.data = array;
    f.bank = banks[data[0] & 3][0];
    f.chip = banks[data[0] & 3][1];
    f.read_only = data[0] & 4;
    cfi_flash_reset(&f);
    c.read = ram_read;
    c.write = ram_write;
    fw_cfg_init(&c);
    config = calloc(1, RAMFB_CONFIG);
    if (size > RAMFB_CONFIG)
        memcpy(config, data + 1, RAMFB_CONFIG);
    see_picture(config);
    if (fw_cfg_writable(&c, RAMFB_FILE, config, RAMFB_CONFIG))
        abort();
    if (fw_cfg_file(&c, "etc/file", "0123456789", 10) || fw_cfg_number(&c, FW_CFG_NB_CPUS, 2, 4))
        abort();
    for (size_t i = 1; i + sizeof o <= size; i += sizeof o) {
        memcpy(&o, data + i, sizeof o);
        if (o.what & 2)
            flash_op(&f, &o);
        else
            cfg_op(&c, &o);
    }
    if (memcmp(shadow, array, LEN) != 0)
        abort();
    see_picture(config);
    free(config);
    free(array);
    return 0;
}
