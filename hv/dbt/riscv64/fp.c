/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Floating point by Berkeley SoftFloat 3: volume I, chapters 11 and 12. SoftFloat's rounding modes
 * and flags have RISC-V's numbers.
 */
#include "ops.h"
#include <softfloat.h>

static_assert(softfloat_round_near_even == 0 && softfloat_round_minMag == 1 &&
                  softfloat_round_min == 2 && softfloat_round_max == 3 &&
                  softfloat_round_near_maxMag == 4,
              "frm: table 11.1");
static_assert(softfloat_flag_inexact == 1 && softfloat_flag_underflow == 2 &&
                  softfloat_flag_overflow == 4 && softfloat_flag_infinite == 8 &&
                  softfloat_flag_invalid == 16,
              "fflags: figure 11.2");

enum { SIGN32 = 1u << 31, QUIET32 = 0x7fc00000 };
#define SIGN64 (1ull << 63)
#define QUIET64 0x7ff8000000000000ull
#define BOX (0xffffffffull << 32)
#define INVALID softfloat_flag_invalid

/* A single that is not NaN-boxed is the canonical NaN: volume I, 12.2. */
static float32_t unbox(uint64_t f)
{
    return (float32_t){ (f & BOX) == BOX ? (uint32_t)f : QUIET32 };
}

static float32_t fp_s1(const struct rv_hart *h, const struct rv_insn *i)
{
    return unbox(h->cpu.f[i->rs1]);
}
static float32_t fp_s2(const struct rv_hart *h, const struct rv_insn *i)
{
    return unbox(h->cpu.f[i->rs2]);
}
static float32_t s3(const struct rv_hart *h, const struct rv_insn *i)
{
    return unbox(h->cpu.f[i->rs3]);
}
static float64_t d1(const struct rv_hart *h, const struct rv_insn *i)
{
    return (float64_t){ h->cpu.f[i->rs1] };
}
static float64_t d2(const struct rv_hart *h, const struct rv_insn *i)
{
    return (float64_t){ h->cpu.f[i->rs2] };
}
static float64_t d3(const struct rv_hart *h, const struct rv_insn *i)
{
    return (float64_t){ h->cpu.f[i->rs3] };
}

static void put_bits(struct rv_hart *h, const struct rv_insn *i, uint64_t bits)
{
    h->cpu.f[i->rd] = bits;
    h->cpu.mstatus |= RV_MSTATUS_FS;
}

static void put_s(struct rv_hart *h, const struct rv_insn *i, float32_t v)
{
    put_bits(h, i, BOX | v.v);
}

static void put_d(struct rv_hart *h, const struct rv_insn *i, float64_t v) { put_bits(h, i, v.v); }

/* FS is off, or the rounding mode is none: then it trapped. */
static bool on(struct rv_hart *h, const struct rv_insn *i)
{
    unsigned rm = i->rm == 7 ? h->cpu.frm : i->rm;

    if (!(h->cpu.mstatus & RV_MSTATUS_FS) || rm > 4) {
        rv_illegal(h, i);
        return false;
    }
    softfloat_roundingMode = (uint_fast8_t)rm;
    softfloat_detectTininess = softfloat_tininess_afterRounding;
    softfloat_exceptionFlags = 0;
    return true;
}

/* For what has no rounding mode in bits 14..12, and so rm 0. */
static void fp_flags(struct rv_hart *h)
{
    if (softfloat_exceptionFlags) {
        h->cpu.fflags |= softfloat_exceptionFlags;
        h->cpu.mstatus |= RV_MSTATUS_FS;
    }
}

static void result_s(struct rv_hart *h, const struct rv_insn *i, float32_t v)
{
    put_s(h, i, v);
    fp_flags(h);
}

static void result_d(struct rv_hart *h, const struct rv_insn *i, float64_t v)
{
    put_d(h, i, v);
    fp_flags(h);
}

static void result_x(struct rv_hart *h, const struct rv_insn *i, uint64_t v)
{
    rv_set(h, i, v);
    fp_flags(h);
}

