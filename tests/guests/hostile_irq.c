/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile-irq: floods and nonsense for the interrupt controllers. Every part ends; the APIC must
 * then still work. Options: rounds=N; storm (CPUs interrupt each other for ever: others must still
 * run); seed=N.
 */
#include "lib/guest.h"

static uint32_t seed;
static uint32_t rnd(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8 ^ seed << 16;
}

static volatile uint64_t hits;
static void on_irq(struct frame *f)
{
    (void)f;
    hits++;
    apic_eoi();
}

static void on_nmi(struct frame *f) { (void)f; }

static struct {
    unsigned reg;
    uint32_t val;
} poke_arg;
static void do_write(void *arg)
{
    (void)arg;
    apic_write(poke_arg.reg, poke_arg.val);
}
static void do_read(void *arg)
{
    (void)arg;
    apic_read(poke_arg.reg);
}

/* INIT would stop this CPU, so not the register that sends it; the rest takes anything. */
static void apic_garbage(void)
{
    for (unsigned round = 0; round < 20; round++)
        for (unsigned reg = 0; reg < 0x400; reg += 0x10) {
            poke_arg.reg = reg;
            poke_arg.val = round == 0 ? 0 : round == 1 ? 0xffffffff : rnd();
            if (cmdline_has("emulator"))
                poke_arg.val |= 0x20; /* QEMU alone delivers vectors below 16 */
            if (reg != APIC_ICR && reg != 0x3f0 && reg != APIC_LVTT)
                trap_try(do_write, NULL);
            trap_try(do_read, NULL);
        }
    apic_write(APIC_TIMER_INIT, 0);
    apic_init_cpu();
    print("APIC garbage done\n");
}

/*
 * Any vector, mode and destination, but INIT and SIPI only to CPUs that are not there; 16 to 31
 * look like exceptions to our gates.
 */
static void icr_garbage(void)
{
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t low = rnd() & 0xccfff, dest = rnd() & 0xff;
        if ((low >> 8 & 7) == 5 || (low >> 8 & 7) == 6) {
            low &= ~0xc0800u;
            dest = 0x40 + rnd() % 0x80;
        }
        if ((low & 0x700) == 0x200 && cmdline_has("emulator"))
            low &= ~0x200u; /* an SMI means something there */
        if ((low & 0xf0) == 0x10 || cmdline_has("emulator"))
            low |= 0x20;
        if (x2apic)
            wrmsr(MSR_X2APIC + 0x30, (uint64_t)dest << 32 | low);
        else
            apic_icr(dest, low);
        if (i % 64 == 0) {
            cpu_sti();
            cpu_cli();
        }
    }
    cpu_sti();
    for (unsigned i = 0; i < 512; i++)
        apic_eoi();
    cpu_cli();
    print("ICR garbage done, %lu interrupts\n", hits);
}

static void ioapic_garbage(void)
{
    for (unsigned i = 0; i < 3000; i++) {
        ioapic_write(rnd() & 0xff, rnd());
        ioapic_read(rnd() & 0xff);
        if (i % 16 == 0) {
            cpu_sti();
            cpu_cli();
        }
    }
    for (unsigned pin = 0; pin < 24; pin++)
        ioapic_route(pin, 0x10000);
    mmio_w32(0xfec00040, 0x41);
    print("IOAPIC garbage done\n");
}

/*
 * By the counter alone: in a flood of interrupts the interrupted code may get nothing of its CPU,
 * so that delay_us(), which waits in this CPU's own time, would hardly end.
 */
static void flood_us(uint64_t us)
{
    uint64_t end = ticks() + muldiv(us, ticks_hz, 1000000);

    while (ticks() < end)
        cpu_pause();
}

static void pic_pit_garbage(void)
{
    static const uint16_t ports[] = { 0x20, 0x21, 0xa0,  0xa1,  0x40, 0x41, 0x42,
                                      0x43, 0x61, 0x4d0, 0x4d1, 0x70, 0x71 };
    for (unsigned i = 0; i < 20000; i++) {
        outb(ports[rnd() % 13], (uint8_t)rnd());
        inb(ports[rnd() % 13]);
        if (i % 16 == 0) {
            cpu_sti();
            cpu_cli();
        }
    }
    pic_mask_all();
    outb(0x43, 0x34);
    outb(0x40, 1); /* the fastest the PIT can be asked to be */
    outb(0x40, 0);
    ioapic_route(acpi.irq_gsi[0], (uint64_t)apic_id() << 56 | 0x50);
    uint64_t h = hits;
    cpu_sti();
    flood_us(50000);
    cpu_cli();
    print("PIT at full rate: %lu interrupts in 50 ms\n", hits - h);
    ioapic_route(acpi.irq_gsi[0], 0x10000);
    outb(0x43, 0x34);
    outb(0x40, 0);
    outb(0x40, 0);
}

