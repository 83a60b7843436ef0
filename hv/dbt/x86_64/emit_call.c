/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where compiled code meets memory and C: loads and stores through the TLB, helpers, exits, and the
 * code behind a unit that calls C. Each such call has a struct jit_record behind it.
 */
#include <string.h>
#include "hv/dbt/x86_64/emit.h"

#define DEPTH 5 /* operations between a load and an address that are looked at */

static struct emit_later *ec_add(struct emit *e, unsigned why)
{
    if (e->laters == EMIT_LATERS) {
        e->b.full = true;
        return &e->later[0];
    }
    struct emit_later *l = &e->later[e->laters++];
    *l = (struct emit_later){ .ins = (uint16_t)e->at, .why = (uint8_t)why, .pc = e->pc };
    l->refund = e->counted - (e->insns ? e->insns - 1 : 0);
    return l;
}

void emit_later(struct emit *e, enum asm_cond c, unsigned why)
{
    uint8_t *from = asm_jcc(&e->b, c);

    ec_add(e, why)->from = from;
}

void emit_later_jump(struct emit *e, unsigned why)
{
    uint8_t *from = asm_jmp(&e->b);

    ec_add(e, why)->from = from;
}

void emit_back(struct emit *e)
{
    if (e->laters)
        e->later[e->laters - 1].back = e->b.at;
}

void emit_writeback(struct emit *e)
{
    for (unsigned k = 0; k < e->a->pins; k++) {
        const struct jit_pin *p = &e->a->pin[k];
        bool f = p->reg >= JIT_FLOAT;
        if (e->a->dirty[e->at] >> k & 1)
            asm_op(&e->b, f ? ASM_MOVSD_STORE : ASM_MOV_STORE, !f, p->reg & 15,
                   asm_m(RBP, p->offset));
    }
}

/*
 * The offset, if it is one. Aligned: its low bits go to the top, where any of them makes it large.
 */
static void ec_compare(struct emit *e, unsigned size, unsigned why, bool aligned)
{
    int32_t most = (int32_t)(PAGE_SIZE - (1u << size));

    if (aligned)
        asm_shift(&e->b, ASM_ROR_CL, true, asm_r(RCX), size);
    asm_imm(&e->b, ASM_CMP, true, asm_r(RCX), aligned ? most >> size : most);
    emit_later(e, ASM_A, why);
    if (aligned)
        asm_shift(&e->b, ASM_SHL_CL, false, asm_r(RCX), size);
}

/* The address of an access in rcx, or its lower half. */
static void ec_address(struct emit *e, bool w, int64_t add)
{
    const struct ir_ins *i = emit_ins(e);
    int64_t base;

    if (emit_const(e, i->a, &base))
        asm_mov_imm(&e->b, RCX, ((uint64_t)base + (uint64_t)add) & (w ? UINT64_MAX : UINT32_MAX));
    else if (add)
        asm_op(&e->b, ASM_LEA, w, RCX, asm_m(emit_reg(e, i->a, RCX), (int32_t)add));
    else
        emit_load_value(e, w, RCX, i->a);
}

/*
 * A CPU that runs ahead of the comparison and is wrong stays within the entry's page all the same,
 * or 7 bytes behind it, which are the guest's too, or nobody's: <hv/view.h>, <hv/nospec.h>.
 */
static void ec_look_up(struct emit *e, unsigned tag, unsigned why, bool atomic)
{
    const struct ir_ins *i = emit_ins(e);
    const struct jit_layout *l = e->in->l;

    ec_address(e, true, atomic ? 0 : i->imm);
    asm_op(&e->b, ASM_MOV, false, RAX, asm_r(RCX));
    asm_shift(&e->b, ASM_SHR_CL, false, asm_r(RAX), PAGE_SHIFT - l->tlb_shift);
    asm_imm(&e->b, ASM_AND, false, asm_r(RAX), (int32_t)((l->tlb_entries - 1) << l->tlb_shift));
    asm_op(&e->b, ASM_XOR, true, RCX, asm_mx(RBP, RAX, l->tlb + (int32_t)tag));
    ec_compare(e, i->size & IR_SIZE, why, atomic);
}

void emit_find(struct emit *e, unsigned tag, unsigned why)
{
    ec_look_up(e, tag, why, true);
    asm_imm(&e->b, ASM_AND, false, asm_r(RCX), PAGE_SIZE - 1);
}

/*
 * Whether the value comes from a load, by a few operations; guest state: whether all that the unit
 * writes there are pointers that it loads.
 */
static bool ec_follows_load(const struct emit *e, uint16_t v, unsigned depth)
{
    const struct ir_ins *i = &e->u->ins[v];

    if (i->op == IR_LOAD)
        return true;
    if (i->op == IR_GET)
        return i->imm / 8 < 64 && e->pointers >> i->imm / 8 & 1;
    return depth && i->a && ir_info[i->op].flags & IR_F_PURE &&
           (ec_follows_load(e, i->a, depth - 1) || (i->b && ec_follows_load(e, i->b, depth - 1)));
}

