/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The EL2 engine's portable parts: syndromes, ID registers, the table of caught registers, stage
 * 2's format, VMIDs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <hv/arm.h>

#include "arch/aarch64/el2_esr.h"
#include "arch/aarch64/el2_id.h"
#include "arch/aarch64/el2_stage2.h"
#include "arch/aarch64/el2_sysregs.h"
#include "arch/aarch64/el2_vmid.h"
#include "tests/unit/fakept.h"

/* ---- syndromes, Arm ARM D19.2.37 ---- */

static const uint64_t gpr[31] = { [0] = 0x1122334455667788, [5] = 0xffffffffdeadbeef, [30] = 30 };
static struct vcpu_exit e;

static uint64_t dabt(uint64_t iss) { return 0x24ull << 26 | 1ull << 25 | iss; }

/* What is plain is read in two ways, which must agree. */
static enum esr_abort abort_of(uint64_t esr, uint64_t far, uint64_t hpfar)
{
    struct vcpu_exit plain;
    enum esr_abort a;

    memset(&e, 0xa5, sizeof e);
    memset(&plain, 0xa5, sizeof plain);
    a = esr_abort(esr, far, hpfar, gpr, &e);
    if (esr_is_plain(esr)) {
        plain.syndrome = esr;
        esr_plain(esr, far, hpfar, gpr, &plain);
        assert_int_equal(a, ABORT_MEM);
        assert_memory_equal(&plain, &e, sizeof e);
    }
    return a;
}

static void expect_access(uint64_t at, unsigned size, bool write, unsigned reg, uint64_t val)
{
    assert_int_equal(e.reason, EXIT_MEM);
    assert_int_equal(e.mem.gpa.v, at);
    assert_int_equal(e.mem.io.addr, at);
    assert_true(e.mem.decoded);
    assert_int_equal(e.mem.io.size, size);
    assert_int_equal(e.mem.io.write, write);
    assert_int_equal(e.mem.prot, write ? PROT_W : PROT_R);
    assert_int_equal(e.mem.reg, reg);
    assert_int_equal(e.mem.io.val, val);
    assert_int_equal(e.insn_bytes_len, 0);
}

static void test_device_access(void **state)
{
    (void)state;
    /*
     * ldr w3, [x]: SAS 2, SRT 3, translation fault of level 3; HPFAR holds the page's number from
     * bit 4 on
     */
    assert_int_equal(
        abort_of(dabt(1 << 24 | 2 << 22 | 3 << 16 | 7), 0xffff800000001234, 0x09010 << 4),
        ABORT_MEM);
    expect_access(0x09010234, 4, false, 3, 0);
    assert_int_equal(e.insn_len, 4);
    assert_int_equal(e.mem.gva, 0xffff800000001234);
    assert_false(e.mem.sext || e.mem.wide);
    /* strb w5 */
    assert_int_equal(
        abort_of(dabt(1 << 24 | 0 << 22 | 5 << 16 | 1 << 6 | 6), 0xfff, 0xfffffffffull << 4),
        ABORT_MEM);
    expect_access(0xfffffffffffull << 4 | 0xf, 1, true, 5, 0xef);
    assert_int_equal(abort_of(dabt(1 << 24 | 1 << 22 | 5 << 16 | 1 << 6 | 6), 0, 0), ABORT_MEM);
    expect_access(0, 2, true, 5, 0xbeef);
    /* str xzr; ldrsh x0 */
    assert_int_equal(abort_of(dabt(1 << 24 | 3 << 22 | 31 << 16 | 1 << 15 | 1 << 6 | 5), 8, 0x10),
                     ABORT_MEM);
    expect_access(0x1008, 8, true, 31, 0);
    assert_int_equal(abort_of(dabt(1 << 24 | 3 << 22 | 0 << 16 | 1 << 15 | 1 << 6 | 5), 8, 0x10),
                     ABORT_MEM);
    expect_access(0x1008, 8, true, 0, 0x1122334455667788);
    assert_int_equal(abort_of(dabt(1 << 24 | 1 << 22 | 1 << 21 | 1 << 15 | 4), 8, 0x10), ABORT_MEM);
    expect_access(0x1008, 2, false, 0, 0);
    assert_true(e.mem.sext && e.mem.wide);
}

