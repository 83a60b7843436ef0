/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's ITS: registers, every command, LPIs from message to end, what a broken or hostile
 * guest does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/vgic_fakes.h"

#define VCPUS 3
#define PROP (PLAT_RAM + 0x00000) /* configuration table, 8 KiB */
#define PEND(v) (PLAT_RAM + 0x10000 + (v)*0x10000ull)
#define QUEUE (PLAT_RAM + 0x50000) /* one page */
#define DEVICES (PLAT_RAM + 0x60000)
#define COLLECTIONS (PLAT_RAM + 0x61000)
#define ITT(d) (PLAT_RAM + 0x70000 + (d)*0x100ull)
#define VALID (1ull << 63)
static uint32_t head;

static uint8_t *ram(uint64_t at) { return fake_ram + (at - PLAT_RAM); }
static void config(uint32_t lpi, uint8_t c) { *ram(PROP + lpi - 8192) = c; }

static void push(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    uint64_t cmd[4] = { a, b, c, d };

    memcpy(ram(QUEUE) + head, cmd, sizeof cmd);
    head = (head + 32) % 4096;
}

static void ring(void)
{
    wr64(GITS(0x88), head);
    advance(0);
}

static void mapd(uint32_t dev, unsigned bits, bool valid)
{
    push(0x08 | (uint64_t)dev << 32, bits - 1, ITT(dev) | (valid ? VALID : 0), 0);
}
static void mapc(uint32_t coll, uint64_t vcpu, bool valid)
{
    push(0x09, 0, coll | vcpu << 16 | (valid ? VALID : 0), 0);
}
static void mapti(uint32_t dev, uint32_t ev, uint64_t lpi, uint32_t coll)
{
    push(0x0a | (uint64_t)dev << 32, ev | lpi << 32, coll, 0);
}
static void on_event(uint8_t cmd, uint32_t dev, uint32_t ev)
{
    push(cmd | (uint64_t)dev << 32, ev, 0, 0);
}
static void inv(uint32_t dev, uint32_t ev) { on_event(0x0c, dev, ev); }
static int msi(uint32_t dev, uint32_t ev)
{
    return virq_msi(&fake_vm, dev, PLAT_ITS + GITS_TRANSLATER, ev);
}

static void lpis(unsigned v, bool ptz)
{
    wr64(GICR(v, 0x70), PROP | 13);
    wr64(GICR(v, 0x78), PEND(v) | (ptz ? 1ull << 62 : 0));
    wr(GICR(v, 0), 1);
}

/*
 * Device 8 with 4 EventIDs; 0 -> LPI 8192, collection 0 = vCPU 0; 1 -> LPI 8200, collection 1 =
 * vCPU 1.
 */
static int start(void **state)
{
    (void)state;
    fake_start(3, VCPUS);
    head = 0;
    wr(GICD(0), 2);
    for (unsigned v = 0; v < VCPUS; v++)
        lpis(v, true);
    wr64(GITS(0x100), DEVICES | VALID);
    wr64(GITS(0x108), COLLECTIONS | VALID);
    wr64(GITS(0x80), QUEUE | VALID);
    wr(GITS(0), 1);
    config(8192, 0xa1);
    config(8200, 0x81);
    mapd(8, 2, true);
    mapc(0, 0, true);
    mapc(1, 1, true);
    mapti(8, 0, 8192, 0);
    mapti(8, 1, 8200, 1);
    push(0x05, 0, 0, 0);
    ring();
    assert_int_equal(rd64(GITS(0x90)), 6 * 32);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fake_stop();
    return 0;
}

