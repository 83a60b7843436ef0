/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model-specific and control registers: one sorted table of MSRs with their rules. Numbers: APM vol
 * 2 appendix A; SDM vol 4.
 */
#include "x86.h"
#include "insn.h"
#include "x86_devices.h"
#include <hv/assert.h>
#include <hv/time.h>
#include <stdio.h>

#define MSR_TSC 0x10
#define MSR_APIC_BASE 0x1b
#define MSR_TSC_ADJUST 0x3b
#define MSR_TSC_DEADLINE 0x6e0
#define MTRR_VAR_WC_FIX 0x508 /* MTRRCAP: write-combining, fixed ranges, 8 variable ranges */
/* MtrrFixDramEn, MtrrFixDramModEn, MtrrVarDramEn, MtrrTom2En, Tom2ForceMemTypeWB */
#define SYSCFG_BITS 0x00f40000ull
#define MISC_ENABLE_RESET 1ull      /* fast strings */
#define DE_CFG_LFENCE 2ull          /* LFENCE serialises */
#define VM_CR_LOCKED 0x18ull        /* SVMDIS and LOCK: no SVM here */
#define HWCR_TSC_FREQ 0x01000000ull /* TscFreqSel: the TSC runs at P0 */
#define MSR_FEATURES_7 0xc0011002   /* CPUID 7: EAX, EBX */
#define MSR_FEATURES_1 0xc0011004   /* CPUID 1: ECX, EDX; the next one is of 8000_0001h */
#define PATCH_LEVEL 0x01000065ull

struct msr {
    uint32_t first, last;
    int (*get)(struct vcpu *, const struct msr *, uint32_t n, uint64_t *);
    int (*set)(struct vcpu *, const struct msr *, uint32_t n, uint64_t);
    uint16_t field; /* offset in struct x86_state, for those that are stored */
    uint64_t bits;  /* stored: bits that may be set; constant: the value */
    const char *name, *why;
};

uint64_t x86_tsc(struct vcpu *v)
{
    return time_cycles() + x86_machine_of(v)->tsc_offset + x86_of(v)->s.tsc_adjust;
}

void x86_msr_reset(struct x86_state *s)
{
    *s = (struct x86_state){ .version = X86_STATE_VERSION,
                             .misc_enable = MISC_ENABLE_RESET,
                             .patch_level = PATCH_LEVEL,
                             .hwcr = HWCR_TSC_FREQ,
                             .mtrr_def_type = 0xc06 }; /* MTRRs on, write-back */
}

static uint64_t *field(struct vcpu *v, const struct msr *m, uint32_t n)
{
    return (uint64_t *)(void *)((char *)&x86_of(v)->s + m->field) + (n - m->first);
}

static int get_stored(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t *val)
{
    *val = *field(v, m, n);
    return 0;
}

static int set_stored(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t val)
{
    if ((val & ~m->bits) != 0)
        return -EINVAL;
    *field(v, m, n) = val;
    return 0;
}

/* Bits that do nothing here are dropped, not refused: kernels set errata bits in these. */
static int set_masked(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t val)
{
    *field(v, m, n) = val & m->bits;
    return 0;
}

static int get_constant(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t *val)
{
    (void)v, (void)n;
    *val = m->bits;
    return 0;
}

static int set_ignored(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t val)
{
    (void)v, (void)m, (void)n, (void)val;
    return 0;
}

static int get_engine(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t *val)
{
    (void)m;
    return v->ops->get_sysreg(v, n, val) == 0 ? 0 : -EINVAL;
}

static int set_engine(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t val)
{
    (void)m;
    return v->ops->set_sysreg(v, n, val) == 0 ? 0 : -EINVAL;
}

static bool canonical(uint64_t va, bool la57)
{
    unsigned shift = la57 ? 7 : 16;

    return (uint64_t)((int64_t)(va << shift) >> shift) == va;
}

