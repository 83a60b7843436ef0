/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The compiling engine and the interpreter in step: the machine that is looked at has the engine; a
 * second one, with RAM and devices of its own, is interpreted. Time is the number of instructions
 * that retired, so that both see the same. After each piece the harts must be equal, and now and
 * then all of RAM. The first difference ends the program.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <hv/ir.h>
#include <hv/rv_engine.h>
#include "tests/dbt/hosted.h"

#define PIECE 400       /* instructions between two looks, about */
#define TICK_SHIFT 6    /* instructions of a tick of the clock: 64 */
#define TRACE 64        /* instructions that are told of at the end */
#define RAM_EACH 400000 /* pieces between two looks at RAM */

static struct rv_machine other; /* interpreted */
static struct rv_machine *looked_at;
static struct rv_engine *engine;
static uint64_t move_each; /* pieces; 0: never */
static uint64_t skipped;   /* ticks slept */
static char input[256];    /* what the first machine read and the other did not yet */
static size_t n_input;
static struct {
    uint64_t pc;
    uint32_t bits;
} trace[TRACE];
static uint64_t traced, pieces;

static uint64_t step_time(void *hart)
{
    const struct rv_hart *h = hart;

    return (h->cpu.instret >> TICK_SHIFT) + skipped;
}

static void step_put(void *hart, const char *s, size_t n)
{
    if (hart == engine)
        hosted_host.put(NULL, s, n);
}

static size_t step_get(void *hart, char *to, size_t room)
{
    size_t n = n_input < room ? n_input : room;

    if (hart == engine) {
        n = hosted_host.get(NULL, input + n_input, room < sizeof input - n_input ? room : 0);
        memcpy(to, input + n_input, n);
        n_input += n;
        return n;
    }
    memcpy(to, input, n);
    memmove(input, input + n, n_input - n);
    n_input -= n;
    return n;
}

static const struct rvm_host step_host = { .put = step_put, .get = step_get, .time = step_time };

