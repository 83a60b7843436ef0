/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interrupt controllers of one x86 VM: LAPICs, IOAPIC, PIC pair, and what connects them.
 * Private to hv/guest/x86_64.
 */
#pragma once
#include <hv/event.h>
#include <hv/lock.h>
#include <hv/types.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include <hv/x86.h>
#include "platform.h"

struct vm;
struct x86_devices;

/* Delivery modes (SDM vol 3 §11.6.1), the same in ICR, LVT, RTE and MSI data. */
enum apic_mode { DM_FIXED, DM_LOWEST, DM_SMI, DM_RESERVED, DM_NMI, DM_INIT, DM_SIPI, DM_EXTINT };

/* Register index: offset in the page >> 4, MSR number - 0x800. */
enum lapic_reg {
    APIC_ID = 0x02,
    APIC_VERSION = 0x03,
    APIC_TPR = 0x08,
    APIC_APR = 0x09,
    APIC_PPR = 0x0a,
    APIC_EOI = 0x0b,
    APIC_RRD = 0x0c,
    APIC_LDR = 0x0d,
    APIC_DFR = 0x0e,
    APIC_SVR = 0x0f,
    APIC_ISR = 0x10,
    APIC_TMR = 0x18,
    APIC_IRR = 0x20,
    APIC_ESR = 0x28,
    APIC_ICR = 0x30,
    APIC_ICR2 = 0x31,
    APIC_LVT = 0x32,
    APIC_TMICT = 0x38,
    APIC_TMCCT = 0x39,
    APIC_TDCR = 0x3e,
    APIC_SELF_IPI = 0x3f,
    APIC_REGS = 0x40,
};
enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };
#define LVT_MASKED (1u << 16)
#define LVT_TIMER_MODE (3u << 17)
enum lapic_timer_mode { TIMER_ONESHOT, TIMER_PERIODIC, TIMER_TSC, TIMER_RESERVED };
#define SVR_ENABLE (1u << 8)
enum lapic_error { ESR_SEND_ILLEGAL = 1 << 5, ESR_RECV_ILLEGAL = 1 << 6, ESR_ILLEGAL_REG = 1 << 7 };
#define BASE_BSP (1ull << 8)
#define BASE_X2 (1ull << 10)
#define BASE_EN (1ull << 11)
enum lapic_signal { SIG_INIT = 1, SIG_SIPI = 2 }; /* SIPI's vector in bits 15:8 */

/*
 * What the guest can see of a LAPIC. irr, tmr, esr_new, signals and extint are set by any CPU,
 * atomically; the rest is the own CPU's.
 */
struct lapic_state {
    uint32_t version, id;
    uint64_t base; /* IA32_APIC_BASE */
    uint64_t irr[4], tmr[4], isr[4];
    uint32_t tpr, svr, ldr, dfr, esr, esr_new;
    uint64_t icr;
    uint32_t lvt[LVT_COUNT], tmict, tdcr;
    uint64_t deadline;     /* guest ns at which the count reaches 0; 0: stopped */
    uint64_t tsc_deadline; /* guest TSC; 0: disarmed */
    uint64_t pv_eoi;       /* MSR_KVM_PV_EOI_EN */
    uint32_t extint;       /* an ExtINT message came: the PIC is to be asked */
    uint32_t signals;      /* enum lapic_signal; last, for resets leave it alone */
};
static_assert(sizeof(struct lapic_state) == 208, "a saved state");
#define LAPIC_STATE_VERSION 1

struct lapic {
    struct lapic_state s;
    struct vcpu *v;
    struct x86_shared hw; /* v->shared, or empty */
    struct x86_intc *intc;
    struct event timer; /* on the CPU that armed it */
    uint64_t armed;     /* host ns for which the count's event was armed */
    uint32_t timer_due; /* atomic: the event came; the own CPU looks at the clock */
    int isr_top;        /* highest vector in service; -1: none */
    uint8_t watched;    /* priority that tpr_window was last asked for */
    uint8_t mode;       /* enum vapic_mode, as the engine was last told */
    /* IRR, ISR and TPR are in hw.apic; s.irr has only what came since (lapic_page.c) */
    bool live;
    uint64_t eoi_exits[4]; /* as the engine was last told */
    uint8_t *pv_flag;      /* PV EOI is armed: the byte in guest memory; NULL: not armed */
};

