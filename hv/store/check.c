/* SPDX-License-Identifier: BSD-2-Clause */
/* check.c: the format of the state volume, see <hv/store_format.h>. Pure; the disk is distrusted.
 */
#include <hv/blake2s.h>
#include <hv/store.h>
#include <string.h>

bool store_name_valid(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./");

    return n > 0 && n < STORE_NAME && name[n] == '\0';
}

void store_check(const void *page, uint8_t check[12])
{
    uint8_t digest[BLAKE2S_LEN];
    struct blake2s b;

    blake2s_begin(&b);
    blake2s_add(&b, page, STORE_PAGE);
    blake2s_end(&b, digest);
    memcpy(check, digest, sizeof((struct store_map_entry *)0)->check);
}

void store_map_digest(const struct store_map_entry *map, uint32_t map_pages, uint8_t digest[32])
{
    struct blake2s b;

    blake2s_begin(&b);
    blake2s_add(&b, map, (size_t)map_pages * STORE_PAGE);
    blake2s_end(&b, digest);
}

uint32_t store_root_bytes(const struct store_root *r)
{
    return (uint32_t)(offsetof(struct store_root, entry) + r->objects * sizeof(struct store_entry));
}

static void root_digest(const struct store_root *r, uint8_t digest[32])
{
    size_t from = offsetof(struct store_root, version);
    struct blake2s b;

    blake2s_begin(&b);
    blake2s_add(&b, (const char *)r + from, store_root_bytes(r) - from);
    blake2s_end(&b, digest);
}

void store_root_seal(struct store_root *r) { root_digest(r, r->digest); }

static bool entry_wrong(const struct store_root *r, const struct store_entry *e)
{
    static const char zero[STORE_NAME];
    size_t n = strnlen(e->name, STORE_NAME);

    return n == STORE_NAME || !store_name_valid(e->name) ||
           memcmp(e->name + n, zero, STORE_NAME - n) != 0 || e->len > STORE_OBJECT_MAX ||
           e->map_pages != store_map_pages(e->len) ||
           (e->map_pages &&
            !range_within(e->map, e->map_pages, STORE_FIRST, r->pages - STORE_FIRST)) ||
           memcmp(e->zero, zero, sizeof e->zero) != 0;
}

static bool named_twice(const struct store_root *r, uint32_t i)
{
    for (uint32_t k = 0; k < i; k++)
        if (strcmp(r->entry[k].name, r->entry[i].name) == 0)
            return true;
    return false;
}

const char *store_root_wrong(const struct store_root *r, uint64_t pages)
{
    uint8_t digest[BLAKE2S_LEN];

    if (memcmp(r->magic, STORE_MAGIC, sizeof r->magic) != 0)
        return "it is none";
    if (r->version != STORE_VERSION || r->objects > STORE_OBJECTS)
        return "its version is not supported";
    root_digest(r, digest);
    if (memcmp(digest, r->digest, sizeof digest) != 0)
        return "its checksum is wrong";
    if (r->pages <= STORE_FIRST || r->pages > pages || r->pages > STORE_PAGES_MAX)
        return "the partition is smaller than the volume";
    for (uint32_t i = 0; i < r->objects; i++)
        if (entry_wrong(r, &r->entry[i]) || named_twice(r, i))
            return "an object in it cannot be";
    return r->sequence ? NULL : "it has no number";
}
