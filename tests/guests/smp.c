/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * smp: every CPU of the MADT comes up by INIT and SIPI, computes, keeps its registers, and answers
 * IPIs of every destination kind; one is stopped by INIT and started again. Options: x2apic, cpus=N
 * (how many there must be), rounds=N, fpu=N.
 */
#include "lib/guest.h"

#define V_COUNT 0x45

static unsigned ncpus;

static void count_irq(struct frame *f)
{
    (void)f;
    apic_eoi();
}

static uint64_t count(unsigned cpu) { return *(volatile uint64_t *)&cpus[cpu].irqs[V_COUNT]; }

static void clear(void)
{
    for (unsigned i = 0; i < ncpus; i++)
        *(volatile uint64_t *)&cpus[i].irqs[V_COUNT] = 0;
}

static uint64_t total(void)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < ncpus; i++)
        n += count(i);
    return n;
}

static bool wait_total(uint64_t n)
{
    cpu_sti();
    for (struct patience p = patience(5000000); total() < n && patience_left(&p);)
        cpu_pause();
    delay_us(2000);
    cpu_cli();
    return total() == n;
}

static void to_each(void)
{
    clear();
    for (unsigned i = 0; i < ncpus; i++)
        apic_icr(cpus[i].apic_id, V_COUNT);
    bool ok = wait_total(ncpus);
    for (unsigned i = 0; i < ncpus; i++)
        ok = ok && count(i) == 1;
    if (ok)
        pass("smp IPI to each");
    else
        fail("smp IPI to each", "%lu came, not %u", total(), ncpus);
}

static void shorthands(void)
{
    clear();
    apic_icr(0, 0xc0000 | V_COUNT);
    if (wait_total(ncpus - 1) && count(0) == 0)
        pass("smp IPI all but self");
    else
        fail("smp IPI all but self", "%lu came", total());
    clear();
    apic_icr(x2apic ? 0xffffffff : 0xff, V_COUNT);
    if (wait_total(ncpus))
        pass("smp IPI broadcast");
    else
        fail("smp IPI broadcast", "%lu came", total());
}

static volatile uint32_t ldr[MAX_CPUS];
static void read_ldr(void *arg)
{
    unsigned i = this_cpu()->index;
    (void)arg;
    if (!x2apic) {
        apic_write(APIC_DFR, 0xffffffff);
        apic_write(APIC_LDR, 1u << (24 + i % 8));
    }
    ldr[i] = x2apic ? apic_read(APIC_LDR) : apic_read(APIC_LDR) >> 24;
}

static void on_all(void (*fn)(void *))
{
    for (unsigned i = 1; i < ncpus; i++)
        smp_run(i, fn, NULL);
    fn(NULL);
    for (unsigned i = 1; i < ncpus; i++)
        smp_wait(i);
}

static void logical(void)
{
    unsigned n = ncpus < 8 ? ncpus : 8;
    bool ok = true;
    on_all(read_ldr);
    for (unsigned i = 0; i < n && ok; i++) {
        clear();
        apic_icr(ldr[i], 0x800 | V_COUNT);
        unsigned want = x2apic ? 1 : (ncpus - 1 - i) / 8 + 1;
        ok = wait_total(want) && count(i) == 1;
        if (!ok)
            fail("smp IPI logical", "to cpu %u, LDR %x: %lu came, own %lu", i, ldr[i], total(),
                 count(i));
    }
    if (ok)
        pass("smp IPI logical");
    uint32_t both = n < 2 ? ldr[0] : (ldr[0] & ldr[1] & 0xffff0000) | (ldr[0] | ldr[1]);
    clear();
    apic_icr(both, 0x800 | V_COUNT);
    unsigned want = x2apic || n < 2 ? n < 2 ? 1 : 2 : (ncpus - 1) / 8 + 1 + (ncpus - 2) / 8 + 1;
    if (!wait_total(want))
        fail("smp IPI logical set", "%lu came", total());
    clear();
    apic_icr(both, 0x900 | V_COUNT);
    if (wait_total(1))
        pass("smp IPI lowest priority");
    else
        fail("smp IPI lowest priority", "%lu came", total());
}

static volatile unsigned nmis;
static void on_nmi(struct frame *f)
{
    (void)f;
    __atomic_add_fetch(&nmis, 1, __ATOMIC_SEQ_CST);
}

static void nmi(void)
{
    trap_handle(VEC_NMI, on_nmi);
    apic_icr(0, 0xc0000 | 0x400);
    for (struct patience p = patience(5000000); nmis < ncpus - 1 && patience_left(&p);)
        cpu_pause();
    if (nmis == ncpus - 1)
        pass("smp NMI all but self");
    else
        fail("smp NMI all but self", "%u came", nmis);
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
            cpuid(0, 0);
        if (i % 64 == 0)
            apic_read(APIC_ID);
    }
    if (sum != rounds * (rounds - 1) / 2)
        wrong++;
}

static void work_all(void)
{
    on_all(work);
    if (!wrong && shared == ncpus * cmdline_num("rounds", 2000))
        pass("smp work");
    else
        fail("smp work", "%lu, %u wrong", shared, wrong);
}

static void dead(void *arg)
{
    (void)arg;
    cpu_cli();
    for (;;)
        cpu_pause();
}

/*
 * FPU loads on each CPU while the others exit. QEMU with a thread for each CPU then loses what CPU
 * 0 notes at VMRUN and #VMEXIT.
 */
static void load_fpu(void *arg)
{
    uint64_t rounds = cmdline_num("fpu", 0);
    uint32_t state[7];
    (void)arg;
    __asm__ volatile("fninit; fnstenv %0" : "=m"(state));
    for (uint64_t i = 0; i < rounds; i++) {
        for (unsigned k = 0; k < 16; k++)
            __asm__ volatile("fldenv %0" : : "m"(state));
        cpuid(0, 0);
    }
}

/* A CPU that spins with interrupts off hears INIT, and starts again by SIPI. */
static void restart(void)
{
    extern uint32_t ap_next;
    unsigned last = ncpus - 1;
    smp_run(last, dead, NULL);
    delay_us(5000);
    cpus[last].work = NULL;
    cpus[last].online = false;
    ap_next = last;
    apic_icr(cpus[last].apic_id, 0xc500);
    apic_icr(cpus[last].apic_id, 0x8500);
    delay_us(1000);
    apic_icr(cpus[last].apic_id, 0x600 | AP_TRAMPOLINE >> 12);
    for (struct patience p = patience(5000000); !cpus[last].online && patience_left(&p);)
        cpu_pause();
    if (cpus[last].online)
        pass("smp INIT and SIPI again");
    else
        fail("smp INIT and SIPI again", "cpu %u stays away", last);
}

void guest_main(void)
{
    if (cmdline_has("x2apic") && x2apic_supported())
        x2apic_enable();
    ncpus = smp_start();
    trap_handle(V_COUNT, count_irq);
    print("%u cpus of %u, tsc %lu Hz, %s\n", ncpus, acpi.ncpus, tsc_hz,
          x2apic ? "x2APIC" : "xAPIC");
    if (ncpus != acpi.ncpus || (cmdline_num("cpus", ncpus) != ncpus))
        fail("smp start", "%u of %u", ncpus, acpi.ncpus);
    else
        pass("smp start");
    if (ncpus < 2)
        return;
    to_each();
    shorthands();
    logical();
    nmi();
    work_all();
    if (cmdline_num("fpu", 0)) {
        on_all(load_fpu);
        pass("smp FPU loads beside exits");
    }
    restart();
    to_each();
}
