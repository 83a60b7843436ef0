/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile-cpu: garbage for control registers, segments, privileged and virtualisation instructions.
 * By default a sweep that the guest survives; or one of these words, which it may not survive,
 * while everybody else must: smep cr3 cr0flip=BIT cr4flip=BIT df-loop db-loop nmi-storm task real
 * random exits Options: seed=N (random), rounds=N.
 */
#include "lib/guest.h"

extern uint64_t pt_pml4[], gdt[];
extern char real_garbage[], real_garbage_end[];
void to_real_garbage(void);
void to_task_switch(void);

static uint32_t seed;
static uint32_t rnd(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8 ^ seed << 16;
}
static uint64_t rnd64(void) { return (uint64_t)rnd() << 32 | rnd(); }

struct code {
    const char *name;
    uint8_t code[10], len;
};

/* Any outcome is right as long as it comes back: registers are garbage. */
static const struct code codes[] = {
    { "vmrun", { 0x0f, 0x01, 0xd8 }, 3 },
    { "vmmcall", { 0x0f, 0x01, 0xd9 }, 3 },
    { "vmload", { 0x0f, 0x01, 0xda }, 3 },
    { "vmsave", { 0x0f, 0x01, 0xdb }, 3 },
    { "stgi", { 0x0f, 0x01, 0xdc }, 3 },
    { "clgi", { 0x0f, 0x01, 0xdd }, 3 },
    { "skinit", { 0x0f, 0x01, 0xde }, 3 },
    { "invlpga", { 0x0f, 0x01, 0xdf }, 3 },
    { "vmcall", { 0x0f, 0x01, 0xc1 }, 3 },
    { "vmlaunch", { 0x0f, 0x01, 0xc2 }, 3 },
    { "vmxoff", { 0x0f, 0x01, 0xc4 }, 3 },
    { "vmxon", { 0xf3, 0x0f, 0xc7, 0x33 }, 4 },
    { "vmptrld", { 0x0f, 0xc7, 0x33 }, 3 },
    { "invept", { 0x66, 0x0f, 0x38, 0x80, 0x03 }, 5 },
    { "invpcid", { 0x66, 0x0f, 0x38, 0x82, 0x03 }, 5 },
    { "monitor", { 0x0f, 0x01, 0xc8 }, 3 },
    { "mwait", { 0x0f, 0x01, 0xc9 }, 3 },
    { "monitorx", { 0x0f, 0x01, 0xfa }, 3 },
    { "mwaitx", { 0x0f, 0x01, 0xfb }, 3 },
    { "xsetbv", { 0x0f, 0x01, 0xd1 }, 3 },
    { "xgetbv", { 0x0f, 0x01, 0xd0 }, 3 },
    { "xrstor", { 0x0f, 0xae, 0x2b }, 3 },
    { "xrstors", { 0x0f, 0xc7, 0x1b }, 3 },
    { "xsaves", { 0x0f, 0xc7, 0x2b }, 3 },
    { "rdpmc", { 0x0f, 0x33 }, 2 },
    { "rsm", { 0x0f, 0xaa }, 2 },
    { "getsec", { 0x0f, 0x37 }, 2 },
    { "encls", { 0x0f, 0x01, 0xcf }, 3 },
    { "wbinvd", { 0x0f, 0x09 }, 2 },
    { "invd", { 0x0f, 0x08 }, 2 },
    { "sysenter", { 0x0f, 0x34 }, 2 },
    { "sysexit", { 0x0f, 0x35 }, 2 },
    { "int1", { 0xf1 }, 1 },
    { "int3", { 0xcc }, 1 },
    { "into", { 0xce }, 1 },
    { "rdtscp", { 0x0f, 0x01, 0xf9 }, 3 },
    { "rdpid", { 0xf3, 0x0f, 0xc7, 0xf8 }, 4 },
    { "clzero", { 0x0f, 0x01, 0xfc }, 3 },
    { "rdpru", { 0x0f, 0x01, 0xfd }, 3 },
    { "pvalidate", { 0xf2, 0x0f, 0x01, 0xff }, 4 },
    { "vmgexit", { 0xf3, 0x0f, 0x01, 0xd9 }, 4 },
    { "ltr", { 0x0f, 0x00, 0xd8 }, 3 },
    { "lldt", { 0x0f, 0x00, 0xd0 }, 3 },
    { "lar", { 0x0f, 0x02, 0xc0 }, 3 },
    { "lsl", { 0x0f, 0x03, 0xc0 }, 3 },
    { "verw", { 0x0f, 0x00, 0xe8 }, 3 },
    { "mov es", { 0x8e, 0xc0 }, 2 },
    { "mov fs", { 0x8e, 0xe0 }, 2 },
    { "wrfsbase", { 0xf3, 0x48, 0x0f, 0xae, 0xd0 }, 5 },
    { "rdrand", { 0x0f, 0xc7, 0xf0 }, 3 },
    { "mov cr1", { 0x0f, 0x22, 0xc8 }, 3 },
    { "mov cr5", { 0x0f, 0x22, 0xe8 }, 3 },
    { "mov from cr7", { 0x0f, 0x20, 0xf8 }, 3 },
    { "mov cr9", { 0x44, 0x0f, 0x22, 0xc8 }, 4 },
    { "mov cr8", { 0x44, 0x0f, 0x22, 0xc0 }, 4 },
    { "mov cr2", { 0x0f, 0x22, 0xd0 }, 3 },
    { "lmsw", { 0x0f, 0x01, 0xf0 }, 3 },
    { "smsw", { 0x0f, 0x01, 0xe0 }, 3 },
    { "mov dr0", { 0x0f, 0x23, 0xc0 }, 3 },
    { "mov dr4", { 0x0f, 0x23, 0xe0 }, 3 },
    { "mov dr5", { 0x0f, 0x23, 0xe8 }, 3 },
    { "mov dr6", { 0x0f, 0x23, 0xf0 }, 3 },
    { "mov from dr7", { 0x0f, 0x21, 0xf8 }, 3 },
    { "invlpg", { 0x0f, 0x01, 0x3b }, 3 },
    { "swapgs2", { 0x0f, 0x01, 0xf8, 0x0f, 0x01, 0xf8 }, 6 },
    { "lock nop", { 0xf0, 0x90 }, 2 },
    { "ud0", { 0x0f, 0xff, 0xc0 }, 3 },
    { "ud1", { 0x0f, 0xb9, 0xc0 }, 3 },
    { "far jump", { 0xff, 0x2b }, 2 },
    { "far call", { 0xff, 0x1b }, 2 },
    { "evex", { 0x62, 0xf1, 0x7c, 0x48, 0x10, 0x03 }, 6 },
    /* no XOP (8F): QEMU 7.2 takes it for POP, and our return address is gone */
    { "vex", { 0xc5, 0xfc, 0x10, 0x03 }, 4 },
    { "prefixes", { 0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x36, 0xf0, 0x0f, 0xa2 }, 9 },
    { "in wild", { 0x66, 0xed }, 2 },
    { "enter", { 0xc8, 0x00, 0x00, 0x00, 0xc9 }, 5 },
    { "hle", { 0xf2, 0xf0, 0x87, 0x03 }, 4 },
    { "xbegin", { 0xc7, 0xf8, 0, 0, 0, 0 }, 6 },
};

