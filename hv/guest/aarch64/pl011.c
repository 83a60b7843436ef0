/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The UART: a PL011 (DDI 0183, r1p5) whose line is the guest's console. Bytes leave at once, so the
 * transmitter is always empty; input comes from the console as the receive FIFO has room.
 */
#include <hv/assert.h>
#include <hv/console.h>
#include <hv/time.h>
#include <hv/vintc.h>
#include <hv/vm.h>
#include <string.h>
#include "arm.h"
#include "arm_dev.h"

/* Register offsets (§3.2) */
enum {
    UARTDR = 0x000,
    UARTRSR = 0x004,
    UARTFR = 0x018,
    UARTILPR = 0x020,
    UARTIBRD = 0x024,
    UARTFBRD = 0x028,
    UARTLCR_H = 0x02c,
    UARTCR = 0x030,
    UARTIFLS = 0x034,
    UARTIMSC = 0x038,
    UARTRIS = 0x03c,
    UARTMIS = 0x040,
    UARTICR = 0x044,
    UARTDMACR = 0x048,
};
enum {
    FR_CTS = 1 << 0,
    FR_DSR = 1 << 1,
    FR_DCD = 1 << 2,
    FR_RXFE = 1 << 4,
    FR_RXFF = 1 << 6,
    FR_TXFE = 1 << 7
};
enum { LCR_H_FEN = 1 << 4 };
enum {
    CR_UARTEN = 1 << 0,
    CR_LBE = 1 << 7,
    CR_TXE = 1 << 8,
    CR_RXE = 1 << 9,
    CR_DTR = 1 << 10,
    CR_RTS = 1 << 11,
    CR_OUT1 = 1 << 12,
    CR_OUT2 = 1 << 13
};
enum { INT_RX = 1 << 4, INT_TX = 1 << 5, INT_RT = 1 << 6, INT_OE = 1 << 10 };
#define INT_ALL 0x7ffu
/* the other registers' bits that can be written; rsr: that can be set */
#define IBRD_BITS 0xffffu
#define FBRD_BITS 0x3fu
#define LCR_H_BITS 0xffu
#define CR_BITS 0xff87u
#define IFLS_BITS 0x3fu
#define DMACR_BITS 7u
#define ILPR_BITS 0xffu
#define RSR_BITS 0xfu
enum { DR_OE = 1 << 11 };
#define RX_TIMEOUT_NS 280000ull /* 32 bit times (section 2.8.4) at 115,200 baud */

/* §3.3.15: revision r1p5 */
static const uint8_t pl011_id[8] = { 0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };

static unsigned capacity(const struct pl011_state *s)
{
    return s->lcr_h & LCR_H_FEN ? PL011_FIFO : 1;
}

/* UARTIFLS bits 5:3: eighths of the FIFO. */
static unsigned rx_trigger(const struct pl011_state *s)
{
    static const uint8_t level[8] = { 4, 8, 16, 24, 28, 28, 28, 28 };

    return s->lcr_h & LCR_H_FEN ? level[s->ifls >> 3 & 7] : 1;
}

static void update(struct pl011 *u)
{
    bool irq = (u->s.ris & u->s.imsc) != 0;

    debug_assert_held(&u->lock);
    if (irq != u->irq)
        virq_set(u->vm, INTID_PL011, irq);
    u->irq = irq;
}

/* Below the trigger level it is the receive time-out, which is over at once. */
static void rx_level(struct pl011_state *s)
{
    s->ris &= ~(uint32_t)(INT_RX | INT_RT);
    if (s->fill)
        s->ris |= s->fill >= rx_trigger(s) ? INT_RX : INT_RT;
}

static void push(struct pl011_state *s, uint8_t c)
{
    if (s->fill >= capacity(s)) {
        s->ris |= INT_OE;
        s->rsr |= DR_OE >> 8;
        if (s->fill)
            s->rx[(s->head + s->fill - 1) % PL011_FIFO] |= DR_OE;
        return;
    }
    s->rx[(s->head + s->fill++) % PL011_FIFO] = c;
    rx_level(s);
}

static bool receives(const struct pl011_state *s)
{
    return (s->cr & (CR_UARTEN | CR_RXE)) == (CR_UARTEN | CR_RXE);
}

