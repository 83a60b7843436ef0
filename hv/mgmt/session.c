/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * session.c: typed bytes become lines, answers go back; commands that wait; log lines above the
 * line being typed.
 */
#include "session.h"
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/log.h>
#include <hv/time.h>
#include <hv/words.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROMPT "trivet> "
#define POLL_NS 50000000u

static struct session *sessions; /* oldest first */
static struct event log_event;

struct session *session_next(const struct session *s)
{
    assert_cpu0();
    return s ? s->next : sessions;
}

void session_write(void *session, const char *text, size_t n)
{
    struct session *s = session;

    s->terminal->write(s->ctx, text, n);
}

bool session_json(const struct session *s) { return s->json; }
bool session_busy(const struct session *s) { return s->poll != NULL; }

void session_set_json(struct session *s, bool on)
{
    assert_cpu0();
    if (on && !s->json)
        event_hello(s);
    s->json = on;
    s->line_len = 0;
    s->line_cut = false;
}

/* ---- the log ---- */

static void show_log_line(struct session *s, const char *text)
{
    if (s->json) {
        event_log(s, text);
        return;
    }
    session_write(s, text, strlen(text));
    session_write(s, "\r\n", 2);
}

static void show_log(struct session *s)
{
    bool editing = !s->json && !s->poll, hidden = false;
    char text[256];

    while (log_read(&s->log_seq, the_config.host.log, text, sizeof text)) {
        if (editing && !hidden)
            le_hide(&s->le);
        hidden = true;
        show_log_line(s, text);
    }
    if (editing && hidden)
        le_redraw(&s->le);
}

static void show_log_to_all(struct event *ev)
{
    (void)ev;
    for (struct session *s = session_next(NULL); s; s = session_next(s)) {
        if (s->started)
            show_log(s);
    }
}

/* Any CPU, any context: the text itself is read from the log's ring. */
static void log_sink(const char *text, size_t len)
{
    (void)text;
    (void)len;
    event_post(&log_event);
}

/* ---- waiting ---- */

void session_finish(struct session *s)
{
    assert_cpu0();
    out_end(&s->out, session_write, s);
    s->poll = NULL;
    if (!s->json)
        le_start(&s->le);
    s->terminal->ready(s->ctx);
    event_post(&log_event);
}

static void session_poll(struct event *ev)
{
    struct session *s = container_of(ev, struct session, poll_event);

    assert_cpu0();
    if (!s->poll)
        return;
    if (s->poll(&s->out, &s->wait))
        session_finish(s);
    else
        event_at(ev, time_ns() + POLL_NS);
}

struct wait *wait_for(struct out *o, struct vm *vm, uint64_t timeout, wait_fn *poll)
{
    struct session *s = session_of(o);

    assert_cpu0();
    hv_assert(poll);
    wait_begin(&s->wait, vm, timeout);
    s->poll = poll;
    event_post(&s->poll_event);
    return &s->wait;
}

void session_interrupt(struct session *s)
{
    assert_cpu0();
    if (!s->poll)
        return;
    session_write(s, "^C\r\n", 4);
    out_error_code(&s->out, OUT_CANCELLED,
                   "no longer waiting; it goes on in the background (`list` shows how far it is)");
    session_finish(s);
}

void shell_progress(struct out *o, const char *fmt, ...)
{
    char text[200], clean[400];
    va_list ap;

    if (o->json)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    session_write(session_of(o), clean, text_clean(clean, sizeof clean, text));
    session_write(session_of(o), "\r\n", 2);
}

bool session_attach(struct out *o, struct console *c)
{
    struct session *s = session_of(o);

    if (s->terminal->attach)
        s->terminal->attach(s->ctx, c);
    return s->terminal->attach;
}

/* ---- input ---- */

/* JSON: no echo, no editing; a line ends with CR, LF or both. */
static void input_json(struct session *s, char c)
{
    hv_assert(s->line_len < sizeof s->line);
    if (c != '\r' && c != '\n') {
        if (s->line_len < sizeof s->line - 1)
            s->line[s->line_len++] = c;
        else
            s->line_cut = true;
        return;
    }
    s->line[s->line_len] = '\0';
    s->line_len = 0;
    if (!s->line_cut) {
        shell_run(s, s->line);
        return;
    }
    s->line_cut = false;
    out_begin(&s->out, true, "", "");
    out_error_code(&s->out, OUT_USAGE, "the line is too long: at most %u bytes; nothing was done",
                   (unsigned)sizeof s->line - 1);
    session_finish(s);
}

void session_input(struct session *s, char c)
{
    char line[LE_LINE];

    assert_cpu0();
    hv_assert(!s->poll);
    if (s->json) {
        input_json(s, c);
        return;
    }
    switch (le_feed(&s->le, c)) {
    case LE_DONE:
        memcpy(line, s->le.buf, sizeof line);
        shell_run(s, line);
        break;
    case LE_INTERRUPT: le_start(&s->le); break;
    case LE_NONE: break;
    }
}

void session_redraw(struct session *s)
{
    assert_cpu0();
    if (!s->json && !s->poll && s->started)
        le_redraw(&s->le);
}

/* ---- life ---- */

static unsigned count_sessions(void)
{
    unsigned n = 0;

    for (struct session *s = sessions; s; s = s->next)
        n++;
    return n;
}

int session_open(const struct terminal *t, void *ctx, struct session **out)
{
    struct session *s, **end = &sessions;

    assert_cpu0();
    hv_assert(t->write && t->ready);
    if (count_sessions() == SESSIONS_MAX)
        return -ENOSPC;
    s = calloc(1, sizeof *s); /* charge: the shell's */
    if (!s)
        return -ENOMEM;
    s->terminal = t;
    s->ctx = ctx;
    le_init(&s->le, PROMPT, 80, session_write, s);
    s->le.complete = shell_complete;
    event_init(&s->poll_event, session_poll, 0);
    while (*end)
        end = &(*end)->next;
    *end = s;
    *out = s;
    return 0;
}

void session_close(struct session *s)
{
    struct session **at = &sessions;

    assert_cpu0();
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    event_kill(&s->poll_event);
    if (s->poll)
        out_free(&s->out);
    free(s);
}

void session_start(struct session *s, bool json)
{
    char text[256];

    assert_cpu0();
    hv_assert(!s->started);
    while (log_read(&s->log_seq, LOG_DEBUG, text, sizeof text))
        ; /* what was logged before it is not for it */
    log_set_sink(log_sink);
    s->started = true;
    session_set_json(s, json);
    if (!json)
        le_start(&s->le);
}

void sessions_init(void)
{
    event_init(&log_event, show_log_to_all, 0);
    events_init();
}
