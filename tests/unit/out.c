/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "hv/mgmt/out.h"

static char text[4096];

static void keep(void *ctx, const char *s, size_t n)
{
    assert_non_null(ctx);
    assert_true(n < sizeof text);
    memcpy(text, s, n);
    text[n] = '\0';
}

static void answer(bool json)
{
    static const struct column cols[] = { { "name", "Guest", UNIT_NONE, false },
                                          { "bytes", "Memory", UNIT_BYTES, true } };
    struct out o;

    out_begin(&o, json, "7", "list");
    out_list(&o, "guests", cols, 2);
    out_row(&o);
    out_cell(&o, "a \"q\"\n");
    out_cell_number(&o, 512 * MIB);
    out_row(&o);
    out_cell(&o, "longer");
    out_cell_number(&o, 1);
    out_row(&o);
    out_cell(&o, "none");
    out_cell_null(&o);
    out_list_end(&o);
    out_line(&o, "for people");
    out_number(&o, "up", "Up", 1, UNIT_BOOL);
    out_text(&o, "why", "Why", "%d", 7);
    out_end(&o, keep, &o);
}

static void test_forms(void **state)
{
    (void)state;
    answer(true);
    assert_string_equal(text,
                        "{\"ok\":true,\"id\":\"7\",\"command\":\"list\",\"guests\":[{\"name\":\"a "
                        "\\\"q\\\"\\u000a\",\"bytes\":536870912},"
                        "{\"name\":\"longer\",\"bytes\":1},{\"name\":\"none\",\"bytes\":null}],"
                        "\"up\":true,\"why\":\"7\"}\r\n");
    answer(false);
    assert_string_equal(
        text,
        "Guest       Memory\r\na \"q\"\\x0a  512 MiB\r\nlonger         1 "
        "B\r\nnone             -\r\nfor people\r\nUp               yes\r\nWhy              7\r\n");
}

static void test_empty_and_error(void **state)
{
    static const struct column cols[] = { { "a", "A", UNIT_NONE, false } };
    struct out o;

    (void)state;
    out_begin(&o, true, "", "x");
    out_list(&o, "l", cols, 1);
    out_list_end(&o);
    out_end(&o, keep, &o);
    assert_string_equal(text, "{\"ok\":true,\"id\":\"\",\"command\":\"x\",\"l\":[]}\r\n");
    out_begin(&o, true, "", "x");
    out_number(&o, "n", "N", 1, UNIT_NONE);
    out_error(&o, "no `%s`", "y");
    out_end(&o, keep, &o);
    assert_string_equal(text, "{\"ok\":false,\"id\":\"\",\"command\":\"x\",\"error\":{\"code\":"
                              "\"failed\",\"message\":\"no `y`\"}}\r\n");
    out_begin(&o, false, "", "x");
    out_error(&o, "no");
    out_end(&o, keep, &o);
    assert_string_equal(text, "no\r\n");
    out_begin(&o, false, "", "x");
    out_list(&o, "l", cols, 1); /* no heading above nothing */
    out_list_end(&o);
    out_line(&o, "nothing");
    out_end(&o, keep, &o);
    assert_string_equal(text, "nothing\r\n");
}

static void test_events_codes_and_nothing(void **state)
{
    struct out o;

    (void)state;
    out_begin_event(&o, "guest.state", 5);
    out_text(&o, "name", "", "%s", "web");
    out_end(&o, keep, &o);
    assert_string_equal(text, "{\"event\":\"guest.state\",\"time_ns\":5,\"name\":\"web\"}\r\n");
    out_begin(&o, true, "a", "x");
    out_null(&o, "n");
    out_end(&o, keep, &o);
    assert_string_equal(text, "{\"ok\":true,\"id\":\"a\",\"command\":\"x\",\"n\":null}\r\n");
    for (unsigned i = 0; i < OUT_CODES; i++) {
        out_begin(&o, true, "", "x");
        out_error_code(&o, i, "%s", "no");
        out_end(&o, keep, &o);
        assert_non_null(strstr(text, out_codes[i]));
        assert_non_null(strstr(text, "\"message\":\"no\"}}\r\n"));
    }
    out_begin(&o, false, "", "x");
    out_null(&o, "n");
    out_end(&o, keep, &o);
    assert_string_equal(text, "");
}

/*
 * What leaves for a terminal: UTF-8 as it is, whatever steers the terminal in words. C1 bytes come
 * alone and as UTF-8.
 */
static void test_filter(void **state)
{
    static const struct {
        const char *from, *to;
    } rows[] = {
        { "plain", "plain" },
        { "tab\there", "tab\there" },
        { "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
        { "\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80" },
        { "\033[2J", "\\x1b[2J" },
        { "\x9b"
          "2J",
          "\\x9b2J" },
        { "\xc2\x9b"
          "2J",
          "\\xc2\\x9b2J" },
        { "\x7f\r\n", "\\x7f\\x0d\\x0a" },
        { "\xc0\x9b", "\\xc0\\x9b" },
        { "\xe0\x82\x9b", "\\xe0\\x82\\x9b" },
        { "\xe2\x82", "\\xe2\\x82" },
        { "\xed\xa0\x80", "\\xed\\xa0\\x80" },
        { "\xe2\x80\xae", "\\xe2\\x80\\xae" },
        { "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
        { "\xff", "\\xff" },
    };
    char buf[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        text_clean(buf, sizeof buf, rows[i].from);
        assert_string_equal(buf, rows[i].to);
    }
    for (size_t len = 6; len < 20; len++)
        assert_true(text_clean(buf, len, "\x9b\x9b\x9b\x9b\x9b") < len);
    json_quote(buf, sizeof buf, "\xc3\xbc\x9b\xf0\x9f\x98\x80");
    assert_string_equal(buf, "\"\\u00fc\\u009b\\ud83d\\ude00\"");
}

/* Each way into an answer goes through it. */
static void test_answers_are_filtered(void **state)
{
    static const struct column cols[] = { { "a", "A", UNIT_NONE, false } };
    struct out o;

    (void)state;
    out_begin(&o, false, "", "x");
    out_list(&o, "l", cols, 1);
    out_row(&o);
    out_cell(&o, "\x9b"
                 "1");
    out_list_end(&o);
    out_text(&o, "t", "T", "%s",
             "\x9b"
             "2");
    out_line(&o, "%s",
             "\x9b"
             "3");
    out_end(&o, keep, &o);
    assert_null(strchr(text, '\x9b'));
    assert_non_null(strstr(text, "\\x9b1"));
    assert_non_null(strstr(text, "\\x9b2"));
    assert_non_null(strstr(text, "\\x9b3"));
    out_begin(&o, false, "", "x");
    out_error(&o, "%s",
              "\x9b"
              "4");
    out_end(&o, keep, &o);
    assert_string_equal(text, "\\x9b4\r\n");
}

static void test_quote_is_bounded(void **state)
{
    char buf[16];

    (void)state;
    assert_true(json_quote(buf, sizeof buf, "0123456789\"\"\"\"\"\"") < sizeof buf);
    assert_int_equal(buf[strlen(buf) - 1], '"');
    assert_string_equal((json_quote(buf, sizeof buf, "\x01"), buf), "\"\\u0001\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_empty_and_error),
        cmocka_unit_test(test_quote_is_bounded),
        cmocka_unit_test(test_events_codes_and_nothing),
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_answers_are_filtered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
