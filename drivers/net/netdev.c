/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netdev.c: a NIC's life, as a machine of few states that never waits, and its frames. The NIC's
 * event looks what has changed; the interrupt only posts it. Nothing that the device says is used
 * unchecked: an answer for a slot that it does not have is counted and ignored, and one that does
 * not answer is reset.
 */
#include <hv/assert.h>
#include <hv/irq.h>
#include <hv/log.h>
#include <hv/percpu.h>
#include <hv/pmm.h>
#include <hv/time.h>
#include <stdio.h>

#include "netdev.h"

#define MS 1000000ull
#define RESET_NS (1000 * MS)
#define SEND_NS (5000 * MS)     /* a frame may take so long, with a link */
#define WATCH_NS (500 * MS)     /* how often link and time-outs are looked at */
#define POLL_LEAST_NS (MS / 10) /* without interrupts: while frames come */
#define POLL_MOST_NS (2 * MS)   /* while none do */
enum { FAILURES_MOST = 3, RECEIVE_AT_ONCE = 64, SMALL = 2048, LARGE = 16384, ROOM = 32 };

static struct netdev *netdev_of(struct nic *nic) { return container_of(nic, struct netdev, nic); }

/* ---- slots ---- */

static void netdev_stray(struct netdev *n, const char *what, uint32_t slot)
{
    n->nic.stats.strays++;
    if (!n->told_stray)
        log_warn("%s: it answered for a frame that it was not given (%s %u): ignored, as are "
                 "further ones",
                 n->nic.name, what, slot);
    n->told_stray = true;
}

static void end(struct netdev *n, unsigned slot, int status)
{
    struct nic_frame *f = n->tx[slot];

    n->tx[slot] = NULL;
    dma_unmap(n->dma, slot);
    n->free[n->nfree++] = (uint8_t)slot;
    f->status = status;
    f->next = n->ended;
    n->ended = f;
}

/* The device reaches no memory: all that it had comes back. */
static void netdev_take_back(struct netdev *n)
{
    for (unsigned i = 0; i < n->ntx; i++) {
        if (!n->tx[i])
            continue;
        n->nic.stats.lost++;
        end(n, i, n->stop ? -ECANCELED : -EIO);
    }
    for (unsigned i = 0; i < n->nrx; i++)
        n->rx_with[i] = false;
}

static void netdev_reap(struct netdev *n)
{
    uint32_t slot;

    /* as many answers as there are slots; more are looked at in the next run */
    for (unsigned i = 0; i < n->ntx && n->hw->tx_done(n, &slot); i++) {
        if (slot >= n->ntx || !n->tx[slot]) {
            netdev_stray(n, "sent", slot);
            continue;
        }
        n->nic.stats.sent++;
        n->nic.stats.sent_bytes += n->tx[slot]->len;
        n->failures = 0;
        end(n, slot, 0);
    }
}

/* ---- from state to state ---- */

static void netdev_enter(struct netdev *n, enum netdev_state state, uint64_t deadline)
{
    n->state = state;
    n->deadline = deadline;
}

static void set_link(struct netdev *n)
{
    bool was = n->nic.up;

    if (n->state == NETDEV_LIVE)
        n->hw->link(n);
    else
        n->nic.up = false;
    if (was == n->nic.up)
        return;
    n->nic.stats.flaps += was;
    n->link_changed = true;
}

/* For good. Without bus mastering it reaches no memory, whatever it does. */
static void netdev_die(struct netdev *n, const char *why)
{
    log_err("%s %s: %s: giving it up", n->hw->name, n->nic.at, why);
    host_pci_command(n->pci, 0, HOST_PCI_MASTER);
    host_pci_irq_off(n->pci);
    netdev_enter(n, NETDEV_DEAD, UINT64_MAX);
    n->nic.dead = true;
    netdev_take_back(n);
    n->stopped = n->stop;
}

static void netdev_reset(struct netdev *n, uint64_t now)
{
    n->hw->reset(n);
    netdev_enter(n, NETDEV_STOPPING, now + RESET_NS);
}

