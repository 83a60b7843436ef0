/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compressed kernels: <hv/inflate.h>. What a file is, where its memory comes from, and what all
 * methods have in common.
 */
#include "inflate.h"
#include <stdio.h>
#include <string.h>

enum { ZBOOT_MAGIC = 4, ZBOOT_PAYLOAD = 8, ZBOOT_LEN = 12, ZBOOT_METHOD = 24, ZBOOT_HEADER = 64 };
#define LARGE MIB /* above it a block is scratch memory */

static const struct inflation_method *const methods[PACKINGS] = {
    [PACKED_GZIP] = &inflate_gzip,
    [PACKED_ZSTD] = &inflate_zstd,
    [PACKED_XZ] = &inflate_xz,
};

int inflate_why(char *why, size_t room, const char *what)
{
    snprintf(why, room, "%s", what);
    return -EINVAL;
}

int inflate_short(char *why, size_t room)
{
    snprintf(why, room, "not enough free memory to unpack it; unpack it beforehand");
    return -ENOMEM;
}

int inflate_cut(char *why, size_t room)
{
    return inflate_why(why, room, "its compressed data ends too early");
}

/* ---- what a file is ---- */

static bool inflate_begins(const uint8_t *at, uint64_t len, const struct inflation_method *m)
{
    return len >= m->magic_len && memcmp(at, m->magic, m->magic_len) == 0;
}

static enum packing inflate_packing(const uint8_t *at, uint64_t len)
{
    for (enum packing p = PACKED_GZIP; p < PACKINGS; p++)
        if (inflate_begins(at, len, methods[p]))
            return p;
    return PACKED_NOT;
}

static bool inflate_is_zboot(const uint8_t *at, uint64_t len)
{
    return len >= ZBOOT_HEADER && memcmp(at, "MZ", 2) == 0 &&
           memcmp(at + ZBOOT_MAGIC, "zimg", 4) == 0;
}

bool linux_file_is_packed(const uint8_t *at, uint64_t len)
{
    return inflate_packing(at, len) != PACKED_NOT || inflate_is_zboot(at, len);
}

/* Linux says "zstd22" and "xzkern", as its build calls what packs it. */
static enum packing inflate_method(const char name[8])
{
    for (enum packing p = PACKED_GZIP; p < PACKINGS; p++)
        if (strncmp(name, methods[p]->name, strlen(methods[p]->name)) == 0)
            return p;
    return PACKED_NOT;
}

static int inflate_open_zboot(struct linux_file *f, char *why, size_t room)
{
    const char *method = (const char *)f->at + ZBOOT_METHOD;
    uint64_t at = get_le(f->at + ZBOOT_PAYLOAD, 4), len = get_le(f->at + ZBOOT_LEN, 4);

    f->packing = inflate_method(method);
    if (f->packing == PACKED_NOT) {
        snprintf(why, room, "compressed with %.8s; gzip, zstd and xz are supported", method);
        return -EINVAL;
    }
    if (!range_within(at, len, 0, f->len))
        return inflate_why(why, room, "its payload is outside the file");
    f->at += at;
    f->len = len;
    return 0;
}

int linux_file_open(const uint8_t *at, uint64_t len, struct linux_file *f, char *why, size_t room)
{
    int err = 0;

    *f = (struct linux_file){ at, len, inflate_packing(at, len) };
    if (inflate_is_zboot(at, len))
        err = inflate_open_zboot(f, why, room);
    if (err == 0 && f->packing != PACKED_NOT && f->len > UINT32_MAX)
        err = inflate_why(why, room, "more than 4 GiB");
    return err;
}

/* ---- memory ---- */

/* The libraries do not say how long what they give back is. */
struct inflate_block {
    uint64_t len, pad;
    uint8_t at[];
};

static void *inflate_take_large(struct inflation *s, size_t len)
{
    for (unsigned i = 0; i < ARRAY_SIZE(s->large); i++) {
        if (s->large[i].p)
            continue;
        s->large[i].p = s->memory.scratch(len);
        s->large[i].len = len;
        return s->large[i].p;
    }
    return NULL;
}

void *inflate_take(void *opaque, size_t n, size_t size)
{
    struct inflation *s = opaque;
    size_t len = n * size;
    struct inflate_block *b;
    void *p;

    if (size && n > 2 * INFLATION_WINDOW / size) {
        p = NULL;
    } else if (len > LARGE) {
        p = inflate_take_large(s, len);
    } else {
        b = s->memory.alloc(s->memory.vm, sizeof *b + len);
        if (b)
            b->len = sizeof *b + len;
        p = b ? b->at : NULL;
    }
    s->no_memory |= p == NULL;
    return p;
}

void inflate_give(void *opaque, void *p)
{
    struct inflation *s = opaque;
    struct inflate_block *b;

    if (!p)
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(s->large); i++)
        if (s->large[i].p == p) {
            s->memory.scratch_free(p, s->large[i].len);
            s->large[i].p = NULL;
            return;
        }
    b = container_of(p, struct inflate_block, at);
    s->memory.free(s->memory.vm, b, b->len);
}

/* ---- any method ---- */

struct inflation *inflation_new(const struct linux_file *f, struct inflation_memory m,
                                uint64_t most)
{
    const struct inflation_method *method = methods[f->packing];
    struct inflation *s = m.alloc(m.vm, method->size);

    if (!s)
        return NULL;
    s->memory = m;
    s->method = method;
    s->at = f->at;
    s->left = f->len;
    s->most = most;
    if (method->begin(s) == 0)
        return s;
    m.free(m.vm, s, method->size);
    return NULL;
}

void inflation_end(struct inflation *s)
{
    struct inflation_memory m;

    if (!s)
        return;
    m = s->memory;
    s->method->end(s);
    m.free(m.vm, s, s->method->size);
}

/* A kernel is one stream; who packs on many CPUs may make several. */
int inflation_step(struct inflation *s, const uint8_t **piece, uint64_t *n, char *why, size_t room)
{
    int more = s->method->step(s, piece, n, why, room);

    if (more < 0 && s->no_memory)
        return inflate_short(why, room);
    if (more == 0 && inflate_begins(s->at, s->left, s->method)) {
        snprintf(why, room, "more than one %s stream: unpack it with `%s -d`", s->method->name,
                 s->method->name);
        return -EINVAL;
    }
    return more;
}