/* only where the engine has left something in lapic.hw */
static inline const struct x86_engine *lapic_engine(const struct vm *vm)
{
    return vm->ops->isa_ops;
}

struct ioapic_state {
    uint32_t version, select, id, lines;
    uint64_t rte[IOAPIC_PINS];
};
static_assert(sizeof(struct ioapic_state) == 208, "a saved state");
/* bits of an RTE that a guest can write */
#define RTE_WRITABLE 0xff0000000001afffull
#define RTE_LOGICAL (1ull << 11)
#define RTE_REMOTE (1ull << 14)
#define RTE_LEVEL (1ull << 15)
#define RTE_MASKED (1ull << 16)

/*
 * One 8259A. lines: input levels; elcr: inputs that are level-triggered; low: the input of lowest
 * priority.
 */
struct pic_chip {
    uint8_t irr, imr, isr, lines, elcr, base, low, icw, icw1;
    bool read_isr, poll, special_mask, aeoi, rotate_aeoi, sfnm;
    uint8_t pad;
};
static_assert(sizeof(struct pic_chip) == 16, "a saved state");
/* out: atomic read, written under the lock */
struct pic_state {
    uint32_t version;
    struct pic_chip chip[2];
    uint8_t out, pad[3];
};
static_assert(sizeof(struct pic_state) == 40, "a saved state");

struct x86_intc {
    struct vm *vm;
    struct spinlock lock; /* LOCK_VINTC: pic, ioapic, shared */
    struct pic_state pic;
    struct ioapic_state ioapic;
    uint16_t shared[IOAPIC_PINS]; /* asserted sources of lines 16..23; level of lines 0..15 */
    uint32_t rotor;               /* lowest priority: whose turn it is; atomic */
    uint32_t nlapics;
    uint32_t renamed; /* atomic: an APIC's identifier was written, and may not be its number */
    struct lapic *lapic[X86_VCPUS_MAX];
    /* LOCK_VINTC: held while the window changes, so that nobody goes on before it has */
    struct spinlock window_lock;
    uint32_t window; /* 1: the CPU serves the APICs' page */
    struct x86_devices *devices;
};

/* A message to LAPICs: from an ICR, an RTE or an MSI. */
struct apic_msg {
    uint32_t dest;
    uint8_t vector, mode;
    bool logical, broadcast, level;
};
#define APIC_SET_WORDS ((X86_VCPUS_MAX + 63) / 64)
struct apic_set { /* a bit per vCPU id */
    uint64_t w[APIC_SET_WORDS];
};
/* Any CPU. Whom the message addresses. */
void apic_targets(const struct x86_intc *, const struct apic_msg *, struct apic_set *);
/* Any CPU. Delivers to the targets (one of them for lowest priority); the number that accepted. */
unsigned apic_deliver(struct x86_intc *, const struct apic_set *targets, const struct apic_msg *);
/* Any CPU. To whom the message addresses. */
unsigned apic_send(struct x86_intc *, const struct apic_msg *);
void apic_init_all(struct x86_intc *); /* any CPU: INIT to all, as the reset line does it */
void lapic_icr_write(struct lapic *, uint64_t icr);
/* lapic.c: bits of each LVT entry that exist */
extern const uint32_t lapic_lvt_bits[LVT_COUNT];

static inline struct lapic *lapic_of(const struct vcpu *v) { return v->vintc; }
static inline bool lapic_hw_enabled(const struct lapic *l) { return l->s.base & BASE_EN; }
static inline bool lapic_x2(const struct lapic *l) { return l->s.base & BASE_X2; }
static inline bool lapic_sw_enabled(const struct lapic *l)
{
    return (l->s.svr & SVR_ENABLE) && lapic_hw_enabled(l);
}

