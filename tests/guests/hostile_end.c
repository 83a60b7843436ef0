/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile-triple, hostile-halt, hostile-spin: ways for a CPU to go away without a word; the image's
 * name, or a word in the command line, says which. After "count=N" resets in a row the guest passes
 * instead (hostile-triple; the count is kept in CMOS).
 */
#include "lib/guest.h"

#ifndef HOW
#define HOW "triple"
#endif

static uint8_t cmos(uint8_t reg)
{
    outb(0x70, reg);
    return inb(0x71);
}
static void cmos_set(uint8_t reg, uint8_t v)
{
    outb(0x70, reg);
    outb(0x71, v);
}

static void triple(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) none = { 0, 0 };
    uint8_t n = cmos(0x40);
    if (cmdline_has("count") && n >= cmdline_num("count", 3)) {
        cmos_set(0x40, 0);
        print("came back %u times\n", n);
        pass("hostile-triple");
        return;
    }
    cmos_set(0x40, (uint8_t)(n + 1));
    print("triple fault %u\n", n + 1);
    __asm__ volatile("lidt %0; ud2" : : "m"(none));
}

static void halt(void *arg)
{
    (void)arg;
    for (;;)
        __asm__ volatile("cli; hlt");
}

static void spin(void *arg)
{
    (void)arg;
    cpu_cli();
    for (;;)
        __asm__ volatile("" : : : "memory");
}

static void all_cpus(void (*fn)(void *), const char *what)
{
    unsigned n = smp_start();
    print("%u CPUs %s\n", n, what);
    for (unsigned i = 1; i < n; i++)
        smp_run(i, fn, NULL);
    fn(NULL);
}

void guest_main(void)
{
    const char *how = HOW;
    print("hostile-%s\n", how);
    if (how[0] == 't')
        triple();
    else if (how[0] == 'h')
        all_cpus(halt, "halt with interrupts off");
    else
        all_cpus(spin, "spin with interrupts off");
}
