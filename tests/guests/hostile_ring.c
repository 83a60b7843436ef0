/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile-ring: malformed rings and registers for every virtio device that is there, split and
 * packed. The device may stop (NEEDS_RESET) or ignore; after a reset it must serve a good request
 * again. Options: seed=N, rounds=N (random part), type=N.
 */
#include <virtio.h>

static struct vdev dev;
static struct vq vq;
static uint8_t *ram; /* 64 KiB of good memory */
static uint32_t seed;
static unsigned type;
static uint64_t features;

static uint32_t rnd(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8 ^ seed << 16;
}

/*
 * The first three also where QEMU alone is the machine: its devices can write to its APIC. Devices
 * of both machines.
 */
static const uint64_t bad_addr[] = { 0,
                                     1,
                                     0x100000000,
                                     0xa0000,
                                     0xf0000,
                                     0xc0000000,
                                     0xe0000000,
                                     0xfec00000,
                                     0xfee00000,
                                     0xfee00300,
                                     0xfffff000,
                                     0xffffffff,
                                     0x8000000,
                                     0x8090040,
                                     0x80a0000,
                                     0x9000000,
                                     0x90f0000,
                                     0x10000000,
                                     0x20000000,
                                     0x3fffffff,
                                     0xfffffffff000,
                                     0x7fffffffffffffff,
                                     0x8000000000000000,
                                     0xfffffffffffff000,
                                     0xffffffffffffffff,
                                     0xfffffffffffffff1 };
#define NBAD (cmdline_has("emulator") ? 3u : (unsigned)(sizeof bad_addr / sizeof bad_addr[0]))

static uint64_t wild(void)
{
    unsigned k = rnd() % (NBAD + 6);
    return k < NBAD    ? bad_addr[k]
           : k == NBAD ? boot.ram_end - (rnd() & 0xfff)
                       : (uint64_t)ram + (rnd() & 0xffff);
}

static bool setup(uint64_t want)
{
    bool ok = vdev_negotiate(&dev, VF_VERSION_1 | want) &&
              vq_setup(&dev, &vq, type == VIRTIO_CONSOLE ? 1 : 0, 64);
    vdev_ok(&dev);
    return ok;
}

/*
 * Rings are made anew for each attack: page_alloc() gives nothing back, so reuse what the first
 * set-up made.
 */
static uint64_t rings[4];
static void keep_rings(void)
{
    rings[0] = (uint64_t)vq.desc;
    rings[1] = vq.packed ? (uint64_t)vq.driver_event : (uint64_t)vq.avail;
    rings[2] = vq.packed ? (uint64_t)vq.device_event : (uint64_t)vq.used;
    rings[3] = (uint64_t)vq.tables;
}

static void fresh(void)
{
    vdev_reset(&dev);
    vdev_negotiate(&dev, VF_VERSION_1 | features);
    memset((void *)rings[0], 0, 4096);
    memset((void *)rings[1], 0, 4096);
    memset((void *)rings[2], 0, 4096);
    uint16_t index = vq.index;
    mmio_w16(dev.common + VC_Q_SEL, index);
    mmio_w16(dev.common + VC_Q_SIZE, 64);
    mmio_w64(dev.common + VC_Q_DESC, rings[0]);
    mmio_w64(dev.common + VC_Q_DRIVER, rings[1]);
    mmio_w64(dev.common + VC_Q_DEVICE, rings[2]);
    mmio_w16(dev.common + VC_Q_MSIX, 0xffff);
    mmio_w16(dev.common + VC_Q_ENABLE, 1);
    vq.size = vq.free = 64;
    vq.last_used = vq.next = 0;
    vq.wrap = vq.used_wrap = true;
    for (unsigned i = 0; i < 64 && !vq.packed; i++)
        vq.desc[i].next = (uint16_t)(i + 1);
    vdev_ok(&dev);
}

