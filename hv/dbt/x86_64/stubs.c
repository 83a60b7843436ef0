/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trampolines: from C into compiled code, from there to C and back, and out again. System V
 * calling convention, AMD64 supplement, 3.2.
 */
#include <cpuid.h>
#include "hv/dbt/x86_64/emit.h"

bool emit_has_bmi2, emit_has_fma;

static const uint8_t saved[] = { RBX, RBP, R12, R13, R14, R15 };
/* Beside the slots, C's own MXCSR; keeps the stack aligned. */
#define FRAME (JIT_SPILLS * 8 + 8)
#define C_MXCSR (JIT_SPILLS * 8)
#define RECORD ((int32_t)offsetof(struct jit_frame, record))
static_assert((FRAME + 6 * 8 + 8) % 16 == 0 && (RECORD + 8) % 16 == 0, "the stack is aligned");
static_assert(offsetof(struct jit_frame, spill) == offsetof(struct jit_frame, record) + 8, "");

/* Found out once, by the first who asks: others only read. */
bool jit_host_ready(void)
{
    static enum { UNKNOWN, NO, YES } ready;
    unsigned a, b, c, d;

    if (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) != UNKNOWN)
        return __atomic_load_n(&ready, __ATOMIC_RELAXED) == YES;
    __atomic_store_n(&ready, NO, __ATOMIC_RELEASE);
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_POPCNT))
        return false;
    if (c & bit_OSXSAVE) {
        uint32_t low, high;
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        emit_has_fma = c & bit_FMA && (low & 6) == 6;
    }
    emit_has_bmi2 = __get_cpuid_count(7, 0, &a, &b, &c, &d) && b & bit_BMI2;
    __atomic_store_n(&ready, YES, __ATOMIC_RELEASE);
    return true;
}

bool jit_host_has_fma(void) { return emit_has_fma; }

/* void enter(void *state, uint64_t code) */
static void stub_enter(struct asm_buf *b, const struct jit_layout *l)
{
    for (unsigned k = 0; k < sizeof saved; k++)
        asm_push(b, saved[k]);
    asm_imm(b, ASM_SUB, true, asm_r(RSP), FRAME);
    asm_op(b, ASM_STMXCSR, false, 0, asm_m(RSP, C_MXCSR));
    asm_op(b, ASM_MOV, true, RBP, asm_r(RDI));
    asm_op(b, ASM_LDMXCSR, false, 0, asm_m(RBP, l->mxcsr));
    asm_op(b, ASM_MOV, true, R15, asm_m(RBP, l->budget));
    asm_op(b, ASM_JMP_RM, false, 0, asm_r(RSI));
}

/* From the frame that stub_call() made. */
static void stub_leave(struct asm_buf *b, const struct jit_layout *l)
{
    asm_op(b, ASM_MOV, true, RAX, asm_m(RSP, 8 * R15));
    asm_op(b, ASM_MOV_STORE, true, RAX, asm_m(RBP, l->budget));
    asm_op(b, ASM_MOV, false, RAX, asm_m(RSP, offsetof(struct jit_frame, mxcsr)));
    asm_op(b, ASM_MOV_STORE, false, RAX, asm_m(RBP, l->mxcsr));
    asm_imm(b, ASM_ADD, true, asm_r(RSP), RECORD + 8 + FRAME);
    for (unsigned k = sizeof saved; k-- > 0;)
        asm_pop(b, saved[k]);
    asm_ret(b);
}

static void stub_registers(struct asm_buf *b, enum asm_op ints, enum asm_op floats)
{
    for (unsigned k = 0; k < 16; k++) {
        if (k != RSP && k != RBP)
            asm_op(b, ints, true, k, asm_m(RSP, (int32_t)(8 * k)));
        asm_op(b, floats, false, k, asm_m(RSP, (int32_t)(offsetof(struct jit_frame, xmm) + 8 * k)));
    }
}

static void stub_call(struct asm_buf *b, const struct jit_layout *l, jit_call_fn fn, void *arg)
{
    struct asm_rm mxcsr = asm_m(RSP, offsetof(struct jit_frame, mxcsr));

    asm_imm(b, ASM_SUB, true, asm_r(RSP), RECORD);
    stub_registers(b, ASM_MOV_STORE, ASM_MOVSD_STORE);
    asm_op(b, ASM_STMXCSR, false, 0, mxcsr);
    asm_op(b, ASM_LDMXCSR, false, 0, asm_m(RSP, RECORD + 8 + C_MXCSR));
    asm_mov_imm(b, RDI, (uint64_t)(uintptr_t)arg);
    asm_op(b, ASM_MOV, true, RSI, asm_r(RSP));
    asm_mov_imm(b, RAX, (uint64_t)(uintptr_t)fn);
    asm_op(b, ASM_CALL_RM, false, 0, asm_r(RAX));
    asm_op(b, ASM_TEST, false, RAX, asm_r(RAX));
    uint8_t *leave = asm_jcc(b, ASM_NE);
    asm_op(b, ASM_LDMXCSR, false, 0, mxcsr);
    stub_registers(b, ASM_MOV, ASM_MOVSD);
    asm_imm(b, ASM_ADD, true, asm_r(RSP), RECORD);
    asm_ret(b);
    asm_patch(b, leave, b->at);
    stub_leave(b, l);
}

uint32_t jit_emit_stubs(struct jit_memory m, const struct jit_layout *l, jit_call_fn fn, void *arg,
                        struct jit_stubs *stubs)
{
    struct asm_buf b = { m.w, m.w + m.room, false };

    stubs->enter = (uint64_t)(uintptr_t)b.at + (uint64_t)m.shift;
    stub_enter(&b, l);
    stubs->call = (uint64_t)(uintptr_t)b.at + (uint64_t)m.shift;
    stub_call(&b, l, fn, arg);
    return b.full ? 0 : (uint32_t)(b.at - m.w);
}
