/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmx_check_control.c: what VM entry checks of the control fields and of the host's state. Intel
 * SDM volume 3 section 26.2.
 */
#include "vmcs.h"
#include "vmx_check.h"

#define F(name) vmx_field(f, name)
typedef const struct vmx_fields fields;

#define EFER_BOTH (1ull << 8 | 1ull << 10) /* LME, LMA */

static bool pin(fields *f, uint32_t bit) { return (F(PIN_CONTROLS) & bit) != 0; }
static bool primary(fields *f, uint32_t bit) { return (F(PRIMARY_CONTROLS) & bit) != 0; }
static bool secondary(fields *f, uint32_t bit)
{
    return primary(f, P_SECONDARY) && (F(SECONDARY_CONTROLS) & bit) != 0;
}
static bool vmx_check_control_beyond(fields *f, uint64_t pa)
{
    return pa >> f->limits->phys_bits != 0;
}

/* 26.2.1.1: execution controls */
static bool pin_word(fields *f) { return !vmx_allows(f->limits->pin, F(PIN_CONTROLS)); }
static bool primary_word(fields *f) { return !vmx_allows(f->limits->primary, F(PRIMARY_CONTROLS)); }
static bool secondary_word(fields *f)
{
    return primary(f, P_SECONDARY) && !vmx_allows(f->limits->secondary, F(SECONDARY_CONTROLS));
}
static bool cr3_targets(fields *f) { return F(CR3_TARGET_COUNT) > (f->limits->misc >> 16 & 0x1ff); }
static bool msr_bitmap(fields *f)
{
    return primary(f, P_MSR_BITMAPS) && !vmx_page(f, F(MSR_BITMAP));
}
static bool virtual_apic(fields *f)
{
    return primary(f, P_TPR_SHADOW) && !vmx_page(f, F(VIRTUAL_APIC));
}
static bool threshold_bits(fields *f)
{
    return primary(f, P_TPR_SHADOW) && !secondary(f, S_VIRTUAL_INTR) && F(TPR_THRESHOLD) >> 4;
}
static bool threshold_value(fields *f)
{
    return primary(f, P_TPR_SHADOW) && !secondary(f, S_VIRTUAL_INTR | S_APIC_ACCESSES) &&
           (F(TPR_THRESHOLD) & 15) > f->vtpr >> 4;
}
static bool virtual_nmi(fields *f) { return pin(f, PIN_VIRTUAL_NMI) && !pin(f, PIN_NMI); }
static bool nmi_window(fields *f) { return primary(f, P_NMI_WINDOW) && !pin(f, PIN_VIRTUAL_NMI); }
static bool apic_access(fields *f)
{
    return secondary(f, S_APIC_ACCESSES) && !vmx_page(f, F(APIC_ACCESS));
}
static bool needs_shadow(fields *f)
{
    return !primary(f, P_TPR_SHADOW) && secondary(f, S_X2APIC | S_APIC_REGISTERS | S_VIRTUAL_INTR);
}
static bool both_apics(fields *f)
{
    return secondary(f, S_X2APIC) && secondary(f, S_APIC_ACCESSES);
}
static bool virtual_intr(fields *f) { return secondary(f, S_VIRTUAL_INTR) && !pin(f, PIN_EXT_INT); }
static bool posted(fields *f)
{
    return pin(f, PIN_POSTED) && (!secondary(f, S_VIRTUAL_INTR) || !(F(EXIT_CONTROLS) & X_ACK_INT));
}
static bool posted_vector(fields *f) { return pin(f, PIN_POSTED) && F(POSTED_VECTOR) >> 8; }
static bool posted_desc(fields *f)
{
    return pin(f, PIN_POSTED) &&
           ((F(POSTED_DESC) & 63) || vmx_check_control_beyond(f, F(POSTED_DESC)));
}
static bool vpid(fields *f) { return secondary(f, S_VPID) && !F(VPID); }
static bool unrestricted(fields *f) { return secondary(f, S_UNRESTRICTED) && !secondary(f, S_EPT); }