static int set_address(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t val)
{
    if (!canonical(val, (x86_get(v, X86_CR4) & CR4_LA57) != 0))
        return -EINVAL;
    return set_engine(v, m, n, val);
}

static bool valid_pat(uint64_t val)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned type = val >> 8 * i & 0xff;

        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

static int set_pat(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t val)
{
    return valid_pat(val) ? set_engine(v, m, n, val) : -EINVAL;
}

/* Those of the PAT, less 7 (UC-), which MTRRs do not have: SDM vol 3 §12.11.2.1. */
static bool valid_mtrr_types(uint64_t val)
{
    for (unsigned i = 0; i < 8; i++)
        if ((val >> 8 * i & 0xff) == 7)
            return false;
    return valid_pat(val);
}

static int set_mtrr_fixed(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t val)
{
    val &= ~0x1818181818181818ull; /* RdDram, WrDram of AMD: no firmware decisions here */
    return valid_mtrr_types(val) ? set_stored(v, m, n, val) : -EINVAL;
}

static int set_mtrr_variable(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t val)
{
    bool base = ((n - m->first) & 1) == 0;

    if (base ? (val & 0xf00) != 0 || !valid_mtrr_types(val & 0xff) : (val & 0x7ff) != 0)
        return -EINVAL;
    return set_stored(v, m, n, val);
}

static int set_mtrr_def(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t val)
{
    return valid_mtrr_types(val & 0xff) ? set_stored(v, m, n, val) : -EINVAL;
}

/* EFER: APM vol 2 §3.1.7. LME cannot change while paging is on; LMA is the CPU's own. */
static int set_efer(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t val)
{
    uint64_t old = x86_get(v, X86_EFER);

    if ((val & ~x86_machine_of(v)->efer_mask) != 0)
        return -EINVAL;
    if (((val ^ old) & EFER_LME) != 0 && (x86_get(v, X86_CR0) & CR0_PG) != 0)
        return -EINVAL;
    return set_engine(v, m, n, (val & ~(uint64_t)EFER_LMA) | (old & EFER_LMA));
}

static int get_tsc(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t *val)
{
    (void)m, (void)n;
    *val = x86_tsc(v);
    return 0;
}

static void move_tsc(struct vcpu *v, uint64_t adjust)
{
    x86_of(v)->s.tsc_adjust = adjust;
    x86_set(v, X86_TSC_OFFSET, x86_machine_of(v)->tsc_offset + adjust);
    lapic_tsc_changed(v);
}

static int set_tsc(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t val)
{
    (void)m, (void)n;
    move_tsc(v, x86_of(v)->s.tsc_adjust + (val - x86_tsc(v)));
    return 0;
}

static int set_tsc_adjust(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t val)
{
    (void)m, (void)n;
    move_tsc(v, val);
    return 0;
}

static int get_apic_base(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t *val)
{
    (void)m, (void)n;
    *val = lapic_get_base(v);
    return 0;
}

static int set_apic_base(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t val)
{
    (void)m, (void)n;
    return lapic_set_base(v, val);
}

static int get_deadline(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t *val)
{
    (void)m, (void)n;
    *val = lapic_get_tsc_deadline(v);
    return 0;
}

static int set_deadline(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t val)
{
    (void)m, (void)n;
    x86_pv_tick(v);
    lapic_set_tsc_deadline(v, val);
    return 0;
}

static int get_x2apic(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t *val)
{
    (void)m;
    return lapic_msr(v, n, false, val);
}

static int set_x2apic(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t val)
{
    (void)m;
    return lapic_msr(v, n, true, &val);
}

static int get_pv(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t *val)
{
    (void)m;
    return x86_pv_get(v, n, val);
}

static int set_pv(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t val)
{
    (void)m;
    return x86_pv_set(v, n, val);
}

/* What CPUID tells, as two registers: kernels that would change it read it first. Family 17h PPR.
 */
