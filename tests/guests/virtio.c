/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio: block, entropy and console devices used as a good driver uses them, over split and packed
 * rings, with and without indirect descriptors and event index, polled and by interrupts; all data
 * verified. Options: pattern (each sector of the first disk begins with its number), rounds=N
 * (stress), ro (the second disk is read-only), nocon, norng.
 */
#include <virtio.h>

#define SECTOR 512

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_ZEROES = 13 };
struct blk_header {
    uint32_t type, reserved;
    uint64_t sector;
};
struct range {
    uint64_t sector;
    uint32_t count, flags;
};

static struct vdev dev;
static struct vq vq;
static uint64_t capacity;
static volatile unsigned irqs;
static uint8_t *data; /* 64 KiB */
static struct blk_header *header;
static volatile uint8_t *status;

static void on_msi(void) { irqs++; }

/* Level: the read of the ISR register is what takes the line down. */
static void on_intx(void)
{
    mmio_r8(dev.isr);
    irqs++;
}

/*
 * One request with its data in `parts` pieces; returns the status byte, -1 when nothing came back.
 */
static int request(uint32_t type, uint64_t sector, void *buf, uint32_t len, bool in, unsigned parts)
{
    struct viov iov[12] = { { (uint64_t)header, 16 } };
    unsigned n = 1;
    uint32_t piece = parts ? len / parts & ~3u : 0, got;
    *header = (struct blk_header){ type, 0, sector };
    *status = 0xee;
    for (unsigned i = 0; i < parts && len; i++, n++)
        iov[n] =
            (struct viov){ (uint64_t)buf + i * piece, i + 1 == parts ? len - i * piece : piece };
    iov[n] = (struct viov){ (uint64_t)status, 1 };
    if (vq_add(&vq, iov, in ? 1 : n, in ? n : 1) < 0)
        return -1;
    vq_kick(&vq);
    if (vq_wait(&vq, &got) < 0)
        return -1;
    return *status;
}

static uint8_t noise(uint32_t *seed)
{
    *seed = *seed * 1103515245 + 12345;
    return (uint8_t)(*seed >> 16);
}

static void fill(uint8_t *p, uint32_t n, uint32_t seed)
{
    for (uint32_t i = 0; i < n; i++)
        p[i] = noise(&seed);
}

static bool verify(const uint8_t *p, uint32_t n, uint32_t seed)
{
    for (uint32_t i = 0; i < n; i++)
        if (p[i] != noise(&seed))
            return false;
    return true;
}