static void test_registers(void **state)
{
    (void)state;
    assert_int_equal(rd64(GITS(8)), 1 | 7 << 4 | 15 << 8 | 7 << 13);
    assert_int_equal(rd(GITS(12)), 0);
    assert_int_equal(rd(GITS(0xffe8)), 0x3b);
    assert_int_equal(rd(GITS(4)) & 0xfff, 0x43b);
    assert_int_equal(rd(GITS(0)), 1);
    wr64(GITS(0x100), 0); /* not while it is on */
    wr64(GITS(0x80), 0);
    assert_int_equal(rd64(GITS(0x100)), DEVICES | VALID | 1ull << 56 | 7ull << 48);
    assert_int_equal(rd64(GITS(0x108)), COLLECTIONS | VALID | 4ull << 56 | 7ull << 48);
    assert_int_equal(rd64(GITS(0x80)), QUEUE | VALID);
    wr(GITS(0), 0);
    assert_int_equal(rd(GITS(0)), 1u << 31);
    wr64(GITS(0x100), ~0ull);
    assert_int_equal(rd64(GITS(0x100)) & (1ull << 62), 0); /* no Indirect */
    assert_int_equal(rd64(GITS(0x100)) >> 48 & 0x71f, 0x107);
    assert_int_equal(rd64(GITS(0x100)) & 0x300, 0x200); /* 64 KiB pages; 3 is none */
    wr64(GITS(0x110), ~0ull);
    assert_int_equal(rd64(GITS(0x110)), 0);
    wr(GITS(0x84), 0x80000000);
    assert_int_equal(rd64(GITS(0x80)), VALID | (uint32_t)QUEUE);
    assert_int_equal(rd64(GITS(0x90)), 0); /* GITS_CBASER resets GITS_CREADR */
    wr(GITS(0x10040), 0);                  /* a CPU's write of GITS_TRANSLATER */
    assert_int_equal(rd(GICD(4)) >> 17 & 1, 1);
    assert_int_equal(rd(GICR(0, 0)), 3);
}

static void test_lpi(void **state)
{
    (void)state;
    assert_int_equal(msi(8, 0), 0);
    assert_int_equal(take(1), SPURIOUS);
    assert_int_equal(ack(0), 8192);
    assert_int_equal(cpu_of(0)->gic.used, 0);
    eoi(0, 8192);
    assert_int_equal(take(0), SPURIOUS);
    assert_int_equal(msi(8, 1), 0);
    assert_int_equal(msi(8, 1), 0);
    assert_int_equal(take(1), 8200);
    assert_int_equal(take(1), SPURIOUS);
    assert_int_equal(msi(8, 2), -ENOENT); /* not mapped */
    memcpy(ram(ITT(8)) + 32, ram(ITT(8)), 8);
    /* beyond the table, though there is an entry */
    assert_int_equal(msi(8, 4), -ENOENT);
    assert_int_equal(msi(8, ~0u), -ENOENT);
    assert_int_equal(msi(9, 0), -ENOENT);
    assert_int_equal(msi(~0u, 0), -ENOENT);
    assert_int_equal(msi(0x108, 0), -ENOENT);
    wr(GITS(0), 0);
    assert_int_equal(msi(8, 0), -ENOENT);
    wr(GITS(0), 1);
    assert_int_equal(msi(8, 0), 0); /* the mappings outlive that */
    assert_int_equal(take(0), 8192);
}

/* The configuration table counts when INV or INVALL says so. */
static void test_inv(void **state)
{
    (void)state;
    config(8192, 0xa0);
    assert_int_equal(msi(8, 0), 0);
    assert_int_equal(take(0), 8192);
    inv(8, 0);
    ring();
    assert_int_equal(msi(8, 0), 0);
    assert_int_equal(take(0), SPURIOUS); /* disabled; it waits */
    config(8192, 0xa1);
    push(0x0d, 0, 0, 0);
    ring();
    assert_int_equal(take(0), 8192);
    assert_int_equal(msi(8, 0), 0);
    (void)attend(0);
    assert_int_equal(cpu_of(0)->gic.used, 1);
    config(8192, 0xa0); /* disabled in its list register */
    inv(8, 0);
    ring();
    assert_int_equal(take(0), SPURIOUS);
    config(8192, 0x11);
    inv(8, 0);
    ring();
    (void)attend(0);
    assert_int_equal(cpu_of(0)->gic.lr[0] >> ARM_LR_PRIORITY_SHIFT & 0xff, 0x10);
    assert_true(cpu_of(0)->gic.lr[0] & ARM_LR_GROUP1);
    assert_int_equal(take(0), 8192);
}

