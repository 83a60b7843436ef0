/* SPDX-License-Identifier: BSD-2-Clause */
/* ramfb.c: see <hv/ramfb.h>. */
#include <hv/ramfb.h>
#include <string.h>

/* A pixel is a little-endian number. Where each colour's highest bit is, and how many it has. */
struct ramfb_format {
    uint32_t fourcc; /* Linux include/uapi/drm/drm_fourcc.h */
    uint8_t bytes;
    struct {
        uint8_t shift, bits;
    } colour[3]; /* red, green, blue */
};
static const struct ramfb_format formats[] = {
    { 0x34325258, 4, { { 16, 8 }, { 8, 8 }, { 0, 8 } } }, /* XR24, which edk2 uses */
    { 0x34325241, 4, { { 16, 8 }, { 8, 8 }, { 0, 8 } } }, /* AR24 */
    { 0x34324258, 4, { { 0, 8 }, { 8, 8 }, { 16, 8 } } }, /* XB24 */
    { 0x34324752, 3, { { 16, 8 }, { 8, 8 }, { 0, 8 } } }, /* RG24 */
    { 0x36314752, 2, { { 11, 5 }, { 5, 6 }, { 0, 5 } } }, /* RG16 */
};

/* All in big-endian. */
struct config {
    uint64_t at;
    uint32_t fourcc, flags, width, height, stride;
} __attribute__((packed));
static_assert(sizeof(struct config) == RAMFB_CONFIG, "QEMU hw/display/ramfb.c");

static const struct ramfb_format *format_find(uint32_t fourcc)
{
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
        if (formats[i].fourcc == fourcc)
            return &formats[i];
    return NULL;
}

const char *ramfb_picture(const uint8_t config[RAMFB_CONFIG], struct ramfb_picture *out)
{
    struct config c;
    const struct ramfb_format *f;
    uint64_t len;

    memcpy(&c, config, sizeof c);
    *out = (struct ramfb_picture){ .at = __builtin_bswap64(c.at),
                                   .width = __builtin_bswap32(c.width),
                                   .height = __builtin_bswap32(c.height),
                                   .stride = __builtin_bswap32(c.stride) };
    if (out->at == 0)
        return "the guest shows no picture: its firmware has not come so far, or it drives another "
               "screen";
    f = format_find(__builtin_bswap32(c.fourcc));
    if (!f)
        return "the guest's picture has a format that Trivet does not know";
    if (out->width == 0 || out->width > RAMFB_SIDE_MAX || out->height == 0 ||
        out->height > RAMFB_SIDE_MAX)
        return "the guest's picture has no pixels, or more than 8192 a row or a column";
    out->format = f;
    out->row = out->width * f->bytes;
    if (out->stride == 0)
        out->stride = out->row;
    if (out->stride < out->row)
        return "the rows of the guest's picture lie over one another";
    len = (uint64_t)out->stride * (out->height - 1) + out->row;
    if (out->at > UINT64_MAX - len)
        return "the guest's picture is not in its memory";
    return NULL;
}

static uint32_t pixel(const uint8_t *p, unsigned bytes)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < bytes; i++)
        v |= (uint32_t)p[i] << (8 * i);
    return v;
}

void ramfb_rgb(const struct ramfb_picture *p, const uint8_t *row, uint8_t *rgb)
{
    const struct ramfb_format *f = p->format;

    for (uint32_t x = 0; x < p->width; x++, row += f->bytes) {
        uint32_t v = pixel(row, f->bytes);

        for (unsigned c = 0; c < 3; c++) {
            uint32_t most = (1u << f->colour[c].bits) - 1;

            *rgb++ = (uint8_t)((v >> f->colour[c].shift & most) * 255 / most);
        }
    }
}