static void test_other_aborts(void **state)
{
    (void)state;
    assert_true(esr_is_plain(dabt(1 << 24 | 7)));
    assert_false(esr_is_plain(dabt(7)));
    assert_false(esr_is_plain(dabt(1 << 24 | 1 << 7 | 7)));
    assert_false(esr_is_plain(dabt(1 << 24 | 0xf)));
    assert_false(esr_is_plain(0x20ull << 26 | 1 << 24 | 7));
    /* No syndrome of the access: ldp, or an atomic. */
    assert_int_equal(abort_of(dabt(1 << 6 | 7), 0x123, 0x400000), ABORT_MEM);
    assert_false(e.mem.decoded);
    assert_int_equal(e.mem.prot, PROT_W);
    assert_int_equal(e.mem.gpa.v, 0x40000123);
    /* Permission: the page has to be found. With a syndrome too. */
    assert_int_equal(abort_of(dabt(1 << 24 | 2 << 22 | 1 << 6 | 0xf), 0x5678, 0xdead0),
                     ABORT_MEM_NO_IPA);
    esr_set_page(&e, 0x8000000);
    expect_access(0x8000678, 4, true, 0, 0x55667788);
    /* Instruction abort: bit 6 means nothing there; Thumb at EL0. */
    assert_int_equal(abort_of(0x20ull << 26 | 1 << 6 | 7, 0x12, 0x90000), ABORT_MEM);
    assert_int_equal(e.mem.prot, PROT_X);
    assert_int_equal(e.insn_len, 2);
    assert_int_equal(e.mem.gpa.v, 0x9000012);
    assert_false(e.mem.decoded);
    /*
     * Stage 1's walk: FAR is not the address that HPFAR gives the page of; ISV would mean nothing.
     */
    assert_int_equal(abort_of(dabt(1 << 24 | 1 << 7 | 6), 0x123, 0x400000), ABORT_MEM);
    assert_false(e.mem.decoded);
    assert_int_equal(e.mem.gpa.v, 0x40000000);
    assert_int_equal(e.mem.prot, PROT_R);
    assert_int_equal(abort_of(0x20ull << 26 | 1 << 7 | 6, 0x123, 0x400000), ABORT_MEM);
    assert_int_equal(e.mem.prot, PROT_R);
    assert_int_equal(abort_of(dabt(0x10), 0, 0), ABORT_EXTERNAL);
    assert_int_equal(abort_of(dabt(0x1f), 0, 0), ABORT_EXTERNAL);
    assert_int_equal(abort_of(dabt(0x30), 0, 0), ABORT_CONFLICT);
    assert_int_equal(abort_of(dabt(0x21), 0, 0), ABORT_OTHER);
    assert_int_equal(abort_of(dabt(0x35), 0, 0), ABORT_OTHER);
}

static void test_for_el1(void **state)
{
    (void)state;
    assert_int_equal(esr_for_el1(dabt(1 << 24 | 3 << 22 | 1 << 8 | 1 << 6 | 7), true, 0x10),
                     0x24ull << 26 | 1 << 25 | 1 << 8 | 1 << 6 | 0x10);
    assert_int_equal(esr_for_el1(dabt(0x21), false, 0x21), 0x25ull << 26 | 1 << 25 | 0x21);
    assert_int_equal(esr_for_el1(0x20ull << 26 | 1 << 6 | 7, true, 0x10), 0x20ull << 26 | 0x10);
    assert_int_equal(esr_for_el1(0x20ull << 26 | 1 << 25 | 7, false, 0x10),
                     0x21ull << 26 | 1 << 25 | 0x10);
}

static void test_sysreg_syndrome(void **state)
{
    (void)state;
    /* msr icc_sgi1r_el1, x5: op0 3, op2 5, op1 0, CRn 12, Rt 5, CRm 11, write */
    esr_sysreg(0x18ull << 26 | 3 << 20 | 5 << 17 | 0 << 14 | 12 << 10 | 5 << 5 | 11 << 1, gpr, &e);
    assert_int_equal(e.reason, EXIT_SYSREG);
    assert_int_equal(e.sysreg.id, ARM_ICC_SGI1R_EL1);
    assert_true(e.sysreg.write);
    assert_int_equal(e.sysreg.reg, 5);
    assert_int_equal(e.sysreg.val, gpr[5]);
    /* mrs x30, cntp_ctl_el0 */
    esr_sysreg(0x18ull << 26 | 3 << 20 | 1 << 17 | 3 << 14 | 14 << 10 | 30 << 5 | 2 << 1 | 1, gpr,
               &e);
    assert_int_equal(e.sysreg.id, ARM_CNTP_CTL_EL0);
    assert_false(e.sysreg.write);
    assert_int_equal(e.sysreg.reg, 30);
    esr_sysreg(0x18ull << 26 | 3 << 20 | 31 << 5, gpr, &e);
    assert_int_equal(e.sysreg.val, 0);
}

