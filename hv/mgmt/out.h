/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An answer, described once and shown as aligned text or as one JSON object. Keys are JSON names;
 * labels are for people. The text grows in memory and is written by out_end().
 */
#pragma once
#include <hv/types.h>
enum unit { UNIT_NONE, UNIT_BYTES, UNIT_NS, UNIT_PERMILLE, UNIT_BOOL };
struct column {
    const char *key, *label;
    enum unit unit;
    bool right;
};
#define OUT_COLUMNS 10
#define OUT_ID 33
/* What kind of refusal it is, for programs; the words are in out.c. */
enum out_code {
    OUT_FAILED,    /* none of the others */
    OUT_USAGE,     /* the command or its arguments are wrong */
    OUT_UNKNOWN,   /* there is no such command, guest, key */
    OUT_STATE,     /* the guest is in a state in which that cannot be done */
    OUT_TIMEOUT,   /* it is not done in time, and may go on */
    OUT_CANCELLED, /* by Ctrl-C: it may go on */
    OUT_NO_MEMORY,
    OUT_CODES
};
extern const char *const out_codes[OUT_CODES];
struct out {
    char id[OUT_ID]; /* the request's, "" for none */
    const char *command;
    bool json, failed, no_memory, first; /* first: no field yet in the innermost JSON object */
    char *text;
    size_t len, cap;
    const struct column *columns; /* the list that is open */
    unsigned ncolumns, column;
    bool first_row;
    /* where the list's raw cells begin in text (human form) */
    size_t cells;
};
/* id, of at most OUT_ID - 1 bytes, and command come back in a JSON answer. command lives on. */
void out_begin(struct out *, bool json, const char *id, const char *command);
/* A line of its own, for programs: {"event":type,"time_ns":ns, and what follows until out_end() */
void out_begin_event(struct out *, const char *type, uint64_t ns);
/* one line; what was said before is dropped. The code is OUT_FAILED. */
void out_error(struct out *, const char *fmt, ...) printf_like(2, 3);
void out_error_code(struct out *, enum out_code, const char *fmt, ...) printf_like(3, 4);
void out_null(struct out *, const char *key); /* JSON: there is none; people see nothing */
void out_text(struct out *, const char *key, const char *label, const char *fmt, ...)
    printf_like(4, 5);
void out_number(struct out *, const char *key, const char *label, uint64_t, enum unit);
/* a sentence for people; JSON leaves it out */
void out_line(struct out *, const char *fmt, ...) printf_like(2, 3);
void out_list(struct out *, const char *key, const struct column *, unsigned n);
void out_row(struct out *);
void out_cell(struct out *, const char *);
void out_cell_number(struct out *, uint64_t);
void out_cell_null(struct out *); /* there is none; people see "-" */
void out_list_end(struct out *);
/* writes it, and frees it */
void out_end(struct out *, void (*write)(void *ctx, const char *, size_t), void *ctx);
void out_free(struct out *); /* unwritten */
/*
 * The filter of all text that leaves for a terminal: s, with what would steer the terminal (C0 but
 * the tab, DEL, C1, changes of direction) and what is no UTF-8 written as \\xNN. Returns the
 * length, at most len - 1; len >= 6. Everything in a struct out goes through it.
 */
size_t text_clean(char *buf, size_t len, const char *s);
/*
 * s as a JSON string with its quotes, for writers outside a struct out; returns the length written
 * (at most len - 1).
 */
size_t json_quote(char *buf, size_t len, const char *s);
