/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The line editor. Bytes come in one at a time; multi-byte keys are collected in le->esc and looked
 * up in one table.
 */
#include "lineedit.h"
#include <hv/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CTRL(c) ((c)&0x1f)

static void le_put(struct lineedit *le, const char *s) { le->out(le->ctx, s, strlen(s)); }

static bool continues(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80; /* a UTF-8 continuation byte takes no column */
}

static unsigned columns(const char *s, unsigned n)
{
    unsigned cols = 0;

    for (unsigned i = 0; i < n; i++)
        cols += !continues(s[i]);
    return cols;
}

static unsigned left_of(const struct lineedit *le, unsigned at)
{
    while (at > 0 && continues(le->buf[--at]))
        ;
    return at;
}

static unsigned right_of(const struct lineedit *le, unsigned at)
{
    if (at < le->len)
        at++;
    while (at < le->len && continues(le->buf[at]))
        at++;
    return at;
}

void le_hide(struct lineedit *le) { le_put(le, "\r\033[K"); }

void le_redraw(struct lineedit *le)
{
    char prompt[LE_LINE], move[16];
    unsigned room, start = 0, end;

    if (le->searching)
        snprintf(prompt, sizeof prompt, "(search `%s') ", le->search);
    else
        snprintf(prompt, sizeof prompt, "%s", le->prompt);
    room = le->cols - 1 - columns(prompt, (unsigned)strlen(prompt));
    while (columns(le->buf + start, le->cur - start) > room) /* scroll so that the cursor is seen */
        start = right_of(le, start);
    for (end = start; end < le->len && columns(le->buf + start, end - start) < room;)
        end = right_of(le, end);
    le_put(le, "\r");
    le_put(le, prompt);
    le->out(le->ctx, le->buf + start, end - start);
    le_put(le, "\033[K");
    if (end > le->cur) {
        snprintf(move, sizeof move, "\033[%uD", columns(le->buf + le->cur, end - le->cur));
        le_put(le, move);
    }
}

static void le_set_line(struct lineedit *le, const char *s)
{
    snprintf(le->buf, sizeof le->buf, "%s", s);
    le->len = le->cur = (unsigned)strlen(le->buf);
}

static void le_insert(struct lineedit *le, const char *s, unsigned n)
{
    bool at_end = le->cur == le->len;

    if (n > LE_LINE - 1 - le->len) {
        le_put(le, "\a");
        return;
    }
    memmove(le->buf + le->cur + n, le->buf + le->cur, le->len - le->cur + 1);
    memcpy(le->buf + le->cur, s, n);
    le->len += n;
    le->cur += n;
    if (at_end &&
        columns(le->prompt, (unsigned)strlen(le->prompt)) + columns(le->buf, le->len) < le->cols)
        le->out(le->ctx, s, n);
    else
        le_redraw(le);
}

/* Removes [from, to) and leaves the cursor there. */
static void le_cut(struct lineedit *le, unsigned from, unsigned to, bool keep)
{
    hv_assert(from <= to && to <= le->len);
    if (keep && to > from) {
        memcpy(le->kill, le->buf + from, to - from);
        le->kill[to - from] = '\0';
    }
    memmove(le->buf + from, le->buf + to, le->len - to + 1);
    le->len -= to - from;
    le->cur = from;
    le_redraw(le);
}

/* ---- keys ---- */

static unsigned word_left(const struct lineedit *le)
{
    unsigned at = le->cur;

    while (at > 0 && le->buf[at - 1] == ' ')
        at--;
    while (at > 0 && le->buf[at - 1] != ' ')
        at--;
    return at;
}

static unsigned word_right(const struct lineedit *le)
{
    unsigned at = le->cur;

    while (at < le->len && le->buf[at] == ' ')
        at++;
    while (at < le->len && le->buf[at] != ' ')
        at++;
    return at;
}

static void le_go(struct lineedit *le, unsigned to)
{
    hv_assert(to <= le->len);
    le->cur = to;
    le_redraw(le);
}

static void key_home(struct lineedit *le) { le_go(le, 0); }
static void key_end(struct lineedit *le) { le_go(le, le->len); }
static void key_left(struct lineedit *le) { le_go(le, left_of(le, le->cur)); }
static void key_right(struct lineedit *le) { le_go(le, right_of(le, le->cur)); }
static void key_word_left(struct lineedit *le) { le_go(le, word_left(le)); }
static void key_word_right(struct lineedit *le) { le_go(le, word_right(le)); }
static void key_backspace(struct lineedit *le) { le_cut(le, left_of(le, le->cur), le->cur, false); }
static void key_delete(struct lineedit *le) { le_cut(le, le->cur, right_of(le, le->cur), false); }
static void key_kill_right(struct lineedit *le) { le_cut(le, le->cur, le->len, true); }
static void key_kill_left(struct lineedit *le) { le_cut(le, 0, le->cur, true); }
static void key_kill_word(struct lineedit *le) { le_cut(le, word_left(le), le->cur, true); }
static void key_kill_word_right(struct lineedit *le) { le_cut(le, le->cur, word_right(le), true); }
static void key_yank(struct lineedit *le) { le_insert(le, le->kill, (unsigned)strlen(le->kill)); }

