/* SPDX-License-Identifier: BSD-2-Clause */
/* A set of host CPUs. All zero: empty. Any context; the caller's lock; numbers below MAX_CPUS. */
#pragma once
#include <hv/types.h>
#define CPUSET_WORDS ((MAX_CPUS + 63) / 64)
struct cpuset {
    uint64_t w[CPUSET_WORDS];
};

static inline bool cpuset_has(const struct cpuset *s, uint32_t cpu)
{
    return s->w[cpu / 64] >> (cpu & 63) & 1;
}

static inline void cpuset_add(struct cpuset *s, uint32_t cpu)
{
    s->w[cpu / 64] |= 1ull << (cpu & 63);
}

static inline void cpuset_remove(struct cpuset *s, uint32_t cpu)
{
    s->w[cpu / 64] &= ~(1ull << (cpu & 63));
}

static inline bool cpuset_is_empty(const struct cpuset *s)
{
    uint64_t any = 0;

    for (unsigned i = 0; i < CPUSET_WORDS; i++)
        any |= s->w[i];
    return !any;
}

static inline bool cpuset_equal(const struct cpuset *a, const struct cpuset *b)
{
    uint64_t differ = 0;

    for (unsigned i = 0; i < CPUSET_WORDS; i++)
        differ |= a->w[i] ^ b->w[i];
    return !differ;
}

static inline uint32_t cpuset_count(const struct cpuset *s)
{
    uint32_t n = 0;

    for (unsigned i = 0; i < CPUSET_WORDS; i++)
        n += (uint32_t)__builtin_popcountll(s->w[i]);
    return n;
}

/* The first member at or above `from`; MAX_CPUS: there is none below `end`, at most MAX_CPUS. */
static inline uint32_t cpuset_next(const struct cpuset *s, uint32_t from, uint32_t end)
{
    for (uint32_t i = from / 64; i * 64 < end; i++) {
        uint64_t w = s->w[i] & (i == from / 64 ? UINT64_MAX << (from & 63) : UINT64_MAX);

        if (w)
            return i * 64 + (uint32_t)__builtin_ctzll(w);
    }
    return MAX_CPUS;
}

/* The n-th member, from 0; n is below cpuset_count(). */
static inline uint32_t cpuset_nth(const struct cpuset *s, uint32_t n)
{
    uint32_t i = 0, in_word;

    while (n >= (in_word = (uint32_t)__builtin_popcountll(s->w[i]))) {
        n -= in_word;
        i++;
    }
    uint64_t w = s->w[i];
    while (n--)
        w &= w - 1;
    return i * 64 + (uint32_t)__builtin_ctzll(w);
}
