/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first program of a Linux guest that is measured: says how many TSC ticks have passed and how
 * long the CPU was idle, then leaves by the debug-exit port. An ordinary static program, unlike its
 * neighbours.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned long long tsc(void)
{
    unsigned lo, hi;

    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (unsigned long long)hi << 32 | lo;
}

int main(void)
{
    unsigned long long now = tsc();
    char text[128] = "", line[200];
    int fd, n;

    mkdir("/proc", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    fd = open("/proc/uptime", O_RDONLY);
    if (fd >= 0 && read(fd, text, sizeof text - 1) > 0)
        text[strcspn(text, "\n")] = '\0';
    n = snprintf(line, sizeof line, "\nuser space: tsc %llu uptime+idle %s\n", now, text);
    if (write(1, line, (size_t)n) != n)
        return 1;
    fsync(1);
    usleep(100000);
    if (iopl(3) == 0)
        outb(0x10, 0xf4);
    for (;;)
        pause();
}
