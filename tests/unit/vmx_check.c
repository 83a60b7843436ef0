/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules of VM entry: good states pass, and each rule is broken once and must say its name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <hv/x86.h>

#include "arch/x86_64/vmcs.h"
#include "arch/x86_64/vmx_check.h"
#include "arch/x86_64/vmx_rules.h"

enum mode { LONG, REAL, V86, PAE32 };
static uint64_t vmcs[0x8000];
static struct vmx_limits limits;
static uint64_t read_vmcs(uint32_t field) { return vmcs[field]; }
static struct vmx_fields fields = { .read = read_vmcs, .limits = &limits };

static void set_segment(unsigned i, uint64_t sel, uint64_t base, uint64_t limit, uint64_t ar)
{
    vmcs[GUEST_ES_SEL + 2 * i] = sel;
    vmcs[GUEST_ES_BASE + 2 * i] = base;
    vmcs[GUEST_ES_LIMIT + 2 * i] = limit;
    vmcs[GUEST_ES_AR + 2 * i] = ar;
}

static void set_controls(void)
{
    limits = (struct vmx_limits){ .pin = { 0x16, 0xff },
                                  .primary = { 0x401e172, ~0u },
                                  .secondary = { 0, 0x1fff },
                                  .exit = { 0x36dfb, 0x7fffff },
                                  .entry = { 0x11fb, 0x3ffff },
                                  .misc = 7u << 6 | 4u << 16 | 1u << 30,
                                  .ept = EPT_WALK4 | EPT_WB | EPT_AD,
                                  .cr0_must = 0x80000021,
                                  .cr0_may = 0xffffffff,
                                  .cr4_must = 0x2000,
                                  .cr4_may = 0x3767ff,
                                  .phys_bits = 40 };
    fields.vtpr = 0x30;
    vmcs[PIN_CONTROLS] = 0x16 | PIN_EXT_INT | PIN_NMI | PIN_VIRTUAL_NMI;
    vmcs[PRIMARY_CONTROLS] = 0x401e172 | P_SECONDARY | P_MSR_BITMAPS | P_TPR_SHADOW;
    vmcs[SECONDARY_CONTROLS] = S_EPT | S_VPID | S_UNRESTRICTED;
    vmcs[MSR_BITMAP] = 0x1000;
    vmcs[VIRTUAL_APIC] = 0x2000;
    vmcs[TPR_THRESHOLD] = 3;
    vmcs[VPID] = 1;
    vmcs[EPT_POINTER] = 0x3000 | 6 | 3 << 3 | 1 << 6;
    vmcs[EXIT_CONTROLS] = 0x36dfb | X_HOST_64 | X_LOAD_PAT | X_LOAD_EFER;
    vmcs[ENTRY_CONTROLS] = 0x11fb | N_LOAD_DEBUG | N_LOAD_PAT | N_LOAD_EFER;
}

static void set_host(void)
{
    for (unsigned s = HOST_ES_SEL; s <= HOST_DS_SEL; s += 2)
        vmcs[s] = 0x10;
    vmcs[HOST_CS_SEL] = 8;
    vmcs[HOST_TR_SEL] = 0x18;
    vmcs[HOST_CR0] = 0x80010033;
    vmcs[HOST_CR4] = 0x2020;
    vmcs[HOST_CR3] = 0x5000;
    vmcs[HOST_PAT] = 0x0007040600070406;
    vmcs[HOST_EFER] = 0xd01;
    vmcs[HOST_GS_BASE] = vmcs[HOST_TR_BASE] = vmcs[HOST_GDTR_BASE] = vmcs[HOST_IDTR_BASE] =
        vmcs[HOST_RIP] = 0xffffffff80000000;
}

