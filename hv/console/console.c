/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console mux. Each console keeps its output in a ring, under a lock of its own; each line of
 * the host (serial port, framebuffer) has a place in the ring of the console it shows and is pumped
 * from there as it has room, so that a slow line holds up only the guest that is shown. Input goes
 * to the console shown.
 */
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/console.h>
#include <hv/lock.h>
#include <hv/log.h>
#include <hv/order.h>
#include <hv/panic.h>
#include <hv/percpu.h>
#include <hv/time.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RING (64 * 1024u)
#define INPUT 4096u
#define LINES 4
#define PUMP 256u /* bytes copied at a time */
#define LISTENERS 4
#define CTRL_C 0x03

struct listener {
    struct event *ready;
    unsigned priority;
};
struct console {
    struct spinlock lock; /* of all but the name */
    char name[NAME_LEN];
    char out[RING];
    uint64_t head; /* bytes ever written */
    char in[INPUT];
    uint32_t in_head, in_tail; /* free-running */
    uint64_t in_dropped;
    struct listener listener[LISTENERS];
};
struct line {
    const struct host_console *host;
    uint64_t pos;       /* next byte of the shown console's ring */
    uint64_t shell_pos; /* where the shell's output stood when a guest was attached */
    uint64_t dropped;
    char notice[512]; /* shown before the ring goes on */
    uint32_t notice_len, notice_pos;
};

/* of the lines, what they show, and what was typed; taken before a console's */
static struct spinlock lock = SPINLOCK_INIT(LOCK_LINES);
static struct line lines[LINES];
static unsigned nlines;
static struct console *home, *shown; /* shown: atomic, changed under the lock */
static const struct console_reader *reader;
static char typed[INPUT];
static uint32_t typed_head, typed_tail;
static uint64_t typed_dropped, dropped_told, detached_ns;
static char leave_key = 0x1d; /* Ctrl-]; written on CPU 0, under the lock */
static struct console *detached_from;
static struct event typed_event, pump_event;

/* ---- output ---- */

/* Up to `len` bytes from `pos` on. */
static size_t ring_copy(const struct console *c, uint64_t pos, char *buf, size_t len)
{
    size_t n = (size_t)min_u64(min_u64(c->head - pos, len), RING - pos % RING);

    debug_assert_held(&c->lock);
    memcpy(buf, &c->out[pos % RING], n);
    return n;
}

/* The ring has gone past this line's place: skip ahead and say how much was lost. */
static void catch_up(struct line *l)
{
    uint64_t lost = shown->head - l->pos - RING / 2;

    assert_held(&lock);
    assert_held(&shown->lock);
    l->pos += lost;
    l->dropped += lost;
    l->notice_pos = 0;
    l->notice_len =
        (uint32_t)snprintf(l->notice, sizeof l->notice,
                           "\r\n[Trivet: the line was too slow, %llu bytes are not shown]\r\n",
                           (unsigned long long)lost);
}

/* What the line is to show next; nothing when a notice has come up that goes first. */
static size_t next_output(struct line *l, char *buf, size_t len)
{
    size_t n = 0;

    debug_assert_held(&lock);
    spin_lock(&shown->lock);
    if (shown->head - l->pos > RING)
        catch_up(l);
    if (l->notice_pos == l->notice_len)
        n = ring_copy(shown, l->pos, buf, len);
    spin_unlock(&shown->lock);
    return n;
}

static bool pump_notice(struct line *l)
{
    while (l->notice_pos < l->notice_len) {
        size_t done = l->host->write(l->notice + l->notice_pos, l->notice_len - l->notice_pos);

        if (!done)
            return false;
        l->notice_pos += (uint32_t)done;
    }
    return true;
}

static void pump_line(struct line *l)
{
    char buf[PUMP];
    size_t n, done;

    do {
        n = next_output(l, buf, sizeof buf);
        if (!pump_notice(l))
            return;
        n = n ? n : next_output(l, buf, sizeof buf);
        done = n ? l->host->write(buf, n) : 0;
        l->pos += done;
    } while (n && done == n);
}

static void console_pump(void)
{
    debug_assert_held(&lock);
    for (unsigned i = 0; shown && i < nlines; i++)
        pump_line(&lines[i]);
}

