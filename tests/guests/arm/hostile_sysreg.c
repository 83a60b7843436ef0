/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile-sysreg: every encoding of MRS, MSR and SYS, with garbage; then what matters is put back.
 * Each may give a value or an exception; the guest, and everybody else, goes on. flip=REG (sctlr
 * tcr mair ttbr vbar cpacr spsr tpidr mdscr daif) with val=N writes one register that this guest
 * need not survive. Options: seed=N, from=N, verbose.
 */
#include "lib/guest.h"

static uint32_t seed;
static uint32_t rnd(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8 ^ seed << 16;
}

/* op0 2 bits, op1 3, CRn 4, CRm 4, op2 3: the middle of MSR, MRS, SYS and SYSL alike (C5.1.2) */
#define REG(op0, op1, crn, crm, op2) ((op0) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))

/*
 * Garbage in these ends this very guest, as it should: flip= is for them. And the timers, which are
 * hostile-timer's.
 */
static const struct {
    uint32_t reg, mask;
} own_foot[] = {
    /* SCTLR, SCTLR2, TTBRn TCR */
    { REG(3, 0, 1, 0, 0), 0xffff },
    { REG(3, 0, 1, 0, 3), 0xffff },
    { REG(3, 0, 2, 0, 0), 0xfff0 },
    /* MAIR, AMAIR, VBAR */
    { REG(3, 0, 10, 2, 0), 0xfff0 },
    { REG(3, 0, 10, 3, 0), 0xfff0 },
    { REG(3, 0, 12, 0, 0), 0xffff },
    /* SPSel, SP_EL0 */
    { REG(3, 0, 4, 2, 0), 0xffff },
    { REG(3, 0, 4, 1, 0), 0xffff },
    /* NZCV DAIF SVCR ..., PAN UAO */
    { REG(3, 3, 4, 2, 0), 0xfff0 },
    { REG(3, 0, 4, 2, 0), 0xfff0 },
    /* DSPSR, DLR */
    { REG(3, 3, 4, 5, 0), 0xfff8 },
};

static bool is_own_foot(uint32_t reg)
{
    for (unsigned i = 0; i < sizeof own_foot / sizeof own_foot[0]; i++)
        if ((reg & own_foot[i].mask) == own_foot[i].reg)
            return true;
    return (reg >> 14) < 2;
}

static uint32_t *page;
static int run(uint32_t insn, uint64_t *x0)
{
    struct regs r = { .x = { *x0 } };
    code_put(page, &insn, 1);
    int v = code_at(page, &r);
    page += 2;
    *x0 = v < 0 ? r.x[0] : 0;
    return v;
}

static void put_back(void)
{
    write_reg(mdscr_el1, 0);
    __asm__ volatile("msr daifset, #15; msr daifclr, #4");
    write_reg(cpacr_el1, 3ull << 20);
}

static void read_write(void)
{
    static const uint64_t garbage[] = { UINT64_MAX, 0, 0xa5a5a5a5a5a5a5a5 };
    unsigned reads = 0, writes = 0, total = 0;
    for (uint32_t reg = (uint32_t)cmdline_num("from", 2 << 14); reg < 4 << 14; reg++, total++) {
        uint64_t old = 0;
        if (reg % 4096 == 0)
            print("from %x\n", reg);
        bool readable = run(0xd5200000 | reg << 5, &old) < 0;
        reads += readable;
        if (is_own_foot(reg))
            continue;
        uint64_t v = garbage[reg % 3];
        bool took = run(0xd5000000 | reg << 5, &v) < 0;
        put_back();
        if (took && cmdline_has("verbose"))
            print("%x takes writes, held %lx\n", reg, old);
        writes += took;
        if (took && readable)
            run(0xd5000000 | reg << 5, &old);
        put_back();
    }
    print("%u registers: %u readable, %u writes taken\n", total, reads, writes);
    pass("hostile-sysreg MRS and MSR");
}

/*
 * op0 1: SYS and SYSL: cache, TLB and translation instructions of every level with a wild address;
 * not DC of RAM that throws data away
 */