/* ---- the table of caught registers ---- */

static void test_traps_sorted(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sysreg_trap_count; i++) {
        assert_true(sysreg_traps[i].first <= sysreg_traps[i].last);
        assert_true(sysreg_traps[i].last < 0x10000);
        assert_true(i == 0 || sysreg_traps[i - 1].last < sysreg_traps[i].first);
        assert_non_null(sysreg_traps[i].name);
        assert_int_equal(sysreg_trap_act(sysreg_traps[i].first), sysreg_traps[i].act);
        assert_int_equal(sysreg_trap_act(sysreg_traps[i].last), sysreg_traps[i].act);
    }
}

static void test_traps(void **state)
{
    (void)state;
    assert_int_equal(sysreg_trap_act(ARM_ID_AA64MMFR0_EL1), TRAP_ID);
    assert_int_equal(sysreg_trap_act(ARM_SYSREG(3, 0, 0, 7, 7)), TRAP_ID);
    assert_int_equal(sysreg_trap_act(ARM_SCTLR_EL1), TRAP_VM);
    assert_int_equal(sysreg_trap_act(ARM_CONTEXTIDR_EL1), TRAP_VM);
    assert_int_equal(sysreg_trap_act(ARM_SYSREG(2, 0, 0, 2, 2)), TRAP_DEBUG); /* MDSCR_EL1 */
    assert_int_equal(sysreg_trap_act(ARM_SYSREG(2, 0, 1, 1, 4)), TRAP_OSLSR);
    assert_int_equal(sysreg_trap_act(ARM_SYSREG(3, 3, 9, 12, 0)), TRAP_UNDEF); /* PMCR_EL0 */
    /* PMCCFILTR_EL0 */
    assert_int_equal(sysreg_trap_act(ARM_SYSREG(3, 3, 14, 15, 7)), TRAP_UNDEF);
    assert_int_equal(sysreg_trap_act(ARM_CNTP_CVAL_EL0), TRAP_FORWARD);
    assert_int_equal(sysreg_trap_act(ARM_ICC_SGI1R_EL1), TRAP_FORWARD);
    assert_int_equal(sysreg_trap_act(ARM_ACTLR_EL1), TRAP_RAZ_WI);
    assert_int_equal(sysreg_trap_act(0), TRAP_FORWARD);
    assert_int_equal(sysreg_trap_act(UINT32_MAX), TRAP_FORWARD);
}

/* ---- ID registers ---- */

static const struct id_policy everything = { true, true, true };

static void test_id_policy(void **state)
{
    struct id_policy p = everything;

    (void)state;
    /* Neoverse N1: EL3, EL2, AArch32 at EL1 are not the guest's; CSV2, CSV3, RAS, GIC stay. */
    assert_int_equal(id_guest_value(&p, ID_AA64PFR0, 0x1100000011111112), 0x1100000011110012);
    assert_int_equal(id_guest_value(&p, ID_AA64PFR0, 0x1100000013112222), 0x1100000011110012);
    p.gicv3 = false;
    assert_int_equal(id_guest_value(&p, ID_AA64PFR0, 0x1100000011111112), 0x1100000010110012);
    /* No FP, no SIMD: f stays f. SVE, MPAM, AMU, RME, SEL2. */
    assert_int_equal(id_guest_value(&everything, ID_AA64PFR0, 0x00ff0011), 0x00ff0011);
    assert_int_equal(id_guest_value(&everything, ID_AA64PFR0, 0x3221111111112222),
                     0x1101000111110012);
    p.sve = false;
    assert_int_equal(id_guest_value(&p, ID_AA64PFR0, 0x0000000100000011), 0x11);
    assert_int_equal(id_guest_value(&p, ID_AA64ZFR0, 0x0110110100110021), 0);
    /* MTE, SME, and whatever comes later in PFR1. */
    assert_int_equal(id_guest_value(&everything, ID_AA64PFR1, UINT64_MAX), 0x21);
    assert_int_equal(id_guest_value(&everything, ID_AA64SMFR0, UINT64_MAX), 0);
    /* PMU, SPE, trace; breakpoints stay. */
    assert_int_equal(id_guest_value(&everything, ID_AA64DFR0, 0x000011f110305609),
                     0x000000f010305008);
    assert_int_equal(id_guest_value(&everything, ID_AA64DFR0, 0x000000f010305408),
                     0x000000f010305008);
    /* 52 bits become 48, LPA2 goes, granules that are not there stay away. */
    assert_int_equal(id_guest_value(&everything, ID_AA64MMFR0, 0x1100032310201126), 0x00101125);
    assert_int_equal(id_guest_value(&everything, ID_AA64MMFR0, 0xff000022), 0xff000022);
    /* Keys of pointer authentication. */
    p.pauth = false;
    assert_int_equal(id_guest_value(&p, ID_AA64ISAR1, 0x0011111111211052), 0x0011111100211002);
    assert_int_equal(id_guest_value(&everything, ID_AA64ISAR1, 0x2111111111211052),
                     0x0011111111211052);
}

