/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * COM1: a 16550A whose line is the guest's console. Bytes leave at once, so the transmitter is
 * always empty; input comes from the console as the receive FIFO has room. PC16550D data sheet.
 */
#include <hv/assert.h>
#include <hv/console.h>
#include <hv/vintc.h>
#include <hv/vm.h>
#include <string.h>
#include "x86_dev.h"

#define UART_VERSION 1

enum { RBR_THR, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };
enum { IER_RX = 1, IER_THRE = 2, IER_LSR = 4, IER_MSR = 8 };
enum {
    IIR_NONE = 1,
    IIR_MSR = 0,
    IIR_THRE = 2,
    IIR_RX = 4,
    IIR_LSR = 6,
    IIR_TIMEOUT = 0xc,
    IIR_FIFO = 0xc0
};
enum { FCR_ENABLE = 1, FCR_CLEAR_RX = 2, FCR_KEPT = 0xc9 };
enum { LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 0x10 };
enum { LSR_DR = 1, LSR_OE = 2, LSR_ERRORS = 0x1e, LSR_EMPTY = 0x60 };
enum { MSR_DELTAS = 0x0f, MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80 };

static bool fifo_on(const struct uart_state *s) { return s->fcr & FCR_ENABLE; }

static unsigned capacity(const struct uart_state *s) { return fifo_on(s) ? sizeof s->fifo : 1; }

static unsigned trigger(const struct uart_state *s)
{
    static const uint8_t level[4] = { 1, 4, 8, 14 };

    return fifo_on(s) ? level[s->fcr >> 6] : 1;
}

/* The reason of highest priority, as IIR shows it. */
static uint8_t reason(const struct uart_state *s)
{
    if (s->ier & IER_LSR && s->lsr & LSR_ERRORS)
        return IIR_LSR;
    /* below the trigger level: the character time-out, which is over at once */
    if (s->ier & IER_RX && s->fill)
        return s->fill >= trigger(s) ? IIR_RX : IIR_TIMEOUT;
    if (s->ier & IER_THRE && s->thre_pending)
        return IIR_THRE;
    if (s->ier & IER_MSR && s->msr & MSR_DELTAS)
        return IIR_MSR;
    return IIR_NONE;
}

static void update(struct uart *u)
{
    bool irq = reason(&u->s) != IIR_NONE;

    debug_assert_held(&u->lock);
    if (irq != u->s.irq)
        virq_set(u->vm, LINE_COM1, irq);
    u->s.irq = irq;
}

/* The transmitter became empty again: a new edge for those who wait for it. */
static void thre(struct uart *u)
{
    u->s.thre_pending = true;
    update(u);
}

static void push(struct uart_state *s, uint8_t c)
{
    if (s->fill >= capacity(s)) {
        s->lsr |= LSR_OE;
        return;
    }
    s->fifo[(s->head + s->fill++) % sizeof s->fifo] = c;
}

static uint8_t pop(struct uart_state *s)
{
    uint8_t c = s->fifo[s->head];

    if (!s->fill)
        return 0;
    s->head = (uint8_t)((s->head + 1) % sizeof s->fifo);
    s->fill--;
    return c;
}

static void refill(struct uart *u)
{
    char in[sizeof u->s.fifo];
    size_t room = capacity(&u->s) - u->s.fill, n;

    debug_assert_held(&u->lock);
    if (!u->listening || u->held || u->s.mcr & MCR_LOOP || u->s.fill > capacity(&u->s))
        return;
    n = console_read(u->vm->console, &u->rx, in, room);
    for (size_t i = 0; i < n; i++)
        push(&u->s, (uint8_t)in[i]);
}

static void rx_event(struct event *ev)
{
    struct uart *u = container_of(ev, struct uart, rx);

    spin_lock(&u->lock);
    refill(u);
    update(u);
    spin_unlock(&u->lock);
}

static uint8_t read_rbr(struct uart *u)
{
    uint8_t c = pop(&u->s);

    if (!u->s.fill)
        refill(u);
    update(u);
    return c;
}

