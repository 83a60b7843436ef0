/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile-escape: tries to have a device work under rules under which its ring was not checked,
 * with a part of the ring at the very end of RAM, so that the device would read or write what lies
 * behind: another guest's memory. Says "ready", and attacks when a byte comes on the serial port.
 * It notices an escape itself where it can; where it cannot, hostile-victim does. Options: now (do
 * not wait), rounds=N (of each race between two CPUs).
 */
#include <virtio.h>

enum { SIZE = 256, DATA = 0x20000, REQUESTS = 60 };
static struct vdev dev;
static volatile struct vdesc *desc;
static volatile struct vavail *avail;
static volatile struct vused *used;
static uint8_t *ram;            /* headers, status bytes, data */
static volatile uint16_t *last; /* the last 4 bytes of RAM */
static volatile bool stop;

static void set_features(uint64_t f)
{
    mmio_w32(dev.common + VC_GF_SEL, 0);
    mmio_w32(dev.common + VC_GF, (uint32_t)f);
    mmio_w32(dev.common + VC_GF_SEL, 1);
    mmio_w32(dev.common + VC_GF, (uint32_t)(f >> 32));
}

static void status(unsigned s) { mmio_w8(dev.common + VC_STATUS, (uint8_t)s); }
static void notify(void) { mmio_w16(dev.notify, 0); }

static void place(unsigned size, uint64_t at_desc, uint64_t driver, uint64_t device)
{
    mmio_w16(dev.common + VC_Q_SEL, 0);
    mmio_w16(dev.common + VC_Q_SIZE, (uint16_t)size);
    mmio_w64(dev.common + VC_Q_DESC, at_desc);
    mmio_w64(dev.common + VC_Q_DRIVER, driver);
    mmio_w64(dev.common + VC_Q_DEVICE, device);
    mmio_w16(dev.common + VC_Q_MSIX, 0xffff);
    mmio_w16(dev.common + VC_Q_ENABLE, 1);
}

/*
 * Every descriptor alone is a good buffer of 4 bytes; every entry of the available ring is offered.
 */
static void fill(volatile struct vdesc *d, unsigned size, bool packed)
{
    for (unsigned i = 0; i < size; i++) {
        d[i].addr = (uint64_t)ram + 4096 + 4 * i;
        d[i].len = 4;
        d[i].flags = (uint16_t)(packed ? i : VD_WRITE);
        d[i].next = (uint16_t)(packed ? VD_WRITE | VD_AVAIL : 0);
    }
    memset((void *)avail, 0, 4096);
    memset((void *)used, 0, 4096);
    for (unsigned i = 0; i < SIZE; i++)
        avail->ring[i] = (uint16_t)(SIZE - 1 - i);
    avail->idx = SIZE;
}

/* ---- 1: features that change between the enabling of a queue and FEATURES_OK ---- */

struct change {
    const char *name;
    uint64_t first, then;
    unsigned size, driver_len, device_len;
};
static const struct change changes[] = {
    { "packed to split", VF_PACKED, 0, 256, 4, 4 },
    { "packed to split with event index", VF_PACKED, VF_EVENT_IDX, 256, 4, 4 },
    { "packed to split of no power of two", VF_PACKED, 0, 255, 4, 4 },
    { "split to packed", 0, VF_PACKED, 256, 520, 2056 },
    { "event index taken back", VF_EVENT_IDX, 0, 256, 520, 2056 },
    { "packed, event index added", VF_PACKED, VF_PACKED | VF_EVENT_IDX, 256, 4, 4 },
};

static void changed(const struct change *c, bool driver)
{
    uint64_t at_driver = driver ? boot.ram_end - c->driver_len : (uint64_t)avail;
    uint64_t at_device = driver ? (uint64_t)used : boot.ram_end - c->device_len;
    vdev_reset(&dev);
    fill(desc, SIZE, c->then & VF_PACKED);
    last[0] = 0;
    last[1] = driver ? SIZE : 0; /* flags, index: of either ring */
    status(VS_ACK | VS_DRIVER);
    set_features(VF_VERSION_1 | c->first);
    place(c->size, (uint64_t)desc, at_driver, at_device);
    set_features(VF_VERSION_1 | c->then);
    status(VS_ACK | VS_DRIVER | VS_FEATURES_OK);
    status(VS_ACK | VS_DRIVER | VS_FEATURES_OK | VS_DRIVER_OK);
    notify();
    delay_us(3000);
    if (driver && used->idx)
        fail("escape", "%s: the device read 0x%x behind the end of RAM", c->name, used->ring[0].id);
    if (!driver && last[1])
        fail("escape", "%s: the device wrote %u entries at the end of RAM", c->name, last[1]);
}

/* First what reads, then what writes: so that what is read is the neighbour's. */
static void before_features_ok(void)
{
    for (unsigned driver = 2; driver-- > 0;)
        for (unsigned i = 0; i < sizeof changes / sizeof changes[0]; i++)
            changed(&changes[i], driver);
}

/* ---- 2: features and registers that change afterwards ---- */

