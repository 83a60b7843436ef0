/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * riscv64 code, compiled and interpreted in step: random instructions with loops, memory and
 * floating point; code that is written while it runs; more code than the cache holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "hv/dbt/riscv64/jit.h"
#include "tests/unit/rv_flat.h"

#define RAM (64 * 1024)
#define CODE_BYTES 512

static struct flat *jit, *plain;
static uint8_t made[CODE_BYTES]; /* the code of a program, as it was */
static unsigned patched;         /* programs that wrote there */

static bool wanted(const struct rv_insn *i)
{
    if (i->op == RV_ILLEGAL || (i->op >= RV_CSRRW && i->op <= RV_CSRRCI))
        return false;
    return (i->op <= RV_FENCE || (i->op >= RV_LR_W && i->op <= RV_AMOMAXU_D) ||
            (i->op >= RV_MUL && i->op <= RV_REMUW) || (i->op >= RV_FLW && i->op <= RV_BSETI));
}

static uint32_t some_insn(struct eval_random *r)
{
    static const uint8_t major[] = { 0x03, 0x13, 0x1b, 0x23, 0x33, 0x3b, 0x37, 0x17, 0x63, 0x63,
                                     0x6f, 0x67, 0x07, 0x27, 0x43, 0x47, 0x4b, 0x4f, 0x53, 0x53,
                                     0x53, 0x33, 0x3b, 0x13, 0x03, 0x23, 0x13, 0x13, 0x2f, 0x2f };

    for (;;) {
        uint32_t bits = (uint32_t)(eval_random(r) << 16 ^ eval_random(r));
        if (eval_random(r) % 4)
            bits = (bits & ~0x7fu) | major[eval_random(r) % ARRAY_SIZE(major)];
        if ((bits & 0x7f) == 0x33 || (bits & 0x7f) == 0x3b) /* few values of funct7 mean anything */
            bits &= ~0xdc000000u;
        struct rv_insn i = rv_decode(bits);
        if (i.length == 2)
            bits &= 0xffff;
        if (wanted(&i))
            return bits;
    }
}

/* An LR, SC or AMO at a place that another is at, too, of words or doublewords. */
static uint32_t some_atomic(struct eval_random *r)
{
    static const uint8_t ops[] = { 2, 2, 2, 3, 3, 3, 0, 1, 4, 8, 12, 16, 20, 24, 28 };
    uint32_t op = ops[eval_random(r) % ARRAY_SIZE(ops)];

    return op << 27 | (op == 2 ? 0 : (uint32_t)eval_random(r) % 32 << 20) |
           (1 + (uint32_t)eval_random(r) % 2) << 15 | (2 + (uint32_t)eval_random(r) % 2) << 12 |
           (uint32_t)eval_random(r) % 32 << 7 | 0x2f;
}

/* Registers 1 to 4 stay addresses of memory, and distances within the code, most of them. */
static uint32_t tame(uint32_t bits, struct eval_random *r)
{
    uint32_t d = (uint32_t)(eval_random(r) % 64) * 2 - 48, major = bits & 0x7f;

    if (major == 0x2f)
        bits = some_atomic(r);
    if (major == 0x63)
        return (bits & 0x01fff07f) | (d >> 12 & 1) << 31 | (d >> 5 & 63) << 25 |
               (d >> 1 & 15) << 8 | (d >> 11 & 1) << 7;
    if (major == 0x6f)
        bits = (bits & 0xfff) | (d >> 20 & 1) << 31 | (d >> 1 & 0x3ff) << 21 | (d >> 11 & 1) << 20 |
               (d >> 12 & 0xff) << 12;
    if (major == 0x03 || major == 0x07 || major == 0x23 || major == 0x27)
        bits = (bits & ~0xf8000u) | (1 + (uint32_t)eval_random(r) % 4) << 15;
    if (major != 0x23 && major != 0x27 && (bits & 3) == 3)
        bits |= 0x400; /* rd: 8 to 15, 24 to 31 */
    return bits;
}

/* Compressed instructions whose registers cannot be chosen are left out. */
static bool tame_enough(uint32_t bits, struct eval_random *r)
{
    struct rv_insn i = rv_decode(bits);
    bool memory = (i.op >= RV_LB && i.op <= RV_SD) || i.op == RV_FLW || i.op == RV_FSW ||
                  i.op == RV_FLD || i.op == RV_FSD;

    if (i.op == RV_JALR && eval_random(r) % 16)
        return false;
    return i.length == 4 || ((i.rd > 4 || !i.rd) && (!memory || i.rs1 == 2) && i.op != RV_JALR);
}

