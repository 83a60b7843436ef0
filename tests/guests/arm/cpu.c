/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpu: what a processor owes to software at EL1. ID registers and what they promise, registers and
 * vector state kept over every kind of exit, exceptions with their syndromes, loads from devices in
 * every form, EL0, debug and performance registers. Options: rounds=N (vector state), hole=ADDRESS
 * (no device there), emulator (no hypervisor).
 */
#include "lib/guest.h"

struct snip {
    const char *start, *end, *name;
    uint64_t what;
};
struct vec {
    uint64_t q[64], fpcr, fpsr;
};
extern const struct snip exit_snips[], load_snips[];
extern char user_svc[], user_hvc[], user_daif[], user_end[];
void vec_load(const struct vec *);
void vec_store(struct vec *);
void sve_load(const void *);
void sve_store(void *);
uint64_t sve_bytes(void);
void user_call(uint64_t pc, uint64_t spsr);

static uint64_t hole;

static void check(const char *name, bool ok, uint64_t got, uint64_t want)
{
    if (ok)
        pass(name);
    else
        fail(name, "%lx, not %lx", got, want);
}

static uint64_t esr(void) { return this_cpu()->last.esr; }

/* ---- ID registers ---- */
static uint32_t mrs(unsigned op0, unsigned op1, unsigned crn, unsigned crm, unsigned op2)
{
    return 0xd5200000 | op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5;
}

/* All of the ID space can be read, also what is not given out yet (D17.3.2: RAZ). */
static void id_space(void)
{
    for (unsigned crm = 0; crm < 8; crm++)
        for (unsigned op2 = 0; op2 < 8; op2++) {
            uint64_t v = 0;
            if (crm == 0 && op2 != 0 && op2 != 5 && op2 != 6)
                continue;
            int ec = insn_try(mrs(3, 0, 0, crm, op2), &v);
            if (ec >= 0)
                fail("ID space", "S3_0_C0_C%u_%u: exception %x", crm, op2, ec);
            if (v && crm)
                print("id c%u_%u %lx\n", crm, op2, v);
        }
}

static void id_registers(void)
{
    uint64_t pfr0 = read_reg(id_aa64pfr0_el1), mmfr0 = read_reg(id_aa64mmfr0_el1),
             dfr0 = read_reg(id_aa64dfr0_el1), v = 0;
    print("midr %lx mpidr %lx revidr %lx ctr %lx dczid %lx\n", read_reg(midr_el1),
          read_reg(mpidr_el1), read_reg(revidr_el1), read_reg(ctr_el0), read_reg(dczid_el0));
    id_space();
    check("id: MPIDR as the tree says", (read_reg(mpidr_el1) & 0xff00ffffff) == boot.mpidr[0],
          read_reg(mpidr_el1), boot.mpidr[0]);
    check("id: EL0 and EL1", (pfr0 & 15) >= 1 && (pfr0 >> 4 & 15) >= 1, pfr0, 0x11);
    check("id: 4 KiB pages", (mmfr0 >> 28 & 15) != 15, mmfr0, 0);
    check("id: address size", (mmfr0 & 15) <= 6, mmfr0 & 15, 5);
    if (boot.gic_version == 3)
        check("id: GIC system registers", (pfr0 >> 24 & 15) >= 1, pfr0, 1 << 24);
    check("id: EL1 here", read_reg(CurrentEL) == 4, read_reg(CurrentEL), 4);
    bool sve = pfr0 >> 32 & 15, pmu = (dfr0 >> 8 & 15) && (dfr0 >> 8 & 15) != 15,
         mte = read_reg(id_aa64pfr1_el1) >> 9 & 7;
    /* RDVL X0, #1: traps to EL1 while CPACR.ZEN is 0 */
    int ec = insn_try(0x04bf5020, &v);
    check("id: SVE as shown", ec == (sve ? EC_SVE : EC_UNKNOWN), (uint64_t)ec, sve);
    ec = insn_try(mrs(3, 3, 9, 12, 0), &v);
    check("id: PMU as shown", pmu ? ec < 0 : ec == EC_UNKNOWN, (uint64_t)ec, pmu);
    print("sve %s, pmu %s, mte %s, debug %lu\n", sve ? "yes" : "no", pmu ? "yes" : "no",
          mte ? "yes" : "no", dfr0 & 15);
    if (cmdline_has("emulator"))
        return;
    check("id: no EL3", (pfr0 >> 12 & 15) == 0, pfr0, 0);
    ec = insn_try(mrs(3, 4, 1, 1, 0), &v);
    check("id: HCR_EL2 is out of reach", ec == EC_UNKNOWN, (uint64_t)ec, 0);
}

