/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timers: PIT, RTC, PM timer, TSC, APIC timer and kvmclock must agree. Options: permille=N (how far
 * apart they may be), ms=N.
 */
#include "lib/guest.h"

static uint64_t permille;

static uint32_t pit_latch(unsigned ch)
{
    outb(0x43, (uint8_t)(ch << 6));
    uint32_t lo = inb((uint16_t)(0x40 + ch));
    return lo | (uint32_t)inb((uint16_t)(0x40 + ch)) << 8;
}

static void compare(const char *name, uint64_t ns, uint64_t tsc_ns)
{
    uint64_t d = ns > tsc_ns ? ns - tsc_ns : tsc_ns - ns;
    if (d * 1000 <= tsc_ns * permille)
        pass(name);
    else
        fail(name, "%lu ns where the TSC says %lu", ns, tsc_ns);
}

/* Channel 0, mode 2: counts down and starts again; polled fast enough to see each turn (55 ms). */
static uint64_t pit_total;
static uint32_t pit_last;
static void pit_poll(void)
{
    uint32_t now = pit_latch(0);
    pit_total += (pit_last - now) & 0xffff;
    pit_last = now;
}

/*
 * All clocks at one moment: the tightest of a few tries, since this CPU may be taken away in
 * between.
 */
struct moment {
    uint64_t tsc, pit, pm;
    uint32_t apic;
};

static struct moment look(void)
{
    struct moment best = { 0 };
    uint64_t width = UINT64_MAX;
    for (unsigned i = 0; i < 20; i++) {
        uint64_t a = rdtsc();
        pit_poll();
        uint64_t pm = pm_timer_ns();
        uint32_t apic = apic_read(APIC_TIMER_CUR);
        uint64_t b = rdtsc();
        if (b - a >= width)
            continue;
        width = b - a;
        best = (struct moment){ a + width / 2, pit_total, pm, apic };
    }
    return best;
}

static void three_clocks(void)
{
    outb(0x43, 0x34);
    outb(0x40, 0);
    outb(0x40, 0);
    apic_write(APIC_TIMER_DIV, 0xb);
    apic_write(APIC_LVTT, 0x10000);
    apic_write(APIC_TIMER_INIT, 0xffffffff);
    pit_last = pit_latch(0);
    pm_timer_ns();
    struct moment from = look();
    while (tsc_to_ns(rdtsc() - from.tsc) < cmdline_num("ms", 300) * 1000000) {
        pit_poll();
        pm_timer_ns();
    }
    struct moment to = look();
    uint64_t ns = tsc_to_ns(to.tsc - from.tsc);
    uint64_t want = muldiv(ns, 1193182, 1000000000);
    /* whole turns (55 ms) may have gone by unseen */
    int16_t off = (int16_t)(to.pit - from.pit - want);
    compare("timers PIT", muldiv((uint64_t)((int64_t)want + off), 1000000000, 1193182), ns);
    compare("timers PM timer", to.pm - from.pm, ns);
    print("apic timer: %lu Hz\n", muldiv(from.apic - to.apic, 1000000000, ns));
    apic_write(APIC_TIMER_INIT, 0);
}

/* Measures until it is known well enough, or often enough, and judges by what is certain. */
static void judge(const char *name, uint64_t ns, struct lapse (*measure)(void))
{
    uint64_t want = muldiv(ns, tsc_hz, 1000000000);
    struct lapse s = measure();
    bool ok = lapse_holds(s, want, permille);

    for (unsigned i = 0; i < 10 && ok && !lapse_sharp(s, want, permille); i++) {
        s = measure();
        ok = lapse_holds(s, want, permille);
    }
    if (ok)
        pass(name);
    else
        fail(name, "%lu ns where the TSC says %lu to %lu", ns, tsc_to_ns(s.least),
             tsc_to_ns(s.most));
}

/*
 * The edge at which look() is no longer *old, which it was at `after`; *old becomes what it is
 * then, and *seen a time before that look, for the next edge. What comes unseen in between only
 * widens the bounds. Gives up after 3 s of this CPU's time.
 */