static void put_back(void)
{
    idt_load();
    gdt_reload();
    write_cr8(0);
    __asm__ volatile("mov %0, %%dr7" : : "r"(0x400ull));
    __asm__ volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ull));
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" : : "r"(0x10));
    __asm__ volatile("clts");
}

static void instructions(void)
{
    uint8_t *ram = page_alloc(4);
    unsigned faults = 0, n = 0;
    for (unsigned round = 0; round < cmdline_num("rounds", 30); round++)
        for (unsigned i = 0; i < sizeof codes / sizeof codes[0]; i++, n++) {
            struct regs r;
            for (unsigned k = 0; k < 15; k++)
                (&r.rax)[k] = rnd64() >> (rnd() & 63);
            if (cmdline_has("verbose"))
                print("%s rax %lx rbx %lx rcx %lx rdx %lx\n", codes[i].name, r.rax, r.rbx, r.rcx,
                      r.rdx);
            if (round % 3 == 1)
                r.rbx = r.rax = (uint64_t)ram + (rnd() & 0x3fff);
            if (!strncmp(codes[i].name, "in wild", 7))
                r.rdx = 0x1234;
            if (codes[i].code[0] == 0x0f && codes[i].code[1] == 0x01 && codes[i].code[2] == 0xf0)
                r.rax |= 1; /* LMSW cannot clear PE anyway, but sets TS */
            if (!strncmp(codes[i].name, "ltr", 3))
                r.rax = 0xfff8;
            if (!strncmp(codes[i].name, "mov dr5", 8))
                /* DR7: no breakpoints, and no #DB (GD) when it is put back */
                r.rax &= ~0x20ffull;
            faults += code_try(codes[i].code, codes[i].len, &r) >= 0;
            put_back();
        }
    print("%u instructions, %u faults\n", n, faults);
    pass("hostile-cpu instructions");
}

static const uint8_t set_cr0[] = { 0x0f, 0x22, 0xc0 }, set_cr3[] = { 0x0f, 0x22, 0xd8 },
                     set_cr4[] = { 0x0f, 0x22, 0xe0 };

