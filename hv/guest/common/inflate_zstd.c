/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernels compressed by zstd, by its own library, a block of 128 KiB at most in each step. What a
 * block looks back at lies in a ring (zstd.h, "Buffer-less streaming decompression"). The library
 * checks the frame's length, where its header has one, and its checksum.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include "inflate.h"
#include <stdio.h>
#include <zstd.h>
#include <zstd_errors.h>

#define EMPTY_BLOCKS 64 /* and headers, at most, in one step */
static_assert(ZSTD_BLOCKSIZE_MAX <= INFLATION_STEP, "a block is a step");

struct zstd {
    struct inflation s;
    ZSTD_DCtx *dctx;
    uint8_t *ring;
    size_t size, pos;
    uint64_t content; /* bytes that are made, as far as is known: at most that */
    size_t block;     /* bytes, the longest */
};

static void *zstd_alloc(void *opaque, size_t size) { return inflate_take(opaque, 1, size); }

static int zstd_begin(struct inflation *s)
{
    struct zstd *z = container_of(s, struct zstd, s);
    ZSTD_customMem mem = { zstd_alloc, inflate_give, s };

    z->dctx = ZSTD_createDCtx_advanced(mem);
    if (!z->dctx)
        return -ENOMEM;
    if (!ZSTD_isError(ZSTD_decompressBegin(z->dctx)))
        return 0;
    ZSTD_freeDCtx(z->dctx);
    return -ENOMEM;
}

static void zstd_end(struct inflation *s)
{
    struct zstd *z = container_of(s, struct zstd, s);

    inflate_give(s, z->ring);
    ZSTD_freeDCtx(z->dctx);
}

static int zstd_broken(size_t code, char *why, size_t room)
{
    ZSTD_ErrorCode error = ZSTD_getErrorCode(code);

    if (error == ZSTD_error_dstSize_tooSmall)
        return inflate_why(why, room, "longer than its header says, or than the guest's memory");
    if (error == ZSTD_error_checksum_wrong)
        return inflate_why(why, room, "its checksum is wrong; copy it again");
    if (error == ZSTD_error_dictionary_wrong)
        return inflate_why(why, room, "packed with a dictionary; pack it without one");
    snprintf(why, room, "its compressed data is broken (zstd %d)", (int)error);
    return -EINVAL;
}

/* The ring, from the frame's header. */
static int zstd_open(struct zstd *z, char *why, size_t room)
{
    ZSTD_frameHeader h;
    size_t code = ZSTD_getFrameHeader(&h, z->s.at, z->s.left);

    if (ZSTD_isError(code))
        return zstd_broken(code, why, room);
    if (code != 0)
        return inflate_cut(why, room);
    z->content = min_u64(h.frameContentSize, z->s.most + 1);
    z->block = h.blockSizeMax;
    if (min_u64(h.windowSize, z->content) > INFLATION_WINDOW)
        return inflate_why(why, room, "it looks back more than 128 MiB; pack it with `zstd -19`");
    z->size = ZSTD_decodingBufferSize_min(h.windowSize, z->content);
    z->ring = inflate_take(&z->s, 1, max_u64(z->size, 1));
    return z->ring ? 0 : inflate_short(why, room);
}

/* One block, or what stands between blocks. */
static int zstd_block(struct zstd *z, const uint8_t **piece, uint64_t *n, char *why, size_t room)
{
    size_t want = ZSTD_nextSrcSizeToDecompress(z->dctx), made;

    if (want == 0)
        return 0;
    if (want > z->s.left)
        return inflate_cut(why, room);
    if (z->size < z->content && z->pos + z->block > z->size)
        z->pos = 0;
    made = ZSTD_decompressContinue(z->dctx, z->ring + z->pos, z->size - z->pos, z->s.at, want);
    if (ZSTD_isError(made))
        return zstd_broken(made, why, room);
    *piece = z->ring + z->pos;
    *n = made;
    z->pos += made;
    z->s.at += want;
    z->s.left -= want;
    return ZSTD_nextSrcSizeToDecompress(z->dctx) != 0;
}

static int zstd_step(struct inflation *s, const uint8_t **piece, uint64_t *n, char *why,
                     size_t room)
{
    struct zstd *z = container_of(s, struct zstd, s);
    int more = z->ring ? 1 : zstd_open(z, why, room);

    *n = 0;
    if (more < 0)
        return more;
    for (unsigned i = 0; i < EMPTY_BLOCKS && *n == 0; i++) {
        more = zstd_block(z, piece, n, why, room);
        if (more <= 0)
            break;
    }
    return more;
}

const struct inflation_method inflate_zstd = {
    .name = "zstd",
    .magic = "(\xb5/\xfd",
    .magic_len = 4,
    .size = sizeof(struct zstd),
    .begin = zstd_begin,
    .step = zstd_step,
    .end = zstd_end,
};
