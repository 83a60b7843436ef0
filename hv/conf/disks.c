/* SPDX-License-Identifier: BSD-2-Clause */
/* disks.c: the keys `disk` and `cdrom`. */
#include "parse.h"
#include <hv/config_files.h>
#include <hv/words.h>
#include <string.h>
#include <strings.h>

/* Limits of a disk's limits: a request a nanosecond, and no request that takes minutes. */
enum { IOPS_MOST = 1000000, BANDWIDTH_LEAST = 64 * KIB };
#define BANDWIDTH_MOST (1024 * GIB)

/* A file of the stick, or a disk or partition of the machine. */
static void check_disk(struct parse *p, const struct guest_disk *d)
{
    int err = d->source != DISK_FILE && p->limits->disk_exists
                  ? p->limits->disk_exists(d->source, d->path)
                  : 0;

    if (d->source == DISK_FILE)
        check_file(p, d->path);
    else if (err == -EEXIST)
        complain(p, "several disks or partitions are called so; give one by its name");
    else if (err)
        complain(p, "this machine has no such disk or partition; `disks` on the console lists "
                    "them");
}

static bool disk_option(struct guest_disk *d, const char *text)
{
    uint64_t v;

    if (strcasecmp(text, "ro") == 0) {
        d->ro = true;
        return true;
    }
    if (strncasecmp(text, "iops=", 5) == 0 && parse_size(text + 5, &v) == 0 && v > 0 &&
        v <= IOPS_MOST) {
        d->iops = (uint32_t)v;
        return true;
    }
    if (strncasecmp(text, "bandwidth=", 10) == 0 && parse_size(text + 10, &v) == 0 &&
        v >= BANDWIDTH_LEAST && v <= BANDWIDTH_MOST) {
        d->bandwidth = v;
        return true;
    }
    return false;
}

/* Of what stands behind the commas. */
static bool disk_options(struct guest_disk *d, const char *s)
{
    char text[32];

    while (*s == ',') {
        size_t len;

        s = after_comma(s);
        len = config_name_len(s, ",");
        if (len >= sizeof text)
            return false;
        memcpy(text, s, len);
        text[len] = '\0';
        if (!disk_option(d, text))
            return false;
        s += strcspn(s, ",");
    }
    return true;
}

/* The next disk, named by the line; returns what is behind its name. NULL: complained. */
static const char *disk_begin(struct parse *p, struct guest_config *g)
{
    struct guest_disk *d = &g->disk[g->ndisks];
    const char *rest;
    size_t skip;

    if (g->ndisks == ARRAY_SIZE(g->disk)) {
        complain(p, "at most %zu disks are accepted, cdrom among them", ARRAY_SIZE(g->disk));
        return NULL;
    }
    *d = (struct guest_disk){ .source = disk_source(p->value, &skip) };
    rest = split_path(p, p->value + skip, ",", d->path);
    if (rest)
        check_disk(p, d);
    return rest;
}

void config_add_disk(struct parse *p, const struct key *k, void *field)
{
    struct guest_config *g = field;
    struct guest_disk *d = &g->disk[g->ndisks];
    const char *rest;

    (void)k;
    rest = disk_begin(p, g);
    if (!rest)
        return;
    if (*rest && !disk_options(d, rest)) {
        complain(p,
                 "after the name only `,ro`, `,iops=N` (requests a second) and `,bandwidth=SIZE` "
                 "(a second, at least 64K) are accepted");
        return;
    }
    g->ndisks++;
}

void config_add_cdrom(struct parse *p, const struct key *k, void *field)
{
    struct guest_config *g = field;
    const char *rest = disk_begin(p, g);

    (void)k;
    if (!rest)
        return;
    if (*rest) {
        complain(p, "a CD is read-only, and takes nothing behind its name");
        return;
    }
    g->disk[g->ndisks].cdrom = g->disk[g->ndisks].ro = true;
    g->ndisks++;
}