static bool zero(const uint8_t *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

static void report(const char *mode, const char *what, bool ok, int st)
{
    if (!ok)
        fail("virtio-blk", "%s: %s (status %d, device status %x)", mode, what, st,
             vdev_status(&dev));
}

static void write_read(const char *mode)
{
    static const uint32_t lens[] = { 512, 1024, 4096, 16384, 65536 };
    for (unsigned i = 0; i < 5; i++)
        for (unsigned parts = 1; parts <= 9; parts += 4) {
            uint64_t sector = (i * 131 + parts * 17) % (capacity - 128);
            uint32_t seed = (uint32_t)(i * 100 + parts);
            fill(data, lens[i], seed);
            int w = request(T_OUT, sector, data, lens[i], false, parts);
            memset(data, 0, lens[i]);
            int r = request(T_IN, sector, data, lens[i], true, parts);
            report(mode, "write then read", w == 0 && r == 0 && verify(data, lens[i], seed), r);
        }
}

static void special(const char *mode, uint64_t features)
{
    int st = request(T_IN, capacity, data, 512, true, 1);
    report(mode, "read beyond the end", st == 1, st);
    st = request(T_OUT, capacity - 1, data, 1024, false, 1);
    report(mode, "write across the end", st == 1, st);
    st = request(T_IN, UINT64_MAX - 1, data, 512, true, 1);
    report(mode, "read of a huge sector", st == 1, st);
    st = request(77, 0, data, 512, true, 1);
    report(mode, "unknown request", st == 2, st);
    memset(data, 0x55, 32);
    st = request(T_GET_ID, 0, data, 20, true, 1);
    report(mode, "get id", st == 0 && data[0] != 0x55, st);
    st = request(T_FLUSH, 0, NULL, 0, false, 0);
    report(mode, "flush", !(features & 1 << 9) || st == 0, st);
    struct range *r = (void *)(data + 8192);
    if (features & 1 << 14) {
        fill(data, 4096, 9);
        request(T_OUT, 40, data, 4096, false, 1);
        *r = (struct range){ 42, 4, 0 };
        st = request(T_ZEROES, 0, r, 16, false, 1);
        request(T_IN, 40, data, 4096, true, 1);
        report(mode, "write zeroes", st == 0 && verify(data, 1024, 9) && zero(data + 1024, 2048),
               st);
        *r = (struct range){ capacity - 1, 4, 0 };
        st = request(T_ZEROES, 0, r, 16, false, 1);
        report(mode, "write zeroes across the end", st == 1, st);
    }
    if (features & 1 << 13) {
        *r = (struct range){ 48, 8, 0 };
        st = request(T_DISCARD, 0, r, 16, false, 1);
        report(mode, "discard", st == 0, st);
    }
}

/*
 * Many requests in flight, sectors chosen at random; each slot owns its own sectors, so that order
 * does not matter.
 */
static void stress(const char *mode)
{
    enum { SLOTS = 16 };
    static struct {
        struct blk_header h;
        uint8_t st;
        uint32_t seed;
        bool wrote;
        int id;
    } slot[SLOTS] __attribute__((aligned(64)));
    static uint8_t *buf[SLOTS];
    uint64_t done_n = 0, rounds = cmdline_num("rounds", 400), issued = 0;
    uint32_t seed = 99, len;
    for (unsigned i = 0; i < SLOTS; i++) {
        buf[i] = buf[i] ? buf[i] : page_alloc(1);
        slot[i].id = -1;
        slot[i].wrote = false;
    }
    while (done_n < rounds) {
        for (unsigned i = 0; i < SLOTS && issued < rounds; i++) {
            if (slot[i].id >= 0)
                continue;
            bool out = !slot[i].wrote;
            if (out)
                fill(buf[i], 4096, slot[i].seed = seed++);
            slot[i].h = (struct blk_header){ out ? T_OUT : T_IN, 0, (i * 64) % (capacity - 8) };
            slot[i].st = 0xee;
            struct viov iov[] = { { (uint64_t)&slot[i].h, 16 },
                                  { (uint64_t)buf[i], 1024 },
                                  { (uint64_t)buf[i] + 1024, 3072 },
                                  { (uint64_t)&slot[i].st, 1 } };
            slot[i].id = vq_add(&vq, iov, out ? 3 : 1, out ? 1 : 3);
            if (slot[i].id < 0)
                break;
            slot[i].wrote = out;
            issued++;
        }
        vq_kick(&vq);
        int id = vq_wait(&vq, &len);
        for (unsigned i = 0; i < SLOTS; i++) {
            if (id < 0 || slot[i].id != id)
                continue;
            if (slot[i].st || (!slot[i].wrote && !verify(buf[i], 4096, slot[i].seed)))
                report(mode, "stress", false, slot[i].st);
            slot[i].id = -1;
            done_n++;
        }
        if (id < 0) {
            report(mode, "stress: nothing comes back", false, -1);
            return;
        }
    }
}

static void by_msix(const char *mode)
{
    if (!dev.msix)
        return;
    vdev_msix(&dev, &vq, 1, on_msi);
    irqs = 0;
    irqs_on();
    for (unsigned i = 0; i < 10; i++)
        report(mode, "read by MSI-X", request(T_IN, i, data, 512, true, 1) == 0, 0);
    delay_us(2000);
    irqs_off();
    if (irqs < 9 || irqs > 11)
        fail("virtio MSI-X", "%s: %u interrupts for 10 requests", mode, irqs);
    /* masked in the table: pending, and sent when unmasked */
    irqs = 0;
    mmio_w32(dev.msix_table + 16 + 12, 1);
    irqs_on();
    request(T_IN, 1, data, 512, true, 1);
    delay_us(1000);
    unsigned masked = irqs;
    mmio_w32(dev.msix_table + 16 + 12, 0);
    delay_us(1000);
    irqs_off();
    if (masked || irqs != 1)
        fail("virtio MSI-X mask", "%s: %u while masked, %u after", mode, masked, irqs);
    mmio_w16(dev.common + VC_Q_SEL, 0);
    mmio_w16(dev.common + VC_Q_MSIX, 0xffff);
    pci_write(dev.pci, dev.msix + 2, 2, 0);
}

static void by_intx(const char *mode)
{
    unsigned pin = pci_read(dev.pci, 0x3d, 1);
    if (!pin || cmdline_has("emulator") || !irq_intx(dev.pci, pin, on_intx))
        return;
    irqs = 0;
    pci_write(dev.pci, 4, 2, pci_read(dev.pci, 4, 2) & ~0x400u);
    irqs_on();
    for (unsigned i = 0; i < 10; i++)
        report(mode, "read by INTx", request(T_IN, i, data, 512, true, 1) == 0, 0);
    delay_us(2000);
    irqs_off();
    irq_intx(dev.pci, pin, NULL);
    if (irqs < 5 || irqs > 12)
        fail("virtio INTx", "%s: %u interrupts for 10 requests", mode, irqs);
}

static void block_mode(const char *mode, uint64_t want)
{
    uint64_t offered = vdev_features(&dev);
    if ((want & offered) != want) {
        fail("virtio-blk", "%s: offers only %lx", mode, offered);
        return;
    }
    if (!vdev_negotiate(&dev, VF_VERSION_1 | want | (offered & (1 << 9 | 1 << 13 | 1 << 14)))) {
        fail("virtio-blk", "%s: refused features", mode);
        return;
    }
    if (!vq_setup(&dev, &vq, 0, cmdline_num("size", 0) ? (unsigned)cmdline_num("size", 0) : 0)) {
        fail("virtio-blk", "%s: no queue", mode);
        return;
    }
    vdev_ok(&dev);
    unsigned before = failures;
    write_read(mode);
    special(mode, dev.features);
    stress(mode);
    by_msix(mode);
    by_intx(mode);
    if (failures == before)
        print("PASS virtio-blk %s (queue of %u, %lu notifications)\n", mode, vq.size, vq.kicks);
}

static void check_pattern(void)
{
    bool ok = true;
    vdev_negotiate(&dev, VF_VERSION_1);
    vq_setup(&dev, &vq, 0, 0);
    vdev_ok(&dev);
    for (uint64_t s = 0; s < capacity; s += 97)
        ok = ok && request(T_IN, s, data, 512, true, 1) == 0 && *(uint64_t *)data == s;
    if (ok)
        pass("virtio-blk contents");
    else
        fail("virtio-blk contents", "not what the file holds");
}

static void block(void)
{
    if (!vdev_find(VIRTIO_BLK, 0, &dev)) {
        fail("virtio-blk", "no device");
        return;
    }
    capacity = mmio_r64(dev.config);
    print("virtio-blk: %lu sectors, features %lx\n", capacity, vdev_features(&dev));
    if (capacity < 256) {
        fail("virtio-blk", "%lu sectors: need 256", capacity);
        return;
    }
    if (cmdline_has("pattern"))
        check_pattern();
    block_mode("split", 0);
    block_mode("split indirect", VF_INDIRECT);
    block_mode("split event-idx", VF_EVENT_IDX);
    block_mode("split indirect event-idx", VF_INDIRECT | VF_EVENT_IDX);
    block_mode("packed", VF_PACKED);
    block_mode("packed indirect", VF_PACKED | VF_INDIRECT);
    block_mode("packed event-idx", VF_PACKED | VF_EVENT_IDX);
    block_mode("packed indirect event-idx", VF_PACKED | VF_INDIRECT | VF_EVENT_IDX);
    vdev_reset(&dev);
}

static void read_only(void)
{
    if (!cmdline_has("ro"))
        return;
    if (!vdev_find(VIRTIO_BLK, 1, &dev) || !(vdev_features(&dev) & 1 << 5)) {
        fail("virtio-blk read-only", "no such disk");
        return;
    }
    vdev_negotiate(&dev, VF_VERSION_1 | 1 << 5);
    vq_setup(&dev, &vq, 0, 0);
    vdev_ok(&dev);
    int r = request(T_IN, 0, data, 512, true, 1), w = request(T_OUT, 0, data, 512, false, 1);
    if (r == 0 && w == 1)
        pass("virtio-blk read-only");
    else
        fail("virtio-blk read-only", "read %d, write %d", r, w);
}

static void entropy(void)
{
    static uint8_t buf[2][256] __attribute__((aligned(4096)));
    uint32_t len = 0;
    if (cmdline_has("norng"))
        return;
    if (!vdev_find(VIRTIO_RNG, 0, &dev) || !vdev_negotiate(&dev, VF_VERSION_1) ||
        !vq_setup(&dev, &vq, 0, 0)) {
        fail("virtio-rng", "no device");
        return;
    }
    vdev_ok(&dev);
    uint32_t total = 0;
    for (unsigned i = 0; i < 2; i++) {
        struct viov v = { (uint64_t)buf[i], 256 };
        vq_add(&vq, &v, 0, 1);
        vq_kick(&vq);
        if (vq_wait(&vq, &len) < 0 || len == 0 || len > 256) {
            fail("virtio-rng", "%u bytes came", len);
            return;
        }
        total += len;
    }
    unsigned same = 0, bits = 0;
    for (unsigned i = 0; i < len; i++) {
        same += buf[0][i] == buf[1][i];
        for (unsigned k = 0; k < 8; k++)
            bits += buf[1][i] >> k & 1u;
    }
    if (same > len / 4 + 2 || bits < len * 3 || bits > len * 5)
        fail("virtio-rng", "%u bytes alike, %u bits of %u set", same, bits, len * 8);
    else
        pass("virtio-rng");
}

static void console(void)
{
    static char text[] = "virtio-console was here\r\n";
    uint32_t len;
    struct viov v = { (uint64_t)text, sizeof text - 1 };
    if (cmdline_has("nocon"))
        return;
    if (!vdev_find(VIRTIO_CONSOLE, 0, &dev) || !vdev_negotiate(&dev, VF_VERSION_1) ||
        !vq_setup(&dev, &vq, 1, 0)) {
        fail("virtio-console", "no device");
        return;
    }
    vdev_ok(&dev);
    vq_add(&vq, &v, 1, 0);
    vq_kick(&vq);
    if (vq_wait(&vq, &len) < 0)
        fail("virtio-console", "nothing comes back");
    else
        pass("virtio-console");
}

void guest_main(void)
{
    irq_init();
    data = page_alloc(16);
    header = page_alloc(1);
    status = (volatile uint8_t *)header + 64;
    block();
    read_only();
    entropy();
    console();
}
