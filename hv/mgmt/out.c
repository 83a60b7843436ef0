/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One description of an answer, two forms. A list's cells lie in the text zero-terminated until
 * out_list_end() sets them in columns.
 */
#include "out.h"
#include <hv/assert.h>
#include <hv/words.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool out_grow(struct out *o, size_t n)
{
    size_t cap = o->cap ? o->cap : 1024;
    char *more;

    while (cap - o->len < n + 1)
        cap *= 2;
    if (cap == o->cap)
        return true;
    more = realloc(o->text, cap); /* charge: the shell's */
    if (!more) {
        o->no_memory = true;
        return false;
    }
    o->text = more;
    o->cap = cap;
    return true;
}

static void out_put(struct out *o, const char *s, size_t n)
{
    if (!out_grow(o, n))
        return;
    memcpy(o->text + o->len, s, n);
    o->len += n;
    o->text[o->len] = '\0';
}

static void puts_out(struct out *o, const char *s) { out_put(o, s, strlen(s)); }

/*
 * The code point that begins at s (RFC 3629), and how many bytes it takes; -1, and one byte, where
 * it is no UTF-8.
 */
static int32_t utf8(const char *s, size_t *bytes)
{
    static const uint8_t lead[] = { 0xc0, 0xe0, 0xf0 }, mask[] = { 0x1f, 0x0f, 0x07 };
    static const int32_t least[] = { 0x80, 0x800, 0x10000 };
    uint8_t c = (uint8_t)*s;
    int32_t v;

    *bytes = 1;
    if (c < 0x80)
        return c;
    for (unsigned n = 0; n < 3; n++) {
        if ((c & ~mask[n] & 0xff) != lead[n])
            continue;
        v = c & mask[n];
        for (unsigned i = 1; i <= n + 1; i++) {
            if (((uint8_t)s[i] & 0xc0) != 0x80)
                return -1;
            v = v << 6 | ((uint8_t)s[i] & 0x3f);
        }
        if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
            return -1;
        *bytes = n + 2;
        return v;
    }
    return -1;
}

/*
 * May a terminal see it? Not C0, DEL and C1, which steer it; nor what turns the direction of text,
 * or breaks lines (Unicode 15 §23.2, §5.8).
 */
static bool harmless(int32_t v)
{
    static const struct {
        int32_t from, to;
    } not [] = {
        { 0, 0x1f },        { 0x7f, 0x9f },     { 0x200b, 0x200f }, { 0x2028, 0x202e },
        { 0x2060, 0x206f }, { 0xfeff, 0xfeff }, { 0xfff9, 0xfffb }, { 0xe0000, 0x10ffff },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(not ); i++)
        if (v >= not [i].from && v <= not [i].to)
            return v == '\t';
    return v >= 0;
}

size_t text_clean(char *buf, size_t len, const char *s)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0, bytes;

    for (; *s && n + 5 < len; s += bytes) {
        if (harmless(utf8(s, &bytes))) {
            memcpy(buf + n, s, bytes);
            n += bytes;
            continue;
        }
        bytes = 1;
        memcpy(buf + n, (char[]){ '\\', 'x', hex[(uint8_t)*s >> 4], hex[*s & 15] }, 4);
        n += 4;
    }
    buf[n] = '\0';
    return n;
}

/*
 * Text that may hold anything: what a guest wrote, names of files, a kernel's own version. `end`:
 * with the zero at the end.
 */
static void put_clean(struct out *o, const char *s, bool end)
{
    size_t most = strlen(s) * 4 + 6;

    if (!out_grow(o, most + 1))
        return;
    o->len += text_clean(o->text + o->len, most, s) + end;
    o->text[o->len] = '\0';
}

/* As \u escapes, in pairs beyond U+FFFF (RFC 8259 §7). */
static size_t json_escape(char *buf, int32_t v)
{
    if (v < 0x10000)
        return (size_t)sprintf(buf, "\\u%04x", (unsigned)v);
    v -= 0x10000;
    return (size_t)sprintf(buf, "\\u%04x\\u%04x", 0xd800u | (unsigned)v >> 10,
                           0xdc00u | ((unsigned)v & 0x3ff));
}

size_t json_quote(char *buf, size_t len, const char *s)
{
    size_t n = 0;

    if (len < 3)
        return 0;
    buf[n++] = '"';
    for (size_t bytes; *s && n + 14 < len; s += bytes) {
        int32_t v = utf8(s, &bytes);

        if (v == '"' || v == '\\') {
            buf[n++] = '\\';
            buf[n++] = (char)v;
        } else if (v < ' ' || v >= 0x7f) {
            /* what is no UTF-8: as Latin-1, so that any bytes make valid JSON */
            n += json_escape(buf + n, v < 0 ? (uint8_t)*s : v);
        } else {
            buf[n++] = (char)v;
        }
    }
    buf[n++] = '"';
    buf[n] = '\0';
    return n;
}

