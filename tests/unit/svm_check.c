/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules of VMRUN: good states pass, and each rule is broken once and must say its name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/x86_64/svm_check.h"

enum mode { LONG, PAE32, REAL };
static struct vmcb vmcb;
static const struct svm_limits limits = { .asids = 16, .phys_bits = 40, .cr4_may = 0x3707ff };

static void set_good(enum mode mode)
{
    static const struct {
        uint64_t cr0, cr4, efer;
        uint16_t cs;
    } modes[] = { [LONG] = { 0x80010033, 0x3006a0, 0x1d01, 0xa9b },
                  [PAE32] = { 0x80010033, 0x20, 0x1000, 0xc9b },
                  [REAL] = { 0x60000010, 0, 0x1000, 0x9b } };

    vmcb = (struct vmcb){ .intercept_misc2 = I2_VMRUN,
                          .iopm_base_pa = 0x1000,
                          .msrpm_base_pa = 0x4000,
                          .guest_asid = 15,
                          .np_enable = 1,
                          .n_cr3 = 0x6000,
                          .cr0 = modes[mode].cr0,
                          .cr3 = 0x7000,
                          .cr4 = modes[mode].cr4,
                          .efer = modes[mode].efer,
                          .cs = { .attrib = modes[mode].cs },
                          .dr6 = 0xffff0ff0,
                          .dr7 = 0x400,
                          .g_pat = 0x0007040600070406 };
}

#define FIELD(name) offsetof(struct vmcb, name), sizeof(((struct vmcb *)0)->name)
static const struct {
    const char *why;
    enum mode mode;
    size_t offset, size;
    uint64_t val;
} breaches[] = {
    { "EFER: SVME", REAL, FIELD(efer), 0 },
    { "EFER: a reserved", LONG, FIELD(efer), 0x1d03 },
    { "CR0: NW", REAL, FIELD(cr0), 0x20000010 },
    { "CR0: bits 63:32", LONG, FIELD(cr0), 0x180010033 },
    { "CR3", LONG, FIELD(cr3), 1ull << 40 },
    { "CR4: a reserved", LONG, FIELD(cr4), 1 << 22 | 0x20 }, /* PKE, which this CPU has not */
    { "CR4: a reserved", REAL, FIELD(cr4), 1 << 13 },        /* VMXE */
    { "CR4: a reserved", REAL, FIELD(cr4), 1ull << 32 },
    { "DR6", LONG, FIELD(dr6), 1ull << 32 },
    { "DR7", LONG, FIELD(dr7), 1ull << 32 },
    { "CR4: PAE", LONG, FIELD(cr4), 0 },
    { "CR0: PE", LONG, FIELD(cr0), 0x80010032 },
    { "CS: L and D", LONG, FIELD(cs.attrib), 0xe9b },
    { "INTERCEPT", LONG, FIELD(intercept_misc2), 0 },
    { "GUEST_ASID", LONG, FIELD(guest_asid), 0 },
    { "GUEST_ASID", LONG, FIELD(guest_asid), 16 },
    { "IOPM_BASE_PA", LONG, FIELD(iopm_base_pa), (1ull << 40) - 0x2000 },
    { "MSRPM_BASE_PA", LONG, FIELD(msrpm_base_pa), 1ull << 40 },
    { "N_CR3", LONG, FIELD(n_cr3), 1ull << 40 },
    { "G_PAT", LONG, FIELD(g_pat), 0x0207040600070406 },
    { "EVENTINJ: a type", LONG, FIELD(eventinj), EVENT_VALID | 1 << 8 | 40 },
    { "EVENTINJ: a type", LONG, FIELD(eventinj), EVENT_VALID | 5 << 8 | 40 },
    { "EVENTINJ: a vector", LONG, FIELD(eventinj), EVENT_VALID | EVENT_EXCEPTION << 8 | 2 },
    { "EVENTINJ: a vector", LONG, FIELD(eventinj), EVENT_VALID | EVENT_EXCEPTION << 8 | 5 },
    { "EVENTINJ: a vector", LONG, FIELD(eventinj), EVENT_VALID | EVENT_EXCEPTION << 8 | 32 },
};

static void good_states_pass(void **state)
{
    (void)state;
    for (enum mode m = LONG; m <= REAL; m++) {
        set_good(m);
        assert_null(svm_check(&vmcb, &limits));
    }
    vmcb.eventinj = EVENT_VALID | EVENT_EXCEPTION << 8 | 5; /* #BOUND exists there */
    assert_null(svm_check(&vmcb, &limits));
}

static void each_breach_is_named(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof breaches / sizeof breaches[0]; i++) {
        const char *why;

        set_good(breaches[i].mode);
        memcpy((char *)&vmcb + breaches[i].offset, &breaches[i].val, breaches[i].size);
        why = svm_check(&vmcb, &limits);
        if (!why || strncmp(why, breaches[i].why, strlen(breaches[i].why)) != 0)
            fail_msg("%u: %s, not %s", i, why ? why : "nothing", breaches[i].why);
    }
}

/* CET without WP: only on a CPU that has CET. */
static void cet_needs_write_protection(void **state)
{
    struct svm_limits l = limits;

    (void)state;
    l.cr4_may |= 1 << 23;
    set_good(LONG);
    vmcb.cr4 |= 1 << 23;
    assert_null(svm_check(&vmcb, &l));
    vmcb.cr0 &= ~(1ull << 16);
    assert_non_null(strstr(svm_check(&vmcb, &l), "CET"));
}

/* UMIP LA57 FSGSBASE PCIDE OSXSAVE SMEP SMAP PKE CET */
static void cr4_follows_cpuid(void **state)
{
    (void)state;
    assert_int_equal(svm_cr4_may(0, 0, 0), 0x7ff);
    assert_int_equal(svm_cr4_may(1 << 26 | 1 << 17, 0, 0), 0x607ff);
    assert_int_equal(svm_cr4_may(0, 1 << 0 | 1 << 7 | 1 << 20, 0), 0x3107ff);
    assert_int_equal(svm_cr4_may(0, 0, 1 << 2 | 1 << 3 | 1 << 7 | 1 << 16), 0xc01fff);
    assert_int_equal(svm_cr4_may(~0u, ~0u, ~0u) >> 24, 0);
    assert_int_equal(svm_cr4_may(~0u, ~0u, ~0u) & (3 << 13 | 1 << 15 | 1 << 19), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_states_pass),
        cmocka_unit_test(each_breach_is_named),
        cmocka_unit_test(cet_needs_write_protection),
        cmocka_unit_test(cr4_follows_cpuid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
