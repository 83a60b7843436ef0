/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUID policy: what the engine offers, masked by allow lists, plus the guest's own topology and
 * the hypervisor leaves. AMD APM vol 3 appendix E; Intel SDM vol 2, CPUID; KVM's leaves: Linux
 * Documentation/virt/kvm/x86/cpuid.rst.
 */
#include "x86.h"
#include "platform.h"
#include "x86_devices.h"
#include "x86_intc.h"
#include <hv/assert.h>
#include <hv/nospec.h>
#include <hv/time.h>
#include <string.h>

#define BIT(n) (1u << (n))
/*
 * Leaf 1 ECX: SSE3 PCLMULQDQ SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C
 * RDRAND.
 */
#define L1_ECX                                                                              \
    (BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(17) | BIT(19) | BIT(20) | BIT(22) | \
     BIT(23) | BIT(25) | BIT(26) | BIT(28) | BIT(29) | BIT(30))
#define L1_ECX_X2APIC BIT(21)
#define L1_ECX_TSC_DEADLINE BIT(24)
#define L1_ECX_XSAVE BIT(26)
#define L1_ECX_OSXSAVE BIT(27)
#define L1_ECX_HYPERVISOR BIT(31)
/*
 * Leaf 1 EDX: FPU VME DE PSE TSC MSR PAE MCE CX8 SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX FXSR SSE
 * SSE2.
 */
#define L1_EDX                                                                                \
    (0x1ffu | BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(15) | BIT(16) | BIT(17) | BIT(19) | \
     BIT(23) | BIT(24) | BIT(25) | BIT(26))
#define L1_EDX_APIC BIT(9)
#define L1_EDX_HTT BIT(28)
/*
 * Leaf 7 EBX: FSGSBASE BMI1 AVX2 SMEP BMI2 ERMS INVPCID AVX512F AVX512DQ RDSEED ADX SMAP AVX512IFMA
 * CLFLUSHOPT CLWB AVX512CD SHA AVX512BW AVX512VL.
 */
#define L7_EBX                                                                                 \
    (BIT(0) | BIT(3) | BIT(5) | BIT(7) | BIT(8) | BIT(9) | BIT(10) | L7_EBX_AVX512 | BIT(18) | \
     BIT(19) | BIT(20) | BIT(23) | BIT(24) | BIT(29))
#define L7_EBX_AVX512 (BIT(16) | BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31))
#define L7_EBX_TSC_ADJUST BIT(1)
#define X7_EDX_INVARIANT_TSC BIT(8) /* the engine says so only where it is true */
/*
 * Leaf 7 ECX: AVX512_VBMI UMIP AVX512_VBMI2 GFNI VAES VPCLMULQDQ AVX512_VNNI AVX512_BITALG
 * AVX512_VPOPCNTDQ LA57 RDPID.
 */
#define L7_ECX (L7_ECX_AVX512 | BIT(2) | BIT(8) | BIT(9) | BIT(10) | BIT(16) | BIT(22))
#define L7_ECX_AVX512 (BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14))
/*
 * Leaf 7 EDX: FSRM; against leaks MD_CLEAR IBRS STIBP L1D_FLUSH ARCH_CAPABILITIES SSBD. Its subleaf
 * 2: PSFD IPRED_CTRL RRSBA_CTRL DDPD_U BHI_CTRL MCDT_NO.
 */
#define L7_EDX (BIT(4) | BIT(10) | BIT(26) | BIT(27) | BIT(28) | BIT(29) | BIT(31))
#define L72_EDX 0x3fu
/*
 * Leaf 80000001h ECX: LAHF CR8_LEGACY ABM SSE4A MISALIGNSSE 3DNOWPREFETCH XOP FMA4 TBM TOPOEXT. No
 * SVM, EXTAPIC, IBS, OSVW, performance counters.
 */
#define X1_ECX \
    (BIT(0) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(11) | BIT(16) | BIT(21) | BIT(22))
