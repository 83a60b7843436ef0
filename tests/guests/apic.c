/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * apic: the local APIC (page, or MSRs with "x2apic"), its timer in all modes, priorities, NMI, the
 * IOAPIC with edge and level pins, and the PIC in virtual-wire mode. Options: x2apic, emulator
 * (QEMU alone, which lacks some error bits), once (nothing but: long handlers, in which no second
 * interrupt may come), cut (the same on two CPUs, while the other one sends interrupts of a higher
 * priority).
 */
#include "lib/guest.h"

#define V1 0x41
#define V2 0x51
#define VT 0x61
#define VPIC 0x70

static volatile unsigned order[8], norder, nmis, nmi_inside;
static volatile uint64_t last_tsc;

static void note(struct frame *f)
{
    if (norder < 8)
        order[norder] = (unsigned)f->vec;
    norder++;
    last_tsc = rdtsc();
    apic_eoi();
}

static void wait_irqs(unsigned n, uint64_t us)
{
    struct patience p = patience(us);
    cpu_sti();
    while (norder < n && patience_left(&p))
        cpu_pause();
    cpu_cli();
}

static void verdict(const char *name, bool ok, uint64_t a, uint64_t b)
{
    if (ok)
        pass(name);
    else
        fail(name, "%lu %lu (interrupts %u)", a, b, norder);
}

static void self_ipi(void)
{
    norder = 0;
    apic_icr(apic_id(), V1);
    wait_irqs(1, 100000);
    verdict("apic self-IPI physical", norder == 1, norder, 0);
    norder = 0;
    apic_icr(0, 0x40000 | V1);
    wait_irqs(1, 100000);
    verdict("apic self-IPI shorthand", norder == 1, norder, 0);
    norder = 0;
    apic_icr(0, 0x80000 | V1);
    wait_irqs(1, 100000);
    verdict("apic IPI all with self", norder == 1, norder, 0);
    if (x2apic) {
        norder = 0;
        wrmsr(0x83f, V1);
        wait_irqs(1, 100000);
        verdict("apic self-IPI register", norder == 1, norder, 0);
        return;
    }
    apic_write(APIC_DFR, 0xffffffff);
    apic_write(APIC_LDR, 0x04000000);
    norder = 0;
    apic_icr(0x04, 0x800 | V1);
    apic_icr(0x02, 0x800 | V2);
    wait_irqs(1, 100000);
    verdict("apic IPI logical flat", norder == 1 && order[0] == V1, norder, order[0]);
    norder = 0;
    apic_icr(0x0c, 0x900 | V1);
    wait_irqs(1, 100000);
    verdict("apic IPI lowest priority", norder == 1, norder, 0);
    apic_write(APIC_DFR, 0x0fffffff);
    apic_write(APIC_LDR, 0x21000000);
    norder = 0;
    apic_icr(0x21, 0x800 | V1);
    apic_icr(0x11, 0x800 | V2);
    wait_irqs(1, 100000);
    verdict("apic IPI logical cluster", norder == 1 && order[0] == V1, norder, order[0]);
}

static void priorities(void)
{
    norder = 0;
    apic_icr(0, 0x40000 | V1);
    apic_icr(0, 0x40000 | V2);
    apic_icr(0, 0x40000 | V1);
    bool irr = apic_bit(APIC_IRR, V1) && apic_bit(APIC_IRR, V2);
    wait_irqs(2, 100000);
    verdict("apic priority order", irr && norder == 2 && order[0] == V2 && order[1] == V1, order[0],
            order[1]);
    norder = 0;
    apic_write(APIC_TPR, 0x50);
    apic_icr(0, 0x40000 | V1);
    wait_irqs(1, 2000);
    bool held = norder == 0 && apic_bit(APIC_IRR, V1);
    apic_write(APIC_TPR, 0);
    wait_irqs(1, 100000);
    verdict("apic TPR holds back", held && norder == 1, held, norder);
    norder = 0;
    write_cr8(5);
    bool tpr = apic_read(APIC_TPR) == 0x50;
    apic_icr(0, 0x40000 | V1);
    wait_irqs(1, 2000);
    held = norder == 0;
    write_cr8(0);
    wait_irqs(1, 100000);
    verdict("apic CR8 holds back", tpr && held && norder == 1, tpr, held);
}

static volatile unsigned isr_before, isr_after, ppr, irr_v1;

static void in_service(struct frame *f)
{
    (void)f;
    isr_before = apic_bit(APIC_ISR, V2);
    ppr = apic_read(APIC_PPR);
    apic_icr(0, 0x40000 | V1);
    irr_v1 = apic_bit(APIC_IRR, V1);
    apic_eoi();
    isr_after = apic_bit(APIC_ISR, V2);
}

