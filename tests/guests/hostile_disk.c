/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile-disk: takes all that a disk gives. Modes: "sparse" writes a sector in each 64 KiB of the
 * whole disk, over and over while `rounds` last, until its limit refuses; "zeroes" asks for ranges
 * of zeroes without end. Afterwards the disk must still serve reads.
 */
#include "lib/virtio.h"

enum { T_IN = 0, T_OUT = 1, T_ZEROES = 13, RANGES = 16, SLOTS = 60 };
struct blk_header {
    uint32_t type, reserved;
    uint64_t sector;
};
struct range {
    uint64_t sector;
    uint32_t sectors, flags;
};

static struct vdev dev;
static struct vq vq;
static struct blk_header header __attribute__((aligned(16)));
static struct range ranges[RANGES];
static uint8_t data[512], status[SLOTS];
static uint64_t capacity;

static int transfer(uint32_t type, uint64_t sector)
{
    struct viov iov[3] = { { (uint64_t)&header, 16 },
                           { (uint64_t)data, sizeof data },
                           { (uint64_t)status, 1 } };
    uint32_t got;

    header = (struct blk_header){ type, 0, sector };
    status[0] = 0xee;
    if (vq_add(&vq, iov, type == T_OUT ? 2 : 1, type == T_OUT ? 1 : 2) < 0)
        return -1;
    vq_kick(&vq);
    return vq_wait(&vq, &got) < 0 ? -1 : ((volatile uint8_t *)status)[0];
}

static void sparse(uint64_t rounds)
{
    unsigned written = 0, refused = 0, lost = 0;

    for (uint64_t r = 0; r < rounds; r++) {
        for (uint64_t s = 0; s < capacity; s += 128) {
            int st = transfer(T_OUT, s);

            written += st == 0;
            refused += st == 1;
            lost += st != 0 && st != 1;
        }
    }
    print("disk: %u written, %u refused\n", written, refused);
    if (lost)
        fail("hostile-disk", "%u writes had no answer", lost);
}

static void zeroes(uint64_t rounds)
{
    uint32_t got;

    for (unsigned i = 0; i < RANGES; i++)
        ranges[i] = (struct range){ 1 + 128 * i, 126, 0 };
    header = (struct blk_header){ T_ZEROES, 0, 0 };
    for (uint64_t r = 0; r < rounds; r++) {
        for (unsigned i = 0; i < SLOTS; i++) {
            struct viov iov[3] = { { (uint64_t)&header, 16 },
                                   { (uint64_t)ranges, sizeof ranges },
                                   { (uint64_t)&status[i], 1 } };

            if (vq_add(&vq, iov, 2, 1) < 0)
                fail("hostile-disk", "no room in the ring");
        }
        vq_kick(&vq);
        for (unsigned i = 0; i < SLOTS; i++)
            (void)vq_wait(&vq, &got);
    }
}

void guest_main(void)
{
    uint64_t rounds = cmdline_num("rounds", 1);

    if (!vdev_find(VIRTIO_BLK, 0, &dev) || !vdev_negotiate(&dev, VF_VERSION_1) ||
        !vq_setup(&dev, &vq, 0, 256)) {
        fail("hostile-disk", "no disk");
        return;
    }
    vdev_ok(&dev);
    capacity = mmio_r64(dev.config);
    if (cmdline_has("zeroes"))
        zeroes(rounds);
    else
        sparse(rounds);
    if (transfer(T_IN, 0) == 0)
        pass("hostile-disk");
    else
        fail("hostile-disk", "it reads nothing afterwards");
}
