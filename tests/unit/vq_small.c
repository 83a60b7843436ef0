/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rings of two descriptors, all of them: every address, length, flag and index out of small sets
 * that hold each border, split and packed, with tables of up to three descriptors, at every place
 * of the ring. A walk of the driver's rules, written anew from the specification (virtio 1.2 §2.7,
 * §2.8), says what must come of each; guest RAM is two pieces of exact size, and what is given
 * back changes nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <hv/gmem.h>
#include <hv/log.h>
#include <hv/virtio.h>
#include <hv/vm.h>

enum {
    PIECE = 0x200,
    RAM = 2 * PIECE,
    SIZE = 2,
    DESC = PIECE - 16 * SIZE,
    DRIVER = 0x100,
    DEVICE = RAM - 24,
    TABLE = 0x40,
    MOST = 64
};
enum { NEXT = 1, WRITE = 2, INDIRECT = 4, AVAIL = 0x80, USED = 0x8000 };
struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t a, b;
};
struct piece {
    uint64_t at;
    uint32_t len;
    bool write;
};
struct result {
    int r;
    unsigned id, slots, n;
    struct piece piece[MOST];
};

static uint8_t *half[2], before[RAM];
static struct vm vm;
static struct virtio_dev dev;
static struct virtqueue *const q = &dev.vq[0];
static const struct virtio_ops ops = { .name = "small" };
static unsigned long cases, good;

void *gmem_run(struct vm *v, gpa_t a, uint64_t *len, unsigned prot)
{
    (void)v, (void)prot;
    if (a.v >= RAM)
        return NULL;
    *len = min_u64(*len, PIECE - a.v % PIECE);
    return half[a.v / PIECE] + a.v % PIECE;
}

void *gmem_ptr(struct vm *v, gpa_t a, uint64_t len, unsigned prot)
{
    uint64_t run = len;
    void *p = gmem_run(v, a, &run, prot);

    return run == len ? p : NULL;
}

int gmem_read(struct vm *v, gpa_t a, void *dst, uint64_t len)
{
    (void)v;
    if (a.v >= RAM || len > RAM - a.v)
        return -EFAULT;
    for (uint64_t i = 0; i < len; i++)
        ((uint8_t *)dst)[i] = half[(a.v + i) / PIECE][(a.v + i) % PIECE];
    return 0;
}

void virtio_irq_config(struct virtio_dev *d) { (void)d; }
void virtio_irq_queue(struct virtio_dev *d, unsigned i) { (void)d, (void)i; }
void vm_log(struct vm *v, enum log_level l, const char *fmt, ...) { (void)v, (void)l, (void)fmt; }

static void put(uint64_t at, const void *src, size_t len)
{
    for (size_t i = 0; i < len; i++)
        half[(at + i) / PIECE][(at + i) % PIECE] = ((const uint8_t *)src)[i];
}

static void put16(uint64_t at, uint16_t v) { put(at, &v, 2); }
static uint16_t get16(uint64_t at)
{
    uint16_t v;
    assert_int_equal(gmem_read(&vm, gpa(at), &v, 2), 0);
    return v;
}
static uint32_t get32(uint64_t at)
{
    uint32_t v;
    assert_int_equal(gmem_read(&vm, gpa(at), &v, 4), 0);
    return v;
}
static struct desc get_desc(uint64_t at)
{
    struct desc d;
    assert_int_equal(gmem_read(&vm, gpa(at), &d, 16), 0);
    return d;
}

/* ---- what must come of it ---- */

static bool add(struct result *e, uint64_t at, uint32_t len, bool write)
{
    struct piece *last = e->n ? &e->piece[e->n - 1] : NULL;

    if (len == 0 || at >= RAM || len > RAM - at || (!write && last && last->write))
        return false;
    if (last && last->write == write && last->at + last->len == at)
        last->len += len;
    else
        e->piece[e->n++] = (struct piece){ at, len, write };
    return true;
}