static void test_moves(void **state)
{
    (void)state;
    assert_int_equal(msi(8, 0), 0);
    push(0x01 | 8ull << 32, 0, 1, 0); /* MOVI to collection 1, pending as it is */
    ring();
    assert_int_equal(take(0), SPURIOUS);
    assert_int_equal(take(1), 8192);
    assert_int_equal(msi(8, 0), 0);
    (void)attend(1);
    push(0x01 | 8ull << 32, 0, 0, 0); /* and out of a list register */
    ring();
    assert_int_equal(take(1), SPURIOUS);
    assert_int_equal(take(0), 8192);
    assert_int_equal(msi(8, 0), 0);
    assert_int_equal(msi(8, 1), 0);
    push(0x0e, 0, 0ull << 16, 2ull << 16); /* MOVALL 0 -> 2 */
    ring();
    assert_int_equal(take(0), SPURIOUS);
    assert_int_equal(take(2), 8192);
    assert_int_equal(take(1), 8200);
    mapc(0, 2, true);
    ring();
    assert_int_equal(msi(8, 0), 0);
    assert_int_equal(take(2), 8192);
    mapc(0, 0, false);
    ring();
    assert_int_equal(msi(8, 0), -ENOENT);
    push(0x01 | 8ull << 32, 1, 0, 0); /* MOVI to a collection that is not there */
    ring();
    assert_int_equal(msi(8, 1), 0);
    assert_int_equal(take(1), 8200);
}

/*
 * An LPI that was mapped while its collection was not: the configuration at the time of the message
 * counts, whatever INV and INVALL could not reach.
 */
static void test_unmapped_collection(void **state)
{
    (void)state;
    config(8201, 0);
    mapti(8, 2, 8201, 5);
    config(8201, 0xa1);
    mapc(5, 2, true);
    push(0x0d, 0, 5, 0); /* INVALL */
    on_event(0x03, 8, 2);
    ring();
    assert_int_equal(take(2), 8201);
    push(0x0f | 8ull << 32, 2, 0, 0); /* DISCARD; then disabled, and mapped while nobody has it */
    mapc(5, 2, false);
    ring();
    config(8201, 0xa0);
    mapti(8, 2, 8201, 5);
    mapc(5, 2, true);
    ring();
    assert_int_equal(msi(8, 2), 0);
    assert_int_equal(take(2), SPURIOUS);
    /* MOVI out of a collection that is not mapped */
    config(8202, 0xa1);
    mapti(8, 3, 8202, 6);
    push(0x01 | 8ull << 32, 3, 1, 0);
    ring();
    assert_int_equal(msi(8, 3), 0);
    assert_int_equal(take(1), 8202);
    /* a collection that moves takes the configuration with it */
    config(8202, 0xa0);
    mapc(1, 0, true);
    ring();
    assert_int_equal(msi(8, 3), 0);
    assert_int_equal(take(0), SPURIOUS);
}

/* Each page size reads back, and tables are where it says. */
static void test_page_sizes(void **state)
{
    static const uint64_t want[] = { 0, 1, 2, 2 };

    (void)state;
    for (unsigned n = 0; n < 4; n++) {
        wr(GITS(0), 0);
        wr64(GITS(0x108), COLLECTIONS | n << 8);
        assert_int_equal(rd64(GITS(0x108)) >> 8 & 3, want[n]);
    }
    wr64(GITS(0x108), (PLAT_RAM + 0x80000) | VALID | 2 << 8);
    wr(GITS(0), 1);
    mapc(0x1ffe, 1, true); /* in the last entries of 64 KiB */
    mapti(8, 0, 8192, 0x1ffe);
    ring();
    assert_int_equal(msi(8, 0), 0);
    assert_int_equal(take(1), 8192);
    memset(ram(PLAT_RAM + 0x80000) + 0x1ffe * 8, 0, 8);
    assert_int_equal(msi(8, 0), -ENOENT);
    /* bits 15:12 are address bits 51:48: no RAM there */
    wr(GITS(0), 0);
    wr64(GITS(0x108), (PLAT_RAM + 0x80000) | 1 << 12 | VALID | 2 << 8);
    wr(GITS(0), 1);
    mapc(1, 1, true);
    ring();
    assert_int_equal(msi(8, 1), -ENOENT);
}

