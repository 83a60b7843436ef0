/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timer.c: the clock (TSC) and the timer (TSC deadline, or the local APIC's count-down). The TSC's
 * frequency comes from what the CPU says of it where that is exact (tsc.c), else from 50 ms beside
 * the HPET or the ACPI PM timer, or 20 ms beside the PIT.
 */
#include <arch/common.h>
#include <arch/io.h>
#include <arch/mmu.h>
#include <arch/timer.h>

#include <hv/acpi.h>
#include <hv/assert.h>
#include <hv/event.h>
#include <hv/log.h>
#include <hv/time.h>
#include <string.h>

#include "private.h"
#include "tsc.h"

#define LONG_NS 50000000ull
#define SHORT_NS 20000000ull /* the PIT is round in 55 ms */
#define MSR_PLATFORM_INFO 0xceu

static uint64_t apic_mult;
static bool use_deadline;

uint64_t time_cycles(void) { return rdtsc(); }
uint64_t time_ns(void) { return clock_ns(rdtsc_ordered()); }

/* A counter to measure the TSC against. */
struct ref {
    const char *name;
    uint64_t hz, mask;
    uint64_t (*read)(void);
    uint64_t ns; /* how long to measure: a reading is off by a microsecond at most */
};

static const volatile uint8_t *hpet;

static uint64_t timer_hpet_read(void) { return mmio_read32(hpet + 0xf0); }
static uint64_t pm_read(void) { return inl((uint16_t)acpi_info()->power.pm_timer.addr); }

/*
 * IA-PC HPET specification 1.0a section 2.3: period in femtoseconds in the upper half of the first
 * register.
 */
static bool hpet_ref(struct ref *r)
{
    const struct acpi_gas *g = &acpi_info()->hpet;
    volatile uint8_t *p =
        g->addr && g->space == ACPI_MEMORY ? mmu_map_device(hpa(g->addr), 0x400) : NULL;
    uint64_t fs = p ? mmio_read32(p + 4) : 0;

    if (fs < 1000 || fs > 100000000)
        return false;
    hpet = p;
    mmio_write32(p + 0x10, mmio_read32(p + 0x10) | 1);
    *r = (struct ref){ "HPET", 1000000000000000ull / fs, 0xffffffff, timer_hpet_read, LONG_NS };
    return true;
}

static bool pm_ref(struct ref *r)
{
    const struct acpi_power *p = &acpi_info()->power;

    if (!p->pm_timer.addr || p->pm_timer.space != ACPI_IO)
        return false;
    *r = (struct ref){ "ACPI PM timer", 3579545, 0xffffff, pm_read, LONG_NS };
    return true;
}

/* PIT channel 2 counts down from 65535, gate on, speaker off (Intel 8254). */
static uint64_t timer_pit_read(void)
{
    outb(0x43, 0x80);
    uint32_t lo = inb(0x42);
    return 0xffff - (lo | (uint32_t)inb(0x42) << 8);
}

static bool pit_ref(struct ref *r)
{
    outb(0x61, (uint8_t)((inb(0x61) & ~2u) | 1));
    outb(0x43, 0xb0);
    outb(0x42, 0xff);
    outb(0x42, 0xff);
    *r = (struct ref){ "PIT", 1193182, 0xffff, timer_pit_read, SHORT_NS };
    return true;
}

/*
 * A reading of the counter with the TSC in the middle of it; of five, the one that took least time.
 */
static uint64_t sample(const struct ref *r, uint64_t *tsc)
{
    uint64_t best = ~0ull, val = 0;

    for (int i = 0; i < 5; i++) {
        uint64_t a = rdtsc_ordered(), v = r->read(), b = rdtsc_ordered();

        if (b - a < best) {
            best = b - a;
            val = v;
            *tsc = a + (b - a) / 2;
        }
    }
    return val;
}

/* TSC and local APIC timer against the reference. 0: the reference does not count. */
static uint64_t measure(const struct ref *r, uint64_t *apic_hz)
{
    uint64_t t0, t1, want = r->hz * r->ns / NS_PER_S, ticks, v0;
    uint32_t c0;

    lapic_timer_start(0xffffffff);
    v0 = sample(r, &t0);
    c0 = lapic_timer_count();
    for (uint64_t spins = 0; ((r->read() - v0) & r->mask) < want; spins++)
        if (spins > 10000000 || rdtsc() - t0 > 1000000000ull)
            return 0;
    ticks = (sample(r, &t1) - v0) & r->mask;
    uint32_t count = c0 - lapic_timer_count();
    lapic_timer_start(0);
    *apic_hz = count * r->hz / ticks;
    return (uint64_t)((unsigned __int128)(t1 - t0) * r->hz / ticks);
}

static struct tsc_facts tsc_facts(void)
{
    struct tsc_facts f = { .intel = strcmp(x86_features.vendor, "GenuineIntel") == 0,
                           .signature = cpuid(1, 0).a };
    struct cpuid l15 = x86_features.max_leaf >= 0x15 ? cpuid(0x15, 0) : (struct cpuid){ 0 };

    f.l15_a = l15.a;
    f.l15_b = l15.b;
    f.l15_c = l15.c;
    if (x86_features.max_leaf >= 0x16)
        f.l16_a = cpuid(0x16, 0).a & 0xffff;
    if (x86_features.hypervisor && cpuid(0x40000000, 0).a >= 0x40000010) {
        f.hypervisor_khz = cpuid(0x40000010, 0).a;
        f.hypervisor_apic_khz = cpuid(0x40000010, 0).b;
    }
    if (f.intel && !x86_features.hypervisor && tsc_has_platform_info(f.signature))
        f.platform_info = rdmsr(MSR_PLATFORM_INFO);
    return f;
}

/* The first of the machine's counters that counts; 0: none does. */
static uint64_t measure_any(uint64_t *apic_hz, const char **how)
{
    static bool (*const refs[])(struct ref *) = { hpet_ref, pm_ref, pit_ref };

    for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
        struct ref r;
        uint64_t hz;

        if (!refs[i](&r))
            continue;
        *how = r.name;
        hz = measure(&r, apic_hz);
        if (hz)
            return hz;
    }
    return 0;
}

