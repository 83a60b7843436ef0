/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The compiling engine of a riscv64 hart: finds or makes host code for where the hart is, runs it,
 * and comes back when something is to be done that is not its own. One struct rv_jit belongs to one
 * hart and is used by one CPU or thread at a time.
 *
 * Nothing is allocated once it is set up. Whatever the guest's code is, the work of one call is
 * bounded by its budget and by the compilation of one region at a time.
 */
#pragma once
#include <hv/jit.h>
#include <hv/riscv64.h>

/* What the engine asks of the hart's machine. */
struct rv_jit_ops {
    /* Interprets the one instruction at cpu->pc, traps included; counts it in cpu->instret. */
    void (*step)(void *machine);
    /*
     * An access by the instruction at cpu->pc, of 1 << size bytes. 0, or -EFAULT when it has taken
     * a trap. May fill the TLB.
     */
    int (*load)(void *machine, uint64_t va, unsigned size, uint64_t *v);
    int (*store)(void *machine, uint64_t va, unsigned size, uint64_t v);
    /* The same for what an LR, SC or AMO does (enum rv_op); v: rd's value. */
    int (*atomic)(void *machine, unsigned op, uint64_t va, uint64_t operand, uint64_t *v);
    /*
     * The page that instructions at va come from: its bytes and its guest physical address. NULL
     * when it cannot be executed, or is no memory: step() does what is right.
     */
    const uint8_t *(*code)(void *machine, uint64_t va, uint64_t *pa);
    /*
     * The page holds code from now on: stores to it must call rv_jit_written(), so no TLB entry may
     * let compiled code write there.
     */
    void (*protect)(void *machine, uint64_t pa);
    /* The page of RAM at pa, or NULL: none is there. For rv_jit_verify(). */
    const uint8_t *(*page)(void *machine, uint64_t pa);
};

#define RV_JIT_MODES 4 /* enum rv_mode */
#define RV_JIT_JUMPS 1024

/* What compiled code reaches from the address of the struct rv_cpu: in the same 2 GiB. */
struct rv_jit_near {
    int64_t budget;
    uint32_t mxcsr, pad;
    struct jit_jump jumps[RV_JIT_MODES][RV_JIT_JUMPS];
};

enum rv_jit_left {
    RV_LEFT_GONE,      /* the hart goes on at cpu->pc; also after a trap */
    RV_LEFT_INTERPRET, /* the instruction at cpu->pc is to be interpreted */
    RV_LEFT_BUDGET
};

struct rv_jit_stats {
    uint64_t units, insns, bytes;          /* made */
    uint64_t chains, entries;              /* jumps patched; times that compiled code was entered */
    uint64_t indirect, slow_memory, steps; /* calls of C by compiled code */
    uint64_t cold;                         /* instructions interpreted, for want of code */
    uint64_t live, live_bytes;             /* units that are there, and their code */
    uint64_t cycles;                       /* in compiled code, by the setup's clock */
    uint64_t invalidated, evictions;       /* units whose code was written; regions reused */
};

struct rv_jit; /* hv/dbt/riscv64/jit.c */

/* Bytes that rv_jit_init() needs for itself, aligned to a page. */
size_t rv_jit_bytes(void);

struct rv_jit_setup {
    const struct rv_jit_ops *ops;
    void *machine;
    struct rv_cpu *cpu;
    struct rv_jit_near *near;
    struct jit_layout layout; /* the TLB's part; the rest is filled in */
    struct jit_memory code;   /* at least 1 MiB */
    /*
     * Not 0: rv_jit_run() returns before the next guest instruction, or a few of them later. NULL:
     * nobody asks.
     */
    const uint32_t *leave;
    uint64_t (*clock)(void); /* NULL: stats.cycles is not counted */
    unsigned hot;            /* times a place is interpreted before it is compiled; 0: at once */
};
/* 0; -ENOTSUP: the host's CPU is too old; -ERANGE: too far apart; -ENOSPC: not enough for code. */
must_check int rv_jit_init(struct rv_jit *j, const struct rv_jit_setup *s);

/*
 * Runs up to `budget` instructions; returns how many retired, which may be fewer. What is pending
 * is for the caller to look at between calls: it comes back when an instruction may have changed
 * that. Interrupts off or on.
 */
uint64_t rv_jit_run(struct rv_jit *j, uint64_t budget);

/* The hart's mappings changed: satp, SFENCE.VMA, PMP. */
void rv_jit_remapped(struct rv_jit *j);
/* Only that of the page which va lies in. False: it took as long as for all. */
bool rv_jit_remapped_page(struct rv_jit *j, uint64_t va);
/* Guest memory [pa, pa + len) is written; within one page. Cheap when the page has no code. */
void rv_jit_written(struct rv_jit *j, uint64_t pa, uint64_t len);
/*
 * FENCE.I: no unit runs any more whose instructions are not in memory as it was compiled, whoever
 * wrote there. Cheap: a page's units are looked at when it is next run. Between rv_jit_run()s, or
 * within one that is left before the next guest instruction.
 */
void rv_jit_verify(struct rv_jit *j);
/* True when the page has compiled code: no TLB entry may allow writing. */
bool rv_jit_has_code(const struct rv_jit *j, uint64_t pa);
/* The unit at pc in the hart's present state, for people to read. False: there is none. */
struct rv_jit_unit {
    const struct ir_unit *ir; /* made again; until the next call of any kind */
    const uint8_t *code;
    uint32_t bytes; /* with the records behind */
};
bool rv_jit_unit(struct rv_jit *j, uint64_t pc, struct rv_jit_unit *unit);
void rv_jit_stats(const struct rv_jit *j, struct rv_jit_stats *s);
