/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile-end: ways for a CPU to go away without a word, by a word in the command line; all CPUs do
 * it. spin (interrupts off) wfi (interrupts off, nothing pending) wfe undefined (a handler that
 * faults for ever) abort (stores to nothing, for ever) hvc (calls for ever) reset (for ever)
 */
#include "lib/guest.h"

static void spin(void *arg)
{
    (void)arg;
    __asm__ volatile("msr daifset, #15");
    for (;;)
        __asm__ volatile("" : : : "memory");
}

static void halt(void *arg)
{
    (void)arg;
    __asm__ volatile("msr daifset, #15");
    for (;;)
        __asm__ volatile("wfi" : : : "memory");
}

static void event(void *arg)
{
    (void)arg;
    __asm__ volatile("msr daifset, #15");
    for (;;)
        __asm__ volatile("wfe" : : : "memory");
}

/* Vectors of zeros: each is undefined, and leads to itself. */
static void undefined(void *arg)
{
    write_reg(vbar_el1, arg);
    __asm__ volatile("udf #0");
}

static void store(void *arg)
{
    (void)arg;
    mmio_w32(0x0b000000, 1);
}

static void aborts(void *arg)
{
    for (;;)
        trap_try(store, arg);
}

static void calls(void *arg)
{
    (void)arg;
    for (;;)
        hvc_call(0x8600ff00, 0, 0, 0);
}

static const struct {
    const char *word;
    void (*fn)(void *);
} ways[] = {
    { "spin", spin },           { "wfi", halt },     { "wfe", event },
    { "undefined", undefined }, { "abort", aborts }, { "hvc", calls },
};

void guest_main(void)
{
    if (cmdline_has("reset"))
        psci(PSCI_SYSTEM_RESET, 0, 0, 0);
    unsigned n = smp_start();
    void *page = page_alloc(1);
    for (unsigned w = 0; w < sizeof ways / sizeof ways[0]; w++)
        if (cmdline_has(ways[w].word)) {
            print("%u CPUs: %s\n", n, ways[w].word);
            for (unsigned i = 1; i < n; i++)
                smp_run(i, ways[w].fn, page);
            ways[w].fn(page);
        }
    fail("hostile-end", "no way to go");
}