static uint64_t find_hz(uint64_t *apic_hz, const char **how)
{
    const struct tsc_facts f = tsc_facts();
    const struct tsc_told t = tsc_told(&f);
    const char *by = "";
    uint64_t measured = 0, apic = 0, hz;
    bool off;

    if (!t.exact || !(t.apic_hz || use_deadline))
        measured = measure_any(&apic, &by);
    hz = tsc_choose(&t, measured, &off);
    if (off)
        log_warn("the TSC runs at %llu MHz by the %s, at %llu MHz by %s: taking the %s",
                 (unsigned long long)(measured / 1000000), by, (unsigned long long)(t.hz / 1000000),
                 t.how, hz == measured ? "former" : "latter");
    *how = measured && hz == measured ? by : t.how;
    *apic_hz = apic && !(t.exact && t.apic_hz) ? apic : t.apic_hz;
    return hz;
}

/* An erratum that microcode mends; hypervisors below have mended it for us. */
static bool deadline_works(void)
{
    uint32_t signature = cpuid(1, 0).a, needs = tsc_deadline_needs(signature);

    if (!x86_features.tsc_deadline || x86_features.hypervisor ||
        strcmp(x86_features.vendor, "GenuineIntel") != 0 ||
        (needs != UINT32_MAX && microcode_revision() >= needs))
        return x86_features.tsc_deadline;
    if (needs == UINT32_MAX)
        log_warn("this CPU's TSC-deadline timer has an erratum: the local APIC's count-down is "
                 "used");
    else
        log_warn("this CPU's TSC-deadline timer has an erratum: the local APIC's count-down is "
                 "used; microcode of revision %#x or later mends it",
                 needs);
    return false;
}

