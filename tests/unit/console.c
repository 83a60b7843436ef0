/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <hv/console.h>
#include <hv/lock.h>
#include <hv/time.h>

/* ---- what the mux stands on ---- */
static uint64_t now;
static struct event *posted[16];
static unsigned nposted, events_run;
static char to_shell[256];
static bool busy, interrupted;

void spin_lock(struct spinlock *l)
{
    assert_int_equal(l->next, 0);
    l->next = 1;
}
void spin_unlock(struct spinlock *l)
{
    assert_int_equal(l->next, 1);
    l->next = 0;
}
void lock_assert_held(const struct spinlock *l) { assert_int_equal(l->next, 1); }
uint64_t time_ns(void) { return now; }
void event_init(struct event *ev, void (*fn)(struct event *), uint32_t cpu)
{
    *ev = (struct event){ .fn = fn, .cpu = (uint16_t)cpu };
}
void event_post(struct event *ev)
{
    if (!ev->state)
        posted[nposted++] = ev;
    ev->state = 1;
}
static void redraw(void) {}
static bool is_busy(void) { return busy; }
static void interrupt(void)
{
    busy = false;
    interrupted = true;
}
static void input(char c)
{
    if (strlen(to_shell) < sizeof to_shell - 1)
        strncat(to_shell, &c, 1);
}

static void run_events(void)
{
    while (nposted) {
        struct event *ev = posted[--nposted];

        ev->state = 0;
        events_run++;
        ev->fn(ev);
    }
}

/* ---- a line with a budget, and a guest's device ---- */
static char line[512 * 1024];
static size_t line_len, room;
static struct console *neighbour; /* writes while the line is being written to */

static size_t line_write(const char *s, size_t n)
{
    if (neighbour)
        console_write(neighbour, "n", 1);
    n = n < room ? n : room;
    memcpy(line + line_len, s, n);
    line_len += n;
    line[line_len] = '\0';
    room -= n;
    return n;
}

static void line_sync(const char *s, size_t n)
{
    (void)s;
    (void)n;
}
static const struct host_console host = { "test", line_write, line_sync };
static struct console *guest;
static char to_guest[64];
static struct event guest_ready;

static void on_guest_input(struct event *ev)
{
    char buf[8];
    size_t n;

    while ((n = console_read(guest, ev, buf, sizeof buf)) > 0)
        strncat(to_guest, buf, n);
}

static void type(const char *s)
{
    host_console_rx(s, strlen(s));
    run_events();
}

static void test_output_and_replay(void **state)
{
    static char big[200000];

    (void)state;
    room = sizeof line;
    console_write(guest, "before\n", 7);
    assert_int_equal(line_len, 0); /* not shown */
    console_attach(guest, true);
    assert_non_null(strstr(line, "[console debian"));
    assert_non_null(strstr(line, "before\n"));
    console_write(guest, "after\n", 6);
    assert_non_null(strstr(line, "after\n"));
    room = 0;
    memset(big, 'x', sizeof big);
    console_write(guest, big, sizeof big); /* nobody waits */
    line_len = 0;
    room = sizeof line;
    host_console_tx_ready();
    run_events();
    assert_non_null(strstr(line, "bytes are not shown"));
    assert_true(line_len > 30000 && line_len < 70000);
    type("\x1d");
}

/* A line that takes its time has a lock, but no guest that is not shown waits for it. */
static void test_a_line_holds_up_nobody(void **state)
{
    char got[64];

    (void)state;
    assert_int_equal(console_create("other", &neighbour), 0);
    room = sizeof line;
    line_len = 0;
    console_attach(guest, false);
    console_write(guest, "shown", 5);
    assert_non_null(strstr(line, "shown"));
    assert_int_equal(console_scrollback(neighbour, got, sizeof got), 2); /* notice, output */
    assert_memory_equal(got, "nn", 2);
    free(neighbour);
    neighbour = NULL;
    type("\x1d");
}

static void test_input(void **state)
{
    (void)state;
    line_len = 0;
    type("ab");
    assert_string_equal(to_shell, "ab");
    console_attach(guest, false);
    type("hell");
    assert_string_equal(to_guest, "hell");
    /* one event carries it: the device's own */
    unsigned before = events_run;
    type("o");
    assert_int_equal(events_run, before + 1);
    assert_string_equal(to_guest, "hello");
    assert_string_equal(to_shell, "ab");
    type("\x1d");
    now += 2000000000u;
    type("c");
    assert_string_equal(to_shell, "abc");
    console_attach(guest, false);
    type("\x1d\x1d!"); /* twice: the guest gets one */
    assert_string_equal(to_guest, "hello\x1d!");
    type("\x1d");
    assert_false(console_is_shown(guest));
}