static void test_id_space(void **state)
{
    unsigned index = 99;

    (void)state;
    assert_true(id_index(ARM_ID_AA64PFR0_EL1, &index));
    assert_int_equal(index, ID_AA64PFR0);
    assert_true(id_index(ARM_ID_AA64MMFR0_EL1, &index));
    assert_int_equal(index, ID_AA64MMFR0);
    assert_false(id_index(ARM_MIDR_EL1, &index));
    assert_false(id_index(ARM_SCTLR_EL1, &index));
    assert_string_equal(id_name(ID_AA64MMFR1), "ID_AA64MMFR1_EL1");
    for (unsigned i = 0; i < ID_COUNT; i++) {
        assert_true(id_name(i) || id_guest_value(&everything, i, UINT64_MAX) == 0);
        /* A value that guests may see is one that the policy lets pass. */
        uint64_t v = id_guest_value(&everything, i, 0x1234567891234567);
        assert_int_equal(id_guest_value(&everything, i, v), v);
        assert_int_equal(id_common(i, v, v), v);
    }
    assert_int_equal(id_common(ID_AA64PFR0, 0x1101000011ff0012, 0x1001000110110011),
                     0x1001000010ff0011);
}

/* ---- stage 2, Arm ARM D8.3.1 ---- */

static void test_stage2_format(void **state)
{
    const struct pt_format *f = &stage2_format;

    (void)state;
    stage2_setup(48, false);
    /* A page of RAM: valid page, MemAttr 1111, S2AP 11, inner shareable, AF. */
    assert_int_equal(f->leaf(hpa(0x12345678f000), 0, PROT_RWX, MEM_WB), 0x12345678f7ff);
    /* A block of a device: bit 1 clear, MemAttr 0001, never executable. */
    assert_int_equal(f->leaf(hpa(0x40000000), 2, PROT_RW, MEM_UC), 0x00400000400007c5);
    assert_int_equal(f->leaf(hpa(0x200000), 1, PROT_R | PROT_X, MEM_WC), 0x200755);
    assert_int_equal(f->table(hpa(0x5000), 1), 0x5003);
    assert_int_equal(f->kind(0x5003, 1), PTE_TABLE);
    assert_int_equal(f->kind(0x5003, 0), PTE_LEAF);
    assert_int_equal(f->kind(0x5001, 1), PTE_LEAF);
    assert_int_equal(f->kind(0x5001, 0), PTE_HOLE); /* reserved at the last level */
    assert_int_equal(f->kind(0x5002, 1), PTE_HOLE);
    for (unsigned fwb = 0; fwb < 2; fwb++) {
        stage2_setup(48, fwb);
        for (unsigned prot = 0; prot < 8; prot++)
            for (enum memtype t = MEM_WB; t <= MEM_UC; t++) {
                uint64_t pte = f->leaf(hpa(0x7fff00000000), 2, prot, t);

                assert_int_equal(f->prot(pte, 2), prot);
                assert_int_equal(f->type(pte, 2), t);
                assert_int_equal(f->addr(pte, 2).v, 0x7fff00000000);
            }
    }
    /* FWB: force write-back */
    assert_int_equal(f->leaf(hpa(0), 0, PROT_RWX, MEM_WB) >> 2 & 15, 6);
}

