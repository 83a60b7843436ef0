/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reset of a virtio device and of one of its rings: a ring is not set up anew while the device works with it; a request ends in
 * the ring it came from, or nowhere; when the status reads 0 the device has nothing under way; when it is removed nothing comes
 * back to it.
 *
 * One block device with one ring and one request in flight, and the RAM disk behind it. Its events (the device's, the disk's, the
 * completion) run on one CPU, one after the other. Vcpus on other CPUs write its registers at the same time: each kicks, enables,
 * resets the ring, or the device, sets FEATURES_OK or DRIVER_OK, in any order. In the end the VM takes the device away.
 *
 * Assumptions:
 * - event_post() and event_cancel() are as the model `event` shows them: a step each. The vCPU that resets is on another CPU than
 *   the device; on the same one it finds no event running.
 * - The device's lock excludes. What is looked at without it (status, enabled, reset_queues, pending) changes step by step; memory is one.
 * - A vq_pop() or vq_push() is one step: what they do within the ring is not the matter here.
 * - Bus master, held answers and the share's waiting are left out: they only put a step off.
 *
 * verify STEPS=3: two vCPUs, three writes each
 * verify VCPUS=1 STEPS=6: one vCPU that does more
 * refute CLEAR_AT_ONCE: virtio_reset_queue() clears a ring that the device may work with
 * refute EARLY_ENABLE: a ring is enabled although its reset has not ended
 * refute BIT_FIRST: reset_queues() says that the reset has ended before the ring is cleared
 * refute KEEPS_REQUESTS: queue_reset() leaves the ring's requests with the disk
 * refute LATE_DONE: queue_reset() takes the request from the disk, but leaves its completion posted
 * refute RUNS_ON: reset() does not wait for the device's event
 * refute STOP_FIRST: the disk is stopped before the completions have ended, which may submit again
 * refute ONE_CANCEL: completions are not cancelled again after the disk is stopped
 * refute NOT_MINE: a vCPU does not look whether another one resets already
 * refute NOT_LIVE: a completion does not ask whether the device is live
 * refute EARLY: the device is taken away while vCPUs still run
 */
#ifndef VCPUS
#define VCPUS 2
#endif
#ifndef STEPS
#define STEPS 3
#endif
#define NONE 0
#define DEV 1
#define WORK 2
#define DONE 3

bool locked;                            /* d->lock */
bool features_ok, driver_ok, needs_reset;       /* d->s.status */
bool resetting, resets, pending;        /* d->resetting, a bit of d->reset_queues, of d->pending */
bool is_on;                           /* q->s->enabled */
byte set, sets;                         /* q->set: 0: cleared; else the number of the set-up; how many there were */
bool posted[4];                         /* of the events: in a list of the device's CPU */
byte running;
bool busy, at_disk;                     /* the request: io->busy; in the disk's list */
byte from;                              /* the set-up of the ring that it came from */
bool inside;                            /* the device's event works with the ring */
bool silent = true;                     /* the driver has read status 0 and may use its memory for something else */
bool freed;
byte vcpus = VCPUS;

inline lock() { atomic { !locked -> locked = true } }
inline unlock() { locked = false }
inline event_post(e) { d_step { assert(!freed); posted[e] = true } }
inline event_cancel(e) { atomic { running != e -> posted[e] = false } }
#define LIVE (driver_ok && !needs_reset)

/* ---- the device's CPU ---- */

inline vq_clear() { assert(!inside); set = 0; is_on = false }

inline submit()
{
    // code hv/vio/ramdisk.c ramdisk_submit: event_post(&r->work)
    at_disk = true;
    event_post(WORK)
}

inline push() { d_step { assert(!silent && busy && set == from); busy = false } }

