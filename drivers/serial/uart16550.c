/*
 * uart16550.c: the host's serial console (National Semiconductor PC16550D data sheet). Output never waits: what does not
 * fit into the FIFO stays in the console's ring until the transmitter's interrupt.
 */
#include <arch/io.h>
#include <arch/irq.h>
#include <arch/mmu.h>

#include <hv/console.h>
#include <hv/event.h>
#include <hv/log.h>
#include <hv/time.h>
#include <stdio.h>

#include "serial.h"

enum { THR = 0, RBR = 0, DLL = 0, DLM = 1, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };
#define LCR_8N1  0x03u
#define LCR_DLAB 0x80u
#define MCR_ON   0x0bu                  /* DTR, RTS, and OUT2, which gates the interrupt on PCs */
#define MCR_LOOP 0x10u
#define LSR_DATA 0x01u
#define LSR_IDLE 0x20u                  /* transmitter holding register, or FIFO, empty */
#define IER_RX_TX 0x03u
#define IIR_NONE 0x01u
#define POLL_NS  10000000ull
#define SPINS    100000                 /* a byte at 9600 baud takes 1 ms */

static struct uart {
    bool found, irq;
    uint16_t port;
    volatile uint8_t *mmio;
    uint8_t shift, width;               /* register spacing as a power of two, and access width in bytes */
    uint8_t fifo;                       /* bytes that may be written when the transmitter is idle */
    uint8_t left;                       /* of them, still free: only known after an idle transmitter was seen */
    char name[48];
} uart;
static struct event poll;
static bool registered;

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

/* The firmware's speed is kept if it set one; else 115200. */
static void set_line(uint32_t baud)
{
    wr(LCR, LCR_8N1 | LCR_DLAB);
    uint32_t div = rd(DLL) | (uint32_t)rd(DLM) << 8;
    if (baud)
        div = 115200 / baud;
    else if (!div || div > 384)
        div = 1;
    wr(DLL, (uint8_t)div);
    wr(DLM, (uint8_t)(div >> 8));
    wr(LCR, LCR_8N1);
}

static bool start(uint32_t baud)
{
    set_line(baud);
    wr(FCR, 0x07);                      /* FIFOs on and emptied, interrupt at each byte */
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

static const struct host_console line = { .name = "serial", .write = write, .write_sync = write_sync };

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
    if (!(rd(IIR) & IIR_NONE)) {        /* still more: the line must fall and rise again, since edges count */
        wr(IER, 0);
        wr(IER, IER_RX_TX);
    }
}

static void on_poll(struct event *ev)
{
    receive();
    if (rd(LSR) & LSR_IDLE)
        host_console_tx_ready();
    event_at(ev, time_ns() + POLL_NS);
}

static bool try_port(uint16_t port, const char *name)
{
    uart = (struct uart){ .port = port, .width = 1 };
    snprintf(uart.name, sizeof uart.name, "%s at port %x", name, port);
    return start(0);
}

/* The log's lines end in a line feed; a terminal wants a carriage return too. */
static void early_sink(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\n')
            write_sync("\r", 1);
        write_sync(s + i, 1);
    }
}

bool serial_early(void)
{
    if (!try_port(0x3f8, "COM1") && !try_port(0x2f8, "COM2"))
        return false;
    log_set_sink(early_sink);
    host_console_register(&line);       /* a panic reaches it from now on */
    registered = true;
    return true;
}

/* The SPCR's registers, if they are 16550-compatible and not what was probed already. */
static bool use_spcr(const struct acpi_spcr *s)
{
    struct uart old = uart;

    if (!s->present || s->kind > 1 || (s->reg.space == ACPI_IO && s->reg.addr == uart.port && uart.found))
        return false;
    uart = (struct uart){ .width = s->reg.access == 3 ? 4 : 1, .shift = s->reg.bits == 32 ? 2 : 0 };
    if (s->reg.space == ACPI_IO)
        uart.port = (uint16_t)s->reg.addr;
    else if (s->reg.space == ACPI_MEMORY)
        uart.mmio = mmu_map_device(hpa(s->reg.addr), 64);
    snprintf(uart.name, sizeof uart.name, "UART at %s %llx", uart.mmio ? "address" : "port", (unsigned long long)s->reg.addr);
    if ((uart.mmio || uart.port) && start(s->baud))
        return true;
    uart = old;
    return false;
}

int serial_init(const struct acpi_spcr *s)
{
    uint32_t gsi = uart.port == 0x2f8 ? 3 : 4;

    if (use_spcr(s) && s->gsi)
        gsi = s->gsi;
    if (!uart.found)
        return -ENODEV;
    uart.irq = irq_register(gsi, on_irq, NULL) == 0;
    if (!registered)
        host_console_register(&line);
    registered = true;
    if (uart.irq) {
        wr(IER, IER_RX_TX);
    } else {
        log_warn("the serial port's interrupt %u cannot be routed: the port is polled", gsi);
        event_init(&poll, on_poll, 0);
        event_at(&poll, time_ns() + POLL_NS);
    }
    return 0;
}

const char *serial_name(void)
{
    return uart.name;
}