static void key_transpose(struct lineedit *le)
{
    char c;

    if (le->cur < 1 || le->len < 2)
        return;
    if (le->cur == le->len)
        le->cur--;
    c = le->buf[le->cur - 1];
    le->buf[le->cur - 1] = le->buf[le->cur];
    le->buf[le->cur++] = c;
    le_redraw(le);
}

static void key_clear(struct lineedit *le)
{
    le_put(le, LE_CLEAR);
    le_redraw(le);
}

/* Ctrl-G and Esc Esc: nothing of what was typed. */
static void key_abort(struct lineedit *le)
{
    le_put(le, "\a");
    le->searching = false;
    le->hist_pos = 0;
    le_set_line(le, "");
    le_redraw(le);
}

static const char *nth_newest(const struct lineedit *le, unsigned n)
{
    return le->history[(le->nhistory - n) % LE_HISTORY];
}

static void show_history(struct lineedit *le, unsigned pos)
{
    unsigned most = le->nhistory < LE_HISTORY ? le->nhistory : LE_HISTORY;

    if (pos > most)
        return;
    if (le->hist_pos == 0)
        memcpy(le->saved, le->buf, le->len + 1);
    le->hist_pos = pos;
    le_set_line(le, pos ? nth_newest(le, pos) : le->saved);
    le_redraw(le);
}

static void key_up(struct lineedit *le) { show_history(le, le->hist_pos + 1); }

static void key_down(struct lineedit *le)
{
    if (le->hist_pos > 0)
        show_history(le, le->hist_pos - 1);
}

static void key_search(struct lineedit *le)
{
    le->searching = true;
    le->search_len = le->search_hit = 0;
    le->search[0] = '\0';
    le_redraw(le);
}

/* ---- completion ---- */

static unsigned common_start(const char **words, unsigned n)
{
    unsigned len = (unsigned)strlen(words[0]);

    for (unsigned i = 1; i < n; i++) {
        unsigned same = 0;

        while (same < len && words[i][same] == words[0][same])
            same++;
        len = same;
    }
    return len;
}

static void list_words(struct lineedit *le, const char **words, unsigned n)
{
    unsigned col = 0;

    le_put(le, "\r\n");
    for (unsigned i = 0; i < n; i++) {
        unsigned w = (unsigned)strlen(words[i]) + 2;

        if (col && col + w > le->cols) {
            le_put(le, "\r\n");
            col = 0;
        }
        le_put(le, words[i]);
        le_put(le, "  ");
        col += w;
    }
    le_put(le, "\r\n");
    le_redraw(le);
}

static void key_tab(struct lineedit *le)
{
    const char *words[64];
    unsigned start = 0, n, have, more;

    if (!le->complete)
        return;
    n = le->complete(le->ctx, le->buf, le->cur, &start, words, ARRAY_SIZE(words));
    if (n == 0) {
        le_put(le, "\a");
        return;
    }
    have = le->cur - start;
    more = common_start(words, n);
    if (more > have)
        le_insert(le, words[0] + have, more - have);
    if (n == 1)
        le_insert(le, " ", 1);
    else if (more <= have && le->last_tab)
        list_words(le, words, n);
    else if (more <= have)
        le_put(le, "\a");
}

/* ---- dispatch ---- */

struct key {
    const char *seq;
    void (*fn)(struct lineedit *);
};
static const struct key escapes[] = {
    { "[A", key_up },           { "[B", key_down },
    { "[C", key_right },        { "[D", key_left },
    { "[H", key_home },         { "[F", key_end },
    { "OA", key_up },           { "OB", key_down },
    { "OC", key_right },        { "OD", key_left },
    { "OH", key_home },         { "OF", key_end },
    { "[1~", key_home },        { "[7~", key_home },
    { "[4~", key_end },         { "[8~", key_end },
    { "[3~", key_delete },      { "[1;5C", key_word_right },
    { "[1;5D", key_word_left }, { "b", key_word_left },
    { "f", key_word_right },    { "d", key_kill_word_right },
    { "\x7f", key_kill_word },
};
static void (*const controls[32])(struct lineedit *) = {
    [CTRL('A')] = key_home,       [CTRL('B')] = key_left,      [CTRL('E')] = key_end,
    [CTRL('F')] = key_right,      [CTRL('H')] = key_backspace, [CTRL('I')] = key_tab,
    [CTRL('K')] = key_kill_right, [CTRL('L')] = key_clear,     [CTRL('N')] = key_down,
    [CTRL('P')] = key_up,         [CTRL('R')] = key_search,    [CTRL('T')] = key_transpose,
    [CTRL('U')] = key_kill_left,  [CTRL('W')] = key_kill_word, [CTRL('Y')] = key_yank,
    [CTRL('D')] = key_delete,     [CTRL('G')] = key_abort,
};

