/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several sessions at once: their lines do not mix, a command that waits in one does not hold up
 * another, and JSON and its events belong to those that asked. The guests are Trivet's own structs;
 * what they do is this file's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/host/host.h"
#include "boot/boot_info.h"
#include <hv/config.h>
#include <hv/console.h>
#include <hv/event.h>
#include <hv/files.h>
#include <hv/log.h>
#include <hv/mgmt.h>
#include <hv/notice.h>
#include <hv/power.h>
#include <hv/session.h>
#include <hv/start.h>
#include <hv/vm.h>

static const char conf[] = "[guest web]\nkernel = vmlinuz\nmemory = 16M\nautostart = no\n"
                           "[guest db]\nkernel = vmlinuz\nmemory = 16M\nautostart = no\n";

/* ---- guests ---- */

static unsigned presses;
static bool deaf; /* no guest listens to its power button */

int vm_power_button(struct vm *vm)
{
    (void)vm;
    presses += !deaf;
    return deaf ? -ENODEV : 0;
}
void vm_by_hand(struct vm *vm) { (void)vm; }
int vm_start(struct vm *vm)
{
    vm->state = VM_STARTING;
    return 0;
}

/* ---- terminals ---- */

struct screen {
    struct session *session;
    char text[16384];
    size_t len;
    unsigned ready;
    struct console *attached;
};
static struct screen a, b;

static void screen_write(void *ctx, const char *s, size_t n)
{
    struct screen *t = ctx;

    assert_true(t->len + n < sizeof t->text);
    memcpy(t->text + t->len, s, n);
    t->len += n;
    t->text[t->len] = '\0';
}
static void screen_ready(void *ctx) { ((struct screen *)ctx)->ready++; }
static void screen_attach(void *ctx, struct console *c) { ((struct screen *)ctx)->attached = c; }

static const struct terminal plain = { screen_write, screen_ready, NULL };
static const struct terminal attaching = { screen_write, screen_ready, screen_attach };

static void settle(void)
{
    for (unsigned i = 0; i < 4; i++) {
        host_now += 60000000;
        for (unsigned n = 0; n < 100 && event_run(); n++)
            ;
    }
}

static void clear_screen(struct screen *t)
{
    t->len = 0;
    t->text[0] = '\0';
}

/* Types both lines, a byte of each in turn, as far as they go. */
static void type_both(const char *left, const char *right)
{
    while (*left || *right) {
        if (*left)
            session_input(a.session, *left++);
        if (*right)
            session_input(b.session, *right++);
    }
    settle();
}

static void type(struct screen *t, const char *s)
{
    while (*s)
        session_input(t->session, *s++);
    settle();
}

static bool says(const struct screen *t, const char *s) { return strstr(t->text, s) != NULL; }

static int open_both(void **state)
{
    static bool booted;
    static struct boot_info bi = { .nfiles = 1 };

    (void)state;
    if (!booted) {
        host_init(1, 64 * MIB);
        snprintf(bi.files[0].name, sizeof bi.files[0].name, "vmlinuz");
        bi.files[0].status = BOOT_FILE_OK;
        bi.files[0].phys = (uint64_t)(uintptr_t)calloc(1, 4096);
        bi.files[0].size = 4096;
        if (files_init(&bi) || config_init(conf, sizeof conf - 1) || shell_init() || guests_start())
            return -1;
    }
    booted = true;
    a = (struct screen){ 0 };
    b = (struct screen){ 0 };
    deaf = false;
    vm_find("web")->state = vm_find("db")->state = VM_RUNNING;
    if (session_open(&attaching, &a, &a.session) || session_open(&plain, &b, &b.session))
        return -1;
    session_start(a.session, false);
    session_start(b.session, false);
    settle();
    clear_screen(&a);
    clear_screen(&b);
    return 0;
}

static int close_both(void **state)
{
    (void)state;
    if (a.session)
        session_close(a.session);
    if (b.session)
        session_close(b.session);
    settle();
    return 0;
}

/* ---- tests ---- */

/* `stop` of a slow guest waits in one session; the other types, and is answered. */
static void test_one_waits(void **state)
{
    (void)state;
    type_both("stop web\r", "version");
    assert_true(session_busy(a.session));
    assert_false(session_busy(b.session));
    assert_int_equal(presses, 1);
    type(&b, "\r");
    assert_true(says(&b, "Engine"));
    type(&b, "list\r");
    assert_true(says(&b, "running") && says(&b, "db"));
    host_now += 2500000000ull;
    settle();
    assert_true(says(&a, "web: waiting for it to power off, "));
    vm_find("web")->state = VM_STOPPING;
    host_now += 2500000000ull;
    settle();
    assert_true(says(&a, "web: waiting for its vCPUs and devices, "));
    vm_find("web")->emptying = true;
    host_now += 2500000000ull;
    settle();
    assert_true(says(&a, "web: waiting until its memory is zeroed and free, "));
    vm_find("web")->emptying = false;
    assert_false(says(&b, "waiting"));
    assert_false(says(&a, "Engine") || says(&a, "db"));
    vm_find("web")->state = VM_OFF;
    settle();
    assert_false(session_busy(a.session));
    assert_true(says(&a, "web: off") && says(&a, "trivet> "));
    assert_false(says(&b, "web: off"));
    assert_int_equal(a.ready, 1);
}

/* Each waits for its own guest, and the second is done first. */
static void test_both_wait(void **state)
{
    (void)state;
    vm_find("db")->state = VM_OFF;
    type_both("stop web\r", "start db\r");
    assert_true(session_busy(a.session) && session_busy(b.session));
    vm_find("db")->state = VM_RUNNING;
    settle();
    assert_true(session_busy(a.session) && !session_busy(b.session));
    assert_true(says(&b, "db: running"));
    assert_false(says(&a, "db:"));
    vm_find("db")->state = VM_OFF;
    type(&b, "start db\r");
    session_interrupt(a.session); /* one gives up; the other's goes on */
    assert_true(says(&a, "no longer waiting"));
    assert_true(session_busy(b.session));
    vm_find("db")->state = VM_RUNNING;
    settle();
    assert_false(session_busy(b.session));
}

