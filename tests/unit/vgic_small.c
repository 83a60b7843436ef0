/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Saved states of the GIC, all of a small world: one SPI of two vCPUs, with each of its bits, each
 * home, each route and each way of being in list registers. The rules, written anew, say which a
 * machine can have been in; those are taken, save as they were read, and the interrupt is delivered
 * once at most. And each bit of a whole state is turned: it is refused and nothing has changed, or
 * it is what is saved again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/vgic_fakes.h"
#include "hv/guest/aarch64/vgic_saved.h"

enum { VCPUS = 2, ID = 64, BANK = 1, SPI = 32 };
enum {
    ENABLED = 1,
    LATCH = 2,
    LINE = 4,
    ACTIVE = 8,
    EDGE = 16,
    IN_LR = 32,
    DEACT = 64,
    UNPEND = 128
};
#define NOWHERE 9u

/* What is said of the SPI. lr[v]: the state that a list register of vCPU v has it in, 0: none. */
struct world {
    unsigned flags, home, route;
    uint64_t irouter, lr[VCPUS];
};

static _Alignas(8) uint8_t saved[128 * 1024], again[128 * 1024], good[128 * 1024];
static unsigned long cases, taken, turned;

static struct saved_head *head(void) { return (void *)saved; }
static struct saved_cpu *cpu(unsigned n) { return (struct saved_cpu *)(head() + 1) + n; }

static void make(unsigned version)
{
    fake_lrs = ARM_LRS_MAX;
    fake_start(version, VCPUS);
    wr(GICD(0), 3);
    on(0);
    save_parked(good);
}

static void put_lr(struct saved_cpu *c, uint64_t state)
{
    if (state)
        c->lr[c->nlrs++] = state | ID;
}

static void put(const struct world *w)
{
    struct vgic_bank *b = &head()->s.spi[BANK];

    memcpy(saved, good, saved_size());
    b->enabled = !!(w->flags & ENABLED);
    b->latch = !!(w->flags & LATCH);
    b->line = !!(w->flags & LINE);
    b->active = !!(w->flags & ACTIVE);
    b->edge = !!(w->flags & EDGE);
    b->in_lr = !!(w->flags & IN_LR);
    b->deact = !!(w->flags & DEACT);
    b->unpend = !!(w->flags & UNPEND);
    b->group1 = fake_version == 3;
    b->home[0] = (uint16_t)w->home;
    b->route[0] = (uint16_t)w->route;
    head()->s.irouter[SPI] = w->irouter;
    for (unsigned v = 0; v < VCPUS; v++)
        put_lr(cpu(v), w->lr[v]);
}

/* ---- what a machine can have been in ---- */

/* GICv3 (IHI 0069) 12.9.22: GICD_IROUTER; GICv2 (IHI 0048) 4.3.12: GICD_ITARGETSR. */
static bool route_is(const struct world *w)
{
    if (fake_version == 2)
        return !w->irouter && w->route < 1u << VCPUS;
    if (w->irouter >> 31 & 1)
        return w->route == ROUTE_ANY;
    return w->route == (w->irouter < VCPUS ? w->irouter : ROUTE_NONE);
}

static unsigned target(const struct world *w)
{
    if (fake_version == 2)
        return w->route & 1 ? 0 : w->route & 2 ? 1 : NOWHERE;
    return w->route == ROUTE_ANY ? w->home : w->route < VCPUS ? w->route : NOWHERE;
}

static bool pending(const struct world *w)
{
    return w->flags & LATCH || (w->flags & LINE && !(w->flags & EDGE));
}

static bool can_be(const struct world *w)
{
    bool in_lr = w->flags & IN_LR,
         ready = w->flags & ENABLED && pending(w) && !(w->flags & (ACTIVE | IN_LR));
    unsigned lrs = !!w->lr[0] + !!w->lr[1];

    if (w->home >= VCPUS || !route_is(w) || lrs != in_lr)
        return false;
    if (in_lr ? w->flags & ACTIVE || !w->lr[w->home] : w->flags & (DEACT | UNPEND))
        return false;
    return !ready || target(w) == NOWHERE || target(w) == w->home;
}