static bool vmx_check_control_memtype(fields *f)
{
    uint64_t type = F(EPT_POINTER) & 7;

    return secondary(f, S_EPT) && type != 0 && !(type == 6 && (f->limits->ept & EPT_WB));
}
static bool ept_walk(fields *f) { return secondary(f, S_EPT) && (F(EPT_POINTER) >> 3 & 7) != 3; }
static bool ept_dirty(fields *f)
{
    return secondary(f, S_EPT) && (F(EPT_POINTER) & 1 << 6) && !(f->limits->ept & EPT_AD);
}
static bool ept_reserved(fields *f)
{
    return secondary(f, S_EPT) &&
           ((F(EPT_POINTER) & 0xf80) || vmx_check_control_beyond(f, F(EPT_POINTER)));
}

/* 26.2.1.2 and 26.2.1.3: exit and entry controls */
static bool exit_word(fields *f) { return !vmx_allows(f->limits->exit, F(EXIT_CONTROLS)); }
static bool save_timer(fields *f)
{
    return (F(EXIT_CONTROLS) & X_SAVE_PREEMPTION) && !pin(f, PIN_PREEMPTION);
}
static bool exit_lists(fields *f) { return F(EXIT_MSR_STORE_COUNT) || F(EXIT_MSR_LOAD_COUNT); }
static bool entry_word(fields *f) { return !vmx_allows(f->limits->entry, F(ENTRY_CONTROLS)); }
static bool entry_list(fields *f) { return F(ENTRY_MSR_LOAD_COUNT) != 0; }

/* 26.2.1.3: what is injected */
static bool vmx_check_control_injects(fields *f) { return (F(ENTRY_INTR_INFO) & INTR_VALID) != 0; }
static unsigned type_of(fields *f) { return (unsigned)INTR_TYPE(F(ENTRY_INTR_INFO)); }
static unsigned vector_of(fields *f) { return (unsigned)F(ENTRY_INTR_INFO) & 0xff; }

static bool has_error(fields *f)
{
    const uint32_t with = 1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17;
    bool protected = (F(GUEST_CR0) & 1) || !secondary(f, S_UNRESTRICTED);

    return type_of(f) == INTR_EXCEPTION && vector_of(f) < 32 && (with >> vector_of(f) & 1) &&
           protected;
}

static bool intr_type(fields *f)
{
    return vmx_check_control_injects(f) &&
           (type_of(f) == INTR_RESERVED || type_of(f) == INTR_OTHER);
}
static bool intr_nmi(fields *f)
{
    return vmx_check_control_injects(f) && type_of(f) == INTR_NMI && vector_of(f) != 2;
}
static bool intr_exception(fields *f)
{
    return vmx_check_control_injects(f) && type_of(f) == INTR_EXCEPTION && vector_of(f) > 31;
}
static bool intr_error(fields *f)
{
    bool given = (F(ENTRY_INTR_INFO) & INTR_ERROR_VALID) != 0, any = f->limits->basic >> 56 & 1;

    return vmx_check_control_injects(f) && given != has_error(f) &&
           !(any && type_of(f) == INTR_EXCEPTION);
}
static bool intr_reserved(fields *f)
{
    return vmx_check_control_injects(f) && (F(ENTRY_INTR_INFO) & 0x7ffff000);
}
static bool error_code(fields *f)
{
    return vmx_check_control_injects(f) && (F(ENTRY_INTR_INFO) & INTR_ERROR_VALID) &&
           F(ENTRY_ERROR_CODE) >> 16;
}
static bool intr_length(fields *f)
{
    uint64_t len = F(ENTRY_INSN_LEN), least = f->limits->misc >> 30 & 1 ? 0 : 1;

    return vmx_check_control_injects(f) && type_of(f) >= INTR_SOFT &&
           type_of(f) <= INTR_SOFT_EXCEPTION && (len > 15 || len < least);
}

