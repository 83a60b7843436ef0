/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Atomic accesses and fences: SDM volume 3, 9.1.2 (locked operations) and 9.2.2 (ordering). A
 * locked operation is a barrier of both kinds, and of plain accesses only a load may overtake an
 * earlier store, so acquire and release need nothing more.
 */
#include "hv/dbt/x86_64/emit.h"

/* The host's address in rcx, from what emit_find() leaves. */
static void ea_address(struct emit *e)
{
    const struct jit_layout *l = e->in->l;

    asm_op(&e->b, ASM_ADD, true, RCX, asm_mx(RBP, RAX, l->tlb + l->tlb_host));
}

/* The guest's physical address in rdx, from the same. */
static void ea_physical(struct emit *e)
{
    const struct jit_layout *l = e->in->l;

    asm_op(&e->b, ASM_MOV, true, RDX, asm_mx(RBP, RAX, l->tlb + l->tlb_pa));
    asm_op(&e->b, ASM_OR, true, RDX, asm_r(RCX));
}

static struct asm_rm ea_reserved(const struct emit *e, unsigned n)
{
    return asm_m(RBP, e->in->l->reserved + 8 * (int32_t)n);
}

/* What was read, in `from`, as the result. */
static void ea_result(struct emit *e, bool w, unsigned from)
{
    unsigned to = emit_to(e, from);

    if (w)
        emit_move(e, true, to, from);
    else
        asm_op(&e->b, ASM_MOVSXD, true, to, asm_r(from));
    emit_done(e, to);
    emit_back(e);
}

static const struct ea_combine {
    uint8_t alu; /* ASM_*; 0 with `cond`: what is there, if it is more or less than b */
    uint8_t cond;
} ea_combine[IR_AMOS] = {
    [IR_AMO_XOR] = { ASM_XOR, 0 }, [IR_AMO_AND] = { ASM_AND, 0 }, [IR_AMO_OR] = { ASM_OR, 0 },
    [IR_AMO_MIN] = { 0, ASM_L },   [IR_AMO_MAX] = { 0, ASM_G },   [IR_AMO_MINU] = { 0, ASM_B },
    [IR_AMO_MAXU] = { 0, ASM_A },
};

/* For what the host has no instruction: until nobody was in between. The old value is in rax. */
static void ea_loop(struct emit *e, bool w, const struct ea_combine *how)
{
    const struct ir_ins *i = emit_ins(e);
    const uint8_t *again;

    asm_op(&e->b, ASM_MOV, w, RAX, asm_m(RCX, 0));
    again = e->b.at;
    emit_load_value(e, true, RDX, i->b);
    if (how->alu) {
        asm_op(&e->b, how->alu, w, RDX, asm_r(RAX));
    } else {
        asm_op(&e->b, ASM_CMP, w, RAX, asm_r(RDX));
        asm_cmov(&e->b, how->cond, w, RDX, asm_r(RAX));
    }
    asm_op(&e->b, ASM_CMPXCHG, w, RDX, asm_m(RCX, 0));
    asm_patch(&e->b, asm_jcc(&e->b, ASM_NE), again);
}

void emit_amo(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);
    bool w = i->size == 3, direct = i->cond == IR_AMO_SWAP || i->cond == IR_AMO_ADD;

    emit_find(e, e->in->l->tlb_write, JIT_ATOMIC);
    ea_address(e);
    if (direct) {
        emit_load_value(e, true, RDX, i->b);
        asm_op(&e->b, i->cond == IR_AMO_ADD ? ASM_XADD : ASM_XCHG, w, RDX, asm_m(RCX, 0));
    } else {
        ea_loop(e, w, &ea_combine[i->cond]);
    }
    ea_result(e, w, direct ? RDX : RAX);
}

void emit_lr(struct emit *e)
{
    bool w = emit_ins(e)->size == 3;

    emit_find(e, e->in->l->tlb_read, JIT_ATOMIC);
    ea_physical(e);
    asm_op(&e->b, ASM_MOV_STORE, true, RDX, ea_reserved(e, 1));
    ea_address(e);
    asm_op(&e->b, ASM_MOV, w, RDX, asm_m(RCX, 0));
    asm_op(&e->b, ASM_MOV_STORE, true, RDX, ea_reserved(e, 2));
    asm_mov_store_imm(&e->b, true, ea_reserved(e, 0), w ? 8 : 4);
    ea_result(e, w, RDX);
}

/* Not zero in rdx, and ZF clear: of other bytes than these, or of none. */
static void ea_not_reserved(struct emit *e, bool w)
{
    asm_op(&e->b, ASM_XOR, true, RDX, ea_reserved(e, 1));
    asm_op(&e->b, ASM_MOV, true, RAX, ea_reserved(e, 0));
    asm_imm(&e->b, ASM_XOR, true, asm_r(RAX), w ? 8 : 4);
    asm_op(&e->b, ASM_OR, true, RDX, asm_r(RAX));
}

void emit_sc(struct emit *e)
{
    bool w = emit_ins(e)->size == 3;
    unsigned to = emit_to(e, RAX);

    emit_find(e, e->in->l->tlb_write, JIT_ATOMIC);
    ea_physical(e);
    ea_address(e);
    ea_not_reserved(e, w);
    asm_mov_store_imm(&e->b, true, ea_reserved(e, 0), 0);
    uint8_t *fails = asm_jcc(&e->b, ASM_NE);
    asm_op(&e->b, ASM_MOV, true, RAX, ea_reserved(e, 2));
    emit_load_value(e, true, RDX, emit_ins(e)->b);
    asm_op(&e->b, ASM_CMPXCHG, w, RDX, asm_m(RCX, 0));
    asm_patch(&e->b, fails, e->b.at);
    asm_setcc(&e->b, ASM_NE, RAX);
    asm_op(&e->b, ASM_MOVZX8, false, to, asm_r(RAX));
    emit_done(e, to);
    emit_back(e);
}

void emit_fence(struct emit *e) { asm_mfence(&e->b); }
