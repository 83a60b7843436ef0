/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lapic_mode.h: xAPIC or x2APIC. Nothing is touched; any context.
 */
#pragma once
#include <hv/types.h>

struct lapic_facts {
    bool has_x2, is_x2;   /* CPUID 1 ECX 21; as the firmware left this CPU */
    bool opt_out;         /* the DMAR asks not to use x2APIC (VT-d specification, section 8.1) */
    uint32_t greatest_id; /* of all CPUs */
};
struct lapic_mode {
    bool x2;
    const char *why; /* for people */
    bool warn;       /* something is lost by it */
};
/*
 * As the firmware left it, because its own code (SMM) may count on that, unless CPUs have
 * identifiers that xAPIC cannot name. Back from x2APIC there is no way that every CPU has.
 */
struct lapic_mode lapic_mode(const struct lapic_facts *);