static bool good_request(void)
{
    uint32_t len;
    struct viov iov[3] = { { (uint64_t)ram, 16 },
                           { (uint64_t)ram + 4096, 512 },
                           { (uint64_t)ram + 64, 1 } };
    memset(ram, 0, 64);
    ram[64] = 0xee;
    if (type == VIRTIO_BLK)
        vq_add(&vq, iov, 1, 2);
    else if (type == VIRTIO_RNG)
        vq_add(&vq, iov + 1, 0, 1);
    else
        vq_add(&vq, iov, 1, 0);
    vq_kick(&vq);
    return vq_wait(&vq, &len) >= 0 && (type != VIRTIO_BLK || ram[64] == 0);
}

static void kick(void)
{
    mmio_w16(vq.notify, vq.index);
    delay_us(50);
}

/* Makes the first n descriptors available as one chain from 0. */
static void offer(unsigned n)
{
    if (vq.packed) {
        for (unsigned i = n; i-- > 0;)
            vq.desc[i].next = (uint16_t)((vq.desc[i].next & ~(VD_USED | VD_AVAIL)) | VD_AVAIL);
    } else {
        vq.avail->ring[0] = 0;
        vq.avail->idx = 1;
    }
    kick();
}

static void set(unsigned i, uint64_t addr, uint32_t len, unsigned flags, unsigned next)
{
    vq.desc[i].addr = addr;
    vq.desc[i].len = len;
    vq.desc[i].flags = (uint16_t)(vq.packed ? i : flags);
    vq.desc[i].next = (uint16_t)(vq.packed ? flags : next);
}

/* ---- attacks; each leaves the device in whatever state ---- */

static void a_loops(void)
{
    for (unsigned len = 1; len <= 64; len = len * 3 + 1) {
        fresh();
        for (unsigned i = 0; i < 64; i++)
            set(i, (uint64_t)ram, 16, VD_NEXT | (i & 1 ? VD_WRITE : 0),
                (i + 1) % (len > 64 ? 64 : len));
        offer(64);
    }
}

static void a_heads(void)
{
    static const uint16_t head[] = { 64, 65, 0x7fff, 0x8000, 0xffff };
    for (unsigned i = 0; i < 5; i++) {
        fresh();
        set(0, (uint64_t)ram, 16, VD_NEXT, head[i]);
        set(1, (uint64_t)ram, 16, 0, head[i]);
        if (!vq.packed)
            vq.avail->ring[0] = head[i];
        offer(1);
        fresh();
        set(0, (uint64_t)ram, 16, VD_NEXT, head[i]);
        offer(1);
    }
}

static void a_index(void)
{
    static const uint16_t idx[] = { 65, 100, 0x7fff, 0x8000, 0xffff };
    for (unsigned i = 0; i < 5; i++) {
        fresh();
        for (unsigned k = 0; k < 64; k++)
            set(k, (uint64_t)ram, 16, rnd() & 3, rnd() % 64);
        if (vq.packed)
            offer(64);
        else
            vq.avail->idx = idx[i];
        kick();
        if (!vq.packed)
            vq.avail->idx = 0;
        kick();
    }
}

static void a_lengths(void)
{
    static const uint32_t len[] = { 0, 1, 15, 17, 0x7fffffff, 0x80000000, 0xffffffff };
    for (unsigned i = 0; i < 7; i++)
        for (unsigned where = 0; where < 3; where++) {
            fresh();
            set(0, (uint64_t)ram, where == 0 ? len[i] : 16, VD_NEXT, 1);
            set(1, (uint64_t)ram + 4096, where == 1 ? len[i] : 512, VD_NEXT | VD_WRITE, 2);
            set(2, (uint64_t)ram + 64, where == 2 ? len[i] : 1, VD_WRITE, 0);
            offer(3);
        }
}

static void a_addresses(void)
{
    for (unsigned i = 0; i < NBAD + 2; i++)
        for (unsigned where = 0; where < 3; where++) {
            uint64_t a = i < NBAD ? bad_addr[i] : boot.ram_end - (i == NBAD ? 1 : 511);
            fresh();
            set(0, where == 0 ? a : (uint64_t)ram, 16, VD_NEXT, 1);
            set(1, where == 1 ? a : (uint64_t)ram + 4096, 4096, VD_NEXT | VD_WRITE, 2);
            set(2, where == 2 ? a : (uint64_t)ram + 64, 1, VD_WRITE, 0);
            offer(3);
        }
}