inline reset_queues()
{
    // code hv/vio/virtio.c reset_queues: d->ops->queue_reset(d, i)
    // code hv/vio/blk.c queue_reset: if (!io->busy || io->queue != q)
#ifndef KEEPS_REQUESTS
    if
    :: busy ->
        // code hv/vio/ramdisk.c ramdisk_cancel: *p = q->next
        at_disk = false;
        // code hv/vio/ramdisk.c ramdisk_cancel: event_cancel(&q->done)
#ifndef LATE_DONE
        posted[DONE] = false;           /* of this CPU, which is here */
#endif
        // code hv/vio/blk.c queue_reset: io_put(io)
        busy = false
    :: else
    fi;
#endif
#ifdef BIT_FIRST
    resets = false;
#endif
    // code hv/vio/virtio.c reset_queues: spin_lock(&d->lock)
    // code hv/vio/virtio.c reset_queues: vq_clear(&d->vq[i])
    // code hv/vio/virtio.c reset_queues: spin_unlock(&d->lock)
    lock();
    d_step { assert(!is_on); vq_clear() }   /* no other ring than the one that was reset */
    unlock();
    // code hv/vio/virtio.c reset_queues: __atomic_fetch_and(&d->reset_queues, ~(1u << i), __ATOMIC_RELEASE)
    resets = false
}

inline kick()
{
    // code hv/vio/blk.c vio_blk_kick: vq_pop(&d->vq[i], &io->chain)
    if
    :: busy
    :: !busy -> d_step { assert(set != 0 && !silent); from = set; busy = true }
        if
        :: submit()
        :: push()                       /* the disk does it at once */
        fi
    :: !busy -> needs_reset = true      /* a broken ring: virtio_broken() */
    fi
}

inline dev_run()
{
    // code hv/vio/virtio.c run: if (!(virtio_status_of(d) & VIRTIO_DRIVER_OK)) return
    if
    :: !driver_ok
    :: else ->
        // code hv/vio/virtio.c run: if (__atomic_load_n(&d->reset_queues, __ATOMIC_ACQUIRE)) reset_queues(d)
        if :: resets -> reset_queues() :: else fi;
        // code hv/vio/virtio.c run: pending = __atomic_exchange_n(&d->pending, 0, __ATOMIC_ACQUIRE)
        d_step { go = pending; pending = false }
        // code hv/vio/virtio.c run: virtio_live(d)
        if :: go && LIVE :: else -> go = false fi;
        // code hv/vio/virtio.c run: vq_is_enabled(&d->vq[i])
        d_step { go = go && is_on; inside = go }
        if
        :: go ->
            // code hv/vio/virtio.c run: d->ops->kick(d, i)
            kick();
            d_step { inside = false; go = false }
        :: else
        fi
    fi
}

inline work()
{
    // code hv/vio/ramdisk.c ramdisk_work: while (r->first && ramdisk_may_go(r->first) && proceed(r, r->first, &budget))
    // code hv/vio/ramdisk.c ramdisk_work: r->first = q->next
    // code hv/vio/ramdisk.c ramdisk_work: event_post(&q->done)
    if
    :: at_disk -> d_step { assert(!silent); at_disk = false }
        event_post(DONE)
    :: else
    fi
}

inline done()
{
    // code hv/vio/blk.c done: if (!virtio_live(&io->owner->dev)) return
#ifdef NOT_LIVE
    go = true;
#else
    go = LIVE;
#endif
    // code hv/vio/blk.c done: if (e == 0 && io->range < io->nranges)
    // code hv/vio/blk.c done: e = submit_ranges(io)
    // code hv/vio/blk.c done: vio_blk_finish(io, (uint8_t)(e < 0 ? S_IOERR : S_OK))
    if
    :: go -> submit()
    :: go -> push()
    :: !go
    fi;
    go = false
}

active proctype device_cpu()
{
    bool go;

end:
    do
    :: atomic { posted[DEV] -> posted[DEV] = false; running = DEV } dev_run(); running = NONE
    :: atomic { posted[WORK] -> posted[WORK] = false; running = WORK } work(); running = NONE
    :: atomic { posted[DONE] -> posted[DONE] = false; running = DONE } done(); running = NONE
    od
}

/* ---- a vCPU's writes ---- */

