/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config.c: finds the file names in trivet.conf. What the values mean in full is for
 * hv/conf/config.c.
 */
#include "pure.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <disk_source.h>
#include <ini.h>

struct scan {
    void (*add)(void *ctx, const char *name, size_t len);
    void *ctx;
};

/*
 * Where the file's name ends in the value: at none of these (the whole value), at a comma, or at
 * white space.
 */
static const struct {
    const char *key, *end;
} file_keys[] = { { "kernel", "" }, { "initrd", "" }, { "disk", "," }, { "module", " \t" } };

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c; }

/*
 * Do the first n bytes agree, or all up to the end of both, in either case? As hv/conf/config.c
 * reads names: both must see the same files.
 */
static bool same(const char *a, const char *b, size_t n)
{
    size_t i = 0;

    while (i < n && lower(a[i]) == lower(b[i])) {
        if (!a[i])
            return true;
        i++;
    }
    return i == n;
}

/* Of a disk, the name of its file; "" when it is none of the stick's. */
static const char *file_of(const char *key, const char *value)
{
    size_t skip;

    if (!same(key, "disk", SIZE_MAX))
        return value;
    return disk_source(value, &skip) == DISK_FILE ? value + skip : "";
}

static int on_value(void *user, const char *section, const char *key, const char *value, int line)
{
    struct scan *s = user;

    (void)line;
    if (!key || !value || !same(section, "guest", 5))
        return 1;
    for (size_t i = 0; i < sizeof file_keys / sizeof file_keys[0]; i++) {
        size_t len;

        if (!same(key, file_keys[i].key, SIZE_MAX))
            continue;
        value = file_of(key, value);
        len = strcspn(value, file_keys[i].end);
        while (len && (value[len - 1] == ' ' || value[len - 1] == '\t'))
            len--;
        if (len)
            s->add(s->ctx, value, len);
    }
    return 1;
}

void config_files(const char *text, void (*add)(void *ctx, const char *name, size_t len), void *ctx)
{
    struct scan s = { .add = add, .ctx = ctx };

    (void)ini_parse_string(text, on_value, &s);
}
