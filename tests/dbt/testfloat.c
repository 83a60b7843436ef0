/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Berkeley TestFloat's vectors on both engines: every operation that it has, each rounding mode, by
 * frm and in the instruction, results and flags, against its own slow implementation; and FMIN and
 * FMAX on the same operands.
 *   testfloat [STRIDE]    of the cases with three operands every STRIDE-th, 509 unless told
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <hv/rv_engine.h>
#include <softfloat.h>
#include <genCases.h>
#include <slowfloat.h>

#define BASE 0x80000000ull
#define CODE (2u << 20)
#define MODES 5 /* frm, and SoftFloat's numbers: even, towards zero, down, up, away */

struct operands {
    uint64_t a, b, c;
};
static _Alignas(PAGE_SIZE) uint8_t ram[2 * PAGE_SIZE];
static struct rv_engine engine;
static struct operands *cases; /* `room` of them */
static struct answer {
    uint64_t v;
    unsigned flags;
} * answers; /* and of these */
static unsigned n_cases, room, stride = 509;
static uint64_t ran, failed;

static float32_t s(uint64_t v) { return (float32_t){ (uint32_t)v }; }
static float64_t d(uint64_t v) { return (float64_t){ v }; }

/* ---- what is expected ---- */

#define NAN_S 0x7fc00000u
#define NAN_D 0x7ff8000000000000ull
static bool is_nan(bool wide, uint64_t v)
{
    return wide ? v << 1 > 0xffe0000000000000 : (uint32_t)v << 1 > 0xff000000;
}
static bool signals(bool wide, uint64_t v)
{
    return is_nan(wide, v) && !(v >> (wide ? 51 : 22) & 1);
}
static uint64_t sign(bool wide) { return wide ? 1ull << 63 : 1ull << 31; }

#define OF(p, f, name, call)                                       \
    static uint64_t p##_##name(uint64_t a, uint64_t b, uint64_t c) \
    {                                                              \
        (void)b, (void)c;                                          \
        return (uint64_t)slow_##f##_##call;                        \
    }
/* p: s or d; top: the sign's bit. */
#define OF_EITHER(p, f, top)                                     \
    OF(p, f, add, add(p(a), p(b)).v)                             \
    OF(p, f, sub, sub(p(a), p(b)).v)                             \
    OF(p, f, mul, mul(p(a), p(b)).v)                             \
    OF(p, f, div, div(p(a), p(b)).v)                             \
    OF(p, f, sqrt, sqrt(p(a)).v)                                 \
    OF(p, f, madd, mulAdd(p(a), p(b), p(c)).v)                   \
    OF(p, f, msub, mulAdd(p(a), p(b), p(c ^ (top))).v)           \
    OF(p, f, nmsub, mulAdd(p(a ^ (top)), p(b), p(c)).v)          \
    OF(p, f, nmadd, mulAdd(p(a ^ (top)), p(b), p(c ^ (top))).v)  \
    OF(p, f, eq, eq(p(a), p(b)))                                 \
    OF(p, f, lt, lt(p(a), p(b)))                                 \
    OF(p, f, le, le(p(a), p(b)))                                 \
    OF(p, f, to_w, to_i32(p(a), slowfloat_roundingMode, true))   \
    OF(p, f, to_wu, to_ui32(p(a), slowfloat_roundingMode, true)) \
    OF(p, f, to_l, to_i64(p(a), slowfloat_roundingMode, true))   \
    OF(p, f, to_lu, to_ui64(p(a), slowfloat_roundingMode, true))
OF_EITHER(s, f32, 1ull << 31)
OF_EITHER(d, f64, 1ull << 63)
OF(s, f32, to_d, to_f64(s(a)).v)
OF(d, f64, to_s, to_f32(d(a)).v)
#define FROM(name, type, to)                                 \
    static uint64_t name(uint64_t a, uint64_t b, uint64_t c) \
    {                                                        \
        (void)b, (void)c;                                    \
        return to((type)a).v;                                \
    }
