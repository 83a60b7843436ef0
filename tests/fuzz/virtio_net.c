/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-net on a switch with another port, which sends when the input says so and checks what it
 * gets: nothing but whole frames from the guest's own address. See virtio_dev.h for the rest.
 */
#include <hv/net.h>
#include "virtio_dev.h"

enum { SLOT_NET = 4, PEER_QUEUE = 65536 };
#define GUEST_MAC 0x020000000001ull
#define PEER_MAC 0x020000000002ull
static struct net_port peer;
static uint8_t payload[NET_FRAME_MAX], taken[NET_BIG_MAX + NET_TAG];

static bool deliver(struct net_port *p, unsigned from, const struct net_frame *f)
{
    (void)p;
    if (from == peer.index || net_mac_from(f->head + 6) != GUEST_MAC || f->len < NET_HEAD ||
        f->len > (f->offload.gso ? NET_BIG_MAX : NET_HEAD + NET_TAG + 1500) ||
        (f->offload.flags && !(peer.takes & NET_TAKES_CSUM))) {
        fprintf(stderr, "a frame that cannot be\n");
        abort();
    }
    net_frame_copy(f, taken); /* AddressSanitizer looks at it */
    return true;
}
static const struct net_port_ops peer_ops = { .deliver = deliver };

/*
 * Headers of a TCP segment or a datagram, and what is left of it to others: sound but for one byte
 * of each. Their length.
 */
static unsigned headers(const uint8_t *op, uint8_t *at, struct net_offload *o)
{
    static const uint8_t kinds[] = { NET_GSO_NONE, NET_GSO_TCP4, NET_GSO_TCP6, NET_GSO_UDP };
    uint8_t kind = kinds[op[5] & 3];
    bool v6 = kind == NET_GSO_TCP6 || (kind == NET_GSO_UDP && (op[5] & 4)),
         udp = kind == NET_GSO_UDP;
    unsigned l4 = v6 ? 40 : 20;

    memset(at, 0, 80);
    at[0] = v6 ? 0x60 : 0x45;
    at[v6 ? 6 : 9] = udp ? 17 : 6;
    at[l4 + 12] = 0x50;
    *o = (struct net_offload){ .flags = NET_NEEDS_CSUM,
                               .gso = kind | (op[5] & 8 && !udp && kind ? NET_GSO_ECN : 0),
                               .gso_size = (uint16_t)(op[6] * 8u),
                               .csum_start = (uint16_t)(NET_HEAD + l4),
                               .csum_offset = udp ? 6 : 16 };
    if (op[5] & 16)
        at[op[7] % 80] = op[3];
    if (op[5] & 32)
        ((uint8_t *)o)[op[7] % sizeof *o] = op[3];
    return l4 + (udp ? 8 : 20);
}

/* The other port sends a frame to the guest, or to all. */
static void peer_sends(const uint8_t *op)
{
    uint32_t bytes = (val32(op) & 0xffff) % (1500 + NET_TAG);
    const struct iov iov = { payload, bytes };
    struct net_frame f = { .len = NET_HEAD + bytes, .iov = &iov, .niov = 1 };

    net_mac_to(op[1] & 2 ? NET_MAC_BROADCAST : GUEST_MAC, f.head);
    net_mac_to(PEER_MAC, f.head + 6);
    if (op[1] & 4) {
        f.head[12] = 8;
        f.head[13] = op[7] & 1;
        (void)headers(op, payload, &f.offload);
    }
    (void)net_send(&peer, &f);
}

