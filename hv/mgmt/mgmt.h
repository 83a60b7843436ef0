/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the files of hv/mgmt. Everything on CPU 0's loop. */
#pragma once
#include <hv/config.h>
#include <hv/types.h>
struct console;
struct out;
struct vm;

/* shell.c */
struct console *shell_console(void);
bool shell_json(void);
void shell_set_json(bool);

/*
 * A command. fn fills `o` and returns; an error is said with out_error(). A command that must wait
 * calls shell_wait(): poll is then called every 50 ms with `o` still open until it returns true,
 * and may print progress with shell_progress().
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
typedef bool wait_fn(struct out *, void *ctx);
void shell_wait(wait_fn *fn, void *ctx);
void shell_progress(const char *fmt, ...) printf_like(1, 2); /* one line at once; nothing in JSON */
/* wait.c: a command that waits for a guest, or for all of them. One waits at a time. */
#define SECOND 1000000000ull /* ns */
struct wait {
    struct vm *vm; /* NULL: all */
    uint64_t began, deadline, next_progress;
};
extern struct wait waiting;
/* timeout: ns, UINT64_MAX for none. What happens then is up to poll(). */
void wait_for(struct vm *, uint64_t timeout, wait_fn *poll);
/* Every two seconds, once: say how far it is. */
bool wait_progress_due(void);
unsigned long long wait_seconds(void); /* so far */
extern const struct command commands[];
extern const unsigned ncommands;
const struct command *find_command(const char *name); /* NULL: there is none */
void unknown_command(struct out *, const char *name); /* says so, and which is near */

/*
 * events.c: lines to programs between answers; docs/pages/json.md describes the protocol. Its
 * number is raised when a field goes or changes its meaning.
 */
#define JSON_PROTOCOL 1
void events_init(void (*write)(const char *, size_t));
void event_hello(void);
void event_log(const char *text);

/* commands_*.c */
#define COMMAND(n) void cmd_##n(struct out *, unsigned argc, char **argv)
COMMAND(help);
COMMAND(list);
COMMAND(info);
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
COMMAND(nets);
COMMAND(nics);
COMMAND(capture);
COMMAND(reboot);
COMMAND(poweroff);
