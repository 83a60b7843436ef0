/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * iort.c: ACPI's IO Remapping Table (Arm DEN 0049, revision E): which SMMU and which ITS a device
 * is behind, and by which number they know it. A node maps ids of its input to ids of a node
 * further on: root complex or named component, then an SMMU, then an ITS group. "Table n" is
 * DEN 0049E's.
 */
#include <hv/assert.h>
#include <string.h>

#include "acpi_private.h"

enum { IORT_NODES = 36, IORT_FIRST = 40, IORT_HEADER = 48 }; /* table 2 */
/* table 3: type, length, revision, identifier, mappings */
enum { NODE_TYPE = 0, NODE_LEN = 1, NODE_NMAPS = 8, NODE_MAPS = 12, NODE_HEADER = 16 };
enum iort_type {
    IORT_ITS_GROUP = 0,
    IORT_NAMED = 1,
    IORT_ROOT_COMPLEX = 2,
    IORT_SMMU = 3,
    IORT_SMMU_V3 = 4,
    IORT_RMR = 6
};
/* table 4: input base, number of ids less one, output base, output reference, flags */
enum { MAP_IN = 0, MAP_COUNT = 4, MAP_OUT = 8, MAP_NODE = 12, MAP_FLAGS = 16, MAP_SIZE = 20 };
#define MAP_SINGLE 1u
/* table 9 (SMMUv3), 7 (root complex), 5 (named component), 10 (ITS group) */
enum { SMMU_BASE = 16, SMMU_FLAGS = 24, SMMU_EVENT = 44, SMMU_GERROR = 52, SMMU_COHACC = 1 };
enum { RC_SEGMENT = 28, NAMED_NAME = 29, ITS_COUNT = 16, ITS_IDS = 20 };
/* table 19 (RMR node) and 20 (its ranges of memory) */
enum { RMR_COUNT = 20, RMR_RANGES = 24, RMR_BASE = 0, RMR_LEN = 8, RMR_SIZE = 20 };
#define IORT_NODES_MAX 4096u /* more are not looked at */
#define IORT_MAPS_MAX 4096u  /* of one node */
#define IORT_HOPS 4u         /* device, SMMU, ITS group, and one to spare */

/* A node, and where it lies in the table, which is how others refer to it. */
struct iort_node {
    struct bytes b;
    uint32_t at;
};
struct iort_walk {
    struct bytes table;
    uint32_t next, left;
};

static struct iort_walk iort_begin(struct bytes table)
{
    uint32_t n = (uint32_t)acpi_get(table, IORT_NODES, 4);

    return (struct iort_walk){ .table = table,
                               .next = (uint32_t)acpi_get(table, IORT_FIRST, 4),
                               .left = table.len < IORT_HEADER ? 0
                                       : n < IORT_NODES_MAX    ? n
                                                               : IORT_NODES_MAX };
}

/* The next node that lies in the table whole. False: no more. */
static bool iort_next(struct iort_walk *w, struct iort_node *out)
{
    uint32_t len;

    if (!w->left || w->next < 36 || w->next > w->table.len || w->table.len - w->next < NODE_HEADER)
        return false;
    len = (uint32_t)acpi_get(w->table, w->next + NODE_LEN, 2);
    if (len < NODE_HEADER || len > w->table.len - w->next)
        return false;
    *out = (struct iort_node){ { w->table.p + w->next, len }, w->next };
    w->next += len;
    w->left--;
    return true;
}

static bool iort_at(struct bytes table, uint32_t at, struct iort_node *out)
{
    for (struct iort_walk w = iort_begin(table); iort_next(&w, out);)
        if (out->at == at)
            return true;
    return false;
}

static enum iort_type iort_type_of(const struct iort_node *n) { return n->b.p[NODE_TYPE]; }

static void iort_edge(struct platform *p, uint32_t intid)
{
    if (intid >= 32 && intid < 1020)
        p->edge[intid / 32] |= 1u << intid % 32;
}

static void iort_add_smmu(struct platform *out, const struct iort_node *n)
{
    struct platform_smmu s = { .base = acpi_get(n->b, SMMU_BASE, 8),
                               .event = (uint32_t)acpi_get(n->b, SMMU_EVENT, 4),
                               .gerror = (uint32_t)acpi_get(n->b, SMMU_GERROR, 4),
                               .coherent = acpi_get(n->b, SMMU_FLAGS, 4) & SMMU_COHACC,
                               .node = n->at };

    if (!s.base || n->b.len < SMMU_GERROR + 4)
        return;
    if (out->nsmmus == PLATFORM_SMMUS_MAX) {
        out->smmus_dropped++;
        return;
    }
    iort_edge(out, s.event);
    iort_edge(out, s.gerror);
    out->smmu[out->nsmmus++] = s;
}

