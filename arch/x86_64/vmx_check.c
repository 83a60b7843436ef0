/*
 * vmx_check.c: why a VM entry failed, in words: the field and the rule that it breaks. Intel SDM volume 3 section 26.3.1 (guest state) and
 * table 30-1 (instruction errors). Run when an entry has failed, hence at no cost, in every build.
 */
#include <hv/x86.h>

#include "private.h"
#include "vmx.h"

#define CR0_PE 1ull
#define CR0_PG (1ull << 31)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)
#define RFLAGS_IF (1ull << 9)
#define RFLAGS_TF (1ull << 8)
#define RFLAGS_VM (1ull << 17)

/* What many rules ask for, read once. */
struct state {
    uint64_t cr0, cr4, efer, rflags, rip, entry, intr, block, pending;
    uint32_t ar[X86_NSEGS];
    uint64_t limit[X86_NSEGS], base[X86_NSEGS], sel[X86_NSEGS];
    bool ia32e, real, v86;
};

static void read_state(struct state *s)
{
    s->cr0 = vmread(GUEST_CR0);
    s->cr4 = vmread(GUEST_CR4);
    s->efer = vmread(GUEST_EFER);
    s->rflags = vmread(GUEST_RFLAGS);
    s->rip = vmread(GUEST_RIP);
    s->entry = vmread(ENTRY_CONTROLS);
    s->intr = vmread(ENTRY_INTR_INFO);
    s->block = vmread(GUEST_INTERRUPTIBILITY);
    s->pending = vmread(GUEST_PENDING_DEBUG);
    for (unsigned i = 0; i < X86_NSEGS; i++) {
        s->ar[i] = (uint32_t)vmread(GUEST_ES_AR + 2 * i);
        s->limit[i] = vmread(GUEST_ES_LIMIT + 2 * i);
        s->base[i] = vmread(GUEST_ES_BASE + 2 * i);
        s->sel[i] = vmread(GUEST_ES_SEL + 2 * i);
    }
    s->ia32e = (s->entry & N_IA32E) != 0;
    s->real = !(s->cr0 & CR0_PE);
    s->v86 = (s->rflags & RFLAGS_VM) != 0;
}

static bool canonical(uint64_t va)
{
    return (uint64_t)((int64_t)(va << 16) >> 16) == va;
}

static unsigned type_of(const struct state *s, unsigned seg) { return s->ar[seg] & 15; }
static unsigned dpl_of(const struct state *s, unsigned seg) { return s->ar[seg] >> 5 & 3; }
static bool usable(const struct state *s, unsigned seg) { return !(s->ar[seg] & AR_UNUSABLE); }

/* 26.3.1.1 */
static bool bad_cr0_fixed(const struct state *s) { return (s->cr0 & vmx_caps.cr0_fixed) != vmx_caps.cr0_fixed; }
static bool bad_cr0_pg(const struct state *s) { return (s->cr0 & CR0_PG) && !(s->cr0 & CR0_PE); }
static bool bad_cr4_fixed(const struct state *s) { return (s->cr4 & vmx_caps.cr4_fixed) != vmx_caps.cr4_fixed || (s->cr4 & ~vmx_caps.cr4_known); }
static bool bad_ia32e_pg(const struct state *s) { return s->ia32e && !(s->cr0 & CR0_PG); }
static bool bad_ia32e_pae(const struct state *s) { return s->ia32e && !(s->cr4 & CR4_PAE); }
static bool bad_pcide(const struct state *s) { return !s->ia32e && (s->cr4 & CR4_PCIDE); }
static bool bad_cr3(const struct state *s) { (void)s; return vmread(GUEST_CR3) >> x86_features.phys_bits; }
static bool bad_dr7(const struct state *s) { (void)s; return vmread(GUEST_DR7) >> 32; }
static bool bad_efer_lma(const struct state *s) { return ((s->efer & EFER_LMA) != 0) != s->ia32e; }
static bool bad_efer_lme(const struct state *s) { return (s->cr0 & CR0_PG) && ((s->efer & EFER_LME) != 0) != s->ia32e; }
static bool bad_sysenter(const struct state *s) { (void)s; return !canonical(vmread(GUEST_SYSENTER_ESP)) || !canonical(vmread(GUEST_SYSENTER_EIP)); }