/* The guest offers a frame that is sound but for what the input changes in it later. */
static void guest_sends(const uint8_t *op)
{
    const struct buf b[2] = { { HEADER, op[2] & 1 ? 26 + 80 : 26, false },
                              { address(op[4], op[5]), length(op[6]), 0 } };
    uint8_t head[26 + 80] = { 0 };
    struct net_offload o;

    if (q[1].size == 0)
        return;
    __atomic_store_n(&peer.takes, op[3] & 63, __ATOMIC_RELAXED);
    if (op[2] & 1) {
        head[24] = op[5] & 2 && !(op[5] & 1) ? 0x86 : 8;
        head[25] = head[24] == 8 ? 0 : 0xdd;
        (void)headers(op, head + 26, &o);
        memcpy(head, &o, sizeof o);
    }
    net_mac_to(op[1] & 2 ? NET_MAC_BROADCAST : PEER_MAC, head + 12);
    net_mac_to(GUEST_MAC, head + 18);
    poke(HEADER, head, sizeof head);
    drvq_add(&q[1], b, 1 + (op[1] >> 2 & 1), op[1] & 8 ? TABLES : 0);
    mem_wr(dev.notify + 4, 2, 0);
}

/* Buffers for what it receives, as drivers offer them. */
static void guest_receives(const uint8_t *op)
{
    if (q[0].size == 0)
        return;
    for (unsigned i = 0; i < 1u + op[3] % 8; i++) {
        const struct buf b = { DATA + 0x100 * i, 1 + op[4] * 8u, true };

        drvq_add(&q[0], &b, 1, op[1] & 8 ? TABLES + 16 * i : 0);
    }
    mem_wr(dev.notify, 2, 0);
}

/* A command, most often one that there is, of about the right length. */
static void guest_asks(const uint8_t *op)
{
    static const uint8_t lengths[] = { 3, 14, 8, 4, 2, 20, 206, 250 };
    const struct buf b[2] = { { HEADER, lengths[op[3] & 7], false },
                              { STATUS, op[3] >> 7 ^ 1, 1 } };
    uint8_t ask[256];
    unsigned c;

    c = q[4].size ? 4 : 2; /* behind two pairs, or behind one */
    if (q[c].size == 0)
        return;
    for (unsigned i = 0; i < sizeof ask; i++)
        ask[i] = op[4 + (i & 3)];
    ask[0] = op[2] & 32 ? 4 : op[2] & 3;
    ask[1] = op[2] >> 2 & 7;
    if (ask[0] == 1 && ask[1] == 0) {
        memset(ask + 2, 0, 4);
        ask[2] = op[4] & 63;
        memset(ask + 6 + ask[2] % 40 * 6, 0, 4);
    }
    if (ask[0] == 1 && ask[1] == 1)
        net_mac_to(GUEST_MAC, ask + 2);
    if (op[3] & 8)
        ask[op[5] % 14] = op[6];
    poke(HEADER, ask, sizeof ask);
    drvq_add(&q[c], b, 2, op[1] & 8 ? TABLES : 0);
    mem_wr(dev.notify + 4 * c, 2, 0);
}

static void from_outside(const uint8_t *op)
{
    static void (*const what[])(const uint8_t *) = { peer_sends, guest_sends, guest_receives,
                                                     guest_asks };

    what[op[1] >> 4 & 3](op);
}

static void plug_peer(void)
{
    static const unsigned bits[8] = { 34, 28, 29, 40, 15, 0, 1, 16 };

    feature_more[5] = F(11) | F(12) | F(13) | F(56); /* TCP and UDP are cut by the device */
    feature_more[6] = F(7) | F(8) | F(9) | F(54) | F(55);
    feature_more[7] = F(3) | F(5) | F(17) | F(18) | F(19) | F(20) | F(22) | F(23);
    queues = QUEUES;
    memcpy(feature_bits, bits, sizeof bits);
    input = from_outside;
    if (net_add("lan", 1500, 1000000))
        abort();
    peer = (struct net_port){ .ops = &peer_ops, .mac = PEER_MAC };
    if (net_port_add(net_find("lan"), &peer))
        abort();
    net_port_up(&peer);
    config.nnets = 1;
    config.net[0] = (struct guest_net){ .net = "lan", .mac = GUEST_MAC };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < OP_LEN)
        return 0;
    if (half[0])
        ram_open_all();
    fake_up();
    if (!peer.net) {
        fake_down();
        plug_peer();
        fake_up();
    }
    ram_granted = ram_open;
    device = SLOT_NET;
    plug_in();
    ram_shut();
    drive(data, size);
    ram_open_all();
    fake_down();
    return 0;
}
