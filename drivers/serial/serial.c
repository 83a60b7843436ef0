/* SPDX-License-Identifier: BSD-2-Clause */
/* serial.c: which chip the console line is, and when it begins to interrupt. */
#include <arch/irq.h>

#include <hv/assert.h>
#include <hv/event.h>
#include <hv/log.h>
#include <hv/time.h>
#include <stdio.h>

#include "boot/boot_info.h"
#include "serial.h"

#define POLL_NS 2000000ull    /* while no interrupt has come: 16 bytes at 115200 baud take 1.4 ms */
#define WATCH_NS 250000000ull /* after one has */

static const struct serial_chip *chip; /* NULL: no line */
static uint32_t gsi;
static char name[SERIAL_NAME_MAX];
static struct event poll;
static uint32_t interrupts; /* that have come, until one was found missing */

/* The log's lines end in a line feed; a terminal wants a carriage return too. */
void serial_early_write(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\n')
            chip->line.write_sync("\r", 1);
        chip->line.write_sync(s + i, 1);
    }
}

static bool try_ports(void)
{
    static const struct {
        uint16_t port;
        uint8_t irq;
    } com[] = { { 0x3f8, 4 }, { 0x2f8, 3 } };

    for (size_t i = 0; i < ARRAY_SIZE(com); i++) {
        if (uart16550_probe(com[i].port)) {
            chip = &uart16550;
            gsi = com[i].irq;
            snprintf(name, sizeof name, "COM%zu at port %x", i + 1, com[i].port);
            return true;
        }
    }
    return false;
}

static bool try_platform(const struct boot_info *bi)
{
    static const char *const kinds[] = {
        [UART_PL011] = "PL011", [UART_SBSA] = "SBSA UART", [UART_16550] = "16550"
    };
    const struct platform_serial *u = &the_platform.uart;

    platform_find(bi);
    if (u->kind == UART_16550 ? !uart16550_mmio(u) : u->kind == UART_NONE || !pl011_start(u))
        return false;
    chip = u->kind == UART_16550 ? &uart16550 : &pl011;
    gsi = u->intid;
    snprintf(name, sizeof name, "%s at %llx", kinds[u->kind], (unsigned long long)u->base);
    return true;
}

bool serial_early(const struct boot_info *bi)
{
    if (!try_ports() && !try_platform(bi))
        return false;
    host_console_register(&chip->line); /* a panic reaches it from now on */
    return true;
}

static void serial_on_irq(void *arg)
{
    interrupts++;
    chip->irq(arg);
}

/*
 * An interrupt is never trusted: tables name wrong lines, lines are not wired, and remapping that
 * was left on swallows them. What is found by looking, where an interrupt should have told, makes
 * the line a polled one again until the next comes.
 */
static void on_poll(struct event *ev)
{
    assert_cpu0();
    if (chip->receive())
        interrupts = 0;
    if (chip->tx_idle())
        host_console_tx_ready();
    event_at(ev, time_ns() + (interrupts ? WATCH_NS : POLL_NS));
}

int serial_init(void)
{
    bool was = chip;

    assert_cpu0();
    if ((!chip || chip == &uart16550) && the_platform.source == PLATFORM_NONE &&
        uart16550_spcr(&acpi_info()->spcr, name)) {
        chip = &uart16550;
        gsi = acpi_info()->spcr.gsi ? acpi_info()->spcr.gsi : gsi;
    }
    if (!chip)
        return -ENODEV;
    if (!was)
        host_console_register(&chip->line);
    if (gsi && irq_register(gsi, serial_on_irq, NULL) == 0) {
        chip->irq_on();
        log_info("console: %s, by interrupt %u", name, gsi);
    } else {
        log_warn("console: %s, polled: its interrupt %u cannot be routed", name, gsi);
    }
    event_init(&poll, on_poll, 0);
    event_at(&poll, time_ns() + POLL_NS);
    return 0;
}
