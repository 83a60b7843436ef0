/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions that touch a device: decode, do the access through io_dispatch(), complete. Also
 * string I/O. The engine has checked segmentation and paging of the faulting access itself; what
 * else the instruction touches is checked here.
 */
#include "emulate.h"
#include "x86_devices.h"
#include <string.h>

#define STUCK_MAX 1000

uint64_t emu_addr_mask(const struct emu *m) { return x86_size_mask(m->in->addr_size); }

uint64_t emu_reg(const struct emu *m, unsigned reg, unsigned size)
{
    const uint64_t *g = m->v->regs.gpr;

    if (size == 1 && m->in->rex == 0 && reg >= 4)
        return g[reg & 3] >> 8 & 0xff;
    return g[reg & 15] & x86_size_mask(size);
}

void emu_set_reg(struct emu *m, unsigned reg, unsigned size, uint64_t val)
{
    uint64_t *g = m->v->regs.gpr, mask = x86_size_mask(size);

    if (size == 1 && m->in->rex == 0 && reg >= 4)
        g[reg & 3] = (g[reg & 3] & ~0xff00ull) | (val & 0xff) << 8;
    else if (size >= 4)
        g[reg & 15] = val & mask;
    else
        g[reg & 15] = (g[reg & 15] & ~mask) | (val & mask);
}

static enum emu_result raise_segment(struct emu *m, unsigned seg)
{
    x86_raise(m->v, seg == X86_SS ? X86_SS_FAULT : X86_GP, 0);
    return EMU_STOP;
}

/* Limits: APM vol 2 §4.7. An expand-down segment holds what lies above its limit. */
static bool within_limit(struct emu *m, unsigned seg, uint64_t off, unsigned size)
{
    uint64_t attr = x86_get(m->v, X86_SEG_ATTR + seg), limit = x86_get(m->v, X86_SEG_LIMIT + seg),
             last = off + size - 1;
    uint64_t top = (attr & 1 << 10) != 0 ? 0xffffffff : 0xffff;

    if ((attr & 0xc) == 0x4)
        return off > limit && last <= top;
    return last <= limit;
}

enum emu_result emu_linear(struct emu *m, unsigned seg, uint64_t off, unsigned size, bool write,
                           uint64_t *lin)
{
    bool real = (m->m.cr0 & CR0_PE) == 0 || (m->v->regs.flags & FLAGS_VM) != 0;

    if (m->m.bits == 64) {
        *lin = off + (seg == X86_FS || seg == X86_GS ? x86_get(m->v, X86_SEG_BASE + seg) : 0);
        return x86_canonical(&m->m, *lin) && x86_canonical(&m->m, *lin + size - 1)
                   ? EMU_DONE
                   : raise_segment(m, seg);
    }
    *lin = (uint32_t)(off + x86_get(m->v, X86_SEG_BASE + seg));
    if (!within_limit(m, seg, off, size))
        return raise_segment(m, seg);
    if (!real && write && (x86_get(m->v, X86_SEG_ATTR + seg) & 0xa) != 0x2)
        return raise_segment(m, seg);
    return EMU_DONE;
}

void emu_device(struct vcpu *v, struct io_access *io)
{
    if (!lapic_access(v, io) && io_dispatch(v->vm, IO_MEM, io) == -ENOENT)
        x86_log_nobody(v, IO_MEM, io);
}

/* Guest-physical access within a page: RAM by one copy, a device by pieces of at most 8 bytes. */
static void access_physical(struct emu *m, uint64_t addr, unsigned size, bool write, uint8_t *buf)
{
    void *p = gmem_in_hole(&m->v->vm->gmem, gpa(addr))
                  ? NULL
                  : gmem_ptr(m->v->vm, gpa(addr), size, write ? PROT_RW : PROT_R);

    if (p != NULL) {
        memcpy(write ? p : buf, write ? buf : p, size);
        return;
    }
    while (size > 0) {
        unsigned n = size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
        struct io_access io = { .addr = addr, .size = (uint8_t)n, .write = write };

        if (write)
            memcpy(&io.val, buf, n);
        emu_device(m->v, &io);
        if (!write)
            memcpy(buf, &io.val, n);
        addr += n;
        buf += n;
        size -= n;
    }
}

