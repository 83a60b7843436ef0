/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * uart16550.c: the host's serial console (National Semiconductor PC16550D data sheet). Output never
 * waits: what does not fit into the FIFO stays in the console's ring until the transmitter's
 * interrupt.
 */
#include <arch/io.h>
#include <arch/mmu.h>

#include <stdio.h>

#include "serial.h"

enum {
    THR = 0,
    RBR = 0,
    DLL = 0,
    DLM = 1,
    IER = 1,
    IIR = 2,
    FCR = 2,
    LCR = 3,
    MCR = 4,
    LSR = 5,
    MSR = 6,
    SCR = 7
};
#define LCR_8N1 0x03u
#define LCR_DLAB 0x80u
#define MCR_ON 0x0bu /* DTR, RTS, and OUT2, which gates the interrupt on PCs */
#define MCR_LOOP 0x10u
#define LSR_DATA 0x01u
#define LSR_IDLE 0x20u /* transmitter holding register, or FIFO, empty */
#define IER_RX_TX 0x03u
#define IIR_NONE 0x01u
#define SPINS 100000 /* a byte at 9600 baud takes 1 ms */

static struct uart {
    bool found;
    uint16_t port;
    volatile uint8_t *mmio;
    /* register spacing as a power of two, and access width in bytes */
    uint8_t shift, width;
    uint8_t fifo; /* bytes that may be written when the transmitter is idle */
    /* of them, still free: only known after an idle transmitter was seen */
    uint8_t left;
} uart;

static uint8_t rd(unsigned reg)
{
    const volatile uint8_t *p = uart.mmio + ((size_t)reg << uart.shift);

    if (!uart.mmio)
        return (uint8_t)port_read((uint16_t)(uart.port + reg), 1);
    return uart.width == 4 ? (uint8_t)mmio_read32(p) : mmio_read8(p);
}

static void wr(unsigned reg, uint8_t val)
{
    volatile uint8_t *p = uart.mmio + ((size_t)reg << uart.shift);

    if (!uart.mmio)
        port_write((uint16_t)(uart.port + reg), 1, val);
    else if (uart.width == 4)
        mmio_write32(p, val);
    else
        mmio_write8(p, val);
}

/* A byte sent round inside the chip; an empty port reads all ones. */
static bool loopback(void)
{
    wr(IER, 0);
    wr(MCR, MCR_LOOP | MCR_ON);
    if (rd(LSR) == 0xff)
        return false;
    for (int i = 0; i < 16 && rd(LSR) & LSR_DATA; i++)
        (void)rd(RBR);
    wr(THR, 0x5a);
    for (int i = 0; i < SPINS && !(rd(LSR) & LSR_DATA); i++)
        ;
    return rd(RBR) == 0x5a;
}

/* The firmware's speed is kept if it set one; else 115200. clock: Hz; 0: 1.8432 MHz, as in PCs. */
static void set_line(uint32_t baud, uint32_t clock)
{
    uint32_t fastest = clock ? clock / 16 : 115200, want = baud ? baud : 115200;

    wr(LCR, LCR_8N1 | LCR_DLAB);
    uint32_t div = rd(DLL) | (uint32_t)rd(DLM) << 8;
    if (baud || !div || (!clock && div > 384))
        div = fastest > want ? (fastest + want / 2) / want : 1;
    wr(DLL, (uint8_t)div);
    wr(DLM, (uint8_t)(div >> 8));
    wr(LCR, LCR_8N1);
}

static bool start(uint32_t baud, uint32_t clock)
{
    set_line(baud, clock);
    wr(FCR, 0x07); /* FIFOs on and emptied, interrupt at each byte */
    bool fifo = (rd(IIR) & 0xc0) == 0xc0;
    if (!loopback())
        return false;
    wr(MCR, MCR_ON);
    uart.fifo = fifo ? 16 : 1;
    uart.left = 0;
    uart.found = true;
    return true;
}

static size_t write(const char *s, size_t n)
{
    size_t done = 0;

    if (rd(LSR) & LSR_IDLE)
        uart.left = uart.fifo;
    for (; done < n && uart.left; uart.left--)
        wr(THR, (uint8_t)s[done++]);
    return done;
}

static void write_sync(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (int spin = 0; spin < SPINS && !(rd(LSR) & LSR_IDLE); spin++)
            ;
        wr(THR, (uint8_t)s[i]);
    }
    uart.left = 0;
}

static void receive(void)
{
    char buf[64];
    size_t n = 0;

    while (n < sizeof buf && rd(LSR) & LSR_DATA)
        buf[n++] = (char)rd(RBR);
    if (n)
        host_console_rx(buf, n);
}

static void on_irq(void *arg)
{
    (void)arg;
    for (int i = 0; i < 16 && !(rd(IIR) & IIR_NONE); i++) {
        receive();
        (void)rd(MSR);
        if (rd(LSR) & LSR_IDLE)
            host_console_tx_ready();
    }
    /* still more: the line must fall and rise again, since edges count */
    if (!(rd(IIR) & IIR_NONE)) {
        wr(IER, 0);
        wr(IER, IER_RX_TX);
    }
}

static bool tx_idle(void) { return rd(LSR) & LSR_IDLE; }
static void irq_on(void) { wr(IER, IER_RX_TX); }

const struct serial_chip uart16550 = {
    .line = { .name = "serial", .write = write, .write_sync = write_sync },
    .receive = receive,
    .tx_idle = tx_idle,
    .irq = on_irq,
    .irq_on = irq_on,
};

bool uart16550_probe(uint16_t port)
{
    uart = (struct uart){ .port = port, .width = 1 };
    return start(0, 0);
}

/*
 * Registers that lie 4 bytes apart are taken for 32 bits wide, which those that are only 8 wide
 * bear.
 */
bool uart16550_mmio(const struct platform_serial *u)
{
    uart = (struct uart){ .mmio = mmu_map_device(hpa(u->base), 64),
                          .shift = u->reg_shift,
                          .width = u->reg_shift == 2 ? 4 : 1 };
    return uart.mmio && start(u->baud, u->clock);
}

/* The SPCR's registers, if they are 16550-compatible and not what was probed already. */
bool uart16550_spcr(const struct acpi_spcr *s, char name[SERIAL_NAME_MAX])
{
    struct uart old = uart;

    if (!s->present || s->kind > 1 ||
        (s->reg.space == ACPI_IO && s->reg.addr == uart.port && uart.found))
        return false;
    uart = (struct uart){ .width = s->reg.access == 3 ? 4 : 1, .shift = s->reg.bits == 32 ? 2 : 0 };
    if (s->reg.space == ACPI_IO)
        uart.port = (uint16_t)s->reg.addr;
    else if (s->reg.space == ACPI_MEMORY)
        uart.mmio = mmu_map_device(hpa(s->reg.addr), 64);
    if ((uart.mmio || uart.port) && start(s->baud, 0)) {
        snprintf(name, SERIAL_NAME_MAX, "UART at %s %llx", uart.mmio ? "address" : "port",
                 (unsigned long long)s->reg.addr);
        return true;
    }
    uart = old;
    return false;
}
