/* SPDX-License-Identifier: BSD-2-Clause */
/* queue.c: see <hv/blk_queue.h>. */
#include <hv/blk_queue.h>

#define PAGE_MASK (PAGE_SIZE - 1)

/* What a request takes of its submitter's turns. */
static uint64_t blk_queue_cost(const struct blk_req *r)
{
    return 1 + min_u64(r->nsectors, 2048) / 128;
}

void blk_queue_add(struct blk_queue *q, struct blk_req *r)
{
    struct blk_req **p = &q->first;

    r->turn = q->turn;
    for (unsigned i = 0; i < BLK_QUEUE_KNOWN; i++)
        if (q->last[i].who == r->who)
            r->turn = max_u64(r->turn, q->last[i].end);
    for (const struct blk_req *o = q->first; o; o = o->next)
        if (o->who == r->who)
            r->turn = max_u64(r->turn, o->turn + blk_queue_cost(o));
    while (*p && (*p)->turn <= r->turn)
        p = &(*p)->next;
    r->next = *p;
    *p = r;
}

/* The submitter's own entry, or else that of who is furthest behind. */
static void blk_queue_remember(struct blk_queue *q, const struct blk_req *r)
{
    unsigned at = 0;

    for (unsigned i = 0; i < BLK_QUEUE_KNOWN; i++) {
        if (q->last[i].who == r->who) {
            at = i;
            break;
        }
        if (q->last[i].end < q->last[at].end)
            at = i;
    }
    q->last[at].who = r->who;
    q->last[at].end = r->turn + blk_queue_cost(r);
}

struct blk_req *blk_queue_take(struct blk_queue *q)
{
    struct blk_req *r = q->first;

    if (r) {
        q->first = r->next;
        q->turn = r->turn;
        blk_queue_remember(q, r);
    }
    return r;
}

bool blk_queue_remove(struct blk_queue *q, const struct blk_req *r)
{
    struct blk_req **p = &q->first;

    while (*p && *p != r)
        p = &(*p)->next;
    if (!*p)
        return false;
    *p = r->next;
    return true;
}

void blk_complete(struct blk_req *r, int status)
{
    __atomic_store_n(&r->status, status, __ATOMIC_RELEASE);
    event_post(&r->done);
}

static int check_segments(const struct blk_limits *l, const struct blk_req *r)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < r->nseg; i++) {
        uint64_t at = r->seg[i].at.v, end = at + r->seg[i].len;

        if (end <= at || (i ? at & PAGE_MASK : at % l->align) ||
            (i + 1u < r->nseg && end & PAGE_MASK))
            return -EINVAL;
        bytes += r->seg[i].len;
    }
    return bytes == r->nsectors << 9 && r->nseg <= l->max_segs ? 0 : -EINVAL;
}

/* Sectors of one request; 0: the device cannot do this. */
static uint32_t most_sectors(const struct blk_limits *l, uint8_t op)
{
    const uint32_t most[] = { [BLK_READ] = l->max_bytes / 512,
                              [BLK_WRITE] = l->max_bytes / 512,
                              [BLK_DISCARD] = l->discard_max,
                              [BLK_WRITE_ZEROES] = l->zeroes_max };

    return op < ARRAY_SIZE(most) ? most[op] : 0;
}

int blk_check(const struct blk_dev *b, const struct blk_req *r)
{
    uint64_t at = r->base + r->sector, mask = b->limits.block / 512 - 1;
    uint32_t most = most_sectors(&b->limits, r->op);

    if (r->op == BLK_FLUSH)
        return 0;
    if (most == 0)
        return -ENOTSUP;
    if (r->op != BLK_READ && b->ro)
        return -EROFS;
    if (r->nsectors == 0 || r->nsectors > most || at < r->base || (at | r->nsectors) & mask ||
        !range_within(at, r->nsectors, 0, b->sectors))
        return -EINVAL;
    return r->op == BLK_READ || r->op == BLK_WRITE ? check_segments(&b->limits, r) : 0;
}