static bool nan_s(float32_t v) { return (v.v & ~(uint32_t)SIGN32) > 0x7f800000; }
static bool nan_d(float64_t v) { return (v.v & ~SIGN64) > 0x7ff0000000000000; }
static bool signaling_s(float32_t v) { return nan_s(v) && !(v.v & 0x400000); }
static bool signaling_d(float64_t v) { return nan_d(v) && !(v.v & 0x8000000000000); }
static float32_t neg_s(float32_t v) { return (float32_t){ v.v ^ SIGN32 }; }
static float64_t neg_d(float64_t v) { return (float64_t){ v.v ^ SIGN64 }; }

/* minimumNumber and maximumNumber: of -0 and +0 -0 is less, a NaN loses, two make the canonical
 * one. */
static bool less_s(float32_t a, float32_t b)
{
    return f32_lt_quiet(a, b) || (f32_eq(a, b) && a.v & SIGN32);
}

static bool less_d(float64_t a, float64_t b)
{
    return f64_lt_quiet(a, b) || (f64_eq(a, b) && a.v & SIGN64);
}

static float32_t choose_s(float32_t a, float32_t b, bool first)
{
    if (nan_s(a) && nan_s(b))
        return (float32_t){ QUIET32 };
    return nan_s(b) || (first && !nan_s(a)) ? a : b;
}

static float64_t choose_d(float64_t a, float64_t b, bool first)
{
    if (nan_d(a) && nan_d(b))
        return (float64_t){ QUIET64 };
    return nan_d(b) || (first && !nan_d(a)) ? a : b;
}

/* FCLASS's bit: table 11.5. */
static uint64_t fp_class_of(bool negative, bool zero, bool top, bool bottom, bool fraction_zero,
                            bool quiet)
{
    if (top && !fraction_zero)
        return quiet ? 1 << 9 : 1 << 8;
    if (top)
        return negative ? 1 << 0 : 1 << 7;
    if (zero)
        return negative ? 1 << 3 : 1 << 4;
    if (bottom)
        return negative ? 1 << 2 : 1 << 5;
    return negative ? 1 << 1 : 1 << 6;
}

static uint64_t class_s(uint32_t v)
{
    uint32_t exp = v >> 23 & 0xff, fraction = v & 0x7fffff;

    return fp_class_of(v >> 31, !exp && !fraction, exp == 0xff, !exp, !fraction, v & 0x400000);
}

static uint64_t class_d(uint64_t v)
{
    uint64_t exp = v >> 52 & 0x7ff, fraction = v & 0xfffffffffffff;

    return fp_class_of(v >> 63, !exp && !fraction, exp == 0x7ff, !exp, !fraction,
                       v & 0x8000000000000);
}

/* F */

void rv_do_fadd_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_s(h, i, f32_add(fp_s1(h, i), fp_s2(h, i)));
}

void rv_do_fsub_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_s(h, i, f32_sub(fp_s1(h, i), fp_s2(h, i)));
}

void rv_do_fmul_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_s(h, i, f32_mul(fp_s1(h, i), fp_s2(h, i)));
}

void rv_do_fdiv_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_s(h, i, f32_div(fp_s1(h, i), fp_s2(h, i)));
}

void rv_do_fsqrt_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_s(h, i, f32_sqrt(fp_s1(h, i)));
}

void rv_do_fmadd_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_s(h, i, f32_mulAdd(fp_s1(h, i), fp_s2(h, i), s3(h, i)));
}

void rv_do_fmsub_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_s(h, i, f32_mulAdd(fp_s1(h, i), fp_s2(h, i), neg_s(s3(h, i))));
}

void rv_do_fnmsub_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_s(h, i, f32_mulAdd(neg_s(fp_s1(h, i)), fp_s2(h, i), s3(h, i)));
}

void rv_do_fnmadd_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_s(h, i, f32_mulAdd(neg_s(fp_s1(h, i)), fp_s2(h, i), neg_s(s3(h, i))));
}

void rv_do_fsgnj_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        put_s(h, i,
              (float32_t){ (fp_s1(h, i).v & ~(uint32_t)SIGN32) |
                           (fp_s2(h, i).v & (uint32_t)SIGN32) });
}

void rv_do_fsgnjn_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        put_s(h, i,
              (float32_t){ (fp_s1(h, i).v & ~(uint32_t)SIGN32) |
                           (~fp_s2(h, i).v & (uint32_t)SIGN32) });
}

