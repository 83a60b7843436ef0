/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's state volume: the one partition of its type on the disks that Trivet has a driver
 * for. Trivet holds it, so that no guest has it. CPU 0.
 */
#pragma once
#include <hv/store.h>

/* Boot, after the drivers: opens it; what it has is read once the loop runs. Never fails the boot.
 */
void store_boot(void);
/* NULL: the machine has none; *why, if not NULL, in words. */
const struct store *store_volume(const char **why);
/* Its partition, such as "nvme0p2". There is one. */
const char *store_volume_name(void);
/* As store_submit(); without a volume `done` comes at once, with -ENODEV. */
void store_volume_submit(struct store_op *);
/* In `done`: time that this CPU has worked for it, in ns. */
uint64_t store_op_ns(const struct store_op *);
/* Whether something is kept at all: it is there and not damaged, or not read yet. */
bool store_volume_usable(void);
