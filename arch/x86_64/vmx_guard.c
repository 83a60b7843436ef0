/*
 * vmx_guard.c: doing what vmx_leaks.c decided, and the log of it. IBPB between guests is in guest_fpu.c, filling the RSB in vmx_entry.S.
 * Guests see neither SPEC_CTRL nor PRED_CMD.
 */
#include <hv/log.h>

#include "private.h"
#include "vmx.h"

#define LEAF7_ARCH_CAPS 29
#define MSR_SPEC_CTRL 0x48u
#define MSR_ARCH_CAPABILITIES 0x10au
#define MSR_FLUSH_CMD 0x10bu

struct vmx_leaks vmx_leaks;

static struct leak_facts facts(void)
{
    struct leak_facts f = { 0 };
    struct cpuid l7 = x86_features.max_leaf >= 7 ? cpuid(7, 0) : (struct cpuid){ 0 };

    f.leaf7_edx = l7.d;
    f.leaf7_ebx = l7.b;
    if (l7.a >= 2)
        f.leaf7_2_edx = cpuid(7, 2).d;
    if (l7.d >> LEAF7_ARCH_CAPS & 1)
        f.arch_caps = rdmsr(MSR_ARCH_CAPABILITIES);
    return f;
}

void vmx_leaks_probe(void)
{
    const struct vmx_leaks *l = &vmx_leaks;

    vmx_leaks = vmx_leaks_decide(facts());
    log_info("Intel VMX, leaks: IBRS %s; RSB %s; IBPB %s; L1D %s; buffers %s",
             l->ibrs_switch ? "in the hypervisor" : l->spec_ctrl ? "always" : "absent", l->fill_rsb ? "filled at exits" : l->steer_open ? "not filled" : "safe",
             guest_fpu_caps.ibpb ? "between guests" : "absent", l->flush_l1d ? "flushed at entries" : l->l1d_open ? "open" : "safe",
             l->verw ? "cleared at entries" : l->flush_l1d ? "flushed with it" : l->buffers_open ? "open" : "safe");
    if (l->l1d_open || l->buffers_open || l->steer_open)
        log_warn("this CPU has no means against some leaks between guests: newer microcode may bring them");
}

void vmx_leaks_cpu(void)
{
    if (vmx_leaks.spec_ctrl)
        wrmsr(MSR_SPEC_CTRL, vmx_leaks.spec_ctrl);
}

void vmx_leaks_entry(void)
{
    static const uint16_t data = SEL_DATA;         /* VERW clears buffers only with a selector in memory */

    if (vmx_leaks.flush_l1d)
        wrmsr(MSR_FLUSH_CMD, 1);
    if (vmx_leaks.ibrs_switch)
        wrmsr(MSR_SPEC_CTRL, 0);
    if (vmx_leaks.verw)
        __asm__ volatile("verw %0" : : "m"(data) : "cc");
}