static int get_features(struct vcpu *v, const struct msr *m, uint32_t n, uint64_t *val)
{
    struct x86_cpuid c;

    (void)m;
    if (n == MSR_FEATURES_7) {
        c = x86_cpuid(v, 7, 0);
        *val = (uint64_t)c.eax << 32 | c.ebx;
        return 0;
    }
    c = x86_cpuid(v, n == MSR_FEATURES_1 ? 1 : 0x80000001, 0);
    *val = (uint64_t)c.ecx << 32 | c.edx;
    return 0;
}

static const struct msr x2apic = {
    0x800, 0x8ff, get_x2apic, set_x2apic,
    0,     0,     "X2APIC",   "x2APIC (CPUID 1, ECX.21): the local APIC's registers"
};
#define STATE(f) offsetof(struct x86_state, f)
/*
 * Sorted by number; 0x800..0x8ff are above. A row without `set` is read-only. Each row says why it
 * is there; an MSR that no row names raises #GP, as on a CPU that has none.
 */
static const struct msr msrs[] = {
    { MSR_TSC, MSR_TSC, get_tsc, set_tsc, 0, 0, "TSC", "TSC (CPUID 1, EDX.4)" },
    { MSR_KVM_WALL_CLOCK, MSR_KVM_SYSTEM_TIME, get_pv, set_pv, 0, 0,
      "KVM_WALL_CLOCK, KVM_SYSTEM_TIME", "KVM's clock, old numbers (CPUID 4000_0001h)" },
    { 0x17, 0x17, get_constant, NULL, 0, 0, "PLATFORM_ID",
      "read unasked with the microcode's revision on Intel CPUs" },
    { MSR_APIC_BASE, MSR_APIC_BASE, get_apic_base, set_apic_base, 0, 0, "APIC_BASE",
      "local APIC (CPUID 1, EDX.9)" },
    { MSR_TSC_ADJUST, MSR_TSC_ADJUST, get_stored, set_tsc_adjust, STATE(tsc_adjust), 0,
      "TSC_ADJUST", "CPUID 7, EBX.1" },
    { 0x48, 0x48, get_engine, set_engine, 0, 0, "SPEC_CTRL",
      "speculation controls (CPUID 7, EDX; 8000_0008h, EBX); PRED_CMD and FLUSH_CMD never exit "
      "where they are there" },
    { 0x8b, 0x8b, get_stored, set_ignored, STATE(patch_level), 0, "PATCH_LEVEL",
      "kernels read the microcode's level and look for errata by it" },
    { 0xfe, 0xfe, get_constant, NULL, 0, MTRR_VAR_WC_FIX, "MTRRCAP", "MTRRs (CPUID 1, EDX.12)" },
    { 0x10a, 0x10a, get_engine, NULL, 0, 0, "ARCH_CAPABILITIES", "CPUID 7, EDX.29" },
    { 0x174, 0x174, get_engine, set_engine, 0, 0, "SYSENTER_CS", "SYSENTER (CPUID 1, EDX.11)" },
    { 0x175, 0x176, get_engine, set_address, 0, 0, "SYSENTER_ESP, SYSENTER_EIP",
      "SYSENTER (CPUID 1, EDX.11)" },
    { 0x179, 0x179, get_constant, NULL, 0, 0, "MCG_CAP",
      "machine checks (CPUID 1, EDX.14): there are no banks" },
    { 0x17a, 0x17a, get_stored, set_stored, STATE(mcg_status), 7, "MCG_STATUS",
      "machine checks (CPUID 1, EDX.14)" },
    { 0x198, 0x198, get_constant, NULL, 0, 0, "PERF_STATUS",
      "read unasked by kernels that work out the TSC's rate; 0 sends them to a timer" },
    { 0x1a0, 0x1a0, get_stored, set_masked, STATE(misc_enable), MISC_ENABLE_RESET, "MISC_ENABLE",
      "read and written unasked on Intel CPUs" },
    { 0x1d9, 0x1d9, get_stored, set_masked, STATE(debugctl), 0, "DEBUGCTL",
      "every CPU with long mode has it; there are no branch records" },
    { 0x200, 0x200 + 2 * X86_MTRR_VAR - 1, get_stored, set_mtrr_variable, STATE(mtrr_var),
      0x000fffffffffffff, "MTRR_PHYSBASE, MTRR_PHYSMASK",
      "MTRRs (CPUID 1, EDX.12): stored, and without effect, as nested paging decides" },
    { 0x250, 0x250, get_stored, set_mtrr_fixed, STATE(mtrr_fix[0]), UINT64_MAX, "MTRR_FIX64K",
      "MTRRs (CPUID 1, EDX.12)" },
    { 0x258, 0x259, get_stored, set_mtrr_fixed, STATE(mtrr_fix[1]), UINT64_MAX, "MTRR_FIX16K",
      "MTRRs (CPUID 1, EDX.12)" },
    { 0x268, 0x26f, get_stored, set_mtrr_fixed, STATE(mtrr_fix[3]), UINT64_MAX, "MTRR_FIX4K",
      "MTRRs (CPUID 1, EDX.12)" },
    { X86_PAT, X86_PAT, get_engine, set_pat, 0, 0, "PAT", "CPUID 1, EDX.16" },
    { 0x2ff, 0x2ff, get_stored, set_mtrr_def, STATE(mtrr_def_type), 0xcff, "MTRR_DEF_TYPE",
      "MTRRs (CPUID 1, EDX.12)" },
    { MSR_TSC_DEADLINE, MSR_TSC_DEADLINE, get_deadline, set_deadline, 0, 0, "TSC_DEADLINE",
      "CPUID 1, ECX.24" },
    { MSR_KVM_WALL_CLOCK_NEW, MSR_KVM_POLL_CONTROL, get_pv, set_pv, 0, 0,
      "KVM_WALL_CLOCK_NEW ... KVM_POLL_CONTROL", "KVM's interface (CPUID 4000_0001h)" },
    { X86_EFER, X86_EFER, get_engine, set_efer, 0, 0, "EFER",
      "long mode, SYSCALL, NX (CPUID 8000_0001h, EDX)" },
    { 0xc0000081, 0xc0000081, get_engine, set_engine, 0, 0, "STAR",
      "SYSCALL (CPUID 8000_0001h, EDX.11)" },
    { 0xc0000082, 0xc0000083, get_engine, set_address, 0, 0, "LSTAR, CSTAR",
      "SYSCALL (CPUID 8000_0001h, EDX.11)" },
    { 0xc0000084, 0xc0000084, get_engine, set_engine, 0, 0, "SFMASK",
      "SYSCALL (CPUID 8000_0001h, EDX.11)" },
    { X86_FS_BASE, X86_KERNEL_GS_BASE, get_engine, set_address, 0, 0,
      "FS_BASE, GS_BASE, KERNEL_GS_BASE", "long mode (CPUID 8000_0001h, EDX.29)" },
    { 0xc0000103, 0xc0000103, get_engine, set_engine, 0, 0, "TSC_AUX",
      "RDTSCP (CPUID 8000_0001h, EDX.27)" },
    { 0xc0010000, 0xc0010007, get_constant, set_ignored, 0, 0, "PERF_CTL, PERF_CTR 0 to 3",
      "no CPUID bit tells of the first four counters, so kernels try them; none counts" },
    { 0xc0010010, 0xc0010010, get_stored, set_masked, STATE(syscfg), SYSCFG_BITS, "SYSCFG",
      "Linux sets MtrrFixDramEn in it while it changes MTRRs of AMD CPUs" },
    { 0xc0010015, 0xc0010015, get_stored, set_masked, STATE(hwcr), 0x01000078, "HWCR",
      "TscFreqSel says that the TSC's rate stays; kernels set workarounds in it" },
    { 0xc001001a, 0xc001001a, get_constant, set_ignored, 0, 0xc0000000, "TOP_MEM",
      "where memory below 4 GiB ends, read unasked on AMD CPUs" },
    { 0xc001001d, 0xc001001d, get_constant, set_ignored, 0, 0, "TOP_MEM2",
      "read with SYSCFG's Tom2En, which stays 0" },
    { 0xc001001f, 0xc001001f, get_stored, set_masked, STATE(nb_cfg), 0x0000400000000000, "NB_CFG",
      "Linux turns on extended configuration cycles in it, unasked" },
    { 0xc0010055, 0xc0010055, get_constant, set_ignored, 0, 0, "INT_PENDING_MSG",
      "Linux looks there for C1E, unasked" },
    { 0xc0010058, 0xc0010058, get_constant, set_ignored, 0, 0, "MMIO_CFG_BASE",
      "where configuration space is mapped; off, as MCFG tells" },
    { 0xc0010061, 0xc001006b, get_constant, set_ignored, 0, 0, "PSTATE_CUR_LIMIT ... PSTATE_7",
      "read unasked for clock rates; Xen 4.17 reads the last" },
    { 0xc0010112, 0xc0010113, get_constant, set_ignored, 0, 0, "SMM_ADDR, SMM_MASK",
      "Linux reads where SMM's memory is, not to map it in large pages" },
    { 0xc0010114, 0xc0010114, get_constant, set_ignored, 0, VM_CR_LOCKED, "VM_CR",
      "is SVM switched off? It is, and locked" },
    { MSR_FEATURES_7, MSR_FEATURES_7, get_features, set_ignored, 0, 0, "CPUID_7_FEATURES",
      "what CPUID 7 tells, to be changed; Xen 4.17 reads it, unasked" },
    { MSR_FEATURES_1, MSR_FEATURES_1 + 1, get_features, set_ignored, 0, 0,
      "CPUID_FEATURES, CPUID_EXT_FEATURES",
      "what CPUID 1 and 8000_0001h tell, to be changed; Xen 4.17 reads them, unasked" },
    { 0xc0011020, 0xc0011023, get_constant, set_ignored, 0, 0, "LS_CFG, IC_CFG, DC_CFG, BU_CFG",
      "kernels set workarounds of errata in them" },
    { 0xc0011028, 0xc0011028, get_constant, set_ignored, 0, 0, "FP_CFG",
      "kernels set workarounds of errata in it" },
    { 0xc0011029, 0xc0011029, get_constant, set_ignored, 0, DE_CFG_LFENCE, "DE_CFG",
      "kernels read whether LFENCE waits for all before it; it does" },
    { 0xc001102a, 0xc001102a, get_constant, set_ignored, 0, 0, "BU_CFG2",
      "kernels set workarounds of errata in it" },
};

