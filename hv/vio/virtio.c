/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every virtio device does alike: its life (virtio 1.2 §2.1, §3.1), its event, and copies to
 * and from buffers.
 */
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/nospec.h>
#include <hv/order.h>
#include <hv/panic.h>
#include <hv/percpu.h>
#include <hv/time.h>
#include <hv/vcpu.h>
#include <hv/virtio.h>
#include <hv/vm.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "vio.h"

#define RESUME (1u << 31) /* in `pending`, beside a bit for each queue */
static_assert(VIRTIO_QUEUES < 31, "bit 31 of `pending` is no queue's");

static uint8_t virtio_status_of(const struct virtio_dev *d)
{
    return __atomic_load_n(&d->s.status, __ATOMIC_ACQUIRE);
}

void virtio_kick(struct virtio_dev *d, unsigned q)
{
    if (q >= d->nqueues || !virtio_live(d))
        return;
    __atomic_fetch_or(&d->pending, 1u << q, __ATOMIC_RELEASE);
    event_post(&d->event);
}

/* In an exit of one of the VM's vCPUs. */
static bool in_exit(const struct virtio_dev *d)
{
    const struct vcpu *v = this_cpu()->current;

    return v && v->vm == d->vm;
}

/* Once in an exit: a string instruction notifies 128 times in one, while others fill the ring. */
static bool may_work_at_once(const struct virtio_dev *d)
{
    struct vcpu *v = this_cpu()->current;

    if (!d->at_once || !in_exit(d) || v->worked_at == v->stats.entries)
        return false;
    v->worked_at = v->stats.entries;
    return true;
}

void virtio_notified(struct virtio_dev *d, unsigned q)
{
    if (q >= d->nqueues || !virtio_live(d))
        return;
    __atomic_fetch_or(&d->pending, 1u << q, __ATOMIC_RELEASE);
    if (!may_work_at_once(d) || !event_run_at_once(&d->event))
        event_post(&d->event);
}

void virtio_resume(struct virtio_dev *d)
{
    if (!virtio_live(d))
        return;
    __atomic_fetch_or(&d->pending, RESUME, __ATOMIC_RELEASE);
    event_post(&d->event);
}

static void reset_queues(struct virtio_dev *d)
{
    uint32_t reset = __atomic_load_n(&d->reset_queues, __ATOMIC_ACQUIRE);

    debug_assert(virtio_is_here(d));
    for (unsigned i = 0; i < d->nqueues; i++) {
        if (!(reset >> i & 1))
            continue;
        if (d->ops->queue_reset && d->ops->queue_reset(d, i))
            continue; /* what the host's device has of it comes back first */
        spin_lock(&d->lock);
        vq_clear(&d->vq[i]);
        spin_unlock(&d->lock);
        __atomic_fetch_and(&d->reset_queues, ~(1u << i), __ATOMIC_RELEASE);
    }
}

/*
 * All queues live on one budget a run. The first comes first; which of the others is next changes,
 * so that one that always has work does not keep the rest from theirs.
 */
static unsigned queue_in_turn(const struct virtio_dev *d, unsigned n)
{
    return n ? 1 + (d->turn + n) % (d->nqueues - 1u) : 0;
}