static void test_events(void **state)
{
    (void)state;
    on_event(0x03, 8, 0); /* INT */
    ring();
    assert_int_equal(take(0), 8192);
    on_event(0x03, 8, 0);
    on_event(0x04, 8, 0); /* CLEAR */
    ring();
    assert_int_equal(take(0), SPURIOUS);
    assert_int_equal(msi(8, 0), 0);
    (void)attend(0);
    on_event(0x04, 8, 0);
    ring();
    assert_int_equal(take(0), SPURIOUS);
    assert_int_equal(msi(8, 0), 0);
    on_event(0x0f, 8, 0); /* DISCARD */
    ring();
    assert_int_equal(take(0), SPURIOUS);
    assert_int_equal(msi(8, 0), -ENOENT);
    config(8195, 0xa1);
    mapd(8, 14, true);
    push(0x0b | 8ull << 32, 8195, 1, 0); /* MAPI: EventID is the LPI */
    ring();
    assert_int_equal(msi(8, 8195), 0);
    assert_int_equal(take(1), 8195);
    mapd(8, 2, false);
    ring();
    assert_int_equal(msi(8, 1), -ENOENT);
    assert_int_equal(rd64(GITS(0x90)), head);
}

/* Wrong parameters: nothing happens, and the queue goes on. */
static void test_errors(void **state)
{
    (void)state;
    push(0x77, 0, 0, 0);
    push(0x08 | 0x100ull << 32, 1, ITT(0) | VALID, 0); /* DeviceID too large */
    push(0x08 | 9ull << 32, 31, ITT(0) | VALID, 0);    /* too many EventIDs */
    mapc(0x200, 0, true);                              /* beyond its table */
    mapc(5, VCPUS, true);                              /* no such vCPU */
    mapti(8, 2, 8191, 0);
    mapti(8, 2, 16384, 0);
    mapti(8, 2, 33, 0);
    mapti(8, 9, 8193, 0);
    mapti(9, 0, 8193, 0);
    push(0x0e, 0, 7ull << 16, 0);
    push(0x05, 0, 7ull << 16, 0);
    push(0x0d, 0, 5, 0);
    on_event(0x03, 8, 3);
    on_event(0x0f, 9, 3);
    inv(200, 3);
    ring();
    assert_int_equal(rd64(GITS(0x90)), head);
    assert_int_equal(msi(8, 2), -ENOENT);
    assert_int_equal(msi(9, 0), -ENOENT);
    assert_int_equal(msi(8, 0), 0);
    assert_int_equal(take(0), 8192);
    /* the guest's own tables, full of nonsense */
    memset(ram(DEVICES), 0xff, 4096);
    assert_int_equal(msi(8, 0), -ENOENT);
    *(uint64_t *)(void *)(ram(DEVICES) + 64) = VALID | ITT(8) | 1;
    *(uint64_t *)(void *)ram(ITT(8)) = VALID | 0xffffull << 32 | 8192;
    assert_int_equal(msi(8, 0), -ENOENT);
    *(uint64_t *)(void *)ram(ITT(8)) = VALID | 40;
    assert_int_equal(msi(8, 0), -ENOENT);
    *(uint64_t *)(void *)ram(COLLECTIONS) = VALID | VCPUS;
    *(uint64_t *)(void *)ram(ITT(8)) = VALID | 8192;
    assert_int_equal(msi(8, 0), -ENOENT);
}

static void test_stall(void **state)
{
    (void)state;
    wr(GITS(0), 0);
    wr64(GITS(0x80), 0x1000 | VALID); /* no RAM there */
    wr(GITS(0), 1);
    wr64(GITS(0x88), 64);
    assert_int_equal(rd64(GITS(0x90)), 1);
    wr64(GITS(0x88), 96);
    assert_int_equal(rd64(GITS(0x90)), 1);
    wr(GITS(0), 0);
    wr64(GITS(0x80), QUEUE | VALID);
    wr(GITS(0), 1);
    assert_int_equal(rd64(GITS(0x90)), 96);
    wr64(GITS(0x88), 8192); /* beyond the queue */
    assert_int_equal(rd64(GITS(0x90)), 97);
    wr64(GITS(0x88), 128 | 1); /* Retry */
    assert_int_equal(rd64(GITS(0x90)), 128);
    wr64(GITS(0x88), 0); /* wraps */
    advance(0);
    assert_int_equal(rd64(GITS(0x90)), 0);
}

/* A full queue of the dearest command: the guest's write returns soon, events do the rest. */
static void test_budget(void **state)
{
    (void)state;
    wr64(GITS(0x88), 0);
    advance(0);
    head = 0;
    for (unsigned n = 0; n < 127; n++)
        push(0x0d, 0, 0, 0);
    wr64(GITS(0x88), head);
    assert_true(rd64(GITS(0x90)) <= 3 * 32);
    assert_true(event_run());
    for (unsigned n = 0; n < 200 && rd64(GITS(0x90)) != head; n++)
        (void)event_run();
    assert_int_equal(rd64(GITS(0x90)), head);
}

