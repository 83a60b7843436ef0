/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile-net: sends as fast as it can, for ever, on its first network device to a neighbour
 * (02:00:00:00:00:02), on its second, if it has one, to the NAT network's gateway: frames that are
 * sound, to one and to all, such as cannot be, and such as claim what they are not. What it
 * receives it never takes. Prints `flood N` now and then.
 */
#include "lib/virtio.h"

enum { RX = 0, TX = 1, HDR = 12, HEAD = 14, RING = 64, TOLD = 4096 };
enum { ARP = 42, ARP_MS = 100, SMALL = 60, LARGE = 1514, TOO_LONG = 12000 };
#define TYPE 0xb688 /* 0x88b6, for local experiments: IEEE 802 */

/* One kind of frame. */
struct kind {
    bool all, spoofed; /* to everybody; from another's address */
    uint16_t len;
    uint8_t header[HDR]; /* virtio 1.2 5.1.6 */
};
static const struct kind kinds[] = {
    { .len = SMALL },
    { .len = LARGE },
    { .len = SMALL, .all = true },
    { .len = SMALL, .spoofed = true },
    { .len = HEAD - 1 },
    { .len = TOO_LONG },
    { .len = LARGE, .header = { 1, 1, 0xff, 0xff, 1, 0, 0xff, 0xff, 0xff, 0xff } },
    { .len = LARGE, .header = { 0xff, 0xff } },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct nic {
    struct vdev dev;
    struct vq rx, tx;
    uint8_t mine[6], to[6];
    uint8_t *frame[KINDS];
};
static struct nic nics[2];
static uint8_t *in;

static bool open_nic(struct nic *n, unsigned number)
{
    struct viov v = { (uint64_t)in, 2048 };

    if (!vdev_find(VIRTIO_NET, number, &n->dev) || !vdev_negotiate(&n->dev, VF_VERSION_1) ||
        !vq_setup(&n->dev, &n->rx, RX, RING) || !vq_setup(&n->dev, &n->tx, TX, RING))
        return false;
    for (unsigned i = 0; i < 6; i++)
        n->mine[i] = mmio_r8(n->dev.config + i);
    vdev_ok(&n->dev);
    vq_add(&n->rx, &v, 0, 1);
    vq_kick(&n->rx);
    return true;
}

static void make_frames(struct nic *n)
{
    for (unsigned i = 0; i < KINDS; i++) {
        const struct kind *k = &kinds[i];
        uint8_t *f = n->frame[i] + HDR;

        memcpy(n->frame[i], k->header, HDR);
        for (unsigned b = 0; b < 6; b++) {
            f[b] = k->all ? 0xff : n->to[b];
            f[6 + b] = k->spoofed ? n->to[b] : n->mine[b];
        }
        if (!f[12]) /* the gateway is asked by ARP again and again */
            *(uint16_t *)(f + 12) = TYPE;
    }
}

/* The gateway's address, by ARP from nobody: RFC 5227. */
static void find_gateway(struct nic *n)
{
    static const uint8_t ask[] = { 8, 6, 0, 1, 8, 0, 6, 4, 0, 1 }, gateway[] = { 10, 21, 0, 1 };
    uint8_t *f = n->frame[0] + HDR;
    struct viov v = { (uint64_t)n->frame[0], HDR + ARP };
    uint32_t len;

    for (unsigned i = 0; i < 6; i++)
        f[i] = 0xff;
    memcpy(f + 6, n->mine, 6);
    memcpy(f + 12, ask, sizeof ask);
    memcpy(f + 22, n->mine, 6);
    memcpy(f + 38, gateway, sizeof gateway);
    for (unsigned i = 0; i < 100; i++) {
        vq_add(&n->tx, &v, 1, 0);
        vq_kick(&n->tx);
        (void)vq_wait(&n->tx, &len);
        for (struct patience w = patience(ARP_MS * 1000); patience_left(&w);)
            if (vq_poll(&n->rx, &len) >= 0 && in[HDR + 12] == 8 && in[HDR + 13] == 6) {
                memcpy(n->to, in + HDR + 6, 6);
                return;
            }
    }
    fail("hostile-net", "the gateway does not answer");
}

/* As much as the ring takes. */
static unsigned flood(struct nic *n, unsigned *next)
{
    unsigned sent = 0;
    uint32_t len;

    while (vq_poll(&n->tx, &len) >= 0)
        ;
    for (;; sent++, *next = (*next + 1) % KINDS) {
        struct viov v = { (uint64_t)n->frame[*next], HDR + kinds[*next].len };

        if (vq_add(&n->tx, &v, 1, 0) < 0)
            break;
    }
    if (sent)
        vq_kick(&n->tx);
    return sent;
}

void guest_main(void)
{
    static const uint8_t neighbour[6] = { 2, 0, 0, 0, 0, 2 };
    unsigned n = 0, next[2] = { 0 }, told = 0;
    uint64_t sent = 0;

    in = page_alloc(1);
    for (; n < 2 && open_nic(&nics[n], n); n++)
        for (unsigned i = 0; i < KINDS; i++)
            nics[n].frame[i] = page_alloc((TOO_LONG + HDR + 4095) / 4096);
    if (n == 0)
        fail("hostile-net", "no device");
    memcpy(nics[0].to, neighbour, 6);
    if (n == 2)
        find_gateway(&nics[1]);
    for (unsigned i = 0; i < n; i++)
        make_frames(&nics[i]);
    for (;;) {
        for (unsigned i = 0; i < n; i++)
            sent += flood(&nics[i], &next[i]);
        if (sent / TOLD > told) {
            told = (unsigned)(sent / TOLD);
            print("flood %lu\n", sent);
        }
    }
}
