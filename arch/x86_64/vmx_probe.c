/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmx_probe.c: whether this machine has Intel VMX as Trivet needs it, and with what. Intel SDM
 * volume 3 section 23.6 and appendix A.
 */
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/pmm.h>
#include <hv/pt.h>
#include <hv/time.h>
#include <hv/x86.h>

#include <string.h>

#include "private.h"
#include "spec_entry.h"
#include "vmx.h"
#include "vmx_rules.h"

struct vmx_caps vmx_caps;
struct vmx_limits vmx_limits;

/* ---- finding it ---- */

bool x86_has_vmx(void) { return cpuid(1, 0).c >> 5 & 1; }

static int find_vmx(void)
{
    uint64_t feature;

    if (!x86_has_vmx()) {
        if (!strcmp(x86_features.vendor, "GenuineIntel"))
            log_warn("this CPU has no Intel VMX (CPUID 1 ECX bit 5), or it is switched off: enable "
                     "\"VT-x\" or \"Virtualization\" in the setup menu");
        return -ENOTSUP;
    }
    feature = rdmsr(MSR_FEATURE_CONTROL);
    if ((feature & FEATURE_LOCK) && !(feature & FEATURE_VMXON)) {
        log_err("this CPU has Intel VMX, but the firmware locked it off (IA32_FEATURE_CONTROL): "
                "enable \"VT-x\" or \"Virtualization\" in the setup menu");
        return -ENOTSUP;
    }
    return 0;
}

static struct vmx_allowed vmx_probe_allowed(uint32_t msr)
{
    uint64_t both = rdmsr(msr);

    return (struct vmx_allowed){ .must = (uint32_t)both, .may = (uint32_t)(both >> 32) };
}

static void read_limits(void)
{
    struct vmx_limits *l = &vmx_limits;
    bool use_true;
    uint32_t base;

    l->basic = rdmsr(MSR_VMX_BASIC);
    use_true = (l->basic & BASIC_TRUE) != 0;
    base = use_true ? MSR_VMX_TRUE_PIN : MSR_VMX_PIN;
    l->pin = vmx_probe_allowed(base);
    l->primary = vmx_probe_allowed(base + 1);
    l->exit = vmx_probe_allowed(base + 2);
    l->entry = vmx_probe_allowed(base + 3);
    if (l->primary.may & P_SECONDARY)
        l->secondary = vmx_probe_allowed(MSR_VMX_SECONDARY);
    if (l->secondary.may & S_EPT)
        l->ept = rdmsr(MSR_VMX_EPT_VPID);
    l->misc = rdmsr(MSR_VMX_MISC);
    l->cr0_must = rdmsr(MSR_VMX_CR0_FIXED0);
    l->cr0_may = rdmsr(MSR_VMX_CR0_FIXED1);
    l->cr4_must = rdmsr(MSR_VMX_CR4_FIXED0);
    l->cr4_may = rdmsr(MSR_VMX_CR4_FIXED1);
    l->phys_bits = x86_features.phys_bits;
}

/* A control word: `must`, or else what is missing is logged; of `may` what the CPU has. */
struct control {
    const struct vmx_allowed *allowed;
    uint32_t must, may;
    uint32_t *word;
    const char *name;
};

static bool fit(const struct control *c)
{
    uint32_t can = c->allowed->may;

    *c->word = ((c->must | c->may) & can) | c->allowed->must;
    if (!(c->must & ~can))
        return true;
    log_err("this CPU's VMX lacks %s controls %#x, which Trivet needs", c->name, c->must & ~can);
    return false;
}

static bool fit_controls(void)
{
    const struct vmx_limits *l = &vmx_limits;
    const struct control all[] = {
        { &l->pin, PIN_EXT_INT | PIN_NMI | PIN_VIRTUAL_NMI, 0, &vmx_caps.pin, "pin-based" },
        { &l->primary,
          P_TSC_OFFSET | P_HLT | P_MWAIT | P_RDPMC | P_TPR_SHADOW | P_UNCOND_IO | P_MSR_BITMAPS |
              P_MONITOR | P_SECONDARY,
          0, &vmx_caps.primary, "processor-based" },
        { &l->exit, X_SAVE_DEBUG | X_HOST_64 | X_LOAD_PAT | X_LOAD_EFER, 0, &vmx_caps.exit,
          "exit" },
        { &l->entry, N_LOAD_DEBUG | N_LOAD_PAT | N_LOAD_EFER, 0, &vmx_caps.entry, "entry" },
    };
    bool good = true;

    for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
        good &= fit(&all[i]);
    return good;
}

static bool fit_secondary(void)
{
    const struct control c = { &vmx_limits.secondary, 0,
                               S_EPT | S_VPID | S_UNRESTRICTED | S_RDTSCP | S_WBINVD |
                                   S_PAUSE_LOOP | S_INVPCID,
                               &vmx_caps.secondary, "secondary" };

    (void)fit(&c);
    if (!(vmx_caps.secondary & S_EPT) || !(vmx_caps.secondary & S_UNRESTRICTED)) {
        log_err("this CPU's VMX has no %s: an Intel CPU of 2010 (Westmere) or later is needed",
                vmx_caps.secondary & S_EPT ? "unrestricted guest (guests in real mode)"
                                           : "extended page tables (EPT)");
        return false;
    }
    return true;
}

