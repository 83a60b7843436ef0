/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmx_check.c: what VM entry checks of the guest's state, and the walk over all rules. Intel SDM
 * volume 3 section 26.3.1. Debug builds ask before entries that follow a change by Trivet; every
 * build asks when an entry has failed.
 */
#include <hv/x86.h>

#include "vmcs.h"
#include "vmx_check.h"

#define F(name) vmx_field(f, name)
typedef const struct vmx_fields fields;

#define CR0_PE 1ull
#define CR0_PG (1ull << 31)
#define PAE (1ull << 5)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)
#define EFER_KNOWN (1ull | EFER_LME | EFER_LMA | 1ull << 11)
#define FLAG_TF (1ull << 8)
#define FLAG_IF (1ull << 9)
#define FLAG_VM (1ull << 17)
#define FLAGS_RESERVED (~0x3fffffull | 1 << 3 | 1 << 5 | 1 << 15)
#define AR_RESERVED 0xfffe0f00u
#define PENDING_BS (1ull << 14)
#define PENDING_KNOWN 0x1500full /* B0 to B3, an enabled breakpoint, BS, RTM */

enum { ACTIVE, HLT, SHUTDOWN, WAIT_SIPI };

bool vmx_bad_pat(uint64_t pat)
{
    for (unsigned i = 0; i < 8; i++, pat >>= 8)
        if ((pat & 0xff) > 7 || (pat & 0xff) == 2 || (pat & 0xff) == 3)
            return true;
    return false;
}

static bool ia32e(fields *f) { return (F(ENTRY_CONTROLS) & N_IA32E) != 0; }
static bool paged(fields *f) { return (F(GUEST_CR0) & CR0_PG) != 0; }
static bool real(fields *f) { return !(F(GUEST_CR0) & CR0_PE); }
static bool v86(fields *f) { return (F(GUEST_RFLAGS) & FLAG_VM) != 0; }
static bool loads(fields *f, uint32_t bit) { return (F(ENTRY_CONTROLS) & bit) != 0; }
static bool vmx_check_beyond(fields *f, uint64_t pa) { return pa >> f->limits->phys_bits != 0; }

static uint64_t ar(fields *f, unsigned seg) { return F(GUEST_ES_AR + 2 * seg); }
static uint64_t base(fields *f, unsigned seg) { return F(GUEST_ES_BASE + 2 * seg); }
static uint64_t sel(fields *f, unsigned seg) { return F(GUEST_ES_SEL + 2 * seg); }
static unsigned type(fields *f, unsigned seg) { return (unsigned)ar(f, seg) & 15; }
static unsigned dpl(fields *f, unsigned seg) { return (unsigned)(ar(f, seg) >> 5) & 3; }
static bool vmx_check_usable(fields *f, unsigned seg) { return !(ar(f, seg) & AR_UNUSABLE); }
static bool code64(fields *f) { return ia32e(f) && (ar(f, X86_CS) & AR_L); }

/* 26.3.1.1: control registers, debug registers, MSRs */
static bool cr0_fixed(fields *f)
{
    /* free with unrestricted guest */
    uint64_t must = f->limits->cr0_must & ~(CR0_PE | CR0_PG);

    return (F(GUEST_CR0) & must) != must || (F(GUEST_CR0) & ~f->limits->cr0_may);
}
static bool cr0_pg(fields *f) { return paged(f) && real(f); }
static bool cr4_fixed(fields *f)
{
    return (F(GUEST_CR4) & f->limits->cr4_must) != f->limits->cr4_must ||
           (F(GUEST_CR4) & ~f->limits->cr4_may);
}
static bool debugctl(fields *f)
{
    return loads(f, N_LOAD_DEBUG) && (F(GUEST_DEBUGCTL) & ~0xffc3ull);
}
static bool ia32e_pg(fields *f) { return ia32e(f) && !paged(f); }
static bool ia32e_pae(fields *f) { return ia32e(f) && !(F(GUEST_CR4) & PAE); }
static bool pcide(fields *f) { return !ia32e(f) && (F(GUEST_CR4) & CR4_PCIDE); }
static bool cr3(fields *f) { return vmx_check_beyond(f, F(GUEST_CR3)); }
static bool dr7(fields *f) { return loads(f, N_LOAD_DEBUG) && F(GUEST_DR7) >> 32; }
static bool sysenter(fields *f)
{
    return !vmx_canonical(F(GUEST_SYSENTER_ESP)) || !vmx_canonical(F(GUEST_SYSENTER_EIP));
}
static bool vmx_check_pat(fields *f) { return loads(f, N_LOAD_PAT) && vmx_bad_pat(F(GUEST_PAT)); }
static bool vmx_check_efer_bits(fields *f)
{
    return loads(f, N_LOAD_EFER) && (F(GUEST_EFER) & ~EFER_KNOWN);
}
static bool efer_lma(fields *f)
{
    return loads(f, N_LOAD_EFER) && ((F(GUEST_EFER) & EFER_LMA) != 0) != ia32e(f);
}
static bool efer_lme(fields *f)
{
    return loads(f, N_LOAD_EFER) && paged(f) && ((F(GUEST_EFER) & EFER_LME) != 0) != ia32e(f);
}

