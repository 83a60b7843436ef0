/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmx.c: Intel VMX as an engine of vCPUs: turning it on, making VMCSs, loading them. Intel SDM
 * volume 3 chapters 23, 24 and 31.
 */
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/percpu.h>
#include <hv/pmm.h>
#include <hv/state.h>
#include <hv/time.h>
#include <hv/vm.h>
#include <hv/x86.h>

#include <string.h>

#include <arch/cpu.h>

#include "guest_state.h"
#include "private.h"
#include "svm.h"
#include "spec_entry.h"
#include "vmx.h"

struct vmx_cpu vmx_cpus[MAX_CPUS];

const struct vcpu_ops *const arch_vcpu_backends[] = { &vmx_ops, &svm_ops, NULL };

/* ---- each CPU ---- */

static int unlock(void)
{
    uint64_t feature = rdmsr(MSR_FEATURE_CONTROL);

    if (!(feature & FEATURE_LOCK))
        wrmsr(MSR_FEATURE_CONTROL, feature | FEATURE_LOCK | FEATURE_VMXON);
    return rdmsr(MSR_FEATURE_CONTROL) & FEATURE_VMXON ? 0 : -ENOTSUP;
}

/*
 * A zeroed page made ready for VMXON or VMPTRLD: the revision comes first. SDM Vol. 3C 24.2,
 * 24.11.5. No page stays none.
 */
static hpa_t with_revision(hpa_t pa)
{
    if (pa.v)
        *(uint32_t *)phys_to_virt(pa) = vmx_caps.revision;
    return pa;
}

static int vmx_cpu_enable(void)
{
    struct vmx_cpu *c = &vmx_cpus[this_cpu()->id];
    hpa_t region = with_revision(pmm_alloc_zero(0, PMM_HV)); /* charge: Trivet's own */

    if (!region.v)
        return -ENOMEM;
    if (unlock()) {
        log_err("CPU %u: the firmware locked Intel VMX off: enable \"VT-x\" in the setup menu",
                this_cpu()->id);
        return -ENOTSUP;
    }
    write_cr0(read_cr0() | rdmsr(MSR_VMX_CR0_FIXED0));
    write_cr4(read_cr4() | rdmsr(MSR_VMX_CR4_FIXED0) | CR4_VMXE);
    if (!vmxon(region.v))
        return -EIO;
    c->vmxon_pa = region.v;
    c->generation = MAX_CPUS + this_cpu()->id;
    c->next_vpid = 1;
    if (vmx_caps.secondary & S_VPID)
        invvpid(INV_ALL, 0);
    if (vmx_caps.ept & EPT_INVEPT_ALL)
        invept(INV_ALL, 0);
    return 0;
}

/* ---- which VMCS is current ---- */

void vmx_make_current(struct vmx_vcpu *s, struct vmx_cpu *c)
{
    debug_assert(s->vmcs_pa);
    if (!vmptrld(s->vmcs_pa))
        log_err("VMPTRLD failed");
    c->current = s;
    c->fit = NULL;
}

void vmx_drop(struct vmx_vcpu *s)
{
    struct vmx_cpu *c = &vmx_cpus[this_cpu()->id];

    if (!vmclear(s->vmcs_pa))
        log_err("VMCLEAR failed");
    if (c->current == s)
        c->current = c->fit = NULL;
    s->launched = false;
}

/* ---- translations ---- */

static void flush_ept(const struct vmx_vcpu *s)
{
    bool one = vmx_caps.ept & EPT_INVEPT_ONE;

    invept(one ? INV_ONE : INV_ALL, one ? s->eptp : 0);
}

/*
 * A VPID that nobody has used in this CPU's generation. Translations by the EPT alone are not
 * tagged with it (28.3.1): they go too.
 */
void vmx_new_vpid(struct vmx_vcpu *s, struct vmx_cpu *c)
{
    if (c->next_vpid > 0xffff) {
        c->generation += MAX_CPUS;
        c->next_vpid = 1;
        if (vmx_caps.secondary & S_VPID)
            invvpid(INV_ALL, 0);
    }
    s->vpid = (uint16_t)c->next_vpid++;
    s->generation = c->generation;
    if (vmx_caps.secondary & S_VPID)
        vmwrite(VPID, s->vpid);
    flush_ept(s);
    s->flush_vpid = s->flush_ept = false;
}

