/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.c: virtio devices and disks as <hv/state.h> wants them. A device that stands still
 * takes no buffer; what it had taken is done first, unless the guest has taken bus mastering away:
 * then it waits, and the device cannot be saved. So no request is part of a state: when it moves
 * again, each queue is looked at.
 */
#include <hv/disk.h>
#include <hv/log.h>
#include <hv/state.h>
#include <hv/vm.h>
#include <stdio.h>
#include <string.h>
#include "vio.h"

#define VIRTIO_STATE_VERSION 4
struct virtio_saved {
    struct virtio_state s;
    uint32_t reset_queues, zero;
    uint8_t own[VIRTIO_OWN]; /* virtio_ops.save */
};
static_assert(sizeof(struct vq_state) == 40, "a saved state");
static_assert(sizeof(struct virtio_state) == 712, "a saved state");
static_assert(sizeof(struct virtio_saved) == 1440, "a saved state");

static uint32_t devices(const struct vm *vm) { return vm->vio ? vm->vio->ndevs : 0; }

static size_t dev_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct virtio_saved);
}

static int dev_quiesce(struct vm *vm, uint32_t i) { return virtio_hold(vm->vio->dev[i]); }

static int dev_save(struct vm *vm, uint32_t i, void *buf)
{
    struct virtio_dev *d = vm->vio->dev[i];
    struct virtio_saved *s = buf;

    if (virtio_live(d) && d->ops->busy && d->ops->busy(d))
        return -EBUSY;
    spin_lock(&d->lock);
    s->s = d->s;
    s->reset_queues = __atomic_load_n(&d->reset_queues, __ATOMIC_ACQUIRE);
    spin_unlock(&d->lock);
    if (d->ops->save)
        d->ops->save(d, s->own);
    return 0;
}

/* ---- restoring ---- */

static bool vector_valid(const struct virtio_dev *d, uint16_t v)
{
    return v < d->pci.nmsix || v == VIRTIO_NO_VECTOR;
}

static bool queue_valid(const struct virtio_dev *d, const struct virtio_saved *s, unsigned i)
{
    const struct vq_state *q = &s->s.vq[i]; /* nospec: a loop's own */
    bool packed = s->s.driver_features >> VIRTIO_F_RING_PACKED & 1;

    if (i >= d->nqueues)
        return memcmp(q, &d->s.vq[i], sizeof *q) == 0; /* nospec: a loop's own */
    return q->size >= 1 && q->size <= VQ_SIZE_MAX && vector_valid(d, q->vector) &&
           q->enabled <= 1 && q->avail_wrap <= 1 && q->used_wrap <= 1 &&
           state_all_zero(q->pad, sizeof q->pad) &&
           (!q->enabled || (s->s.status & VIRTIO_FEATURES_OK)) &&
           !(q->enabled && s->reset_queues >> i & 1) &&
           (!packed || (q->next_avail < q->size && q->next_used < q->size));
}

static bool status_valid(const struct virtio_dev *d, const struct virtio_state *s)
{
    const unsigned all = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_DRIVER_OK |
                         VIRTIO_FEATURES_OK | VIRTIO_NEEDS_RESET | VIRTIO_FAILED;

    if (s->status & ~all || ((s->status & VIRTIO_DRIVER_OK) && !(s->status & VIRTIO_FEATURES_OK)))
        return false;
    return !(s->status & VIRTIO_FEATURES_OK) ||
           (!(s->driver_features & ~d->features) && (s->driver_features >> VIRTIO_F_VERSION_1 & 1));
}

static bool dev_valid(const struct virtio_dev *d, const struct virtio_saved *s)
{
    for (unsigned i = 0; i < VIRTIO_QUEUES; i++)
        if (!queue_valid(d, s, i))
            return false;
    return s->s.version == d->s.version && !s->s.pad && !s->s.pad1 && !s->zero &&
           status_valid(d, &s->s) && vector_valid(d, s->s.config_vector) &&
           !(s->reset_queues >> d->nqueues) &&
           (!s->reset_queues || (s->s.status & VIRTIO_DRIVER_OK));
}

