/* SPDX-License-Identifier: BSD-2-Clause */
/* Between fat.c and fat_dir.c. */
#pragma once
#include <hv/fat.h>

#define FAT_ENTRY 32 /* bytes of a directory's entry */

/* 0: the window begins with this block of the volume; 1: it is wanted, with those behind it. */
int must_check fat_need(struct fat *, enum fat_window, uint64_t at, uint32_t blocks);
bool fat_is_cluster(const struct fat *, uint32_t);
uint64_t fat_block_of(const struct fat *, uint32_t cluster); /* its first */
/* 0: *next is what the table says, unchecked; 1: a part is wanted; -EINVAL: it has no entry. */
int must_check fat_next(struct fat *, uint32_t cluster, uint32_t *next);