static void service_bits(void)
{
    norder = 0;
    trap_handle(V2, in_service);
    apic_icr(0, 0x40000 | V2);
    wait_irqs(1, 100000);
    verdict("apic ISR and IRR", isr_before && irr_v1 && !isr_after && norder == 1, isr_before,
            isr_after);
    verdict("apic PPR", ppr >= 0x50 && ppr < 0x60, ppr, 0);
    trap_handle(V2, note);
}

static void on_nmi(struct frame *f)
{
    (void)f;
    nmis++;
    if (nmis == 1) {
        apic_icr(apic_id(), 0x400);
        cpuid(0, 0);
        inb(0x80);
        nmi_inside = nmis;
    }
}

/* The second NMI is sent from the handler of the first and must wait for its IRET. */
static void nmi(void)
{
    trap_handle(VEC_NMI, on_nmi);
    apic_icr(apic_id(), 0x400);
    delay_us(1000);
    verdict("apic NMI", nmis == 2 && nmi_inside == 1, nmis, nmi_inside);
}

static uint64_t timer_hz;

/* The count, and the TSC's when it was read: of five times that with the least between them. */
static uint32_t count_at(uint64_t *tsc)
{
    uint64_t least = UINT64_MAX;
    uint32_t count = 0;

    for (unsigned i = 0; i < 5; i++) {
        uint64_t before = rdtsc();
        uint32_t c = apic_read(APIC_TIMER_CUR);
        uint64_t took = rdtsc() - before;

        if (took < least) {
            least = took;
            count = c;
            *tsc = before + took / 2;
        }
    }
    return count;
}

static void timer_calibrate(void)
{
    apic_write(APIC_TIMER_DIV, 0xb);
    apic_write(APIC_LVTT, 0x10000 | VT);
    apic_write(APIC_TIMER_INIT, 0xffffffff);
    uint64_t t0, t1;
    uint32_t c0 = count_at(&t0);
    delay_us(20000);
    uint32_t c1 = count_at(&t1);
    timer_hz = muldiv(c0 - c1, tsc_hz, t1 - t0);
    print("apic timer %lu Hz\n", timer_hz);
    apic_write(APIC_TIMER_INIT, 0);
    verdict("apic timer counts", timer_hz > 1000000, timer_hz, c0);
}

static void timer_modes(void)
{
    norder = 0;
    apic_write(APIC_LVTT, VT);
    uint64_t t0 = rdtsc();
    apic_write(APIC_TIMER_INIT, (uint32_t)(timer_hz / 200));
    wait_irqs(1, 50000);
    wait_irqs(2, 50000);
    uint64_t us = tsc_to_ns(last_tsc - t0) / 1000;
    verdict("apic timer one-shot", norder == 1 && us >= 4900 && apic_read(APIC_TIMER_CUR) == 0,
            norder, us);
    norder = 0;
    apic_write(APIC_LVTT, 0x20000 | VT);
    t0 = rdtsc();
    apic_write(APIC_TIMER_INIT, (uint32_t)(timer_hz / 200));
    wait_irqs(20, 500000);
    us = tsc_to_ns(rdtsc() - t0) / 1000;
    apic_write(APIC_LVTT, 0x10000 | VT);
    wait_irqs(1000, 1000); /* one may have come before the mask */
    verdict("apic timer periodic", norder >= 20 && us > 90000, norder, us);
    norder = 0;
    wait_irqs(1, 10000);
    verdict("apic timer masked", norder == 0, norder, 0);
    apic_write(APIC_TIMER_INIT, 0);
    for (unsigned div = 0; div < 8; div++) {
        apic_write(APIC_TIMER_DIV, (div & 4) << 1 | (div & 3));
        apic_write(APIC_TIMER_INIT, 0x10000000);
        uint64_t t1, by = div == 7 ? 1 : 2ull << div;
        uint32_t first = count_at(&t0);
        delay_us(2000);
        uint64_t n = first - count_at(&t1), want = muldiv(t1 - t0, timer_hz, tsc_hz) / by;
        if (first > 0x10000000 || n < want * 8 / 10 || n > want * 12 / 10)
            fail("apic timer divide", "by %lu: %lu counts, not %lu", by, n, want);
    }
    apic_write(APIC_TIMER_DIV, 0xb);
    apic_write(APIC_TIMER_INIT, 0);
}

