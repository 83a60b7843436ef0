/* SPDX-License-Identifier: BSD-2-Clause */
/* What every exit of an x86 vCPU may need: exceptions, the mode, stepping over an instruction. */
#include "x86.h"
#include "x86_devices.h"
#include <hv/assert.h>
#include <string.h>

void x86_set(struct vcpu *v, uint32_t id, uint64_t val)
{
    debug_assert_own_cpu(v);
    if (v->ops->set_sysreg(v, id, val) != 0)
        log_err("%s refused system register %#x = %#llx", v->ops->name, id,
                (unsigned long long)val);
}

void x86_set_segment(struct vcpu *v, enum x86_seg seg, struct x86_segment s)
{
    debug_assert_own_cpu(v);
    debug_assert(seg < X86_NSEGS);
    x86_set(v, X86_SEG_SEL + seg, s.sel);
    x86_set(v, X86_SEG_BASE + seg, s.base);
    x86_set(v, X86_SEG_LIMIT + seg, s.limit);
    x86_set(v, X86_SEG_ATTR + seg, s.attr);
}

static bool has_error_code(unsigned vector)
{
    return vector == X86_DF || (vector >= X86_TS && vector <= X86_PF) || vector == X86_AC;
}

static bool contributory(unsigned vector)
{
    return vector == X86_DE || (vector >= X86_TS && vector <= X86_GP);
}

void x86_raise(struct vcpu *v, unsigned vector, uint32_t error)
{
    struct vcpu_event *e = &v->event;

    debug_assert_own_cpu(v);
    debug_assert(vector < 32);
    if (e->type == VEV_EXCEPTION) {
        bool two = contributory(e->vector) && contributory(vector);

        if (e->vector == X86_DF) {
            x86_processor_reset(v->vm, "triple fault");
            return;
        }
        if (two || (e->vector == X86_PF && (vector == X86_PF || contributory(vector)))) {
            vector = X86_DF;
            error = 0;
        }
    }
    *e = (struct vcpu_event){ .type = VEV_EXCEPTION,
                              .vector = (uint8_t)vector,
                              .has_error = has_error_code(vector),
                              .error = error };
}

void x86_raise_pf(struct vcpu *v, uint64_t cr2, uint32_t error)
{
    x86_set(v, X86_CR2, cr2);
    x86_raise(v, X86_PF, error);
}

static void read_mode(struct vcpu *v, struct x86_mode_regs *r)
{
    r->cr0 = x86_get(v, X86_CR0);
    r->cr3 = x86_get(v, X86_CR3);
    r->cr4 = x86_get(v, X86_CR4);
    r->efer = x86_get(v, X86_EFER);
    r->cs_base = x86_get(v, X86_SEG_BASE + X86_CS);
    r->cs_attr = (uint16_t)x86_get(v, X86_SEG_ATTR + X86_CS);
    r->cpl = (uint8_t)x86_get(v, X86_CPL);
}

const struct x86_engine *x86_engine_of(const struct vcpu *v)
{
    static const struct x86_engine by_registers = { .mode = read_mode };

    return v->ops->isa_ops ? v->ops->isa_ops : &by_registers;
}

void x86_mode_get(struct vcpu *v, struct x86_mode *m)
{
    struct x86_mode_regs r;

    debug_assert_own_cpu(v);
    x86_of(v)->engine->mode(v, &r);
    m->cr0 = r.cr0;
    m->cr3 = r.cr3;
    m->cr4 = r.cr4;
    m->efer = r.efer;
    m->cpl = r.cpl;
    m->cs_base = r.cs_base;
    m->bits = (r.cs_attr & 1 << 10) != 0 ? 32 : 16;
    if ((r.efer & EFER_LMA) != 0 && (r.cs_attr & 1 << 9) != 0) {
        m->bits = 64;
        m->cs_base = 0;
    }
}

/*
 * Queues what a failed fetch means. Never more than one event: the instruction runs again
 * afterwards.
 */
static void fetch_failed(struct vcpu *v, uint64_t va, int err, uint32_t error)
{
    if (err == -EFAULT)
        x86_raise_pf(v, va, error);
    else if (err == -ENXIO)
        x86_raise(v, X86_UD, 0);
}

/* Legacy prefixes and, in 64-bit mode, REX: one bit per byte value. */
static bool is_prefix(uint8_t b, bool is64)
{
    static const uint8_t map[32] = { [0x26 / 8] = 0x40, [0x2e / 8] = 0x40, [0x36 / 8] = 0x40,
                                     [0x3e / 8] = 0x40, [0x64 / 8] = 0xf0, [0xf0 / 8] = 0x0d };

    return (map[b / 8] >> (b & 7) & 1) != 0 || (is64 && (b & 0xf0) == 0x40);
}