static void netdev_restart(struct netdev *n, uint64_t now, const char *why)
{
    n->nic.stats.resets++;
    if (++n->failures > FAILURES_MOST) {
        netdev_die(n, why);
        return;
    }
    log_warn("%s %s: %s: resetting it", n->hw->name, n->nic.at, why);
    netdev_reset(n, now);
}

static void netdev_start_now(struct netdev *n, uint64_t now)
{
    host_pci_command(n->pci, HOST_PCI_MASTER, 0);
    if (n->hw->start(n)) {
        netdev_restart(n, now, "it did not start");
        return;
    }
    netdev_enter(n, NETDEV_LIVE, UINT64_MAX);
    for (unsigned i = 0; i < n->nrx; i++) {
        n->rx_with[i] = true;
        n->hw->rx(n, i);
    }
    n->hw->rx_kick(n);
}

static void netdev_when_stopping(struct netdev *n, uint64_t now)
{
    if (!n->hw->is_reset(n)) {
        if (now >= n->deadline)
            netdev_die(n, "it did not stop");
        return;
    }
    netdev_take_back(n);
    n->stopped = n->stop;
    if (n->stop || !n->wanted)
        netdev_enter(n, NETDEV_IDLE, UINT64_MAX);
    else
        netdev_start_now(n, now);
}

static bool netdev_is_late(const struct netdev *n, uint64_t now)
{
    for (unsigned i = 0; n->nfree < n->ntx && i < n->ntx; i++)
        if (n->tx[i] && now >= n->tx_end[i])
            return true;
    return false;
}

static void netdev_when_live(struct netdev *n, uint64_t now)
{
    enum netdev_health health;

    n->hw->ack(n);
    netdev_reap(n);
    health = n->hw->health(n);
    if (health == NETDEV_GONE)
        netdev_die(n, "its registers read as all ones: it was removed or has failed");
    else if (n->stop)
        netdev_reset(n, now);
    else if (health == NETDEV_FAILED)
        netdev_restart(n, now, "it reported an error");
    else if (netdev_is_late(n, now))
        netdev_restart(n, now, "a frame was not sent in time");
}

static void netdev_step(struct netdev *n, uint64_t now)
{
    if (n->state == NETDEV_LIVE)
        netdev_when_live(n, now);
    else if (n->state == NETDEV_STOPPING)
        netdev_when_stopping(n, now);
    else if (n->state == NETDEV_IDLE && n->wanted && !n->stop)
        netdev_start_now(n, now);
    else
        n->stopped = n->stop; /* idle or dead: there is nothing to stop */
    if (now - n->watched >= WATCH_NS || n->state != NETDEV_LIVE || !n->nic.up)
        set_link(n);
    if (now - n->watched >= WATCH_NS)
        n->watched = now;
}

/* ---- receiving: the event alone ---- */

static bool is_sound(struct netdev *n, const struct netdev_rx *r)
{
    uint32_t most = n->mode.mtu + NET_HEAD + NET_TAG;

    if (!r->bad && r->len >= NET_HEAD && r->len <= most && r->skip <= n->rx_len &&
        r->len <= n->rx_len - r->skip)
        return true;
    n->nic.stats.bad++;
    return false;
}

static void netdev_receive(struct netdev *n, const struct netdev_rx *r)
{
    struct nic_user *u = n->nic.user;

    n->nic.stats.received++;
    n->nic.stats.received_bytes += r->len;
    n->failures = 0;
    u->ops->received(u, n->rx + (size_t)r->slot * n->rx_len + r->skip, r->len);
}

/* True: there may be more. */
static bool receive_some(struct netdev *n)
{
    struct netdev_rx r;
    unsigned i;

    for (i = 0; i < RECEIVE_AT_ONCE && n->hw->rx_done(n, &r); i++) {
        if (r.slot >= n->nrx || !n->rx_with[r.slot]) {
            netdev_stray(n, "received", r.slot);
            continue;
        }
        n->rx_with[r.slot] = false;
        if (is_sound(n, &r))
            netdev_receive(n, &r);
        n->rx_with[r.slot] = true;
        n->hw->rx(n, r.slot);
    }
    if (i) {
        n->hw->rx_kick(n);
        n->pause = POLL_LEAST_NS;
    }
    return i == RECEIVE_AT_ONCE;
}

/* ---- the event ---- */