static void a_order(void)
{
    static const uint8_t flags[][4] = { { VD_WRITE, 0, VD_WRITE },
                                        { 0, 0, 0 },
                                        { VD_WRITE, VD_WRITE, VD_WRITE },
                                        { VD_WRITE, VD_WRITE, 0 },
                                        { 0, VD_WRITE, 0 } };
    for (unsigned i = 0; i < 5; i++) {
        fresh();
        for (unsigned k = 0; k < 3; k++)
            set(k, (uint64_t)ram + k * 1024, 512, flags[i][k] | (k < 2 ? VD_NEXT : 0u), k + 1);
        offer(3);
    }
    fresh();
    for (unsigned k = 0; k < 64; k++)
        set(k, (uint64_t)ram + k, 1, VD_NEXT | (k >= 32 ? VD_WRITE : 0), k + 1);
    offer(64);
}

static void a_indirect(void)
{
    struct vdesc *t = (void *)rings[3];
    static const uint32_t len[] = { 0, 1, 15, 16, 17, 31, 4096, 0x100000, 0xfffffff0, 0xffffffff };
    for (unsigned i = 0; i < 10; i++)
        for (unsigned kind = 0; kind < 6; kind++) {
            fresh();
            for (unsigned k = 0; k < 256; k++)
                t[k] = (struct vdesc){ (uint64_t)ram, 16, VD_NEXT,
                                       (uint16_t)(kind == 1   ? 0
                                                  : kind == 2 ? 0xffff
                                                              : k + 1) };
            if (kind == 3)
                t[0].flags = t[0].next = VD_INDIRECT;
            set(0, kind == 4 ? wild() : (uint64_t)t + (kind == 5), len[i],
                VD_INDIRECT | (kind == 3 ? VD_NEXT : 0) | (kind == 2 ? VD_WRITE : 0), 1);
            set(1, (uint64_t)t, 64, VD_INDIRECT, 0);
            offer(1);
        }
}

/* The device's own rings as the data it reads and writes. */
static void a_self(void)
{
    for (unsigned i = 0; i < 3; i++) {
        fresh();
        set(0, (uint64_t)ram, 16, VD_NEXT, 1);
        set(1, rings[i], 4096, VD_NEXT | VD_WRITE, 2);
        set(2, rings[i] + 16, 1, VD_WRITE, 0);
        offer(3);
        kick();
    }
}

static void a_queue_registers(void)
{
    for (unsigned i = 0; i < 60; i++) {
        static const uint16_t size[] = { 0, 1, 3, 63, 64, 65, 256, 257, 1024, 32768, 32769, 65535 };
        vdev_negotiate(&dev, VF_VERSION_1 | features);
        mmio_w16(dev.common + VC_Q_SEL, i % 7 == 0 ? (uint16_t)rnd() : vq.index);
        mmio_w16(dev.common + VC_Q_SIZE, size[i % 12]);
        mmio_w64(dev.common + VC_Q_DESC, i % 3 ? rings[0] : wild());
        mmio_w64(dev.common + VC_Q_DRIVER, i % 3 == 1 ? wild() : rings[1]);
        mmio_w64(dev.common + VC_Q_DEVICE, i % 3 == 2 ? wild() : rings[2]);
        mmio_w16(dev.common + VC_Q_MSIX, (uint16_t)rnd());
        mmio_w16(dev.common + VC_Q_ENABLE, i % 5 ? 1 : (uint16_t)rnd());
        vdev_ok(&dev);
        kick();
    }
}