/* ---- registers over exits ---- */
static void registers(void)
{
    unsigned bad = failures;
    /* a match register; SCR of the UART */
    uint64_t ram = (uint64_t)page_alloc(1), dev = boot.rtc ? boot.rtc + 4 : boot.uart + 0x38;
    dev &= ~7ull;
    for (const struct snip *s = exit_snips; s->start; s++) {
        struct regs r, old;
        uint32_t code[8];
        unsigned n = 0;
        for (unsigned k = 0; k < 31; k++)
            r.x[k] = 0x0101010101010101ull * (k + 1) + 0x8123456789abcdefull;
        r.x[0] = PSCI_VERSION;
        r.x[9] = 0;
        r.x[27] = ram;
        r.x[28] = dev;
        r.nzcv = 0xa0000000;
        old = r;
        if (!strncmp(s->name, "load w30", 8))
            code[n++] = 0xaa1e03f3; /* mov x19, x30 */
        for (const char *p = s->start; p < s->end; p += 4)
            memcpy(&code[n++], p, 4);
        if (!strncmp(s->name, "load w30", 8)) {
            code[n++] = 0xaa1303fe; /* mov x30, x19 */
            old.x[19] = r.x[19] = 0;
        }
        int v = code_try(code, n, &r);
        if (!strncmp(s->name, "load w30", 8))
            r.x[19] = 0;
        if (v >= 0)
            fail("registers over an exit", "%s: exception %x ESR %lx", s->name, v, esr());
        for (unsigned k = 0; k < 30 && v < 0; k++)
            if (r.x[k] != old.x[k] && !(s->what >> k & 1))
                fail("registers over an exit", "%s changed x%u: %lx, not %lx", s->name, k, r.x[k],
                     old.x[k]);
        if (r.nzcv != old.nzcv)
            fail("registers over an exit", "%s changed the flags: %lx", s->name, r.nzcv);
    }
    if (bad == failures)
        pass("registers over exits");
}

/* ---- loads from a device: size, sign, width, write-back ---- */
static void loads(void)
{
    pci_t d[16];
    unsigned bad = failures, n = pci_scan(d, 16);
    if (!n) {
        print("no PCI: loads not tried\n");
        return;
    }
    for (unsigned off = 0; off < 12; off += 4)
        for (const struct snip *s = load_snips; s->start; s++) {
            uint64_t a = boot.ecam + ((uint64_t)d[n - 1] << 12) + off;
            unsigned size = s->what & 0xff, sign = s->what >> 8 & 1, wide = s->what >> 16 & 1;
            uint64_t want = mmio_read(a, size);
            if (sign && (want >> (size * 8 - 1) & 1))
                want |= UINT64_MAX << (size * 8);
            if (!wide)
                want &= 0xffffffff;
            struct regs r = { .x = { [1] = UINT64_MAX, [2] = UINT64_MAX, [28] = a } };
            int v = code_try((const uint32_t *)s->start, (unsigned)(s->end - s->start) / 4, &r);
            if (v >= 0 || r.x[1] != want ||
                r.x[28] != a + (uint64_t)(int64_t)(int8_t)(s->what >> 24))
                fail("loads from a device",
                     "%s at +%u: exception %d, %lx, not %lx; base %lx, was %lx", s->name, off, v,
                     r.x[1], want, r.x[28], a);
            if (!strncmp(s->name, "ldp", 3) && v < 0 && (uint32_t)r.x[2] != mmio_r32(a + 4))
                fail("loads from a device", "%s at +%u: second %lx, not %x", s->name, off, r.x[2],
                     mmio_r32(a + 4));
        }
    if (bad == failures)
        pass("loads from a device");
}

