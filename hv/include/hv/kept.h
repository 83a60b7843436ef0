/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a reset leaves in memory: the log of the run before, and what its panic said. The loader
 * takes the same memory in every boot (boot_info.kept), and nothing else uses it. It has two banks;
 * a run writes the older one, so that the run before stays whole until the next. Each line has a
 * checksum over its run's number: memory that lost its contents, or that somebody wrote to, is not
 * taken for a log. After a power cut there is none.
 */
#pragma once
#include <hv/types.h>

#define KEPT_LINE 256u         /* bytes that a line takes */
#define KEPT_PANIC 4u          /* the level of a panic's lines; below: enum log_level */
#define KEPT_BANK (64u * 1024) /* the first line's place is the bank's head */
#define KEPT_LINES (KEPT_BANK / KEPT_LINE - 1)

/*
 * Boot, before anything is logged, once: finds the run before, and begins this run's. `area`: two
 * banks, aligned to 8 bytes; NULL: nothing is kept.
 */
void kept_begin(void *area);
/* With the log's lock held. A longer text is cut. The newest KEPT_LINES are kept. */
void kept_line(unsigned level, uint64_t ns, const char *text);
/* In a panic, by the CPU that tells of it: text, in pieces that end with the line. */
void kept_panic(const char *s, size_t len);
/*
 * Any CPU. A reader of the run before, as log_read() is one of this run: from *seq on (at first 0),
 * *seq is advanced past the line; false at the end.
 */
bool kept_previous(uint64_t *seq, unsigned *level, char *buf, size_t len);
/* Any CPU. The first line of its panic; false: it had none, or is not known. */
bool kept_reason(char *buf, size_t len);
