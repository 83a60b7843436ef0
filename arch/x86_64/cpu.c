/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpu.c: what the CPU is and can do, and the control registers that every CPU runs with. AMD APM
 * volumes 2 and 3.
 */
#include <arch/common.h>
#include <arch/cpu.h>

#include <hv/acpi.h>
#include <hv/gmem.h>
#include <hv/log.h>
#include <hv/random.h>
#include <stdio.h>
#include <string.h>

#include "boot/boot_info.h"
#include "private.h"

struct x86_features x86_features;

void x86_set_percpu(struct percpu *p)
{
    p->self = p;
    wrmsr(MSR_GS_BASE, (uint64_t)p);
}

struct percpu *this_cpu(void) { return x86_this_cpu(); }

/* Registers to bytes, in the order of CPUID leaves 0 and 0x80000002 to 4. */
static void cpu_put_regs(char *to, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    uint32_t r[4] = { a, b, c, d };

    memcpy(to, r, sizeof r);
}

static void read_brand(struct x86_features *f)
{
    for (uint32_t i = 0; i < 3 && f->max_ext >= 0x80000004; i++) {
        struct cpuid r = cpuid(0x80000002 + i, 0);
        cpu_put_regs(f->brand + 16 * i, r.a, r.b, r.c, r.d);
    }
    char *start = f->brand + strspn(f->brand, " ");
    memmove(f->brand, start, strlen(start) + 1);
    for (size_t n = strlen(f->brand); n && f->brand[n - 1] == ' ';)
        f->brand[--n] = 0;
}

static bool cpu_bit(uint32_t word, unsigned n) { return word >> n & 1; }

static void read_features(struct x86_features *f)
{
    struct cpuid l0 = cpuid(0, 0), l1 = cpuid(1, 0), l7 = { 0 }, e1, e7 = { 0 };
    char vendor[16] = { 0 };

    f->max_leaf = l0.a;
    f->max_ext = cpuid(0x80000000, 0).a;
    cpu_put_regs(vendor, l0.b, l0.d, l0.c, 0);
    memcpy(f->vendor, vendor, 12);
    if (f->max_leaf >= 7)
        l7 = cpuid(7, 0);
    e1 = cpuid(0x80000001, 0);
    if (f->max_ext >= 0x80000007)
        e7 = cpuid(0x80000007, 0);
    f->phys_bits = f->max_ext >= 0x80000008 ? (uint8_t)cpuid(0x80000008, 0).a : 36;
    f->monitor = cpu_bit(l1.c, 3);
    f->pcid = cpu_bit(l1.c, 17);
    f->x2apic = cpu_bit(l1.c, 21);
    f->tsc_deadline = cpu_bit(l1.c, 24);
    f->xsave = cpu_bit(l1.c, 26);
    f->hypervisor = cpu_bit(l1.c, 31);
    f->pge = cpu_bit(l1.d, 13);
    f->tsc_adjust = cpu_bit(l7.b, 1);
    f->smep = cpu_bit(l7.b, 7);
    f->smap = cpu_bit(l7.b, 20);
    f->umip = cpu_bit(l7.c, 2);
    f->nx = cpu_bit(e1.d, 20);
    f->page1g = cpu_bit(e1.d, 26);
    f->invariant_tsc = cpu_bit(e7.d, 8);
    read_brand(f);
}

void x86_boot_percpu(void)
{
    percpus[0].arch = &x86_boot_cpu;
    x86_desc_init(&x86_boot_cpu); /* loads GS with 0, hence first */
    x86_set_percpu(&percpus[0]);
    read_features(&x86_features);
}

/*
 * The page attribute table: entry 0 WB, 1 WC, 2 UC-, 3 UC, and the same again (APM volume 2 section
 * 7.8).
 */
#define PAT_VALUE 0x0007010600070106ull

int x86_control_setup(void)
{
    const struct x86_features *f = &x86_features;
    uint64_t cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMM | CR4_MCE;

    write_cr0((read_cr0() | CR0_WP | CR0_NE | CR0_MP) & ~(CR0_EM | CR0_TS | CR0_CD | CR0_NW));
    cr4 |= (f->smep ? CR4_SMEP : 0) | (f->smap ? CR4_SMAP : 0) | (f->umip ? CR4_UMIP : 0);
    cr4 |= (f->pge ? CR4_PGE : 0) | (f->xsave ? CR4_OSXSAVE : 0);
    write_cr4(cr4);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
    wrmsr(MSR_PAT, PAT_VALUE);
    return 0;
}

int arch_early_init(struct boot_info *bi)
{
    clock_set_base(rdtsc());
    random_init(bi);
    timer_set_wall(bi->wall_s, bi->tsc_files);
    microcode_boot(bi);
    read_features(&x86_features); /* it may have brought some, or taken them away */
    if (!x86_features.nx) {
        log_err("this CPU does not offer non-executable pages: enable \"NX\" or \"Execute "
                "Disable\" in the firmware's setup");
        return -ENOTSUP;
    }
    return x86_control_setup();
}

int arch_cpu_init(void) { return x86_control_setup(); }

const char *arch_cpu_name(void)
{
    return x86_features.brand[0] ? x86_features.brand : x86_features.vendor;
}

/* Instruction fetches look into every data cache (APM volume 2 section 7.6.1). */
void arch_sync_code(const void *from, uint64_t len) { (void)from, (void)len; }

uint64_t arch_code_address(uint64_t stored) { return stored; }

void cpu_relax(void) { __asm__ volatile("pause" : : : "memory"); }

_Noreturn void cpu_halt_forever(void)
{
    for (;;)
        __asm__ volatile("cli; hlt" : : : "memory");
}

/* SDM volume 1 §7.3.17: it may have no number for a moment. */
static bool rdrand(uint64_t *v)
{
    uint8_t ok = 0;

    for (int i = 0; !ok && i < 10; i++)
        __asm__ volatile("rdrand %0; setc %1" : "=r"(*v), "=qm"(ok) : : "cc");
    return ok;
}

uint32_t arch_entropy(uint64_t *words, uint32_t n, const char **name)
{
    uint32_t got = 0;

    if (!(cpuid(1, 0).c >> 30 & 1)) /* asked before read_features() */
        return 0;
    while (got < n && rdrand(&words[got]))
        got++;
    if (got)
        *name = "the CPU (RDRAND)";
    return got;
}

/*
 * Every way that PCs know, from the polite one down: the reset register, PCI's 0xcf9, the keyboard
 * controller, a triple fault.
 */
_Noreturn void arch_reboot(void)
{
    static const struct {
        uint64_t zero[2];
    } no_idt;

    cli();
    acpi_reset();
    outb(0xcf9, 0x02);
    outb(0xcf9, 0x06);
    for (int i = 0; i < 100000; i++)
        (void)inb(0x80);
    outb(0x64, 0xfe);
    for (int i = 0; i < 100000; i++)
        (void)inb(0x80);
    __asm__ volatile("lidt %0; int3" : : "m"(no_idt));
    cpu_halt_forever();
}

_Noreturn void arch_poweroff(void)
{
    cli();
    acpi_poweroff();
    /* Bochs, which has no ACPI under UEFI, takes this word on this port. */
    for (const char *s = "Shutdown"; *s; s++)
        outb(0x8900, (uint8_t)*s);
    log_err("this machine cannot be powered off by software: switch it off by hand");
    cpu_halt_forever();
}