static struct edge change(uint8_t (*look)(void), uint8_t *old, uint64_t after, uint64_t *seen)
{
    for (struct patience p = patience(3000000);;) {
        uint64_t began = rdtsc();
        uint8_t now = look();
        struct edge e = { after, rdtsc() };

        if (now != *old || !patience_left(&p)) {
            *old = now;
            *seen = began;
            return e;
        }
        after = began;
    }
}

static uint8_t pit2_out(void) { return inb(0x61) & 0x20; }

static struct lapse pit2_count(void)
{
    outb(0x61, (uint8_t)((inb(0x61) & ~2) | 1));
    outb(0x43, 0xb0);
    outb(0x42, 23864 & 0xff);
    uint64_t after = rdtsc(), seen;
    uint8_t low = 0;
    outb(0x42, 23864 >> 8);
    struct edge from = { after, rdtsc() };

    return lapse_between(from, change(pit2_out, &low, after, &seen));
}

static void pit_channel2(void) { judge("timers PIT channel 2", 20000000, pit2_count); }

static uint8_t cmos(uint8_t r)
{
    outb(0x70, r);
    return inb(0x71);
}

static uint8_t seconds(void) { return cmos(0); }

static unsigned from_bcd(uint8_t v) { return cmos(11) & 4 ? v : (v >> 4) * 10u + (v & 15u); }

static struct lapse rtc_second(void)
{
    uint64_t seen = rdtsc();
    uint8_t s0 = seconds(), s1;
    struct edge from = change(seconds, &s0, seen, &seen);
    s1 = s0;
    struct edge to = change(seconds, &s1, seen, &seen);

    if (tsc_to_ns(to.before - from.after) < 1500000000 && (from_bcd(s0) + 1) % 60 != from_bcd(s1))
        fail("timers RTC", "second %u after %u", from_bcd(s1), from_bcd(s0));
    return lapse_between(from, to);
}

static void rtc(void)
{
    judge("timers RTC second", 1000000000, rtc_second);
    print("rtc: 20%u-%u-%u %u:%u:%u\n", from_bcd(cmos(9)), from_bcd(cmos(8)), from_bcd(cmos(7)),
          from_bcd(cmos(4)), from_bcd(cmos(2)), from_bcd(cmos(0)));
    unsigned year = from_bcd(cmos(9)), month = from_bcd(cmos(8)), day = from_bcd(cmos(7));
    if (year < 24 || year > 60 || month < 1 || month > 12 || day < 1 || day > 31 ||
        !(cmos(13) & 0x80))
        fail("timers RTC date", "%u-%u-%u", year, month, day);
}

/*
 * Register A rate 6: 1024 times a second, seen in register C, whose read clears it. Between two
 * looks that are n periods apart, n + 1 may have begun, and one is seen: n at most are lost.
 */
static void rtc_periodic(void)
{
    uint64_t seen = 0, lost = 0, period = tsc_hz / 1024, wide = period + period * permille / 1000;

    outb(0x70, 10);
    outb(0x71, 0x26);
    outb(0x70, 11);
    outb(0x71, (uint8_t)(cmos(11) | 0x40));
    cmos(12);
    uint64_t t0 = rdtsc(), before = t0, after, all;
    do {
        after = rdtsc();
        seen += cmos(12) >> 6 & 1;
        lost += (rdtsc() - before) / (period - period * permille / 1000);
        before = after;
    } while (after - t0 < tsc_hz / 5);
    all = after - t0;
    outb(0x70, 11);
    outb(0x71, (uint8_t)(cmos(11) & ~0x40));
    print("rtc periodic: %lu seen in %lu ms, %lu may be lost\n", seen, tsc_to_ns(all) / 1000000,
          lost);
    if (seen + lost + 1 < all / wide ||
        seen > (rdtsc() - t0) / (period - period * permille / 1000) + 1)
        fail("timers RTC periodic", "%lu seen, at most %lu lost, of %lu", seen, lost, all / period);
    else
        pass("timers RTC periodic");
}

