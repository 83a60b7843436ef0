/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state volume on its disk: a GPT partition with a type of our own, that holds named objects.
 * All numbers are little-endian, all places are pages of 4096 bytes from the partition's start.
 *
 *   pages 0 to 3   slot 0: a root
 *   pages 4 to 7   slot 1: the other root
 *   from page 8    maps and contents of objects, in no order
 *
 * A root names every object and the place of its map; a map names every page of the object. Each
 * has a digest of what it names, so that the root's own digest holds all of the volume together.
 * Nothing that either root names is ever written. An update writes the changed pages and the map to
 * free pages, flushes, writes the root with the next sequence number over the older one, flushes:
 * whenever the power goes, the newest root that is whole is the volume as it was before or after.
 * A volume of zeroes is an empty one.
 */
#pragma once
#include <hv/types.h>

/* 81ed4ef6-b135-4f3e-b527-fdf740811e0e, as it is on the disk. */
#define STORE_PARTITION_TYPE                                                                      \
    {                                                                                             \
        0xf6, 0x4e, 0xed, 0x81, 0x35, 0xb1, 0x3e, 0x4f, 0xb5, 0x27, 0xfd, 0xf7, 0x40, 0x81, 0x1e, \
            0x0e                                                                                  \
    }
#define STORE_MAGIC "TrivetSt"
#define STORE_VERSION 1u
#define STORE_PAGE 4096u
#define STORE_SLOT_PAGES 4u
#define STORE_FIRST (2 * STORE_SLOT_PAGES) /* the first page of contents */
#define STORE_OBJECTS 127u
#define STORE_NAME 64u             /* bytes, with the NUL */
#define STORE_PAGES_MAX (1u << 18) /* what is beyond 1 GiB of a volume is not used */
#define STORE_MAP_PAGES 16u        /* of an object, at most */

/* A page of an object, and the first bytes of its BLAKE2s digest. */
struct store_map_entry {
    uint32_t page;
    uint8_t check[12];
};
static_assert(sizeof(struct store_map_entry) == 16, "on the disk");
#define STORE_MAP_ENTRIES (STORE_PAGE / sizeof(struct store_map_entry)) /* of a page of a map */
#define STORE_OBJECT_PAGES (STORE_MAP_PAGES * STORE_MAP_ENTRIES)
#define STORE_OBJECT_MAX ((uint64_t)STORE_OBJECT_PAGES * STORE_PAGE)

/* Zeroes follow the name's NUL; an object without contents has no map. */
struct store_entry {
    char name[STORE_NAME];
    uint64_t len;      /* bytes; the rest of the last page is zero */
    uint64_t sequence; /* of the root that brought these contents */
    uint32_t map, map_pages;
    uint8_t map_digest[32]; /* BLAKE2s of all bytes of the map's pages */
    uint8_t zero[8];
};
static_assert(sizeof(struct store_entry) == 128, "on the disk");

struct store_root {
    char magic[8];
    uint8_t digest[32]; /* BLAKE2s of what follows, up to the last entry in use */
    uint32_t version, objects;
    uint64_t sequence; /* from 1 */
    uint64_t pages;    /* of the volume, as far as they are used */
    uint64_t written;  /* bytes, in the volume's life */
    uint8_t zero[56];
    struct store_entry entry[STORE_OBJECTS];
};
static_assert(offsetof(struct store_root, version) == 40, "on the disk");
static_assert(offsetof(struct store_root, entry) == 128, "on the disk");
static_assert(sizeof(struct store_root) == STORE_SLOT_PAGES * STORE_PAGE, "on the disk");