#define X1_ECX_CMP_LEGACY BIT(1)
#define X1_ECX_TOPOEXT BIT(22)
/* Leaf 80000001h EDX: those of leaf 1 that are repeated, SYSCALL NX MMXEXT FFXSR 1GB RDTSCP LM. */
#define X1_EDX                                                                                     \
    ((L1_EDX & ~(BIT(11) | BIT(19) | BIT(25) | BIT(26))) | BIT(11) | BIT(20) | BIT(22) | BIT(25) | \
     BIT(26) | BIT(27) | BIT(29))
/*
 * Leaf 80000008h EBX: CLZERO XSAVEERPTR WBNOINVD; IBPB IBRS STIBP, how the two are best used, SSBD
 * SSB_NO PSFD BTC_NO IBPB_RET.
 */
#define X8_EBX                                                                               \
    (BIT(0) | BIT(2) | BIT(9) | BIT(12) | 0xfc000u | BIT(24) | BIT(26) | BIT(28) | BIT(29) | \
     BIT(30))
/*
 * Leaf 80000021h EAX: LFENCE always waits, VERW_CLEAR, AutomaticIBRS, SBPB IBPB_BRTYPE SRSO_NO
 * SRSO_USER_KERNEL_NO. ECX: TSA_SQ_NO TSA_L1_NO.
 */
#define X21_EAX (BIT(2) | BIT(5) | X21_EAX_AUTO_IBRS | BIT(27) | BIT(28) | BIT(29) | BIT(30))
#define X21_EAX_AUTO_IBRS BIT(8)
#define X21_ECX (BIT(1) | BIT(2))
#define LD1_EAX (BIT(0) | BIT(1) | BIT(2)) /* XSAVEOPT XSAVEC XGETBV1; no XSAVES */
#define XCR0_MASK 0xe7ull                  /* x87 SSE AVX, AVX-512 in three parts */

/* What a guest gets whose engine says nothing: the first x86-64 processors. */
static void baseline(uint32_t leaf, uint32_t r[4])
{
    memset(r, 0, 4 * sizeof r[0]);
    if (leaf == 0)
        r[0] = 1, memcpy(&r[1], "Auth", 4), memcpy(&r[3], "enti", 4), memcpy(&r[2], "cAMD", 4);
    else if (leaf == 1)
        r[0] = 0x800f12, r[1] = 8 << 8, r[2] = BIT(0) | BIT(13), r[3] = L1_EDX;
    else if (leaf == 0x80000000)
        r[0] = 0x80000008;
    else if (leaf == 0x80000001)
        r[2] = BIT(0), r[3] = BIT(11) | BIT(20) | BIT(29);
    else if (leaf == 0x80000008)
        r[0] = 0x3028;
}

static struct x86_cpuid host(const struct vm *vm, uint32_t leaf, uint32_t sub)
{
    uint32_t r[4];

    if (vm->ops->features != NULL)
        vm->ops->features(leaf, sub, r);
    else
        baseline(leaf, r);
    return (struct x86_cpuid){ r[0], r[1], r[2], r[3] };
}

static void build_features(const struct vm *vm, const struct guest_config *c,
                           struct x86_cpuid_table *t)
{
    struct x86_cpuid h = host(vm, 1, 0), x = host(vm, 0x80000001, 0), *l1 = &t->basic[1],
                     *x1 = &t->ext[1];

    l1->eax = h.eax;
    l1->ebx = (h.ebx & 0xff00) | vm->nvcpus << 16;
    l1->ecx = (h.ecx & L1_ECX) | L1_ECX_TSC_DEADLINE | L1_ECX_HYPERVISOR |
              (c->x2apic ? L1_ECX_X2APIC : 0);
    l1->edx = (h.edx & L1_EDX) | L1_EDX_APIC | (vm->nvcpus > 1 ? L1_EDX_HTT : 0);
    x1->eax = x.eax;
    x1->ecx = (x.ecx & X1_ECX) | (vm->nvcpus > 1 ? X1_ECX_CMP_LEGACY : 0);
    x1->edx = (x.edx & X1_EDX) | L1_EDX_APIC;
}

