/* SPDX-License-Identifier: BSD-2-Clause */
/* blk_data.c: guest buffers as segments for a disk; see blk_data.h. */
#include "blk_data.h"
#include <hv/charge.h>
#include <hv/pmm.h>
#include <hv/virtio.h>
#include <hv/vm.h>

#define PAGE_MASK (PAGE_SIZE - 1)

void blk_data_begin(struct blk_data *d, uint64_t sector, const struct iov *iov, unsigned niov,
                    uint64_t bytes, bool write)
{
    d->iov = iov;
    d->niov = niov;
    d->write = write;
    d->sector = sector;
    d->bytes = bytes;
    d->at = d->step = 0;
}

/* ---- as they are ---- */

static bool full(const struct blk_data *d, const struct blk_limits *l)
{
    return d->nseg == BLK_SEGS || d->nseg == l->max_segs || d->step == l->max_bytes;
}

/* One run of memory, as far as the limits allow. False: the step ends before it. */
static bool add_run(struct blk_data *d, const struct blk_limits *l, hpa_t at, uint64_t len)
{
    struct blk_seg *last = d->nseg ? &d->seg[d->nseg - 1] : NULL;
    uint64_t end = last ? last->at.v + last->len : 0;

    if (last && end == at.v) {
        last->len += (uint32_t)len;
        d->step += len;
        return true;
    }
    if (full(d, l) || (last ? (end | at.v) & PAGE_MASK : at.v % l->align))
        return false;
    d->seg[d->nseg++] = (struct blk_seg){ at, (uint32_t)len };
    d->step += len;
    return true;
}

/* False: the step ends within it. */
static bool add_iov(struct blk_data *d, struct vm *vm, const struct blk_limits *l, const uint8_t *p,
                    uint64_t len)
{
    while (len && d->step < l->max_bytes) {
        uint64_t run = min_u64(len, l->max_bytes - d->step);
        hpa_t at;

        if (gmem_phys(vm, p, &run, &at) || !add_run(d, l, at, run))
            return false;
        p += run;
        len -= run;
    }
    return len == 0;
}

/* Takes what is beyond `bytes` off the end. */
static void trim(struct blk_data *d, uint64_t bytes)
{
    while (d->step > bytes) {
        struct blk_seg *last = &d->seg[d->nseg - 1];
        uint64_t cut = min_u64(d->step - bytes, last->len);

        last->len -= (uint32_t)cut;
        d->step -= cut;
        if (last->len == 0)
            d->nseg--;
    }
}

static void blk_data_direct(struct blk_data *d, struct vm *vm, const struct blk_limits *l)
{
    uint64_t skip = d->at;

    d->nseg = 0;
    d->step = 0;
    for (unsigned i = 0; i < d->niov; i++) {
        const struct iov *v = &d->iov[i];
        uint64_t off = min_u64(skip, v->len);

        skip -= off;
        if (off < v->len && !add_iov(d, vm, l, (const uint8_t *)v->base + off, v->len - off))
            break;
    }
    trim(d, align_down(d->step, l->block));
}

/* ---- through the buffer ---- */

static int bounce(struct blk_data *d, struct vm *vm, const struct blk_limits *l)
{
    if (!d->bounce.v)
        d->bounce = vm_pages(vm, BLK_BOUNCE_ORDER);
    if (!d->bounce.v)
        return -ENOMEM;
    d->bounced = true;
    d->step = min_u64(min_u64(blk_data_left(d), BLK_BOUNCE), l->max_bytes);
    d->nseg = 1;
    d->seg[0] = (struct blk_seg){ d->bounce, (uint32_t)d->step };
    if (d->write)
        (void)iov_read(d->iov, d->niov, d->at, phys_to_virt(d->bounce), d->step);
    return 0;
}

int blk_data_next(struct blk_data *d, struct vm *vm, const struct blk_limits *l, uint64_t *bytes)
{
    int e = 0;

    d->bounced = false;
    blk_data_direct(d, vm, l);
    if (d->step < min_u64(blk_data_left(d), BLK_DIRECT_LEAST))
        e = bounce(d, vm, l);
    *bytes = d->step;
    return e;
}

void blk_data_took(struct blk_data *d)
{
    if (d->bounced && !d->write)
        (void)iov_write(d->iov, d->niov, d->at, phys_to_virt(d->bounce), d->step);
    d->at += d->step;
}

void blk_data_free(struct blk_data *d, struct vm *vm)
{
    if (d->bounce.v)
        vm_pages_free(vm, d->bounce, BLK_BOUNCE_ORDER);
    d->bounce = hpa(0);
}
