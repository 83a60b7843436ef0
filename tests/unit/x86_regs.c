/* SPDX-License-Identifier: BSD-2-Clause */
/* CPUID policy, MSRs, control registers and the KVM interface of x86 guests. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "x86_fake.h"
#include <hv/time.h>

static uint8_t ram[8192];
static const struct guest_config config = { .name = "g", .vcpus = 4, .x2apic = true, .pv = true };
/* what the engine offers in every leaf that the test does not name */
static uint32_t offer[4];
static uint32_t max_ext;

static uint8_t *fake_ram(uint64_t a, uint64_t len)
{
    return range_within(a, len, 0, sizeof ram) ? ram + a : NULL;
}
static void fake_device(struct io_access *io) { (void)io; }
static void fake_port(struct io_access *io) { (void)io; }
uint64_t time_cycles(void) { return 1000000; }
uint64_t time_cycles_hz(void) { return 2500000000; }

static bool not_invariant;

static void features(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    memcpy(r, offer, sizeof offer);
    if (leaf == 0)
        r[0] = 0x10;
    else if (leaf == 0x80000000)
        r[0] = max_ext;
    else if (leaf == 0x80000007 && not_invariant)
        r[3] = ~(1u << 8);
    else if (leaf == 0xd && sub == 0)
        r[0] = 0xe7, r[3] = 0;
    else if (leaf == 0xd && sub == 2)
        r[0] = 256, r[1] = 576;
    else if (leaf == 0xd && sub != 1)
        r[0] = 0x40, r[1] = 1024 + 0x40 * sub;
    else if (leaf == 4 || leaf == 0x8000001d)
        r[0] = sub < 3 ? 0x143 : 0;
}

static int setup(void **state)
{
    static struct vcpu_ops ops;

    (void)state;
    percpus[0].self = &percpus[0];
    fake_reset();
    fake_mode(64);
    ops = fake_ops;
    ops.features = features;
    fake_vm.ops = fake_vcpu.ops = &ops;
    fake_vm.nvcpus = 4;
    fake_machine.pv = true;
    memset(offer, 0xff, sizeof offer);
    max_ext = 0x80000021;
    x86_msr_reset(&fake_x86.s);
    x86_cpuid_build(&fake_vm, &config, &fake_machine);
    memset(ram, 0, sizeof ram);
    return 0;
}

/* An engine that offers everything: nothing that Trivet does not do may come through. */
static void test_cpuid_masks(void **state)
{
    struct x86_cpuid l1 = x86_cpuid(&fake_vcpu, 1, 0), x1 = x86_cpuid(&fake_vcpu, 0x80000001, 0),
                     l7 = x86_cpuid(&fake_vcpu, 7, 0);

    (void)state;
    /* MONITOR VMX SMX PDCM OSXSAVE */
    assert_int_equal(l1.ecx & (1 << 3 | 1 << 5 | 1 << 6 | 1 << 15 | 1 << 27), 0);
    assert_int_equal(l1.ecx & (1u << 31 | 1 << 21 | 1 << 24), 1u << 31 | 1 << 21 | 1 << 24);
    /* DS ACPI PBE */
    assert_int_equal(l1.edx & (1 << 21 | 1 << 22 | 1u << 31), 0);
    /* SVM EXTAPIC IBS PERFCTR */
    assert_int_equal(x1.ecx & (1 << 2 | 1 << 3 | 1 << 10 | 1 << 23), 0);
    /* PKU: the page walk ignores keys */
    assert_int_equal(l7.ecx & 1 << 3, 0);
    assert_int_equal(l7.ebx & 1 << 2, 0); /* SGX */
    assert_int_equal(x86_cpuid(&fake_vcpu, 0x8000000a, 0).edx, 0);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0xa, 0).eax, 0);
    assert_int_equal(x86_cpuid(&fake_vcpu, 7, 1).eax, 0);
    assert_int_equal(l7.eax, 2);
    /* FSRM; what protects against leaks */
    assert_int_equal(l7.edx, 1 << 4 | 1 << 10 | 1 << 26 | 1 << 27 | 1 << 28 | 1 << 29 | 1u << 31);
    assert_int_equal(x86_cpuid(&fake_vcpu, 7, 2).edx, 0x3f);
    /* INT_WBINVD VIRT_SSBD */
    assert_int_equal(x86_cpuid(&fake_vcpu, 0x80000008, 0).ebx & (1 << 13 | 1 << 25), 0);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0x80000021, 0).eax,
                     1 << 2 | 1 << 5 | 1 << 8 | 0xf << 27);
    /* SEV, PQOS */
    assert_int_equal(
        x86_cpuid(&fake_vcpu, 0x8000001f, 0).eax | x86_cpuid(&fake_vcpu, 0x80000020, 0).eax, 0);
    assert_int_equal(fake_machine.efer_mask >> 21 & 1, 1);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0xd, 1).eax, 7);
    fake_set(NULL, X86_CR4, CR4_OSXSAVE);
    assert_int_equal(x86_cpuid(&fake_vcpu, 1, 0).ecx >> 27 & 1, 1);
}

