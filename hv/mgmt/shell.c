/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shell: a line from the editor becomes a command's answer; log lines are shown above the line
 * being typed.
 */
#include "lineedit.h"
#include "mgmt.h"
#include "out.h"
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/console.h>
#include <hv/event.h>
#include <hv/log.h>
#include <hv/mgmt.h>
#include <hv/time.h>
#include <hv/vm.h>
#include <hv/words.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROMPT "trivet> "
#define POLL_NS 50000000u

static struct {
    struct console *console;
    struct lineedit le;
    char line[LE_LINE]; /* JSON: the line being received */
    unsigned line_len;
    /* line_cut: JSON: the line does not fit, and is refused at its end */
    bool json, started, line_cut;
    struct event log_event, poll_event;
    uint64_t log_seq;
    struct out out; /* of the command that runs or waits */
    wait_fn *wait;
    void *wait_ctx;
} sh;

static void write_console(const char *s, size_t n) { console_write(sh.console, s, n); }

static void write_le(void *ctx, const char *s, size_t n)
{
    (void)ctx;
    write_console(s, n);
}

struct console *shell_console(void) { return sh.console; }
bool shell_json(void) { return sh.json; }
static bool shell_is_busy(void) { return sh.wait != NULL; }

void shell_set_json(bool on)
{
    assert_cpu0();
    if (on && !sh.json)
        event_hello();
    sh.json = on;
    sh.line_len = 0;
    sh.line_cut = false;
}

/* ---- the log ---- */

static void show_log_line(const char *text)
{
    if (sh.json) {
        event_log(text);
        return;
    }
    write_console(text, strlen(text));
    write_console("\r\n", 2);
}

static void log_now(struct event *ev)
{
    bool editing = sh.started && !sh.json && !sh.wait, hidden = false;
    char text[256];

    assert_cpu0();
    (void)ev;
    while (log_read(&sh.log_seq, the_config.host.log, text, sizeof text)) {
        if (editing && !hidden)
            le_hide(&sh.le);
        hidden = true;
        show_log_line(text);
    }
    if (editing && hidden)
        le_redraw(&sh.le);
}

/* Any CPU, any context: the text itself is read from the log's ring. */
static void log_sink(const char *text, size_t len)
{
    (void)text;
    (void)len;
    event_post(&sh.log_event);
}

/* ---- commands ---- */