static void run(struct event *ev)
{
    struct virtio_dev *d = container_of(ev, struct virtio_dev, event);
    bool paid = in_exit(d); /* as a vCPU's time */
    uint64_t from = paid ? 0 : time_ns();
    uint32_t pending;

    debug_assert(virtio_is_here(d));
    debug_assert_no_locks();
    if (!(virtio_status_of(d) & VIRTIO_DRIVER_OK))
        return;
    if (__atomic_load_n(&d->held, __ATOMIC_SEQ_CST))
        return; /* the guest is paused: resume posts the event again */
    gmem_enter(&d->vm->gmem);
    if (__atomic_load_n(&d->reset_queues, __ATOMIC_ACQUIRE))
        reset_queues(d);
    if (!virtio_transport_ready(d) || (!paid && share_wait(d->vm, &d->event)))
        return; /* the queues stay pending until then */
    pending = __atomic_exchange_n(&d->pending, 0, __ATOMIC_ACQUIRE) | d->input_queues;
    d->budget = VIRTIO_RUN_BUDGET;
    if ((pending & RESUME) && d->ops->resume)
        d->ops->resume(d);
    d->turn++;
    for (unsigned n = 0; n < d->nqueues && virtio_live(d); n++) {
        unsigned i = queue_in_turn(d, n);

        if ((pending >> i & 1) && vq_is_enabled(&d->vq[i]))
            d->ops->kick(d, i);
    }
    if (!paid)
        share_pay(d->vm, from);
}

void virtio_broken(struct virtio_dev *d, const char *fmt, ...)
{
    char text[160];
    va_list ap;

    hv_assert(d->ops && d->vm);
    if (__atomic_fetch_or(&d->s.status, VIRTIO_NEEDS_RESET, __ATOMIC_ACQ_REL) & VIRTIO_NEEDS_RESET)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    vm_log(d->vm, LOG_WARN, "virtio-%s 00:%02x.0 needs a reset: %s", d->ops->name, d->pci.slot,
           text);
    virtio_irq_config(d);
}

/* ---- status ---- */

static void virtio_clear(struct virtio_dev *d)
{
    assert_held(&d->lock);
    hv_assert(d->nqueues <= VIRTIO_QUEUES);
    d->s.device_feature_select = 0;
    /* these three are read without the lock */
    __atomic_store_n(&d->s.driver_feature_select, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&d->s.queue_select, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&d->s.config_vector, VIRTIO_NO_VECTOR, __ATOMIC_RELAXED);
    d->s.driver_features = 0;
    for (unsigned i = 0; i < d->nqueues; i++)
        vq_clear(&d->vq[i]);
    __atomic_store_n(&d->pending, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&d->reset_queues, 0, __ATOMIC_RELEASE);
}

/* The device's own event ends last: completions that ran until now may have posted it. */
static void end_reset(struct virtio_dev *d)
{
    event_cancel(&d->event);
    virtio_transport_reset(d);
    spin_lock(&d->lock);
    virtio_clear(d);
    d->resetting = false;
    __atomic_store_n(&d->s.status, 0, __ATOMIC_RELEASE);
    spin_unlock(&d->lock);
}

void virtio_reset_done(struct virtio_dev *d)
{
    struct vm *vm = d->vm;

    debug_assert_no_locks();
    end_reset(d);
    event_post(&vm->lifecycle); /* the VM may be waiting for this to end */
}

/*
 * Without DRIVER_OK nothing new starts. Then, in this order: the device's event is waited for, so
 * that nobody submits; ops->reset ends what was submitted; and the event again. NEEDS_RESET keeps
 * the status from reading as 0 meanwhile.
 */
static void virtio_reset(struct virtio_dev *d)
{
    uint8_t was;
    bool mine;

    debug_assert_no_locks();
    spin_lock(&d->lock);
    mine = !d->resetting;
    d->resetting = true;
    was = mine ? __atomic_exchange_n(&d->s.status, VIRTIO_NEEDS_RESET, __ATOMIC_ACQ_REL) : 0;
    spin_unlock(&d->lock);
    if (!mine)
        return;
    event_cancel(&d->event);
    if ((was & VIRTIO_DRIVER_OK) && d->ops->reset(d) == -EINPROGRESS)
        return;
    end_reset(d);
}

/* ---- features ---- */

/*
 * The features are the driver's to choose until it says FEATURES_OK, and nothing works under them
 * yet.
 */
