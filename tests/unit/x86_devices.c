/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <hv/notice.h>

#include "tests/unit/x86_fakes.h"

#define MS 1000000ull
#define SECOND (1000 * MS)
#define TICKS(n) (((n)*SECOND + 1193181) / 1193182)

/* Each test starts at midnight, the first on 2026-01-02. */
static int start(void **state)
{
    (void)state;
    host_now = (host_now / (86400 * SECOND) + 1) * 86400 * SECOND;
    fake_start(1);
    apic_write(0, APIC_SVR, 0x1ff);
    apic_write(0, APIC_LVT + LVT_LINT0, LVT_MASKED);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) { /* pin n interrupts at 0x40 + n */
        mem_write(PLAT_IOAPIC, 0x10 + 2 * pin);
        mem_write(PLAT_IOAPIC + 0x10, 0x40 + pin + (pin == LINE_SCI ? 0x8000 : 0));
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fake_stop();
    return 0;
}

/* The pin that interrupts next, or -1. */
static int pin(void)
{
    int vec = take(0);

    apic_write(0, APIC_EOI, 0);
    return vec < 0 ? -1 : vec - 0x40;
}

/* The SCI stays asserted beyond the EOI in pin(): takes what that raised. */
static void drain(void)
{
    while (pin() >= 0)
        ;
}

static unsigned pins_in(uint64_t ns, uint64_t step, int want)
{
    unsigned n = 0;

    for (uint64_t t = 0; t < ns; t += step) {
        advance(step);
        n += pin() == want;
    }
    return n;
}

static unsigned count_of(unsigned ch)
{
    unsigned low;

    outb(0x43, (uint8_t)(ch << 6));
    low = inb((uint16_t)(0x40 + ch));
    return low | (unsigned)inb((uint16_t)(0x40 + ch)) << 8;
}

static void set_count(unsigned ch, uint8_t mode, unsigned n)
{
    outb(0x43, (uint8_t)(ch << 6 | 0x30u | (unsigned)mode << 1));
    outb((uint16_t)(0x40 + ch), (uint8_t)n);
    outb((uint16_t)(0x40 + ch), (uint8_t)(n >> 8));
}

static void test_pit_rate(void **state)
{
    (void)state;
    set_count(0, 2, 11932); /* 100 Hz */
    (void)pin();
    assert_in_range(pins_in(SECOND, MS / 2, 2), 99, 100);
    assert_in_range(count_of(0), 17, 19); /* 1193182 mod 11932 are gone */
    advance(TICKS(1000));
    assert_in_range(count_of(0), 10949, 10951);
    set_count(0, 3, 11932);
    (void)pin();
    assert_in_range(pins_in(SECOND, MS / 2, 2), 99, 100);
    set_count(0, 2, 1); /* no flood */
    assert_true(pins_in(10 * MS, 10000, 2) <= 101);
    set_count(0, 0, 1193); /* once, after 1 ms */
    assert_int_equal(pins_in(100 * MS, MS / 2, 2), 1);
    set_count(0, 4, 1193);
    (void)pin();
    assert_int_equal(pins_in(100 * MS, MS / 2, 2), 1);
}

static void test_pit_gate(void **state)
{
    (void)state;
    outb(0x61, 0);
    set_count(2, 0, 10000);
    advance(TICKS(500));
    assert_int_equal(count_of(2), 10000); /* the gate is closed */
    assert_false(inb(0x61) & 0x20);
    outb(0x61, 1);
    advance(TICKS(4000));
    assert_in_range(count_of(2), 5999, 6001);
    outb(0x61, 2);
    advance(TICKS(4000));
    assert_in_range(count_of(2), 5999, 6001);
    assert_int_equal(inb(0x61) & 0xf, 2);
    outb(0x61, 1);
    advance(TICKS(5990));
    assert_false(inb(0x61) & 0x20);
    advance(TICKS(20));
    assert_true(inb(0x61) & 0x20);
    assert_true(count_of(2) > 65500); /* it counts on */
    set_count(2, 3, 1001);            /* square wave: high for 501 of 1001 */
    assert_true(inb(0x61) & 0x20);
    advance(TICKS(499));
    assert_true(inb(0x61) & 0x20);
    advance(TICKS(4));
    assert_false(inb(0x61) & 0x20);
    advance(TICKS(500));
    assert_true(inb(0x61) & 0x20);
    set_count(2, 1, 1000); /* one-shot: waits for the gate's edge */
    assert_true(inb(0x61) & 0x20);
    outb(0x61, 0);
    outb(0x61, 1);
    assert_false(inb(0x61) & 0x20);
    advance(TICKS(1001));
    assert_true(inb(0x61) & 0x20);
}