static enum emu_result translate(struct emu *m, uint64_t lin, uint32_t access, uint64_t *out)
{
    uint64_t page = lin & ~0xfffull;
    uint32_t error = 0, user = m->m.cpl == 3 ? PF_U : 0;
    int err;

    if (page != m->page || (access & ~m->page_access) != 0) {
        err = x86_walk(m->v, &m->m, lin, access | user, out, &error);
        if (err == -EFAULT)
            x86_raise_pf(m->v, lin, error);
        if (err != 0)
            return EMU_STOP;
        m->page = page;
        m->page_gpa = *out & ~0xfffull;
        m->page_access = access;
    }
    *out = m->page_gpa | (lin & 0xfff);
    return EMU_DONE;
}

/*
 * A single memory operand lies where the engine said, if that agrees with it as far as one can see
 * without a walk.
 */
static void take_hint(struct emu *m, uint64_t lin, unsigned size)
{
    uint64_t off = lin & 0xfff;

    m->hint = false;
    if (off != (m->e->mem.gpa.v & 0xfff) || off + size > PAGE_SIZE)
        return;
    m->page = lin & ~0xfffull;
    m->page_gpa = m->e->mem.gpa.v & ~0xfffull;
    m->page_access = (m->e->mem.prot & PROT_W) != 0 ? PF_W : 0;
}

static enum emu_result access_linear(struct emu *m, uint64_t lin, unsigned size, uint32_t access,
                                     bool write, uint8_t *buf)
{
    unsigned first = (unsigned)min_u64(size, PAGE_SIZE - (lin & 0xfff));
    uint64_t at[2];

    if (m->hint)
        take_hint(m, lin, size);
    if (translate(m, lin, access, &at[0]) == EMU_STOP)
        return EMU_STOP;
    if (first < size && translate(m, lin + first, access, &at[1]) == EMU_STOP)
        return EMU_STOP;
    access_physical(m, at[0], first, write, buf);
    if (first < size)
        access_physical(m, at[1], size - first, write, buf + first);
    if ((m->dr7 & DR7_ENABLED) != 0)
        m->hits |= x86_watch_hits(m->v, m->dr7, write ? WATCH_WRITE : WATCH_READ, lin, size);
    return EMU_DONE;
}

enum emu_result emu_read(struct emu *m, uint64_t lin, unsigned size, bool rmw, void *buf)
{
    return access_linear(m, lin, size, rmw ? PF_W : 0, false, buf);
}

enum emu_result emu_write(struct emu *m, uint64_t lin, unsigned size, const void *buf)
{
    uint8_t copy[32];

    memcpy(copy, buf, size);
    return access_linear(m, lin, size, PF_W, true, copy);
}

enum emu_result emu_probe_write(struct emu *m, uint64_t lin, unsigned size)
{
    uint64_t out;

    if (translate(m, lin, PF_W, &out) == EMU_STOP)
        return EMU_STOP;
    return (lin & 0xfff) + size > PAGE_SIZE ? translate(m, (lin | 0xfff) + 1, PF_W, &out)
                                            : EMU_DONE;
}

/* The ModRM operand, in memory or a register. */
enum emu_result emu_rm_read(struct emu *m, unsigned size, bool rmw, uint64_t *val)
{
    *val = 0;
    if (m->in->mem)
        return emu_read(m, m->lin, size, rmw, val);
    *val = emu_reg(m, m->in->rm, size);
    return EMU_DONE;
}

enum emu_result emu_rm_write(struct emu *m, unsigned size, uint64_t val)
{
    if (m->in->mem)
        return emu_write(m, m->lin, size, &val);
    emu_set_reg(m, m->in->rm, size, val);
    return EMU_DONE;
}

/* The source of a two-operand form whose destination is RM. */
static uint64_t source(const struct emu *m)
{
    return m->in->form == FORM_RM_I ? m->in->imm & x86_size_mask(m->in->size)
                                    : emu_reg(m, m->in->reg, m->in->size);
}

static enum emu_result op_mov(struct emu *m)
{
    const struct x86_insn *in = m->in;
    uint64_t val = 0;

