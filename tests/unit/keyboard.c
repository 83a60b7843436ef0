/* SPDX-License-Identifier: BSD-2-Clause */
/* Scan codes, and the keyboard controller against a model of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "drivers/input/i8042.c"
#include "drivers/input/keyboard.c"

static struct {
    bool absent, stuck, dry_never;      /* stuck: never takes a byte */
    uint8_t config, command, queue[64]; /* command: that waits for its byte */
    unsigned n;
    bool keyboard_on, mouse_on, scans;
    uint64_t mouse; /* bit per byte of the queue: it is the mouse's */
} chip;
static char typed[256];
static size_t ntyped;
static struct acpi_info acpi;

const struct acpi_info *acpi_info(void) { return &acpi; }
void host_console_rx(const char *s, size_t n)
{
    memcpy(typed + ntyped, s, n);
    ntyped += n;
}

static void say(uint8_t code)
{
    if (chip.n < sizeof chip.queue)
        chip.queue[chip.n++] = code;
}

uint32_t port_read(uint16_t port, unsigned size)
{
    uint8_t first = chip.queue[0];

    assert_int_equal(size, 1);
    if (chip.absent)
        return 0xff;
    if (port == PORT_STATUS) {
        host_now += 1000;
        return (uint32_t)((chip.n || chip.dry_never ? STATUS_OUT : 0) |
                          (chip.stuck ? STATUS_IN : 0) | (chip.mouse & 1 ? STATUS_MOUSE : 0));
    }
    assert_int_equal(port, PORT_DATA);
    if (chip.n) {
        memmove(chip.queue, chip.queue + 1, --chip.n);
        chip.mouse >>= 1;
    }
    return first;
}

static void command(uint8_t val)
{
    chip.command = val == CMD_WRITE_CONFIG ? val : 0;
    switch (val) {
    case CMD_READ_CONFIG: say(chip.config); break;
    case CMD_KEYBOARD_OFF:
    case CMD_KEYBOARD_ON: chip.keyboard_on = val == CMD_KEYBOARD_ON; break;
    case CMD_MOUSE_OFF: chip.mouse_on = false; break;
    default: assert_int_equal(val, CMD_WRITE_CONFIG);
    }
}

void port_write(uint16_t port, unsigned size, uint32_t val)
{
    assert_int_equal(size, 1);
    if (port == PORT_COMMAND) {
        command((uint8_t)val);
    } else if (chip.command) {
        chip.config = (uint8_t)val;
        chip.command = 0;
    } else {
        assert_true(chip.keyboard_on);
        chip.scans = val == KEYBOARD_SCAN;
        say(SAYS_ACK);
    }
}

static int begin(void **state)
{
    (void)state;
    host_init(1, 0);
    memset(&chip, 0, sizeof chip);
    memset(&keyboard, 0, sizeof keyboard);
    chip.config = CONFIG_IRQ_MOUSE;
    chip.keyboard_on = chip.mouse_on = true;
    acpi.power.legacy_kbd = true;
    interrupts = 0;
    ntyped = 0;
    return 0;
}

static int finish(void **state)
{
    (void)state;
    if (look.fn)
        event_cancel(&look);
    return 0;
}

static void expect(const char *what, size_t n)
{
    assert_int_equal(ntyped, n);
    assert_memory_equal(typed, what, n);
    ntyped = 0;
}

static void keys(const char *codes, size_t n, const char *what, size_t len)
{
    char out[KEY_BYTES_MAX];

    for (size_t i = 0; i < n; i++) {
        size_t bytes = keyboard_code(&keyboard, (uint8_t)codes[i], out);

        assert_in_range(bytes, 0, KEY_BYTES_MAX);
        host_console_rx(out, bytes);
    }
    expect(what, len);
}
#define KEYS(codes, what) keys(codes, sizeof(codes) - 1, what, sizeof(what) - 1)

static void test_characters(void **state)
{
    (void)state;
    KEYS("\x23\xa3\x12\x92\x26\xa6\x19\x99\x1c\x9c", "help\r");
    KEYS("\x2a\x23\xa3\xaa\x23", "Hh");                   /* Shift */
    KEYS("\x36\x03\xb6\x03", "@2");                       /* the right one */
    KEYS("\x3a\xba\x23\x03\x2a\x23\xaa\x3a\x23", "H2hh"); /* Caps Lock is of letters alone */
    KEYS("\x1d\x2e\x1b\x9d\x2e", "\x03\x1d"
                                 "c");       /* Ctrl-C, Ctrl-] */
    KEYS("\xe0\x1d\x39\xe0\x9d\x39", "\0 "); /* Ctrl-Space */
    KEYS("\x38\x30\xb8\x30", "\033bb");      /* Alt */
    KEYS("\x01\x0e\x0f", "\033\177\t");
}

