/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/x86_fakes.h"

static int start(void **state)
{
    (void)state;
    fake_start(2);
    for (unsigned i = 0; i < 2; i++)
        apic_write(i, APIC_SVR, 0x1ff);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fake_stop();
    return 0;
}

static uint32_t io_read(unsigned reg)
{
    mem_write(PLAT_IOAPIC, reg);
    return mem_read(PLAT_IOAPIC + 0x10);
}

static void io_write(unsigned reg, uint32_t val)
{
    mem_write(PLAT_IOAPIC, reg);
    mem_write(PLAT_IOAPIC + 0x10, val);
}

static void rte(unsigned pin, uint32_t dest, uint32_t low)
{
    io_write(0x11 + 2 * pin, dest << 24);
    io_write(0x10 + 2 * pin, low);
}

static void line(unsigned n, bool level) { virq_set(&fake_vm, n, level); }

static void eoi(unsigned v) { apic_write(v, APIC_EOI, 0); }

#define LEVEL 0x8000u
#define MASKED 0x10000u

static void test_ioapic_registers(void **state)
{
    (void)state;
    assert_int_equal(io_read(0), 0);
    assert_int_equal(io_read(1), 0x170020);
    io_write(0, ~0u);
    assert_int_equal(io_read(0), 0x0f000000);
    assert_int_equal(io_read(0x10), MASKED);
    rte(5, 0xff, ~0u);
    /* delivery status and remote IRR are read-only */
    assert_int_equal(io_read(0x1a), 0x1afff);
    assert_int_equal(io_read(0x1b), 0xff000000);
    assert_int_equal(io_read(0x40), 0);
    io_write(0xff, ~0u);
    assert_int_equal(io_read(0x3f), 0);
}

static void test_edge(void **state)
{
    (void)state;
    line(4, true);
    rte(4, 1, 0x34); /* an edge before the unmasking is lost */
    assert_int_equal(take(1), -1);
    line(4, true);
    assert_int_equal(take(1), -1);
    line(4, false);
    line(4, true);
    assert_int_equal(take(0), -1);
    assert_int_equal(take(1), 0x34);
    eoi(1);
    assert_int_equal(take(1), -1);
    assert_int_equal(io_read(0x18) & LEVEL, 0);
}

static void test_level(void **state)
{
    (void)state;
    rte(9, 1, LEVEL | 0x39);
    line(9, true);
    assert_int_equal(take(1), 0x39);
    assert_int_equal(io_read(0x22), LEVEL | 0x4000 | 0x39); /* remote IRR */
    assert_int_equal(apic_read(1, APIC_TMR + 1), 1u << 25);
    line(9, false);
    line(9, true);
    assert_int_equal(apic_read(1, APIC_IRR + 1), 0); /* it waits for the EOI */
    assert_int_equal(take(1), -1);
    eoi(1); /* still asserted: again */
    assert_int_equal(take(1), 0x39);
    line(9, false);
    eoi(1);
    assert_int_equal(take(1), -1);
    assert_int_equal(io_read(0x22), LEVEL | 0x39);
    line(9, true);
    assert_int_equal(take(1), 0x39);
    rte(9, 1, 0x39); /* edge and back clears remote IRR */
    rte(9, 1, LEVEL | 0x39);
    eoi(1);
    assert_int_equal(take(1), 0x39);
    line(9, false);
    mem_write(PLAT_IOAPIC + 0x40, 0x38); /* EOI register */
    assert_true(io_read(0x22) & 0x4000);
    mem_write(PLAT_IOAPIC + 0x40, 0x39);
    assert_false(io_read(0x22) & 0x4000);
}

/* The IOAPIC waits for the EOI of a level interrupt: no PV EOI. */
static void test_level_pv(void **state)
{
    (void)state;
    assert_int_equal(lapic_set_pv_eoi(&fake_vcpu[1], 0x101), 0);
    rte(9, 1, LEVEL | 0x39);
    line(9, true);
    assert_int_equal(take(1), 0x39);
    assert_false(fake_vcpu[1].vintc_hooks);
    assert_int_equal(fake_ram[0x100], 0);
    eoi(1);
    assert_int_equal(take(1), 0x39);
}

