/* SPDX-License-Identifier: BSD-2-Clause */
/* private.h: what the files of arch/aarch64 share. "Arm ARM" is DDI 0487. */
#pragma once
#include <hv/percpu.h>
#include <hv/types.h>

#include "insn.h"

struct boot_info;

/*
 * What an exception at EL2 itself leaves on the stack, made by entry.S. Exceptions from a guest do
 * not come here: the vectors of lower exception levels branch to el2_exit_sync, el2_exit_irq,
 * el2_exit_fiq and el2_exit_serror of el2_entry.S with nothing touched.
 */
struct arm_frame {
    uint64_t x[31], sp, elr, spsr, esr, far;
};
static_assert(sizeof(struct arm_frame) == 288, "entry.S: FRAME_SIZE");

/*
 * Features of the boot CPU; the others are taken to have the same. Constant after
 * arch_early_init().
 */
struct arm_features {
    bool vhe;        /* HCR_EL2.E2H is set, for good */
    bool pauth, bti; /* pointer authentication of addresses; branch targets */
    bool no_key;     /* pauth, but no random numbers for the host's key */
    bool rndr, ras, sve, sme, mte, fwb, ecv;
    bool aa32_el0;
    uint8_t pa_bits;   /* physical addresses, 32 to 52 */
    uint8_t vmid_bits; /* 8 or 16 */
    uint32_t midr;
};
extern struct arm_features arm_features;

/* percpu->arch. */
struct arm_cpu {
    uint64_t mpidr;     /* affinity fields only, as MPIDR_EL1 has them */
    uint64_t bhb_loops; /* of arm_vectors_loop; not 0 while they are in use */
    /* GICv3: this CPU's redistributor, RD_base; the SGI frame is 64 KiB after it */
    volatile uint8_t *gicr;
    uint64_t sgi_target; /* GICv3: this CPU in the fields of ICC_SGI1R_EL1 */
    uint8_t gicv2_mask;  /* GICv2: this CPU's bit in GICD_ITARGETSR and GICD_SGIR */
    uint8_t at_exit;     /* enum spectre_exit */
};
static_assert(offsetof(struct percpu, arch) == PERCPU_ARCH &&
                  offsetof(struct arm_cpu, bhb_loops) == CPU_BHB_LOOPS,
              "entry.S");
static inline struct arm_cpu *arm_this(void) { return this_cpu()->arch; }

/* cpu.c */
/* first C code on the boot CPU: makes this_cpu() work, and arm_host_key */
void arm_boot_start(struct boot_info *);
/*
 * APIAKEY_EL1 while the host runs, low word first; 0 where CPUs have no pointer authentication.
 * el2_entry.S swaps it with the guest's.
 */
extern uint64_t arm_host_key[2];
void arm_set_percpu(struct percpu *);
/* each CPU: control registers of EL2 and what the host wants of traps */
void arm_control_setup(void);
uint64_t arm_tcr(void);   /* TCR_EL2 of the host */
uint64_t arm_sctlr(void); /* SCTLR_EL2 of the host */
/* MPIDR_EL1's affinity fields in 32 bits (Aff3 in the upper 8), as percpu.hw_id holds them. */
static inline uint32_t arm_hw_id(uint64_t mpidr)
{
    return (uint32_t)((mpidr & 0xffffff) | (mpidr >> 32 & 0xff) << 24);
}

/* trap.c: kind is enum arm_vector. */
enum arm_vector { VECTOR_SYNC, VECTOR_IRQ, VECTOR_FIQ, VECTOR_SERROR };
void arm_trap(struct arm_frame *, uint32_t kind);
/*
 * el2*.c: an SError at EL2 that a guest has caused, taken where the engine lets it come; true: the
 * frame is resumed.
 */
bool el2_host_serror(struct arm_frame *);

/* psci.c: the firmware (DEN 0022). */
int must_check psci_init(void);
uint64_t psci_call(uint64_t fn, uint64_t a, uint64_t b, uint64_t c); /* x0 of the answer */
/* the firmware's TRNG: how many of n words came; 0 before its tables are read */
uint32_t smccc_entropy(uint64_t *words, uint32_t n);
/*
 * SMCCC_ARCH_FEATURES on this CPU: negative where the firmware does not have it, or is older than
 * SMCCC 1.1
 */
int32_t must_check smccc_arch_feature(uint32_t id);
#define PSCI_VERSION 0x84000000u
#define PSCI_FEATURES 0x8400000au
#define PSCI_SYSTEM_OFF 0x84000008u
#define PSCI_SYSTEM_RESET 0x84000009u
#define PSCI_CPU_ON 0xc4000003u

/*
 * irq.c, gicv3.c, gicv2.c: the host's interrupt controller, EOImode 1: an interrupt is
 * acknowledged, its priority dropped, its handler run, then it is deactivated; only the virtual
 * timer's PPI stays active for the guest that owns it.
 */
enum { SGI_KICK, SGI_STOP };
struct gic_ops {
    const char *name;
    int (*init)(void);     /* boot CPU: distributor; every interrupt off */
    int (*cpu_init)(void); /* each CPU: its own interrupts off, its interface on */
    /* a word whose lower 24 (v2: 10) bits are the INTID; 1020 and more: nothing */
    uint32_t (*ack)(void);
    void (*drop)(uint32_t word); /* priority */
    void (*deactivate)(uint32_t word);
    void (*sgi)(uint32_t cpu, uint32_t intid);
    void (*enable)(uint32_t intid, bool on);     /* PPI: of this CPU */
    void (*route)(uint32_t intid, bool edge);    /* SPI, not yet enabled: to CPU 0 */
    void (*set_active)(uint32_t intid, bool on); /* PPI of this CPU */
    uint32_t intid_mask, nr_irqs;
};
extern struct gic_ops gicv3_ops, gicv2_ops;
extern struct gic_ops *gic;
int must_check gic_cpu_init(void); /* each CPU: interface, and the PPIs that the host uses */
#define GIC_PRIORITY 0xa0u
#define GIC_SPURIOUS 1020u

/* mmu.c */
/* mmu_map_device() and mmu_map_firmware() work from here on */
void mmu_early_init(const struct boot_info *);
/* A root for CPUs that start: ours, and the page of arm_ap_start mapped to itself. 0: no memory. */
uint64_t mmu_ap_root(void);

/* smp.c */
_Noreturn void arm_ap_entry(uint32_t id);

/* timer.c */
void timer_irq(void);
void timer_set_start(uint64_t cycles); /* where time_ns() is 0; finds the frequency, too */
void timer_set_wall(uint64_t seconds, uint64_t cycles);