/* Without VPIDs every entry flushes what is the guest's own (28.3.3.1). */
void vmx_flush(struct vmx_vcpu *s)
{
    bool one = vmx_caps.ept & EPT_INVVPID_ONE;

    if (s->flush_vpid && (vmx_caps.secondary & S_VPID))
        invvpid(one ? INV_ONE : INV_ALL, one ? s->vpid : 0);
    if (s->flush_ept)
        flush_ept(s);
    s->flush_vpid = s->flush_ept = false;
}

void vmx_stale(struct vmx_vcpu *s, bool ept)
{
    s->flush_vpid = true;
    s->flush_ept |= ept;
    vmx_cpus[this_cpu()->id].fit = NULL;
}

static void vmx_vcpu_tlb_flush(struct vcpu *v)
{
    debug_assert_own_cpu(v);
    vmx_stale(vmx_of(v), true);
}

static void vmx_tlb_flush(struct vm *vm, gpa_t at, uint64_t len)
{
    (void)vm, (void)at, (void)len; /* hv/vm/vcpu.c asks every vCPU to flush */
}

/* ---- machines and vCPUs ---- */

static int vmx_vm_init(struct vm *vm)
{
    assert_cpu0();
    return vmx_apic_vm_init(vm);
}

static void vmx_vm_fini(struct vm *vm)
{
    assert_cpu0();
    vmx_apic_vm_fini(vm);
}

static void set_controls(struct vmx_vcpu *s)
{
    const struct {
        enum vmcs_field field;
        uint64_t val;
    } fixed[] = {
        { PIN_CONTROLS, vmx_caps.pin },
        { PRIMARY_CONTROLS, vmx_caps.primary },
        { SECONDARY_CONTROLS, vmx_caps.secondary },
        { EXIT_CONTROLS, vmx_caps.exit },
        { ENTRY_CONTROLS, vmx_caps.entry },
        { EXCEPTION_BITMAP, 1u << X86_DB | 1u << X86_AC | 1u << X86_MC },
        { MSR_BITMAP, vmx_caps.msr_bitmap_pa[0] },
        { EPT_POINTER, s->eptp },
        { VIRTUAL_APIC, virt_to_phys(s->vapic).v },
        { TPR_THRESHOLD, 0 },
        { CR0_MASK, ~(uint64_t)CR0_GUEST_OWNS },
        { CR4_MASK, ~(uint64_t)CR4_GUEST_OWNS },
        { VMCS_LINK_POINTER, UINT64_MAX },
        { PF_ERROR_MASK, 0 },
        { PF_ERROR_MATCH, 0 },
        { CR3_TARGET_COUNT, 0 },
        { EXIT_MSR_STORE_COUNT, 0 },
        { EXIT_MSR_LOAD_COUNT, 0 },
        { ENTRY_MSR_LOAD_COUNT, 0 },
        { ENTRY_INTR_INFO, 0 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++)
        vmwrite(fixed[i].field, fixed[i].val);
    if (vmx_caps.secondary & S_PAUSE_LOOP)
        vmwrite(PLE_GAP, 128);
    s->spin_window = 0;
    vmx_watch_spins(s);
    s->primary = vmx_caps.primary;
    s->secondary = vmx_caps.secondary;
    s->look_at = UINT64_MAX;
    s->threshold = s->threshold_set = 0;
}

static void vmx_set_up(struct vcpu *v, struct vmx_vcpu *s)
{
    const uint64_t walk4 = 3 << 3, wb = 6, accessed_dirty = vmx_caps.ept & EPT_AD ? 1 << 6 : 0;

    s->apic_page_pa = v->vm->arch ? virt_to_phys(v->vm->arch).v : 0;
    s->eptp = v->vm->gmem.s2.root.v | walk4 | wb | accessed_dirty;
    (void)vmclear(s->vmcs_pa);
    vmx_use(v);
    set_controls(s);
    vmx_reset_state(v, false);
    vmx_done(v);
}

static void vmx_vcpu_fini(struct vcpu *v)
{
    struct vmx_vcpu *s = vmx_of(v);

    assert_cpu0();
    hv_assert(!guest_loaded(v));
    if (!s)
        return;
    guest_fpu_fini(v, &s->fpu);
    if (s->vmcs_pa) {
        vmx_drop(s);
        vm_pages_free(v->vm, hpa(s->vmcs_pa), 0);
    }
    v->shared = NULL;
    if (s->vapic)
        vm_pages_free(v->vm, virt_to_phys(s->vapic), 0);
    vm_free(v->vm, s, sizeof *s);
    v->arch = NULL;
}

static void new_pages(struct vcpu *v, struct vmx_vcpu *s)
{
    hpa_t vapic;

    s->vmcs_pa = with_revision(vm_pages(v->vm, 0)).v;
    vapic = vm_pages(v->vm, 0);
    if (vapic.v) {
        s->vapic = phys_to_virt(vapic);
        s->shared.tpr = &s->vapic[VAPIC_TPR];
        s->shared.apic = vmx_caps.apic && v->vm->config->apicv ? s->vapic : NULL;
        s->shared.posted = s->shared.apic && vmx_caps.posted ? vmx_posted(s) : NULL;
    }
}

static int vmx_vcpu_init(struct vcpu *v)
{
    struct vmx_vcpu *s = vm_alloc(v->vm, sizeof *s);

    assert_cpu0();
    if (!s)
        return -ENOMEM;
    v->arch = s;
    v->shared = &s->shared;
    new_pages(v, s);
    if (!s->vmcs_pa || !s->vapic || guest_fpu_init(v, &s->fpu)) {
        vmx_vcpu_fini(v);
        return -ENOMEM;
    }
    vmx_set_up(v, s);
    return 0;
}

static void vmx_vcpu_reset(struct vcpu *v)
{
    assert_own_cpu(v);
    vmx_use(v);
    vmx_reset_state(v, true);
    vmx_done(v);
}

/* ---- loading ---- */

static const uint32_t switched_msrs[VMX_MSRS] = { MSR_STAR, MSR_STAR + 1, MSR_STAR + 2,
                                                  MSR_STAR + 3, MSR_KERNEL_GS_BASE };

struct table_ptr {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));
static_assert(sizeof(struct table_ptr) == 10, "SDM vol 3 §2.4.3");
static_assert(offsetof(struct table_ptr, base) == 2, "SDM vol 3 §2.4.3");