/*
 * Length of the instruction at buf if its opcode is `opcode` (one byte, 0F xx, or 0F xx yy), else
 * 0.
 */
static unsigned match_length(const uint8_t *buf, unsigned n, uint32_t opcode, bool is64)
{
    unsigned i = 0, ops = opcode > 0xffff ? 3 : opcode > 0xff ? 2 : 1;

    while (i < n && is_prefix(buf[i], is64))
        i++;
    if (i + ops > n)
        return 0;
    for (unsigned k = 0; k < ops; k++)
        if (buf[i + k] != (uint8_t)(opcode >> 8 * (ops - 1 - k)))
            return 0;
    return i + ops;
}

static unsigned fetch_and_match(struct vcpu *v, const struct x86_mode *m, uint32_t opcode)
{
    uint8_t buf[16];
    uint32_t error = 0;
    uint64_t va = m->cs_base + v->regs.pc;
    int n = x86_fetch(v, m, va, buf, 15, &error), more;
    unsigned len;

    if (n < 0) {
        fetch_failed(v, va, n, error);
        return 0;
    }
    len = match_length(buf, (unsigned)n, opcode, m->bits == 64);
    if (len != 0 || n == 15)
        return len;
    more = x86_fetch(v, m, va + (unsigned)n, buf + n, 15 - (unsigned)n, &error);
    return more > 0 ? match_length(buf, (unsigned)(n + more), opcode, m->bits == 64) : 0;
}

/*
 * Nearly always the page is the one of last time and the instruction has no prefix: that is tried
 * first.
 */
static unsigned length_in_mode(struct vcpu *v, const struct x86_mode *m, uint32_t opcode)
{
    unsigned ops = opcode > 0xffff ? 3 : opcode > 0xff ? 2 : 1;
    uint8_t buf[16];

    if (x86_fetch_fast(v, m, m->cs_base + v->regs.pc, buf)) {
        uint32_t word;

        memcpy(&word, buf, 4);
        if (__builtin_bswap32(word) >> (32 - 8 * ops) == opcode)
            return ops;
    }
    return fetch_and_match(v, m, opcode);
}

unsigned x86_insn_length(struct vcpu *v, uint32_t opcode)
{
    struct x86_mode m;

    x86_mode_get(v, &m);
    return length_in_mode(v, &m, opcode);
}

bool x86_skip_mode(struct vcpu *v, const struct x86_mode *m, unsigned len, uint32_t opcode)
{
    if (len == 0)
        len = length_in_mode(v, m, opcode);
    if (len == 0)
        return false;
    v->ops->skip_insn(v, len);
    return true;
}

bool x86_skip(struct vcpu *v, unsigned len, uint32_t opcode)
{
    if (len == 0)
        len = x86_insn_length(v, opcode);
    if (len == 0)
        return false;
    v->ops->skip_insn(v, len);
    return true;
}

/* Where every PC kernel looks for devices that may be missing: not worth a line. */
static bool usual(enum io_space space, uint64_t addr)
{
    static const struct {
        uint8_t space;
        uint64_t base, len;
    } quiet[] = {
        /* COM4, COM2, COM3 */
        { IO_PORT, 0x2e8, 8 },    { IO_PORT, 0x2f8, 8 },        { IO_PORT, 0x3e8, 8 },
        { IO_PORT, 0x3b0, 0x30 }, { IO_MEM, 0xa0000, 0x20000 }, /* VGA */
    };

    for (unsigned i = 0; i < ARRAY_SIZE(quiet); i++)
        if (quiet[i].space == space && addr - quiet[i].base < quiet[i].len)
            return true;
    return false;
}

void x86_log_nobody(struct vcpu *v, enum io_space space, const struct io_access *io)
{
    uint64_t key = space == IO_PORT ? io->addr | PORT_LOGGED : io->addr >> PAGE_SHIFT;

    debug_assert_own_cpu(v);
    if (!usual(space, io->addr) && seen_first(&x86_machine_of(v)->seen_place, key))
        vm_log(v->vm, LOG_INFO,
               "vCPU %u: %s of %u bytes at %s %#llx, where no device is (pc %#llx)", v->id,
               io->write ? "write" : "read", io->size, space == IO_PORT ? "port" : "address",
               (unsigned long long)io->addr, (unsigned long long)v->regs.pc);
}
