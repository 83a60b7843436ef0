/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * saved: a guest under load that is saved and restored behind its back, and must never notice. Each
 * CPU rewrites and checks its own memory, and keeps patterns in registers that only a switch of
 * machines can lose. Interrupts of each kind come in chains, of which each link asks for the next:
 * one that is lost ends its chain. Both timers of each CPU, an SGI that goes round, an SPI, an LPI
 * (with an ITS) and the PL031's alarm. The counters must never go back, and agree with the PL031.
 * It runs until it is ended, and says every 100 ms how often each came. Options: pages=N of each
 * CPU.
 */
#include "lib/guest.h"
#include "pattern.h"

enum { SGI_TOKEN = 5, SPI = 60, LPI = LPI_FIRST + 5, DEV = 0x77, EVENT = 7 };
enum { RTCDR = 0, RTCMR = 4, RTCIMSC = 0x10, RTCRIS = 0x14, RTCICR = 0x1c };
#define NOBODY (~0u)

static unsigned ncpus;
static bool has_its;
static volatile uint64_t virt[MAX_CPUS], phys[MAX_CPUS], tokens, spis, lpis, alarms;
static volatile unsigned token_at; /* the CPU that has it, and is to pass it on */
static volatile bool spi_due, lpi_due;

/* ---- chains ---- */

static void on_virt(uint32_t intid)
{
    (void)intid;
    virt[this_cpu()->index]++;
    write_reg(cntv_cval_el0, ticks() + ticks_hz / 1000);
}

static void on_phys(uint32_t intid)
{
    (void)intid;
    phys[this_cpu()->index]++;
    write_reg(cntp_cval_el0, ticks() + ticks_hz / 500);
}

/* It stays active for a while: also then may the guest be saved. */
static void on_token(uint32_t intid)
{
    (void)intid;
    for (uint64_t t = ticks(); ticks() - t < ticks_hz / 20000;)
        ;
    tokens++;
    token_at = this_cpu()->index;
}

static void on_spi(uint32_t intid)
{
    (void)intid;
    spis++;
    spi_due = true;
}

static void on_lpi(uint32_t intid)
{
    (void)intid;
    lpis++;
    lpi_due = true;
}

static uint32_t next_alarm; /* the PL031's second */

/*
 * For the next second, even if it has begun: it comes at once then. One that is over is not met
 * (DDI 0224): who is that late takes the second that it is. The seconds left out count as alarms.
 */
static void set_alarm(void)
{
    uint32_t now;

    alarms++;
    mmio_w32(boot.rtc + RTCMR, ++next_alarm);
    while (now = mmio_r32(boot.rtc + RTCDR),
           (int32_t)(now - next_alarm) > 0 && !mmio_r32(boot.rtc + RTCRIS)) {
        alarms += now - next_alarm;
        next_alarm = now;
        mmio_w32(boot.rtc + RTCMR, next_alarm);
    }
}

static void on_alarm(uint32_t intid)
{
    (void)intid;
    mmio_w32(boot.rtc + RTCICR, 1);
    set_alarm();
}

static void pass_on(unsigned me)
{
    if (token_at == me) {
        token_at = NOBODY;
        gic_sgi((me + 1) % ncpus, SGI_TOKEN);
    }
    if (me == 0 && spi_due) {
        spi_due = false;
        gic_set(GICD_ISPENDR, SPI);
    }
    if (me == 0 && lpi_due) {
        lpi_due = false;
        its_cmd(ITS_INT | (uint64_t)DEV << 32, EVENT, 0, 0);
    }
}

static void start_cpu_chains(void)
{
    gic_enable(SGI_TOKEN);
    gic_enable(INTID_VTIMER);
    gic_enable(INTID_PTIMER);
    write_reg(cntv_cval_el0, ticks());
    write_reg(cntv_ctl_el0, 1);
    write_reg(cntp_cval_el0, ticks());
    write_reg(cntp_ctl_el0, 1);
}

static void start_lpi(void)
{
    has_its = its_init();
    if (!has_its)
        return;
    irq_handle(LPI, on_lpi);
    lpi_set(LPI, PRIO_DEFAULT, true);
    its_map_device(DEV);
    its_map(DEV, EVENT, LPI, ncpus - 1);
    its_cmd(ITS_INV | (uint64_t)DEV << 32, EVENT, 0, 0);
    its_sync(ncpus - 1);
    if (!its_wait())
        fail("saved ITS", "commands are not done");
    lpi_due = true;
}

static void start_spis(void)
{
    irq_handle(SPI, on_spi);
    gic_edge(SPI, true);
    gic_route(SPI, ncpus - 1);
    gic_enable(SPI);
    spi_due = true;
    irq_handle(INTID_RTC, on_alarm);
    gic_route(INTID_RTC, 0);
    gic_enable(INTID_RTC);
    mmio_w32(boot.rtc + RTCIMSC, 1);
    next_alarm = mmio_r32(boot.rtc + RTCDR) + 1;
    mmio_w32(boot.rtc + RTCMR, next_alarm);
}

/* ---- registers ---- */

static bool has_keys(void)
{
    return (read_reg(id_aa64isar1_el1) & 0xff0) != 0 || (read_reg(S3_0_C0_C6_2) & 0xf000) != 0;
}

