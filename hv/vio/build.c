/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtio devices of a guest, from its configuration. RAM disks outlive the devices: a guest
 * that resets finds what it wrote.
 */
#include <hv/blk.h>
#include <hv/log.h>
#include <hv/panic.h>
#include <hv/random.h>
#include <hv/virtio.h>
#include <hv/vm.h>
#include <stdio.h>
#include <string.h>

#define DISKS ARRAY_SIZE(((struct guest_config *)0)->disk)
#define BLK_QUEUES 4u
#define RELEASE_AT_ONCE 512u /* pieces of a RAM disk that one call frees */

struct vio {
    struct virtio_dev *dev[2 + DISKS];
    unsigned ndevs;
    struct blk_dev *disk[DISKS];
};

static int fail(struct vm *vm, const char *what, int e)
{
    snprintf(vm->why, sizeof vm->why, "%s: %s", what,
             e == -ENOMEM   ? "out of memory"
             : e == -ENOENT ? "the file was not loaded"
                            : "error");
    vio_destroy(vm);
    return e;
}

static int add_disk(struct vm *vm, const struct guest_config *c, unsigned i)
{
    struct vio *v = vm->vio;
    int e = v->disk[i] ? 0 : ramdisk_create(vm, &c->disk[i], &v->disk[i]);

    if (e)
        return e;
    e = vio_blk_create(vm, v->disk[i], c->vcpus < BLK_QUEUES ? c->vcpus : BLK_QUEUES,
                       &v->dev[v->ndevs]);
    if (!e)
        v->ndevs++;
    return e;
}

int vio_build(struct vm *vm, const struct guest_config *c)
{
    struct vio *v;
    int e;

    if (!vm->vio)
        vm->vio = vm_alloc(vm, sizeof *vm->vio);
    v = vm->vio;
    if (!v)
        return fail(vm, "virtio", -ENOMEM);
    e = vio_console_create(vm, vm->console, &v->dev[v->ndevs]);
    if (e)
        return fail(vm, "virtio-console", e);
    v->ndevs++;
    if (c->rng && !random_ready()) {
        vm_log(vm, LOG_WARN, "no virtio-rng: there are no random numbers yet");
    } else if (c->rng) {
        e = vio_rng_create(vm, &v->dev[v->ndevs]);
        if (e)
            return fail(vm, "virtio-rng", e);
        v->ndevs++;
    }
    for (unsigned i = 0; i < c->ndisks; i++) {
        e = add_disk(vm, c, i);
        if (e)
            return fail(vm, c->disk[i].path, e);
    }
    return 0;
}

int vio_quiesce(struct vm *vm)
{
    int e = 0;

    for (unsigned i = 0; vm->vio && i < vm->vio->ndevs; i++)
        if (virtio_quiesce(vm->vio->dev[i]))
            e = -EINPROGRESS;
    return e;
}

void vio_destroy(struct vm *vm)
{
    struct vio *v = vm->vio;

    if (!v)
        return;
    if (vio_quiesce(vm))
        panic("%s: a device still works while it is removed", vm->config->name);
    while (v->ndevs)
        virtio_remove(v->dev[--v->ndevs]);
}

bool vio_release(struct vm *vm)
{
    struct vio *v = vm->vio;
    unsigned budget = RELEASE_AT_ONCE;

    if (!v)
        return false;
    for (unsigned i = 0; i < DISKS; i++) {
        if (v->disk[i] && !ramdisk_empty(v->disk[i], &budget))
            return true;
        if (v->disk[i])
            v->disk[i]->ops->destroy(v->disk[i]);
        v->disk[i] = NULL;
    }
    vm->vio = NULL;
    vm_free(vm, v, sizeof *v);
    return false;
}
