/* What CPUs of different years need against leaks across VM entries and exits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "arch/x86_64/vmx_leaks.h"

#define IBRS (1u << 26)
#define L1D (1u << 28)
#define MD_CLEAR (1u << 10)
#define RTM (1u << 11)
#define SAFE_2023 (1ull << 0 | 1 << 1 | 1 << 3 | 1 << 5 | 1 << 8 | 1 << 13 | 1 << 14 | 1 << 15 | 1 << 24)

static void test_old_microcode(void **state)
{
    struct vmx_leaks l = vmx_leaks_decide((struct leak_facts){ .leaf7_ebx = RTM });

    (void)state;
    assert_true(l.l1d_open && l.buffers_open && l.steer_open);
    assert_false(l.fill_rsb || l.ibrs_switch || l.at_entry || l.flush_l1d || l.verw);
    assert_int_equal(l.spec_ctrl, 0);
}

static void test_skylake(void **state)
{
    struct vmx_leaks l = vmx_leaks_decide((struct leak_facts){ .leaf7_edx = IBRS | L1D | MD_CLEAR, .leaf7_ebx = RTM });

    (void)state;
    assert_true(l.fill_rsb && l.ibrs_switch && l.flush_l1d && l.at_entry);
    assert_false(l.verw);                  /* the L1D flush does it */
    assert_int_equal(l.spec_ctrl, 1);
    assert_false(l.l1d_open || l.buffers_open || l.steer_open);
}

/* RDCL_NO and IBRS_ALL, but MDS or TSX leaks. */
static void test_cascade_lake(void **state)
{
    struct vmx_leaks l = vmx_leaks_decide((struct leak_facts){ .leaf7_edx = IBRS | L1D | MD_CLEAR, .leaf7_ebx = RTM, .arch_caps = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 5 });

    (void)state;
    assert_true(l.verw && l.fill_rsb && l.at_entry);
    assert_false(l.flush_l1d || l.ibrs_switch);
    l = vmx_leaks_decide((struct leak_facts){ .leaf7_edx = IBRS | L1D | MD_CLEAR, .arch_caps = 1 << 0 | 1 << 1 | 1 << 3 });
    assert_true(l.verw);                   /* MDS */
    l = vmx_leaks_decide((struct leak_facts){ .leaf7_edx = IBRS | L1D | MD_CLEAR, .arch_caps = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 5 | 1 << 17 });
    assert_true(l.verw);                   /* MMIO stale data */
}

static void test_nothing_needed(void **state)
{
    struct vmx_leaks l = vmx_leaks_decide((struct leak_facts){ .leaf7_edx = IBRS | L1D | MD_CLEAR, .leaf7_ebx = RTM, .leaf7_2_edx = 1 << 4, .arch_caps = SAFE_2023 });

    (void)state;
    assert_false(l.fill_rsb || l.ibrs_switch || l.flush_l1d || l.verw || l.at_entry || l.l1d_open || l.buffers_open || l.steer_open);
    assert_int_equal(l.spec_ctrl, 1 | 1 << 10);
    l = vmx_leaks_decide((struct leak_facts){ .leaf7_edx = IBRS, .arch_caps = SAFE_2023 & ~(1ull << 24) });
    assert_true(l.fill_rsb);               /* PBRSB */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_old_microcode), cmocka_unit_test(test_skylake), cmocka_unit_test(test_cascade_lake), cmocka_unit_test(test_nothing_needed) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
