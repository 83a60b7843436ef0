/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes and frees the small devices of an ARM64 VM. One of them is too small for a file: the
 * debug-exit register.
 */
#include "arm.h"
#include "arm_dev.h"
#include <hv/assert.h>
#include <stdlib.h>

bool arm_primecell_id(uint64_t off, const uint8_t id[8], uint64_t *val)
{
    if (off < 0xfe0 || off >= 0x1000)
        return false;
    *val = id[off / 4 & 7];
    return true;
}

static int debug_exit_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    (void)dev, (void)off, (void)size;
    *val = UINT64_MAX;
    return 0;
}

static int debug_exit_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct arm_devices *d = dev;

    (void)size;
    if (off == 0)
        vm_exited(d->vm, (int)((uint32_t)val << 1 | 1));
    return 0;
}

static int create_all(struct arm_devices *d, const struct guest_config *c)
{
    static const struct io_ops debug_exit = { debug_exit_read, debug_exit_write, 4 };
    int err = arm_pl011_create(d);

    err = err ? err : arm_pl031_create(d);
    err = err ? err : arm_pl061_create(d);
    if (err == 0 && c->debug_exit)
        err = io_list_add(d->vm, &d->regions,
                          &(struct io_region){ "debug-exit", IO_MEM, PLAT_DEBUG_EXIT, PAGE_SIZE,
                                               &debug_exit, d });
    return err;
}

int arm_devices_create(struct vm *vm, const struct guest_config *c, struct arm_devices **out)
{
    struct arm_devices *d = vm_alloc(vm, sizeof *d);
    int err;

    assert_cpu0();
    assert_parked(vm);
    if (!d)
        return -ENOMEM;
    d->vm = vm;
    err = create_all(d, c);
    if (err) {
        arm_devices_destroy(d);
        return err;
    }
    *out = d;
    return 0;
}

void arm_devices_destroy(struct arm_devices *d)
{
    assert_cpu0();
    if (!d)
        return;
    io_list_end(d->vm, &d->regions);
    arm_pl011_destroy(&d->pl011);
    arm_pl031_destroy(&d->pl031);
    arm_pl061_destroy(&d->pl061);
    vm_free(d->vm, d, sizeof *d);
}

int arm_power_button(struct vm *vm)
{
    struct arm_machine *m = vm->guest;

    assert_cpu0();
    return m && m->devices ? arm_pl061_power_button(&m->devices->pl061) : -ENOTSUP;
}
