/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpu: what a processor owes to software. CPUID policy, MSRs, registers and vector state kept over
 * every kind of exit, exceptions, single steps, breakpoints, user mode, real mode. Options:
 * rounds=N (vector state), emulator (no hypervisor).
 */
#include "lib/guest.h"

void vec_load(const void *);
void vec_store(void *);
uint64_t user_call(uint64_t);
void syscall_entry(void);
uint32_t real_mode(void);
extern uint32_t vec_avx;
extern char real_code[], real_code_end[], real_int60_off[], real_int6_off[];

static void check(const char *name, bool ok, uint64_t got, uint64_t want)
{
    if (ok)
        pass(name);
    else
        fail(name, "%lx, not %lx", got, want);
}

static void cpuid_policy(void)
{
    struct cpuid c0 = cpuid(0, 0), c1 = cpuid(1, 0), e1 = cpuid(0x80000001, 0);
    char vendor[13] = { 0 };
    memcpy(vendor, &c0.ebx, 4);
    memcpy(vendor + 4, &c0.edx, 4);
    memcpy(vendor + 8, &c0.ecx, 4);
    print("vendor %s, leaves to %x and %x, signature %x\n", vendor, c0.eax,
          cpuid(0x80000000, 0).eax, c1.eax);
    check("cpuid baseline",
          (c1.edx & 0x0788a379) == 0x0788a379 || (c1.edx & 0x07808379) == 0x07808379, c1.edx,
          0x07808379);
    check("cpuid long mode", (e1.edx & 0x20100800) == 0x20100800, e1.edx, 0x20100800);
    check("cpuid initial APIC ID", c1.ebx >> 24 == apic_id(), c1.ebx >> 24, apic_id());
    if (cpuid(0, 0).eax >= 0xb && cpuid(0xb, 0).ebx)
        check("cpuid leaf b", cpuid(0xb, 0).edx == apic_id(), cpuid(0xb, 0).edx, apic_id());
    unsigned pa = cpuid(0x80000008, 0).eax & 0xff;
    check("cpuid address bits", pa >= 32 && pa <= 52, pa, 48);
    if (cmdline_has("emulator"))
        return;
    check("cpuid hypervisor bit", c1.ecx >> 31, c1.ecx, 0);
    check("cpuid no SVM, no VMX, no MONITOR", !(e1.ecx & 4) && !(c1.ecx & 0x28), e1.ecx, c1.ecx);
    print("hypervisor leaves to %x: %x %x %x, features %x\n", cpuid(0x40000000, 0).eax,
          cpuid(0x40000000, 0).ebx, cpuid(0x40000000, 0).ecx, cpuid(0x40000000, 0).edx,
          cpuid(0x40000001, 0).eax);
}

/* AVX on where the CPU has it; the OSXSAVE bit must follow CR4. */
static void xsave_on(void *arg)
{
    (void)arg;
    if (!(cpuid(1, 0).ecx >> 26 & 1))
        return;
    write_cr4(read_cr4() | 1u << 18);
    uint32_t want = cpuid(0xd, 0).eax & 7;
    __asm__ volatile("xsetbv" : : "a"(want), "d"(0), "c"(0));
}

static void xsave(void)
{
    bool has = cpuid(1, 0).ecx >> 26 & 1, before = cpuid(1, 0).ecx >> 27 & 1;
    xsave_on(NULL);
    bool after = cpuid(1, 0).ecx >> 27 & 1;
    vec_avx = has && (cpuid(1, 0).ecx >> 28 & 1) && (cpuid(0xd, 0).eax & 4);
    print("xsave %s, avx %s, area %u\n", has ? "yes" : "no", vec_avx ? "yes" : "no",
          has ? cpuid(0xd, 0).ebx : 0);
    check("cpuid OSXSAVE follows CR4", !has || (!before && after), before, after);
    if (!has)
        return;
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    check("xcr0 reads back", lo == (cpuid(0xd, 0).eax & 7), lo, cpuid(0xd, 0).eax & 7);
    static const uint8_t xsetbv[] = { 0x0f, 0x01, 0xd1 };
    struct regs r = { .rax = 0 };
    check("xsetbv 0 faults", code_try(xsetbv, 3, &r) == VEC_GP, 0, VEC_GP);
    r = (struct regs){ .rax = 5 };
    check("xsetbv AVX without SSE faults", code_try(xsetbv, 3, &r) == VEC_GP, 0, VEC_GP);
    r = (struct regs){ .rax = 7, .rcx = 1 };
    check("xsetbv XCR1 faults", code_try(xsetbv, 3, &r) == VEC_GP, 0, VEC_GP);
    if (vec_avx) {
        __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
        check("xcr0 kept", lo == 7 || lo == 3, lo, 7);
    }
}