#define PLAIN(X)   \
    X(tpidr_el0)   \
    X(tpidrro_el0) \
    X(tpidr_el1) X(contextidr_el1) X(dbgbvr0_el1) X(dbgwvr1_el1) X(dbgbvr1_el1) X(cntkctl_el1)
#define KEYS(X) \
    X(S3_0_C2_C1_0) X(S3_0_C2_C1_1) X(S3_0_C2_C1_2) X(S3_0_C2_C2_1) X(S3_0_C2_C2_2) X(S3_0_C2_C3_1)
#define SET(name) write_reg(name, mine(me, n++));
#define CHECK(name) check(#name, read_reg(name), mine(me, n++));

/* Multiples of 4, as addresses of breakpoints are; bits 9:8 and 7:2 of CNTKCTL_EL1 differ too. */
static uint64_t mine(unsigned me, unsigned n) { return (uint64_t)n << 2 | (uint64_t)me << 8; }

static void check(const char *name, uint64_t is, uint64_t want)
{
    if (is != want)
        fail("saved registers", "%s: %lx, not %lx", name, is, want);
}

static void set_registers(unsigned me)
{
    unsigned n = 1;

    write_reg(cpacr_el1, 3u << 20); /* FPEN */
    __asm__ volatile("fmov d15, %0; msr fpcr, %1" : : "r"(mine(me, 77)), "r"(1ull << 24));
    PLAIN(SET)
    if (has_keys()) {
        KEYS(SET)
    }
}

static void check_registers(unsigned me)
{
    unsigned n = 1;
    uint64_t d15, fpcr;

    __asm__ volatile("fmov %0, d15; mrs %1, fpcr" : "=r"(d15), "=r"(fpcr));
    check("d15", d15, mine(me, 77));
    check("fpcr", fpcr, 1u << 24);
    PLAIN(CHECK)
    if (has_keys()) {
        KEYS(CHECK)
    }
}

/* ---- clocks ---- */

/* All CPUs' counters are one, which never goes back. */
static void check_counter(void)
{
    static uint64_t last;
    uint64_t before = __atomic_load_n(&last, __ATOMIC_ACQUIRE), now = ticks();

    if (now < before)
        fail("saved counter", "went back from %lu to %lu", before, now);
    while (before < now && !__atomic_compare_exchange_n(&last, &before, now, false,
                                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        ;
}

static uint64_t physical(void)
{
    isb();
    return read_reg(cntpct_el0);
}

/* The second that the PL031 shows began between two readings of the counter. */
static void check_clocks(void)
{
    static uint64_t first_ticks, first_second;
    uint64_t a = ticks(), p = physical(), s = mmio_r32(boot.rtc + RTCDR), b = ticks(), ns;

    if (p < a || p > b)
        fail("saved counter", "physical %lu, virtual %lu to %lu", p, a, b);
    if (!first_ticks)
        first_ticks = a, first_second = s;
    s -= first_second;
    ns = ticks_to_ns(b - first_ticks);
    if (s * 1000000000 > ns + 1001000000 ||
        s * 1000000000 + 1001000000 < ticks_to_ns(a - first_ticks))
        fail("saved clocks", "%lu s by the PL031, %lu ns by the counter", s, ns);
}

static uint64_t least(const volatile uint64_t *count)
{
    uint64_t n = UINT64_MAX;

    for (unsigned i = 0; i < ncpus; i++)
        n = count[i] < n ? count[i] : n;
    return n;
}

static void say(uint64_t *next)
{
    static uint64_t lines, start;
    uint64_t now = ticks();

    start = start ? start : now;
    if (now < *next)
        return;
    *next = now + ticks_hz / 10;
    print("saved %lu at %lu ms: virt %lu phys %lu token %lu spi %lu lpi %lu alarm %lu bad %u\n",
          ++lines, ticks_to_ns(now - start) / 1000000, least(virt), least(phys), tokens, spis, lpis,
          alarms, failures);
}

/* ---- the load ---- */

static void check_all(unsigned me, uint64_t *next)
{
    pass_on(me);
    check_registers(me);
    check_counter();
    if (me == 0) {
        check_clocks();
        say(next);
    }
}

static unsigned pages;

static void work(void *arg)
{
    unsigned me = this_cpu()->index;
    uint64_t *memory = arg, next = 0;

    set_registers(me);
    start_cpu_chains();
    irqs_on();
    for (uint64_t generation = 0;; generation++) {
        for (unsigned p = 0; p < pages; p++) {
            pattern_next(memory + p * PATTERN_WORDS, p, generation);
            check_all(me, &next);
        }
        wait_irq();
        irqs_on();
    }
}

void guest_main(void)
{
    pages = (unsigned)cmdline_num("pages", 256); /* of each CPU */
    time_init();
    ncpus = smp_start();
    irq_handle(INTID_VTIMER, on_virt);
    irq_handle(INTID_PTIMER, on_phys);
    irq_handle(SGI_TOKEN, on_token);
    token_at = NOBODY;
    start_lpi();
    start_spis();
    print("%u cpus, GICv%u, ITS %u, keys %u\n", ncpus, boot.gic_version, has_its, has_keys());
    for (unsigned i = 1; i < ncpus; i++)
        smp_run(i, work, page_alloc(pages));
    token_at = 0;
    work(page_alloc(pages));
}
