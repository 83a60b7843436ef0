/* SPDX-License-Identifier: BSD-2-Clause */
/* What the EL2 engine has of a vCPU in an image, without a CPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <hv/vm.h>
#include <string.h>

#include "arch/aarch64/el2.h"

struct el2_caps el2_caps;
uint32_t el2_gic_vtr;
static struct vm vm;
static struct vcpu vcpu[2];
static struct el2_vcpu engine[2];
static _Alignas(8) struct el2_state image, again;

static void make(void)
{
    el2_caps = (struct el2_caps){ .gic_version = 3, .breakpoints = 6, .watchpoints = 4 };
    el2_caps.id[ID_AA64PFR0] = 0x12;
    el2_gic_vtr = 4u << 26; /* 5 bits of preemption */
    memset(engine, 0, sizeof engine);
    vm = (struct vm){ .nvcpus = 2 };
    for (uint32_t i = 0; i < 2; i++) {
        vm.vcpu[i] = &vcpu[i];
        vcpu[i] = (struct vcpu){ .vm = &vm, .id = i, .arch = &engine[i] };
        vcpu[i].regs.flags = 0x3c5;
        engine[i].hcr = 1 | HCR_DC | HCR_TVM; /* as at reset, and a bit of the host's */
    }
}

static void save(void *to)
{
    assert_int_equal(el2_states[0]->size(&vm, 1), sizeof image);
    memset(to, 0, sizeof image);
    assert_int_equal(el2_states[0]->save(&vm, 1, to), 0);
}

static int restore(void) { return el2_states[0]->restore(&vm, 1, &image); }

static void fill(void)
{
    struct el2_vcpu *e = &engine[1];

    make();
    e->hcr = 1 | HCR_VSE;
    e->sys[R_VSESR_EL2] = 0x1000011;
    e->sys[R_SCTLR_EL1] = SCTLR_EL1_M;
    e->gic.ap0r[0] = 0x10;
    e->gic.ap1r[0] = 0x20;
    e->gic.lr_live = 3; /* the host's */
    for (unsigned n = 0; n < 6; n++)
        e->dbg.bvr[n] = 0x1000 + n, e->dbg.bcr[n] = 0x1e5;
    for (unsigned n = 0; n < 4; n++)
        e->dbg.wvr[n] = 0x2000 + n, e->dbg.wcr[n] = 0x1ff;
}

static void test_round(void **state)
{
    struct el2_debug dbg;

    (void)state;
    assert_int_equal(el2_states[0]->count(&vm), vm.nvcpus);
    assert_null(el2_states[1]);
    fill();
    engine[1].watch_mmu = true;
    engine[1].hcr |= HCR_TVM;
    dbg = engine[1].dbg;
    save(&image);
    make();
    engine[1].sys[R_SCTLR_EL1] = SCTLR_EL1_M; /* of the records before */
    assert_int_equal(restore(), 0);
    assert_int_equal(engine[1].hcr, 1 | HCR_VSE | HCR_TVM);
    assert_memory_equal(&engine[1].dbg, &dbg, sizeof dbg);
    assert_int_equal(engine[1].gic.ap1r[0], 0x20);
    assert_true(engine[1].watch_mmu);
    save(&again);
    assert_memory_equal(&image, &again, sizeof image);
}

/* Caches and traps follow the guest's MMU, as when it turns it on itself. */
static void test_mmu(void **state)
{
    (void)state;
    fill();
    engine[1].hcr = 1;
    save(&image);
    make();
    assert_int_equal(restore(), 0);
    assert_int_equal(engine[1].hcr, 1 | HCR_DC | HCR_TVM);
    engine[1].sys[R_SCTLR_EL1] = SCTLR_EL1_M;
    assert_int_equal(restore(), 0);
    assert_int_equal(engine[1].hcr, 1);
    make();
    el2_caps.fwb = true;
    engine[1].hcr = 1;
    assert_int_equal(restore(), 0);
    assert_int_equal(engine[1].hcr, 1);
    image.flags = EL2_STATE_WATCH_MMU; /* nobody watches there */
    assert_int_equal(restore(), -EINVAL);
}

