/* SPDX-License-Identifier: BSD-2-Clause */
/* seen.c: slots that are filled in order and never emptied. */
#include <hv/seen.h>

bool seen_first(struct seen *s, uint64_t key)
{
    for (unsigned i = 0; i < SEEN_MAX; i++) {
        uint64_t was = __atomic_load_n(&s->key[i], __ATOMIC_RELAXED);

        if (!was && __atomic_compare_exchange_n(&s->key[i], &was, key + 1, false, __ATOMIC_RELAXED,
                                                __ATOMIC_RELAXED))
            return true;
        if (was == key + 1)
            return false;
    }
    return false;
}
