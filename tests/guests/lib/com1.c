/* SPDX-License-Identifier: BSD-2-Clause */
/* Serial output on COM1 (polled), the debug-exit port, and memory. */
#include "guest.h"

#define COM1 0x3f8

void serial_putc(char c)
{
    for (unsigned spin = 0; spin < 1000000 && !(inb(COM1 + 5) & 0x20); spin++)
        cpu_pause();
    outb(COM1, (uint8_t)c);
}

int serial_getc(void) { return inb(COM1 + 5) & 1 ? inb(COM1) : -1; }

void guest_exit(uint32_t code)
{
    outl(DEBUG_EXIT, code);
    for (;;)
        __asm__ volatile("cli; hlt");
}

void *memset(void *d, int c, size_t n)
{
    void *r = d;
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
    return r;
}

void *memcpy(void *d, const void *s, size_t n)
{
    void *r = d;
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
    return r;
}
