/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * capture.c: frames as they come to a switch, kept in memory as a pcap file (libpcap's format, with
 * nanoseconds since the boot); see <hv/net.h>. The first ones are kept; when the memory is full,
 * further ones are counted. Nothing of it costs a switch that is not watched.
 */
#include <hv/assert.h>
#include <hv/irq.h>
#include <hv/net.h>
#include <hv/pmm.h>
#include <hv/time.h>
#include <string.h>

enum { ORDER = 5, LINK_ETHERNET = 1, SNAP = 256 };
#define ROOM (PAGE_SIZE << ORDER)
#define MAGIC_NS 0xa1b23c4du
#define SECOND_NS 1000000000ull
struct file_head {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t zone, accuracy, snap, link;
};
struct record {
    uint32_t seconds, ns, kept, len;
};
static_assert(sizeof(struct file_head) == 24 && sizeof(struct record) == 16, "libpcap's format");

static struct {
    struct spinlock lock;
    const struct net_switch *net; /* atomic; NULL: nothing is watched. Written under the lock */
    const struct net_port *port;  /* NULL: all. Under the lock, as are: */
    uint8_t *data;                /* ROOM bytes; NULL: there was none yet. CPU 0 frees it */
    struct net_capture_state state;
} capture = { .lock = SPINLOCK_INIT(LOCK_NET) };

static void append(const void *p, size_t len)
{
    memcpy(capture.data + capture.state.len, p, len);
    capture.state.len += len;
}

/* Under the lock. */
static void keep(const struct net_frame *f)
{
    struct net_frame part = *f;
    uint64_t now = time_ns();
    struct record r = { (uint32_t)(now / SECOND_NS), (uint32_t)(now % SECOND_NS),
                        (uint32_t)min_u64(f->len, SNAP), f->len };

    capture.state.frames++;
    if (ROOM - capture.state.len < sizeof r + SNAP) {
        capture.state.missed++;
        return;
    }
    append(&r, sizeof r);
    part.len = r.kept;
    net_frame_copy(&part, capture.data + capture.state.len);
    capture.state.len += r.kept;
}

static bool capture_is_of(const struct net_port *from, struct net_port *const *to, unsigned n)
{
    bool of = !capture.port || capture.port == from;

    for (unsigned i = 0; i < n && !of; i++)
        of = to[i] == capture.port;
    return of;
}

void net_capture(const struct net_port *from, const struct net_frame *f, struct net_port *const *to,
                 unsigned n)
{
    if (__atomic_load_n(&capture.net, __ATOMIC_RELAXED) != from->net)
        return;
    spin_lock(&capture.lock);
    if (capture.net == from->net && capture_is_of(from, to, n))
        keep(f);
    spin_unlock(&capture.lock);
}

int net_capture_start(const struct net_switch *s, const struct net_port *only)
{
    const struct file_head h = { MAGIC_NS, 2, 4, 0, 0, SNAP, LINK_ETHERNET };

    assert_cpu0();
    net_capture_stop();
    if (!capture.data) {
        hpa_t at = pmm_alloc(ORDER, PMM_HV); /* charge: the console's user's, one at a time */

        if (!at.v)
            return -ENOMEM;
        capture.data = phys_to_virt(at);
    }
    spin_lock(&capture.lock);
    capture.state = (struct net_capture_state){ .on = true };
    append(&h, sizeof h);
    capture.port = only;
    __atomic_store_n(&capture.net, s, __ATOMIC_RELAXED);
    spin_unlock(&capture.lock);
    return 0;
}

void net_capture_stop(void)
{
    spin_lock(&capture.lock);
    __atomic_store_n(&capture.net, NULL, __ATOMIC_RELAXED);
    capture.state.on = false;
    spin_unlock(&capture.lock);
}

void net_capture_drop(void)
{
    assert_cpu0();
    net_capture_stop();
    if (capture.data)
        pmm_free(virt_to_phys(capture.data), ORDER, PMM_HV);
    capture.data = NULL;
    capture.state = (struct net_capture_state){ .on = false };
}

void net_capture_forget(const struct net_port *p)
{
    if (capture.port == p)
        net_capture_stop();
}

const uint8_t *net_capture_get(struct net_capture_state *s)
{
    assert_cpu0();
    spin_lock(&capture.lock);
    *s = capture.state;
    spin_unlock(&capture.lock);
    return capture.data;
}
