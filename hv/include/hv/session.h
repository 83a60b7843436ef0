/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sessions. In each somebody types commands: on the serial line today, later over the network. A
 * session has a line and its editor, an output of its own, JSON or text, and one command that may
 * wait; the others go on meanwhile. Everything here: CPU 0, from events.
 */
#pragma once
#include <hv/types.h>
struct console;
struct session;
/* Where a session's output goes. The functions must neither block nor close the session. */
struct terminal {
    void (*write)(void *ctx, const char *, size_t);
    void (*ready)(void *ctx); /* session_busy() ended */
    /* shows a guest's console until it comes back by itself; NULL: it has no way to */
    void (*attach)(void *ctx, struct console *);
};
/*
 * CPU 0. The terminal and ctx stay until session_close(). It is silent until session_start().
 * -ENOMEM; -ENOSPC when there are SESSIONS_MAX.
 */
#define SESSIONS_MAX 8
int must_check session_open(const struct terminal *, void *ctx, struct session **);
/* What its command waits for goes on. Not from a function of the session's own terminal. */
void session_close(struct session *);
/*
 * Once: the prompt, or the greeting of the JSON protocol. From here on it sees log lines, and JSON
 * sessions see events.
 */
void session_start(struct session *, bool json);
/* One typed byte. Not while it is busy: keep what was typed ahead. */
void session_input(struct session *, char);
bool session_busy(const struct session *); /* a command waits */
void session_interrupt(struct session *);  /* Ctrl-C while busy: the command waits no longer */
void session_redraw(struct session *);     /* its terminal shows it again */
bool session_json(const struct session *);
