/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The compiling engine's own: between jit.c, which runs, units.c, which keeps units and chains, and
 * jit_call.c, which compiled code calls.
 */
#pragma once
#include <hv/ir_opt.h>
#include <hv/rv_jit.h>
#include "hv/dbt/riscv64/translate.h"

#define UNITS 16384
#define UNIT_HEADS 8192
#define PAGES 4096
#define PAGE_HEADS 2048
#define LINKS 32768
#define PAGE_UNITS 512 /* of one page: all of them are looked at in one go */
#define CHAIN 16       /* units, or pages, with the same hash: a guest can choose them */
#define SUM_MOST \
    (256 * 1024)         /* bytes compared with memory in one rv_jit_run(), and a page's more */
#define REGIONS 8        /* of the code memory: the oldest is reused when all are full */
#define HEAT_BITS 13     /* places whose visits are counted: so many sets, */
#define HEAT_WAYS 4      /* and so many in each */
#define JUMPS_LISTED 256 /* jump table entries in use that can be forgotten one by one */
#define LEAST_ROOM (64 * 1024) /* for one unit; a region has more */

/* Compiled code for one address in one state. Units and the rest are named by number; 0: none. */
struct unit {
    uint64_t pc, pa;
    uint64_t granules; /* 64-byte pieces of its page, a bit each */
    uint64_t sum;      /* of their bytes, units_sum() */
    uint8_t *code;     /* as written */
    uint32_t state;    /* jit_state() */
    uint32_t bytes;    /* of code */
    uint32_t most;     /* instructions that it was made with */
    uint32_t pins;
    struct jit_pin pin[JIT_PINS];
    uint32_t next;    /* with the same hash, or free */
    uint32_t in_page; /* next unit of the page, an older one */
    uint32_t newer;   /* the one before it */
    uint32_t links;   /* jumps to this unit */
    uint32_t page;
    uint8_t region;
    bool alive;
};

struct page {
    uint64_t pa, granules;
    uint64_t checked; /* the round that its units are known to be good in */
    uint32_t next, units;
    uint32_t count; /* of its units */
};

struct link {
    uint8_t *record;
    uint32_t to, next;
};

struct region {
    uint8_t *at; /* first byte free */
};

/* How often control came to a place that is not compiled. */
struct heat {
    uint32_t pc;     /* its address, without what does not fit */
    uint32_t visits; /* 0: nobody's */
};

struct rv_jit {
    struct rv_jit_setup s;
    struct jit_stubs stubs;
    struct rv_jit_stats stats;
    enum rv_jit_left left;
    unsigned may_compile; /* regions, in this rv_jit_run() */
    uint64_t summed;      /* bytes compared with memory, in the same */
    uint64_t base;        /* cpu->instret when `budget` was `given` */
    int64_t given;
    uint32_t state;  /* that the running code was made for */
    uint64_t round;  /* of rv_jit_verify() */
    uint8_t *chain;  /* record of a jump that waits for its target */
    unsigned region; /* code is added to */
    uint32_t region_bytes;
    uint8_t *memory; /* first region */
    uint32_t heads[UNIT_HEADS], page_heads[PAGE_HEADS];
    uint32_t free_unit, free_page, free_link;
    struct region regions[REGIONS];
    struct unit units[UNITS];
    struct page pages[PAGES];
    struct link links[LINKS];
    struct heat heat[1 << HEAT_BITS][HEAT_WAYS];
    uint32_t dice;               /* when a set cools down */
    uint16_t jump[JUMPS_LISTED]; /* entries of the jump table in use: the first `jumps` */
    unsigned jumps;              /* more than there is room for: any may be in use */
    uint64_t jump_pages[4];      /* a bit for pages by number: one of them may have an entry */
    /* the compiler's working memory */
    struct ir_unit ir;
    struct rv_region region_work;
    struct ir_work passes;
    struct jit_alloc alloc;
    uint8_t copy[PAGE_SIZE];
    _Alignas(16) uint8_t work[JIT_WORK];
    uint8_t made[LEAST_ROOM]; /* a unit's code, before it is put in its place at one go */
};

/* units.c */
void units_init(struct rv_jit *j);
/* A live unit's number, or 0. Its page is checked if it was not in this round. */
uint32_t units_find(struct rv_jit *j, uint64_t pa, uint64_t pc, uint32_t state);
/* A new one, in its page's list but with no code yet. Evicts if it must; never 0. */
uint32_t units_new(struct rv_jit *j, uint64_t pa, uint64_t pc, uint32_t state);
/* Room for code: at least `least` bytes; evicts a region if it must. */
struct jit_memory units_room(struct rv_jit *j, uint32_t least);
void units_used(struct rv_jit *j, uint32_t bytes);
void units_chain(struct rv_jit *j, uint8_t *record, uint32_t to);
void units_kill(struct rv_jit *j, uint32_t n);
void units_forget_jumps(struct rv_jit *j);
/*
 * Those to the page which va lies in. Cheap when there is none, as for data. False: all were
 * forgotten, for there are more than are listed.
 */
bool units_forget_jumps_to(struct rv_jit *j, uint64_t va);
/* From now on the jump table's entry of pc, for the mode, leads to `code`, as it is written. */
void units_jump(struct rv_jit *j, unsigned mode, uint64_t pc, const uint8_t *code);
/* Of the granules of a page: what tells whether they changed. */
uint64_t units_sum(const uint8_t *page, uint64_t granules);

/* jit_call.c */
uint64_t rv_jit_call(void *jit, struct jit_frame *f);
/* The host's sticky exceptions become the guest's. */
void jit_flags(struct rv_cpu *c, uint32_t *mxcsr);

static inline uint32_t units_hash(uint64_t pa, uint64_t pc, uint32_t state)
{
    uint64_t h = (pa >> 1) * 0x9e3779b97f4a7c15ull ^ (pc >> 12) * 0xc2b2ae3d27d4eb4full ^ state;

    return (uint32_t)(h >> 40) & (UNIT_HEADS - 1);
}
static inline uint32_t units_page_hash(uint64_t pa)
{
    return (uint32_t)((pa >> PAGE_SHIFT) * 0x9e3779b97f4a7c15ull >> 40) & (PAGE_HEADS - 1);
}

/* jit.c */
static inline bool jit_is_to_leave(const struct rv_jit *j)
{
    return j->summed >= SUM_MOST || (j->s.leave && __atomic_load_n(j->s.leave, __ATOMIC_RELAXED));
}
/* What code depends on but its address: mode, and how floating point is done. */
uint32_t jit_state(const struct rv_cpu *c);
/* The set of places that pc's visits are counted in. */
static inline uint32_t jit_heat_set(uint64_t pc)
{
    return (uint32_t)(pc >> 1) * 0x9e3779b1u >> (32 - HEAT_BITS);
}
/* Code for pc as it is written, or NULL: none is there. */
uint8_t *jit_lookup(struct rv_jit *j, uint64_t pc, uint32_t *unit);
static inline uint64_t jit_runs_at(const struct rv_jit *j, const uint8_t *code)
{
    return (uint64_t)(uintptr_t)code + (uint64_t)j->s.code.shift;
}