static void test_level_masked(void **state)
{
    (void)state;
    line(9, true);
    assert_int_equal(take(0), -1);
    rte(9, 0, LEVEL | 0x39); /* a level is not lost */
    assert_int_equal(take(0), 0x39);
}

/* PCI lines count their sources. */
static void test_shared(void **state)
{
    (void)state;
    rte(17, 0, LEVEL | 0x61);
    line(17, true);
    line(17, true);
    assert_int_equal(take(0), 0x61);
    line(17, false);
    eoi(0);
    assert_int_equal(take(0), 0x61);
    line(17, false);
    line(17, false);
    eoi(0);
    assert_int_equal(take(0), -1);
    line(24, true);
    line(~0u, true);
}

static void pic_init(unsigned icw4)
{
    outb(0x20, 0x11);
    outb(0x21, 0x20);
    outb(0x21, 0x04);
    outb(0x21, (uint8_t)icw4);
    outb(0xa0, 0x11);
    outb(0xa1, 0x28);
    outb(0xa1, 0x02);
    outb(0xa1, (uint8_t)icw4);
}

static void test_pic_nesting(void **state)
{
    (void)state;
    assert_int_equal(inb(0x21), 0xff);
    pic_init(1);
    assert_int_equal(inb(0x21), 0);
    line(4, true);
    assert_int_equal(take(1), -1); /* only the boot processor takes ExtINT */
    assert_int_equal(x86_vintc.pending(&fake_vcpu[0]), VEC_EXTINT);
    assert_int_equal(take(0), 0x24);
    assert_int_equal(take(0), -1);
    line(6, true);
    assert_int_equal(take(0), -1);
    line(1, true);
    assert_int_equal(take(0), 0x21);
    outb(0x20, 0x0b);
    assert_int_equal(inb(0x20), 0x12); /* ISR */
    outb(0x20, 0x0a);
    assert_int_equal(inb(0x20), 0x40); /* IRR */
    outb(0x20, 0x20);
    assert_int_equal(take(0), -1);
    outb(0x20, 0x64); /* specific EOI of 4 */
    assert_int_equal(take(0), 0x26);
}

static void test_pic_cascade(void **state)
{
    (void)state;
    pic_init(1);
    line(14, true);
    assert_int_equal(take(0), 0x2e);
    /* higher on the slave, but the master serves its input 2 */
    line(8, true);
    assert_int_equal(take(0), -1);
    outb(0xa0, 0x20);
    assert_int_equal(take(0), -1);
    outb(0x20, 0x20);
    assert_int_equal(take(0), 0x28);
    outb(0xa0, 0x20);
    outb(0x20, 0x20);
    outb(0xa1, 0xff);
    line(14, false);
    line(14, true);
    assert_int_equal(take(0), -1);
    outb(0xa1, 0xbf);
    assert_int_equal(take(0), 0x2e);
}

static void test_pic_modes(void **state)
{
    (void)state;
    pic_init(3); /* automatic EOI */
    line(3, true);
    assert_int_equal(take(0), 0x23);
    outb(0x20, 0x0b);
    assert_int_equal(inb(0x20), 0);
    outb(0x20, 0xc3); /* 3 becomes the lowest: 4 is the highest */
    outb(0x21, 0xff);
    line(3, false);
    line(3, true);
    line(0, true);
    line(5, true);
    outb(0x21, 0);
    assert_int_equal(take(0), 0x25);
    assert_int_equal(take(0), 0x20);
    assert_int_equal(take(0), 0x23);
    assert_int_equal(take(0), -1);
    pic_init(1);
    line(2, true);    /* the cascade has no line */
    outb(0x20, 0x0c); /* poll: nothing */
    assert_int_equal(inb(0x20), 0);
    line(7, false);
    line(7, true);
    outb(0x20, 0x0c);
    assert_int_equal(inb(0x20), 0x87);
    assert_int_equal(take(0), -1);
    /* rotate on non-specific EOI: 7 becomes the lowest (again) */
    outb(0x20, 0xa0);
    line(5, false);
    line(5, true);
    assert_int_equal(take(0), 0x25);
    outb(0x21, 0x20);
    /* special mask: the masked 5 blocks nobody */
    outb(0x20, 0x68);
    line(7, false);
    line(7, true);
    assert_int_equal(take(0), 0x27);
}