static void refill(struct pl011 *u)
{
    char in[PL011_FIFO];
    size_t n;

    debug_assert_held(&u->lock);
    if (!u->listening || !receives(&u->s) || u->s.cr & CR_LBE || u->s.fill >= capacity(&u->s))
        return;
    n = console_read(u->vm->console, &u->rx, in, capacity(&u->s) - u->s.fill);
    for (size_t i = 0; i < n; i++)
        push(&u->s, (uint8_t)in[i]);
}

static void rx_event(struct event *ev)
{
    struct pl011 *u = container_of(ev, struct pl011, rx);

    spin_lock(&u->lock);
    if (!u->held) {
        refill(u);
        rx_level(&u->s);
        update(u);
    }
    spin_unlock(&u->lock);
}

/* An interrupt that is cleared while bytes wait comes again: they are not left without one. */
static void clear_interrupts(struct pl011 *u, uint32_t val)
{
    u->s.ris &= ~(val & INT_ALL);
    if (u->s.fill && (val & (INT_RX | INT_RT)))
        event_at(&u->rx, time_ns() + RX_TIMEOUT_NS);
}

static uint32_t read_dr(struct pl011 *u)
{
    struct pl011_state *s = &u->s;
    uint32_t v = s->rx[s->head];

    if (!s->fill)
        return 0;
    s->head = (s->head + 1) % PL011_FIFO;
    s->fill--;
    s->rsr = v >> 8 & RSR_BITS;
    if (!s->fill)
        refill(u);
    rx_level(s);
    update(u);
    return v;
}

/* Guests also write before they enable anything (earlycon): that is shown too. */
static void write_dr(struct pl011 *u, uint8_t val)
{
    char c = (char)val;

    if (u->s.cr & CR_LBE)
        push(&u->s, val);
    else if (u->vm->console)
        console_write(u->vm->console, &c, 1);
    u->s.ris |= INT_TX;
    update(u);
}

static uint32_t flags(const struct pl011_state *s)
{
    uint32_t fr = FR_TXFE | (s->fill ? 0 : FR_RXFE) | (s->fill >= capacity(s) ? FR_RXFF : 0);

    if (!(s->cr & CR_LBE))
        return fr | FR_CTS | FR_DSR | FR_DCD;
    return fr | (s->cr & CR_RTS ? FR_CTS : 0) | (s->cr & CR_DTR ? FR_DSR : 0) |
           (s->cr & CR_OUT1 ? FR_DCD : 0);
}

static uint64_t read_reg(struct pl011 *u, uint64_t off)
{
    const struct pl011_state *s = &u->s;
    uint64_t id;

    debug_assert_held(&u->lock);
    switch (off) {
    case UARTDR: return read_dr(u);
    case UARTRSR: return s->rsr;
    case UARTFR: return flags(s);
    case UARTILPR: return s->ilpr;
    case UARTIBRD: return s->ibrd;
    case UARTFBRD: return s->fbrd;
    case UARTLCR_H: return s->lcr_h;
    case UARTCR: return s->cr;
    case UARTIFLS: return s->ifls;
    case UARTIMSC: return s->imsc;
    case UARTRIS: return s->ris;
    case UARTMIS: return s->ris & s->imsc;
    case UARTDMACR: return s->dmacr;
    default: return arm_primecell_id(off, pl011_id, &id) ? id : 0;
    }
}

static void write_lcr_h(struct pl011 *u, uint32_t val)
{
    if ((val ^ u->s.lcr_h) & LCR_H_FEN)
        u->s.head = u->s.fill = 0;
    u->s.lcr_h = val & LCR_H_BITS;
    refill(u);
    rx_level(&u->s);
}

static void write_reg(struct pl011 *u, uint64_t off, uint32_t val)
{
    struct pl011_state *s = &u->s;

    debug_assert_held(&u->lock);
    switch (off) {
    case UARTDR: write_dr(u, (uint8_t)val); break;
    case UARTRSR: s->rsr = 0; break;
    case UARTILPR: s->ilpr = val & ILPR_BITS; break;
    case UARTIBRD: s->ibrd = val & IBRD_BITS; break;
    case UARTFBRD: s->fbrd = val & FBRD_BITS; break;
    case UARTLCR_H: write_lcr_h(u, val); break;
    case UARTCR:
        s->cr = val & CR_BITS;
        refill(u);
        break;
    case UARTIFLS:
        s->ifls = val & IFLS_BITS;
        rx_level(s);
        break;
    case UARTIMSC: s->imsc = val & INT_ALL; break;
    case UARTICR: clear_interrupts(u, val); break;
    case UARTDMACR: s->dmacr = val & DMACR_BITS; break;
    default: break;
    }
    update(u);
}