/* 26.2.2 to 26.2.4: the host */
static bool host_cr0(fields *f)
{
    return (F(HOST_CR0) & f->limits->cr0_must) != f->limits->cr0_must ||
           (F(HOST_CR0) & ~f->limits->cr0_may);
}
static bool host_cr4(fields *f)
{
    return (F(HOST_CR4) & f->limits->cr4_must) != f->limits->cr4_must ||
           (F(HOST_CR4) & ~f->limits->cr4_may);
}
static bool host_cr3(fields *f) { return vmx_check_control_beyond(f, F(HOST_CR3)); }
static bool host_sysenter(fields *f)
{
    return !vmx_canonical(F(HOST_SYSENTER_ESP)) || !vmx_canonical(F(HOST_SYSENTER_EIP));
}
static bool host_pat(fields *f)
{
    return (F(EXIT_CONTROLS) & X_LOAD_PAT) && vmx_bad_pat(F(HOST_PAT));
}
static bool host_efer(fields *f)
{
    return (F(EXIT_CONTROLS) & X_LOAD_EFER) &&
           ((F(HOST_EFER) & EFER_BOTH) != EFER_BOTH || (F(HOST_EFER) & ~(EFER_BOTH | 1 | 1 << 11)));
}
static bool host_selectors(fields *f)
{
    uint64_t all = F(HOST_TR_SEL);

    for (unsigned sel = HOST_ES_SEL; sel <= HOST_GS_SEL; sel += 2)
        all |= F(sel);
    return (all & 7) != 0;
}
static bool host_cs(fields *f) { return !F(HOST_CS_SEL); }
static bool host_tr(fields *f) { return !F(HOST_TR_SEL); }
static bool host_bases(fields *f)
{
    return !vmx_canonical(F(HOST_FS_BASE)) || !vmx_canonical(F(HOST_GS_BASE)) ||
           !vmx_canonical(F(HOST_TR_BASE)) || !vmx_canonical(F(HOST_GDTR_BASE)) ||
           !vmx_canonical(F(HOST_IDTR_BASE));
}
static bool host_size(fields *f) { return !(F(EXIT_CONTROLS) & X_HOST_64); }
static bool host_pae(fields *f) { return !(F(HOST_CR4) & 1 << 5); }
static bool host_rip(fields *f) { return !vmx_canonical(F(HOST_RIP)); }

