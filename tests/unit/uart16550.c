/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 16550's driver on boards without ports, against a model of the chip: registers spaced by 1 or
 * 4 bytes, its clock, its FIFO, its interrupts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <hv/console.h>

#include <arch/io.h>

static uint8_t model_read(const volatile void *, unsigned width);
static void model_write(volatile void *, unsigned width, uint32_t val);
#define mmio_read8(p) model_read(p, 1)
#define mmio_read32(p) model_read(p, 4)
#define mmio_write8(p, v) model_write(p, 1, v)
#define mmio_write32(p, v) model_write(p, 4, v)
#include "drivers/serial/uart16550.c"

static struct {
    unsigned shift, width; /* what an access must be */
    uint8_t reg[8], divisor[2];
    char in[64], out[64];
    unsigned nin, nout, full; /* full: bytes in the transmit FIFO */
    unsigned sending;         /* reads of LSR until the firmware's last byte has gone out */
    bool busy, time_out;      /* DesignWare's two reasons to interrupt */
    bool no_loop;             /* something that is no UART */
    bool dead;                /* nobody there: all ones */
} chip;
static char got[128];
static size_t ngot;
static unsigned room_told;
static uint8_t window[128];

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

static unsigned reg_of(const volatile void *p, unsigned width)
{
    size_t off = (size_t)((const volatile uint8_t *)p - window);

    assert_int_equal(width, chip.width);
    assert_int_equal(off & ((1u << chip.shift) - 1), 0);
    assert_true(off >> chip.shift < 8 || off >> chip.shift == USR);
    return (unsigned)(off >> chip.shift);
}

static uint8_t take(void)
{
    uint8_t c = (uint8_t)chip.in[0];

    if (chip.nin)
        memmove(chip.in, chip.in + 1, --chip.nin);
    return c;
}

static uint8_t why(void)
{
    return chip.busy                       ? IIR_BUSY
           : chip.time_out                 ? IIR_TIME_OUT
           : chip.nin && chip.reg[IER] & 1 ? 4
                                           : IIR_NONE;
}

static uint8_t model_read(const volatile void *p, unsigned width)
{
    unsigned r = reg_of(p, width);

    if (chip.dead)
        return 0xff;
    if (r < 2 && chip.reg[LCR] & LCR_DLAB)
        return chip.divisor[r];
    switch (r) {
    case RBR: chip.time_out = false; return take();
    case IIR: return (uint8_t)(0xc0 | why());
    case LSR:
        chip.sending -= chip.sending > 0;
        return (uint8_t)((chip.nin ? LSR_DATA : 0) | (chip.full ? 0 : LSR_IDLE) |
                         (chip.full || chip.sending ? 0 : LSR_SENT));
    case USR: chip.busy = false; return 0;
    default: return chip.reg[r];
    }
}

static void model_write(volatile void *p, unsigned width, uint32_t val)
{
    unsigned r = reg_of(p, width);

    if (r < 2 && chip.reg[LCR] & LCR_DLAB) {
        chip.divisor[r] = (uint8_t)val;
    } else if (r == THR && chip.reg[MCR] & MCR_LOOP) {
        if (!chip.no_loop)
            chip.in[chip.nin++] = (char)val;
    } else if (r == THR) {
        assert_in_range(chip.full, 0, 15);
        chip.full++;
        chip.out[chip.nout++] = (char)val;
    } else {
        assert_true(r != LCR || !chip.sending); /* a byte on its way would be spoiled */
        chip.reg[r] = (uint8_t)val;
    }
}

static bool begin(unsigned shift, uint32_t baud, uint32_t clock, unsigned divisor)
{
    const struct platform_serial port = { .kind = UART_16550,
                                          .base = 0x9000000,
                                          .baud = baud,
                                          .clock = clock,
                                          .reg_shift = (uint8_t)shift };

    memset(&chip, 0, sizeof chip);
    chip.shift = shift, chip.width = shift == 2 ? 4 : 1;
    chip.divisor[0] = (uint8_t)divisor, chip.divisor[1] = (uint8_t)(divisor >> 8);
    ngot = room_told = 0;
    return uart16550_mmio(&port);
}

static unsigned divisor(void) { return chip.divisor[0] | (unsigned)chip.divisor[1] << 8; }

static void test_speed(void **state)
{
    static const struct {
        uint32_t baud, clock;
        unsigned was, want;
    } lines[] = {
        /* 1.8432 MHz */
        { 0, 0, 3, 3 },
        { 0, 0, 0, 1 },
        { 0, 0, 500, 500 },
        { 9600, 0, 0, 12 },
        { 9600, 0, 1, 1 }, /* a clock that nobody knows: the speed that runs */
        { 115200, 0, 868, 868 },
        { 0, 24000000, 26, 26 },
        { 0, 24000000, 0, 13 },
        { 0, 400000000, 2604, 2604 },
        { 9600, 50000000, 27, 326 },
        { 0, 1000000, 0, 1 },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
        assert_true(begin(i % 3, lines[i].baud, lines[i].clock, lines[i].was));
        assert_int_equal(divisor(), lines[i].want);
        assert_int_equal(chip.reg[LCR], LCR_8N1);
        assert_int_equal(chip.reg[MCR], MCR_ON);
    }
}

