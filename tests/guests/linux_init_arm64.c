/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ARM64 twin of linux-init.c: says how much virtual time has passed and how long the CPU was
 * idle, then powers off. Under -icount a nanosecond of CNTVCT is an instruction. Without a C
 * library: the cross compiler's package brings none.
 */
#include <stddef.h>

enum {
    SYS_mkdirat = 34,
    SYS_mount = 40,
    SYS_openat = 56,
    SYS_read = 63,
    SYS_write = 64,
    SYS_fsync = 82,
    SYS_nanosleep = 101,
    SYS_reboot = 142
};
#define AT_FDCWD (-100L)
#define REBOOT_MAGIC1 0xfee1deadL
#define REBOOT_MAGIC2 672274793L
#define REBOOT_POWER_OFF 0x4321fedcL

static long call(long n, long a, long b, long c, long d, long e)
{
    register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b,
                     x2 __asm__("x2") = c, x3 __asm__("x3") = d, x4 __asm__("x4") = e;

    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
                     : "memory", "cc");
    return x0;
}

static unsigned long long now_ns(void)
{
    unsigned long long count, hz;

    __asm__ volatile("isb\n\tmrs %0, cntvct_el0\n\tmrs %1, cntfrq_el0" : "=r"(count), "=r"(hz));
    return count * (1000000000ull / hz);
}

static char *text(char *to, const char *s)
{
    while (*s && *s != '\n')
        *to++ = *s++;
    return to;
}

static char *number(char *to, unsigned long long v)
{
    char digits[24];
    size_t n = 0;

    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    while (n)
        *to++ = digits[--n];
    return to;
}

void _start(void);
void _start(void)
{
    static char uptime[128], line[256];
    long second[2] = { 0, 100000000 }, fd;
    unsigned long long now = now_ns();
    char *p = line;

    call(SYS_mkdirat, AT_FDCWD, (long)"/proc", 0755, 0, 0);
    call(SYS_mount, (long)"proc", (long)"/proc", (long)"proc", 0, 0);
    fd = call(SYS_openat, AT_FDCWD, (long)"/proc/uptime", 0, 0, 0);
    call(SYS_read, fd, (long)uptime, sizeof uptime - 1, 0, 0);
    p = text(p, "");
    *p++ = '\n';
    p = text(p, "user space: tsc ");
    p = number(p, now);
    p = text(p, " uptime+idle ");
    p = text(p, uptime);
    *p++ = '\n';
    call(SYS_write, 1, (long)line, p - line, 0, 0);
    call(SYS_fsync, 1, 0, 0, 0, 0);
    call(SYS_nanosleep, (long)second, 0, 0, 0, 0);
    call(SYS_reboot, REBOOT_MAGIC1, REBOOT_MAGIC2, REBOOT_POWER_OFF, 0, 0);
    for (;;)
        call(SYS_nanosleep, (long)second, 0, 0, 0, 0);
}
