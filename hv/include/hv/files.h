/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The files of the stick that Trivet holds in memory, read-only: those that the boot program read,
 * which stay until power-off, and those that `reload` has read since. Each reload is a generation:
 * a guest goes on with the files of the one that it started in. CPU 0, unless stated.
 */
#pragma once
#include "boot/boot_info.h"
#include <hv/types.h>
/* Boot step: logs what the boot program has loaded and what not; keeps the pointer. Always 0. */
int must_check files_init(const struct boot_info *);
/*
 * The file's contents, as long as its generation is in use, with their bytes in *len; NULL: not
 * loaded. Paths compare without case, / equals \, and a leading / does not matter.
 */
const void *file_find(const char *path, uint64_t *len);
/* any CPU: memory that the files take */
uint64_t files_bytes(void);

uint64_t files_generation(void); /* the newest; 1: as booted */
/*
 * Which generation file_find() looks at until the next call; FILES_NEWEST: the newest, as at the
 * beginning; FILES_COMING: that of files_add() and files_keep().
 */
#define FILES_NEWEST 0
#define FILES_COMING UINT64_MAX
void files_look_at(uint64_t generation);
/* A file of the coming generation. The caller's, until `drop` is called. */
struct file_version {
    struct file_version *next;
    char path[BOOT_NAME_MAX];
    const void *bytes;
    uint64_t len;
    void (*drop)(struct file_version *);
    uint64_t from, until; /* private: generations, the second one not any more */
    bool keep;
};
void files_add(struct file_version *);
void files_keep(const char *path); /* the coming generation has the newest one's file */
void files_commit(void);           /* the coming generation is the newest now */
void files_cancel(void);           /* there is none coming */
/* Nobody uses generations below this one: their files are dropped. */
void files_drop(uint64_t oldest);
