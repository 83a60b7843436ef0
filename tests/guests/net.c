/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * net: two guests on one switch send each other frames of every size, over split and packed rings,
 * with merged and with whole buffers, and check every byte. The one with the option `ask` finds the
 * other by a broadcast, sends and wants all of it back; the other one answers until it is told that
 * this was all. Options: rounds=N of each kind, small (the buffers for receiving are of 512 bytes,
 * and merged).
 */
#include <virtio.h>

enum { RX = 0, TX = 1, HDR = 12, HEAD = 14, BUFFERS = 64, LARGE = 12288, SMALL = 512 };
enum { WINDOW = 8, MOST = 9000 + HEAD, FLOOD_MS = 20 };
#define TYPE 0xb588     /* 0x88b5, for local experiments: IEEE 802 */
#define NOT_OURS 0xb688 /* 0x88b6: hostile-net's */
#define F_MRG_RXBUF (1ull << 15)
enum kind { HELLO = 1, DATA, END };
struct packet {
    uint8_t to[6], from[6];
    uint16_t type;
    uint16_t kind;
    uint32_t seq, len, sum; /* len: of the whole frame; sum: of what follows */
    uint8_t data[];
} __attribute__((packed));

static struct vdev dev;
static struct vq rx, tx;
static uint8_t *buffers[BUFFERS]; /* for receiving */
static uint8_t at_id[256];        /* which of them a chain has */
static uint8_t *out;              /* a header and a frame */
static uint8_t *frame;            /* what was received, in one piece */
static uint8_t mine[6], other[6];
static unsigned buffer_len, mtu;
static uint64_t answered;

static uint32_t sum_of(const uint8_t *p, unsigned n)
{
    uint32_t s = n;

    for (unsigned i = 0; i < n; i++)
        s = (s << 5 | s >> 27) + p[i];
    return s;
}

/* ---- the device ---- */

static void post(unsigned i)
{
    struct viov v = { (uint64_t)buffers[i], buffer_len };
    int id = vq_add(&rx, &v, 0, 1);

    if (id >= 0)
        at_id[id] = (uint8_t)i;
}

static bool open_net(uint64_t features)
{
    if (!vdev_find(VIRTIO_NET, 0, &dev) || !vdev_negotiate(&dev, VF_VERSION_1 | features) ||
        !vq_setup(&dev, &rx, RX, BUFFERS) || !vq_setup(&dev, &tx, TX, BUFFERS)) {
        fail("net", "no device");
        return false;
    }
    for (unsigned i = 0; i < 6; i++)
        mine[i] = mmio_r8(dev.config + i);
    mtu = mmio_r16(dev.config + 10);
    buffer_len = cmdline_has("small") ? SMALL : LARGE;
    vdev_ok(&dev);
    for (unsigned i = 0; i < BUFFERS; i++)
        post(i);
    vq_kick(&rx);
    return true;
}

/* Whole, in `frame`; its length, 0: none. */
static unsigned receive(void)
{
    unsigned at = 0, parts = 1;
    uint32_t len;

    for (unsigned i = 0; i < parts; i++) {
        int id = vq_poll(&rx, &len);
        unsigned skip = i ? 0 : HDR;

        if (id < 0) {
            if (i)
                fail("net", "a frame of %u buffers has %u", parts, i);
            return 0;
        }
        if (i == 0)
            parts = *(uint16_t *)(buffers[at_id[id]] + 10);
        if (len < skip || at + len - skip > MOST)
            fail("net", "%u bytes in buffer %u", len, i);
        else
            memcpy(frame + at, buffers[at_id[id]] + skip, len - skip);
        at += len - skip;
        post(at_id[id]);
    }
    vq_kick(&rx);
    return at;
}

/* On return the device is done with it. */
static void send(const uint8_t *to, enum kind kind, uint32_t seq, unsigned len)
{
    struct packet *p = (struct packet *)(out + HDR);
    struct viov v[2] = { { (uint64_t)out, HDR }, { (uint64_t)p, len } };
    uint32_t used;
    unsigned data = len - (unsigned)sizeof *p;

    memcpy(p->to, to, 6);
    memcpy(p->from, mine, 6);
    p->type = TYPE;
    p->kind = (uint16_t)kind;
    p->seq = seq;
    p->len = len;
    for (unsigned i = 0; i < data; i++)
        p->data[i] = (uint8_t)(i * 7 + seq * 3 + (i >> 8));
    p->sum = sum_of(p->data, data);
    vq_add(&tx, v, 2, 0);
    vq_kick(&tx);
    if (vq_wait(&tx, &used) < 0)
        fail("net", "a packet is not taken");
}

