/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * io.c: from an address to the device that answers there. Regions are few and change rarely: a
 * sorted table per space, searched under a sequence count, so that vCPUs never wait for one
 * another. The table's size is fixed, hence nothing is freed under a reader.
 */
#include <hv/assert.h>
#include <hv/io.h>
#include <hv/lock.h>
#include <hv/nospec.h>
#include <hv/vm.h>
#include <stdlib.h>

#define IO_REGIONS_MAX 192

struct io_table {
    uint32_t seq;  /* odd: being changed; atomic */
    uint32_t last; /* index of the last hit: a hint */
    uint32_t n;
    struct io_region region[IO_REGIONS_MAX]; /* sorted by base, disjoint */
};
struct io_space_map {
    struct io_table *of[IO_SPACES]; /* the tables: on the way of exits, for less than by numbers */
    struct spinlock lock;           /* writers */
    struct io_table table[IO_SPACES];
};

int io_init(struct vm *vm)
{
    struct io_space_map *m = vm_alloc(vm, sizeof *m);

    assert_cpu0();
    hv_assert(!vm->io);
    if (!m)
        return -ENOMEM;
    spin_init(&m->lock, LOCK_IO_REGIONS);
    for (unsigned i = 0; i < IO_SPACES; i++)
        m->of[i] = &m->table[i];
    vm->io = m;
    return 0;
}

void io_fini(struct vm *vm)
{
    assert_cpu0();
    assert_parked(vm);
    vm_free(vm, vm->io, sizeof *vm->io);
    vm->io = NULL;
}

/* ---- what readers look at while it changes is read and written whole, field by field ---- */

static inline uint32_t count(const struct io_table *t)
{
    return __atomic_load_n(&t->n, __ATOMIC_RELAXED);
}

static inline uint64_t io_base_of(const struct io_region *r)
{
    return __atomic_load_n(&r->base, __ATOMIC_RELAXED);
}

static inline uint64_t io_len_of(const struct io_region *r)
{
    return __atomic_load_n(&r->len, __ATOMIC_RELAXED);
}

static void set_count(struct io_table *t, uint32_t n)
{
    __atomic_store_n(&t->n, n, __ATOMIC_RELAXED);
}

static void io_put_region(struct io_region *to, const struct io_region *r)
{
    to->name = r->name; /* no reader wants these two */
    to->space = r->space;
    __atomic_store_n(&to->base, r->base, __ATOMIC_RELAXED);
    __atomic_store_n(&to->len, r->len, __ATOMIC_RELAXED);
    __atomic_store_n(&to->ops, r->ops, __ATOMIC_RELAXED);
    __atomic_store_n(&to->dev, r->dev, __ATOMIC_RELAXED);
}

