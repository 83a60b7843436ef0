/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tsc.c: the TSC's frequency from what the CPU says, and errata of the TSC-deadline timer. Intel
 * SDM volume 2 CPUID 15H and 16H, volume 3 section 18.7.3, volume 4 (MSR_PLATFORM_INFO).
 */
#include "tsc.h"

#define MHZ 1000000ull
#define FAMILY6(model) (6u << 12 | (model))

/* Family, and model with its extension: AMD APM volume 3 CPUID 1, Intel SDM volume 2. */
static uint32_t family_model(uint32_t signature)
{
    uint32_t family = signature >> 8 & 15, model = (signature >> 4 & 15) | (signature >> 12 & 0xf0);

    return (family == 15 ? family + (signature >> 20 & 0xff) : family) << 12 | model;
}

/*
 * The crystal where leaf 15h leaves it out (SDM volume 3 section 18.7.3). Servers since Skylake
 * (55h) have 25 MHz in name only: leaf 16h is nearer.
 */
static uint64_t known_crystal(uint32_t signature)
{
    static const struct {
        uint32_t model;
        uint64_t hz;
    } crystals[] = {
        { FAMILY6(0x4e), 24 * MHZ },                              /* Skylake */
        { FAMILY6(0x5e), 24 * MHZ }, { FAMILY6(0x8e), 24 * MHZ }, /* Kaby, Coffee and Comet Lake */
        { FAMILY6(0x9e), 24 * MHZ }, { FAMILY6(0x5c), 19200000 }, /* Goldmont */
        { FAMILY6(0x5f), 25 * MHZ },                              /* Denverton */
    };

    for (unsigned i = 0; i < ARRAY_SIZE(crystals); i++)
        if (crystals[i].model == family_model(signature))
            return crystals[i].hz;
    return 0;
}

static bool by_leaf_15(const struct tsc_facts *f, struct tsc_told *t)
{
    uint64_t crystal = f->l15_c ? f->l15_c : f->intel ? known_crystal(f->signature) : 0;

    if (!f->l15_a || !f->l15_b)
        return false;
    if (crystal) {
        *t = (struct tsc_told){ .hz = crystal * f->l15_b / f->l15_a,
                                .apic_hz = crystal,
                                .how = f->l15_c ? "CPUID 15h" : "CPUID 15h, the model's crystal",
                                .exact = true };
        return true;
    }
    if (!f->l16_a)
        return false;
    *t = (struct tsc_told){ .hz = f->l16_a * MHZ,
                            .apic_hz = f->l16_a * MHZ * f->l15_a / f->l15_b,
                            .how = "CPUID 16h" };
    return true;
}

static bool by_hypervisor(const struct tsc_facts *f, struct tsc_told *t)
{
    *t = (struct tsc_told){ .hz = f->hypervisor_khz * 1000ull,
                            .apic_hz = f->hypervisor_apic_khz * 1000ull,
                            .how = "the hypervisor below",
                            .exact = true };
    return t->hz != 0;
}

/* Its bus clock; 0: the MSR is not laid out so. Nehalem and Westmere: 133 MHz. */
static uint64_t bus_hz(uint32_t signature)
{
    static const uint8_t slow[] = { 0x1a, 0x1e, 0x1f, 0x25, 0x2c, 0x2e, 0x2f };
    static const uint8_t fast[] = { 0x2a, 0x2d, 0x3a, 0x3e, 0x3c, 0x3f, 0x45, 0x46, 0x3d,
                                    0x47, 0x4f, 0x56, 0x4e, 0x5e, 0x55, 0x8e, 0x9e };

    for (unsigned i = 0; i < sizeof slow; i++)
        if (family_model(signature) == FAMILY6(slow[i]))
            return 400 * MHZ / 3;
    for (unsigned i = 0; i < sizeof fast; i++)
        if (family_model(signature) == FAMILY6(fast[i]))
            return 100 * MHZ;
    return 0;
}

bool tsc_has_platform_info(uint32_t signature) { return bus_hz(signature) != 0; }

/* Bits 15:8: the ratio that the TSC has to the bus clock. */
static bool by_platform_info(const struct tsc_facts *f, struct tsc_told *t)
{
    uint64_t hz = f->intel ? bus_hz(f->signature) * (f->platform_info >> 8 & 0xff) : 0;

    *t = (struct tsc_told){ .hz = hz, .how = "MSR_PLATFORM_INFO" };
    return hz != 0;
}

struct tsc_told tsc_told(const struct tsc_facts *f)
{
    struct tsc_told t;

    if (by_leaf_15(f, &t) || by_hypervisor(f, &t) || by_platform_info(f, &t))
        return t;
    return (struct tsc_told){ .how = "nothing" };
}

uint64_t tsc_choose(const struct tsc_told *t, uint64_t measured, bool *off)
{
    uint64_t apart = t->hz > measured ? t->hz - measured : measured - t->hz;

    *off = measured && t->hz && apart > t->hz / 50;
    return t->exact || !measured ? t->hz : measured;
}

/* Haswell to Kaby Lake: a deadline may be missed until microcode of that revision. */
uint32_t tsc_deadline_needs(uint32_t signature)
{
    static const struct {
        uint32_t model;
        uint8_t first, last; /* steppings */
        uint32_t revision;
    } needs[] = {
        { FAMILY6(0x3c), 0, 15, 0x22 },      { FAMILY6(0x45), 0, 15, 0x20 },
        { FAMILY6(0x46), 0, 15, 0x17 },      { FAMILY6(0x3f), 2, 2, 0x3a },
        { FAMILY6(0x3f), 4, 4, 0x0f },       { FAMILY6(0x3d), 0, 15, 0x25 },
        { FAMILY6(0x47), 0, 15, 0x17 },      { FAMILY6(0x4f), 0, 15, 0x0b000020 },
        { FAMILY6(0x56), 2, 2, 0x11 },       { FAMILY6(0x56), 3, 3, 0x0700000e },
        { FAMILY6(0x56), 4, 4, 0x0f00000c }, { FAMILY6(0x56), 5, 5, 0x0e000003 },
        { FAMILY6(0x55), 0, 2, UINT32_MAX }, { FAMILY6(0x55), 3, 3, 0x01000136 },
        { FAMILY6(0x55), 4, 4, 0x02000014 }, { FAMILY6(0x4e), 0, 15, 0xb2 },
        { FAMILY6(0x5e), 0, 15, 0xb2 },      { FAMILY6(0x8e), 0, 15, 0x52 },
        { FAMILY6(0x9e), 0, 15, 0x52 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(needs); i++)
        if (needs[i].model == family_model(signature) && (signature & 15) >= needs[i].first &&
            (signature & 15) <= needs[i].last)
            return needs[i].revision;
    return 0;
}

void tsc_warp_see(struct tsc_warp *w, uint64_t now)
{
    if (now < w->last)
        w->worst = max_u64(w->worst, w->last - now);
    w->last = max_u64(w->last, now);
}