static void set_guest(enum mode mode)
{
    static const struct {
        uint64_t cr0, cr4, efer, flags;
    } modes[] = {
        [LONG] = { 0x80000031, 0x2020, 0xd01, 0x202 },
        [REAL] = { 0x30, 0x2000, 0, 2 },
        [V86] = { 0x31, 0x2000, 0, 0x20202 },
        [PAE32] = { 0x80000031, 0x2020, 0, 0x202 },
    };

    vmcs[GUEST_CR0] = modes[mode].cr0;
    vmcs[GUEST_CR4] = modes[mode].cr4;
    vmcs[GUEST_EFER] = modes[mode].efer;
    vmcs[GUEST_RFLAGS] = modes[mode].flags;
    vmcs[ENTRY_CONTROLS] |= mode == LONG ? N_IA32E : 0;
    vmcs[GUEST_PAT] = 0x0007040600070406;
    vmcs[VMCS_LINK_POINTER] = UINT64_MAX;
    for (unsigned i = 0; i <= X86_GS; i++)
        set_segment(i, 0x10, 0, mode == REAL ? 0xffff : 0xffffffff, mode == REAL ? 0x93 : 0xc093);
    if (mode != REAL)
        set_segment(X86_CS, 8, 0, 0xffffffff, mode == LONG ? 0xa09b : 0xc09b);
    for (unsigned i = 0; mode == V86 && i <= X86_GS; i++)
        set_segment(i, 0x1000, 0x10000, 0xffff, 0xf3);
    set_segment(X86_LDTR, 0, 0, 0, AR_UNUSABLE);
    set_segment(X86_TR, 0x18, 0x7000, 0x67, 0x8b);
}

static void set_good(enum mode mode)
{
    memset(vmcs, 0, sizeof vmcs);
    set_controls();
    set_host();
    set_guest(mode);
}

static void test_good_states(void **state)
{
    (void)state;
    for (enum mode m = LONG; m <= PAE32; m++) {
        const char *why;

        set_good(m);
        why = vmx_check(&fields);
        if (why)
            fail_msg("mode %u: %s", m, why);
    }
    set_good(LONG);
    vmcs[ENTRY_INTR_INFO] = INTR_VALID | INTR_EXCEPTION << 8 | INTR_ERROR_VALID | 14;
    assert_null(vmx_check(&fields));
    set_good(REAL); /* no error codes there */
    vmcs[ENTRY_INTR_INFO] = INTR_VALID | INTR_EXCEPTION << 8 | 13;
    assert_null(vmx_check(&fields));
}