static uint8_t read_iir(struct uart *u)
{
    uint8_t r = reason(&u->s);

    if (r == IIR_THRE) {
        u->s.thre_pending = false;
        update(u);
    }
    return r | (fifo_on(&u->s) ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct uart *u)
{
    uint8_t v = u->s.lsr | LSR_EMPTY | (u->s.fill ? LSR_DR : 0);

    u->s.lsr &= (uint8_t)~LSR_ERRORS;
    update(u);
    return v;
}

static uint8_t read_msr(struct uart *u)
{
    uint8_t v = u->s.msr;

    u->s.msr &= (uint8_t)~MSR_DELTAS;
    update(u);
    return v;
}

static uint8_t read_reg(struct uart *u, unsigned reg)
{
    const struct uart_state *s = &u->s;
    bool dlab = s->lcr & LCR_DLAB;

    debug_assert_held(&u->lock);
    switch (reg) {
    case RBR_THR: return dlab ? s->dll : read_rbr(u);
    case IER: return dlab ? s->dlm : s->ier;
    case IIR_FCR: return read_iir(u);
    case LCR: return s->lcr;
    case MCR: return s->mcr;
    case LSR: return read_lsr(u);
    case MSR: return read_msr(u);
    default: return s->scr;
    }
}

static void write_thr(struct uart *u, uint8_t val)
{
    char c = (char)val;

    u->s.thre_pending = false;
    if (u->s.mcr & MCR_LOOP)
        push(&u->s, val);
    else if (u->vm->console)
        console_write(u->vm->console, &c, 1);
    update(u);
    thre(u);
}

static void write_ier(struct uart *u, uint8_t val)
{
    bool enabled = !(u->s.ier & IER_THRE) && val & IER_THRE;

    u->s.ier = val & 0x0f;
    if (enabled)
        u->s.thre_pending = true; /* enabling it while empty interrupts at once */
    update(u);
}

static void write_fcr(struct uart *u, uint8_t val)
{
    bool changed = (val ^ u->s.fcr) & FCR_ENABLE;

    u->s.fcr = val & FCR_ENABLE ? val & FCR_KEPT : 0;
    if (changed || val & FCR_CLEAR_RX)
        u->s.fill = 0;
    refill(u);
    update(u);
}

/* The modem inputs: a cable that is plugged in, or in loopback the modem outputs. */
static uint8_t modem_lines(const struct uart_state *s)
{
    if (!(s->mcr & MCR_LOOP))
        return MSR_CTS | MSR_DSR | MSR_DCD;
    return (uint8_t)((s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
                     (s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void write_mcr(struct uart *u, uint8_t val)
{
    uint8_t old = u->s.msr & 0xf0, now, changed;

    u->s.mcr = val & 0x1f;
    now = modem_lines(&u->s);
    changed = old ^ now;
    if (!(old & MSR_RI))
        changed &= (uint8_t)~MSR_RI; /* only the trailing edge of RI counts */
    u->s.msr = (uint8_t)(now | (u->s.msr & MSR_DELTAS) | changed >> 4);
    refill(u);
    update(u);
}

static void write_reg(struct uart *u, unsigned reg, uint8_t val)
{
    bool dlab = u->s.lcr & LCR_DLAB;

    debug_assert_held(&u->lock);
    switch (reg) {
    case RBR_THR:
        if (dlab)
            u->s.dll = val;
        else
            write_thr(u, val);
        break;
    case IER:
        if (dlab)
            u->s.dlm = val;
        else
            write_ier(u, val);
        break;
    case IIR_FCR: write_fcr(u, val); break;
    case LCR: u->s.lcr = val; break;
    case MCR: write_mcr(u, val); break;
    case SCR: u->s.scr = val; break;
    default: break; /* LSR and MSR are for factory tests */
    }
}

static int uart_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct uart *u = dev;

    (void)size;
    spin_lock(&u->lock);
    *val = read_reg(u, (unsigned)off);
    spin_unlock(&u->lock);
    return 0;
}

static int uart_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct uart *u = dev;

    (void)size;
    spin_lock(&u->lock);
    write_reg(u, (unsigned)off, (uint8_t)val);
    spin_unlock(&u->lock);
    return 0;
}

/* ---- <hv/state.h> ---- */

static size_t uart_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct uart_state);
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
    memcpy(buf, &x86_devices_of(vm)->uart.s, sizeof(struct uart_state));
    return 0;
}

static int uart_restore(struct vm *vm, uint32_t i, const void *buf)
{
    static const struct state_limit limits[] = {
        STATE_LIMIT(struct uart_state, ier, 0x0f), STATE_LIMIT(struct uart_state, mcr, 0x1f),
        STATE_LIMIT(struct uart_state, head, 15),  STATE_LIMIT(struct uart_state, fill, 16),
        STATE_LIMIT(struct uart_state, irq, 1),    STATE_LIMIT(struct uart_state, thre_pending, 1),
        STATE_LIMIT(struct uart_state, pad, 0),
    };
    struct uart *u = &x86_devices_of(vm)->uart;
    const struct uart_state *s = buf;

    (void)i;
    if (s->version != UART_VERSION || !state_within(s, limits, ARRAY_SIZE(limits)) ||
        s->fcr & ~FCR_KEPT || s->lsr & ~LSR_ERRORS)
        return -EINVAL;
    u->s = *s;
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
                                          .version = UART_VERSION,
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
    u->s.version = UART_VERSION;
    u->s.dll = 1;
    u->s.lcr = 3;
    u->s.msr = MSR_CTS | MSR_DSR | MSR_DCD;
    spin_init(&u->lock, LOCK_DEVICE);
    event_init(&u->rx, rx_event, 0);
    u->listening = d->vm->console && console_listen(d->vm->console, 1, &u->rx) == 0;
    return device_region(d, &(struct io_region){ "com1", IO_PORT, PORT_COM1, 8, &ops, u });
}

void uart_destroy(struct uart *u)
{
    assert_cpu0();
    if (u->listening)
        console_unlisten(u->vm->console, &u->rx);
    u->listening = false;
    event_kill(&u->rx);
}
