/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hello-flat, hello-image: says how it was booted and what it was given. Options: tick[=N] (prints
 * for ever), reboot.
 */
#include "lib/guest.h"

static void modules(void)
{
    if (!boot.initrd.size)
        return;
    print("initrd: %lu bytes: ", boot.initrd.size);
    for (uint64_t k = 0; k < boot.initrd.size && k < 64; k++)
        serial_putc(((const char *)boot.initrd.base)[k]);
    print("\n");
}

void guest_main(void)
{
    print("hello from %s at %lx, EL%lu\n", boot.protocol, boot.image.base,
          read_reg(CurrentEL) >> 2);
    print("cmdline: %s\n", boot.cmdline);
    print("ram: %lu KiB at %lx in %u ranges, tree at %lx, %u cpus\n", boot.ram_total / 1024,
          boot.ram_base, boot.ram_ranges, boot.fdt, boot.ncpus);
    print("uart %lx, gic v%u: %lx %lx %lx its %lx v2m %lx, ecam %lx, psci by %s\n", boot.uart,
          boot.gic_version, boot.gicd, boot.gicc, boot.gicr, boot.its, boot.v2m, boot.ecam,
          boot.smc ? "smc" : "hvc");
    modules();
    if (!boot.ram_ranges || !boot.ncpus || fdt_faults || (boot.image.base & 0xffff) ||
        (boot.fdt & 7))
        fail("hello", "%u ranges, %u cpus, %u faults in the tree", boot.ram_ranges, boot.ncpus,
             fdt_faults);
    else
        pass("hello");
    if (!cmdline_has("tick"))
        return;
    for (uint64_t n = 0; n < cmdline_num("tick", 1000000); n++) {
        delay_us(100000);
        print("tick %lu\n", n);
    }
}