static void test_pit_readback(void **state)
{
    unsigned first;

    (void)state;
    set_count(0, 2, 5000);
    outb(0x43, 0xc2); /* status and count of channel 0 */
    advance(TICKS(100));
    assert_int_equal(inb(0x40), 0x80 | 0x30 | 2 << 1);
    first = inb(0x40);
    first |= (unsigned)inb(0x40) << 8;
    assert_in_range(first, 4999, 5000); /* as it was when latched */
    assert_in_range(count_of(0), 4899, 4901);
    outb(0x43, 0x34);
    outb(0x43, 0xe2);
    assert_int_equal(inb(0x40), 0x80 | 0x40 | 0x30 | 2 << 1); /* null count */
    outb(0x43, 0x35);                                         /* BCD */
    outb(0x40, 0x00);
    outb(0x40, 0x10);
    advance(TICKS(1));
    assert_in_range(count_of(0), 0x0998, 0x1000);
    outb(0x43, 0x16); /* low byte only */
    outb(0x40, 100);
    assert_in_range(inb(0x40), 98, 100);
}

static uint8_t cmos(uint8_t reg)
{
    outb(0x70, reg);
    return inb(0x71);
}

static void set_cmos(uint8_t reg, uint8_t val)
{
    outb(0x70, reg);
    outb(0x71, val);
}

static void test_rtc_time(void **state)
{
    (void)state;
    assert_int_equal(cmos(0x32), 0x20);
    assert_int_equal(cmos(9), 0x26);
    assert_int_equal(cmos(8), 0x01);
    assert_int_equal(cmos(7), 0x02);
    assert_int_equal(cmos(6), 6); /* a Friday */
    assert_int_equal(cmos(0xd), 0x80);
    set_cmos(0xb, 0x82);
    set_cmos(0x32, 0x20);
    set_cmos(9, 0x24);
    set_cmos(8, 0x02);
    set_cmos(7, 0x28);
    set_cmos(4, 0x23);
    set_cmos(2, 0x59);
    set_cmos(0, 0x58);
    advance(10 * SECOND);
    assert_int_equal(cmos(0), 0x58);
    set_cmos(0xb, 0x02);
    advance(3 * SECOND);
    assert_int_equal(cmos(0), 0x01);
    assert_int_equal(cmos(7), 0x29); /* 2024 is a leap year */
    advance(86400 * SECOND);
    assert_int_equal(cmos(8), 0x03);
    assert_int_equal(cmos(7), 0x01);
    set_cmos(0xb, 0x04); /* binary, 12 hours */
    assert_int_equal(cmos(9), 24);
    assert_int_equal(cmos(4), 12);
    advance(13 * 3600 * SECOND);
    assert_int_equal(cmos(4), 0x81);
    set_cmos(4, 0x8b);
    set_cmos(0xb, 0x06);
    assert_int_equal(cmos(4), 23);
    assert_int_equal(cmos(0x15) | cmos(0x16) << 8, 640);
    assert_int_equal(cmos(0x34) | cmos(0x35) << 8, 48 * 16);
}