    if (in->form == FORM_RM_R || in->form == FORM_RM_I)
        return emu_rm_write(m, in->size, source(m));
    if (in->form == FORM_OFF_A)
        return emu_write(m, m->lin, in->size, &m->v->regs.gpr[X86_RAX]);
    if ((in->form == FORM_A_OFF ? emu_read(m, m->lin, in->size, false, &val)
                                : emu_rm_read(m, in->size, false, &val)) == EMU_STOP)
        return EMU_STOP;
    emu_set_reg(m, in->form == FORM_A_OFF ? X86_RAX : in->reg, in->size, val);
    return EMU_DONE;
}

static enum emu_result op_movx(struct emu *m)
{
    const struct x86_insn *in = m->in;
    uint64_t val;

    if (emu_rm_read(m, in->src_size, false, &val) == EMU_STOP)
        return EMU_STOP;
    if (in->op == OP_MOVSX)
        val = (uint64_t)((int64_t)(val << (64 - 8 * in->src_size)) >> (64 - 8 * in->src_size));
    emu_set_reg(m, in->reg, in->size, val);
    return EMU_DONE;
}

static enum emu_result op_alu(struct emu *m)
{
    const struct x86_insn *in = m->in;
    uint64_t flags = m->v->regs.flags, mem, r;
    bool compare = in->sub == 7, to_rm = in->form != FORM_R_RM;

    if (emu_rm_read(m, in->size, to_rm && !compare, &mem) == EMU_STOP)
        return EMU_STOP;
    r = to_rm ? x86_alu(in->sub, in->size, mem, source(m), &flags)
              : x86_alu(in->sub, in->size, emu_reg(m, in->reg, in->size), mem, &flags);
    if (!compare && to_rm && emu_rm_write(m, in->size, r) == EMU_STOP)
        return EMU_STOP;
    if (!compare && !to_rm)
        emu_set_reg(m, in->reg, in->size, r);
    m->v->regs.flags = flags;
    return EMU_DONE;
}

static enum emu_result op_test(struct emu *m)
{
    uint64_t val;

    if (emu_rm_read(m, m->in->size, false, &val) == EMU_STOP)
        return EMU_STOP;
    (void)x86_alu(4, m->in->size, val, source(m), &m->v->regs.flags);
    return EMU_DONE;
}

static enum emu_result op_xchg(struct emu *m)
{
    const struct x86_insn *in = m->in;
    uint64_t old;

    if (emu_rm_read(m, in->size, true, &old) == EMU_STOP ||
        emu_rm_write(m, in->size, emu_reg(m, in->reg, in->size)) == EMU_STOP)
        return EMU_STOP;
    emu_set_reg(m, in->reg, in->size, old);
    return EMU_DONE;
}

static enum emu_result op_xadd(struct emu *m)
{
    const struct x86_insn *in = m->in;
    uint64_t flags = m->v->regs.flags, old, sum;

    if (emu_rm_read(m, in->size, true, &old) == EMU_STOP)
        return EMU_STOP;
    sum = x86_alu(0, in->size, old, emu_reg(m, in->reg, in->size), &flags);
    if (in->mem && emu_rm_write(m, in->size, sum) == EMU_STOP)
        return EMU_STOP;
    emu_set_reg(m, in->reg, in->size, old);
    if (!in->mem)
        (void)emu_rm_write(m, in->size, sum);
    m->v->regs.flags = flags;
    return EMU_DONE;
}

static enum emu_result op_cmpxchg(struct emu *m)
{
    const struct x86_insn *in = m->in;
    uint64_t flags = m->v->regs.flags, old;
    bool same;

    if (emu_rm_read(m, in->size, true, &old) == EMU_STOP)
        return EMU_STOP;
    (void)x86_alu(7, in->size, emu_reg(m, X86_RAX, in->size), old, &flags);
    same = (flags & FLAGS_ZF) != 0;
    /* The CPU writes in either case. */
    if (emu_rm_write(m, in->size, same ? emu_reg(m, in->reg, in->size) : old) == EMU_STOP)
        return EMU_STOP;
    if (!same)
        emu_set_reg(m, X86_RAX, in->size, old);
    m->v->regs.flags = flags;
    return EMU_DONE;
}

static enum emu_result op_cmpxchg8b(struct emu *m)
{
    unsigned half = m->in->size == 8 ? 8 : 4;
    uint64_t *g = m->v->regs.gpr, mask = x86_size_mask(half), lo = 0, hi = 0;
    uint8_t buf[16];
    bool same;

