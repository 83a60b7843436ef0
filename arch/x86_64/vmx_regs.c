/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmx_regs.c: the guest's system registers in the VMCS and beside it, and its reset state. Intel
 * SDM volume 3 sections 24.4 and 9.1.
 */
#include <hv/assert.h>
#include <hv/gmem.h>
#include <hv/percpu.h>
#include <hv/vm.h>
#include <hv/x86.h>

#include <string.h>

#include "private.h"
#include "spec_entry.h"
#include "vmx.h"

#define CR0_PE 1ull
#define CR0_PG (1ull << 31)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)
#define RFLAGS_TF (1ull << 8)
#define PENDING_BS (1ull << 14)
#define CR4_LA57 (1ull << 12)
#define ATTR_L (1ull << 9) /* as in struct x86_mode_regs */
#define HIGH32 0xffffffff00000000ull

/*
 * ---- registers that are a field of the VMCS ----
 * Its encoding (0: no field) and bits that must be zero.
 */

struct field {
    uint16_t code;
    uint64_t zero;
};

#define R(id, code, zero) [(id)-X86_CR0] = { code, zero }
#define SEG(n)                                                \
    R(X86_SEG_SEL + (n), GUEST_ES_SEL + 2 * (n), ~0xffffull), \
        R(X86_SEG_BASE + (n), GUEST_ES_BASE + 2 * (n), 0)

static const struct field fields[X86_SEG_ATTR + X86_NSEGS - X86_CR0] = {
    R(X86_DR7, GUEST_DR7, HIGH32),
    R(X86_GDTR_BASE, GUEST_GDTR_BASE, 0),
    R(X86_GDTR_LIMIT, GUEST_GDTR_LIMIT, ~0xffffull),
    R(X86_IDTR_BASE, GUEST_IDTR_BASE, 0),
    R(X86_IDTR_LIMIT, GUEST_IDTR_LIMIT, ~0xffffull),
    SEG(X86_ES),
    SEG(X86_CS),
    SEG(X86_SS),
    SEG(X86_DS),
    SEG(X86_FS),
    SEG(X86_GS),
    SEG(X86_LDTR),
    SEG(X86_TR),
};

static const struct {
    uint32_t msr;
    struct field field;
} msrs[] = {
    { X86_FS_BASE, { GUEST_FS_BASE, 0 } },    { X86_GS_BASE, { GUEST_GS_BASE, 0 } },
    { 0x174, { GUEST_SYSENTER_CS, HIGH32 } }, { 0x175, { GUEST_SYSENTER_ESP, 0 } },
    { 0x176, { GUEST_SYSENTER_EIP, 0 } },
};

static const struct field *vmx_regs_find(uint32_t id)
{
    uint32_t n = id - X86_CR0;

    if (n < ARRAY_SIZE(fields))
        return fields[n].code ? &fields[n] : NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
        if (msrs[i].msr == id)
            return &msrs[i].field;
    return NULL;
}

/* ---- control registers ---- */

uint64_t vmx_guest_cr0(const struct vmx_vcpu *s, uint64_t owned)
{
    return s->cr0 | (owned & CR0_GUEST_OWNS);
}

uint64_t vmx_guest_cr4(const struct vmx_vcpu *s, uint64_t owned)
{
    return s->cr4 | (owned & CR4_GUEST_OWNS);
}

