/* SPDX-License-Identifier: BSD-2-Clause */
/* lapic_mode.c: xAPIC or x2APIC. Intel SDM volume 3 section 11.12, VT-d specification 8.1. */
#include "lapic_mode.h"

#define XAPIC_MAX 254u /* 255 is everybody */

struct lapic_mode lapic_mode(const struct lapic_facts *f)
{
    bool many = f->greatest_id > XAPIC_MAX;

    if (f->is_x2)
        return (struct lapic_mode){ true,
                                    f->opt_out ? "x2APIC, as the firmware left them, although its "
                                                 "DMAR asks for xAPIC"
                                               : "x2APIC, as the firmware left them",
                                    f->opt_out };
    if (!many)
        return (struct lapic_mode){ false, "xAPIC, as the firmware left them", false };
    if (!f->has_x2)
        return (struct lapic_mode){ false, "xAPIC: CPUs with an APIC id above 254 are left out",
                                    true };
    if (f->opt_out)
        return (struct lapic_mode){ false,
                                    "xAPIC, as the DMAR asks: CPUs with an APIC id above 254 are "
                                    "left out; enable x2APIC in the firmware's setup",
                                    true };
    return (struct lapic_mode){ true, "x2APIC, for CPUs with an APIC id above 254", false };
}
