/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spec.c: doing what spec_intel.c or spec_amd.c decided. IBPB between guests is in guest_fpu.c;
 * entries and exits are in spec_entry.h.
 */
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/percpu.h>
#include <hv/vcpu.h>
#include <string.h>

#include <arch/cpu.h>

#include "private.h"
#include "spec.h"
#include "spec_entry.h"
#include "thunks.h"
#include "vmx.h"

#define MSR_TSX_CTRL 0x122u
#define TSX_OFF 3u /* RTM_DISABLE, TSX_CPUID_CLEAR */
#define MSR_MCU_OPT_CTRL 0x123u
#define MSR_DE_CFG 0xc0011029u /* bit 1: LFENCE waits (AMD) */
#define MSR_BP_CFG 0xc001102eu /* bit 4: BpSpecReduce (Zen 5) */
#define EFER_AIBRSE (1ull << 21)
#define L7_ARCH_CAPS 29
#define L7_SRBDS_CTRL 9
/* Bits of CPUID that struct spec_offer is about. */
#define L7_EDX_SPEC (1u << 10 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 29 | 1u << 31)
#define L72_EDX_SPEC 0x3fu
#define X8_EBX_SPEC 0x770fd000u
#define X21_EAX_SPEC 0xf8000124u
#define X21_ECX_SPEC 6u
#define CAPS_GDS_CTRL 25
#define HYPERVISOR 31 /* CPUID 1 ECX */

static_assert(offsetof(struct spec_vcpu, guest) == SPEC_GUEST &&
                  offsetof(struct spec_vcpu, host) == SPEC_HOST &&
                  offsetof(struct spec_vcpu, flags) == SPEC_FLAGS,
              "spec_entry.h");

struct spec_plan spec;
/* VERW clears buffers only with a selector in memory */
const uint16_t spec_selector = SEL_DATA;
static bool set_up[MAX_CPUS];
/* twice the largest first-level data cache of a CPU without FLUSH_CMD */
static uint8_t evict[64 << 10] __attribute__((aligned(4096)));

/* ---- what the CPU says ---- */

/*
 * How many low bits of an APIC ID tell the threads of a core apart: leaf Bh, or 8000001Eh on older
 * AMD CPUs.
 */
static unsigned thread_bits(void)
{
    struct cpuid b = x86_features.max_leaf >= 0xb ? cpuid(0xb, 0) : (struct cpuid){ 0 };
    unsigned bits = 0;

    if (b.b && (b.c >> 8 & 0xff) == 1)
        return b.a & 31;
    if (x86_features.max_ext < 0x8000001e || !(cpuid(0x80000001, 0).c >> 22 & 1))
        return 0;
    while ((1u << bits) < (cpuid(0x8000001e, 0).b >> 8 & 0xff) + 1)
        bits++;
    return bits;
}

uint32_t arch_core_id(uint32_t cpu)
{
    static uint8_t known; /* bits + 1; the same for all */

    if (!known)
        known = (uint8_t)(thread_bits() + 1);
    return percpus[cpu].hw_id >> (known - 1);
}

/* How the threads of a core will be used: see sched_smt_choose(). */
static enum spec_smt spec_smt(void)
{
    enum sched_smt smt = the_config.host.smt;

    if (smt == SMT_OFF || !sched_has_threads())
        return SPEC_SMT_NONE;
    return smt == SMT_ON ? SPEC_SMT_SHARED : SPEC_SMT_CORE;
}

static void read_model(struct spec_facts *f)
{
    uint32_t a = cpuid(1, 0).a, family = a >> 8 & 15;

    f->stepping = a & 15;
    f->model = (uint8_t)((a >> 4 & 15) | (a >> 12 & 0xf0));
    f->family = (uint8_t)(family == 15 ? family + (a >> 20 & 0xff) : family);
}

static struct spec_facts facts(void)
{
    struct cpuid l7 = x86_features.max_leaf >= 7 ? cpuid(7, 0) : (struct cpuid){ 0 };
    struct spec_facts f = {
        .l1_ecx = cpuid(1, 0).c, .l7_ebx = l7.b, .l7_edx = l7.d, .smt = spec_smt()
    };

    read_model(&f);
    f.l7_2_edx = l7.a >= 2 ? cpuid(7, 2).d : 0;
    f.x8_ebx = x86_features.max_ext >= 0x80000008 ? cpuid(0x80000008, 0).b : 0;
    if (x86_features.max_ext >= 0x80000021) {
        f.x21_eax = cpuid(0x80000021, 0).a;
        f.x21_ecx = cpuid(0x80000021, 0).c;
    }
    if (l7.d >> L7_ARCH_CAPS & 1)
        f.arch_caps = rdmsr(SPEC_MSR_CAPS);
    if ((l7.d >> L7_SRBDS_CTRL & 1) || (f.arch_caps >> CAPS_GDS_CTRL & 1))
        f.mcu_opt = rdmsr(MSR_MCU_OPT_CTRL);
    return f;
}

/*
 * [host] mitigations = all: what needs no MSR, to run and to measure it on any CPU of this maker.
 */
static void add_all(bool intel)
{
    spec.fill_rsb = spec.verw = spec.retpolines = true;
    spec.clear_bhb |= intel;
    spec.split_exec |= intel;
    spec.flush_by_reads |= intel && !spec.flush_l1d;
    spec.flush_l1d |= intel;
}