static void make_code(struct flat *m, struct eval_random *r)
{
    unsigned at = 0;

    while (at < CODE_BYTES) {
        uint32_t bits = tame(some_insn(r), r);
        if (!tame_enough(bits, r))
            continue;
        memcpy(m->ram + at, &bits, 4);
        at += rv_is_compressed(bits) ? 2 : 4;
    }
}

static uint64_t some_value(struct eval_random *r)
{
    switch (eval_random(r) % 4) {
    case 0: return FLAT_BASE + eval_random(r) % RAM;
    case 1: return (uint64_t)((int64_t)(eval_random(r) % 64) - 32);
    case 2: return 0x3ff0000000000000ull + (eval_random(r) << 30);
    default: return eval_random(r) << 40 ^ eval_random(r) << 20 ^ eval_random(r);
    }
}

static void reset(struct flat *m)
{
    memset(m->ram, 0, m->bytes);
    memset(&m->cpu, 0, sizeof m->cpu);
    m->cpu.pc = FLAT_BASE;
    m->cpu.mode = RV_M;
    m->cpu.mstatus = RV_MSTATUS_FS;
    m->over = false;
    if (m->jit)
        for (uint64_t pa = FLAT_BASE; pa < FLAT_BASE + m->bytes; pa += PAGE_SIZE)
            rv_jit_written(m->jit, pa, PAGE_SIZE);
    flat_flush(m);
}

static void fill(struct eval_random *r)
{
    reset(jit);
    make_code(jit, r);
    for (unsigned k = CODE_BYTES; k < RAM; k += 8)
        memcpy(jit->ram + k, &(uint64_t){ k * 0x9e3779b97f4a7c15ull }, 8);
    for (unsigned k = 1; k < 32; k++) {
        jit->cpu.x[k] = k < 12 ? FLAT_BASE + 4096 + eval_random(r) % (RAM - 8192) : some_value(r);
        jit->cpu.f[k] = eval_random(r) % 3 ? some_value(r) : 0xffffffff00000000 | some_value(r);
    }
    jit->cpu.frm = (uint32_t)(eval_random(r) % 4);
    reset(plain);
    memcpy(plain->ram, jit->ram, RAM);
    memcpy(made, jit->ram, sizeof made);
    plain->cpu = jit->cpu;
}

static void show(const char *what)
{
    for (unsigned k = 0; k < 32; k++) {
        if (jit->cpu.x[k] != plain->cpu.x[k])
            fprintf(stderr, "x%u: is %#llx, should be %#llx\n", k,
                    (unsigned long long)jit->cpu.x[k], (unsigned long long)plain->cpu.x[k]);
        if (jit->cpu.f[k] != plain->cpu.f[k])
            fprintf(stderr, "f%u: is %#llx, should be %#llx\n", k,
                    (unsigned long long)jit->cpu.f[k], (unsigned long long)plain->cpu.f[k]);
    }
    fprintf(stderr, "%s: pc %#llx %#llx insns %llu %llu fflags %x %x over %d %d\n", what,
            (unsigned long long)jit->cpu.pc, (unsigned long long)plain->cpu.pc,
            (unsigned long long)jit->cpu.instret, (unsigned long long)plain->cpu.instret,
            jit->cpu.fflags, plain->cpu.fflags, jit->over, plain->over);
}

static bool same(void)
{
    return !memcmp(&jit->cpu, &plain->cpu, sizeof jit->cpu) && !memcmp(jit->ram, plain->ram, RAM);
}

/* The compiled hart runs a while; the other then runs as many instructions. */
static bool in_step(struct eval_random *r, unsigned most)
{
    while (!jit->over && jit->cpu.instret < most) {
        flat_run(jit, 1 + eval_random(r) % 60);
        while (!plain->over && plain->cpu.instret < jit->cpu.instret)
            flat_step(plain);
        if (jit->over && !plain->over) /* what does not retire */
            flat_step(plain);
        if (memcmp(plain->ram, made, sizeof made)) {
            patched++; /* and has no FENCE.I: either code may run */
            return true;
        }
        if (!same())
            return false;
    }
    return true;
}

static void listing(void)
{
    for (unsigned at = 0; at < CODE_BYTES;) {
        uint32_t bits;
        memcpy(&bits, jit->ram + at, 4);
        struct rv_insn i = rv_decode(bits);
        fprintf(stderr, "%3x: %08x %s rd %u rs1 %u rs2 %u rs3 %u rm %u imm %d\n", at, i.bits,
                rv_op_name(i.op), i.rd, i.rs1, i.rs2, i.rs3, i.rm, i.imm);
        at += i.length;
    }
}