/* The terminal's answer to CSI 18 t: CSI 8 ; rows ; columns t (xterm's control sequences). */
static bool take_size(struct lineedit *le)
{
    unsigned long cols;
    char *end;

    if (strncmp(le->esc, "[8;", 3) != 0)
        return false;
    (void)strtoul(le->esc + 3, &end, 10);
    if (*end != ';')
        return false;
    cols = strtoul(end + 1, &end, 10);
    if (strcmp(end, "t") != 0)
        return false;
    le->cols = cols < LE_COLS_MIN ? LE_COLS_MIN : cols > LE_COLS_MAX ? LE_COLS_MAX : (unsigned)cols;
    le_redraw(le);
    return true;
}

static bool escape_ended(const struct lineedit *le)
{
    char c = le->esc[le->esc_len - 1];

    if (le->esc_len == 1)
        return c != '[' && c != 'O';
    return le->esc[0] == 'O' || (c >= '@' && c <= '~') || le->esc_len == sizeof le->esc - 1;
}

static void feed_escape(struct lineedit *le, char c)
{
    if (le->esc[0] == '\033') /* just begun: the marker makes room for the first byte */
        le->esc_len = 0;
    if (c == '\033' && le->esc_len == 0) { /* Esc Esc */
        le->esc[0] = '\0';
        key_abort(le);
        return;
    }
    le->esc[le->esc_len++] = c;
    le->esc[le->esc_len] = '\0';
    if (!escape_ended(le))
        return;
    le->esc_len = 0;
    if (take_size(le))
        return;
    for (size_t i = 0; i < ARRAY_SIZE(escapes); i++) {
        if (strcmp(escapes[i].seq, le->esc) == 0) {
            escapes[i].fn(le);
            return;
        }
    }
}

static void search_again(struct lineedit *le, unsigned from)
{
    unsigned most = le->nhistory < LE_HISTORY ? le->nhistory : LE_HISTORY;

    for (unsigned n = from; n <= most && le->search_len; n++) {
        if (strstr(nth_newest(le, n), le->search)) {
            le->search_hit = n;
            le_set_line(le, nth_newest(le, n));
            le_redraw(le);
            return;
        }
    }
    if (le->search_len)
        le_put(le, "\a");
    le_redraw(le);
}

/* True when the byte belonged to the search; another key ends it and counts as itself. */
static bool feed_search(struct lineedit *le, char c)
{
    if (c == CTRL('R')) {
        search_again(le, le->search_hit + 1);
        return true;
    }
    if ((c == 0x7f || c == CTRL('H')) && le->search_len) {
        le->search[--le->search_len] = '\0';
        search_again(le, 1);
        return true;
    }
    if ((unsigned char)c >= ' ' && c != 0x7f && le->search_len < sizeof le->search - 1) {
        le->search[le->search_len++] = c;
        le->search[le->search_len] = '\0';
        search_again(le, le->search_hit ? le->search_hit : 1);
        return true;
    }
    le->searching = false;
    if (c == CTRL('G'))
        key_abort(le);
    else
        le_redraw(le);
    return c == CTRL('G');
}

static void remember(struct lineedit *le)
{
    if (le->len == 0 || (le->nhistory && strcmp(nth_newest(le, 1), le->buf) == 0))
        return;
    memcpy(le->history[le->nhistory % LE_HISTORY], le->buf, le->len + 1);
    le->nhistory++;
}

static enum le_event feed_key(struct lineedit *le, char c)
{
    if (c == '\r' || c == '\n') {
        le->skip_lf = c == '\r';
        le_go(le, le->len);
        le_put(le, "\r\n");
        remember(le);
        return LE_DONE;
    }
    if (c == CTRL('C')) {
        le_put(le, "^C\r\n");
        return LE_INTERRUPT;
    }
    if (c == '\033') {
        le->esc[0] = c;
        le->esc_len = 1;
    } else if (c == 0x7f) {
        key_backspace(le);
    } else if ((unsigned char)c >= ' ') {
        le_insert(le, &c, 1);
    } else if (controls[(unsigned char)c]) {
        controls[(unsigned char)c](le);
    }
    return LE_NONE;
}

enum le_event le_feed(struct lineedit *le, char c)
{
    enum le_event ev = LE_NONE;
    bool skip = le->skip_lf && c == '\n';

    le->skip_lf = false;
    if (skip)
        return LE_NONE; /* the second half of CR LF */
    if (le->esc_len)
        feed_escape(le, c);
    else if (!le->searching || !feed_search(le, c))
        ev = feed_key(le, c);
    le->last_tab = c == '\t';
    return ev;
}

void le_start(struct lineedit *le)
{
    le->len = le->cur = le->hist_pos = 0;
    le->buf[0] = '\0';
    le->searching = false;
    le_redraw(le);
}

void le_init(struct lineedit *le, const char *prompt, unsigned cols,
             void (*out)(void *, const char *, size_t), void *ctx)
{
    hv_assert(prompt && cols > 0 && out);
    memset(le, 0, sizeof *le);
    le->prompt = prompt;
    le->cols = cols;
    le->out = out;
    le->ctx = ctx;
}
