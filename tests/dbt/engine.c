/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The compiling engine in the hosted program: memory for it, its code written through another
 * mapping than the one that runs.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <hv/rv_engine.h>
#include "tests/dbt/hosted.h"

#define CODE (64u << 20)
#define HOT 8

static struct rv_engine *engines[RVM_HARTS];
static unsigned n_engines;
static bool in_step;

struct rv_hart *hosted_engine_new(void)
{
    struct rv_engine *e = aligned_alloc(PAGE_SIZE, align_up(sizeof *e, PAGE_SIZE));

    engines[n_engines] = e;
    n_engines += e != NULL;
    return e ? &e->hart : NULL;
}

static void engine_start(struct rv_engine *e)
{
    int file = memfd_create("code", 0);
    void *memory = aligned_alloc(PAGE_SIZE, align_up(rv_jit_bytes(), PAGE_SIZE));
    struct jit_memory code = { .room = CODE };

    if (file < 0 || ftruncate(file, CODE) || !memory)
        hosted_die("no memory for code");
    code.w = mmap(NULL, CODE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    uint8_t *x = mmap(NULL, CODE, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
    close(file);
    if (code.w == MAP_FAILED || x == MAP_FAILED)
        hosted_die("no memory for code");
    code.shift = x - code.w;
    if (rv_engine_init(e, memory, code, HOT, NULL))
        hosted_die("the compiling engine does not run on this CPU");
}

void hosted_engine_start(struct rv_machine *lockstep, uint64_t move)
{
    for (unsigned n = 0; n < n_engines; n++)
        engine_start(engines[n]);
    in_step = lockstep;
    if (in_step)
        hosted_lockstep_start(lockstep, engines[0], move);
}

uint64_t hosted_run(struct rv_hart *h, uint64_t budget)
{
    if (in_step)
        return hosted_lockstep_run(budget);
    return n_engines ? rv_engine_run(engines[h->cpu.hartid], budget) : rv_interpret(h, budget);
}

static void engine_stats(const struct rv_engine *e)
{
    struct rv_jit_stats s;

    rv_jit_stats(e->jit, &s);
    fprintf(stderr,
            "units %llu of %llu instructions, %llu bytes; %llu entries, %llu chains, %llu lookups, "
            "%llu slow accesses, %llu interpreted, %llu invalidated, %llu evictions\n",
            (unsigned long long)s.units, (unsigned long long)s.insns, (unsigned long long)s.bytes,
            (unsigned long long)s.entries, (unsigned long long)s.chains,
            (unsigned long long)s.indirect, (unsigned long long)s.slow_memory,
            (unsigned long long)s.steps, (unsigned long long)s.invalidated,
            (unsigned long long)s.evictions);
}

void hosted_engine_stats(void)
{
    for (unsigned n = 0; n < n_engines; n++)
        engine_stats(engines[n]);
}