/* 26.3.1.2: segments. In virtual-8086 mode there is one rule for all six. */
static bool tr_sel(fields *f) { return sel(f, X86_TR) & 4; }
static bool ldtr_sel(fields *f) { return vmx_check_usable(f, X86_LDTR) && (sel(f, X86_LDTR) & 4); }

static bool v86_segments(fields *f)
{
    for (unsigned i = 0; v86(f) && i <= X86_GS; i++)
        if (base(f, i) != sel(f, i) << 4 || F(GUEST_ES_LIMIT + 2 * i) != 0xffff || ar(f, i) != 0xf3)
            return true;
    return false;
}

static bool bases_64(fields *f)
{
    return !vmx_canonical(base(f, X86_FS)) || !vmx_canonical(base(f, X86_GS)) ||
           !vmx_canonical(base(f, X86_TR));
}
static bool base_ldtr(fields *f)
{
    return vmx_check_usable(f, X86_LDTR) && !vmx_canonical(base(f, X86_LDTR));
}
static bool bases_32(fields *f)
{
    static const uint8_t data[] = { X86_ES, X86_SS, X86_DS };

    for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
        if (vmx_check_usable(f, data[i]) && base(f, data[i]) >> 32)
            return true;
    return base(f, X86_CS) >> 32 != 0;
}

static bool cs_type(fields *f)
{
    return !v86(f) && type(f, X86_CS) != 3 && (type(f, X86_CS) & 9) != 9;
}
static bool cs_use(fields *f)
{
    return !v86(f) &&
           (!vmx_check_usable(f, X86_CS) || !(ar(f, X86_CS) & AR_S) || !(ar(f, X86_CS) & AR_P));
}
static bool cs_dpl(fields *f)
{
    unsigned t = type(f, X86_CS), ss = dpl(f, X86_SS), cs = dpl(f, X86_CS);

    return !v86(f) && ((t == 3 && cs) || ((t == 9 || t == 11) && cs != ss) ||
                       ((t == 13 || t == 15) && cs > ss));
}
static bool cs_size(fields *f) { return code64(f) && (ar(f, X86_CS) & AR_DB); }
static bool ss_type(fields *f)
{
    return !v86(f) && vmx_check_usable(f, X86_SS) && type(f, X86_SS) != 3 && type(f, X86_SS) != 7;
}
static bool ss_use(fields *f)
{
    return !v86(f) && vmx_check_usable(f, X86_SS) &&
           (!(ar(f, X86_SS) & AR_S) || !(ar(f, X86_SS) & AR_P));
}
static bool ss_dpl(fields *f)
{
    return !v86(f) && (type(f, X86_CS) == 3 || real(f)) && dpl(f, X86_SS);
}

static bool data_segments(fields *f)
{
    static const uint8_t data[] = { X86_ES, X86_DS, X86_FS, X86_GS };

    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        unsigned t = type(f, data[i]);
        bool readable = (t & 1) && (!(t & 8) || (t & 2)),
             segment = (ar(f, data[i]) & AR_S) && (ar(f, data[i]) & AR_P);

        if (!v86(f) && vmx_check_usable(f, data[i]) && (!readable || !segment))
            return true;
    }
    return false;
}

static bool ar_reserved(fields *f)
{
    for (unsigned i = 0; i < X86_NSEGS; i++)
        if (vmx_check_usable(f, i) && (ar(f, i) & AR_RESERVED))
            return true;
    return false;
}