void rv_do_fsgnjx_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        put_s(h, i, (float32_t){ fp_s1(h, i).v ^ (fp_s2(h, i).v & (uint32_t)SIGN32) });
}

void rv_do_fmin_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (!on(h, i))
        return;
    if (signaling_s(fp_s1(h, i)) || signaling_s(fp_s2(h, i)))
        softfloat_exceptionFlags = INVALID;
    result_s(h, i, choose_s(fp_s1(h, i), fp_s2(h, i), less_s(fp_s1(h, i), fp_s2(h, i))));
}

void rv_do_fmax_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (!on(h, i))
        return;
    if (signaling_s(fp_s1(h, i)) || signaling_s(fp_s2(h, i)))
        softfloat_exceptionFlags = INVALID;
    result_s(h, i, choose_s(fp_s1(h, i), fp_s2(h, i), less_s(fp_s2(h, i), fp_s1(h, i))));
}

void rv_do_feq_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_x(h, i, f32_eq(fp_s1(h, i), fp_s2(h, i)));
}

void rv_do_flt_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_x(h, i, f32_lt(fp_s1(h, i), fp_s2(h, i)));
}

void rv_do_fle_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_x(h, i, f32_le(fp_s1(h, i), fp_s2(h, i)));
}

void rv_do_fclass_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        rv_set(h, i, class_s(fp_s1(h, i).v));
}

void rv_do_fcvt_w_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_x(h, i, (uint64_t)(int64_t)f32_to_i32(fp_s1(h, i), softfloat_roundingMode, true));
}

void rv_do_fcvt_wu_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_x(
            h, i,
            (uint64_t)(int64_t)(int32_t)f32_to_ui32(fp_s1(h, i), softfloat_roundingMode, true));
}

void rv_do_fcvt_l_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_x(h, i, (uint64_t)f32_to_i64(fp_s1(h, i), softfloat_roundingMode, true));
}

void rv_do_fcvt_lu_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_x(h, i, f32_to_ui64(fp_s1(h, i), softfloat_roundingMode, true));
}

void rv_do_fcvt_s_w(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_s(h, i, i32_to_f32((int32_t)rv_x1(h, i)));
}

void rv_do_fcvt_s_wu(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_s(h, i, ui32_to_f32((uint32_t)rv_x1(h, i)));
}

void rv_do_fcvt_s_l(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_s(h, i, i64_to_f32((int64_t)rv_x1(h, i)));
}

void rv_do_fcvt_s_lu(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_s(h, i, ui64_to_f32(rv_x1(h, i)));
}

/* D */

void rv_do_fadd_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_d(h, i, f64_add(d1(h, i), d2(h, i)));
}

void rv_do_fsub_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_d(h, i, f64_sub(d1(h, i), d2(h, i)));
}

void rv_do_fmul_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_d(h, i, f64_mul(d1(h, i), d2(h, i)));
}

void rv_do_fdiv_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_d(h, i, f64_div(d1(h, i), d2(h, i)));
}

void rv_do_fsqrt_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_d(h, i, f64_sqrt(d1(h, i)));
}

void rv_do_fmadd_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_d(h, i, f64_mulAdd(d1(h, i), d2(h, i), d3(h, i)));
}

void rv_do_fmsub_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_d(h, i, f64_mulAdd(d1(h, i), d2(h, i), neg_d(d3(h, i))));
}

void rv_do_fnmsub_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_d(h, i, f64_mulAdd(neg_d(d1(h, i)), d2(h, i), d3(h, i)));
}

void rv_do_fnmadd_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_d(h, i, f64_mulAdd(neg_d(d1(h, i)), d2(h, i), neg_d(d3(h, i))));
}

void rv_do_fsgnj_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        put_d(h, i, (float64_t){ (d1(h, i).v & ~SIGN64) | (d2(h, i).v & SIGN64) });
}

void rv_do_fsgnjn_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        put_d(h, i, (float64_t){ (d1(h, i).v & ~SIGN64) | (~d2(h, i).v & SIGN64) });
}

void rv_do_fsgnjx_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        put_d(h, i, (float64_t){ d1(h, i).v ^ (d2(h, i).v & SIGN64) });
}