void emit_find_pointers(struct emit *e)
{
    uint64_t loaded = 0, others = 0;

    for (unsigned k = 0; k < e->u->n; k++) {
        const struct ir_ins *i = &e->u->ins[k], *from = &e->u->ins[i->a];
        if (i->op != IR_SET || i->imm / 8 >= 64)
            continue;
        if (from->op == IR_LOAD && (from->size & IR_SIZE) == 3)
            loaded |= 1ull << i->imm / 8;
        else
            others |= 1ull << i->imm / 8;
    }
    e->pointers = loaded & ~others;
}

/*
 * rax: the host's address of the page, rcx: offset within the page. What the comparison left in rcx
 * has it, too, but comes with the entry's tag. Where one load waits for another, that wait is the
 * loop's time: there the offset is made from the address again, an instruction more, and the load
 * begins sooner.
 */
static void ec_translate(struct emit *e, unsigned tag, unsigned why)
{
    const struct jit_layout *l = e->in->l;

    ec_look_up(e, tag, why, false);
    asm_op(&e->b, ASM_MOV, true, RAX, asm_mx(RBP, RAX, l->tlb + l->tlb_host));
    if (why == JIT_LOAD && ec_follows_load(e, emit_ins(e)->a, DEPTH))
        ec_address(e, false, emit_ins(e)->imm);
    asm_imm(&e->b, ASM_AND, false, asm_r(RCX), PAGE_SIZE - 1);
}

static void ec_load_int(struct emit *e, unsigned to)
{
    static const struct {
        uint8_t op;
        bool w;
    } ops[8] = { { ASM_MOVZX8, false }, { ASM_MOVZX16, false }, { ASM_MOV, false },
                 { ASM_MOV, true },     { ASM_MOVSX8, true },   { ASM_MOVSX16, true },
                 { ASM_MOVSXD, true },  { ASM_MOV, true } };
    unsigned size = emit_ins(e)->size & 7;

    asm_op(&e->b, ops[size].op, ops[size].w, to, asm_mx(RAX, RCX, 0));
}

void emit_load(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);
    unsigned to = emit_to(e, emit_is_float(i->type) ? 0 : RAX);

    ec_translate(e, e->in->l->tlb_read, JIT_LOAD);
    if (emit_is_float(i->type))
        asm_op(&e->b, emit_wide(i->type) ? ASM_MOVSD : ASM_MOVSS, false, to, asm_mx(RAX, RCX, 0));
    else
        ec_load_int(e, to);
    emit_done(e, to);
    emit_back(e);
}

void emit_store(struct emit *e)
{
    static const uint8_t ops[4] = { ASM_MOV_STORE8, ASM_MOV_STORE16, ASM_MOV_STORE, ASM_MOV_STORE };
    const struct ir_ins *i = emit_ins(e);
    struct asm_rm to = asm_mx(RAX, RCX, 0);
    unsigned type = ir_type_of(e->u, i->b), size = i->size & IR_SIZE;
    int32_t imm;

    ec_translate(e, e->in->l->tlb_write, JIT_STORE);
    if (emit_is_float(type))
        asm_op(&e->b, emit_wide(type) ? ASM_MOVSD_STORE : ASM_MOVSS_STORE, false,
               emit_freg(e, i->b, 0), to);
    else if (size >= 2 && emit_const32(e, i->b, &imm))
        asm_mov_store_imm(&e->b, size == 3, to, imm);
    else
        asm_op(&e->b, ops[size], size == 3, emit_reg(e, i->b, RDX), to);
    emit_back(e);
}

/* Which argument of the record is what: a place, or a constant. */
static void ec_argument(const struct emit *e, struct jit_record *r, unsigned k, uint16_t v)
{
    int64_t imm;

    r->place[k] = JIT_NOWHERE;
    if (!v)
        return;
    if (emit_const(e, v, &imm))
        r->arg[k] = imm;
    else
        r->place[k] = e->a->place[v];
}

static void ec_arguments(const struct emit *e, struct jit_record *r)
{
    const struct ir_ins *i = emit_ins(e);

    ec_argument(e, r, 0, i->a);
    ec_argument(e, r, 1, i->b);
    ec_argument(e, r, 2, i->c);
    r->imm = i->imm;
}

/* What is written back already, and whose argument is where the exit left it. */
static void ec_exit_arguments(const struct emit *e, struct jit_record *r)
{
    const struct ir_ins *i = emit_ins(e);

    r->dirty = 0;
    r->place[0] = r->place[1] = r->place[2] = JIT_NOWHERE;
    if (i->op == IR_EXIT_IND)
        r->place[0] = RAX;
    else
        r->arg[0] = i->imm;
}

