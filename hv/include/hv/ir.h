/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The translator's intermediate representation. A front end turns a region of guest code into one
 * unit; passes change it; an emitter makes host code of it.
 *
 * A unit is one array of instructions, cut into blocks by IR_LABEL. An instruction that has a
 * result defines the value whose number is its index. A value is defined once and used only later
 * in its own block. What lives longer is guest state, which IR_GET reads and IR_SET writes by its
 * offset from the guest CPU's structure; the register allocator keeps the most used of it in host
 * registers throughout the unit. IR_BRANCH may stand in the midst of a block: control falls through
 * to the next instruction and values stay alive. A unit is entered at its first instruction only.
 *
 * Every instruction that may leave the unit (memory, helpers, branches, exits, traps) sees all
 * earlier IR_SET done and no later one, so a front end writes a register after what may fault.
 *
 * A unit is bounded: nothing is allocated, and what does not fit sets `full`. Any CPU; no locks.
 */
#pragma once
#include <hv/types.h>

#define IR_MAX_INS 3072
#define IR_MAX_LABELS 128

enum ir_type { IR_VOID, IR_I32, IR_I64, IR_F32, IR_F64, IR_TYPES };

/*
 * Integer operations are total: shifts take their count modulo the width, a division by zero gives
 * all ones (remainder: the dividend), the most negative value divided by -1 gives itself (remainder
 * 0). Floating point is IEEE 754 in the host's current rounding direction; every NaN that an
 * operation makes is the canonical one; exceptions accumulate in the host's flags.
 */
enum ir_op {
    IR_NOP,
    IR_CONST, /* imm; an i32's upper half does not matter */
    IR_GET,   /* guest state at offset imm, of the width of the type */
    IR_SET,   /* a -> guest state at imm */
    IR_ADD,
    IR_SUB,
    IR_MUL,
    IR_AND,
    IR_OR,
    IR_XOR,
    IR_SHL,
    IR_SHR,
    IR_SAR,
    IR_ROL,
    IR_ROR,
    IR_DIVS,
    IR_DIVU,
    IR_REMS,
    IR_REMU,
    IR_MULHS, /* upper half of the product: signed, unsigned, signed by unsigned */
    IR_MULHU,
    IR_MULHSU,
    IR_CLZ, /* of 0: the width */
    IR_CTZ,
    IR_POPCNT,
    IR_BSWAP,
    IR_CMP,    /* i64 1 or 0: a cond b, both of one integer type */
    IR_SELECT, /* c (i64) is not 0: a, else b */
    IR_SEXT8,  /* i64 from the low bits of an i64 or i32 */
    IR_SEXT16,
    IR_SEXT32,
    IR_ZEXT8,
    IR_ZEXT16,
    IR_ZEXT32,
    IR_TRUNC, /* i32 from i64 */
    IR_LOAD,  /* guest memory at a + imm; size: log2 of the bytes, IR_SIGNED */
    IR_STORE, /* b -> guest memory at a + imm */
    /*
     * At a, which must be a multiple of the size: log2 of the bytes, 2 or 3. What was read is
     * sign-extended. imm: what C is told (JIT_ATOMIC) when the access is not simply one of RAM.
     */
    IR_AMO,   /* reads a and stores what cond (enum ir_amo) makes of that and b, at one go */
    IR_LR,    /* reads a, and remembers place and value in the reservation (struct jit_layout) */
    IR_SC,    /* 0: a is reserved and as it was read, and b is stored there; else 1 */
    IR_FENCE, /* earlier stores are seen by others before later loads are done */
    IR_CALL,  /* helper number imm with a, b, c (as far as it takes them) */
    IR_FADD,
    IR_FSUB,
    IR_FMUL,
    IR_FDIV,
    IR_FSQRT,
    IR_FMA,      /* a * b + c, rounded once */
    IR_FNEG,     /* the sign bit only; no exceptions */
    IR_FCMP,     /* i64: EQ (quiet), LT, LE (signalling); 0 when a NaN is among them */
    IR_F2F,      /* f32 from f64, f64 from f32 */
    IR_I2F,      /* from a signed i32 or i64 */
    IR_F2I,      /* signed, towards zero; saturates, a NaN gives the largest */
    IR_BITCAST,  /* i32 <-> f32, i64 <-> f64 */
    IR_BOX,      /* f64 whose lower half is the f32, the upper all ones */
    IR_UNBOX,    /* f32: the lower half of an f64 */
    IR_LABEL,    /* block `label` begins */
    IR_INSN,     /* a guest instruction begins; imm: its address */
    IR_COUNT,    /* size guest instructions follow. cond 1: leave at imm when none is left to run */
    IR_JUMP,     /* to label */
    IR_BRANCH,   /* a cond b: to label; else falls through */
    IR_EXIT,     /* leave; the guest goes on at imm */
    IR_EXIT_IND, /* leave; the guest goes on at a, which is even */
    IR_TRAP, /* leave with helper imm called with a; size: counted instructions more that do not run
              */
    IR_OPS
};

