/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The disk from which cloud-init reads what a guest is to become ("NoCloud": a FAT file system with
 * the label CIDATA and the files user-data and meta-data). Pure; any context.
 */
#pragma once
#include <hv/types.h>

#define NOCLOUD_FILE_MAX MIB /* bytes, of each file */

struct nocloud_file {
    const void *bytes;
    uint64_t len; /* at most NOCLOUD_FILE_MAX */
};
/* Bytes of the image: a multiple of 512, below 3 MiB. */
uint64_t nocloud_size(const struct nocloud_file *user, const struct nocloud_file *meta);
/* Writes it to `to`, nocloud_size() bytes of zeroes. */
void nocloud_write(uint8_t *to, const struct nocloud_file *user, const struct nocloud_file *meta);
