/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile-victim: fills its memory with a pattern and watches it. Each word of 16 bits is a good
 * number of a descriptor, so that a neighbour's device that reads it as one goes on. Ends with a
 * FAIL as soon as anything changed. Options: low=N: the 512 KiB of RAM from there, which lie below
 * this image, are watched too; rounds=N.
 */
#include <guest.h>

#define PATTERN 0x0077007700770077ull
static struct {
    volatile uint64_t *from, *to;
} part[2];

static bool changed(unsigned i)
{
    for (volatile uint64_t *p = part[i].from; p < part[i].to; p++) {
        uint64_t v = *p;
        if (v == PATTERN)
            continue;
        fail("victim", "%lx has changed to %lx", (uint64_t)p, v);
        return true;
    }
    return false;
}

void guest_main(void)
{
    uint64_t rounds = cmdline_num("rounds", UINT64_MAX), low = cmdline_num("low", UINT64_MAX);
    part[0].from = (void *)((uint64_t)page_alloc(1) + 0x40000);
    part[0].to = (void *)boot.ram_end;
    if (low != UINT64_MAX) {
        part[1].from = (void *)low;
        part[1].to = (void *)(low + 0x80000);
    }
    for (unsigned i = 0; i < 2; i++)
        for (volatile uint64_t *p = part[i].from; p < part[i].to; p++)
            *p = PATTERN;
    print("watching %lu KiB\n",
          (uint64_t)(part[0].to - part[0].from + part[1].to - part[1].from) / 128);
    for (uint64_t n = 1; n <= rounds; n++) {
        if (changed(0) || changed(1))
            return;
        print("tick %lu\n", n);
    }
    pass("victim");
}
