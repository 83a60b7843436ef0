/* SPDX-License-Identifier: BSD-2-Clause */
/* What inflate.c and its methods share: one method for each way in which kernels are compressed. */
#pragma once
#include <hv/inflate.h>

#define INFLATION_INPUT (1u << 20) /* bytes that a step reads, at most */

/* The start of every method's own struct. */
struct inflation {
    struct inflation_memory memory;
    const struct inflation_method *method;
    const uint8_t *at; /* what has not been read */
    uint64_t left, most;
    struct {
        void *p;
        size_t len;
    } large[4];     /* of scratch memory */
    bool no_memory; /* some was refused */
};

struct inflation_method {
    const char *name;  /* as zboot files begin theirs */
    const char *magic; /* of a file, and its length */
    size_t magic_len;
    size_t size;                      /* of its struct */
    int (*begin)(struct inflation *); /* 0 or -ENOMEM */
    int (*step)(struct inflation *, const uint8_t **piece, uint64_t *n, char *why, size_t room);
    void (*end)(struct inflation *);
};
extern const struct inflation_method inflate_gzip, inflate_zstd, inflate_xz;

/* For the libraries: `opaque` is the struct inflation. */
void *inflate_take(void *opaque, size_t n, size_t size);
void inflate_give(void *opaque, void *p);
/* why[room] = what; -EINVAL. */
int must_check inflate_why(char *why, size_t room, const char *what);
/* The same, for memory that was refused: -ENOMEM. */
int must_check inflate_short(char *why, size_t room);
/* The file ends in the middle. */
int must_check inflate_cut(char *why, size_t room);
