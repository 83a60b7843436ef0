/* SPDX-License-Identifier: BSD-2-Clause */
/* The ITS (IHI 0069 5.3): tables, the command queue, and LPIs in the redistributors. */
#include "guest.h"

enum {
    GITS_CTLR = 0,
    GITS_TYPER = 8,
    GITS_CBASER = 0x80,
    GITS_CWRITER = 0x88,
    GITS_CREADR = 0x90,
    GITS_BASER = 0x100
};
enum { QUEUE_BYTES = 65536 };

static uint64_t *queue;
static uint8_t *properties;
static uint64_t written;

/* Tables of devices and collections: 64 KiB each, in whatever page size the ITS has. */
static void init_tables(void)
{
    for (unsigned i = 0; i < 8; i++) {
        uint64_t r = boot.its + GITS_BASER + i * 8, b = mmio_r64(r), type = b >> 56 & 7;
        if (type != 1 && type != 4)
            continue;
        uint64_t want = 1ull << 63 | 7ull << 59 | 1ull << 10 | (uint64_t)page_alloc(16);
        mmio_w64(r, want | 2ull << 8);
        unsigned page = mmio_r64(r) >> 8 & 3;
        if (page != 2)
            mmio_w64(r, want | (uint64_t)page << 8 | (page ? 3 : 15));
    }
}

static void init_lpis(void)
{
    properties = page_alloc(16);
    for (unsigned i = 0; i < MAX_CPUS && (i == 0 || cpus[i].redist); i++) {
        uint64_t r = cpus[i].redist;
        mmio_w64(r + GICR_PROPBASER, (uint64_t)properties | 7ull << 7 | 1ull << 10 | 15);
        mmio_w64(r + GICR_PENDBASER,
                 (uint64_t)page_alloc(16) | 7ull << 7 | 1ull << 10 | 1ull << 62);
        mmio_w32(r + GICR_CTLR, mmio_r32(r + GICR_CTLR) | 1);
    }
}

bool its_init(void)
{
    if (!boot.its)
        return false;
    if (queue)
        return true;
    mmio_w32(boot.its + GITS_CTLR, 0);
    for (unsigned n = 0; n < 1000000 && !(mmio_r32(boot.its + GITS_CTLR) >> 31); n++)
        cpu_pause();
    init_tables();
    init_lpis();
    queue = page_alloc(QUEUE_BYTES / 4096);
    mmio_w64(boot.its + GITS_CBASER,
             1ull << 63 | 7ull << 59 | 1ull << 10 | (uint64_t)queue | (QUEUE_BYTES / 4096 - 1));
    mmio_w64(boot.its + GITS_CWRITER, 0);
    mmio_w32(boot.its + GITS_CTLR, 1);
    for (unsigned i = 0; i < MAX_CPUS && cpus[i].redist; i++)
        its_cmd(ITS_MAPC, 0, 1ull << 63 | its_target(i) | i, 0);
    return its_wait();
}

void its_cmd(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    uint64_t *q = queue + written / 8;
    q[0] = a;
    q[1] = b;
    q[2] = c;
    q[3] = d;
    dsb();
    written = (written + 32) % QUEUE_BYTES;
    mmio_w64(boot.its + GITS_CWRITER, written);
}

bool its_wait(void)
{
    for (uint64_t t = ticks(); ticks() - t < ticks_hz;) {
        uint64_t r = mmio_r64(boot.its + GITS_CREADR);
        if ((r & 0xfffe0) == written)
            return true;
        if (r & 1)
            break;
        cpu_pause();
    }
    return false;
}

uint64_t its_target(unsigned cpu)
{
    if (mmio_r64(boot.its + GITS_TYPER) >> 19 & 1)
        return cpus[cpu].redist;
    return (mmio_r64(cpus[cpu].redist + GICR_TYPER) >> 8 & 0xffff) << 16;
}

void its_sync(unsigned cpu) { its_cmd(ITS_SYNC, 0, its_target(cpu), 0); }

void its_map_device(uint32_t dev)
{
    its_cmd(ITS_MAPD | (uint64_t)dev << 32, 4, 1ull << 63 | (uint64_t)page_alloc(1), 0);
}

void its_map(uint32_t dev, uint32_t event, uint32_t lpi, unsigned cpu)
{
    its_cmd(ITS_MAPTI | (uint64_t)dev << 32, event | (uint64_t)lpi << 32, cpu, 0);
    its_sync(cpu);
}

void lpi_set(uint32_t lpi, uint8_t prio, bool enabled)
{
    properties[lpi - LPI_FIRST] = (uint8_t)((prio & 0xfc) | 2 | enabled);
    dsb();
}
