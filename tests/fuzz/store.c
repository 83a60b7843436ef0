/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A state volume that somebody changed: a sound one, with bytes of the input written over it, and
 * its checksums made right again where the input says so. What could be read of it is still there,
 * byte for byte, after updates of something else.
 */
#include <hv/blake2s.h>
#include <hv/store.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/store_model.h"

enum { RECORD = 8, OBJECTS = 4, PAGES = 40 /* that the sound volume has something in */ };
static struct model sound;

static void fuzz_put(const char *name, uint64_t len, uint32_t version)
{
    static struct model_op m;

    for (unsigned i = 0; i < STORE_OBJECT_PAGES; i++)
        m.version_of[i] = version;
    if (model_do(&m, STORE_PUT, name, len) == 1)
        abort();
}

static void make_sound(void)
{
    model_mount();
    fuzz_put("uefi/a", 9000, 1);
    fuzz_put("b", 0, 2);
    fuzz_put("c", 20 * STORE_PAGE, 3);
    fuzz_put("uefi/a", 9100, 4);
    sound = model;
}

/* ---- what can be read ---- */

struct digest_op {
    struct store_op op;
    struct blake2s sum;
    uint8_t digest[BLAKE2S_LEN];
    int status;
};

static void digest_page(struct store_op *op, uint32_t page, uint8_t *bytes)
{
    struct digest_op *d = (struct digest_op *)op;

    if (page >= store_pages(op->len))
        abort();
    blake2s_add(&d->sum, bytes, STORE_PAGE);
}

static void digest_done(struct store_op *op, int status)
{
    struct digest_op *d = (struct digest_op *)op;

    blake2s_end(&d->sum, d->digest);
    d->status = status;
}

static void read_object(struct digest_op *d, const char *name)
{
    memset(d, 0, sizeof *d);
    d->op = (struct store_op){
        .kind = STORE_GET, .len = STORE_OBJECT_MAX, .page = digest_page, .done = digest_done
    };
    d->status = 1;
    snprintf(d->op.name, sizeof d->op.name, "%s", name);
    blake2s_begin(&d->sum);
    store_submit(&store, &d->op);
    if (d->status == 1)
        abort();
}

/* Every object is read; updates that have nothing to do with them follow, and it is mounted anew.
 */
static void use(void)
{
    static struct digest_op before[STORE_OBJECTS], after;
    struct store_object o;
    uint32_t n = 0;

    for (; store_object(&store, n, &o); n++)
        read_object(&before[n], o.name);
    for (uint32_t i = 0; i < 4; i++)
        fuzz_put("new", 3000 + 9000 * i, i);
    model_lose(0);
    model_mount();
    for (uint32_t i = 0; i < n; i++) {
        if (before[i].status || strcmp(before[i].op.name, "new") == 0)
            continue;
        read_object(&after, before[i].op.name);
        if (after.status || after.op.len != before[i].op.len ||
            memcmp(after.digest, before[i].digest, sizeof after.digest) != 0)
            abort();
    }
}

/* The checksums of a slot's root, and of the maps that it names where they may be. */
static void mend(unsigned slot)
{
    static struct store_root r;

    memcpy(&r, model.disk[slot * STORE_SLOT_PAGES], sizeof r);
    for (uint32_t i = 0; i < r.objects && i < STORE_OBJECTS; i++) {
        struct store_entry *e = &r.entry[i];

        if (range_within(e->map, e->map_pages, 0, MODEL_PAGES) && e->map_pages)
            store_map_digest((const void *)model.disk[e->map], e->map_pages, e->map_digest);
    }
    if (r.objects <= STORE_OBJECTS)
        store_root_seal(&r);
    memcpy(model.disk[slot * STORE_SLOT_PAGES], &r, sizeof r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t end = sizeof model.disk;

    if (!sound.ios)
        make_sound();
    if (size < 1)
        return 0;
    model = sound;
    for (size_t at = 1; at + RECORD <= size; at += RECORD) {
        size_t where = data[at] % PAGES * (size_t)STORE_PAGE +
                       (data[at + 1] | (size_t)data[at + 2] << 8) % STORE_PAGE;
        size_t n = RECORD - 3;

        memcpy((uint8_t *)model.disk + where, data + at + 3, where + n <= end ? n : end - where);
    }
    for (unsigned slot = 0; slot < 2; slot++)
        if (data[0] >> slot & 1)
            mend(slot);
    model_lose(0);
    model_mount();
    if (store.state == STORE_READY)
        use();
    return 0;
}