/*
 * Each bit of CR4 with the bit of CPUID that announces it: leaf 1 ECX, leaf 7 EBX, ECX. What is not
 * announced faults and changes nothing; so does RDPKRU, whose register guests would share.
 */
static void cr4_bits(void)
{
    static const struct {
        uint8_t cr4, reg, bit;
    } rows[] = { { 11, 2, 2 }, { 12, 2, 16 }, { 13, 0, 5 },  { 14, 0, 6 },  { 15, 2, 31 },
                 { 16, 1, 0 }, { 18, 0, 26 }, { 19, 2, 23 }, { 20, 1, 7 },  { 21, 1, 20 },
                 { 22, 2, 3 }, { 23, 2, 7 },  { 24, 2, 31 }, { 31, 2, 31 }, { 32, 2, 31 } };
    static const uint8_t mov_cr4[] = { 0x0f, 0x22, 0xe0 }, rdpkru[] = { 0x0f, 0x01, 0xee };
    struct cpuid c7 = cpuid(0, 0).eax >= 7 ? cpuid(7, 0) : (struct cpuid){ 0 };
    const uint32_t regs[] = { cpuid(1, 0).ecx, c7.ebx, c7.ecx & ~(1u << 31) };
    uint64_t old = read_cr4();
    struct regs r = { 0 };
    unsigned bad = 0;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (regs[rows[i].reg] >> rows[i].bit & 1)
            continue;
        r.rax = old | 1ull << rows[i].cr4;
        int v = code_try(mov_cr4, 3, &r);
        if (v != VEC_GP || read_cr4() != old)
            bad |= 1u << i;
    }
    write_cr4(old);
    check("CR4 bits that CPUID does not announce fault", !bad, bad, 0);
    r = (struct regs){ 0 };
    if (!(c7.ecx & 1 << 3))
        check("no RDPKRU without protection keys", code_try(rdpkru, 3, &r) == VEC_UD, 0, VEC_UD);
}

/*
 * ---- against speculation ----
 * A feature and the MSRs that it is controlled by come together, or neither.
 */
enum { SPEC_CTRL = 0x48, PRED_CMD = 0x49, ARCH_CAPABILITIES = 0x10a };

static int msr_try(bool write, uint32_t msr, uint64_t *val)
{
    static const uint8_t rd[] = { 0x0f, 0x32 }, wr[] = { 0x0f, 0x30 };
    struct regs r = { .rcx = msr, .rax = (uint32_t)*val, .rdx = *val >> 32 };
    int v = code_try(write ? wr : rd, 2, &r);
    *val = (uint32_t)r.rax | r.rdx << 32;
    return v;
}

static void spec_ctrl(uint64_t known)
{
    uint64_t val = 0, reserved = 1ull << 63, got = 0;
    int there = msr_try(false, SPEC_CTRL, &val);
    if (!known) {
        check("SPEC_CTRL is not there", there == VEC_GP, (unsigned)there, VEC_GP);
        return;
    }
    check("SPEC_CTRL is 0 first", there < 0 && val == 0, val, 0);
    check("SPEC_CTRL reserved bits", msr_try(true, SPEC_CTRL, &reserved) == VEC_GP, 0, VEC_GP);
    for (uint64_t bit = 4; bit; bit >>= 1) {
        val = known & bit;
        msr_try(true, SPEC_CTRL, &val);
        inb(0x21);
        cpuid(0, 0);
        msr_try(false, SPEC_CTRL, &got);
        check("SPEC_CTRL kept over exits", got == (known & bit), got, known & bit);
    }
    val = 0;
    check("SPEC_CTRL 0 again",
          msr_try(true, SPEC_CTRL, &val) < 0 && msr_try(false, SPEC_CTRL, &got) < 0 && got == 0,
          got, 0);
}

