/* SPDX-License-Identifier: BSD-2-Clause */
/* reload_files.c: memory for the files that `reload` reads. */
#include "reload.h"
#include <hv/assert.h>
#include <hv/pmm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pages [from, to) of a block, as blocks that are as large as can be. */
static void pages_give(hpa_t block, uint64_t from, uint64_t to)
{
    while (from < to) {
        unsigned order = from ? (unsigned)__builtin_ctzll(from) : PMM_MAX_ORDER;

        while (from + (1ull << order) > to)
            order--;
        pmm_free(hpa(block.v + from * PAGE_SIZE), order, PMM_STICK);
        from += 1ull << order;
    }
}

static uint64_t reload_pages(uint64_t len) { return (len + PAGE_SIZE) / PAGE_SIZE; }

struct reload_memory reload_take(uint64_t len)
{
    uint64_t pages = reload_pages(len);
    struct reload_memory m = { NULL, len };
    unsigned order = 0;
    hpa_t pa;

    if (len >= PAGE_SIZE << PMM_MAX_ORDER)
        return m;
    order = pmm_order(pages * PAGE_SIZE);
    if (pmm_promise(PAGE_SIZE << order))
        return m;
    pa = pmm_alloc(order, PMM_STICK); /* charge: the stick's files are Trivet's own */
    pmm_unpromise(PAGE_SIZE << order);
    if (!pa.v)
        return m;
    pages_give(pa, pages, 1ull << order);
    m.at = phys_to_virt(pa);
    memset(m.at + (pages - 1) * PAGE_SIZE, 0, PAGE_SIZE);
    return m;
}

void reload_give(struct reload_memory m)
{
    if (m.at)
        pages_give(virt_to_phys(m.at), 0, reload_pages(m.len));
}

struct loaded {
    struct file_version version;
    struct reload_memory memory;
};

static void drop_file(struct file_version *v)
{
    struct loaded *l = container_of(v, struct loaded, version);

    reload_give(l->memory);
    free(l);
}

int reload_add(const char *path, struct reload_memory m)
{
    struct loaded *l = calloc(1, sizeof *l); /* charge: as reload_take() */

    if (!l)
        return -ENOMEM;
    l->memory = m;
    l->version.bytes = m.at;
    l->version.len = m.len;
    l->version.drop = drop_file;
    snprintf(l->version.path, sizeof l->version.path, "%s", path);
    files_add(&l->version);
    return 0;
}