static void test_rtc_uip(void **state)
{
    (void)state;
    advance(500 * MS);
    assert_int_equal(cmos(0xa), 0x26);
    advance(499 * MS);
    assert_int_equal(cmos(0xa), 0xa6);
    advance(1 * MS);
    assert_int_equal(cmos(0xa), 0x26);
}

static void test_rtc_interrupts(void **state)
{
    unsigned n = 0;

    (void)state;
    set_cmos(0xa, 0x26); /* 1024 Hz */
    set_cmos(0xb, 0x42);
    for (unsigned i = 0; i < 10000; i++) {
        advance(MS / 10);
        if (pin() == LINE_RTC) {
            n++;
            assert_int_equal(cmos(0xc) & 0xc0, 0xc0);
        }
    }
    assert_in_range(n, 1022, 1024);
    set_cmos(0xb, 0x12); /* update ended */
    (void)cmos(0xc);
    advance(10 * SECOND); /* unread: one interrupt only */
    assert_int_equal(pin(), LINE_RTC);
    assert_int_equal(pin(), -1);
    assert_int_equal(cmos(0xc) & 0x90, 0x90);
    advance(SECOND);
    assert_int_equal(pin(), LINE_RTC);
    (void)cmos(0xc);
    set_cmos(0xb, 0x02);
    (void)cmos(0xc);
    advance(SECOND);
    assert_int_equal(pin(), -1);
    assert_int_equal(cmos(0xc) & 0xf0, 0x50); /* flags without interrupts */
}

static void test_rtc_alarm(void **state)
{
    (void)state;
    set_cmos(1, 0x30);
    set_cmos(3, 0xff); /* any minute, any hour */
    set_cmos(5, 0xff);
    set_cmos(0xb, 0x22);
    advance(29 * SECOND);
    assert_int_equal(pin(), -1);
    advance(2 * SECOND);
    assert_int_equal(pin(), LINE_RTC);
    assert_int_equal(cmos(0xc) & 0xa0, 0xa0);
    set_cmos(3, 0x00);
    set_cmos(5, 0x05); /* 05:00:30 */
    advance(4 * 3600 * SECOND);
    assert_int_equal(pin(), -1);
    advance(3600 * SECOND);
    assert_int_equal(pin(), LINE_RTC);
    set_cmos(5, 0x27); /* never */
    (void)cmos(0xc);
    advance(100000 * SECOND);
    assert_int_equal(pin(), -1);
}

static uint32_t port(uint16_t p, unsigned size)
{
    return (uint32_t)fake_io(IO_PORT, p, size, false, 0);
}

static void set_port(uint16_t p, unsigned size, uint32_t val)
{
    (void)fake_io(IO_PORT, p, size, true, val);
}

static void test_pm_timer(void **state)
{
    uint32_t t = port(0x608, 4);

    (void)state;
    advance(SECOND);
    assert_in_range(port(0x608, 4) - t, 3579544, 3579546);
    assert_int_equal(port(0x609, 1), port(0x608, 4) >> 8 & 0xff);
    set_port(0x602, 2, 1); /* TMR_EN */
    advance(700 * SECOND);
    assert_int_equal(pin(), LINE_SCI);
    assert_int_equal(port(0x600, 2), 1);
    assert_int_equal(pin(), LINE_SCI);
    set_port(0x600, 2, 1);
    drain();
    assert_int_equal(port(0x600, 2), 0);
    advance(SECOND);
    assert_int_equal(pin(), -1);
}

static void test_pm_power(void **state)
{
    (void)state;
    assert_int_equal(x86_power_button(&fake_vm), -ENOTSUP);
    assert_int_equal(port(0x604, 2), 1); /* SCI_EN */
    set_port(0x602, 2, 0x100);
    assert_int_equal(x86_power_button(&fake_vm), 0);
    assert_int_equal(pin(), LINE_SCI);
    assert_int_equal(port(0x600, 4), 0x01000100);
    set_port(0x601, 1, 1); /* cleared by a byte access */
    assert_int_equal(port(0x600, 2), 0);
    drain();
    assert_int_equal(pin(), -1);
    set_port(0x604, 2, 3 << 10 | 0x2000);
    assert_int_equal(fake_offs, 0);
    set_port(0x604, 2, SLP_TYP_S5 << 10);
    assert_int_equal(fake_offs, 0);
    set_port(0x604, 2, SLP_TYP_S5 << 10 | 0x2000);
    assert_int_equal(fake_offs, 1);
}

