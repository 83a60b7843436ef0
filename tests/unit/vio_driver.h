/* SPDX-License-Identifier: BSD-2-Clause */
/* A small driver for one queue at a time, split or packed, on the fake bus. */
#pragma once
#include "vio_fake.h"

struct drv {
    unsigned slot;
    uint64_t common, notify, isr, config;
    uint64_t features;
};
struct drvq {
    struct drv *d;
    unsigned index, size;
    uint64_t desc, driver, device;
    uint16_t next, last_used; /* split: free-running; packed: slot */
    bool packed, avail_wrap, used_wrap;
    uint16_t free_desc;
};
struct buf {
    uint64_t addr;
    uint32_t len;
    bool in;
};
#define F(n) (1ull << (n))
enum {
    C_DFSEL = 0,
    C_DF = 4,
    C_GFSEL = 8,
    C_GF = 12,
    C_CFGVEC = 16,
    C_NQ = 18,
    C_STATUS = 20,
    C_QSEL = 22,
    C_QSIZE = 24,
    C_QVEC = 26,
    C_QEN = 28,
    C_QNOFF = 30,
    C_QDESC = 32,
    C_QDRIVER = 40,
    C_QDEVICE = 48,
    C_QRESET = 58
};

static uint16_t g16(uint64_t a)
{
    uint16_t v = 0;
    (void)gmem_read(&vm, gpa(a), &v, 2);
    return v;
}
static uint32_t g32(uint64_t a)
{
    uint32_t v = 0;
    (void)gmem_read(&vm, gpa(a), &v, 4);
    return v;
}
static void p16(uint64_t a, uint16_t v) { poke(a, &v, 2); }
static void p32(uint64_t a, uint32_t v) { poke(a, &v, 4); }
static void p64(uint64_t a, uint64_t v) { poke(a, &v, 8); }

static void cw(const struct drv *d, unsigned off, unsigned size, uint64_t v)
{
    mem_wr(d->common + off, size, v);
}
static uint64_t cr(const struct drv *d, unsigned off, unsigned size)
{
    return mem_rd(d->common + off, size);
}

static void drv_find(struct drv *d, unsigned slot)
{
    *d = (struct drv){ .slot = slot,
                       .common = structure(slot, 1),
                       .notify = structure(slot, 2),
                       .isr = structure(slot, 3) };
    if (find_cap(slot, PCI_CAP_VENDOR, 4))
        d->config = structure(slot, 4);
    cfg_wr(slot, PCI_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
}

static bool drv_features(struct drv *d, uint64_t want)
{
    cw(d, C_STATUS, 1, 0);
    cw(d, C_STATUS, 1, 1);
    cw(d, C_STATUS, 1, 3);
    d->features = want;
    for (unsigned i = 0; i < 2; i++) {
        cw(d, C_GFSEL, 4, i);
        cw(d, C_GF, 4, want >> (32 * i) & UINT32_MAX);
    }
    cw(d, C_STATUS, 1, 11);
    return cr(d, C_STATUS, 1) & 8;
}

static void drv_queue_at(struct drv *d, struct drvq *q, unsigned index, unsigned size,
                         uint64_t desc, uint64_t driver, uint64_t device)
{
    *q = (struct drvq){ .d = d,
                        .index = index,
                        .size = size,
                        .desc = desc,
                        .driver = driver,
                        .device = device,
                        .packed = d->features & F(34),
                        .avail_wrap = true,
                        .used_wrap = true };
    cw(d, C_QSEL, 2, index);
    cw(d, C_QSIZE, 2, size);
    cw(d, C_QVEC, 2, index);
    cw(d, C_QDESC, 8, q->desc);
    cw(d, C_QDRIVER, 4, q->driver); /* as two halves */
    cw(d, C_QDRIVER + 4, 4, q->driver >> 32);
    cw(d, C_QDEVICE, 8, q->device);
    cw(d, C_QEN, 2, 1);
}

static void drv_queue(struct drv *d, struct drvq *q, unsigned index, unsigned size, uint64_t at)
{
    drv_queue_at(d, q, index, size, at, at + 0x1000, at + 0x2000);
}

static void drv_ok(struct drv *d)
{
    cw(d, C_STATUS, 1, 15);
    run_events();
}

static void put_desc(uint64_t at, uint64_t addr, uint32_t len, uint16_t a, uint16_t b)
{
    p64(at, addr);
    p32(at + 8, len);
    p16(at + 12, a);
    p16(at + 14, b);
}

static uint16_t packed_flags(const struct drvq *q, uint16_t f)
{
    return (uint16_t)(f | (q->avail_wrap ? 1 << 7 : 1 << 15));
}

/*
 * As indirect table at `table` when that is not 0. The flags of the first packed slot are written
 * last.
 */
static void drvq_add(struct drvq *q, const struct buf *b, unsigned n, uint64_t table)
{
    uint16_t head = q->packed ? q->next : q->free_desc, first_flags = 0, id = head;
    struct buf one = { table, 16 * n, false };

    for (unsigned i = 0; table && i < n; i++) {
        uint16_t f = (uint16_t)(b[i].in ? 2 : 0);

        if (q->packed)
            put_desc(table + 16 * i, b[i].addr, b[i].len, 0, f);
        else
            put_desc(table + 16 * i, b[i].addr, b[i].len, (uint16_t)(f | (i + 1 < n ? 1 : 0)),
                     (uint16_t)(i + 1));
    }
    if (table) {
        b = &one;
        n = 1;
    }
    for (unsigned i = 0; i < n; i++) {
        uint16_t f = (uint16_t)((b[i].in ? 2 : 0) | (i + 1 < n ? 1 : 0) | (table ? 4 : 0));

        if (q->packed) {
            uint64_t at = q->desc + 16u * q->next;

            put_desc(at, b[i].addr, b[i].len, id, i ? packed_flags(q, f) : g16(at + 14));
            if (i == 0)
                first_flags = packed_flags(q, f);
            if (++q->next == q->size) {
                q->next = 0;
                q->avail_wrap = !q->avail_wrap;
            }
        } else {
            uint16_t slot = q->free_desc, next = (uint16_t)((slot + 1) % q->size);

            put_desc(q->desc + 16u * slot, b[i].addr, b[i].len, f, next);
            q->free_desc = next;
        }
    }
    if (q->packed) {
        p16(q->desc + 16u * head + 14, first_flags);
    } else {
        p16(q->driver + 4 + 2u * (q->next % q->size), head);
        p16(q->driver + 2, ++q->next);
    }
}

static void drvq_kick(struct drvq *q)
{
    mem_wr(q->d->notify + 4 * q->index, 2, q->index);
    run_events();
}

/* One used buffer of `slots` descriptors: its length, or -1. */
static int64_t drvq_used(struct drvq *q, unsigned slots)
{
    if (q->packed) {
        uint64_t at = q->desc + 16u * q->last_used;
        uint16_t f = g16(at + 14);

        if (!!(f & 1 << 7) != q->used_wrap || !!(f & 1 << 15) != q->used_wrap)
            return -1;
        q->last_used = (uint16_t)(q->last_used + slots);
        if (q->last_used >= q->size) {
            q->last_used = (uint16_t)(q->last_used - q->size);
            q->used_wrap = !q->used_wrap;
        }
        return g32(at + 8);
    }
    if (g16(q->device + 2) == q->last_used)
        return -1;
    return g32(q->device + 4 + 8u * (q->last_used++ % q->size) + 4);
}