static void test_sequences(void **state)
{
    (void)state;
    KEYS("\xe0\x48\xe0\xc8\xe0\x50\xe0\x4b\xe0\x4d", "\033[A\033[B\033[D\033[C");
    KEYS("\xe0\x2a\xe0\x53\xe0\xd3\xe0\xaa\x1e", "\033[3~a"); /* a Shift that nobody pressed */
    KEYS("\x3b\x58", "\033OP\033[24~");
    KEYS("\x47\x4c\x53\x4a\xe0\x1c\xe0\x35", "75.-\r/"); /* the key pad */
    KEYS("\x45\xc5\x47\x4c\x4a\x45\x47", "\033[H-7");    /* without Num Lock */
    KEYS("\x2a\x48\xaa\x48", "\033[A8");
    KEYS("\xe1\x1d\x45\xe1\x9d\xc5\x47\x2e", "7c"); /* Pause is neither Control nor Num Lock */
    KEYS("\xe0\x37\xe0\x5b\x7f\x5a", "");           /* Print, a Windows key, none at all */
}

/* No byte, in whatever order, types more than there is room for: KEYS asserts it. */
static void test_all_codes(void **state)
{
    char out[KEY_BYTES_MAX];
    (void)state;

    for (unsigned i = 0; i < 65536; i++) {
        assert_in_range(keyboard_code(&keyboard, (uint8_t)(i >> 8), out), 0, KEY_BYTES_MAX);
        assert_in_range(keyboard_code(&keyboard, (uint8_t)i, out), 0, KEY_BYTES_MAX);
    }
}

static void test_start(void **state)
{
    (void)state;
    say(0x1e); /* typed for the firmware */
    assert_int_equal(i8042_init(), 0);
    assert_int_equal(chip.config, CONFIG_IRQ | CONFIG_TRANSLATE);
    assert_true(chip.keyboard_on && chip.scans && !chip.mouse_on);
    assert_true(i8042_receive()); /* the acknowledgement */
    expect("", 0);
    say(0x1e);
    chip.mouse = 1;
    say(0x23);
    on_key(NULL);
    expect("h", 1);
    assert_false(i8042_receive());
}

static void test_polled(void **state)
{
    (void)state;
    assert_int_equal(i8042_init(), 0);
    (void)i8042_receive();
    say(0x23);
    host_now += POLL_NS;
    event_run();
    expect("h", 1);
    on_key(NULL); /* an interrupt has come: later looks are rarer, until one is missed */
    host_now += POLL_NS;
    event_run();
    say(0x12);
    host_now += POLL_NS;
    event_run();
    expect("", 0);
    host_now += WATCH_NS;
    event_run();
    expect("e", 1);
    assert_int_equal(interrupts, 0);
}

/* Nobody there, one that takes nothing, one that never runs dry: it is over soon. */
static void test_faulty(void **state)
{
    uint64_t from;
    (void)state;

    acpi.power.legacy_kbd = false;
    assert_int_equal(i8042_init(), -ENODEV);
    acpi.power.legacy_kbd = true;
    chip.absent = true;
    assert_int_equal(i8042_init(), -ENODEV);
    chip.absent = false;
    chip.stuck = true;
    from = host_now;
    assert_int_equal(i8042_init(), -ENODEV);
    assert_in_range(host_now - from, 0, 2 * ANSWER_NS);
    chip.stuck = false;
    chip.dry_never = true;
    assert_int_equal(i8042_init(), 0);
    assert_true(i8042_receive());
    chip.absent = true; /* gone */
    assert_false(i8042_receive());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_characters, begin, finish),
        cmocka_unit_test_setup_teardown(test_sequences, begin, finish),
        cmocka_unit_test_setup_teardown(test_all_codes, begin, finish),
        cmocka_unit_test_setup_teardown(test_start, begin, finish),
        cmocka_unit_test_setup_teardown(test_polled, begin, finish),
        cmocka_unit_test_setup_teardown(test_faulty, begin, finish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
