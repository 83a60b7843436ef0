/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * svm_regs.c: the guest's system registers in the VMCB, and its reset state. AMD APM volume 2
 * section 15.5.1.
 */
#include <hv/assert.h>
#include <hv/percpu.h>
#include <hv/x86.h>

#include <string.h>

#include "private.h"
#include "spec_entry.h"
#include "svm.h"

/*
 * A register that is a field: where, how wide (0: no field), which clean bit covers it, and bits
 * that must be zero.
 */
struct field {
    uint16_t offset;
    uint8_t size;
    uint16_t clean;
    uint64_t zero;
};

#define HIGH32 0xffffffff00000000ull
#define F(member, clean, zero)                                                         \
    {                                                                                  \
        offsetof(struct vmcb, member), sizeof(((struct vmcb *)0)->member), clean, zero \
    }
#define R(id, member, clean, zero) [(id)-X86_CR0] = F(member, clean, zero)
#define SEG(n, member)                                          \
    R(X86_SEG_SEL + X86_##n, member.selector, CLEAN_SEG, 0),    \
        R(X86_SEG_BASE + X86_##n, member.base, CLEAN_SEG, 0),   \
        R(X86_SEG_LIMIT + X86_##n, member.limit, CLEAN_SEG, 0), \
        R(X86_SEG_ATTR + X86_##n, member.attrib, CLEAN_SEG, 0xf000)

/* By number: emulation reads some of these at every exit that it handles. */
static const struct field fields[X86_SEG_ATTR + X86_NSEGS - X86_CR0] = {
    R(X86_CR0, cr0, CLEAN_CRX, HIGH32),
    R(X86_CR3, cr3, CLEAN_CRX, 0xfff0000000000000ull),
    R(X86_CR4, cr4, CLEAN_CRX, HIGH32),
    R(X86_CR2, cr2, CLEAN_CR2, 0),
    R(X86_DR6, dr6, CLEAN_DRX, HIGH32),
    R(X86_DR7, dr7, CLEAN_DRX, HIGH32),
    R(X86_GDTR_BASE, gdtr.base, CLEAN_DT, 0),
    R(X86_GDTR_LIMIT, gdtr.limit, CLEAN_DT, 0),
    R(X86_IDTR_BASE, idtr.base, CLEAN_DT, 0),
    R(X86_IDTR_LIMIT, idtr.limit, CLEAN_DT, 0),
    R(X86_CPL, cpl, CLEAN_SEG, 0xfc),
    R(X86_INT_SHADOW, interrupt_shadow, 0, ~1ull),
    R(X86_TSC_OFFSET, tsc_offset, CLEAN_I, 0),
    SEG(ES, es),
    SEG(CS, cs),
    SEG(SS, ss),
    SEG(DS, ds),
    SEG(FS, fs),
    SEG(GS, gs),
    SEG(LDTR, ldtr),
    SEG(TR, tr),
};

static const struct {
    uint32_t msr;
    struct field field;
} msrs[] = {
    { X86_FS_BASE, F(fs.base, CLEAN_SEG, 0) },
    { X86_GS_BASE, F(gs.base, CLEAN_SEG, 0) },
    { X86_KERNEL_GS_BASE, F(kernel_gs_base, 0, 0) },
    { 0xc0000081, F(star, 0, 0) },
    { 0xc0000082, F(lstar, 0, 0) },
    { 0xc0000083, F(cstar, 0, 0) },
    { 0xc0000084, F(sfmask, 0, 0) },
    { 0x174, F(sysenter_cs, 0, 0) },
    { 0x175, F(sysenter_esp, 0, 0) },
    { 0x176, F(sysenter_eip, 0, 0) },
    { X86_PAT, F(g_pat, CLEAN_NP, 0) },
};

static const struct field *svm_regs_find(uint32_t id)
{
    uint32_t n = id - X86_CR0;

    if (n < ARRAY_SIZE(fields))
        return fields[n].size ? &fields[n] : NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
        if (msrs[i].msr == id)
            return &msrs[i].field;
    return NULL;
}

static uint64_t svm_regs_load(const struct vmcb *b, const struct field *f)
{
    const void *p = (const uint8_t *)b + f->offset;

    switch (f->size) {
    case 8: return *(const uint64_t *)p;
    case 4: return *(const uint32_t *)p;
    case 2: return *(const uint16_t *)p;
    default: return *(const uint8_t *)p;
    }
}

static int get_virtual_spec_ctrl(const struct svm_vcpu *s, uint64_t *val)
{
    *val = s->vmcb->spec_ctrl;
    return spec.spec_ctrl ? 0 : -ENOENT;
}

/*
 * Where the CPU virtualizes it (15.36), it combines the VMCB's with ours by itself, and ours is
 * back after the exit.
 */
static int svm_regs_set_spec_ctrl(struct svm_vcpu *s, uint64_t val)
{
    int err = spec_check(val);

    if (err)
        return err;
    if (svm_has(SVM_SPEC_CTRL))
        s->vmcb->spec_ctrl = val;
    else
        spec_set(&s->spec, val);
    if (val)
        s->vmcb->msrpm_base_pa = svm_caps.msrpm_pa[1];
    svm_dirty(s, CLEAN_IOPM);
    return 0;
}

/* Registers that are no field of the VMCB, or not only. */
static __attribute__((noinline)) int get_special(const struct vcpu *v, uint32_t id, uint64_t *val)
{
    const struct svm_vcpu *s = svm_of(v);

    if (id == X86_CR8)
        *val = s->vmcb->v_intr & 0xf;
    else if (id == X86_NMI_BLOCKED)
        *val = svm_nmi_blocked(v);
    else if (id == SPEC_MSR_CTRL)
        return svm_has(SVM_SPEC_CTRL) ? get_virtual_spec_ctrl(s, val) : spec_get(&s->spec, val);
    else
        return guest_fpu_get_reg(v, &s->fpu, id, val);
    return 0;
}

static int svm_regs_set_efer(struct vcpu *v, uint64_t val)
{
    struct svm_vcpu *s = svm_of(v);
    const uint64_t known = 0x1 | 0x100 | 0x400 | EFER_NXE | EFER_SVME | 0x2000 | 0x4000 | 0x8000 |
                           0x40000 | 0x100000 | 0x200000;

    if (val & ~known)
        return -EINVAL;
    s->vmcb->efer = val | EFER_SVME;
    svm_dirty(s, CLEAN_CRX);
    svm_ops.vcpu_tlb_flush(v); /* NXE */
    return 0;
}

static int set_special(struct vcpu *v, uint32_t id, uint64_t val)
{
    struct svm_vcpu *s = svm_of(v);

    if (id == X86_EFER)
        return svm_regs_set_efer(v, val);
    if (id == X86_NMI_BLOCKED)
        return svm_block_nmi(s, val);
    if (id == SPEC_MSR_CTRL)
        return svm_regs_set_spec_ctrl(s, val);
    if (id != X86_CR8)
        return guest_fpu_set_reg(v, &s->fpu, id, val);
    if (val > 15)
        return -EINVAL;
    s->vmcb->v_intr = (s->vmcb->v_intr & ~(uint32_t)V_TPR) | (uint32_t)val;
    svm_dirty(s, CLEAN_TPR);
    return 0;
}

int svm_get_sysreg(struct vcpu *v, uint32_t id, uint64_t *val)
{
    const struct field *f;

    debug_assert_own_cpu(v);
    if (id == X86_EFER) {
        *val = svm_of(v)->vmcb->efer & ~EFER_SVME;
        return 0;
    }
    f = svm_regs_find(id);
    if (!f)
        return get_special(v, id, val);
    *val = svm_regs_load(svm_of(v)->vmcb, f);
    if (id == X86_INT_SHADOW)
        *val &= 1;
    return 0;
}

void svm_x86_mode(struct vcpu *v, struct x86_mode_regs *r)
{
    const struct vmcb *b = svm_of(v)->vmcb;

    debug_assert_own_cpu(v);
    r->cr0 = b->cr0;
    r->cr3 = b->cr3;
    r->cr4 = b->cr4;
    r->efer = b->efer & ~EFER_SVME;
    r->cs_base = b->cs.base;
    r->cs_attr = b->cs.attrib;
    r->cpl = b->cpl;
    r->stamp = 0;
}

bool svm_x86_mode_same(struct vcpu *v, const struct x86_mode_regs *r)
{
    const struct vmcb *b = svm_of(v)->vmcb;

    return ((b->cr3 ^ r->cr3) | (b->cr0 ^ r->cr0) | (b->cr4 ^ r->cr4) |
            (b->efer ^ EFER_SVME ^ r->efer) | (uint64_t)(b->cs.attrib ^ r->cs_attr) |
            (b->dr7 & DR7_ENABLED)) == 0;
}

int svm_set_sysreg(struct vcpu *v, uint32_t id, uint64_t val)
{
    const struct field *f = svm_regs_find(id);
    struct svm_vcpu *s = svm_of(v);

    debug_assert_own_cpu(v);
    if (!f)
        return set_special(v, id, val);
    if ((val & f->zero) || (f->size < 8 && val >> (8 * f->size)))
        return -EINVAL;
    if (id == X86_CR4 && (val & ~svm_caps.limits.cr4_may))
        return -EINVAL;
    memcpy((uint8_t *)s->vmcb + f->offset, &val, f->size);
    svm_dirty(s, f->clean);
    if (id == X86_CR0 || id == X86_CR3 || id == X86_CR4)
        svm_ops.vcpu_tlb_flush(v); /* as MOV to them does; VMRUN does not (15.16) */
    return 0;
}

/* ---- reset state, volume 2 section 14.1.3 and table 14-1 ---- */

static void svm_regs_reset_segments(struct vmcb *b)
{
    const struct vmcb_seg data = { 0, 0x093, 0xffff, 0 };

    b->es = b->ss = b->ds = b->fs = b->gs = data;
    b->cs = (struct vmcb_seg){ 0xf000, 0x09b, 0xffff, 0xffff0000 };
    b->ldtr = (struct vmcb_seg){ 0, 0x082, 0xffff, 0 };
    b->tr = (struct vmcb_seg){ 0, 0x08b, 0xffff, 0 };
    b->gdtr = b->idtr = (struct vmcb_seg){ 0, 0, 0xffff, 0 };
    b->cpl = 0;
}

static void reset_control(struct svm_vcpu *s)
{
    struct vmcb *b = s->vmcb;

    b->intercept_misc1 &= ~(uint32_t)(I1_IRET | I1_VINTR);
    b->v_intr = V_INTR_MASKING;
    b->interrupt_shadow = 0;
    s->nmi = NMI_OPEN;
    s->nmi_wanted = s->nmi_step = false;
    svm_dirty(s, CLEAN_ALL);
    s->generation = 0; /* CR0 and CR3 changed behind the TLB's back */
}

void svm_reset_state(struct vcpu *v, bool init)
{
    struct svm_vcpu *s = svm_of(v);
    struct vmcb *b = s->vmcb;
    uint64_t caching = init ? b->cr0 & (CR0_CD | CR0_NW) : CR0_CD | CR0_NW;

    assert_own_cpu(v);
    memset(&v->regs, 0, sizeof v->regs);
    v->regs.pc = 0xfff0;
    v->regs.flags = 2;
    v->event.type = VEV_NONE;
    svm_regs_reset_segments(b);
    reset_control(s);
    b->cr0 = 0x10 | caching;
    b->cr2 = b->cr3 = b->cr4 = 0;
    b->dr6 = 0xffff0ff0;
    b->dr7 = 0x400;
    b->efer = EFER_SVME;
    if (!init) {
        spec_vcpu_reset(&s->spec);
        b->msrpm_base_pa = svm_caps.msrpm_pa[0];
        b->spec_ctrl = 0;
        b->g_pat = 0x0007040600070406;
        b->star = b->lstar = b->cstar = b->sfmask = b->kernel_gs_base = 0;
        b->sysenter_cs = b->sysenter_esp = b->sysenter_eip = b->dbgctl = 0;
    }
}
