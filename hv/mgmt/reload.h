/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reload.c: trivet.conf and its files, read anew from where Trivet started from, while guests run.
 * One at a time, in events of CPU 0; nothing changes before all of it is read and without an error.
 */
#pragma once
#include "boot/boot_info.h"
#include <hv/config.h>
#include <hv/event.h>
#include <hv/files.h>
#include <hv/stick.h>
#define RELOAD_CHANGES 600 /* that are told */

/* Memory for a file, with a zero behind it. */
struct reload_memory {
    uint8_t *at; /* NULL: none */
    uint64_t len;
};
struct reload {
    struct stick_file file; /* the one that is being read */
    struct reload_memory text, bytes;
    char (*names)[BOOT_NAME_MAX];  /* the files that it names */
    bool *changed;                 /* of each: it is not what it was */
    unsigned nnames, name, beyond; /* name: that is read; beyond: those that found no room */
    const uint8_t *old;            /* what the file is compared with; NULL: it is taken */
    uint64_t at;                   /* bytes of it so far */
    bool differs, microcode;       /* microcode: a file of it is not what it was */
    struct config next;
    unsigned guest; /* whose turn it is */
    struct event step;
    uint64_t read, kept; /* bytes: of all files; of those that are new */
    bool done;
    char why[200]; /* why nothing was changed; "": see next.nerrors and changes */
    struct change {
        char section[NAME_LEN + 8];
        const char *change; /* new, changed, removed */
        char text[160];
    } * changes;
    unsigned nchanges, untold;
};
/* 0; -EBUSY: one is under way; -ENODEV: stick_open(); -ENOMEM */
int must_check reload_begin(void);
const struct reload *reload_job(void); /* the one that is under way, or was last */
void reload_end(void);                 /* it is done, and was told */

/* reload_files.c. Memory of len + 1 bytes that nobody was promised, the last one 0; at NULL: none.
 */
struct reload_memory reload_take(uint64_t len);
void reload_give(struct reload_memory);
/* A file of the coming generation, whose memory it takes over. -ENOMEM: the caller has it still. */
int must_check reload_add(const char *path, struct reload_memory);
