/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * svm.c: AMD SVM as an engine of vCPUs: finding it, turning it on, making VMCBs. AMD APM volume 2
 * chapter 15.
 */
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/percpu.h>
#include <hv/pmm.h>
#include <hv/vm.h>
#include <hv/x86.h>

#include <string.h>

#include <arch/cpu.h>

#include "guest_state.h"
#include "private.h"
#include "spec_entry.h"
#include "svm.h"

struct svm_caps svm_caps;
struct svm_cpu svm_cpus[MAX_CPUS];

/*
 * ---- permission maps, the same for every guest ----
 * A bit set is an exit (sections 15.10.1 and 15.11).
 */

#define IOPM_ORDER 2  /* 12 KiB */
#define MSRPM_ORDER 1 /* 8 KiB */

/* MSRs that belong to the guest alone and that VMLOAD, VMSAVE or svm_load() switch. */
static const uint32_t free_msrs[] = {
    X86_FS_BASE, X86_GS_BASE, X86_KERNEL_GS_BASE, 0xc0000081,
    0xc0000082,  0xc0000083,  0xc0000084,         0x174,
    0x175,       0x176,
};
#define MSR_TSC_AUX 0xc0000103u

static void svm_msr_allow(uint8_t *map, uint32_t msr)
{
    static const uint32_t first[] = { 0, 0xc0000000, 0xc0010000 };

    for (unsigned i = 0; i < ARRAY_SIZE(first); i++) {
        uint32_t n = msr - first[i];

        if (n < 0x2000)
            map[0x800 * i + n / 4] &= (uint8_t) ~(3u << (n % 4 * 2));
    }
}

/* Two bits an MSR, the upper one for writes. PRED_CMD can only be written. */
static void fill_msr_map(uint8_t *map, bool pass_spec_ctrl)
{
    memset(map, 0xff, PAGE_SIZE << MSRPM_ORDER);
    for (unsigned i = 0; i < ARRAY_SIZE(free_msrs); i++)
        svm_msr_allow(map, free_msrs[i]);
    if (guest_fpu_caps.rdtscp)
        svm_msr_allow(map, MSR_TSC_AUX);
    if (guest_fpu_caps.ibpb)
        map[SPEC_MSR_PRED / 4] &= (uint8_t) ~(2u << (SPEC_MSR_PRED % 4 * 2));
    if (pass_spec_ctrl)
        svm_msr_allow(map, SPEC_MSR_CTRL);
}

static int make_maps(void)
{
    hpa_t io = pmm_alloc(IOPM_ORDER, PMM_HV); /* charge: Trivet's own */

    if (!io.v)
        return -ENOMEM;
    memset(phys_to_virt(io), 0xff, PAGE_SIZE << IOPM_ORDER);
    svm_caps.iopm_pa = io.v;
    for (unsigned pass = 0; pass < 2; pass++) {
        hpa_t pa = pmm_alloc(MSRPM_ORDER, PMM_HV); /* charge: Trivet's own */

        if (!pa.v)
            return -ENOMEM;
        fill_msr_map(phys_to_virt(pa), pass);
        svm_caps.msrpm_pa[pass] = pa.v;
    }
    return 0;
}

/* ---- the host ---- */

static int find_svm(void)
{
    if (x86_has_vmx())
        return -ENOTSUP; /* vmx.c has said what there is to say */
    if (x86_features.max_ext < 0x8000000a || !(cpuid(0x80000001, 0).c & 1 << 2)) {
        log_err("this CPU has no AMD SVM (CPUID 80000001h ECX bit 2) and no Intel VMX (CPUID 1 ECX "
                "bit 5): Trivet needs a CPU with one of them; under QEMU, -cpu EPYC-v3,+svm,+npt");
        return -ENOTSUP;
    }
    if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS) {
        log_err("this CPU has SVM, but the firmware locked it off: enable SVM (or "
                "\"virtualization\") in the setup menu");
        return -ENOTSUP;
    }
    return 0;
}

static void read_caps(void)
{
    struct cpuid a = cpuid(0x8000000a, 0), l7 = { 0 };

    if (cpuid(0, 0).a >= 7)
        l7 = cpuid(7, 0);
    svm_caps.features = a.d;
    svm_caps.limits = (struct svm_limits){ .asids = a.b,
                                           .phys_bits = (uint8_t)cpuid(0x80000008, 0).a,
                                           .cr4_may = svm_cr4_may(cpuid(1, 0).c, l7.b, l7.c) };
    svm_caps.clean_after_run = svm_has(SVM_VMCB_CLEAN) ? CLEAN_ALL : 0;
    npt_format.leaf_levels = x86_features.page1g ? 0x7 : 0x3;
}

