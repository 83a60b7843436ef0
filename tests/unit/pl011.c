/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PL011's driver against a model of the chip: a FIFO of 4, interrupts, a line that the firmware
 * has or has not set up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <hv/console.h>

#include <arch/io.h>

/* The driver reaches the model below in place of a device. */
static uint32_t model_read(const volatile void *);
static void model_write(volatile void *, uint32_t);
#define mmio_read32 model_read
#define mmio_write32 model_write
#include "drivers/serial/pl011.c"

enum { FIFO = 4 };
static struct {
    uint32_t reg[0x80];
    char in[16], out[64];
    unsigned nin, nout, full; /* bytes in the transmit FIFO */
    /* bytes on the line, which fill the receive FIFO as soon as it has room */
    unsigned more;
} chip;
static char got[512];
static size_t ngot;
static unsigned room_told;
static uint8_t window[0x1000];

void host_console_rx(const char *s, size_t n)
{
    memcpy(got + ngot, s, n);
    ngot += n;
}
void host_console_tx_ready(void) { room_told++; }
void *mmu_map_device(hpa_t pa, uint64_t len)
{
    (void)len;
    return pa.v == 0x9000000 ? window : NULL;
}

static uint32_t flags(void) { return (chip.nin ? 0 : 1u << 4) | (chip.full == FIFO ? 1u << 5 : 0); }

/* The interrupt comes when the FIFO is no longer empty, and ends when it is. */
static void arrive(char c)
{
    if (chip.nin == 0)
        chip.reg[0x3c / 4] |= 1u << 4;
    chip.in[chip.nin++] = c;
}

static uint32_t model_read(const volatile void *p)
{
    size_t reg = (size_t)((const volatile uint8_t *)p - window);
    uint32_t v;

    switch (reg) {
    case 0x00:
        v = chip.nin ? (uint8_t)chip.in[0] : 0;
        if (chip.nin)
            memmove(chip.in, chip.in + 1, --chip.nin);
        if (chip.nin == 0)
            chip.reg[0x3c / 4] &= ~(1u << 4 | 1u << 6);
        for (; chip.more && chip.nin < sizeof chip.in; chip.more--)
            arrive('x');
        return v;
    case 0x18: return flags();
    case 0x40: return chip.reg[0x3c / 4] & chip.reg[0x38 / 4];
    default: return chip.reg[reg / 4];
    }
}

static void model_write(volatile void *p, uint32_t val)
{
    size_t reg = (size_t)((volatile uint8_t *)p - window);

    if (reg == 0x00) {
        assert_true(chip.full < FIFO);
        chip.full++;
        chip.out[chip.nout++] = (char)val;
    } else if (reg == 0x44) {
        chip.reg[0x3c / 4] &= ~val;
    } else {
        if (reg == 0x2c)
            /* "must not be changed when the UART is enabled" */
            assert_int_equal(chip.reg[0x30 / 4] & 1, 0);
        chip.reg[reg / 4] = val;
    }
}

static const struct platform_serial port = {
    .kind = UART_PL011, .base = 0x9000000, .intid = 33, .clock = 24000000
};

static int reset(void **state)
{
    (void)state;
    memset(&chip, 0, sizeof chip);
    ngot = room_told = 0;
    return 0;
}

static void a_line_that_is_off_is_set_up(void **state)
{
    (void)state;
    assert_true(pl011_start(&port));
    assert_int_equal(chip.reg[0x24 / 4], 13); /* 24 MHz / (16 * 115200) = 13 + 1/64 */
    assert_int_equal(chip.reg[0x28 / 4], 1);
    assert_int_equal(chip.reg[0x2c / 4], 0x70);
    assert_int_equal(chip.reg[0x30 / 4], 0x301);
}

static void a_running_line_keeps_its_speed(void **state)
{
    (void)state;
    chip.reg[0x30 / 4] = 0x301;
    chip.reg[0x2c / 4] = 0x70;
    chip.reg[0x24 / 4] = 26;
    assert_true(pl011_start(&port));
    assert_int_equal(chip.reg[0x24 / 4], 26);
    /* no FIFO: switched on, at the same speed */
    chip.reg[0x2c / 4] = 0x60;
    assert_true(pl011_start(&port));
    assert_int_equal(chip.reg[0x24 / 4], 26);
    assert_int_equal(chip.reg[0x2c / 4], 0x70);
    assert_int_equal(chip.reg[0x30 / 4], 0x301);
}

static void an_sbsa_uart_has_no_settings(void **state)
{
    struct platform_serial sbsa = port;

    (void)state;
    sbsa.kind = UART_SBSA;
    assert_true(pl011_start(&sbsa));
    assert_int_equal(chip.reg[0x30 / 4], 0);
    sbsa.base = 0x1000;
    assert_false(pl011_start(&sbsa));
}

static void output_never_waits(void **state)
{
    (void)state;
    assert_true(pl011_start(&port));
    assert_int_equal(pl011.line.write("abcdefgh", 8), FIFO);
    assert_int_equal(pl011.line.write("efgh", 4), 0);
    assert_false(pl011.tx_idle());
    chip.full = 0;
    assert_int_equal(pl011.line.write("efgh", 4), 4);
    assert_memory_equal(chip.out, "abcdefgh", 8);
}

static void interrupts(void **state)
{
    (void)state;
    assert_true(pl011_start(&port));
    memcpy(chip.in, "hey", chip.nin = 3);
    pl011.irq_on(); /* what came before is fetched */
    assert_memory_equal(got, "hey", 3);
    assert_int_equal(chip.reg[0x38 / 4], 0x70);
    arrive('!');
    pl011.irq(NULL);
    assert_int_equal(ngot, 4);
    assert_int_equal(room_told, 0);
    chip.reg[0x3c / 4] = 1u << 5;
    pl011.irq(NULL);
    assert_int_equal(room_told, 1);
    assert_int_equal(chip.reg[0x3c / 4], 0);
}

/* More comes while it is read: nothing stays without an interrupt. */
static void a_long_paste(void **state)
{
    (void)state;
    assert_true(pl011_start(&port));
    pl011.irq_on();
    arrive('a');
    chip.more = 400;
    for (int i = 0; i < 1000 && (chip.reg[0x3c / 4] & chip.reg[0x38 / 4]); i++)
        pl011.irq(NULL);
    assert_int_equal(ngot, 401);
}

/* The same before interrupts are on. */
static void typed_during_boot(void **state)
{
    (void)state;
    assert_true(pl011_start(&port));
    arrive('a');
    chip.more = 300;
    chip.reg[0x3c / 4] = 0;
    pl011.irq_on();
    assert_int_equal(ngot, 301);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_that_is_off_is_set_up, reset),
        cmocka_unit_test_setup(a_running_line_keeps_its_speed, reset),
        cmocka_unit_test_setup(an_sbsa_uart_has_no_settings, reset),
        cmocka_unit_test_setup(output_never_waits, reset),
        cmocka_unit_test_setup(interrupts, reset),
        cmocka_unit_test_setup(a_long_paste, reset),
        cmocka_unit_test_setup(typed_during_boot, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