static bool features_open(const struct virtio_dev *d)
{
    bool open = !d->resetting && !(virtio_status_of(d) & (VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK));

    assert_held(&d->lock);
    for (unsigned i = 0; open && i < d->nqueues; i++)
        open = !d->vq[i].s->enabled && !virtio_queue_resets(d, i);
    return open;
}

void virtio_set_features(struct virtio_dev *d, uint32_t sel, uint32_t v)
{
    bool tell = false;

    if (sel > 1)
        return;
    spin_lock(&d->lock);
    if (features_open(d)) {
        d->s.driver_features &= ~((uint64_t)UINT32_MAX << (32 * sel));
        d->s.driver_features |= (uint64_t)v << (32 * sel);
    } else {
        tell = !d->told_features;
        d->told_features = true;
    }
    spin_unlock(&d->lock);
    if (tell)
        vm_log(d->vm, LOG_WARN, "virtio-%s 00:%02x.0: features are written too late: ignored",
               d->ops->name, d->pci.slot);
}

/*
 * §2.2: the driver takes a subset of what is offered, and VERSION_1 with it: there is no legacy
 * interface.
 */
static bool features_acceptable(const struct virtio_dev *d)
{
    assert_held(&d->lock);
    return !(d->s.driver_features & ~d->features) && virtio_has(d, VIRTIO_F_VERSION_1);
}

/*
 * The event keeps its CPU from the first time on: a late notification of an earlier life may still
 * be posting it.
 */
static bool virtio_activate(struct virtio_dev *d)
{
    assert_held(&d->lock);
    if (!d->placed)
        d->event.cpu = (uint16_t)this_cpu()->id;
    d->placed = true;
    return d->ops->activate(d) == 0;
}

void virtio_set_status(struct virtio_dev *d, uint8_t val)
{
    enum {
        DRIVER_BITS = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_DRIVER_OK | VIRTIO_FEATURES_OK |
                      VIRTIO_FAILED
    };
    uint8_t add;
    bool refused = false, live = false;
    uint64_t features;

    debug_assert_no_locks();
    if (val == 0) {
        virtio_reset(d);
        return;
    }
    spin_lock(&d->lock);
    features = d->s.driver_features;
    add = d->resetting ? 0 : (uint8_t)(val & DRIVER_BITS & ~virtio_status_of(d));
    if ((add & VIRTIO_FEATURES_OK) && !features_acceptable(d)) {
        add &= (uint8_t) ~(VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK);
        refused = true;
    }
    if ((add & VIRTIO_DRIVER_OK) && !((virtio_status_of(d) | add) & VIRTIO_FEATURES_OK))
        add &= (uint8_t)~VIRTIO_DRIVER_OK;
    if (add & VIRTIO_DRIVER_OK)
        live = virtio_activate(d);
    __atomic_fetch_or(&d->s.status,
                      (uint8_t)(add | ((add & VIRTIO_DRIVER_OK) && !live ? VIRTIO_NEEDS_RESET : 0)),
                      __ATOMIC_ACQ_REL);
    spin_unlock(&d->lock);
    if (refused)
        vm_log(d->vm, LOG_INFO, "virtio-%s 00:%02x.0: the driver's features 0x%llx are refused",
               d->ops->name, d->pci.slot, (unsigned long long)features);
    for (unsigned i = 0; live && i < d->nqueues; i++)
        virtio_kick(d, i); /* buffers may wait already, and so may input */
}

/* The queue that a guest names, or NULL. */
static struct virtqueue *named(struct virtio_dev *d, unsigned i)
{
    return i < d->nqueues ? &d->vq[index_nospec(i, d->nqueues)] : NULL;
}

/* §3.1.1: queues are set up after FEATURES_OK, under features that can no longer change. */
static bool can_enable(const struct virtio_dev *d, const struct virtqueue *q)
{
    assert_held(&d->lock);
    return q && !d->resetting && (virtio_status_of(d) & VIRTIO_FEATURES_OK) && !q->s->enabled &&
           !virtio_queue_resets(d, q->index);
}

