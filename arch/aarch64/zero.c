/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * zero.c: much memory by DC ZVA, which writes a block without reading it (Arm ARM C5.3.5); its size
 * is in DCZID_EL0 (D19.2.34). An emulator may need longer for it than for stores: the first call
 * tries both, and the faster one serves from then on.
 */
#include <arch/mmu.h>

#include <hv/log.h>

#include "private.h"

#define DZP 16u /* DC ZVA is prohibited */
/* in a round of by_blocks(), which must not go beyond a page */
#define BLOCKS 8u
#define TRIAL (64 * KIB)
#define TRIALS 4u

enum way { UNKNOWN, BY_WORDS, BY_BLOCKS };
static enum way best; /* atomic; two CPUs may find it out at once */

static void by_words(uint64_t at, uint64_t len)
{
    for (; len; len -= 64, at += 64)
        __asm__ volatile("stp xzr, xzr, [%0]\n\tstp xzr, xzr, [%0, #16]\n\tstp xzr, xzr, [%0, "
                         "#32]\n\tstp xzr, xzr, [%0, #48]"
                         :
                         : "r"(at)
                         : "memory");
}

#define ONE "dc zva, %0\n\tadd %0, %0, %1\n\t"

static void by_blocks(uint64_t at, uint64_t len, uint64_t block)
{
    /* NOLINTNEXTLINE(bugprone-infinite-loop): the assembly moves `at` */
    for (uint64_t end = at + len; at < end;)
        __asm__ volatile(ONE ONE ONE ONE ONE ONE ONE ONE : "+r"(at) : "r"(block) : "memory");
}

static uint64_t took(uint64_t at, uint64_t block)
{
    uint64_t from, to;

    isb();
    from = read_sysreg(cntpct_el0);
    if (block)
        by_blocks(at, TRIAL, block);
    else
        by_words(at, TRIAL);
    dsb_ish();
    isb();
    to = read_sysreg(cntpct_el0);
    return to - from;
}

static enum way find_best(uint64_t at, uint64_t block)
{
    uint64_t words = UINT64_MAX, blocks = UINT64_MAX;

    for (unsigned i = 0; i < TRIALS; i++) {
        words = min_u64(words, took(at, 0));
        blocks = min_u64(blocks, took(at, block));
    }
    log_debug(
        "memory is zeroed by %s: 64 KiB take %llu ticks by stores, %llu by DC ZVA of %llu bytes",
        blocks <= words ? "DC ZVA" : "stores", (unsigned long long)words,
        (unsigned long long)blocks, (unsigned long long)block);
    return blocks <= words ? BY_BLOCKS : BY_WORDS;
}

void arch_zero(void *at, uint64_t len)
{
    uint64_t id = read_sysreg(dczid_el0), block = 4ull << (id & 15);
    enum way way = __atomic_load_n(&best, __ATOMIC_RELAXED);

    if (way == UNKNOWN && len >= TRIAL) {
        way = (id & DZP) || block * BLOCKS > PAGE_SIZE ? BY_WORDS : find_best((uint64_t)at, block);
        __atomic_store_n(&best, way, __ATOMIC_RELAXED);
    }
    if (way == BY_BLOCKS)
        by_blocks((uint64_t)at, len, block);
    else
        by_words((uint64_t)at, len);
}