static void test_elcr(void **state)
{
    (void)state;
    pic_init(1);
    /* SCI and the PCI lines are level-triggered from the start */
    assert_int_equal(inb(0x4d1), 0x0e);
    outb(0x4d0, 0xff);
    assert_int_equal(inb(0x4d0), 0xf8);
    line(5, true);
    assert_int_equal(take(0), 0x25);
    outb(0x20, 0x20);
    assert_int_equal(take(0), 0x25);
    line(5, false);
    outb(0x20, 0x20);
    assert_int_equal(take(0), -1);
    /* PCI interrupts reach the PIC at 10 and 11 */
    line(16, true);
    assert_int_equal(take(0), 0x2a);
    line(18, true);
    line(16, false);
    outb(0xa0, 0x20);
    outb(0x20, 0x20);
    assert_int_equal(take(0), 0x2a);
    line(18, false);
    outb(0xa0, 0x20);
    outb(0x20, 0x20);
    assert_int_equal(take(0), -1);
}

/* INTR withdrawn after it was seen: the spurious interrupt 7. */
static void test_spurious(void **state)
{
    (void)state;
    pic_init(1);
    outb(0x4d0, 0x20);
    line(5, true);
    assert_int_equal(x86_vintc.pending(&fake_vcpu[0]), VEC_EXTINT);
    line(5, false);
    assert_int_equal(x86_vintc.accept(&fake_vcpu[0], VEC_EXTINT), 0x27);
    outb(0x20, 0x0b);
    assert_int_equal(inb(0x20), 0);
}

static void test_extint(void **state)
{
    (void)state;
    pic_init(1);
    apic_write(0, APIC_LVT + LVT_LINT0, LVT_MASKED);
    line(4, true);
    assert_int_equal(take(0), -1);
    outb(0x20, 0x0b);
    rte(0, 1, 0x700); /* IOAPIC pin 0 is the PIC's output */
    line(1, true);
    assert_int_equal(take(1), -1); /* it was high already: no edge */
    outb(0x21, 0xff);
    outb(0x21, 0);
    assert_int_equal(take(0), -1);
    assert_int_equal(take(1), 0x21);
    outb(0x21, 0xff);
    /* fixed mode: the PIC's output as a common interrupt */
    apic_write(0, APIC_LVT + LVT_LINT0, 0x55);
    outb(0x20, 0x20);
    outb(0x21, 0);
    assert_int_equal(take(0), 0x55);
    eoi(0);
    outb(0x21, 0xff);
    /* no LAPIC: INTR goes to the boot processor */
    assert_int_equal(lapic_set_base(&fake_vcpu[0], 0xfee00000), 0);
    fake_vcpu[0].requests = 0;
    outb(0x21, 0);
    assert_true(fake_vcpu[0].requests & REQ_IRQ);
    assert_int_equal(take(0), 0x24);
}

static void test_pit_line(void **state)
{
    (void)state;
    rte(2, 0, 0x30);
    line(0, false);
    line(0, true);
    assert_int_equal(take(0), 0x30);
}

#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_ioapic_registers), T(test_edge),   T(test_level),       T(test_level_pv),
        T(test_level_masked),     T(test_shared), T(test_pic_nesting), T(test_pic_cascade),
        T(test_pic_modes),        T(test_elcr),   T(test_spurious),    T(test_extint),
        T(test_pit_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