/* A packet for us, checked; NULL: none. */
static struct packet *packet(void)
{
    struct packet *p = (struct packet *)frame;
    unsigned len = receive();

    if (len == 0 || (len >= HEAD && p->type == NOT_OURS))
        return NULL;
    if (len < sizeof *p || p->type != TYPE || p->len != len) {
        fail("net", "%u bytes of something else", len);
        return NULL;
    }
    if (p->sum != sum_of(p->data, len - (unsigned)sizeof *p)) {
        fail("net", "packet %u of %u bytes is not what was sent", p->seq, len);
        return NULL;
    }
    return p;
}

/* ---- who asks ---- */

static bool find_other(void)
{
    static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 };

    for (unsigned i = 0; i < 60000 / FLOOD_MS; i++) {
        send(all, HELLO, i, sizeof(struct packet) + 20);
        for (struct patience w = patience(FLOOD_MS * 1000); patience_left(&w);) {
            struct packet *p = packet();

            if (p && p->kind == HELLO) {
                memcpy(other, p->from, 6);
                return true;
            }
        }
    }
    fail("net", "nobody answers");
    return false;
}

/* Frames from the least size to the most, a window at a time; all come back, in order. */
static void ask_all(const char *name, unsigned later)
{
    enum { STEP = 61 };
    unsigned least = (unsigned)sizeof(struct packet) + later, n = (mtu + HEAD - least) / STEP + 1;
    uint32_t sent = 0, back = 0;

    for (struct patience w = patience(20000000); back < n && patience_left(&w);) {
        struct packet *p;

        while (sent < n && sent - back < WINDOW) {
            send(other, DATA, sent, least + sent * STEP);
            sent++;
        }
        p = packet();
        if (!p || p->kind != DATA)
            continue;
        if (p->seq != back || p->len != least + back * STEP)
            fail(name, "packet %u of %u bytes for packet %u", p->seq, p->len, back);
        back++;
        w = patience(20000000);
    }
    if (back == n)
        pass(name);
    else
        fail(name, "%u of %u came back", back, n);
}

static void ask(void)
{
    static const struct {
        const char *name;
        uint64_t features;
    } kinds[] = { { "split", 0 },
                  { "split merged", F_MRG_RXBUF },
                  { "split event", VF_EVENT_IDX | VF_INDIRECT | F_MRG_RXBUF },
                  { "packed", VF_PACKED },
                  { "packed event", VF_PACKED | VF_EVENT_IDX | VF_INDIRECT | F_MRG_RXBUF } };
    unsigned rounds = (unsigned)cmdline_num("rounds", 1);

    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!open_net(kinds[i].features) || !find_other())
            return;
        for (unsigned r = 0; r < rounds; r++)
            ask_all(kinds[i].name, i);
    }
    for (unsigned i = 0; i < 3; i++)
        send(other, END, i, sizeof(struct packet));
}

/* ---- who answers ---- */

static void answer(void)
{
    struct patience w = patience(60000000);
    struct packet *p;

    if (!open_net(F_MRG_RXBUF | VF_EVENT_IDX))
        return;
    while (patience_left(&w)) {
        p = packet();
        if (!p)
            continue;
        if (p->kind == END) {
            print("answered %lu\n", answered);
            pass("net");
            return;
        }
        memcpy(other, p->from, 6);
        send(other, p->kind, p->seq, p->len);
        answered += p->kind == DATA;
        w = patience(60000000);
    }
    fail("net", "nobody asks any more, after %lu packets", answered);
}

void guest_main(void)
{
    irq_init();
    for (unsigned i = 0; i < BUFFERS; i++)
        buffers[i] = page_alloc(LARGE / 4096);
    out = page_alloc(LARGE / 4096);
    frame = page_alloc(LARGE / 4096);
    if (cmdline_has("ask"))
        ask();
    else
        answer();
}
