/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log in the state volume: this run's in one of two objects, `log/0` and `log/1`, while the
 * other holds that of the run before; the last panic's text in `panic`. Debug lines are not kept,
 * and of a long run the newest. CPU 0.
 */
#pragma once
#include <hv/store.h>

#define STORE_LOG_ROOM (32u * 1024) /* bytes of text, at most */

/* The volume can be read and written: reads the run before, then writes what is logged, soon. */
void store_log_begin(const struct store *);
/* The text of the run before; NULL: not in the volume, or not read yet. */
const char *store_log_previous(uint32_t *len);
/* Somebody wants the machine to end, perhaps once more: store_log_saved() writes what there is. */
void store_log_end(void);
/*
 * Before the machine's end: begins to write what is not yet in the volume; true when nothing is
 * left that could be written.
 */
bool store_log_saved(void);