/* ---- exceptions ---- */
#define INSN(...)   \
    {               \
        __VA_ARGS__ \
    }
struct exc {
    const char *name;
    int ec;
    uint64_t iss, mask;
    uint64_t x0;
    uint32_t code[3];
    unsigned n;
};

static void expect(const struct exc *e)
{
    struct regs r = { .x = { e->x0 } };
    int v = code_try(e->code, e->n, &r);
    if (v == e->ec && (v < 0 || (esr() & e->mask) == e->iss))
        pass(e->name);
    else
        fail(e->name, "exception %x ESR %lx FAR %lx, not %x with %lx", v, esr(),
             this_cpu()->last.far, e->ec, e->iss);
}

static void exceptions(void)
{
    uint64_t ro = MAP_BASE + 0x1000, none = MAP_BASE + 0x2000, nc = MAP_BASE + 0x3000,
             xhole = MAP_BASE + 0x4000, page = (uint64_t)page_alloc(1);
    map_page(ro, page, MAP_RO);
    map_page(nc, hole & ~0xfffull, MAP_NC | MAP_NOEXEC);
    map_page(xhole, hole & ~0xfffull, MAP_NORMAL);
    const struct exc list[] = {
        { "undefined", EC_UNKNOWN, 0, 0xffffff, 0, INSN(0x00000000), 1 },
        { "undefined: MSR to a read-only register", EC_UNKNOWN, 0, 0xffffff, 0, INSN(0xd5180000),
          1 },
        { "svc", EC_SVC, 5, 0xffff, 0, INSN(0xd40000a1), 1 },
        { "brk", EC_BRK, 0x1234, 0xffff, 0, INSN(0xd4200000 | 0x1234 << 5), 1 },
        { "translation fault", EC_DABT, 0x07, 0x7f, none, INSN(0xf9400001), 1 },
        { "permission fault", EC_DABT, 0x4f, 0x7f, ro, INSN(0xf9000001), 1 },
        { "alignment fault", EC_DABT, 0x21, 0x3f, page + 1, INSN(0xc85f7c01), 1 },
        { "PC alignment", EC_PC_ALIGN, 0, 0, page + 2, INSN(0xd61f0000), 1 },
        { "no device: load", EC_DABT, 0x10, 0x7f, hole, INSN(0xb9400001), 1 },
        { "no device: store", EC_DABT, 0x50, 0x7f, hole, INSN(0xb9000001), 1 },
        { "no device: load of 8 bytes", EC_DABT, 0x10, 0x7f, hole, INSN(0xf9400001), 1 },
        { "no device: load pair", EC_DABT, 0x10, 0x7f, hole, INSN(0xa9400801), 1 },
        { "no device: as normal memory", EC_DABT, 0x10, 0x7f, nc, INSN(0xb9400001), 1 },
        { "no device: executed", EC_IABT, 0x10, 0x3f, xhole, INSN(0xd61f0000), 1 },
    };
    for (unsigned i = 0; i < sizeof list / sizeof list[0]; i++) {
        expect(&list[i]);
        if (list[i].ec == EC_DABT && this_cpu()->last.far != list[i].x0)
            fail(list[i].name, "FAR %lx, not %lx", this_cpu()->last.far, list[i].x0);
    }
    /* HVC #1: no such interface, but no harm */
    uint32_t hvc = 0xd4000022;
    struct regs r = { .x = { 0x84000000 } };
    int v = code_try(&hvc, 1, &r);
    print("HVC #1: exception %d, x0 %lx\n", v, r.x[0]);
}