static void test_resets(void **state)
{
    (void)state;
    assert_int_equal(inb(0x64) & 3, 0);
    outb(0x64, 0xaa);
    assert_int_equal(inb(0x64) & 1, 1);
    assert_int_equal(inb(0x60), 0x55);
    assert_int_equal(inb(0x64) & 1, 0);
    outb(0x64, 0x60);
    outb(0x60, 0x47);
    outb(0x64, 0x20);
    assert_int_equal(inb(0x60), 0x47);
    outb(0x64, 0xd1);
    outb(0x60, 0xdf);
    assert_int_equal(fake_resets, 0);
    outb(0x64, 0xd1);
    outb(0x60, 0xde);
    assert_int_equal(fake_resets, 1);
    outb(0x64, 0xfe);
    assert_int_equal(fake_resets, 2);
    outb(0x92, 2);
    assert_int_equal(fake_resets, 2);
    outb(0x92, 1);
    assert_int_equal(fake_resets, 3);
    outb(0x92, 1); /* an edge, not a level */
    assert_int_equal(fake_resets, 3);
    assert_int_equal(inb(0x92) & 1, 1);
    set_port(0xf4, 4, 0x10);
    assert_int_equal(fake_exit_code, 0x21);
}

/* A guest tells of its panic: it has crashed then, and programs get an event. */
static void test_pvpanic(void **state)
{
    uint64_t seq = 0, lost = 0;
    struct notice n;

    (void)state;
    while (notice_read(&seq, &n, &lost))
        ;
    assert_int_equal(inb(0x505), 3);
    outb(0x505, 4); /* no event that we know */
    assert_false(notice_read(&seq, &n, &lost));
    outb(0x505, 1);
    assert_true(notice_read(&seq, &n, &lost));
    assert_int_equal(n.kind, NOTICE_GUEST_PANIC);
    assert_string_equal(n.what, "panicked");
    assert_int_equal(fake_kills, 1);
    outb(0x505, 2);
    assert_true(notice_read(&seq, &n, &lost));
    assert_string_equal(n.what, "crash_loaded");
    outb(0x505, 3); /* told already: a guest that writes on is not heard again */
    assert_false(notice_read(&seq, &n, &lost));
    fake_vm.why[0] = '\0';
}

/* ---- HPET ---- */

#define HPET(reg) (PLAT_HPET + (reg))

static uint64_t hpet64(unsigned reg) { return fake_io(IO_MEM, HPET(reg), 8, false, 0); }
static void set_hpet64(unsigned reg, uint64_t val)
{
    (void)fake_io(IO_MEM, HPET(reg), 8, true, val);
}
static bool ioapic_line(unsigned line)
{
    return ((const struct x86_intc *)fake_vm.vintc)->ioapic.lines >> line & 1;
}

static void test_hpet_counter(void **state)
{
    (void)state;
    assert_int_equal(hpet64(0) >> 32, 10000000); /* femtoseconds: 100 MHz */
    assert_int_equal(mem_read(HPET(0)), 0x8086a201);
    advance(1000);
    assert_int_equal(hpet64(0xf0), 0);
    set_hpet64(0xf0, 0xfffffff0);
    mem_write(HPET(0x10), 1);
    advance(1000);
    assert_int_equal(hpet64(0xf0), 0xfffffff0ull + 100);
    assert_int_equal(mem_read(HPET(0xf4)), 1);
    set_hpet64(0xf0, 5); /* it runs */
    assert_int_equal(hpet64(0xf0), 0xfffffff0ull + 100);
    mem_write(HPET(0x10), 0);
    advance(1000);
    assert_int_equal(hpet64(0xf0), 0xfffffff0ull + 100);
    assert_int_equal(hpet64(0x160) | hpet64(0x1f8) | hpet64(0x3f8), 0); /* nothing there */
    set_hpet64(0x3f8, ~0ull);
    assert_int_equal(hpet64(0x100) >> 32, 0xf00000);
    assert_int_equal(mem_read(HPET(0x100)) & 0x30, 0x30);
    assert_int_equal(mem_read(HPET(0x120)) & 0x30, 0x20);
}