static int pl011_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct pl011 *u = dev;

    (void)size;
    spin_lock(&u->lock);
    *val = read_reg(u, off);
    spin_unlock(&u->lock);
    return 0;
}

static int pl011_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct pl011 *u = dev;

    (void)size;
    spin_lock(&u->lock);
    write_reg(u, off, (uint32_t)val);
    spin_unlock(&u->lock);
    return 0;
}

/* ---- state ---- */

static struct pl011 *pl011_of(const struct vm *vm)
{
    return &((struct arm_machine *)vm->guest)->devices->pl011;
}

static int pl011_quiesce(struct vm *vm, uint32_t i)
{
    struct pl011 *u = pl011_of(vm);

    (void)i;
    spin_lock(&u->lock);
    u->held = true;
    spin_unlock(&u->lock);
    event_cancel(&u->rx);
    return 0;
}

/* Input may have come meanwhile, or a time-out be due. */
static void pl011_resume(struct vm *vm, uint32_t i)
{
    struct pl011 *u = pl011_of(vm);

    (void)i;
    spin_lock(&u->lock);
    u->held = false;
    virq_set(vm, INTID_PL011, u->irq);
    spin_unlock(&u->lock);
    event_post(&u->rx);
}

static size_t pl011_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct pl011_state);
}

static int pl011_save(struct vm *vm, uint32_t i, void *buf)
{
    (void)i;
    memcpy(buf, &pl011_of(vm)->s, sizeof(struct pl011_state));
    return 0;
}

/* What writes and input can make. */
static bool pl011_valid(const struct pl011_state *s)
{
    uint32_t wrong = (s->ibrd & ~IBRD_BITS) | (s->fbrd & ~FBRD_BITS) | (s->lcr_h & ~LCR_H_BITS) |
                     (s->cr & ~CR_BITS) | (s->ifls & ~IFLS_BITS) | ((s->imsc | s->ris) & ~INT_ALL) |
                     (s->dmacr & ~DMACR_BITS) | (s->ilpr & ~ILPR_BITS) | (s->rsr & ~RSR_BITS);

    for (unsigned n = 0; n < PL011_FIFO; n++)
        wrong |= s->rx[n] & ~(uint32_t)(DR_OE | 0xff);
    return !wrong && s->head < PL011_FIFO && s->fill <= capacity(s);
}

static int pl011_restore(struct vm *vm, uint32_t i, const void *buf)
{
    const struct pl011_state *s = buf;
    struct pl011 *u = pl011_of(vm);

    (void)i;
    if (!pl011_valid(s))
        return -EINVAL;
    spin_lock(&u->lock);
    u->s = *s;
    u->irq = (s->ris & s->imsc) != 0;
    u->held = true;
    spin_unlock(&u->lock);
    return 0;
}

const struct state_ops arm_pl011_state = { .name = "UART",
                                           .kind = STATE_PL011,
                                           .version = 1,
                                           .quiesce = pl011_quiesce,
                                           .size = pl011_size,
                                           .save = pl011_save,
                                           .restore = pl011_restore,
                                           .resume = pl011_resume };

int arm_pl011_create(struct arm_devices *d)
{
    static const struct io_ops ops = { pl011_read, pl011_write, 1 | 2 | 4 };
    struct pl011 *u = &d->pl011;

    assert_cpu0();
    u->vm = d->vm;
    /* as firmware leaves it: guests that poll never write UARTCR */
    u->s.cr = CR_UARTEN | CR_TXE | CR_RXE;
    u->s.ifls = 0x12;
    spin_init(&u->lock, LOCK_DEVICE);
    event_init(&u->rx, rx_event, 0);
    u->listening = d->vm->console && console_listen(d->vm->console, 1, &u->rx) == 0;
    return io_list_add(d->vm, &d->regions,
                       &(struct io_region){ "pl011", IO_MEM, PLAT_PL011, PAGE_SIZE, &ops, u });
}

void arm_pl011_destroy(struct pl011 *u)
{
    assert_cpu0();
    if (u->listening)
        console_unlisten(u->vm->console, &u->rx);
    u->listening = false;
    event_kill(&u->rx);
}