/* The host as an exit finds it: this CPU's, in the guest's view (24.5). */
static void write_host(const struct vcpu *v)
{
    struct vmx_vcpu *s = vmx_of(v);
    const struct x86_cpu *arch = this_cpu()->arch;
    struct table_ptr idtr;

    __asm__ volatile("sidt %0" : "=m"(idtr));
    vmwrite(HOST_CR0, read_cr0());
    vmwrite(HOST_CR3, v->vm->gmem.view.root);
    vmwrite(HOST_CR4, read_cr4());
    vmwrite(HOST_CS_SEL, SEL_CODE);
    for (unsigned f = HOST_SS_SEL; f <= HOST_GS_SEL; f += 2)
        vmwrite(f, f <= HOST_DS_SEL ? SEL_DATA : 0);
    vmwrite(HOST_ES_SEL, SEL_DATA);
    vmwrite(HOST_TR_SEL, SEL_TSS);
    vmwrite(HOST_FS_BASE, 0);
    vmwrite(HOST_GS_BASE, (uint64_t)this_cpu());
    vmwrite(HOST_TR_BASE, (uint64_t)&arch->tss);
    vmwrite(HOST_GDTR_BASE, (uint64_t)arch->gdt);
    vmwrite(HOST_IDTR_BASE, idtr.base);
    vmwrite(HOST_SYSENTER_CS, 0);
    vmwrite(HOST_SYSENTER_ESP, 0);
    vmwrite(HOST_SYSENTER_EIP, 0);
    vmwrite(HOST_PAT, rdmsr(MSR_PAT));
    vmwrite(HOST_EFER, rdmsr(MSR_EFER));
    vmx_put_spec(s);
    s->host_rsp = 0;
}

/*
 * The VMCS is current. Where exits arrive, and whether the guest's accesses to SPEC_CTRL are among
 * them.
 */
void vmx_put_spec(const struct vmx_vcpu *s)
{
    bool pass = s->spec.flags & SPEC_READ;

    vmwrite(HOST_RIP, (uint64_t)(s->spec.flags ? vmx_exit_guarded : vmx_exit));
    vmwrite(MSR_BITMAP,
            s->secondary & S_X2APIC ? vmx_caps.x2_bitmap_pa[pass] : vmx_caps.msr_bitmap_pa[pass]);
}

static void vmx_load(struct vcpu *v)
{
    struct vmx_vcpu *s = vmx_of(v);

    debug_assert_own_cpu(v);
    spec_load();
    vmx_use(v);
    write_host(v);
    s->looked_after = time_ns();
    vmx_watch_spins(s);
    s->changed = true;
    s->look_at = UINT64_MAX;
    guest_fpu_load(v, &s->fpu);
    for (unsigned i = 0; i < VMX_MSRS; i++)
        wrmsr(switched_msrs[i], s->msr[i]);
    __asm__ volatile("mov %0, %%cr2" : : "r"(s->cr2));
    __asm__ volatile("mov %0, %%db6" : : "r"(s->dr6));
}

