/* One description of an answer, two forms. A list's cells lie in the text zero-terminated until out_list_end() sets them in columns. */
#include "out.h"
#include <hv/words.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool grow(struct out *o, size_t n)
{
    size_t cap = o->cap ? o->cap : 1024;
    char *more;

    while (cap - o->len < n + 1)
        cap *= 2;
    if (cap == o->cap)
        return true;
    more = realloc(o->text, cap);
    if (!more) {
        o->no_memory = true;
        return false;
    }
    o->text = more;
    o->cap = cap;
    return true;
}

static void put(struct out *o, const char *s, size_t n)
{
    if (!grow(o, n))
        return;
    memcpy(o->text + o->len, s, n);
    o->len += n;
    o->text[o->len] = '\0';
}

static void puts_out(struct out *o, const char *s)
{
    put(o, s, strlen(s));
}

size_t json_quote(char *buf, size_t len, const char *s)
{
    size_t n = 0;

    if (len < 3)
        return 0;
    buf[n++] = '"';
    for (; *s && n + 8 < len; s++) {
        unsigned char c = (unsigned char)*s;

        if (c == '"' || c == '\\') {
            buf[n++] = '\\';
            buf[n++] = (char)c;
        } else if (c < ' ' || c >= 0x7f) { /* not ASCII: as Latin-1, so that any bytes make valid JSON */
            n += (size_t)snprintf(buf + n, len - n, "\\u%04x", c);
        } else {
            buf[n++] = (char)c;
        }
    }
    buf[n++] = '"';
    buf[n] = '\0';
    return n;
}

static void put_json(struct out *o, const char *s)
{
    size_t most = strlen(s) * 6 + 16;

    if (grow(o, most))
        o->len += json_quote(o->text + o->len, most, s);
}

static void put_key(struct out *o, const char *key)
{
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
    case UNIT_PERMILLE: snprintf(buf, len, "%llu.%llu %%", (unsigned long long)v / 10, (unsigned long long)v % 10); break;
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

void out_begin(struct out *o, bool json, const char *command)
{
    *o = (struct out){ .json = json, .first = true };
    if (!json)
        return;
    puts_out(o, "{");
    put_key(o, "ok");
    puts_out(o, "true");
    put_key(o, "command");
    put_json(o, command);
}

void out_error(struct out *o, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    o->len = 0;
    o->failed = true;
    if (o->json) {
        o->first = true;
        puts_out(o, "{");
        put_key(o, "ok");
        puts_out(o, "false");
        put_key(o, "error");
        put_json(o, text);
    } else {
        puts_out(o, text);
        puts_out(o, "\r\n");
    }
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
    puts_out(o, text);
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
    puts_out(o, text);
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
        put(o, columns[i].label, strlen(columns[i].label) + 1);
}

void out_row(struct out *o)
{
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
        put(o, s, strlen(s) + 1);
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
        put(o, s, strlen(s) + 1);
    }
}

static void put_padded(struct out *o, const char *s, size_t width, bool right, bool last)
{
    size_t pad = width - strlen(s);

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
        width[c] = (size_t)max_u64(width[c], strlen(s));
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

    if (o->json) {
        puts_out(o, o->first_row ? "]" : "}]");
        o->first = false;
        return;
    }
    if (o->no_memory)
        return;
    cells = malloc(len + 1);
    if (!cells) {
        o->no_memory = true;
        return;
    }
    memcpy(cells, o->text + o->cells, len);
    o->len = o->cells;
    set_in_columns(o, cells, len);
    free(cells);
}

void out_end(struct out *o, void (*write)(const char *, size_t))
{
    static const char sorry[] = "not enough memory for the answer\r\n";
    static const char sorry_json[] = "{\"ok\":false,\"error\":\"not enough memory for the answer\"}\r\n";

    if (o->json)
        puts_out(o, "}\r\n");
    if (!o->no_memory)
        write(o->text ? o->text : "", o->len);
    else if (o->json)
        write(sorry_json, sizeof sorry_json - 1);
    else
        write(sorry, sizeof sorry - 1);
    free(o->text);
    o->text = NULL;
}