/* Every mode that a guest can set on the operator's terminal is undone when the shell is back. */
static void test_detach_resets_the_terminal(void **state)
{
    static const char *const undo[] = {
        "\030\033\\",  "\033[?1000l", "\033[?1002l", "\033[?1003l", "\033[?1004l", "\033[?1006l",
        "\033[?2004l", "\033[4l",     "\033(B",      "\033)B",      "\017",        "\033[?6l",
        "\033[?5l",    "\033[?1049l", "\033[r",      "\033[0m",     "\033[?25h",   "\033[?7h",
        "\033[?1l",    "\033>",       "[Trivet]",
    };

    (void)state;
    console_attach(guest, false);
    line_len = 0;
    type("\x1d");
    line[line_len] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(undo); i++)
        if (!strstr(line, undo[i]))
            fail_msg("not undone: %zu, %s", i, undo[i] + 1);
    now += 2000000000u;
}

static void test_priority(void **state)
{
    struct event better;
    char buf[8];

    (void)state;
    event_init(&better, on_guest_input, 0);
    assert_int_equal(console_listen(guest, 2, &better), 0);
    run_events();
    console_attach(guest, false);
    host_console_rx("z", 1);
    to_guest[0] = '\0';
    run_events();
    assert_string_equal(to_guest, "z");
    host_console_rx("y", 1);
    /* not the one that gets it */
    assert_int_equal(console_read(guest, &guest_ready, buf, sizeof buf), 0);
    console_unlisten(guest, &better);
    run_events();
    type("\x1d");
    assert_int_equal(console_listen(guest, 1, &better), 0);
    assert_int_equal(console_listen(guest, 1, &better), 0);
    assert_int_equal(console_listen(guest, 1, &better), 0);
    assert_int_equal(console_listen(guest, 1, &better), -ENOSPC);
    console_unlisten(guest, &better);
    run_events();
}

static void test_busy_shell(void **state)
{
    (void)state;
    now += 2000000000u;
    to_shell[0] = '\0';
    busy = true;
    type("typed ahead");
    assert_string_equal(to_shell, "");
    type("x\x03"
         "y");
    assert_true(interrupted);
    assert_string_equal(to_shell, "y"); /* what stood before the Ctrl-C is dropped */
}

static void on_nothing(struct event *ev) { (void)ev; }

/* What finds no room is counted, and told when there is room again. */
static void test_lost_input(void **state)
{
    char many[5000];
    struct event other;

    (void)state;
    now += 2000000000u;
    memset(many, 'x', sizeof many);
    busy = true;
    line_len = 0;
    host_console_rx(many, sizeof many);
    run_events();
    busy = false;
    console_input_resume();
    run_events();
    line[line_len] = '\0';
    assert_non_null(strstr(line, "[Trivet: 904 typed bytes found no room]"));
    (void)console_read(guest, &guest_ready, many, sizeof many); /* of tests before */
    memset(many, 'x', sizeof many);
    event_init(&other, on_nothing, 0);
    assert_int_equal(console_listen(guest, 2, &other), 0);
    console_attach(guest, false);
    host_console_rx(many, sizeof many);
    run_events();
    assert_int_equal(console_input_lost(guest), 904);
    line_len = 0;
    type("\x1d");
    line[line_len] = '\0';
    assert_non_null(strstr(line, "[Trivet: 904 bytes typed for debian found no room]"));
    console_unlisten(guest, &other);
    (void)console_read(guest, &guest_ready, many, sizeof many);
    run_events();
}

/* Another leave key: Ctrl-] is the guest's then. */
static void test_leave_key(void **state)
{
    (void)state;
    now += 2000000000u;
    console_set_escape(1);
    line_len = 0;
    console_attach(guest, false);
    line[line_len] = '\0';
    assert_non_null(strstr(line, "Ctrl-A returns"));
    to_guest[0] = '\0';
    type("a\x1d");
    assert_string_equal(to_guest, "a\x1d");
    assert_true(console_is_shown(guest));
    type("\001");
    assert_false(console_is_shown(guest));
    now += 2000000000u;
    console_set_escape(0x1d);
}

static int setup(void **state)
{
    (void)state;
    host_console_register(&host);
    static const struct console_reader reader = { input, is_busy, interrupt, redraw };
    struct console *home;

    assert_int_equal(console_init(&reader, &home), 0);
    assert_int_equal(console_create("debian", &guest), 0);
    event_init(&guest_ready, on_guest_input, 0);
    assert_int_equal(console_listen(guest, 1, &guest_ready), 0);
    run_events();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_and_replay),
        cmocka_unit_test(test_a_line_holds_up_nobody),
        cmocka_unit_test(test_input),
        cmocka_unit_test(test_detach_resets_the_terminal),
        cmocka_unit_test(test_priority),
        cmocka_unit_test(test_busy_shell),
        cmocka_unit_test(test_lost_input),
        cmocka_unit_test(test_leave_key),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