static void after_enabling(void)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        uint64_t f = VF_VERSION_1 | (packed ? VF_PACKED : 0), end = boot.ram_end;
        volatile struct vdesc *d = (void *)(end - 4096);
        vdev_reset(&dev);
        status(VS_ACK | VS_DRIVER);
        set_features(f);
        status(VS_ACK | VS_DRIVER | VS_FEATURES_OK);
        fill(d, 4, packed);
        place(4, end - 64, packed ? end - 68 : (uint64_t)avail, packed ? end - 72 : (uint64_t)used);
        set_features(f ^ VF_PACKED);
        mmio_w16(dev.common + VC_Q_SIZE, SIZE);
        mmio_w64(dev.common + VC_Q_DEVICE, end - 4);
        mmio_w64(dev.common + VC_Q_DRIVER, end - 4);
        mmio_w64(dev.common + VC_Q_DESC, end - 16);
        mmio_w16(dev.common + VC_Q_ENABLE, 1);
        status(VS_ACK | VS_DRIVER | VS_FEATURES_OK | VS_DRIVER_OK);
        set_features(f ^ VF_PACKED);
        avail->idx = 4;
        for (unsigned i = 0; i < 4; i++)
            avail->ring[i] = (uint16_t)(i == 3 ? SIZE - 1 : i);
        notify();
        delay_us(3000);
    }
}

/* ---- 3 and 4: two CPUs ---- */

/*
 * Offers the disk's reads of 128 KiB, each long enough to be caught in the middle; of other
 * devices, what they make of it.
 */
static void offer_reads(void)
{
    struct {
        uint32_t type, reserved;
        uint64_t sector;
    } *header = (void *)ram;
    *header = (typeof(*header)){ 0, 0, 0 };
    for (unsigned i = 0; i < 3 * REQUESTS; i++) {
        unsigned k = i % 3;
        desc[i].addr = k == 0   ? (uint64_t)ram
                       : k == 1 ? (uint64_t)ram + 0x10000
                                : (uint64_t)ram + 64;
        desc[i].len = k == 0 ? 16 : k == 1 ? DATA : 1;
        desc[i].flags = (uint16_t)i;
        desc[i].next = (uint16_t)((k < 2 ? VD_NEXT : 0) | (k ? VD_WRITE : 0) | VD_AVAIL);
    }
    memset((void *)&desc[3 * REQUESTS], 0, (SIZE - 3 * REQUESTS) * sizeof *desc);
}

/* The other CPU takes PACKED back, again and again, whatever state the device is in. */
static void take_back(void *arg)
{
    (void)arg;
    while (!stop) {
        mmio_w32(dev.common + VC_GF_SEL, 1);
        mmio_w32(dev.common + VC_GF, 1);
    }
}

/* And enables a queue that would fit a packed ring. */
static void replace(void *arg)
{
    (void)arg;
    while (!stop) {
        mmio_w32(dev.common + VC_GF, 5);
        mmio_w64(dev.common + VC_Q_DEVICE, boot.ram_end - 4);
        mmio_w16(dev.common + VC_Q_SIZE, SIZE);
        mmio_w16(dev.common + VC_Q_ENABLE, 1);
        mmio_w32(dev.common + VC_GF, 1);
    }
}

static void race(unsigned rounds, void (*other)(void *), bool reset)
{
    stop = false;
    smp_run(1, other, NULL);
    for (unsigned i = 0; i < rounds; i++) {
        bool driver = i & 1;
        if (!reset)
            vdev_reset(&dev);
        offer_reads();
        last[0] = last[1] = 0;
        status(VS_ACK | VS_DRIVER);
        set_features(VF_VERSION_1 | VF_PACKED);
        status(VS_ACK | VS_DRIVER | VS_FEATURES_OK);
        place(SIZE, (uint64_t)desc, driver ? boot.ram_end - 4 : (uint64_t)avail,
              driver ? (uint64_t)used : boot.ram_end - 4);
        status(VS_ACK | VS_DRIVER | VS_FEATURES_OK | VS_DRIVER_OK);
        notify();
        delay_us(i * 37 % 400);
        if (reset)
            vdev_reset(&dev);
    }
    stop = true;
    smp_wait(1);
}

static void good_request(uint64_t f)
{
    static struct vq vq;
    uint32_t len;
    struct viov in = { (uint64_t)ram, 64 };
    if (!vdev_negotiate(&dev, VF_VERSION_1 | f) || !vq_setup(&dev, &vq, 0, 64)) {
        fail("escape", "the device cannot be set up afterwards");
        return;
    }
    vdev_ok(&dev);
    vq_add(&vq, &in, 0, 1);
    vq_kick(&vq);
    if (vq_wait(&vq, &len) < 0)
        fail("escape", "the device is dead afterwards (status %x)", vdev_status(&dev));
}

static void make_ready(void)
{
    irq_init();
    desc = page_alloc(1);
    avail = page_alloc(1);
    used = page_alloc(1);
    ram = page_alloc(16 + DATA / 4096);
    last = (void *)(boot.ram_end - 4);
    print("ready\n");
    while (!cmdline_has("now") && serial_getc() < 0)
        cpu_pause();
}

void guest_main(void)
{
    unsigned cpus = smp_start(), rounds = (unsigned)cmdline_num("rounds", 100);
    make_ready();
    for (unsigned type = VIRTIO_RNG; type >= VIRTIO_BLK; type -= 2) {
        if (!vdev_find(type, 0, &dev)) {
            fail("escape", "no device of type %u", type);
            continue;
        }
        if (type == VIRTIO_RNG) {
            before_features_ok();
            after_enabling();
        }
        if (cpus > 1) {
            race(rounds, take_back, true);
            race(rounds, replace, false);
        }
        if (type == VIRTIO_RNG) {
            good_request(0);
            good_request(VF_PACKED);
        }
        vdev_reset(&dev);
    }
    if (!failures)
        pass("escape");
}