enum ir_cond { IR_EQ, IR_NE, IR_LT, IR_LE, IR_GT, IR_GE, IR_LTU, IR_LEU, IR_GTU, IR_GEU, IR_CONDS };

/* What an IR_AMO stores. */
enum ir_amo {
    IR_AMO_SWAP,
    IR_AMO_ADD,
    IR_AMO_XOR,
    IR_AMO_AND,
    IR_AMO_OR,
    IR_AMO_MIN,
    IR_AMO_MAX,
    IR_AMO_MINU,
    IR_AMO_MAXU,
    IR_AMOS
};

#define IR_SIZE 3   /* log2 of the bytes: 0 to 3 */
#define IR_SIGNED 4 /* a load extends its sign */

struct ir_ins {
    uint8_t op, type, cond, size;
    uint16_t a, b, c; /* values; 0: none (instruction 0 is always a label) */
    uint16_t label;
    uint32_t note; /* for a pass; 0 between them */
    int64_t imm;
};

struct ir_unit {
    uint16_t n, labels;
    bool full;
    struct ir_ins ins[IR_MAX_INS];
};

/* What the verifier and the passes know of each operation. */
struct ir_info {
    const char *name;
    /*
     * The operands' types: T as the instruction's, l i64, w i32, d f64, n f32, i any integer, f any
     * float, s as the first operand's, x the type of the same width of the other kind, * any.
     */
    const char *args;
    uint8_t types; /* what .type may be: IR_T_* */
    uint8_t flags; /* IR_F_* */
};
#define IR_T_VOID (1u << IR_VOID)
#define IR_T_LONG (1u << IR_I64)
#define IR_T_WORD (1u << IR_I32)
#define IR_T_INT (IR_T_LONG | IR_T_WORD)
#define IR_T_FLOAT (1u << IR_F32 | 1u << IR_F64)
#define IR_T_ANY (IR_T_INT | IR_T_FLOAT)
#define IR_F_PURE 1   /* no effect but its value: may be removed or merged */
#define IR_F_ENDS 2   /* nothing falls through */
#define IR_F_LEAVES 4 /* may leave the unit, so it sees guest state */
#define IR_F_SWAPS 8  /* a op b == b op a */
extern const struct ir_info ir_info[IR_OPS];

/* Begins a unit: empty but for label 0. */
void ir_begin(struct ir_unit *u);
/* A new label's number; it is placed with ir_place(). */
uint16_t ir_label(struct ir_unit *u);
void ir_place(struct ir_unit *u, uint16_t label);
/* Appends; returns the value's number. Never fails: a full unit is marked. */
uint16_t ir_add(struct ir_unit *u, struct ir_ins ins);

static inline uint16_t ir_const(struct ir_unit *u, enum ir_type t, int64_t v)
{
    return ir_add(u, (struct ir_ins){ .op = IR_CONST, .type = (uint8_t)t, .imm = v });
}
static inline uint16_t ir_get(struct ir_unit *u, enum ir_type t, size_t offset)
{
    return ir_add(u, (struct ir_ins){ .op = IR_GET, .type = (uint8_t)t, .imm = (int64_t)offset });
}
static inline void ir_set(struct ir_unit *u, size_t offset, uint16_t a)
{
    ir_add(u, (struct ir_ins){ .op = IR_SET, .a = a, .imm = (int64_t)offset });
}
static inline uint16_t ir_op1(struct ir_unit *u, enum ir_op op, enum ir_type t, uint16_t a)
{
    return ir_add(u, (struct ir_ins){ .op = (uint8_t)op, .type = (uint8_t)t, .a = a });
}
static inline uint16_t ir_op2(struct ir_unit *u, enum ir_op op, enum ir_type t, uint16_t a,
                              uint16_t b)
{
    return ir_add(u, (struct ir_ins){ .op = (uint8_t)op, .type = (uint8_t)t, .a = a, .b = b });
}

/*
 * Checks every rule above. 0; -EINVAL: instruction *where is the first that breaks one, and *why
 * says which. Any CPU. Debug builds and tests call it after each step.
 */
must_check int ir_verify(const struct ir_unit *u, unsigned *where, const char **why);
/* One instruction as text, NUL-terminated and cut to `room`; returns the bytes written. */
unsigned ir_print(const struct ir_unit *u, unsigned at, char *text, unsigned room);
/* A value's type. */
enum ir_type ir_type_of(const struct ir_unit *u, uint16_t value);
/* A unit as ir_print() writes it, read back. 0 or -EINVAL with the line's number in *line. */
must_check int ir_parse(struct ir_unit *u, const char *text, unsigned *line);