static void system_instructions(void)
{
    unsigned taken = 0, total = 0;
    uint64_t ram = (uint64_t)page_alloc(1);
    for (uint32_t reg = 1 << 14; reg < 2 << 14; reg++, total++) {
        uint32_t crn = reg >> 7 & 15, crm = reg >> 3 & 15;
        uint64_t v = (reg & 7) % 3 == 0 ? ram : (uint64_t)rnd() << 20 | rnd();
        if (crn == 7 && crm == 6)
            v = ram & ~0xfffull; /* DC IVAC, ISW: of nothing that matters */
        taken += run(0xd5000000 | reg << 5, &v) < 0;
        v = 0;
        taken += run(0xd5200000 | reg << 5, &v) < 0;
    }
    print("%u system instructions: %u taken\n", total, taken);
    pass("hostile-sysreg SYS");
}

/*
 * op0 0: hints, barriers and PSTATE, each immediate; not WFI for ever: a masked interrupt is
 * pending
 */
static void hints(void)
{
    unsigned taken = 0;
    write_reg(cntv_cval_el0, 0);
    write_reg(cntv_ctl_el0, 1);
    gic_enable(INTID_VTIMER);
    for (uint32_t reg = 0; reg < 1 << 14; reg++) {
        uint64_t v = 0;
        uint32_t crn = reg >> 7 & 15;
        if (crn == 4) /* MSR immediate: SPSel and DAIFClr would be our own foot */
            continue;
        taken += run(0xd500001f | reg << 5, &v) < 0;
        put_back();
    }
    write_reg(cntv_ctl_el0, 0);
    print("hints and barriers: %u taken\n", taken);
    pass("hostile-sysreg hints");
}

static void wild_code(void)
{
    unsigned faults = 0;
    for (uint64_t i = 0; i < cmdline_num("random", 3000); i++) {
        /*
         * exception generation, system: all under 1101 01; the top is fixed so that no branch
         * leaves the page
         */
        uint32_t insn = i & 1 ? 0xd4000000 | (rnd() & 0x00ffffff) : 0xd5300000 | (rnd() & 0xfffff);
        uint64_t v = rnd();
        uint32_t fn = (insn & 0xffe0001f) == 0xd4000002 || (insn & 0xffe0001f) == 0xd4000003;
        if (fn)
            v = 0x8600ff00;
        faults += run(insn, &v) >= 0;
        put_back();
    }
    print("exception generation: %u faults\n", faults);
    pass("hostile-sysreg exception generation");
}

static void flip(void *arg)
{
    uint64_t v = cmdline_num("val", UINT64_MAX);
    (void)arg;
    print("flip to %lx\n", v);
    if (cmdline_has("sctlr"))
        write_reg(sctlr_el1, v);
    else if (cmdline_has("tcr"))
        write_reg(tcr_el1, v);
    else if (cmdline_has("mair"))
        write_reg(mair_el1, v);
    else if (cmdline_has("ttbr"))
        write_reg(ttbr0_el1, v);
    else if (cmdline_has("vbar"))
        write_reg(vbar_el1, v);
    else if (cmdline_has("cpacr"))
        write_reg(cpacr_el1, v);
    else if (cmdline_has("mdscr"))
        write_reg(mdscr_el1, v);
    else if (cmdline_has("spsr"))
        __asm__ volatile("msr spsr_el1, %0; msr elr_el1, %1; eret"
                         :
                         : "r"(v), "r"(boot.image.base));
    __asm__ volatile("tlbi vmalle1; dsb sy; isb; svc #3");
}

void guest_main(void)
{
    seed = (uint32_t)cmdline_num("seed", 1);
    if (cmdline_has("flip")) {
        int v = trap_try(flip, NULL);
        print("ended with %x\n", v);
        pass("hostile-sysreg survived");
        return;
    }
    gic_init();
    page = page_alloc(512);
    read_write();
    page = page_alloc(256);
    system_instructions();
    page = page_alloc(64);
    hints();
    wild_code();
    if (psci(PSCI_VERSION, 0, 0, 0) >= 0x10000)
        pass("hostile-sysreg goes on");
    else
        fail("hostile-sysreg goes on", "no PSCI");
}