static void build_leaf7(const struct vm *vm, struct x86_cpuid_table *t)
{
    struct x86_cpuid h = host(vm, 7, 0), *l7 = &t->basic[7];

    l7->ebx = (h.ebx & L7_EBX) | L7_EBX_TSC_ADJUST;
    l7->ecx = h.ecx & L7_ECX;
    l7->edx = h.edx & L7_EDX;
    if ((t->xcr0 & 0xe0) != 0xe0) {
        l7->ebx &= ~L7_EBX_AVX512;
        l7->ecx &= ~L7_ECX_AVX512;
    }
    if (h.eax >= 2)
        t->leaf7_2.edx = host(vm, 7, 2).edx & L72_EDX;
    l7->eax = t->leaf7_2.edx != 0 ? 2 : 0;
}

/*
 * Bytes that XSAVE (standard format) or XSAVEC (compacted: one component behind the other) writes
 * for these components.
 */
static uint32_t xsave_size(const struct x86_cpuid_table *t, uint64_t components, bool compacted)
{
    uint32_t size = 576;

    for (unsigned i = 2; i < X86_CPUID_XSTATE; i++) {
        const struct x86_cpuid *c = &t->xstate[i];

        if ((components >> i & 1) == 0)
            continue;
        if (compacted)
            size = ((c->ecx & 2) != 0 ? (size + 63) & ~63u : size) + c->eax;
        else if (c->eax + c->ebx > size)
            size = c->eax + c->ebx;
    }
    return size;
}

static void build_xsave(const struct vm *vm, struct x86_cpuid_table *t)
{
    struct x86_cpuid h = host(vm, 0xd, 0), one = host(vm, 0xd, 1);

    if ((t->basic[1].ecx & L1_ECX_XSAVE) == 0)
        return;
    t->xcr0 = ((uint64_t)h.edx << 32 | h.eax) & XCR0_MASK;
    if ((t->xcr0 & 0xe0) != 0xe0)
        t->xcr0 &= 7;
    for (unsigned i = 2; i < X86_CPUID_XSTATE; i++) {
        if ((t->xcr0 >> i & 1) == 0)
            continue;
        t->xstate[i] = host(vm, 0xd, i);
        t->xstate[i].ecx &= 2;
    }
    t->xstate[0] = (struct x86_cpuid){ (uint32_t)t->xcr0, 576, xsave_size(t, t->xcr0, false), 0 };
    t->xstate[1] = (struct x86_cpuid){ one.eax & LD1_EAX, 0, 0, 0 };
}

/* One socket of as many cores as there are vCPUs; the APIC ID is the vCPU's number. */
static void build_topology(const struct vm *vm, struct x86_cpuid_table *t)
{
    while (1u << t->core_bits < vm->nvcpus)
        t->core_bits++;
    t->ext[8].ecx = (t->core_bits << 12) | (vm->nvcpus - 1);
    for (unsigned i = 0; i < ARRAY_SIZE(t->leaf4); i++) {
        struct x86_cpuid h = host(vm, 4, i);

        if ((h.eax & 0x1f) == 0)
            break;
        t->leaf4[i] = h;
        t->leaf4[i].eax =
            (h.eax & 0x3fff) | (t->core_bits != 0 ? (BIT(t->core_bits) - 1) << 26 : 0);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(t->cache); i++) {
        struct x86_cpuid h = host(vm, 0x8000001d, i);

        if ((h.eax & 0x1f) == 0)
            break;
        t->cache[i] = h;
        if ((h.eax >> 5 & 7) < 3)
            t->cache[i].eax = h.eax & 0x3fff; /* private to a core */
        else
            t->cache[i].eax = (h.eax & 0x3fff) | (vm->nvcpus - 1) << 14;
    }
}