static uint64_t next_look(const struct netdev *n)
{
    if (n->state == NETDEV_STOPPING)
        return POLL_LEAST_NS;
    return n->nic.irq ? WATCH_NS : n->pause;
}

static void netdev_arm(struct netdev *n, uint64_t now)
{
    uint64_t when = now + next_look(n);

    if (n->state == NETDEV_DEAD || n->state == NETDEV_IDLE || (n->armed && n->armed <= when))
        return;
    n->armed = when;
    event_at(&n->event, when);
}

/* Newest first is how they ended; the user gets them in the order in which they did. */
static void give_back(struct netdev *n, struct nic_frame *ended)
{
    struct nic_frame *f = NULL, *next;

    for (; ended; ended = next) {
        next = ended->next;
        ended->next = f;
        f = ended;
    }
    for (; f; f = next) {
        next = f->next;
        n->nic.user->ops->sent(n->nic.user, f);
    }
}

/* What the user is told, without the lock. True: look again soon. */
static bool netdev_tell(struct netdev *n, struct nic_frame *ended, bool link, bool stopped)
{
    bool more;

    give_back(n, ended);
    if (link && n->nic.user)
        n->nic.user->ops->link(n->nic.user);
    more = n->state == NETDEV_LIVE && !n->stop && receive_some(n);
    if (stopped)
        nic_stopped(&n->nic);
    return more;
}

static void netdev_look(struct netdev *n, bool *link, bool *stopped, struct nic_frame **ended)
{
    spin_lock(&n->lock);
    n->armed = 0;
    n->pause = min_u64(n->pause * 2, POLL_MOST_NS);
    netdev_step(n, time_ns());
    *ended = n->ended;
    *link = n->link_changed;
    *stopped = n->stopped;
    n->ended = NULL;
    n->link_changed = n->stopped = false;
    if (*stopped)
        n->wanted = n->stop = false;
    spin_unlock(&n->lock);
}

/* True: look again soon. */
static bool work_once(struct netdev *n)
{
    struct nic_frame *ended;
    bool link, stopped, more;

    netdev_look(n, &link, &stopped, &ended);
    more = netdev_tell(n, ended, link, stopped);
    spin_lock(&n->lock);
    netdev_arm(n, time_ns());
    spin_unlock(&n->lock);
    return more;
}

static void netdev_work(struct event *ev)
{
    if (work_once(container_of(ev, struct netdev, event)))
        event_put_off(ev);
}

void netdev_interrupt(void *netdev) { event_post(&((struct netdev *)netdev)->event); }

/* ---- net_ops ---- */

static int make_buffers(struct netdev *n, uint32_t mtu)
{
    unsigned order;

    n->rx_len = mtu + NET_HEAD + NET_TAG + ROOM <= SMALL ? SMALL : LARGE;
    order = pmm_order((uint64_t)n->rx_len * n->nrx);
    n->rx = dma_alloc(n->dma, order);
    if (!n->rx)
        return -ENOMEM;
    n->order = order;
    return 0;
}

static int netdev_start(struct nic *nic, const struct nic_mode *mode)
{
    struct netdev *n = netdev_of(nic);
    int err = n->state == NETDEV_DEAD ? -EIO : 0;

    if (!err) { /* of the user before; the device is reset */
        dma_free(n->dma, n->rx, n->order);
        n->rx = NULL;
    }
    if (!err)
        err = make_buffers(n, mode->mtu);
    if (err)
        return err;
    spin_lock(&n->lock);
    n->mode = *mode;
    n->failures = 0;
    n->wanted = true;
    spin_unlock(&n->lock);
    event_post(&n->event);
    return 0;
}

static int check(const struct netdev *n, const struct nic_frame *f)
{
    uint64_t bytes = 0;

    if (f->nseg == 0 || f->nseg > NIC_SEGS || f->len < NIC_FRAME_MIN ||
        f->len > n->mode.mtu + NET_HEAD + NET_TAG)
        return -EINVAL;
    for (unsigned i = 0; i < f->nseg; i++) {
        if (f->seg[i].len == 0)
            return -EINVAL;
        bytes += f->seg[i].len;
    }
    return bytes == f->len ? 0 : -EINVAL;
}