#define BAD_VA 0x0000800000000000ull
#define FAR (1ull << 40)
#define SEG(field, seg) ((field) + 2 * (seg))
#define VALID(type, vector) (INTR_VALID | (uint32_t)(type) << 8 | (vector))
/* What breaks a rule, in which mode, and how the rule begins. At most four fields. */
static const struct breach {
    const char *why;
    enum mode mode;
    struct {
        uint32_t field;
        uint64_t val;
    } set[4];
} breaches[] = {
    { "PIN_CONTROLS: a bit", LONG, { { PIN_CONTROLS, 0x3f & ~2 } } },
    { "PRIMARY_CONTROLS: a bit", LONG, { { PRIMARY_CONTROLS, P_SECONDARY } } },
    { "SECONDARY_CONTROLS: a bit",
      LONG,
      { { SECONDARY_CONTROLS, 1 << 20 | S_EPT | S_UNRESTRICTED } } },
    { "CR3_TARGET_COUNT", LONG, { { CR3_TARGET_COUNT, 5 } } },
    { "MSR_BITMAP", LONG, { { MSR_BITMAP, 0x1800 } } },
    { "VIRTUAL_APIC", LONG, { { VIRTUAL_APIC, FAR } } },
    { "TPR_THRESHOLD: bits", LONG, { { TPR_THRESHOLD, 0x10 } } },
    { "TPR_THRESHOLD: above", LONG, { { TPR_THRESHOLD, 4 } } },
    { "PIN_CONTROLS: virtual NMIs", LONG, { { PIN_CONTROLS, 0x16 | PIN_VIRTUAL_NMI } } },
    { "PRIMARY_CONTROLS: NMI-window",
      LONG,
      { { PIN_CONTROLS, 0x16 | PIN_EXT_INT }, { PRIMARY_CONTROLS, 0x401e172 | P_NMI_WINDOW } } },
    { "APIC_ACCESS", LONG, { { SECONDARY_CONTROLS, S_APIC_ACCESSES }, { APIC_ACCESS, 1 } } },
    { "SECONDARY_CONTROLS: APIC",
      LONG,
      { { PRIMARY_CONTROLS, 0x401e172 | P_SECONDARY }, { SECONDARY_CONTROLS, S_APIC_REGISTERS } } },
    { "SECONDARY_CONTROLS: virtualises",
      LONG,
      { { SECONDARY_CONTROLS, S_APIC_ACCESSES | S_X2APIC } } },
    { "SECONDARY_CONTROLS: virtual-interrupt",
      LONG,
      { { SECONDARY_CONTROLS, S_VIRTUAL_INTR }, { PIN_CONTROLS, 0x16 } } },
    { "PIN_CONTROLS: posted", LONG, { { PIN_CONTROLS, 0x16 | PIN_EXT_INT | PIN_POSTED } } },
    { "POSTED_VECTOR",
      LONG,
      { { SECONDARY_CONTROLS, S_VIRTUAL_INTR },
        { PIN_CONTROLS, 0x16 | PIN_EXT_INT | PIN_POSTED },
        { EXIT_CONTROLS, 0x36dfb | X_HOST_64 | X_ACK_INT },
        { POSTED_VECTOR, 0x100 } } },
    { "POSTED_DESC",
      LONG,
      { { SECONDARY_CONTROLS, S_VIRTUAL_INTR },
        { PIN_CONTROLS, 0x16 | PIN_EXT_INT | PIN_POSTED },
        { EXIT_CONTROLS, 0x36dfb | X_HOST_64 | X_ACK_INT },
        { POSTED_DESC, 32 } } },
    { "VPID", LONG, { { VPID, 0 } } },
    { "SECONDARY_CONTROLS: unrestricted", LONG, { { SECONDARY_CONTROLS, S_UNRESTRICTED } } },
    { "EPT_POINTER: a memory", LONG, { { EPT_POINTER, 0x3000 | 5 | 3 << 3 } } },
    { "EPT_POINTER: a walk", LONG, { { EPT_POINTER, 0x3000 | 6 | 4 << 3 } } },
    { "EPT_POINTER: a reserved", LONG, { { EPT_POINTER, 0x3000 | 6 | 3 << 3 | 1 << 7 } } },
    { "EXIT_CONTROLS: a bit", LONG, { { EXIT_CONTROLS, X_HOST_64 } } },
    { "EXIT_CONTROLS: saves",
      LONG,
      { { EXIT_CONTROLS, 0x36dfb | X_HOST_64 | X_SAVE_PREEMPTION } } },
    { "EXIT_MSR_STORE_COUNT", LONG, { { EXIT_MSR_LOAD_COUNT, 1 } } },
    { "ENTRY_CONTROLS", LONG, { { ENTRY_CONTROLS, N_IA32E } } },
    { "ENTRY_MSR_LOAD_COUNT", LONG, { { ENTRY_MSR_LOAD_COUNT, 1 } } },
    { "ENTRY_INTR_INFO: a reserved", LONG, { { ENTRY_INTR_INFO, VALID(INTR_RESERVED, 40) } } },
    { "ENTRY_INTR_INFO: an NMI", LONG, { { ENTRY_INTR_INFO, VALID(INTR_NMI, 3) } } },
    { "ENTRY_INTR_INFO: an exception", LONG, { { ENTRY_INTR_INFO, VALID(INTR_EXCEPTION, 32) } } },
    { "ENTRY_INTR_INFO: an error", LONG, { { ENTRY_INTR_INFO, VALID(INTR_EXCEPTION, 13) } } },
    { "ENTRY_INTR_INFO: an error",
      LONG,
      { { ENTRY_INTR_INFO, VALID(INTR_EXCEPTION, 6) | INTR_ERROR_VALID } } },
    { "ENTRY_INTR_INFO: an error",
      REAL,
      { { ENTRY_INTR_INFO, VALID(INTR_EXCEPTION, 13) | INTR_ERROR_VALID } } },
    { "ENTRY_INTR_INFO: bits", LONG, { { ENTRY_INTR_INFO, VALID(INTR_EXT, 40) | 1 << 12 } } },
    { "ENTRY_ERROR_CODE",
      LONG,
      { { ENTRY_INTR_INFO, VALID(INTR_EXCEPTION, 13) | INTR_ERROR_VALID },
        { ENTRY_ERROR_CODE, 0x10000 } } },
    { "ENTRY_INSN_LEN",
      LONG,
      { { ENTRY_INTR_INFO, VALID(INTR_SOFT, 0x80) }, { ENTRY_INSN_LEN, 16 } } },
    { "HOST_CR0", LONG, { { HOST_CR0, 0x80010013 } } },
    { "HOST_CR4: breaks", LONG, { { HOST_CR4, 0x20 } } },
    { "HOST_CR3", LONG, { { HOST_CR3, FAR } } },
    { "HOST_SYSENTER", LONG, { { HOST_SYSENTER_ESP, BAD_VA } } },
    { "HOST_PAT", LONG, { { HOST_PAT, 2 } } },
    { "HOST_EFER", LONG, { { HOST_EFER, 0x901 } } },
    { "HOST_xS_SEL", LONG, { { HOST_DS_SEL, 0x13 } } },
    { "HOST_CS_SEL: 0", LONG, { { HOST_CS_SEL, 0 } } },
    { "HOST_TR_SEL: 0", LONG, { { HOST_TR_SEL, 0 } } },
    { "HOST_xx_BASE", LONG, { { HOST_IDTR_BASE, BAD_VA } } },
    { "EXIT_CONTROLS: the host", LONG, { { EXIT_CONTROLS, 0x36dfb & ~X_HOST_64 } } },
    { "HOST_CR4: PAE", LONG, { { HOST_CR4, 0x2000 } } },
    { "HOST_RIP", LONG, { { HOST_RIP, BAD_VA } } },
    { "GUEST_CR0: breaks", LONG, { { GUEST_CR0, 0x80000011 } } },
    { "GUEST_CR0: PG without", REAL, { { GUEST_CR0, 0x80000030 } } },
    { "GUEST_CR4: breaks", LONG, { { GUEST_CR4, 0x20 } } },
    { "GUEST_DEBUGCTL", LONG, { { GUEST_DEBUGCTL, 4 } } },
    { "GUEST_CR0: PG is 0", LONG, { { GUEST_CR0, 0x31 } } },
    { "GUEST_CR4: PAE", LONG, { { GUEST_CR4, 0x2000 } } },
    { "GUEST_CR4: PCIDE", PAE32, { { GUEST_CR4, 0x22020 } } },
    { "GUEST_CR3", LONG, { { GUEST_CR3, FAR } } },
    { "GUEST_DR7", LONG, { { GUEST_DR7, 1ull << 32 } } },
    { "GUEST_SYSENTER", LONG, { { GUEST_SYSENTER_EIP, BAD_VA } } },
    { "GUEST_PAT", LONG, { { GUEST_PAT, 0x0307040600070406 } } },
    { "GUEST_EFER: a reserved", LONG, { { GUEST_EFER, 0xd03 } } },
    { "GUEST_EFER: LMA", REAL, { { GUEST_EFER, 0x500 } } },
    { "GUEST_EFER: LME", PAE32, { { GUEST_EFER, 0x100 } } },
    { "GUEST_TR_SEL", LONG, { { GUEST_TR_SEL, 4 } } },
    { "GUEST_LDTR_SEL", LONG, { { GUEST_LDTR_SEL, 4 }, { GUEST_LDTR_AR, 0x82 } } },
    { "GUEST_xS_BASE", V86, { { GUEST_ES_BASE, 0 } } },
    { "GUEST_FS_BASE", LONG, { { GUEST_FS_BASE, BAD_VA } } },
    { "GUEST_LDTR_BASE", LONG, { { GUEST_LDTR_BASE, BAD_VA }, { GUEST_LDTR_AR, 0x82 } } },
    { "GUEST_CS_BASE", LONG, { { GUEST_CS_BASE, 1ull << 32 } } },
    { "GUEST_CS_AR: neither", LONG, { { GUEST_CS_AR, 0xa09a } } },
    { "GUEST_CS_AR: unusable", LONG, { { GUEST_CS_AR, 0xa01b } } },
    { "GUEST_CS_AR: a DPL", LONG, { { GUEST_CS_AR, 0xa0fb } } },
    { "GUEST_CS_AR: L and D", LONG, { { GUEST_CS_AR, 0xe09b } } },
    { "GUEST_SS_AR: type", LONG, { { GUEST_SS_AR, 0xc091 } } },
    { "GUEST_SS_AR: no segment", LONG, { { GUEST_SS_AR, 0xc013 } } },
    { "GUEST_SS_AR: DPL", REAL, { { GUEST_SS_AR, 0xf3 } } },
    { "GUEST_ES_AR", LONG, { { SEG(GUEST_ES_AR, X86_GS), 0xc092 } } },
    { "GUEST_xx_AR", LONG, { { GUEST_ES_AR, 0xc193 } } },
    { "GUEST_xx_LIMIT", LONG, { { GUEST_ES_LIMIT, 0xffff0000 } } },
    { "GUEST_TR_AR: no busy", LONG, { { GUEST_TR_AR, 0x83 } } },
    { "GUEST_TR_AR: unusable", LONG, { { GUEST_TR_AR, 0x8b | AR_UNUSABLE } } },
    { "GUEST_LDTR_AR", LONG, { { GUEST_LDTR_AR, 0x83 } } },
    { "GUEST_GDTR_BASE", LONG, { { GUEST_GDTR_BASE, BAD_VA } } },
    { "GUEST_GDTR_LIMIT", LONG, { { GUEST_IDTR_LIMIT, 0x10000 } } },
    { "GUEST_RIP", LONG, { { GUEST_RIP, BAD_VA } } },
    { "GUEST_RIP", PAE32, { { GUEST_RIP, 1ull << 32 } } },
    { "GUEST_RFLAGS: a reserved", LONG, { { GUEST_RFLAGS, 0x200 } } },
    { "GUEST_RFLAGS: VM", V86, { { GUEST_CR0, 0x30 } } },
    { "GUEST_RFLAGS: IF", LONG, { { GUEST_RFLAGS, 2 }, { ENTRY_INTR_INFO, VALID(INTR_EXT, 40) } } },
    { "GUEST_ACTIVITY: a state", LONG, { { GUEST_ACTIVITY, 4 } } },
    { "GUEST_ACTIVITY: HLT",
      LONG,
      { { GUEST_ACTIVITY, 1 }, { GUEST_SS_AR, 0xc0f3 }, { GUEST_CS_AR, 0xa0fb } } },
    { "GUEST_ACTIVITY: not active",
      LONG,
      { { GUEST_ACTIVITY, 1 }, { GUEST_INTERRUPTIBILITY, BLOCK_STI } } },
    { "GUEST_INTERRUPTIBILITY: a reserved", LONG, { { GUEST_INTERRUPTIBILITY, 0x20 } } },
    { "GUEST_INTERRUPTIBILITY: blocking by STI and", LONG, { { GUEST_INTERRUPTIBILITY, 3 } } },
    { "GUEST_INTERRUPTIBILITY: blocking by STI while",
      LONG,
      { { GUEST_INTERRUPTIBILITY, 1 }, { GUEST_RFLAGS, 2 } } },
    { "GUEST_INTERRUPTIBILITY: an interrupt",
      LONG,
      { { GUEST_INTERRUPTIBILITY, BLOCK_MOV_SS }, { ENTRY_INTR_INFO, VALID(INTR_EXT, 40) } } },
    { "GUEST_INTERRUPTIBILITY: an NMI is injected into",
      LONG,
      { { GUEST_INTERRUPTIBILITY, BLOCK_MOV_SS }, { ENTRY_INTR_INFO, VALID(INTR_NMI, 2) } } },
    { "GUEST_INTERRUPTIBILITY: blocking by SMI", LONG, { { GUEST_INTERRUPTIBILITY, BLOCK_SMI } } },
    { "GUEST_INTERRUPTIBILITY: an NMI is injected while",
      LONG,
      { { GUEST_INTERRUPTIBILITY, BLOCK_NMI }, { ENTRY_INTR_INFO, VALID(INTR_NMI, 2) } } },
    { "GUEST_PENDING_DEBUG: a reserved", LONG, { { GUEST_PENDING_DEBUG, 0x10 } } },
    { "GUEST_PENDING_DEBUG: BS",
      LONG,
      { { GUEST_INTERRUPTIBILITY, BLOCK_STI }, { GUEST_RFLAGS, 0x302 } } },
    { "VMCS_LINK_POINTER", LONG, { { VMCS_LINK_POINTER, 0 } } },
    { "GUEST_PDPTE0", PAE32, { { GUEST_PDPTE0 + 4, 0x1003 } } },
};

