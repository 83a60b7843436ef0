/* SPDX-License-Identifier: BSD-2-Clause */
/* Serial output on the PL011 (DDI 0183, polled), the ways out, and memory. */
#include "guest.h"

enum {
    UARTDR = 0,
    UARTFR = 0x18,
    UARTCR = 0x30,
    CR_UARTEN = 1,
    CR_TXE = 1 << 8,
    CR_RXE = 1 << 9,
    FR_RXFE = 0x10,
    FR_TXFF = 0x20
};

void serial_putc(char c)
{
    if (!boot.uart)
        return;
    for (unsigned spin = 0; spin < 1000000 && (mmio_r32(boot.uart + UARTFR) & FR_TXFF); spin++)
        cpu_pause();
    mmio_w32(boot.uart + UARTDR, (uint8_t)c);
}

/* It receives from the first call on. */
int serial_getc(void)
{
    static bool on;
    if (!on)
        mmio_w32(boot.uart + UARTCR, CR_UARTEN | CR_TXE | CR_RXE);
    on = true;
    return mmio_r32(boot.uart + UARTFR) & FR_RXFE ? -1 : (int)(mmio_r32(boot.uart + UARTDR) & 0xff);
}

static void debug_exit(void *code) { mmio_w32(DEBUG_EXIT, *(uint32_t *)code); }

/* Where there is no such register: off. */
void guest_exit(uint32_t code)
{
    trap_try(debug_exit, &code);
    psci(PSCI_SYSTEM_OFF, 0, 0, 0);
    for (;;)
        __asm__ volatile("msr daifset, #15; wfi");
}

void *memset(void *d, int c, size_t n)
{
    uint8_t *p = d;
    uint64_t v = (uint8_t)c * 0x0101010101010101ull;
    for (; n && ((uint64_t)p & 7); n--)
        *p++ = (uint8_t)c;
    for (; n >= 8; n -= 8, p += 8)
        *(uint64_t *)p = v;
    for (; n; n--)
        *p++ = (uint8_t)c;
    return d;
}

void *memcpy(void *d, const void *s, size_t n)
{
    uint8_t *p = d;
    const uint8_t *q = s;
    if (!(((uint64_t)p | (uint64_t)q) & 7))
        for (; n >= 8; n -= 8, p += 8, q += 8)
            *(uint64_t *)p = *(const uint64_t *)q;
    for (; n; n--)
        *p++ = *q++;
    return d;
}
