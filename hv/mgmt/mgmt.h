/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the files of hv/mgmt. Everything on CPU 0's loop. */
#pragma once
#include <hv/config.h>
#include <hv/log.h>
#include <hv/types.h>
struct console;
struct out;
struct session;
struct vm;

/* shell.c: the home console, and the session on it */
struct console *shell_console(void);
struct session *shell_serial(void);

/*
 * A command. fn fills `o` and returns; an error is said with out_error(). `o` is the session's that
 * typed it, and several sessions' commands may wait at once: what a command keeps between its polls
 * is in its struct wait, never in a static variable.
 */
#define MAX_ARGS 8
struct command {
    const char *name, *args, *help, *example;
    void (*fn)(struct out *, unsigned argc, char **argv); /* argv[0]: the command's name */
    /* Words for argument n (1..): guests' names, or a fixed list; NULL: none. */
    const char *const *words;
    /* the argument that names a guest; fn is called only if it does, or is not given; 0: none */
    uint8_t guest;
    uint8_t min_args, max_args; /* without the name */
};
/* wait.c: a command that waits for a guest, or for all of them; one in each session. */
#define SECOND 1000000000ull /* ns */
struct wait {
    struct vm *vm; /* NULL: all */
    uint64_t began, deadline, next_progress;
    uint32_t resets;             /* `reset`: vm->resets before it */
    const struct ending *ending; /* `reboot`, `poweroff`: which */
    bool forced;                 /* these two: guests were ended that did not power off */
};
typedef bool wait_fn(struct out *, struct wait *);
/*
 * A command, or the poll of one: `poll` is called at once and then every 50 ms, with `o` still
 * open, until it returns true; it may print progress. timeout: ns, UINT64_MAX for none. What
 * happens then is up to poll.
 */
struct wait *wait_for(struct out *, struct vm *, uint64_t timeout, wait_fn *poll);
/* One line at once; nothing in JSON. */
void shell_progress(struct out *, const char *fmt, ...) printf_like(2, 3);
/* Shows the guest's console where the command was typed. False: it has no way to. */
bool session_attach(struct out *, struct console *);
void wait_begin(struct wait *, struct vm *, uint64_t timeout);
/* Every two seconds, once: say how far it is. */
bool wait_progress_due(struct wait *);
unsigned long long wait_seconds(const struct wait *); /* so far */
extern const struct command commands[];
extern const unsigned ncommands;
const struct command *find_command(const char *name); /* NULL: there is none */
void unknown_command(struct out *, const char *name); /* says so, and which is near */

/*
 * events.c: lines to programs between answers; docs/pages/json.md describes the protocol. Its
 * number is raised when a field goes or changes its meaning.
 */
#define JSON_PROTOCOL 1
void events_init(void);
void event_hello(struct session *);
void event_log(struct session *, const char *text);

/* commands_*.c */
#define COMMAND(n) void cmd_##n(struct out *, unsigned argc, char **argv)
COMMAND(help);
COMMAND(set);
COMMAND(reload);
COMMAND(exit);
COMMAND(clear);
COMMAND(date);
COMMAND(list);
COMMAND(info);
COMMAND(hardware);
COMMAND(start);
COMMAND(stop);
COMMAND(reset);
COMMAND(pause);
COMMAND(resume);
COMMAND(vm);
COMMAND(console);
COMMAND(log);
COMMAND(cpus);
COMMAND(memory);
COMMAND(stats);
COMMAND(config);
COMMAND(json);
COMMAND(version);
COMMAND(pci);
COMMAND(disks);
COMMAND(iommu);
COMMAND(state);
COMMAND(screenshot);
COMMAND(nets);
COMMAND(nics);
COMMAND(capture);
COMMAND(reboot);
COMMAND(poweroff);

/*
 * Lines of the log as rows of the list that `o` is in: of this level or worse, from number `from`
 * on as log_read() counts, and no more than the newest `most` of them.
 */
void log_newest_rows(struct out *o, enum log_level, uint64_t from, uint32_t most);
