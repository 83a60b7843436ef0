/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench-bulk: what much data from one guest to another costs, in TSC ticks, both guests and the
 * hypervisor together. `sink` counts what comes, and answers each time that it has a unit; with
 * `takes` it takes long frames and frames without checksum. `ask` sends units of 44 * 1448 bytes:
 * on its first device to 02:..:02 (a sink) in frames of 1500 bytes, then in long frames, then these
 * to 02:..:03 (a sink that takes them); on its second one by UDP to a port that the NAT gateway
 * forwards to a third sink. Prints `bench NAME TICKS`: of 1 KiB.
 */
#include <virtio.h>

enum { RX = 0, TX = 1, HDR = 12, HEAD = 14, IP = 20, TCP = 20, UDP = 8 };
enum { BUFFERS = 64, SIZE = 4096, MSS = 1448, PARTS = 44, UNIT = MSS * PARTS, WINDOW = 2 };
enum { ARP = 42, ARP_US = 100000, SMALL = 60, PROTO_TCP = 6, PROTO_UDP = 17 };
#define F_SENDS (1ull << 0 | 1ull << 11) /* CSUM, HOST_TSO4 */
#define F_TAKES (1ull << 1 | 1ull << 7)  /* GUEST_CSUM, GUEST_TSO4 */
#define F_MRG_RXBUF (1ull << 15)
#define FAR_OUTSIDE  \
    {                \
        10, 99, 0, 2 \
    } /* the gateway's address on its uplink */

struct nic {
    struct vdev dev;
    struct vq rx, tx;
    uint8_t *buffer[BUFFERS], rx_of[256];
    uint8_t mac[6], to[6];
};
static struct nic nics[2];
static uint8_t *out[PARTS * WINDOW]; /* frames; the first ones have room for long ones */
static uint8_t *small;

static void on_msi(void) {}

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/* RFC 1071 */
static void sum_ip(uint8_t *ip)
{
    uint32_t sum = 0;

    put16(ip + 10, 0);
    for (unsigned i = 0; i < IP; i += 2)
        sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
    sum = (sum & 0xffff) + (sum >> 16);
    put16(ip + 10, ~(sum + (sum >> 16)) & 0xffff);
}

/* ---- the device ---- */

static void post(struct nic *n, unsigned i)
{
    struct viov v = { (uint64_t)n->buffer[i], SIZE };
    int id = vq_add(&n->rx, &v, 0, 1);

    if (id >= 0)
        n->rx_of[id] = (uint8_t)i;
}

static bool open_nic(struct nic *n, unsigned number, uint64_t features)
{
    if (!vdev_find(VIRTIO_NET, number, &n->dev) ||
        !vdev_negotiate(&n->dev, VF_VERSION_1 | VF_EVENT_IDX | F_MRG_RXBUF | features) ||
        !vq_setup(&n->dev, &n->rx, RX, BUFFERS) || !vq_setup(&n->dev, &n->tx, TX, 128))
        return false;
    for (unsigned i = 0; i < 6; i++)
        n->mac[i] = mmio_r8(n->dev.config + i);
    vdev_msix(&n->dev, &n->rx, 0, on_msi);
    vdev_ok(&n->dev);
    for (unsigned i = 0; i < BUFFERS; i++) {
        n->buffer[i] = page_alloc(SIZE / 4096);
        post(n, i);
    }
    vq_kick(&n->rx);
    return true;
}

/* The next frame's first bytes, which stay until the next call, and its length; NULL: none. */
static const uint8_t *receive(struct nic *n, unsigned *len)
{
    static uint8_t first[HDR + 64];
    unsigned parts = 1;
    uint32_t got;

    *len = 0;
    for (unsigned i = 0; i < parts; i++) {
        int id = vq_poll(&n->rx, &got);

        if (id < 0)
            return NULL;
        if (i == 0) {
            memcpy(first, n->buffer[n->rx_of[id]], sizeof first);
            parts = first[10];
        }
        *len += got;
        post(n, n->rx_of[id]);
    }
    *len -= HDR;
    vq_kick(&n->rx);
    return first + HDR;
}

static void send(struct nic *n, uint8_t *at, unsigned len)
{
    struct viov v = { (uint64_t)at, HDR + len };

    if (vq_add(&n->tx, &v, 1, 0) < 0)
        fail("bench-bulk", "the ring is full");
}

/* ---- who gets it ---- */

static void swap(uint8_t *a, uint8_t *b, unsigned n)
{
    for (; n; n--, a++, b++) {
        uint8_t was = *a;

        *a = *b;
        *b = was;
    }
}

static void answer(struct nic *n, const uint8_t *frame)
{
    uint8_t *f = small + HDR, *ip = f + HEAD;
    uint32_t used;

    memcpy(f, frame, SMALL);
    swap(f, f + 6, 6);
    swap(ip + 12, ip + 16, 4);
    swap(ip + IP, ip + IP + 2, 2);
    put16(ip + 2, SMALL - HEAD);
    put16(ip + IP + 4, SMALL - HEAD - IP);
    put16(ip + IP + 6, 0);
    sum_ip(ip);
    send(n, small, SMALL);
    vq_kick(&n->tx);
    while (vq_poll(&n->tx, &used) >= 0)
        ;
}