static void speculation(void)
{
    bool intel = cpu_is_intel();
    uint32_t d = cpuid(0, 0).eax >= 7 ? cpuid(7, 0).edx : 0, x = cpuid(0x80000008, 0).ebx;
    uint64_t known =
        intel ? (d >> 26 & 1) | (d >> 26 & 2) | (d >> 29 & 4) : (x >> 14 & 3) | (x >> 22 & 4);
    bool pred = intel ? d >> 26 & 1 : x >> 12 & 1, caps = intel && (d >> 29 & 1);
    uint64_t val = 0, ibpb = 1;
    int t;
    spec_ctrl(known);
    t = msr_try(false, PRED_CMD, &val);
    check("PRED_CMD cannot be read", t == VEC_GP, (unsigned)t, VEC_GP);
    t = msr_try(true, PRED_CMD, &ibpb);
    check("IBPB, if it is offered", (t < 0) == pred, (unsigned)t, pred);
    t = msr_try(false, ARCH_CAPABILITIES, &val);
    check("ARCH_CAPABILITIES, if it is offered", (t < 0) == caps, (unsigned)t, caps);
    t = msr_try(true, ARCH_CAPABILITIES, &val);
    check("ARCH_CAPABILITIES cannot be written", t == VEC_GP, (unsigned)t, VEC_GP);
    print("speculation: SPEC_CTRL %lx, IBPB %s, capabilities %lx, VERW %s\n", known,
          pred ? "yes" : "no", caps ? val : 0, d >> 10 & 1 ? "yes" : "no");
}

/*
 * ---- registers over exits ----
 * Each code with the registers that it may change (bit per member of struct regs).
 */
struct exit_code {
    const char *name;
    uint8_t code[8], len;
    uint16_t changes;
};
enum { RAX = 1, RBX = 2, RCX = 4, RDX = 8, RSI = 16, RDI = 32 };
static const struct exit_code exits[] = {
    { "cpuid", { 0x0f, 0xa2 }, 2, RAX | RBX | RCX | RDX },
    { "in 8", { 0xe4, 0x21 }, 2, RAX },
    { "in 32", { 0xed }, 1, RAX },
    { "out 8", { 0xe6, 0x80 }, 2, 0 },
    { "out 16", { 0x66, 0xe7, 0x80 }, 3, 0 },
    { "mmio load 32", { 0x8b, 0x06 }, 2, RAX },
    { "mmio load r9", { 0x4c, 0x8b, 0x0e }, 3, 1 << 8 },
    { "mmio load r15", { 0x44, 0x8b, 0x3e }, 3, 1 << 14 },
    { "mmio store", { 0x89, 0x07 }, 2, 0 },
    { "mmio movzx", { 0x0f, 0xb6, 0x2e }, 3, 1 << 6 },
    { "mmio add", { 0x01, 0x07 }, 2, 0 },
    { "mmio cmp", { 0x39, 0x06 }, 2, 0 },
    { "rdmsr", { 0x0f, 0x32 }, 2, RAX | RDX },
    { "rdtsc", { 0x0f, 0x31 }, 2, RAX | RDX },
    { "mov from cr8", { 0x44, 0x0f, 0x20, 0xc0 }, 4, RAX },
    { "mov from cr4", { 0x0f, 0x20, 0xe3 }, 3, RBX },
    { "wbinvd", { 0x0f, 0x09 }, 2, 0 },
    { "invlpg", { 0x0f, 0x01, 0x3e }, 3, 0 },
    { "pause", { 0xf3, 0x90 }, 2, 0 },
    { "clts", { 0x0f, 0x06 }, 2, 0 },
};

