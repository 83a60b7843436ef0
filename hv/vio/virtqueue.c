/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rings: split (virtio 1.2 §2.7) and packed (§2.8). Every descriptor is copied once, then
 * checked, then used.
 */
#include <hv/assert.h>
#include <hv/gmem.h>
#include <hv/nospec.h>
#include <hv/panic.h>
#include <hv/virtio.h>
#include <hv/vm.h>
#include <string.h>

/* split: flags, next; packed: id, flags */
struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t a, b;
};
static_assert(sizeof(struct desc) == 16, "virtio 1.2 §2.7.5, §2.8.13");
static_assert(offsetof(struct desc, len) == 8, "virtio 1.2 §2.7.5, §2.8.13");
static_assert(offsetof(struct desc, a) == 12, "virtio 1.2 §2.7.5, §2.8.13");
static_assert(offsetof(struct desc, b) == 14, "virtio 1.2 §2.7.5, §2.8.13");
struct item {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
};
enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4, DESC_AVAIL = 1 << 7, DESC_USED = 1 << 15 };
enum { AVAIL_NO_INTERRUPT = 1, USED_NO_NOTIFY = 1 };
enum { EVENT_ENABLE = 0, EVENT_DISABLE = 1, EVENT_DESC = 2 }; /* §2.8.14 */
enum { AVAIL_IDX = 2, AVAIL_RING = 4, USED_IDX = 2, USED_RING = 4, EVENT_OFF = 0, EVENT_FLAGS = 2 };
enum { COST_POP = 8, COST_PIECE = 2 };

/* Both are fixed while the queue is enabled: see struct vq_setup. */
static bool packed(const struct virtqueue *q) { return q->set.packed; }

static bool event_idx(const struct virtqueue *q) { return q->set.event_idx; }

static unsigned part_prot(enum vq_part part)
{
    return part == VQ_DRIVER ? PROT_R : PROT_R | PROT_W;
}

/* The rare half of ring_at(): memory that is not contiguous here, or none at all. */
static void *ring_elsewhere(const struct virtqueue *q, enum vq_part part, uint32_t off,
                            uint32_t len)
{
    const struct vq_region *r = &q->set.part[part];

    hv_assert(part < VQ_PARTS);
    if (off <= r->len && len <= r->len - off)
        return gmem_ptr(q->dev->vm, gpa(r->gpa + off), len, part_prot(part));
    virtio_broken(q->dev, "queue %u: an access beyond part %u of the ring (0x%x)", q->index, part,
                  off);
    return NULL;
}

/*
 * The only way from a place in a ring to memory: `len` bytes, `off` bytes into a part, naturally
 * aligned, so that they never cross a page. NULL beyond the part as it was checked when the queue
 * was enabled: that would be a mistake of ours, and it breaks the device instead of reaching a
 * neighbour.
 */
static inline void *ring_at(const struct virtqueue *q, enum vq_part part, uint32_t off,
                            uint32_t len)
{
    const struct vq_region *r = &q->set.part[part];

    if (__builtin_expect((uint64_t)off + len <= r->mapped, 1))
        return r->host + off;
    return ring_elsewhere(q, part, off, len);
}

/* Reads give 0 and writes do nothing where ring_at() finds no memory. */
static inline uint16_t ring_get16(const struct virtqueue *q, enum vq_part part, uint32_t off)
{
    const uint16_t *p = ring_at(q, part, off, 2);

    return p ? __atomic_load_n(p, __ATOMIC_ACQUIRE) : 0;
}