static void test_stage2_levels(void **state)
{
    static const struct {
        unsigned bits, levels, order, sl0;
    } want[] = {
        { 32, 3, 0, 1 }, { 36, 3, 0, 1 }, { 40, 3, 1, 1 }, { 42, 3, 3, 1 },
        { 43, 3, 4, 1 }, { 44, 4, 0, 2 }, { 48, 4, 0, 2 },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
        uint64_t top = 1ull << want[i].bits, vtcr;
        unsigned prot;
        struct pt pt;
        hpa_t oa;

        stage2_setup(want[i].bits, false);
        vtcr = stage2_vtcr(2, true);
        assert_int_equal(vtcr & 63, 64 - want[i].bits);
        assert_int_equal(vtcr >> 6 & 3, want[i].sl0);
        assert_int_equal(vtcr >> 16 & 7, 2);
        assert_true(vtcr >> 19 & 1);
        assert_true(vtcr >> 31 & 1);
        assert_int_equal(stage2_format.levels, want[i].levels);
        assert_int_equal(pt_init(&pt, &stage2_format, NULL, NULL), 0);
        assert_int_equal(pt.tables, 1u << want[i].order);
        assert_int_equal(pt_map(&pt, gpa(top - GIB), hpa(GIB), GIB, PROT_RW, MEM_WB), 0);
        assert_true(pt_lookup(&pt, gpa(top - 1), &oa, &prot));
        assert_int_equal(oa.v, 2 * GIB - 1);
        assert_int_equal(pt_map(&pt, gpa(top), hpa(0), PAGE_SIZE, PROT_R, MEM_WB), -EINVAL);
        pt_fini(&pt);
        assert_int_equal(pages_out, 0);
    }
}

/* ---- VMIDs ---- */

static unsigned flushes;
static bool used[1 << 16]; /* given out since the last flush */

static void flush_all(void)
{
    flushes++;
    memset(used, 0, sizeof used);
}

static uint32_t take(struct vmids *m)
{
    uint32_t id = vmid_get(m);

    assert_true(id >= 1 && id <= m->max);
    assert_false(used[id]);
    used[id] = true;
    return id;
}

static void test_vmids(void **state)
{
    uint32_t live[MAX_VMS];
    struct vmids m;

    (void)state;
    for (unsigned bits = 8; bits <= 16; bits += 8) {
        unsigned rounds = 4u << bits;

        flush_all();
        flushes = 0;
        vmid_init(&m, bits, flush_all);
        unsigned most = bits == 8 ? 32 : MAX_VMS;
        for (unsigned i = 0; i < most; i++)
            live[i] = take(&m);
        /* One stays for good while others come and go: nobody else ever has its number. */
        for (unsigned n = 0; n < rounds; n++) {
            unsigned i = 1 + n % (most - 1);

            vmid_put(&m, live[i]);
            live[i] = 0;
            live[i] = take(&m);
            assert_int_not_equal(live[i], live[0]);
        }
        assert_true(flushes >= 4 && flushes <= 6);
        assert_int_equal(m.generation, flushes);
        /* No more machines than there can be, and than there are numbers. */
        for (unsigned i = most; i < MAX_VMS && i < m.max; i++)
            live[i] = take(&m);
        assert_int_equal(vmid_get(&m), 0);
        vmid_put(&m, live[7]);
        assert_int_not_equal(vmid_get(&m), 0);
    }
    vmid_put(&m, 0);
    assert_int_equal(vmid_get(&m), 0);
}

/* Versions are MPAM.MPAM_frac; 0.0 is none. */
static void test_mpam(void **state)
{
    (void)state;
    assert_false(id_has_mpam(0, 0));
    assert_false(id_has_mpam(~(15ull << 40), ~(15ull << 16)));
    assert_true(id_has_mpam(1ull << 40, 0)); /* 1.0 */
    assert_true(id_has_mpam(0, 1ull << 16)); /* 0.1 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_device_access), cmocka_unit_test(test_other_aborts),
        cmocka_unit_test(test_for_el1),       cmocka_unit_test(test_sysreg_syndrome),
        cmocka_unit_test(test_traps_sorted),  cmocka_unit_test(test_traps),
        cmocka_unit_test(test_id_policy),     cmocka_unit_test(test_id_space),
        cmocka_unit_test(test_stage2_format), cmocka_unit_test(test_stage2_levels),
        cmocka_unit_test(test_vmids),         cmocka_unit_test(test_mpam),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