/* ---- what comes ---- */

/* As a CPU that holds nothing yet. */
static int restore(void)
{
    for (unsigned v = 0; v < VCPUS; v++)
        fake_cpu[v].depth = 0;
    return restore_only(saved);
}

static void expect_saved(const void *as)
{
    save_parked(again);
    assert_memory_equal(again, as, saved_size());
}

static void deliver(void)
{
    unsigned seen = 0;

    resume_parked();
    for (unsigned v = 0; v < VCPUS; v++) {
        on(v);
        seen += take(v) == ID;
    }
    assert_in_range(seen, 0, 1);
}

static void one(const struct world *w)
{
    int err;

    put(w);
    err = restore();
    cases++;
    assert_int_equal(err, can_be(w) ? 0 : -EINVAL);
    if (err)
        return;
    taken++;
    expect_saved(saved);
    deliver();
}

static const uint64_t lrs[][VCPUS] = {
    { 0, 0 },
    { ARM_LR_PENDING, 0 },
    { ARM_LR_ACTIVE, 0 },
    { 0, ARM_LR_PENDING },
    { 0, ARM_LR_PENDING | ARM_LR_ACTIVE },
    { ARM_LR_PENDING, ARM_LR_ACTIVE },
};
static const unsigned routes[] = { 0, 1, 2, 3, 4, ROUTE_ANY, ROUTE_NONE };
static const uint64_t irouters[] = { 0, 1, 5, 1ull << 31 };
#define EACH(i, set) for (unsigned i = 0; i < ARRAY_SIZE(set); i++)

static void each_world(unsigned flags, unsigned home)
{
    EACH(r, routes)
    EACH(i, irouters)
    EACH(l, lrs)
    one(&(struct world){ flags, home, routes[r], irouters[i], { lrs[l][0], lrs[l][1] } });
}

static void test_worlds(void **state)
{
    (void)state;
    for (unsigned version = 2; version <= 3; version++) {
        make(version);
        for (unsigned flags = 0; flags < 256; flags++)
            for (unsigned home = 0; home <= VCPUS; home++)
                each_world(flags, home);
        fake_stop();
    }
}

/* ---- each bit ---- */

static void turn(size_t bit)
{
    saved[bit / 8] ^= (uint8_t)(1u << bit % 8);
    turned++;
    if (restore() == 0) {
        expect_saved(saved);
        assert_int_equal(restore_only(good), 0);
    } else {
        expect_saved(good);
    }
    saved[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

/* A level, an edge and a private interrupt, some in list registers. */
static void busy(unsigned version)
{
    make(version);
    for (unsigned v = 0; v < VCPUS; v++) {
        on(v);
        wr(version == 2 ? GICD(0x100) : GICS(v, 0x100), ~0u);
    }
    on(0);
    wr(GICD(0x104), 3);
    wr(GICD(0xc08), 2);
    virq_set(&fake_vm, 32, true);
    virq_set(&fake_vm, 33, true);
    (void)attend(0);
    save_parked(good);
    memcpy(saved, good, saved_size());
}

/* Of the LPIs' banks, which are alike, the first and the last. */
static void test_bits(void **state)
{
    (void)state;
    for (unsigned version = 2; version <= 3; version++) {
        size_t len, lpis = sizeof(struct saved_head) + VCPUS * sizeof(struct saved_cpu);

        busy(version);
        len = saved_size();
        for (size_t at = 0; at < len; at++)
            if (at < lpis + sizeof(struct vgic_bank) || at >= len - sizeof(struct vgic_bank))
                for (size_t bit = 8 * at; bit < 8 * at + 8; bit++)
                    turn(bit);
        fake_stop();
    }
}

static int finish(void **state)
{
    (void)state;
    print_message("%lu worlds, %lu of them possible; %lu bits\n", cases, taken, turned);
    return cases < 250000 || taken < 2500 || turned < 200000;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_worlds),
                                        cmocka_unit_test(test_bits) };

    return cmocka_run_group_tests(tests, NULL, finish);
}