/*
 * Bits of CR0, CR4 and CR3's low part, one by one: set for one instruction, then back. Not those
 * that end us where they are taken (PE, PG, PAE, SMEP ...) or that this CPU lacks (QEMU 7.2 then
 * repeats the MOV for ever): cr0flip=BIT, cr3flip=BIT and cr4flip=BIT are for these.
 */
#define CR4_SAFE 0x7dfull

static void control_registers(void)
{
    unsigned taken = 0;
    uint64_t cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4();
    for (unsigned bit = 0; bit < 64; bit++) {
        if (cmdline_has("verbose"))
            print("bit %u\n", bit);
        struct regs r = { .rax = cr0 ^ 1ull << bit };
        if (bit != 0 && bit != 31)
            taken += code_try(set_cr0, 3, &r) < 0;
        write_cr0(cr0);
        r.rax = cr4 ^ 1ull << bit;
        if (CR4_SAFE >> bit & 1)
            taken += code_try(set_cr4, 3, &r) < 0;
        write_cr4(cr4);
        r.rax = cr3 | (bit >= 12 ? 0 : 1ull << bit);
        taken += code_try(set_cr3, 3, &r) < 0;
        write_cr3(cr3);
    }
    for (unsigned i = 0; i < 2000; i++) {
        struct regs r = { .rax = (rnd64() & ~0x80000001ull) | 0x80000001 };
        taken += code_try(set_cr0, 3, &r) < 0;
        write_cr0(cr0);
        r.rax = (rnd64() & CR4_SAFE) | 0x20;
        taken += code_try(set_cr4, 3, &r) < 0;
        write_cr4(cr4);
        write_cr8(i & 15);
        write_cr8(0);
    }
    print("control registers: %u writes taken\n", taken);
    if (read_cr0() == cr0 && read_cr4() == cr4 && read_cr3() == cr3)
        pass("hostile-cpu control registers");
    else
        fail("hostile-cpu control registers", "cr0 %lx cr4 %lx", read_cr0(), read_cr4());
}

/* Every software interrupt, and IRET to garbage frames. */
static void interrupts_and_iret(void)
{
    /* push r12 rbp rdi rsi rbx; iretq */
    static const uint8_t iret[] = { 0x41, 0x54, 0x55, 0x57, 0x56, 0x53, 0x48, 0xcf };
    /* where a 32-bit return would land */
    static const uint8_t ud2[] = { 0x0f, 0x0b };
    unsigned faults = 0;
    for (unsigned v = 0; v < 256; v++) {
        uint8_t code[] = { 0xcd, (uint8_t)v };
        struct regs r = { 0 };
        if (v != VEC_NMI)
            faults += code_try(code, 2, &r) >= 0;
    }
    for (unsigned i = 0; i < 300; i++) {
        uint64_t sel[] = { 0x08, 0x10, 0x18, 0x23, 0x2b, 0x30, 0x40, rnd() & 0xffff };
        struct regs r = { .r12 = sel[rnd() & 7],
                          .rbp = rnd64() >> (rnd() & 63),
                          .rdi = (rnd() & 0x3f7fffff & ~0x4300ull),
                          .rsi = sel[rnd() & 7],
                          .rbx = rnd64() << 32 | 0x8000000000000000 | (uint64_t)ud2 };
        faults += code_try(iret, sizeof iret, &r) >= 0;
        put_back();
    }
    print("INT and IRET: %u faults\n", faults);
    pass("hostile-cpu INT and IRET");
}

static volatile uint64_t storm;
static void on_storm(struct frame *f)
{
    (void)f;
    if (++storm < cmdline_num("rounds", 100000))
        apic_icr(apic_id(), 0x400);
}

/*
 * IRET opens NMIs. Bochs keeps a CPU's NMIs blocked when a vCPU was moved to another CPU while it
 * handled one: who runs there next finds its own blocked, although none has come.
 */
static void open_nmis(void)
{
    __asm__ volatile("mov %%ss, %%eax; push %%rax; lea 8(%%rsp), %%rcx; push %%rcx; pushfq;"
                     "mov %%cs, %%eax; push %%rax; lea 1f(%%rip), %%rax; push %%rax; iretq; 1:"
                     :
                     :
                     : "rax", "rcx", "memory", "cc");
}

static void nmi_storm(void)
{
    trap_handle(VEC_NMI, on_storm);
    apic_icr(apic_id(), 0x400);
    for (uint64_t last = 0, t = rdtsc(); storm < cmdline_num("rounds", 100000); t = rdtsc()) {
        last = storm;
        while (storm == last && rdtsc() - t < 1000000000)
            open_nmis();
        if (storm == last)
            break;
    }
    print("%lu NMIs\n", storm);
    if (storm == cmdline_num("rounds", 100000))
        pass("hostile-cpu NMI storm");
    else
        fail("hostile-cpu NMI storm", "stopped at %lu", storm);
}

