/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quick.c: the commonest exits to devices in few steps: a move between memory and a register, or of
 * an immediate, in 64-bit code that was emulated here before. Nothing is believed: the mode, the
 * page tables that lead to the code and the code's bytes are compared with what they were when it
 * was decoded. The address comes with the exit, as in emulate.c: the CPU has checked it, and its
 * offset must be the instruction's.
 */
#include <hv/assert.h>
#include "emulate.h"

enum { QUICK_NO, QUICK, QUICK_SIGNED };

static bool same_tables(const struct x86_fetch_cache *c)
{
#define SAME(i) (*(const volatile uint64_t *)c->entry[i].at == c->entry[i].was)
    return SAME(0) && SAME(1) && SAME(2) && SAME(3) && SAME(4);
#undef SAME
}

static bool same_bytes(const struct x86_insn *in, const uint8_t *code)
{
    uint64_t w[2];

    __builtin_memcpy(w, code, sizeof w); /* two loads, where memcpy() would be a call */
    return (((w[0] & in->mask[0]) ^ in->word[0]) | ((w[1] & in->mask[1]) ^ in->word[1])) == 0;
}

/* Of the memory operand; only bits 11:0 count. */
static uint64_t offset(const struct vcpu *v, const struct x86_insn *in)
{
    const uint64_t *g = v->regs.gpr;
    uint64_t off = (uint64_t)in->disp;

    if (in->base == REG_RIP)
        off += v->regs.pc + in->len;
    else if (in->base != NO_REG)
        off += g[in->base];
    if (in->index != NO_REG)
        off += g[in->index] << in->scale;
    return off & (PAGE_SIZE - 1);
}

static void move(struct vcpu *v, const struct x86_insn *in, uint64_t at)
{
    uint64_t *reg = &v->regs.gpr[in->reg], val = in->form == FORM_RM_I ? in->imm : *reg;
    struct io_access io = {
        .addr = at, .val = val & in->take, .size = in->src_size, .write = in->store
    };
    unsigned drop = 64 - 8u * in->src_size;

    emu_device(v, &io);
    if (in->store)
        return;
    if (in->quick == QUICK_SIGNED)
        io.val = (uint64_t)((int64_t)(io.val << drop) >> drop);
    *reg = (*reg & in->keep) | (io.val & in->take);
}

int x86_emulate(struct vcpu *v, struct vcpu_exit *e)
{
    const struct x86_insn *in = x86_insn_slot(v, v->regs.pc);
    uint64_t at = e->mem.gpa.v;

    debug_assert_own_cpu(v);
    if (in->quick == QUICK_NO || in->pc != v->regs.pc || in->serial != in->page->serial ||
        e->reason != EXIT_MEM || v->event.type != VEV_NONE)
        return x86_emulate_decoded(v, e);
    if (!x86_of(v)->engine->mode_same(v, &in->mode) || !same_tables(in->page) ||
        !same_bytes(in, in->page->host + (in->pc & (PAGE_SIZE - 1))))
        return x86_emulate_decoded(v, e);
    if (offset(v, in) != (at & (PAGE_SIZE - 1)) ||
        (at & (PAGE_SIZE - 1)) + in->src_size > PAGE_SIZE ||
        in->store != ((e->mem.prot & PROT_W) != 0))
        return x86_emulate_decoded(v, e);
    if (!gmem_in_hole(&v->vm->gmem, e->mem.gpa))
        return x86_emulate_decoded(v, e);
    move(v, in, at);
    v->ops->skip_insn(v, in->len);
    return 0;
}

/* Moves only; AH to BH and segments with a base take the long way. */
static unsigned kind(const struct x86_insn *in)
{
    bool to_reg = in->form == FORM_R_RM, from_reg = in->op == OP_MOV && in->form == FORM_RM_R;

    if (!in->mem || in->two_mem || in->seg == X86_FS || in->seg == X86_GS ||
        (in->rex == 0 && in->size == 1 && in->reg >= 4))
        return QUICK_NO;
    if (in->op == OP_MOV)
        return to_reg || from_reg || in->form == FORM_RM_I ? QUICK : QUICK_NO;
    if (in->op == OP_MOVZX || in->op == OP_MOVSX)
        return in->op == OP_MOVSX ? QUICK_SIGNED : QUICK;
    return QUICK_NO;
}

void x86_quick_note(struct vcpu *v, const struct x86_mode *m, const struct vcpu_exit *e)
{
    struct x86_insn *in = x86_insn_slot(v, v->regs.pc);
    unsigned quick = kind(in);

    in->quick = QUICK_NO;
    if (quick == QUICK_NO || m->bits != 64 || (v->regs.pc & (PAGE_SIZE - 1)) > PAGE_SIZE - 16 ||
        e->reason != EXIT_MEM || x86_of(v)->engine->mode_same == NULL)
        return;
    in->page = gmem_in_hole(&v->vm->gmem, e->mem.gpa) ? x86_fetch_slot(v, m, v->regs.pc) : NULL;
    if (in->page == NULL)
        return;
    in->quick = (uint8_t)quick;
    in->store = in->form != FORM_R_RM;
    in->pc = v->regs.pc;
    in->serial = in->page->serial;
    in->take = x86_size_mask(in->store ? in->src_size : in->size);
    in->keep = in->size >= 4 ? 0 : ~in->take;
    x86_of(v)->engine->mode(v, &in->mode);
}