/* One-shot, level: the line stays up until its status bit is cleared. */
static void test_hpet_level(void **state)
{
    (void)state;
    mem_write(HPET(0x120), 21 << 9 | 6);
    set_hpet64(0x128, 1000);
    mem_write(HPET(0x10), 1);
    advance(9990);
    assert_false(ioapic_line(21));
    advance(10);
    assert_true(ioapic_line(21));
    assert_int_equal(mem_read(HPET(0x20)), 2);
    mem_write(HPET(0x20), 5);
    assert_true(ioapic_line(21));
    mem_write(HPET(0x120), 21 << 9 | 2); /* enable off, and on again */
    assert_false(ioapic_line(21));
    mem_write(HPET(0x120), 22 << 9 | 6);
    assert_true(ioapic_line(22));
    mem_write(HPET(0x20), 2);
    assert_false(ioapic_line(22));
    advance(1000000);
    assert_int_equal(mem_read(HPET(0x20)), 0);
    mem_write(HPET(0x120), 3 << 9 | 6); /* no such route */
    set_hpet64(0x128, hpet64(0xf0) + 10);
    advance(1000);
    assert_false(ioapic_line(3));
}

/* As Linux sets it up: first match with T_SET, then the period; the comparator moves on by
 * itself.
 */
static void test_hpet_periodic(void **state)
{
    unsigned ticks = 0;

    (void)state;
    mem_write(HPET(0x10), 1);
    mem_write(HPET(0x100), 20 << 9 | 0x14e);
    mem_write(HPET(0x108), 100000); /* 1 ms */
    mem_write(HPET(0x108), 200000); /* then each 2 ms */
    assert_int_equal(hpet64(0x108), 100000);
    for (unsigned i = 0; i < 100; i++) {
        advance(100000);
        if (ioapic_line(20)) {
            assert_int_equal(hpet64(0x108), 100000 + 200000 * ++ticks);
            mem_write(HPET(0x20), 1);
        }
    }
    assert_int_equal(ticks, 5);
    advance(21000000); /* the guest did not look: one tick, and no drift */
    mem_write(HPET(0x20), 1);
    assert_int_equal(hpet64(0x108) % 200000, 100000);
    assert_true(hpet64(0x108) > hpet64(0xf0));
    mem_write(HPET(0x10), 0);
}

/* 32 bits: the match comes round again, and a comparator in the past waits for the wrap. */
static void test_hpet_32(void **state)
{
    (void)state;
    mem_write(HPET(0xf0), 0xffffff00);
    mem_write(HPET(0x140), 23 << 9 | 6 | 1 << 8);
    set_hpet64(0x148, 0x7700000010);
    assert_int_equal(hpet64(0x148), 0x10);
    mem_write(HPET(0x10), 1);
    advance(0x10e * 10);
    assert_false(ioapic_line(23));
    advance(20);
    assert_true(ioapic_line(23));
    mem_write(HPET(0x20), 4);
    advance((1ull << 32) * 10 - 100);
    assert_false(ioapic_line(23));
    advance(100);
    assert_true(ioapic_line(23));
    mem_write(HPET(0x10), 0);
    assert_false(ioapic_line(23));
}