/* And one that offers nothing: no feature is invented but those that Trivet makes itself. */
static void test_cpuid_floor(void **state)
{
    (void)state;
    memset(offer, 0, sizeof offer);
    memset(&fake_machine.cpuid, 0, sizeof fake_machine.cpuid);
    x86_cpuid_build(&fake_vm, &config, &fake_machine);
    assert_int_equal(x86_cpuid(&fake_vcpu, 1, 0).ecx, 1u << 31 | 1 << 24 | 1 << 21);
    assert_int_equal(x86_cpuid(&fake_vcpu, 1, 0).edx, 1 << 9 | 1 << 28);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0x80000001, 0).edx, 1 << 9);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0xd, 0).eax, 0);
    assert_int_equal(x86_cpuid(&fake_vcpu, 7, 0).eax | x86_cpuid(&fake_vcpu, 7, 0).edx |
                         x86_cpuid(&fake_vcpu, 0x80000008, 0).ebx,
                     0);
    assert_int_equal(fake_machine.efer_mask >> 21 & 1, 0);
    assert_int_equal(fake_machine.cr4_mask & (CR4_SMEP | CR4_SMAP | CR4_OSXSAVE | CR4_PCIDE), 0);
}

/* An APIC that IA32_APIC_BASE has turned off is not in CPUID either. */
static void test_cpuid_apic(void **state)
{
    (void)state;
    assert_int_equal(x86_cpuid(&fake_vcpu, 1, 0).edx >> 9 & 1, 1);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0x80000001, 0).edx >> 9 & 1, 1);
    fake_apic_base &= ~0x800ull;
    assert_int_equal(x86_cpuid(&fake_vcpu, 1, 0).edx >> 9 & 1, 0);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0x80000001, 0).edx >> 9 & 1, 0);
    fake_apic_base |= 0x800;
}

static void test_cpuid_topology(void **state)
{
    (void)state;
    fake_vcpu.id = 3;
    assert_int_equal(x86_cpuid(&fake_vcpu, 1, 0).ebx >> 16, 3 << 8 | 4);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0xb, 1).eax, 2);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0xb, 1).ebx, 4);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0xb, 0).edx, 3);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0xb, 2).ecx, 2);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0x80000008, 0).ecx, 2 << 12 | 3);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0x8000001e, 0).eax, 3);
    /* level 2: private */
    assert_int_equal(x86_cpuid(&fake_vcpu, 0x8000001d, 2).eax >> 14 & 0xfff, 0);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0x40000000, 0).ebx, 0x4b4d564b);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0x40000010, 0).eax, 2500000);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0x50000000, 0).eax |
                         x86_cpuid(&fake_vcpu, 0x80000100, 0).eax |
                         x86_cpuid(&fake_vcpu, 0x16, 0).eax,
                     0);
    fake_vcpu.id = 0;
}