    if (!m->in->mem || emu_read(m, m->lin, 2 * half, true, buf) == EMU_STOP)
        return EMU_STOP;
    memcpy(&lo, buf, half);
    memcpy(&hi, buf + half, half);
    same = lo == (g[X86_RAX] & mask) && hi == (g[X86_RDX] & mask);
    if (same) {
        memcpy(buf, &g[X86_RBX], half);
        memcpy(buf + half, &g[X86_RCX], half);
    }
    if (emu_write(m, m->lin, 2 * half, buf) == EMU_STOP)
        return EMU_STOP;
    if (!same) {
        g[X86_RAX] = lo;
        g[X86_RDX] = hi;
    }
    m->v->regs.flags = (m->v->regs.flags & ~(uint64_t)FLAGS_ZF) | (same ? FLAGS_ZF : 0);
    return EMU_DONE;
}

/* INC, DEC, NOT, NEG and the shifts: one operand, read, changed and written. */
static enum emu_result op_modify(struct emu *m)
{
    const struct x86_insn *in = m->in;
    uint64_t flags = m->v->regs.flags, val, *g = m->v->regs.gpr;
    unsigned count = in->form == FORM_RM_CL  ? (unsigned)g[X86_RCX] & 0xff
                     : in->form == FORM_RM_1 ? 1
                                             : (unsigned)in->imm & 0xff;

    if (emu_rm_read(m, in->size, true, &val) == EMU_STOP)
        return EMU_STOP;
    switch (in->op) {
    case OP_INCDEC: val = x86_incdec(in->sub == 1, in->size, val, &flags); break;
    case OP_NOT: val = ~val; break;
    case OP_NEG: val = x86_alu(5, in->size, 0, val, &flags); break;
    case OP_SHD:
        val = x86_shd(in->sub == 1, in->size, val, emu_reg(m, in->reg, in->size), count, &flags);
        break;
    default: val = x86_shift(in->sub, in->size, val, count, &flags); break;
    }
    if (emu_rm_write(m, in->size, val) == EMU_STOP)
        return EMU_STOP;
    m->v->regs.flags = flags;
    return EMU_DONE;
}

static enum emu_result op_bt(struct emu *m)
{
    const struct x86_insn *in = m->in;
    unsigned bit = (unsigned)source(m) & (8u * in->size - 1u);
    uint64_t val, one = 1ull << bit;
    bool was;

    if (emu_rm_read(m, in->size, in->sub != 0, &val) == EMU_STOP)
        return EMU_STOP;
    was = (val & one) != 0;
    val = in->sub == 1 ? val | one : in->sub == 2 ? val & ~one : val ^ one;
    if (in->sub != 0 && emu_rm_write(m, in->size, val) == EMU_STOP)
        return EMU_STOP;
    m->v->regs.flags = (m->v->regs.flags & ~(uint64_t)FLAGS_CF) | (was ? FLAGS_CF : 0);
    return EMU_DONE;
}

static enum emu_result op_mul(struct emu *m)
{
    const struct x86_insn *in = m->in;
    uint64_t *g = m->v->regs.gpr, flags = m->v->regs.flags, b, lo = g[X86_RAX],
             hi = in->size == 1 ? g[X86_RAX] >> 8 : g[X86_RDX];

    if (emu_rm_read(m, in->size, false, &b) == EMU_STOP)
        return EMU_STOP;
    if (x86_muldiv(in->sub, in->size, &lo, &hi, b, &flags) != 0) {
        x86_raise(m->v, X86_DE, 0);
        return EMU_STOP;
    }
    if (in->size == 1) {
        g[X86_RAX] = (g[X86_RAX] & ~0xffffull) | (hi & 0xff) << 8 | (lo & 0xff);
    } else {
        emu_set_reg(m, X86_RAX, in->size, lo);
        emu_set_reg(m, X86_RDX, in->size, hi);
    }
    m->v->regs.flags = flags;
    return EMU_DONE;
}

static enum emu_result op_imul(struct emu *m)
{
    const struct x86_insn *in = m->in;
    uint64_t val, other;

    if (emu_rm_read(m, in->size, false, &val) == EMU_STOP)
        return EMU_STOP;
    other = in->form == FORM_R_RM_I ? in->imm : emu_reg(m, in->reg, in->size);
    emu_set_reg(m, in->reg, in->size, x86_imul2(in->size, val, other, &m->v->regs.flags));
    return EMU_DONE;
}