static void random_code(void **state)
{
    unsigned n = getenv("DBT_PROGRAMS") ? (unsigned)atoi(getenv("DBT_PROGRAMS")) : 1500;
    uint64_t insns = 0;

    (void)state;
    for (unsigned k = 0; k < n; k++) {
        struct eval_random r = { .seed = (k + 1) * 0x9e3779b97f4a7c15ull };
        fill(&r);
        if (!in_step(&r, 400)) {
            listing();
            show("after some");
            fail_msg("program %u", k);
        }
        insns += jit->cpu.instret;
    }
    fprintf(stderr, "%llu instructions\n", (unsigned long long)insns);
    assert_true(insns > n * 5);
    assert_true(patched < n / 20);
}

/* Both to the end, then the same. */
static void both_end(uint64_t most)
{
    memcpy(plain->ram, jit->ram, jit->bytes);
    plain->cpu = jit->cpu;
    flat_run(jit, most);
    flat_run(plain, most);
    assert_true(jit->over && plain->over);
    assert_memory_equal(&jit->cpu, &plain->cpu, sizeof jit->cpu);
    assert_memory_equal(jit->ram, plain->ram, jit->bytes);
}

static uint64_t invalidated(void)
{
    struct rv_jit_stats s;

    rv_jit_stats(jit->jit, &s);
    return s.invalidated;
}

/* Adds 1, 2, 3 ... : the instruction at 0x40 is written anew each time, and data `beside` it. */
static void patching(uint32_t beside)
{
    static const uint32_t code[] = { 0x0460a023 /* sw x6,0x40(x1) */, 0x0000100f /* fence.i */,
                                     0x00730333 /* add x6,x6,x7 */, 0x0340006f /* j 0x40 */ };
    static const uint32_t loop[] = { 0x00128293 /* addi x5,x5,1 */, 0x00512023 /* sw x5,0(x2) */,
                                     0xfff40413 /* addi x8,x8,-1 */, 0xfa041ae3 /* bnez x8,0 */,
                                     0x0004a023 /* sw x0,0(x9) */ };

    reset(jit);
    reset(plain);
    memcpy(jit->ram, code, sizeof code);
    memcpy(jit->ram + 0x40, loop, sizeof loop);
    jit->cpu.x[1] = FLAT_BASE;
    jit->cpu.x[2] = FLAT_BASE + beside;
    jit->cpu.x[6] = loop[0];
    jit->cpu.x[7] = 1 << 20;
    jit->cpu.x[8] = 200;
    jit->cpu.x[9] = FLAT_TEST;
    both_end(100000);
    assert_int_equal(jit->cpu.x[5], 200 * 201 / 2);
}

static void code_that_patches_itself(void **state)
{
    uint64_t start = invalidated();

    (void)state;
    patching(0x800); /* in the page, in a piece without code */
    assert_in_range(invalidated() - start, 199, 450);
    start = invalidated();
    patching(0x40 + 0x30); /* in the piece: each pass writes it */
    assert_in_range(invalidated() - start, 199, 1000);
}

static void once_more(void)
{
    jit->over = plain->over = false;
    jit->cpu.waiting = 0;
    jit->cpu.pc = FLAT_BASE;
    jit->cpu.x[5] = 0;
    jit->cpu.x[8] = 100;
    jit->cpu.x[9] = FLAT_TEST;
    both_end(1000);
}

/* Nobody tells of the store: FENCE.I finds it. */
static void code_that_others_write(void **state)
{
    static const uint32_t code[] = { 0x00128293 /* addi x5,x5,1 */, 0xfff40413 /* addi x8,x8,-1 */,
                                     0xfe041ce3 /* bnez x8,-8 */, 0x0004a023 /* sw x0,0(x9) */ };
    uint64_t start;

    (void)state;
    reset(jit);
    reset(plain);
    memcpy(jit->ram, code, sizeof code);
    once_more();
    assert_int_equal(jit->cpu.x[5], 100);
    start = invalidated();
    rv_jit_verify(jit->jit);
    once_more();
    assert_int_equal(invalidated(), start);
    jit->ram[2] += 0x10; /* addi x5,x5,2 */
    rv_jit_verify(jit->jit);
    once_more();
    assert_int_equal(jit->cpu.x[5], 200);
    assert_in_range(invalidated() - start, 1, 4);
}

