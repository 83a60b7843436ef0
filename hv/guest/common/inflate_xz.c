/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernels compressed by xz, by liblzma, which checks the lengths of its index and the check value
 * of each block.
 */
#include "inflate.h"
#include <lzma.h>
#include <stdio.h>

/* What liblzma counts to a dictionary of INFLATION_WINDOW bytes. */
#define MEMORY (INFLATION_WINDOW + MIB)

struct xz {
    struct inflation s;
    lzma_stream x;
    lzma_allocator allocator;
    uint8_t buf[INFLATION_STEP];
};

static int xz_begin(struct inflation *s)
{
    struct xz *z = container_of(s, struct xz, s);

    z->allocator = (lzma_allocator){ inflate_take, inflate_give, s };
    z->x = (lzma_stream)LZMA_STREAM_INIT;
    z->x.allocator = &z->allocator;
    if (lzma_stream_decoder(&z->x, MEMORY, LZMA_TELL_UNSUPPORTED_CHECK) == LZMA_OK)
        return 0;
    lzma_end(&z->x);
    return -ENOMEM;
}

static void xz_end(struct inflation *s) { lzma_end(&container_of(s, struct xz, s)->x); }

static int xz_broken(lzma_ret state, char *why, size_t room)
{
    static const struct {
        lzma_ret state;
        const char *words;
    } known[] = {
        { LZMA_UNSUPPORTED_CHECK, "its check value is of an unknown kind; use `xz -C crc32`" },
        { LZMA_MEMLIMIT_ERROR, "it looks back more than 128 MiB; pack it with `xz -9`" },
        { LZMA_OPTIONS_ERROR, "packed with a filter that is not supported; use `xz -d`" },
        { LZMA_BUF_ERROR, "its compressed data ends too early" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (known[i].state == state)
            return inflate_why(why, room, known[i].words);
    snprintf(why, room, "its compressed data is broken (xz %d)", (int)state);
    return -EINVAL;
}

static int xz_step(struct inflation *s, const uint8_t **piece, uint64_t *n, char *why, size_t room)
{
    struct xz *z = container_of(s, struct xz, s);
    uint64_t given = min_u64(s->left, INFLATION_INPUT);
    lzma_ret state;

    z->x.next_in = s->at;
    z->x.avail_in = given;
    z->x.next_out = z->buf;
    z->x.avail_out = INFLATION_STEP;
    state = lzma_code(&z->x, LZMA_RUN);
    s->at += given - z->x.avail_in;
    s->left -= given - z->x.avail_in;
    *piece = z->buf;
    *n = INFLATION_STEP - z->x.avail_out;
    if (state == LZMA_STREAM_END)
        return 0;
    if (state != LZMA_OK)
        return xz_broken(state, why, room);
    return s->left == 0 && z->x.avail_out != 0 ? inflate_cut(why, room) : 1;
}

const struct inflation_method inflate_xz = {
    .name = "xz",
    .magic = "\xfd"
             "7zXZ\0",
    .magic_len = 6,
    .size = sizeof(struct xz),
    .begin = xz_begin,
    .step = xz_step,
    .end = xz_end,
};