bool x86_msr_row(unsigned i, struct x86_msr_row *out)
{
    const struct msr *m = i < ARRAY_SIZE(msrs) ? &msrs[i] : &x2apic; /* nospec: the manual asks */

    *out = (struct x86_msr_row){ m->first, m->last, m->name, m->why, m->set != NULL };
    return i <= ARRAY_SIZE(msrs);
}

static const struct msr *find(uint32_t n)
{
    unsigned lo = 0, hi = ARRAY_SIZE(msrs);

    if (n - 0x800 < 0x100) /* the local APIC's: by far the most frequent */
        return &x2apic;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;

        if (n < msrs[mid].first)
            hi = mid;
        else if (n > msrs[mid].last)
            lo = mid + 1;
        else
            return &msrs[mid];
    }
    return NULL;
}

bool x86_state_valid(const struct x86_state *s)
{
    for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
        const struct msr *m = &msrs[i];
        const uint64_t *val = (const uint64_t *)(const void *)((const char *)s + m->field);

        if (m->get != get_stored || m->set == set_ignored || m->set == set_tsc_adjust)
            continue; /* not stored, or any number */
        for (uint32_t n = m->first; n <= m->last; n++)
            if (*val++ & ~m->bits)
                return false;
    }
    return s->version == X86_STATE_VERSION && !s->pad && !(s->kvm_steal_time & 0x3e);
}

