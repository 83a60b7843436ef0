/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * smp: every CPU of the device tree comes up by PSCI, computes, keeps its registers, answers SGIs
 * of every kind, and sees the others' TLB and instruction maintenance. Options: cpus=N (how many
 * there must be), rounds=N.
 */
#include "lib/guest.h"

#define SGI 5

static unsigned ncpus;

static uint32_t total(void)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < ncpus; i++)
        n += irq_count(i, SGI);
    return n;
}

static uint32_t base[MAX_CPUS], base_total;
static void mark(void)
{
    for (unsigned i = 0; i < ncpus; i++)
        base[i] = irq_count(i, SGI);
    base_total = total();
}

static uint32_t since(unsigned cpu) { return irq_count(cpu, SGI) - base[cpu]; }

static bool wait_total(uint32_t n)
{
    irqs_on();
    for (struct patience p = patience(5000000); total() - base_total < n && patience_left(&p);)
        cpu_pause();
    delay_us(2000);
    irqs_off();
    return total() - base_total == n;
}

static void sgis(void)
{
    mark();
    for (unsigned i = 0; i < ncpus; i++)
        gic_sgi(i, SGI);
    bool ok = wait_total(ncpus);
    for (unsigned i = 0; i < ncpus; i++)
        ok = ok && since(i) == 1;
    if (ok)
        pass("smp SGI to each");
    else
        fail("smp SGI to each", "%u came, not %u", total() - base_total, ncpus);
    mark();
    gic_sgi_others(SGI);
    if (wait_total(ncpus - 1) && since(0) == 0)
        pass("smp SGI to all others");
    else
        fail("smp SGI to all others", "%u came, %u here", total() - base_total, since(0));
    if (boot.gic_version != 3)
        return;
    mark();
    unsigned first = 0; /* all whose target list one write reaches */
    for (unsigned i = 0; i < ncpus; i++)
        first += (cpus[i].mpidr & ~15ull) == (cpus[0].mpidr & ~15ull);
    write_reg(ICC_SGI1R, (uint64_t)SGI << 24 | (cpus[0].mpidr >> 16 & 0xff) << 32 |
                             (cpus[0].mpidr >> 8 & 0xff) << 16 | (cpus[0].mpidr >> 4 & 15) << 44 |
                             0xffff);
    if (wait_total(first))
        pass("smp SGI by target list");
    else
        fail("smp SGI by target list", "%u came, not %u", total() - base_total, first);
}

/*
 * Each CPU adds to one counter, atomically, with exits in between; and sums numbers that only it
 * has.
 */
static volatile uint64_t shared;
static volatile unsigned wrong;
static void work(void *arg)
{
    uint64_t rounds = cmdline_num("rounds", 2000), sum = 0;
    (void)arg;
    for (uint64_t i = 0; i < rounds; i++) {
        sum += i;
        __atomic_add_fetch(&shared, 1, __ATOMIC_SEQ_CST);
        if (i % 16 == 0)
            hvc_call(PSCI_VERSION, 0, 0, 0);
        if (i % 64 == 0)
            mmio_r32(boot.gicd + GICD_TYPER);
        if ((read_reg(mpidr_el1) & 0xff00ffffff) != this_cpu()->mpidr)
            wrong++;
    }
    if (sum != rounds * (rounds - 1) / 2)
        wrong++;
}

static void on_all(void (*fn)(void *))
{
    for (unsigned i = 1; i < ncpus; i++)
        smp_run(i, fn, NULL);
    fn(NULL);
    for (unsigned i = 1; i < ncpus; i++)
        smp_wait(i);
}

/* A page is moved under readers that run on: after TLBI by broadcast and DSB nobody may see the old
 * one. Without break before make: readers would fault; both pages hold numbers that only grow, so
 * either is right until then. */
static volatile uint64_t phase, stale;
static void reader(void *arg)
{
    volatile uint64_t *p = (void *)(MAP_BASE + 0x20000);
    (void)arg;
    for (;;) {
        uint64_t before = __atomic_load_n(&phase, __ATOMIC_ACQUIRE), v = *p;
        if (before == UINT64_MAX)
            return;
        if (v < before)
            stale++;
    }
}

