/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench: what operations that leave the guest cost, in TSC ticks. Prints `bench NAME MIN MEAN` for
 * each; the cost of the measurement itself is taken off. Options: rounds=N, trace (each operation
 * once more between two marks, for a debugger that stops at them and says so by `trace NAME`).
 */
#include "lib/guest.h"

#define VEC_SELF 0x40
#define VEC_PING 0x41
#define VEC_PONG 0x42
#define VEC_TIMER 0x43

static uint64_t rounds, overhead;
static volatile uint64_t hits, deadline, late_min, late_sum;

struct op {
    const char *name;
    void (*fn)(void);
};

static void op_empty(void) { __asm__ volatile("" : : : "memory"); }
static void op_cpuid(void) { cpuid(0, 0); }
static void op_vmcall(void)
{
    uint64_t a = 1;
    __asm__ volatile("vmcall" : "+a"(a) : "b"(0), "c"(0), "d"(0), "S"(0) : "memory");
}
static void op_vmmcall(void)
{
    uint64_t a = 1;
    __asm__ volatile("vmmcall" : "+a"(a) : "b"(0), "c"(0), "d"(0), "S"(0) : "memory");
}
static void op_pic(void) { inb(0x21); }
static void op_pit(void) { inb(0x40); }
static void op_cmos(void) { inb(0x71); }
static void op_uart(void) { inb(0x3fd); }
static void op_no_port(void) { inb(0x0f18); }
static void op_pm_timer(void) { inl((uint16_t)acpi.pm_timer); }
static void op_pci_cf8(void) { inl(0xcfc); }
static void op_lapic_read(void) { mmio_r32(APIC_PAGE + APIC_TPR); }
static void op_lapic_write(void) { mmio_w32(APIC_PAGE + APIC_TPR, 0); }
static void op_ioapic_read(void) { mmio_r32(0xfec00010); }
static void op_ioapic_write(void) { mmio_w32(0xfec00000, 0); }
static void op_ecam(void) { mmio_r32(acpi.ecam); }
static void op_eoi(void) { apic_eoi(); }
static void op_rdmsr(void) { rdmsr(MSR_APIC_BASE); }
static void op_wrmsr_tsc_aux(void) { wrmsr(MSR_TSC_AUX, 0); }
static void op_x2apic_tpr(void) { rdmsr(MSR_X2APIC + 8); }
static void op_cr8(void) { write_cr8(0); }

static void op_self_ipi(void)
{
    uint64_t before = hits;
    if (x2apic)
        wrmsr(0x83f, VEC_SELF);
    else
        apic_icr(0, 0x44000 | VEC_SELF);
    cpu_sti();
    while (hits == before)
        cpu_pause();
    cpu_cli();
}

static void op_ipi(void)
{
    uint64_t before = hits;
    apic_icr(cpus[1].apic_id, VEC_PING);
    cpu_sti();
    while (hits == before)
        cpu_pause();
    cpu_cli();
}

static void on_self(struct frame *f)
{
    (void)f;
    hits++;
    apic_eoi();
}

static void on_ping(struct frame *f)
{
    (void)f;
    apic_eoi();
    apic_icr(cpus[0].apic_id, VEC_PONG);
}

static void on_timer(struct frame *f)
{
    uint64_t late = rdtsc() - deadline;
    (void)f;
    if (late < late_min)
        late_min = late;
    late_sum += late;
    hits++;
    apic_eoi();
}

static uint64_t once(void (*fn)(void))
{
    uint64_t t = rdtsc();
    fn();
    return rdtsc() - t;
}

/*
 * Bochs's debugger stops here where its configuration says magic_break; elsewhere nothing happens.
 */
static void mark(void) { __asm__ volatile("xchgw %%bx, %%bx" : : : "memory"); }

static void trace(const struct op *o)
{
    print("trace %s\n", o->name);
    mark();
    o->fn();
    mark();
}

static void call_fn(void *fn) { ((const struct op *)fn)->fn(); }

/* divide: 2 for a round trip, of which one half is asked for */
static void measure(const struct op *o, unsigned divide)
{
    uint64_t min = UINT64_MAX, sum = 0;
    int vec = trap_try(call_fn, (void *)o);
    if (vec >= 0) {
        print("bench %s none (exception %d)\n", o->name, vec);
        return;
    }
    for (uint64_t i = 0; i < rounds; i++) {
        uint64_t t = once(o->fn);
        min = t < min ? t : min;
        sum += t;
    }
    min = min > overhead ? (min - overhead) / divide : 0;
    sum /= rounds;
    print("bench %s %lu %lu\n", o->name, min, sum > overhead ? (sum - overhead) / divide : 0);
    if (cmdline_has("trace"))
        trace(o);
}

