/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The riscv64 decoder: its table's invariants, and each decoded instruction against an encoder that
 * puts the operands back into their fields. tests/dbt/disassemble.py compares it with binutils.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/dbt/riscv64/table.h"

/* value[high:low] moved to bit `to` of the instruction. */
static uint32_t put(int32_t value, unsigned high, unsigned low, unsigned to)
{
    return ((uint32_t)value >> low & (uint32_t)((1ull << (high - low + 1)) - 1)) << to;
}

static uint32_t encode_imm(unsigned format, int32_t imm)
{
    switch (format) {
    case FMT_I:
    case FMT_CSR: return put(imm, 11, 0, 20);
    case FMT_SH5:
    case FMT_SH6: return put(imm, 5, 0, 20);
    case FMT_S: return put(imm, 11, 5, 25) | put(imm, 4, 0, 7);
    case FMT_B:
        return put(imm, 12, 12, 31) | put(imm, 10, 5, 25) | put(imm, 4, 1, 8) | put(imm, 11, 11, 7);
    case FMT_U: return (uint32_t)imm & 0xfffff000;
    case FMT_J:
        return put(imm, 20, 20, 31) | put(imm, 10, 1, 21) | put(imm, 11, 11, 20) |
               put(imm, 19, 12, 12);
    case FMT_AMO: return put(imm, 1, 0, 25);
    default: assert_int_equal(imm, 0); return 0;
    }
}

static uint32_t encode(const struct rv_insn *insn)
{
    const struct rv_row *row = &rv_rows[insn->op - 1];

    return row->match | encode_imm(row->format, insn->imm) | (uint32_t)insn->rd << 7 |
           (uint32_t)insn->rm << 12 | (uint32_t)insn->rs1 << 15 | (uint32_t)insn->rs2 << 20 |
           (uint32_t)insn->rs3 << 27;
}

static void rows_are_in_order(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RV_OPS - 1; i++) {
        assert_int_equal(rv_rows[i].op, i + 1);
        assert_int_equal(rv_rows[i].match & ~rv_rows[i].mask, 0);
        assert_int_equal(rv_rows[i].mask & 3, 3);
        assert_int_equal(rv_rows[i].match & 3, 3);
        assert_true(strlen(rv_op_name(i + 1)) > 1);
    }
    assert_string_equal(rv_op_name(RV_ADDI), "addi");
    assert_string_equal(rv_op_name(RV_FCVT_D_LU), "fcvt.d.lu");
    assert_string_equal(rv_op_name(RV_ILLEGAL), "illegal");
    assert_string_equal(rv_op_name(RV_OPS), "illegal");
}

/* No pattern has two meanings. */
static void rows_are_disjoint(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RV_OPS - 1; i++) {
        for (unsigned j = 0; j < i; j++) {
            uint32_t both = rv_rows[i].mask & rv_rows[j].mask;

            assert_true((rv_rows[i].match & both) != (rv_rows[j].match & both));
        }
    }
}

static void check_fields(const struct rv_insn *insn)
{
    assert_true(insn->op < RV_OPS);
    assert_true(insn->rd < 32 && insn->rs1 < 32 && insn->rs2 < 32 && insn->rs3 < 32);
    assert_true(insn->rm < 5 || insn->rm == 7);
    if (insn->op == RV_ILLEGAL)
        assert_true(!insn->rd && !insn->rs1 && !insn->rs2 && !insn->rs3 && !insn->imm);
}

static void check_32(uint32_t bits)
{
    struct rv_insn insn = rv_decode(bits);

    check_fields(&insn);
    assert_int_equal(insn.length, 4);
    assert_int_equal(insn.bits, bits);
    if (insn.op != RV_ILLEGAL && rv_rows[insn.op - 1].format != FMT_NONE)
        assert_int_equal(encode(&insn), bits);
}

/* Every pattern of an instruction's fixed bits with random operands, then random bits. */
static void operands_are_where_the_manual_has_them(void **state)
{
    unsigned legal[RV_OPS] = { 0 };

    (void)state;
    srand(1);
    for (unsigned i = 0; i < 1000 * (RV_OPS - 1); i++) {
        const struct rv_row *row = &rv_rows[i % (RV_OPS - 1)];
        uint32_t any = (uint32_t)rand() << 16 ^ (uint32_t)rand();
        uint32_t bits = (any & ~row->mask) | row->match;

        check_32(bits);
        check_32(any | 3);
        legal[rv_decode(bits).op]++;
    }
    for (unsigned op = 1; op < RV_OPS; op++)
        assert_true(legal[op] > 500);
}

/* The 32-bit encoding of what a compressed instruction expands to decodes to the same. */
static void compressed_expand(void **state)
{
    unsigned legal = 0;

    (void)state;
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        struct rv_insn c = rv_decode(bits | 0xabcd0000), whole;

        if (!rv_is_compressed(bits))
            continue;
        check_fields(&c);
        assert_int_equal(c.length, 2);
        assert_int_equal(c.bits, bits);
        if (c.op == RV_ILLEGAL)
            continue;
        legal++;
        whole = rv_decode(encode(&c));
        whole.length = 2;
        whole.bits = bits;
        assert_memory_equal(&whole, &c, sizeof c);
    }
    /* Quadrant 0 has one empty row of eight and c.addi4spn of 0; quadrant 1 c.addiw to x0, c.lui of
     * 0 and two empty rows of CA's; quadrant 2 loads to x0 and c.jr of x0. */
    assert_int_equal(legal, 3 * 0x4000 - (0x800 + 8) - (64 + 32 + 2 * 64) - (64 + 64 + 1));
}

static const struct {
    uint32_t bits;
    struct rv_insn is;
} samples[] = {
    { 0xffdff0ef, { .op = RV_JAL, .rd = 1, .length = 4, .imm = -4 } },
    { 0xfe208ee3, { .op = RV_BEQ, .rs1 = 1, .rs2 = 2, .length = 4, .imm = -4 } },
    { 0x80000537, { .op = RV_LUI, .rd = 10, .length = 4, .imm = INT32_MIN } },
    { 0x43f55513, { .op = RV_SRAI, .rd = 10, .rs1 = 10, .length = 4, .imm = 63 } },
    { 0x34202573, { .op = RV_CSRRS, .rd = 10, .length = 4, .imm = 0x342 } },
    { 0x1605252f, { .op = RV_LR_W, .rd = 10, .rs1 = 10, .length = 4, .imm = 3 } },
    { 0x0000, { .op = RV_ILLEGAL, .length = 2 } },
    { 0x8082, { .op = RV_JALR, .rs1 = 1, .length = 2 } },
    { 0x1141, { .op = RV_ADDI, .rd = 2, .rs1 = 2, .length = 2, .imm = -16 } },
    { 0x7139, { .op = RV_ADDI, .rd = 2, .rs1 = 2, .length = 2, .imm = -64 } },
    { 0xffffffff, { .op = RV_ILLEGAL, .length = 4 } },
    { 0x00105073, { .op = RV_CSRRWI, .length = 4, .imm = 1 } },
};

static void samples_decode(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        struct rv_insn is = samples[i].is, got = rv_decode(samples[i].bits);

        is.bits = samples[i].bits;
        assert_memory_equal(&got, &is, sizeof is);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_in_order),
        cmocka_unit_test(rows_are_disjoint),
        cmocka_unit_test(operands_are_where_the_manual_has_them),
        cmocka_unit_test(compressed_expand),
        cmocka_unit_test(samples_decode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