static uint16_t changed(const struct regs *a, const struct regs *b)
{
    const uint64_t *x = &a->rax, *y = &b->rax;
    uint16_t m = 0;
    for (unsigned i = 0; i < 15; i++)
        m |= (uint16_t)((x[i] != y[i]) << i);
    return m;
}

static void registers(void)
{
    unsigned bad = failures;
    for (unsigned i = 0; i < sizeof exits / sizeof exits[0]; i++) {
        const struct exit_code *e = &exits[i];
        struct regs r, old;
        uint64_t *g = &r.rax;
        for (unsigned k = 0; k < 15; k++)
            g[k] = 0x1111111111111111ull * (k + 1) + 0x0123456789abcdefull;
        r.rsi = 0xfee00030;
        r.rdi = 0xfee00080;
        r.rax = 0;
        r.rcx = MSR_APIC_BASE;
        r.rdx = 0xcf8;
        old = r;
        int v = code_try(e->code, e->len, &r);
        uint16_t c = changed(&old, &r);
        apic_write(APIC_TPR, 0);
        if (v >= 0)
            fail("registers over an exit", "%s: exception %d", e->name, v);
        else if (c & ~e->changes)
            fail("registers over an exit", "%s changed %x, may change %x", e->name, c, e->changes);
    }
    if (bad == failures)
        pass("registers over exits");
}

/*
 * A 32-bit load clears the upper half, 16- and 8-bit loads keep the rest: the emulator's to get
 * right.
 */
static void partial(void)
{
    static const struct {
        uint8_t code[4], len;
        uint64_t keep;
    } t[] = {
        { { 0x8b, 0x06 }, 2, 0 },
        { { 0x66, 0x8b, 0x06 }, 3, ~0xffffull },
        { { 0x8a, 0x06 }, 2, ~0xffull },
        { { 0x8a, 0x26 }, 2, ~0xff00ull },
    };
    unsigned bad = failures;
    uint32_t ver = mmio_r32(acpi.ecam);
    for (unsigned i = 0; i < 4; i++) {
        struct regs r = { .rax = 0xa5a5a5a5a5a5a5a5, .rsi = acpi.ecam };
        code_try(t[i].code, t[i].len, &r);
        uint64_t got = i == 3 ? (uint64_t)(ver & 0xff) << 8 : ver,
                 want = (0xa5a5a5a5a5a5a5a5 & t[i].keep) | (got & (i ? ~t[i].keep : 0xffffffff));
        if (r.rax != want)
            fail("partial registers", "case %u: %lx, not %lx", i, r.rax, want);
    }
    if (bad == failures)
        pass("partial registers");
}

/* ---- vector state ---- */
struct vec {
    uint8_t ymm[16][32], st[8][16];
} __attribute__((aligned(64)));

static void vec_fill(struct vec *v, uint8_t seed)
{
    memset(v, 0, sizeof *v);
    for (unsigned i = 0; i < 16; i++)
        for (unsigned k = 0; k < (vec_avx ? 32u : 16u); k++)
            v->ymm[i][k] = (uint8_t)(seed + i * 16 + k * 7);
    for (unsigned i = 0; i < 8; i++) {
        for (unsigned k = 0; k < 7; k++)
            v->st[i][k] = (uint8_t)(seed * 3 + i + k);
        v->st[i][7] = 0x80;
        v->st[i][8] = (uint8_t)i;
        v->st[i][9] = 0x40;
    }
}

static volatile unsigned vec_bad;

static void vec_test(void *arg)
{
    unsigned me = this_cpu()->index;
    static struct vec want[MAX_CPUS], got[MAX_CPUS];
    (void)arg;
    if (me)
        xsave_on(NULL);
    vec_fill(&want[me], (uint8_t)(me * 37 + 11));
    for (uint64_t n = 0; n < cmdline_num("rounds", 300); n++) {
        vec_load(&want[me]);
        for (unsigned k = 0; k < 5; k++) {
            inb(0x21);
            cpuid(0, 0);
            apic_read(APIC_ID);
        }
        if (n % 8 == 0)
            for (uint64_t t = rdtsc(); rdtsc() - t < tsc_hz / 500;)
                cpu_pause();
        memset(&got[me], 0, sizeof got[me]);
        vec_store(&got[me]);
        if (memcmp(&want[me], &got[me], sizeof got[me]))
            __atomic_add_fetch(&vec_bad, 1, __ATOMIC_SEQ_CST);
    }
}