static void timer_deadline(void)
{
    if (!(cpuid(1, 0).ecx >> 24 & 1)) {
        print("no TSC-deadline timer\n");
        return;
    }
    norder = 0;
    apic_write(APIC_LVTT, 0x40000 | VT);
    uint64_t t0 = rdtsc(), when = t0 + tsc_hz / 50;
    wrmsr(MSR_TSC_DEADLINE, when);
    bool armed = rdmsr(MSR_TSC_DEADLINE) == when || rdtsc() >= when;
    wait_irqs(1, 100000);
    verdict("apic TSC deadline",
            armed && norder == 1 && last_tsc >= when && rdmsr(MSR_TSC_DEADLINE) == 0, norder,
            tsc_to_ns(last_tsc - when));
    norder = 0;
    wrmsr(MSR_TSC_DEADLINE, 1);
    wait_irqs(1, 100000);
    verdict("apic TSC deadline in the past", norder == 1, norder, 0);
    for (bool early = false; !early;) { /* until it was disarmed before its time */
        wait_irqs(1000, 1000);
        when = rdtsc() + tsc_hz / 100;
        wrmsr(MSR_TSC_DEADLINE, when);
        wrmsr(MSR_TSC_DEADLINE, 0);
        early = rdtsc() < when;
        norder = 0;
    }
    wait_irqs(1, 20000);
    verdict("apic TSC deadline disarmed", norder == 0, norder, 0);
    apic_write(APIC_LVTT, 0x10000);
}

/* An interrupt that comes between STI and HLT is taken after HLT, else nothing would end that. */
static bool sleeps_and_wakes(uint32_t count)
{
    struct patience p = patience(2000000);
    unsigned before = norder;

    apic_write(APIC_TIMER_INIT, count);
    while (norder == before && patience_left(&p))
        cpu_sti_hlt_cli();
    return norder == before + 1;
}

static void halt_wakes(void)
{
    unsigned woken = 0, times = 50;

    norder = 0;
    apic_write(APIC_LVTT, VT);
    while (woken < times && sleeps_and_wakes((uint32_t)(timer_hz / 5000)))
        woken++;
    for (times += 1000;
         woken < times && sleeps_and_wakes((uint32_t)(1 + woken * (timer_hz / 100000000)));)
        woken++;
    apic_write(APIC_LVTT, 0x10000);
    verdict("apic timer wakes HLT", woken == times, woken, norder);
}

static void pit_rate(unsigned hz)
{
    unsigned n = 1193182 / hz;
    outb(0x43, 0x34);
    outb(0x40, (uint8_t)n);
    outb(0x40, (uint8_t)(n >> 8));
}

static void ioapic_pit(void)
{
    print("ioapic version %x, irq 0 on pin %u\n", ioapic_read(1), acpi.irq_gsi[0]);
    norder = 0;
    ioapic_route(acpi.irq_gsi[0], (uint64_t)apic_id() << 56 | V1);
    pit_rate(200);
    uint64_t t0 = rdtsc();
    wait_irqs(20, 500000);
    uint64_t us = tsc_to_ns(rdtsc() - t0) / 1000;
    verdict("ioapic PIT", norder >= 20 && us > 80000, norder, us);
    ioapic_route(acpi.irq_gsi[0], 0x10000);
    wait_irqs(1000, 1000); /* one may have come before the mask */
    norder = 0;
    wait_irqs(1, 20000);
    verdict("ioapic masked", norder == 0, norder, 0);
}

static void uart_irq(struct frame *f)
{
    (void)f;
    norder++;
    if (norder == 4)
        outb(0x3f9, 0);
    apic_eoi();
}

/*
 * The transmitter-empty condition stays: a level pin asks again after each end of interrupt, until
 * the cause is gone.
 */
static void ioapic_level(void)
{
    trap_handle(V1, uart_irq);
    delay_us(20000);
    norder = 0;
    outb(0x3fc, 0x0b);
    ioapic_route(acpi.irq_gsi[4], (uint64_t)apic_id() << 56 | 0x8000 | V1);
    outb(0x3f9, 2);
    wait_irqs(10, 50000);
    outb(0x3f9, 0);
    unsigned level = norder;
    uint32_t left = ioapic_read(0x10 + acpi.irq_gsi[4] * 2);
    ioapic_route(acpi.irq_gsi[4], 0x10000);
    verdict("ioapic level", level == 4 && !(left & 0x4000), level, left);
    trap_handle(V1, note);
}

static void on_pic(struct frame *f)
{
    norder++;
    order[0] = (unsigned)f->vec;
    outb(0x20, 0x0b);
    order[1] = inb(0x20);
    outb(0x20, 0x20);
    outb(0x20, 0x0b);
    order[2] = inb(0x20);
}

