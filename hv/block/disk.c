/* SPDX-License-Identifier: BSD-2-Clause */
/* disk.c: the list of disks, their partitions and who holds what; see <hv/disk.h>. */
#include <hv/disk.h>
#include <hv/irq.h>
#include <hv/log.h>
#include <hv/notice.h>
#include <hv/pmm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/boot_info.h"

static struct disk *disks;

struct disk *disk_by_index(unsigned i)
{
    struct disk *d = disks;

    for (; d && i; i--)
        d = d->next;
    return d;
}

void disk_failed(struct disk *d)
{
    uint64_t n = ++d->stats.errors;

    if ((n & (n - 1)) != 0)
        return;
    notice_post(NOTICE_DISK_ERROR, d->blk.name, "request failed", "");
    log_warn("%s: a request failed (%llu so far)", d->blk.name, (unsigned long long)n);
}

void disk_count(struct disk *d, const struct blk_req *r)
{
    uint64_t bytes = r->nsectors << 9;

    d->stats.flushes += r->op == BLK_FLUSH;
    d->stats.read += r->op == BLK_READ ? bytes : 0;
    d->stats.written += r->op == BLK_WRITE ? bytes : 0;
    d->stats.discarded += r->op == BLK_DISCARD || r->op == BLK_WRITE_ZEROES ? bytes : 0;
}

/* ---- reading at boot ---- */

static void nobody(struct event *ev) { (void)ev; }

/* One block, while no event runs. Bounded: a driver ends each request. */
static int read_now(void *ctx, uint64_t lba, void *page)
{
    struct disk *d = ctx;
    uint32_t block = d->blk.limits.block;
    struct blk_seg seg = { virt_to_phys(page), block };
    struct blk_req r = { .sector = lba * (block / 512),
                         .nsectors = block / 512,
                         .seg = &seg,
                         .nseg = 1,
                         .op = BLK_READ,
                         .status = -EINPROGRESS };
    int err;

    event_init(&r.done, nobody, 0);
    err = d->blk.ops->submit(&d->blk, &r);
    while (!err && __atomic_load_n(&r.status, __ATOMIC_ACQUIRE) == -EINPROGRESS) {
        d->blk.ops->poll(&d->blk);
        cpu_relax();
    }
    event_cancel(&r.done);
    return err ? err : r.status;
}

static void log_table(const struct disk *d, int err)
{
    const struct part_table *t = d->table;

    if (err)
        log_warn("%s: its partition table cannot be read: error %d", d->blk.name, -err);
    if (t->kind == PART_GPT && t->second)
        log_warn("%s: the first GPT header: %s; the second one at the end of the disk is used",
                 d->blk.name, t->why);
    else if (t->why)
        log_warn("%s: the GPT: %s, and the second one is broken, too: no partitions", d->blk.name,
                 t->why);
    if (t->dropped)
        log_warn(
            "%s: %u partitions are ignored: they overlap, are outside of the disk, or are too many",
            d->blk.name, t->dropped);
}

static void read_table(struct disk *d)
{
    hpa_t at = pmm_alloc(0, PMM_HV); /* charge: the host's disks are Trivet's own */
    struct part_source s = { .read = read_now,
                             .ctx = d,
                             .block = d->blk.limits.block,
                             .blocks = d->blk.sectors / (d->blk.limits.block / 512) };

    /* charge: as above */
    d->table = calloc(1, sizeof *d->table);
    if (at.v && d->table)
        log_table(d, part_read(&s, phys_to_virt(at), d->table));
    if (at.v)
        pmm_free(at, 0, PMM_HV);
}

void disk_add(struct disk *d, const char *kind)
{
    struct disk **p = &disks;
    unsigned number = 0;

    for (; *p; p = &(*p)->next)
        number += strncmp((*p)->blk.name, kind, strlen(kind)) == 0;
    *p = d;
    snprintf(d->blk.name, sizeof d->blk.name, "%s%u", kind, number);
    read_table(d);
    uint32_t n = d->table ? d->table->n : 0;

    log_info("%s: %s, %llu MiB, %s%s, %u partition%s", d->blk.name, d->model,
             (unsigned long long)(d->blk.sectors * 512 / MIB),
             d->serial[0] ? "serial " : "no serial number", d->serial, n, n == 1 ? "" : "s");
}

/* ---- finding ---- */

