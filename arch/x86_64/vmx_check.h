/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmx_check.h: the checks that a VM entry makes, in C: each rule names its field and what the
 * manual asks of it. Intel SDM volume 3 sections 26.2 (controls, host) and 26.3 (guest). Pure
 * functions of the fields and of what the CPU allows, so that a test can break each rule.
 */
#pragma once
#include <hv/types.h>

/* halves of a capability MSR: bits that must be 1, that may be 1 (A.3 to A.5) */
struct vmx_allowed {
    uint32_t must, may;
};
struct vmx_limits {
    struct vmx_allowed pin, primary, secondary, exit, entry;
    /* IA32_VMX_BASIC, IA32_VMX_MISC, IA32_VMX_EPT_VPID_CAP */
    uint64_t basic, misc, ept;
    uint64_t cr0_must, cr0_may, cr4_must, cr4_may; /* IA32_VMX_CR0_FIXED0 and the like */
    uint8_t phys_bits;                             /* of a physical address */
};

/*
 * One VMCS: read() gives a field by its encoding; vtpr is byte 0x80 of the virtual-APIC page, if
 * there is one.
 */
struct vmx_fields {
    uint64_t (*read)(uint32_t field);
    const struct vmx_limits *limits;
    uint8_t vtpr;
};

struct vmx_rule {
    const char *why;
    bool (*broken)(const struct vmx_fields *);
};

/* The first rule that is broken, as "FIELD: rule (section)"; NULL: none. Constant strings. */
const char *vmx_check(const struct vmx_fields *);
const char *vmx_insn_error(uint64_t n); /* table 30-1 */

/* ---- for the two files that hold the rules ---- */
static inline uint64_t vmx_field(const struct vmx_fields *f, uint32_t field)
{
    return f->read(field);
}
static inline bool vmx_canonical(uint64_t va)
{
    return (uint64_t)((int64_t)(va << 16) >> 16) == va;
}
/* A physical address that is aligned to a page and that the CPU can have. */
static inline bool vmx_page(const struct vmx_fields *f, uint64_t pa)
{
    return !(pa & 0xfff) && !(pa >> f->limits->phys_bits);
}
static inline bool vmx_allows(struct vmx_allowed a, uint64_t val)
{
    return (val & a.must) == a.must && !(val & ~(uint64_t)a.may);
}
bool vmx_bad_pat(uint64_t pat);
extern const struct vmx_rule vmx_control_rules[], vmx_guest_rules[];
extern const unsigned vmx_control_rule_count, vmx_guest_rule_count;
