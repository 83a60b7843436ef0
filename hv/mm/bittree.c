/* SPDX-License-Identifier: BSD-2-Clause */
/* bittree.c: see bittree.h. */
#include <hv/assert.h>
#include <hv/bittree.h>

static uint64_t bittree_words(uint64_t bits) { return (bits + 63) / 64; }

uint64_t bittree_bytes(uint64_t members)
{
    uint64_t sum = 0, n = members;

    do {
        n = bittree_words(n);
        sum += n;
    } while (n > 1);
    return sum * 8;
}

void bittree_init(struct bittree *t, uint64_t members, void *mem)
{
    uint64_t *at = mem, n = members;

    hv_assert(mem && members);
    t->levels = 0;
    do {
        n = bittree_words(n);
        t->level[t->levels++] = at;
        at += n;
    } while (n > 1 && t->levels < BITTREE_LEVELS);
}

bool bittree_has(const struct bittree *t, uint64_t i)
{
    debug_assert(t->levels > 0 && t->levels <= BITTREE_LEVELS);
    return t->level[0][i / 64] >> (i & 63) & 1;
}

/* A word that was not empty is known above. */
void bittree_add(struct bittree *t, uint64_t i)
{
    for (unsigned l = 0; l < t->levels; l++, i /= 64) {
        uint64_t *w = &t->level[l][i / 64], before = *w;

        *w |= 1ull << (i & 63);
        if (before)
            return;
    }
}

void bittree_remove(struct bittree *t, uint64_t i)
{
    for (unsigned l = 0; l < t->levels; l++, i /= 64) {
        uint64_t *w = &t->level[l][i / 64];

        *w &= ~(1ull << (i & 63));
        if (*w)
            return;
    }
}

bool bittree_first(const struct bittree *t, uint64_t *first)
{
    uint64_t i = 0;

    if (!t->level[t->levels - 1][0])
        return false;
    for (unsigned l = t->levels; l-- > 0;)
        i = i * 64 + (unsigned)__builtin_ctzll(t->level[l][i]);
    *first = i;
    return true;
}
