/* SPDX-License-Identifier: BSD-2-Clause */
/* Compressed kernels: <hv/inflate.h>, by zlib. */
#include <hv/inflate.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

enum { ZBOOT_MAGIC = 4, ZBOOT_PAYLOAD = 8, ZBOOT_LEN = 12, ZBOOT_METHOD = 24, ZBOOT_HEADER = 64 };

struct inflation {
    struct inflation_memory memory;
    z_stream z;
    uint8_t buf[INFLATION_STEP];
};

/* ---- what a file is ---- */

static bool inflate_is_gzip(const uint8_t *at, uint64_t len)
{
    return len >= 2 && memcmp(at, "\x1f\x8b", 2) == 0;
}

static bool inflate_is_zboot(const uint8_t *at, uint64_t len)
{
    return len >= ZBOOT_HEADER && memcmp(at, "MZ", 2) == 0 &&
           memcmp(at + ZBOOT_MAGIC, "zimg", 4) == 0;
}

bool linux_file_is_packed(const uint8_t *at, uint64_t len)
{
    return inflate_is_gzip(at, len) || inflate_is_zboot(at, len);
}

static int inflate_why(char *why, size_t room, const char *what)
{
    snprintf(why, room, "%s", what);
    return -EINVAL;
}

static int inflate_open_zboot(struct linux_file *f, char *why, size_t room)
{
    const char *method = (const char *)f->at + ZBOOT_METHOD;
    uint64_t at = get_le(f->at + ZBOOT_PAYLOAD, 4), len = get_le(f->at + ZBOOT_LEN, 4);

    if (strncmp(method, "gzip", 8) != 0) {
        snprintf(why, room, "compressed with %.8s; only gzip is supported", method);
        return -EINVAL;
    }
    if (!range_within(at, len, 0, f->len))
        return inflate_why(why, room, "its payload is outside the file");
    f->at += at;
    f->len = len;
    f->gzip = true;
    return 0;
}

int linux_file_open(const uint8_t *at, uint64_t len, struct linux_file *f, char *why, size_t room)
{
    int err = 0;

    *f = (struct linux_file){ at, len, inflate_is_gzip(at, len) };
    if (inflate_is_zboot(at, len))
        err = inflate_open_zboot(f, why, room);
    if (err == 0 && f->gzip && f->len > UINT32_MAX)
        err = inflate_why(why, room, "more than 4 GiB");
    return err;
}

/* ---- zlib ---- */

/* zlib does not say how long what it gives back is. */
struct z_block {
    uint64_t len, pad;
    uint8_t at[];
};

static void *inflate_alloc(void *opaque, unsigned n, unsigned size)
{
    const struct inflation_memory *m = opaque;
    size_t len = sizeof(struct z_block) + (size_t)n * size;
    struct z_block *b = m->alloc(m->vm, len);

    if (!b)
        return NULL;
    b->len = len;
    return b->at;
}

static void inflate_free(void *opaque, void *p)
{
    const struct inflation_memory *m = opaque;
    struct z_block *b = container_of(p, struct z_block, at);

    m->free(m->vm, b, b->len);
}

struct inflation *inflation_new(const struct linux_file *f, struct inflation_memory m)
{
    struct inflation *s = m.alloc(m.vm, sizeof *s);

    if (!s)
        return NULL;
    s->memory = m;
    s->z.zalloc = inflate_alloc;
    s->z.zfree = inflate_free;
    s->z.opaque = &s->memory;
    s->z.next_in = f->at;
    s->z.avail_in = (unsigned)f->len;
    if (inflateInit2(&s->z, 15 + 16) == Z_OK) /* of gzip */
        return s;
    m.free(m.vm, s, sizeof *s);
    return NULL;
}

void inflation_end(struct inflation *s)
{
    struct inflation_memory m;

    if (!s)
        return;
    m = s->memory;
    (void)inflateEnd(&s->z);
    m.free(m.vm, s, sizeof *s);
}

int inflation_step(struct inflation *s, const uint8_t **piece, uint64_t *n, char *why, size_t room)
{
    int state;

    s->z.next_out = s->buf;
    s->z.avail_out = (unsigned)INFLATION_STEP;
    state = inflate(&s->z, Z_NO_FLUSH);
    *piece = s->buf;
    *n = INFLATION_STEP - s->z.avail_out;
    if (state != Z_OK && state != Z_STREAM_END) {
        snprintf(why, room, "its compressed data is broken (zlib %d)", state);
        return -EINVAL;
    }
    if (s->z.avail_out != 0 && state != Z_STREAM_END)
        return inflate_why(why, room, "its compressed data ends too early");
    return state != Z_STREAM_END;
}
