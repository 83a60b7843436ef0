/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the value of a key `disk` of trivet.conf names: the loader reads the files, the hypervisor
 * opens the rest, and both must see the same. DISK_CLOUD_INIT is the disk that the key `cloud-init`
 * asks for.
 */
#pragma once
#include <stddef.h>
#include <string.h>

enum disk_source {
    DISK_FILE,
    DISK_NAME,
    DISK_PARTLABEL,
    DISK_PARTUUID,
    DISK_SERIAL,
    DISK_CLOUD_INIT
};

/* What stands before the name; "" for a file's and a disk's own. */
static inline const char *disk_prefix(enum disk_source source)
{
    static const char *const prefixes[] = {
        [DISK_FILE] = "",
        [DISK_NAME] = "",
        [DISK_PARTLABEL] = "partlabel:",
        [DISK_PARTUUID] = "partuuid:",
        [DISK_SERIAL] = "serial:",
        [DISK_CLOUD_INIT] = "cloud-init:",
    };

    return prefixes[source];
}

static inline size_t disk_digits(const char *s)
{
    size_t n = 0;

    while (s[n] >= '0' && s[n] <= '9')
        n++;
    return n;
}

/* Length of what kind of disk the name is of; 0: of none. */
static inline size_t disk_kind(const char *s)
{
    static const char *const kinds[] = { "nvme", "ahci", "ide", "virtio" };

    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strncmp(s, kinds[i], strlen(kinds[i])) == 0)
            return strlen(kinds[i]);
    return 0;
}

/*
 * `nvme0`, `ahci0`, `ide0`, `virtio0` and `nvme0p3`, up to a comma, a blank or the end: a disk of
 * the machine, or a part.
 */
static inline int disk_is_name(const char *s)
{
    size_t n = disk_kind(s);

    if (n == 0)
        return 0;
    s += n;
    n = disk_digits(s);
    if (n == 0 || n > 3)
        return 0;
    s += n;
    if (*s == 'p') {
        n = disk_digits(++s);
        if (n == 0 || n > 3)
            return 0;
        s += n;
    }
    return *s == '\0' || *s == ',' || *s == ' ' || *s == '\t';
}

/* *skip: length of the prefix that says so. A bare name is a file, unless it is a disk's. */
static inline enum disk_source disk_source(const char *value, size_t *skip)
{
    for (int i = DISK_FILE; i < DISK_CLOUD_INIT; i++) {
        const char *prefix = i == DISK_FILE ? "file:" : disk_prefix((enum disk_source)i);

        if (!*prefix || strncmp(value, prefix, strlen(prefix)) != 0)
            continue;
        *skip = strlen(prefix);
        return (enum disk_source)i;
    }
    *skip = 0;
    return disk_is_name(value) ? DISK_NAME : DISK_FILE;
}
