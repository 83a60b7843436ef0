/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aps: starts all other CPUs at once, by INIT and start-up messages to all but itself, and counts
 * those that come: as many as there can be, more than lib/smp.c has stacks for. Each adds one and
 * halts. Option: cpus=N, with this one.
 */
#include "lib/guest.h"

enum { ALL_BUT_SELF = 0xc0000, INIT = 0x4500, STARTUP = 0x4600 };
#define COUNT_AT 0x8100u

/* In real mode, with DS 0. */
static const uint8_t ap_code[] = {
    0xf0, 0xff, 0x06, COUNT_AT & 0xff, COUNT_AT >> 8, /* lock incw COUNT_AT */
    0xfa,                                             /* cli */
    0xf4,                                             /* hlt */
    0xeb, 0xfc                                        /* jmp to the cli */
};

void guest_main(void)
{
    volatile uint16_t *count = (volatile uint16_t *)(uintptr_t)COUNT_AT;
    uint64_t want = cmdline_num("cpus", 1) - 1;

    time_init();
    apic_init_cpu();
    memcpy((void *)(uintptr_t)AP_TRAMPOLINE, ap_code, sizeof ap_code);
    *count = 0;
    apic_icr(0, ALL_BUT_SELF | INIT);
    delay_us(10000);
    for (unsigned i = 0; i < 2; i++) {
        apic_icr(0, ALL_BUT_SELF | STARTUP | AP_TRAMPOLINE >> 12);
        delay_us(1000);
    }
    for (unsigned ms = 0; ms < 60000 && *count < want; ms++)
        delay_us(1000);
    delay_us(10000); /* nobody comes twice */
    if (*count != want)
        fail("aps", "%u of %lu CPUs came", *count, want);
    print("aps: %u CPUs came\n", *count);
    pass("aps");
}
