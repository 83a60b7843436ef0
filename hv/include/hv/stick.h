/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The partition that Trivet started from, read anew while it runs: one file at a time, in pieces,
 * each in an event of CPU 0. All calls: CPU 0.
 */
#pragma once
#include <hv/types.h>
#define STICK_PIECE (64 * KIB)
/* Something to read. From stick_read() until `done` it belongs to stick.c. */
struct stick_file {
    const char *path; /* UTF-8, as trivet.conf has it */
    uint64_t bytes;   /* of the file, from `begin` on */
    /* 0; what else they return ends it, and is what `done` is told */
    int (*begin)(struct stick_file *);
    int (*piece)(struct stick_file *, uint64_t at, const uint8_t *bytes, uint32_t n);
    /* 0; -ENOENT: no such file; -EIO: see stick_why() */
    void (*done)(struct stick_file *, int err);
};
/*
 * Before the first file: the file system is looked at anew, for the medium may have been changed.
 * -ENODEV: it cannot be read while Trivet runs, -ENOMEM; stick_why() says it in words.
 */
int must_check stick_open(void);
void stick_read(struct stick_file *); /* none is being read */
const char *stick_why(void);          /* of the last error */
const char *stick_name(void);         /* the partition, such as "nvme0p1"; "" if there is none */
