/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * queue.c: frames that wait for a receiver; see <hv/net.h>. A ring of bytes. Each entry begins with
 * a header; one that would cross the end is preceded by a filler. Who puts reserves an entry under
 * the lock, fills it without, and then says that it is ready.
 */
#include <hv/assert.h>
#include <hv/net.h>
#include <string.h>

#define READY 0x80000000u
#define FILLER 0x40000000u
#define LEN_MASK 0x0001ffffu

struct entry {
    uint32_t state; /* atomic; 0: being filled; else READY, and the length */
    uint32_t span;  /* bytes of the entry in the ring */
    uint32_t from;
    struct net_offload offload;
    uint8_t zero[10];
};
static_assert(sizeof(struct entry) == 32, "entries keep what follows them aligned");
static_assert(NET_BIG_MAX <= LEN_MASK, "a length fits");

static struct entry *entry_at(const struct net_queue *q, uint32_t at)
{
    return (struct entry *)(void *)(q->ring + (at & (q->size - 1)));
}

void net_queue_init(struct net_queue *q, void *ring, uint32_t size)
{
    hv_assert(ring && (size & (size - 1)) == 0 && size >= 4 * NET_FRAME_MAX);
    *q = (struct net_queue){ .ring = ring, .size = size };
    spin_init(&q->lock, LOCK_NET);
}

/* The entry, and what must be skipped to keep it in one piece. NULL: no room for this sender. */
static struct entry *net_queue_reserve(struct net_queue *q, unsigned from, uint32_t span,
                                       const struct net_offload *offload)
{
    uint32_t room = q->size - (q->put - __atomic_load_n(&q->got, __ATOMIC_ACQUIRE)),
             to_end = q->size - (q->put & (q->size - 1)), skip = span > to_end ? to_end : 0;
    uint32_t held = __atomic_load_n(&q->held[from], __ATOMIC_RELAXED);
    struct entry *e;

    debug_assert_held(&q->lock);
    if (held + span + skip > room)
        return NULL;
    if (skip)
        *entry_at(q, q->put) = (struct entry){ .state = READY | FILLER, .span = skip };
    e = entry_at(q, q->put + skip);
    *e = (struct entry){ .span = span, .from = from, .offload = *offload };
    __atomic_fetch_add(&q->held[from], span, __ATOMIC_RELAXED);
    __atomic_store_n(&q->put, q->put + skip + span, __ATOMIC_RELEASE);
    return e;
}

bool net_queue_put(struct net_queue *q, unsigned from, const struct net_frame *f)
{
    struct entry *e;

    hv_assert(from < NET_PORTS && f->len >= NET_HEAD && f->len <= NET_BIG_MAX);
    spin_lock(&q->lock);
    e = net_queue_reserve(q, from, (uint32_t)align_up(sizeof *e + f->len, sizeof *e), &f->offload);
    spin_unlock(&q->lock);
    if (!e)
        return false;
    net_frame_copy(f, e + 1);
    __atomic_store_n(&e->state, READY | f->len, __ATOMIC_RELEASE);
    return true;
}

/* The oldest entry that is ready and no filler, or NULL. *got: where it begins. */
static struct entry *oldest(const struct net_queue *q, uint32_t *got)
{
    *got = __atomic_load_n(&q->got, __ATOMIC_RELAXED);
    while (__atomic_load_n(&q->put, __ATOMIC_ACQUIRE) != *got) {
        struct entry *e = entry_at(q, *got);
        uint32_t state = __atomic_load_n(&e->state, __ATOMIC_ACQUIRE);

        if (!(state & FILLER))
            return state & READY ? e : NULL;
        *got += e->span;
    }
    return NULL;
}

const uint8_t *net_queue_first(const struct net_queue *q, uint32_t *len,
                               struct net_offload *offload)
{
    uint32_t got;
    const struct entry *e = oldest(q, &got);

    if (e && offload)
        *offload = e->offload;
    *len = e ? __atomic_load_n(&e->state, __ATOMIC_RELAXED) & LEN_MASK : 0;
    return e ? (const uint8_t *)(e + 1) : NULL;
}

void net_queue_drop(struct net_queue *q)
{
    uint32_t got;
    const struct entry *e = oldest(q, &got);

    hv_assert(e);
    __atomic_fetch_sub(&q->held[e->from], e->span, __ATOMIC_RELAXED);
    __atomic_store_n(&q->got, got + e->span, __ATOMIC_RELEASE);
}

void net_queue_clear(struct net_queue *q)
{
    uint32_t len;

    while (net_queue_first(q, &len, NULL))
        net_queue_drop(q);
}