/* A call of C. from: what was patched to come here, for chaining. */
void emit_record(struct emit *e, const struct emit_later *l)
{
    struct jit_record r = { .pc = l->pc,
                            .unit = e->in->unit,
                            .dirty = e->a->dirty[e->at],
                            .refund = l->refund,
                            .why = l->why,
                            .size = emit_ins(e)->size,
                            .type = emit_ins(e)->type,
                            .to = e->a->place[e->at] };
    uint8_t *call = asm_call(&e->b);

    asm_patch(&e->b, call,
              (const uint8_t *)(uintptr_t)(e->in->stubs->call - (uint64_t)e->in->m.shift));
    if (l->why == JIT_CHAIN || l->why == JIT_INDIRECT)
        ec_exit_arguments(e, &r);
    else if (l->why == JIT_BUDGET)
        r.arg[0] = (int64_t)l->pc;
    else
        ec_arguments(e, &r);
    if (l->why == JIT_STORE)
        r.type = (uint8_t)ir_type_of(e->u, emit_ins(e)->b);
    if (l->why == JIT_CHAIN)
        r.imm = e->b.at - l->from;
    asm_bytes(&e->b, &r, sizeof r);
}

void emit_call(struct emit *e)
{
    struct emit_later l = { .ins = (uint16_t)e->at,
                            .why = emit_ins(e)->op == IR_TRAP ? JIT_TRAP : JIT_CALL,
                            .refund = e->counted - (e->insns ? e->insns - 1 : 0),
                            .pc = e->pc };

    if (l.why == JIT_TRAP)
        l.refund += emit_ins(e)->size;
    emit_record(e, &l);
}

void emit_count(struct emit *e)
{
    const struct ir_ins *i = emit_ins(e);

    e->insns = 0;
    e->counted = i->size;
    if (i->size)
        asm_imm(&e->b, ASM_SUB, true, asm_r(R15), i->size);
    if (!i->cond)
        return;
    e->pc = (uint64_t)i->imm;
    emit_later(e, ASM_S, JIT_BUDGET);
}

static bool ec_chains(const struct emit *e, uint64_t pc)
{
    return e->in->page == UINT64_MAX || e->in->page == pc >> PAGE_SHIFT;
}

/* Through the jump table: it forgets when the guest's mappings change. */
static void ec_jump_table(struct emit *e, struct asm_rm entry)
{
    struct asm_rm code = entry;

    code.disp += (int32_t)offsetof(struct jit_jump, code);
    asm_op(&e->b, ASM_CMP, true, RAX, entry);
    emit_later(e, ASM_NE, JIT_INDIRECT);
    asm_op(&e->b, ASM_JMP_RM, false, 0, code);
}

void emit_exit(struct emit *e)
{
    uint64_t pc = (uint64_t)emit_ins(e)->imm;
    const struct jit_layout *l = e->in->l;

    emit_writeback(e);
    if (ec_chains(e, pc)) {
        emit_later_jump(e, JIT_CHAIN);
        return;
    }
    uint32_t index = jit_jump_index(pc, l->jump_entries);
    asm_mov_imm(&e->b, RAX, pc);
    ec_jump_table(e, asm_m(RBP, l->jumps + (int32_t)(index * sizeof(struct jit_jump))));
}

void emit_exit_ind(struct emit *e)
{
    const struct jit_layout *l = e->in->l;

    emit_writeback(e);
    emit_move(e, true, RAX, emit_reg(e, emit_ins(e)->a, RAX));
    asm_op(&e->b, ASM_MOV, false, RCX, asm_r(RAX));
    asm_imm(&e->b, ASM_AND, false, asm_r(RCX), (int32_t)((l->jump_entries - 1) << 1));
    asm_shift(&e->b, ASM_SHL_CL, false, asm_r(RCX), 3);
    ec_jump_table(e, asm_mx(RBP, RCX, l->jumps));
}

void emit_laters(struct emit *e)
{
    for (unsigned k = 0; k < e->laters && !e->b.full; k++) {
        const struct emit_later *l = &e->later[k];
        e->at = l->ins;
        asm_patch(&e->b, l->from, e->b.at);
        if (l->why >= LATER_NAN)
            emit_late_float(e, l);
        else
            emit_record(e, l);
        if (l->back)
            asm_patch(&e->b, asm_jmp(&e->b), l->back);
    }
}

/* Behind the record's call: `record` is where the unit's code has it. */
void jit_chain(struct jit_memory m, uint8_t *record, const uint8_t *target)
{
    struct jit_record r;
    struct asm_buf b = { m.w, m.w + m.room, false };

    memcpy(&r, record, sizeof r);
    asm_patch(&b, record - r.imm, target ? target : record - 5);
}
