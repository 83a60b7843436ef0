/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Integer results and flags, as the CPU makes them (APM vol 1 §3.1.4 and the instructions' pages
 * in vol 3).
 */
#include "insn.h"

static uint64_t sign_bit(unsigned size) { return 1ull << (8 * size - 1); }

static uint64_t szp(uint64_t r, unsigned size)
{
    uint64_t f = (r & x86_size_mask(size)) == 0 ? FLAGS_ZF : 0;

    if ((r & sign_bit(size)) != 0)
        f |= FLAGS_SF;
    return f | (__builtin_parity((unsigned)r & 0xff) != 0 ? 0 : FLAGS_PF);
}

static void set(uint64_t *flags, uint64_t which, uint64_t val) { *flags = (*flags & ~which) | val; }

/* Carries out of each bit of a + b (+ carry in) = r; for a - b, the borrows. */
static uint64_t add_flags(uint64_t a, uint64_t b, uint64_t r, unsigned size)
{
    uint64_t carry = (a & b) | ((a | b) & ~r), s = sign_bit(size);

    return szp(r, size) | ((carry & s) != 0 ? FLAGS_CF : 0) | ((carry & 8) != 0 ? FLAGS_AF : 0) |
           (((a ^ r) & (b ^ r) & s) != 0 ? FLAGS_OF : 0);
}

static uint64_t sub_flags(uint64_t a, uint64_t b, uint64_t r, unsigned size)
{
    uint64_t borrow = (~a & b) | ((~a | b) & r), s = sign_bit(size);

    return szp(r, size) | ((borrow & s) != 0 ? FLAGS_CF : 0) | ((borrow & 8) != 0 ? FLAGS_AF : 0) |
           (((a ^ b) & (a ^ r) & s) != 0 ? FLAGS_OF : 0);
}

uint64_t x86_alu(unsigned op, unsigned size, uint64_t a, uint64_t b, uint64_t *flags)
{
    uint64_t cf = *flags & FLAGS_CF, mask = x86_size_mask(size), r;

    a &= mask;
    b &= mask;
    switch (op & 7) {
    case 0:
    case 2:
        r = (a + b + ((op & 7) == 2 ? cf : 0)) & mask;
        set(flags, FLAGS_ARITH, add_flags(a, b, r, size));
        return r;
    case 3:
    case 5:
    case 7:
        r = (a - b - ((op & 7) == 3 ? cf : 0)) & mask;
        set(flags, FLAGS_ARITH, sub_flags(a, b, r, size));
        return r;
    case 1: r = a | b; break;
    case 4: r = a & b; break;
    default: r = a ^ b; break;
    }
    set(flags, FLAGS_ARITH, szp(r, size));
    return r;
}

uint64_t x86_incdec(bool dec, unsigned size, uint64_t a, uint64_t *flags)
{
    uint64_t cf = *flags & FLAGS_CF, r = x86_alu(dec ? 5 : 0, size, a, 1, flags);

    set(flags, FLAGS_CF, cf);
    return r;
}

/* RCL and RCR turn size * 8 + 1 bits, through CF. At most 64 steps. */
static uint64_t rotate_carry(bool right, unsigned size, uint64_t a, unsigned count, uint64_t *flags)
{
    unsigned width = 8 * size;
    uint64_t cf = *flags & FLAGS_CF, mask = x86_size_mask(size);

    count %= width + 1;
    if (count == 0)
        return a;
    for (unsigned i = 0; i < count; i++) {
        uint64_t out = right ? a & 1 : a >> (width - 1) & 1;

        a = right ? a >> 1 | cf << (width - 1) : (a << 1 | cf) & mask;
        cf = out;
    }
    set(flags, FLAGS_CF | FLAGS_OF, cf);
    if (right ? ((a >> (width - 1) ^ a >> (width - 2)) & 1) != 0 : ((a >> (width - 1)) & 1) != cf)
        *flags |= FLAGS_OF;
    return a;
}