/* ---- vector state, while several CPUs share fewer ---- */
static volatile unsigned vec_bad, debug_bad;
static void vec_test(void *arg)
{
    static struct vec want[MAX_CPUS], got[MAX_CPUS];
    unsigned me = this_cpu()->index;
    (void)arg;
    for (unsigned i = 0; i < 64; i++)
        want[me].q[i] = 0x0101010101010101ull * (me * 37 + i + 1);
    want[me].fpcr = (uint64_t)(me & 3) << 22;
    want[me].fpsr = 0x10 | (me & 1);
    write_reg(dbgbvr0_el1, 0x4000 + me * 64);
    write_reg(dbgwvr0_el1, 0x8000 + me * 64);
    for (uint64_t n = 0; n < cmdline_num("rounds", 300); n++) {
        if (read_reg(dbgbvr0_el1) != 0x4000 + me * 64 || read_reg(dbgwvr0_el1) != 0x8000 + me * 64)
            __atomic_add_fetch(&debug_bad, 1, __ATOMIC_SEQ_CST);
        vec_load(&want[me]);
        for (unsigned k = 0; k < 5; k++) {
            hvc_call(PSCI_VERSION, 0, 0, 0);
            mmio_r32(boot.uart + 0x18);
        }
        if (n % 8 == 0)
            for (uint64_t t = ticks(); ticks() - t < ticks_hz / 500;)
                cpu_pause();
        memset(&got[me], 0, sizeof got[me]);
        vec_store(&got[me]);
        if (memcmp(&want[me], &got[me], sizeof got[me]))
            __atomic_add_fetch(&vec_bad, 1, __ATOMIC_SEQ_CST);
    }
}

/* ---- registers of EL1, each CPU with values of its own ---- */
#define KEPT(what)                                                                         \
    what(afsr0_el1) what(afsr1_el1) what(contextidr_el1) what(tpidr_el0) what(tpidrro_el0) \
        what(tpidr_el1) what(far_el1) what(esr_el1) what(elr_el1)
#define KEPT_WRITE(reg) write_reg(reg, mine);
#define KEPT_READ(reg) (uint32_t) read_reg(reg),
static volatile unsigned sys_bad;
static void sys_test(void *arg)
{
    uint32_t mine = 0x01010100u * (this_cpu()->index + 1), first[16], now[16];
    bool keys = read_reg(id_aa64isar1_el1) & 0xff0;
    (void)arg;
    write_reg(amair_el1, 0);
    KEPT(KEPT_WRITE)
    if (keys)
        write_reg(S3_0_C2_C1_0, mine); /* APIAKeyLo_EL1 */
    uint32_t before[] = { KEPT(KEPT_READ) };
    memcpy(first, before, sizeof before);
    for (uint64_t t = ticks(); ticks() - t < ticks_hz / 8;) {
        hvc_call(PSCI_VERSION, 0, 0, 0);
        uint32_t after[] = { KEPT(KEPT_READ) };
        memcpy(now, after, sizeof after);
        if (memcmp(first, now, sizeof after) || (keys && (uint32_t)read_reg(S3_0_C2_C1_0) != mine))
            __atomic_add_fetch(&sys_bad, 1, __ATOMIC_SEQ_CST);
    }
}

/* ---- SVE: Z, P and FFR, where the CPU has them ---- */
static volatile unsigned sve_bad;
static void sve_test(void *arg)
{
    unsigned me = this_cpu()->index;
    write_reg(cpacr_el1, 3ull << 20 | 3ull << 16);
    /* ZCR_EL1: the shortest, or what there is */
    write_reg(S3_0_C1_C2_0, me & 1 ? 0 : 15);
    uint64_t vl = sve_bytes(), bytes = vl * 32 + vl / 8 * 17;
    uint8_t *want = arg, *got = want + 12288;
    for (uint64_t i = 0; i < bytes; i++)
        want[i] = (uint8_t)(i * 7 + me * 31 + i / 256);
    /* FFR: ones, then zeros, and nothing else (B1.1.3) */
    memset(want + vl * 32 + vl / 8 * 16, 0, vl / 8);
    want[vl * 32 + vl / 8 * 16] = (uint8_t)((2 << me % 8) - 1);
    for (uint64_t t = ticks(); ticks() - t < ticks_hz / 8;) {
        sve_load(want);
        for (unsigned k = 0; k < 20; k++)
            hvc_call(PSCI_VERSION, 0, 0, 0);
        for (uint64_t s = ticks(); ticks() - s < ticks_hz / 500;)
            cpu_pause();
        memset(got, 0, bytes);
        sve_store(got);
        if (memcmp(want, got, bytes) || sve_bytes() != vl)
            __atomic_add_fetch(&sve_bad, 1, __ATOMIC_SEQ_CST);
    }
    print("cpu %u: SVE of %lu bytes\n", me, vl);
    write_reg(cpacr_el1, 3ull << 20);
}

