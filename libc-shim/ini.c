/* SPDX-License-Identifier: BSD-2-Clause */
#include <ini.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct reader {
    char section[INI_NAME_MAX];
    char line[INI_LINE_MAX];
    ini_handler handler;
    void *user;
    int lineno;
};

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static char *trim(char *s)
{
    size_t n;

    while (blank(*s))
        s++;
    n = strlen(s);
    while (n > 0 && blank(s[n - 1]))
        s[--n] = '\0';
    return s;
}

/* Cuts the comment " ;..." off a value. */
static void cut_comment(char *s)
{
    for (; *s; s++) {
        if (s[0] == ';' && blank(s[-1])) { /* s[-1]: at least the former '=' */
            *s = '\0';
            return;
        }
    }
}

/*
 * What stands in double quotes, without them, where nothing but a comment follows: else the value
 * as it is, for command lines such as `"a b"=1 c`.
 */
static char *value_of(char *s)
{
    char *end;

    s = trim(s);
    end = *s == '"' ? strchr(s + 1, '"') : NULL;
    if (end && (end[1] == '\0' || (blank(end[1]) && trim(end + 1)[0] == ';'))) {
        *end = '\0';
        return s + 1;
    }
    return NULL;
}

static bool refuse(struct reader *r, const char *why)
{
    r->handler(r->user, r->section, NULL, why, r->lineno);
    return false;
}

/* The section before it ends all the same: what follows is not meant for that. */
static bool bad_section(struct reader *r, const char *why)
{
    memcpy(r->section, INI_BAD_SECTION, sizeof INI_BAD_SECTION);
    return refuse(r, why);
}

static bool section_line(struct reader *r, char *s)
{
    char *end = strchr(s, ']'), *rest = end ? trim(end + 1) : NULL;

    if (!end)
        return bad_section(r, "the ] of the section's name is missing");
    if (end - s > INI_NAME_MAX)
        return bad_section(r, "the section's name is longer than 63 bytes");
    if (*rest && *rest != ';' && *rest != '#')
        return bad_section(r, "text follows the ] of the section's name: begin a new line");
    *end = '\0';
    s = trim(s + 1);
    memcpy(r->section, s, strlen(s) + 1);
    return r->handler(r->user, r->section, NULL, NULL, r->lineno) != 0;
}

static bool parse_line(struct reader *r)
{
    char *s = trim(r->line), *eq, *value;

    if (*s == '\0' || *s == ';' || *s == '#')
        return true;
    if (*s == '[')
        return section_line(r, s);
    eq = strchr(s, '=');
    if (!eq || eq == s)
        return refuse(r, "not a `name = value` line, a [section] or a ; comment");
    *eq = '\0';
    value = value_of(eq + 1);
    if (!value) {
        cut_comment(eq + 1);
        value = trim(eq + 1);
    }
    return r->handler(r->user, r->section, trim(s), value, r->lineno) != 0;
}

static bool take_line(struct reader *r, const char *text, size_t n)
{
    r->lineno++;
    if (n >= sizeof r->line)
        return refuse(r, "the line is longer than 2559 bytes");
    memcpy(r->line, text, n);
    r->line[n] = '\0';
    return parse_line(r);
}

int ini_parse_string(const char *text, ini_handler handler, void *user)
{
    struct reader r = { .handler = handler, .user = user };
    int first_error = 0;

    if (strncmp(text, "\xef\xbb\xbf", 3) == 0) /* a byte order mark of Windows editors */
        text += 3;
    while (*text) {
        size_t n = strcspn(text, "\n");

        if (!take_line(&r, text, n) && first_error == 0)
            first_error = r.lineno;
        text += n + (text[n] == '\n');
    }
    return first_error;
}