struct found {
    struct disk *disk;
    const struct part *part; /* NULL: the whole disk */
    unsigned count;
};

static void disk_note(struct found *f, struct disk *d, const struct part *p)
{
    f->disk = d;
    f->part = p;
    f->count++;
}

static bool same_guid(const struct part *p, const char *name)
{
    char text[37];
    size_t i = 0;

    part_guid_text(p->guid, text);
    for (; text[i]; i++)
        if (text[i] != (name[i] >= 'A' && name[i] <= 'F' ? name[i] | 0x20 : name[i]))
            return false;
    return name[i] == '\0';
}

static bool part_is(const struct disk *d, const struct part *p, enum disk_source how,
                    const char *name)
{
    char text[48];

    if (how == DISK_PARTLABEL)
        return p->label[0] && strcmp(p->label, name) == 0;
    if (how == DISK_PARTUUID)
        return d->table->kind == PART_GPT && same_guid(p, name);
    snprintf(text, sizeof text, "%sp%u", d->blk.name, p->number);
    return how == DISK_NAME && strcmp(text, name) == 0;
}

static struct found disk_find(enum disk_source how, const char *name)
{
    struct found f = { NULL, NULL, 0 };

    for (struct disk *d = disks; d; d = d->next) {
        if ((how == DISK_NAME && strcmp(d->blk.name, name) == 0) ||
            (how == DISK_SERIAL && strcmp(d->serial, name) == 0))
            disk_note(&f, d, NULL);
        for (uint32_t i = 0; d->table && i < d->table->n; i++)
            if (part_is(d, &d->table->part[i], how, name))
                disk_note(&f, d, &d->table->part[i]);
    }
    return f;
}

static struct found disk_find_type(const uint8_t type[16])
{
    struct found f = { NULL, NULL, 0 };

    for (struct disk *d = disks; d; d = d->next)
        for (uint32_t i = 0; d->table && i < d->table->n; i++)
            if (memcmp(d->table->part[i].type, type, sizeof d->table->part[i].type) == 0)
                disk_note(&f, d, &d->table->part[i]);
    return f;
}

int volume_exists(enum disk_source how, const char *name)
{
    unsigned n = disk_find(how, name).count;

    return n == 1 ? 0 : n ? -EEXIST : -ENOENT;
}

/* ---- requests: the disk's, further on ---- */

static struct volume *volume_of(struct blk_dev *b) { return container_of(b, struct volume, blk); }

static int disk_submit(struct blk_dev *b, struct blk_req *r)
{
    struct volume *v = volume_of(b);

    bool changes = r->op != BLK_READ && r->op != BLK_FLUSH;

    if (b->ro && changes)
        return -EROFS;
    if (r->op != BLK_FLUSH && !range_within(r->sector, r->nsectors, 0, b->sectors))
        return -EINVAL;
    if (changes)
        __atomic_fetch_add(v->changes, 1, __ATOMIC_RELAXED);
    r->base = v->first;
    return v->disk->blk.ops->submit(&v->disk->blk, r);
}

static bool disk_cancel(struct blk_dev *b, struct blk_req *r)
{
    struct disk *d = volume_of(b)->disk;

    return d->blk.ops->cancel(&d->blk, r);
}

static void nothing(struct blk_dev *b) { (void)b; }

static void disk_poll(struct blk_dev *b)
{
    struct disk *d = volume_of(b)->disk;

    d->blk.ops->poll(&d->blk);
}

static const struct blk_ops volume_ops = { .submit = disk_submit,
                                           .destroy = nothing,
                                           .cancel = disk_cancel,
                                           .resume = nothing,
                                           .poll = disk_poll };

/* Partitions do not overlap: part_read() drops those that do. */
uint64_t volume_changes(const struct volume *v)
{
    const uint64_t *all = v->disk->changes;
    uint64_t sum = __atomic_load_n(all, __ATOMIC_RELAXED);

    for (unsigned i = 1; i < ARRAY_SIZE(v->disk->changes); i++)
        if (v->changes == all || v->changes == all + i)
            sum += __atomic_load_n(all + i, __ATOMIC_RELAXED);
    return sum;
}

/* ---- holding ---- */