/* Legacy replacement: timer 0 is IRQ 0, timer 1 IRQ 8, and PIT and RTC are silent. */
static void test_hpet_legacy(void **state)
{
    const struct pic_chip *chip = ((const struct x86_intc *)fake_vm.vintc)->pic.chip;

    (void)state;
    mem_write(HPET(0x10), 2);
    outb(0x43, 0x34);
    outb(0x40, 0x9c);
    outb(0x40, 0x2e);
    advance(100000000);
    assert_int_equal(chip[0].irr & 1, 0);
    mem_write(HPET(0x100), 4);
    set_hpet64(0x108, 1000);
    mem_write(HPET(0x120), 4);
    set_hpet64(0x128, 2000);
    mem_write(HPET(0x10), 3);
    advance(11000);
    assert_int_equal(chip[0].irr & 1, 1);
    assert_int_equal(chip[1].irr & 1, 0);
    advance(10000);
    assert_int_equal(chip[1].irr & 1, 1);
    mem_write(HPET(0x10), 0); /* they have their lines again */
    advance(100000000);
    assert_true(ioapic_line(PLAT_GSI_PIT) || chip[0].irr & 1);
}

/* A period of 10 ns costs no more than an event in 50 us. */
static void test_hpet_flood(void **state)
{
    unsigned events = 0;

    (void)state;
    mem_write(HPET(0x10), 1);
    mem_write(HPET(0x100), 20 << 9 | 0x14e);
    mem_write(HPET(0x108), 1);
    mem_write(HPET(0x108), 1);
    for (uint64_t end = host_now + 1000000; event_next() <= end; events++) {
        host_now = max_u64(host_now, event_next());
        (void)event_run();
    }
    assert_in_range(events, 10, 21);
    mem_write(HPET(0x10), 0);
}

/*
 * With a jump in CMOS 0Fh the reset line means INIT to all processors, and the boot processor
 * goes on at 40:67. Other codes are firmware's affair: the machine starts again.
 */
static void test_warm_reset(void **state)
{
    static const uint8_t codes[] = { 0x0a, 0x05, 0x09, 0x00 };
    uint16_t segment = 0, offset = 0;

    (void)state;
    memcpy(fake_ram + 0x467, "\x34\x12\x78\x56", 4);
    for (unsigned i = 0; i < sizeof codes; i++) {
        bool jumps = i < 2;

        fake_resets = 0;
        outb(0x70, 0x0f);
        outb(0x71, codes[i]);
        outb(0x64, 0xfe);
        assert_int_equal(fake_resets, !jumps);
        for (unsigned n = 0; n < fake_vm.nvcpus; n++)
            assert_int_equal(lapic_take_init(&fake_vcpu[n]), jumps);
        assert_int_equal(x86_warm_start(&fake_vcpu[0], &segment, &offset), jumps);
        assert_int_equal(offset, 0x1234);
        assert_int_equal(segment, 0x5678);
        assert_int_equal(inb(0x71), jumps ? 0 : codes[i]);
        assert_false(x86_warm_start(&fake_vcpu[0], &segment, &offset));
    }
    /* as firmware leaves it: the PIC's interrupts come through */
    assert_int_equal(lapic_of(&fake_vcpu[0])->s.lvt[LVT_LINT0], DM_EXTINT << 8);
}

static void test_uart_out(void **state)
{
    (void)state;
    assert_int_equal(inb(0x3fd), 0x60);
    for (const char *s = "hello"; *s; s++)
        outb(0x3f8, (uint8_t)*s);
    assert_int_equal(fake_out_len, 5);
    assert_memory_equal(fake_out, "hello", 5);
    outb(0x3fb, 0x83); /* the divisor is no output */
    outb(0x3f8, 0x0c);
    outb(0x3f9, 0x01);
    assert_int_equal(inb(0x3f8), 0x0c);
    outb(0x3fb, 0x03);
    assert_int_equal(fake_out_len, 5);
    outb(0x3ff, 0xa5);
    assert_int_equal(inb(0x3ff), 0xa5);
    outb(0x3f9, 0xff);
    assert_int_equal(inb(0x3f9), 0x0f);
}