static bool pae_paging(const struct vmx_vcpu *s)
{
    return (s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !(s->efer & EFER_LMA);
}

/*
 * With EPT the four PDPTEs of PAE paging are registers, which MOV to CR loads (26.3.2.4). -EINVAL:
 * one has reserved bits set.
 */
static int load_pdptes(struct vcpu *v, uint64_t cr3)
{
    const uint64_t reserved = 0x1e6 | ~((1ull << x86_features.phys_bits) - 1);
    uint64_t pdpte[4];
    const void *at;

    if (!pae_paging(vmx_of(v)))
        return 0;
    at = gmem_ptr(v->vm, gpa(cr3 & 0xffffffe0), sizeof pdpte, PROT_R);
    if (!at)
        return -EINVAL;
    memcpy(pdpte, at, sizeof pdpte);
    for (unsigned i = 0; i < 4; i++)
        if ((pdpte[i] & 1) && (pdpte[i] & reserved))
            return -EINVAL;
    for (unsigned i = 0; i < 4; i++)
        vmwrite(GUEST_PDPTE0 + 2 * i, pdpte[i]);
    return 0;
}

static int set_cr0(struct vcpu *v, uint64_t val)
{
    struct vmx_vcpu *s = vmx_of(v);
    uint64_t old = s->cr0;

    if (val & HIGH32)
        return -EINVAL;
    s->cr0 = val & ~(uint64_t)CR0_GUEST_OWNS;
    if (load_pdptes(v, vmread(GUEST_CR3))) {
        s->cr0 = old;
        return -EINVAL;
    }
    s->modes++;
    vmwrite(CR0_SHADOW, val);
    vmwrite(GUEST_CR0, val | vmx_caps.cr0_fixed);
    vmx_stale(s, false); /* as MOV to CR does; VM entry does not (28.3.3.1) */
    return 0;
}

static int set_cr3(struct vcpu *v, uint64_t val)
{
    if (val >> x86_features.phys_bits || load_pdptes(v, val))
        return -EINVAL;
    vmwrite(GUEST_CR3, val);
    vmx_stale(vmx_of(v), false);
    return 0;
}

static int set_cr4(struct vcpu *v, uint64_t val)
{
    struct vmx_vcpu *s = vmx_of(v);
    uint64_t old = s->cr4;

    if ((val & ~vmx_caps.cr4_known) || (val & CR4_VMXE))
        return -EINVAL;
    s->cr4 = val & ~(uint64_t)CR4_GUEST_OWNS;
    if (load_pdptes(v, vmread(GUEST_CR3))) {
        s->cr4 = old;
        return -EINVAL;
    }
    s->modes++;
    vmwrite(CR4_SHADOW, val);
    vmwrite(GUEST_CR4, val | vmx_caps.cr4_fixed);
    vmx_stale(s, false);
    return 0;
}

static int vmx_regs_set_efer(struct vcpu *v, uint64_t val)
{
    const uint64_t known = 0x1 | EFER_LME | EFER_LMA | EFER_NXE;
    struct vmx_vcpu *s = vmx_of(v);

    if (val & ~known)
        return -EINVAL;
    s->efer = val;
    s->modes++;
    vmwrite(GUEST_EFER, val);
    vmwrite(ENTRY_CONTROLS, vmx_caps.entry | (val & EFER_LMA ? N_IA32E : 0u));
    vmx_stale(s, false); /* NXE */
    return 0;
}

/*
 * ---- segments ----
 * Attributes are in the VMCB's layout, without the 4 reserved bits; a segment that is not present
 * is unusable.
 */

static uint64_t attr_get(unsigned seg)
{
    uint64_t ar = vmread(GUEST_ES_AR + 2 * seg), attr = (ar & 0xff) | (ar >> 4 & 0xf00);

    return ar & AR_UNUSABLE ? attr & ~(uint64_t)AR_P : attr;
}

/* The granularity must fit the limit (26.3.1.2). */
static void put_segment(unsigned seg, uint64_t ar, uint64_t limit)
{
    if (limit > 0xfffff) {
        ar |= AR_G;
        limit |= 0xfff;
    } else if ((limit & 0xfff) != 0xfff) {
        ar &= ~(uint64_t)AR_G;
    }
    vmwrite(GUEST_ES_AR + 2 * seg, ar);
    vmwrite(GUEST_ES_LIMIT + 2 * seg, limit);
}

static int set_attr(unsigned seg, uint64_t attr)
{
    uint64_t ar = (attr & 0xff) | (attr & 0xf00) << 4;

    if (attr & ~0xfffull)
        return -EINVAL;
    put_segment(seg, attr & AR_P ? ar : ar | AR_UNUSABLE, vmread(GUEST_ES_LIMIT + 2 * seg));
    return 0;
}

static int set_limit(unsigned seg, uint64_t limit)
{
    if (limit & HIGH32)
        return -EINVAL;
    put_segment(seg, vmread(GUEST_ES_AR + 2 * seg), limit);
    return 0;
}

/* ---- state that is not in the VMCS ---- */

static const uint32_t switched[VMX_MSRS] = { MSR_STAR, MSR_STAR + 1, MSR_STAR + 2, MSR_STAR + 3,
                                             MSR_KERNEL_GS_BASE };

static int get_switched(const struct vcpu *v, uint32_t id, uint64_t *val)
{
    for (unsigned i = 0; i < VMX_MSRS; i++) {
        if (switched[i] == id) {
            *val = guest_loaded(v) ? rdmsr(id) : vmx_of(v)->msr[i];
            return 0;
        }
    }
    if (id == SPEC_MSR_CTRL)
        return spec_get(&vmx_of(v)->spec, val);
    if (id == SPEC_MSR_CAPS)
        return spec_get_caps(val);
    return guest_fpu_get_reg(v, &vmx_of(v)->fpu, id, val);
}

static int vmx_regs_set_spec_ctrl(struct vmx_vcpu *s, uint64_t val)
{
    int err = spec_check(val);

    if (err)
        return err;
    spec_set(&s->spec, val);
    vmx_put_spec(s);
    return 0;
}

/*
 * What WRMSR takes of those that we switch: it must not fault when a vCPU is loaded (volume 4,
 * table 2-2). LSTAR, CSTAR and KERNEL_GS_BASE are addresses.
 */
static bool switched_valid(uint32_t id, uint64_t val)
{
    const unsigned shift = vmx_caps.cr4_known & CR4_LA57 ? 7 : 16;

    if (id == MSR_STAR)
        return true;
    if (id == MSR_STAR + 3)
        return !(val & HIGH32);
    return (uint64_t)((int64_t)(val << shift) >> shift) == val;
}

static int set_switched(struct vcpu *v, uint32_t id, uint64_t val)
{
    for (unsigned i = 0; i < VMX_MSRS; i++) {
        if (switched[i] == id) {
            if (!switched_valid(id, val))
                return -EINVAL;
            vmx_of(v)->msr[i] = val;
            if (guest_loaded(v))
                wrmsr(id, val);
            return 0;
        }
    }
    if (id == SPEC_MSR_CTRL)
        return vmx_regs_set_spec_ctrl(vmx_of(v), val);
    return guest_fpu_set_reg(v, &vmx_of(v)->fpu, id, val);
}

static uint64_t vmx_regs_dr6_get(const struct vcpu *v)
{
    uint64_t val = vmx_of(v)->dr6;

    if (guest_loaded(v))
        __asm__ volatile("mov %%db6, %0" : "=r"(val));
    return val;
}

static void cr2_set(struct vcpu *v, uint64_t val)
{
    vmx_of(v)->cr2 = val;
    if (guest_loaded(v))
        __asm__ volatile("mov %0, %%cr2" : : "r"(val));
}

static int vmx_regs_dr6_set(struct vcpu *v, uint64_t val)
{
    if (val & HIGH32)
        return -EINVAL;
    vmx_of(v)->dr6 = val;
    if (guest_loaded(v))
        __asm__ volatile("mov %0, %%db6" : : "r"(val));
    return 0;
}

/* In the virtual-APIC page, which the guest's CR8 shows (29.3). */
static int cr8_set(struct vcpu *v, uint64_t val)
{
    if (val > 15)
        return -EINVAL;
    vmx_of(v)->vapic[VAPIC_TPR] = (uint8_t)(val << 4);
    return 0;
}

/* Kept in memory: other CPUs may ask for the TSC's offset. */
static void set_tsc_offset(struct vcpu *v, uint64_t val)
{
    vmx_of(v)->tsc_offset = val;
    vmwrite(VMCS_TSC_OFFSET, val);
}

/* ---- by name ---- */

static int get_vmcs(struct vcpu *v, uint32_t id, uint64_t *val)
{
    const struct field *f = vmx_regs_find(id);

    if (f)
        *val = vmread(f->code);
    else if (id == X86_CR0)
        *val = vmx_guest_cr0(vmx_of(v), vmread(GUEST_CR0));
    else if (id == X86_CR3)
        *val = vmread(GUEST_CR3);
    else if (id == X86_CR4)
        *val = vmx_guest_cr4(vmx_of(v), vmread(GUEST_CR4));
    else if (id == X86_CPL)
        *val = vmread(GUEST_SS_AR) >> 5 & 3;
    else if (id == X86_INT_SHADOW)
        *val = (vmread(GUEST_INTERRUPTIBILITY) & (BLOCK_STI | BLOCK_MOV_SS)) != 0;
    else if (id >= X86_PDPTR0 && id <= X86_PDPTR3)
        *val = vmread(GUEST_PDPTE0 + 2 * (id - X86_PDPTR0));
    else if (id == X86_NMI_BLOCKED)
        *val = (vmread(GUEST_INTERRUPTIBILITY) & BLOCK_NMI) != 0;
    else if (id == X86_PENDING_DEBUG)
        *val = vmread(GUEST_PENDING_DEBUG);
    else if (id >= X86_SEG_LIMIT && id < X86_SEG_LIMIT + X86_NSEGS)
        *val = vmread(GUEST_ES_LIMIT + 2 * (id - X86_SEG_LIMIT));
    else if (id >= X86_SEG_ATTR && id < X86_SEG_ATTR + X86_NSEGS)
        *val = attr_get(id - X86_SEG_ATTR);
    else
        return get_switched(v, id, val);
    return 0;
}

int vmx_get_sysreg(struct vcpu *v, uint32_t id, uint64_t *val)
{
    const struct vmx_vcpu *s = vmx_of(v);
    int err;

    debug_assert_own_cpu(v);
    switch (id) { /* these need no VMCS, and some are asked for on other CPUs */
    case X86_EFER: *val = s->efer; return 0;
    case X86_PAT: *val = s->pat; return 0;
    case X86_TSC_OFFSET: *val = s->tsc_offset; return 0;
    case X86_CR2: *val = guest_loaded(v) ? read_cr2() : s->cr2; return 0;
    case X86_DR6: *val = vmx_regs_dr6_get(v); return 0;
    case X86_CR8: *val = s->vapic[VAPIC_TPR] >> 4; return 0;
    default: break;
    }
    vmx_use(v);
    err = get_vmcs(v, id, val);
    vmx_done(v);
    return err;
}

/* After an emulated MOV SS: table 25-3. */
/* A single step waits for the end of the shadow, and the entry wants to be told of it (26.3.1.5).
 */
static void set_shadow(const struct vcpu *v, uint64_t val)
{
    uint64_t b = vmread(GUEST_INTERRUPTIBILITY) & ~(uint64_t)(BLOCK_STI | BLOCK_MOV_SS);

    vmwrite(GUEST_INTERRUPTIBILITY, b | (val != 0 ? BLOCK_MOV_SS : 0));
    vmwrite(GUEST_PENDING_DEBUG, val != 0 && (v->regs.flags & RFLAGS_TF) ? PENDING_BS : 0);
}

static int vmx_regs_block_nmi(uint64_t blocked)
{
    uint64_t b = vmread(GUEST_INTERRUPTIBILITY) & ~(uint64_t)BLOCK_NMI;

    if (blocked > 1)
        return -EINVAL;
    vmwrite(GUEST_INTERRUPTIBILITY, b | (blocked ? BLOCK_NMI : 0));
    return 0;
}

/* B3 to B0, enabled breakpoint, BS, RTM (table 24-4): others make the entry fail. */
static int set_pending_debug(uint64_t val)
{
    if (val & ~0x1500full)
        return -EINVAL;
    vmwrite(GUEST_PENDING_DEBUG, val);
    return 0;
}

static int set_vmcs(struct vcpu *v, uint32_t id, uint64_t val)
{
    struct vmx_vcpu *s = vmx_of(v);

    switch (id) {
    case X86_CR0: return set_cr0(v, val);
    case X86_CR3: return set_cr3(v, val);
    case X86_CR4: return set_cr4(v, val);
    case X86_EFER: return vmx_regs_set_efer(v, val);
    case X86_PAT: vmwrite(GUEST_PAT, s->pat = val); return 0;
    case X86_TSC_OFFSET: set_tsc_offset(v, val); return 0;
    case X86_CPL: return -EINVAL; /* it is the stack segment's */
    case X86_INT_SHADOW: set_shadow(v, val); return 0;
    case X86_NMI_BLOCKED: return vmx_regs_block_nmi(val);
    case X86_PENDING_DEBUG: return set_pending_debug(val);
    default: break;
    }
    if (id >= X86_PDPTR0 && id <= X86_PDPTR3) {
        vmwrite(GUEST_PDPTE0 + 2 * (id - X86_PDPTR0), val);
        return 0;
    }
    if (id >= X86_SEG_LIMIT && id < X86_SEG_LIMIT + X86_NSEGS)
        return set_limit(id - X86_SEG_LIMIT, val);
    if (id >= X86_SEG_ATTR && id < X86_SEG_ATTR + X86_NSEGS)
        return set_attr(id - X86_SEG_ATTR, val);
    return set_switched(v, id, val);
}

int vmx_set_sysreg(struct vcpu *v, uint32_t id, uint64_t val)
{
    const struct field *f = vmx_regs_find(id);
    int err = 0;

    debug_assert_own_cpu(v);
    if (id == X86_CR8)
        return cr8_set(v, val);
    if (id == X86_DR6)
        return vmx_regs_dr6_set(v, val);
    if (id == X86_CR2) {
        cr2_set(v, val);
        return 0;
    }
    if (f && (val & f->zero))
        return -EINVAL;
    vmx_use(v);
    vmx_of(v)->changed = true;
    if (f)
        vmwrite(f->code, val);
    else
        err = set_vmcs(v, id, val);
    vmx_done(v);
    return err;
}

/* What decides the mode beside CR3: CS, and how often the rest was set. */
static uint64_t mode_stamp(const struct vmx_vcpu *s, uint64_t ar) { return s->modes << 32 | ar; }

/*
 * What decides the mode is ours, hence in memory; of the segments only what counts is read. 64-bit
 * code has no base, and the level is that of the stack segment, which that of CS equals unless CS
 * conforms (26.3.1.2).
 */
static void vmx_regs_read_mode(const struct vmx_vcpu *s, struct x86_mode_regs *r)
{
    const uint16_t conforming = 0xc;
    /* CS is never unusable */
    uint64_t ar = vmread(GUEST_CS_AR), attr = (ar & 0xff) | (ar >> 4 & 0xf00);

    r->stamp = mode_stamp(s, ar);
    r->cr0 = s->cr0;
    r->cr3 = vmread(GUEST_CR3);
    r->cr4 = s->cr4;
    r->efer = s->efer;
    r->cs_attr = (uint16_t)attr;
    r->cs_base = (attr & ATTR_L) && (s->efer & EFER_LMA) ? 0 : vmread(GUEST_CS_BASE);
    r->cpl = ((attr & conforming) == conforming ? vmread(GUEST_SS_AR) : attr) >> 5 & 3;
}

static __attribute__((noinline)) void read_mode_elsewhere(struct vcpu *v, struct x86_mode_regs *r)
{
    vmx_use(v);
    vmx_regs_read_mode(vmx_of(v), r);
    vmx_done(v);
}

/* Mostly for the vCPU that has just left the guest: its VMCS is current. */
void vmx_x86_mode(struct vcpu *v, struct x86_mode_regs *r)
{
    debug_assert_own_cpu(v);
    if (vmx_is_current(v))
        vmx_regs_read_mode(vmx_of(v), r);
    else
        read_mode_elsewhere(v, r);
}

/* Its VMCS is current. */
bool vmx_x86_mode_same(struct vcpu *v, const struct x86_mode_regs *r)
{
    return ((vmread(GUEST_CR3) ^ r->cr3) | (mode_stamp(vmx_of(v), vmread(GUEST_CS_AR)) ^ r->stamp) |
            (vmread(GUEST_DR7) & DR7_ENABLED)) == 0;
}

/* ---- reset state, volume 3 table 9-1 ---- */

static void vmx_regs_reset_segments(void)
{
    static const struct {
        uint16_t sel, ar;
        uint64_t base;
    } rows[X86_NSEGS] = {
        [X86_ES] = { 0, 0x93, 0 },   [X86_CS] = { 0xf000, 0x9b, 0xffff0000 },
        [X86_SS] = { 0, 0x93, 0 },   [X86_DS] = { 0, 0x93, 0 },
        [X86_FS] = { 0, 0x93, 0 },   [X86_GS] = { 0, 0x93, 0 },
        [X86_LDTR] = { 0, 0x82, 0 }, [X86_TR] = { 0, 0x8b, 0 },
    };

    for (unsigned i = 0; i < X86_NSEGS; i++) {
        vmwrite(GUEST_ES_SEL + 2 * i, rows[i].sel);
        vmwrite(GUEST_ES_BASE + 2 * i, rows[i].base);
        vmwrite(GUEST_ES_LIMIT + 2 * i, 0xffff);
        vmwrite(GUEST_ES_AR + 2 * i, rows[i].ar);
    }
}

static void reset_others(void)
{
    static const struct {
        enum vmcs_field field;
        uint64_t val;
    } rows[] = {
        { GUEST_GDTR_BASE, 0 },       { GUEST_GDTR_LIMIT, 0xffff }, { GUEST_IDTR_BASE, 0 },
        { GUEST_IDTR_LIMIT, 0xffff }, { GUEST_DR7, 0x400 },         { GUEST_INTERRUPTIBILITY, 0 },
        { GUEST_ACTIVITY, 0 },        { GUEST_PENDING_DEBUG, 0 },   { GUEST_CR3, 0 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        vmwrite(rows[i].field, rows[i].val);
}

/* What INIT keeps. */
static void reset_msrs(struct vmx_vcpu *s)
{
    vmwrite(GUEST_PAT, s->pat = 0x0007040600070406);
    vmwrite(GUEST_SYSENTER_CS, 0);
    vmwrite(GUEST_SYSENTER_ESP, 0);
    vmwrite(GUEST_SYSENTER_EIP, 0);
    vmwrite(GUEST_DEBUGCTL, 0);
    memset(s->msr, 0, sizeof s->msr);
}

void vmx_reset_state(struct vcpu *v, bool init)
{
    struct vmx_vcpu *s = vmx_of(v);
    uint64_t caching = init ? s->cr0 & (CR0_CD | CR0_NW) : CR0_CD | CR0_NW;

    assert_own_cpu(v);
    memset(&v->regs, 0, sizeof v->regs);
    v->regs.pc = 0xfff0;
    v->regs.flags = 2;
    v->event.type = VEV_NONE;
    s->rip = s->rsp = s->rflags = UINT64_MAX; /* not what is wanted: they are written */
    s->rsp_known = true;
    s->primary = vmx_caps.primary;
    vmwrite(PRIMARY_CONTROLS, s->primary);
    vmx_regs_reset_segments();
    reset_others();
    (void)vmx_regs_set_efer(v, 0);
    (void)set_cr0(v, 0x10 | caching);
    (void)set_cr4(v, 0);
    cr2_set(v, 0);
    (void)vmx_regs_dr6_set(v, 0xffff0ff0);
    if (!init) {
        reset_msrs(s);
        spec_vcpu_reset(&s->spec);
        vmx_put_spec(s);
    }
    s->changed = true;
    vmx_stale(s, false);
    s->generation = 0; /* CR0 and CR3 changed behind the TLB's back */
}
