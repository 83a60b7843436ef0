/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes and frees the devices of an x86 VM. Three of them are too small for a file: the POST port,
 * the debug-exit port and pvpanic's port.
 */
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/pvpanic.h>
#include <hv/time.h>
#include <hv/vm.h>
#include <stdio.h>
#include <stdlib.h>
#include "x86_dev.h"
#include "x86_devices.h"

void device_arm(struct vm *vm, struct event *ev, uint64_t guest_ns, uint64_t gap)
{
    event_at(ev, max_u64(vm_time_to_host(vm, guest_ns), time_ns() + gap));
}

static int post_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    (void)dev;
    (void)off;
    (void)size;
    *val = ~0ull;
    return 0;
}

static int post_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    (void)dev;
    (void)off;
    (void)size;
    (void)val;
    return 0;
}

/* As QEMU's isa-debug-exit: the value v ends the run with the code (v << 1) | 1. */
static int debug_exit_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct x86_devices *d = dev;

    (void)off;
    (void)size;
    vm_exited(d->vm, (int)((uint32_t)val << 1 | 1));
    return 0;
}

/* <hv/pvpanic.h> */
static int port_pvpanic_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    (void)dev;
    (void)off;
    (void)size;
    *val = PVPANIC_EVENTS;
    return 0;
}

static int port_pvpanic_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct x86_devices *d = dev;

    (void)off;
    (void)size;
    pvpanic_tell(d->vm, val);
    return 0;
}

static int small_create(struct x86_devices *d, const struct guest_config *c)
{
    static const struct io_ops post = { post_read, post_write, 1 | 2 | 4 },
                               debug_exit = { post_read, debug_exit_write, 1 | 2 | 4 },
                               pvpanic = { port_pvpanic_read, port_pvpanic_write, 1 };
    int err = io_list_add(d->vm, &d->regions,
                          &(struct io_region){ "post", IO_PORT, PORT_POST, 1, &post, d });

    err =
        err ? err
            : io_list_add(d->vm, &d->regions,
                          &(struct io_region){ "pvpanic", IO_PORT, PORT_PVPANIC, 1, &pvpanic, d });
    if (!err && c->debug_exit)
        err = io_list_add(
            d->vm, &d->regions,
            &(struct io_region){ "debug-exit", IO_PORT, PORT_DEBUG_EXIT, 4, &debug_exit, d });
    return err;
}

static int create_all(struct x86_devices *d, struct x86_intc *x, const struct guest_config *c)
{
    int err = pic_create(d, x);

    err = err ? err : ioapic_create(d, x);
    err = err ? err : pit_create(d);
    err = err ? err : rtc_create(d, c);
    err = err ? err : hpet_create(d);
    err = err ? err : pm_create(d);
    err = err ? err : uart_create(d);
    err = err ? err : kbc_create(d, !c->firmware[0]);
    return err ? err : small_create(d, c);
}

int x86_devices_create(struct vm *vm, const struct guest_config *c)
{
    struct x86_intc *x = vm->vintc;
    struct x86_devices *d = vm_alloc(vm, sizeof *d);
    int err;

    assert_cpu0();
    assert_parked(vm);
    if (!d)
        return -ENOMEM;
    x86_devices_destroy(vm);
    d->vm = vm;
    x->devices = d;
    x->renamed = 0;
    spin_lock(&x->lock);
    pic_reset(x);
    ioapic_reset(x);
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        x->shared[i] = 0;
    spin_unlock(&x->lock);
    for (unsigned i = 0; i < x->nlapics; i++)
        if (x->lapic[i])
            lapic_power_on(x->lapic[i]);
    lapic_window(x);
    err = create_all(d, x, c);
    if (err)
        x86_devices_destroy(vm);
    return err;
}

void x86_devices_destroy(struct vm *vm)
{
    struct x86_intc *x = vm->vintc;
    struct x86_devices *d = x ? x->devices : NULL;

    assert_cpu0();
    assert_parked(vm);
    if (!d)
        return;
    io_list_end(vm, &d->regions);
    uart_destroy(&d->uart);
    event_kill(&d->pit.ev);
    event_kill(&d->rtc.ev);
    event_kill(&d->hpet.ev);
    event_kill(&d->pm.ev);
    if (d->watchdog.vm)
        event_kill(&d->watchdog.ev);
    x->devices = NULL;
    vm_free(vm, d, sizeof *d);
}

int x86_power_button(struct vm *vm)
{
    struct x86_intc *x = vm->vintc;

    assert_cpu0();
    return x && x->devices && pm_power_button(&x->devices->pm) ? 0 : -ENOTSUP;
}