static void vectors(void)
{
    unsigned n = smp_start();
    for (unsigned i = 1; i < n; i++)
        smp_run(i, vec_test, NULL);
    vec_test(NULL);
    for (unsigned i = 1; i < n; i++)
        smp_wait(i);
    check("vector state kept", vec_bad == 0, vec_bad, 0);
    uint32_t mxcsr = 0x1f80 | 0x6000, got = 0;
    uint16_t fcw = 0x27f, fcw2 = 0;
    __asm__ volatile("ldmxcsr %0; fldcw %1" : : "m"(mxcsr), "m"(fcw));
    inb(0x21);
    cpuid(0, 0);
    __asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(got), "=m"(fcw2));
    check("MXCSR and FCW kept", got == mxcsr && fcw2 == fcw, got, mxcsr);
    mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0; fninit" : : "m"(mxcsr));
}

/* ---- exceptions ---- */
static void expect(const char *name, const uint8_t *code, size_t len, struct regs *r, int vec,
                   uint64_t err)
{
    int v = code_try(code, len, r);
    uint64_t e = this_cpu()->last.err;
    if (v == vec && (v < 0 || e == err))
        pass(name);
    else
        fail(name, "vector %d error %lx, not %d %lx", v, e, vec, err);
}

/* Not here, since QEMU's TCG has them wrong: INT1 (#UD there), #SS for a non-canonical stack (#GP
 * there), #XF (never), #GP for WRMSR of a non-canonical base, for CR0.PG without PE and for
 * reserved bits of CR4 (taken, or repeated for ever). */
struct exc {
    const char *name;
    int vec;
    uint64_t err;
    struct regs regs;
    uint8_t code[12], len;
};
static const struct exc excs[] = {
    { "#DE", VEC_DE, 0, { .rax = 1 }, { 0x48, 0xf7, 0xf1 }, 3 },
    { "#UD", VEC_UD, 0, { 0 }, { 0x0f, 0x0b }, 2 },
    { "#BP", VEC_BP, 0, { 0 }, { 0xcc }, 1 },
    { "#GP non-canonical", VEC_GP, 0, { .rbx = 0x8000000000000000 }, { 0x8b, 0x03 }, 2 },
    { "#GP selector", VEC_GP, 0xfff8, { .rax = 0xfff8 }, { 0x8e, 0xd8 }, 2 },
    { "#PF read", VEC_PF, 0, { .rbx = 0xffff800000001234 }, { 0x8b, 0x03 }, 2 },
    { "#PF write", VEC_PF, 2, { .rbx = 0xffff800000001234 }, { 0x89, 0x03 }, 2 },
};
static const struct exc hv_excs[] = {
    { "#GP RDMSR", VEC_GP, 0, { .rcx = 0x12345678 }, { 0x0f, 0x32 }, 2 },
    { "#UD VMRUN", VEC_UD, 0, { 0 }, { 0x0f, 0x01, 0xd8 }, 3 },
    { "#UD STGI", VEC_UD, 0, { 0 }, { 0x0f, 0x01, 0xdc }, 3 },
    { "#GP CR8 reserved bits", VEC_GP, 0, { .rax = 0x10 }, { 0x44, 0x0f, 0x22, 0xc0 }, 4 },
    { "#GP XSETBV without SSE", VEC_GP, 0, { .rax = 5 }, { 0x0f, 0x01, 0xd1 }, 3 },
};
static const struct exc nm = { "#NM", VEC_NM, 0, { 0 }, { 0x0f, 0x57, 0xc0 }, 3 };

static void expect_one(const struct exc *e)
{
    struct regs r = e->regs;
    expect(e->name, e->code, e->len, &r, e->vec, e->err);
}