/*
 * A data breakpoint on the very stack that #DB is pushed to: on real CPUs each delivery raises the
 * next (CVE-2015-8104).
 */
static void on_db(struct frame *f)
{
    __asm__ volatile("mov %0, %%dr0; mov %1, %%dr7" : : "r"(&f->rip), "r"(0x000d0402ull));
    storm++;
}

static void db_loop(void)
{
    trap_handle(VEC_DB, on_db);
    for (unsigned i = 0; i < 1000; i++)
        __asm__ volatile("int $1; pushfq; orl $0x100, (%rsp); popfq; nop");
    print("%lu #DB\n", storm);
    pass("hostile-cpu #DB loop");
}

/*
 * All gates lead to code that faults at once: #GP in #GP's handler on a stack of its own, for ever
 * (never a triple fault).
 */
static void fault_loop(void)
{
    static uint8_t ud[] = { 0x0f, 0x0b };
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) p;
    __asm__ volatile("sidt %0" : "=m"(p));
    uint64_t h = (uint64_t)ud;
    uint16_t *g = (uint16_t *)(p.base + VEC_UD * 16);
    g[0] = (uint16_t)h;
    g[3] = (uint16_t)(h >> 16);
    print("endless #UD\n");
    __asm__ volatile("ud2");
}

/* The PIT as an NMI, by the IOAPIC: ends code that loops with interrupts off. */
static void watchdog(struct frame *f)
{
    if (++storm % 4 == 0)
        trap_unwind(f);
}

static void random_code(void)
{
    trap_handle(VEC_NMI, watchdog);
    ioapic_route(acpi.irq_gsi[0], (uint64_t)apic_id() << 56 | 0x400);
    outb(0x43, 0x34);
    outb(0x40, 11932 & 0xff);
    outb(0x40, 11932 >> 8);

    uint8_t *page = page_alloc(16), *ram = page_alloc(16);
    for (uint64_t n = 0; n < cmdline_num("rounds", 100000); n++) {
        struct regs r;
        for (unsigned i = 0; i < 64; i++)
            page[i] = (uint8_t)rnd();
        for (unsigned k = 0; k < 15; k++)
            (&r.rax)[k] = rnd() & 1 ? (uint64_t)ram + (rnd() & 0xffff) : rnd64() >> (rnd() & 63);
        code_try(page, 16 + (rnd() & 31), &r);
        put_back();
        if (n % 1000 == 0)
            print("random %lu\n", n);
    }
    pass("hostile-cpu random");
}

/* Bursts of the cheapest exits, to starve whoever shares the CPU. */
static void exits(void)
{
    for (uint64_t i = 0; i < cmdline_num("rounds", 3000000); i++)
        inb(0x80);
    pass("hostile-cpu exits");
}

static void bad_cr3(void)
{
    print("loading CR3 with garbage\n");
    write_cr3(0x123456789000 & ((1ull << (cpuid(0x80000008, 0).eax & 0xff)) - 1));
}

static void bad_real(void)
{
    memcpy((void *)0x9000ul, real_garbage, (size_t)(real_garbage_end - real_garbage));
    print("to real mode\n");
    to_real_garbage();
}

static void one(void)
{
    if (cmdline_has("smep"))
        write_cr4(read_cr4() | 0x100000);
    else if (cmdline_has("cr3"))
        bad_cr3();
    else if (cmdline_has("cr0flip"))
        write_cr0(read_cr0() ^ 1ull << (cmdline_num("cr0flip", 0) & 63));
    else if (cmdline_has("cr4flip"))
        write_cr4(read_cr4() ^ 1ull << (cmdline_num("cr4flip", 0) & 63));
    else if (cmdline_has("cr3flip"))
        write_cr3(read_cr3() ^ 1ull << (cmdline_num("cr3flip", 0) & 63));
    else if (cmdline_has("df-loop"))
        fault_loop();
    else if (cmdline_has("db-loop"))
        db_loop();
    else if (cmdline_has("nmi-storm"))
        nmi_storm();
    else if (cmdline_has("task"))
        to_task_switch();
    else if (cmdline_has("real"))
        bad_real();
    else if (cmdline_has("random"))
        random_code();
    else if (cmdline_has("exits"))
        exits();
    else {
        instructions();
        interrupts_and_iret();
        control_registers();
    }
}

void guest_main(void)
{
    seed = (uint32_t)cmdline_num("seed", 1);
    time_init();
    apic_init_cpu();
    pic_mask_all();
    one();
}