/* Registers changed under a running device, and resets in the middle of requests. */
static void a_live(void)
{
    for (unsigned i = 0; i < 40; i++) {
        fresh();
        set(0, (uint64_t)ram, 16, VD_NEXT, 1);
        set(1, (uint64_t)ram + 4096, 32768, VD_NEXT | VD_WRITE, 2);
        set(2, (uint64_t)ram + 64, 1, VD_WRITE, 0);
        if (vq.packed)
            for (unsigned k = 3; k-- > 0;)
                vq.desc[k].next |= VD_AVAIL;
        else
            vq.avail->idx = 1;
        mmio_w16(vq.notify, vq.index);
        if (i % 4 == 0)
            mmio_w8(dev.common + VC_STATUS, 0);
        else if (i % 4 == 1)
            mmio_w64(dev.common + VC_Q_DESC, wild());
        else if (i % 4 == 2)
            pci_write(dev.pci, 4, 2, 0);
        else
            mmio_w16(dev.common + VC_Q_ENABLE, 0);
        delay_us(i * 10);
        pci_write(dev.pci, 4, 2, 6);
    }
}

static void a_status(void)
{
    for (unsigned i = 0; i < 600; i++) {
        mmio_w8(dev.common + VC_STATUS, (uint8_t)rnd());
        if (i % 8 == 0)
            mmio_w32(dev.common + VC_GF, rnd());
        mmio_w16(vq.notify, vq.index);
    }
    vdev_reset(&dev);
    mmio_w16(vq.notify, vq.index);
    mmio_w8(dev.common + VC_STATUS, VS_DRIVER_OK);
    kick();
}

/* Any size at any address. Where the machine answers with a fault, the fault is an answer. */
struct touch {
    uint64_t a, v;
    unsigned size;
    bool write;
};
static void touch(void *arg)
{
    struct touch *t = arg;
    if (!t->write)
        (void)(t->size == 4 ? mmio_r32(t->a) : mmio_r64(t->a));
    else
        mmio_write(t->a, t->size, t->v);
}

static void a_registers(void)
{
    static const struct {
        unsigned size;
        bool write;
    } forms[] = { { 4, false }, { 8, false }, { 1, true }, { 2, true }, { 4, true }, { 8, true } };
    for (unsigned i = 0; i < 4000; i++) {
        uint64_t base = i % 4 == 0                 ? dev.notify
                        : i % 4 == 1               ? dev.isr
                        : i % 4 == 2 && dev.config ? dev.config
                                                   : dev.common,
                 a = base + (rnd() & 0x7f);
        if (base == dev.common && (a - base) / 4 == VC_STATUS / 4)
            continue;
        for (unsigned k = 0; k < 6; k++) {
            struct touch t = { a, (uint64_t)rnd() << 32 | rnd(), forms[k].size, forms[k].write };
            if (rnd() & 1)
                trap_try(touch, &t);
        }
    }
    for (unsigned i = 0; i < 20000; i++)
        mmio_w16(vq.notify, (uint16_t)(i & 1 ? i : vq.index));
}

/*
 * The window to the BARs in configuration space (virtio 1.2 4.1.4.9): any BAR, offset and length.
 */
static void a_config_window(void)
{
    for (unsigned c = pci_cap(dev.pci, 9, 0); c; c = pci_cap(dev.pci, 9, c)) {
        if (pci_read(dev.pci, c + 3, 1) != 5)
            continue;
        for (unsigned i = 0; i < 500; i++) {
            static const uint32_t len[] = { 0, 1, 2, 4, 3, 8, 0xffffffff };
            pci_write(dev.pci, c + 4, 1, rnd() % 7);
            pci_write(dev.pci, c + 8, 4, i & 1 ? rnd() & 0x3fff : rnd());
            pci_write(dev.pci, c + 12, 4, len[rnd() % 7]);
            pci_read(dev.pci, c + 16, 4);
            if (rnd() & 1)
                pci_write(dev.pci, c + 16, 4, 0);
        }
    }
}

