/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk for the state volume that keeps in its cache what was not flushed. When the power goes,
 * any subset of the sectors in the cache is on the disk.
 */
#pragma once
#include <hv/store.h>
#include <stdlib.h>
#include <string.h>

enum { MODEL_PAGES = 160, MODEL_SECTOR = 512, MODEL_SECTORS = STORE_PAGE / MODEL_SECTOR };
struct model {
    uint8_t disk[MODEL_PAGES][STORE_PAGE], cache[MODEL_PAGES][STORE_PAGE];
    bool dirty[MODEL_PAGES];
    unsigned ios, flushes; /* so far */
    unsigned cut;          /* the power goes at this I/O; 0: it stays */
    unsigned fail;         /* this I/O fails; 0: none */
    bool off;
};
static struct model model;
static uint8_t model_page[STORE_PAGE];
static struct store store;

static void model_flush(void)
{
    for (unsigned i = 0; i < MODEL_PAGES; i++)
        if (model.dirty[i]) {
            memcpy(model.disk[i], model.cache[i], STORE_PAGE);
            model.dirty[i] = false;
        }
}

/* The power is gone. subset: a bit for each sector in turn, again and again. */
static inline void model_lose(uint64_t subset)
{
    unsigned n = 0;

    for (unsigned i = 0; i < MODEL_PAGES; i++) {
        for (unsigned k = 0; model.dirty[i] && k < MODEL_SECTORS; k++, n++)
            if (subset >> n % 64 & 1)
                memcpy(model.disk[i] + k * MODEL_SECTOR, model.cache[i] + k * MODEL_SECTOR,
                       MODEL_SECTOR);
        model.dirty[i] = false;
    }
    memcpy(model.cache, model.disk, sizeof model.cache);
}

static int model_submit(struct store *s, enum store_io what, uint32_t page)
{
    model.ios++;
    if (model.ios == model.fail)
        return -EIO;
    if (model.ios == model.cut)
        model.off = true;
    if (what == STORE_IO_FLUSH && !model.off) {
        model.flushes++;
        model_flush();
        return 1;
    }
    if (what != STORE_IO_FLUSH && page >= MODEL_PAGES)
        abort();
    if (what == STORE_IO_READ)
        memcpy(s->page, model.cache[page], STORE_PAGE);
    if (what == STORE_IO_WRITE) {
        memcpy(model.cache[page], s->page, STORE_PAGE);
        model.dirty[page] = true;
    }
    return model.off ? 0 : 1; /* never answered */
}

static const struct store_disk model_ops = { model_submit };

/* Trivet starts on what the disk has. */
static void model_mount(void)
{
    memset(&store, 0, sizeof store);
    model.off = false;
    model.cut = model.fail = model.ios = 0;
    store.disk = &model_ops;
    store.page = model_page;
    store.pages = MODEL_PAGES;
    store_open(&store, NULL);
}

/* An operation whose contents are made of a number: each page says which it is. */
struct model_op {
    struct store_op op;
    uint32_t version;
    int status; /* 1: not done */
    bool torn;  /* GET: pages of several versions, or of another object */
    uint32_t version_of[STORE_OBJECT_PAGES]; /* PUT: of each page */
    uint64_t changed[STORE_OBJECT_PAGES / 64];
};

static void model_fill(struct store_op *op, uint32_t page, uint8_t *bytes)
{
    struct model_op *m = (struct model_op *)op;
    uint64_t rest = op->len - (uint64_t)page * STORE_PAGE;
    size_t n = rest < STORE_PAGE ? (size_t)rest : STORE_PAGE;

    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(m->version_of[page] + page + i / 7 + (uint8_t)op->name[0]);
}

static void model_look(struct store_op *op, uint32_t page, uint8_t *bytes)
{
    static uint8_t want[STORE_PAGE];
    struct model_op *m = (struct model_op *)op;

    memset(want, 0, sizeof want);
    model_fill(op, page, want);
    if (memcmp(want, bytes, STORE_PAGE) != 0)
        m->torn = true;
}

static void model_done(struct store_op *op, int status)
{
    ((struct model_op *)op)->status = status;
}

static inline int model_do(struct model_op *m, enum store_kind kind, const char *name, uint64_t len)
{
    m->op.kind = kind;
    memset(m->op.name, 0, sizeof m->op.name);
    strcpy(m->op.name, name);
    m->op.len = len;
    m->op.page = kind == STORE_GET ? model_look : model_fill;
    m->op.done = model_done;
    m->status = 1;
    m->torn = false;
    store.hand = 0; /* what is free is taken again at once */
    store_submit(&store, &m->op);
    return m->status;
}
