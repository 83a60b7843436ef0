/* SPDX-License-Identifier: BSD-2-Clause */
/* What the loader left: the device tree, read into struct boot; and memory. */
#include "guest.h"

struct boot boot = { .cmdline = "" };
extern char image_start[], image_end[], boot_protocol[];
static uint64_t alloc_next;

static uint64_t cells(unsigned node, const char *name)
{
    unsigned len = 0;
    const uint8_t *p = fdt_prop(node, name, &len);
    if (!p || (len != 4 && len != 8))
        return 0;
    return len == 4 ? fdt32(p) : (uint64_t)fdt32(p) << 32 | fdt32(p + 4);
}

static void read_chosen(void)
{
    unsigned node = fdt_named("chosen", 0);
    const char *args = node ? fdt_prop(node, "bootargs", NULL) : NULL;
    if (args)
        boot.cmdline = args;
    if (node && cells(node, "linux,initrd-end"))
        boot.initrd =
            (struct span){ cells(node, "linux,initrd-start"),
                           cells(node, "linux,initrd-end") - cells(node, "linux,initrd-start") };
}

static void read_memory(void)
{
    for (unsigned i = 0, node; (node = fdt_named("memory", i)) != 0; i++)
        for (unsigned k = 0; fdt_reg(node, k).size; k++) {
            struct span r = fdt_reg(node, k);
            if (!boot.ram_ranges++)
                boot.ram_base = r.base, boot.ram_end = r.base + r.size;
            boot.ram_total += r.size;
        }
}

/* reg of a CPU has one cell or two, as /cpus says; both begin with the upper part or have none. */
static void read_cpus(void)
{
    for (unsigned i = 0, node; (node = fdt_named("cpu", i)) != 0 && boot.ncpus < MAX_CPUS; i++)
        boot.mpidr[boot.ncpus++] = cells(node, "reg");
    unsigned node = fdt_compatible("arm,psci-1.0", 0);
    node = node ? node : fdt_compatible("arm,psci-0.2", 0);
    const char *method = node ? fdt_prop(node, "method", NULL) : NULL;
    boot.smc = method && method[0] == 's';
}

static void read_gic(void)
{
    unsigned v3 = fdt_compatible("arm,gic-v3", 0), v2 = fdt_compatible("arm,cortex-a15-gic", 0);
    unsigned its = fdt_compatible("arm,gic-v3-its", 0),
             v2m = fdt_compatible("arm,gic-v2m-frame", 0);
    v2 = v2 ? v2 : fdt_compatible("arm,gic-400", 0);
    boot.gic_version = v3 ? 3 : 2;
    boot.gicd = fdt_reg(v3 ? v3 : v2, 0).base;
    if (v3) {
        boot.gicr = fdt_reg(v3, 1).base;
        boot.gicr_size = fdt_reg(v3, 1).size;
    } else {
        boot.gicc = fdt_reg(v2, 1).base;
    }
    boot.its = its ? fdt_reg(its, 0).base : 0;
    boot.v2m = v2m ? fdt_reg(v2m, 0).base : 0;
}

/*
 * The 32-bit window in "ranges": three cells of PCI address, two of ours, two of size (PCI bus
 * binding, IEEE 1275).
 */
static void read_pci(unsigned node)
{
    unsigned len = 0;
    const uint8_t *p = fdt_prop(node, "ranges", &len);
    boot.ecam = fdt_reg(node, 0).base;
    boot.ecam_size = fdt_reg(node, 0).size;
    for (unsigned i = 0; p && i + 28 <= len; i += 28)
        if ((fdt32(p + i) >> 24 & 3) == 2) {
            boot.pci_window = (uint64_t)fdt32(p + i + 12) << 32 | fdt32(p + i + 16);
            boot.pci_window_size = (uint64_t)fdt32(p + i + 20) << 32 | fdt32(p + i + 24);
        }
}

static void read_devices(void)
{
    unsigned uart = fdt_compatible("arm,pl011", 0), rtc = fdt_compatible("arm,pl031", 0),
             pci = fdt_compatible("pci-host-ecam-generic", 0);
    boot.uart = uart ? fdt_reg(uart, 0).base : 0;
    boot.rtc = rtc ? fdt_reg(rtc, 0).base : 0;
    if (pci)
        read_pci(pci);
}

static bool skip(const struct span *r, uint64_t size)
{
    if (!r->size || alloc_next >= r->base + r->size || alloc_next + size <= r->base)
        return false;
    alloc_next = (r->base + r->size + 0xffff) & ~0xffffull;
    return true;
}

/* Blocks of 64 KiB and more are aligned to 64 KiB, all others to 4 KiB. */
void *page_alloc(size_t pages)
{
    uint64_t size = pages * 4096;
    struct span fdt = { boot.fdt, fdt32((const void *)(boot.fdt + 4)) };
    if (size >= 65536)
        alloc_next = (alloc_next + 0xffff) & ~0xffffull;
    while (skip(&boot.image, size) || skip(&fdt, size) || skip(&boot.initrd, size))
        ;
    void *p = (void *)alloc_next;
    if (alloc_next + size > boot.ram_end) {
        fail("memory", "no %zu pages left below %lx", pages, boot.ram_end);
        done();
    }
    alloc_next += size;
    memset(p, 0, size);
    return p;
}

_Noreturn void guest_start(uint64_t fdt);
_Noreturn void guest_start(uint64_t fdt)
{
    boot.fdt = fdt;
    boot.protocol = boot_protocol;
    boot.image = (struct span){ (uint64_t)image_start, (uint64_t)(image_end - image_start) };
    trap_init_cpu();
    read_chosen();
    read_memory();
    read_cpus();
    read_gic();
    read_devices();
    alloc_next = boot.image.base;
    mmu_init();
    mmu_on();
    cpus[0].mpidr = read_reg(mpidr_el1) & 0xff00ffffffull;
    cpus[0].irqs = page_alloc(2);
    time_init();
    guest_main();
    done();
}