FROM(w_to_s, int32_t, slow_i32_to_f32)
FROM(wu_to_s, uint32_t, slow_ui32_to_f32)
FROM(l_to_s, int64_t, slow_i64_to_f32)
FROM(lu_to_s, uint64_t, slow_ui64_to_f32)
FROM(w_to_d, int32_t, slow_i32_to_f64)
FROM(wu_to_d, uint32_t, slow_ui32_to_f64)
FROM(l_to_d, int64_t, slow_i64_to_f64)
FROM(lu_to_d, uint64_t, slow_ui64_to_f64)

/* IEEE 754-2019's minimumNumber and maximumNumber: -0 is less than +0. */
static uint64_t lesser(bool wide, bool greater, uint64_t a, uint64_t b)
{
    bool less = wide ? slow_f64_lt_quiet(d(a), d(b)) : slow_f32_lt_quiet(s(a), s(b));
    bool same = wide ? slow_f64_eq(d(a), d(b)) : slow_f32_eq(s(a), s(b));

    if (same)
        less = a & sign(wide);
    slowfloat_exceptionFlags = 0;
    if (is_nan(wide, a))
        return b; /* if that is one, too, it becomes the canonical one */
    return is_nan(wide, b) || less != greater ? a : b;
}
static uint64_t s_min(uint64_t a, uint64_t b, uint64_t c)
{
    return (void)c, lesser(false, false, a, b);
}
static uint64_t s_max(uint64_t a, uint64_t b, uint64_t c)
{
    return (void)c, lesser(false, true, a, b);
}
static uint64_t d_min(uint64_t a, uint64_t b, uint64_t c)
{
    return (void)c, lesser(true, false, a, b);
}
static uint64_t d_max(uint64_t a, uint64_t b, uint64_t c)
{
    return (void)c, lesser(true, true, a, b);
}

/* ---- the operations ---- */