/* Who else holds sectors of it, such that both cannot be; NULL: nobody. */
static const struct volume *in_the_way(const struct volume *v)
{
    const struct volume *w = v->disk->volumes;

    for (; w; w = w->next)
        if ((!v->blk.ro || !w->blk.ro) && v->first < w->first + w->blk.sectors &&
            w->first < v->first + v->blk.sectors)
            break;
    return w;
}

static void disk_fill(struct volume *v, const struct found *f, bool ro, const char *holder)
{
    struct disk *d = f->disk;

    *v = (struct volume){ .disk = d,
                          .first = f->part ? f->part->first : 0,
                          .changes = d->changes + (f->part ? f->part - d->table->part + 1 : 0) };
    v->blk = (struct blk_dev){ .ops = &volume_ops,
                               .sectors = f->part ? f->part->sectors : d->blk.sectors,
                               .limits = d->blk.limits,
                               .ro = ro };
    if (f->part) {
        snprintf(v->blk.name, sizeof v->blk.name, "%.20sp%u", d->blk.name, f->part->number);
        snprintf(v->blk.id, sizeof v->blk.id, "%.16s-p%u", d->serial, f->part->number);
    } else {
        snprintf(v->blk.name, sizeof v->blk.name, "%.20s", d->blk.name);
        snprintf(v->blk.id, sizeof v->blk.id, "%s", d->serial);
    }
    snprintf(v->holder, sizeof v->holder, "%s", holder);
}

static void disk_hold(struct volume *v)
{
    v->next = v->disk->volumes;
    v->disk->volumes = v;
}

static int open_found(struct volume *v, const struct found *f, bool ro, const char *holder,
                      char *why, size_t len)
{
    const struct volume *w;

    disk_fill(v, f, ro, holder);
    w = in_the_way(v);
    if (w) {
        snprintf(why, len, "%s %s %s", w->holder, w->blk.ro ? "reads" : "writes", w->blk.name);
        return -EBUSY;
    }
    if (!ro && f->disk->blk.ro) {
        snprintf(why, len, "%s cannot be written", f->disk->blk.name);
        return -EROFS;
    }
    disk_hold(v);
    return 0;
}

int volume_open(struct volume *v, enum disk_source how, const char *name, bool ro,
                const char *holder, char *why, size_t len)
{
    struct found f = disk_find(how, name);

    if (f.count == 1)
        return open_found(v, &f, ro, holder, why, len);
    snprintf(why, len, f.count ? "%u disks or partitions have this name" : "there is none",
             f.count);
    return f.count ? -EEXIST : -ENOENT;
}

int volume_open_type(struct volume *v, const uint8_t type[16], const char *holder, char *why,
                     size_t len)
{
    struct found f = disk_find_type(type);

    if (f.count == 1)
        return open_found(v, &f, false, holder, why, len);
    snprintf(why, len, f.count ? "%u partitions are of its type" : "no partition is of its type",
             f.count);
    return f.count ? -EEXIST : -ENOENT;
}

void volume_close(struct volume *v)
{
    for (struct volume **p = &v->disk->volumes; *p; p = &(*p)->next)
        if (*p == v) {
            *p = v->next;
            return;
        }
}

/* ---- Trivet's own ---- */

static bool is_boot(const struct disk *d, const struct part *p, const struct boot_part *b)
{
    uint32_t signature;

    memcpy(&signature, b->signature, sizeof signature);
    if (d->table->kind == PART_GPT && b->kind == BOOT_PART_GPT)
        return memcmp(p->guid, b->signature, sizeof p->guid) == 0;
    return d->table->kind == PART_MBR && b->kind == BOOT_PART_MBR &&
           d->table->mbr_signature == signature && p->number == b->number;
}

/* As a reader: its files are read, so nobody may write them; to read them is harmless. */
void disk_hold_boot(const struct boot_info *bi)
{
    for (struct disk *d = disks; d; d = d->next)
        for (uint32_t i = 0; d->table && i < d->table->n; i++) {
            struct found f = { d, &d->table->part[i], 1 };

            if (d->own.disk || !is_boot(d, f.part, &bi->boot_part))
                continue;
            disk_fill(&d->own, &f, true, "Trivet");
            disk_hold(&d->own);
            log_info("%s: Trivet started from it: no guest can write to it", d->own.blk.name);
        }
}

struct volume *disk_boot_volume(void)
{
    struct disk *d = disks;

    while (d && !d->own.disk)
        d = d->next;
    return d ? &d->own : NULL;
}