inline virtio_kick()
{
    // code hv/vio/virtio.c virtio_kick: if (q >= d->nqueues || !virtio_live(d)) return
    if
    :: LIVE ->
        // code hv/vio/virtio.c virtio_kick: __atomic_fetch_or(&d->pending, 1u << q, __ATOMIC_RELEASE)
        // code hv/vio/virtio.c virtio_kick: event_post(&d->event)
        pending = true;
        event_post(DEV)
    :: else
    fi
}

inline virtio_enable_queue()
{
    // code hv/vio/virtio.c virtio_enable_queue: spin_lock(&d->lock)
    lock();
    // code hv/vio/virtio.c can_enable: q && !d->resetting && (virtio_status_of(d) & VIRTIO_FEATURES_OK) && !q->s->enabled && !virtio_queue_resets(d, q->index)
    if
#ifdef EARLY_ENABLE
    :: !resetting && features_ok && !is_on ->
#else
    :: !resetting && features_ok && !is_on && !resets ->
#endif
        // code hv/vio/virtio.c virtio_enable_queue: vq_enable(q, d->s.driver_features, &why) == 0
        d_step { assert(!inside); sets++; set = sets }
        // code hv/vio/virtio.c virtio_enable_queue: __atomic_store_n(&q->s->enabled, 1, __ATOMIC_RELEASE)
        is_on = true
    :: else
    fi;
    // code hv/vio/virtio.c virtio_enable_queue: spin_unlock(&d->lock)
    unlock()
}

inline virtio_reset_queue()
{
    // code hv/vio/virtio.c virtio_reset_queue: spin_lock(&d->lock)
    lock();
    // code hv/vio/virtio.c virtio_reset_queue: if (q && !d->resetting && virtio_has(d, VIRTIO_F_RING_RESET) && q->s->enabled)
    if
    :: !resetting && is_on ->
        // code hv/vio/virtio.c virtio_reset_queue: __atomic_store_n(&q->s->enabled, 0, __ATOMIC_RELEASE)
        is_on = false;
        // code hv/vio/virtio.c virtio_reset_queue: post = virtio_status_of(d) & VIRTIO_DRIVER_OK
        post = driver_ok;
        // code hv/vio/virtio.c virtio_reset_queue: __atomic_fetch_or(&d->reset_queues, 1u << q->index, __ATOMIC_RELEASE)
        // code hv/vio/virtio.c virtio_reset_queue: vq_clear(q)
#ifdef CLEAR_AT_ONCE
        d_step { vq_clear() }
#else
        if :: post -> resets = true :: else -> d_step { vq_clear() } fi
#endif
    :: else
    fi;
    // code hv/vio/virtio.c virtio_reset_queue: spin_unlock(&d->lock)
    unlock();
    // code hv/vio/virtio.c virtio_reset_queue: event_post(&d->event)
    if :: post -> event_post(DEV); post = false :: else fi
}

inline virtio_set_status()
{
    // code hv/vio/virtio.c virtio_set_status: spin_lock(&d->lock)
    lock();
    // code hv/vio/virtio.c virtio_set_status: d->resetting ? 0 :
    // code hv/vio/virtio.c virtio_set_status: live = virtio_activate(d)
    if
    :: !resetting && !features_ok -> features_ok = true
    :: !resetting && features_ok && !driver_ok ->
        // code hv/vio/blk.c vio_blk_activate: b->io[i].busy = b->io[i].held = false
        d_step { assert(!at_disk); busy = false; silent = false }
        driver_ok = true;
        post = true
    :: else
    fi;
    unlock();
    // code hv/vio/virtio.c virtio_set_status: virtio_kick(d, i)
    if :: post -> virtio_kick(); post = false :: else fi
}

inline blk_reset()
{
#ifdef STOP_FIRST
    event_cancel(WORK); at_disk = false;
#endif
    // code hv/vio/blk.c vio_blk_reset: event_cancel(&b->io[i].req.done)
    event_cancel(DONE);
    // code hv/vio/blk.c vio_blk_reset: b->blk->ops->stop(b->blk)
    // code hv/vio/ramdisk.c ramdisk_stop: event_cancel(&ramdisk_of(b)->work)
    // code hv/vio/ramdisk.c ramdisk_stop: ramdisk_of(b)->first = NULL
#ifndef STOP_FIRST
    event_cancel(WORK); at_disk = false;
#endif
    // code hv/vio/blk.c vio_blk_reset: event_cancel(&b->io[i].req.done)
#ifndef ONE_CANCEL
    event_cancel(DONE)
#endif
}