/* LINT0 as ExtINT: the PIC gives the vector, and is ended by its own EOI. */
static void pic_wire(void)
{
    pic_init(VPIC);
    outb(0x21, 0xfe);
    bool mask = inb(0x21) == 0xfe;
    trap_handle(VPIC, on_pic);
    apic_write(APIC_LVT_LINT0, 0x700);
    norder = 0;
    pit_rate(200);
    wait_irqs(5, 500000);
    outb(0x21, 0xff);
    unsigned n = norder;
    wait_irqs(100, 20000);
    verdict("pic virtual wire",
            mask && n >= 5 && order[0] == VPIC && order[1] == 1 && order[2] == 0, n, order[1]);
    verdict("pic masked", norder <= n + 1, norder, n);
    apic_write(APIC_LVT_LINT0, 0x10000);
}

static void errors(void)
{
    apic_write(APIC_LVT_ERR, 0x10000);
    apic_write(APIC_ESR, 0);
    apic_icr(0, 0x40000 | 3);
    apic_write(APIC_ESR, 0);
    uint32_t esr = apic_read(APIC_ESR);
    if (!cmdline_has("emulator"))
        verdict("apic illegal vector", (esr & 0x20) || (esr & 0x40), esr, 0);
}

static void software_disable(void)
{
    norder = 0;
    apic_write(APIC_LVTT, VT);
    apic_write(APIC_SVR, 0xff);
    bool masked = apic_read(APIC_LVTT) & 0x10000;
    apic_write(APIC_SVR, 0x1ff);
    verdict("apic software disable masks", masked || cmdline_has("emulator"), masked, 0);
}

static volatile unsigned inside, came_again;

static void long_handler(struct frame *f)
{
    uint64_t end = rdtsc() + tsc_hz / 4;

    if (inside++)
        came_again++;
    while (rdtsc() < end) /* no PAUSE: nothing here ends the guest's run */
        ;
    inside--;
    note(f);
}

static void delivered_once(void)
{
    trap_handle(V1, long_handler);
    norder = 0;
    for (unsigned i = 1; i <= 8; i++) {
        apic_icr(0, 0x40000 | V1);
        wait_irqs(i, 1000000);
    }
    verdict("apic each interrupt once", norder == 8 && !came_again, norder, came_again);
}

static volatile bool enough;
static char atomics[16];

/* LOCK across a boundary: an emulator may have to stop all other CPUs for it. */
static void nag(void *arg)
{
    while (!enough) {
        apic_icr(*(uint32_t *)arg, V2);
        for (unsigned i = 0; i < 20; i++)
            __asm__ volatile("lock incl 1(%0)" : : "r"(atomics) : "memory", "cc");
    }
}

static void on_nag(struct frame *f)
{
    (void)f;
    apic_eoi();
}

static void short_handler(struct frame *f)
{
    uint64_t end = rdtsc() + tsc_hz / 10000;

    if (inside++)
        came_again++;
    while (rdtsc() < end)
        ;
    inside--;
    note(f);
}

static void cut_off(void)
{
    static uint32_t id;
    unsigned i = 0;

    id = apic_id();
    trap_handle(V1, short_handler);
    trap_handle(V2, on_nag);
    if (smp_start() != 2)
        fail("apic", "two CPUs are needed");
    smp_run(1, nag, &id);
    norder = 0;
    while (norder == i && !came_again && i < 3000) {
        apic_icr(0, 0x40000 | V1);
        wait_irqs(++i, 5000000);
    }
    enough = true;
    smp_wait(1);
    verdict("apic each interrupt once beside others", norder == i && !came_again, norder, i);
}

void guest_main(void)
{
    if (cmdline_has("x2apic")) {
        if (!x2apic_supported()) {
            fail("apic", "no x2APIC here");
            return;
        }
        x2apic_enable();
    }
    time_init();
    pic_mask_all();
    apic_init_cpu();
    print("tsc %lu Hz, apic id %u version %x\n", tsc_hz, apic_id(), apic_read(APIC_VERSION));
    trap_handle(V1, note);
    trap_handle(V2, note);
    trap_handle(VT, note);
    if (cmdline_has("once") || cmdline_has("cut")) {
        (cmdline_has("cut") ? cut_off : delivered_once)();
        return;
    }
    self_ipi();
    priorities();
    service_bits();
    nmi();
    timer_calibrate();
    timer_modes();
    timer_deadline();
    halt_wakes();
    ioapic_pit();
    ioapic_level();
    pic_wire();
    errors();
    software_disable();
}