/* An image that makes ERET stay at EL2 would be the end of Trivet. */
static void test_pstate(void **state)
{
    (void)state;
    fill();
    save(&image);
    for (unsigned m = 0; m < 32; m++) {
        bool may = m == 0 || m == 4 || m == 5 || m == 16;

        vcpu[1].regs.flags = 0xf0000000 | m;
        assert_int_equal(restore(), may ? 0 : -EINVAL);
    }
    for (unsigned bit = 5; bit < 64; bit++) {
        vcpu[1].regs.flags = 5 | 1ull << bit;
        assert_int_equal(restore(), 0xf3f01fcfull >> bit & 1 ? 0 : -EINVAL);
        vcpu[1].regs.flags = 16 | 1ull << bit;
        assert_int_equal(restore(), bit < 32 ? 0 : -EINVAL);
    }
    vcpu[1].regs.flags = 16;
    el2_caps.id[ID_AA64PFR0] = 0x11; /* no AArch32 */
    assert_int_equal(restore(), -EINVAL);
}

static void expect_bits(void *field, size_t size, uint64_t bits)
{
    for (unsigned n = 0; n < 8 * size; n++) {
        ((uint8_t *)field)[n / 8] ^= (uint8_t)(1u << n % 8);
        assert_int_equal(restore(), bits >> n & 1 ? 0 : -EINVAL);
        ((uint8_t *)field)[n / 8] ^= (uint8_t)(1u << n % 8);
    }
}
#define EXPECT_BITS(field, bits) expect_bits(&(field), sizeof(field), bits)

static void test_refused(void **state)
{
    (void)state;
    fill();
    save(&image);
    EXPECT_BITS(image.flags, 3);
    EXPECT_BITS(image.zero, 0);
    EXPECT_BITS(image.vsesr, 0x1ffffff);
    EXPECT_BITS(image.ap0r[0], ~0ull);
    EXPECT_BITS(image.ap1r[1], 0);
    EXPECT_BITS(image.ap0r[3], 0);
    EXPECT_BITS(image.dbg.bvr[5], ~0ull);
    EXPECT_BITS(image.dbg.bvr[6], 0);
    EXPECT_BITS(image.dbg.bcr[15], 0);
    EXPECT_BITS(image.dbg.wvr[4], 0);
    EXPECT_BITS(image.dbg.wcr[3], ~0ull);
    EXPECT_BITS(image.dbg.wcr[4], 0);
    el2_gic_vtr = 5u << 26; /* 6 bits */
    EXPECT_BITS(image.ap1r[1], ~0ull);
    EXPECT_BITS(image.ap1r[2], 0);
    el2_gic_vtr = 6u << 26;
    EXPECT_BITS(image.ap0r[3], ~0ull);
    el2_caps.gic_version = 2;
    image.ap0r[0] = 0;
    EXPECT_BITS(image.ap0r[0], 0);
    EXPECT_BITS(image.ap1r[0], ~0ull);
    EXPECT_BITS(image.ap1r[1], 0);
}

/* Each register once; none that is the machine's, or that does more than it says when set. */
static void test_list(void **state)
{
    (void)state;
    for (unsigned n = 0; n < EL2_SYSREGS; n++) {
        assert_int_not_equal(el2_sysreg_list[n], 0);
        assert_int_not_equal(el2_sysreg_list[n], ARM_VMPIDR_EL2);
        assert_int_not_equal(el2_sysreg_list[n], ARM_CNTVOFF_EL2);
        assert_int_not_equal(el2_sysreg_list[n], ARM_VSESR_EL2);
        for (unsigned k = 0; k < n; k++)
            assert_int_not_equal(el2_sysreg_list[n], el2_sysreg_list[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round),   cmocka_unit_test(test_mmu),  cmocka_unit_test(test_pstate),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