void iort_parse(struct platform *out, struct bytes b)
{
    struct iort_node n;

    for (struct iort_walk w = iort_begin(b); iort_next(&w, &n);) {
        if (iort_type_of(&n) == IORT_SMMU_V3)
            iort_add_smmu(out, &n);
        else if (iort_type_of(&n) == IORT_SMMU)
            out->old_smmus++;
    }
}

/* ---- mappings ---- */

struct iort_map {
    uint32_t in, last, out, node;
    bool single;
};

/* Mapping `i` of a node. False: there is none, or it is not within the node. */
static bool iort_map_at(const struct iort_node *n, uint32_t i, struct iort_map *m)
{
    uint32_t count = (uint32_t)acpi_get(n->b, NODE_NMAPS, 4),
             first = (uint32_t)acpi_get(n->b, NODE_MAPS, 4);
    uint64_t at = first + (uint64_t)i * MAP_SIZE;
    uint32_t more;

    if (i >= count || i >= IORT_MAPS_MAX || first < NODE_HEADER || at + MAP_SIZE > n->b.len)
        return false;
    m->in = (uint32_t)acpi_get(n->b, (uint32_t)at + MAP_IN, 4);
    more = (uint32_t)acpi_get(n->b, (uint32_t)at + MAP_COUNT, 4);
    m->last = more > UINT32_MAX - m->in ? UINT32_MAX : m->in + more;
    m->out = (uint32_t)acpi_get(n->b, (uint32_t)at + MAP_OUT, 4);
    m->node = (uint32_t)acpi_get(n->b, (uint32_t)at + MAP_NODE, 4);
    m->single = acpi_get(n->b, (uint32_t)at + MAP_FLAGS, 4) & MAP_SINGLE;
    return true;
}

/* One step of the way. */
struct iort_step {
    uint32_t id, node;
    uint32_t more;      /* so many ids behind it take the same step */
    bool found, at_end; /* at_end: by the last id of a mapping */
};

/*
 * Ranges of one node do not overlap. Where the last id of one is the first of another, the other
 * has it: there are tables that count one id too many. Any other difference is -EINVAL.
 */
static int iort_choose(struct iort_step *s, const struct iort_map *m, uint32_t id)
{
    struct iort_step next = { .id = m->out + (id - m->in),
                              .node = m->node,
                              .more = s->more,
                              .found = true,
                              .at_end = id == m->last && id != m->in };

    if (m->single || id > m->last)
        return 0;
    next.more = min_u32(s->more, id < m->in ? m->in - id - 1 : m->last - id);
    s->more = next.more;
    if (id < m->in)
        return 0;
    if (next.id < m->out)
        return -EINVAL;
    s->more = next.more = min_u32(next.more, UINT32_MAX - next.id);
    if (s->found && (s->id != next.id || s->node != next.node)) {
        if (next.at_end && !s->at_end)
            return 0;
        if (!s->at_end || id != m->in)
            return -EINVAL;
    }
    *s = next;
    return 0;
}

static int iort_step(const struct iort_node *n, uint32_t id, struct iort_step *out)
{
    struct iort_map m;
    int err = 0;

    *out = (struct iort_step){ .more = UINT16_MAX };
    for (uint32_t i = 0; !err && iort_map_at(n, i, &m); i++)
        err = iort_choose(out, &m, id);
    return err;
}

/* ---- the way of one device ---- */

static int iort_pass_smmu(const struct platform *p, const struct iort_node *n, uint32_t id,
                          struct platform_route *out)
{
    if (out->smmu >= 0 || out->old_smmu)
        return -EINVAL;
    if (iort_type_of(n) == IORT_SMMU) {
        out->old_smmu = true;
        return 0;
    }
    for (uint32_t i = 0; i < p->nsmmus; i++)
        if (p->smmu[i].node == n->at)
            out->smmu = (int)i;
    out->stream = id;
    return out->smmu < 0 ? -EINVAL : 0;
}

/*
 * A device may write to any ITS of a group; the first that the MADT has does. None: its messages go
 * nowhere, which does not keep its DMA from being translated.
 */
static void iort_reach_its(const struct platform *p, const struct iort_node *n, uint32_t id,
                           struct platform_route *out)
{
    uint32_t count = (uint32_t)acpi_get(n->b, ITS_COUNT, 4);

    for (uint32_t k = 0; k < count && ITS_IDS + 4ull * k + 4 <= n->b.len; k++)
        for (uint32_t i = 0; i < p->gic.nits && out->its < 0; i++)
            if (p->gic.its_id[i] == acpi_get(n->b, ITS_IDS + 4 * k, 4))
                out->its = (int)i;
    out->device = id;
}

/* From the node that a device's first mapping names on, until an ITS group or the last mapping. */
static int iort_follow(const struct platform *p, struct bytes table, struct iort_step s,
                       struct platform_route *out)
{
    struct iort_node n;
    int err = 0;

