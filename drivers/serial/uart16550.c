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
    SCR = 7,
    USR = 31 /* DesignWare's alone (DW_apb_uart databook, UART status register) */
};
#define LCR_8N1 0x03u
#define LCR_DLAB 0x80u
#define MCR_ON 0x0bu /* DTR, RTS, and OUT2, which gates the interrupt on PCs */
#define MCR_LOOP 0x10u
#define LSR_DATA 0x01u
#define LSR_IDLE 0x20u /* transmitter holding register, or FIFO, empty */
#define LSR_SENT 0x40u /* the shift register, too */
#define IER_RX_TX 0x03u
#define IIR_NONE 0x01u
#define IIR_ID 0x0fu
#define IIR_BUSY 0x07u     /* DesignWare: LCR was written while busy; reading USR ends it */
#define IIR_TIME_OUT 0x0cu /* bytes wait below the FIFO's mark */
#define PC_CLOCK 1843200u  /* Hz */
#define REGS_LEN 0x80u
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

static uint8_t uart16550_rd(unsigned reg)
{
    const volatile uint8_t *p = uart.mmio + ((size_t)reg << uart.shift);

    if (!uart.mmio)
        return (uint8_t)port_read((uint16_t)(uart.port + reg), 1);
    return uart.width == 4 ? (uint8_t)mmio_read32(p) : mmio_read8(p);
}

static void uart16550_wr(unsigned reg, uint8_t val)
{
    volatile uint8_t *p = uart.mmio + ((size_t)reg << uart.shift);

    if (!uart.mmio)
        port_write((uint16_t)(uart.port + reg), 1, val);
    else if (uart.width == 4)
        mmio_write32(p, val);
    else
        mmio_write8(p, val);
}

/* What the firmware wrote last goes out first. */
static void wait_until_sent(void)
{
    for (int i = 0; i < SPINS && !(uart16550_rd(LSR) & LSR_SENT); i++)
        ;
}

/* A byte sent round inside the chip; an empty port reads all ones. */
static bool loopback(void)
{
    uart16550_wr(IER, 0);
    uart16550_wr(MCR, MCR_LOOP | MCR_ON);
    if (uart16550_rd(LSR) == 0xff)
        return false;
    for (int i = 0; i < 16 && uart16550_rd(LSR) & LSR_DATA; i++)
        (void)uart16550_rd(RBR);
    uart16550_wr(THR, 0x5a);
    for (int i = 0; i < SPINS && !(uart16550_rd(LSR) & LSR_DATA); i++)
        ;
    return uart16550_rd(RBR) == 0x5a;
}

/* `running`: what the firmware set. A speed cannot be made from a clock that nobody knows. */
static uint32_t divisor_for(uint32_t running, uint32_t baud, uint32_t clock)
{
    bool pc = !uart.mmio || !running;
    uint32_t hz = clock ? clock : PC_CLOCK, want = baud ? baud : 115200;
    bool odd = !clock && running > PC_CLOCK / 16 / 300; /* no PC's firmware sets 300 baud */

    if (running && !odd && !baud)
        return running;
    if (!clock && !pc)
        return running;
    return hz / 16 > want ? (hz / 16 + want / 2) / want : 1;
}

/* The firmware's speed is kept if it set one; else 115200. clock: Hz; 0: unknown, a PC's at ports
 */
static void uart16550_set_line(uint32_t baud, uint32_t clock)
{
    uart16550_wr(LCR, LCR_8N1 | LCR_DLAB);
    uint32_t running = uart16550_rd(DLL) | (uint32_t)uart16550_rd(DLM) << 8,
             div = divisor_for(running, baud, clock);
    if (div != running) {
        uart16550_wr(DLL, (uint8_t)div);
        uart16550_wr(DLM, (uint8_t)(div >> 8));
    }
    uart16550_wr(LCR, LCR_8N1);
}

static bool uart16550_start(uint32_t baud, uint32_t clock)
{
    uint8_t mcr = uart16550_rd(MCR);

    wait_until_sent();
    uart16550_set_line(baud, clock);
    uart16550_wr(FCR, 0x07); /* FIFOs on and emptied, interrupt at each byte */
    bool fifo = (uart16550_rd(IIR) & 0xc0) == 0xc0;
    if (!loopback()) {
        uart16550_wr(MCR, mcr); /* something else is there: its lines are as they were */
        return false;
    }
    uart16550_wr(MCR, MCR_ON);
    uart.fifo = fifo ? 16 : 1;
    uart.left = 0;
    uart.found = true;
    return true;
}

