/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Spectre variant 1: a CPU that predicts the outcome of a bound check runs on with an index that
 * will fail it, and what it then loads leaves traces in the caches. Where a guest steers an index,
 * check it and then mask it:
 *
 *     if (n >= vm->nvcpus)
 *         return -EINVAL;
 *     v = vm->vcpu[index_nospec(n, vm->nvcpus)];
 *
 * Any context. Intel, "Analyzing Potential Bounds Check Bypass Vulnerabilities" (336983), §4.1;
 * Arm, "Cache Speculation Side-channels", §3.
 */
#pragma once
#include <hv/types.h>

/*
 * Arm: what follows does not use predicted values (CSDB, a hint: Arm ARM C6.2). Others predict
 * branches only, and the mask has none.
 */
#ifdef __aarch64__
#define NOSPEC_BARRIER "hint #20"
#else
#define NOSPEC_BARRIER ""
#endif

/*
 * i if i < n, else 0; computed without a branch, so that it also holds where the CPU has guessed
 * otherwise. n: at most 2^63. With n == 0 the result is 0, too. The compiler knows nothing of the
 * result: it neither drops the mask after a check that makes it needless, nor adds a branch.
 */
static inline __attribute__((always_inline)) uint64_t index_nospec(uint64_t i, uint64_t n)
{
    uint64_t out;

#ifdef __x86_64__
    /* SBB: all ones when the comparison borrows (SDM vol 2) */
    __asm__ volatile("cmp %2, %1\n\tsbb %0, %0" : "=r"(out) : "r"(i), "rm"(n) : "cc");
    out &= i;
#else
    __asm__ volatile("" : "+r"(i));
    /* cppcheck-suppress shiftTooManyBitsSigned ; gcc and clang shift in the sign */
    out = i & (uint64_t) ~((int64_t)(i | (n - 1 - i)) >> 63);
    __asm__ volatile(NOSPEC_BARRIER : "+r"(out));
#endif
    return out;
}

/* v if a == b, else 0; in the same way: for an address that a compared tag makes good. */
static inline __attribute__((always_inline)) uint64_t equal_nospec(uint64_t v, uint64_t a,
                                                                   uint64_t b)
{
    uint64_t differ = a ^ b;

    __asm__ volatile("" : "+r"(differ));
    /* cppcheck-suppress shiftTooManyBitsSigned ; gcc and clang shift in the sign */
    v &= (uint64_t) ~((int64_t)(differ | (0 - differ)) >> 63);
    __asm__ volatile(NOSPEC_BARRIER : "+r"(v));
    return v;
}
