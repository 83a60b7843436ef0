/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a unit of the intermediate representation means, in the plainest way: the oracle for the
 * optimiser and the emitter. And a maker of random units that end.
 */
#pragma once
#include <hv/ir.h>

#define EVAL_STATE 1024          /* bytes of guest state: integers below 512, floats above */
#define EVAL_RESERVED (512 - 24) /* among the integers: jit_layout.reserved */
#define EVAL_RAM 0x6000          /* bytes of guest memory, from EVAL_BASE */
#define EVAL_BASE 0x7000         /* not the beginning of a host table, nor 0 */

enum eval_end { EVAL_EXIT, EVAL_BUDGET, EVAL_FAULT, EVAL_TRAP, EVAL_LOST };

struct eval {
    _Alignas(16) uint8_t state[EVAL_STATE];
    uint8_t ram[EVAL_RAM];
    int64_t budget; /* guest instructions that may still run */
    enum eval_end end;
    uint64_t pc;    /* where the guest goes on, or what faulted */
    uint64_t value; /* of a fault: its address; of a trap: its operand */
    unsigned flags; /* exceptions of floating point: FE_* */
    uint64_t calls; /* a digest of the helpers called */
    /* other memory and helpers than the random units': false faults */
    unsigned reserved; /* jit_layout.reserved */
    bool (*memory)(struct eval *e, uint64_t address, unsigned bytes, bool write, uint64_t *v);
};

/* Runs a verified unit; EVAL_LOST after a million instructions. */
void eval_run(struct eval *e, const struct ir_unit *u);
/* What a helper does to the world: tests of the emitter call the same. */
uint64_t eval_helper(struct eval *e, unsigned number, uint64_t a, uint64_t b, uint64_t c);
/*
 * An atomic access, of the kind that number says: 0 IR_LR, 1 IR_SC, 2 + enum ir_amo. False: it
 * faults.
 */
bool eval_atomic(struct eval *e, unsigned number, unsigned size, uint64_t address, uint64_t operand,
                 uint64_t *v);
/* True and *p when [address, address + bytes) is memory. */
bool eval_ram(struct eval *e, uint64_t address, unsigned bytes, uint8_t **p);

/* A source of random numbers: bytes first, as long as there are any, then a generator's. */
struct eval_random {
    const uint8_t *data;
    size_t left;
    uint64_t seed;
};
uint64_t eval_random(struct eval_random *r);
/* A random unit that verifies, of at most `most` instructions or so. */
void eval_make(struct ir_unit *u, struct eval_random *r, unsigned most);
void eval_fill(struct eval *e, struct eval_random *r);
/* The whole unit, on stderr. */
void eval_show(const struct ir_unit *u);