int x86_rdmsr(struct vcpu *v, uint32_t n, uint64_t *val)
{
    const struct msr *m = find(n);

    debug_assert_own_cpu(v);
    return m != NULL ? m->get(v, m, n, val) : -EINVAL;
}

int x86_wrmsr(struct vcpu *v, uint32_t n, uint64_t val)
{
    const struct msr *m = find(n);

    debug_assert_own_cpu(v);
    return m != NULL && m->set != NULL ? m->set(v, m, n, val) : -EINVAL;
}

/* Each MSR number is logged once; a guest that tries many is logged for the first of them. */
static void log_refused(struct vcpu *v, uint32_t n, bool write, uint64_t val)
{
    const struct msr *m = find(n);
    const char *name = m != NULL ? m->name : "no such register";

    if (!seen_first(&x86_machine_of(v)->seen_msr, n))
        return;
    if (write)
        vm_log(v->vm, LOG_INFO, "vCPU %u: WRMSR %#x = %#llx refused (#GP; %s)", v->id, n,
               (unsigned long long)val, name);
    else
        vm_log(v->vm, LOG_INFO, "vCPU %u: RDMSR %#x refused (#GP; %s)", v->id, n, name);
}

static int msr_exit(struct vcpu *v, struct vcpu_exit *e)
{
    uint64_t *g = v->regs.gpr, val = e->sysreg.val;
    bool write = e->sysreg.write;
    unsigned len = e->insn_len;
    int err;

    if (len == 0) {
        len = x86_insn_length(v, write ? 0x0f30 : 0x0f32);
        if (len == 0)
            return 0;
    }
    err = write ? x86_wrmsr(v, e->sysreg.id, val) : x86_rdmsr(v, e->sysreg.id, &val);
    if (err != 0) {
        log_refused(v, e->sysreg.id, write, val);
        x86_raise(v, X86_GP, 0);
        return 0;
    }
    if (!write) {
        g[X86_RAX] = (uint32_t)val;
        g[X86_RDX] = val >> 32;
    }
    v->ops->skip_insn(v, len);
    return 0;
}

