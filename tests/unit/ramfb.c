/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest says of its picture, and the PNG file that is made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <hv/png.h>
#include <hv/ramfb.h>
#include <string.h>
#include <zlib.h>

#define XR24 0x34325258u
#define RG16 0x36314752u

struct given {
    uint64_t at;
    uint32_t fourcc, width, height, stride;
};

static void put(uint8_t *to, uint64_t v, unsigned bytes)
{
    while (bytes--) {
        to[bytes] = (uint8_t)v;
        v >>= 8;
    }
}

static const char *judge(const struct given *g, struct ramfb_picture *p)
{
    uint8_t c[RAMFB_CONFIG] = { 0 };

    put(c, g->at, 8);
    put(c + 8, g->fourcc, 4);
    put(c + 16, g->width, 4);
    put(c + 20, g->height, 4);
    put(c + 24, g->stride, 4);
    return ramfb_picture(c, p);
}

static void test_good(void **state)
{
    static const struct given g = { 0x7f000000, XR24, 800, 600, 3328 },
                              packed = { 1, RG16, 3, 1, 0 },
                              last = { UINT64_MAX - 8 * 4096 - 4, XR24, 1, 9, 4096 };
    struct ramfb_picture p;

    (void)state;
    assert_null(judge(&g, &p));
    assert_int_equal(p.at, 0x7f000000);
    assert_int_equal(p.width, 800);
    assert_int_equal(p.height, 600);
    assert_int_equal(p.stride, 3328);
    assert_int_equal(p.row, 3200);
    assert_null(judge(&packed, &p));
    assert_int_equal(p.row, 6);
    assert_int_equal(p.stride, 6);
    assert_null(judge(&last, &p));
}

static void test_wrong(void **state)
{
    static const struct {
        struct given g;
        const char *why;
    } wrong[] = {
        { { 0, XR24, 800, 600, 3200 }, "shows no picture" },
        { { 4096, 1, 800, 600, 3200 }, "format" },
        { { 4096, XR24, 0, 600, 3200 }, "no pixels" },
        { { 4096, XR24, 800, 0, 3200 }, "no pixels" },
        { { 4096, XR24, 8193, 1, 0 }, "more than 8192" },
        { { 4096, XR24, 1, 0xffffffff, 0 }, "more than 8192" },
        { { 4096, XR24, 800, 600, 3199 }, "over one another" },
        { { UINT64_MAX - 3, XR24, 1, 1, 0 }, "not in its memory" },
        { { UINT64_MAX - 8 * 4096 - 3, XR24, 1, 9, 4096 }, "not in its memory" },
        { { 0x8000000000000000, XR24, 8192, 8192, 0xffffffff }, NULL },
    };
    struct ramfb_picture p;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        const char *why = judge(&wrong[i].g, &p);

        if (wrong[i].why)
            assert_non_null(strstr(why ? why : "right", wrong[i].why));
        else
            assert_null(why);
    }
}

static void test_colours(void **state)
{
    static const struct given x = { 4096, XR24, 2, 1, 0 }, r = { 4096, RG16, 2, 1, 0 };
    static const uint8_t xr24[] = { 1, 2, 3, 0xaa, 4, 5, 6, 0xbb },
                         rg16[] = { 0x00, 0xf8, 0xe0, 0x07 };
    struct ramfb_picture p;
    uint8_t rgb[6];

    (void)state;
    assert_null(judge(&x, &p));
    ramfb_rgb(&p, xr24, rgb);
    assert_memory_equal(rgb, ((uint8_t[]){ 3, 2, 1, 6, 5, 4 }), 6);
    assert_null(judge(&r, &p));
    ramfb_rgb(&p, rg16, rgb);
    assert_memory_equal(rgb, ((uint8_t[]){ 255, 0, 0, 0, 255, 0 }), 6);
}

/* ---- PNG ---- */

