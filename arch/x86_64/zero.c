/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * zero.c: much memory by stores, by REP STOSB, or by CLZERO, which writes a cache line without
 * reading it. Which of them is fastest differs from CPU to CPU (Intel Optimization Reference
 * Manual 3.7.6, "Enhanced REP MOVSB and STOSB"; AMD APM vol 3, CLZERO), and under an emulator: the
 * first call tries them, and the fastest one serves from then on.
 */
#include <arch/mmu.h>

#include <hv/log.h>

#include "insn.h"

#define TRIAL (64 * KIB)
#define TRIALS 2u
#define CLZERO_LINE 64u
#define LEAF_8_EBX_CLZERO 1u /* CPUID Fn8000_0008_EBX */

static bool always(void) { return true; }

static void by_stores(uint8_t *at, uint64_t len)
{
    for (; len; len -= 512, at += 512)
        __asm__ volatile(".set off, 0\n\t"
                         ".rept 64\n\t"
                         "mov %1, off(%0)\n\t"
                         ".set off, off + 8\n\t"
                         ".endr"
                         :
                         : "r"(at), "r"(0ull)
                         : "memory");
}

static void by_string(uint8_t *at, uint64_t len)
{
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(len) : "a"(0) : "memory");
}

static bool has_clzero(void)
{
    return cpuid(0x80000000, 0).a >= 0x80000008 && cpuid(0x80000008, 0).b & LEAF_8_EBX_CLZERO;
}

/* Its stores are ordered like non-temporal ones. */
static void by_lines(uint8_t *at, uint64_t len)
{
    for (uint8_t *end = at + len; at < end; at += CLZERO_LINE)
        __asm__ volatile("clzero" : : "a"(at) : "memory");
    __asm__ volatile("sfence" : : : "memory");
}

static const struct way {
    const char *name;
    bool (*there)(void);
    void (*zero)(uint8_t *at, uint64_t len); /* multiples of 4 KiB */
} ways[] = {
    { "stores", always, by_stores },
    { "REP STOSB", always, by_string },
    { "CLZERO", has_clzero, by_lines },
};
static const struct way *best; /* atomic; two CPUs may find it out at once */

static uint64_t took(const struct way *w, uint8_t *at)
{
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < TRIALS; i++) {
        uint64_t from = rdtsc_ordered();

        w->zero(at, TRIAL);
        least = min_u64(least, rdtsc_ordered() - from);
    }
    return least;
}

static const struct way *find_best(uint8_t *at)
{
    const struct way *found = &ways[0];
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
        uint64_t cycles = ways[i].there() ? took(&ways[i], at) : UINT64_MAX;

        if (cycles >= least)
            continue;
        least = cycles;
        found = &ways[i];
    }
    log_debug("memory is zeroed by %s: 64 KiB take %llu cycles", found->name,
              (unsigned long long)least);
    return found;
}

void arch_zero(void *at, uint64_t len)
{
    const struct way *w = __atomic_load_n(&best, __ATOMIC_RELAXED);

    if (!w && len >= TRIAL) {
        w = find_best(at);
        __atomic_store_n(&best, w, __ATOMIC_RELAXED);
    }
    (w ? w : &ways[0])->zero(at, len);
}