static bool limits(fields *f)
{
    for (unsigned i = 0; i < X86_NSEGS; i++) {
        bool pages = (ar(f, i) & AR_G) != 0;
        uint64_t limit = F(GUEST_ES_LIMIT + 2 * i);

        if (vmx_check_usable(f, i) && !(v86(f) && i <= X86_GS) &&
            ((pages && (limit & 0xfff) != 0xfff) || (!pages && limit >> 20)))
            return true;
    }
    return false;
}

static bool tr_type(fields *f)
{
    return type(f, X86_TR) != 11 && (ia32e(f) || type(f, X86_TR) != 3);
}
static bool tr_use(fields *f)
{
    return !vmx_check_usable(f, X86_TR) || (ar(f, X86_TR) & AR_S) || !(ar(f, X86_TR) & AR_P);
}
static bool ldtr_use(fields *f)
{
    return vmx_check_usable(f, X86_LDTR) &&
           (type(f, X86_LDTR) != 2 || (ar(f, X86_LDTR) & AR_S) || !(ar(f, X86_LDTR) & AR_P));
}

/* 26.3.1.3 and 26.3.1.4: tables, RIP, RFLAGS */
static bool table_bases(fields *f)
{
    return !vmx_canonical(F(GUEST_GDTR_BASE)) || !vmx_canonical(F(GUEST_IDTR_BASE));
}
static bool table_limits(fields *f)
{
    return F(GUEST_GDTR_LIMIT) >> 16 || F(GUEST_IDTR_LIMIT) >> 16;
}
static bool rip(fields *f)
{
    return code64(f) ? !vmx_canonical(F(GUEST_RIP)) : F(GUEST_RIP) >> 32 != 0;
}
static bool rflags(fields *f)
{
    return (F(GUEST_RFLAGS) & FLAGS_RESERVED) || !(F(GUEST_RFLAGS) & 2);
}
static bool rflags_vm(fields *f) { return v86(f) && (ia32e(f) || real(f)); }
static bool vmx_check_injects(fields *f, unsigned what)
{
    return (F(ENTRY_INTR_INFO) & INTR_VALID) && INTR_TYPE(F(ENTRY_INTR_INFO)) == what;
}
static bool rflags_if(fields *f)
{
    return vmx_check_injects(f, INTR_EXT) && !(F(GUEST_RFLAGS) & FLAG_IF);
}

/* 26.3.1.5: activity, interruptibility, pending debug exceptions */
static bool blocked(fields *f, uint64_t by) { return (F(GUEST_INTERRUPTIBILITY) & by) != 0; }
static bool activity(fields *f)
{
    return F(GUEST_ACTIVITY) > WAIT_SIPI ||
           (F(GUEST_ACTIVITY) && !(f->limits->misc >> (5 + F(GUEST_ACTIVITY)) & 1));
}
static bool activity_halt(fields *f) { return F(GUEST_ACTIVITY) == HLT && dpl(f, X86_SS); }
static bool activity_block(fields *f)
{
    return F(GUEST_ACTIVITY) && blocked(f, BLOCK_STI | BLOCK_MOV_SS);
}
static bool block_bits(fields *f) { return F(GUEST_INTERRUPTIBILITY) >> 5 != 0; }
static bool block_both(fields *f) { return blocked(f, BLOCK_STI) && blocked(f, BLOCK_MOV_SS); }
static bool block_sti(fields *f) { return blocked(f, BLOCK_STI) && !(F(GUEST_RFLAGS) & FLAG_IF); }
static bool block_int(fields *f)
{
    return vmx_check_injects(f, INTR_EXT) && blocked(f, BLOCK_STI | BLOCK_MOV_SS);
}
static bool vmx_check_block_nmi(fields *f)
{
    return vmx_check_injects(f, INTR_NMI) && blocked(f, BLOCK_STI | BLOCK_MOV_SS);
}
static bool block_smi(fields *f) { return blocked(f, BLOCK_SMI); }
static bool block_nmis(fields *f)
{
    return vmx_check_injects(f, INTR_NMI) && (F(PIN_CONTROLS) & PIN_VIRTUAL_NMI) &&
           blocked(f, BLOCK_NMI);
}
static bool pending_bits(fields *f) { return (F(GUEST_PENDING_DEBUG) & ~PENDING_KNOWN) != 0; }
static bool pending_step(fields *f)
{
    bool step = (F(GUEST_RFLAGS) & FLAG_TF) && !(F(GUEST_DEBUGCTL) & 2),
         bs = (F(GUEST_PENDING_DEBUG) & PENDING_BS) != 0;

    return (blocked(f, BLOCK_STI | BLOCK_MOV_SS) || F(GUEST_ACTIVITY) == HLT) && step != bs;
}
static bool link(fields *f) { return F(VMCS_LINK_POINTER) != UINT64_MAX; }

