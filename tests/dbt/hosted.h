/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the files of the hosted program. */
#ifndef TESTS_DBT_HOSTED_H
#define TESTS_DBT_HOSTED_H

#include <hv/rv_machine.h>

struct hosted_file {
    void *data;
    size_t size;
};
/* Ends the program with a message when it cannot. */
struct hosted_file hosted_read(const char *path);
_Noreturn void hosted_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Puts the segments of a riscv64 ELF file in RAM. */
struct hosted_elf {
    uint64_t entry, tohost; /* tohost 0: no such symbol */
};
struct hosted_elf hosted_load_elf(struct rv_machine *m, const struct hosted_file *file);

/* The console on standard input and output. */
extern const struct rvm_host hosted_host;
void hosted_console_open(bool raw);
void hosted_console_close(void);
/* Sleeps until input comes or until `ticks` of the time base have passed. */
void hosted_console_wait(uint64_t ticks);

/* write, exit and exit_group of Linux, for programs of tests/dbt/user: rv_machine_ops.ecall. */
bool hosted_user_ecall(void *owner, struct rv_hart *h);

/* The compiling engine: engine.c. A hart for it; once the machine is made; a turn of any hart. */
struct rv_hart *hosted_engine_new(void);
/*
 * lockstep: NULL, or the machine, which is compared with an interpreted one; move: after so many
 * pieces it is saved, made anew and restored, each time. 0: it is not.
 */
void hosted_engine_start(struct rv_machine *lockstep, uint64_t move);
uint64_t hosted_run(struct rv_hart *h, uint64_t budget);
void hosted_engine_stats(void);

/* Compiled and interpreted in step: lockstep.c. A turn; time passes while the hart waits. */
struct rv_engine;
void hosted_lockstep_start(struct rv_machine *m, struct rv_engine *e, uint64_t move);
uint64_t hosted_lockstep_run(uint64_t budget);
void hosted_lockstep_skip(uint64_t ticks);

#endif