enum kind { S, D, W, WU, L, LU, BOOL };
struct op {
    const char *name;
    uint64_t (*expect)(uint64_t a, uint64_t b, uint64_t c);
    uint32_t bits; /* rd 4, rs1 1, rs2 2, rs3 3; without a rounding mode, if it has one */
    uint8_t from, operands, to;
    bool rounds;
};
#define FP(f7, rs2, rm) ((uint32_t)(f7) << 25 | (rs2) << 20 | 1 << 15 | (rm) << 12 | 4 << 7 | 0x53)
#define FMA(major, fmt) (3u << 27 | (uint32_t)(fmt) << 25 | 2 << 20 | 1 << 15 | 4 << 7 | (major))
static const struct op ops[] = {
    { "fadd.s", s_add, FP(0x00, 2, 0), S, 2, S, true },
    { "fadd.d", d_add, FP(0x01, 2, 0), D, 2, D, true },
    { "fsub.s", s_sub, FP(0x04, 2, 0), S, 2, S, true },
    { "fsub.d", d_sub, FP(0x05, 2, 0), D, 2, D, true },
    { "fmul.s", s_mul, FP(0x08, 2, 0), S, 2, S, true },
    { "fmul.d", d_mul, FP(0x09, 2, 0), D, 2, D, true },
    { "fdiv.s", s_div, FP(0x0c, 2, 0), S, 2, S, true },
    { "fdiv.d", d_div, FP(0x0d, 2, 0), D, 2, D, true },
    { "fsqrt.s", s_sqrt, FP(0x2c, 0, 0), S, 1, S, true },
    { "fsqrt.d", d_sqrt, FP(0x2d, 0, 0), D, 1, D, true },
    { "fmadd.s", s_madd, FMA(0x43, 0), S, 3, S, true },
    { "fmadd.d", d_madd, FMA(0x43, 1), D, 3, D, true },
    { "fmsub.s", s_msub, FMA(0x47, 0), S, 3, S, true },
    { "fmsub.d", d_msub, FMA(0x47, 1), D, 3, D, true },
    { "fnmsub.s", s_nmsub, FMA(0x4b, 0), S, 3, S, true },
    { "fnmsub.d", d_nmsub, FMA(0x4b, 1), D, 3, D, true },
    { "fnmadd.s", s_nmadd, FMA(0x4f, 0), S, 3, S, true },
    { "fnmadd.d", d_nmadd, FMA(0x4f, 1), D, 3, D, true },
    { "feq.s", s_eq, FP(0x50, 2, 2), S, 2, BOOL, false },
    { "feq.d", d_eq, FP(0x51, 2, 2), D, 2, BOOL, false },
    { "flt.s", s_lt, FP(0x50, 2, 1), S, 2, BOOL, false },
    { "flt.d", d_lt, FP(0x51, 2, 1), D, 2, BOOL, false },
    { "fle.s", s_le, FP(0x50, 2, 0), S, 2, BOOL, false },
    { "fle.d", d_le, FP(0x51, 2, 0), D, 2, BOOL, false },
    { "fmin.s", s_min, FP(0x14, 2, 0), S, 2, S, false },
    { "fmin.d", d_min, FP(0x15, 2, 0), D, 2, D, false },
    { "fmax.s", s_max, FP(0x14, 2, 1), S, 2, S, false },
    { "fmax.d", d_max, FP(0x15, 2, 1), D, 2, D, false },
    { "fcvt.w.s", s_to_w, FP(0x60, 0, 0), S, 1, W, true },
    { "fcvt.wu.s", s_to_wu, FP(0x60, 1, 0), S, 1, WU, true },
    { "fcvt.l.s", s_to_l, FP(0x60, 2, 0), S, 1, L, true },
    { "fcvt.lu.s", s_to_lu, FP(0x60, 3, 0), S, 1, LU, true },
    { "fcvt.w.d", d_to_w, FP(0x61, 0, 0), D, 1, W, true },
    { "fcvt.wu.d", d_to_wu, FP(0x61, 1, 0), D, 1, WU, true },
    { "fcvt.l.d", d_to_l, FP(0x61, 2, 0), D, 1, L, true },
    { "fcvt.lu.d", d_to_lu, FP(0x61, 3, 0), D, 1, LU, true },
    { "fcvt.s.w", w_to_s, FP(0x68, 0, 0), W, 1, S, true },
    { "fcvt.s.wu", wu_to_s, FP(0x68, 1, 0), WU, 1, S, true },
    { "fcvt.s.l", l_to_s, FP(0x68, 2, 0), L, 1, S, true },
    { "fcvt.s.lu", lu_to_s, FP(0x68, 3, 0), LU, 1, S, true },
    { "fcvt.d.w", w_to_d, FP(0x69, 0, 0), W, 1, D, true },
    { "fcvt.d.wu", wu_to_d, FP(0x69, 1, 0), WU, 1, D, true },
    { "fcvt.d.l", l_to_d, FP(0x69, 2, 0), L, 1, D, true },
    { "fcvt.d.lu", lu_to_d, FP(0x69, 3, 0), LU, 1, D, true },
    { "fcvt.s.d", d_to_s, FP(0x20, 1, 0), D, 1, S, true },
    { "fcvt.d.s", s_to_d, FP(0x21, 0, 0), S, 1, D, true },
};

/* Volume I, 11.7: what does not fit gives the nearest that does, a NaN the largest. */
static uint64_t nearest(const struct op *o, const struct operands *x)
{
    bool low = !is_nan(o->from == D, x->a) && x->a & sign(o->from == D);

    switch ((enum kind)o->to) {
    case W: return low ? (uint64_t)INT32_MIN : INT32_MAX;
    case WU: return low ? 0 : UINT64_MAX; /* sign-extended */
    case L: return low ? (uint64_t)INT64_MIN : INT64_MAX;
    case S:
    case D:
    case BOOL:
    case LU:
    default: return low ? 0 : UINT64_MAX;
    }
}

/* The slow implementation leaves that to who compares. */
static bool any_signals(const struct op *o, const struct operands *x)
{
    bool wide = o->from == D;

    return (o->from == S || wide) &&
           (signals(wide, x->a) || (o->operands > 1 && signals(wide, x->b)) ||
            (o->operands > 2 && signals(wide, x->c)));
}

static struct answer expected(const struct op *o, unsigned mode, const struct operands *x)
{
    struct answer a;