static const char *found(const struct breach *b)
{
    set_good(b->mode);
    for (unsigned i = 0; i < ARRAY_SIZE(b->set) && b->set[i].field; i++)
        vmcs[b->set[i].field] = b->set[i].val;
    return vmx_check(&fields);
}

static void test_each_breach_is_named(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(breaches); i++) {
        const char *why = breaches[i].set[0].field || !strcmp(breaches[i].why, "VPID")
                              ? found(&breaches[i])
                              : NULL;

        if (!strcmp(breaches[i].why, "VPID")) { /* its encoding is 0 */
            set_good(LONG);
            vmcs[VPID] = 0;
            why = vmx_check(&fields);
        }
        if (!why || strncmp(why, breaches[i].why, strlen(breaches[i].why)))
            fail_msg("%s: found %s", breaches[i].why, why ? why : "nothing");
    }
}

static void test_what_a_cpu_lacks(void **state)
{
    (void)state;
    set_good(LONG);
    limits.ept &= ~EPT_AD;
    assert_string_equal(
        vmx_check(&fields),
        "EPT_POINTER: accessed and dirty bits, which the CPU does not have (26.2.1.1)");
    set_good(LONG);
    limits.ept &= ~EPT_WB;
    assert_non_null(strstr(vmx_check(&fields), "memory type"));
}