static void put_json(struct out *o, const char *s)
{
    size_t most = strlen(s) * 6 + 16;

    if (out_grow(o, most))
        o->len += json_quote(o->text + o->len, most, s);
}

static void put_key(struct out *o, const char *key)
{
    hv_assert(o->json);
    if (!o->first)
        puts_out(o, ",");
    o->first = false;
    put_json(o, key);
    puts_out(o, ":");
}

static const char *human(uint64_t v, enum unit unit, char *buf, size_t len)
{
    switch (unit) {
    case UNIT_BYTES: return format_size(v, buf, len);
    case UNIT_NS: return format_ns(v, buf, len);
    case UNIT_BOOL: return v ? "yes" : "no";
    case UNIT_PERMILLE:
        snprintf(buf, len, "%llu.%llu %%", (unsigned long long)v / 10, (unsigned long long)v % 10);
        break;
    case UNIT_NONE: snprintf(buf, len, "%llu", (unsigned long long)v); break;
    }
    return buf;
}

static void put_json_number(struct out *o, uint64_t v, enum unit unit)
{
    char buf[24];

    snprintf(buf, sizeof buf, "%llu", (unsigned long long)v);
    puts_out(o, unit != UNIT_BOOL ? buf : v ? "true" : "false");
}

static void put_label(struct out *o, const char *label)
{
    char buf[32];

    snprintf(buf, sizeof buf, "%-16s ", label);
    puts_out(o, buf);
}

const char *const out_codes[OUT_CODES] = {
    [OUT_FAILED] = "failed",       [OUT_USAGE] = "usage",     [OUT_UNKNOWN] = "unknown",
    [OUT_STATE] = "state",         [OUT_TIMEOUT] = "timeout", [OUT_CANCELLED] = "cancelled",
    [OUT_NO_MEMORY] = "no_memory",
};

/* What every answer begins with. */
static void put_head(struct out *o, bool ok)
{
    o->len = 0;
    o->first = true;
    puts_out(o, "{");
    put_key(o, "ok");
    puts_out(o, ok ? "true" : "false");
    put_key(o, "id");
    put_json(o, o->id);
    put_key(o, "command");
    put_json(o, o->command);
}

void out_begin(struct out *o, bool json, const char *id, const char *command)
{
    hv_assert(id && command);
    *o = (struct out){ .json = json, .first = true, .command = command };
    snprintf(o->id, sizeof o->id, "%s", id);
    if (json)
        put_head(o, true);
}

void out_begin_event(struct out *o, const char *type, uint64_t ns)
{
    *o = (struct out){ .json = true, .first = true, .command = type };
    puts_out(o, "{");
    put_key(o, "event");
    put_json(o, type);
    out_number(o, "time_ns", "", ns, UNIT_NS);
}

void out_null(struct out *o, const char *key)
{
    if (!o->json)
        return;
    put_key(o, key);
    puts_out(o, "null");
}

static void put_error(struct out *o, enum out_code code, const char *text)
{
    hv_assert(code < OUT_CODES);
    o->failed = true;
    if (!o->json) {
        o->len = 0;
        put_clean(o, text, false);
        puts_out(o, "\r\n");
        return;
    }
    put_head(o, false);
    put_key(o, "error");
    puts_out(o, "{");
    o->first = true;
    put_key(o, "code");
    put_json(o, out_codes[code]);
    put_key(o, "message");
    put_json(o, text);
    puts_out(o, "}");
}