/* struct pvclock_vcpu_time_info of the KVM paravirtual interface */
struct pvclock {
    uint32_t version, pad;
    uint64_t tsc, system;
    uint32_t mul;
    int8_t shift;
    uint8_t flags, pad2[2];
} __attribute__((packed));
static volatile struct pvclock pv[MAX_CPUS] __attribute__((aligned(64)));

static uint64_t pv_read(volatile struct pvclock *p)
{
    for (;;) {
        uint32_t v = p->version;
        __asm__ volatile("" : : : "memory");
        uint64_t d = rdtsc() - p->tsc;
        d = p->shift >= 0 ? d << p->shift : d >> -p->shift;
        uint64_t ns = p->system + muldiv(d, p->mul, 1ull << 32);
        __asm__ volatile("" : : : "memory");
        if (!(v & 1) && v == p->version)
            return ns;
    }
}

static volatile uint64_t pv_max;
static volatile unsigned pv_back;
static volatile uint64_t pv_worst;

static void pv_race(void *arg)
{
    unsigned i = this_cpu()->index;
    (void)arg;
    wrmsr(MSR_KVM_SYSTEM_TIME, (uint64_t)&pv[i] | 1);
    for (unsigned n = 0; n < 20000; n++) {
        uint64_t max = pv_max, now = pv_read(&pv[i]);
        if (now < max) {
            pv_back++;
            pv_worst = max - now > pv_worst ? max - now : pv_worst;
        }
        while (now > max && !__atomic_compare_exchange_n(&pv_max, &max, now, false,
                                                         __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            ;
    }
}

static bool has_kvmclock(void)
{
    struct cpuid c = cpuid(0x40000000, 0);
    return c.ebx == 0x4b4d564b && c.ecx == 0x564b4d56 && (cpuid(0x40000001, 0).eax & 8);
}

/* 200 ms of kvmclock: they end between the last look but one and the last. */
static struct lapse kvm_span(void)
{
    uint64_t after = rdtsc(), k0 = pv_read(&pv[0]);
    struct edge from = { after, rdtsc() };

    for (;;) {
        uint64_t began = rdtsc();
        if (pv_read(&pv[0]) - k0 >= 200000000)
            return lapse_between(from, (struct edge){ after, rdtsc() });
        after = began;
    }
}

static void kvmclock(unsigned n)
{
    if (!has_kvmclock()) {
        print("no kvmclock\n");
        return;
    }
    wrmsr(MSR_KVM_SYSTEM_TIME, (uint64_t)&pv[0] | 1);
    judge("timers kvmclock", 200000000, kvm_span);
    print("kvmclock: mul %x shift %d flags %x\n", pv[0].mul, pv[0].shift, pv[0].flags);
    static volatile uint32_t wall[3] __attribute__((aligned(16)));
    wrmsr(MSR_KVM_WALL_CLOCK, (uint64_t)wall);
    print("wall clock at start: %u.%u s (version %u)\n", wall[1], wall[2], wall[0]);
    if (wall[0] & 1 || wall[1] < 1700000000)
        fail("timers wall clock", "%u s", wall[1]);
    for (unsigned i = 1; i < n; i++)
        smp_run(i, pv_race, NULL);
    pv_race(NULL);
    for (unsigned i = 1; i < n; i++)
        smp_wait(i);
    if (pv_back)
        fail("timers kvmclock monotonic", "%u steps back among %u CPUs, worst %lu ns", pv_back, n,
             pv_worst);
    else
        pass("timers kvmclock monotonic");
    wrmsr(MSR_KVM_SYSTEM_TIME, 0);
}

void guest_main(void)
{
    permille = cmdline_num("permille", 20);
    unsigned n = smp_start();
    print("tsc %lu Hz, %u cpus\n", tsc_hz, n);
    three_clocks();
    pit_channel2();
    rtc();
    rtc_periodic();
    kvmclock(n);
}