static void vmx_unload(struct vcpu *v)
{
    struct vmx_vcpu *s = vmx_of(v);

    debug_assert(guest_loaded(v));
    guest_fpu_unload(&s->fpu);
    for (unsigned i = 0; i < VMX_MSRS; i++)
        s->msr[i] = rdmsr(switched_msrs[i]);
    s->cr2 = read_cr2();
    __asm__ volatile("mov %%db6, %0" : "=r"(s->dr6));
    vmx_drop(s);
}

static int vmx_get_fpu(struct vcpu *v, void *state, size_t *len)
{
    assert_own_cpu(v);
    return guest_fpu_get(v, &vmx_of(v)->fpu, state, len);
}

static int vmx_set_fpu(struct vcpu *v, const void *state, size_t len)
{
    assert_own_cpu(v);
    return guest_fpu_set(v, &vmx_of(v)->fpu, state, len);
}

/* The host's own, without the instructions that the controls forbid a guest (25.3). */
static void vmx_features(uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    struct cpuid r = cpuid(leaf, subleaf);
    bool rdtscp = vmx_caps.secondary & S_RDTSCP, invpcid = vmx_caps.secondary & S_INVPCID;

    regs[0] = r.a & ~(leaf == 0xd && subleaf == 1 && guest_fpu_caps.no_xsavec ? 2u : 0);
    regs[1] = r.b & ~(leaf == 7 && !subleaf && !invpcid ? 1u << 10 : 0);
    regs[2] = r.c & ~(leaf == 7 && !subleaf && !rdtscp ? 1u << 22 : 0);
    regs[3] = r.d & ~(leaf == 0x80000001 && !rdtscp ? 1u << 27 : 0);
    if (leaf == 0x80000007 && !tsc_is_invariant())
        regs[3] &= ~(1u << 8);
    spec_features(leaf, subleaf, regs);
}

/* ---- <hv/state.h>: all is in registers, but most exits leave the stack pointer in the VMCS ----
 */

static uint32_t vmx_count(const struct vm *vm) { return vm->nvcpus; }

static size_t vmx_no_state(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return 0;
}

static int vmx_quiesce(struct vm *vm, uint32_t i)
{
    vmx_use(vm->vcpu[i]);
    vmx_know_rsp(vm->vcpu[i]);
    vmx_done(vm->vcpu[i]);
    return 0;
}

static const struct state_ops vmx_engine_ops = { .name = "VMX",
                                                 .kind = STATE_ENGINE,
                                                 .version = 1,
                                                 .count = vmx_count,
                                                 .quiesce = vmx_quiesce,
                                                 .size = vmx_no_state };
static state_table vmx_state_table = { &vmx_engine_ops, NULL };

static const struct x86_engine vmx_x86 = { .mode = vmx_x86_mode,
                                           .mode_same = vmx_x86_mode_same,
                                           .tpr_window = vmx_tpr_window,
                                           .vapic = &vmx_vapic };

const struct vcpu_ops vmx_ops = {
    .name = "vmx",
    .guest_isas = 1u << ISA_X86_64,
    .s2 = &ept_format,
    .probe = vmx_probe,
    .cpu_enable = vmx_cpu_enable,
    .vm_init = vmx_vm_init,
    .vm_fini = vmx_vm_fini,
    .vcpu_init = vmx_vcpu_init,
    .vcpu_fini = vmx_vcpu_fini,
    .vcpu_reset = vmx_vcpu_reset,
    .load = vmx_load,
    .unload = vmx_unload,
    .run = vmx_run,
    .run_until = vmx_run_until,
    .irq_ready = vmx_irq_ready,
    .nmi_ready = vmx_nmi_ready,
    .irq_window = vmx_irq_window,
    .nmi_window = vmx_nmi_window,
    .skip_insn = vmx_skip_insn,
    .get_fpu_regs = vmx_get_fpu,
    .set_fpu_regs = vmx_set_fpu,
    .get_sysreg = vmx_get_sysreg,
    .set_sysreg = vmx_set_sysreg,
    .sysregs = vmx_sysregs,
    .nsysregs = VMX_SYSREGS,
    .state = vmx_state_table,
    .tlb_flush = vmx_tlb_flush,
    .vcpu_tlb_flush = vmx_vcpu_tlb_flush,
    .features = vmx_features,
    .isa_ops = &vmx_x86,
};