static inline void set16(const struct virtqueue *q, enum vq_part part, uint32_t off, uint16_t v)
{
    uint16_t *p = ring_at(q, part, off, 2);

    if (p)
        __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline void set32(const struct virtqueue *q, enum vq_part part, uint32_t off, uint32_t v)
{
    uint32_t *p = ring_at(q, part, off, 4);

    if (p)
        __atomic_store_n(p, v, __ATOMIC_RELAXED);
}

/*
 * The copy is all that is looked at afterwards: the fence keeps the compiler from reading the ring
 * again. Two words, which stay in registers; hosts are little-endian, as rings are.
 */
static inline struct desc copy_once(const uint8_t *src)
{
    uint64_t addr, rest;

    __builtin_memcpy(&addr, src, sizeof addr);
    __builtin_memcpy(&rest, src + offsetof(struct desc, len), sizeof rest);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return (struct desc){ addr, (uint32_t)rest, (uint16_t)(rest >> 32), (uint16_t)(rest >> 48) };
}

/* All zero where ring_at() finds no memory: no buffer is of no bytes. */
static inline struct desc ring_get_desc(const struct virtqueue *q, uint32_t i)
{
    const uint8_t *p = ring_at(q, VQ_DESC, 16 * i, sizeof(struct desc));

    return p ? copy_once(p) : (struct desc){ 0 };
}

/* ---- set-up ---- */

void vq_clear(struct virtqueue *q)
{
    assert_held(&q->dev->lock);
    *q->s = (struct vq_state){ .size = VQ_SIZE_MAX, .vector = VIRTIO_NO_VECTOR };
    q->set = (struct vq_setup){ 0 };
    q->quiet = false;
}

static bool all_ram(struct vm *vm, uint64_t addr, uint64_t len, unsigned prot)
{
    while (len) {
        uint64_t run = len;

        if (addr + len < addr || !gmem_run(vm, gpa(addr), &run, prot) || run == 0)
            return false;
        addr += run;
        len -= run;
    }
    return true;
}

/* Bytes of a part: §2.7, §2.8.10.1 and §2.8.14. */
static uint32_t part_len(const struct vq_setup *set, enum vq_part part)
{
    uint32_t n = set->size;

    if (part == VQ_DESC)
        return 16 * n;
    if (set->packed)
        return 4;
    return part == VQ_DRIVER ? 6 + 2 * n : 6 + 8 * n;
}

static bool size_allowed(const struct vq_setup *set)
{
    return set->size > 0 && set->size <= VQ_SIZE_MAX &&
           (set->packed || !(set->size & (set->size - 1)));
}

/* What is wrong with one part of the ring, or NULL. */
static const char *check_part(struct vm *vm, const struct vq_setup *set, enum vq_part part)
{
    /* §2.7, §2.8.10.1 */
    static const uint8_t align[2][VQ_PARTS] = { { 16, 2, 4 }, { 16, 4, 4 } };
    const struct vq_region *r = &set->part[part];

    if (r->gpa & (align[set->packed][part] - 1u))
        return "a part is not aligned";
    return all_ram(vm, r->gpa, r->len, part_prot(part)) ? NULL : "a part is not in RAM";
}

static const char *check_setup(struct vm *vm, const struct vq_setup *set)
{
    const char *why = size_allowed(set) ? NULL : "its size is not allowed";

    for (unsigned part = 0; part < VQ_PARTS && !why; part++)
        why = check_part(vm, set, part);
    return why;
}

static struct vq_setup setup_of(const struct vq_state *s, uint64_t features)
{
    struct vq_setup set = {
        .size = s->size,
        .packed = features >> VIRTIO_F_RING_PACKED & 1,
        .event_idx = features >> VIRTIO_F_EVENT_IDX & 1,
        .indirect = features >> VIRTIO_F_INDIRECT_DESC & 1,
    };
    const uint64_t at[VQ_PARTS] = { s->desc, s->driver, s->device };

    for (unsigned part = 0; part < VQ_PARTS; part++)
        set.part[part] = (struct vq_region){ .gpa = at[part], .len = part_len(&set, part) };
    return set;
}

/*
 * The only place that keeps pointers to guest memory. Parts that are not contiguous here have none.
 */
static void map_parts(struct vm *vm, struct vq_setup *set)
{
    for (unsigned part = 0; part < VQ_PARTS; part++) {
        struct vq_region *r = &set->part[part];

        r->host = gmem_ptr(vm, gpa(r->gpa), r->len, part_prot(part));
        r->mapped = r->host ? r->len : 0;
    }
}

int vq_enable(struct virtqueue *q, uint64_t features, const char **why)
{
    struct vq_setup set = setup_of(q->s, features);

    assert_held(&q->dev->lock);
    hv_assert(why);
    if (DEBUG_LOCKS)
        hv_assert(!q->s->enabled && q->set.size == 0); /* what is in use is never replaced */
    *why = check_setup(q->dev->vm, &set);
    if (*why)
        return -EINVAL;
    map_parts(q->dev->vm, &set);
    q->set = set;
    q->s->next_avail = q->s->next_used = q->s->unsignalled = 0;
    q->s->avail_wrap = q->s->used_wrap = 1;
    q->quiet = false;
    return 0;
}

/* ---- what the driver shall tell us ---- */

/* Never needed for correctness, so that it is done once, when the first buffer of a run is seen. */
static void notify_off(struct virtqueue *q)
{
    if (q->quiet)
        return;
    q->quiet = true;
    if (packed(q))
        set16(q, VQ_DEVICE, EVENT_FLAGS, EVENT_DISABLE);
    else if (!event_idx(q))
        set16(q, VQ_DEVICE, 0, USED_NO_NOTIFY);
}

static void notify_on(struct virtqueue *q)
{
    q->quiet = false;
    if (packed(q)) {
        if (event_idx(q))
            set16(q, VQ_DEVICE, EVENT_OFF, (uint16_t)(q->s->next_avail | q->s->avail_wrap << 15));
        set16(q, VQ_DEVICE, EVENT_FLAGS, event_idx(q) ? EVENT_DESC : EVENT_ENABLE);
    } else if (event_idx(q)) {
        set16(q, VQ_DEVICE, USED_RING + 8u * q->set.size, q->s->next_avail); /* avail_event */
    } else {
        set16(q, VQ_DEVICE, 0, 0);
    }
    /* the driver sees it before we look for the last time */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* ---- buffers ---- */

static int bad(struct virtqueue *q, const char *what, uint64_t v)
{
    virtio_broken(q->dev, "queue %u: %s (0x%llx)", q->index, what, (unsigned long long)v);
    return -EPROTO;
}

/* The rare half of add_buffer(): memory that is not contiguous here, or none at all. */
static __attribute__((noinline)) int add_runs(struct virtqueue *q, struct vq_chain *c,
                                              uint64_t addr, uint64_t left, bool in)
{
    while (left) {
        unsigned n = c->nout + c->nin;
        uint64_t run = left;
        void *p = gmem_run(q->dev->vm, gpa(addr), &run, in ? PROT_W : PROT_R);

        if (!p || run == 0)
            return bad(q, "a descriptor's address is not RAM", addr);
        if (n == VQ_IOV_MAX)
            return bad(q, "a buffer of too many pieces", n);
        c->iov[n] = (struct iov){ p, (uint32_t)run };
        *(in ? &c->nin : &c->nout) += 1;
        addr += run;
        left -= run;
    }
    return 0;
}

static inline __attribute__((always_inline)) int add_buffer(struct virtqueue *q, struct vq_chain *c,
                                                            uint64_t addr, uint32_t len, bool in)
{
    uint64_t n = c->nout;
    void *p;

    if (len == 0)
        return bad(q, "a descriptor of no bytes", addr);
    if (in)
        n += c->nin;
    else if (c->nin)
        return bad(q, "a readable descriptor after a writable one", addr);
    debug_assert(n <= VQ_IOV_MAX);
    p = gmem_ptr_in(&q->dev->vm->gmem, gpa(addr), len, in ? PROT_W : PROT_R);
    if (__builtin_expect(!p || n >= VQ_IOV_MAX, 0))
        return add_runs(q, c, addr, len, in);
    c->iov[n] = (struct iov){ p, len }; /* nospec: counted here; at most one behind the last */
    if (in)
        c->nin++;
    else
        c->nout = (uint16_t)(n + 1);
    return 0;
}

/* The rare half of table_entry(): a table that is not contiguous here, or not RAM. */
static __attribute__((noinline)) struct desc table_entry_elsewhere(struct virtqueue *q,
                                                                   uint64_t addr)
{
    struct desc d = { 0 };

    if (gmem_read(q->dev->vm, gpa(addr), &d, sizeof d))
        (void)bad(q, "an indirect table outside of RAM", addr);
    return d;
}

/*
 * Entry i of a table of n, in the form of a split ring's: a packed ring's come one after the other,
 * up to the last. at: where the table is, or NULL. All zero when there is none.
 */
static inline struct desc table_entry(struct virtqueue *q, struct item table, const uint8_t *at,
                                      uint64_t i, uint64_t n)
{
    uint64_t off = sizeof(struct desc) * index_nospec(i, n);
    struct desc d = at ? copy_once(at + off) : table_entry_elsewhere(q, table.addr + off);

    if (packed(q)) {
        d.a = (uint16_t)((d.b & DESC_WRITE) | (i + 1 < n ? DESC_NEXT : 0));
        d.b = (uint16_t)(i + 1);
    }
    return d;
}

/* at: as in table_entry(). */
static inline __attribute__((always_inline)) int add_entries(struct virtqueue *q,
                                                             struct vq_chain *c, struct item table,
                                                             const uint8_t *at)
{
    uint64_t n = table.len / 16, i = 0;

    for (uint64_t left = n; left; left--) {
        struct desc d = table_entry(q, table, at, i, n);

        if (d.a & DESC_INDIRECT)
            return bad(q, "an indirect table inside another", d.addr);
        if (add_buffer(q, c, d.addr, d.len, d.a & DESC_WRITE))
            return -EPROTO;
        if (!(d.a & DESC_NEXT))
            return 0;
        i = d.b;
        if (i >= n)
            return bad(q, "next beyond an indirect table", i);
    }
    return bad(q, "a loop in an indirect table", table.addr);
}

/* The rare half of add_indirect(). */
static __attribute__((noinline)) int add_entries_elsewhere(struct virtqueue *q, struct vq_chain *c,
                                                           struct item table)
{
    return add_entries(q, c, table, NULL);
}

/*
 * §2.7.5.3, §2.8.7. A table may be longer than the ring (drivers do that), but not than
 * VQ_IOV_MAX.
 */
static int add_indirect(struct virtqueue *q, struct vq_chain *c, struct item table)
{
    const uint8_t *at;

    if (!q->set.indirect)
        return bad(q, "an indirect descriptor without the feature", table.addr);
    if (table.len == 0 || table.len % 16 || table.len / 16 > VQ_IOV_MAX ||
        table.addr + table.len < table.addr)
        return bad(q, "an indirect table of bad length", table.len);
    at = gmem_ptr_in(&q->dev->vm->gmem, gpa(table.addr), table.len, PROT_R);
    return at ? add_entries(q, c, table, at) : add_entries_elsewhere(q, c, table);
}

/*
 * §2.7.5.3.2: a chain of a split ring may end with a table, whose WRITE flag means nothing; in a
 * packed ring a table stands alone.
 */
static inline int add_item(struct virtqueue *q, struct vq_chain *c, struct item d)
{
    if (!(d.flags & DESC_INDIRECT))
        return add_buffer(q, c, d.addr, d.len, d.flags & DESC_WRITE);
    if ((d.flags & DESC_NEXT) || (packed(q) && (c->nout || c->nin)))
        return bad(q, "an indirect descriptor inside a chain", d.addr);
    return add_indirect(q, c, d);
}

static int split_chain(struct virtqueue *q, struct vq_chain *c)
{
    uint16_t i = c->id;

    for (unsigned seen = 0; seen < q->set.size; seen++) {
        struct desc d;

        if (i >= q->set.size)
            return bad(q, "a descriptor number beyond the ring", i);
        d = ring_get_desc(q, (uint32_t)index_nospec(i, q->set.size));
        if (add_item(q, c, (struct item){ d.addr, d.len, d.a }))
            return -EPROTO;
        if (!(d.a & DESC_NEXT))
            return 1;
        i = d.b;
    }
    return bad(q, "a loop of descriptors", c->id);
}

static int split_pop(struct virtqueue *q, struct vq_chain *c)
{
    uint16_t idx = ring_get16(q, VQ_DRIVER, AVAIL_IDX),
             waiting = (uint16_t)(idx - q->s->next_avail);

    if (waiting == 0)
        return 0;
    if (waiting > q->set.size)
        return bad(q, "the available index jumped", idx);
    c->id = ring_get16(q, VQ_DRIVER, AVAIL_RING + 2u * (q->s->next_avail & (q->set.size - 1u)));
    q->s->next_avail++;
    c->slots = 1;
    return split_chain(q, c);
}

static bool packed_ready(const struct virtqueue *q, uint16_t flags)
{
    return !!(flags & DESC_AVAIL) == q->s->avail_wrap && !!(flags & DESC_USED) != q->s->avail_wrap;
}

static int packed_pop(struct virtqueue *q, struct vq_chain *c)
{
    uint16_t i = q->s->next_avail;
    struct desc d;

    if (!packed_ready(q, ring_get16(q, VQ_DESC, 16u * i + 14)))
        return 0;
    do {
        if (c->slots == q->set.size)
            return bad(q, "a chain longer than the ring", c->slots);
        d = ring_get_desc(q, i);
        c->slots++;
        if (add_item(q, c, (struct item){ d.addr, d.len, d.b }))
            return -EPROTO;
        if (++i == q->set.size)
            i = 0;
    } while (d.b & DESC_NEXT);
    c->id = d.a;
    if (c->id >= q->set.size)
        return bad(q, "a buffer id beyond the ring", c->id);
    q->s->avail_wrap ^= i <= q->s->next_avail;
    q->s->next_avail = i;
    return 1;
}

/* For the log of what is written: a ring's memory is not asked for again at each access. */
static __attribute__((noinline)) void log_ring(const struct virtqueue *q)
{
    for (enum vq_part i = 0; i < VQ_PARTS; i++) {
        uint32_t len = (uint32_t)q->set.part[i].mapped;

        if (i != VQ_DRIVER)
            gmem_log_wrote(q->dev->vm, ring_at(q, i, 0, len), len);
    }
}

static inline bool is_logged(const struct virtqueue *q)
{
    return __builtin_expect(q->dev->vm->gmem.log != NULL, 0);
}

int vq_pop(struct virtqueue *q, struct vq_chain *c)
{
    int r;

    debug_assert(virtio_is_here(q->dev));
    if (!virtio_live(q->dev))
        return -EPROTO;
    if (!__atomic_load_n(&q->s->enabled, __ATOMIC_RELAXED))
        return 0;
    if (q->dev->budget <= 0 || !virtio_transport_ready(q->dev)) {
        virtio_kick(q->dev, q->index);
        return 0;
    }
    c->slots = c->nout = c->nin = 0;
    r = packed(q) ? packed_pop(q, c) : split_pop(q, c);
    if (r == 0 && q->quiet) {
        notify_on(q);
        r = packed(q) ? packed_pop(q, c) : split_pop(q, c);
    }
    virtio_charge(q->dev, COST_POP + COST_PIECE * ((uint32_t)c->nout + c->nin));
    if (r == 1)
        notify_off(q);
    if (is_logged(q))
        log_ring(q);
    return r;
}

/* ---- giving back ---- */

/* All of a used descriptor but its flags, which make it the driver's: what they are to be. */
static inline uint16_t packed_fill(struct virtqueue *q, const struct vq_used *u)
{
    uint16_t flags = q->s->used_wrap ? DESC_AVAIL | DESC_USED : 0;
    uint32_t at = 16u * q->s->next_used, next = (uint32_t)q->s->next_used + u->slots;

    if (u->in)
        flags |= DESC_WRITE;
    set32(q, VQ_DESC, at + 8, u->written);
    set16(q, VQ_DESC, at + 12, u->id);
    if (next >= q->set.size) {
        next -= q->set.size;
        q->s->used_wrap ^= 1;
    }
    q->s->next_used = (uint16_t)next;
    return flags;
}

/* The first one's flags come last: the driver looks at the others after it. */
static inline void packed_push(struct virtqueue *q, const struct vq_used *u, unsigned n)
{
    uint32_t first = 16u * q->s->next_used + 14;
    uint16_t flags = packed_fill(q, &u[0]);

    for (unsigned i = 1; i < n; i++) {
        uint32_t at = 16u * q->s->next_used + 14;

        set16(q, VQ_DESC, at, packed_fill(q, &u[i]));
    }
    set16(q, VQ_DESC, first, flags);
}

static inline void split_push(struct virtqueue *q, const struct vq_used *u, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint32_t at = USED_RING + 8u * (q->s->next_used++ & (q->set.size - 1u));

        set32(q, VQ_DEVICE, at, u[i].id);
        set32(q, VQ_DEVICE, at + 4, u[i].written);
    }
    set16(q, VQ_DEVICE, USED_IDX, q->s->next_used);
}

/* A request's memory was asked for when it was taken, which may be long ago. */
static __attribute__((noinline)) void log_chain(const struct virtqueue *q, const struct vq_chain *c)
{
    for (unsigned i = c->nout; i < (unsigned)c->nout + c->nin && i < VQ_IOV_MAX; i++)
        gmem_log_wrote(q->dev->vm, c->iov[i].base, c->iov[i].len);
}

static inline __attribute__((always_inline)) void ring_push(struct virtqueue *q,
                                                            const struct vq_used *u, unsigned n)
{
    uint64_t slots = q->s->unsignalled;

    for (unsigned i = 0; i < n; i++)
        slots += u[i].slots;
    if (packed(q))
        packed_push(q, u, n);
    else
        split_push(q, u, n);
    q->s->unsignalled = (uint16_t)min_u64(slots, UINT16_MAX);
    if (is_logged(q))
        log_ring(q);
}

void vq_push(struct virtqueue *q, const struct vq_chain *c, uint32_t written)
{
    debug_assert(virtio_is_here(q->dev));
    debug_assert(c->slots > 0);
    if (is_logged(q))
        log_chain(q, c);
    ring_push(
        q,
        &(struct vq_used){ .id = c->id, .slots = c->slots, .in = c->nin > 0, .written = written },
        1);
}

void vq_push_all(struct virtqueue *q, const struct vq_used *u, unsigned n)
{
    debug_assert(virtio_is_here(q->dev));
    hv_assert(n > 0);
    ring_push(q, u, n);
}

struct vq_mark vq_mark(const struct virtqueue *q)
{
    return (struct vq_mark){ q->s->next_avail, q->s->avail_wrap };
}

void vq_rewind(struct virtqueue *q, struct vq_mark m)
{
    q->s->next_avail = m.next_avail;
    q->s->avail_wrap = m.avail_wrap;
}

/* §2.7.7.2: has `event` been passed on the way from old to now? */
static bool passed(uint16_t event, uint16_t now, uint16_t old)
{
    return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

static bool packed_wants_irq(const struct virtqueue *q)
{
    uint16_t flags = ring_get16(q, VQ_DRIVER, EVENT_FLAGS) & 3, off_wrap, off;

    if (flags != EVENT_DESC || !event_idx(q))
        return flags != EVENT_DISABLE;
    off_wrap = ring_get16(q, VQ_DRIVER, EVENT_OFF);
    off = off_wrap & 0x7fff;
    if (off_wrap >> 15 != q->s->used_wrap)
        off = (uint16_t)(off - q->set.size);
    return passed(off, q->s->next_used, (uint16_t)(q->s->next_used - q->s->unsignalled));
}

static bool split_wants_irq(const struct virtqueue *q)
{
    if (!event_idx(q))
        return !(ring_get16(q, VQ_DRIVER, 0) & AVAIL_NO_INTERRUPT);
    return passed(ring_get16(q, VQ_DRIVER, AVAIL_RING + 2u * q->set.size), q->s->next_used,
                  (uint16_t)(q->s->next_used - q->s->unsignalled));
}

void vq_notify(struct virtqueue *q)
{
    bool wanted;

    debug_assert(virtio_is_here(q->dev));
    if (q->s->unsignalled == 0 || !vq_is_enabled(q) || !virtio_live(q->dev))
        return;
    /* what was used is visible before we read what the driver wants */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    wanted =
        q->s->unsignalled >= q->set.size || (packed(q) ? packed_wants_irq(q) : split_wants_irq(q));
    q->s->unsignalled = 0;
    if (wanted)
        virtio_irq_queue(q->dev, q->index);
}
