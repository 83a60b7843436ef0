/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state volume: named objects that outlive a stop, a reboot and a power cut. Its format is in
 * <hv/store_format.h>. The machine that reads and updates it is portable and never waits: it asks
 * for one page at a time, and goes on when store_io_done() says so. What is on the disk is checked
 * before it is used; a damaged volume loses what is damaged, and nothing else.
 *
 * All calls of one volume: from one CPU (in Trivet: CPU 0).
 */
#pragma once
#include <hv/store_format.h>

struct store;

enum store_io { STORE_IO_READ, STORE_IO_WRITE, STORE_IO_FLUSH };
/*
 * The disk below: one page, to or from store->page. 0: store_io_done() will be called, not from
 * within submit; 1: it is done; -Exxx.
 */
struct store_disk {
    int (*submit)(struct store *, enum store_io, uint32_t page);
};

/* GET: reads an object; PUT: makes or replaces it; REMOVE. MOUNT is the first of every volume. */
enum store_kind { STORE_MOUNT, STORE_GET, STORE_PUT, STORE_REMOVE, STORE_KINDS };
/*
 * Something to do, in its turn. From store_submit() until `done` it belongs to the volume, and so
 * do the bytes that `page` looks at.
 */
struct store_op {
    enum store_kind kind;
    char name[STORE_NAME];
    uint64_t len;            /* bytes. PUT: of the object from now on; GET: most that it may have */
    const uint64_t *changed; /* PUT: a bit for each page, 1: changed; NULL: all may be */
    /*
     * PUT: fill this page (zeroed) with bytes of the object; one that is not `changed` is asked for
     * when the volume does not have it. GET: here are its bytes, checked; `len`
     * is set by then.
     */
    void (*page)(struct store_op *, uint32_t page, uint8_t *bytes);
    /*
     * 0; -ENODEV: no volume, or a damaged one; -ENOENT; -EIO: the disk failed, or the object is
     * damaged; -EFBIG: GET: beyond `len`; PUT: beyond what an object may have; -ENOSPC; -EROFS: a
     * page of the volume cannot be read, so that nothing is written; -EINVAL: the name.
     */
    void (*done)(struct store_op *, int status);
    struct store_op *next;       /* the volume's */
    uint64_t spent_ns, since_ns; /* <hv/store_volume.h>'s */
};

enum store_state { STORE_NEW, STORE_READY, STORE_DAMAGED };
typedef int store_step(struct store *);
#define STORE_BITMAP (STORE_PAGES_MAX / 64)

/* The caller sets the first three; the rest is zeroed at first, and private but for `state`. */
struct store {
    const struct store_disk *disk;
    uint8_t *page;  /* STORE_PAGE bytes that the disk reaches */
    uint64_t pages; /* of the partition */

    enum store_state state;
    struct store_op *first, *last, mount;
    store_step *step;
    bool running;
    bool unread;           /* a page of a root */
    bool frozen;           /* what an object has could not be read: nothing is written */
    int status;            /* of the last I/O */
    uint32_t at, slot, to; /* counters of the steps */
    uint32_t current;      /* the slot of `root` */
    uint32_t hand;         /* where the next free page is looked for */
    uint32_t old_pages;    /* of the object that is updated */
    struct store_entry *entry;
    store_step *then;
    bool damaged[STORE_OBJECTS];
    struct store_root root, next;
    struct store_map_entry map[STORE_OBJECT_PAGES];
    uint64_t used[2][STORE_BITMAP], taken[STORE_BITMAP]; /* pages that each root names; an update */
};

/* Reads what the volume has; `done` (may be NULL) when it is READY or DAMAGED. */
void store_open(struct store *, void (*done)(struct store_op *, int status));
/* All but `next` and the last two fields is filled in. `done` may be called within. */
void store_submit(struct store *, struct store_op *);
/* What the disk answered. */
void store_io_done(struct store *, int status);
/* Nothing is under way or waits. */
static inline bool store_idle(const struct store *s) { return s->first == NULL; }

struct store_object {
    const char *name;
    uint64_t len, sequence;
    bool damaged;
};
/* The i-th object; false: there are fewer. */
bool must_check store_object(const struct store *, uint32_t i, struct store_object *);
struct store_space {
    uint64_t bytes, free; /* of the volume; free: for the next update */
    uint64_t updates, written;
};
void store_space(const struct store *, struct store_space *);

/* ---- check.c: what is on the disk, judged. Pure ---- */

/* What is wrong with it, or NULL. `pages`: of the partition. */
const char *store_root_wrong(const struct store_root *, uint64_t pages);
/* Of a root that is not wrong: bytes in use, and its digest written. */
uint32_t store_root_bytes(const struct store_root *);
void store_root_seal(struct store_root *);
void store_check(const void *page, uint8_t check[12]);
void store_map_digest(const struct store_map_entry *, uint32_t map_pages, uint8_t digest[32]);
static inline uint32_t store_pages(uint64_t len)
{
    return (uint32_t)((len + STORE_PAGE - 1) / STORE_PAGE);
}
static inline uint32_t store_map_pages(uint64_t len)
{
    return (uint32_t)((store_pages(len) + STORE_MAP_ENTRIES - 1) / STORE_MAP_ENTRIES);
}
bool store_name_valid(const char *name); /* letters, digits and -_./; 1 to STORE_NAME - 1 */
