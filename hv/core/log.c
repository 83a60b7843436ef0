/* SPDX-License-Identifier: BSD-2-Clause */
/* log.c: the ring of log lines, and the rate limit of what guests cause. */
#include <hv/assert.h>
#include <hv/date.h>
#include <hv/kept.h>
#include <hv/lock.h>
#include <hv/log.h>
#include <hv/percpu.h>
#include <hv/time.h>
#include <hv/vm.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINES 512
#define LINE_LEN 240
#define BURST 20
#define REFILL_NS 500000000ull

struct line {
    uint64_t ns;
    uint8_t level;
    char text[LINE_LEN];
};

static struct line ring[LINES];
static uint64_t next_seq; /* of the line to be written next; ring[seq % LINES] */
static enum log_level console_level = LOG_INFO;
static uint64_t utc_at_zero; /* atomic: seconds since 1970 at time_ns() 0; 0: lines show that */
static void (*sink)(const char *, size_t);
static struct spinlock lock = SPINLOCK_INIT(LOCK_LOG);

void log_set_console_level(enum log_level max)
{
    hv_assert(max <= LOG_DEBUG);
    console_level = max;
}

/*
 * Control characters and bytes that are no ASCII become \xNN: a guest's text must not steer the
 * terminal.
 */
static void escape(char *dst, size_t len, const char *src)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;

    for (; *src; src++) {
        unsigned char c = (unsigned char)*src;

        if (c >= 0x20 && c < 0x7f) {
            if (n + 2 > len)
                break;
            dst[n++] = (char)c;
        } else if (c != '\n' || src[1]) {
            if (n + 5 > len)
                break;
            memcpy(dst + n, (char[]){ '\\', 'x', hex[c >> 4], hex[c & 15] }, 4);
            n += 4;
        }
    }
    dst[n] = '\0';
}

static const char *const marks[] = { "error: ", "warning: ", "", "" };

size_t log_format(enum log_level level, uint64_t ns, const char *text, char *buf, size_t len)
{
    uint64_t us = ns / 1000;
    int n;

    hv_assert(level <= LOG_DEBUG && len);
    n = snprintf(buf, len, "[%5llu.%06llu] %s%s", (unsigned long long)(us / 1000000),
                 (unsigned long long)(us % 1000000), marks[level], text);
    return n < 0 ? 0 : (size_t)n < len ? (size_t)n : len - 1;
}

void log_show_utc(uint64_t seconds) { __atomic_store_n(&utc_at_zero, seconds, __ATOMIC_RELAXED); }

/* As log_format(), with the wall clock where that was asked for. */
static size_t format(const struct line *l, char *buf, size_t len)
{
    uint64_t zero = __atomic_load_n(&utc_at_zero, __ATOMIC_RELAXED), us = l->ns / 1000;
    char date[DATE_LEN];
    int n;

    if (!zero)
        return log_format((enum log_level)l->level, l->ns, l->text, buf, len);
    date_format(zero + us / 1000000, date);
    n = snprintf(buf, len, "[%s.%06llu] %s%s", date, (unsigned long long)(us % 1000000),
                 marks[l->level], l->text);
    return n < 0 ? 0 : (size_t)n < len ? (size_t)n : len - 1;
}

bool log_read(uint64_t *seq, enum log_level max, char *buf, size_t len)
{
    bool found = false;

    hv_assert(seq && buf);
    if (!len)
        return false;
    spin_lock(&lock);
    if (next_seq > LINES && *seq < next_seq - LINES)
        *seq = next_seq - LINES;
    while (!found && *seq < next_seq) {
        const struct line *l = &ring[(*seq)++ % LINES];

        if (l->level > max)
            continue;
        format(l, buf, len);
        found = true;
    }
    spin_unlock(&lock);
    return found;
}

void log_set_sink(void (*write)(const char *, size_t))
{
    char buf[LINE_LEN + 48];
    uint64_t seq = 0;
    bool first = !sink;

    /* What was logged before anything could show it. */
    while (first && write && log_read(&seq, console_level, buf, sizeof(buf) - 1)) {
        strcat(buf, "\n");
        write(buf, strlen(buf));
    }
    sink = write;
}

static void log_append(enum log_level level, const char *text)
{
    char buf[LINE_LEN + 48];
    size_t n;

    spin_lock(&lock);
    struct line *l = &ring[next_seq++ % LINES];
    l->ns = time_ns();
    l->level = (uint8_t)level;
    escape(l->text, sizeof(l->text), text);
    n = format(l, buf, sizeof(buf) - 1);
    if (level < LOG_DEBUG)
        kept_line(level, l->ns, l->text);
    spin_unlock(&lock);
    if (!sink || level > console_level)
        return;
    buf[n] = '\n';
    sink(buf, n + 1);
}

void hv_log(enum log_level level, const char *fmt, ...)
{
    char text[LINE_LEN];
    va_list ap;

    hv_assert(level <= LOG_DEBUG);
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_append(level, text);
}

/* ---- from an NMI: the log's lock may be held by the very code that it interrupted ---- */

static struct {
    const char *text;
    uint32_t cpu, count;
} note;

void log_from_nmi(const char *text)
{
    __atomic_store_n(&note.cpu, this_cpu()->id, __ATOMIC_RELAXED);
    __atomic_store_n(&note.text, text, __ATOMIC_RELAXED);
    __atomic_add_fetch(&note.count, 1, __ATOMIC_RELEASE);
}

void log_notes(void)
{
    uint32_t n;

    if (!__atomic_load_n(&note.count, __ATOMIC_RELAXED))
        return;
    n = __atomic_exchange_n(&note.count, 0, __ATOMIC_ACQUIRE);
    if (n)
        hv_log(LOG_WARN, "NMI on CPU %u: %s%s", note.cpu, note.text,
               n > 1 ? " (more than once)" : "");
}

/* A token of the bucket. *dropped: how many lines were swallowed since the last that passed. */
static bool take_token(struct log_bucket *b, uint64_t *dropped)
{
    uint64_t now = time_ns(), fresh;
    bool ok;

    spin_lock(&lock);
    if (!b->last_ns) {
        b->last_ns = now;
        b->tokens = BURST;
    }
    fresh = (now - b->last_ns) / REFILL_NS;
    b->tokens = min_u64(b->tokens + fresh, BURST);
    b->last_ns += fresh * REFILL_NS;
    ok = b->tokens > 0;
    *dropped = ok ? b->dropped : 0;
    if (ok) {
        b->tokens--;
        b->dropped = 0;
    } else {
        b->dropped++;
    }
    spin_unlock(&lock);
    return ok;
}

void vm_log(struct vm *vm, enum log_level level, const char *fmt, ...)
{
    const char *name = vm->config ? vm->config->name : "?";
    char text[LINE_LEN];
    uint64_t dropped;
    va_list ap;

    hv_assert(level <= LOG_DEBUG);
    if (!take_token(&vm->log_bucket[level == LOG_DEBUG], &dropped))
        return;
    if (dropped)
        hv_log(level == LOG_DEBUG ? LOG_DEBUG : LOG_WARN,
               "%s: %llu %slines about this guest were dropped", name, (unsigned long long)dropped,
               level == LOG_DEBUG ? "debug " : "");
    int n = snprintf(text, sizeof(text), "%s: ", name);
    va_start(ap, fmt);
    vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
    va_end(ap);
    log_append(level, text);
}
