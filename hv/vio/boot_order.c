/* SPDX-License-Identifier: BSD-2-Clause */
/* boot_order.c: see <hv/boot_order.h>. */
#include <hv/assert.h>
#include <hv/boot_order.h>
#include <hv/pci.h>
#include <hv/vm.h>
#include <stdio.h>
#include <string.h>
#include "vio.h"

enum { VIRTIO_NET = 1, VIRTIO_BLK = 2 };              /* virtio 1.2 §5 */
enum { CLASS_BASE = 0x0b, STORAGE = 1, NETWORK = 2 }; /* PCI Code and ID Assignment §1 */
#define LINE_MAX_BYTES (BOOT_ORDER_MAX / BOOT_DEVICES)

/* ---- the file ---- */

/* The line of a device; the longest is far below LINE_MAX_BYTES. */
static uint32_t boot_line(const struct boot_device *d, char *out)
{
    int n;

    if (d->passed)
        n = snprintf(out, LINE_MAX_BYTES, "/pci@i0cf8/pci%x,%x@%x\n", d->id[0], d->id[1], d->slot);
    else if (d->kind == BOOT_NET)
        n = snprintf(out, LINE_MAX_BYTES, "/pci@i0cf8/ethernet@%x/ethernet-phy@0\n", d->slot);
    else
        n = snprintf(out, LINE_MAX_BYTES, "/pci@i0cf8/scsi@%x/disk@0,0\n", d->slot);
    hv_assert(n > 0 && n < LINE_MAX_BYTES);
    return (uint32_t)n;
}

/* The devices that one word names, without those that were written already. */
static uint32_t boot_word(const struct guest_boot *word, const struct boot_device *d,
                          unsigned ndevs, uint32_t *written, char *out)
{
    unsigned nth = 0;
    uint32_t len = 0;

    for (unsigned i = 0; i < ndevs; i++) {
        if (d[i].kind != word->kind || (++nth != word->nth && word->nth) || *written >> i & 1)
            continue;
        *written |= 1u << i;
        len += boot_line(&d[i], out + len);
    }
    return len;
}

uint32_t boot_order_write(const struct guest_boot *order, unsigned n, const struct boot_device *d,
                          unsigned ndevs, char *out)
{
    uint32_t written = 0, len = 0;

    hv_assert(ndevs <= BOOT_DEVICES);
    for (unsigned i = 0; i < n; i++)
        len += boot_word(&order[i], d, ndevs, &written, out + len);
    if (len)
        out[len - 1] = '\0'; /* in place of the last end of line */
    return len;
}

/* ---- a guest's devices ---- */

static unsigned own_devices(const struct vm *vm, struct boot_device *out)
{
    const struct guest_disk *disk = vm->config->disk;
    const struct vio *v = vm->vio;
    unsigned n = 0;

    for (unsigned i = 0; i < v->ndevs; i++) {
        const struct virtio_dev *d = v->dev[i];

        if (d->ops->id == VIRTIO_NET)
            out[n++] = (struct boot_device){ .kind = BOOT_NET, .slot = d->pci.slot };
        if (d->ops->id != VIRTIO_BLK)
            continue;
        if (disk->source != DISK_CLOUD_INIT)
            out[n++] = (struct boot_device){ .kind = disk->cdrom ? BOOT_CDROM : BOOT_DISK,
                                             .slot = d->pci.slot };
        disk++;
    }
    return n;
}

static bool is_own(const struct vio *v, const struct vpci_dev *d)
{
    for (unsigned i = 0; i < v->ndevs; i++)
        if (&v->dev[i]->pci == d)
            return true;
    return false;
}

/* Behind its own of the same kind: those of the machine that it was given. */
static unsigned passed_devices(const struct vm *vm, struct boot_device *out)
{
    unsigned n = 0;

    for (unsigned slot = 0; slot < VPCI_SLOTS; slot++) {
        const struct vpci_dev *d = vpci_at(vm, slot);
        struct boot_device *b = &out[n];

        if (!d || is_own(vm->vio, d) ||
            (d->s.cfg[CLASS_BASE] != STORAGE && d->s.cfg[CLASS_BASE] != NETWORK))
            continue;
        b->kind = d->s.cfg[CLASS_BASE] == NETWORK ? BOOT_NET : BOOT_DISK;
        b->slot = (uint8_t)slot;
        b->passed = true;
        memcpy(b->id, d->s.cfg + PCI_VENDOR_ID, sizeof b->id);
        n++;
    }
    return n;
}

uint32_t vio_boot_order(const struct vm *vm, char *out)
{
    const struct guest_config *c = vm->config;
    struct boot_device d[BOOT_DEVICES];
    unsigned n;

    assert_cpu0();
    if (!c->nboot || !vm->vio)
        return 0;
    n = own_devices(vm, d);
    n += passed_devices(vm, d + n);
    return boot_order_write(c->boot, c->nboot, d, n, out);
}
