/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timers: the virtual and the physical timer, each by compare value and by timer value, masked, in
 * the past and far away; the counters over all CPUs; the PL031's second. Options: permille=N (how
 * far apart clocks may be), rounds=N.
 */
#include "lib/guest.h"

static uint64_t permille;
static volatile unsigned fired;
static volatile uint64_t fired_at;
/* the interrupt stays active for long, while other CPUs have their turns */
static volatile bool slow;

struct timer {
    const char *name;
    uint32_t intid;
    bool physical;
};
static const struct timer timers[] = { { "virtual", INTID_VTIMER, false },
                                       { "physical", INTID_PTIMER, true } };

static void set_ctl(const struct timer *t, uint64_t v)
{
    if (t->physical)
        write_reg(cntp_ctl_el0, v);
    else
        write_reg(cntv_ctl_el0, v);
}

static uint64_t get_ctl(const struct timer *t)
{
    return t->physical ? read_reg(cntp_ctl_el0) : read_reg(cntv_ctl_el0);
}
static uint64_t now(const struct timer *t)
{
    isb();
    return t->physical ? read_reg(cntpct_el0) : read_reg(cntvct_el0);
}

static void set_cval(const struct timer *t, uint64_t v)
{
    if (t->physical)
        write_reg(cntp_cval_el0, v);
    else
        write_reg(cntv_cval_el0, v);
}

static void set_tval(const struct timer *t, uint64_t v)
{
    if (t->physical)
        write_reg(cntp_tval_el0, v);
    else
        write_reg(cntv_tval_el0, v);
}

static uint64_t get_tval(const struct timer *t)
{
    return t->physical ? read_reg(cntp_tval_el0) : read_reg(cntv_tval_el0);
}

static void on_timer(uint32_t intid)
{
    const struct timer *t = &timers[intid == INTID_PTIMER];
    fired_at = now(t);
    if (slow)
        delay_us(12000);
    set_ctl(t, get_ctl(t) | 2);
    fired++;
}

static bool wait_fired(unsigned n, uint64_t ms)
{
    struct patience p = patience(ms * 1000);
    irqs_on();
    while (fired < n && patience_left(&p))
        cpu_pause();
    irqs_off();
    return fired >= n;
}

static void verdict(const struct timer *t, const char *what, bool ok, uint64_t got)
{
    if (!ok)
        fail("timers", "%s: %s: %lx", t->name, what, got);
}

/*
 * Halted in between: the interrupt must end WFI in time. Lateness is told; once in 20 times at
 * least it is below a tenth of a second.
 */
static void by_cval(const struct timer *t)
{
    uint64_t late = 0, least = UINT64_MAX;
    for (unsigned i = 0; i < 20; i++) {
        fired = 0;
        uint64_t when = now(t) + ticks_hz / 500;
        set_cval(t, when);
        set_ctl(t, 1);
        for (uint64_t end = ticks() + ticks_hz * 2; !fired && ticks() < end;)
            wait_irq();
        verdict(t, "no interrupt", fired == 1, fired);
        verdict(t, "too early", fired_at >= when, when - fired_at);
        late = fired_at - when > late ? fired_at - when : late;
        least = fired_at - when < least ? fired_at - when : least;
    }
    verdict(t, "late", ticks_to_ns(least) < 100000000 || cmdline_has("emulator"), least);
    print("%s timer: late by %lu to %lu ns\n", t->name, ticks_to_ns(least), ticks_to_ns(late));
}

static void by_tval(const struct timer *t)
{
    set_ctl(t, 2);
    set_tval(t, (uint64_t)-1000);
    verdict(t, "a negative TVAL", (int32_t)get_tval(t) <= -1000, get_tval(t));
    verdict(t, "status while masked", get_ctl(t) == 2 || get_ctl(t) == 6, get_ctl(t));
    set_ctl(t, 3);
    verdict(t, "ISTATUS of a masked timer", get_ctl(t) == 7, get_ctl(t));
    fired = 0;
    wait_fired(1, 5);
    verdict(t, "fires while masked", fired == 0, fired);
    set_ctl(t, 1);
    verdict(t, "unmasked in the past: at once", wait_fired(1, 1000), 0);
    fired = 0;
    uint64_t due = ticks() + ticks_hz / 100; /* on a busy host it may be over when we look */
    set_tval(t, ticks_hz / 100);
    set_ctl(t, 1);
    uint64_t left = get_tval(t);
    verdict(t, "TVAL counts down", (left <= ticks_hz / 100 && left > 0) || ticks() >= due, left);
    verdict(t, "ISTATUS before its time", get_ctl(t) == 1 || fired || ticks() >= due, get_ctl(t));
    wait_fired(1, 2);
    verdict(t, "fires early", fired == 0 || ticks() >= due || cmdline_has("emulator"), fired);
    verdict(t, "fires by TVAL", wait_fired(1, 1000), 0);
}

