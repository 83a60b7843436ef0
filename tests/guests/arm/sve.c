/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sve: SVE's registers stay the same while others have the CPU; vectors of every length. Passes at
 * once where there is no SVE. Options: rounds=N.
 */
#include "lib/guest.h"

#define CPUS 4
#define VL_MAX 256
#define CPACR_ALL (3ull << 16 | 3ull << 20) /* ZEN, FPEN */
#define ZCR_EL1 s3_0_c1_c2_0
#define ZCR_LONGEST 15ull

void sve_load(void *z, void *p);
void sve_store(void *z, void *p);
uint64_t sve_length(void);

static uint8_t z_in[CPUS][32 * VL_MAX], z_out[CPUS][32 * VL_MAX], p_in[CPUS][17 * VL_MAX / 8],
    p_out[CPUS][17 * VL_MAX / 8];
static volatile unsigned wrong[CPUS];

static uint32_t fill(uint8_t *at, uint64_t n, uint32_t seed)
{
    for (uint64_t i = 0; i < n; i++) {
        seed = seed * 1664525 + 1013904223;
        at[i] = (uint8_t)(seed >> 24);
    }
    return seed;
}

static unsigned differences(const uint8_t *a, const uint8_t *b, uint64_t n)
{
    unsigned d = 0;

    for (uint64_t i = 0; i < n; i++)
        d += a[i] != b[i];
    return d;
}

static void set_length(uint64_t zcr)
{
    write_reg(ZCR_EL1, zcr);
    isb();
}

static void work(void *arg)
{
    unsigned me = this_cpu()->index;
    uint32_t seed = me * 77777 + 1;

    (void)arg;
    write_reg(cpacr_el1, CPACR_ALL);
    isb();
    set_length(ZCR_LONGEST);
    uint64_t vl = sve_length(), n = 32 * vl, pn = 17 * vl / 8;
    for (uint64_t r = 0; r < cmdline_num("rounds", 100); r++) {
        seed = fill(p_in[me], pn, fill(z_in[me], n, seed));
        /* FFR: ones, then zeros, and nothing else */
        for (uint64_t i = 0; i < vl / 8; i++)
            p_in[me][16 * vl / 8 + i] = i < vl / 16 ? 0xff : 0;
        sve_load(z_in[me], p_in[me]);
        for (uint64_t t = ticks(); ticks() - t < ticks_hz / 2000;)
            __asm__ volatile("wfe");
        sve_store(z_out[me], p_out[me]);
        wrong[me] += differences(z_in[me], z_out[me], n) + differences(p_in[me], p_out[me], pn);
        set_length(r & 1);
        wrong[me] += sve_length() > 16 * ((r & 1) + 1);
        set_length(ZCR_LONGEST);
        wrong[me] += sve_length() != vl;
    }
}

void guest_main(void)
{
    unsigned n, bad = 0;

    if (!(read_reg(id_aa64pfr0_el1) >> 32 & 15)) {
        print("no SVE here\n");
        pass("sve");
        return;
    }
    n = smp_start();
    for (unsigned i = 1; i < n && i < CPUS; i++)
        smp_run(i, work, NULL);
    work(NULL);
    for (unsigned i = 1; i < n && i < CPUS; i++)
        smp_wait(i);
    for (unsigned i = 0; i < CPUS; i++)
        bad += wrong[i];
    print("vectors of %lu bytes on %u CPUs\n", sve_length(), n);
    if (bad)
        fail("sve", "%u bytes wrong", bad);
    else
        pass("sve");
}
