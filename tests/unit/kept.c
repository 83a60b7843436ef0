/* SPDX-License-Identifier: BSD-2-Clause */
/* The log of the run before: in memory that outlives a reset, and in the state volume. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hv/event.h>
#include <hv/kept.h>
#include <hv/log.h>
#include <hv/store_log.h>
#include <hv/store_volume.h>
#include <stdio.h>
#include <string.h>

#include "arch/host/host.h"
#include "store_model.h"

static union {
    uint64_t aligned;
    uint8_t byte[2 * KEPT_BANK];
} area;
static char text[8192];

/* All lines of the run before, each with its end. */
static const char *previous(void)
{
    uint64_t seq = 0;
    unsigned level;
    char line[300];

    text[0] = '\0';
    while (kept_previous(&seq, &level, line, sizeof line))
        if (strlen(text) + sizeof line < sizeof text)
            strcat(strcat(text, line), "\n");
    return text;
}

static void say(const char *s) { kept_panic(s, strlen(s)); }

static int fresh(void **state)
{
    (void)state;
    memset(&area, 0xa5, sizeof area);
    return 0;
}

static void test_over_a_reset(void **state)
{
    char why[300];

    (void)state;
    kept_begin(&area);
    assert_string_equal(previous(), "");
    host_now = 1500000000;
    log_info("hello");
    log_warn("a\033b");
    log_debug("not kept");
    assert_string_equal(previous(), "");
    kept_begin(&area);
    assert_string_equal(previous(), "[    1.500000] hello\n[    1.500000] warning: a\\x1bb\n");
    assert_false(kept_reason(why, sizeof why));
    log_info("second");
    say("\n*** stopped on CPU 3: ");
    say("a reason\nrax 1\n");
    assert_string_equal(previous(), "[    1.500000] hello\n[    1.500000] warning: a\\x1bb\n");
    kept_begin(&area);
    assert_string_equal(previous(),
                        "[    1.500000] second\n*** stopped on CPU 3: a reason\nrax 1\n");
    assert_true(kept_reason(why, sizeof why));
    assert_string_equal(why, "*** stopped on CPU 3: a reason");
    kept_begin(&area);
    assert_string_equal(previous(), ""); /* that run logged nothing */
    kept_begin(NULL);
    log_info("nowhere");
    assert_string_equal(previous(), "");
}

static void test_long_runs_and_lines(void **state)
{
    char line[400];
    uint64_t seq = 0;
    unsigned level, n = 0;

    (void)state;
    kept_begin(&area);
    for (unsigned i = 0; i < 1000; i++)
        kept_line(LOG_INFO, 0, (snprintf(line, sizeof line, "line %u", i), line));
    memset(line, 'x', sizeof line);
    line[399] = '\0';
    kept_line(LOG_INFO, 0, line);
    say(line);
    say("\n");
    kept_begin(&area);
    assert_true(kept_previous(&seq, &level, line, sizeof line));
    assert_non_null(strstr(line, "line 747"));
    for (n = 1; kept_previous(&seq, &level, line, sizeof line); n++)
        ;
    assert_int_equal(n, KEPT_LINES);
    assert_in_range(strlen(line), 200, KEPT_LINE);
    seq = 999;
    assert_true(kept_previous(&seq, &level, line, 8));
    assert_int_equal(strlen(line), 7);
}

/* Memory that changed is not taken for a line, nor a whole bank without its head. */
static void test_decay(void **state)
{
    (void)state;
    kept_begin(&area);
    log_info("one");
    log_info("two");
    log_info("three");
    area.byte[2 * KEPT_LINE + 60] ^= 4; /* in the second line */
    kept_begin(&area);
    assert_null(strstr(previous(), "two"));
    assert_non_null(strstr(text, "one"));
    assert_non_null(strstr(text, "three"));
    log_info("four");
    for (unsigned at = 0; at < 24; at++) {
        static uint8_t copy[sizeof area];

        memcpy(copy, &area, sizeof area);
        area.byte[KEPT_BANK + at] ^= 1; /* the head of the newest */
        kept_begin(&area);
        assert_null(strstr(previous(), "four"));
        memcpy(&area, copy, sizeof area);
    }
    memcpy(area.byte + KEPT_BANK + KEPT_LINE, area.byte + 3 * KEPT_LINE, KEPT_LINE);
    kept_begin(&area);
    assert_string_equal(previous(), ""); /* a line of another run */
}