    slowfloat_roundingMode = (uint_fast8_t)mode;
    slowfloat_detectTininess = softfloat_tininess_afterRounding;
    slowfloat_exceptionFlags = 0;
    a.v = o->expect(x->a, x->b, x->c);
    a.flags = slowfloat_exceptionFlags | (any_signals(o, x) ? softfloat_flag_invalid : 0);
    if (o->to == S)
        a.v = 0xffffffffull << 32 | (is_nan(false, a.v) ? NAN_S : (uint32_t)a.v);
    else if (o->to == D)
        a.v = is_nan(true, a.v) ? NAN_D : a.v;
    else if (o->to != BOOL && a.flags & softfloat_flag_invalid)
        a.v = nearest(o, x);
    else if (o->to == W || o->to == WU)
        a.v = (uint64_t)(int32_t)a.v;
    return a;
}

/* ---- the hart ---- */

static uint8_t *tf_ram(void *owner, uint64_t pa)
{
    (void)owner;
    return pa - BASE < sizeof ram ? ram + (pa - BASE) : NULL;
}
static bool tf_read(void *owner, struct rv_hart *h, uint64_t pa, unsigned size, uint64_t *v)
{
    (void)owner, (void)h, (void)pa, (void)size, (void)v;
    return false;
}
static bool tf_write(void *owner, struct rv_hart *h, uint64_t pa, unsigned size, uint64_t v)
{
    (void)owner, (void)h, (void)pa, (void)size, (void)v;
    return false;
}
static uint64_t tf_time(void *owner) { return (void)owner, 0; }
static const struct rv_machine_ops machine = {
    .ram = tf_ram, .read = tf_read, .write = tf_write, .time = tf_time
};