static void on_each(void (*fn)(void *), unsigned n)
{
    for (unsigned i = 1; i < n; i++)
        smp_run(i, fn, page_alloc(8));
    fn(page_alloc(8));
    for (unsigned i = 1; i < n; i++)
        smp_wait(i);
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
    if (read_reg(dbgbvr0_el1))
        check("debug registers kept", debug_bad == 0, debug_bad, 0);
    on_each(sys_test, n);
    check("system registers of each CPU kept", sys_bad == 0, sys_bad, 0);
    if (read_reg(id_aa64pfr0_el1) >> 32 & 15) {
        on_each(sve_test, n);
        check("SVE state kept", sve_bad == 0, sve_bad, 0);
    }
    write_reg(cpacr_el1, 0);
    struct exc off = { "FP off", EC_FP, 0, 0, 0, INSN(0x1e604000), 1 };
    expect(&off);
    write_reg(cpacr_el1, 3ull << 20);
}

/* ---- EL0 ---- */
struct user {
    uint64_t pc, spsr;
};
static void go(void *arg)
{
    struct user *u = arg;
    user_call(u->pc, u->spsr);
}

static void user_mode(void)
{
    uint8_t *page = page_alloc(1);
    uint64_t va = MAP_BASE + 0x10000;
    unsigned n = (unsigned)(user_end - user_svc) / 4;
    code_put(page, (const uint32_t *)user_svc, n);
    map_page(va, (uint64_t)page, MAP_USER);
    write_reg(tpidr_el0, 0x123456789abcdef0);
    write_reg(tpidrro_el0, 0x7777);
    int v = trap_try(go, &(struct user){ va, 0 });
    struct frame *f = &this_cpu()->last;
    check("EL0: SVC",
          v == EC_SVC && (f->esr & 0xffff) == 7 && f->x[0] == 42 && f->x[1] == 0x123456789abcdef0 &&
              f->vec == 8,
          f->esr, 7);
    v = trap_try(go, &(struct user){ va + (uint64_t)(user_hvc - user_svc), 0 });
    check("EL0: HVC is undefined", v == EC_UNKNOWN && f->vec == 8, (uint64_t)v, EC_UNKNOWN);
    v = trap_try(go, &(struct user){ va + (uint64_t)(user_daif - user_svc), 0 });
    check("EL0: no system registers", v == EC_UNKNOWN || v == EC_SYSREG, (uint64_t)v, EC_UNKNOWN);
    if ((read_reg(id_aa64pfr0_el1) & 15) == 2) {
        uint32_t a32[] = { 0xe3a00005, 0xef000003 }; /* mov r0, #5; svc #3 */
        code_put(page, a32, 2);
        v = trap_try(go, &(struct user){ va - MAP_BASE + MAP_LOW, 0x10 });
        check("EL0: AArch32 SVC",
              v == 0x11 && (f->esr & 0xffff) == 3 && (uint32_t)f->x[0] == 5 && f->vec == 12, f->esr,
              3);
    }
    check("thread registers kept",
          read_reg(tpidr_el0) == 0x123456789abcdef0 && read_reg(tpidrro_el0) == 0x7777,
          read_reg(tpidr_el0), 0);
}

/* ---- single steps: each instruction once, also those the hypervisor does (D2.12) ---- */
static volatile unsigned nsteps;
static volatile uint64_t step_pc[16];

