/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * COM1: a 16550A (hv/guest/common/uart16550.c, PC16550D data sheet) whose line is the guest's
 * console. Its interrupt is the PC's IRQ 4.
 */
#include <hv/assert.h>
#include <hv/console.h>
#include <hv/vintc.h>
#include <hv/vm.h>
#include <string.h>
#include "x86_dev.h"

static struct uart *uart_of(struct uart16550 *core)
{
    return container_of(core, struct uart, core);
}

static void uart_irq(struct uart16550 *core, bool up)
{
    struct uart *u = uart_of(core);

    debug_assert_held(&u->lock);
    virq_set(u->vm, LINE_COM1, up);
}

static void uart_out(struct uart16550 *core, char c)
{
    struct uart *u = uart_of(core);

    debug_assert_held(&u->lock);
    if (u->vm->console)
        console_write(u->vm->console, &c, 1);
}

static size_t uart_in(struct uart16550 *core, char *to, size_t room)
{
    struct uart *u = uart_of(core);

    debug_assert_held(&u->lock);
    return u->listening && !u->held ? console_read(u->vm->console, &u->rx, to, room) : 0;
}

static const struct uart16550_ops uart_ops = { uart_irq, uart_out, uart_in };

static void rx_event(struct event *ev)
{
    struct uart *u = container_of(ev, struct uart, rx);

    spin_lock(&u->lock);
    uart16550_input(&u->core);
    spin_unlock(&u->lock);
}

static int uart_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct uart *u = dev;

    (void)size;
    spin_lock(&u->lock);
    *val = uart16550_read(&u->core, (unsigned)off);
    spin_unlock(&u->lock);
    return 0;
}

static int uart_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct uart *u = dev;

    (void)size;
    spin_lock(&u->lock);
    uart16550_write(&u->core, (unsigned)off, (uint8_t)val);
    spin_unlock(&u->lock);
    return 0;
}

/* ---- <hv/state.h> ---- */

static size_t uart_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct uart16550_state);
}

static int uart_quiesce(struct vm *vm, uint32_t i)
{
    struct uart *u = &x86_devices_of(vm)->uart;

    (void)i;
    spin_lock(&u->lock);
    u->held = true;
    spin_unlock(&u->lock);
    return 0;
}

static int uart_save(struct vm *vm, uint32_t i, void *buf)
{
    (void)i;
    memcpy(buf, &x86_devices_of(vm)->uart.core.s, sizeof(struct uart16550_state));
    return 0;
}

static int uart_restore(struct vm *vm, uint32_t i, const void *buf)
{
    struct uart *u = &x86_devices_of(vm)->uart;
    const struct uart16550_state *s = buf;

    (void)i;
    if (!uart16550_valid(s))
        return -EINVAL;
    u->core.s = *s;
    u->held = true;
    return 0;
}

static void uart_resume(struct vm *vm, uint32_t i)
{
    struct uart *u = &x86_devices_of(vm)->uart;

    (void)i;
    spin_lock(&u->lock);
    u->held = false;
    spin_unlock(&u->lock);
    event_post(&u->rx);
}

const struct state_ops uart_state_ops = { .name = "serial port",
                                          .kind = STATE_UART,
                                          .version = UART16550_VERSION,
                                          .quiesce = uart_quiesce,
                                          .size = uart_size,
                                          .save = uart_save,
                                          .restore = uart_restore,
                                          .resume = uart_resume };

int uart_create(struct x86_devices *d)
{
    static const struct io_ops ops = { uart_read, uart_write, 1 };
    struct uart *u = &d->uart;

    assert_cpu0();
    u->vm = d->vm;
    uart16550_init(&u->core, &uart_ops);
    spin_init(&u->lock, LOCK_DEVICE);
    event_init(&u->rx, rx_event, 0);
    u->listening = d->vm->console && console_listen(d->vm->console, 1, &u->rx) == 0;
    return io_list_add(d->vm, &d->regions,
                       &(struct io_region){ "com1", IO_PORT, PORT_COM1, 8, &ops, u });
}

void uart_destroy(struct uart *u)
{
    assert_cpu0();
    if (u->listening)
        console_unlisten(u->vm->console, &u->rx);
    u->listening = false;
    event_kill(&u->rx);
}
