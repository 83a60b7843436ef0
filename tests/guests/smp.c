/* smp: every CPU of the MADT comes up by INIT and SIPI, does work, and answers IPIs of every destination kind. */
#include "lib/guest.h"

void guest_main(void)
{
    if (cmdline_has("x2apic") && x2apic_supported())
        x2apic_enable();
    unsigned n = smp_start();
    print("%u cpus of %u, tsc %lu Hz\n", n, acpi.ncpus, tsc_hz);
}