static void test_tables(void **state)
{
    (void)state;
    assert_int_equal(msi(8, 0), 0);
    /* LPIs off: what is pending goes to the table */
    wr(GICR(0, 0), 0);
    assert_int_equal(rd(GICR(0, 0)), 2);
    assert_int_equal(*ram(PEND(0) + 1024), 1);
    assert_int_equal(take(0), SPURIOUS);
    assert_int_equal(msi(8, 0), 0);
    assert_int_equal(take(0), SPURIOUS);
    *ram(PEND(0) + 1025) = 2; /* LPI 8201, of which the ITS knows nothing */
    config(8201, 0x91);
    lpis(0, false);
    assert_int_equal(take(0), 8201);
    assert_int_equal(take(0), 8192);
    assert_int_equal(take(0), SPURIOUS);
    wr64(GICR(0, 0x70), 0); /* fixed while LPIs are on */
    assert_int_equal(rd64(GICR(0, 0x70)), PROP | 13);
    wr(GICR(0, 0), 0);
    wr64(GICR(0, 0x70), 0xfffffffff000ull | 13); /* no RAM: no LPI is enabled */
    wr64(GICR(0, 0x78), 0xfffffffff0000ull);
    wr(GICR(0, 0), 1);
    assert_int_equal(msi(8, 0), 0);
    assert_int_equal(take(0), SPURIOUS);
}

/*
 * Thousands in the table: a piece at once, the rest in events; off in the middle loses none of
 * them.
 */
static void test_pending_in_pieces(void **state)
{
    const uint32_t all = 8192;
    unsigned lost = 0;

    (void)state;
    wr(GICR(0, 0), 0);
    for (uint32_t n = 0; n < all; n++)
        config(8192 + n, 0xa1);
    memset(ram(PEND(0) + 1024), 0xff, all / 8);
    lpis(0, false);
    assert_in_range(cpu_of(0)->nready, 1, 520);
    wr(GICR(0, 0), 0);
    for (uint32_t n = 0; n < all / 8; n++)
        lost += *ram(PEND(0) + 1024 + n) != 0xff;
    assert_int_equal(lost, 0);
    lpis(0, false);
    for (unsigned n = 0; n < 40; n++)
        (void)event_run();
    assert_in_range(cpu_of(0)->nready, all - 16, all);
    wr(GICR(0, 0), 0);
    memset(ram(PEND(0) + 1024), 0, all / 8);
}

/* Many LPIs, more than list registers: all come, by priority. */
static void test_many(void **state)
{
    (void)state;
    mapd(8, 8, true);
    for (uint32_t n = 0; n < 100; n++) {
        config(8300 + n, (uint8_t)(0xf9 - 8 * (n % 16)));
        mapti(8, 100 + n, 8300 + n, 0);
        if (n % 32 == 31)
            ring();
    }
    ring();
    for (uint32_t n = 0; n < 100; n++)
        assert_int_equal(msi(8, 100 + n), 0);
    for (uint32_t n = 0, last = 0; n < 100; n++) {
        uint32_t id = take(0), p;

        assert_in_range(id, 8300, 8399);
        p = 0xf9 - 8 * ((id - 8300) % 16);
        assert_true(p >= last);
        last = p;
    }
    assert_int_equal(take(0), SPURIOUS);
    assert_int_equal(cpu_of(0)->nready, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_registers, start, stop),
        cmocka_unit_test_setup_teardown(test_lpi, start, stop),
        cmocka_unit_test_setup_teardown(test_inv, start, stop),
        cmocka_unit_test_setup_teardown(test_moves, start, stop),
        cmocka_unit_test_setup_teardown(test_unmapped_collection, start, stop),
        cmocka_unit_test_setup_teardown(test_page_sizes, start, stop),
        cmocka_unit_test_setup_teardown(test_events, start, stop),
        cmocka_unit_test_setup_teardown(test_errors, start, stop),
        cmocka_unit_test_setup_teardown(test_stall, start, stop),
        cmocka_unit_test_setup_teardown(test_budget, start, stop),
        cmocka_unit_test_setup_teardown(test_tables, start, stop),
        cmocka_unit_test_setup_teardown(test_pending_in_pieces, start, stop),
        cmocka_unit_test_setup_teardown(test_many, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