static bool is_tested(const char *why)
{
    for (unsigned i = 0; i < ARRAY_SIZE(breaches); i++)
        if (!strncmp(why, breaches[i].why, strlen(breaches[i].why)))
            return true;
    return strstr(why, "accessed and dirty") != NULL;
}

static void test_every_rule_is_broken_above(void **state)
{
    const struct {
        const struct vmx_rule *rule;
        unsigned count;
    } all[] = { { vmx_control_rules, vmx_control_rule_count },
                { vmx_guest_rules, vmx_guest_rule_count } };

    (void)state;
    for (unsigned t = 0; t < 2; t++)
        for (unsigned i = 0; i < all[t].count; i++)
            if (!is_tested(all[t].rule[i].why))
                fail_msg("never broken: %s", all[t].rule[i].why);
}

/* ---- vmx_rules.c ---- */

/* As a #DB's exit leaves it: fields of the exit, and what the next entry has to find. */
static void test_a_db_in_a_shadow(void **state)
{
    static const struct {
        uint64_t blocking, flags, debugctl, pending, want;
    } recorded[] = {
        { BLOCK_STI, 0x302, 0, 0, 1 << 14 },        /* a breakpoint after STI, stepping */
        { BLOCK_MOV_SS, 0x302, 0, 0, 1 << 14 },     /* DR7.GD after MOV SS, stepping */
        { BLOCK_MOV_SS, 0x302, 0, 0x1001, 0x5001 }, /* a data breakpoint of the MOV SS waits too */
        { BLOCK_STI, 0x302, 2, 1 << 14, 0 },        /* steps by branches (BTF) */
        { BLOCK_STI, 0x202, 0, 1 << 14, 0 },        /* TF is gone */
        { BLOCK_NMI, 0x302, 0, 0, 0 },              /* no shadow: the rule is not about it */
        { 0, 0x302, 0, 0x4000, 0x4000 },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(recorded); i++) {
        set_good(LONG);
        vmcs[GUEST_INTERRUPTIBILITY] = recorded[i].blocking;
        vmcs[GUEST_RFLAGS] = recorded[i].flags;
        vmcs[GUEST_DEBUGCTL] = recorded[i].debugctl;
        vmcs[ENTRY_INTR_INFO] = VALID(INTR_EXCEPTION, 1);
        vmcs[GUEST_PENDING_DEBUG] = recorded[i].pending;
        if (recorded[i].want != recorded[i].pending)
            assert_non_null(strstr(vmx_check(&fields), "BS differs"));
        vmcs[GUEST_PENDING_DEBUG] = vmx_pending_debug(recorded[i].pending, recorded[i].blocking,
                                                      recorded[i].flags, recorded[i].debugctl);
        assert_int_equal(vmcs[GUEST_PENDING_DEBUG], recorded[i].want);
        assert_null(vmx_check(&fields));
    }
}

