/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtio devices of a guest, from its configuration. RAM disks outlive the devices: a guest
 * that resets finds what it wrote.
 */
#include <hv/assert.h>
#include <hv/blk.h>
#include <hv/disk.h>
#include <hv/log.h>
#include <hv/net.h>
#include <hv/panic.h>
#include <hv/passthrough.h>
#include <hv/random.h>
#include <hv/virtio.h>
#include <hv/vm.h>
#include <stdio.h>
#include <string.h>
#include "vio.h"

#define DISKS VIO_DISKS
#define BLK_QUEUES 4u
#define RELEASE_AT_ONCE 512u /* pieces of a RAM disk that one call frees */

static int vio_fail(struct vm *vm, const char *what, int e)
{
    if (!vm->why[0])
        snprintf(vm->why, sizeof vm->why, "%s: %s", what,
                 e == -ENOMEM   ? "out of memory"
                 : e == -ENOENT ? "the file was not loaded"
                                : "error");
    vio_destroy(vm);
    return e;
}

/* vm->why tells, where it is more than the error. */
static int open_volume(struct vm *vm, const struct guest_disk *d, unsigned i)
{
    struct volume *v = vm_alloc(vm, sizeof *v);
    char why[100];
    int e;

    if (!v)
        return -ENOMEM;
    e = volume_open(v, d->source, d->path, d->ro, vm->config->name, why, sizeof why);
    if (e) {
        snprintf(vm->why, sizeof vm->why, "disk %s%.60s: %s", disk_prefix(d->source), d->path, why);
        vm_free(vm, v, sizeof *v);
        return e;
    }
    if (d->cdrom && v->blk.limits.block > CD_BLOCK) {
        snprintf(vm->why, sizeof vm->why,
                 "cdrom %s%.60s: its blocks are larger than a CD's %u bytes",
                 disk_prefix(d->source), d->path, CD_BLOCK);
        volume_close(v);
        vm_free(vm, v, sizeof *v);
        return -ENOTSUP;
    }
    vm->vio->volume[i] = v;
    vm->vio->disk[i] = &v->blk;
    return 0;
}

static int open_disk(struct vm *vm, const struct guest_disk *d, unsigned i)
{
    if (vm->vio->disk[i])
        return 0;
    if (d->source == DISK_CLOUD_INIT)
        return ramdisk_create_cloud_init(vm, d, &vm->vio->disk[i]);
    return d->source == DISK_FILE ? ramdisk_create(vm, d, &vm->vio->disk[i])
                                  : open_volume(vm, d, i);
}

static int add_disk(struct vm *vm, const struct guest_config *c, unsigned i)
{
    struct vio *v = vm->vio;
    int e = open_disk(vm, &c->disk[i], i);

    if (e)
        return e;
    e = vio_blk_create(vm, v->disk[i], c->vcpus < BLK_QUEUES ? c->vcpus : BLK_QUEUES,
                       &v->dev[v->ndevs]);
    if (e)
        return e;
    if (c->disk[i].cdrom)
        vio_blk_cdrom(v->dev[v->ndevs]);
    vio_blk_limit(v->dev[v->ndevs++], c->disk[i].iops, c->disk[i].bandwidth);
    return 0;
}

static int add_net(struct vm *vm, const struct guest_net *g)
{
    struct net_switch *s = net_find(g->net);
    struct vio *v = vm->vio;
    int e = s ? vio_net_create(vm, s, g, &v->dev[v->ndevs]) : -ENODEV;

    if (!e)
        v->ndevs++;
    else if (e != -ENOMEM)
        snprintf(vm->why, sizeof vm->why, "net %s: %s", g->net,
                 e == -ENODEV   ? "there is no such switch"
                 : e == -EEXIST ? "another port has its MAC address"
                                : "the switch has no port left");
    return e;
}

static int add_nets(struct vm *vm, const struct guest_config *c)
{
    for (unsigned i = 0; i < c->nnets; i++) {
        int e = add_net(vm, &c->net[i]);

        if (e)
            return vio_fail(vm, c->net[i].net, e);
    }
    return 0;
}

int vio_build(struct vm *vm, const struct guest_config *c)
{
    struct vio *v;
    int e;

    assert_cpu0();
    hv_assert(vm->pci);
    if (!vm->vio)
        vm->vio = vm_alloc(vm, sizeof *vm->vio);
    v = vm->vio;
    if (!v)
        return vio_fail(vm, "virtio", -ENOMEM);
    e = vio_console_create(vm, vm->console, &v->dev[v->ndevs]);
    if (e)
        return vio_fail(vm, "virtio-console", e);
    v->ndevs++;
    if (c->rng && !random_ready()) {
        vm_log(vm, LOG_WARN, "no virtio-rng: there are no random numbers yet");
    } else if (c->rng) {
        e = vio_rng_create(vm, &v->dev[v->ndevs]);
        if (e)
            return vio_fail(vm, "virtio-rng", e);
        v->ndevs++;
    }
    vm->why[0] = '\0';
    for (unsigned i = 0; i < c->ndisks; i++) {
        e = add_disk(vm, c, i);
        if (e)
            return vio_fail(vm, c->disk[i].path, e);
    }
    e = add_nets(vm, c);
    if (e)
        return e;
    e = passthrough_build(vm, c);
    return e ? vio_fail(vm, "passthrough", e) : 0;
}

int vio_quiesce(struct vm *vm)
{
    int e = 0;

    assert_cpu0();
    assert_parked(vm);
    for (unsigned i = 0; vm->vio && i < vm->vio->ndevs; i++)
        if (virtio_quiesce(vm->vio->dev[i]))
            e = -EINPROGRESS;
    if (passthrough_quiesce(vm))
        e = -EINPROGRESS;
    return e;
}

void vio_destroy(struct vm *vm)
{
    struct vio *v = vm->vio;

    assert_cpu0();
    assert_parked(vm);
    if (!v)
        return;
    passthrough_destroy(vm);
    if (vio_quiesce(vm))
        panic("%s: a device still works while it is removed", vm->config->name);
    while (v->ndevs)
        virtio_remove(v->dev[--v->ndevs]);
}

/* False: there is more to do. */
static bool release_disk(struct vm *vm, unsigned i, unsigned *budget)
{
    struct vio *v = vm->vio;

    if (v->volume[i]) {
        volume_close(v->volume[i]);
        vm_free(vm, v->volume[i], sizeof *v->volume[i]);
    } else if (v->disk[i]) {
        if (!ramdisk_empty(v->disk[i], budget))
            return false;
        v->disk[i]->ops->destroy(v->disk[i]);
    }
    v->volume[i] = NULL;
    v->disk[i] = NULL;
    return true;
}

bool vio_release(struct vm *vm)
{
    struct vio *v = vm->vio;
    unsigned budget = RELEASE_AT_ONCE;

    assert_cpu0();
    hv_assert(vm->nvcpus == 0);
    if (!v)
        return false;
    for (unsigned i = 0; i < DISKS; i++)
        if (!release_disk(vm, i, &budget))
            return true;
    vm->vio = NULL;
    vm_free(vm, v, sizeof *v);
    return false;
}