void hosted_lockstep_start(struct rv_machine *m, struct rv_engine *e, uint64_t move)
{
    engine = e;
    looked_at = m;
    move_each = move;
    other = *m;
    other.ram = mmap(NULL, m->ram_size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    other.hart[0] = calloc(1, sizeof *other.hart[0]);
    if (other.ram == MAP_FAILED || !other.hart[0])
        hosted_die("no memory");
    memcpy(other.ram, m->ram, m->ram_size);
    other.ctx = other.hart[0];
    m->ctx = &e->hart;
    other.host = m->host = &step_host;
    rvm_init(&other);
    other.hart_state[0] = m->hart_state[0];
    other.hart[0]->cpu = e->hart.cpu;
    rv_changed(other.hart[0]);
}

void hosted_lockstep_skip(uint64_t ticks) { skipped += ticks; }

static void tell_trace(void)
{
    for (uint64_t k = traced > TRACE ? traced - TRACE : 0; k < traced; k++)
        fprintf(stderr, "  %llx: %08x %s\n", (unsigned long long)trace[k % TRACE].pc,
                trace[k % TRACE].bits, rv_op_name(rv_decode(trace[k % TRACE].bits).op));
}

static void tell_hart(void)
{
    const uint64_t *is = (const void *)&engine->hart.cpu,
                   *should = (const void *)&other.hart[0]->cpu;

    for (size_t k = 0; k < sizeof(struct rv_cpu) / 8; k++)
        if (is[k] != should[k])
            fprintf(stderr, "  %s%zu: %llx compiled, %llx interpreted\n",
                    k * 8 < offsetof(struct rv_cpu, x) + 256 ? "x" : "offset ",
                    k * 8 < offsetof(struct rv_cpu, x) + 256 ? k - offsetof(struct rv_cpu, x) / 8
                                                             : k * 8,
                    (unsigned long long)is[k], (unsigned long long)should[k]);
}

static unsigned tell_ram(void)
{
    const uint8_t *is = engine->machine->ram(engine->owner, RVM_RAM);
    unsigned told = 0;

    for (uint64_t at = 0; at < other.ram_size && told < 8; at += DBT_PAGE) {
        const uint64_t *a = (const void *)(is + at), *b = (const void *)(other.ram + at);
        for (unsigned k = 0; k < DBT_PAGE / 8 && told < 8; k++)
            if (a[k] != b[k])
                fprintf(stderr, "  RAM at %llx: %llx compiled, %llx interpreted\n",
                        (unsigned long long)(RVM_RAM + at + 8 * k), (unsigned long long)a[k],
                        (unsigned long long)b[k]),
                    told++;
    }
    return told;
}

static void tell_unit(uint64_t pc)
{
    static uint64_t told[TRACE];
    static unsigned n;
    struct rv_jit_unit u;
    char line[128];

    for (unsigned k = 0; k < n; k++)
        if (told[k] == pc)
            return;
    if (!rv_jit_unit(engine->jit, pc, &u))
        return;
    told[n++ % TRACE] = pc;
    fprintf(stderr, "unit at %llx:\n", (unsigned long long)pc);
    for (unsigned k = 0; k < u.ir->n; k++) {
        ir_print(u.ir, k, line, sizeof line);
        fprintf(stderr, "  %s\n", line);
    }
    fprintf(stderr, "its host code:");
    for (uint32_t k = 0; k < u.bytes; k++)
        fprintf(stderr, "%s%02x", k % 32 ? " " : "\n  ", u.code[k]);
    fputc('\n', stderr);
}

static _Noreturn void differ(const struct rv_cpu *before, const char *what)
{
    fprintf(stderr, "\ndbt: %s differs, piece %llu from %llx, after %llu instructions\n", what,
            (unsigned long long)pieces, (unsigned long long)before->pc,
            (unsigned long long)engine->hart.cpu.instret);
    tell_hart();
    tell_ram();
    fprintf(stderr, "interpreted last:\n");
    tell_trace();
    for (uint64_t k = traced > TRACE ? traced - TRACE : 0; k < traced; k++)
        tell_unit(trace[k % TRACE].pc);
    exit(3);
}

/* One instruction without a look at interrupts; the engine did that where the piece began. */
static void step(struct rv_hart *h)
{
    struct rv_insn i;

    trace[traced % TRACE].pc = h->cpu.pc;
    trace[traced % TRACE].bits = 0;
    if (rv_fetch(h, &i)) {
        trace[traced % TRACE].bits = i.bits;
        rv_execute(h, &i);
    }
    traced++;
}

static void follow(const struct rv_cpu *before)
{
    const struct rv_cpu *is = &engine->hart.cpu;
    struct rv_hart *h = other.hart[0];

    rv_interpret(h, 1);
    while (h->cpu.instret < is->instret)
        step(h);
    for (unsigned k = 0; k < 4 && h->cpu.pc != is->pc && h->cpu.instret == is->instret; k++)
        step(h); /* it took a trap: nothing retired */
    if (memcmp(is, &h->cpu, sizeof *is))
        differ(before, "the hart");
    if (++pieces % RAM_EACH == 0 && tell_ram())
        differ(before, "RAM");
}

/*
 * The machine that is looked at becomes one that was just made, and is told what the old one was;
 * the other is not saved. Between LR and SC it waits: the reservation would be lost, and the bare
 * programs rely on it.
 */
static void move(void)
{
    struct rv_cpu hart;
    struct rvm_state s;

    rv_hart_save(&engine->hart, &hart);
    rvm_save(looked_at, &s);
    memset(&engine->hart.cpu, 0, sizeof engine->hart.cpu);
    rv_reset(&engine->hart, 0);
    rvm_devices_init(looked_at);
    if (!rv_hart_valid(&hart, 0) || !rvm_valid(looked_at, &s))
        hosted_die("what was saved is refused, at %llx", (unsigned long long)hart.pc);
    rv_hart_restore(&engine->hart, &hart);
    rv_engine_changed(engine);
    rvm_restore(looked_at, &s);
    rvm_timers(looked_at, 0);
    rvm_timers(&other, 0);
    other.hart[0]->cpu.reserved_pa = other.hart[0]->cpu.reserved_value = 0; /* of nothing */
}

uint64_t hosted_lockstep_run(uint64_t budget)
{
    uint64_t n = 0, ran;

    rvm_poll(&other, 0);
    while (n < budget) {
        struct rv_cpu before = engine->hart.cpu;
        ran = rv_engine_pass(engine, min_u64(PIECE, budget - n));
        follow(&before);
        n += ran;
        if (move_each && pieces % move_each == 0 && !engine->hart.cpu.reserved)
            move();
        if (!ran || engine->hart.cpu.waiting)
            break;
    }
    return n;
}
