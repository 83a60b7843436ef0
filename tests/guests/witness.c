/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * witness: what a neighbour does to a guest that only wants its timer: how late one-shot timers of
 * 1 ms are, halted meanwhile. Options: count=N (default 1000), skip=N (the first are not counted:
 * it has just used the CPU to the full). Prints the median, the 99th and the 99.9th percentile and
 * the longest, in ns.
 */
#include "lib/guest.h"

enum { VEC_TIMER = 0x41, MOST = 8192, APIC_DIVIDE_1 = 0xb };

static volatile uint64_t fired;
static uint64_t late[MOST];

static void on_timer(struct frame *f)
{
    (void)f;
    fired = rdtsc();
    apic_eoi();
}

/* EBX: kHz of the APIC timer's clock; what KVM and others offer, too */
#define TIMING_LEAF 0x40000010u

static uint64_t ticks_per_ms(void)
{
    struct cpuid first = cpuid(0x40000000, 0);

    apic_write(APIC_TIMER_DIV, APIC_DIVIDE_1);
    if (first.eax >= TIMING_LEAF && first.eax < TIMING_LEAF + 0x100)
        return cpuid(TIMING_LEAF, 0).ebx;
    apic_write(APIC_LVTT, 0x10000);
    apic_write(APIC_TIMER_INIT, 0xffffffff);
    uint64_t t = rdtsc();
    uint32_t c0 = apic_read(APIC_TIMER_CUR);

    while (rdtsc() - t < tsc_hz / 1000)
        ;
    return c0 - apic_read(APIC_TIMER_CUR);
}

static uint64_t once(uint32_t ticks)
{
    uint64_t due = rdtsc() + tsc_hz / 1000;

    fired = 0;
    apic_write(APIC_TIMER_INIT, ticks);
    while (!fired)
        cpu_sti_hlt_cli();
    return fired > due ? fired - due : 0;
}

static void sort(uint64_t *v, unsigned n)
{
    for (unsigned gap = n / 2; gap; gap /= 2)
        for (unsigned i = gap; i < n; i++)
            for (unsigned j = i; j >= gap && v[j - gap] > v[j]; j -= gap) {
                uint64_t t = v[j];

                v[j] = v[j - gap];
                v[j - gap] = t;
            }
}

static uint64_t ns(uint64_t cycles) { return cycles * 1000 / (tsc_hz / 1000000); }

void guest_main(void)
{
    unsigned n = (unsigned)cmdline_num("count", 1000);

    n = n > MOST ? MOST : n;
    time_init();
    apic_init_cpu();
    pic_mask_all();
    trap_handle(VEC_TIMER, on_timer);
    uint32_t ticks = (uint32_t)ticks_per_ms();

    apic_write(APIC_LVTT, VEC_TIMER);
    for (uint64_t i = cmdline_num("skip", 0); i; i--)
        once(ticks);
    for (unsigned i = 0; i < n; i++)
        late[i] = once(ticks);
    sort(late, n);
    print("witness p50 %lu p99 %lu\n", ns(late[n / 2]), ns(late[n - 1 - n / 100]));
    print("witness p999 %lu longest %lu of %u\n", ns(late[n - 1 - n / 1000]), ns(late[n - 1]), n);
    pass("witness");
}