    for (unsigned hop = 0; !err && s.found; hop++) {
        uint32_t id = s.id;

        if (hop == IORT_HOPS || !iort_at(table, s.node, &n))
            return -EINVAL;
        if (iort_type_of(&n) == IORT_ITS_GROUP) {
            iort_reach_its(p, &n, id, out);
            return 0;
        }
        err = iort_pass_smmu(p, &n, id, out);
        if (!err)
            err = iort_step(&n, id, &s);
        out->more = min_u32(out->more, s.more);
    }
    return err;
}

static const struct platform_route iort_nowhere = { .smmu = -1, .its = -1 };

static struct bytes iort_bytes(const void *iort)
{
    return iort ? acpi_bytes(iort) : (struct bytes){ NULL, 0 };
}

static int iort_finish(int err, struct platform_route *out)
{
    if (err)
        *out = iort_nowhere;
    return err;
}

int iort_route(const struct platform *p, const void *iort, uint16_t segment, uint16_t rid,
               struct platform_route *out)
{
    struct bytes table = iort_bytes(iort);
    struct iort_node n;
    struct iort_step s, found = { .more = UINT16_MAX };

    hv_assert(p && out);
    *out = iort_nowhere;
    for (struct iort_walk w = iort_begin(table); iort_next(&w, &n);) {
        int err;

        if (iort_type_of(&n) != IORT_ROOT_COMPLEX || acpi_get(n.b, RC_SEGMENT, 4) != segment)
            continue;
        err = iort_step(&n, rid, &s);
        if (err || (s.found && found.found && (s.id != found.id || s.node != found.node)))
            return -EINVAL;
        s.more = min_u32(s.more, found.more);
        if (s.found)
            found = s;
        found.more = s.more;
    }
    out->more = found.more;
    return found.found ? iort_finish(iort_follow(p, table, found, out), out) : -ENOENT;
}

static bool iort_is_named(const struct iort_node *n, const char *name)
{
    size_t len = strlen(name) + 1;

    return iort_type_of(n) == IORT_NAMED && NAMED_NAME + len <= n->b.len &&
           memcmp(n->b.p + NAMED_NAME, name, len) == 0;
}

int iort_route_named(const struct platform *p, const void *iort, const char *name, uint32_t n,
                     struct platform_route *out)
{
    struct bytes table = iort_bytes(iort);
    struct iort_node node;
    struct iort_map m;

    hv_assert(p && name && out);
    *out = iort_nowhere;
    for (struct iort_walk w = iort_begin(table); iort_next(&w, &node);)
        if (iort_is_named(&node, name) && iort_map_at(&node, n, &m))
            return iort_finish(
                iort_follow(p, table,
                            (struct iort_step){ .id = m.out, .node = m.node, .found = true }, out),
                out);
    return -ENOENT;
}

/* ---- reserved memory ---- */

/* Range `i` of an RMR node. False: there is none, or it is no memory. */
static bool iort_range_at(const struct iort_node *n, uint32_t i, struct platform_reserved *out)
{
    uint32_t count = (uint32_t)acpi_get(n->b, RMR_COUNT, 4),
             first = (uint32_t)acpi_get(n->b, RMR_RANGES, 4);
    uint64_t at = first + (uint64_t)i * RMR_SIZE;

    if (i >= count || i >= IORT_MAPS_MAX || first < NODE_HEADER || at + RMR_SIZE > n->b.len)
        return false;
    out->base = acpi_get(n->b, (uint32_t)at + RMR_BASE, 8);
    out->len = acpi_get(n->b, (uint32_t)at + RMR_LEN, 8);
    return true;
}

static bool iort_is_memory(const struct platform_reserved *r)
{
    return r->len && !((r->base | r->len) & (PAGE_SIZE - 1)) && r->base + r->len > r->base;
}

/* The streams of mapping `i` of an RMR node, whose every range is for each of its mappings. */
static bool iort_streams_at(const struct platform *p, const struct iort_node *n, uint32_t i,
                            struct platform_reserved *out)
{
    struct iort_map m;

    if (!iort_map_at(n, i, &m))
        return false;
    out->smmu = -1;
    for (uint32_t k = 0; k < p->nsmmus; k++)
        if (p->smmu[k].node == m.node)
            out->smmu = (int)k;
    out->first = m.out;
    out->last = m.single ? m.out : (uint32_t)min_u64(UINT32_MAX, (uint64_t)m.out + (m.last - m.in));
    return true;
}

bool iort_reserved(const struct platform *p, const void *iort, unsigned n,
                   struct platform_reserved *out)
{
    struct iort_node node;

    for (struct iort_walk w = iort_begin(iort_bytes(iort)); iort_next(&w, &node);) {
        if (iort_type_of(&node) != IORT_RMR)
            continue;
        for (uint32_t m = 0; iort_streams_at(p, &node, m, out); m++)
            for (uint32_t i = 0; iort_range_at(&node, i, out); i++)
                if (out->smmu >= 0 && iort_is_memory(out) && n-- == 0)
                    return true;
    }
    return false;
}