static void tlb_broadcast(void)
{
    uint64_t *page[2] = { page_alloc(1), page_alloc(1) }, va = MAP_BASE + 0x20000;
    map_page(va, (uint64_t)page[0], 0);
    for (unsigned i = 1; i < ncpus; i++)
        smp_run(i, reader, NULL);
    for (uint64_t n = 1; n <= 200; n++) {
        *page[n & 1] = n;
        dsb();
        map_page(va, (uint64_t)page[n & 1], 0);
        __asm__ volatile("tlbi vaae1is, %0; dsb ish; isb" : : "r"(va >> 12) : "memory");
        __atomic_store_n(&phase, n, __ATOMIC_RELEASE);
        if (n % 8 == 0)
            delay_us(100);
    }
    phase = UINT64_MAX;
    for (unsigned i = 1; i < ncpus; i++)
        smp_wait(i);
    if (stale)
        fail("smp TLB broadcast", "%lu stale reads", stale);
    else
        pass("smp TLB broadcast");
}

/*
 * The same address, another page on each CPU: allowed by tables of their own (Arm ARM D8.14.1,
 * without CnP), so that what one CPU translated must never serve another, also where both share a
 * CPU of the host.
 */
static volatile unsigned foreign;
static void private_table(void *arg)
{
    enum { SLOT = 0x6000000000ull >> 30 };
    uint64_t *root = arg, *l2 = root + 512, *l3 = l2 + 512, *page = l3 + 512,
             me = this_cpu()->index;
    volatile uint64_t *at = (void *)0x6000000000ull;
    memcpy(root, page_table, 4096);
    *page = me;
    l3[0] = (uint64_t)page | 0x703 | 1ull << 54;
    l2[0] = (uint64_t)l3 | 3;
    root[SLOT] = (uint64_t)l2 | 3;
    dsb();
    write_reg(ttbr0_el1, root);
    __asm__ volatile("tlbi vmalle1; dsb nsh; isb" : : : "memory");
    for (uint64_t t = ticks(); ticks() - t < ticks_hz / 8;)
        if (*at != me)
            __atomic_add_fetch(&foreign, 1, __ATOMIC_SEQ_CST);
    write_reg(ttbr0_el1, page_table);
    __asm__ volatile("tlbi vmalle1; dsb nsh; isb" : : : "memory");
}

static void private_tables(void)
{
    for (unsigned i = 1; i < ncpus; i++)
        smp_run(i, private_table, page_alloc(4));
    private_table(page_alloc(4));
    for (unsigned i = 1; i < ncpus; i++)
        smp_wait(i);
    if (foreign)
        fail("smp private page tables", "%u reads of another CPU's page", foreign);
    else
        pass("smp private page tables");
}

static void restart(void)
{
    unsigned last = ncpus - 1;
    for (unsigned k = 0; k < 3; k++) {
        smp_run(last, (void (*)(void *))(uintptr_t)hvc_call, (void *)(uintptr_t)PSCI_CPU_OFF);
        for (uint64_t t = ticks();
             psci(PSCI_AFFINITY_INFO, cpus[last].mpidr, 0, 0) != 1 && ticks() - t < ticks_hz * 5;)
            cpu_pause();
        if (smp_start_one(last) || !cpus[last].online) {
            fail("smp off and on again", "cpu %u stays away", last);
            return;
        }
    }
    pass("smp off and on again");
}

void guest_main(void)
{
    ncpus = smp_start();
    print("%u cpus of %u, counter at %lu Hz, GICv%u\n", ncpus, boot.ncpus, ticks_hz,
          boot.gic_version);
    if (ncpus != boot.ncpus || cmdline_num("cpus", ncpus) != ncpus)
        fail("smp start", "%u of %u", ncpus, boot.ncpus);
    else
        pass("smp start");
    if (ncpus < 2)
        return;
    sgis();
    on_all(work);
    if (!wrong && shared == ncpus * cmdline_num("rounds", 2000))
        pass("smp work");
    else
        fail("smp work", "%lu, %u wrong", shared, wrong);
    tlb_broadcast();
    private_tables();
    restart();
    sgis();
}
