/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SIMD moves between a device and a register. The registers are in the XSAVE area's standard format
 * (APM vol 2 §11.5.3).
 */
#include "emulate.h"
#include <hv/vm.h>
#include <string.h>

enum {
    XSAVE_ST = 32,
    XSAVE_XMM = 160,
    XSAVE_BV = 512,
    XSAVE_YMM_HIGH = 576,
    XSAVE_BV_SSE = 2,
    XSAVE_BV_X87 = 1,
    XSAVE_BV_AVX = 4
};

static uint8_t *fpu_area(struct vcpu *v, size_t *len)
{
    struct x86_vcpu *x = x86_of(v);

    if (x->fpu == NULL)
        x->fpu = vm_alloc(v->vm, X86_FPU_MAX);
    *len = X86_FPU_MAX;
    if (x->fpu == NULL || v->ops->get_fpu_regs == NULL || v->ops->get_fpu_regs(v, x->fpu, len) != 0)
        return NULL;
    return x->fpu;
}

static bool is_store(unsigned sub)
{
    return sub == SSE_STORE || sub == SSE_STORE_HIGH || sub == MMX_STORE;
}

static uint8_t *reg_at(const struct emu *m, uint8_t *area)
{
    const struct x86_insn *in = m->in;

    if (in->sub >= MMX_LOAD)
        return area + XSAVE_ST + 16 * (in->reg & 7);
    return area + XSAVE_XMM + 16 * in->reg +
           (in->sub == SSE_LOAD_HIGH || in->sub == SSE_STORE_HIGH ? 8 : 0);
}

static void put_reg(const struct emu *m, uint8_t *area, size_t len, const uint8_t *buf)
{
    const struct x86_insn *in = m->in;
    uint8_t *reg = reg_at(m, area);
    bool high = len >= XSAVE_YMM_HIGH + 256;

    area[XSAVE_BV] |= in->sub >= MMX_LOAD ? XSAVE_BV_X87 : XSAVE_BV_SSE;
    if (in->sub == SSE_LOAD)
        memset(reg, 0, 16);
    if (in->sub == MMX_LOAD)
        memset(reg + 8, 0xff, 2), memset(reg, 0, 8);
    memcpy(reg, buf, in->size < 16 ? in->size : 16);
    if (!in->vex || !high)
        return;
    if ((area[XSAVE_BV] & XSAVE_BV_AVX) == 0)
        memset(area + XSAVE_YMM_HIGH, 0, 256);
    area[XSAVE_BV] |= XSAVE_BV_AVX;
    memset(area + XSAVE_YMM_HIGH + 16 * in->reg, 0, 16);
    if (in->l256)
        memcpy(area + XSAVE_YMM_HIGH + 16 * in->reg, buf + 16, 16);
}

static void get_reg(const struct emu *m, uint8_t *area, size_t len, uint8_t *buf)
{
    const struct x86_insn *in = m->in;

    memcpy(buf, reg_at(m, area), in->size < 16 ? in->size : 16);
    if (in->l256 && in->size == 32 && len >= XSAVE_YMM_HIGH + 256 &&
        (area[XSAVE_BV] & XSAVE_BV_AVX) != 0)
        memcpy(buf + 16, area + XSAVE_YMM_HIGH + 16 * in->reg, 16);
}

enum emu_result emu_simd(struct emu *m)
{
    uint8_t buf[32] = { 0 };
    size_t len;
    uint8_t *area = fpu_area(m->v, &len);

    if (area == NULL || !m->in->mem) {
        x86_raise(m->v, X86_UD, 0);
        return EMU_STOP;
    }
    if (is_store(m->in->sub)) {
        get_reg(m, area, len, buf);
        return emu_write(m, m->lin, m->in->size, buf);
    }
    if (emu_read(m, m->lin, m->in->size, false, buf) == EMU_STOP)
        return EMU_STOP;
    put_reg(m, area, len, buf);
    if (m->v->ops->set_fpu_regs(m->v, area, len) != 0)
        x86_raise(m->v, X86_UD, 0);
    return m->v->event.type == VEV_NONE ? EMU_DONE : EMU_STOP;
}
