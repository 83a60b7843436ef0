#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "hv/mgmt/out.h"

static char text[4096];

static void keep(const char *s, size_t n)
{
    assert_true(n < sizeof text);
    memcpy(text, s, n);
    text[n] = '\0';
}

static void answer(bool json)
{
    static const struct column cols[] = { { "name", "Guest", UNIT_NONE, false }, { "bytes", "Memory", UNIT_BYTES, true } };
    struct out o;

    out_begin(&o, json, "list");
    out_list(&o, "guests", cols, 2);
    out_row(&o);
    out_cell(&o, "a \"q\"\n");
    out_cell_number(&o, 512 * MIB);
    out_row(&o);
    out_cell(&o, "longer");
    out_cell_number(&o, 1);
    out_list_end(&o);
    out_line(&o, "for people");
    out_number(&o, "up", "Up", 1, UNIT_BOOL);
    out_text(&o, "why", "Why", "%d", 7);
    out_end(&o, keep);
}

static void test_forms(void **state)
{
    (void)state;
    answer(true);
    assert_string_equal(text, "{\"ok\":true,\"command\":\"list\",\"guests\":[{\"name\":\"a \\\"q\\\"\\u000a\",\"bytes\":536870912},"
                              "{\"name\":\"longer\",\"bytes\":1}],\"up\":true,\"why\":\"7\"}\r\n");
    answer(false);
    assert_string_equal(text, "Guest    Memory\r\na \"q\"\n  512 MiB\r\nlonger      1 B\r\nfor people\r\nUp               yes\r\nWhy              7\r\n");
}

static void test_empty_and_error(void **state)
{
    static const struct column cols[] = { { "a", "A", UNIT_NONE, false } };
    struct out o;

    (void)state;
    out_begin(&o, true, "x");
    out_list(&o, "l", cols, 1);
    out_list_end(&o);
    out_end(&o, keep);
    assert_string_equal(text, "{\"ok\":true,\"command\":\"x\",\"l\":[]}\r\n");
    out_begin(&o, true, "x");
    out_number(&o, "n", "N", 1, UNIT_NONE);
    out_error(&o, "no `%s`", "y");
    out_end(&o, keep);
    assert_string_equal(text, "{\"ok\":false,\"error\":\"no `y`\"}\r\n");
    out_begin(&o, false, "x");
    out_error(&o, "no");
    out_end(&o, keep);
    assert_string_equal(text, "no\r\n");
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
        cmocka_unit_test(test_forms), cmocka_unit_test(test_empty_and_error), cmocka_unit_test(test_quote_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