/* The frame as the device sees it, in *seg. */
static int map_frame(struct netdev *n, unsigned slot, const struct nic_frame *f,
                     struct nic_seg seg[NIC_SEGS])
{
    int err = 0;

    for (unsigned i = 0; !err && i < f->nseg; i++) {
        seg[i].len = f->seg[i].len;
        err = dma_map(n->dma, slot, f->seg[i].at, seg[i].len, PROT_R, &seg[i].at.v);
    }
    if (err)
        dma_unmap(n->dma, slot);
    return err;
}

static int netdev_put(struct netdev *n, struct nic_frame *f)
{
    struct nic_seg seg[NIC_SEGS];
    const struct nic_frame its = { .seg = seg, .nseg = f->nseg, .len = f->len };
    unsigned slot;
    int err;

    if (n->state != NETDEV_LIVE || !n->nic.up || n->stop)
        return -ENETDOWN;
    if (!n->nfree)
        return -ENOBUFS;
    slot = n->free[n->nfree - 1];
    err = map_frame(n, slot, f, seg);
    if (err)
        return err;
    n->nfree--;
    n->tx[slot] = f;
    n->tx_end[slot] = time_ns() + SEND_NS;
    n->hw->tx(n, slot, &its);
    return 0;
}

static int netdev_send(struct nic *nic, struct nic_frame *f)
{
    struct netdev *n = netdev_of(nic);
    int err = check(n, f);

    if (err)
        return err;
    spin_lock(&n->lock);
    err = netdev_put(n, f);
    if (err)
        n->nic.stats.refused++;
    n->pause = POLL_LEAST_NS;
    if (!err && !n->nic.irq)
        netdev_arm(n, time_ns());
    spin_unlock(&n->lock);
    return err;
}

static void netdev_stop(struct nic *nic)
{
    struct netdev *n = netdev_of(nic);

    spin_lock(&n->lock);
    n->stop = true;
    spin_unlock(&n->lock);
    event_post(&n->event);
}

static void netdev_poll(struct nic *nic) { (void)work_once(netdev_of(nic)); }

static const struct net_ops netdev_ops = {
    .start = netdev_start, .send = netdev_send, .stop = netdev_stop, .poll = netdev_poll
};

/* ---- the machine's end ---- */

static void rest(struct netdev *n)
{
    spin_lock(&n->lock);
    if (n->state != NETDEV_DEAD)
        n->hw->reset(n);
    host_pci_command(n->pci, 0, HOST_PCI_MASTER);
    n->state = NETDEV_DEAD; /* frames that it had stay with it: nothing runs any more */
    spin_unlock(&n->lock);
}

void netdev_shutdown(void)
{
    struct nic *nic;

    assert_cpu0();
    for (unsigned i = 0; (nic = nic_by_index(i)); i++)
        if (nic->ops == &netdev_ops)
            rest(netdev_of(nic));
}

/* ---- boot ---- */

int netdev_begin(struct netdev *n)
{
    const struct host_pci_dev *d = n->pci;
    uint64_t end;

    snprintf(n->nic.at, sizeof n->nic.at, "%04x:%02x:%02x.%u", d->segment, d->bus, d->devfn >> 3,
             d->devfn & 7u);
    spin_init(&n->lock, LOCK_DRIVER);
    event_init(&n->event, netdev_work, 0);
    n->nic.ops = &netdev_ops;
    n->nic.driver = n->hw->name;
    n->pause = POLL_MOST_NS;
    n->hw->reset(n);
    for (end = time_ns() + RESET_NS; !n->hw->is_reset(n); cpu_relax()) {
        if (time_ns() < end)
            continue;
        log_warn("%s %s: not used: it did not reset", n->hw->name, n->nic.at);
        return -EIO;
    }
    netdev_enter(n, NETDEV_IDLE, UINT64_MAX);
    return 0;
}

void netdev_add(struct netdev *n)
{
    hv_assert(n->ntx && n->ntx <= NETDEV_TX && n->nrx && n->nrx <= NETDEV_RX);
    for (unsigned i = 0; i < n->ntx; i++)
        n->free[n->nfree++] = (uint8_t)(n->ntx - 1 - i);
    nic_add(&n->nic);
}
