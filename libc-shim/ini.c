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

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

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
        if (s[0] == ';' && blank(s[-1])) {
            *s = '\0';
            return;
        }
    }
}

static bool section_line(struct reader *r, char *s)
{
    char *end = strchr(s, ']');

    if (!end || end - s > INI_NAME_MAX)
        return false;
    *end = '\0';
    s = trim(s + 1);
    memcpy(r->section, s, strlen(s) + 1);
    return true;
}

static bool parse_line(struct reader *r)
{
    char *s = trim(r->line), *eq;

    if (*s == '\0' || *s == ';' || *s == '#')
        return true;
    if (*s == '[')
        return section_line(r, s);
    eq = strchr(s, '=');
    if (!eq || eq == s)
        return false;
    *eq = '\0';
    cut_comment(eq + 1);
    return r->handler(r->user, r->section, trim(s), trim(eq + 1), r->lineno) != 0;
}

int ini_parse_string(const char *text, ini_handler handler, void *user)
{
    struct reader r = { .handler = handler, .user = user };
    int first_error = 0;

    if (strncmp(text, "\xef\xbb\xbf", 3) == 0) /* a byte order mark of Windows editors */
        text += 3;
    while (*text) {
        size_t n = strcspn(text, "\n");
        bool fits = n < sizeof r.line;

        r.lineno++;
        memcpy(r.line, text, fits ? n : 0);
        r.line[fits ? n : 0] = '\0';
        if ((!fits || !parse_line(&r)) && first_error == 0)
            first_error = r.lineno;
        text += n + (text[n] == '\n');
    }
    return first_error;
}
