/* SPDX-License-Identifier: BSD-2-Clause */
/* kept.c: see <hv/kept.h>. */
#include <arch/mmu.h>
#include <hv/kept.h>
#include <hv/log.h>
#include <string.h>
#include <zlib.h>

#define KEPT_MAGIC 0x4b54506576697254ull /* "TrivePTK" */
#define KEPT_VERSION 1u

struct kept_head {
    uint64_t magic, run;
    uint32_t version, sum; /* sum: of the fields before it */
    uint8_t zero[KEPT_LINE - 24];
};
struct kept_entry {
    uint32_t sum; /* over the run's number and what follows; */
    uint32_t number;
    uint64_t ns;
    uint8_t level;
    char text[KEPT_LINE - 17];
};
struct kept_bank {
    struct kept_head head;
    struct kept_entry line[KEPT_LINES];
};
static_assert(sizeof(struct kept_head) == KEPT_LINE, "kept_head");
static_assert(sizeof(struct kept_entry) == KEPT_LINE, "kept_entry");
static_assert(sizeof(struct kept_bank) == KEPT_BANK, "kept_bank");

static struct kept_bank *bank; /* this run's; NULL: none */
static uint32_t lines;         /* that it had, also those that are gone */
static const struct kept_bank *before;
static uint32_t before_lines;

static uint32_t head_sum(const struct kept_head *h)
{
    return (uint32_t)crc32(0, (const uint8_t *)h, offsetof(struct kept_head, sum));
}

static uint32_t entry_sum(const struct kept_bank *b, const struct kept_entry *e)
{
    uLong sum = crc32(0, (const uint8_t *)&b->head.run, sizeof b->head.run);

    return (uint32_t)crc32(sum, (const uint8_t *)e + sizeof e->sum,
                           (uInt)(sizeof *e - sizeof e->sum));
}

static bool head_good(const struct kept_head *h)
{
    return h->magic == KEPT_MAGIC && h->version == KEPT_VERSION && h->sum == head_sum(h);
}

static bool entry_good(const struct kept_bank *b, const struct kept_entry *e)
{
    return e->number && e->level <= KEPT_PANIC && memchr(e->text, 0, sizeof e->text) &&
           e->sum == entry_sum(b, e);
}

static uint32_t last_line(const struct kept_bank *b)
{
    uint32_t last = 0;

    for (uint32_t i = 0; i < KEPT_LINES; i++)
        if (entry_good(b, &b->line[i]) && b->line[i].number > last)
            last = b->line[i].number;
    return last;
}

/* The bank of the run before; NULL: none. */
static const struct kept_bank *newest(const struct kept_bank *b)
{
    bool good[2] = { head_good(&b[0].head), head_good(&b[1].head) };

    if (good[0] && good[1])
        return b[0].head.run > b[1].head.run ? &b[0] : &b[1];
    return good[0] ? &b[0] : good[1] ? &b[1] : NULL;
}

void kept_begin(void *area)
{
    struct kept_bank *b = area;

    bank = NULL;
    before = area ? newest(b) : NULL;
    before_lines = before ? last_line(before) : 0;
    lines = 0;
    if (!area)
        return;
    b = before == &b[0] ? &b[1] : &b[0];
    memset(b, 0, sizeof *b);
    b->head.magic = KEPT_MAGIC;
    b->head.version = KEPT_VERSION;
    b->head.run = before ? before->head.run + 1 : 1;
    b->head.sum = head_sum(&b->head);
    arch_clean_to_ram(b, sizeof *b);
    bank = b;
}

void kept_line(unsigned level, uint64_t ns, const char *text)
{
    struct kept_entry *e;
    uint32_t n;

    if (!bank)
        return;
    n = __atomic_fetch_add(&lines, 1, __ATOMIC_RELAXED); /* in a panic others may log, too */
    e = &bank->line[n % KEPT_LINES];
    memset(e, 0, sizeof *e);
    e->number = n + 1;
    e->ns = ns;
    e->level = (uint8_t)level;
    memcpy(e->text, text, strnlen(text, sizeof e->text - 1));
    e->sum = entry_sum(bank, e);
    arch_clean_to_ram(e, sizeof *e);
}

void kept_panic(const char *s, size_t len)
{
    static char text[KEPT_LINE];
    static size_t n;

    for (; len; s++, len--) {
        if (*s != '\n' && n < sizeof text - 1)
            text[n++] = *s;
        if (*s != '\n' || !n)
            continue;
        text[n] = '\0';
        kept_line(KEPT_PANIC, 0, text);
        n = 0;
    }
}

/* The checksum keeps chance out, not malice: nothing of it may steer a terminal. */
static void plain(char *s)
{
    for (; *s; s++)
        if (*s < 0x20 || *s > 0x7e)
            *s = '?';
}

static void kept_format(struct kept_entry *e, char *buf, size_t len)
{
    plain(e->text);
    if (e->level == KEPT_PANIC) {
        size_t n = strnlen(e->text, len - 1);

        memcpy(buf, e->text, n);
        buf[n] = '\0';
    } else {
        log_format((enum log_level)e->level, e->ns, e->text, buf, len);
    }
}

bool kept_previous(uint64_t *seq, unsigned *level, char *buf, size_t len)
{
    if (before_lines > KEPT_LINES && *seq < before_lines - KEPT_LINES)
        *seq = before_lines - KEPT_LINES;
    while (len && *seq < before_lines) {
        /* a copy: a device may still write there */
        struct kept_entry e = before->line[*seq % KEPT_LINES];

        ++*seq;
        if (e.number != *seq || !entry_good(before, &e))
            continue;
        *level = e.level;
        kept_format(&e, buf, len);
        return true;
    }
    return false;
}

bool kept_reason(char *buf, size_t len)
{
    uint64_t seq = 0;
    unsigned level;

    while (kept_previous(&seq, &level, buf, len))
        if (level == KEPT_PANIC)
            return true;
    return false;
}
