/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tsc.h: what the TSC is good for, decided from what the CPU says of it. No registers are touched;
 * any context; nothing fails.
 */
#pragma once
#include <hv/types.h>

/* What the CPU says. Fields of leaves and MSRs that it does not have are 0. */
struct tsc_facts {
    bool intel;
    uint32_t signature;           /* CPUID 1 EAX */
    uint32_t l15_a, l15_b, l15_c; /* CPUID 15h: TSC / crystal is EBX / EAX; crystal in Hz */
    uint32_t l16_a;               /* CPUID 16h: base frequency, MHz */
    uint64_t platform_info;       /* MSR_PLATFORM_INFO (CEh) */
    uint32_t hypervisor_khz;      /* leaf 40000010h */
    uint32_t hypervisor_apic_khz;
};

struct tsc_told {
    uint64_t hz;      /* of the TSC; 0: it does not say */
    uint64_t apic_hz; /* of the local APIC's timer; 0: not told */
    const char *how;  /* for people: where that is from */
    bool exact;       /* false: by rounded numbers, better measured */
};
bool tsc_has_platform_info(uint32_t signature); /* MSR CEh is there, and laid out as we know it */
struct tsc_told tsc_told(const struct tsc_facts *);
/*
 * What counts: a frequency that is told exactly; else what was measured (0: nothing could be);
 * else what is told. *off: the two differ by more than 1 part in 50; somebody should know.
 */
uint64_t tsc_choose(const struct tsc_told *, uint64_t measured, bool *off);

/*
 * The least microcode revision with which the TSC-deadline timer fires at its time; 0: any,
 * UINT32_MAX: none of this stepping. Intel's errata HSD150 and its like.
 */
uint32_t tsc_deadline_needs(uint32_t signature);

/*
 * One reading after another, on whichever CPU: how far the clock went back at worst. Begins as all
 * zeros.
 */
struct tsc_warp {
    uint64_t last, worst;
};
void tsc_warp_see(struct tsc_warp *, uint64_t now);