static void make_hart(void)
{
    int file = memfd_create("code", 0);
    struct jit_memory code = { .room = CODE };
    void *memory = aligned_alloc(PAGE_SIZE, align_up(rv_jit_bytes(), PAGE_SIZE));

    if (file < 0 || ftruncate(file, CODE) || !memory)
        exit(2);
    code.w = mmap(NULL, CODE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    uint8_t *x = mmap(NULL, CODE, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
    if (code.w == MAP_FAILED || x == MAP_FAILED)
        exit(2);
    code.shift = x - code.w;
    rv_hart_init(&engine.hart, &machine, NULL, 0);
    if (rv_engine_init(&engine, memory, code, 0, NULL))
        exit(2);
    engine.hart.cpu.mstatus |= RV_MSTATUS_FS;
}

/* One instruction, and a jump to itself, so that one instruction alone fills the budget. */
static void put_code(uint32_t bits)
{
    static const uint32_t jump = 0x0000006f;

    memcpy(ram, &bits, 4);
    memcpy(ram + 4, &jump, 4);
    rv_jit_written(engine.jit, BASE, 8);
}

static void set_operands(const struct op *o, const struct operands *x)
{
    struct rv_cpu *c = &engine.hart.cpu;
    uint64_t box = o->from == S ? 0xffffffffull << 32 : 0;

    c->x[1] = o->from == W || o->from == WU ? (uint64_t)(int32_t)x->a : x->a;
    c->f[1] = x->a | box;
    c->f[2] = x->b | box;
    c->f[3] = x->c | box;
    c->f[4] = c->x[4] = 0x5555555555555555;
    c->fflags = 0;
    c->pc = BASE;
}

static void check(const struct op *o, unsigned mode, unsigned k, const char *how)
{
    const struct rv_cpu *c = &engine.hart.cpu;
    const struct operands *x = &cases[k];
    uint64_t is = o->to == S || o->to == D ? c->f[4] : c->x[4];

    ran++;
    if (answers[k].v == is && answers[k].flags == c->fflags && c->pc == BASE + 4)
        return;
    if (failed++ < 20)
        printf("%s, %s, rounding %u: %llx %llx %llx: is %llx flags %x, should be %llx flags %x\n",
               o->name, how, mode, (unsigned long long)x->a, (unsigned long long)x->b,
               (unsigned long long)x->c, (unsigned long long)is, c->fflags,
               (unsigned long long)answers[k].v, answers[k].flags);
}

/* The interpreter with the mode in the instruction, and another one in frm. */
static void interpreted(const struct op *o, unsigned mode)
{
    struct rv_insn i = rv_decode(o->bits | (o->rounds ? mode << 12 : 0));

    engine.hart.cpu.frm = (mode + 1) % MODES;
    for (unsigned k = 0; k < n_cases; k++) {
        set_operands(o, &cases[k]);
        rv_execute(&engine.hart, &i);
        check(o, mode, k, "interpreted");
    }
}

/* Compiled code with the mode in frm. */
static void compiled(const struct op *o, unsigned mode)
{
    put_code(o->bits | (o->rounds ? 7 << 12 : 0));
    engine.hart.cpu.frm = mode;
    for (unsigned k = 0; k < n_cases; k++) {
        set_operands(o, &cases[k]);
        if (rv_jit_run(engine.jit, 1) != 1)
            exit(2);
        check(o, mode, k, "compiled");
    }
}

/* ---- TestFloat's cases ---- */

static void add_case(uint64_t a, uint64_t b, uint64_t c)
{
    if (n_cases == room) {
        room = room ? 2 * room : 1 << 16;
        cases = realloc(cases, room * sizeof *cases);
        answers = realloc(answers, room * sizeof *answers);
        if (!cases || !answers)
            exit(2);
    }
    cases[n_cases++] = (struct operands){ a, b, c };
}

#define ALL(type, what, a, b, c)                                        \
    do {                                                                \
        unsigned at = 0;                                                \
        for (genCases_##type##_##what##_init(); !genCases_done; at++) { \
            genCases_##type##_##what##_next();                          \
            if (at % step == 0)                                         \
                add_case(a, b, c);                                      \
        }                                                               \
    } while (0)

static void make_cases(const struct op *o)
{
    unsigned step = o->operands == 3 ? stride : 1;

    n_cases = 0;
    genCases_setLevel(1);
    switch (o->from * 4u + o->operands) {
    case S * 4 + 1: ALL(f32, a, genCases_f32_a.v, 0, 0); break;
    case S * 4 + 2: ALL(f32, ab, genCases_f32_a.v, genCases_f32_b.v, 0); break;
    case S * 4 + 3: ALL(f32, abc, genCases_f32_a.v, genCases_f32_b.v, genCases_f32_c.v); break;
    case D * 4 + 1: ALL(f64, a, genCases_f64_a.v, 0, 0); break;
    case D * 4 + 2: ALL(f64, ab, genCases_f64_a.v, genCases_f64_b.v, 0); break;
    case D * 4 + 3: ALL(f64, abc, genCases_f64_a.v, genCases_f64_b.v, genCases_f64_c.v); break;
    case W * 4 + 1: ALL(i32, a, (uint64_t)genCases_i32_a, 0, 0); break;
    case WU * 4 + 1: ALL(ui32, a, genCases_ui32_a, 0, 0); break;
    case L * 4 + 1: ALL(i64, a, (uint64_t)genCases_i64_a, 0, 0); break;
    default: ALL(ui64, a, genCases_ui64_a, 0, 0); break;
    }
}

static uint64_t steps(void)
{
    struct rv_jit_stats st;

    rv_jit_stats(engine.jit, &st);
    return st.steps;
}

int main(int argc, char **argv)
{
    uint64_t compiled_cases = 0, stepped = 0;

    if (argc > 1 && (stride = (unsigned)atoi(argv[1])) == 0)
        return 2;
    make_hart();
    for (const struct op *o = ops; o < ops + ARRAY_SIZE(ops); o++) {
        make_cases(o);
        for (unsigned mode = 0; mode < (o->rounds ? MODES : 1u); mode++) {
            uint64_t before = steps();
            for (unsigned k = 0; k < n_cases; k++)
                answers[k] = expected(o, mode, &cases[k]);
            interpreted(o, mode);
            compiled(o, mode);
            compiled_cases += mode < 4 ? n_cases : 0;
            stepped += mode < 4 ? steps() - before : 0;
        }
    }
    printf("%llu cases, %llu wrong; of %llu in compiled code %llu were interpreted\n",
           (unsigned long long)ran, (unsigned long long)failed, (unsigned long long)compiled_cases,
           (unsigned long long)stepped);
    return failed || stepped * 2 > compiled_cases;
}