void virtio_enable_queue(struct virtio_dev *d, unsigned i)
{
    struct virtqueue *q = named(d, i);
    const char *why = NULL;
    bool early;

    spin_lock(&d->lock);
    early = !(virtio_status_of(d) & VIRTIO_FEATURES_OK) && !d->told_enable;
    d->told_enable |= early;
    if (can_enable(d, q) && vq_enable(q, d->s.driver_features, &why) == 0)
        __atomic_store_n(&q->s->enabled, 1, __ATOMIC_RELEASE);
    spin_unlock(&d->lock);
    if (early)
        vm_log(d->vm, LOG_WARN,
               "virtio-%s 00:%02x.0: a queue is enabled before FEATURES_OK: ignored", d->ops->name,
               d->pci.slot);
    if (why)
        virtio_broken(d, "queue %u cannot be enabled: %s", i, why);
}

void virtio_reset_queue(struct virtio_dev *d, unsigned i)
{
    struct virtqueue *q = named(d, i);
    bool post = false;

    spin_lock(&d->lock);
    if (q && !d->resetting && virtio_has(d, VIRTIO_F_RING_RESET) && q->s->enabled) {
        __atomic_store_n(&q->s->enabled, 0, __ATOMIC_RELEASE);
        post = virtio_status_of(d) & VIRTIO_DRIVER_OK;
        if (post)
            __atomic_fetch_or(&d->reset_queues, 1u << q->index, __ATOMIC_RELEASE);
        else
            vq_clear(q);
    }
    spin_unlock(&d->lock);
    if (post)
        event_post(&d->event);
}

/* ---- life ---- */

int virtio_add(struct virtio_dev *d)
{
    assert_cpu0();
    hv_assert(d->ops && d->vm);
    hv_assert(d->nqueues > 0 && d->nqueues <= VIRTIO_QUEUES);
    d->s.version = 1;
    spin_init(&d->lock, LOCK_DEVICE);
    event_init(&d->event, run, 0);
    for (unsigned i = 0; i < VIRTIO_QUEUES; i++)
        d->vq[i] = (struct virtqueue){ .dev = d, .s = &d->s.vq[i], .index = (uint16_t)i };
    spin_lock(&d->lock);
    virtio_clear(d);
    spin_unlock(&d->lock);
    return virtio_transport_attach(d);
}

int virtio_quiesce(struct virtio_dev *d)
{
    bool busy;

    assert_cpu0();
    assert_parked(d->vm);
    virtio_reset(d);
    spin_lock(&d->lock);
    busy = d->resetting;
    spin_unlock(&d->lock);
    return busy ? -EINPROGRESS : 0;
}

void virtio_remove(struct virtio_dev *d)
{
    assert_cpu0();
    assert_parked(d->vm);
    hv_assert(!d->resetting && virtio_status_of(d) == 0);
    virtio_transport_detach(d);
    event_kill(&d->event);
    d->ops->free(d);
}

/* ---- the VM is paused, saved, restored ---- */

/* Which of its event and this was first: either the event sees `held`, or it is waited for. */
int virtio_hold(struct virtio_dev *d)
{
    bool resets;

    __atomic_store_n(&d->held, 1, __ATOMIC_RELEASE);
    store_before_load();
    event_cancel(&d->event);
    spin_lock(&d->lock);
    resets = d->resetting;
    spin_unlock(&d->lock);
    /* what may not reach memory does not move */
    return resets || (virtio_may_dma(d) && d->ops->busy && d->ops->busy(d)) ? -EINPROGRESS : 0;
}

void virtio_idle(struct virtio_dev *d)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&d->held, __ATOMIC_SEQ_CST))
        event_post(&d->vm->lifecycle);
}