static size_t uart16550_put(const char *s, size_t n)
{
    size_t done = 0;

    if (uart16550_rd(LSR) & LSR_IDLE)
        uart.left = uart.fifo;
    for (; done < n && uart.left; uart.left--)
        uart16550_wr(THR, (uint8_t)s[done++]);
    return done;
}

static void uart16550_write_sync(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (int spin = 0; spin < SPINS && !(uart16550_rd(LSR) & LSR_IDLE); spin++)
            ;
        uart16550_wr(THR, (uint8_t)s[i]);
    }
    uart.left = 0;
}

static bool uart16550_receive(void)
{
    char buf[64];
    size_t n = 0;

    while (n < sizeof buf && uart16550_rd(LSR) & LSR_DATA)
        buf[n++] = (char)uart16550_rd(RBR);
    if (n)
        host_console_rx(buf, n);
    return n > 0;
}

/*
 * DesignWare's chips interrupt for two reasons that no byte ends: their "busy", whose identifier
 * has the bit that means "none" elsewhere, and a time-out with an empty FIFO, which a read ends.
 */
static void end_oddities(uint8_t id)
{
    if (id == IIR_BUSY && uart.shift == 2)
        (void)uart16550_rd(USR);
    if (id == IIR_TIME_OUT && !(uart16550_rd(LSR) & LSR_DATA))
        (void)uart16550_rd(RBR);
}

/* Why it interrupts; IIR_NONE: it does not. */
static uint8_t reason(void)
{
    uint8_t id = uart16550_rd(IIR) & IIR_ID;

    return id != IIR_BUSY && id & IIR_NONE ? IIR_NONE : id;
}

static void uart16550_on_irq(void *arg)
{
    uint8_t id = reason();

    (void)arg;
    for (int i = 0; i < 16 && id != IIR_NONE; i++, id = reason()) {
        end_oddities(id);
        (void)uart16550_receive();
        (void)uart16550_rd(MSR);
        if (uart16550_rd(LSR) & LSR_IDLE)
            host_console_tx_ready();
    }
    /* still more: the line must fall and rise again, since edges count */
    if (id != IIR_NONE) {
        uart16550_wr(IER, 0);
        uart16550_wr(IER, IER_RX_TX);
    }
}

static bool uart16550_tx_idle(void) { return uart16550_rd(LSR) & LSR_IDLE; }
static void uart16550_irq_on(void) { uart16550_wr(IER, IER_RX_TX); }

const struct serial_chip uart16550 = {
    .line = { .name = "serial", .write = uart16550_put, .write_sync = uart16550_write_sync },
    .receive = uart16550_receive,
    .tx_idle = uart16550_tx_idle,
    .irq = uart16550_on_irq,
    .irq_on = uart16550_irq_on,
};

bool uart16550_probe(uint16_t port)
{
    uart = (struct uart){ .port = port, .width = 1 };
    return uart16550_start(0, 0);
}

/*
 * Registers that lie 4 bytes apart are taken for 32 bits wide, which those that are only 8 wide
 * bear.
 */
bool uart16550_mmio(const struct platform_serial *u)
{
    uart = (struct uart){ .mmio = mmu_map_device(hpa(u->base), REGS_LEN),
                          .shift = u->reg_shift,
                          .width = u->reg_shift == 2 ? 4 : 1 };
    return uart.mmio && uart16550_start(u->baud, u->clock);
}

#define SPCR_16550_GAS 0x12 /* registers as the generic address says (DBG2 table 3) */

/* The SPCR's registers, if they are 16550-compatible and not what was probed already. */
bool uart16550_spcr(const struct acpi_spcr *s, char name[SERIAL_NAME_MAX])
{
    struct uart old = uart;

    if (!s->present || (s->kind > 1 && s->kind != SPCR_16550_GAS) ||
        (s->reg.space == ACPI_IO && s->reg.addr == uart.port && uart.found))
        return false;
    uart = (struct uart){ .width = s->reg.access == 3 ? 4 : 1, .shift = s->reg.bits == 32 ? 2 : 0 };
    if (s->reg.space == ACPI_IO)
        uart.port = (uint16_t)s->reg.addr;
    else if (s->reg.space == ACPI_MEMORY)
        uart.mmio = mmu_map_device(hpa(s->reg.addr), REGS_LEN);
    if ((uart.mmio || uart.port) && uart16550_start(s->baud, 0)) {
        snprintf(name, SERIAL_NAME_MAX, "UART at %s %llx", uart.mmio ? "address" : "port",
                 (unsigned long long)s->reg.addr);
        return true;
    }
    uart = old;
    return false;
}
