/* SPDX-License-Identifier: BSD-2-Clause */
/* image.c: the header of a Linux Image. A file's bytes are distrusted: the caller checks ranges. */
#include <hv/linux_image.h>
#include <string.h>

enum { IMAGE_TEXT_OFFSET = 8, IMAGE_SIZE = 16, IMAGE_FLAGS = 24, IMAGE_MAGIC = 56 };

static uint64_t image_get64(const uint8_t *p)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 8; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

bool linux_image_read(const uint8_t *at, uint64_t len, const char magic[4], struct linux_image *out)
{
    if (len < LINUX_IMAGE_HEADER || memcmp(at + IMAGE_MAGIC, magic, 4) != 0)
        return false;
    out->text_offset = image_get64(at + IMAGE_TEXT_OFFSET);
    out->image_size = image_get64(at + IMAGE_SIZE);
    out->flags = image_get64(at + IMAGE_FLAGS);
    return true;
}
