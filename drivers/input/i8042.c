/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * i8042.c: the keyboard of a PC, or what its firmware shows as one: ports 60h and 64h (IBM Personal
 * System/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller"). The
 * controller translates to scan code set 1. Its mouse is left off. An interrupt is never trusted,
 * as with the serial port: the keyboard is polled until one comes, and looked at now and then
 * after.
 */
#include <arch/io.h>
#include <arch/irq.h>

#include <hv/acpi.h>
#include <hv/assert.h>
#include <hv/console.h>
#include <hv/event.h>
#include <hv/log.h>
#include <hv/time.h>

#include "i8042.h"
#include <hv/keyboard.h>

enum { PORT_DATA = 0x60, PORT_STATUS = 0x64, PORT_COMMAND = 0x64 };
enum { STATUS_OUT = 1 << 0, STATUS_IN = 1 << 1, STATUS_MOUSE = 1 << 5, STATUS_NONE = 0xff };
enum {
    CMD_READ_CONFIG = 0x20,
    CMD_WRITE_CONFIG = 0x60,
    CMD_MOUSE_OFF = 0xa7,
    CMD_KEYBOARD_OFF = 0xad,
    CMD_KEYBOARD_ON = 0xae
};
enum { CONFIG_IRQ = 1 << 0, CONFIG_IRQ_MOUSE = 1 << 1, CONFIG_TRANSLATE = 1 << 6 };
enum { KEYBOARD_SCAN = 0xf4, KEYBOARD_IRQ = 1 };
/* What a keyboard says besides keys. That it has tested itself, AAh, is a left Shift let go. */
enum { SAYS_ERROR = 0, SAYS_ACK = 0xfa, SAYS_FAILED = 0xfc, SAYS_AGAIN = 0xfe, SAYS_FULL = 0xff };

#define ANSWER_NS 20000000ull /* the controller's own answers */
#define POLL_NS 20000000ull   /* while no interrupt has come */
#define WATCH_NS 250000000ull /* after one has */
#define PER_LOOK 32u          /* bytes taken at once: a controller that never runs dry is faulty */

static struct keyboard keyboard;
static struct event look;
static uint32_t interrupts; /* that have come, until one was found missing */

static uint8_t i8042_status(void) { return (uint8_t)port_read(PORT_STATUS, 1); }

/* The bits of `mask` are as in `want` in time. */
static bool i8042_waits(uint8_t mask, uint8_t want)
{
    uint64_t end = time_ns() + ANSWER_NS;

    do {
        if ((i8042_status() & mask) == want)
            return true;
    } while (time_ns() < end);
    return false;
}

static bool i8042_write(uint16_t port, uint8_t val)
{
    if (!i8042_waits(STATUS_IN, 0))
        return false;
    port_write(port, 1, val);
    return true;
}

static void i8042_drain(void)
{
    for (unsigned i = 0; i < PER_LOOK && i8042_status() & STATUS_OUT; i++)
        (void)port_read(PORT_DATA, 1);
}

/*
 * Both devices off, so that no key is taken for an answer; then the keyboard alone, translated,
 * with its interrupt. False: nobody answers.
 */
static bool i8042_start(void)
{
    uint8_t config;

    if (i8042_status() == STATUS_NONE || !i8042_write(PORT_COMMAND, CMD_KEYBOARD_OFF) ||
        !i8042_write(PORT_COMMAND, CMD_MOUSE_OFF))
        return false;
    i8042_drain();
    if (!i8042_write(PORT_COMMAND, CMD_READ_CONFIG) || !i8042_waits(STATUS_OUT, STATUS_OUT))
        return false;
    config = (uint8_t)port_read(PORT_DATA, 1);
    config = (uint8_t)((config & ~CONFIG_IRQ_MOUSE) | CONFIG_TRANSLATE | CONFIG_IRQ);
    return i8042_write(PORT_COMMAND, CMD_WRITE_CONFIG) && i8042_write(PORT_DATA, config) &&
           i8042_write(PORT_COMMAND, CMD_KEYBOARD_ON) && i8042_write(PORT_DATA, KEYBOARD_SCAN);
}

static bool is_answer(uint8_t code)
{
    return code == SAYS_ERROR || code == SAYS_ACK || code == SAYS_FAILED || code == SAYS_AGAIN ||
           code == SAYS_FULL;
}

/* False: nothing had come. */
static bool i8042_receive(void)
{
    char typed[KEY_BYTES_MAX];
    bool any = false;

    for (unsigned i = 0; i < PER_LOOK; i++) {
        uint8_t status = i8042_status(), code;

        if (status == STATUS_NONE || !(status & STATUS_OUT))
            break;
        code = (uint8_t)port_read(PORT_DATA, 1);
        any = true;
        if (status & STATUS_MOUSE || is_answer(code))
            continue;
        size_t n = keyboard_code(&keyboard, code, typed);
        if (n)
            host_console_rx(typed, n);
    }
    return any;
}

static void on_key(void *arg)
{
    (void)arg;
    interrupts++;
    (void)i8042_receive();
}

static void on_look(struct event *ev)
{
    assert_cpu0();
    if (i8042_receive())
        interrupts = 0;
    event_at(ev, time_ns() + (interrupts ? WATCH_NS : POLL_NS));
}

int i8042_init(void)
{
    assert_cpu0();
    if (!acpi_info()->power.legacy_kbd || !i8042_start())
        return -ENODEV;
    if (irq_register(KEYBOARD_IRQ, on_key, NULL))
        log_debug("keyboard: polled, interrupt %u cannot be routed", KEYBOARD_IRQ);
    log_info("keyboard: PC, US layout");
    event_init(&look, on_look, 0);
    event_at(&look, time_ns() + POLL_NS);
    return 0;
}