/* 26.3.1.2 */
static bool bad_tr_ti(const struct state *s) { return s->sel[X86_TR] & 4; }
static bool bad_tr_type(const struct state *s) { return type_of(s, X86_TR) != 11 && (s->ia32e || type_of(s, X86_TR) != 3); }
static bool bad_tr_use(const struct state *s) { return !usable(s, X86_TR) || (s->ar[X86_TR] & AR_S) || !(s->ar[X86_TR] & AR_P); }
static bool bad_ldtr(const struct state *s) { return usable(s, X86_LDTR) && (type_of(s, X86_LDTR) != 2 || (s->ar[X86_LDTR] & AR_S) || (s->sel[X86_LDTR] & 4)); }
static bool bad_cs_type(const struct state *s) { return !s->v86 && type_of(s, X86_CS) != 3 && (type_of(s, X86_CS) & 9) != 9; }
static bool bad_cs_use(const struct state *s) { return !s->v86 && (!usable(s, X86_CS) || !(s->ar[X86_CS] & AR_S) || !(s->ar[X86_CS] & AR_P)); }
static bool bad_cs_ld(const struct state *s) { return s->ia32e && (s->ar[X86_CS] & AR_L) && (s->ar[X86_CS] & AR_DB); }
static bool bad_ss_type(const struct state *s) { return !s->v86 && usable(s, X86_SS) && type_of(s, X86_SS) != 3 && type_of(s, X86_SS) != 7; }
static bool bad_ss_dpl(const struct state *s) { return !s->v86 && (type_of(s, X86_CS) == 3 || s->real) && dpl_of(s, X86_SS); }
static bool bad_base(const struct state *s)
{
    return !canonical(s->base[X86_FS]) || !canonical(s->base[X86_GS]) || !canonical(s->base[X86_TR]) || s->base[X86_CS] >> 32;
}

static bool bad_data(const struct state *s)
{
    static const uint8_t data[] = { X86_ES, X86_DS, X86_FS, X86_GS };

    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        unsigned type = type_of(s, data[i]);

        if (!s->v86 && usable(s, data[i]) && (!(type & 1) || ((type & 8) && !(type & 2)) || !(s->ar[data[i]] & AR_S) || !(s->ar[data[i]] & AR_P)))
            return true;
    }
    return false;
}

static bool bad_limit(const struct state *s)
{
    for (unsigned i = 0; i < X86_NSEGS; i++) {
        bool g = s->ar[i] & AR_G;

        if (usable(s, i) && !s->v86 && ((g && (s->limit[i] & 0xfff) != 0xfff) || (!g && s->limit[i] >> 20)))
            return true;
    }
    return false;
}

/* 26.3.1.3 to 26.3.1.5 */
static bool bad_tables(const struct state *s) { (void)s; return !canonical(vmread(GUEST_GDTR_BASE)) || !canonical(vmread(GUEST_IDTR_BASE)); }
static bool bad_rip(const struct state *s) { return s->ia32e && (s->ar[X86_CS] & AR_L) ? !canonical(s->rip) : s->rip >> 32 != 0; }
static bool bad_vm(const struct state *s) { return s->v86 && (s->ia32e || s->real); }
static bool bad_if(const struct state *s) { return (s->intr & INTR_VALID) && INTR_TYPE(s->intr) == INTR_EXT && !(s->rflags & RFLAGS_IF); }
static bool bad_shadow(const struct state *s)
{
    unsigned type = (unsigned)INTR_TYPE(s->intr);
    uint64_t both = BLOCK_STI | BLOCK_MOV_SS;

    return (s->block & both) == both || ((s->intr & INTR_VALID) && (type == INTR_EXT || type == INTR_NMI) && (s->block & both));
}
static bool bad_pending(const struct state *s)
{
    bool step = (s->rflags & RFLAGS_TF) != 0, bs = s->pending >> 14 & 1;

    return (s->block & (BLOCK_STI | BLOCK_MOV_SS)) && step != bs;
}