static bool table(struct result *e, bool packed, uint64_t at, uint32_t len)
{
    uint32_t n = len / 16, i = 0;

    if (len == 0 || len % 16)
        return false;
    for (uint32_t seen = 0; seen < n; seen++) {
        struct desc d;

        if (at + 16ull * (i + 1) > RAM)
            return false;
        d = get_desc(at + 16ull * i);
        /* §2.8.7: all in a row; of the flags only WRITE means something */
        if (packed) {
            if (!add(e, d.addr, d.len, d.b & WRITE))
                return false;
            i++;
            continue;
        }
        if ((d.a & INDIRECT) || !add(e, d.addr, d.len, d.a & WRITE))
            return false;
        if (!(d.a & NEXT))
            return true;
        i = d.b;
        if (i >= n)
            return false;
    }
    return packed;
}

static bool item(struct result *e, bool packed, const struct desc *d, uint16_t flags)
{
    if (!(flags & INDIRECT))
        return add(e, d->addr, d->len, flags & WRITE);
    return q->set.indirect && !(flags & NEXT) && (!packed || e->n == 0) &&
           table(e, packed, d->addr, d->len);
}

static struct result expect_split(void)
{
    struct result e = { .r = -EPROTO, .slots = 1 };
    uint16_t waiting = (uint16_t)(get16(DRIVER + 2) - q->s->next_avail),
             i = e.id = get16(DRIVER + 4 + 2 * (q->s->next_avail % SIZE));

    if (waiting == 0 || waiting > SIZE)
        return e.r = waiting ? -EPROTO : 0, e;
    for (unsigned seen = 0; seen < SIZE && i < SIZE; seen++) {
        struct desc d = get_desc(DESC + 16 * i);

        if (!item(&e, false, &d, d.a))
            return e;
        if (!(d.a & NEXT))
            return e.r = 1, e;
        i = d.b;
    }
    return e;
}

static struct result expect_packed(void)
{
    struct result e = { .r = -EPROTO };
    unsigned i = q->s->next_avail;
    struct desc d = get_desc(DESC + 16 * i);

    if ((d.b & AVAIL) / AVAIL != q->s->avail_wrap || (d.b & USED) / USED == q->s->avail_wrap)
        return e.r = 0, e;
    for (; e.slots < SIZE; i = (i + 1) % SIZE) {
        d = get_desc(DESC + 16 * i);
        e.slots++;
        if (!item(&e, true, &d, d.b))
            return e;
        if (!(d.b & NEXT))
            return e.id = d.a, e.r = d.a < SIZE ? 1 : -EPROTO, e;
    }
    return e;
}

/* ---- what comes ---- */

static uint64_t gpa_of(const void *p)
{
    for (unsigned i = 0; i < 2; i++)
        if ((uintptr_t)p - (uintptr_t)half[i] < PIECE)
            return i * PIECE + ((uintptr_t)p - (uintptr_t)half[i]);
    fail_msg("a pointer outside of RAM");
    return 0;
}

static void check_pieces(const struct vq_chain *c, const struct result *e)
{
    struct result have = { 0 };

    for (unsigned i = 0; i < (unsigned)c->nout + c->nin; i++)
        assert_true(add(&have, gpa_of(c->iov[i].base), c->iov[i].len, i >= c->nout));
    assert_int_equal(have.n, e->n);
    for (unsigned i = 0; i < e->n; i++) {
        assert_int_equal(have.piece[i].at, e->piece[i].at);
        assert_int_equal(have.piece[i].len, e->piece[i].len);
        assert_int_equal(have.piece[i].write, e->piece[i].write);
    }
}

static void check_same(uint64_t from, uint64_t to)
{
    for (uint64_t at = from; at < to; at++)
        assert_int_equal(half[at / PIECE][at % PIECE], before[at]);
}