/* The shortest periods of the APIC timer, and deadlines in the past, over and over. */
static void timer_flood(void)
{
    uint64_t h = hits;
    apic_write(APIC_TIMER_DIV, 0xb);
    apic_write(APIC_LVTT, 0x20060);
    apic_write(APIC_TIMER_INIT, 1);
    cpu_sti();
    flood_us(50000);
    apic_write(APIC_LVTT, 0x10000);
    cpu_cli();
    print("APIC timer of period 1: %lu interrupts in 50 ms\n", hits - h);
    if (!(cpuid(1, 0).ecx >> 24 & 1))
        return;
    apic_write(APIC_LVTT, 0x40060);
    cpu_sti();
    for (unsigned i = 0; i < 20000; i++)
        wrmsr(MSR_TSC_DEADLINE, i & 1 ? 1 : UINT64_MAX - i);
    wrmsr(MSR_TSC_DEADLINE, 0);
    cpu_cli();
    apic_write(APIC_LVTT, 0x10000);
}

static void self_flood(void)
{
    for (uint64_t i = 0; i < cmdline_num("rounds", 10000); i++) {
        apic_icr(0, 0x40000 | (uint32_t)(0x20 + i % 0xd0));
        if (i % 3 == 0) {
            cpu_sti();
            cpu_cli();
        }
    }
    cpu_sti();
    cpu_cli();
    print("self-IPI flood: %lu interrupts\n", hits);
}

/*
 * Message-signalled writes go to the APIC window of physical memory, where this CPU's own registers
 * hide them; elsewhere: nowhere.
 */
static void msi_garbage(void)
{
    pci_t d[32];
    unsigned n = pci_scan(d, 32);
    for (unsigned i = 0; i < n; i++) {
        unsigned cap = pci_cap(d[i], 0x11, 0);
        if (!cap)
            continue;
        uint32_t table = pci_read(d[i], cap + 4, 4);
        uint64_t bar = pci_bar(d[i], table & 7, NULL);
        if (!bar)
            continue;
        pci_write(d[i], 4, 2, pci_read(d[i], 4, 2) | 6);
        pci_write(d[i], cap + 2, 2, 0x8000);
        for (unsigned k = 0; k < 400; k++)
            mmio_w32(bar + (table & ~7u) + (rnd() & 0xffc), rnd());
        pci_write(d[i], cap + 2, 2, 0xc000);
        pci_write(d[i], cap + 2, 2, 0);
    }
    print("MSI-X garbage done\n");
}

static void storm(void *arg)
{
    (void)arg;
    cpu_sti();
    for (;;)
        apic_icr(0, 0xc0000 | (0x40 + (rnd() & 0x3f)));
}

static void still_works(void)
{
    apic_init_cpu();
    for (unsigned i = 0; i < 256; i++)
        apic_eoi();
    uint64_t h = hits;
    apic_icr(apic_id(), 0x41);
    cpu_sti();
    delay_us(1000);
    cpu_cli();
    if (hits > h)
        pass("hostile-irq");
    else
        fail("hostile-irq", "no self-IPI any more");
}

void guest_main(void)
{
    seed = (uint32_t)cmdline_num("seed", 1);
    if (cmdline_has("x2apic") && x2apic_supported())
        x2apic_enable();
    unsigned n = smp_start();
    for (unsigned v = 16; v < 256; v++)
        if (v >= 32 && v != VEC_WAKE)
            trap_handle(v, on_irq);
    trap_handle(VEC_NMI, on_nmi);
    if (cmdline_has("storm")) {
        print("storm of %u CPUs\n", n);
        for (unsigned i = 1; i < n; i++)
            smp_run(i, storm, NULL);
        storm(NULL);
    }
    /* an ExtINT that garbage asks for is not to look like an exception */
    pic_init(0x70);
    apic_garbage();
    icr_garbage();
    ioapic_garbage();
    if (!cmdline_has("emulator")) {
        pic_pit_garbage(); /* QEMU alone spends all its time on a PIT at full rate */
        timer_flood();
    }
    self_flood();
    msi_garbage();
    still_works();
}
