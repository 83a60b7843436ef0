/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A 16550A's registers. Bytes leave at once, so the transmitter is always empty; input is asked for
 * as the receive FIFO has room. PC16550D data sheet; sections of it stand beside what they are of.
 */
#include <hv/uart16550.h>

/* table II: registers by address */
enum { RBR_THR, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };
/* 8.7 interrupt enable; 8.6 interrupt identification, table IV: priorities */
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
/* 8.5 FIFO control; 8.1 line control; 8.8 modem control; 8.4 line status; 8.9 modem status */
enum { FCR_ENABLE = 1, FCR_CLEAR_RX = 2, FCR_KEPT = 0xc9 };
enum { LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 0x10 };
enum { LSR_DR = 1, LSR_OE = 2, LSR_ERRORS = 0x1e, LSR_EMPTY = 0x60 };
enum { MSR_DELTAS = 0x0f, MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80 };

static bool fifo_on(const struct uart16550_state *s) { return s->fcr & FCR_ENABLE; }

static unsigned uart16550_capacity(const struct uart16550_state *s)
{
    return fifo_on(s) ? sizeof s->fifo : 1;
}

static unsigned trigger(const struct uart16550_state *s)
{
    static const uint8_t level[4] = { 1, 4, 8, 14 };

    return fifo_on(s) ? level[s->fcr >> 6] : 1;
}

/* The reason of highest priority, as IIR shows it. */
static uint8_t uart16550_reason(const struct uart16550_state *s)
{
    if (s->ier & IER_LSR && s->lsr & LSR_ERRORS)
        return IIR_LSR;
    /* 8.11: below the trigger level the character time-out, which is over at once */
    if (s->ier & IER_RX && s->fill)
        return s->fill >= trigger(s) ? IIR_RX : IIR_TIMEOUT;
    if (s->ier & IER_THRE && s->thre_pending)
        return IIR_THRE;
    if (s->ier & IER_MSR && s->msr & MSR_DELTAS)
        return IIR_MSR;
    return IIR_NONE;
}

static void uart16550_update(struct uart16550 *u)
{
    bool irq = uart16550_reason(&u->s) != IIR_NONE;

    if (irq != u->s.irq)
        u->ops->irq(u, irq);
    u->s.irq = irq;
}

/* The transmitter became empty again: a new edge for those who wait for it. */
static void thre(struct uart16550 *u)
{
    u->s.thre_pending = true;
    uart16550_update(u);
}

static void uart16550_push(struct uart16550_state *s, uint8_t c)
{
    if (s->fill >= uart16550_capacity(s)) {
        s->lsr |= LSR_OE;
        return;
    }
    s->fifo[(s->head + s->fill++) % sizeof s->fifo] = c;
}

static uint8_t pop(struct uart16550_state *s)
{
    uint8_t c = s->fifo[s->head];

    if (!s->fill)
        return 0;
    s->head = (uint8_t)((s->head + 1) % sizeof s->fifo);
    s->fill--;
    return c;
}

static void uart16550_refill(struct uart16550 *u)
{
    char in[sizeof u->s.fifo];
    size_t room, n;

    if (u->s.mcr & MCR_LOOP || u->s.fill > uart16550_capacity(&u->s))
        return;
    room = uart16550_capacity(&u->s) - u->s.fill;
    n = u->ops->in(u, in, room);
    for (size_t i = 0; i < n && i < room; i++)
        uart16550_push(&u->s, (uint8_t)in[i]);
}

static uint8_t read_rbr(struct uart16550 *u)
{
    uint8_t c = pop(&u->s);

    if (!u->s.fill)
        uart16550_refill(u);
    uart16550_update(u);
    return c;
}

static uint8_t read_iir(struct uart16550 *u)
{
    uint8_t r = uart16550_reason(&u->s);

    if (r == IIR_THRE) {
        u->s.thre_pending = false;
        uart16550_update(u);
    }
    return r | (fifo_on(&u->s) ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct uart16550 *u)
{
    uint8_t v = u->s.lsr | LSR_EMPTY | (u->s.fill ? LSR_DR : 0);

    u->s.lsr &= (uint8_t)~LSR_ERRORS;
    uart16550_update(u);
    return v;
}

static uint8_t read_msr(struct uart16550 *u)
{
    uint8_t v = u->s.msr;

    u->s.msr &= (uint8_t)~MSR_DELTAS;
    uart16550_update(u);
    return v;
}

uint8_t uart16550_read(struct uart16550 *u, unsigned reg)
{
    const struct uart16550_state *s = &u->s;
    bool dlab = s->lcr & LCR_DLAB;

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

static void write_thr(struct uart16550 *u, uint8_t val)
{
    u->s.thre_pending = false;
    if (u->s.mcr & MCR_LOOP)
        uart16550_push(&u->s, val);
    else
        u->ops->out(u, (char)val);
    uart16550_update(u);
    thre(u);
}

static void write_ier(struct uart16550 *u, uint8_t val)
{
    bool enabled = !(u->s.ier & IER_THRE) && val & IER_THRE;

    u->s.ier = val & 0x0f;
    if (enabled)
        u->s.thre_pending = true; /* enabling it while empty interrupts at once */
    uart16550_update(u);
}

static void write_fcr(struct uart16550 *u, uint8_t val)
{
    bool changed = (val ^ u->s.fcr) & FCR_ENABLE;

    u->s.fcr = val & FCR_ENABLE ? val & FCR_KEPT : 0;
    if (changed || val & FCR_CLEAR_RX)
        u->s.fill = 0;
    uart16550_refill(u);
    uart16550_update(u);
}

/* The modem inputs: a cable that is plugged in, or in loopback the modem outputs. */
static uint8_t modem_lines(const struct uart16550_state *s)
{
    if (!(s->mcr & MCR_LOOP))
        return MSR_CTS | MSR_DSR | MSR_DCD;
    return (uint8_t)((s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
                     (s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void write_mcr(struct uart16550 *u, uint8_t val)
{
    uint8_t old = u->s.msr & 0xf0, now, changed;

    u->s.mcr = val & 0x1f;
    now = modem_lines(&u->s);
    changed = old ^ now;
    if (!(old & MSR_RI))
        changed &= (uint8_t)~MSR_RI; /* only the trailing edge of RI counts */
    u->s.msr = (uint8_t)(now | (u->s.msr & MSR_DELTAS) | changed >> 4);
    uart16550_refill(u);
    uart16550_update(u);
}

void uart16550_write(struct uart16550 *u, unsigned reg, uint8_t val)
{
    bool dlab = u->s.lcr & LCR_DLAB;

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

void uart16550_input(struct uart16550 *u)
{
    uart16550_refill(u);
    uart16550_update(u);
}

void uart16550_init(struct uart16550 *u, const struct uart16550_ops *ops)
{
    *u =
        (struct uart16550){ .s = { .version = UART16550_VERSION, .dll = 1, .lcr = 3 }, .ops = ops };
    u->s.msr = modem_lines(&u->s);
}

bool uart16550_valid(const struct uart16550_state *s)
{
    return s->version == UART16550_VERSION && !(s->ier & ~0x0f) && !(s->mcr & ~0x1f) &&
           s->head < sizeof s->fifo && s->fill <= sizeof s->fifo && !(s->fcr & ~FCR_KEPT) &&
           !(s->lsr & ~LSR_ERRORS) && s->irq <= 1 && s->thre_pending <= 1 && !s->pad[0] &&
           !s->pad[1] && !s->pad[2];
}
