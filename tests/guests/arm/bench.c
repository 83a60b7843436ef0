/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench: what operations that leave the guest cost, in nanoseconds of the virtual counter: under
 * QEMU's -icount that is instructions. The counter moves in steps of 16, so that batches are
 * measured. Prints `bench NAME MIN MEAN` for each; the cost of the measurement itself is taken off.
 * Options: rounds=N.
 */
#include "lib/guest.h"

#define BATCH 32
#define SGI_SELF 1
#define SGI_PING 2
#define SGI_PONG 3
#define DEV 0x77
#define LPI (LPI_FIRST + 5)

static uint64_t rounds, overhead, late_min, late_sum;
static volatile uint64_t hits, deadline;

struct op {
    const char *name;
    void (*fn)(void);
};

static void op_empty(void) { __asm__ volatile("" : : : "memory"); }
static void op_hvc(void) { hvc_call(PSCI_VERSION, 0, 0, 0); }
static void op_hvc_none(void) { hvc_call(0x8600ff00, 0, 0, 0); }
static void op_gicd_read(void) { mmio_r32(boot.gicd + GICD_TYPER); }
static void op_gicd_enable(void) { mmio_r32(boot.gicd + GICD_ISENABLER + 4); }
static void op_gicd_write(void) { mmio_w32(boot.gicd + GICD_ICPENDR + 4, 0); }
static void op_gicr_read(void) { mmio_r32(this_cpu()->redist + GICR_SGI + GICD_ISENABLER); }
static void op_uart(void) { mmio_r32(boot.uart + 0x18); }
static void op_rtc(void) { mmio_r32(boot.rtc + 4); }
static void op_ecam(void) { mmio_r32(boot.ecam); }
static void op_sysreg(void) { read_reg(id_aa64pfr0_el1); }
static void op_cntp(void) { read_reg(cntp_ctl_el0); }
static void op_cntvct(void) { read_reg(cntvct_el0); }
static void op_wfe(void) { __asm__ volatile("sevl; wfe" : : : "memory"); }

static void wait_hit(uint64_t before)
{
    irqs_on();
    while (hits == before)
        cpu_pause();
    irqs_off();
}

static void op_self_sgi(void)
{
    uint64_t before = hits;
    gic_sgi(0, SGI_SELF);
    wait_hit(before);
}

static void op_ipi(void)
{
    uint64_t before = hits;
    gic_sgi(1, SGI_PING);
    wait_hit(before);
}

static void op_lpi(void)
{
    uint64_t before = hits;
    its_cmd(ITS_INT | (uint64_t)DEV << 32, 7, 0, 0);
    wait_hit(before);
}

static void on_hit(uint32_t intid)
{
    (void)intid;
    hits++;
}
static void on_ping(uint32_t intid)
{
    (void)intid;
    gic_sgi(0, SGI_PONG);
}

static void on_timer(uint32_t intid)
{
    uint64_t late = ticks() - deadline;
    (void)intid;
    write_reg(cntv_ctl_el0, 0);
    late_min = late < late_min ? late : late_min;
    late_sum += late;
    hits++;
}

static uint64_t batch(void (*fn)(void))
{
    uint64_t t = ticks();
    for (unsigned i = 0; i < BATCH; i++)
        fn();
    return ticks() - t;
}

static void call_fn(void *op) { ((const struct op *)op)->fn(); }

/* divide: 2 for a round trip, of which one half is asked for */
static void measure(const struct op *o, unsigned divide)
{
    uint64_t min = UINT64_MAX, sum = 0, n = (rounds + BATCH - 1) / BATCH;
    int ec = trap_try(call_fn, (void *)o);
    if (ec >= 0) {
        print("bench %s none (exception %x)\n", o->name, ec);
        return;
    }
    for (uint64_t i = 0; i < n; i++) {
        uint64_t t = batch(o->fn);
        min = t < min ? t : min;
        sum += t;
    }
    sum /= n;
    min = min > overhead ? ticks_to_ns(min - overhead) / BATCH / divide : 0;
    print("bench %s %lu %lu\n", o->name, min,
          sum > overhead ? ticks_to_ns(sum - overhead) / BATCH / divide : 0);
}

static const struct op plain[] = {
    { "hvc", op_hvc },
    { "hvc-unknown", op_hvc_none },
    { "gic-read", op_gicd_read },
    { "gic-read-enable", op_gicd_enable },
    { "gic-write", op_gicd_write },
    { "mmio-uart", op_uart },
    { "mmio-rtc", op_rtc },
    { "sysreg-id", op_sysreg },
    { "sysreg-cntp", op_cntp },
    { "cntvct", op_cntvct },
    { "wfe", op_wfe },
};

/* How late the virtual timer fires, with the CPU halted meanwhile. */
static void measure_timer(void)
{
    late_min = UINT64_MAX;
    irq_handle(INTID_VTIMER, on_timer);
    gic_enable(INTID_VTIMER);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t before = hits;
        deadline = ticks() + ticks_hz / 1000;
        write_reg(cntv_cval_el0, deadline);
        write_reg(cntv_ctl_el0, 1);
        while (hits == before)
            wait_irq();
    }
    print("bench timer-late %lu %lu\n", ticks_to_ns(late_min), ticks_to_ns(late_sum / 20));
}

static void measure_lpi(void)
{
    if (boot.gic_version != 3 || !its_init()) {
        print("bench lpi none (no ITS)\n");
        return;
    }
    irq_handle(LPI, on_hit);
    lpi_set(LPI, PRIO_DEFAULT, true);
    its_map_device(DEV);
    its_map(DEV, 7, LPI, 0);
    its_cmd(ITS_INV | (uint64_t)DEV << 32, 7, 0, 0);
    its_sync(0);
    its_wait();
    measure(&(struct op){ "lpi", op_lpi }, 1);
}

static void spin_until(void *flag)
{
    irqs_on();
    while (!*(volatile bool *)flag)
        cpu_pause();
    irqs_off();
}

static void measure_smp(unsigned n)
{
    static volatile bool stop;
    if (n < 2) {
        print("bench ipi none (one CPU)\n");
        return;
    }
    rounds = cmdline_num("rounds-ipi", rounds);
    measure(&(struct op){ "ipi-halted", op_ipi }, 2);
    rounds = cmdline_num("rounds-running", rounds);
    smp_run(1, spin_until, (void *)&stop);
    delay_us(1000);
    measure(&(struct op){ "ipi-running", op_ipi }, 2);
    stop = true;
    smp_wait(1);
}

void guest_main(void)
{
    rounds = cmdline_num("rounds", 1000);
    gic_init();
    for (unsigned i = SGI_SELF; i <= SGI_PONG; i++) {
        irq_handle(i, i == SGI_PING ? on_ping : on_hit);
        gic_enable(i);
    }
    print("bench-hz %lu\n", ticks_hz);
    overhead = 1000000;
    for (unsigned i = 0; i < 100; i++) {
        uint64_t t = batch(op_empty);
        overhead = t < overhead ? t : overhead;
    }
    for (unsigned i = 0; i < sizeof plain / sizeof plain[0]; i++)
        measure(&plain[i], 1);
    if (boot.gic_version == 3)
        measure(&(struct op){ "gicr-read", op_gicr_read }, 1);
    if (boot.ecam)
        measure(&(struct op){ "mmio-ecam", op_ecam }, 1);
    measure(&(struct op){ "self-sgi", op_self_sgi }, 1);
    measure_timer();
    unsigned n = smp_start(); /* before LPIs: they are set up for every CPU */
    measure_lpi();
    measure_smp(n);
    pass("bench");
}