/* The only time that code is written to: by this CPU, with interrupts off. */
static void use_retpolines(void)
{
    uint64_t cr0 = read_cr0();

    write_cr0(cr0 & ~CR0_WP);
    thunks_make_retpolines();
    write_cr0(cr0);
}

void arch_mitigations_init(void)
{
    struct spec_facts f = facts();
    bool off = the_config.host.mitigations == MITIGATIONS_OFF, intel = x86_has_vmx();

    assert_cpu0();
    (intel ? spec_intel : spec_amd)(&f, off, &spec);
    /* its MSR is not architectural: other hypervisors may not have it */
    spec.lfence &= !(f.l1_ecx >> HYPERVISOR & 1);
    if (the_config.host.mitigations == MITIGATIONS_ALL)
        add_all(intel);
    if (spec.retpolines)
        use_retpolines();
    if (spec.split_exec)
        ept_split_exec();
    mitigations_set(&spec.told);
}

/* ---- each CPU ---- */

static void set_up_cpu(void)
{
    if (spec.spec_ctrl && (spec.host || spec.ibrs_exit))
        wrmsr(SPEC_MSR_CTRL, spec.host);
    if (spec.auto_ibrs)
        wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_AIBRSE);
    if (spec.lfence)
        wrmsr(MSR_DE_CFG, rdmsr(MSR_DE_CFG) | 1u << 1);
    if (spec.bp_spec_reduce)
        wrmsr(MSR_BP_CFG, rdmsr(MSR_BP_CFG) | 1u << 4);
    if (spec.tsx_off)
        wrmsr(MSR_TSX_CTRL, TSX_OFF);
    if (spec.mcu_clear)
        wrmsr(MSR_MCU_OPT_CTRL, rdmsr(MSR_MCU_OPT_CTRL) & ~spec.mcu_clear);
}

void spec_load(void)
{
    bool *done = &set_up[x86_this_cpu()->id];

    if (!*done)
        set_up_cpu();
    *done = true;
}

/*
 * Without FLUSH_CMD: reading twice as much as the cache holds throws out what it held; once a page
 * first, for the TLB.
 */
void spec_flush_l1d(void)
{
    volatile const uint8_t *p = evict;

    if (!spec.flush_by_reads) {
        wrmsr(SPEC_MSR_FLUSH, 1);
        return;
    }
    for (size_t i = 0; i < sizeof evict; i += PAGE_SIZE)
        (void)p[i];
    __asm__ volatile("lfence" : : : "memory");
    for (size_t i = 0; i < sizeof evict; i += 64)
        (void)p[i];
    __asm__ volatile("lfence" : : : "memory");
}

/* ---- what guests see ---- */

void spec_features(uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    const struct spec_offer *g = &spec.guest;
    const struct {
        uint32_t leaf, subleaf, reg, about, offered;
    } rows[] = {
        { 7, 0, 3, L7_EDX_SPEC, g->l7_edx },
        { 7, 2, 3, L72_EDX_SPEC, g->l7_2_edx },
        { 0x80000008, 0, 1, X8_EBX_SPEC, g->x8_ebx },
        { 0x80000021, 0, 0, X21_EAX_SPEC, g->x21_eax },
        { 0x80000021, 0, 2, X21_ECX_SPEC, g->x21_ecx },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].leaf == leaf && rows[i].subleaf == subleaf)
            regs[rows[i].reg] = (regs[rows[i].reg] & ~rows[i].about) | rows[i].offered;
}

int spec_get_caps(uint64_t *val)
{
    if (!(spec.guest.l7_edx >> L7_ARCH_CAPS & 1))
        return -ENOENT;
    *val = spec.guest.arch_caps;
    return 0;
}

/* ---- a vCPU's SPEC_CTRL ---- */

void spec_vcpu_reset(struct spec_vcpu *s)
{
    const struct spec_plan *p = &spec;

    memset(s, 0, sizeof *s);
    s->host = p->host;
    s->guest = p->ibrs_exit ? 0 : p->host;
    s->flags = (p->ibrs_exit ? SPEC_SWITCH | SPEC_ALWAYS : 0u) | (p->ibpb_exit ? SPEC_IBPB : 0u) |
               (p->fill_rsb   ? SPEC_RSB
                : p->fill_one ? SPEC_RET
                              : 0u) |
               (p->clear_bhb ? SPEC_BHB : 0u) | (p->verw ? SPEC_VERW : 0u);
}

int spec_get(const struct spec_vcpu *s, uint64_t *val)
{
    if (!spec.spec_ctrl)
        return -ENOENT;
    *val = s->flags & SPEC_READ ? s->guest : s->own;
    return 0;
}

int spec_check(uint64_t val)
{
    if (!spec.spec_ctrl)
        return -ENOENT;
    return val & ~spec.spec_known ? -EINVAL : 0;
}

/* Until it writes something, a guest needs no switching: most never do. */
void spec_set(struct spec_vcpu *s, uint64_t val)
{
    s->own = val;
    if (val)
        s->flags |= SPEC_SWITCH | SPEC_READ;
    if (s->flags & SPEC_READ)
        s->guest = val;
}
