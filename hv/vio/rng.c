/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-rng (virtio 1.2 §5.4). Its rate is bounded: a guest that asks without end costs the host
 * at most RATE bytes a second.
 */
#include <hv/assert.h>
#include <hv/random.h>
#include <hv/time.h>
#include <hv/virtio.h>
#include <hv/vm.h>

enum { DEVICE_RNG = 4, PART = 64, MOST = 1024, BURST = 65536, RATE = 1 << 20 };
#define NS_PER_BYTE (1000000000ull / RATE)

struct vio_rng {
    struct virtio_dev dev;
    struct event refill;
    /*
     * when the bucket was or will be empty, had nobody filled it since: level = (now - empty_ns) /
     * NS_PER_BYTE
     */
    uint64_t empty_ns;
    struct vq_chain chain;
};

static struct vio_rng *rng_of(struct virtio_dev *d) { return container_of(d, struct vio_rng, dev); }

static uint32_t rng_fill(struct vm *vm, const struct iov *in, unsigned nin)
{
    uint8_t part[PART];
    uint32_t done = 0;
    size_t n = PART;

    while (done < MOST && n == PART && random_fill(&vm->random, part, sizeof part) == 0) {
        n = iov_write(in, nin, done, part, sizeof part);
        done += (uint32_t)n;
    }
    wipe(part, sizeof part);
    return done;
}

/* True when a buffer may be filled now; else comes back when it may. */
static bool rng_allowed(struct vio_rng *r)
{
    uint64_t now = time_ns();

    if (now - r->empty_ns > BURST * NS_PER_BYTE)
        r->empty_ns = now > BURST * NS_PER_BYTE ? now - BURST * NS_PER_BYTE : 0;
    if (r->empty_ns + MOST * NS_PER_BYTE <= now)
        return true;
    event_at(&r->refill, r->empty_ns + 2 * MOST * NS_PER_BYTE);
    return false;
}

static void rng_kick(struct virtio_dev *d, unsigned i)
{
    struct vio_rng *r = rng_of(d);
    struct virtqueue *q = &d->vq[i];

    debug_assert(virtio_is_here(d));
    while (rng_allowed(r) && vq_pop(q, &r->chain) > 0) {
        uint32_t n = rng_fill(d->vm, r->chain.iov + r->chain.nout, r->chain.nin);

        r->empty_ns += n * NS_PER_BYTE;
        virtio_charge(d, n / 2);
        vq_push(q, &r->chain, n);
    }
    vq_notify(q);
}

static void refilled(struct event *ev)
{
    virtio_kick(&container_of(ev, struct vio_rng, refill)->dev, 0);
}

static int rng_activate(struct virtio_dev *d)
{
    if (!rng_of(d)->refill.fn)
        event_init(&rng_of(d)->refill, refilled, d->event.cpu);
    return 0;
}

static int rng_reset(struct virtio_dev *d)
{
    event_cancel(&rng_of(d)->refill);
    return 0;
}

static void rng_config(struct virtio_dev *d, struct io_access *a)
{
    (void)d;
    a->val = 0;
}

static void rng_destroy(struct virtio_dev *d)
{
    event_kill(&rng_of(d)->refill);
    vm_free(d->vm, rng_of(d), sizeof *rng_of(d));
}

static const struct virtio_ops ops = {
    .name = "rng",
    .id = DEVICE_RNG,
    .class_code = 0x100000,
    .activate = rng_activate,
    .reset = rng_reset,
    .kick = rng_kick,
    .config = rng_config,
    .free = rng_destroy,
};

int vio_rng_create(struct vm *vm, struct virtio_dev **out)
{
    struct vio_rng *r = vm_alloc(vm, sizeof *r);
    int e;

    assert_cpu0();
    hv_assert(out);
    if (!r)
        return -ENOMEM;
    r->dev = (struct virtio_dev){
        .ops = &ops, .vm = vm, .nqueues = 1, .features = VIRTIO_FEATURES_COMMON
    };
    e = virtio_add(&r->dev);
    if (e) {
        vm_free(vm, r, sizeof *r);
        return e;
    }
    *out = &r->dev;
    return 0;
}