static void exceptions(void)
{
    for (unsigned i = 0; i < sizeof excs / sizeof excs[0]; i++)
        expect_one(&excs[i]);
    check("#PF CR2", this_cpu()->last_cr2 == 0xffff800000001234, this_cpu()->last_cr2,
          0xffff800000001234);
    for (unsigned i = 0; i < sizeof hv_excs / sizeof hv_excs[0] && !cmdline_has("emulator"); i++)
        expect_one(&hv_excs[i]);
    /* Each vendor's CPUs know their own hypercall only: VMCALL or VMMCALL. */
    const struct exc call = { "#UD VMCALL or hypercall",
                              -1,
                              0,
                              { .rax = 1 },
                              { 0x0f, 0x01, cpu_is_intel() ? 0xc1 : 0xd9 },
                              3 };
    if (!cmdline_has("emulator"))
        expect_one(&call);
    write_cr0(read_cr0() | 8);
    expect_one(&nm);
    __asm__ volatile("clts");
}

static volatile uint64_t step_rip[4], dr6;
static volatile unsigned nsteps;
static void on_step(struct frame *f)
{
    uint64_t d;
    __asm__ volatile("mov %%dr6, %0" : "=r"(d));
    __asm__ volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ull));
    dr6 = d;
    if (nsteps < 4)
        step_rip[nsteps] = f->rip;
    nsteps++;
    f->rflags &= ~0x100ull;
    f->rflags |= 0x10000;
}

/*
 * The trap of TF comes right after the instruction, also where the instruction is done by the
 * hypervisor.
 */
static void single_step(void)
{
    unsigned bad = failures;
    trap_handle(VEC_DB, on_step);
    for (unsigned i = 0; i < sizeof exits / sizeof exits[0]; i++) {
        /* pushfq; orl $0x100, (%rsp); popfq; INSN; nop; nop */
        uint8_t code[24] = { 0x9c, 0x81, 0x0c, 0x24, 0, 1, 0, 0, 0x9d };
        memcpy(code + 9, exits[i].code, exits[i].len);
        code[9 + exits[i].len] = code[10 + exits[i].len] = 0x90;
        struct regs r = {
            .rsi = 0xfee00030, .rdi = 0xfee00080, .rcx = MSR_APIC_BASE, .rdx = 0xcf8
        };
        nsteps = 0;
        int v = code_try(code, 11u + exits[i].len, &r);
        if (exits[i].code[1] == 0x90)
            continue; /* TCG traps one instruction after PAUSE */
        uint64_t off = step_rip[0] & 0xfff & 0x1ff;
        if (v >= 0 || nsteps != 1 || off != 9u + exits[i].len || !(dr6 & 0x4000))
            fail("single step", "%s: vector %d, %u traps, at %lu, not %u, DR6 %lx", exits[i].name,
                 v, nsteps, off, 9u + exits[i].len, dr6);
    }
    trap_handle(VEC_DB, NULL);
    if (bad == failures)
        pass("single step");
}

static void breakpoints(void)
{
    static volatile uint32_t watched;
    trap_handle(VEC_DB, on_step);
    nsteps = 0;
    __asm__ volatile("mov %0, %%dr0" : : "r"(&watched));
    __asm__ volatile("mov %0, %%dr7" : : "r"(0x000d0402ull));
    cpuid(0, 0);
    watched = 1;
    __asm__ volatile("nop");
    uint64_t dr0, dr7;
    __asm__ volatile("mov %%dr0, %0; mov %%dr7, %1" : "=r"(dr0), "=r"(dr7));
    __asm__ volatile("mov %0, %%dr7" : : "r"(0x400ull));
    check("data breakpoint", nsteps == 1 && (dr6 & 1), nsteps, 1);
    check("debug registers kept", dr0 == (uint64_t)&watched && dr7 == 0x000d0402, dr7, 0x000d0402);
    trap_handle(VEC_DB, NULL);
}