/* Signatures of CPUs as they are sold, and whether their timer can be used. */
static void test_the_preemption_timer(void **state)
{
    static const struct {
        uint32_t signature;
        bool wrong;
    } cpus[] = {
        { 0x106a5, true },  /* Core i7-920, D0 */
        { 0x106e5, true },  /* Core i7-870 */
        { 0x20652, true },  /* Core i5-520M */
        { 0x20655, true },  /* Core i5-650, K0 */
        { 0x206e6, true },  /* Xeon X7560 */
        { 0x306a8, true },  /* Xeon E3-1220 v2 */
        { 0x206c2, false }, /* Xeon X5650 */
        { 0x206a7, false }, /* Core i7-2600 */
        { 0x306a9, false }, /* Core i7-3770 */
        { 0x306c3, false }, /* Core i7-4770 */
        { 0x906ea, false }, /* Core i7-8700 */
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cpus); i++)
        assert_int_equal(vmx_timer_is_wrong(cpus[i].signature), cpus[i].wrong);
}

static void test_instructions_that_guests_do_not_have(void **state)
{
    (void)state;
    assert_true(vmx_is_unknown_insn(76));  /* SEAMCALL */
    assert_true(vmx_is_unknown_insn(77));  /* TDCALL */
    assert_true(vmx_is_unknown_insn(27));  /* VMXON */
    assert_false(vmx_is_unknown_insn(18)); /* VMCALL */
    assert_false(vmx_is_unknown_insn(48)); /* EPT violation */
    assert_false(vmx_is_unknown_insn(75));
    assert_false(vmx_is_unknown_insn(77 | 1u << 31)); /* the entry failed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_states),
        cmocka_unit_test(test_each_breach_is_named),
        cmocka_unit_test(test_what_a_cpu_lacks),
        cmocka_unit_test(test_every_rule_is_broken_above),
        cmocka_unit_test(test_a_db_in_a_shadow),
        cmocka_unit_test(test_the_preemption_timer),
        cmocka_unit_test(test_instructions_that_guests_do_not_have),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