int timer_init(void)
{
    const char *how;
    uint64_t apic_hz = 0, tsc_hz;

    assert_cpu0();
    use_deadline = deadline_works();
    tsc_hz = find_hz(&apic_hz, &how);
    if (tsc_hz < 1000000 || (!apic_hz && !use_deadline)) {
        log_err("no clock: neither the HPET, the ACPI PM timer nor the PIT is counting, so the "
                "TSC's frequency cannot be measured");
        return -ENODEV;
    }
    clock_set_hz(tsc_hz);
    apic_mult = clock_mult(apic_hz, NS_PER_S);
    log_info("TSC %llu.%03llu MHz (%s), timer: %s", (unsigned long long)(tsc_hz / 1000000),
             (unsigned long long)(tsc_hz / 1000 % 1000), how,
             use_deadline ? "TSC deadline" : "local APIC");
    if (!x86_features.invariant_tsc)
        log_info("the CPU does not say that its TSC is invariant: guests are not told so");
    tsc_sync_init();
    return timer_cpu_init();
}

int timer_cpu_init(void)
{
    lapic_timer_mode(use_deadline);
    timer_arm(UINT64_MAX);
    return 0;
}

/*
 * From now on, not from the start: so that rounding does not grow with the time the machine has
 * been up.
 */
void timer_arm(uint64_t ns)
{
    if (ns == UINT64_MAX) {
        if (use_deadline)
            wrmsr(MSR_TSC_DEADLINE, 0);
        else
            lapic_timer_start(0);
        return;
    }
    uint64_t tsc = rdtsc_ordered(), now = clock_ns(tsc), left = ns > now ? ns - now : 0;
    if (use_deadline) {
        wrmsr(MSR_TSC_DEADLINE, tsc + time_ns_to_cycles(left) + 1);
        return;
    }
    uint64_t count = clock_scale(left, apic_mult) + 1;
    lapic_timer_start(count > 0xffffffff ? 0xffffffff : (uint32_t)count);
}

void timer_irq(void) { event_timer_irq(); }

/* The real-time clock of the PC, read while no update is under way (MC146818A data sheet). */
static uint8_t cmos(uint8_t reg)
{
    outb(0x70, reg);
    return inb(0x71);
}

struct rtc {
    uint8_t r[7];
}; /* seconds, minutes, hours, day, month, year, status B */

static bool timer_rtc_read(struct rtc *t)
{
    static const uint8_t regs[] = { 0, 2, 4, 7, 8, 9, 11 };

    for (int i = 0; i < 10000 && cmos(10) & 0x80; i++)
        ;
    for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
        t->r[i] = cmos(regs[i]);
    return t->r[4] != 0xff && t->r[4] != 0;
}

static uint32_t timer_from_bcd(const struct rtc *t, int i)
{
    uint32_t v = i == 2 ? t->r[i] & 0x7fu : t->r[i];

    return t->r[6] & 4 ? v : (v >> 4) * 10 + (v & 15);
}

/* Days since 1970-01-01 of a date in 2000..2099. */
static uint64_t days(uint32_t year, uint32_t month, uint32_t day)
{
    static const uint16_t before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
    uint64_t d = 10957 + 365ull * (year - 2000) + (year - 2000 + 3) / 4;

    return d + before[(month - 1) % 12] + (year % 4 == 0 && month > 2) + day - 1;
}

/* A PC without this clock: as the firmware's had it when the loader had read its files. */
static uint64_t wall_s, wall_tsc;

void timer_set_wall(uint64_t s, uint64_t tsc)
{
    wall_s = s;
    wall_tsc = tsc;
}

static uint64_t firmware_wall_s(void)
{
    return wall_s ? wall_s + time_cycles_to_ns(rdtsc() - wall_tsc) / NS_PER_S : 0;
}

uint64_t time_wall_s(void)
{
    static uint64_t at_start;

    if (!at_start) {
        struct rtc t;

        if (acpi_info()->power.no_rtc || !timer_rtc_read(&t))
            return firmware_wall_s();
        uint32_t hour = timer_from_bcd(&t, 2);
        if (!(t.r[6] & 2)) /* 12-hour clock */
            hour = hour % 12 + (t.r[2] & 0x80 ? 12 : 0);
        uint64_t s =
            days(2000 + timer_from_bcd(&t, 5), timer_from_bcd(&t, 4), timer_from_bcd(&t, 3)) *
            86400;
        s += hour * 3600ull + timer_from_bcd(&t, 1) * 60ull + timer_from_bcd(&t, 0);
        at_start = s - time_ns() / NS_PER_S;
    }
    return at_start + time_ns() / NS_PER_S;
}