void rv_do_fmin_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (!on(h, i))
        return;
    if (signaling_d(d1(h, i)) || signaling_d(d2(h, i)))
        softfloat_exceptionFlags = INVALID;
    result_d(h, i, choose_d(d1(h, i), d2(h, i), less_d(d1(h, i), d2(h, i))));
}

void rv_do_fmax_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (!on(h, i))
        return;
    if (signaling_d(d1(h, i)) || signaling_d(d2(h, i)))
        softfloat_exceptionFlags = INVALID;
    result_d(h, i, choose_d(d1(h, i), d2(h, i), less_d(d2(h, i), d1(h, i))));
}

void rv_do_feq_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_x(h, i, f64_eq(d1(h, i), d2(h, i)));
}

void rv_do_flt_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_x(h, i, f64_lt(d1(h, i), d2(h, i)));
}

void rv_do_fle_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_x(h, i, f64_le(d1(h, i), d2(h, i)));
}

void rv_do_fclass_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        rv_set(h, i, class_d(d1(h, i).v));
}

void rv_do_fcvt_w_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_x(h, i, (uint64_t)(int64_t)f64_to_i32(d1(h, i), softfloat_roundingMode, true));
}

void rv_do_fcvt_wu_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_x(h, i,
                 (uint64_t)(int64_t)(int32_t)f64_to_ui32(d1(h, i), softfloat_roundingMode, true));
}

void rv_do_fcvt_l_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_x(h, i, (uint64_t)f64_to_i64(d1(h, i), softfloat_roundingMode, true));
}

void rv_do_fcvt_lu_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_x(h, i, f64_to_ui64(d1(h, i), softfloat_roundingMode, true));
}

void rv_do_fcvt_d_w(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_d(h, i, i32_to_f64((int32_t)rv_x1(h, i)));
}

void rv_do_fcvt_d_wu(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_d(h, i, ui32_to_f64((uint32_t)rv_x1(h, i)));
}

void rv_do_fcvt_d_l(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_d(h, i, i64_to_f64((int64_t)rv_x1(h, i)));
}

void rv_do_fcvt_d_lu(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_d(h, i, ui64_to_f64(rv_x1(h, i)));
}

void rv_do_fcvt_s_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_s(h, i, f64_to_f32(d1(h, i)));
}

void rv_do_fcvt_d_s(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        result_d(h, i, f32_to_f64(fp_s1(h, i)));
}

/* Moves: bits, whatever they mean. */
void rv_do_fmv_x_w(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        rv_set_w(h, i, h->cpu.f[i->rs1]);
}

void rv_do_fmv_w_x(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        put_bits(h, i, BOX | (uint32_t)rv_x1(h, i));
}

void rv_do_fmv_x_d(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        rv_set(h, i, h->cpu.f[i->rs1]);
}

void rv_do_fmv_d_x(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        put_bits(h, i, rv_x1(h, i));
}

static uint64_t fp_address(const struct rv_hart *h, const struct rv_insn *i)
{
    return rv_x1(h, i) + (uint64_t)(int64_t)i->imm;
}

static void fp_load(struct rv_hart *h, const struct rv_insn *i, unsigned size, uint64_t box)
{
    uint64_t v;
    enum dbt_fault fault = dbt_load(&h->mem, fp_address(h, i), size, &v);

    if (fault == DBT_OK)
        put_bits(h, i, box | v);
    else
        rv_memory_trap(h, fault, DBT_LOAD);
}

static void fp_store(struct rv_hart *h, const struct rv_insn *i, unsigned size)
{
    enum dbt_fault fault = dbt_store(&h->mem, fp_address(h, i), size, h->cpu.f[i->rs2]);

    if (fault != DBT_OK)
        rv_memory_trap(h, fault, DBT_STORE);
}

void rv_do_flw(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        fp_load(h, i, 4, BOX);
}

void rv_do_fld(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        fp_load(h, i, 8, 0);
}

void rv_do_fsw(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        fp_store(h, i, 4);
}

void rv_do_fsd(struct rv_hart *h, const struct rv_insn *i)
{
    if (on(h, i))
        fp_store(h, i, 8);
}