const char *vmx_check(void)
{
    static const struct { bool (*bad)(const struct state *); const char *why; } rules[] = {
        { bad_cr0_fixed, "guest CR0 lacks a bit of IA32_VMX_CR0_FIXED0 (26.3.1.1)" }, { bad_cr0_pg, "guest CR0.PG without PE (26.3.1.1)" },
        { bad_cr4_fixed, "guest CR4 breaks IA32_VMX_CR4_FIXED0 or FIXED1 (26.3.1.1)" }, { bad_ia32e_pg, "IA-32e mode guest without CR0.PG (26.3.1.1)" },
        { bad_ia32e_pae, "IA-32e mode guest without CR4.PAE (26.3.1.1)" }, { bad_pcide, "guest CR4.PCIDE outside IA-32e mode (26.3.1.1)" },
        { bad_cr3, "guest CR3 beyond the physical-address width (26.3.1.1)" }, { bad_dr7, "guest DR7[63:32] not 0 (26.3.1.1)" },
        { bad_sysenter, "guest IA32_SYSENTER_ESP or EIP not canonical (26.3.1.1)" },
        { bad_efer_lma, "guest EFER.LMA differs from IA-32e mode guest (26.3.1.1)" }, { bad_efer_lme, "guest EFER.LME differs from LMA with CR0.PG (26.3.1.1)" },
        { bad_tr_ti, "guest TR selector's TI not 0 (26.3.1.2)" }, { bad_tr_type, "guest TR is no busy TSS of its mode (26.3.1.2)" },
        { bad_tr_use, "guest TR unusable, not a system segment, or not present (26.3.1.2)" }, { bad_ldtr, "guest LDTR is no LDT (26.3.1.2)" },
        { bad_cs_type, "guest CS type is neither 3 nor accessed code (26.3.1.2)" }, { bad_cs_use, "guest CS unusable, no code segment, or not present (26.3.1.2)" },
        { bad_cs_ld, "guest CS.L and CS.D both 1 (26.3.1.2)" }, { bad_ss_type, "guest SS type is neither 3 nor 7 (26.3.1.2)" },
        { bad_ss_dpl, "guest SS.DPL not 0 in real mode (26.3.1.2)" }, { bad_data, "guest ES, DS, FS or GS is no accessed readable segment (26.3.1.2)" },
        { bad_base, "guest segment base not canonical, or CS base beyond 32 bits (26.3.1.2)" }, { bad_limit, "guest segment limit does not fit its granularity (26.3.1.2)" },
        { bad_tables, "guest GDTR or IDTR base not canonical (26.3.1.3)" }, { bad_rip, "guest RIP not canonical, or beyond 32 bits outside 64-bit code (26.3.1.4)" },
        { bad_vm, "guest RFLAGS.VM in IA-32e or real mode (26.3.1.4)" }, { bad_if, "an interrupt is injected while RFLAGS.IF is 0 (26.3.1.4)" },
        { bad_shadow, "an interrupt or NMI is injected into blocking by STI or MOV SS (26.3.1.5)" },
        { bad_pending, "pending debug exceptions BS differs from RFLAGS.TF in blocking by STI or MOV SS (26.3.1.5)" },
    };
    struct state s;

    read_state(&s);
    for (unsigned i = 0; i < ARRAY_SIZE(rules); i++)
        if (rules[i].bad(&s))
            return rules[i].why;
    return NULL;
}

const char *vmx_insn_error(uint64_t n)
{
    static const char *const names[] = {
        [4] = "VMLAUNCH with a VMCS that is not clear", [5] = "VMRESUME with a VMCS that was not launched", [6] = "VMRESUME after VMXOFF",
        [7] = "VM entry with control fields that the capability MSRs forbid", [8] = "VM entry with host state that is not legal",
        [12] = "VMREAD or VMWRITE of a field that does not exist", [26] = "VM entry in blocking by MOV SS",
    };

    return n < ARRAY_SIZE(names) && names[n] ? names[n] : "VM entry failed";
}