/* Data in the code's page, written often: nothing is compiled anew. */
static void data_beside_code(void **state)
{
    static const uint32_t code[] = { 0x00512023 /* sw x5,0(x2) */, 0x00128293 /* addi x5,x5,1 */,
                                     0xfff40413 /* addi x8,x8,-1 */, 0xfe041ae3 /* bnez x8,0 */,
                                     0x0004a023 /* sw x0,0(x9) */ };

    (void)state;
    reset(jit);
    reset(plain);
    memcpy(jit->ram, code, sizeof code);
    jit->cpu.x[2] = FLAT_BASE + 0x100;
    jit->cpu.x[8] = 1000;
    jit->cpu.x[9] = FLAT_TEST;
    uint64_t start = invalidated();
    both_end(100000);
    assert_int_equal(invalidated(), start);
}

/* The last instruction of a page is followed by the next page's first, whatever else the unit does.
 */
static void end_of_the_page(void **state)
{
    static const uint32_t code[] = { 0x10628063 /* beq x5,x6,0x100 */,
                                     0x00138393 /* addi x7,x7,1 */,
                                     /* the next page */ 0x00140413 /* addi x8,x8,1 */,
                                     0x0004a023 /* sw x0,0(x9) */ };

    (void)state;
    reset(jit);
    reset(plain);
    memcpy(jit->ram + PAGE_SIZE - 8, code, sizeof code);
    memcpy(jit->ram + PAGE_SIZE - 8 + 0x100, &code[3], 4);
    jit->cpu.pc = FLAT_BASE + PAGE_SIZE - 8;
    jit->cpu.x[5] = 1;
    jit->cpu.x[9] = FLAT_TEST;
    both_end(100);
    assert_int_equal(jit->cpu.x[7], 1);
    assert_int_equal(jit->cpu.x[8], 1);
}

#define MANY (256 * 1024)

/* 4096 units in a ring, more than the code's memory holds: regions are reused. */
static void more_code_than_room(void **state)
{
    static const uint32_t piece[] = { 0x00528293 /* addi x5,x5,5 */, 0x0062c2b3 /* xor x5,x5,x6 */,
                                      0x0055a023 /* sw x5,0(x11) */, 0x034000ef /* jal ra,0x34 */ };
    static const uint32_t last[] = { 0xfff40413 /* addi x8,x8,-1 */, 0x00040463 /* beqz x8,8 */,
                                     0x00050067 /* jr x10 */, 0x0004a023 /* sw x0,0(x9) */ };
    struct flat *small_jit = jit, *small_plain = plain;
    struct rv_jit_stats s;

    (void)state;
    flat_code_bytes = 640 * 1024;
    jit = flat_new(MANY + PAGE_SIZE, true, 0);
    plain = flat_new(MANY + PAGE_SIZE, false, 0);
    for (uint32_t at = 0; at < MANY; at += 64) {
        memcpy(jit->ram + at, piece, sizeof piece);
    }
    memcpy(jit->ram + MANY, last, sizeof last);
    jit->cpu.x[6] = 0x1234567;
    jit->cpu.x[8] = 3;
    jit->cpu.x[9] = FLAT_TEST;
    jit->cpu.x[10] = FLAT_BASE;
    jit->cpu.x[11] = FLAT_BASE + MANY + 0x800;
    both_end(1000000);
    rv_jit_stats(jit->jit, &s);
    assert_true(s.evictions > 3);
    assert_true(s.units > 4096);
    flat_free(jit);
    flat_free(plain);
    jit = small_jit;
    plain = small_plain;
}

/* Cold code is interpreted, hot code compiled; the result is the same. */
static void cold_and_hot(void **state)
{
    struct flat *first = jit;
    struct eval_random r = { .seed = 99 };

    (void)state;
    flat_code_bytes = 2u << 20;
    jit = flat_new(RAM, true, 5);
    for (unsigned k = 0; k < 100; k++) {
        fill(&r);
        assert_true(in_step(&r, 400));
    }
    flat_free(jit);
    jit = first;
}

/* jal x0 */
static uint32_t jump(uint64_t from, uint64_t to)
{
    uint32_t d = (uint32_t)(to - from);

    return 0x6f | (d & 0xff000) | (d >> 11 & 1) << 20 | (d >> 1 & 0x3ff) << 21 | (d >> 20) << 31;
}

#define RING 12 /* places of one set */
#define RING_ROUNDS 400
#define RING_RAM (1024 * 1024)

/* Places in RAM whose visits are counted in one set; the first has room for 16 bytes. */
static void ring_places(uint64_t place[RING])
{
    unsigned n = 0;

    for (uint64_t pc = FLAT_BASE; n < RING && pc < FLAT_BASE + RING_RAM; pc += 8)
        if (jit_heat_set(pc) == jit_heat_set(FLAT_BASE))
            place[n++] = pc;
    assert_int_equal(n, RING);
}