/* ---- in the state volume ---- */

bool store_volume_usable(void) { return store.state == STORE_READY; }
void store_volume_submit(struct store_op *op) { store_submit(&store, op); }

static const char *volume_previous(void)
{
    uint32_t len;
    const char *s = store_log_previous(&len);

    text[0] = '\0';
    if (s && len < sizeof text)
        memcpy(text, s, len), text[len] = '\0';
    return text;
}

static void seconds(unsigned n)
{
    while (n--) {
        host_now += 1000000000;
        while (event_run())
            ;
    }
}

static char *object;
static int object_status;

static void from_object(struct store_op *op, uint32_t page, uint8_t *bytes)
{
    (void)op, (void)page;
    strcpy((char *)bytes, object);
}
static void to_object(struct store_op *op, uint32_t page, uint8_t *bytes)
{
    (void)op;
    memcpy(object + (size_t)page * STORE_PAGE, bytes, STORE_PAGE);
}
static void object_done(struct store_op *op, int status)
{
    (void)op;
    object_status = status;
}

static void object_do(enum store_kind kind, const char *name, char *buf, uint64_t len)
{
    static struct store_op op;

    op = (struct store_op){ .kind = kind, .len = len, .done = object_done };
    op.page = kind == STORE_GET ? to_object : from_object;
    strcpy(op.name, name);
    object = buf;
    store_submit(&store, &op);
    assert_int_equal(object_status, 0);
}

static char *get(const char *name)
{
    static char buf[STORE_LOG_ROOM + STORE_PAGE];

    memset(buf, 0, sizeof buf);
    object_do(STORE_GET, name, buf, STORE_LOG_ROOM);
    return buf;
}

/* All in one: what keep_log.c knows lasts as long as the program. */
static void test_in_the_volume(void **state)
{
    static char before[] = "before: \033[2J\nits end\n";
    const char *buf;
    struct store_space p, q;

    (void)state;
    memset(&model, 0, sizeof model);
    model_mount();
    object_do(STORE_PUT, "log/1", before, 3);
    object_do(STORE_PUT, "log/0", before, strlen(before));
    kept_begin(&area);
    say("*** stopped: a panic\nrip 5\n");
    kept_begin(&area);
    log_info("this run");
    store_log_begin(&store);
    assert_string_equal(volume_previous(), "before: ?[2J\nits end\n");
    assert_string_equal(get("panic"), "*** stopped: a panic\nrip 5\n");
    seconds(3);
    buf = get("log/1");
    assert_non_null(strstr(buf, "] this run\n"));
    assert_null(strstr(buf, "panic"));
    store_space(&store, &p);
    seconds(10);
    log_debug("nothing for the disk");
    seconds(10);
    store_space(&store, &q);
    assert_int_equal(p.updates, q.updates);
    /* A second's line each: a burst, then one update a minute. */
    for (unsigned i = 0; i < 600; i++) {
        log_info("line %u of many, and of some length, so that there are several pages", i);
        seconds(1);
    }
    store_space(&store, &q);
    assert_in_range(q.updates - p.updates, 30, 45);
    log_info("the last");
    while (!store_log_saved())
        seconds(1);
    buf = get("log/1");
    assert_non_null(strstr(buf, "] the last\n"));
    assert_non_null(strstr(buf, "line 599 of"));
    assert_null(strstr(buf, "this run")); /* the oldest went */
    assert_int_equal(buf[0], '[');
    assert_string_equal(get("log/0"), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_over_a_reset, fresh),
        cmocka_unit_test_setup(test_long_runs_and_lines, fresh),
        cmocka_unit_test_setup(test_decay, fresh),
        cmocka_unit_test_setup(test_in_the_volume, fresh),
    };

    host_init(1, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
