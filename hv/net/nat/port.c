/* SPDX-License-Identifier: BSD-2-Clause */
/* port.c: lwIP's port to Trivet: its clock, random numbers, failed assertions. */
#include "port.h"
#include <hv/panic.h>
#include <hv/random.h>
#include <hv/time.h>
#include <lwip/sys.h>

uint32_t nat_random(void)
{
    static uint64_t counter;
    uint64_t h;
    uint32_t v;

    if (random_fill(&random_own, &v, sizeof v) == 0)
        return v;
    h = (time_ns() ^ ++counter * 0x9e3779b97f4a7c15ull) * 0xbf58476d1ce4e5b9ull;
    return (uint32_t)((h ^ h >> 29) * 0x94d049bb133111ebull >> 32);
}

uint32_t lwip_port_random(void) { return nat_random(); }

u32_t sys_now(void) { return (u32_t)(time_ns() / 1000000); }

void lwip_port_failed(const char *what, const char *file, int line)
{
    panic("lwIP: %s (%s, line %d)", what, file, line);
}
