/* SPDX-License-Identifier: BSD-2-Clause */
/* stick.c: see <hv/stick.h>. */
#include <hv/assert.h>
#include <hv/disk.h>
#include <hv/fat.h>
#include <hv/log.h>
#include <hv/pmm.h>
#include <hv/stick.h>
#include <stdio.h>
#include <stdlib.h>

enum asked { ASKED_NOTHING, ASKED_HEADER, ASKED_WINDOW, ASKED_RUN };
static struct stick {
    struct volume *volume;
    struct fat fat;
    struct fat_find find;
    struct fat_run run;
    struct blk_req req; /* its event also begins a file */
    struct blk_seg seg;
    uint8_t *bytes; /* STICK_PIECE of them, that the disk reaches */
    struct stick_file *file;
    uint64_t at; /* bytes of the file that were read */
    enum asked asked;
    bool mounted, found;
} * stick;
static char stick_reason[120];

const char *stick_why(void) { return stick_reason; }

const char *stick_name(void)
{
    const struct volume *v = disk_boot_volume();

    return v ? v->blk.name : "";
}

static int stick_says(int err, const char *what)
{
    snprintf(stick_reason, sizeof stick_reason, "%s", what);
    return err;
}

static void stick_end(struct stick *s, int err)
{
    struct stick_file *f = s->file;

    s->file = NULL;
    f->done(f, err);
}

/* ---- what is asked of the disk ---- */

static void stick_ask(struct stick *s, enum asked what, uint64_t sector, uint64_t nsectors)
{
    struct blk_req *r = &s->req;
    int did;

    hv_assert(nsectors && nsectors * 512 <= STICK_PIECE);
    s->asked = what;
    s->seg.len = (uint32_t)nsectors * 512;
    r->op = BLK_READ;
    r->sector = sector;
    r->nsectors = nsectors;
    r->seg = &s->seg;
    r->nseg = 1;
    r->status = -EINPROGRESS;
    did = s->volume->blk.ops->submit(&s->volume->blk, r);
    if (did < 0)
        r->status = did;
    if (did)
        event_post(&r->done);
}

static uint32_t piece_bytes(const struct stick *s)
{
    uint32_t most = s->volume->blk.limits.max_bytes;

    return most && most < STICK_PIECE ? most & ~(FAT_BLOCK_MAX - 1u) : STICK_PIECE;
}

/* ---- one file ---- */

static void stick_go(struct stick *s);

static void stick_found(struct stick *s)
{
    int err = -ENOENT;

    if (!s->find.found.dir) {
        s->found = true;
        s->at = 0;
        s->file->bytes = s->find.found.size;
        err = s->file->begin(s->file);
    }
    if (err)
        stick_end(s, err);
    else
        stick_go(s);
}

static void stick_look(struct stick *s)
{
    int res = fat_find(&s->fat, &s->find);

    if (res > 0)
        stick_ask(s, ASKED_WINDOW, s->fat.want.sector, s->fat.want.nsectors);
    else if (res == -ENOENT)
        stick_end(s, res);
    else if (res)
        stick_end(s, stick_says(-EIO, "its file system is broken: a directory has no end"));
    else
        stick_found(s);
}

static void stick_go(struct stick *s)
{
    uint64_t header = max_u64(s->volume->blk.limits.block, 512) / 512;
    int res;

    if (!s->mounted) {
        stick_ask(s, ASKED_HEADER, 0, header);
        return;
    }
    if (!s->found) {
        stick_look(s);
        return;
    }
    res = fat_read(&s->fat, &s->find.found, piece_bytes(s), &s->run);
    if (res > 0)
        stick_ask(s, ASKED_WINDOW, s->fat.want.sector, s->fat.want.nsectors);
    else if (res)
        stick_end(s, stick_says(-EIO, "its file system is broken: a chain of clusters is"));
    else if (!s->run.bytes)
        stick_end(s, 0);
    else
        stick_ask(s, ASKED_RUN, s->run.sector, s->run.nsectors);
}

static int stick_mount(struct stick *s)
{
    const struct blk_dev *b = &s->volume->blk;

    s->mounted = fat_mount(&s->fat, s->bytes, b->sectors, b->limits.block, stick_reason,
                           sizeof stick_reason) == 0;
    if (s->mounted)
        fat_find_begin(&s->fat, &s->find, s->file->path);
    return s->mounted ? 0 : -EIO;
}

static int stick_take_run(struct stick *s)
{
    int err = s->file->piece(s->file, s->at, s->bytes, s->run.bytes);

    s->at += s->run.bytes;
    return err;
}

/* The disk has answered, or a file begins. */
static void stick_answered(struct event *ev)
{
    struct stick *s = container_of(ev, struct stick, req.done);
    enum asked asked = s->asked;
    int err = 0;

    if (asked && __atomic_load_n(&s->req.status, __ATOMIC_ACQUIRE)) {
        stick_end(s, stick_says(-EIO, "the disk does not answer, or reports an error"));
        return;
    }
    s->asked = ASKED_NOTHING;
    if (asked == ASKED_HEADER)
        err = stick_mount(s);
    else if (asked == ASKED_WINDOW)
        fat_feed(&s->fat, s->bytes);
    else if (asked == ASKED_RUN)
        err = stick_take_run(s);
    if (err)
        stick_end(s, err);
    else
        stick_go(s);
}

void stick_read(struct stick_file *f)
{
    assert_cpu0();
    hv_assert(stick && !stick->file);
    stick->file = f;
    stick->found = false;
    stick->asked = ASKED_NOTHING;
    if (stick->mounted)
        fat_find_begin(&stick->fat, &stick->find, f->path);
    event_post(&stick->req.done);
}

/* ---- which partition ---- */

static struct stick *stick_new(struct volume *v)
{
    struct stick *s = calloc(1, sizeof *s);               /* charge: Trivet's own */
    hpa_t pa = pmm_alloc(pmm_order(STICK_PIECE), PMM_HV); /* charge: as above */

    if (!s || !pa.v) {
        if (pa.v)
            pmm_free(pa, pmm_order(STICK_PIECE), PMM_HV);
        free(s);
        return NULL;
    }
    s->volume = v;
    s->bytes = phys_to_virt(pa);
    s->seg.at = pa;
    event_init(&s->req.done, stick_answered, 0);
    return s;
}

int stick_open(void)
{
    struct volume *v = disk_boot_volume();

    assert_cpu0();
    if (!v)
        return stick_says(-ENODEV, "it is on no partition of a disk that Trivet drives");
    if (!stick)
        stick = stick_new(v);
    if (!stick)
        return stick_says(-ENOMEM, "not enough memory");
    hv_assert(!stick->file);
    stick->mounted = false;
    return 0;
}
