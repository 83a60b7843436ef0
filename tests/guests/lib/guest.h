/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The small library under the tiny guests: boot information, serial output, traps, APIC, SMP, ACPI,
 * PCI. Independent of the hypervisor, so that a guest can be tried on any PC emulator first.
 */
#ifndef GUEST_H
#define GUEST_H

#include "common.h"
#include "x86.h"

#define MAX_CPUS 64
#define CPU_STACK 16384
#define AP_TRAMPOLINE 0x8000u
#define DEBUG_EXIT 0xf4

/* ---- what the loader said (boot.c) ---- */
struct boot_module {
    uint64_t base, len;
    const char *cmdline;
};
struct boot {
    const char *protocol; /* "multiboot1" "multiboot2" "pvh" */
    const char *cmdline;  /* never NULL */
    struct boot_module module[4];
    unsigned modules;
    uint64_t rsdp;      /* 0: the loader gave none */
    uint64_t ram_end;   /* end of RAM below 4 GiB, in bytes */
    uint64_t ram_total; /* usable bytes in the memory map */
    unsigned ram_ranges;
};
extern struct boot boot;
void boot_parse(uint32_t magic, uint64_t info);

/* ---- traps (trap.c, trap_entry.S) ---- */
struct frame {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t vec, err, rip, cs, rflags, rsp, ss;
};
struct regs {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, rflags;
};
struct jmp {
    uint64_t rbx, rbp, r12, r13, r14, r15, rsp, rip;
};
typedef void (*trap_fn)(struct frame *);

struct cpu {
    unsigned index, apic_id;
    volatile bool online;
    struct jmp *catch; /* where trap_try() waits */
    struct frame last; /* the trap it caught */
    uint64_t last_cr2;
    void (*volatile work)(void *);
    void *work_arg;
    uint64_t irqs[256]; /* how often each vector came */
};
extern struct cpu cpus[MAX_CPUS];
struct cpu *this_cpu(void);
void trap_init_cpu(unsigned index);
void idt_load(void);
void gdt_reload(void); /* after something else loaded the GDTR; TR stays */
/*
 * fn runs for the vector on every CPU; NULL takes it away. Interrupt handlers must end the
 * interrupt.
 */
void trap_handle(unsigned vec, trap_fn fn);
/* trap_try() returns the vector; details in this_cpu()->last. */
/*
 * For a handler: makes its return end the innermost trap_try() of this CPU; false: there is none.
 */
bool trap_unwind(struct frame *f);
int jmp_set(struct jmp *j) __attribute__((returns_twice));
void regs_call(struct regs *r, const void *code);
/*
 * Runs machine code (RET is appended) on registers *r from a page of its own; returns as trap_try
 * does.
 */
int code_try(const void *code, size_t len, struct regs *r);

/* ---- APIC (apic.c): x2APIC where on, else the page ---- */
enum {
    APIC_ID = 0x20,
    APIC_VERSION = 0x30,
    APIC_TPR = 0x80,
    APIC_PPR = 0xa0,
    APIC_EOI = 0xb0,
    APIC_LDR = 0xd0,
    APIC_DFR = 0xe0,
    APIC_SVR = 0xf0,
    APIC_ISR = 0x100,
    APIC_TMR = 0x180,
    APIC_IRR = 0x200,
    APIC_ESR = 0x280,
    APIC_ICR = 0x300,
    APIC_ICR2 = 0x310,
    APIC_LVTT = 0x320,
    APIC_LVT_LINT0 = 0x350,
    APIC_LVT_LINT1 = 0x360,
    APIC_LVT_ERR = 0x370,
    APIC_TIMER_INIT = 0x380,
    APIC_TIMER_CUR = 0x390,
    APIC_TIMER_DIV = 0x3e0
};
#define APIC_PAGE 0xfee00000ull
extern bool x2apic;
bool x2apic_supported(void);
void x2apic_enable(void); /* on this CPU; sets x2apic */
void apic_init_cpu(void);
uint32_t apic_read(unsigned reg);
void apic_write(unsigned reg, uint32_t v);
void apic_eoi(void);
void apic_icr(uint32_t dest, uint32_t low); /* waits for delivery in xAPIC mode */
unsigned apic_id(void);
bool apic_bit(unsigned base, unsigned vec); /* one bit of ISR, TMR or IRR */
uint32_t ioapic_read(unsigned reg);
void ioapic_write(unsigned reg, uint32_t v);
void ioapic_route(unsigned pin, uint64_t entry);
void pic_mask_all(void);
void pic_init(unsigned base); /* 16 vectors from base, a multiple of 8; all masked */

/* ---- ACPI (acpi.c) ---- */
struct acpi_header {
    char sig[4];
    uint32_t len;
    uint8_t rev, sum;
    char oem[6], table[8];
    uint32_t oem_rev, creator, creator_rev;
} __attribute__((packed));
struct acpi {
    unsigned ncpus;
    uint32_t apic_ids[MAX_CPUS];
    uint64_t ioapic, ecam; /* 0: none */
    uint8_t ecam_end_bus;
    uint32_t irq_gsi[16]; /* ISA interrupt overrides applied */
    uint32_t pm1a_cnt, pm1a_evt, pm_timer;
    uint16_t slp_s5; /* SLP_TYPa of _S5_, 0xffff: not found */
    uint8_t reset_space, reset_value;
    uint64_t reset_addr;
    bool pm_timer_32;
    uint64_t tables[24];
    unsigned ntables;
    unsigned bad_sums;
};
extern struct acpi acpi;
bool acpi_init(void); /* fills acpi once; false: no RSDP */
const struct acpi_header *acpi_find(const char *sig);

/* ---- SMP (smp.c): all CPUs of the MADT ---- */
#define VEC_WAKE 0xf0

/* ---- time (time.c) ---- */
extern uint64_t tsc_hz;
uint64_t pm_timer_ns(void); /* monotonic while called at least every 4 s */
/* time_init(): TSC against the PM timer, or the PIT where there is none */
static inline uint64_t ticks(void) { return rdtsc(); }
#define ticks_hz tsc_hz
static inline uint64_t tsc_to_ns(uint64_t t) { return muldiv(t, 1000000000, tsc_hz); }

/* ---- PCI (pci_config.c): CF8 and CFC, or ECAM ---- */
extern bool pci_use_ecam;

static inline void irqs_on(void) { cpu_sti(); }
static inline void irqs_off(void) { cpu_cli(); }

#endif