inline reset()
{
    // code hv/vio/virtio.c virtio_reset: spin_lock(&d->lock)
    lock();
    // code hv/vio/virtio.c virtio_reset: mine = !d->resetting
    // code hv/vio/virtio.c virtio_reset: d->resetting = true
    mine = !resetting;
#ifdef NOT_MINE
    mine = true;
#endif
    resetting = true;
    // code hv/vio/virtio.c virtio_reset: __atomic_exchange_n(&d->s.status, VIRTIO_NEEDS_RESET, __ATOMIC_ACQ_REL)
    if :: mine -> d_step { was = driver_ok; features_ok = false; driver_ok = false; needs_reset = true } :: else fi;
    // code hv/vio/virtio.c virtio_reset: spin_unlock(&d->lock)
    unlock();
    // code hv/vio/virtio.c virtio_reset: if (!mine) return
    if
    :: mine ->
        // code hv/vio/virtio.c virtio_reset: event_cancel(&d->event)
#ifndef RUNS_ON
        event_cancel(DEV);
#endif
        // code hv/vio/virtio.c virtio_reset: (was & VIRTIO_DRIVER_OK) && d->ops->reset(d) == -EINPROGRESS
        if :: was -> blk_reset() :: else fi;
        // code hv/vio/virtio.c end_reset: event_cancel(&d->event)
        event_cancel(DEV);
        // code hv/vio/virtio.c end_reset: spin_lock(&d->lock)
        lock();
        // code hv/vio/virtio.c end_reset: virtio_clear(d)
        // code hv/vio/virtio.c virtio_clear: vq_clear(&d->vq[i])
        // code hv/vio/virtio.c virtio_clear: __atomic_store_n(&d->pending, 0, __ATOMIC_RELAXED)
        // code hv/vio/virtio.c virtio_clear: __atomic_store_n(&d->reset_queues, 0, __ATOMIC_RELEASE)
        d_step { vq_clear() };
        pending = false;
        resets = false;
        // code hv/vio/virtio.c end_reset: d->resetting = false
        resetting = false;
        // code hv/vio/virtio.c end_reset: __atomic_store_n(&d->s.status, 0, __ATOMIC_RELEASE)
        d_step {
            needs_reset = false; silent = true;
            assert(!inside && !at_disk && !posted[WORK] && !posted[DONE] && running != WORK && running != DONE)
        }
        // code hv/vio/virtio.c end_reset: spin_unlock(&d->lock)
        unlock()
    :: else
    fi;
    d_step { mine = false; was = false }
}

proctype vcpu()
{
    bool post, mine, was;
    byte left = STEPS;

    do
    :: left > 0 -> left--;
        if
        :: virtio_kick()
        :: virtio_enable_queue()
        :: virtio_reset_queue()
        :: virtio_set_status()
        :: reset()
        fi
    :: true -> break
    od;
    vcpus--
}

/* The vCPUs are parked: virtio_quiesce(), then virtio_remove(). */
proctype remover()
{
    bool mine, was;

#ifndef EARLY
    vcpus == 0;
#endif
    // code hv/vio/virtio.c virtio_quiesce: virtio_reset(d)
    reset();
    // code hv/vio/virtio.c virtio_remove: hv_assert(!d->resetting && virtio_status_of(d) == 0)
    assert(!resetting);
    // code hv/vio/virtio.c virtio_remove: event_kill(&d->event)
    event_cancel(DEV);
    // code hv/vio/virtio.c virtio_remove: d->ops->free(d)
    d_step { freed = true; assert(running == NONE && !posted[DEV] && !posted[WORK] && !posted[DONE] && !locked) }
}

init { atomic { run vcpu(); if :: VCPUS > 1 -> run vcpu() :: else fi; run remover() } }

active proctype quiet()
{
    timeout -> assert(freed && vcpus == 0)
}