static void sink(struct nic *n)
{
    uint64_t bytes = 0;

    for (;;) {
        unsigned len;
        const uint8_t *f = receive(n, &len);

        if (!f) {
            cpu_sti_hlt_cli();
            continue;
        }
        if (f[12] != 8 || f[13] != 0)
            continue;
        bytes += len - HEAD - IP - (f[HEAD + 9] == PROTO_TCP ? TCP : UDP);
        for (; bytes >= UNIT; bytes -= UNIT)
            answer(n, f);
    }
}

/* ---- who sends it ---- */

/* Of `len` bytes of payload, at out[i]; the length of the frame. */
static unsigned make_frame(const struct nic *n, unsigned i, uint8_t proto, unsigned len)
{
    static const uint8_t start[] = { 8, 0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 0, 0, 0 },
                         from[] = { 10, 21, 0, 2 }, to[] = FAR_OUTSIDE;
    uint8_t *f = out[i] + HDR, *ip = f + HEAD, *l4 = ip + IP;
    unsigned head = proto == PROTO_TCP ? TCP : UDP;

    memset(out[i], 0, HDR + HEAD + IP + TCP);
    memcpy(f, n->to, 6);
    memcpy(f + 6, n->mac, 6);
    memcpy(f + 12, start, sizeof start);
    put16(ip + 2, IP + head + len);
    ip[9] = proto;
    memcpy(ip + 12, from, 4);
    memcpy(ip + 16, to, 4);
    sum_ip(ip);
    put16(l4, 4000);
    put16(l4 + 2, 9);
    if (proto == PROTO_TCP)
        put16(l4 + 12, 0x5010); /* five words, ACK */
    else
        put16(l4 + 4, UDP + len);
    return HEAD + IP + head + len;
}

/* virtio 1.2 5.1.6: a checksum and segments are left to others. */
static void leave_to_others(uint8_t *h)
{
    static const uint8_t tso[] = {
        1, 1, HEAD + IP + TCP, 0, MSS & 0xff, MSS >> 8, HEAD + IP, 0, 16
    };

    memcpy(h, tso, sizeof tso);
}

struct way {
    const char *name;
    unsigned nic;
    uint8_t proto, to; /* to: last byte of the sink's address; 0: the gateway */
    bool whole;
};

static void send_unit(struct nic *n, const struct way *w, unsigned slot)
{
    uint32_t used;

    while (vq_poll(&n->tx, &used) >= 0)
        ;
    if (w->whole) {
        unsigned len = make_frame(n, slot, w->proto, UNIT);

        leave_to_others(out[slot]);
        send(n, out[slot], len);
    } else {
        for (unsigned i = slot * PARTS; i < (slot + 1) * PARTS; i++)
            send(n, out[i], make_frame(n, i, w->proto, MSS));
    }
    vq_kick(&n->tx);
}

static void stream(const struct way *w, uint64_t all)
{
    static const uint8_t lan[5] = { 2 };
    struct nic *n = &nics[w->nic];
    uint64_t asked = 0, back = 0, t;
    unsigned len;

    if (w->to) {
        memcpy(n->to, lan, 5);
        n->to[5] = w->to;
    }
    for (t = rdtsc(); back < all;) {
        while (asked < all && asked - back < WINDOW)
            send_unit(n, w, (unsigned)(asked++ % WINDOW));
        if (!receive(n, &len))
            cpu_sti_hlt_cli();
        else
            back++;
    }
    print("bench %s %lu\n", w->name, (rdtsc() - t) * 1024 / (all * UNIT));
}

/* The gateway's address, by ARP. */
static void find_gateway(struct nic *n)
{
    static const uint8_t ask[] = { 8, 6, 0, 1, 8, 0, 6, 4, 0, 1 }, mine[] = { 10, 21, 0, 2 },
                         gateway[] = { 10, 21, 0, 1 };
    uint8_t *f = small + HDR;

    memset(f, 0xff, 6);
    memcpy(f + 6, n->mac, 6);
    memcpy(f + 12, ask, sizeof ask);
    memcpy(f + 22, n->mac, 6);
    memcpy(f + 28, mine, sizeof mine);
    memcpy(f + 38, gateway, sizeof gateway);
    send(n, small, ARP);
    vq_kick(&n->tx);
    for (struct patience w = patience(ARP_US); patience_left(&w);) {
        unsigned len;
        const uint8_t *got = receive(n, &len);

        if (got && got[12] == 8 && got[13] == 6) {
            memcpy(n->to, got + 6, 6);
            return;
        }
    }
    fail("bench-bulk", "the gateway does not answer");
}

static void ask(uint64_t rounds)
{
    static const struct way ways[] = {
        { "frames", 0, PROTO_TCP, 2, false },
        { "cut", 0, PROTO_TCP, 2, true },
        { "whole", 0, PROTO_TCP, 3, true },
        { "nat", 1, PROTO_UDP, 0, false },
    };

    for (unsigned i = 0; i < PARTS * WINDOW; i++)
        out[i] = page_alloc(i < WINDOW ? UNIT / 4096 + 2 : 1);
    if (!open_nic(&nics[1], 1, 0)) {
        fail("bench-bulk", "no second device");
        return;
    }
    find_gateway(&nics[1]);
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++)
        stream(&ways[i], rounds);
}

void guest_main(void)
{
    time_init();
    apic_init_cpu();
    pic_mask_all();
    small = page_alloc(1);
    if (!open_nic(&nics[0], 0, cmdline_has("ask") ? F_SENDS : cmdline_has("takes") ? F_TAKES : 0))
        fail("bench-bulk", "no device");
    else if (cmdline_has("ask"))
        ask(cmdline_num("rounds", 200));
    else
        sink(&nics[0]);
    pass("bench-bulk");
}
