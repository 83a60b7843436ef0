/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The TSC against the PM timer (ACPI 4.8.2.1, 3.579545 MHz), or against PIT channel 2 where there
 * is none.
 */
#include "guest.h"

uint64_t tsc_hz = 1000000000;
static uint32_t pm_last;
static uint64_t pm_total;

uint64_t pm_timer_ns(void)
{
    uint32_t now = inl((uint16_t)acpi.pm_timer) & 0xffffff;
    pm_total += (now - pm_last) & 0xffffff;
    pm_last = now;
    return pm_total * 1000000000u / 3579545u;
}

/* PIT channel 2, mode 0, gate by port 0x61: one count of 10 ms */
static uint64_t pit_10ms(void)
{
    outb(0x61, (uint8_t)((inb(0x61) & ~2) | 1));
    outb(0x43, 0xb0);
    outb(0x42, 11932 & 0xff);
    outb(0x42, 11932 >> 8);
    uint64_t t = rdtsc();
    while (!(inb(0x61) & 0x20) && rdtsc() - t < 10000000000ull)
        cpu_pause();
    return rdtsc() - t;
}

/*
 * PM timer and TSC at the same moment: the closest of a few reads, since this CPU may be taken away
 * in between.
 */
static uint64_t both(uint64_t *tsc)
{
    uint64_t best = UINT64_MAX, ns = 0;
    for (unsigned i = 0; i < 8; i++) {
        uint64_t a = rdtsc(), n = pm_timer_ns(), b = rdtsc();
        if (b - a >= best)
            continue;
        best = b - a;
        ns = n;
        *tsc = a + (b - a) / 2;
    }
    return ns;
}

void time_init(void)
{
    acpi_init();
    if (!acpi.pm_timer) {
        tsc_hz = pit_10ms() * 100;
        return;
    }
    uint64_t t0, t1, n0, n1, end = rdtsc() + 5000000000ull;
    pm_timer_ns();
    n0 = n1 = both(&t0);
    while (n1 - n0 < 20000000 && rdtsc() < end)
        n1 = both(&t1);
    tsc_hz = muldiv(t1 - t0, 1000000000, n1 - n0);
}
