/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a unit of the intermediate representation to host code: what register allocation decides,
 * what an emitter makes, and what compiled code and C tell one another.
 *
 * Compiled code runs between the trampolines of jit_emit_stubs(). The base register holds
 * the guest state's address, another the number of guest instructions that may still run; the most
 * used guest state is in host registers ("pins"), the same ones throughout a unit.
 */
#pragma once
#include <hv/ir.h>

/* A place of a value: a general register 0 to 15, a float register 16 to 31, else: */
#define JIT_FLOAT 16
#define JIT_SPILL 32 /* JIT_SPILL + n: slot n of the frame */
#define JIT_SPILLS 64
#define JIT_NOWHERE 255 /* a constant, or a value that nobody reads */

#define JIT_PINS 24

/* What an emitter offers: registers in the order they are to be taken. */
struct jit_regs {
    uint8_t ints[16], floats[16];
    uint8_t n_ints, n_floats;
    uint8_t int_pins, float_pins; /* at most; the rest is for values */
};

struct jit_pin {
    uint16_t offset; /* of the guest state that it holds, 8 bytes */
    uint8_t reg;
};

/* What register allocation finds. Working memory of a compiler, one per CPU or thread. */
struct jit_alloc {
    uint8_t place[IR_MAX_INS];
    uint16_t last_use[IR_MAX_INS]; /* 0: none */
    struct jit_pin pin[JIT_PINS];
    uint8_t pins;
    uint8_t spills;                   /* slots used */
    uint32_t dirty_in[IR_MAX_LABELS]; /* pins that may be newer than memory at a label */
    uint32_t loaded;                  /* pins to load when the unit is entered */
    /* private to jit_allocate() */
    uint16_t at[IR_MAX_LABELS];
    uint32_t live_in[IR_MAX_LABELS];
    uint32_t dirty[IR_MAX_INS];
    uint8_t depth[IR_MAX_INS];
    uint8_t pin_of[0x8000 / 8];
};

/* Places for all values of a verified unit. 0, or -ENOSPC when JIT_SPILLS are not enough. */
must_check int jit_allocate(struct jit_alloc *a, const struct ir_unit *u,
                            const struct jit_regs *regs);
static inline unsigned jit_pin_of(const struct jit_alloc *a, int64_t offset)
{
    return offset & 7 ? JIT_PINS : a->pin_of[offset / 8];
}

/* Where the emitter finds things, as offsets from the guest state; a TLB's entry: see IR_LOAD. */
struct jit_layout {
    int32_t tlb;                 /* entries of 1 << tlb_shift bytes */
    uint32_t tlb_entries;        /* a power of two */
    uint8_t tlb_shift;           /* 4 to 6 */
    uint8_t tlb_read, tlb_write; /* offsets in an entry of the page's address, or of one that no
                                    address that selects this entry can equal */
    uint8_t tlb_host;            /* offset in an entry of the host's address of the page */
    uint8_t tlb_pa;              /* and of the guest's physical one */
    /*
     * Three uint64_t of guest state that no IR_GET or IR_SET is about, IR_LR's: the bytes reserved
     * (4 or 8; 0: none), their physical address, and what was read, zero-extended.
     */
    int32_t reserved;
    int32_t jumps;         /* entries of struct jit_jump */
    uint32_t jump_entries; /* a power of two */
    int32_t budget;        /* an int64_t */
    int32_t mxcsr;         /* a uint32_t: host floating-point control, loaded and stored */
};
struct jit_jump {
    uint64_t pc;   /* odd: none */
    uint64_t code; /* where to jump in the host */
};
/* The entry of a guest address. Instructions are at even addresses. */
static inline uint32_t jit_jump_index(uint64_t pc, uint32_t entries)
{
    return (uint32_t)(pc >> 1) & (entries - 1);
}

/* Why compiled code calls C. */
enum jit_why {
    JIT_LOAD,     /* the TLB has no answer: address a + imm[0] */
    JIT_STORE,    /* the same; value b */
    JIT_ATOMIC,   /* the same, or a is misaligned: IR_AMO, IR_LR or IR_SC; number imm[0], value b */
    JIT_CALL,     /* helper imm[0] */
    JIT_TRAP,     /* helper imm[0], which leaves */
    JIT_CHAIN,    /* the guest goes on at imm[0]; the jump before this record may be patched */
    JIT_INDIRECT, /* the guest goes on at a */
    JIT_BUDGET    /* nothing may run: the guest goes on at imm[0] */
};
/*
 * Stands in the code behind each call of C. An argument's place is JIT_NOWHERE when its value is
 * arg[]'s constant. dirty: pins that may be newer than memory; C writes them back when it looks at
 * guest state or leaves.
 */
struct jit_record {
    uint64_t pc;    /* of the guest instruction */
    int64_t arg[3]; /* constants */
    int64_t imm;
    uint32_t unit; /* as given to jit_emit() */
    uint32_t dirty;
    uint32_t refund; /* counted instructions that do not run if this leaves the unit */
    uint8_t why, size, type;
    uint8_t place[3], to; /* of arguments and result */
    uint8_t pad[5];
};
static_assert(sizeof(struct jit_record) == 64, "one line");

/* The registers as C sees and changes them when compiled code calls. */
struct jit_frame {
    uint64_t gpr[16];
    uint64_t xmm[16];
    uint32_t mxcsr, pad;
    uint64_t record; /* address of the jit_record; C sets it to where code goes on */
    uint64_t spill[JIT_SPILLS];
};
/* What C answers. */
enum jit_answer { JIT_GO_ON, JIT_LEAVE };
/* Called by compiled code with jit_emit_stubs()'s `arg`. The frame is on the stack. */
typedef uint64_t (*jit_call_fn)(void *arg, struct jit_frame *f);

/* The trampolines of one code cache: addresses that can be run. */
struct jit_stubs {
    uint64_t enter; /* void enter(void *state, uint64_t code) */
    uint64_t call;  /* target of calls with a record behind them */
};

/* Memory for code, written at w, run at w + shift. */
struct jit_memory {
    uint8_t *w;
    uint32_t room;
    int64_t shift;
};

/* What the emitter made of a unit. */
struct jit_code {
    uint32_t bytes;
    uint32_t pins;
    struct jit_pin pin[JIT_PINS];
};

/* The host's side: hv/dbt/x86_64. */
extern const struct jit_regs jit_host_regs;
/* False: this host's CPU lacks what the emitter relies on. Once, before all else. */
bool jit_host_ready(void);
/* True when IR_FMA can be emitted. */
bool jit_host_has_fma(void);
/* The trampolines; returns the bytes used, 0 when they do not fit. */
uint32_t jit_emit_stubs(struct jit_memory m, const struct jit_layout *l, jit_call_fn fn, void *arg,
                        struct jit_stubs *stubs);
/*
 * Code of one allocated unit. 0, or -ENOSPC when it does not fit. Any CPU.
 */
struct jit_emit {
    const struct ir_unit *u;
    const struct jit_alloc *a;
    const struct jit_layout *l;
    const struct jit_stubs *stubs;
    struct jit_memory m;
    uint32_t unit;
    uint64_t page; /* number of the guest page that may be chained directly; ~0: all */
    void *work;    /* JIT_WORK bytes, aligned to 16 */
};
#define JIT_WORK (80 * 1024)
must_check int jit_emit(const struct jit_emit *e, struct jit_code *code);
/* Makes the jump of a JIT_CHAIN record (its address as written) go to `target`, or back to C. */
void jit_chain(struct jit_memory m, uint8_t *record, const uint8_t *target);
