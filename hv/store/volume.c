/* SPDX-License-Identifier: BSD-2-Clause */
/* volume.c: see <hv/store_volume.h>. */
#include <hv/assert.h>
#include <hv/disk.h>
#include <hv/log.h>
#include <hv/pmm.h>
#include <hv/store_log.h>
#include <hv/store_volume.h>
#include <hv/time.h>
#include <stdlib.h>

static struct own_volume {
    struct store store;
    struct volume volume;
    struct blk_req req;
    struct blk_seg seg;
} * own;
static char absent[80] = "no partition is of its type";

static struct own_volume *own_of(struct store *s)
{
    return container_of(s, struct own_volume, store);
}

static void store_answered(struct event *ev)
{
    struct own_volume *o = container_of(ev, struct own_volume, req.done);

    struct store_op *op = o->store.first;

    op->since_ns = time_ns();
    store_io_done(&o->store, __atomic_load_n(&o->req.status, __ATOMIC_ACQUIRE));
    if (o->store.first == op)
        op->spent_ns += time_ns() - op->since_ns;
}

static int store_ask(struct store *s, enum store_io what, uint32_t page)
{
    static const uint8_t ops[] = {
        [STORE_IO_READ] = BLK_READ, [STORE_IO_WRITE] = BLK_WRITE, [STORE_IO_FLUSH] = BLK_FLUSH
    };
    struct own_volume *o = own_of(s);
    struct blk_req *r = &o->req;
    bool data = what != STORE_IO_FLUSH;
    int did;

    r->op = ops[what];
    r->sector = (uint64_t)page * (STORE_PAGE / 512);
    r->nsectors = data ? STORE_PAGE / 512 : 0;
    r->seg = &o->seg;
    r->nseg = data ? 1 : 0;
    r->status = -EINPROGRESS;
    did = o->volume.blk.ops->submit(&o->volume.blk, r);
    return did == 1 && r->status ? r->status : did;
}

uint64_t store_op_ns(const struct store_op *op)
{
    return op->spent_ns + (op->since_ns ? time_ns() - op->since_ns : 0);
}

static void mounted(struct store_op *op, int status)
{
    struct store_space p;

    (void)op;
    store_space(&own->store, &p);
    if (status)
        log_err(
            "state volume %s: damaged: nothing is kept; `./images/state check` says what is wrong",
            own->volume.blk.name);
    else
        log_info("state volume %s: %u %s, %llu of %llu KiB free%s", own->volume.blk.name,
                 own->store.root.objects, own->store.root.objects == 1 ? "object" : "objects",
                 (unsigned long long)(p.free / KIB), (unsigned long long)(p.bytes / KIB),
                 own->store.frozen ? "; a page cannot be read, so nothing is written" : "");
    if (!status && !own->store.frozen)
        store_log_begin(&own->store);
}

void store_boot(void)
{
    static const uint8_t type[16] = STORE_PARTITION_TYPE;
    static const struct store_disk disk = { store_ask };
    struct own_volume *o = calloc(1, sizeof *o); /* charge: Trivet's own */
    hpa_t page = pmm_alloc(0, PMM_HV);           /* charge: as above */

    assert_cpu0();
    if (!o || !page.v ||
        volume_open_type(&o->volume, type, "Trivet's state", absent, sizeof absent)) {
        if (page.v)
            pmm_free(page, 0, PMM_HV);
        free(o);
        return;
    }
    o->seg = (struct blk_seg){ page, STORE_PAGE };
    o->store.disk = &disk;
    o->store.page = phys_to_virt(page);
    o->store.pages = o->volume.blk.sectors / (STORE_PAGE / 512);
    event_init(&o->req.done, store_answered, 0);
    own = o;
    store_open(&o->store, mounted);
}

const struct store *store_volume(const char **why)
{
    assert_cpu0();
    if (!own && why)
        *why = absent;
    return own ? &own->store : NULL;
}

const char *store_volume_name(void) { return own->volume.blk.name; }

void store_volume_submit(struct store_op *op)
{
    assert_cpu0();
    if (own)
        store_submit(&own->store, op);
    else
        op->done(op, -ENODEV);
}

bool store_volume_usable(void)
{
    return own && own->store.state != STORE_DAMAGED && !own->store.frozen;
}
