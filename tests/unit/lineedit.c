/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "hv/mgmt/lineedit.h"

static struct lineedit le;
static char screen[65536];
static size_t shown;

static void out(void *ctx, const char *s, size_t n)
{
    (void)ctx;
    if (shown + n >= sizeof screen)
        shown = 0;
    memcpy(screen + shown, s, n);
    shown += n;
    screen[shown] = '\0';
}

static const char *const words[] = { "start", "stats", "stop" };

static unsigned complete(void *ctx, const char *buf, unsigned cur, unsigned *start,
                         const char **found, unsigned max)
{
    unsigned n = 0;

    (void)ctx;
    (void)max;
    *start = 0;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (strncmp(words[i], buf, cur) == 0)
            found[n++] = words[i];
    }
    return n;
}

static int setup(void **state)
{
    (void)state;
    le_init(&le, "> ", 20, out, NULL);
    le.complete = complete;
    le_start(&le);
    shown = 0;
    return 0;
}

/* Types s; the last event. */
static enum le_event type(const char *s)
{
    enum le_event ev = LE_NONE;

    for (; *s; s++) {
        ev = le_feed(&le, *s);
        assert_true(le.cur <= le.len && le.len < LE_LINE);
        if (ev == LE_DONE && s[1])
            le_start(&le);
    }
    return ev;
}

#define LEFT "\033[D"
#define UP "\033[A"
#define DOWN "\033[B"

static void test_editing(void **state)
{
    (void)state;
    assert_int_equal(type("lst" LEFT LEFT "i\r"), LE_DONE);
    assert_string_equal(le.buf, "list");
    le_start(&le);
    type("one two three\027\x7f\x7f\001X\005Y\r"); /* kill a word, two backspaces, Home, End */
    assert_string_equal(le.buf, "Xone twY");
    le_start(&le);
    type("abc\002\002\013\031\031\r"); /* Ctrl-K, then yank twice */
    assert_string_equal(le.buf, "abcbc");
    le_start(&le);
    type("one two\033[1;5D\033[3~\033[1~\033[3~\r");
    assert_string_equal(le.buf, "ne wo");
    le_start(&le);
    type("\xc3\xa4\xc3\xb6\x7f\r"); /* one backspace takes a whole UTF-8 character */
    assert_string_equal(le.buf, "\xc3\xa4");
    le_start(&le);
    assert_int_equal(type("xyz\003"), LE_INTERRUPT);
}

static void test_history(void **state)
{
    (void)state;
    type("first\rsecond\rsecond\rthird\r");
    assert_int_equal(le.nhistory, 3);
    le_start(&le);
    type("dra" UP UP UP);
    assert_string_equal(le.buf, "first");
    type(UP DOWN DOWN DOWN);
    assert_string_equal(le.buf, "dra");
    type("\022eco");
    assert_string_equal(le.buf, "second");
    assert_int_equal(type("\r"), LE_DONE);
    assert_string_equal(le.buf, "second");
    for (int i = 0; i < 3 * LE_HISTORY; i++) {
        char line[16];

        le_start(&le);
        snprintf(line, sizeof line, "c%d\r", i);
        type(line);
    }
    le_start(&le);
    for (int i = 0; i < 2 * LE_HISTORY; i++)
        type(UP);
    assert_string_equal(le.buf, "c64");
}

static void test_completion(void **state)
{
    (void)state;
    type("sto\t");
    assert_string_equal(le.buf, "stop ");
    le_start(&le);
    type("sta\t");
    assert_string_equal(le.buf, "sta");
    shown = 0;
    type("\t");
    assert_non_null(strstr(screen, "start  stats"));
    le_start(&le);
    type("x\t");
    assert_string_equal(le.buf, "x");
}

static void test_long_line_scrolls(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * LE_LINE; i++)
        type(&"0123456789"[i % 10]);
    assert_int_equal(le.len, LE_LINE - 1);
    shown = 0;
    le_redraw(&le);
    assert_true(strlen(screen) <= 20 + 16); /* 20 columns and a few escapes */
    type("\001");
    shown = 0;
    le_redraw(&le);
    assert_non_null(strstr(screen, "> 0123456789"));
}

/* Ctrl-G and Esc Esc drop the line; a search too. */
static void test_abort(void **state)
{
    (void)state;
    type("first\r");
    le_start(&le);
    type("half a line\007");
    assert_string_equal(le.buf, "");
    type("half\033\033a");
    assert_string_equal(le.buf, "a");
    type("\022fir\007b");
    assert_string_equal(le.buf, "b");
    assert_false(le.searching);
}

/* The terminal's answer to the question that Ctrl-L asks is no text. */
static void test_width(void **state)
{
    (void)state;
    shown = 0;
    type("ab\014");
    assert_non_null(strstr(screen, "\033[18t"));
    type("\033[8;50;132t");
    assert_int_equal(le.cols, 132);
    type("\033[8;50;9t");
    assert_int_equal(le.cols, LE_COLS_MIN);
    type("\033[8;1;65000t");
    assert_int_equal(le.cols, LE_COLS_MAX);
    type("\033[8;;t\033[8;1;2x\033[9;5;70t");
    assert_int_equal(le.cols, LE_COLS_MIN);
    assert_string_equal(le.buf, "ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_editing, setup),
        cmocka_unit_test_setup(test_history, setup),
        cmocka_unit_test_setup(test_completion, setup),
        cmocka_unit_test_setup(test_long_line_scrolls, setup),
        cmocka_unit_test_setup(test_abort, setup),
        cmocka_unit_test_setup(test_width, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