static void on_step(struct frame *f)
{
    if (nsteps < 16)
        step_pc[nsteps] = f->elr;
    nsteps++;
    if (nsteps < 12)
        f->spsr |= 1ull << 21;
    else
        write_reg(mdscr_el1, 0);
}

static void on_brk(struct frame *f)
{
    f->elr += 4;
    f->spsr = (f->spsr & ~0x200ull) | 1ull << 21;
}

static void single_step(void)
{
    static const uint32_t code[] = { 0xd4200000, 0xd503201f, 0xd4000002, 0xb9400041, 0xd53be041,
                                     0xd503201f, 0xd2e00003, 0xd2800003, 0xd5100243 };
    /* brk; nop; hvc; ldr w1, [x2]; mrs x1, cntvct; nop; movz x3; mov x3, #0; msr mdscr_el1, x3 */
    struct regs r = { .x = { PSCI_VERSION, 0, boot.uart + 0x18 } };
    write_reg(oslar_el1, 0);
    write_reg(mdscr_el1, 0x2001);
    if (!(read_reg(mdscr_el1) & 1)) {
        print("no debug registers: single steps not tried\n");
        return;
    }
    trap_handle(EC_BRK, on_brk);
    trap_handle(EC_STEP, on_step);
    nsteps = 0;
    int v = code_try(code, sizeof code / 4, &r);
    write_reg(mdscr_el1, 0);
    trap_handle(EC_BRK, NULL);
    trap_handle(EC_STEP, NULL);
    bool ok = v < 0 && nsteps >= 7;
    for (unsigned i = 0; i + 1 < nsteps && i < 6; i++)
        ok = ok && step_pc[i + 1] == step_pc[i] + 4;
    if (ok)
        pass("single step");
    else
        fail("single step", "exception %d, %u steps: %lx %lx %lx %lx %lx", v, nsteps, step_pc[0],
             step_pc[1], step_pc[2], step_pc[3], step_pc[4]);
}

/*
 * One breakpoint and one watchpoint (D2.8, D2.9), at EL1 with PSTATE.D clear; the second try goes
 * on without them.
 */
static volatile uint64_t hit_pc, hit_far;
static volatile unsigned hits;
static void on_hit(struct frame *f)
{
    hit_pc = f->elr;
    hit_far = f->far;
    hits++;
    write_reg(mdscr_el1, 0);
}

static void breakpoints(void)
{
    static volatile uint64_t watched[2];
    /* daifclr #8; isb; mov x1, x1; str x2, [x0]; daifset #8 */
    static const uint32_t code[] = { 0xd50348ff, 0xd5033fdf, 0xaa0103e1, 0xf9000002, 0xd50348df };
    uint32_t *page = page_alloc(1);
    code_put(page, code, 5);
    struct regs r = { .x = { (uint64_t)&watched[1] } };
    write_reg(mdscr_el1, 0xa000);
    if (!(read_reg(mdscr_el1) >> 15 & 1)) {
        print("no debug registers: breakpoints not tried\n");
        return;
    }
    trap_handle(EC_BREAKPOINT, on_hit);
    trap_handle(EC_WATCHPOINT, on_hit);
    write_reg(dbgbvr0_el1, page + 2);
    write_reg(dbgbcr0_el1, 0xfu << 5 | 1 << 1 | 1);
    hvc_call(PSCI_VERSION, 0, 0, 0);
    int v = code_at(page, &r);
    write_reg(dbgbcr0_el1, 0);
    check("breakpoint", v < 0 && hits == 1 && hit_pc == (uint64_t)(page + 2), hit_pc,
          (uint64_t)(page + 2));
    hits = 0;
    write_reg(dbgwvr0_el1, &watched[1]);
    write_reg(dbgwcr0_el1, 0xffu << 5 | 2 << 3 | 1 << 1 | 1);
    write_reg(mdscr_el1, 0xa000);
    hvc_call(PSCI_VERSION, 0, 0, 0);
    v = code_at(page, &r);
    write_reg(mdscr_el1, 0);
    write_reg(dbgwcr0_el1, 0);
    check("watchpoint", v < 0 && hits == 1 && hit_far == (uint64_t)&watched[1], hit_far,
          (uint64_t)&watched[1]);
    trap_handle(EC_BREAKPOINT, NULL);
    trap_handle(EC_WATCHPOINT, NULL);
}

