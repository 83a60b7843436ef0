/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ranges.c: the memory map in order. Firmware's maps are nearly sorted and hardly ever overlap, but
 * nothing promises it.
 */
#include "pure.h"

uint32_t ranges_insert(struct boot_mem *m, uint32_t n, struct boot_mem r)
{
    uint32_t i = n;

    for (; i > 0 && m[i - 1].base > r.base; i--)
        m[i] = m[i - 1];
    m[i] = r;
    return n + 1;
}

static void remove_at(struct boot_mem *m, uint32_t *n, uint32_t i)
{
    for (--*n; i < *n; i++)
        m[i] = m[i + 1];
}

static uint64_t end_of(const struct boot_mem *r) { return r->base + r->len; }

/*
 * m[i] and m[i + 1] overlap: the weaker is cut, and its part beyond the stronger becomes a range of
 * its own. Where there is no room for that part, the stronger takes it in: left out, it would
 * uncover a weaker range beneath it.
 */
static void cut(struct boot_mem *m, uint32_t *n, uint32_t i, uint32_t room)
{
    struct boot_mem *a = &m[i], *b = &m[i + 1];
    uint64_t a_end = end_of(a);

    if (b->type > a->type) {
        struct boot_mem rest = { .base = end_of(b), .len = a_end - end_of(b), .type = a->type };

        a->len = b->base - a->base;
        if (a_end <= end_of(b))
            return;
        if (*n < room)
            *n = ranges_insert(m, *n, rest);
        else
            b->len = a_end - b->base;
        return;
    }
    struct boot_mem r = *b;
    remove_at(m, n, i + 1);
    if (end_of(&r) > a_end)
        *n = ranges_insert(
            m, *n, (struct boot_mem){ .base = a_end, .len = end_of(&r) - a_end, .type = r.type });
}

/*
 * Whose end lies beyond the address space: nobody knows what it means. First of all, for cut()
 * reckons with the ends of neighbours.
 */
static uint32_t drop_wrapping(struct boot_mem *m, uint32_t n)
{
    for (uint32_t i = n; i-- > 0;)
        if (end_of(&m[i]) < m[i].base)
            remove_at(m, &n, i);
    return n;
}

uint32_t ranges_normalise(struct boot_mem *m, uint32_t n, uint32_t room)
{
    n = drop_wrapping(m, n);
    for (uint32_t i = 0; i < n;) {
        if (!m[i].len) {
            remove_at(m, &n, i);
            i -= i > 0; /* its neighbours meet now */
        } else if (i + 1 < n && m[i + 1].base < end_of(&m[i]) && m[i + 1].len) {
            cut(m, &n, i, room);
        } else if (i && m[i - 1].type == m[i].type && end_of(&m[i - 1]) == m[i].base) {
            m[i - 1].len += m[i].len;
            remove_at(m, &n, i);
        } else {
            i++;
        }
    }
    return n;
}