/* Number of regions that start at or below addr. */
static uint32_t below(const struct io_table *t, uint64_t addr)
{
    uint32_t n = count(t), lo = 0, hi = n < IO_REGIONS_MAX ? n : IO_REGIONS_MAX;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;

        if (io_base_of(&t->region[mid]) <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool io_overlaps(const struct io_table *t, uint32_t at, const struct io_region *r)
{
    /* nospec: below() has found it, among the regions that there are */
    if (at > 0 && r->base - t->region[at - 1].base < t->region[at - 1].len)
        return true;
    return at < t->n && t->region[at].base - r->base < r->len; /* nospec: the same */
}

static void change_begin(struct io_table *t)
{
    hv_assert(!(t->seq & 1));
    __atomic_store_n(&t->seq, t->seq + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void change_end(struct io_table *t)
{
    hv_assert(t->seq & 1);
    __atomic_store_n(&t->seq, t->seq + 1, __ATOMIC_RELEASE);
}

static int insert(struct io_table *t, const struct io_region *r)
{
    uint32_t at = below(t, r->base);

    if (t->n == IO_REGIONS_MAX)
        return -ENOSPC;
    if (io_overlaps(t, at, r))
        return -EEXIST;
    change_begin(t);
    for (uint32_t i = t->n; i > at; i--)
        io_put_region(&t->region[i], &t->region[i - 1]);
    io_put_region(&t->region[at], r);
    set_count(t, t->n + 1);
    change_end(t);
    return 0;
}

int io_register(struct vm *vm, const struct io_region *r)
{
    uint64_t top = r->space == IO_PORT ? 0x10000 : UINT64_MAX;
    int err;

    hv_assert(vm->io && r->name);
    if (r->space >= IO_SPACES || !r->len || !range_within(r->base, r->len, 0, top))
        return -EINVAL;
    spin_lock(&vm->io->lock);
    err = insert(&vm->io->table[r->space], r); /* nospec: a constant of the device */
    spin_unlock(&vm->io->lock);
    return err;
}

static int take_out(struct io_table *t, uint64_t base)
{
    uint32_t at = below(t, base);

    if (at == 0 || t->region[at - 1].base != base)
        return -ENOENT;
    change_begin(t);
    set_count(t, t->n - 1);
    for (uint32_t i = at - 1; i < t->n; i++)
        io_put_region(&t->region[i], &t->region[i + 1]);
    change_end(t);
    return 0;
}

int io_unregister(struct vm *vm, enum io_space space, uint64_t base)
{
    int err;

    hv_assert(vm->io);
    spin_lock(&vm->io->lock);
    err = take_out(&vm->io->table[space], base);
    spin_unlock(&vm->io->lock);
    return err;
}

/* What a look finds: who answers, and where in the region the address is. ops NULL: nobody. */
struct found {
    const struct io_ops *ops;
    void *dev;
    uint64_t off, room;
};

/* Searches the table, and makes the next look for the same region quick. */
static __attribute__((noinline)) uint32_t search(struct io_table *t, uint64_t addr)
{
    uint32_t at = below(t, addr);

    if (at == 0 || addr - io_base_of(&t->region[at - 1]) >= io_len_of(&t->region[at - 1]))
        return IO_REGIONS_MAX;
    __atomic_store_n(&t->last, at - 1, __ATOMIC_RELAXED);
    return at - 1;
}

/* Has nobody changed the table since seq was read? */
static inline bool io_unchanged(const struct io_table *t, uint32_t seq)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&t->seq, __ATOMIC_RELAXED) == seq;
}

/*
 * One look without a lock; false: the table changed meanwhile. On the path of every exit to a
 * device: inline.
 */
static inline __attribute__((always_inline)) bool io_look(struct io_table *t, uint64_t addr,
                                                          struct found *f)
{
    uint32_t seq = __atomic_load_n(&t->seq, __ATOMIC_ACQUIRE),
             at = __atomic_load_n(&t->last, __ATOMIC_RELAXED);
    const struct io_region *r = &t->region[at]; /* nospec: search() has stored it */
    uint64_t off = addr - io_base_of(r), len = io_len_of(r);

    f->ops = NULL;
    if (__builtin_expect(seq & 1, 0))
        return false;
    if (__builtin_expect(at >= count(t) || off >= len, 0)) {
        at = search(t, addr);
        if (at == IO_REGIONS_MAX)
            return io_unchanged(t, seq);
        r = &t->region[index_nospec(at, IO_REGIONS_MAX)];
        off = addr - io_base_of(r);
        len = io_len_of(r);
    }
    f->ops = __atomic_load_n(&r->ops, __ATOMIC_RELAXED);
    f->dev = __atomic_load_n(&r->dev, __ATOMIC_RELAXED);
    f->off = index_nospec(off, len);
    f->room = len - f->off;
    return io_unchanged(t, seq);
}

/*
 * Writers are short and take the lock, so waiting for it ends; the second look cannot be disturbed.
 */
static __attribute__((noinline)) struct found look_locked(struct io_space_map *m,
                                                          struct io_table *t, uint64_t addr)
{
    struct found f;

    spin_lock(&m->lock);
    (void)io_look(t, addr, &f);
    spin_unlock(&m->lock);
    return f;
}

/*
 * A PC's bus cuts an access to a narrower device, or across its end, into accesses of half the
 * size, the lower one first. A half that nobody answers reads as ones.
 */
static __attribute__((noinline)) int split(struct vm *vm, const struct io_access *whole,
                                           uint64_t *val)
{
    uint8_t half = whole->size / 2;
    int err[2];

    debug_assert(whole->size > 1);
    *val = 0;
    for (unsigned i = 0; i < 2; i++) {
        struct io_access a = { .addr = whole->addr + i * half,
                               .size = half,
                               .write = whole->write,
                               .val = whole->val >> (8 * half * i) };

        err[i] = io_dispatch(vm, IO_PORT, &a);
        *val |= a.val << (8 * half * i);
    }
    return err[0] == -ENOENT ? err[1] : 0;
}

static bool io_fits(const struct found *f, const struct io_access *a)
{
    return f->ops && (f->ops->sizes & a->size) && a->size <= f->room;
}

/*
 * Does a region lie within the access or overlap it? Regions are disjoint: the last one that begins
 * in time tells.
 */
static bool touched(const struct io_table *t, const struct io_access *a)
{
    uint64_t addr = a->addr & 0xffff;
    uint32_t at = below(t, addr + a->size - 1);
    const struct io_region *r = at != 0 ? &t->region[at - 1] : NULL;

    return r && (io_base_of(r) >= addr || addr - io_base_of(r) < io_len_of(r));
}

/* Nobody takes the access as it is. */
static __attribute__((noinline)) int unfit(struct vm *vm, enum io_space space, struct io_access *a,
                                           bool nobody)
{
    uint64_t val;
    int err = nobody ? -ENOENT : 0;

    if (space != IO_PORT || a->size == 1 || !touched(&vm->io->table[IO_PORT], a))
        return err;
    err = split(vm, a, &val);
    if (!a->write)
        a->val = val;
    return err;
}

int io_dispatch(struct vm *vm, enum io_space space, struct io_access *a)
{
    struct io_table *t = vm->io->of[space];
    uint64_t addr = space == IO_PORT ? a->addr & 0xffff : a->addr,
             ones = UINT64_MAX >> (64 - 8 * a->size);
    struct found f;
    int err;

    debug_assert_no_locks();
    if (__builtin_expect(!io_look(t, addr, &f), 0))
        f = look_locked(vm->io, t, addr);
    if (__builtin_expect(!io_fits(&f, a), 0)) {
        if (!a->write)
            a->val = ones;
        return unfit(vm, space, a, !f.ops);
    }
    if (a->write)
        return f.ops->write ? f.ops->write(f.dev, f.off, a->size, a->val & ones) : 0;
    a->val = ones;
    err = f.ops->read ? f.ops->read(f.dev, f.off, a->size, &a->val) : -ENXIO;
    a->val = err ? ones : a->val & ones;
    return err;
}