static void debug_registers(void)
{
    uint64_t n = 0;
    static const uint8_t op2[] = { 4, 5, 6, 7 };
    for (unsigned crm = 0; crm < 16; crm++)
        for (unsigned i = 0; i < 4; i++) {
            uint64_t v = 0;
            n += insn_try(mrs(2, 0, 0, crm, op2[i]), &v) < 0;
        }
    unsigned shown = (unsigned)((read_reg(id_aa64dfr0_el1) >> 12 & 15) + 1 +
                                (read_reg(id_aa64dfr0_el1) >> 20 & 15) + 1) *
                     2;
    check("debug registers as shown", n >= shown, n, shown);
}

/* ---- stage 1 by instruction, and time ---- */
static void translation(void)
{
    uint64_t ram = (uint64_t)page_alloc(1);
    __asm__ volatile("at s1e1r, %0; isb" : : "r"(ram) : "memory");
    uint64_t par = read_reg(par_el1);
    check("AT: identity", !(par & 1) && (par & 0xfffffffff000) == ram, par, ram);
    __asm__ volatile("at s1e1w, %0; isb" : : "r"(MAP_BASE + 0x800000) : "memory");
    par = read_reg(par_el1);
    check("AT: fault", (par & 1) && (par >> 1 & 0x3c) == 4, par, 1);
    uint64_t words = 4ull << (read_reg(dczid_el0) & 15);
    if (!(read_reg(dczid_el0) & 16)) {
        memset((void *)ram, 0xff, 4096);
        __asm__ volatile("dc zva, %0" : : "r"(ram + 2048) : "memory");
        check("DC ZVA",
              *(uint64_t *)(ram + 2048) == 0 && *(uint64_t *)(ram + 2048 + words - 8) == 0 &&
                  *(uint64_t *)(ram + 2048 - 8) == UINT64_MAX,
              *(uint64_t *)(ram + 2048), 0);
    }
}

static void counter(void)
{
    unsigned back = 0, apart = 1;
    uint64_t last = ticks(), p = 0, v = 0;
    for (unsigned i = 0; i < 20000; i++) {
        if (i % 8 == 0)
            hvc_call(PSCI_VERSION, 0, 0, 0);
        uint64_t t = ticks();
        back += t < last;
        last = t;
    }
    check("CNTVCT never goes back", back == 0, back, 0);
    /* another guest may have had the CPU between two reads */
    for (unsigned tries = 0; apart && tries < 20; tries++) {
        uint64_t p0 = read_reg(cntpct_el0), v0 = ticks();
        delay_us(2000);
        p = read_reg(cntpct_el0) - p0;
        v = ticks() - v0;
        apart = (p > v ? p - v : v - p) > v / 4;
    }
    check("CNTPCT runs as CNTVCT", !apart, p, v);
}

static void sysregs_kept(void)
{
    uint64_t mair = read_reg(mair_el1);
    write_reg(contextidr_el1, 0x12345678);
    write_reg(tpidr_el1, 0xfedcba9876543210);
    write_reg(afsr0_el1, 0);
    write_reg(csselr_el1, 2);
    isb();
    for (unsigned i = 0; i < 100; i++)
        hvc_call(PSCI_VERSION, 0, 0, 0);
    delay_us(20000);
    check("system registers kept",
          read_reg(mair_el1) == mair && read_reg(contextidr_el1) == 0x12345678 &&
              read_reg(tpidr_el1) == 0xfedcba9876543210 && read_reg(csselr_el1) == 2,
          read_reg(tpidr_el1), 0xfedcba9876543210);
}

void guest_main(void)
{
    hole = cmdline_num("hole", 0x0b000000);
    id_registers();
    registers();
    loads();
    exceptions();
    user_mode();
    single_step();
    breakpoints();
    debug_registers();
    translation();
    counter();
    sysregs_kept();
    vectors();
}
