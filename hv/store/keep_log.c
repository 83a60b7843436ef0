/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * keep_log.c: see <hv/store_log.h>. A disk wears, and guests can cause lines: updates come in
 * bursts, then one each PACE_NS.
 */
#include <hv/assert.h>
#include <hv/event.h>
#include <hv/kept.h>
#include <hv/log.h>
#include <hv/store_log.h>
#include <hv/store_volume.h>
#include <hv/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_NS 1000000000ull
#define PACE_NS 60000000000ll
#define BURST 30

enum log_step { LOG_OFF, LOG_READING, LOG_PANIC, LOG_IDLE, LOG_WRITING };

static struct store_log {
    struct store_op op;
    struct event look;
    enum log_step step;
    char *before, *text; /* STORE_LOG_ROOM each */
    uint32_t before_len, len;
    uint32_t saved;  /* bytes of text that the object has */
    bool whole;      /* the next update writes all of it */
    bool ending;     /* the last update was begun */
    bool told;       /* that it cannot be kept */
    uint64_t seq;    /* of the log's next line */
    int64_t next_ns; /* no update before; negative: the first burst */
    char name[STORE_NAME];
} keep;

static void log_next(void);

/* ---- this run's ---- */

/* The older half goes, in whole lines. */
static void drop_half(void)
{
    const char *at = memchr(keep.text + keep.len / 2, '\n', keep.len - keep.len / 2);

    hv_assert(at);
    keep.len -= (uint32_t)(at + 1 - keep.text);
    memmove(keep.text, at + 1, keep.len);
    keep.whole = true;
}

static void take_lines(void)
{
    char line[300];

    while (log_read(&keep.seq, LOG_INFO, line, sizeof line - 1)) {
        size_t n = strlen(line);

        line[n++] = '\n';
        if (keep.len + n > STORE_LOG_ROOM)
            drop_half();
        memcpy(keep.text + keep.len, line, n);
        keep.len += (uint32_t)n;
    }
}

static void put_log_page(struct store_op *op, uint32_t page, uint8_t *bytes)
{
    uint64_t at = (uint64_t)page * STORE_PAGE;

    memcpy(bytes, keep.text + at, min_u64(op->len - at, STORE_PAGE));
}

static void put_log_done(struct store_op *op, int status)
{
    if (keep.step == LOG_WRITING && !status) {
        keep.saved = (uint32_t)op->len;
        keep.whole = false;
    } else if (keep.step == LOG_WRITING) {
        keep.whole = true;
    }
    if (status && !keep.told) {
        keep.told = true;
        log_warn("the log cannot be kept in the state volume: error %d (`state` shows what is in "
                 "it)",
                 -status);
    }
    if (keep.step == LOG_PANIC)
        keep.len = 0;
    keep.step = LOG_IDLE;
    event_at(&keep.look, time_ns() + LOOK_NS);
}

static void put_text(const char *name, enum log_step step)
{
    static const struct store_op put = { .kind = STORE_PUT,
                                         .page = put_log_page,
                                         .done = put_log_done };
    static uint64_t changed[STORE_OBJECT_PAGES / 64];

    memset(changed, 0, sizeof changed);
    for (uint32_t p = keep.saved / STORE_PAGE; p < store_pages(keep.len); p++)
        changed[p / 64] |= 1ull << p % 64;
    keep.op = put;
    keep.op.len = keep.len;
    keep.op.changed = keep.whole ? NULL : changed;
    snprintf(keep.op.name, sizeof keep.op.name, "%s", name);
    keep.step = step;
    store_volume_submit(&keep.op);
}

static void log_write(void)
{
    int64_t from = (int64_t)time_ns() - BURST * PACE_NS;

    keep.next_ns = (keep.next_ns > from ? keep.next_ns : from) + PACE_NS;
    put_text(keep.name, LOG_WRITING);
}

