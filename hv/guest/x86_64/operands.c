/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions that a kernel hardly ever points at a device, but may: bit scans, stack frames, far
 * branches through memory, and what moves segment and system registers. APM vol 3.
 */
#include "emulate.h"
#include "segment.h"
#include <string.h>

/* ---- bits ---- */

static unsigned trailing(uint64_t val, unsigned bits)
{
    return val == 0 ? bits : (unsigned)__builtin_ctzll(val);
}

static unsigned leading(uint64_t val, unsigned bits)
{
    return val == 0 ? bits : (unsigned)__builtin_clzll(val) - (64 - bits);
}

static void set_flag(struct emu *m, uint64_t flag, bool on)
{
    m->v->regs.flags = (m->v->regs.flags & ~flag) | (on ? flag : 0);
}

/* BSF and BSR of 0 leave the register alone; TZCNT and LZCNT count the operand's width. */
enum emu_result emu_bitscan(struct emu *m)
{
    const struct x86_insn *in = m->in;
    unsigned bits = 8u * in->size;
    uint64_t val;

    if (emu_rm_read(m, in->size, false, &val) == EMU_STOP)
        return EMU_STOP;
    if (in->sub >= SCAN_TZCNT) {
        unsigned n = in->sub == SCAN_TZCNT ? trailing(val, bits) : leading(val, bits);

        emu_set_reg(m, in->reg, in->size, n);
        set_flag(m, FLAGS_CF, val == 0);
        set_flag(m, FLAGS_ZF, n == 0);
        return EMU_DONE;
    }
    if (val != 0)
        emu_set_reg(m, in->reg, in->size,
                    in->sub == SCAN_BSF ? trailing(val, bits) : bits - 1 - leading(val, bits));
    set_flag(m, FLAGS_ZF, val == 0);
    return EMU_DONE;
}

enum emu_result emu_popcnt(struct emu *m)
{
    uint64_t val;

    if (emu_rm_read(m, m->in->size, false, &val) == EMU_STOP)
        return EMU_STOP;
    emu_set_reg(m, m->in->reg, m->in->size, (unsigned)__builtin_popcountll(val));
    m->v->regs.flags &= ~(uint64_t)FLAGS_ARITH;
    set_flag(m, FLAGS_ZF, val == 0);
    return EMU_DONE;
}

/* CRC-32C: the polynomial 11EDC6F41h, bits reflected. */
enum emu_result emu_crc32(struct emu *m)
{
    const struct x86_insn *in = m->in;
    uint64_t val;
    uint32_t crc = (uint32_t)m->v->regs.gpr[in->reg];

    if (emu_rm_read(m, in->size, false, &val) == EMU_STOP)
        return EMU_STOP;
    for (unsigned bit = 0; bit < 8u * in->size; bit++, val >>= 1)
        crc = crc >> 1 ^ (((crc ^ val) & 1) != 0 ? 0x82f63b78u : 0);
    m->v->regs.gpr[in->reg] = crc;
    return EMU_DONE;
}

/* ---- stack frames ---- */

/* Sets as much of a stack register as the stack's width says. */
static void set_stack_reg(struct emu *m, unsigned reg, uint64_t val)
{
    uint64_t mask = x86_size_mask(emu_stack_width(m)), *g = &m->v->regs.gpr[reg];

    *g = (*g & ~mask) | (val & mask);
}

/* Levels 1 to level - 1: the frame pointers of the enclosing procedures, one below the other from
 * RBP. */
static enum emu_result copy_frames(struct emu *m, uint64_t rbp)
{
    uint64_t mask = x86_size_mask(emu_stack_width(m)), lin, val;

    for (unsigned i = 1; i < m->in->sub; i++) {
        val = 0;
        rbp = (rbp - m->in->size) & mask;
        if (emu_linear(m, X86_SS, rbp, m->in->size, false, &lin) == EMU_STOP ||
            emu_read(m, lin, m->in->size, false, &val) == EMU_STOP || emu_push(m, val) == EMU_STOP)
            return EMU_STOP;
    }
    return EMU_DONE;
}

enum emu_result emu_enter(struct emu *m)
{
    uint64_t *g = m->v->regs.gpr, rsp = g[X86_RSP], rbp = g[X86_RBP], frame;

