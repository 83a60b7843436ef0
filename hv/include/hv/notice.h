/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens that programs want to know of, as data instead of log text: the shell sends it as
 * events of the JSON protocol. A ring; the oldest give way.
 */
#pragma once
#include <hv/types.h>
enum notice_kind { NOTICE_GUEST_STATE, NOTICE_GUEST_PANIC, NOTICE_DISK_ERROR, NOTICE_KINDS };
#define NOTICES 64
struct notice {
    enum notice_kind kind;
    uint64_t ns;    /* time_ns() */
    char name[32];  /* of the guest, of the disk */
    char what[24];  /* state: the new one; else a word or two */
    char text[200]; /* why, for people */
};
/* Any CPU, any context but NMI; no lock above LOCK_LOG is held. Strings are copied, cut to fit. */
void notice_post(enum notice_kind, const char *name, const char *what, const char *text);
/*
 * The oldest with sequence number >= *seq; *seq goes past it, *lost counts those that gave way.
 * False: there is none.
 */
bool notice_read(uint64_t *seq, struct notice *, uint64_t *lost);
void notice_set_sink(void (*)(void)); /* called after each; any CPU, any context */
