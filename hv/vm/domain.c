/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * domain.c: the page tables of a guest's devices (IOMMU), kept equal to its stage 2. A device
 * reaches what its guest reaches, and never fetches instructions. Who is in no domain, or leaves
 * one, reaches nothing.
 */
#include <hv/assert.h>
#include <hv/vcpu.h>
#include <hv/vm.h>

#include "gmem_private.h"

static unsigned device_prot(unsigned prot) { return prot & PROT_RW; }

/* Devices look at the tables at any time: they forget before a table is used for anything else. */
static int unmap_one(struct gmem_domain *d, gpa_t at, uint64_t len)
{
    int err = pt_unmap(&d->pt, at, len);

    if (err)
        return err;
    d->flush(d, at, len);
    pt_reap(&d->pt);
    return 0;
}

static void undo(struct gmem *g, const struct gmem_domain *until, gpa_t at, uint64_t len)
{
    for (struct gmem_domain *d = g->domains; d != until; d = d->next)
        hv_assert(!unmap_one(d, at, len)); /* what was just mapped: no leaf is split */
}

int domains_map(struct gmem *g, gpa_t at, hpa_t host, uint64_t len, unsigned prot,
                enum memtype type)
{
    assert_held(&g->lock);
    for (struct gmem_domain *d = g->domains; d; d = d->next) {
        int err = pt_map(&d->pt, at, host, len, device_prot(prot), type);

        if (err) {
            undo(g, d, at, len);
            return err;
        }
        if (d->tell_maps)
            d->flush(d, at, len);
    }
    return 0;
}

int domains_unmap(struct gmem *g, gpa_t at, uint64_t len)
{
    int err = 0;

    assert_held(&g->lock);
    for (struct gmem_domain *d = g->domains; !err && d; d = d->next)
        err = unmap_one(d, at, len);
    return err;
}

/* A piece of RAM, run by run as it is in the host's memory. */
static int domain_map_ram(struct vm *vm, struct gmem_domain *d, const struct gmem_piece *p)
{
    int err = 0;

    for (uint64_t off = 0; !err && off < p->len;) {
        uint64_t len = p->len - off;
        hpa_t host;

        err = gmem_phys(vm, p->host + off, &len, &host);
        if (!err)
            err = pt_map(&d->pt, gpa(p->gpa + off), host, len, device_prot(p->prot), MEM_WB);
        off += len;
    }
    return err;
}

static int map_slot(struct gmem_domain *d, const struct memslot *s)
{
    if (s->kind == MEMSLOT_RAM || s->trapped)
        return 0;
    return pt_map(&d->pt, s->base, s->host, s->len, device_prot(s->prot), s->type);
}

static int map_all(struct vm *vm, struct gmem_domain *d)
{
    const struct gmem *g = &vm->gmem;
    int err = 0;

    for (uint32_t i = 0; !err && i < g->npieces; i++)
        if (g->pieces[i].prot & PROT_W)
            err = domain_map_ram(vm, d, &g->pieces[i]);
    for (uint32_t i = 0; !err && i < g->nslots; i++)
        err = map_slot(d, &g->slot[i]);
    return err;
}

/* Everything that is mapped is in a slot, and slots are edges of leaves. */
static void unmap_all(struct gmem *g, struct gmem_domain *d)
{
    for (uint32_t i = 0; i < g->nslots; i++)
        hv_assert(!unmap_one(d, g->slot[i].base, g->slot[i].len));
}

int gmem_attach(struct vm *vm, struct gmem_domain *d)
{
    struct gmem *g = &vm->gmem;
    int err;

    assert_cpu0();
    hv_assert(d->pt.root.v && d->flush);
    if (g->log)
        return -EBUSY;
    spin_lock(&g->lock);
    err = map_all(vm, d);
    if (err)
        unmap_all(g, d);
    d->next = err ? NULL : g->domains;
    g->domains = err ? g->domains : d;
    spin_unlock(&g->lock);
    return err;
}

void gmem_detach(struct vm *vm, struct gmem_domain *d)
{
    struct gmem *g = &vm->gmem;
    struct gmem_domain **p = &g->domains;

    assert_cpu0();
    spin_lock(&g->lock);
    while (*p && *p != d)
        p = &(*p)->next;
    hv_assert(*p);
    *p = d->next;
    unmap_all(g, d);
    spin_unlock(&g->lock);
}