static bool fit_ept(void)
{
    const uint64_t need = EPT_WALK4 | EPT_WB | EPT_INVEPT;

    vmx_caps.ept = vmx_limits.ept;
    if ((vmx_caps.ept & need) != need || !(vmx_caps.ept & (EPT_INVEPT_ONE | EPT_INVEPT_ALL))) {
        log_err("this CPU's EPT lacks what Trivet needs: four levels, write-back tables, INVEPT "
                "(IA32_VMX_EPT_VPID_CAP is %#llx)",
                (unsigned long long)vmx_caps.ept);
        return false;
    }
    if (!(vmx_caps.ept & EPT_INVVPID) || !(vmx_caps.ept & EPT_INVVPID_ALL))
        vmx_caps.secondary &= ~(uint32_t)S_VPID;
    ept_format.leaf_levels =
        (uint8_t)(1 | (vmx_caps.ept & EPT_2M ? 2 : 0) | (vmx_caps.ept & EPT_1G ? 4 : 0));
    return true;
}

/* ---- MSR bitmap, the same for every guest: a bit set is an exit (24.6.9) ---- */

/* MSRs that belong to the guest alone and that the VMCS, vmx_load() or guest_fpu_load() switch. */
static const uint32_t free_msrs[] = {
    X86_FS_BASE, X86_GS_BASE, X86_KERNEL_GS_BASE, 0xc0000081,
    0xc0000082,  0xc0000083,  0xc0000084,         0x174,
    0x175,       0x176,
};
#define MSR_TSC_AUX 0xc0000103u
#define L7_EDX_L1D_FLUSH (1u << 28)

static void vmx_probe_msr_allow(uint8_t *map, uint32_t msr)
{
    uint32_t bit = (msr & 0x1fff) + (msr >= 0xc0000000 ? 0x2000 : 0);

    map[bit / 8] &= (uint8_t) ~(1u << (bit % 8));         /* reads */
    map[0x800 + bit / 8] &= (uint8_t) ~(1u << (bit % 8)); /* writes */
}

static void msr_allow_write(uint8_t *map, uint32_t msr)
{
    map[0x800 + msr / 8] &= (uint8_t) ~(1u << (msr % 8));
}

/* PRED_CMD and FLUSH_CMD can only be written. */
static void fill_bitmap(uint8_t *map, bool pass_spec_ctrl)
{
    memset(map, 0xff, PAGE_SIZE);
    for (unsigned i = 0; i < ARRAY_SIZE(free_msrs); i++)
        vmx_probe_msr_allow(map, free_msrs[i]);
    if (guest_fpu_caps.rdtscp)
        vmx_probe_msr_allow(map, MSR_TSC_AUX);
    if (guest_fpu_caps.ibpb)
        msr_allow_write(map, SPEC_MSR_PRED);
    if (x86_features.max_leaf >= 7 && (cpuid(7, 0).d & L7_EDX_L1D_FLUSH))
        msr_allow_write(map, SPEC_MSR_FLUSH);
    if (pass_spec_ctrl)
        vmx_probe_msr_allow(map, SPEC_MSR_CTRL);
}

static int make_bitmap(void)
{
    for (unsigned pass = 0; pass < 2; pass++) {
        hpa_t pa = pmm_alloc(0, PMM_HV); /* charge: Trivet's own */

        if (!pa.v)
            return -ENOMEM;
        fill_bitmap(phys_to_virt(pa), pass);
        vmx_caps.msr_bitmap_pa[pass] = pa.v;
    }
    return 0;
}

static void read_fixed_bits(void)
{
    const uint64_t free_cr0 = 1ull | 1ull << 31; /* PE and PG, with unrestricted guest (23.8) */

    vmx_caps.revision = (uint32_t)vmx_limits.basic & 0x7fffffff;
    vmx_caps.cr0_fixed = vmx_limits.cr0_must & ~free_cr0;
    vmx_caps.cr4_fixed = vmx_limits.cr4_must;
    vmx_caps.cr4_known = vmx_limits.cr4_may;
}

/* Its units are 2^n TSC ticks (25.5.1). */
static void find_timer(void)
{
    if (!(vmx_limits.pin.may & PIN_PREEMPTION) || !(vmx_limits.exit.may & X_SAVE_PREEMPTION))
        return;
    if (vmx_timer_is_wrong(cpuid(1, 0).a)) {
        log_info("this CPU's VMX-preemption timer is left alone: it has an erratum; the APIC's "
                 "timer ends slices");
        return;
    }
    vmx_caps.preemption = (uint32_t)max_u64(1, time_cycles_hz() / 1000 >> (vmx_limits.misc & 31));
    vmx_caps.pin |= PIN_PREEMPTION;
    vmx_caps.exit |= X_SAVE_PREEMPTION;
}

int vmx_probe(void)
{
    int err = find_vmx();

    assert_cpu0();
    if (err)
        return err;
    read_limits();
    read_fixed_bits();
    if (!fit_secondary() || !fit_controls() || !fit_ept())
        return -ENOTSUP;
    find_timer();
    err = guest_fpu_probe();
    if (!err)
        err = make_bitmap();
    if (!err)
        err = vmx_apic_probe();
    if (!err)
        log_info("Intel VMX: unrestricted guest, EPT with %s pages%s%s%s%s%s",
                 vmx_caps.ept & EPT_1G   ? "1 GiB"
                 : vmx_caps.ept & EPT_2M ? "2 MiB"
                                         : "4 KiB",
                 vmx_caps.ept & EPT_AD ? ", accessed and dirty bits" : "",
                 vmx_caps.secondary & S_VPID ? ", VPID" : "",
                 vmx_caps.secondary & S_PAUSE_LOOP ? ", pause-loop exits" : "",
                 vmx_caps.secondary & S_INVPCID ? ", INVPCID" : "", vmx_apic_words());
    return err;
}