static void build_ext(const struct vm *vm, struct x86_cpuid_table *t)
{
    struct x86_cpuid h = host(vm, 0x80000000, 0), x8 = host(vm, 0x80000008, 0), x21;

    t->ext_max = 0x80000000u |
                 (uint32_t)min_u64(h.eax & 0xff, (t->ext[1].ecx & X1_ECX_TOPOEXT) != 0 ? 0x21 : 8);
    t->ext[0] = (struct x86_cpuid){ t->ext_max, h.ebx, h.ecx, h.edx };
    for (unsigned i = 2; i <= 6; i++)
        t->ext[i] = host(vm, 0x80000000 + i, 0);
    if ((h.eax & 0xff) >= 7)
        t->ext[7].edx = host(vm, 0x80000007, 0).edx & X7_EDX_INVARIANT_TSC;
    t->ext[8].eax = x8.eax & 0xffff;
    t->ext[8].ebx = x8.ebx & X8_EBX;
    for (unsigned i = 0x19; i <= 0x1a && i <= (t->ext_max & 0xff); i++)
        t->ext[i] = host(vm, 0x80000000 + i, 0);
    if (t->ext_max >= 0x80000021) {
        x21 = host(vm, 0x80000021, 0);
        t->ext[0x21] = (struct x86_cpuid){ x21.eax & X21_EAX, 0, x21.ecx & X21_ECX, 0 };
    }
}

static void build_hv(const struct guest_config *c, struct x86_cpuid_table *t)
{
    t->hv_max = 0x40000010;
    t->hv[0] = (struct x86_cpuid){ t->hv_max, 0, 0, 0 };
    memcpy(&t->hv[0].ebx, c->pv ? "KVMK" : "Triv", 4);
    memcpy(&t->hv[0].ecx, c->pv ? "VMKV" : "etTr", 4);
    memcpy(&t->hv[0].edx, c->pv ? "M\0\0\0" : "ivet", 4);
    if (c->pv)
        t->hv[1].eax = x86_pv_features();
    t->hv[0x10] = (struct x86_cpuid){ (uint32_t)(time_cycles_hz() / 1000),
                                      (uint32_t)(LAPIC_TIMER_HZ / 1000), 0, 0 };
}

/* CR4: APM vol 2 §3.1.3. Each bit only with the feature that it controls. */
static uint64_t cr4_allowed(const struct x86_cpuid_table *t)
{
    const struct x86_cpuid *l1 = &t->basic[1], *l7 = &t->basic[7];
    /* VME PVI TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT */
    uint64_t mask = 0x6ff | CR4_PCE;

    mask |= (l7->ecx & BIT(2)) != 0 ? CR4_UMIP : 0;
    mask |= (l7->ecx & BIT(16)) != 0 ? CR4_LA57 : 0;
    mask |= (l7->ebx & BIT(0)) != 0 ? BIT(16) : 0; /* FSGSBASE */
    mask |= (l1->ecx & BIT(17)) != 0 ? CR4_PCIDE : 0;
    mask |= (l1->ecx & L1_ECX_XSAVE) != 0 ? CR4_OSXSAVE : 0;
    mask |= (l7->ebx & BIT(7)) != 0 ? CR4_SMEP : 0;
    mask |= (l7->ebx & BIT(20)) != 0 ? CR4_SMAP : 0;
    return mask;
}

void x86_cpuid_build(struct vm *vm, const struct guest_config *c, struct x86_machine *m)
{
    struct x86_cpuid_table *t = &m->cpuid;
    struct x86_cpuid h = host(vm, 0, 0);

    assert_cpu0();
    build_features(vm, c, t);
    build_xsave(vm, t);
    if (h.eax >= 7)
        build_leaf7(vm, t);
    build_ext(vm, t);
    build_topology(vm, t);
    build_hv(c, t);
    t->basic_max = 0x15;
    t->basic[0] = (struct x86_cpuid){ t->basic_max, h.ebx, h.ecx, h.edx };
    t->basic[2] = host(vm, 2, 0);
    /* ARAT: the APIC timer never stops */
    t->basic[6].eax = BIT(2);
    t->basic[0x15] = (struct x86_cpuid){ 1000, (uint32_t)(time_cycles_hz() / 1000), 1000000, 0 };
    m->cr4_mask = cr4_allowed(t);
    m->efer_mask = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE |
                   ((t->ext[1].edx & BIT(25)) != 0 ? EFER_FFXSR : 0) |
                   ((t->ext[0x21].eax & X21_EAX_AUTO_IBRS) != 0 ? EFER_AIBRSE : 0);
}