static enum emu_result op_cc(struct emu *m)
{
    const struct x86_insn *in = m->in;
    bool yes = x86_condition(in->sub, m->v->regs.flags);
    uint64_t val;

    if (in->op == OP_SETCC)
        return emu_rm_write(m, 1, yes ? 1 : 0);
    if (emu_rm_read(m, in->size, false, &val) == EMU_STOP)
        return EMU_STOP;
    emu_set_reg(m, in->reg, in->size, yes ? val : emu_reg(m, in->reg, in->size));
    return EMU_DONE;
}

static enum emu_result op_movbe(struct emu *m)
{
    const struct x86_insn *in = m->in;
    unsigned drop = 64 - 8u * in->size;
    uint64_t val;

    if (in->form == FORM_RM_R)
        return emu_rm_write(m, in->size, __builtin_bswap64(emu_reg(m, in->reg, in->size)) >> drop);
    if (emu_rm_read(m, in->size, false, &val) == EMU_STOP)
        return EMU_STOP;
    emu_set_reg(m, in->reg, in->size, __builtin_bswap64(val) >> drop);
    return EMU_DONE;
}

unsigned emu_stack_width(const struct emu *m)
{
    return m->m.bits == 64 ? 8 : (x86_get(m->v, X86_SEG_ATTR + X86_SS) & 1 << 10) != 0 ? 4 : 2;
}

enum emu_result emu_push(struct emu *m, uint64_t val)
{
    unsigned size = m->in->size, width = emu_stack_width(m);
    uint64_t *rsp = &m->v->regs.gpr[X86_RSP], mask = x86_size_mask(width),
             sp = (*rsp - size) & mask, lin;

    if (emu_linear(m, X86_SS, sp, size, true, &lin) == EMU_STOP ||
        emu_write(m, lin, size, &val) == EMU_STOP)
        return EMU_STOP;
    *rsp = width == 8 ? sp : (*rsp & ~mask) | sp;
    return EMU_DONE;
}

enum emu_result emu_pop(struct emu *m, uint64_t *val)
{
    unsigned size = m->in->size, width = emu_stack_width(m);
    uint64_t *rsp = &m->v->regs.gpr[X86_RSP], mask = x86_size_mask(width), lin;

    *val = 0;
    if (emu_linear(m, X86_SS, *rsp & mask, size, false, &lin) == EMU_STOP ||
        emu_read(m, lin, size, false, val) == EMU_STOP)
        return EMU_STOP;
    *rsp = (*rsp & ~mask) | ((*rsp + size) & mask);
    return EMU_DONE;
}

static enum emu_result op_push(struct emu *m)
{
    const struct x86_insn *in = m->in;
    uint64_t val = in->form == FORM_I   ? in->imm
                   : in->form == FORM_R ? emu_reg(m, in->reg, in->size)
                                        : 0;

    if (in->form == FORM_RM && emu_rm_read(m, in->size, false, &val) == EMU_STOP)
        return EMU_STOP;
    return emu_push(m, val);
}

static enum emu_result rm_address(struct emu *m);

/*
 * POP to memory computes its address with the stack pointer already moved. A fault of the store
 * moves it back.
 */
static enum emu_result op_pop(struct emu *m)
{
    const struct x86_insn *in = m->in;
    uint64_t rsp = m->v->regs.gpr[X86_RSP], val;

    if (emu_pop(m, &val) == EMU_STOP)
        return EMU_STOP;
    if (in->form == FORM_R) {
        emu_set_reg(m, in->reg, in->size, val);
        return EMU_DONE;
    }
    if ((!in->mem || rm_address(m) == EMU_DONE) && emu_rm_write(m, in->size, val) == EMU_DONE)
        return EMU_DONE;
    m->v->regs.gpr[X86_RSP] = rsp;
    return EMU_STOP;
}

enum emu_result emu_jump(struct emu *m, uint64_t target)
{
    target &= x86_size_mask(m->in->size);
    if (m->m.bits == 64 ? !x86_canonical(&m->m, target)
                        : target > x86_get(m->v, X86_SEG_LIMIT + X86_CS)) {
        x86_raise(m->v, X86_GP, 0);
        return EMU_STOP;
    }
    m->jump = true;
    m->target = target;
    return EMU_DONE;
}

