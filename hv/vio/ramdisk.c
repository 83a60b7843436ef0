/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A RAM disk over a loaded file: pieces that were never written are read from the file, written
 * ones are copies, discarded ones are gone.
 */
#include <hv/blk.h>
#include <hv/charge.h>
#include <hv/config.h>
#include <hv/files.h>
#include <hv/percpu.h>
#include <hv/pmm.h>
#include <hv/share.h>
#include <hv/time.h>
#include <hv/vm.h>
#include <stdio.h>
#include <string.h>
#include "nocloud.h"
#include "vio.h"

#define PIECE RAMDISK_PIECE
enum { PIECE_ORDER = 4, SECTOR = 512 };
#define PER_RUN (1 * MIB) /* bytes copied by one run of the event */
static_assert(PIECE == PAGE_SIZE << PIECE_ORDER, "a piece is one allocation");

struct ramdisk {
    struct blk_dev blk;
    struct vm *vm;
    const uint8_t *file;
    uint64_t file_len;
    void *image;           /* what it is of, where that is the disk's own; else NULL */
    uint64_t npieces, own; /* own: pieces with memory */
    uint64_t emptied;      /* pieces before it are gone for good */
    struct event work;
    struct blk_req *first, *last;
    uint8_t *piece[]; /* NULL: as in the file; gone: zeroes */
};
static uint8_t gone[1];

static struct ramdisk *ramdisk_of(struct blk_dev *b)
{
    return container_of(b, struct ramdisk, blk);
}

static size_t ramdisk_size_of(uint64_t npieces)
{
    return sizeof(struct ramdisk) + npieces * sizeof(uint8_t *);
}

/* ---- pieces ---- */

static bool has_memory(const struct ramdisk *r, uint64_t i)
{
    return r->piece[i] && r->piece[i] != gone;
}

static void piece_drop(struct ramdisk *r, uint64_t i)
{
    if (has_memory(r, i)) {
        pmm_free(virt_to_phys(r->piece[i]), PIECE_ORDER, PMM_FILE);
        uncharge(r->vm, CHARGE_DISK, PIECE);
        r->own--;
    }
    r->piece[i] = gone;
}

static void file_read(const struct ramdisk *r, uint64_t off, uint8_t *dst, uint64_t len)
{
    uint64_t n = off >= r->file_len ? 0 : min_u64(len, r->file_len - off);

    if (n)
        memcpy(dst, r->file + off, n);
    if (n < len)
        memset(dst + n, 0, len - n); /* the end of the last sector */
}

/* A new piece, within the guest's limit. Its contents are undefined. */
static uint8_t *piece_new(struct ramdisk *r)
{
    hpa_t page;

    if (charge(r->vm, CHARGE_DISK, PIECE))
        return NULL;
    page = pmm_alloc(PIECE_ORDER, PMM_FILE); /* charge: above */
    if (page.v == 0)
        uncharge(r->vm, CHARGE_DISK, PIECE);
    return page.v ? phys_to_virt(page) : NULL;
}

static uint8_t *piece_writable(struct ramdisk *r, uint64_t i)
{
    uint8_t *p;

    if (has_memory(r, i))
        return r->piece[i];
    p = piece_new(r);
    if (!p)
        return NULL;
    if (r->piece[i] == gone)
        memset(p, 0, PIECE);
    else
        file_read(r, i * PIECE, p, PIECE);
    r->piece[i] = p;
    r->own++;
    return p;
}

/* Within one piece */
static void ramdisk_read_part(struct ramdisk *r, uint64_t off, uint8_t *dst, uint64_t len)
{
    uint64_t i = off / PIECE;

    if (!r->piece[i])
        file_read(r, off, dst, len);
    else if (r->piece[i] == gone)
        memset(dst, 0, len);
    else
        memcpy(dst, r->piece[i] + off % PIECE, len);
}