static void ring_code(const uint64_t place[RING])
{
    static const uint32_t first[] = { 0xfff40413 /* addi x8,x8,-1 */, 0x00040463 /* beqz x8,8 */,
                                      0 /* to the next */, 0x0004a023 /* sw x0,0(x9) */ };

    memcpy(jit->ram, first, sizeof first);
    for (unsigned k = 0; k < RING; k++) {
        uint64_t from = place[k] + (k ? 0 : 8);
        uint32_t to_next = jump(from, place[(k + 1) % RING]);

        memcpy(jit->ram + (from - FLAT_BASE), &to_next, 4);
    }
    jit->cpu.x[8] = RING_ROUNDS;
    jit->cpu.x[9] = FLAT_TEST;
}

/* More hot places in turn than their set has room for: none keeps the others from being compiled.
 */
static void hot_places_of_one_set(void **state)
{
    struct flat *small_jit = jit, *small_plain = plain;
    struct rv_jit_stats s;
    uint64_t place[RING];

    (void)state;
    flat_code_bytes = 2u << 20;
    jit = flat_new(RING_RAM, true, 16);
    plain = flat_new(RING_RAM, false, 0);
    ring_places(place);
    ring_code(place);
    for (unsigned i = 0; i < HEAT_WAYS; i++) /* warm once, and never seen again */
        jit->jit->heat[jit_heat_set(place[0])][i] = (struct heat){ i + 1, jit->jit->s.hot - 1 };
    both_end(10 * RING * RING_ROUNDS);
    rv_jit_stats(jit->jit, &s);
    assert_in_range(s.units, RING, 2 * RING);
    assert_true(s.cold < RING * RING_ROUNDS / 2);
    flat_free(jit);
    flat_free(plain);
    jit = small_jit;
    plain = small_plain;
}

static unsigned jumps_to(uint64_t page)
{
    unsigned n = 0;

    for (unsigned k = 0; k < RV_JIT_MODES * RV_JIT_JUMPS; k++)
        n += (&jit->near.jumps[0][0])[k].pc / PAGE_SIZE == page / PAGE_SIZE;
    return n;
}

/* A function in another page is called; then one page's mapping changes. */
static void forgets_jumps_to_one_page(void **state)
{
    static const uint32_t code[] = { 0x000500e7 /* jalr x1,0(x10) */,
                                     0xfff40413 /* addi x8,x8,-1 */, 0xfe041ce3 /* bnez x8,-8 */,
                                     0x0004a023 /* sw x0,0(x9) */ };
    static const uint32_t function[] = { 0x00128293 /* addi x5,x5,1 */, 0x00008067 /* ret */ };
    uint64_t there = FLAT_BASE + PAGE_SIZE;
    unsigned here, full = 0;
    bool one;

    (void)state;
    reset(jit);
    reset(plain);
    memcpy(jit->ram, code, sizeof code);
    memcpy(jit->ram + PAGE_SIZE, function, sizeof function);
    jit->cpu.x[10] = there;
    for (unsigned k = 0; k < JUMPS_LISTED + 10; k++) { /* also when the list is full */
        once_more();
        here = jumps_to(FLAT_BASE);
        assert_true(here && jumps_to(there) == 1);
        assert_true(rv_jit_remapped_page(jit->jit, there + 2 * PAGE_SIZE));
        assert_int_equal(jumps_to(there), 1);
        one = rv_jit_remapped_page(jit->jit, there + 0x123);
        assert_int_equal(jumps_to(there), 0);
        assert_int_equal(jumps_to(FLAT_BASE), one ? here : 0);
        full += !one;
    }
    assert_in_range(full, 1, 20); /* it is not full soon again */
    rv_jit_remapped(jit->jit);
    assert_int_equal(jumps_to(FLAT_BASE), 0);
}

static int make(void **state)
{
    (void)state;
    jit = flat_new(RAM, true, 0);
    plain = flat_new(RAM, false, 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    flat_free(jit);
    flat_free(plain);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(random_code),
                                        cmocka_unit_test(code_that_patches_itself),
                                        cmocka_unit_test(data_beside_code),
                                        cmocka_unit_test(end_of_the_page),
                                        cmocka_unit_test(code_that_others_write),
                                        cmocka_unit_test(more_code_than_room),
                                        cmocka_unit_test(cold_and_hot),
                                        cmocka_unit_test(hot_places_of_one_set),
                                        cmocka_unit_test(forgets_jumps_to_one_page) };

    return cmocka_run_group_tests(tests, make, end);
}
