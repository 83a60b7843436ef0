/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * String instructions (APM vol 3): each element through the same path as any access; REP is cut
 * into pieces so that no exit takes long.
 */
#include "emulate.h"

#define STRING_MAX 128 /* elements in one exit */

static void advance(struct emu *m, unsigned reg)
{
    uint64_t *g = &m->v->regs.gpr[reg], mask = emu_addr_mask(m), step = m->in->size;
    uint64_t next = (m->v->regs.flags & FLAGS_DF) != 0 ? *g - step : *g + step;

    *g = m->in->addr_size >= 4 ? next & mask : (*g & ~mask) | (next & mask);
}

static enum emu_result source_at(struct emu *m, uint64_t *lin)
{
    return emu_linear(m, m->in->seg, m->v->regs.gpr[X86_RSI] & emu_addr_mask(m), m->in->size, false,
                      lin);
}

static enum emu_result dest_at(struct emu *m, bool write, uint64_t *lin)
{
    return emu_linear(m, X86_ES, m->v->regs.gpr[X86_RDI] & emu_addr_mask(m), m->in->size, write,
                      lin);
}

static enum emu_result read_source(struct emu *m, uint64_t *val)
{
    uint64_t lin;

    *val = 0;
    return source_at(m, &lin) == EMU_DONE ? emu_read(m, lin, m->in->size, false, val) : EMU_STOP;
}

static enum emu_result write_dest(struct emu *m, uint64_t val)
{
    uint64_t lin;

    return dest_at(m, true, &lin) == EMU_DONE ? emu_write(m, lin, m->in->size, &val) : EMU_STOP;
}

static enum emu_result movs(struct emu *m)
{
    uint64_t val;

    if (read_source(m, &val) == EMU_STOP || write_dest(m, val) == EMU_STOP)
        return EMU_STOP;
    advance(m, X86_RSI);
    advance(m, X86_RDI);
    return EMU_DONE;
}

static enum emu_result stos(struct emu *m)
{
    if (write_dest(m, m->v->regs.gpr[X86_RAX]) == EMU_STOP)
        return EMU_STOP;
    advance(m, X86_RDI);
    return EMU_DONE;
}

static enum emu_result lods(struct emu *m)
{
    uint64_t val, *rax = &m->v->regs.gpr[X86_RAX], mask = x86_size_mask(m->in->size);

    if (read_source(m, &val) == EMU_STOP)
        return EMU_STOP;
    *rax = m->in->size >= 4 ? val & mask : (*rax & ~mask) | (val & mask);
    advance(m, X86_RSI);
    return EMU_DONE;
}

/* SCAS compares the accumulator, CMPS the source, with the element at ES:rDI. */
static enum emu_result compare(struct emu *m)
{
    uint64_t a = m->v->regs.gpr[X86_RAX], b = 0, lin;

    if (m->in->op == OP_CMPS && read_source(m, &a) == EMU_STOP)
        return EMU_STOP;
    if (dest_at(m, false, &lin) == EMU_STOP || emu_read(m, lin, m->in->size, false, &b) == EMU_STOP)
        return EMU_STOP;
    (void)x86_alu(7, m->in->size, a, b, &m->v->regs.flags);
    if (m->in->op == OP_CMPS)
        advance(m, X86_RSI);
    advance(m, X86_RDI);
    return EMU_DONE;
}

static struct io_access port(const struct emu *m, bool write)
{
    return (struct io_access){ .addr = m->v->regs.gpr[X86_RDX] & 0xffff,
                               .size = m->in->size == 8 ? 4 : m->in->size,
                               .write = write };
}

/*
 * The place is looked up before the port is read: a read may have taken something out of a device.
 */
static enum emu_result ins(struct emu *m)
{
    struct io_access io = port(m, false);
    uint64_t lin, old;

    if (dest_at(m, true, &lin) == EMU_STOP || emu_probe_write(m, lin, io.size) == EMU_STOP)
        return EMU_STOP;
    (void)!io_dispatch(m->v->vm, IO_PORT, &io);
    m->hits |= x86_watch_hits(m->v, m->dr7, WATCH_PORT, io.addr, io.size);
    old = io.val;
    if (emu_write(m, lin, io.size, &old) == EMU_STOP)
        return EMU_STOP;
    advance(m, X86_RDI);
    return EMU_DONE;
}

static enum emu_result outs(struct emu *m)
{
    struct io_access io = port(m, true);

    if (read_source(m, &io.val) == EMU_STOP)
        return EMU_STOP;
    io.val &= x86_size_mask(io.size);
    (void)!io_dispatch(m->v->vm, IO_PORT, &io);
    m->hits |= x86_watch_hits(m->v, m->dr7, WATCH_PORT, io.addr, io.size);
    advance(m, X86_RSI);
    return EMU_DONE;
}

static enum emu_result one(struct emu *m)
{
    switch (m->in->op) {
    case OP_MOVS: return movs(m);
    case OP_STOS: return stos(m);
    case OP_LODS: return lods(m);
    case OP_INS: return ins(m);
    case OP_OUTS: return outs(m);
    default: return compare(m);
    }
}

static void count_down(struct emu *m)
{
    uint64_t *rcx = &m->v->regs.gpr[X86_RCX], mask = emu_addr_mask(m), next = (*rcx - 1) & mask;

    *rcx = m->in->addr_size >= 4 ? next : (*rcx & ~mask) | next;
}

/*
 * Between two rounds: the traps of a single step and of breakpoints come before the next, and what
 * interrupts the guest here is pushed with RF (SDM vol 3 section 17.3.1.1).
 */
static enum emu_result pause_rounds(struct emu *m)
{
    struct vcpu *v = m->v;

    if (m->hits != 0 || (v->regs.flags & FLAGS_TF) != 0) {
        v->ops->skip_insn(v, 0);
        x86_watch_trap(v, m->hits);
    }
    v->regs.flags |= FLAGS_RF;
    return EMU_STOP;
}

enum emu_result emu_string(struct emu *m)
{
    const struct x86_insn *in = m->in;
    bool compares = in->op == OP_SCAS || in->op == OP_CMPS;

    if (!in->rep && !in->repne)
        return one(m);
    if ((m->v->regs.gpr[X86_RCX] & emu_addr_mask(m)) == 0)
        return EMU_DONE;
    for (unsigned i = 0; i < STRING_MAX; i++) {
        if (one(m) == EMU_STOP)
            return EMU_STOP;
        count_down(m);
        if ((m->v->regs.gpr[X86_RCX] & emu_addr_mask(m)) == 0 ||
            (compares && ((m->v->regs.flags & FLAGS_ZF) != 0) != in->rep))
            return EMU_DONE;
        if (m->hits != 0 || (m->v->regs.flags & FLAGS_TF) != 0)
            break;
    }
    return pause_rounds(m);
}