static void on_third(uint32_t intid)
{
    const struct timer *t = &timers[intid == INTID_PTIMER];
    if (++fired == 3)
        set_ctl(t, 0);
}

/*
 * A level that stays: the interrupt comes again until the timer is turned off; disabled in the GIC
 * it stays pending.
 */
static void level(const struct timer *t)
{
    uint32_t before;
    irq_handle(t->intid, on_third);
    fired = 0;
    set_cval(t, now(t));
    set_ctl(t, 1);
    wait_fired(3, 1000);
    delay_us(500);
    verdict(t, "a level that stays comes again", fired == 3, fired);
    set_ctl(t, 0);
    delay_us(100);
    irqs_on();
    irqs_off();
    before = irq_count(0, t->intid);
    irqs_on();
    delay_us(500);
    irqs_off();
    verdict(t, "comes while off", irq_count(0, t->intid) == before,
            irq_count(0, t->intid) - before);
    gic_disable(t->intid);
    set_cval(t, now(t));
    set_ctl(t, 1);
    delay_us(500);
    verdict(t, "pending while disabled in the GIC", gic_get(GICD_ISPENDR, t->intid), 0);
    irqs_on();
    irqs_off();
    verdict(t, "comes while disabled in the GIC", irq_count(0, t->intid) == before, 0);
    irq_handle(t->intid, on_timer);
    fired = 0;
    gic_enable(t->intid);
    verdict(t, "comes when enabled in the GIC", wait_fired(1, 1000), 0);
    verdict(t, "pending no more", !gic_get(GICD_ISPENDR, t->intid), 0);
}

/* Compare values far away, at the end of time, and over and over. */
static void odd_values(const struct timer *t)
{
    fired = 0;
    /* with more, QEMU 7.2 adds CNTVOFF_EL2, overflows and fires for ever */
    set_cval(t, UINT64_MAX >> 1);
    set_ctl(t, 1);
    wait_fired(1, 3);
    set_cval(t, now(t) + ticks_hz * 100000);
    wait_fired(1, 3);
    verdict(t, "fires at the end of time", fired == 0, fired);
    for (uint64_t i = 0; i < cmdline_num("rounds", 1000); i++)
        set_cval(t, now(t) + i * 10);
    wait_fired(1, 100);
    verdict(t, "the last of many", fired == 1, fired);
    set_ctl(t, 0);
}

static volatile uint64_t newest;
static volatile unsigned back;
static volatile uint64_t worst;
static void race(void *arg)
{
    (void)arg;
    for (unsigned n = 0; n < 20000; n++) {
        uint64_t max = __atomic_load_n(&newest, __ATOMIC_SEQ_CST), t = ticks();
        if (t < max) {
            back++;
            worst = max - t > worst ? max - t : worst;
        }
        while (t > max && !__atomic_compare_exchange_n(&newest, &max, t, false, __ATOMIC_SEQ_CST,
                                                       __ATOMIC_SEQ_CST))
            ;
    }
}

static volatile unsigned others;
static void sleeper(void *arg)
{
    (void)arg;
    gic_enable(INTID_VTIMER);
    for (unsigned i = 0; i < 10; i++) {
        uint32_t before = this_cpu()->irqs[INTID_VTIMER];
        write_reg(cntv_tval_el0, ticks_hz / 200);
        write_reg(cntv_ctl_el0, 1);
        for (uint64_t end = ticks() + ticks_hz * 3;
             this_cpu()->irqs[INTID_VTIMER] == before && ticks() < end;)
            wait_irq();
        if (this_cpu()->irqs[INTID_VTIMER] - before == 1)
            __atomic_add_fetch(&others, 1, __ATOMIC_SEQ_CST);
    }
}