/* Gives the buffer back: in its place, and nowhere else. */
static void check_push(const struct vq_chain *c)
{
    unsigned at = q->s->next_used, wrap = q->s->used_wrap;

    assert_int_equal(gmem_read(&vm, gpa(0), before, RAM), 0);
    vq_push(q, c, 7);
    if (q->set.packed) {
        struct desc d = get_desc(DESC + 16 * at);

        assert_int_equal(d.len, 7);
        assert_int_equal(d.a, c->id);
        assert_int_equal(d.b, (wrap ? AVAIL | USED : 0) | (c->nin ? WRITE : 0));
        assert_int_equal(q->s->next_used, (at + c->slots) % SIZE);
        assert_int_equal(q->s->used_wrap, wrap ^ (at + c->slots >= SIZE));
        check_same(0, DESC + 16 * at + 8);
        check_same(DESC + 16 * at + 16, RAM);
        return;
    }
    assert_int_equal(get16(DEVICE + 2), (uint16_t)(at + 1));
    assert_int_equal(get32(DEVICE + 4 + 8 * (at % SIZE)), c->id);
    assert_int_equal(get32(DEVICE + 8 + 8 * (at % SIZE)), 7);
    check_same(0, DEVICE + 2);
    check_same(DEVICE + 4, DEVICE + 4 + 8 * (at % SIZE));
    check_same(DEVICE + 12 + 8 * (at % SIZE), RAM);
}

/* next, wrap: where both sides stand in the ring. */
static void one(uint16_t next, unsigned wrap)
{
    static struct vq_chain c;
    struct result e;
    int r;

    dev.s.status = VIRTIO_DRIVER_OK | VIRTIO_FEATURES_OK;
    dev.budget = 1000;
    q->quiet = false;
    q->s->enabled = 1;
    q->s->next_avail = q->s->next_used = next;
    q->s->avail_wrap = q->s->used_wrap = wrap & 1;
    e = q->set.packed ? expect_packed() : expect_split();
    r = vq_pop(q, &c);
    assert_int_equal(r, e.r);
    assert_int_equal(!virtio_live(&dev), r == -EPROTO);
    cases++;
    if (r != 1)
        return;
    good++;
    assert_int_equal(c.id, e.id);
    assert_int_equal(c.slots, e.slots);
    assert_int_equal(q->s->next_avail,
                     q->set.packed ? (next + c.slots) % SIZE : (uint16_t)(next + 1));
    assert_int_equal(q->s->avail_wrap, (wrap & 1) ^ (q->set.packed && next + c.slots >= SIZE));
    check_pieces(&c, &e);
    check_push(&c);
}

static void enable(bool packed, bool indirect)
{
    const char *why;

    spin_lock(&q->dev->lock);
    q->s->enabled = 0;
    vq_clear(q);
    q->s->size = SIZE;
    q->s->desc = DESC;
    q->s->driver = DRIVER;
    q->s->device = DEVICE;
    assert_int_equal(vq_enable(q, (uint64_t)packed << 34 | (uint64_t)indirect << 28, &why), 0);
    spin_unlock(&q->dev->lock);
}

/* ---- the sets ---- */

static const uint64_t addrs[] = { TABLE, PIECE - 8, RAM - 8, 0xc0000000 };
static const uint32_t lens[] = { 0, 8, 16, 32 };
#define EACH(i, set) for (unsigned i = 0; i < ARRAY_SIZE(set); i++)

/* What the descriptors' tables are: two readable pieces in a row, or, split, the first. */
static void put_table(void)
{
    const struct desc t[2] = { { 0x10, 8, 0, 0 }, { 0x20, 8, 0, 0 } };

    put(TABLE, t, sizeof t);
}

static struct desc split_desc(unsigned n)
{
    return (struct desc){ addrs[n % 4], lens[n / 4 % 4], (uint16_t)(n / 16 % 8),
                          (uint16_t)(n / 128) };
}

static void test_split(void **state)
{
    (void)state;
    put_table();
    for (unsigned indirect = 0; indirect < 2; indirect++) {
        enable(false, indirect);
        for (unsigned first = 0; first < 3 * 128; first++) {
            struct desc d[2] = { split_desc(first) };

            /* where nobody comes: a few */
            for (unsigned second = 0; second < 3 * 128;
                 second += d[0].a & NEXT && d[0].b == 1 ? 1 : 61) {
                d[1] = split_desc(second);
                put(DESC, d, sizeof d);
                put16(DRIVER + 2, 0);
                put16(DRIVER + 6, 0);
                one(0xffff, 1);
            }
        }
    }
}