static int svm_probe(void)
{
    int err = find_svm();

    assert_cpu0();
    if (err)
        return err;
    read_caps();
    if (!svm_has(SVM_NP) || svm_caps.limits.asids < 2) {
        log_err("this CPU's SVM has no nested paging (CPUID 8000000Ah EDX bit 0): a CPU of family "
                "10h or later is needed");
        return -ENOTSUP;
    }
    err = guest_fpu_probe();
    if (!err)
        err = make_maps();
    if (!err)
        log_info("AMD SVM: %u ASIDs, nested paging with %s pages%s%s%s%s", svm_caps.limits.asids,
                 x86_features.page1g ? "1 GiB" : "2 MiB", svm_has(SVM_NRIPS) ? ", next RIP" : "",
                 svm_has(SVM_VMCB_CLEAN) ? ", clean bits" : "",
                 svm_has(SVM_FLUSH_BY_ASID) ? ", flush by ASID" : "",
                 svm_has(SVM_DECODE_ASSISTS) ? ", decode assists" : "");
    return err;
}

static int svm_cpu_enable(void)
{
    struct svm_cpu *c = &svm_cpus[this_cpu()->id];
    /* charge: Trivet's own */
    hpa_t hsave = pmm_alloc_zero(0, PMM_HV), host = pmm_alloc_zero(0, PMM_HV);

    if (!hsave.v || !host.v)
        return -ENOMEM;
    if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS)
        return -ENOTSUP;
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    wrmsr(MSR_VM_HSAVE_PA, hsave.v);
    c->hsave_pa = hsave.v;
    c->host_pa = host.v;
    c->generation = MAX_CPUS + this_cpu()->id;
    c->next_asid = 1;
    c->flush = true;
    __asm__ volatile("vmsave %%rax" : : "a"(c->host_pa) : "memory");
    return 0;
}

/* ---- machines and vCPUs ---- */

static int svm_vm_init(struct vm *vm)
{
    assert_cpu0();
    (void)vm;
    return 0;
}

static void svm_vm_fini(struct vm *vm) { (void)vm; }

static void set_intercepts(struct vmcb *b)
{
    b->intercept_cr_write = 1 << 4 | 1 << 8;
    b->intercept_exceptions = 1u << X86_DB | 1u << X86_AC | 1u << X86_MC;
    b->intercept_misc1 = I1_INTR | I1_NMI | I1_SMI | I1_INIT | I1_CR0_SEL | I1_RDPMC | I1_CPUID |
                         I1_INVD | I1_HLT | I1_INVLPGA | I1_IOIO_PROT | I1_MSR_PROT | I1_SHUTDOWN;
    b->intercept_misc2 = I2_VMRUN | I2_VMMCALL | I2_VMLOAD | I2_VMSAVE | I2_STGI | I2_CLGI |
                         I2_SKINIT | I2_ICEBP | I2_WBINVD | I2_MONITOR | I2_MWAIT | I2_MWAIT_ARMED |
                         I2_RDPRU;
    b->intercept_misc3 = I3_INVLPGB | I3_INVLPGB_ILLEGAL | I3_MCOMMIT | I3_TLBSYNC;
    if (svm_has(SVM_PAUSE_FILTER)) {
        b->intercept_misc1 |= I1_PAUSE;
        b->pause_filter_threshold = svm_has(SVM_PAUSE_THRESHOLD) ? 128 : 0;
    }
}

static void svm_set_up(struct vcpu *v, struct vmcb *b)
{
    set_intercepts(b);
    b->iopm_base_pa = svm_caps.iopm_pa;
    b->np_enable = 1;
    b->n_cr3 = v->vm->gmem.s2.root.v;
    svm_reset_state(v, false);
}

static void svm_vcpu_fini(struct vcpu *v)
{
    struct svm_vcpu *s = svm_of(v);

    assert_cpu0();
    hv_assert(!guest_loaded(v));
    if (!s)
        return;
    guest_fpu_fini(v, &s->fpu);
    if (s->vmcb)
        vm_pages_free(v->vm, hpa(s->vmcb_pa), 0);
    vm_free(v->vm, s, sizeof *s);
    v->arch = NULL;
}