static int dev_restore(struct vm *vm, uint32_t i, const void *buf)
{
    struct virtio_dev *d = vm->vio->dev[i];
    const struct virtio_saved *s = buf;

    if (!dev_valid(d, s))
        return -EINVAL;
    if (d->ops->restore ? d->ops->restore(d, s->own) : !state_all_zero(s->own, sizeof s->own))
        return -EINVAL;
    return virtio_put_state(d, &s->s, s->reset_queues);
}

static void dev_resume(struct vm *vm, uint32_t i) { virtio_release(vm->vio->dev[i]); }

const struct state_ops vio_dev_ops = { .name = "virtio device",
                                       .kind = STATE_VIRTIO,
                                       .version = VIRTIO_STATE_VERSION,
                                       .count = devices,
                                       .quiesce = dev_quiesce,
                                       .size = dev_size,
                                       .save = dev_save,
                                       .restore = dev_restore,
                                       .resume = dev_resume };

/* ---- disks ---- */

/*
 * Of a RAM disk: which pieces are gone; the others that are not the file's are pages. What is on a
 * disk of the host stays there: a state fits it as long as nothing is written to it.
 */
struct volume_saved {
    uint64_t changes, sectors;
    char name[32];
};
static_assert(sizeof(struct volume_saved) == 48, "a saved state");
static_assert(sizeof(((struct blk_dev *)0)->name) == 32, "a saved state");

static uint32_t vio_disks(const struct vm *vm) { return vm->vio ? VIO_DISKS : 0; }

static struct blk_dev *ramdisk(const struct vm *vm, uint32_t i)
{
    return vm->vio->volume[i] ? NULL : vm->vio->disk[i];
}

static size_t disk_size(const struct vm *vm, uint32_t i)
{
    if (vm->vio->volume[i])
        return sizeof(struct volume_saved);
    return vm->vio->disk[i] ? ramdisk_state_size(vm->vio->disk[i]) : 0;
}

static void volume_save(const struct volume *v, struct volume_saved *s)
{
    *s = (struct volume_saved){ .changes = volume_changes(v), .sectors = v->blk.sectors };
    snprintf(s->name, sizeof s->name, "%s", v->blk.name);
}

static int disk_save(struct vm *vm, uint32_t i, void *buf)
{
    const struct volume *v = vm->vio->volume[i];

    if (!v) {
        ramdisk_save(ramdisk(vm, i), buf);
        return 0;
    }
    volume_save(v, buf);
    if (!v->blk.ro)
        log_info("%s: %s is a disk of the host: the guest can be restored until something is "
                 "written to it",
                 vm->config->name, v->blk.name);
    return 0;
}

/* The volume is open, so that nobody else writes to it from here on. */
static int volume_restore(struct vm *vm, const struct volume *v, const struct volume_saved *s)
{
    struct volume_saved now;

    volume_save(v, &now);
    if (s->sectors != now.sectors || memcmp(s->name, now.name, sizeof now.name) != 0)
        return -EINVAL;
    if (s->changes == now.changes)
        return 0;
    snprintf(vm->why, sizeof vm->why, "%s was written to since the guest was saved", v->blk.name);
    return -EPERM;
}

static int disk_restore(struct vm *vm, uint32_t i, const void *buf)
{
    return ramdisk(vm, i) ? ramdisk_restore(ramdisk(vm, i), buf)
                          : volume_restore(vm, vm->vio->volume[i], buf);
}

const struct state_ops vio_disk_ops = { .name = "disk",
                                        .kind = STATE_RAMDISK,
                                        .version = 1,
                                        .count = vio_disks,
                                        .size = disk_size,
                                        .save = disk_save,
                                        .restore = disk_restore };

static const void *disk_next(struct vm *vm, uint32_t i, uint64_t *page)
{
    return ramdisk(vm, i) ? ramdisk_page(ramdisk(vm, i), page) : NULL;
}

static int disk_put(struct vm *vm, uint32_t i, uint64_t page, const void *from)
{
    return ramdisk(vm, i) ? ramdisk_put(ramdisk(vm, i), page, from) : -EINVAL;
}

const struct state_pages vio_disk_pages = { .name = "RAM disk",
                                            .kind = STATE_RAMDISK,
                                            .count = vio_disks,
                                            .next = disk_next,
                                            .put = disk_put };