/* 26.3.1.6 */
static bool pdptes(fields *f)
{
    const uint64_t reserved = 0x1e6 | ~((1ull << f->limits->phys_bits) - 1);

    for (unsigned i = 0; paged(f) && (F(GUEST_CR4) & PAE) && !ia32e(f) && i < 4; i++)
        if ((F(GUEST_PDPTE0 + 2 * i) & 1) && (F(GUEST_PDPTE0 + 2 * i) & reserved))
            return true;
    return false;
}

const struct vmx_rule vmx_guest_rules[] = {
    { "GUEST_CR0: breaks IA32_VMX_CR0_FIXED0 or FIXED1 (26.3.1.1)", cr0_fixed },
    { "GUEST_CR0: PG without PE (26.3.1.1)", cr0_pg },
    { "GUEST_CR4: breaks IA32_VMX_CR4_FIXED0 or FIXED1 (26.3.1.1)", cr4_fixed },
    { "GUEST_DEBUGCTL: a reserved bit is 1 (26.3.1.1)", debugctl },
    { "GUEST_CR0: PG is 0 in IA-32e mode (26.3.1.1)", ia32e_pg },
    { "GUEST_CR4: PAE is 0 in IA-32e mode (26.3.1.1)", ia32e_pae },
    { "GUEST_CR4: PCIDE outside IA-32e mode (26.3.1.1)", pcide },
    { "GUEST_CR3: beyond the physical-address width (26.3.1.1)", cr3 },
    { "GUEST_DR7: bits 63:32 not 0 (26.3.1.1)", dr7 },
    { "GUEST_SYSENTER_ESP, GUEST_SYSENTER_EIP: not canonical (26.3.1.1)", sysenter },
    { "GUEST_PAT: a memory type that does not exist (26.3.1.1)", vmx_check_pat },
    { "GUEST_EFER: a reserved bit is 1 (26.3.1.1)", vmx_check_efer_bits },
    { "GUEST_EFER: LMA differs from IA-32e mode (26.3.1.1)", efer_lma },
    { "GUEST_EFER: LME differs from IA-32e mode while CR0.PG is 1 (26.3.1.1)", efer_lme },
    { "GUEST_TR_SEL: TI not 0 (26.3.1.2)", tr_sel },
    { "GUEST_LDTR_SEL: TI not 0 (26.3.1.2)", ldtr_sel },
    { "GUEST_xS_BASE, _LIMIT, _AR: not those of virtual-8086 mode (26.3.1.2)", v86_segments },
    { "GUEST_FS_BASE, GUEST_GS_BASE, GUEST_TR_BASE: not canonical (26.3.1.2)", bases_64 },
    { "GUEST_LDTR_BASE: not canonical (26.3.1.2)", base_ldtr },
    { "GUEST_CS_BASE, _SS_, _DS_, _ES_: beyond 32 bits (26.3.1.2)", bases_32 },
    { "GUEST_CS_AR: neither type 3 nor accessed code (26.3.1.2)", cs_type },
    { "GUEST_CS_AR: unusable, no code segment, or not present (26.3.1.2)", cs_use },
    { "GUEST_CS_AR: a DPL that does not fit its type and SS (26.3.1.2)", cs_dpl },
    { "GUEST_CS_AR: L and D both 1 (26.3.1.2)", cs_size },
    { "GUEST_SS_AR: type neither 3 nor 7 (26.3.1.2)", ss_type },
    { "GUEST_SS_AR: no segment, or not present (26.3.1.2)", ss_use },
    { "GUEST_SS_AR: DPL not 0 in real mode (26.3.1.2)", ss_dpl },
    { "GUEST_ES_AR, _DS_, _FS_, _GS_: no accessed, readable, present segment (26.3.1.2)",
      data_segments },
    { "GUEST_xx_AR: a reserved bit is 1 (26.3.1.2)", ar_reserved },
    { "GUEST_xx_LIMIT: does not fit the granularity (26.3.1.2)", limits },
    { "GUEST_TR_AR: no busy TSS of its mode (26.3.1.2)", tr_type },
    { "GUEST_TR_AR: unusable, not a system segment, or not present (26.3.1.2)", tr_use },
    { "GUEST_LDTR_AR: no LDT, or not present (26.3.1.2)", ldtr_use },
    { "GUEST_GDTR_BASE, GUEST_IDTR_BASE: not canonical (26.3.1.3)", table_bases },
    { "GUEST_GDTR_LIMIT, GUEST_IDTR_LIMIT: bits 31:16 not 0 (26.3.1.3)", table_limits },
    { "GUEST_RIP: not canonical, or beyond 32 bits outside 64-bit code (26.3.1.4)", rip },
    { "GUEST_RFLAGS: a reserved bit has the wrong value (26.3.1.4)", rflags },
    { "GUEST_RFLAGS: VM in IA-32e or real mode (26.3.1.4)", rflags_vm },
    { "GUEST_RFLAGS: IF is 0 while an interrupt is injected (26.3.1.4)", rflags_if },
    { "GUEST_ACTIVITY: a state that the CPU does not have (26.3.1.5)", activity },
    { "GUEST_ACTIVITY: HLT while SS.DPL is not 0 (26.3.1.5)", activity_halt },
    { "GUEST_ACTIVITY: not active in blocking by STI or MOV SS (26.3.1.5)", activity_block },
    { "GUEST_INTERRUPTIBILITY: a reserved bit is 1 (26.3.1.5)", block_bits },
    { "GUEST_INTERRUPTIBILITY: blocking by STI and by MOV SS at once (26.3.1.5)", block_both },
    { "GUEST_INTERRUPTIBILITY: blocking by STI while RFLAGS.IF is 0 (26.3.1.5)", block_sti },
    { "GUEST_INTERRUPTIBILITY: an interrupt is injected into blocking by STI or MOV SS (26.3.1.5)",
      block_int },
    { "GUEST_INTERRUPTIBILITY: an NMI is injected into blocking by STI or MOV SS (26.3.1.5)",
      vmx_check_block_nmi },
    { "GUEST_INTERRUPTIBILITY: blocking by SMI outside SMM (26.3.1.5)", block_smi },
    { "GUEST_INTERRUPTIBILITY: an NMI is injected while NMIs are blocked (26.3.1.5)", block_nmis },
    { "GUEST_PENDING_DEBUG: a reserved bit is 1 (26.3.1.5)", pending_bits },
    { "GUEST_PENDING_DEBUG: BS differs from RFLAGS.TF in blocking by STI or MOV SS (26.3.1.5)",
      pending_step },
    { "VMCS_LINK_POINTER: not all ones (26.3.1.5)", link },
    { "GUEST_PDPTE0 to 3: a reserved bit is 1 (26.3.1.6)", pdptes },
};
const unsigned vmx_guest_rule_count = ARRAY_SIZE(vmx_guest_rules);

const char *vmx_check(const struct vmx_fields *f)
{
    for (unsigned i = 0; i < vmx_control_rule_count; i++)
        if (vmx_control_rules[i].broken(f))
            return vmx_control_rules[i].why;
    for (unsigned i = 0; i < vmx_guest_rule_count; i++)
        if (vmx_guest_rules[i].broken(f))
            return vmx_guest_rules[i].why;
    return NULL;
}

const char *vmx_insn_error(uint64_t n)
{
    static const char *const names[] = {
        [4] = "VMLAUNCH with a VMCS that is not clear",
        [5] = "VMRESUME with a VMCS that was not launched",
        [6] = "VMRESUME after VMXOFF",
        [7] = "VM entry with control fields that the capability MSRs forbid",
        [8] = "VM entry with host state that is not legal",
        [12] = "VMREAD or VMWRITE of a field that does not exist",
        [26] = "VM entry in blocking by MOV SS",
    };

    return n < ARRAY_SIZE(names) && names[n] ? names[n] : "VM entry failed";
}