static void all_cpus(unsigned n)
{
    for (unsigned i = 1; i < n; i++)
        smp_run(i, race, NULL);
    race(NULL);
    for (unsigned i = 1; i < n; i++)
        smp_wait(i);
    if (back)
        fail("timers counter over CPUs", "%u steps back among %u CPUs, worst %lu", back, n, worst);
    else
        pass("timers counter over CPUs");
    for (unsigned i = 1; i < n; i++)
        smp_run(i, sleeper, NULL);
    for (unsigned i = 1; i < n; i++)
        smp_wait(i);
    slow = true;
    others = others == 10 * (n - 1) ? 0 : 1000;
    for (unsigned i = 1; i < n; i++)
        smp_run(i, sleeper, NULL);
    for (unsigned i = 1; i < n; i++)
        smp_wait(i);
    slow = false;
    if (others != 10 * (n - 1))
        fail("timers on every CPU", "%u of %u", others, 10 * (n - 1));
    else
        pass("timers on every CPU");
}

static void on_alarm(uint32_t intid)
{
    (void)intid;
    mmio_w32(boot.rtc + 0x10, 0); /* RTCIMSC: takes the line down, as RTCICR does */
}

/*
 * The edge at which the second is no longer *s, which it was at *seen; both become the next edge's.
 * One that passes unseen widens the bounds.
 */
static struct edge next_second(uint32_t *s, uint64_t *seen)
{
    for (struct patience p = patience(3000000);;) {
        uint64_t began = ticks();
        uint32_t now = mmio_r32(boot.rtc);
        struct edge e = { *seen, ticks() };
        bool over = now != *s || !patience_left(&p);

        *s = now;
        *seen = began;
        if (over)
            return e;
    }
}

static struct lapse rtc_second(uint32_t *second)
{
    uint64_t seen = ticks();
    *second = mmio_r32(boot.rtc);
    struct edge from = next_second(second, &seen);

    return lapse_between(from, next_second(second, &seen));
}

static void rtc(void)
{
    if (!boot.rtc)
        return;
    uint32_t s1 = 0;
    struct lapse s = rtc_second(&s1);
    for (unsigned i = 0;
         i < 5 && !lapse_sharp(s, ticks_hz, permille) && lapse_holds(s, ticks_hz, permille); i++)
        s = rtc_second(&s1);
    print("rtc: %u, a second of %lu to %lu ns, identity %x %x %x %x\n", s1, ticks_to_ns(s.least),
          ticks_to_ns(s.most), mmio_r32(boot.rtc + 0xfe0), mmio_r32(boot.rtc + 0xfe4),
          mmio_r32(boot.rtc + 0xff0), mmio_r32(boot.rtc + 0xffc));
    if (s1 < 1700000000 || !lapse_holds(s, ticks_hz, permille) ||
        mmio_r32(boot.rtc + 0xfe0) != 0x31 || mmio_r32(boot.rtc + 0xffc) != 0xb1)
        fail("timers PL031", "%u, %lu to %lu ns", s1, ticks_to_ns(s.least), ticks_to_ns(s.most));
    else
        pass("timers PL031");
    irq_handle(INTID_RTC, on_alarm);
    gic_route(INTID_RTC, 0);
    gic_enable(INTID_RTC);
    uint32_t before = irq_count(0, INTID_RTC);
    mmio_w32(boot.rtc + 0x1c, 1);
    mmio_w32(boot.rtc + 4, mmio_r32(boot.rtc) + 1);
    mmio_w32(boot.rtc + 0x10, 1);
    for (struct patience p = patience(4000000); !mmio_r32(boot.rtc + 0x18) && patience_left(&p);)
        cpu_pause();
    bool pend = gic_get(GICD_ISPENDR, INTID_RTC);
    irqs_on();
    delay_us(100);
    irqs_off();
    mmio_w32(boot.rtc + 0x1c, 1);
    if (pend && irq_count(0, INTID_RTC) != before)
        pass("timers PL031 alarm");
    else
        fail("timers PL031 alarm", "pending %u, %u came", pend, irq_count(0, INTID_RTC) - before);
    gic_disable(INTID_RTC);
}

void guest_main(void)
{
    permille = cmdline_num("permille", 50);
    unsigned n = smp_start();
    print("counter %lu Hz, %u cpus\n", ticks_hz, n);
    for (unsigned i = 0; i < 2; i++) {
        const struct timer *t = &timers[i];
        unsigned bad = failures;
        irq_handle(t->intid, on_timer);
        gic_enable(t->intid);
        by_cval(t);
        by_tval(t);
        level(t);
        odd_values(t);
        if (failures == bad)
            print("PASS timers %s\n", t->name);
    }
    all_cpus(n);
    rtc();
}