const struct vmx_rule vmx_control_rules[] = {
    { "PIN_CONTROLS: a bit that IA32_VMX_PINBASED_CTLS does not allow (26.2.1.1)", pin_word },
    { "PRIMARY_CONTROLS: a bit that IA32_VMX_PROCBASED_CTLS does not allow (26.2.1.1)",
      primary_word },
    { "SECONDARY_CONTROLS: a bit that IA32_VMX_PROCBASED_CTLS2 does not allow (26.2.1.1)",
      secondary_word },
    { "CR3_TARGET_COUNT: more than IA32_VMX_MISC has (26.2.1.1)", cr3_targets },
    { "MSR_BITMAP: not a page of the physical address space (26.2.1.1)", msr_bitmap },
    { "VIRTUAL_APIC: not a page of the physical address space (26.2.1.1)", virtual_apic },
    { "TPR_THRESHOLD: bits 31:4 not 0 (26.2.1.1)", threshold_bits },
    { "TPR_THRESHOLD: above the virtual TPR (26.2.1.1)", threshold_value },
    { "PIN_CONTROLS: virtual NMIs without NMI exiting (26.2.1.1)", virtual_nmi },
    { "PRIMARY_CONTROLS: NMI-window exiting without virtual NMIs (26.2.1.1)", nmi_window },
    { "APIC_ACCESS: not a page of the physical address space (26.2.1.1)", apic_access },
    { "SECONDARY_CONTROLS: APIC virtualisation without the TPR shadow (26.2.1.1)", needs_shadow },
    { "SECONDARY_CONTROLS: virtualises APIC accesses and x2APIC mode at once (26.2.1.1)",
      both_apics },
    { "SECONDARY_CONTROLS: virtual-interrupt delivery without external-interrupt exiting "
      "(26.2.1.1)",
      virtual_intr },
    { "PIN_CONTROLS: posted interrupts without virtual-interrupt delivery or acknowledgement on "
      "exit (26.2.1.1)",
      posted },
    { "POSTED_VECTOR: bits 15:8 not 0 (26.2.1.1)", posted_vector },
    { "POSTED_DESC: not aligned to 64 bytes, or beyond the physical address space (26.2.1.1)",
      posted_desc },
    { "VPID: 0 (26.2.1.1)", vpid },
    { "SECONDARY_CONTROLS: unrestricted guest without EPT (26.2.1.1)", unrestricted },
    { "EPT_POINTER: a memory type that the CPU does not have (26.2.1.1)",
      vmx_check_control_memtype },
    { "EPT_POINTER: a walk that is not of 4 levels (26.2.1.1)", ept_walk },
    { "EPT_POINTER: accessed and dirty bits, which the CPU does not have (26.2.1.1)", ept_dirty },
    { "EPT_POINTER: a reserved bit is 1 (26.2.1.1)", ept_reserved },
    { "EXIT_CONTROLS: a bit that IA32_VMX_EXIT_CTLS does not allow (26.2.1.2)", exit_word },
    { "EXIT_CONTROLS: saves the preemption timer, which does not run (26.2.1.2)", save_timer },
    { "EXIT_MSR_STORE_COUNT, EXIT_MSR_LOAD_COUNT: there are no lists (26.2.1.2)", exit_lists },
    { "ENTRY_CONTROLS: a bit that IA32_VMX_ENTRY_CTLS does not allow (26.2.1.3)", entry_word },
    { "ENTRY_MSR_LOAD_COUNT: there is no list (26.2.1.3)", entry_list },
    { "ENTRY_INTR_INFO: a reserved type (26.2.1.3)", intr_type },
    { "ENTRY_INTR_INFO: an NMI whose vector is not 2 (26.2.1.3)", intr_nmi },
    { "ENTRY_INTR_INFO: an exception whose vector is above 31 (26.2.1.3)", intr_exception },
    { "ENTRY_INTR_INFO: an error code where there is none, or none where there is one (26.2.1.3)",
      intr_error },
    { "ENTRY_INTR_INFO: bits 30:12 not 0 (26.2.1.3)", intr_reserved },
    { "ENTRY_ERROR_CODE: bits 31:16 not 0 (26.2.1.3)", error_code },
    { "ENTRY_INSN_LEN: not the length of an instruction (26.2.1.3)", intr_length },
    { "HOST_CR0: breaks IA32_VMX_CR0_FIXED0 or FIXED1 (26.2.2)", host_cr0 },
    { "HOST_CR4: breaks IA32_VMX_CR4_FIXED0 or FIXED1 (26.2.2)", host_cr4 },
    { "HOST_CR3: beyond the physical-address width (26.2.2)", host_cr3 },
    { "HOST_SYSENTER_ESP, HOST_SYSENTER_EIP: not canonical (26.2.2)", host_sysenter },
    { "HOST_PAT: a memory type that does not exist (26.2.2)", host_pat },
    { "HOST_EFER: reserved bits, or not long mode (26.2.2)", host_efer },
    { "HOST_xS_SEL, HOST_TR_SEL: RPL or TI not 0 (26.2.3)", host_selectors },
    { "HOST_CS_SEL: 0 (26.2.3)", host_cs },
    { "HOST_TR_SEL: 0 (26.2.3)", host_tr },
    { "HOST_xx_BASE: not canonical (26.2.3)", host_bases },
    { "EXIT_CONTROLS: the host is not in long mode after exits (26.2.4)", host_size },
    { "HOST_CR4: PAE is 0 (26.2.4)", host_pae },
    { "HOST_RIP: not canonical (26.2.4)", host_rip },
};
const unsigned vmx_control_rule_count = ARRAY_SIZE(vmx_control_rules);