static void user_mode(void)
{
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
    wrmsr(MSR_STAR, 0x0018000800000000ull);
    wrmsr(MSR_LSTAR, (uint64_t)syscall_entry);
    wrmsr(MSR_SFMASK, 0x200);
    wrmsr(MSR_KERNEL_GS_BASE, 0x123456789000);
    wrmsr(MSR_FS_BASE, 0x7f0000001000);
    uint64_t v = user_call(0x5000);
    check("SYSRET and SYSCALL", v == 0x2b00005101, v, 0x2b00005101);
    uint64_t gs = 0;
    __asm__ volatile("swapgs");
    gs = rdmsr(MSR_GS_BASE);
    __asm__ volatile("swapgs");
    check("SWAPGS", gs == 0x123456789000, gs, 0x123456789000);
    bool kept = rdmsr(MSR_STAR) == 0x0018000800000000ull &&
                rdmsr(MSR_LSTAR) == (uint64_t)syscall_entry && rdmsr(MSR_SFMASK) == 0x200;
    check("SYSCALL MSRs kept", kept, rdmsr(MSR_STAR), 0x0018000800000000ull);
    check("FS base kept", rdmsr(MSR_FS_BASE) == 0x7f0000001000, rdmsr(MSR_FS_BASE), 0x7f0000001000);
    wrmsr(MSR_PAT, 0x0007040600070406ull);
    cpuid(0, 0);
    check("PAT reads back", rdmsr(MSR_PAT) == 0x0007040600070406ull, rdmsr(MSR_PAT),
          0x0007040600070406ull);
}

/*
 * An interrupt is held off for one instruction after STI, also when the hypervisor does that
 * instruction.
 */
static volatile uint64_t shadow_rip;
static void on_shadow(struct frame *f)
{
    shadow_rip = f->rip;
    f->rflags &= ~0x200ull;
    apic_eoi();
}

static void sti_shadow(void)
{
    static const uint8_t code[] = { 0xfb, 0xe4, 0x21, 0x90, 0x90, 0xfa };
    struct regs r = { 0 };
    trap_handle(0x40, on_shadow);
    apic_icr(0, 0x40000 | 0x40);
    code_try(code, sizeof code, &r);
    check("STI holds for one instruction", (shadow_rip & 0x1ff) == 3, shadow_rip & 0x1ff, 3);
}

static void tsc_runs(void)
{
    unsigned back = 0;
    uint64_t last = rdtsc();
    for (unsigned i = 0; i < 20000; i++) {
        if (i % 8 == 0)
            inb(0x21);
        uint64_t t = rdtsc();
        back += t < last;
        last = t;
    }
    check("TSC never goes back", back == 0, back, 0);
    uint64_t t = rdtsc();
    if (cmdline_has("emulator"))
        return;
    wrmsr(MSR_TSC, t + 1000000000000);
    uint64_t n = rdtsc();
    check("TSC can be written", n >= t + 1000000000000 && n < t + 1100000000000, n - t,
          1000000000000);
    if (n - t < 1100000000000)
        wrmsr(MSR_TSC, rdtsc() - 1000000000000);
}

static void real(void)
{
    uint16_t *ivt = (uint16_t *)0;
    __asm__("" : "+r"(ivt));
    memcpy((void *)0x9000ul, real_code, (size_t)(real_code_end - real_code));
    ivt[6 * 2] = (uint16_t)(uintptr_t)real_int6_off;
    ivt[6 * 2 + 1] = 0;
    ivt[0x60 * 2] = (uint16_t)(uintptr_t)real_int60_off;
    ivt[0x60 * 2 + 1] = 0;
    uint32_t n = real_mode();
    gdt_reload();
    idt_load();
    check("real mode", n == 6, n, 6);
}

void guest_main(void)
{
    time_init();
    apic_init_cpu();
    pic_mask_all();
    cpuid_policy();
    if (!cmdline_has("emulator"))
        if (!cmdline_has("emulator"))
            cr4_bits();
    speculation();
    xsave();
    registers();
    if (acpi.ecam)
        partial();
    exceptions();
    single_step();
    breakpoints();
    user_mode();
    sti_shadow();
    tsc_runs();
    real();
    vectors();
}
