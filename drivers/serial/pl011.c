/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pl011.c: ARM's UART (PrimeCell UART PL011 technical reference manual, DDI 0183) and its subset,
 * the SBSA generic UART (DEN 0029, appendix B), which has no settings. Output never waits: what
 * does not fit into the FIFO stays in the console's ring until the transmitter's interrupt.
 */
#include <arch/io.h>
#include <arch/mmu.h>

#include "serial.h"

enum {
    UARTDR = 0x00,
    UARTFR = 0x18,
    UARTIBRD = 0x24,
    UARTFBRD = 0x28,
    UARTLCR_H = 0x2c,
    UARTCR = 0x30,
    UARTIMSC = 0x38,
    UARTMIS = 0x40,
    UARTICR = 0x44
};
#define FR_BUSY (1u << 3)
#define FR_RXFE (1u << 4) /* receive FIFO empty */
#define FR_TXFF (1u << 5) /* transmit FIFO full */
#define FR_TXFE (1u << 7)
#define LCR_FEN (1u << 4)
#define LCR_8N1 (3u << 5)
#define CR_ON (1u << 0 | 1u << 8 | 1u << 9) /* UARTEN, TXE, RXE */
#define INT_RX (1u << 4)
#define INT_TX (1u << 5)
#define INT_RT (1u << 6) /* bytes wait below the FIFO's mark */
#define INT_ALL 0x7ffu
#define DR_BREAK (1u << 10)
#define BAUD 115200u
#define SPINS 1000000 /* a byte at 9600 baud takes 1 ms */
#define REGS_LEN 0x1000u

static volatile uint8_t *regs;

static uint32_t pl011_rd(unsigned reg) { return mmio_read32(regs + reg); }
static void pl011_wr(unsigned reg, uint32_t val) { mmio_write32(regs + reg, val); }

/*
 * Section 3.3.6: the divisor in 64ths. LCR_H is written after the divisor, which takes effect with
 * it.
 */
static void pl011_set_line(uint32_t clock)
{
    uint32_t div = (uint32_t)((4ull * clock + BAUD / 2) / BAUD);

    for (int i = 0; i < SPINS && pl011_rd(UARTFR) & FR_BUSY; i++)
        ;
    pl011_wr(UARTCR, 0);
    if (clock) {
        pl011_wr(UARTIBRD, div >> 6);
        pl011_wr(UARTFBRD, div & 0x3f);
    }
    pl011_wr(UARTLCR_H, LCR_8N1 | LCR_FEN);
    pl011_wr(UARTCR, CR_ON);
}

/* A line that the firmware has set up is left at its speed. */
bool pl011_start(const struct platform_serial *u)
{
    regs = mmu_map_device(hpa(u->base), REGS_LEN);
    if (!regs)
        return false;
    pl011_wr(UARTIMSC, 0);
    if (u->kind == UART_PL011) {
        bool running = (pl011_rd(UARTCR) & CR_ON) == CR_ON;

        if (!running || !(pl011_rd(UARTLCR_H) & LCR_FEN))
            pl011_set_line(running ? 0 : u->clock);
    }
    pl011_wr(UARTICR, INT_ALL);
    return true;
}

static size_t pl011_put(const char *s, size_t n)
{
    size_t done = 0;

    while (done < n && !(pl011_rd(UARTFR) & FR_TXFF))
        pl011_wr(UARTDR, (uint8_t)s[done++]);
    return done;
}

static void pl011_write_sync(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (int spin = 0; spin < SPINS && pl011_rd(UARTFR) & FR_TXFF; spin++)
            ;
        pl011_wr(UARTDR, (uint8_t)s[i]);
    }
}

static bool pl011_receive(void)
{
    char buf[64];
    size_t n = 0;

    for (int i = 0; i < (int)sizeof buf && !(pl011_rd(UARTFR) & FR_RXFE); i++) {
        uint32_t d = pl011_rd(UARTDR);

        if (!(d & DR_BREAK))
            buf[n++] = (char)d;
    }
    if (n)
        host_console_rx(buf, n);
    return n > 0;
}

static bool pl011_tx_idle(void) { return !(pl011_rd(UARTFR) & FR_TXFF); }

/*
 * The transmitter's interrupt comes when the FIFO drains past its mark and stays until it is
 * cleared, so it is left enabled: it costs one interrupt after each burst. Those of the receiver
 * are never cleared here: they end when the FIFO is empty, so that what is left after the bounded
 * loop interrupts again (section 2.8.1).
 */
static void pl011_on_irq(void *arg)
{
    (void)arg;
    for (int i = 0; i < 16; i++) {
        uint32_t mis = pl011_rd(UARTMIS);

        if (!mis)
            return;
        pl011_wr(UARTICR, mis & ~(INT_RX | INT_RT));
        (void)pl011_receive();
        if (mis & INT_TX)
            host_console_tx_ready();
    }
}

/*
 * Bytes that came while the line was polled have had their interrupt, which was cleared: they are
 * fetched now.
 */
static void pl011_irq_on(void)
{
    pl011_wr(UARTIMSC, INT_RX | INT_RT | INT_TX);
    for (int i = 0; i < 16 && !(pl011_rd(UARTFR) & FR_RXFE); i++)
        (void)pl011_receive();
}

const struct serial_chip pl011 = {
    .line = { .name = "serial", .write = pl011_put, .write_sync = pl011_write_sync },
    .receive = pl011_receive,
    .tx_idle = pl011_tx_idle,
    .irq = pl011_on_irq,
    .irq_on = pl011_irq_on,
};