static enum emu_result op_jmp(struct emu *m)
{
    uint64_t target, next = m->v->regs.pc + m->in->len;

    if (m->in->form == FORM_I)
        target = next + m->in->imm;
    else if (emu_rm_read(m, m->in->size, false, &target) == EMU_STOP)
        return EMU_STOP;
    if (emu_jump(m, target) == EMU_STOP)
        return EMU_STOP;
    return m->in->op == OP_CALL ? emu_push(m, next) : EMU_DONE;
}

static enum emu_result op_ret(struct emu *m)
{
    uint64_t target, *rsp = &m->v->regs.gpr[X86_RSP], was = *rsp,
                     mask = x86_size_mask(emu_stack_width(m));

    if (emu_pop(m, &target) == EMU_STOP)
        return EMU_STOP;
    if (emu_jump(m, target) == EMU_STOP) {
        *rsp = was;
        return EMU_STOP;
    }
    if (m->in->form == FORM_I)
        *rsp = (*rsp & ~mask) | ((*rsp + (m->in->imm & 0xffff)) & mask);
    return EMU_DONE;
}

static enum emu_result op_xlat(struct emu *m)
{
    uint64_t *g = m->v->regs.gpr, lin;
    uint8_t val;

    if (emu_linear(m, m->in->seg, (g[X86_RBX] + (g[X86_RAX] & 0xff)) & emu_addr_mask(m), 1, false,
                   &lin) == EMU_STOP)
        return EMU_STOP;
    if (emu_read(m, lin, 1, false, &val) == EMU_STOP)
        return EMU_STOP;
    g[X86_RAX] = (g[X86_RAX] & ~0xffull) | val;
    return EMU_DONE;
}

static enum emu_result op_nop(struct emu *m)
{
    (void)m;
    return EMU_DONE;
}

static enum emu_result (*const operations[OP_COUNT])(struct emu *) = {
    [OP_MOV] = op_mov,
    [OP_MOVZX] = op_movx,
    [OP_MOVSX] = op_movx,
    [OP_ALU] = op_alu,
    [OP_TEST] = op_test,
    [OP_XCHG] = op_xchg,
    [OP_XADD] = op_xadd,
    [OP_CMPXCHG] = op_cmpxchg,
    [OP_CMPXCHG8B] = op_cmpxchg8b,
    [OP_INCDEC] = op_modify,
    [OP_NOT] = op_modify,
    [OP_NEG] = op_modify,
    [OP_SHIFT] = op_modify,
    [OP_SHD] = op_modify,
    [OP_BT] = op_bt,
    [OP_MUL] = op_mul,
    [OP_IMUL] = op_imul,
    [OP_SETCC] = op_cc,
    [OP_CMOV] = op_cc,
    [OP_MOVBE] = op_movbe,
    [OP_PUSH] = op_push,
    [OP_POP] = op_pop,
    [OP_CALL] = op_jmp,
    [OP_JMP] = op_jmp,
    [OP_RET] = op_ret,
    [OP_XLAT] = op_xlat,
    [OP_BITSCAN] = emu_bitscan,
    [OP_POPCNT] = emu_popcnt,
    [OP_CRC32] = emu_crc32,
    [OP_ENTER] = emu_enter,
    [OP_LEAVE] = emu_leave,
    [OP_FAR] = emu_far,
    [OP_STORE_SYS] = emu_store_sys,
    [OP_LOAD_SEG] = emu_load_seg,
    [OP_MOVS] = emu_string,
    [OP_STOS] = emu_string,
    [OP_LODS] = emu_string,
    [OP_SCAS] = emu_string,
    [OP_CMPS] = emu_string,
    [OP_INS] = emu_string,
    [OP_OUTS] = emu_string,
    [OP_SSE] = emu_simd,
    [OP_NOP] = op_nop,
};

/*
 * The memory operand's address: ModRM, or the offset in the instruction. BT with a register reaches
 * beyond its operand.
 */
static enum emu_result rm_address(struct emu *m)
{
    const struct x86_insn *in = m->in;
    const uint64_t *g = m->v->regs.gpr;
    uint64_t off = (uint64_t)in->disp;