/* Every queue is looked at: what was notified meanwhile, or before it was saved, is not counted. */
void virtio_release(struct virtio_dev *d)
{
    __atomic_store_n(&d->held, 0, __ATOMIC_RELEASE);
    if (!(virtio_status_of(d) & VIRTIO_DRIVER_OK))
        return;
    __atomic_fetch_or(&d->pending, RESUME | ((1u << d->nqueues) - 1), __ATOMIC_RELEASE);
    event_post(&d->event);
}

/* vq_enable() checks the ring as if the driver had just set it up; where it stood comes after. */
static int put_queue(struct virtio_dev *d, unsigned i)
{
    struct virtqueue *q = &d->vq[i];
    struct vq_state was = *q->s;
    const char *why = NULL;

    if (!was.enabled)
        return 0;
    q->s->enabled = 0;
    if (vq_enable(q, d->s.driver_features, &why))
        return -EINVAL;
    *q->s = was;
    return 0;
}

int virtio_put_state(struct virtio_dev *d, const struct virtio_state *s, uint32_t reset_queues)
{
    int err = 0;

    spin_lock(&d->lock);
    d->held = 1;
    d->s = *s;
    __atomic_store_n(&d->reset_queues, reset_queues, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < d->nqueues && !err; i++)
        err = put_queue(d, i);
    if (!err && (s->status & VIRTIO_DRIVER_OK) && !virtio_activate(d))
        err = -EINVAL;
    if (err) /* it never worked with this: nothing is to be waited for when it goes */
        d->s.status &= (uint8_t)~VIRTIO_DRIVER_OK;
    spin_unlock(&d->lock);
    return err;
}

/* ---- copies ---- */

void virtio_config_read(const void *image, struct io_access *a)
{
    debug_assert(a->size <= 8);
    a->val = 0;
    if (!a->write)
        for (unsigned i = 0; i < a->size; i++)
            /* nospec: whoever found the region has masked the offset */
            a->val |= (uint64_t)((const uint8_t *)image)[a->addr + i] << (8 * i);
}

void iov_cut(struct iov *iov, unsigned n, size_t len)
{
    for (unsigned i = 0; i < n && len; i++) {
        uint32_t part = (uint32_t)min_u64(iov[i].len, len);

        iov[i].base = (uint8_t *)iov[i].base + part;
        iov[i].len -= part;
        len -= part;
    }
}

/*
 * The piece of an I/O vector that begins `off` bytes into entry `i`, as far as it lies in one entry
 * and at most `len`. NULL at the end.
 */
static uint8_t *iov_piece(const struct iov *iov, unsigned n, unsigned *i, size_t *off, size_t *len)
{
    const struct iov *v = iov + *i;

    debug_assert(*i <= n);
    for (; *i < n && *off >= v->len; v++, (*i)++)
        *off -= v->len;
    if (*i == n)
        return NULL;
    *len = min_u64(*len, v->len - *off);
    return (uint8_t *)v->base + *off;
}

size_t iov_read(const struct iov *iov, unsigned n, size_t off, void *dst, size_t len)
{
    size_t done = 0, part;
    const uint8_t *from;

    for (unsigned i = 0; done < len; off += part, done += part) {
        part = len - done;
        from = iov_piece(iov, n, &i, &off, &part);
        if (!from)
            break;
        memcpy((uint8_t *)dst + done, from, part);
    }
    /* what was copied is not read from the guest again */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return done;
}

bool iov_take_pieces(struct iov *iov, unsigned n, void *dst, size_t len)
{
    if (iov_read(iov, n, 0, dst, len) != len)
        return false;
    iov_cut(iov, n, len);
    return true;
}

size_t iov_write(const struct iov *iov, unsigned n, size_t off, const void *src, size_t len)
{
    size_t done = 0, part;
    uint8_t *to;

    for (unsigned i = 0; done < len; off += part, done += part) {
        part = len - done;
        to = iov_piece(iov, n, &i, &off, &part);
        if (!to)
            break;
        memcpy(to, (const uint8_t *)src + done, part);
    }
    return done;
}
