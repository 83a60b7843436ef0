/* SPDX-License-Identifier: BSD-2-Clause */
/* hello-mb1, hello-mb2, hello-pvh: says how it was booted and what it was given. */
#include "lib/guest.h"

void guest_main(void)
{
    uint64_t entry = rdtsc();

    if (cmdline_has("tsc"))
        print("tsc at entry: %lu\n", entry);
    print("hello from %s\n", boot.protocol);
    print("cmdline: %s\n", boot.cmdline);
    print("ram: %lu KiB in %u ranges, rsdp %lx\n", boot.ram_total / 1024, boot.ram_ranges,
          boot.rsdp);
    for (unsigned i = 0; i < boot.modules; i++) {
        struct boot_module *m = &boot.module[i];
        print("module %u: %lu bytes \"%s\": ", i, m->len, m->cmdline);
        for (uint64_t k = 0; k < m->len && k < 64; k++)
            serial_putc(((const char *)m->base)[k]);
        print("\n");
    }
    if (boot.ram_ranges)
        pass("hello");
    else
        fail("hello", "no memory map");
    if (!cmdline_has("tick"))
        return;
    uint64_t every = cmdline_num("every", 100000000);
    for (uint64_t n = 0; n < cmdline_num("tick", 1000000); n++) {
        for (uint64_t t = rdtsc(); rdtsc() - t < every;)
            cpu_pause();
        print("tick %lu\n", n);
    }
}