static void console_append(struct console *c, const char *s, size_t len)
{
    debug_assert_held(&c->lock);
    while (len > 0) {
        size_t at = c->head % RING, n = (size_t)min_u64(len, RING - at);

        memcpy(&c->out[at], s, n);
        c->head += n;
        s += n;
        len -= n;
    }
}

void console_write(struct console *c, const char *s, size_t len)
{
    debug_assert(c && (s || !len));
    spin_lock(&c->lock);
    console_append(c, s, len);
    spin_unlock(&c->lock);
    /* Either this sees that it is shown, or who shows it sees what was written. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (c != __atomic_load_n(&shown, __ATOMIC_RELAXED))
        return;
    spin_lock(&lock);
    console_pump();
    spin_unlock(&lock);
}

static void pump_now(struct event *ev)
{
    assert_cpu0();
    (void)ev;
    spin_lock(&lock);
    console_pump();
    spin_unlock(&lock);
}

void host_console_tx_ready(void) { event_post(&pump_event); }

/* What is left goes out polled: the machine is about to end. */
void console_drain(void)
{
    char buf[PUMP];

    spin_lock(&lock);
    for (unsigned i = 0; i < nlines; i++) {
        struct line *l = &lines[i];
        size_t n = next_output(l, buf, sizeof buf);

        l->host->write_sync(l->notice + l->notice_pos, l->notice_len - l->notice_pos);
        l->notice_pos = l->notice_len;
        for (n = n ? n : next_output(l, buf, sizeof buf); n; n = next_output(l, buf, sizeof buf)) {
            l->host->write_sync(buf, n);
            l->pos += n;
        }
    }
    spin_unlock(&lock);
}

size_t console_scrollback(struct console *c, char *buf, size_t len)
{
    uint64_t pos;
    size_t n = 0, piece;

    hv_assert(c && (buf || !len));
    spin_lock(&c->lock);
    pos = c->head - min_u64(c->head, min_u64(RING, len));
    while ((piece = ring_copy(c, pos, buf + n, len - n)) > 0) {
        pos += piece;
        n += piece;
    }
    spin_unlock(&c->lock);
    return n;
}

/* ---- which console is shown ---- */

static void printf_like(1, 2) notice_all(const char *fmt, ...)
{
    assert_held(&lock);
    for (unsigned i = 0; i < nlines; i++) {
        struct line *l = &lines[i];
        va_list ap;
        int n;

        va_start(ap, fmt);
        n = vsnprintf(l->notice, sizeof l->notice, fmt, ap);
        va_end(ap);
        l->notice_pos = 0;
        l->notice_len = (uint32_t)min_u64((uint64_t)n, sizeof l->notice - 1);
    }
}

void console_attach(struct console *c, bool replay)
{
    assert_cpu0();
    hv_assert(c && home);
    spin_lock(&lock);
    if (shown == home) {
        for (unsigned i = 0; i < nlines; i++)
            lines[i].shell_pos = lines[i].pos;
    }
    __atomic_store_n(&shown, c, __ATOMIC_RELEASE);
    store_before_load();
    spin_lock(&c->lock);
    for (unsigned i = 0; i < nlines; i++)
        lines[i].pos = c->head - (replay ? min_u64(c->head, RING) : 0);
    spin_unlock(&c->lock);
    notice_all("\r\n[console %s; Ctrl-%c returns to Trivet]\r\n", c->name, leave_key | 0x40);
    console_pump();
    spin_unlock(&lock);
}

/*
 * What a guest may have left the operator's terminal in, undone (ECMA-48; xterm's control
 * sequences). CAN and ST first: they end a sequence or a string that has begun, which would swallow
 * the rest.
 */
const char console_undo[] = "\030\033\\" /* CAN, ST */
                            /* mouse reports */
                            "\033[?9l\033[?1000l\033[?1001l\033[?1002l\033[?1003l"
                            /* focus reports, and the forms of mouse reports */
                            "\033[?1004l\033[?1005l\033[?1006l\033[?1015l\033[?1016l"
                            /* bracketed paste, insert, new line, reverse, origin, keypad */
                            "\033[?2004l\033[4l\033[20l\033[?5l\033[?6l\033[?66l"
                            /* no line drawing: G0 to G3 are ASCII, and G0 is in use */
                            "\033(B\033)B\033*B\033+B\017"
                            /* other forms of keys, alternate screen */
                            "\033[>4;0m\033[<u\033[?1049l"
                            /* region, margins, attributes, cursor, wrap, cursor keys */
                            "\033[r\033[?69l\033[0m\033[0 q\033[?25h\033[?7h\033[?1l\033>";

uint64_t console_input_lost(struct console *c)
{
    uint64_t n;

    spin_lock(&c->lock);
    n = c->in_dropped;
    spin_unlock(&c->lock);
    return n;
}

static void detach(void)
{
    uint64_t lost;

    assert_cpu0();
    spin_lock(&lock);
    detached_from = shown;
    lost = console_input_lost(shown);
    __atomic_store_n(&shown, home, __ATOMIC_RELEASE);
    store_before_load();
    for (unsigned i = 0; i < nlines; i++)
        lines[i].pos = lines[i].shell_pos;
    if (lost)
        notice_all("%s\033[999;1H\r\n[Trivet: %llu bytes typed for %s found no room]\r\n",
                   console_undo, (unsigned long long)lost, detached_from->name);
    else
        notice_all("%s\033[999;1H\r\n[Trivet]\r\n", console_undo);
    console_pump();
    spin_unlock(&lock);
    detached_ns = time_ns();
    reader->redraw();
}

bool console_is_shown(const struct console *c)
{
    assert_cpu0();
    return c == shown;
}

/* ---- input ---- */

static struct event *top_listener(const struct console *c)
{
    struct event *ready = NULL;
    unsigned best = 0;

    assert_held(&c->lock);
    for (unsigned i = 0; i < LISTENERS; i++) {
        if (c->listener[i].ready && c->listener[i].priority >= best) {
            ready = c->listener[i].ready;
            best = c->listener[i].priority;
        }
    }
    return ready;
}

int console_listen(struct console *c, unsigned priority, struct event *ready)
{
    int err = -ENOSPC;

    hv_assert(ready);
    spin_lock(&c->lock);
    for (unsigned i = 0; err && i < LISTENERS; i++) {
        if (!c->listener[i].ready) {
            c->listener[i] = (struct listener){ ready, priority };
            err = 0;
        }
    }
    spin_unlock(&c->lock);
    if (!err)
        event_post(ready); /* what was typed before somebody listened */
    return err;
}

void console_unlisten(struct console *c, struct event *ready)
{
    hv_assert(ready);
    spin_lock(&c->lock);
    for (unsigned i = 0; i < LISTENERS; i++) {
        if (c->listener[i].ready == ready)
            c->listener[i] = (struct listener){ NULL, 0 };
    }
    spin_unlock(&c->lock);
}

size_t console_read(struct console *c, struct event *ready, char *buf, size_t len)
{
    size_t n = 0;

    hv_assert(ready && (buf || !len));
    spin_lock(&c->lock);
    if (top_listener(c) == ready) {
        while (n < len && c->in_tail != c->in_head)
            buf[n++] = c->in[c->in_tail++ % INPUT];
    }
    spin_unlock(&c->lock);
    return n;
}

static void console_give(struct console *c, const char *s, size_t len)
{
    struct event *ready = top_listener(c);

    debug_assert_held(&c->lock);
    for (size_t i = 0; i < len; i++) {
        if (c->in_head - c->in_tail < INPUT)
            c->in[c->in_head++ % INPUT] = s[i];
        else
            c->in_dropped++;
    }
    if (ready)
        event_post(ready); /* under the lock: after console_unlisten() nobody posts it */
}

static void to_guest(struct console *c, char ch)
{
    spin_lock(&c->lock);
    console_give(c, &ch, 1);
    spin_unlock(&c->lock);
}

/* The leave key leaves a guest; a second one right after goes back and is the guest's. */
static void type_char(char ch)
{
    if (shown != home) {
        if (ch == leave_key)
            detach();
        else
            to_guest(shown, ch);
        return;
    }
    if (ch == leave_key && detached_from && time_ns() - detached_ns < 1000000000u) {
        struct console *c = detached_from;

        console_attach(c, false);
        to_guest(c, ch);
        return;
    }
    reader->input(ch);
}

static bool next_typed(char *ch)
{
    bool any;

    spin_lock(&lock);
    any = typed_tail != typed_head;
    if (any)
        *ch = typed[typed_tail++ % INPUT];
    spin_unlock(&lock);
    return any;
}

/* Drops what was typed up to a Ctrl-C; false when there is none. */
static bool take_interrupt(void)
{
    bool found = false;

    spin_lock(&lock);
    for (uint32_t i = typed_tail; !found && i != typed_head; i++) {
        if (typed[i % INPUT] == CTRL_C) {
            typed_tail = i + 1;
            found = true;
        }
    }
    spin_unlock(&lock);
    return found;
}

/* What the shell had no room for, once there is room again: a line that lacks a piece is told. */
static void console_tell_lost(void)
{
    uint64_t lost;

    spin_lock(&lock);
    lost = typed_dropped - dropped_told;
    dropped_told = typed_dropped;
    if (lost) {
        notice_all("\r\n[Trivet: %llu typed bytes found no room]\r\n", (unsigned long long)lost);
        console_pump();
    }
    spin_unlock(&lock);
    if (lost && shown == home)
        reader->redraw();
}

#define TYPED_BUDGET 256

static void typed_now(struct event *ev)
{
    char ch;

    assert_cpu0();
    for (unsigned i = 0; i < TYPED_BUDGET; i++) {
        if (shown == home && reader->busy()) {
            if (!take_interrupt())
                return; /* typed ahead: it waits until the command is done */
            reader->interrupt();
        }
        if (!next_typed(&ch)) {
            console_tell_lost();
            return;
        }
        type_char(ch);
    }
    event_post(ev);
}

void console_input_resume(void) { event_post(&typed_event); }

void console_set_escape(char key)
{
    assert_cpu0();
    spin_lock(&lock);
    leave_key = key;
    spin_unlock(&lock);
}

/*
 * What is typed for the guest that is shown goes to it at once, up to the leave key, unless
 * something typed before still waits. How many bytes of it that are.
 */
static size_t straight_to_guest(const char *s, size_t len)
{
    size_t n = 0;

    assert_held(&lock);
    if (shown == home || typed_tail != typed_head)
        return 0;
    while (n < len && s[n] != leave_key)
        n++;
    if (!n)
        return 0;
    spin_lock(&shown->lock);
    console_give(shown, s, n);
    spin_unlock(&shown->lock);
    return n;
}

void host_console_rx(const char *s, size_t len)
{
    spin_lock(&lock);
    size_t given = straight_to_guest(s, len);
    for (size_t i = given; i < len; i++) {
        if (typed_head - typed_tail < INPUT)
            typed[typed_head++ % INPUT] = s[i];
        else
            typed_dropped++;
    }
    spin_unlock(&lock);
    if (given < len)
        event_post(&typed_event);
}

/* ---- life ---- */

int console_create(const char *name, struct console **out)
{
    struct console *c = calloc(1, sizeof *c); /* charge: by the caller */

    hv_assert(name && out);
    if (!c)
        return -ENOMEM;
    spin_init(&c->lock, LOCK_CONSOLE);
    snprintf(c->name, sizeof c->name, "%s", name);
    *out = c;
    return 0;
}

static void console_write_sync(const char *s, size_t len)
{
    for (unsigned i = 0; i < nlines; i++)
        lines[i].host->write_sync(s, len);
}

void host_console_register(const struct host_console *h)
{
    hv_assert(h && h->write && h->write_sync);
    spin_lock(&lock);
    hv_assert(nlines < LINES);
    lines[nlines++] = (struct line){ .host = h };
    spin_unlock(&lock);
    panic_set_writer(console_write_sync);
}

int console_init(const struct console_reader *r, struct console **out)
{
    int err = console_create("trivet", &home);

    assert_cpu0();
    hv_assert(r->input && r->busy && r->interrupt && r->redraw);
    if (err)
        return err;
    event_init(&typed_event, typed_now, 0);
    event_init(&pump_event, pump_now, 0);
    reader = r;
    shown = *out = home;
    return 0;
}
