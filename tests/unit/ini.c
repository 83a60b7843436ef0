/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <ini.h>

static char seen[4 * INI_LINE_MAX];

static int record(void *user, const char *section, const char *name, const char *value, int lineno)
{
    size_t n = strlen(seen);

    (void)user;
    if (!name) {
        snprintf(seen + n, sizeof seen - n, "%d[%s]%s|", lineno, section, value ? "!" : "");
        return 1;
    }
    snprintf(seen + n, sizeof seen - n, "%d[%s]%s=%s|", lineno, section, name, value);
    return strcmp(name, "bad") != 0;
}

static int parse(const char *text)
{
    seen[0] = '\0';
    return ini_parse_string(text, record, NULL);
}

static void test_values(void **state)
{
    (void)state;
    assert_int_equal(
        parse("a=1\n[guest x]\r\n; no\n# no\n  b = two words ; note\r\nc=a;b=c\n[ y ]\nd="), 0);
    assert_string_equal(seen,
                        "1[]a=1|2[guest x]|5[guest x]b=two words|6[guest x]c=a;b=c|7[y]|8[y]d=|");
}

static void test_errors(void **state)
{
    (void)state;
    assert_int_equal(parse("a=1\nnonsense\nb=2"), 2);
    assert_string_equal(seen, "1[]a=1|2[]!|3[]b=2|");
    assert_int_equal(parse("[open\n"), 1);
    assert_int_equal(parse("=1\n"), 1);
    assert_int_equal(parse("x=1\nbad=1\n\nnonsense"), 2);
}

static void test_bounds(void **state)
{
    static char text[2 * INI_LINE_MAX];

    (void)state;
    memset(text, 'x', INI_LINE_MAX - 1);
    text[1] = '=';
    assert_int_equal(parse(text), 0);
    text[INI_LINE_MAX - 1] = 'x';
    assert_int_equal(parse(text), 1);
    memset(text, 'y', INI_NAME_MAX + 1);
    text[0] = '[';
    text[INI_NAME_MAX] = ']';
    text[INI_NAME_MAX + 1] = '\0';
    assert_int_equal(parse(text), 0);
    text[INI_NAME_MAX] = 'y';
    text[INI_NAME_MAX + 1] = ']';
    text[INI_NAME_MAX + 2] = '\0';
    assert_int_equal(parse(text), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