static int write_part(struct ramdisk *r, uint64_t off, const uint8_t *src, uint64_t len)
{
    uint8_t *p = piece_writable(r, off / PIECE);

    if (!p)
        return -ENOSPC;
    memcpy(p + off % PIECE, src, len);
    return 0;
}

/* Zeroes, or forgets: a whole piece (the last one may be short) gives its memory back. */
static int zero_part(struct ramdisk *r, uint64_t off, uint64_t len, bool discard)
{
    uint64_t i = off / PIECE, size = min_u64(PIECE, r->blk.sectors * SECTOR - i * PIECE);
    uint8_t *p;

    if (r->piece[i] == gone || (discard && len < size && !has_memory(r, i)))
        return 0; /* part of a piece that costs nothing may stay what it was */
    if (len == size) {
        piece_drop(r, i);
        return 0;
    }
    p = piece_writable(r, i);
    if (!p)
        return -ENOSPC;
    memset(p + off % PIECE, 0, len);
    return 0;
}

/* ---- requests ---- */

/* The piece of memory at `at` bytes into the request. */
static uint8_t *iov_at(const struct blk_req *q, uint64_t at, uint64_t *len)
{
    for (unsigned i = 0; i < q->niov; i++) {
        if (at < q->iov[i].len) {
            *len = min_u64(*len, q->iov[i].len - at);
            return (uint8_t *)q->iov[i].base + at;
        }
        at -= q->iov[i].len;
    }
    return NULL;
}

/* One step, within one piece of the disk and one iov. 0 and *moved, or an error. */
static int ramdisk_step(struct ramdisk *r, struct blk_req *q, uint64_t *moved)
{
    uint64_t off = q->sector * SECTOR + q->at, left = q->nsectors * SECTOR - q->at;
    uint8_t *mem;

    *moved = min_u64(left, PIECE - off % PIECE);
    if (q->op != BLK_READ && q->op != BLK_WRITE)
        return zero_part(r, off, *moved, q->op == BLK_DISCARD);
    mem = iov_at(q, q->at, moved);
    if (!mem)
        return -EINVAL;
    if (q->op == BLK_WRITE)
        return write_part(r, off, mem, *moved);
    ramdisk_read_part(r, off, mem, *moved);
    return 0;
}

static bool ramdisk_may_go(const struct blk_req *q) { return !q->may_go || q->may_go(q); }

/*
 * Goes on with a request that may go now; true when it is done. It is asked again before each
 * further step. A step that moves little still counts, and so does copying a whole piece to write
 * to it.
 */
static bool proceed(struct ramdisk *r, struct blk_req *q, uint64_t *budget)
{
    uint64_t size = q->op == BLK_FLUSH ? 0 : q->nsectors * SECTOR;

    q->status = 0;
    while (q->at < size && !q->status && *budget) {
        uint64_t moved = 0, own = r->own;

        q->status = ramdisk_step(r, q, &moved);
        q->at += moved;
        *budget -= min_u64(*budget, max_u64(moved, 256) + (r->own > own ? PIECE : 0));
        if (q->at >= size)
            return true;
        if (!ramdisk_may_go(q))
            break;
    }
    return q->at >= size || q->status;
}

static void ramdisk_work(struct event *ev)
{
    struct ramdisk *r = container_of(ev, struct ramdisk, work);
    uint64_t budget = PER_RUN, from = time_ns();

    if (share_wait(r->vm, ev))
        return;
    gmem_enter(&r->vm->gmem);
    while (r->first && ramdisk_may_go(r->first) && proceed(r, r->first, &budget)) {
        struct blk_req *q = r->first;

        r->first = q->next;
        event_post(&q->done);
    }
    share_pay(r->vm, from);
    if (r->first && ramdisk_may_go(r->first))
        event_post(ev);
}

