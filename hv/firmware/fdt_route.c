/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fdt_route.c: which SMMU and which ITS a device is behind, from a device tree. Bindings
 * arm,smmu-v3, iommu (`iommus`), pci-iommu (`iommu-map`) and pci-msi (`msi-map`) of Linux. The tree
 * has passed fdt_map_tree().
 */
#include <hv/assert.h>
#include <libfdt.h>
#include <string.h>

#include "fdt_private.h"

#define MAP_CELLS 4u /* requester id, phandle, id there, number of ids */

/* The interrupt of that name; one that is named "combined" is for all. */
static uint32_t fdt_named_intid(const struct fdt_walk *w, const char *name)
{
    int node = w->node[w->depth], i = fdt_stringlist_search(w->fdt, node, "interrupt-names", name);

    if (i < 0)
        i = fdt_stringlist_search(w->fdt, node, "interrupt-names", "combined");
    return i < 0 ? 0 : fdt_intid(w, (uint32_t)i);
}

void fdt_on_smmu(struct fdt_walk *w)
{
    struct platform *out = w->out;
    int node = w->node[w->depth], len;
    struct platform_smmu s = { .base = fdt_reg_base(w, 0),
                               .coherent = fdt_getprop(w->fdt, node, "dma-coherent", &len) != NULL,
                               .node = fdt_get_phandle(w->fdt, node) };

    if (!s.base)
        return;
    s.event = fdt_named_intid(w, "eventq");
    s.gerror = fdt_named_intid(w, "gerror");
    if (out->nsmmus == PLATFORM_SMMUS_MAX)
        out->smmus_dropped++;
    else
        out->smmu[out->nsmmus++] = s;
}

void fdt_on_old_smmu(struct fdt_walk *w) { w->out->old_smmus++; }

/* ---- ways ---- */

static const struct platform_route fdt_nowhere = { .smmu = -1, .its = -1 };

/*
 * What the map of that name makes of an id; *more is made less, to as many ids behind it as are
 * mapped alike. -ENOENT; -EINVAL: two things.
 */
static int fdt_map_id(const void *fdt, int node, const char *map, const char *mask, uint32_t id,
                      uint32_t *phandle, uint32_t *to, uint32_t *more)
{
    int len, mask_len, err = -ENOENT;
    const void *m = fdt_getprop(fdt, node, map, &len),
               *bits = fdt_getprop(fdt, node, mask, &mask_len);

    if (bits) {
        id &= fdt_cell(bits, mask_len, 0);
        *more = 0;
    }
    for (uint32_t i = 0; m && (i + MAP_CELLS) * FDT_CELL <= (uint32_t)len; i += MAP_CELLS) {
        uint32_t in = fdt_cell(m, len, i), at = fdt_cell(m, len, i + 1),
                 out = fdt_cell(m, len, i + 2) + (id - in), n = fdt_cell(m, len, i + 3);

        if (id < in && n)
            *more = min_u32(*more, in - id - 1);
        if (id < in || id - in >= n)
            continue;
        *more = min_u32(*more, n - (id - in) - 1);
        if (out < id - in || (!err && (*phandle != at || *to != out)))
            return -EINVAL;
        *more = min_u32(*more, UINT32_MAX - out);
        *phandle = at;
        *to = out;
        err = 0;
    }
    return err;
}

static int fdt_to_smmu(const struct platform *p, const void *fdt, uint32_t phandle, uint32_t stream,
                       struct platform_route *out)
{
    int node = fdt_node_offset_by_phandle(fdt, phandle);

    for (uint32_t i = 0; i < p->nsmmus; i++)
        if (phandle && p->smmu[i].node == phandle)
            out->smmu = (int)i;
    out->stream = stream;
    out->old_smmu = node >= 0 && (fdt_node_check_compatible(fdt, node, "arm,mmu-500") == 0 ||
                                  fdt_node_check_compatible(fdt, node, "arm,smmu-v2") == 0);
    return out->smmu < 0 && !out->old_smmu ? -EINVAL : 0;
}

static int fdt_to_its(const struct platform *p, uint32_t phandle, uint32_t device,
                      struct platform_route *out)
{
    for (uint32_t i = 0; i < p->gic.nits; i++)
        if (phandle && p->gic.its_node[i] == phandle)
            out->its = (int)i;
    out->device = device;
    /* a frame of GICv2m is no ITS, and no mistake */
    return 0;
}

/* The messages of a host bridge: by its map, else all to `msi-parent`, by the requester id. */
static int fdt_route_messages(const struct platform *p, const void *fdt, int node, uint16_t rid,
                              struct platform_route *out)
{
    uint32_t phandle, to;
    int len, err = fdt_map_id(fdt, node, "msi-map", "msi-map-mask", rid, &phandle, &to, &out->more);
    const void *parent = fdt_getprop(fdt, node, "msi-parent", &len);

    if (err == -ENOENT && !fdt_getprop(fdt, node, "msi-map", NULL) && parent)
        return fdt_to_its(p, fdt_cell(parent, len, 0), rid, out);
    if (err == -ENOENT)
        return 0;
    return err ? err : fdt_to_its(p, phandle, to, out);
}

int fdt_route(const struct platform *p, const void *fdt, uint16_t segment, uint16_t rid,
              struct platform_route *out)
{
    hv_assert(p && out);
    *out = fdt_nowhere;
    for (uint32_t i = 0; fdt && i < p->necam; i++) {
        const struct platform_ecam *e = &p->ecam[i];
        uint32_t phandle, to;
        int err;

        if (e->segment != segment || rid >> 8 < e->bus_first || rid >> 8 > e->bus_last)
            continue;
        out->more = ((uint32_t)e->bus_last << 8 | 0xff) - rid;
        err =
            fdt_map_id(fdt, e->node, "iommu-map", "iommu-map-mask", rid, &phandle, &to, &out->more);
        if (!err)
            err = fdt_to_smmu(p, fdt, phandle, to, out);
        if (!err || err == -ENOENT)
            err = fdt_route_messages(p, fdt, e->node, rid, out);
        if (err)
            *out = (struct platform_route){ .smmu = -1,
                                            .its = -1,
                                            .more = err == -ENOENT ? out->more : 0 };
        return err ? err : out->smmu < 0 && out->its < 0 && !out->old_smmu ? -ENOENT : 0;
    }
    return -ENOENT;
}

int fdt_route_named(const struct platform *p, const void *fdt, const char *path, uint32_t n,
                    struct platform_route *out)
{
    int node = fdt ? fdt_path_offset(fdt, path) : -1, len, err;
    const void *ids = node >= 0 ? fdt_getprop(fdt, node, "iommus", &len) : NULL;

    hv_assert(p && path && out);
    *out = fdt_nowhere;
    /* arm,smmu-v3: one cell of id behind each phandle */
    if (!ids || n >= (uint32_t)len / FDT_CELL / 2)
        return -ENOENT;
    err = fdt_to_smmu(p, fdt, fdt_cell(ids, len, 2 * n), fdt_cell(ids, len, 2 * n + 1), out);
    if (err)
        *out = fdt_nowhere;
    return err;
}