    if (in->base == REG_RIP)
        off += m->v->regs.pc + in->len;
    else if (in->base != NO_REG)
        off += g[in->base];
    if (in->index != NO_REG)
        off += g[in->index] << in->scale;
    if (in->op == OP_BT && in->form == FORM_RM_R) {
        int64_t bit = (int64_t)(g[in->reg] << (64 - 8 * in->size)) >> (64 - 8 * in->size);

        off += (uint64_t)((bit >> 3) & ~(int64_t)(in->size - 1));
    }
    return emu_linear(m, in->seg, off & emu_addr_mask(m), in->size, false, &m->lin);
}

static bool has_address(const struct x86_insn *in)
{
    return (in->mem && in->op != OP_POP) || in->form == FORM_A_OFF || in->form == FORM_OFF_A;
}

static void log_bytes(struct vcpu *v, const struct vcpu_exit *e, const uint8_t *b, const char *what)
{
    vm_log(v->vm, LOG_WARN,
           "vCPU %u: %s at pc %#llx, address %#llx: %02x %02x %02x %02x %02x %02x %02x %02x (#UD)",
           v->id, what, (unsigned long long)v->regs.pc, (unsigned long long)e->mem.gpa.v, b[0],
           b[1], b[2], b[3], b[4], b[5], b[6], b[7]);
}

/* No instruction to emulate: a fault waits, or it gets #UD. */
static int not_emulated(struct vcpu *v, const struct vcpu_exit *e, const uint8_t *bytes, int err)
{
    if (err == 0)
        return 0;
    log_bytes(v, e, bytes,
              err == -ENXIO     ? "code in device memory"
              : err == -ENOTSUP ? "instruction not emulated"
                                : "no valid instruction");
    x86_raise(v, X86_UD, 0);
    return 0;
}

/*
 * The instruction there does not touch memory, so it is another one than that which left the guest:
 * it runs again. One that gets nowhere for long gets #UD.
 */
static int no_progress(struct vcpu *v, const struct vcpu_exit *e, const uint8_t *bytes)
{
    struct x86_vcpu *x = x86_of(v);

    x->stuck = x->stuck_pc == v->regs.pc ? x->stuck + 1 : 0;
    x->stuck_pc = v->regs.pc;
    if (x->stuck < STUCK_MAX)
        return 0;
    x->stuck = 0;
    return not_emulated(v, e, bytes, -ENOTSUP);
}

static bool touches_memory(const struct x86_insn *in)
{
    return in->mem || in->two_mem || in->form == FORM_A_OFF || in->form == FORM_OFF_A ||
           in->op == OP_PUSH || in->op == OP_POP || in->op == OP_CALL || in->op == OP_RET ||
           in->op == OP_XLAT || in->op == OP_ENTER || in->op == OP_LEAVE;
}

static void finish(struct emu *m)
{
    if (m->jump)
        m->v->regs.pc = m->target - m->in->len;
    m->v->ops->skip_insn(m->v, m->in->len);
    if (m->shadow && m->hits == 0) {
        m->v->event.type = VEV_NONE; /* the trap of TF comes after the next instruction */
        x86_set(m->v, X86_INT_SHADOW, 1);
    }
    x86_watch_trap(m->v, m->hits);
}

int x86_emulate_decoded(struct vcpu *v, struct vcpu_exit *e)
{
    struct emu m;
    uint8_t bytes[16];
    int err;

    if (v->event.type != VEV_NONE) {
        vm_kill(
            v->vm,
            "vCPU %u: its page or descriptor tables, or its stack, are in device memory at %#llx",
            v->id, (unsigned long long)e->mem.gpa.v);
        return -EFAULT;
    }
    m.v = v;
    m.e = e;
    m.page = 1;
    m.jump = m.shadow = false;
    m.dr7 = x86_get(v, X86_DR7);
    m.hits = 0;
    x86_mode_get(v, &m.m);
    m.in = x86_insn_get(v, &m.m, e, bytes, &err);
    if (m.in == NULL)
        return not_emulated(v, e, bytes, err);
    if (!touches_memory(m.in) ||
        (e->reason == EXIT_PIO) != (m.in->op == OP_INS || m.in->op == OP_OUTS))
        return no_progress(v, e, bytes);
    m.hint = e->reason == EXIT_MEM && !m.in->two_mem;
    if (has_address(m.in) && rm_address(&m) == EMU_STOP)
        return 0;
    x86_quick_note(v, &m.m, e);
    if (operations[m.in->op](&m) == EMU_DONE)
        finish(&m);
    return 0;
}