static int ramdisk_submit(struct blk_dev *b, struct blk_req *q)
{
    struct ramdisk *r = ramdisk_of(b);

    if (!range_within(q->sector, q->nsectors, 0, b->sectors))
        return -EINVAL;
    if (b->ro && q->op != BLK_READ && q->op != BLK_FLUSH)
        return -EROFS;
    q->at = 0;
    if (!r->first && proceed(r, q, &q->may))
        return 1;
    q->next = NULL;
    if (r->first) {
        r->last->next = q;
    } else {
        r->first = q;
        event_cancel(&r->work); /* idle: it may move to this CPU */
        event_init(&r->work, ramdisk_work, q->done.cpu);
        event_post(&r->work);
    }
    r->last = q;
    return 0;
}

/* On the CPU of the work event, hence it does not run now; it may find nothing to do later. */
static bool ramdisk_cancel(struct blk_dev *b, struct blk_req *q)
{
    struct ramdisk *r = ramdisk_of(b);
    struct blk_req **p = &r->first, *prev = NULL;

    while (*p && *p != q) {
        prev = *p;
        p = &(*p)->next;
    }
    if (*p) {
        *p = q->next;
        if (r->last == q)
            r->last = prev;
    }
    event_cancel(&q->done);
    return true;
}

static void ramdisk_stop(struct blk_dev *b)
{
    event_cancel(&ramdisk_of(b)->work);
    ramdisk_of(b)->first = NULL;
}

static void ramdisk_resume(struct blk_dev *b)
{
    if (ramdisk_of(b)->first)
        event_post(&ramdisk_of(b)->work);
}

static void ramdisk_destroy(struct blk_dev *b)
{
    struct ramdisk *r = ramdisk_of(b);

    event_kill(&r->work);
    for (uint64_t i = r->emptied; i < r->npieces; i++)
        piece_drop(r, i);
    vm_free(r->vm, r->image, r->file_len);
    vm_free(r->vm, r, ramdisk_size_of(r->npieces));
}

bool ramdisk_empty(struct blk_dev *b, unsigned *budget)
{
    struct ramdisk *r = ramdisk_of(b);

    for (; r->emptied < r->npieces && *budget; r->emptied++) {
        *budget -= has_memory(r, r->emptied);
        piece_drop(r, r->emptied);
    }
    return r->emptied == r->npieces;
}

/* ---- <hv/state.h> ---- */

#define PAGES (PIECE / PAGE_SIZE)

static size_t words(const struct ramdisk *r) { return (r->npieces + 63) / 64; }

static const struct ramdisk *const_of(const struct blk_dev *b)
{
    return container_of(b, const struct ramdisk, blk);
}

size_t ramdisk_state_size(const struct blk_dev *b) { return words(const_of(b)) * sizeof(uint64_t); }

void ramdisk_save(const struct blk_dev *b, uint64_t *bits)
{
    const struct ramdisk *r = const_of(b);

    for (uint64_t i = 0; i < r->npieces; i++)
        if (r->piece[i] == gone)
            bits[i / 64] |= 1ull << i % 64;
}

/* The pages were put before: a piece that has some is not gone. */
int ramdisk_restore(struct blk_dev *b, const uint64_t *bits)
{
    struct ramdisk *r = ramdisk_of(b);

    for (uint64_t i = 0; i < words(r) * 64; i++)
        if ((bits[i / 64] >> i % 64 & 1) && (i >= r->npieces || has_memory(r, i) || r->blk.ro))
            return -EINVAL;
    for (uint64_t i = 0; i < r->npieces; i++)
        if (bits[i / 64] >> i % 64 & 1)
            r->piece[i] = gone;
    return 0;
}

const void *ramdisk_page(const struct blk_dev *b, uint64_t *page)
{
    const struct ramdisk *r = const_of(b);
    uint64_t i = *page / PAGES;

    if (i < r->npieces && has_memory(r, i))
        return r->piece[i] + *page % PAGES * PAGE_SIZE;
    while (i < r->npieces && !has_memory(r, i))
        i++;
    *page = i * PAGES;
    return i < r->npieces ? r->piece[i] : NULL;
}