static uint64_t rotate(bool right, unsigned size, uint64_t a, unsigned count, uint64_t *flags)
{
    unsigned width = 8 * size, n = count % width;
    uint64_t mask = x86_size_mask(size), r = a, cf;

    if (n != 0)
        r = (right ? a >> n | a << (width - n) : a << n | a >> (width - n)) & mask;
    cf = right ? r >> (width - 1) & 1 : r & 1;
    set(flags, FLAGS_CF | FLAGS_OF, cf);
    if (right ? ((r >> (width - 1) ^ r >> (width - 2)) & 1) != 0 : (r >> (width - 1) & 1) != cf)
        *flags |= FLAGS_OF;
    return r;
}

static uint64_t shift_left(unsigned size, uint64_t a, unsigned count, uint64_t *flags)
{
    unsigned width = 8 * size;
    uint64_t mask = x86_size_mask(size), r = count < width ? a << count & mask : 0;
    uint64_t cf = count <= width ? a >> (width - count) & 1 : 0;

    set(flags, FLAGS_ARITH, szp(r, size) | cf | ((r >> (width - 1) & 1) != cf ? FLAGS_OF : 0));
    return r;
}

static uint64_t shift_right(bool arith, unsigned size, uint64_t a, unsigned count, uint64_t *flags)
{
    unsigned width = 8 * size;
    int64_t s = (int64_t)(a << (64 - width)) >> (64 - width);
    uint64_t mask = x86_size_mask(size), r, cf;

    if (arith) {
        r = (uint64_t)(s >> (count < 63 ? count : 63)) & mask;
        cf = (uint64_t)(s >> (count - 1 < 63 ? count - 1 : 63)) & 1;
    } else {
        r = count < width ? a >> count : 0;
        cf = count <= width ? a >> (count - 1) & 1 : 0;
    }
    set(flags, FLAGS_ARITH,
        szp(r, size) | cf | (!arith && (a & sign_bit(size)) != 0 ? FLAGS_OF : 0));
    return r;
}

uint64_t x86_shift(unsigned op, unsigned size, uint64_t a, unsigned count, uint64_t *flags)
{
    a &= x86_size_mask(size);
    count &= size == 8 ? 63 : 31;
    if (count == 0)
        return a;
    switch (op & 7) {
    case 0:
    case 1: return rotate((op & 1) != 0, size, a, count, flags);
    case 2:
    case 3: return rotate_carry((op & 1) != 0, size, a, count, flags);
    case 5:
    case 7: return shift_right((op & 7) == 7, size, a, count, flags);
    default: return shift_left(size, a, count, flags);
    }
}

uint64_t x86_shd(bool right, unsigned size, uint64_t a, uint64_t b, unsigned count, uint64_t *flags)
{
    unsigned width = 8 * size;
    uint64_t mask = x86_size_mask(size), r, cf;

    a &= mask;
    b &= mask;
    count &= size == 8 ? 63 : 31;
    if (count == 0 || count > width)
        return a;
    if (right) {
        r = count == width ? b : (a >> count | b << (width - count)) & mask;
        cf = a >> (count - 1) & 1;
    } else {
        r = count == width ? b : (a << count | b >> (width - count)) & mask;
        cf = a >> (width - count) & 1;
    }
    set(flags, FLAGS_ARITH, szp(r, size) | cf | (((a ^ r) & sign_bit(size)) != 0 ? FLAGS_OF : 0));
    return r;
}

static int64_t sign_extend(uint64_t v, unsigned size)
{
    return (int64_t)(v << (64 - 8 * size)) >> (64 - 8 * size);
}

uint64_t x86_imul2(unsigned size, uint64_t a, uint64_t b, uint64_t *flags)
{
    __int128 p = (__int128)sign_extend(a, size) * sign_extend(b, size);
    uint64_t r = (uint64_t)p & x86_size_mask(size);
    bool over = p != (__int128)sign_extend(r, size);

    set(flags, FLAGS_CF | FLAGS_OF, over ? FLAGS_CF | FLAGS_OF : 0);
    return r;
}