/* Indices: how many wait, and which descriptor is named. */
static void test_split_indices(void **state)
{
    static const uint16_t at[] = { 0, 1, 0x7fff, 0xfffe, 0xffff };
    const struct desc d[2] = { { TABLE, 8, NEXT, 1 }, { TABLE, 8, WRITE, 0 } };

    (void)state;
    enable(false, false);
    put(DESC, d, sizeof d);
    EACH(i, at)
    for (unsigned ahead = 0; ahead < 0x10000; ahead += ahead < 4 || ahead > 0xfff0 ? 1 : 13)
        for (unsigned named = 0; named < 4; named++) {
            put16(DRIVER + 2, (uint16_t)(at[i] + ahead));
            put16(DRIVER + 4 + 2 * (at[i] % SIZE), named == 3 ? 0xffff : (uint16_t)named);
            one(at[i], 1);
        }
}

static struct desc packed_desc(unsigned n)
{
    uint16_t flags = (uint16_t)((n / 8 % 8) | (n / 64 & 1 ? AVAIL : 0) | (n / 128 & 1 ? USED : 0));

    return (struct desc){ addrs[n % 4], n / 4 & 1 ? 16 : 8, (uint16_t)(n / 256), flags };
}

static void test_packed(void **state)
{
    (void)state;
    put_table();
    enable(true, true);
    for (unsigned place = 0; place < 4; place++)
        for (unsigned first = 0; first < 3 * 256; first++) {
            struct desc d[2];

            d[place & 1] = packed_desc(first);
            for (unsigned second = 0; second < 3 * 256; second += d[place & 1].b & NEXT ? 1 : 97) {
                d[~place & 1] = packed_desc(second);
                put(DESC, d, sizeof d);
                one(place & 1, place >> 1);
            }
        }
}

/* Tables of one to three descriptors, of lengths that are none, at the end of RAM. */
static void test_tables(void **state)
{
    static const uint32_t len[] = { 0, 8, 16, 24, 32, 48 };
    static const uint64_t at[] = { TABLE, PIECE - 8, RAM - 40 };

    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        enable(packed, true);
        for (unsigned n = 0; n < 96 * 96; n++) {
            struct desc t[3];

            for (unsigned i = 0, m = n; i < 2; i++, m /= 96)
                t[i] = (struct desc){ m & 1 ? 0xc0000000 : 0x10, m & 2 ? 8 : 16,
                                      (uint16_t)(m / 4 % 8), (uint16_t)(m / 32 % 3) };
            t[2] = (struct desc){ 0x10, 8, WRITE, packed ? WRITE : 0 };
            for (unsigned i = 0; packed && i < 2; i++)
                t[i].b = t[i].a;
            EACH(i, len)
            {
                const struct desc d = { at[n % 3], len[i], packed ? 0 : INDIRECT,
                                        packed ? INDIRECT | AVAIL : 0 };

                put(DEVICE, (uint8_t[24]){ 0 }, 24);
                put(DESC, &d, sizeof d);
                put(at[n % 3], t, n % 3 == 2 ? 40 : 48);
                put16(DRIVER + 2, 1);
                put16(DRIVER + 4, 0);
                one(0, 1);
            }
        }
    }
}

static int setup(void **state)
{
    (void)state;
    half[0] = calloc(1, PIECE);
    half[1] = calloc(1, PIECE);
    dev = (struct virtio_dev){ .ops = &ops, .vm = &vm, .nqueues = 1 };
    vpci_cfg_set(&dev.pci, PCI_COMMAND, 1, PCI_CMD_MASTER);
    dev.vq[0] = (struct virtqueue){ .dev = &dev, .s = &dev.s.vq[0] };
    return !half[0] || !half[1];
}

static int finish(void **state)
{
    (void)state;
    print_message("%lu rings, %lu of them good\n", cases, good);
    free(half[0]);
    free(half[1]);
    return good < 1000 || cases < 500000;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_split_indices),
        cmocka_unit_test(test_packed),
        cmocka_unit_test(test_tables),
    };

    return cmocka_run_group_tests(tests, setup, finish);
}