static void log_look(struct event *ev)
{
    if (keep.step != LOG_IDLE)
        return; /* the end of that comes back here */
    take_lines();
    if ((keep.whole || keep.len != keep.saved) && (int64_t)time_ns() >= keep.next_ns)
        log_write();
    else
        event_at(ev, time_ns() + LOOK_NS);
}

void store_log_end(void) { keep.ending = false; }

bool store_log_saved(void)
{
    assert_cpu0();
    if (keep.step == LOG_OFF || !store_volume_usable())
        return true;
    if (keep.step != LOG_IDLE)
        return false;
    if (keep.ending)
        return true; /* also when it failed */
    keep.ending = true;
    take_lines();
    if (keep.whole || keep.len != keep.saved)
        log_write();
    return keep.step == LOG_IDLE;
}

/* ---- the run before ---- */

/* What its panic said is in memory, and after the next power cut nowhere else. */
static void log_next(void)
{
    char line[KEPT_LINE];
    unsigned level;
    uint64_t seq = 0;

    while (kept_previous(&seq, &level, line, sizeof line - 1)) {
        size_t n = strlen(line);

        if (level != KEPT_PANIC || keep.len + n + 1 > STORE_LOG_ROOM)
            continue;
        memcpy(keep.text + keep.len, line, n);
        keep.text[keep.len + n] = '\n';
        keep.len += (uint32_t)n + 1;
    }
    keep.whole = true;
    keep.step = LOG_IDLE;
    if (keep.len)
        put_text("panic", LOG_PANIC);
    else
        log_look(&keep.look);
}

static void get_log_page(struct store_op *op, uint32_t page, uint8_t *bytes)
{
    uint64_t at = (uint64_t)page * STORE_PAGE;

    memcpy(keep.before + at, bytes, min_u64(op->len - at, STORE_PAGE));
}

/* Nothing in it may steer a terminal, whoever wrote the disk. */
static void get_log_done(struct store_op *op, int status)
{
    for (uint32_t i = 0; !status && i < op->len; i++)
        if (keep.before[i] != '\n' && (keep.before[i] < 0x20 || keep.before[i] > 0x7e))
            keep.before[i] = '?';
    keep.before_len = status ? 0 : (uint32_t)op->len;
    log_next();
}

/* Its object; NULL: there is none. The other one is this run's. */
static const char *log_newest(const struct store *s)
{
    static const char *const names[] = { "log/0", "log/1" };
    uint64_t sequence = 0;
    unsigned newest = 1;
    struct store_object o;

    for (uint32_t i = 0; store_object(s, i, &o); i++)
        for (unsigned k = 0; k < ARRAY_SIZE(names); k++)
            if (strcmp(o.name, names[k]) == 0 && o.sequence > sequence) {
                sequence = o.sequence;
                newest = k;
            }
    snprintf(keep.name, sizeof keep.name, "%s", names[!newest]);
    return sequence ? names[newest] : NULL;
}

void store_log_begin(const struct store *s)
{
    const char *name;

    assert_cpu0();
    hv_assert(keep.step == LOG_OFF);
    keep.before = calloc(1, STORE_LOG_ROOM); /* charge: Trivet's own */
    keep.text = calloc(1, STORE_LOG_ROOM);   /* charge: as above */
    if (!keep.before || !keep.text) {
        free(keep.before);
        free(keep.text);
        return;
    }
    event_init(&keep.look, log_look, 0);
    keep.next_ns = -BURST * PACE_NS;
    name = log_newest(s);
    if (!name) {
        log_next();
        return;
    }
    keep.step = LOG_READING;
    keep.op = (struct store_op){
        .kind = STORE_GET, .len = STORE_LOG_ROOM, .page = get_log_page, .done = get_log_done
    };
    snprintf(keep.op.name, sizeof keep.op.name, "%s", name);
    store_volume_submit(&keep.op);
}

const char *store_log_previous(uint32_t *len)
{
    assert_cpu0();
    *len = keep.before_len;
    return keep.before_len ? keep.before : NULL;
}