    if (emu_push(m, rbp) == EMU_STOP)
        return EMU_STOP;
    frame = g[X86_RSP];
    if (m->in->sub != 0 && (copy_frames(m, rbp) == EMU_STOP || emu_push(m, frame) == EMU_STOP)) {
        g[X86_RSP] = rsp;
        return EMU_STOP;
    }
    emu_set_reg(m, X86_RBP, m->in->size, frame);
    set_stack_reg(m, X86_RSP, g[X86_RSP] - (m->in->imm & 0xffff));
    return EMU_DONE;
}

enum emu_result emu_leave(struct emu *m)
{
    uint64_t *g = m->v->regs.gpr, rsp = g[X86_RSP], val;

    set_stack_reg(m, X86_RSP, g[X86_RBP]);
    if (emu_pop(m, &val) == EMU_STOP) {
        g[X86_RSP] = rsp;
        return EMU_STOP;
    }
    emu_set_reg(m, X86_RBP, m->in->size, val);
    return EMU_DONE;
}

/* ---- far branches ---- */

static enum emu_result no_gate(struct emu *m, uint16_t sel)
{
    vm_log(m->v->vm, LOG_WARN,
           "vCPU %u: far branch through device memory to selector %#x, which is a gate or a TSS: "
           "not emulated (#UD)",
           m->v->id, sel);
    x86_raise(m->v, X86_UD, 0);
    return EMU_STOP;
}

static enum emu_result push_return(struct emu *m)
{
    uint64_t rsp = m->v->regs.gpr[X86_RSP];

    if (emu_push(m, x86_get(m->v, X86_SEG_SEL + X86_CS)) == EMU_DONE &&
        emu_push(m, m->v->regs.pc + m->in->len) == EMU_DONE)
        return EMU_DONE;
    m->v->regs.gpr[X86_RSP] = rsp;
    return EMU_STOP;
}

/* JMP and CALL m16:16, m16:32, m16:64: the offset, then the selector. The privilege level stays. */
enum emu_result emu_far(struct emu *m)
{
    struct x86_tables t = { .v = m->v, .m = m->m };
    unsigned size = m->in->size;
    uint8_t buf[10];
    uint64_t off = 0;
    uint16_t sel;
    struct x86_desc cs;
    int err;

    if (!m->in->mem || emu_read(m, m->lin, size + 2, false, buf) == EMU_STOP)
        return EMU_STOP;
    memcpy(&off, buf, size);
    memcpy(&sel, buf + size, 2);
    err = x86_segment_far(&t, sel, off, &cs);
    if (err != 0)
        return err == -ENOTSUP ? no_gate(m, sel) : EMU_STOP;
    if (m->in->sub == FAR_CALL && push_return(m) == EMU_STOP)
        return EMU_STOP;
    x86_desc_load(&t, X86_CS, &cs);
    m->jump = true;
    m->target = off;
    return EMU_DONE;
}

/* ---- segment and system registers ---- */

static uint64_t system_value(struct emu *m)
{
    return m->in->sub == STORE_MSW ? x86_get(m->v, X86_CR0) & 0xffff
                                   : x86_get(m->v, X86_SEG_SEL + m->in->sub);
}

/* SMSW, SLDT and STR, which CR4.UMIP keeps from programs, and MOV from a segment register. */
enum emu_result emu_store_sys(struct emu *m)
{
    if (m->in->sub > X86_GS && (m->m.cr4 & CR4_UMIP) != 0 && m->m.cpl != 0) {
        x86_raise(m->v, X86_GP, 0);
        return EMU_STOP;
    }
    return emu_rm_write(m, 2, system_value(m));
}

/* LLDT and LTR: protected mode and CPL 0 only. */
static bool may_load(struct emu *m)
{
    bool real = (m->m.cr0 & CR0_PE) == 0 || (m->v->regs.flags & FLAGS_VM) != 0;

    if (m->in->sub < X86_LDTR || (!real && m->m.cpl == 0))
        return true;
    x86_raise(m->v, real ? X86_UD : X86_GP, 0);
    return false;
}

enum emu_result emu_load_seg(struct emu *m)
{
    uint64_t sel;

    if (!may_load(m) || emu_rm_read(m, 2, false, &sel) == EMU_STOP ||
        x86_segment_load(m->v, m->in->sub, (uint16_t)sel) != 0)
        return EMU_STOP;
    m->shadow = m->in->sub == X86_SS;
    return EMU_DONE;
}
