/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ipi: how long an interrupt from one CPU to the others, which compute, takes until the last of
 * them has taken it. All CPUs of the guest share what CPUs the host has. Option: count=N (default
 * 200). Prints the median, the 99th percentile and the longest, in ns.
 */
#include "lib/guest.h"

enum { VEC_IPI = 0x42, MOST = 1024, ALL_BUT_SELF = 0xc0000 };

static volatile uint64_t seen[MAX_CPUS];
static uint64_t took[MOST];

static void on_ipi(struct frame *f)
{
    (void)f;
    seen[this_cpu()->index] = rdtsc();
    apic_eoi();
}

static void compute(void *arg)
{
    volatile uint64_t *sum = arg;

    cpu_sti();
    for (;;)
        *sum = *sum * 5 + 1;
}

static void compute_for_us(uint64_t us)
{
    uint64_t end = rdtsc() + us * tsc_hz / 1000000;

    while (rdtsc() < end)
        ;
}

static uint64_t once(unsigned cpus_there)
{
    uint64_t last = 0;

    for (unsigned i = 1; i < cpus_there; i++)
        seen[i] = 0;
    uint64_t sent = rdtsc();
    apic_icr(0, ALL_BUT_SELF | VEC_IPI);
    for (unsigned i = 1; i < cpus_there; i++) {
        while (!seen[i])
            ;
        last = seen[i] > last ? seen[i] : last;
    }
    return last - sent;
}

static void sort(uint64_t *v, unsigned n)
{
    for (unsigned i = 1; i < n; i++)
        for (unsigned j = i; j && v[j - 1] > v[j]; j--) {
            uint64_t t = v[j];

            v[j] = v[j - 1];
            v[j - 1] = t;
        }
}

void guest_main(void)
{
    static uint64_t sums[MAX_CPUS];
    unsigned n = (unsigned)cmdline_num("count", 200), there = smp_start();

    n = n > MOST ? MOST : n;
    trap_handle(VEC_IPI, on_ipi);
    for (unsigned i = 1; i < there; i++)
        smp_run(i, compute, &sums[i]);
    compute_for_us(100000);
    for (unsigned i = 0; i < n; i++) {
        took[i] = once(there);
        compute_for_us(1000);
    }
    sort(took, n);
    print("ipi p50 %lu p99 %lu longest %lu of %u\n", tsc_to_ns(took[n / 2]),
          tsc_to_ns(took[n - 1 - n / 100]), tsc_to_ns(took[n - 1]), n);
    pass("ipi");
}