static void test_cpuid_xsave(void **state)
{
    (void)state;
    fake_set(NULL, X86_XCR0, 1);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0xd, 0).ebx, 576);
    fake_set(NULL, X86_XCR0, 7);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0xd, 0).ebx, 832);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0xd, 0).eax, 0xe7);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0xd, 1).ebx, 832);
    fake_set(NULL, X86_XCR0, 0xe7);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0xd, 0).ebx, 1024 + 0x40 * 8);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0xd, 1).ebx, 832 + 3 * 64);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0xd, 9).eax | x86_cpuid(&fake_vcpu, 0xd, 3).eax |
                         x86_cpuid(&fake_vcpu, 0xd, 64).eax,
                     0);
}

/* Every number can be tried: no crash, and what is written to a plain register reads back. */
static void test_msr_all(void **state)
{
    static const uint32_t bases[] = { 0,          0x800,      0x4b564c00, 0xc0000000, 0xc0010000,
                                      0xc0011000, 0x40000000, 0x80000000, 0xfffff000 };
    uint64_t val;

    (void)state;
    for (unsigned b = 0; b < ARRAY_SIZE(bases); b++)
        for (uint32_t i = 0; i < 0x1000; i++) {
            (void)(x86_rdmsr(&fake_vcpu, bases[b] + i, &val) == 0 &&
                   x86_wrmsr(&fake_vcpu, bases[b] + i, val) == 0);
            (void)!x86_wrmsr(&fake_vcpu, bases[b] + i, UINT64_MAX);
            (void)!x86_wrmsr(&fake_vcpu, bases[b] + i, 0x123456789abcdef0);
        }
    assert_int_equal(x86_rdmsr(&fake_vcpu, 0x12345678, &val), -EINVAL);
    assert_int_equal(x86_rdmsr(&fake_vcpu, 0x80000000, &val), -EINVAL); /* not CR0 */
    assert_int_equal(x86_wrmsr(&fake_vcpu, 0xfe, 0), -EINVAL);
}

/*
 * What unguarded code reads because every CPU of the kind has it, although no CPUID bit says so:
 * counters that never count, P-states, and CPUID's features as registers, which no write changes.
 */
static void test_msr_unannounced(void **state)
{
    static const struct {
        uint32_t msr, leaf;
        bool high_is_eax;
    } features[] = { { 0xc0011002, 7, true },
                     { 0xc0011004, 1, false },
                     { 0xc0011005, 0x80000001, false } };
    uint64_t val;

    (void)state;
    for (uint32_t n = 0xc0010000; n <= 0xc001006b; n == 0xc0010007 ? n = 0xc0010061 : n++) {
        assert_int_equal(x86_wrmsr(&fake_vcpu, n, 0x530076), 0);
        assert_int_equal(x86_rdmsr(&fake_vcpu, n, &val), 0);
        assert_int_equal(val, 0);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        struct x86_cpuid c = x86_cpuid(&fake_vcpu, features[i].leaf, 0);

        assert_int_equal(x86_wrmsr(&fake_vcpu, features[i].msr, 0), 0);
        assert_int_equal(x86_rdmsr(&fake_vcpu, features[i].msr, &val), 0);
        assert_int_equal(val >> 32, features[i].high_is_eax ? c.eax : c.ecx);
        assert_int_equal((uint32_t)val, features[i].high_is_eax ? c.ebx : c.edx);
        assert_int_not_equal(val, 0);
    }
}

/* Every row has its reason, and the rows are in order: find() wants that. */
static void test_msr_table(void **state)
{
    struct x86_msr_row r;
    uint32_t before = 0;
    unsigned n = 0;

    (void)state;
    for (; x86_msr_row(n, &r); n++) {
        assert_true(r.first <= r.last);
        assert_true(r.first == 0x800 || r.first > before);
        before = r.last;
        assert_true(strlen(r.name) > 2 && strlen(r.why) > 8);
    }
    assert_true(n > 40);
}