/*
 * XCR0: APM vol 4, XSETBV. x87 always; AVX needs SSE; the three parts of AVX-512 go together and
 * need AVX.
 */
static bool valid_xcr0(const struct x86_machine *m, uint64_t val)
{
    if ((val & ~m->cpuid.xcr0) != 0 || (val & 1) == 0 || (val & 6) == 4)
        return false;
    return (val & 0xe0) == 0 || ((val & 0xe0) == 0xe0 && (val & 6) == 6);
}

/* What the engine refuses is the guest's mistake too: reserved bits. */
static int set_checked(struct vcpu *v, uint32_t id, uint64_t val)
{
    return v->ops->set_sysreg(v, id, val) == 0 ? 0 : -EINVAL;
}

/*
 * CR0: APM vol 2 §3.1.1 and §14.6.1. Turning paging on with LME enters long mode, and needs PAE
 * and a CS that is not 64-bit.
 */
static int write_cr0(struct vcpu *v, uint64_t val)
{
    uint64_t old = x86_get(v, X86_CR0), efer = x86_get(v, X86_EFER), cr4 = x86_get(v, X86_CR4);
    bool on = (val & ~old & CR0_PG) != 0, off = (old & ~val & CR0_PG) != 0;
    bool cs64 = (x86_get(v, X86_SEG_ATTR + X86_CS) & 1 << 9) != 0;

    if (val >> 32 != 0 || ((val & CR0_PG) != 0 && (val & CR0_PE) == 0) ||
        ((val & CR0_NW) != 0 && (val & CR0_CD) == 0))
        return -EINVAL;
    if (on && (efer & EFER_LME) != 0 && ((cr4 & CR4_PAE) == 0 || cs64))
        return -EINVAL;
    if (off && ((efer & EFER_LMA) != 0 && (cs64 || (cr4 & CR4_PCIDE) != 0)))
        return -EINVAL;
    if (on && (efer & EFER_LME) != 0)
        x86_set(v, X86_EFER, efer | EFER_LMA);
    else if (off)
        x86_set(v, X86_EFER, efer & ~(uint64_t)EFER_LMA);
    return set_checked(v, X86_CR0, val | CR0_ET);
}

