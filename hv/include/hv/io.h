/* SPDX-License-Identifier: BSD-2-Clause */
/* Trapped ranges. Ops see an offset and their own device, never a global vCPU. */
#pragma once
#include <hv/exit.h>
#include <hv/types.h>
struct vm;
struct vcpu;
enum io_space { IO_MEM, IO_PORT, IO_SPACES };
struct io_ops {
    /*
     * 0, or -Exxx: the access reads as all ones / is dropped. size is one of `sizes`, the access
     * lies inside the region.
     */
    int (*read)(void *dev, uint64_t off, unsigned size, uint64_t *val);
    int (*write)(void *dev, uint64_t off, unsigned size, uint64_t val);
    /* bitmask of 1|2|4|8; others never reach the device */
    uint8_t sizes;
};
struct io_region {
    const char *name;
    enum io_space space;
    uint64_t base, len;
    const struct io_ops *ops;
    void *dev;
};
int must_check io_init(struct vm *); /* CPU 0: an empty map, before any region. -ENOMEM */
/* CPU 0, when no vCPU runs any more; what is still registered is forgotten */
void io_fini(struct vm *);
/*
 * Any CPU. Copies the region; its name must live as long. -EINVAL: no length, or beyond the space;
 * -EEXIST: overlaps another; -ENOSPC. The device must outlive the VM's vCPUs, not just the
 * registration.
 */
int must_check io_register(struct vm *, const struct io_region *);
/* Any CPU. -ENOENT: no region begins there. */
int must_check io_unregister(struct vm *, enum io_space, uint64_t base);
/* Regions that one owner has registered, and unregisters together. All zero: none. */
#define IO_LIST_MAX 24
struct io_list {
    uint32_t n;
    struct {
        enum io_space space;
        uint64_t base;
    } region[IO_LIST_MAX];
};
/* CPU 0. io_register(), remembered for io_list_end(). -ENOSPC: the list is full; others as there.
 */
int must_check io_list_add(struct vm *, struct io_list *, const struct io_region *);
/* CPU 0, when no vCPU runs any more. Unregisters all; the list is empty afterwards. */
void io_list_end(struct vm *, struct io_list *);
/*
 * Exit path, any CPU, no lock held by the caller; calls the device with no lock held. Read: val is
 * always set (all ones, masked to size, when nobody answers). -ENOENT: no region (the caller logs
 * that once per page); -ENXIO: the region cannot be read; else the device's own. Ports wrap at 64
 * KiB. An access to ports that no device accepts whole is split into halves, as a PC's bus does;
 * one to memory is dropped, and reads as ones.
 */
int must_check io_dispatch(struct vm *, enum io_space, struct io_access *);
