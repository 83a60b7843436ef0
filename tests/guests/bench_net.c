/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench-net: what a frame from one guest to another costs, in TSC ticks, both guests and the
 * hypervisor together: split rings, event index, merged buffers, MSI-X; a CPU halts when it has
 * nothing to do. The one with the option `answer` sends back what it gets. Option: rounds=N frames.
 * Prints `bench NAME TICKS` for each kind: of one frame, one way.
 */
#include <virtio.h>

enum { RX = 0, TX = 1, HDR = 12, BUFFERS = 64, SIZE = 2048, DEEPEST = 16, RETRY_US = 20000 };
#define F_MRG_RXBUF (1ull << 15)
enum kind { ECHO = 1, END };

static struct vdev dev;
static struct vq rx, tx;
static uint8_t *buffers[BUFFERS], *slots[DEEPEST];
static uint8_t rx_of[256], tx_of[256]; /* which buffer a chain has */

static void on_msi(void) {}

static void post(unsigned i)
{
    struct viov v = { (uint64_t)buffers[i], SIZE };
    int id = vq_add(&rx, &v, 0, 1);

    if (id >= 0)
        rx_of[id] = (uint8_t)i;
}

static void open_net(void)
{
    if (!vdev_find(VIRTIO_NET, 0, &dev) ||
        !vdev_negotiate(&dev, VF_VERSION_1 | VF_EVENT_IDX | F_MRG_RXBUF) ||
        !vq_setup(&dev, &rx, RX, BUFFERS) || !vq_setup(&dev, &tx, TX, BUFFERS))
        fail("bench-net", "no device");
    vdev_msix(&dev, &rx, 0, on_msi);
    vdev_ok(&dev);
    for (unsigned i = 0; i < BUFFERS; i++)
        post(i);
    vq_kick(&rx);
}

/* Header and frame in one piece. */
static int submit(uint8_t *at, unsigned len)
{
    struct viov v = { (uint64_t)at, HDR + len };

    return vq_add(&tx, &v, 1, 0);
}

/* ---- who answers ---- */

static void turn_round(uint8_t *frame)
{
    for (unsigned i = 0; i < 6; i++) {
        uint8_t to = frame[i];

        frame[i] = frame[6 + i];
        frame[6 + i] = to;
    }
}

/* Sends back what has come; *end: there will be no more. The number of frames. */
static unsigned answer_all(bool *end)
{
    unsigned n = 0;
    uint32_t len;
    int id;

    while ((id = vq_poll(&rx, &len)) >= 0) {
        uint8_t *b = buffers[rx_of[id]];
        int sent;

        *end |= b[HDR + 14] == END;
        for (unsigned i = 0; i < HDR; i++)
            b[i] = 0;
        turn_round(b + HDR);
        sent = submit(b, len - HDR);
        if (sent < 0)
            fail("bench-net", "the ring is full");
        tx_of[sent] = rx_of[id];
        n++;
    }
    if (n)
        vq_kick(&tx);
    while ((id = vq_poll(&tx, &len)) >= 0)
        post(tx_of[id]);
    return n;
}

static void answer(void)
{
    for (bool end = false; !end;)
        if (answer_all(&end))
            vq_kick(&rx);
        else
            cpu_sti_hlt_cli();
}

/* ---- who asks ---- */

static void ask(unsigned slot, unsigned len, enum kind kind)
{
    static const uint8_t to[6] = { 2, 0, 0, 0, 0, 2 }, from[6] = { 2, 0, 0, 0, 0, 1 };
    uint8_t *f = slots[slot] + HDR;
    uint32_t used;

    while (vq_poll(&tx, &used) >= 0)
        ;
    for (unsigned i = 0; i < 6; i++) {
        f[i] = to[i];
        f[6 + i] = from[i];
    }
    f[12] = 0x88; /* 0x88b5, for local experiments: IEEE 802 */
    f[13] = 0xb5;
    f[14] = (uint8_t)kind;
    if (submit(slots[slot], len) < 0)
        fail("bench-net", "the ring is full");
}

/* Takes answers; how many there were. */
static unsigned take(void)
{
    unsigned n = 0;
    uint32_t len;
    int id;

    for (; (id = vq_poll(&rx, &len)) >= 0; n++)
        post(rx_of[id]);
    if (n)
        vq_kick(&rx);
    return n;
}

static void stream(const char *name, unsigned len, unsigned depth, uint64_t all)
{
    uint64_t asked, back = 0, t = rdtsc();

    for (asked = 0; asked < depth; asked++)
        ask((unsigned)asked, len, ECHO);
    vq_kick(&tx);
    while (back < all) {
        unsigned n = take();

        if (n == 0)
            cpu_sti_hlt_cli();
        for (unsigned i = 0; i < n && asked < all; i++)
            ask((unsigned)(asked++ % depth), len, ECHO);
        vq_kick(&tx);
        back += n;
    }
    print("bench %s %lu\n", name, (rdtsc() - t) / all / 2);
}

/* Until the other one is there. */
static void wait_for_other(void)
{
    unsigned n = 0;

    for (unsigned tries = 0; n == 0 && tries < 1000; tries++) {
        ask(0, 60, ECHO);
        vq_kick(&tx);
        for (struct patience w = patience(RETRY_US); n == 0 && patience_left(&w);)
            n = take();
    }
    if (n == 0)
        fail("bench-net", "nobody answers");
}

void guest_main(void)
{
    uint64_t n = cmdline_num("rounds", 2000);

    time_init();
    apic_init_cpu();
    pic_mask_all();
    for (unsigned i = 0; i < BUFFERS; i++)
        buffers[i] = page_alloc(1);
    for (unsigned i = 0; i < DEEPEST; i++)
        slots[i] = page_alloc(1);
    open_net();
    if (cmdline_has("answer")) {
        answer();
    } else {
        wait_for_other();
        stream("warm-up", 60, 8, n / 4);
        stream("64-depth-1", 60, 1, n);
        stream("64-depth-16", 60, DEEPEST, n);
        stream("1500-depth-1", 1514, 1, n);
        stream("1500-depth-16", 1514, DEEPEST, n);
        ask(0, 60, END);
        vq_kick(&tx);
    }
    pass("bench-net");
}
