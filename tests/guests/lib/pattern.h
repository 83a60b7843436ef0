/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that checks itself: a word tells its page, its place in it, and how often it was written.
 */
#ifndef PATTERN_H
#define PATTERN_H

#include "common.h"

#define PATTERN_WORDS 512u /* of a page */

static inline uint64_t pattern(uint64_t page, uint64_t generation, unsigned word)
{
    return (page * 0x9e3779b97f4a7c15u ^ generation * 0xd1342543de82ef95u) + word;
}

/* Is this page as it was written `generation` times (0: zeroed)? Writes it once more. */
static inline void pattern_next(uint64_t *p, unsigned page, uint64_t generation)
{
    for (unsigned w = 0; w < PATTERN_WORDS; w++) {
        uint64_t want = generation ? pattern(page, generation, w) : 0;

        if (p[w] != want)
            fail("saved memory", "page %u word %u: %lx, not %lx", page, w, p[w], want);
        p[w] = pattern(page, generation + 1, w);
    }
}

#endif
