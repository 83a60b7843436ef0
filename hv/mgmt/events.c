/* SPDX-License-Identifier: BSD-2-Clause */
/* events.c: what programs are told without asking. Each is one JSON line, between answers. */
#include "mgmt.h"
#include "out.h"
#include "session.h"
#include <hv/assert.h>
#include <hv/event.h>
#include <hv/notice.h>
#include <hv/time.h>
#include <hv/version.h>

static struct event wake;
static uint64_t seq;

static const struct {
    const char *event, *what;
} kinds[NOTICE_KINDS] = {
    [NOTICE_GUEST_STATE] = { "guest.state", "state" },
    [NOTICE_GUEST_PANIC] = { "guest.panic", "what" },
    [NOTICE_DISK_ERROR] = { "disk.error", "what" },
};

void event_hello(struct session *s)
{
    struct out o;

    assert_cpu0();
    out_begin_event(&o, "hello", time_ns());
    out_number(&o, "protocol", "", JSON_PROTOCOL, UNIT_NONE);
    out_text(&o, "version", "", "%s", trivet_version);
    out_end(&o, session_write, s);
}

void event_log(struct session *s, const char *text)
{
    struct out o;

    assert_cpu0();
    out_begin_event(&o, "log", time_ns());
    out_text(&o, "text", "", "%s", text);
    out_end(&o, session_write, s);
}

static void events_tell_lost(struct session *s, uint64_t count)
{
    struct out o;

    out_begin_event(&o, "lost", time_ns());
    out_number(&o, "count", "", count, UNIT_NONE);
    out_end(&o, session_write, s);
}

static void events_tell(struct session *s, const struct notice *n)
{
    struct out o;

    hv_assert(n->kind < NOTICE_KINDS);
    out_begin_event(&o, kinds[n->kind].event, n->ns);
    out_text(&o, "name", "", "%s", n->name);
    out_text(&o, kinds[n->kind].what, "", "%s", n->what);
    out_text(&o, "why", "", "%s", n->text);
    out_end(&o, session_write, s);
}

/* To those that asked, by `json on`. People read the log instead. */
static void tell_all(struct event *ev)
{
    struct notice n;

    (void)ev;
    for (uint64_t lost = 0; notice_read(&seq, &n, &lost); lost = 0) {
        for (struct session *s = session_next(NULL); s; s = session_next(s)) {
            if (!s->json)
                continue;
            if (lost)
                events_tell_lost(s, lost);
            events_tell(s, &n);
        }
    }
}

static void sink(void) { event_post(&wake); }

void events_init(void)
{
    assert_cpu0();
    event_init(&wake, tell_all, 0);
    notice_set_sink(sink);
}
