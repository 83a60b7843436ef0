/* SPDX-License-Identifier: BSD-2-Clause */
/* Kernels compressed by gzip, by zlib. It checks the length and the CRC at the end. */
#include "inflate.h"
#include <stdio.h>
#include <zlib.h>

struct gzip {
    struct inflation s;
    z_stream z;
    uint8_t buf[INFLATION_STEP];
};

static void *gzip_alloc(void *opaque, unsigned n, unsigned size)
{
    return inflate_take(opaque, n, size);
}

static int gzip_begin(struct inflation *s)
{
    struct gzip *g = container_of(s, struct gzip, s);

    g->z.zalloc = gzip_alloc;
    g->z.zfree = inflate_give;
    g->z.opaque = s;
    return inflateInit2(&g->z, 15 + 16) == Z_OK ? 0 : -ENOMEM; /* of gzip */
}

static void gzip_end(struct inflation *s) { (void)inflateEnd(&container_of(s, struct gzip, s)->z); }

static int gzip_step(struct inflation *s, const uint8_t **piece, uint64_t *n, char *why,
                     size_t room)
{
    struct gzip *g = container_of(s, struct gzip, s);
    uint64_t given = min_u64(s->left, INFLATION_INPUT);
    int state;

    g->z.next_in = s->at;
    g->z.avail_in = (unsigned)given;
    g->z.next_out = g->buf;
    g->z.avail_out = (unsigned)INFLATION_STEP;
    state = inflate(&g->z, Z_NO_FLUSH);
    s->at += given - g->z.avail_in;
    s->left -= given - g->z.avail_in;
    *piece = g->buf;
    *n = INFLATION_STEP - g->z.avail_out;
    if (state == Z_STREAM_END)
        return 0;
    if (state == Z_BUF_ERROR && s->left == 0)
        return inflate_cut(why, room);
    if (state != Z_OK) {
        snprintf(why, room, "its compressed data is broken (zlib %d)", state);
        return -EINVAL;
    }
    if (g->z.avail_out != 0 && s->left == 0)
        return inflate_cut(why, room);
    return 1;
}

const struct inflation_method inflate_gzip = {
    .name = "gzip",
    .magic = "\x1f\x8b",
    .magic_len = 2,
    .size = sizeof(struct gzip),
    .begin = gzip_begin,
    .step = gzip_step,
    .end = gzip_end,
};
