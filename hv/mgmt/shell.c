/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shell: a line that a session typed becomes a command's answer. The session on the home
 * console (the serial line) is made here.
 */
#include "mgmt.h"
#include "out.h"
#include "session.h"
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/console.h>
#include <hv/mgmt.h>
#include <hv/vm.h>
#include <hv/words.h>
#include <string.h>

/* ---- commands ---- */

const struct command *find_command(const char *name)
{
    if (strcmp(name, "?") == 0)
        name = "help";
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

static unsigned shell_split(char *line, char **argv)
{
    unsigned n = 0;

    for (char *s = strtok(line, " \t"); s && n < MAX_ARGS; s = strtok(NULL, " \t"))
        argv[n++] = s;
    return n;
}

/* `@7 list`: a program's own mark, which its answer brings back. */
static const char *take_id(const struct session *s, unsigned *argc, char **argv)
{
    const char *id = argv[0] + 1;

    if (!s->json || argv[0][0] != '@')
        return "";
    (*argc)--;
    memmove(argv, argv + 1, *argc * sizeof *argv);
    return id;
}

void shell_run(struct session *s, char *line)
{
    char *argv[MAX_ARGS];
    unsigned argc = shell_split(line, argv);
    const struct command *c;
    const char *id;

    assert_cpu0();
    hv_assert(!s->poll);
    if (argc == 0) {
        if (!s->json)
            le_start(&s->le);
        return;
    }
    id = take_id(s, &argc, argv);
    c = argc ? find_command(argv[0]) : NULL;
    out_begin(&s->out, s->json, id, c ? c->name : "");
    if (strlen(id) >= OUT_ID)
        out_error_code(&s->out, OUT_USAGE, "the id is too long: at most %d bytes", OUT_ID - 1);
    else if (!argc)
        out_error_code(&s->out, OUT_USAGE, "no command follows the id");
    else if (!c)
        unknown_command(&s->out, argv[0]);
    else if (arguments_ok(&s->out, c, argc, argv))
        c->fn(&s->out, argc, argv);
    if (!s->poll)
        session_finish(s);
}

/* ---- the session on the home console ---- */

static struct console *home;
static struct session *serial;

struct console *shell_console(void) { return home; }
struct session *shell_serial(void) { return serial; }

static void serial_write(void *ctx, const char *s, size_t n) { console_write(ctx, s, n); }
static void serial_ready(void *ctx)
{
    (void)ctx;
    console_input_resume();
}
static void serial_attach(void *ctx, struct console *c)
{
    (void)ctx;
    console_attach(c, true);
}

static void serial_input(char c) { session_input(serial, c); }
static bool serial_busy(void) { return session_busy(serial); }
static void serial_interrupt(void) { session_interrupt(serial); }
static void serial_redraw(void) { session_redraw(serial); }

int shell_init(void)
{
    static const struct console_reader reader = { serial_input, serial_busy, serial_interrupt,
                                                  serial_redraw };
    static const struct terminal terminal = { serial_write, serial_ready, serial_attach };
    int err = console_init(&reader, &home);

    assert_cpu0();
    if (err)
        return err;
    sessions_init();
    return session_open(&terminal, home, &serial);
}

void shell_start(void)
{
    assert_cpu0();
    console_set_escape((char)the_config.host.escape);
    session_start(serial, the_config.host.json);
}