static void test_msr_rules(void **state)
{
    uint64_t val = 0;

    (void)state;
    assert_int_equal(x86_wrmsr(&fake_vcpu, X86_EFER, EFER_SVME), -EINVAL);
    assert_int_equal(x86_wrmsr(&fake_vcpu, X86_EFER, EFER_SCE | EFER_LME | EFER_NXE), 0);
    assert_int_equal(x86_rdmsr(&fake_vcpu, X86_EFER, &val), 0);
    /* LMA is not the guest's to change */
    assert_int_equal(val, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
    fake_set(NULL, X86_CR0, CR0_PE | CR0_PG);
    /* LME while paging */
    assert_int_equal(x86_wrmsr(&fake_vcpu, X86_EFER, EFER_SCE), -EINVAL);
    assert_int_equal(x86_wrmsr(&fake_vcpu, X86_PAT, 0x0007040600070406), 0);
    assert_int_equal(x86_wrmsr(&fake_vcpu, X86_PAT, 0x0207040600070406), -EINVAL);
    assert_int_equal(x86_wrmsr(&fake_vcpu, 0xc0000082, 0x8000000000000000), -EINVAL);
    assert_int_equal(x86_wrmsr(&fake_vcpu, 0xc0000082, 0xffff800000000000), 0);
    assert_int_equal(x86_wrmsr(&fake_vcpu, 0x2ff, 0xc06), 0);
    assert_int_equal(x86_wrmsr(&fake_vcpu, 0x2ff, 0xc02), -EINVAL);
    assert_int_equal(x86_wrmsr(&fake_vcpu, 0x10, 5000), 0);
    assert_int_equal(x86_rdmsr(&fake_vcpu, 0x10, &val), 0);
    assert_int_equal(val, 5000);
    assert_int_equal(x86_rdmsr(&fake_vcpu, 0x3b, &val), 0);
    assert_int_equal(x86_wrmsr(&fake_vcpu, 0x3b, val + 100), 0);
    assert_int_equal(x86_tsc(&fake_vcpu), 5100);
    assert_int_equal(x86_rdmsr(&fake_vcpu, 0x8ff, &val), -EINVAL);
    assert_int_equal(x86_rdmsr(&fake_vcpu, 0x802, &val), 0);
}

static void test_control(void **state)
{
    (void)state;
    assert_int_equal(x86_write_cr(&fake_vcpu, X86_CR0, CR0_PG), -EINVAL);
    assert_int_equal(x86_write_cr(&fake_vcpu, X86_CR0, CR0_PE | CR0_NW), -EINVAL);
    assert_int_equal(x86_write_cr(&fake_vcpu, X86_CR0, 1ull << 40 | CR0_PE), -EINVAL);
    assert_int_equal(x86_write_cr(&fake_vcpu, X86_CR4, 1 << 13), -EINVAL); /* VMXE */
    /* PAE in long mode */
    assert_int_equal(x86_write_cr(&fake_vcpu, X86_CR4, 0), -EINVAL);
    assert_int_equal(x86_write_cr(&fake_vcpu, X86_CR8, 16), -EINVAL);
    assert_int_equal(x86_write_cr(&fake_vcpu, X86_XCR0, 0), -EINVAL);
    assert_int_equal(x86_write_cr(&fake_vcpu, X86_XCR0, 5), -EINVAL);
    assert_int_equal(x86_write_cr(&fake_vcpu, X86_XCR0, 0x27), -EINVAL);
    assert_int_equal(x86_write_cr(&fake_vcpu, X86_XCR0, 0xe7), 0);
    fake_set(NULL, X86_SEG_ATTR + X86_CS, 0xc9b);
    fake_set(NULL, X86_EFER, EFER_LME);
    assert_int_equal(x86_write_cr(&fake_vcpu, X86_CR0, CR0_PE | CR0_PG), 0);
    assert_int_equal(x86_get(&fake_vcpu, X86_EFER) & EFER_LMA, EFER_LMA);
    assert_int_equal(x86_write_cr(&fake_vcpu, X86_CR0, CR0_PE), 0);
    assert_int_equal(x86_get(&fake_vcpu, X86_EFER) & EFER_LMA, 0);
}

/* kvmclock: the guest's arithmetic on what is written gives nanoseconds. */
static void test_clock(void **state)
{
    struct {
        uint32_t version, pad;
        uint64_t tsc, time;
        uint32_t mul;
        int8_t shift;
        uint8_t flags;
    } t;
    uint64_t hz[] = { 32768, 1000000, 999999999, 1000000000, 1000000001, 2500000000, 5100000000 };

    (void)state;
    fake_machine.clock_ns = 12345;
    fake_machine.clock_tsc = 1000000;
    assert_int_equal(x86_wrmsr(&fake_vcpu, MSR_KVM_SYSTEM_TIME_NEW, 0x101), 0);
    memcpy(&t, ram + 0x100, sizeof t);
    assert_int_equal(t.version & 1, 0);
    assert_int_equal(t.time, 12345);
    assert_int_equal(t.tsc, 1000000);
    for (unsigned i = 0; i < ARRAY_SIZE(hz); i++) {
        uint64_t second;

        x86_pv_scale(hz[i], &t.mul, &t.shift);
        second = t.shift >= 0 ? hz[i] << t.shift : hz[i] >> -t.shift;
        second = (uint64_t)((unsigned __int128)second * t.mul >> 32);
        assert_in_range(second, 999999990, 1000000010);
    }
    /* no RAM there */
    assert_int_equal(x86_wrmsr(&fake_vcpu, MSR_KVM_SYSTEM_TIME_NEW, 0x10000001), 0);
    assert_int_equal(x86_wrmsr(&fake_vcpu, MSR_KVM_STEAL_TIME, 0x203), -EINVAL);
    fake_vcpu.sched.steal_ns = 77;
    assert_int_equal(x86_wrmsr(&fake_vcpu, MSR_KVM_STEAL_TIME, 0x201), 0);
    assert_int_equal(ram[0x200], 77);
    fake_machine.pv = false;
    assert_int_equal(x86_wrmsr(&fake_vcpu, MSR_KVM_SYSTEM_TIME_NEW, 0), -EINVAL);
}

static void test_hypercalls(void **state)
{
    const uint64_t arg[4] = { 0, 0, 0, 0 }, far[4] = { 0, 40, 0, 0 };

    (void)state;
    assert_int_equal((int64_t)x86_hypercall(&fake_vcpu, 99, arg, 0), -1000);
    assert_int_equal((int64_t)x86_hypercall(&fake_vcpu, 5, arg, 3), -1);
    assert_int_equal((int64_t)x86_hypercall(&fake_vcpu, 5, far, 0), -22);
    assert_int_equal((int64_t)x86_hypercall(&fake_vcpu, 5, arg, 0), 0);
    assert_int_equal(fake_requests, 1);
    fake_vcpu.mp = MP_RUNNABLE;
    /* too early: kept for the next HLT */
    x86_pv_request(&fake_vcpu);
    assert_true(x86_pv_kicked(&fake_vcpu));
    assert_false(x86_pv_kicked(&fake_vcpu));
}

/* Invariant only where the engine says so, and nothing else of that leaf. */
static void test_cpuid_tsc(void **state)
{
    (void)state;
    assert_int_equal(x86_cpuid(&fake_vcpu, 0x80000007, 0).edx, 1 << 8);
    not_invariant = true;
    x86_cpuid_build(&fake_vm, &config, &fake_machine);
    not_invariant = false;
    assert_int_equal(x86_cpuid(&fake_vcpu, 0x80000007, 0).edx, 0);
    max_ext = 0x80000004;
    x86_cpuid_build(&fake_vm, &config, &fake_machine);
    assert_int_equal(x86_cpuid(&fake_vcpu, 0x80000007, 0).edx, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_cpuid_masks, setup),
        cmocka_unit_test_setup(test_cpuid_floor, setup),
        cmocka_unit_test_setup(test_cpuid_tsc, setup),
        cmocka_unit_test_setup(test_cpuid_apic, setup),
        cmocka_unit_test_setup(test_cpuid_topology, setup),
        cmocka_unit_test_setup(test_cpuid_xsave, setup),
        cmocka_unit_test_setup(test_msr_all, setup),
        cmocka_unit_test_setup(test_msr_unannounced, setup),
        cmocka_unit_test_setup(test_msr_table, setup),
        cmocka_unit_test_setup(test_msr_rules, setup),
        cmocka_unit_test_setup(test_control, setup),
        cmocka_unit_test_setup(test_clock, setup),
        cmocka_unit_test_setup(test_hypercalls, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
