/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * psci: PSCI (DEN0022) and SMCCC (DEN0028) as software finds them. Options: reset, reset2, off,
 * suspend-reset: the way out to take at the end, cpus=N (how many there must be), rounds=N (of
 * CPU_OFF and CPU_ON for each CPU), emulator.
 */
#include "lib/guest.h"

static void check(const char *name, bool ok, int64_t got)
{
    if (ok)
        pass(name);
    else
        fail(name, "%lx", (uint64_t)got);
}

enum { NOT_SUPPORTED = -1, INVALID = -2, DENIED = -3, ALREADY_ON = -4, INVALID_ADDRESS = -9 };

static void versions(void)
{
    int64_t v = psci(PSCI_VERSION, 0, 0, 0);
    check("psci version", v >= 0x10000 && v < 0x20000, v);
    static const uint32_t must[] = { PSCI_CPU_SUSPEND,   PSCI_CPU_OFF,    PSCI_CPU_ON,
                                     PSCI_AFFINITY_INFO, PSCI_SYSTEM_OFF, PSCI_SYSTEM_RESET,
                                     PSCI_FEATURES };
    for (unsigned i = 0; i < sizeof must / sizeof must[0]; i++)
        if ((v = psci(PSCI_FEATURES, must[i], 0, 0)) < 0)
            fail("psci features", "%x: %ld", must[i], v);
    pass("psci features");
    check("psci features of nothing", psci(PSCI_FEATURES, 0x8400ffff, 0, 0) == NOT_SUPPORTED,
          psci(PSCI_FEATURES, 0x8400ffff, 0, 0));
    v = psci(PSCI_MIGRATE_TYPE, 0, 0, 0);
    check("psci migration not needed", (int32_t)v == 2 || (int32_t)v == NOT_SUPPORTED, v);
    v = psci(0x8400ffff, 0, 0, 0);
    check("psci unknown function", (int32_t)v == NOT_SUPPORTED, v);
    v = psci(0xdeadbeef, 0, 0, 0);
    check("unknown call", v == NOT_SUPPORTED || (int32_t)v == NOT_SUPPORTED, v);
    if (cmdline_has("emulator"))
        return;
    v = psci(PSCI_FEATURES, SMCCC_VERSION, 0, 0);
    check("smccc is there", v == 0, v);
    v = psci(SMCCC_VERSION, 0, 0, 0);
    check("smccc version", v >= 0x10001 && v < 0x20000, v);
    v = psci(SMCCC_ARCH_FEATURES, SMCCC_VERSION, 0, 0);
    check("smccc features", v >= 0, v);
    v = smc_call(PSCI_VERSION, 0, 0, 0);
    print("PSCI_VERSION by SMC: %lx\n", v);
    int64_t trng = psci(0x84000050, 0, 0, 0);
    print("TRNG version %lx, PV time %lx\n", trng, psci(0xc5000020, 0xc5000021, 0, 0));
    check("trng", trng >= 0x10000 && psci(0xc4000053, 64, 0, 0) == 0, trng);
}

static volatile unsigned came;
static void hello(void *arg)
{
    (void)arg;
    came++;
}

static void turn_off(void *arg)
{
    (void)arg;
    came = (unsigned)psci(PSCI_CPU_OFF, 0, 0, 0);
}

static int64_t wait_off(unsigned i)
{
    int64_t v = 0;
    for (uint64_t t = ticks(); ticks() - t < ticks_hz * 5;)
        if ((v = psci(PSCI_AFFINITY_INFO, cpus[i].mpidr, 0, 0)) == 1)
            break;
    return v;
}

static void power(unsigned n)
{
    uint64_t me = cpus[0].mpidr, rounds = cmdline_num("rounds", 5);
    check("psci CPU_ON of a running CPU",
          (int32_t)psci(PSCI_CPU_ON, me, (uint64_t)cpu_boot, 0) == ALREADY_ON, 0);
    check("psci CPU_ON of none",
          (int32_t)psci(PSCI_CPU_ON, 0xff00ff, (uint64_t)cpu_boot, 0) == INVALID, 0);
    check("psci CPU_ON with flags in the affinity",
          (int32_t)psci(PSCI_CPU_ON, me | 1ull << 31, (uint64_t)cpu_boot, 0) == INVALID ||
              cmdline_has("emulator"),
          0);
    check("psci AFFINITY_INFO of this CPU", psci(PSCI_AFFINITY_INFO, me, 0, 0) == 0, 0);
    check("psci AFFINITY_INFO of none",
          (int32_t)psci(PSCI_AFFINITY_INFO, 0xff00ff, 0, 0) == INVALID, 0);
    for (unsigned i = 1; i < n; i++) {
        for (uint64_t k = 0; k < rounds; k++) {
            came = 0;
            smp_run(i, turn_off, NULL);
            int64_t v = wait_off(i);
            cpus[i].work = NULL;
            if (v != 1 || came)
                fail("psci CPU_OFF", "cpu %u: %lx, %u", i, v, came);
            v = smp_start_one(i);
            if (v || !cpus[i].online)
                fail("psci CPU_ON again", "cpu %u: %lx", i, v);
            smp_run(i, hello, NULL);
            smp_wait(i);
        }
        if (came != 1)
            fail("psci CPU_ON", "cpu %u does not work", i);
    }
    if (n > 1)
        pass("psci CPU_OFF and CPU_ON again");
}

static void on_timer(uint32_t intid)
{
    (void)intid;
    write_reg(cntv_ctl_el0, 2);
    came++;
}

static void suspend(void)
{
    came = 0;
    irq_handle(INTID_VTIMER, on_timer);
    gic_enable(INTID_VTIMER);
    /* before: on a busy host the timer may be due when it is on */
    uint64_t t = ticks();
    write_reg(cntv_tval_el0, ticks_hz / 200);
    write_reg(cntv_ctl_el0, 1);
    int64_t v = psci(PSCI_CPU_SUSPEND, 0, 0, 0);
    uint64_t ms = ticks_to_ns(ticks() - t) / 1000000;
    irqs_on();
    delay_us(100);
    irqs_off();
    check("psci CPU_SUSPEND", v == 0 && came == 1 && (ms >= 4 || cmdline_has("emulator")),
          (int64_t)ms);
}

void guest_main(void)
{
    unsigned n = smp_start();
    versions();
    check("psci all CPUs", n == cmdline_num("cpus", boot.ncpus), n);
    power(n);
    suspend();
    if (cmdline_has("off"))
        psci(PSCI_SYSTEM_OFF, 0, 0, 0);
    if (cmdline_has("reset"))
        psci(PSCI_SYSTEM_RESET, 0, 0, 0);
    if (cmdline_has("reset2"))
        psci(PSCI_SYSTEM_RESET2, 0, 0, 0);
}