/* APIC ID levels: threads (one a core), then cores (SDM vol 2, leaf 0Bh). */
static struct x86_cpuid topology_leaf(struct vcpu *v, uint32_t sub)
{
    const struct x86_cpuid_table *t = &x86_machine_of(v)->cpuid;
    struct x86_cpuid r = { 0, 0, sub & 0xff, v->id };

    if (sub == 0)
        r.ebx = 1, r.ecx |= 1 << 8;
    else if (sub == 1)
        r.eax = t->core_bits, r.ebx = v->vm->nvcpus, r.ecx |= 2 << 8;
    return r;
}

static struct x86_cpuid xsave_leaf(struct vcpu *v, uint32_t sub)
{
    const struct x86_cpuid_table *t = &x86_machine_of(v)->cpuid;
    struct x86_cpuid r = { 0 };

    if (sub < X86_CPUID_XSTATE)
        r = t->xstate[index_nospec(sub, X86_CPUID_XSTATE)];
    if (sub > 1 || t->xcr0 == 0)
        return r;
    if (sub == 0 || (r.eax & 2) != 0)
        r.ebx = xsave_size(t, x86_get(v, X86_XCR0), sub == 1);
    return r;
}

/* The APIC's bit in leaves 1 and 8000_0001h is that of IA32_APIC_BASE: SDM vol 3 §11.4.3. */
static uint32_t apic_bit_hidden(struct vcpu *v)
{
    return (lapic_get_base(v) & BASE_EN) != 0 ? 0 : L1_EDX_APIC;
}

static struct x86_cpuid basic_leaf(struct vcpu *v, uint32_t leaf, uint32_t sub)
{
    const struct x86_cpuid_table *t = &x86_machine_of(v)->cpuid;
    struct x86_cpuid r = t->basic[leaf];

    if (leaf == 1) {
        r.ebx |= v->id << 24;
        r.edx &= ~apic_bit_hidden(v);
        if ((r.ecx & L1_ECX_XSAVE) != 0 && (x86_get(v, X86_CR4) & CR4_OSXSAVE) != 0)
            r.ecx |= L1_ECX_OSXSAVE;
    } else if (leaf == 4 && sub < ARRAY_SIZE(t->leaf4)) {
        r = t->leaf4[index_nospec(sub, ARRAY_SIZE(t->leaf4))];
    } else if (leaf == 7 && sub != 0) {
        r = sub == 2 ? t->leaf7_2 : (struct x86_cpuid){ 0 };
    } else if (leaf == 0xb) {
        r = topology_leaf(v, sub);
    } else if (leaf == 0xd) {
        r = xsave_leaf(v, sub);
    }
    return r;
}

static struct x86_cpuid ext_leaf(struct vcpu *v, uint32_t n, uint32_t sub)
{
    const struct x86_cpuid_table *t = &x86_machine_of(v)->cpuid;

    if (n == 0x1d && sub >= ARRAY_SIZE(t->cache))
        return (struct x86_cpuid){ 0 };
    if (n == 0x1d)
        return t->cache[index_nospec(sub, ARRAY_SIZE(t->cache))];
    if (n == 0x1e)
        /* extended APIC ID; core; node */
        return (struct x86_cpuid){ v->id, v->id, 0, 0 };
    if (n == 1) {
        struct x86_cpuid r = t->ext[1];

        r.edx &= ~apic_bit_hidden(v);
        return r;
    }
    return t->ext[n];
}

struct x86_cpuid x86_cpuid(struct vcpu *v, uint32_t leaf, uint32_t sub)
{
    const struct x86_cpuid_table *t = &x86_machine_of(v)->cpuid;

    debug_assert_own_cpu(v);
    if (leaf <= t->basic_max)
        return basic_leaf(v, (uint32_t)index_nospec(leaf, ARRAY_SIZE(t->basic)), sub);
    if (leaf >= 0x80000000 && leaf <= t->ext_max)
        return ext_leaf(v, (uint32_t)index_nospec(leaf - 0x80000000, ARRAY_SIZE(t->ext)), sub);
    if (leaf >= 0x40000000 && leaf <= t->hv_max)
        return t->hv[index_nospec(leaf - 0x40000000, ARRAY_SIZE(t->hv))];
    return (struct x86_cpuid){ 0 };
}