int ramdisk_put(struct blk_dev *b, uint64_t page, const void *from)
{
    struct ramdisk *r = ramdisk_of(b);
    uint8_t *p;

    if (page / PAGES >= r->npieces || r->blk.ro)
        return -EINVAL;
    p = piece_writable(r, page / PAGES);
    if (!p)
        return -ENOSPC;
    memcpy(p + page % PAGES * PAGE_SIZE, from, PAGE_SIZE);
    return 0;
}

static const struct blk_ops ops = { .submit = ramdisk_submit,
                                    .destroy = ramdisk_destroy,
                                    .cancel = ramdisk_cancel,
                                    .stop = ramdisk_stop,
                                    .resume = ramdisk_resume };

uint64_t ramdisk_bytes(const struct blk_dev *b)
{
    const struct ramdisk *r = container_of(b, struct ramdisk, blk);

    return ramdisk_size_of(r->npieces) + r->own * PIECE;
}

static struct ramdisk *ramdisk_new(struct vm *vm, const struct guest_disk *d, const void *file,
                                   uint64_t len)
{
    uint64_t npieces = (len + PIECE - 1) / PIECE;
    struct ramdisk *r = vm_alloc(vm, ramdisk_size_of(npieces));

    if (!r)
        return NULL;
    r->vm = vm;
    r->blk = (struct blk_dev){
        .ops = &ops,
        .sectors = align_up(len, d->cdrom ? CD_BLOCK : SECTOR) / SECTOR,
        .limits = { .block = SECTOR, .discard_max = UINT32_MAX, .zeroes_max = UINT32_MAX },
        .ro = d->ro
    };
    snprintf(r->blk.name, sizeof r->blk.name, "%s", d->path);
    snprintf(r->blk.id, sizeof r->blk.id, "trivet-%.13s", d->path);
    r->file = file;
    r->file_len = len;
    r->npieces = npieces;
    event_init(&r->work, ramdisk_work, 0);
    return r;
}

int ramdisk_create(struct vm *vm, const struct guest_disk *d, struct blk_dev **out)
{
    uint64_t len = 0;
    const void *file = file_find(d->path, &len);
    struct ramdisk *r;

    if (!file)
        return -ENOENT;
    r = ramdisk_new(vm, d, file, len);
    if (!r)
        return -ENOMEM;
    *out = &r->blk;
    return 0;
}

/* ---- cloud-init ---- */

static int cloud_file(struct vm *vm, const char *path, struct nocloud_file *f)
{
    f->bytes = file_find(path, &f->len);
    if (!f->bytes)
        return -ENOENT;
    if (f->len <= NOCLOUD_FILE_MAX)
        return 0;
    snprintf(vm->why, sizeof vm->why, "cloud-init %.60s: %llu KiB; at most %llu KiB are accepted",
             path, (unsigned long long)(f->len / KIB),
             (unsigned long long)(NOCLOUD_FILE_MAX / KIB));
    return -EFBIG;
}

int ramdisk_create_cloud_init(struct vm *vm, const struct guest_disk *d, struct blk_dev **out)
{
    char own[2 * NAME_LEN + 64];
    struct nocloud_file user = { 0 }, meta = { .bytes = own };
    uint64_t len;
    struct ramdisk *r;
    void *image;
    int err = cloud_file(vm, d->path, &user);

    if (!err && vm->config->meta_data[0])
        err = cloud_file(vm, vm->config->meta_data, &meta);
    else
        meta.len = (uint64_t)snprintf(own, sizeof own, "instance-id: %s\nlocal-hostname: %s\n",
                                      vm->config->name, vm->config->name);
    if (err)
        return err;
    len = nocloud_size(&user, &meta);
    image = vm_alloc(vm, len);
    r = image ? ramdisk_new(vm, d, image, len) : NULL;
    if (!r) {
        vm_free(vm, image, len);
        return -ENOMEM;
    }
    nocloud_write(image, &user, &meta);
    r->image = image;
    *out = &r->blk;
    return 0;
}