/* SPCR: type 12h is a 16550 whose registers lie as the generic address says; others are not ours.
 */
static void test_spcr(void **state)
{
    static const struct {
        uint8_t kind, bits, access, shift, width;
        bool ours;
    } rows[] = { { 0, 8, 1, 0, 1, true },     { 1, 8, 1, 0, 1, true },
                 { 0x12, 32, 3, 2, 4, true }, { 0x12, 32, 1, 2, 1, true },
                 { 3, 32, 3, 2, 4, false },   { 0xe, 32, 3, 2, 4, false },
                 { 0x13, 8, 1, 0, 1, false } };
    char name[SERIAL_NAME_MAX];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct acpi_spcr s = { .present = true,
                               .kind = rows[i].kind,
                               .reg = { .space = ACPI_MEMORY,
                                        .bits = rows[i].bits,
                                        .access = rows[i].access,
                                        .addr = 0x9000000 } };

        memset(&chip, 0, sizeof chip);
        chip.shift = rows[i].shift, chip.width = rows[i].width;
        assert_int_equal(uart16550_spcr(&s, name), rows[i].ours);
    }
}

static void test_nobody(void **state)
{
    const struct platform_serial port = { .kind = UART_16550, .base = 0x9000000 },
                                 elsewhere = { .kind = UART_16550, .base = 0x1000 };

    (void)state;
    memset(&chip, 0, sizeof chip);
    chip.width = 1, chip.dead = true;
    assert_false(uart16550_mmio(&port));
    assert_false(uart16550_mmio(&elsewhere));
}

static void test_output_never_waits(void **state)
{
    (void)state;
    for (unsigned shift = 0; shift <= 2; shift++) {
        assert_true(begin(shift, 0, 0, 1));
        assert_int_equal(uart16550.line.write("0123456789abcdefXYZ", 19), 16);
        assert_int_equal(uart16550.line.write("XYZ", 3), 0);
        assert_false(uart16550.tx_idle());
        chip.full = 0;
        assert_int_equal(uart16550.line.write("XYZ", 3), 3);
        assert_memory_equal(chip.out, "0123456789abcdefXYZ", 19);
    }
}

static void test_input_by_interrupt(void **state)
{
    (void)state;
    assert_true(begin(2, 0, 0, 1));
    uart16550.irq_on();
    assert_int_equal(chip.reg[IER], IER_RX_TX);
    memcpy(chip.in, "hello", 5);
    chip.nin = 5;
    uart16550.irq(NULL);
    assert_int_equal(ngot, 5);
    assert_memory_equal(got, "hello", 5);
    assert_int_equal(room_told, 1);
}

/* The firmware's last byte is not spoiled, and what turns out to be no UART is left as it was. */
static void test_manners(void **state)
{
    const struct platform_serial port = { .kind = UART_16550, .base = 0x9000000, .reg_shift = 2 };

    (void)state;
    memset(&chip, 0, sizeof chip);
    chip.shift = 2, chip.width = 4, chip.divisor[0] = 1, chip.sending = 50;
    assert_true(uart16550_mmio(&port));
    assert_int_equal(chip.sending, 0);
    memset(&chip, 0, sizeof chip);
    chip.shift = 2, chip.width = 4, chip.no_loop = true, chip.reg[MCR] = 0x22;
    assert_false(uart16550_mmio(&port));
    assert_int_equal(chip.reg[MCR], 0x22);
}

/* Both would interrupt for ever. */
static void test_oddities_of_designware(void **state)
{
    (void)state;
    assert_true(begin(2, 0, 0, 1));
    uart16550.irq_on();
    chip.busy = true;
    uart16550.irq(NULL);
    assert_false(chip.busy);
    chip.time_out = true;
    uart16550.irq(NULL);
    assert_false(chip.time_out);
    assert_int_equal(ngot, 0);
    /* a time-out with a byte is an ordinary one */
    chip.time_out = true, chip.in[chip.nin++] = 'x';
    uart16550.irq(NULL);
    assert_int_equal(ngot, 1);
    assert_int_equal(got[0], 'x');
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_speed),
                                        cmocka_unit_test(test_spcr),
                                        cmocka_unit_test(test_nobody),
                                        cmocka_unit_test(test_output_never_waits),
                                        cmocka_unit_test(test_input_by_interrupt),
                                        cmocka_unit_test(test_manners),
                                        cmocka_unit_test(test_oddities_of_designware) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