static void test_uart_thre(void **state)
{
    (void)state;
    assert_int_equal(inb(0x3fa), 1);
    outb(0x3f9, 2);
    assert_int_equal(pin(), LINE_COM1); /* empty: at once */
    assert_int_equal(inb(0x3fa), 2);
    assert_int_equal(inb(0x3fa), 1);
    for (unsigned i = 0; i < 20; i++) {
        outb(0x3f8, 'x');
        assert_int_equal(pin(), LINE_COM1);
        assert_int_equal(inb(0x3fa), 2);
    }
    outb(0x3f9, 0);
    outb(0x3f8, 'x');
    assert_int_equal(pin(), -1);
}

static void type(const char *s)
{
    fake_in_len = strlen(s);
    memcpy(fake_in, s, fake_in_len);
    event_post(fake_listener);
    advance(1);
}

static void test_uart_in(void **state)
{
    const char *text = "the quick brown fox jumps";

    (void)state;
    outb(0x3fa, 0xc1); /* FIFO, trigger at 14 */
    outb(0x3f9, 1);
    type("ab");
    assert_int_equal(pin(), LINE_COM1);
    assert_int_equal(inb(0x3fa), 0xcc); /* below the trigger level: time-out */
    assert_int_equal(inb(0x3fd), 0x61);
    assert_int_equal(inb(0x3f8), 'a');
    assert_int_equal(inb(0x3f8), 'b');
    assert_int_equal(inb(0x3fd), 0x60);
    assert_int_equal(inb(0x3fa), 0xc1);
    type(text);
    assert_int_equal(inb(0x3fa), 0xc4);
    for (const char *s = text; *s; s++) /* more than the FIFO holds: none is lost */
        assert_int_equal(inb(0x3f8), *s);
    assert_int_equal(inb(0x3fd), 0x60);
}

static void test_uart_loopback(void **state)
{
    (void)state;
    assert_int_equal(inb(0x3fe), 0xb0);
    outb(0x3fc, 0x1a); /* loopback, OUT2, RTS */
    assert_int_equal(inb(0x3fe) & 0xf0, 0x90);
    outb(0x3f8, 0x5a);
    assert_int_equal(fake_out_len, 0);
    assert_int_equal(inb(0x3f8), 0x5a);
    /* one byte without FIFO: the second is an overrun */
    outb(0x3f8, 1);
    outb(0x3f8, 2);
    assert_int_equal(inb(0x3fd), 0x63);
    assert_int_equal(inb(0x3fd), 0x61);
    assert_int_equal(inb(0x3f8), 1);
    outb(0x3fc, 0);
    assert_int_equal(inb(0x3fe), 0xb0 | 2); /* DSR changed */
    assert_int_equal(inb(0x3fe), 0xb0);
}

/* Everything can be made anew, as a reset of the guest does. */
static void test_again(void **state)
{
    (void)state;
    set_count(0, 2, 1000);
    set_cmos(0xb, 0x72);
    assert_int_equal(x86_devices_create(&fake_vm, &fake_config), 0);
    assert_int_equal(event_next() == UINT64_MAX, 1);
    assert_int_equal(cmos(0xb), 0x02);
    x86_devices_destroy(&fake_vm);
    assert_int_equal(inb(0x71), 0xff);
    assert_int_equal(x86_power_button(&fake_vm), -ENOTSUP);
}

#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_rtc_time),      T(test_pit_rate),       T(test_pit_gate),   T(test_pit_readback),
        T(test_rtc_uip),       T(test_rtc_interrupts), T(test_rtc_alarm),  T(test_pm_timer),
        T(test_pm_power),      T(test_hpet_counter),   T(test_hpet_level), T(test_hpet_periodic),
        T(test_hpet_32),       T(test_hpet_legacy),    T(test_hpet_flood), T(test_resets),
        T(test_warm_reset),    T(test_uart_out),       T(test_uart_thre),  T(test_uart_in),
        T(test_uart_loopback), T(test_again),          T(test_pvpanic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
