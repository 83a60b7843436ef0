/* SPDX-License-Identifier: BSD-2-Clause */
/* frag.c: putting fragments together; see frag.h. */
#include "frag.h"
#include <string.h>

static bool is_of(const struct frag *f, const struct packet *p)
{
    return f->used && f->src == p->src && f->dst == p->dst && f->proto == p->proto &&
           f->id == net_get16(p->ip + 4);
}

/* The packet's buffer: the one begun, else a free one, else the oldest. */
static struct frag *buffer_of(struct frag *f, unsigned n, const struct packet *p, uint64_t now)
{
    struct frag *oldest = f;

    for (unsigned i = 0; i < n; i++)
        if (f[i].used && now - f[i].since_ns >= FRAG_NS)
            f[i].used = false;
    for (unsigned i = 0; i < n; i++)
        if (is_of(&f[i], p))
            return &f[i];
    for (unsigned i = 1; i < n && oldest->used; i++)
        if (!f[i].used || f[i].since_ns < oldest->since_ns)
            oldest = &f[i];
    memset(oldest, 0, offsetof(struct frag, head));
    oldest->src = p->src;
    oldest->dst = p->dst;
    oldest->proto = p->proto;
    oldest->id = net_get16(p->ip + 4);
    oldest->since_ns = now;
    oldest->used = true;
    return oldest;
}

/* How many of the 8-byte blocks were seen before. */
static uint32_t mark_blocks(struct frag *f, uint32_t first, uint32_t n)
{
    uint32_t before = 0;

    for (uint32_t i = first; i < first + n; i++) {
        before += f->seen[i / 8] >> (i & 7) & 1;
        f->seen[i / 8] |= (uint8_t)(1u << (i & 7));
    }
    return before;
}

/* False: the fragment does not go with the others, and the packet is lost. */
static bool put_in(struct frag *f, const struct packet *p)
{
    uint32_t at = (p->frag & IP_OFFSET) * 8u, len = p->len - p->hl, blocks = (len + 7) / 8, before;
    bool last = !(p->frag & IP_MF);

    if (len == 0 || at + len > IP_MAX - 60 || (!last && len % 8) ||
        (f->total && (last ? at + len != f->total : at + len > f->total)))
        return false;
    before = mark_blocks(f, at / 8, blocks);
    if (before)
        return before == blocks; /* seen before, as a whole: a copy */
    if (last && f->end > at)     /* something lies behind the end */
        return false;
    f->end = (uint32_t)max_u64(f->end, at + len);
    memcpy(f->data + at, p->l4, len);
    f->have += len;
    if (last)
        f->total = at + len;
    if (at == 0) {
        f->hl = p->hl;
        memcpy(f->head + sizeof f->head - p->hl, p->ip, p->hl);
    }
    return true;
}

/* The header of the first fragment, for the whole. */
static bool make_whole(struct frag *f, struct packet *whole)
{
    uint8_t *ip = f->head + sizeof f->head - f->hl;

    net_put16(ip + 2, (uint16_t)(f->hl + f->total));
    net_put16(ip + 6, 0);
    net_put16(ip + 10, 0);
    net_put16(ip + 10, csum_end(csum_add(0, ip, f->hl)));
    return packet_parse(whole, ip, f->hl + f->total);
}

bool frag_add(struct frag *f, unsigned n, const struct packet *p, uint64_t now,
              struct packet *whole)
{
    struct frag *b = buffer_of(f, n, p, now);

    static_assert(offsetof(struct frag, data) == offsetof(struct frag, head) + sizeof b->head,
                  "a header and the data behind it are one packet");
    if (!put_in(b, p)) {
        b->used = false;
        return false;
    }
    if (!b->total || b->have != b->total)
        return false;
    b->used = false;
    return make_whole(b, whole);
}
