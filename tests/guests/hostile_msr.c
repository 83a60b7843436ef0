/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile-msr: reads and writes every MSR of the ranges that CPUs and hypervisors use. Each access
 * may give a value or #GP; what must hold: SVM stays off, the APIC base cannot cover RAM for good,
 * and the guest runs on. Options: step=N.
 */
#include "lib/guest.h"

static uint64_t msr_val;
static void do_read(void *msr) { msr_val = rdmsr((uint32_t)(uintptr_t)msr); }
static void do_write(void *msr) { wrmsr((uint32_t)(uintptr_t)msr, msr_val); }

static int try_read(uint32_t msr, uint64_t *v)
{
    int t = trap_try(do_read, (void *)(uintptr_t)msr);
    *v = msr_val;
    return t;
}

static int try_write(uint32_t msr, uint64_t v)
{
    msr_val = v;
    return trap_try(do_write, (void *)(uintptr_t)msr);
}

static const struct {
    uint32_t from, to;
} ranges[] = {
    { 0x0, 0x1fff },
    { 0x40000000, 0x40000200 },
    { 0x4b564d00, 0x4b564d20 },
    { 0xc0000000, 0xc0002000 },
    { 0xc0010000, 0xc0012000 },
    { 0xffffffe0, 0xfffffffe },
    { 0x7fffffff, 0x80000010 },
};

static void ignore(struct frame *f) { (void)f; }

/* Writing these garbage ends this very guest, as it should: they have tests of their own. */
static bool own_foot(uint32_t msr)
{
    return msr == MSR_EFER || msr == MSR_APIC_BASE || msr == 0x830 || msr == MSR_X2APIC + 0x0f ||
           (msr >= 0x4b564d00 && msr <= 0x4b564d20) || msr == 0x11 || msr == 0x12;
}

static void sweep(void)
{
    unsigned reads = 0, writes = 0, total = 0, step = (unsigned)cmdline_num("step", 1);
    static const uint64_t garbage[] = { 0,
                                        1,
                                        UINT64_MAX,
                                        0x8000000000000000,
                                        0x0001000000000000,
                                        0xa5a5a5a5a5a5a5a5,
                                        0x00000000fee00000 };
    for (unsigned r = 0; r < sizeof ranges / sizeof ranges[0]; r++)
        for (uint32_t m = ranges[r].from; m <= ranges[r].to; m++) {
            uint64_t old;
            if ((m & 0xfff) >= 0x300 && (m < 0x800 || m >= 0x840) && m % step)
                continue;
            bool readable = try_read(m, &old) < 0;
            total++;
            reads += readable;
            if (own_foot(m))
                continue;
            for (unsigned g = 0; g < sizeof garbage / sizeof garbage[0]; g++)
                writes += try_write(m, garbage[g]) < 0;
            if (readable)
                try_write(m, old);
        }
    print("%u MSRs: %u readable, %u writes taken\n", total, reads, writes);
    pass("hostile-msr sweep");
}

static const uint8_t svm_insns[][3] = {
    { 0x0f, 0x01, 0xd8 }, { 0x0f, 0x01, 0xda }, { 0x0f, 0x01, 0xdb }, { 0x0f, 0x01, 0xdc },
    { 0x0f, 0x01, 0xdd }, { 0x0f, 0x01, 0xde }, { 0x0f, 0x01, 0xdf },
};

/*
 * Whether EFER.SVME can be set or not, none of the SVM instructions may work where CPUID shows no
 * SVM.
 */
static void svm(void)
{
    if (cpuid(0x80000001, 0).ecx & 4) {
        print("CPUID shows SVM: not tried\n");
        return;
    }
    uint64_t page = (uint64_t)page_alloc(2), efer = rdmsr(MSR_EFER);
    int set = try_write(MSR_EFER, efer | EFER_SVME);
    print("setting EFER.SVME: %d, VM_HSAVE_PA: %d\n", set, try_write(MSR_VM_HSAVE_PA, page));
    for (unsigned i = 0; i < sizeof svm_insns / 3; i++) {
        struct regs r = { .rax = page, .rcx = 1 };
        int v = code_try(svm_insns[i], 3, &r);
        if (v != VEC_UD && v != VEC_GP)
            fail("hostile-msr svm", "0f 01 %x gave %d", svm_insns[i][2], v);
    }
    try_write(MSR_EFER, efer);
    pass("hostile-msr svm");
}

static void efer(void)
{
    uint64_t old = rdmsr(MSR_EFER), taken = 0;
    if (cmdline_has("emulator"))
        return; /* QEMU alone takes any bit */
    for (unsigned bit = 0; bit < 64; bit++) {
        if (bit == 10 || bit == 8)
            continue;
        int v = try_write(MSR_EFER, old ^ 1ull << bit);
        if (v < 0 && bit >= 16)
            taken |= 1ull << bit;
        try_write(MSR_EFER, old);
    }
    int lme = try_write(MSR_EFER, old & ~0x100ull);
    if (taken)
        fail("hostile-msr efer", "reserved bits %lx taken", taken);
    if (lme != VEC_GP)
        fail("hostile-msr efer", "LME cleared under paging gave %d", lme);
    pass("hostile-msr efer");
}

/*
 * The APIC page over RAM, above 4 GiB, off and on, x2APIC without xAPIC: each may be refused;
 * afterwards it works.
 */
static void apic_base(void)
{
    uint64_t old = rdmsr(MSR_APIC_BASE);
    static const uint64_t v[] = { 0x200900,       0x900,      0x100000900, 0xfee00100, 0xfee00500,
                                  0xfffffffff900, 0xfeb00900, 0xfee00d00,  UINT64_MAX, 0,
                                  0xfee00901 };
    for (unsigned i = 0; i < sizeof v / sizeof v[0]; i++) {
        print("APIC_BASE %lx: %d\n", v[i], try_write(MSR_APIC_BASE, v[i]));
        mmio_r32(0xfee00030);
        try_write(MSR_APIC_BASE, 0xfee00100);
    }
    try_write(MSR_APIC_BASE, old);
    if (rdmsr(MSR_APIC_BASE) != old && !cmdline_has("emulator"))
        fail("hostile-msr apic base", "%lx, not %lx", rdmsr(MSR_APIC_BASE), old);
    else
        pass("hostile-msr apic base");
}

/*
 * Paravirtual structures at wild addresses: outside RAM, unaligned, across pages, in ROM, over the
 * APIC.
 */
static void pv(void)
{
    uint64_t at[] = {
        boot.ram_end | 1,    0xfee00001,         0xf0000 | 1, UINT64_MAX,
        0xffffffffff000 | 1, 0x100000000000 | 1, 0xfffd,      (uint64_t)page_alloc(1) + 0xffd
    };
    unsigned taken = 0;
    for (uint32_t m = 0x4b564d00; m <= 0x4b564d08; m++)
        for (unsigned i = 0; i < sizeof at / sizeof at[0]; i++) {
            taken += try_write(m, at[i]) < 0;
            cpuid(0, 0);
            try_write(m, 0);
        }
    for (uint32_t m = 0x11; m <= 0x12; m++)
        for (unsigned i = 0; i < sizeof at / sizeof at[0]; i++) {
            taken += try_write(m, at[i]) < 0;
            cpuid(0, 0);
            try_write(m, 0);
        }
    print("paravirtual MSRs: %u wild writes taken\n", taken);
    pass("hostile-msr pv");
}

void guest_main(void)
{
    acpi_init();
    trap_handle(VEC_NMI, ignore);
    sweep();
    efer();
    svm();
    pv();
    apic_base();
}