/* Deadlines are each command's own: 30 s of the one that began first. */
static void test_deadlines(void **state)
{
    (void)state;
    type(&a, "stop web\r");
    host_now += 20000000000ull;
    type(&b, "stop db\r");
    host_now += 12000000000ull;
    settle();
    assert_true(says(&a, "web did not power off within"));
    assert_true(session_busy(b.session));
    host_now += 20000000000ull;
    settle();
    assert_true(says(&b, "db did not power off within"));
}

/* The button is pressed when somebody listens: one command's wait turns into another. */
static void test_wait_turns(void **state)
{
    (void)state;
    presses = 0;
    deaf = true;
    type(&a, "stop web --wait\r");
    assert_true(session_busy(a.session));
    deaf = false;
    settle();
    assert_int_equal(presses, 1);
    assert_true(says(&a, "its power button is pressed") && session_busy(a.session));
    vm_find("web")->state = VM_OFF;
    settle();
    assert_false(session_busy(a.session));
}

/* Two that end the machine: each asks for its own end, and a wrong word of one changes nothing. */
static const char *ended;
static jmp_buf end;
void hv_reboot(void)
{
    ended = "reboot";
    longjmp(end, 1);
}
void hv_poweroff(void)
{
    ended = "poweroff";
    longjmp(end, 1);
}

static void test_endings(void **state)
{
    (void)state;
    type(&a, "poweroff --yes\r");
    type(&b, "reboot now\r");
    type(&b, "reboot\r");
    assert_true(session_busy(a.session) && !session_busy(b.session));
    vm_find("web")->state = vm_find("db")->state = VM_OFF;
    if (!setjmp(end))
        settle();
    this_cpu()->events.running = NULL; /* the event that we came from */
    assert_string_equal(ended, "poweroff");
}

/* JSON is one session's, and so are the events. */
static void test_json(void **state)
{
    (void)state;
    type(&b, "json on\r");
    assert_true(session_json(b.session) && !session_json(a.session));
    assert_true(says(&b, "{\"event\":\"hello\""));
    clear_screen(&a);
    clear_screen(&b);
    notice_post(NOTICE_GUEST_PANIC, "web", "panic", "told");
    log_warn("a line of the log");
    settle();
    assert_true(says(&b, "{\"event\":\"guest.panic\"") && says(&b, "{\"event\":\"log\""));
    assert_false(says(&a, "{"));
    assert_true(says(&a, "a line of the log\r\n"));
    type_both("version\r", "@7 version\r");
    assert_true(says(&b, "{\"ok\":true,\"id\":\"7\",\"command\":\"version\""));
    assert_false(says(&a, "{"));
    type(&a, "json on\r"); /* both: each is told once, and its answer has its own id */
    clear_screen(&a);
    clear_screen(&b);
    notice_post(NOTICE_GUEST_PANIC, "db", "panic", "told");
    type_both("@left version\r", "@right version\r");
    for (struct screen *t = &a; t; t = t == &a ? &b : NULL) {
        const char *first = strstr(t->text, "guest.panic");

        assert_non_null(first);
        assert_null(strstr(first + 1, "guest.panic"));
    }
    assert_true(says(&a, "\"left\"") && !says(&a, "\"right\""));
    assert_true(says(&b, "\"right\"") && !says(&b, "\"left\""));
}

/* A log line goes above the line being typed, in each as far as it has come. */
static void test_log_above(void **state)
{
    (void)state;
    type_both("sto", "list");
    log_warn("between");
    settle();
    assert_true(says(&a, "between\r\n\rtrivet> sto"));
    assert_true(says(&b, "between\r\n\rtrivet> list"));
}

/* Who leaves while a command waits takes nothing along. */
static void test_close(void **state)
{
    (void)state;
    type_both("stop web\r", "stop db\r");
    session_close(a.session);
    a.session = NULL;
    clear_screen(&a);
    settle();
    assert_true(session_busy(b.session));
    log_warn("to whom it concerns");
    vm_find("db")->state = VM_OFF;
    settle();
    assert_int_equal(a.len, 0);
    assert_true(says(&b, "db: off") && says(&b, "to whom it concerns"));
}

static void test_console(void **state)
{
    (void)state;
    type_both("console web\r", "console web\r");
    assert_ptr_equal(a.attached, vm_find("web")->console);
    assert_true(says(&b, "no console can be shown here"));
}

static void test_most(void **state)
{
    struct session *more[SESSIONS_MAX];
    unsigned n = 0;

    (void)state;
    while (n < SESSIONS_MAX && session_open(&plain, &b, &more[n]) == 0)
        n++;
    assert_int_equal(n, SESSIONS_MAX - 3); /* the serial line's, a, b */
    while (n)
        session_close(more[--n]);
}

int main(void)
{
#define SESSIONS_TEST(f) cmocka_unit_test_setup_teardown(f, open_both, close_both)
    const struct CMUnitTest tests[] = {
        SESSIONS_TEST(test_one_waits), SESSIONS_TEST(test_both_wait),
        SESSIONS_TEST(test_deadlines), SESSIONS_TEST(test_wait_turns),
        SESSIONS_TEST(test_endings),   SESSIONS_TEST(test_json),
        SESSIONS_TEST(test_log_above), SESSIONS_TEST(test_close),
        SESSIONS_TEST(test_console),   SESSIONS_TEST(test_most),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
