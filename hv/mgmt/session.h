/* SPDX-License-Identifier: BSD-2-Clause */
/* What a session is, for the files of hv/mgmt that make up the shell. Commands see `struct out`. */
#pragma once
#include "lineedit.h"
#include "mgmt.h"
#include "out.h"
#include <hv/event.h>
#include <hv/session.h>
struct session {
    struct session *next;
    const struct terminal *terminal;
    void *ctx; /* the terminal's */
    struct lineedit le;
    char line[LE_LINE]; /* JSON: the line being received */
    unsigned line_len;
    /* line_cut: JSON: the line does not fit, and is refused at its end */
    bool json, started, line_cut;
    uint64_t log_seq;
    struct out out; /* of the command that runs or waits */
    wait_fn *poll;  /* NULL: none waits */
    struct wait wait;
    struct event poll_event;
};
/* Commands are given &s->out, and nobody else gives them one. */
static inline struct session *session_of(struct out *o)
{
    return container_of(o, struct session, out);
}
void sessions_init(void); /* boot: before the first session_open() */
/* The next in the list; of NULL: the first. NULL: there is none. */
struct session *session_next(const struct session *);
void session_write(void *session, const char *, size_t);
void session_set_json(struct session *, bool);
void session_finish(struct session *); /* sends the answer, and takes input again */

/* shell.c: runs the line, which it cuts up; the session is busy afterwards if its command waits */
void shell_run(struct session *, char *line);
/* complete.c: for struct lineedit */
unsigned shell_complete(void *ctx, const char *buf, unsigned cur, unsigned *start,
                        const char **words, unsigned max);