static int write_cr4(struct vcpu *v, uint64_t val)
{
    uint64_t efer = x86_get(v, X86_EFER), changed = val ^ x86_get(v, X86_CR4);
    bool lma = (efer & EFER_LMA) != 0;

    if ((val & ~x86_machine_of(v)->cr4_mask) != 0 ||
        (lma && ((val & CR4_PAE) == 0 || (changed & CR4_LA57) != 0)))
        return -EINVAL;
    if ((val & changed & CR4_PCIDE) != 0 && (!lma || (x86_get(v, X86_CR3) & 0xfff) != 0))
        return -EINVAL;
    return set_checked(v, X86_CR4, val);
}

int x86_write_cr(struct vcpu *v, uint32_t id, uint64_t val)
{
    debug_assert_own_cpu(v);
    switch (id) {
    case X86_CR0: return write_cr0(v, val);
    case X86_CR2:
    case X86_CR3: return set_checked(v, id, val);
    case X86_CR4: return write_cr4(v, val);
    case X86_CR8:
        if (val > 15)
            return -EINVAL;
        lapic_set_cr8(v, (uint8_t)val);
        return 0;
    case X86_XCR0:
        if (!valid_xcr0(x86_machine_of(v), val))
            return -EINVAL;
        return set_checked(v, X86_XCR0, val);
    default: return -EINVAL;
    }
}

static uint64_t read_cr(struct vcpu *v, uint32_t id)
{
    return id == X86_CR8 ? lapic_get_cr8(v) : x86_get(v, id);
}

/* PE MP EM TS of the operand; PE is never cleared (APM vol 3, LMSW). */
static uint64_t lmsw_value(struct vcpu *v, uint64_t operand)
{
    return (x86_get(v, X86_CR0) & ~0xeull) | (operand & 0xf);
}

/* MOV to or from CRn, LMSW, and XSETBV: the instruction says which register. */
static int cr_exit(struct vcpu *v, struct vcpu_exit *e)
{
    struct x86_cr_insn in;
    uint64_t *g = v->regs.gpr;
    int err = 0;

    if (!x86_cr_decode(v, e, &in))
        return 0;
    if (in.id == 0) {
        x86_raise(v, X86_UD, 0);
        return 0;
    }
    if (in.id == X86_XCR0)
        err = (uint32_t)g[X86_RCX] != 0
                  ? -EINVAL
                  : x86_write_cr(v, X86_XCR0, g[X86_RDX] << 32 | (uint32_t)g[X86_RAX]);
    else if (in.lmsw)
        err = x86_write_cr(v, X86_CR0, lmsw_value(v, g[in.gpr]));
    else if (in.write)
        err = x86_write_cr(v, in.id, in.is64 ? g[in.gpr] : (uint32_t)g[in.gpr]);
    else
        g[in.gpr] = read_cr(v, in.id);
    if (err != 0)
        x86_raise(v, X86_GP, 0);
    else
        v->ops->skip_insn(v, in.len);
    return 0;
}

int x86_sysreg_exit(struct vcpu *v, struct vcpu_exit *e)
{
    debug_assert_own_cpu(v);
    return e->sysreg.cr ? cr_exit(v, e) : msr_exit(v, e);
}