static void a_random(void)
{
    for (uint64_t n = 0; n < cmdline_num("rounds", 300); n++) {
        if (n % 8 == 0 || (vdev_status(&dev) & VS_NEEDS_RESET))
            fresh();
        for (unsigned i = 0; i < 64; i++) {
            uint32_t l = rnd() & 1 ? rnd() & 0xfff : rnd() & 3 ? rnd() & 0x1ffff : rnd();
            set(i, wild(), l, rnd() & 7, rnd() & 3 ? rnd() & 63 : rnd() & 0xffff);
            if (vq.packed && rnd() & 1)
                vq.desc[i].next |= VD_AVAIL;
        }
        if (!vq.packed) {
            for (unsigned i = 0; i < 64; i++)
                vq.avail->ring[i] = (uint16_t)(rnd() & 15 ? rnd() & 63 : rnd());
            vq.avail->idx = (uint16_t)(vq.avail->idx + (rnd() & 15));
            vq.avail->flags = (uint16_t)rnd();
        } else {
            *(volatile uint32_t *)vq.driver_event = rnd();
        }
        kick();
    }
}

static void a_requests(void)
{
    if (type != VIRTIO_BLK)
        return;
    static const uint32_t types[] = { 0, 1, 4, 8, 11, 13, 2, 0xffffffff };
    for (unsigned i = 0; i < 200; i++) {
        fresh();
        for (unsigned k = 0; k < 64; k++)
            ((uint32_t *)ram)[k + 1024] = i & 1 ? rnd() : rnd() & 0xfff;
        ((uint32_t *)ram)[0] = types[i % 8];
        ((uint64_t *)ram)[1] = i % 3 ? rnd() % 4096 : UINT64_MAX - (rnd() & 0xfff);
        bool out = i & 8;
        set(0, (uint64_t)ram, 16, VD_NEXT, 1);
        set(1, (uint64_t)ram + 4096, rnd() & 0xfff, VD_NEXT | (out ? 0 : VD_WRITE), 2);
        set(2, (uint64_t)ram + 64, 1, VD_WRITE, 0);
        offer(3);
    }
}

static const struct {
    const char *name;
    void (*fn)(void);
} attacks[] = {
    { "loops", a_loops },
    { "heads", a_heads },
    { "index", a_index },
    { "lengths", a_lengths },
    { "addresses", a_addresses },
    { "order", a_order },
    { "indirect", a_indirect },
    { "own rings", a_self },
    { "queue registers", a_queue_registers },
    { "live", a_live },
    { "status", a_status },
    { "registers", a_registers },
    { "window", a_config_window },
    { "random", a_random },
    { "requests", a_requests },
};

static void attack_device(const char *what, uint64_t f)
{
    features = f;
    if (!setup(f)) {
        fail("hostile-ring", "%s: cannot be set up", what);
        return;
    }
    keep_rings();
    unsigned before = failures;
    for (unsigned i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
        if (cmdline_has("verbose"))
            print("%s: %s\n", what, attacks[i].name);
        attacks[i].fn();
        pci_write(dev.pci, 4, 2, 6);
        fresh();
        if (!good_request())
            fail("hostile-ring", "%s: dead after %s (status %x)", what, attacks[i].name,
                 vdev_status(&dev));
    }
    vdev_reset(&dev);
    if (failures == before)
        print("PASS hostile-ring %s\n", what);
}

void guest_main(void)
{
    static const struct {
        unsigned type;
        const char *split, *packed;
    } kinds[] = {
        { VIRTIO_RNG, "rng split", "rng packed" },
        { VIRTIO_CONSOLE, "console split", "console packed" },
        { VIRTIO_BLK, "blk split", "blk packed" },
    };
    seed = (uint32_t)cmdline_num("seed", 1);
    irq_init();
    ram = page_alloc(16);
    for (unsigned i = 0; i < 3; i++) {
        type = kinds[i].type;
        if (cmdline_num("type", type) != type || !vdev_find(type, 0, &dev))
            continue;
        attack_device(kinds[i].split, VF_INDIRECT | VF_EVENT_IDX);
        if (vdev_features(&dev) & VF_PACKED)
            attack_device(kinds[i].packed, VF_INDIRECT | VF_PACKED);
    }
}