static const struct op plain[] = {
    { "cpuid", op_cpuid },
    { "hypercall", op_vmmcall },
    { "port-pic", op_pic },
    { "port-pit", op_pit },
    { "port-cmos", op_cmos },
    { "port-uart-lsr", op_uart },
    { "port-none", op_no_port },
    { "port-pci", op_pci_cf8 },
    { "rdmsr-apicbase", op_rdmsr },
    { "wrmsr-tscaux", op_wrmsr_tsc_aux },
    { "cr8-write", op_cr8 },
    { "mmio-ioapic-read", op_ioapic_read },
    { "mmio-ioapic-write", op_ioapic_write },
};
static const struct op xapic_only[] = {
    { "mmio-lapic-read", op_lapic_read },
    { "mmio-lapic-write", op_lapic_write },
    { "xapic-eoi", op_eoi },
    { "xapic-self-ipi", op_self_ipi },
};

/* How late a one-shot APIC timer fires, with the CPU halted meanwhile. */
static void measure_timer(void)
{
    late_min = UINT64_MAX;
    late_sum = 0;
    apic_write(APIC_TIMER_DIV, 0xb);
    apic_write(APIC_LVTT, 0x10000);
    apic_write(APIC_TIMER_INIT, 0xffffffff);
    uint64_t t = rdtsc();
    uint32_t c0 = apic_read(APIC_TIMER_CUR);
    while (rdtsc() - t < tsc_hz / 1000)
        ;
    uint64_t ticks = c0 - apic_read(APIC_TIMER_CUR);
    apic_write(APIC_LVTT, VEC_TIMER);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t before = hits;
        deadline = rdtsc() + tsc_hz / 1000;
        apic_write(APIC_TIMER_INIT, (uint32_t)ticks);
        while (hits == before)
            cpu_sti_hlt_cli();
    }
    print("bench timer-late %lu %lu\n", late_min, late_sum / 20);
}

static void spin_until(void *flag)
{
    cpu_sti();
    while (!*(volatile bool *)flag)
        cpu_pause();
    cpu_cli();
}

static void measure_smp(void)
{
    volatile bool stop = false;
    if (smp_start() < 2) {
        print("bench ipi none (one CPU)\n");
        return;
    }
    measure(&(struct op){ "ipi-halted", op_ipi }, 2);
    smp_run(1, spin_until, (void *)&stop);
    measure(&(struct op){ "ipi-running", op_ipi }, 2);
    stop = true;
    smp_wait(1);
}

void guest_main(void)
{
    rounds = cmdline_num("rounds", 1000);
    time_init();
    apic_init_cpu();
    pic_mask_all();
    trap_handle(VEC_SELF, on_self);
    trap_handle(VEC_PING, on_ping);
    trap_handle(VEC_PONG, on_self);
    trap_handle(VEC_TIMER, on_timer);
    print("bench-tsc-hz %lu\n", tsc_hz);
    overhead = 1000000;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t t = once(op_empty);
        overhead = t < overhead ? t : overhead;
    }
    for (unsigned i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        struct op op = plain[i];
        if (op.fn == op_vmmcall && cpu_is_intel())
            op.fn = op_vmcall;
        measure(&op, 1);
    }
    if (acpi.pm_timer)
        measure(&(struct op){ "port-pmtimer", op_pm_timer }, 1);
    if (acpi.ecam)
        measure(&(struct op){ "mmio-ecam-read", op_ecam }, 1);
    for (unsigned i = 0; i < sizeof xapic_only / sizeof xapic_only[0]; i++)
        measure(&xapic_only[i], 1);
    if (x2apic_supported() && !cmdline_has("xapic")) {
        x2apic_enable();
        measure(&(struct op){ "x2apic-eoi", op_eoi }, 1);
        measure(&(struct op){ "x2apic-tpr-read", op_x2apic_tpr }, 1);
        measure(&(struct op){ "x2apic-self-ipi", op_self_ipi }, 1);
    }
    measure_timer();
    measure_smp();
    pass("bench");
}