void out_error(struct out *o, const char *fmt, ...)
{
    char text[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    put_error(o, OUT_FAILED, text);
}

void out_error_code(struct out *o, enum out_code code, const char *fmt, ...)
{
    char text[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    put_error(o, code, text);
}

void out_text(struct out *o, const char *key, const char *label, const char *fmt, ...)
{
    char text[2200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (o->json) {
        put_key(o, key);
        put_json(o, text);
        return;
    }
    put_label(o, label);
    put_clean(o, text, false);
    puts_out(o, "\r\n");
}

void out_number(struct out *o, const char *key, const char *label, uint64_t v, enum unit unit)
{
    char buf[40];

    if (o->json) {
        put_key(o, key);
        put_json_number(o, v, unit);
        return;
    }
    put_label(o, label);
    puts_out(o, human(v, unit, buf, sizeof buf));
    puts_out(o, "\r\n");
}

void out_line(struct out *o, const char *fmt, ...)
{
    char text[400];
    va_list ap;

    if (o->json)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    put_clean(o, text, false);
    puts_out(o, "\r\n");
}

static bool has_heading(const struct column *columns, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (columns[i].label[0])
            return true;
    }
    return false;
}

void out_list(struct out *o, const char *key, const struct column *columns, unsigned n)
{
    hv_assert(columns && n > 0 && n <= OUT_COLUMNS);
    o->columns = columns;
    o->ncolumns = n;
    o->column = n;
    o->first_row = true;
    if (o->json) {
        put_key(o, key);
        puts_out(o, "[");
        return;
    }
    o->cells = o->len;
    for (unsigned i = 0; has_heading(columns, n) && i < n; i++)
        out_put(o, columns[i].label, strlen(columns[i].label) + 1);
}

void out_row(struct out *o)
{
    hv_assert(o->columns && o->column == o->ncolumns);
    o->column = 0;
    if (o->json)
        puts_out(o, o->first_row ? "{" : "},{");
    o->first_row = false;
    o->first = true;
}

void out_cell(struct out *o, const char *s)
{
    const struct column *c = &o->columns[o->column++];

    if (o->json) {
        put_key(o, c->key);
        put_json(o, s);
    } else {
        put_clean(o, s, true);
    }
}

void out_cell_number(struct out *o, uint64_t v)
{
    const struct column *c = &o->columns[o->column++];
    char buf[40];
    const char *s;

    if (o->json) {
        put_key(o, c->key);
        put_json_number(o, v, c->unit);
    } else {
        s = human(v, c->unit, buf, sizeof buf);
        out_put(o, s, strlen(s) + 1);
    }
}

void out_cell_null(struct out *o)
{
    const struct column *c = &o->columns[o->column++];

    if (!o->json) {
        out_put(o, "-", 2);
        return;
    }
    put_key(o, c->key);
    puts_out(o, "null");
}

/* How many columns a cell takes: continuation bytes take none. */
static size_t width_of(const char *s)
{
    size_t n = 0;

    for (; *s; s++)
        n += ((uint8_t)*s & 0xc0) != 0x80;
    return n;
}

static void put_padded(struct out *o, const char *s, size_t width, bool right, bool last)
{
    size_t pad = width - width_of(s);

    for (size_t i = 0; right && i < pad; i++)
        puts_out(o, " ");
    puts_out(o, s);
    for (size_t i = 0; !right && !last && i < pad; i++)
        puts_out(o, " ");
    puts_out(o, last ? "\r\n" : "  ");
}

static void set_in_columns(struct out *o, const char *cells, size_t len)
{
    size_t width[OUT_COLUMNS] = { 0 };
    unsigned c = 0;

    for (const char *s = cells; s < cells + len; s += strlen(s) + 1) {
        width[c] = (size_t)max_u64(width[c], width_of(s));
        c = (c + 1) % o->ncolumns;
    }
    c = 0;
    for (const char *s = cells; s < cells + len; s += strlen(s) + 1) {
        put_padded(o, s, width[c], o->columns[c].right, c + 1 == o->ncolumns);
        c = (c + 1) % o->ncolumns;
    }
}

void out_list_end(struct out *o)
{
    size_t len = o->len - o->cells;
    char *cells;

    hv_assert(o->columns && o->column == o->ncolumns);
    if (o->json) {
        puts_out(o, o->first_row ? "]" : "}]");
        o->first = false;
        return;
    }
    if (o->no_memory)
        return;
    o->len = o->cells;
    if (o->first_row)
        return;              /* no heading above nothing */
    cells = malloc(len + 1); /* charge: the shell's */
    if (!cells) {
        o->no_memory = true;
        return;
    }
    memcpy(cells, o->text + o->cells, len);
    set_in_columns(o, cells, len);
    free(cells);
}

void out_free(struct out *o)
{
    free(o->text);
    o->text = NULL;
}

void out_end(struct out *o, void (*write)(void *ctx, const char *, size_t), void *ctx)
{
    static const char sorry[] = "not enough memory for the answer\r\n";
    static const char sorry_json[] =
        "{\"ok\":false,\"id\":\"\",\"command\":\"\",\"error\":{\"code\":"
        "\"no_memory\",\"message\":\"no memory for the answer\"}}\r\n";

    if (o->json)
        puts_out(o, "}\r\n");
    if (!o->no_memory)
        write(ctx, o->text ? o->text : "", o->len);
    else if (o->json)
        write(ctx, sorry_json, sizeof sorry_json - 1);
    else
        write(ctx, sorry, sizeof sorry - 1);
    out_free(o);
}