const struct command *find_command(const char *name)
{
    for (unsigned i = 0; i < ncommands; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

void unknown_command(struct out *o, const char *name)
{
    const char *names[64], *near;

    for (unsigned i = 0; i < ncommands; i++)
        names[i] = commands[i].name;
    near = nearest_word(name, names, ncommands);
    if (near)
        out_error_code(o, OUT_UNKNOWN, "there is no command `%.40s`; did you mean `%s`?", name,
                       near);
    else
        out_error_code(o, OUT_UNKNOWN, "there is no command `%.40s`; `help` lists them", name);
}

static bool arguments_ok(struct out *o, const struct command *c, unsigned argc, char **argv)
{
    unsigned n = argc - 1;

    if (n < c->min_args || n > c->max_args) {
        out_error_code(o, OUT_USAGE, "usage: %s%s%s, such as `%s`", c->name, *c->args ? " " : "",
                       c->args, c->example);
        return false;
    }
    if (c->guest && argc > c->guest && !vm_find(argv[c->guest])) {
        const char *names[MAX_VMS], *near;
        unsigned count = 0;

        for (; count < vm_count() && count < MAX_VMS; count++)
            names[count] = vm_by_index(count)->config->name;
        near = nearest_word(argv[c->guest], names, count);
        if (near)
            out_error_code(o, OUT_UNKNOWN, "there is no guest `%.40s`; did you mean `%s`?",
                           argv[c->guest], near);
        else
            out_error_code(o, OUT_UNKNOWN, "there is no guest `%.40s`; `list` shows them",
                           argv[c->guest]);
        return false;
    }
    return true;
}

static void finish(void)
{
    assert_cpu0();
    out_end(&sh.out, write_console);
    sh.wait = NULL;
    if (!sh.json)
        le_start(&sh.le);
    console_input_resume();
    event_post(&sh.log_event);
}

static unsigned split(char *line, char **argv)
{
    unsigned n = 0;

    for (char *s = strtok(line, " \t"); s && n < MAX_ARGS; s = strtok(NULL, " \t"))
        argv[n++] = s;
    return n;
}

/* `@7 list`: a program's own mark, which its answer brings back. */
static const char *take_id(unsigned *argc, char **argv)
{
    const char *id = argv[0] + 1;

    if (!sh.json || argv[0][0] != '@')
        return "";
    (*argc)--;
    memmove(argv, argv + 1, *argc * sizeof *argv);
    return id;
}

static void run_line(char *line)
{
    char *argv[MAX_ARGS];
    unsigned argc = split(line, argv);
    const struct command *c;
    const char *id;

    assert_cpu0();
    hv_assert(!sh.wait);
    if (argc == 0) {
        if (!sh.json)
            le_start(&sh.le);
        return;
    }
    id = take_id(&argc, argv);
    c = argc ? find_command(argv[0]) : NULL;
    out_begin(&sh.out, sh.json, id, c ? c->name : "");
    if (strlen(id) >= OUT_ID)
        out_error_code(&sh.out, OUT_USAGE, "the id is too long: at most %d bytes", OUT_ID - 1);
    else if (!argc)
        out_error_code(&sh.out, OUT_USAGE, "no command follows the id");
    else if (!c)
        unknown_command(&sh.out, argv[0]);
    else if (arguments_ok(&sh.out, c, argc, argv))
        c->fn(&sh.out, argc, argv);
    if (!sh.wait)
        finish();
}

/* ---- waiting ---- */

static void poll_now(struct event *ev)
{
    assert_cpu0();
    if (!sh.wait)
        return;
    if (sh.wait(&sh.out, sh.wait_ctx))
        finish();
    else
        event_at(ev, time_ns() + POLL_NS);
}

void shell_wait(wait_fn *fn, void *ctx)
{
    assert_cpu0();
    hv_assert(fn && !sh.wait);
    sh.wait = fn;
    sh.wait_ctx = ctx;
    event_post(&sh.poll_event);
}

static void shell_interrupt(void)
{
    assert_cpu0();
    if (!sh.wait)
        return;
    write_console("^C\r\n", 4);
    out_error_code(&sh.out, OUT_CANCELLED,
                   "no longer waiting; it goes on in the background (`list` shows how far it is)");
    finish();
}

void shell_progress(const char *fmt, ...)
{
    char text[200], clean[400];
    va_list ap;

    if (sh.json)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    write_console(clean, text_clean(clean, sizeof clean, text));
    write_console("\r\n", 2);
}

/* ---- input ---- */

/* JSON: no echo, no editing; a line ends with CR, LF or both. */
static void input_json(char c)
{
    hv_assert(sh.line_len < sizeof sh.line);
    if (c != '\r' && c != '\n') {
        if (sh.line_len < sizeof sh.line - 1)
            sh.line[sh.line_len++] = c;
        else
            sh.line_cut = true;
        return;
    }
    sh.line[sh.line_len] = '\0';
    sh.line_len = 0;
    if (!sh.line_cut) {
        run_line(sh.line);
        return;
    }
    sh.line_cut = false;
    out_begin(&sh.out, true, "", "");
    out_error_code(&sh.out, OUT_USAGE, "the line is too long: at most %u bytes; nothing was done",
                   (unsigned)sizeof sh.line - 1);
    finish();
}

static void shell_input(char c)
{
    char line[LE_LINE];

    assert_cpu0();
    if (sh.json) {
        input_json(c);
        return;
    }
    switch (le_feed(&sh.le, c)) {
    case LE_DONE:
        memcpy(line, sh.le.buf, sizeof line);
        run_line(line);
        break;
    case LE_INTERRUPT: le_start(&sh.le); break;
    case LE_NONE: break;
    }
}

static void shell_redraw(void)
{
    assert_cpu0();
    if (!sh.json && !sh.wait && sh.started)
        le_redraw(&sh.le);
}

/* ---- completion ---- */

static bool begins(const char *word, const char *part, unsigned len)
{
    return strncmp(word, part, len) == 0;
}

static unsigned complete_command(const char *part, unsigned len, const char **words, unsigned max)
{
    unsigned n = 0;

    for (unsigned i = 0; i < ncommands && n < max; i++) {
        if (begins(commands[i].name, part, len))
            words[n++] = commands[i].name;
    }
    return n;
}

static unsigned complete_argument(const struct command *c, const char *part, unsigned len,
                                  const char **words, unsigned max)
{
    unsigned n = 0;

    for (unsigned i = 0; c->guest && i < vm_count() && n < max; i++) {
        if (begins(vm_by_index(i)->config->name, part, len))
            words[n++] = vm_by_index(i)->config->name;
    }
    for (const char *const *w = c->words; w && *w && n < max; w++) {
        if (begins(*w, part, len))
            words[n++] = *w;
    }
    return n;
}

static unsigned complete_key(const char *part, unsigned len, const char **words, unsigned max)
{
    struct config_key k;
    unsigned n = 0;

    for (unsigned i = 0; config_key(i, &k) && n < max; i++) {
        if (begins(k.name, part, len))
            words[n++] = k.name;
    }
    return n;
}

/* [done, part): what was typed between `help` and the word that is completed. */
static unsigned complete_help(const char *done, const char *part, unsigned len, const char **words,
                              unsigned max)
{
    while (done < part && *done == ' ')
        done++;
    return part - done > 6 && begins(done, "config ", 7) ? complete_key(part, len, words, max)
                                                         : complete_command(part, len, words, max);
}

static unsigned complete(void *ctx, const char *buf, unsigned cur, unsigned *start,
                         const char **words, unsigned max)
{
    const struct command *c;
    char name[32];
    unsigned first = 0, end;

    (void)ctx;
    while (first < cur && buf[first] == ' ')
        first++;
    for (end = first; end < cur && buf[end] != ' '; end++)
        ;
    for (*start = cur; *start > first && buf[*start - 1] != ' '; (*start)--)
        ;
    if (*start <= first)
        return complete_command(buf + first, cur - first, words, max);
    snprintf(name, sizeof name, "%.*s", (int)(end - first), buf + first);
    if (strcmp(name, "help") == 0)
        return complete_help(buf + end, buf + *start, cur - *start, words, max);
    c = find_command(name);
    return c ? complete_argument(c, buf + *start, cur - *start, words, max) : 0;
}

int shell_init(void)
{
    static const struct console_reader reader = { shell_input, shell_is_busy, shell_interrupt,
                                                  shell_redraw };
    int err = console_init(&reader, &sh.console);

    assert_cpu0();
    if (err)
        return err;
    le_init(&sh.le, PROMPT, 80, write_le, NULL);
    sh.le.complete = complete;
    event_init(&sh.log_event, log_now, 0);
    event_init(&sh.poll_event, poll_now, 0);
    events_init(write_console);
    return 0;
}

void shell_start(void)
{
    char text[256];

    assert_cpu0();
    hv_assert(!sh.started);
    while (log_read(&sh.log_seq, LOG_DEBUG, text, sizeof text))
        ; /* the boot's lines were shown by the early log */
    log_set_sink(log_sink);
    sh.started = true;
    shell_set_json(the_config.host.json);
    if (!sh.json)
        le_start(&sh.le);
}