static uint32_t number(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

/* What is in the file's IDAT chunks, joined; every chunk's CRC is right. */
static uint64_t idat(const uint8_t *file, uint64_t len, uint8_t *out)
{
    uint64_t at = 8, n = 0;

    while (at < len) {
        uint32_t size = number(file + at);

        assert_true(at + 12 + size <= len);
        assert_int_equal(crc32(0, file + at + 4, size + 4), number(file + at + 8 + size));
        if (memcmp(file + at + 4, "IDAT", 4) == 0) {
            memcpy(out + n, file + at + 8, size);
            n += size;
        }
        at += 12 + size;
    }
    assert_memory_equal(file + len - 8, "IEND", 4);
    return n;
}

static void *take(void *opaque, unsigned n, unsigned size)
{
    (void)opaque;
    return calloc(n, size);
}

static void give(void *opaque, void *p)
{
    (void)opaque;
    free(p);
}

/* Noise, which does not get smaller: many chunks and blocks. */
static void fill(uint8_t *row, uint32_t n, uint32_t *seed)
{
    for (uint32_t i = 0; i < n; i++) {
        *seed = *seed * 1664525 + 1013904223;
        row[i] = (uint8_t)(*seed >> 24);
    }
}

static uint8_t *file_of(const struct png *p)
{
    uint64_t pages = (png_len(p) + PAGE_SIZE - 1) / PAGE_SIZE;
    uint8_t *file = malloc(pages * PAGE_SIZE);

    for (uint32_t i = 0; i < pages; i++)
        png_page(p, i, file + i * PAGE_SIZE);
    for (uint64_t i = png_len(p); i < pages * PAGE_SIZE; i++)
        assert_int_equal(file[i], 0);
    return file;
}

static void test_png(void **state)
{
    enum { W = 301, H = 400, ROW = 1 + 3 * W };
    uint8_t row[3 * W], above[3 * W] = { 0 }, *file, *data = malloc(H * ROW * 2),
                                  *raw = malloc(H * ROW);
    z_stream z = { .zalloc = take, .zfree = give };
    struct png *p;
    uint32_t seed = 1;

    (void)state;
    assert_int_equal(png_begin(&p, W, H), 0);
    for (unsigned y = 0; y < H; y++) {
        fill(row, sizeof row, &seed);
        assert_int_equal(png_row(p, row), 0);
    }
    assert_int_equal(png_end(p), 0);
    file = file_of(p);
    assert_memory_equal(file, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\x2d\0\0\x01\x90\x08\x02\0\0\0",
                        29);
    z.next_in = data;
    z.avail_in = (unsigned)idat(file, png_len(p), data);
    z.next_out = raw;
    z.avail_out = H * ROW;
    assert_int_equal(inflateInit(&z), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, H * ROW);
    assert_int_equal(z.avail_in, 0);
    inflateEnd(&z);
    seed = 1;
    for (unsigned y = 0; y < H; y++) {
        fill(row, sizeof row, &seed);
        assert_int_equal(raw[y * ROW], 2);
        for (unsigned i = 0; i < sizeof row; i++)
            assert_int_equal((uint8_t)(raw[y * ROW + 1 + i] + above[i]), row[i]);
        memcpy(above, row, sizeof row);
    }
    free(raw);
    free(data);
    free(file);
    png_free(p);
}

static void test_too_large(void **state)
{
    uint8_t *row = malloc(3 * PNG_WIDTH_MAX);
    struct png *p;
    uint32_t seed = 1;
    int err = 0;

    (void)state;
    assert_int_equal(png_begin(&p, 0, 1), -EINVAL);
    assert_int_equal(png_begin(&p, PNG_WIDTH_MAX + 1, 1), -EINVAL);
    assert_null(p);
    assert_int_equal(png_begin(&p, PNG_WIDTH_MAX, 8192), 0);
    for (unsigned y = 0; y < 8192 && !err; y++) {
        fill(row, 3 * PNG_WIDTH_MAX, &seed);
        err = png_row(p, row);
    }
    assert_int_equal(err, -EFBIG);
    assert_true(png_len(p) <= PNG_MAX);
    png_free(p);
    png_free(NULL);
    free(row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),      cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_colours),   cmocka_unit_test(test_png),
        cmocka_unit_test(test_too_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