static int svm_vcpu_init(struct vcpu *v)
{
    struct svm_vcpu *s = vm_alloc(v->vm, sizeof *s);
    hpa_t pa;

    assert_cpu0();
    if (!s)
        return -ENOMEM;
    v->arch = s;
    pa = vm_pages(v->vm, 0);
    if (pa.v) {
        s->vmcb_pa = pa.v;
        s->vmcb = phys_to_virt(pa);
    }
    if (!pa.v || guest_fpu_init(v, &s->fpu)) {
        svm_vcpu_fini(v);
        return -ENOMEM;
    }
    svm_set_up(v, s->vmcb);
    return 0;
}

static void svm_vcpu_reset(struct vcpu *v)
{
    assert_own_cpu(v);
    svm_reset_state(v, true);
}

static void svm_load(struct vcpu *v)
{
    debug_assert_own_cpu(v);
    spec_load();
    guest_fpu_load(v, &svm_of(v)->fpu);
    svm_of(v)->vmcb->clean = 0;
    svm_watch_spins(v, svm_of(v));
}

static void svm_unload(struct vcpu *v)
{
    debug_assert(guest_loaded(v));
    guest_fpu_unload(&svm_of(v)->fpu);
}

static int svm_get_fpu(struct vcpu *v, void *state, size_t *len)
{
    assert_own_cpu(v);
    return guest_fpu_get(v, &svm_of(v)->fpu, state, len);
}

static int svm_set_fpu(struct vcpu *v, const void *state, size_t len)
{
    assert_own_cpu(v);
    return guest_fpu_set(v, &svm_of(v)->fpu, state, len);
}

/* Where the CPU can flush one ASID it does; elsewhere the vCPU gets an ASID that was never used. */
static void svm_vcpu_tlb_flush(struct vcpu *v)
{
    debug_assert_own_cpu(v);
    if (svm_has(SVM_FLUSH_BY_ASID))
        svm_of(v)->vmcb->tlb_control = TLB_FLUSH_ASID;
    else
        svm_of(v)->generation = 0;
}

static void svm_tlb_flush(struct vm *vm, gpa_t at, uint64_t len)
{
    (void)vm, (void)at, (void)len; /* hv/vm/vcpu.c asks every vCPU to flush */
}

static void svm_features(uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    struct cpuid r = cpuid(leaf, subleaf);

    regs[0] = r.a & ~(leaf == 0xd && subleaf == 1 && guest_fpu_caps.no_xsavec ? 2u : 0);
    regs[1] = r.b;
    regs[2] = r.c;
    regs[3] = r.d;
    if (leaf == 0x80000007 && !tsc_is_invariant())
        regs[3] &= ~(1u << 8);
    spec_features(leaf, subleaf, regs);
}

static const struct x86_engine svm_x86 = { .mode = svm_x86_mode, .mode_same = svm_x86_mode_same };

const struct vcpu_ops svm_ops = {
    .name = "svm",
    .guest_isas = 1u << ISA_X86_64,
    .s2 = &npt_format,
    .probe = svm_probe,
    .cpu_enable = svm_cpu_enable,
    .vm_init = svm_vm_init,
    .vm_fini = svm_vm_fini,
    .vcpu_init = svm_vcpu_init,
    .vcpu_fini = svm_vcpu_fini,
    .vcpu_reset = svm_vcpu_reset,
    .load = svm_load,
    .unload = svm_unload,
    .run = svm_run,
    .irq_ready = svm_irq_ready,
    .nmi_ready = svm_nmi_ready,
    .irq_window = svm_irq_window,
    .nmi_window = svm_nmi_window,
    .skip_insn = svm_skip_insn,
    .get_fpu_regs = svm_get_fpu,
    .set_fpu_regs = svm_set_fpu,
    .get_sysreg = svm_get_sysreg,
    .set_sysreg = svm_set_sysreg,
    .sysregs = svm_sysregs,
    .nsysregs = SVM_SYSREGS,
    .state = svm_state_table,
    .tlb_flush = svm_tlb_flush,
    .vcpu_tlb_flush = svm_vcpu_tlb_flush,
    .features = svm_features,
    .isa_ops = &svm_x86,
};
