/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The small library under the tiny ARM64 guests: boot information from the device tree, PL011
 * output, traps, GIC, ITS, SMP by PSCI, PCI. Independent of the hypervisor: QEMU's `virt` machine
 * runs the guests too.
 */
#ifndef GUEST_H
#define GUEST_H

#include "arm.h"
#include "common.h"

#define MAX_CPUS 128
#define CPU_BLOCK 65536 /* stacks of one CPU, aligned to their size: see this_cpu() */

/* ---- what the loader said (boot.c) ---- */
struct span {
    uint64_t base, size;
};
struct boot {
    const char *protocol; /* "image" or "flat": by the header in this very image */
    const char *cmdline;  /* never NULL */
    uint64_t fdt;
    struct span image, initrd;             /* size 0: none */
    uint64_t ram_base, ram_end, ram_total; /* the first range of /memory; bytes of all */
    unsigned ram_ranges;
    unsigned ncpus;
    uint64_t mpidr[MAX_CPUS];                                         /* reg of /cpus/cpu@... */
    bool smc;                                                         /* PSCI's conduit */
    uint64_t uart, rtc, ecam, ecam_size, pci_window, pci_window_size; /* 0: none */
    unsigned gic_version;                                             /* 2 or 3 */
    uint64_t gicd, gicc, gicr, gicr_size, its, v2m;
};
extern struct boot boot;

/* ---- device tree (fdt.c): offsets of nodes in the structure block, 0: none ---- */
uint32_t fdt32(const void *p);
/* The nth node whose "compatible" holds the string. */
unsigned fdt_compatible(const char *compat, unsigned nth);
/* The nth node of the name, up to its @. */
unsigned fdt_named(const char *name, unsigned nth);
const void *fdt_prop(unsigned node, const char *name, unsigned *len); /* NULL: none */
/* The nth (address, size) of "reg", with two cells each, as in the root of every tree here. */
struct span fdt_reg(unsigned node, unsigned nth);
extern unsigned fdt_faults; /* what is malformed */

/* ---- traps (trap.c, start.S) ---- */
struct frame {
    uint64_t x[31], sp, elr, spsr, esr, far, vec, pad;
};
/* x[30] is not loaded: the code returns by it */
struct regs {
    uint64_t x[31], nzcv;
};
struct jmp {
    uint64_t x19_x30[12], sp;
};
typedef void (*trap_fn)(struct frame *);
/* INTIDs below 1024, then LPIs from 8192 */
enum { IRQS = 1024 + 256 };

struct cpu {
    unsigned index;
    uint64_t mpidr;
    volatile bool online;
    struct jmp *catch; /* where trap_try() waits */
    struct frame last; /* the trap it caught */
    void (*volatile work)(void *);
    void *work_arg;
    uint64_t redist;         /* GICv3: its redistributor */
    volatile uint32_t *irqs; /* how often each came: IRQS of them, see irq_index() */
    volatile uint32_t spurious;
};
extern struct cpu cpus[MAX_CPUS];
struct cpu *this_cpu(void);
void trap_init_cpu(void); /* vectors */
/*
 * trap_try() returns ESR_EL1.EC; EC_SERROR also for an SError, EC_NONE + 1 for FIQ; details in
 * this_cpu()->last.
 */
/*
 * For a handler: makes its return end the innermost trap_try() of this CPU; false: there is none.
 */
bool trap_unwind(struct frame *f);
/*
 * fn runs for the EC on every CPU; NULL takes it away. It moves f->elr where the instruction is to
 * be skipped.
 */
void trap_handle(unsigned ec, trap_fn fn);
/* fn runs after every interrupt has been ended: to unwind what it interrupted. NULL: none. */
void trap_irqs(trap_fn fn);
int jmp_set(struct jmp *j) __attribute__((returns_twice));
_Noreturn void jmp_back(struct jmp *j, int v);
void regs_call(struct regs *r, const void *code);
/* Makes n instructions (RET is added) visible to be run. */
void code_put(void *at, const uint32_t *code, unsigned n);
/* Runs n instructions on registers *r from memory of its own; returns as trap_try does. */
int code_try(const uint32_t *code, unsigned n, struct regs *r);
/* the same, for code that lies there and returns */
int code_at(const void *code, struct regs *r);
/* One instruction, X0 given; returns as trap_try does, X0 back in *x0. */
int insn_try(uint32_t insn, uint64_t *x0);

/* ---- stage 1 (mmu.c): all identity, RAM as normal memory, the rest as nGnRE; 39 bits ---- */
enum { MAP_NORMAL = 0, MAP_DEVICE = 1, MAP_USER = 2, MAP_RO = 4, MAP_NOEXEC = 8, MAP_NC = 16 };
void mmu_init(void);
void mmu_on(void);               /* on each CPU */
#define MAP_BASE 0x7f00000000ull /* 4 KiB pages of one's own from here, 1 GiB */
#define MAP_LOW 0xc0000000ull    /* the same pages once more, for AArch32 */
void map_page(uint64_t va, uint64_t pa, unsigned how); /* no TLB maintenance */
void unmap_page(uint64_t va);
extern uint64_t *page_table;

