/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ticket: CPUs that contend for a ticket lock, which is handed on in the order in which it was
 * asked for. Each holds it for so many loops of two instructions, and does as much without it. What
 * one CPU reaches alone, then what all reach together: they share what CPUs the host has. Option:
 * ms=N (default 60), for each of the two. Prints `ticket WORK alone N together N`: WORK is the
 * instructions of one try, N tries in a second.
 */
#include "lib/guest.h"

struct ticket_lock {
    uint32_t next, serves;
};

static struct ticket_lock lock;
static volatile bool stop;
static volatile uint64_t sum; /* of all tries: under the lock */
static uint64_t loops;        /* in and out of the lock */
static volatile uint64_t tries[MAX_CPUS];

static void take(struct ticket_lock *l)
{
    uint32_t mine = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);

    while (__atomic_load_n(&l->serves, __ATOMIC_ACQUIRE) != mine)
        cpu_pause();
}

static void give(struct ticket_lock *l)
{
    __atomic_store_n(&l->serves, l->serves + 1, __ATOMIC_RELEASE);
}

static void compute(uint64_t n) { __asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(n) : : "cc"); }

static void try_once(volatile uint64_t *mine)
{
    take(&lock);
    compute(loops);
    sum++;
    give(&lock);
    compute(loops);
    (*mine)++;
}

static void contend(void *mine)
{
    while (!stop)
        try_once(mine);
}

static uint64_t all_tries(unsigned n)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < n; i++)
        total += tries[i];
    return total;
}

static void start(unsigned n)
{
    stop = false;
    sum = 0;
    for (unsigned i = 0; i < n; i++)
        tries[i] = 0;
    for (unsigned i = 1; i < n; i++)
        smp_run(i, contend, (void *)&tries[i]);
    for (unsigned i = 1; i < n; i++)
        while (!tries[i])
            try_once(&tries[0]);
}

/* How often `n` CPUs have the lock in a second, counted once each of them has had it. */
static uint64_t contest(unsigned n, uint64_t ms)
{
    uint64_t begun, had, took;

    start(n);
    begun = rdtsc();
    had = all_tries(n);
    while (rdtsc() - begun < ms * tsc_hz / 1000)
        try_once(&tries[0]);
    had = all_tries(n) - had;
    took = rdtsc() - begun;
    stop = true;
    for (unsigned i = 1; i < n; i++)
        smp_wait(i);
    if (sum != all_tries(n))
        fail("ticket", "%lu tries, but the sum is %lu", all_tries(n), sum);
    return had * 1000000 / tsc_to_ns(took) * 1000;
}

void guest_main(void)
{
    static const uint64_t works[] = { 250, 1250, 5000, 25000 };
    uint64_t ms = cmdline_num("ms", 60);
    unsigned there = smp_start();

    for (unsigned i = 0; i < sizeof works / sizeof works[0]; i++) {
        loops = works[i];
        uint64_t alone = contest(1, ms), together = contest(there, ms);

        print("ticket %lu alone %lu together %lu\n", 4 * loops, alone, together);
    }
    pass("ticket");
}
