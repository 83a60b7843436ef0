/* SPDX-License-Identifier: BSD-2-Clause */
/* private.h: what the files of arch/x86_64 share. */
#pragma once
#include <hv/percpu.h>
#include <hv/types.h>

#include "insn.h"

/* Selectors in every CPU's GDT. */
#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define SEL_TSS 0x18

/*
 * Interrupt vectors of the host. 32 to 47 stay free: the legacy PIC could raise them while it is
 * being masked.
 */
#define VEC_GSI 0x30 /* first of 128 for devices */
#define VEC_GSI_MAX 0xaf
#define VEC_KICK 0xf0
#define VEC_TIMER 0xf1
/* to a CPU in a guest: its posted interrupts; to others nothing */
#define VEC_POSTED 0xf2
#define VEC_ERROR 0xfe
#define VEC_SPURIOUS 0xff /* low four bits set: some old LAPICs want that */

/* What the stubs in entry.S push. */
struct x86_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};
static_assert(offsetof(struct x86_frame, vector) == 120, "entry.S; APM vol 2 §8.9.3");
static_assert(offsetof(struct x86_frame, error) == 128, "entry.S; APM vol 2 §8.9.3");
static_assert(offsetof(struct x86_frame, rip) == 136, "entry.S; APM vol 2 §8.9.3");
static_assert(offsetof(struct x86_frame, rsp) == 160, "entry.S; APM vol 2 §8.9.3");
static_assert(sizeof(struct x86_frame) == 176, "entry.S; APM vol 2 §8.9.3");

/* TSS, AMD APM volume 2 section 12.2.5. */
struct x86_tss {
    uint32_t reserved0;
    uint64_t rsp[3], reserved1, ist[7], reserved2;
    uint16_t reserved3, iomap;
} __attribute__((packed));
static_assert(sizeof(struct x86_tss) == 104, "TSS");
static_assert(offsetof(struct x86_tss, rsp) == 4, "APM vol 2 §12.2.5");
static_assert(offsetof(struct x86_tss, ist) == 36, "APM vol 2 §12.2.5");
static_assert(offsetof(struct x86_tss, iomap) == 102, "APM vol 2 §12.2.5");

enum { IST_DF = 1, IST_NMI, IST_MC, IST_COUNT = 3 };
#define IST_SIZE 4096u

/* this_cpu() without a call, for the paths that every exit takes. */
static inline struct percpu *x86_this_cpu(void)
{
    struct percpu *p;

    __asm__("movq %%gs:0, %0" : "=r"(p));
    return p;
}

/* percpu->arch. */
struct x86_cpu {
    uint64_t gdt[5];
    struct x86_tss tss;
    uint8_t ist[IST_COUNT][IST_SIZE] __attribute__((aligned(16)));
};

/* Features of the boot CPU; the others are taken to have the same. */
struct x86_features {
    char vendor[13], brand[49];
    uint32_t max_leaf, max_ext;
    bool nx, page1g, smep, smap, umip, x2apic, tsc_deadline, tsc_adjust, invariant_tsc, hypervisor,
        pge, pcid, xsave, monitor;
    uint8_t phys_bits;
};
extern struct x86_features x86_features;

/* cpu.c */
void x86_boot_percpu(void); /* first C code on the boot CPU: makes this_cpu() work */
void x86_set_percpu(struct percpu *);
int must_check x86_control_setup(void); /* control registers, EFER, PAT: each CPU */

/*
 * microcode_load.c: what `microcode` in [host] names is loaded if it is newer; needs x86_features.
 * The boot CPU, before others run; then each of those, before it sets itself up.
 */
struct boot_info;
void microcode_boot(const struct boot_info *);
void microcode_cpu(void);
uint32_t microcode_revision(void); /* of the boot CPU; 0: not known */

/*
 * mca_banks.c. mca_cpu_init(): each CPU, the boot CPU first: says what the banks hold, empties
 * them, lets errors be told. mca_survives(): #MC came while Trivet ran, between any two
 * instructions; false: it is fatal, and words[MC_WORDS] (mca.h) say why. mca_in_guest(): it came
 * while a guest ran, and its exit is handled; false: that guest has lost something and must end. A
 * fatal one panics.
 */
void mca_cpu_init(void);
bool must_check mca_survives(char *words);
bool must_check mca_in_guest(void);

/* vmx.c: CPUID says that there is Intel VMX. */
bool x86_has_vmx(void);

/* desc.c: GDT, TSS, IDT */
void x86_desc_init(struct x86_cpu *);
extern struct x86_cpu x86_boot_cpu;

/* trap.c */
void x86_trap(struct x86_frame *);
extern uint8_t x86_stubs[];

/* irq.c: a vector came; runs its handler and acknowledges it. */
void irq_dispatch(uint32_t vector);
/* An NMI: true if it belongs to us (a CPU in panic stops the others). */
void x86_nmi(void);

/* lapic.c */
int must_check lapic_init(uint64_t base); /* boot CPU: chooses xAPIC (maps the page) or x2APIC */
int must_check lapic_cpu_init(void);      /* each CPU */
void lapic_eoi(void);
uint32_t lapic_id(void);
void lapic_send(uint32_t apic_id, uint32_t icr_low);
void lapic_timer_start(uint32_t count); /* one-shot, divide by 1; 0 stops it */
void lapic_timer_mode(bool tsc_deadline);
uint32_t lapic_timer_count(void);
#define ICR_FIXED 0x00000u
#define ICR_NMI 0x00400u
#define ICR_INIT 0x04500u /* INIT, assert */
#define ICR_STARTUP 0x04600u
extern bool lapic_x2;

/* ioapic.c */
int must_check ioapic_init(void);
/* Routes a GSI to the boot CPU. level, low: as the bus has it. -ENOENT: no IOAPIC has it. */
int must_check ioapic_route(uint32_t gsi, uint8_t vector, bool level, bool low);

/* timer.c; timer_set_wall(): the firmware's time in seconds, 0: none, and the TSC then */
void timer_set_wall(uint64_t s, uint64_t tsc);
void timer_irq(void);

/*
 * tsc_sync.c: boot CPU; then, for each other CPU, both at once: what they read in turn must not go
 * back. The boot CPU waits 100 ms at most.
 */
void tsc_sync_init(void);
void tsc_meet_boot(uint32_t cpu);
void tsc_meet(void);
/* After the last CPU has come up: the CPU says so, and nobody's TSC was seen behind. */
bool tsc_is_invariant(void);

/* smp.c */
_Noreturn void x86_ap_entry(uint32_t id);
void x86_on_stack(void (*fn)(void *), void *arg, void *top) __attribute__((noreturn));