struct lapic *lapic_new(struct x86_intc *, struct vcpu *); /* NULL: no memory */
void lapic_free(struct lapic *);                           /* NULL is fine */
void lapic_power_on(struct lapic *);                       /* reset, then what firmware leaves */
/* any CPU: fixed interrupt, already checked */
void lapic_raise(struct lapic *, uint8_t vector, bool level);
void lapic_error(struct lapic *, uint32_t esr_bit); /* any CPU */
/* any CPU: deliver through the LVT entry */
void lapic_local(struct lapic *, enum lapic_lvt);
void lapic_end(struct lapic *);
uint32_t lapic_tpr(struct lapic *); /* the task priority, wherever it is */
int must_check lapic_pending(struct lapic *);
int must_check lapic_accept(struct lapic *, int vec);
/* any CPU: takes the PIC's output as ExtINT */
bool lapic_wants_pic(const struct lapic *);
uint32_t lapic_ppr(struct lapic *);
/* own CPU: the guest's write, which it may make */
void lapic_written(struct lapic *, unsigned reg, uint32_t val);
/* what a guest reads there; for lapic_page.c */
uint32_t lapic_show_reg(struct lapic *, unsigned reg);

/* lapic_page.c; own CPU, or CPU 0 while the vCPU is loaded nowhere */
/* IA32_APIC_BASE or SVR may have changed */
void lapic_set_mode(struct lapic *);
/* before an entry: what waits goes into the CPU's page */
void lapic_hand_over(struct lapic *);
/* own CPU: what was posted, and the CPU has not seen, goes to l->s.irr */
void lapic_collect(struct lapic *);
void lapic_take_back(struct lapic *); /* all of the state is in l->s */
void lapic_fetch_icr(struct lapic *);
void lapic_show(struct lapic *, unsigned reg);
void lapic_exit(struct vcpu *, struct vcpu_exit *);
/* CPU 0, the vCPU has not run: l->s was restored; modes and the CPU's page follow it */
void lapic_restored(struct lapic *);
/* CPU 0, no vCPU runs: once they are all powered on */
void lapic_window(struct x86_intc *);
static inline bool lapic_delivers(const struct lapic *l) { return (l->mode & VAPIC_DELIVERS) != 0; }

/* lapic_timer.c; own CPU */
void lapic_timer_init(struct lapic *);
/* also from CPU 0 while the vCPU does not run */
void lapic_timer_stop(struct lapic *);
void lapic_timer_check(struct lapic *); /* timer_due was seen */
void lapic_timer_set_count(struct lapic *, uint32_t tmict);
void lapic_timer_set_divider(struct lapic *, uint32_t tdcr);
void lapic_timer_set_lvt(struct lapic *, uint32_t lvt);
uint32_t lapic_timer_left(const struct lapic *);
/* CPU 0, no vCPU runs: no event comes. The count and the deadline stay. */
void lapic_timer_hold(struct lapic *);
/* CPU 0: the own CPU looks at the clock as soon as it runs, and arms it. */
void lapic_timer_release(struct lapic *);

/* lapic_pv.c; own CPU */
void lapic_pv_arm(struct lapic *, int vec);
/* true: the guest has done its EOI through the flag */
bool lapic_pv_disarm(struct lapic *);
bool must_check lapic_pv_valid(const struct lapic *, uint64_t msr);
void lapic_pv_leave(struct vcpu *);

/* ioapic.c, pic.c: with intc->lock held unless stated */
void ioapic_reset(struct x86_intc *);
void ioapic_set_pin(struct x86_intc *, unsigned pin, bool level);
void ioapic_eoi(struct x86_intc *, uint8_t vector); /* takes the lock */
/* registers the page; takes no lock */
int must_check ioapic_create(struct x86_devices *, struct x86_intc *);
void pic_reset(struct x86_intc *);
void pic_set_irq(struct x86_intc *, unsigned irq, bool level);
int must_check pic_ack(struct x86_intc *); /* takes the lock; vector */
int must_check pic_create(struct x86_devices *, struct x86_intc *);
static inline bool pic_output(const struct x86_intc *x)
{
    return __atomic_load_n(&x->pic.out, __ATOMIC_SEQ_CST);
}