static void multiply(bool is_signed, unsigned size, uint64_t *lo, uint64_t *hi, uint64_t b,
                     uint64_t *flags)
{
    unsigned width = 8 * size;
    uint64_t mask = x86_size_mask(size);
    unsigned __int128 p =
        is_signed ? (unsigned __int128)((__int128)sign_extend(*lo, size) * sign_extend(b, size))
                  : (unsigned __int128)(*lo & mask) * (b & mask);
    bool over;

    *lo = (uint64_t)p & mask;
    *hi = (uint64_t)(p >> width) & mask;
    over = is_signed ? *hi != ((*lo & sign_bit(size)) != 0 ? mask : 0) : *hi != 0;
    set(flags, FLAGS_CF | FLAGS_OF, over ? FLAGS_CF | FLAGS_OF : 0);
}

/* 128 by 64 bits without the library's helper: shift and subtract, 128 steps. */
static unsigned __int128 divide128(unsigned __int128 n, uint64_t d, uint64_t *rem)
{
    unsigned __int128 q = 0, r = 0;

    for (int i = 127; i >= 0; i--) {
        r = r << 1 | (n >> i & 1);
        if (r >= d) {
            r -= d;
            q |= (unsigned __int128)1 << i;
        }
    }
    *rem = (uint64_t)r;
    return q;
}

static int divide_signed(unsigned size, __int128 n, int64_t d, uint64_t *lo, uint64_t *hi)
{
    unsigned __int128 mag = n < 0 ? 0 - (unsigned __int128)n : (unsigned __int128)n, q;
    uint64_t rem, mask = x86_size_mask(size);
    bool negative = (n < 0) != (d < 0);

    q = divide128(mag, d < 0 ? 0 - (uint64_t)d : (uint64_t)d, &rem);
    if (q > (unsigned __int128)(sign_bit(size) - (negative ? 0 : 1)))
        return -EDOM;
    *lo = (negative ? 0 - (uint64_t)q : (uint64_t)q) & mask;
    *hi = (n < 0 ? 0 - rem : rem) & mask;
    return 0;
}

static int divide(bool is_signed, unsigned size, uint64_t *lo, uint64_t *hi, uint64_t b)
{
    unsigned width = 8 * size;
    uint64_t mask = x86_size_mask(size), rem;
    unsigned __int128 n = (unsigned __int128)(*hi & mask) << width | (*lo & mask), q;

    if ((b & mask) == 0)
        return -EDOM;
    if (is_signed) {
        __int128 s = (__int128)(n << (128 - 2 * width)) >> (128 - 2 * width);

        return divide_signed(size, s, sign_extend(b, size), lo, hi);
    }
    q = divide128(n, b & mask, &rem);
    if (q > mask)
        return -EDOM;
    *lo = (uint64_t)q;
    *hi = rem;
    return 0;
}

int x86_muldiv(unsigned op, unsigned size, uint64_t *lo, uint64_t *hi, uint64_t b, uint64_t *flags)
{
    if (op >= 6)
        return divide(op == 7, size, lo, hi, b);
    multiply(op == 5, size, lo, hi, b, flags);
    return 0;
}

bool x86_condition(unsigned cc, uint64_t f)
{
    bool r, sf_of = ((f & FLAGS_SF) != 0) != ((f & FLAGS_OF) != 0);

    switch (cc >> 1 & 7) {
    case 0: r = (f & FLAGS_OF) != 0; break;
    case 1: r = (f & FLAGS_CF) != 0; break;
    case 2: r = (f & FLAGS_ZF) != 0; break;
    case 3: r = (f & (FLAGS_CF | FLAGS_ZF)) != 0; break;
    case 4: r = (f & FLAGS_SF) != 0; break;
    case 5: r = (f & FLAGS_PF) != 0; break;
    case 6: r = sf_of; break;
    default: r = sf_of || (f & FLAGS_ZF) != 0; break;
    }
    return r != ((cc & 1) != 0);
}
