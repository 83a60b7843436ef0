/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loader's memory map: ranges in any order, overlapping, empty, at the end of the address
 * space. Nothing doubtful becomes free memory.
 */
#include "boot/pure.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAGES = 512, MOST = 30, ROOM = 2 * MOST };

static uint32_t add(struct boot_mem *m, uint32_t n, const uint8_t *op, uint8_t *want)
{
    struct boot_mem r = { .base = op[0], .len = op[1], .type = op[2] % 4 + 1u };

    for (uint64_t p = r.base; p < r.base + r.len; p++)
        want[p] = want[p] > r.type ? want[p] : (uint8_t)r.type;
    if (op[2] & 0x80) /* the same again where addresses end */
        n = ranges_insert(m, n,
                          (struct boot_mem){ .base = UINT64_MAX - op[0],
                                             .len = (uint64_t)op[1] << (op[2] >> 2 & 31),
                                             .type = r.type });
    return ranges_insert(m, n, r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct boot_mem *m = calloc(ROOM, sizeof *m);
    uint8_t want[PAGES] = { 0 }, have[PAGES] = { 0 };
    uint32_t n = 0, room = ROOM;

    if (size && data[0] & 0x80)
        room = MOST;
    for (; size >= 3 && n + 2 <= MOST; data += 3, size -= 3)
        n = add(m, n, data, want);
    n = ranges_normalise(m, n, room);
    if (n > room)
        abort();
    for (uint32_t i = 0; i < n; i++) {
        if (!m[i].len || m[i].base + m[i].len < m[i].base ||
            (i && m[i].base < m[i - 1].base + m[i - 1].len))
            abort();
        for (uint64_t p = m[i].base; p < m[i].base + m[i].len && p < PAGES; p++)
            have[p] = (uint8_t)m[i].type;
    }
    for (unsigned p = 0; p < PAGES; p++)
        if (have[p] < want[p] || (room == ROOM && have[p] != want[p]) || (have[p] && !want[p]))
            abort();
    free(m);
    return 0;
}