/* ---- GIC (gic.c) and ITS (its.c) ---- */
enum {
    GICD_CTLR = 0,
    GICD_TYPER = 4,
    GICD_IIDR = 8,
    GICD_IGROUPR = 0x80,
    GICD_ISENABLER = 0x100,
    GICD_ICENABLER = 0x180,
    GICD_ISPENDR = 0x200,
    GICD_ICPENDR = 0x280,
    GICD_ISACTIVER = 0x300,
    GICD_ICACTIVER = 0x380,
    GICD_IPRIORITYR = 0x400,
    GICD_ITARGETSR = 0x800,
    GICD_ICFGR = 0xc00,
    GICD_SGIR = 0xf00,
    GICD_CPENDSGIR = 0xf10,
    GICD_SPENDSGIR = 0xf20,
    GICD_IROUTER = 0x6000,
    GICD_PIDR2 = 0xffe8
};
enum {
    GICR_CTLR = 0,
    GICR_TYPER = 8,
    GICR_WAKER = 0x14,
    GICR_PROPBASER = 0x70,
    GICR_PENDBASER = 0x78,
    GICR_PIDR2 = 0xffe8,
    GICR_SGI = 0x10000
};
enum {
    GICC_CTLR = 0,
    GICC_PMR = 4,
    GICC_BPR = 8,
    GICC_IAR = 0xc,
    GICC_EOIR = 0x10,
    GICC_RPR = 0x14,
    GICC_HPPIR = 0x18,
    GICC_DIR = 0x1000
};
enum {
    INTID_WAKE = 15,
    INTID_PTIMER = 30,
    INTID_VTIMER = 27,
    INTID_UART = 33,
    INTID_RTC = 34,
    INTID_PCI = 35,
    LPI_FIRST = 8192
};
#define PRIO_DEFAULT 0xa0
void gic_init(void); /* distributor, and this CPU */
void gic_init_cpu(void);
typedef void (*irq_fn)(uint32_t intid);
/* runs before the end of the interrupt; NULL: only counted */
void irq_handle(uint32_t intid, irq_fn fn);
unsigned irq_index(uint32_t intid); /* into cpu.irqs */
uint32_t irq_count(unsigned cpu, uint32_t intid);
/*
 * One bit per interrupt, in GICD or, below 32, in this CPU's redistributor: reg as GICD_ISENABLER
 * and the others.
 */
void gic_set(unsigned reg, uint32_t intid);
bool gic_get(unsigned reg, uint32_t intid);
void gic_enable(uint32_t intid);
void gic_disable(uint32_t intid);
void gic_priority(uint32_t intid, uint8_t prio);
uint8_t gic_get_priority(uint32_t intid);
void gic_edge(uint32_t intid, bool edge);
void gic_route(uint32_t intid, unsigned cpu);
void gic_mask(uint8_t prio); /* PMR */
uint32_t gic_ack(void);
void gic_eoi(uint32_t iar);
void gic_dir(uint32_t iar);
void gic_eoimode(bool split); /* on this CPU: priority drop and deactivation apart */
void gic_sgi(unsigned cpu, unsigned id);
void gic_sgi_others(unsigned id);
unsigned gic_spis(void);    /* number of INTIDs, SPIs and below */
uint32_t gic_highest(void); /* HPPIR */
void gic_trap(struct frame *f);

#define ITS_EVENTS 32
bool its_init(void); /* false: there is none */
void its_cmd(uint64_t a, uint64_t b, uint64_t c, uint64_t d);
bool its_wait(void); /* until all commands are done; false: stalled or hung */
/* with an ITT of its own, ITS_EVENTS long */
void its_map_device(uint32_t dev);
void its_map(uint32_t dev, uint32_t event, uint32_t lpi, unsigned cpu);
void its_sync(unsigned cpu);
uint64_t its_target(unsigned cpu); /* RDbase, as commands want it: bits 50:16 */
/* the property table; INV is the caller's */
void lpi_set(uint32_t lpi, uint8_t prio, bool enabled);
enum {
    ITS_INT = 3,
    ITS_CLEAR = 4,
    ITS_SYNC = 5,
    ITS_MAPD = 8,
    ITS_MAPC = 9,
    ITS_MAPTI = 10,
    ITS_MAPI = 11,
    ITS_INV = 12,
    ITS_INVALL = 13,
    ITS_MOVALL = 14,
    ITS_DISCARD = 15,
    ITS_MOVI = 1
};

/* ---- PSCI (psci.c): DEN0022 5 ---- */
#define PSCI_VERSION 0x84000000u
#define PSCI_CPU_SUSPEND 0xc4000001u
#define PSCI_CPU_OFF 0x84000002u
#define PSCI_CPU_ON 0xc4000003u
#define PSCI_AFFINITY_INFO 0xc4000004u
#define PSCI_MIGRATE_TYPE 0x84000006u
#define PSCI_SYSTEM_OFF 0x84000008u
#define PSCI_SYSTEM_RESET 0x84000009u
#define PSCI_FEATURES 0x8400000au
#define PSCI_SYSTEM_RESET2 0xc4000012u
#define SMCCC_VERSION 0x80000000u
#define SMCCC_ARCH_FEATURES 0x80000001u
int64_t hvc_call(uint64_t fn, uint64_t a, uint64_t b, uint64_t c);
int64_t smc_call(uint64_t fn, uint64_t a, uint64_t b, uint64_t c);
int64_t psci(uint64_t fn, uint64_t a, uint64_t b, uint64_t c);
#define DEBUG_EXIT 0x090f0000ull
/* entry of another CPU: X0 = its struct cpu's block; see smp.c */
void cpu_boot(void);
int64_t smp_start_one(unsigned i); /* PSCI's answer; returns when it is online, or after 5 s */

/* ---- time (time.c): the virtual counter ---- */
extern uint64_t ticks_hz;
static inline uint64_t ticks_to_ns(uint64_t t) { return muldiv(t, 1000000000, ticks_hz); }

#endif
