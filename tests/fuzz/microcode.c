/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files of microcode, hostile ones: the first bytes are the CPU, one of four, and the revision that
 * runs; what is found lies inside the file, is newer, and is found again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/microcode.h"
#include "tests/unit/microcode_file.h"

/* A good file first, so that what follows it is reached. */
static uint8_t file[8192 + 4096];

static void check(enum ucode_answer (*fn)(const uint8_t *, uint64_t, const struct ucode_cpu *,
                                          struct ucode_update *),
                  const uint8_t *f, uint64_t n, const struct ucode_cpu *c)
{
    struct ucode_update u = { 0 }, again = { 0 };
    enum ucode_answer a = fn(f, n, c, &u);
    struct ucode_cpu then = *c;

    if (a > UCODE_NO_FORMAT || !ucode_words(a))
        abort();
    if (a != UCODE_FOUND)
        return;
    if (u.data < f || u.len > n || (uint64_t)(u.data - f) > n - u.len || u.revision == c->revision)
        abort();
    then.revision = u.revision;
    if (fn(f, n, &then, &again) == UCODE_FOUND)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n)
{
    static const uint32_t signatures[4] = { 0x306a9, 0x830f10, 0x800f12, 0x906ea };
    uint32_t at = 0;

    if (n < 8)
        return 0;
    const struct ucode_cpu c = { .signature = signatures[d[0] & 3],
                                 .platform = 1u << (d[1] & 7),
                                 .revision = (uint32_t)get_le(d + 2, 4) };
    if (d[6] & 1)
        at = intel_update(file, c.signature, d[1], (uint32_t)get_le(d + 2, 4) + 1,
                          d[6] & 2 ? 0x306a9 : 0);
    if (d[6] & 4)
        at += amd_container(file + at);
    uint64_t len = min_u64(n - 8, sizeof file - at);
    memcpy(file + at, d + 8, len);
    /* d[6] bit 3: the input is laid over the good file, and its checksums are not mended */
    uint8_t *copy = malloc(at + len + 1);
    memcpy(copy, file, at + len);
    if (at && (d[6] & 8))
        copy[d[7] * 8u % at] ^= d[6];
    check(ucode_intel, copy, at + len, &c);
    check(ucode_amd, copy, at + len, &c);
    free(copy);
    return 0;
}
