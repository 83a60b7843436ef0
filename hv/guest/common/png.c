/* SPDX-License-Identifier: BSD-2-Clause */
/* png.c: see <hv/png.h>. */
#include <hv/png.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define BLOCK (64 * KIB)
#define PIECE (16 * KIB) /* of compressed bytes: a chunk */
enum { DEPTH = 8, COLOUR_RGB = 2, FILTER_UP = 2 };

struct png {
    z_stream z;
    uint32_t width;
    uint64_t len;
    uint8_t *block[PNG_MAX / BLOCK];
    uint8_t out[PIECE];
    uint8_t before[3 * PNG_WIDTH_MAX], line[1 + 3 * PNG_WIDTH_MAX];
};

static int png_add(struct png *p, const void *from, size_t n)
{
    const uint8_t *s = from;

    if (n > PNG_MAX - p->len)
        return -EFBIG;
    while (n) {
        uint8_t **b = &p->block[p->len / BLOCK]; /* nospec: bytes that were written */
        size_t room = BLOCK - p->len % BLOCK, now = n < room ? n : room;

        if (!*b)
            *b = malloc(BLOCK); /* charge: the console's user's */
        if (!*b)
            return -ENOMEM;
        memcpy(*b + p->len % BLOCK, s, now);
        p->len += now;
        s += now;
        n -= now;
    }
    return 0;
}

static int add_number(struct png *p, uint32_t n)
{
    n = __builtin_bswap32(n);
    return png_add(p, &n, sizeof n);
}

/* ISO/IEC 15948 §5.3: length, type, data, a CRC of the last two. */
static int chunk(struct png *p, const char *type, const uint8_t *data, uint32_t n)
{
    uLong crc = crc32(0, (const Bytef *)type, 4);
    int err = add_number(p, n);

    if (n)
        crc = crc32(crc, data, n);
    if (!err)
        err = png_add(p, type, 4);
    if (!err)
        err = png_add(p, data, n);
    return err ? err : add_number(p, (uint32_t)crc);
}

static int header(struct png *p, uint32_t height)
{
    static const uint8_t signature[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
    struct {
        uint32_t width, height;
        uint8_t depth, colour, compression, filter, interlace;
    } __attribute__((packed))
    h = { __builtin_bswap32(p->width), __builtin_bswap32(height), DEPTH, COLOUR_RGB, 0, 0, 0 };
    int err = png_add(p, signature, sizeof signature);

    return err ? err : chunk(p, "IHDR", (const uint8_t *)&h, sizeof h);
}

static void *png_alloc(void *opaque, unsigned n, unsigned size)
{
    (void)opaque;
    return calloc(n, size); /* charge: the console's user's */
}

static void png_give(void *opaque, void *p)
{
    (void)opaque;
    free(p);
}

int png_begin(struct png **out, uint32_t width, uint32_t height)
{
    struct png *p;

    *out = NULL;
    if (width == 0 || width > PNG_WIDTH_MAX || height == 0)
        return -EINVAL;
    p = calloc(1, sizeof *p); /* charge: the console's user's */
    if (!p)
        return -ENOMEM;
    p->width = width;
    p->z.zalloc = png_alloc;
    p->z.zfree = png_give;
    if (deflateInit(&p->z, Z_BEST_SPEED) != Z_OK) {
        free(p);
        return -ENOMEM;
    }
    p->z.next_out = p->out;
    p->z.avail_out = PIECE;
    if (header(p, height)) {
        png_free(p);
        return -ENOMEM;
    }
    *out = p;
    return 0;
}

/* What was compressed so far becomes a chunk. */
static int flush_piece(struct png *p)
{
    int err = chunk(p, "IDAT", p->out, (uint32_t)(PIECE - p->z.avail_out));

    p->z.next_out = p->out;
    p->z.avail_out = PIECE;
    return err;
}

int png_row(struct png *p, const uint8_t *rgb)
{
    uint32_t n = 3 * p->width;
    int err = 0;

    p->line[0] = FILTER_UP; /* §9.2: less the row above */
    for (uint32_t i = 0; i < n; i++)
        p->line[1 + i] = (uint8_t)(rgb[i] - p->before[i]);
    memcpy(p->before, rgb, n);
    p->z.next_in = p->line;
    p->z.avail_in = 1 + n;
    while (!err && p->z.avail_in) {
        (void)deflate(&p->z, Z_NO_FLUSH); /* there is input, and room: it goes on */
        if (p->z.avail_out == 0)
            err = flush_piece(p);
    }
    return err;
}

int png_end(struct png *p)
{
    int err = 0, done = Z_OK;

    while (!err && done == Z_OK) {
        done = deflate(&p->z, Z_FINISH);
        err = flush_piece(p);
    }
    return err ? err : chunk(p, "IEND", NULL, 0);
}

uint64_t png_len(const struct png *p) { return p->len; }

void png_page(const struct png *p, uint32_t page, uint8_t *bytes)
{
    uint64_t at = (uint64_t)page * PAGE_SIZE, n;

    memset(bytes, 0, PAGE_SIZE);
    if (at >= p->len)
        return;
    n = min_u64(PAGE_SIZE, p->len - at);
    /* nospec: the state volume's own counter */
    memcpy(bytes, p->block[at / BLOCK] + at % BLOCK, n);
}

void png_free(struct png *p)
{
    if (!p)
        return;
    (void)deflateEnd(&p->z);
    for (unsigned i = 0; i < ARRAY_SIZE(p->block); i++)
        free(p->block[i]);
    free(p);
}
