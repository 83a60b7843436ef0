/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench-disk: what a read from a virtio disk costs, in TSC ticks, guest and hypervisor together:
 * split ring, indirect descriptors, MSI-X; the CPU halts when it has nothing to do. Option:
 * rounds=N requests; only=I: nothing but the stream of that number, from 1. Prints `bench NAME
 * TICKS` for each.
 */
#include <virtio.h>

#define SECTOR 512
#define VIRTIO_BLK_T_IN 0 /* virtio 1.2 5.2.6 */
enum { DEEPEST = 8 };

struct blk_header {
    uint32_t type, reserved;
    uint64_t sector;
};
struct slot {
    struct blk_header header;
    uint8_t status;
} __attribute__((aligned(64)));

static struct vdev dev;
static struct vq vq;
static struct slot slots[DEEPEST];
static uint8_t data[DEEPEST][65536] __attribute__((aligned(4096)));
static unsigned slot_of[256];

static void on_msi(void) {}

static void submit(unsigned slot, uint32_t bytes, uint64_t n)
{
    struct slot *s = &slots[slot];
    struct viov iov[3] = { { (uint64_t)&s->header, 16 },
                           { (uint64_t)data[slot], bytes },
                           { (uint64_t)&s->status, 1 } };

    s->header = (struct blk_header){ VIRTIO_BLK_T_IN, 0, n * bytes / SECTOR % 8192 };
    s->status = 0xff;
    int id = vq_add(&vq, iov, 1, 2);
    if (id < 0)
        fail("bench-disk", "the ring is full");
    slot_of[id] = slot;
}

/* Takes what is done and asks for as much again; false: nothing was done. */
static bool turn(uint32_t bytes, uint64_t all, uint64_t *asked, uint64_t *done)
{
    uint64_t before = *done, was = *asked;
    uint32_t len;
    int id;

    while ((id = vq_poll(&vq, &len)) >= 0) {
        if (slots[slot_of[id]].status)
            fail("bench-disk", "status %u", slots[slot_of[id]].status);
        ++*done;
        if (*asked < all)
            submit(slot_of[id], bytes, (*asked)++);
    }
    if (*asked != was)
        vq_kick(&vq);
    return *done != before;
}

static void stream(const char *name, uint32_t bytes, unsigned depth, uint64_t all)
{
    uint64_t asked, done = 0, t = rdtsc();

    for (asked = 0; asked < depth; asked++)
        submit((unsigned)asked, bytes, asked);
    vq_kick(&vq);
    while (done < all)
        if (!turn(bytes, all, &asked, &done))
            cpu_sti_hlt_cli();
    print("bench %s %lu\n", name, (rdtsc() - t) / all);
}

static const struct {
    const char *name;
    uint32_t bytes;
    unsigned depth, share; /* share: this fraction of the rounds */
} streams[] = {
    { "512-depth-1", 512, 1, 1 },
    { "512-depth-8", 512, 8, 1 },
    { "4k-depth-8", 4096, 8, 1 },
    { "64k-depth-8", 65536, 8, 8 },
};

void guest_main(void)
{
    uint64_t n = cmdline_num("rounds", 2000), only = cmdline_num("only", 0);

    time_init();
    apic_init_cpu();
    pic_mask_all();
    if (!vdev_find(VIRTIO_BLK, 0, &dev) || !vdev_negotiate(&dev, VF_VERSION_1 | VF_INDIRECT) ||
        !vq_setup(&dev, &vq, 0, 256))
        fail("bench-disk", "no disk");
    vdev_msix(&dev, &vq, 0, on_msi);
    vdev_ok(&dev);
    stream("warm-up", 4096, 8, 500);
    for (unsigned i = 0; i < sizeof streams / sizeof streams[0]; i++)
        if (!only || only == i + 1)
            stream(streams[i].name, streams[i].bytes, streams[i].depth, n / streams[i].share);
    pass("bench-disk");
}
