/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtual GIC's own terms. Private to hv/guest/aarch64/vgic*.c, its*.c and vtimer.c.
 *
 * An interrupt is named by its index: INTID 0..1019 as it is, LPI n (8192 and up) as VGIC_LPI + n -
 * 8192. It is at one of three places: nowhere; ready on its home vCPU (enabled, pending, not
 * active); or in a list register of its home vCPU. All of it is under vgic.lock, but: list
 * registers are written by the home's own CPU only (under the lock, except by the engine); `raise`,
 * `sgi_src` and `stale` are atomic.
 */
#pragma once
#include <hv/arm.h>
#include <hv/event.h>
#include <hv/io.h>
#include <hv/lock.h>
#include <hv/nospec.h>
#include <hv/types.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include "vgic.h"

#define VGIC_LPI 1024u /* index of the first LPI */
#define VGIC_LPI_INTID 8192u
#define VGIC_LPIS 8192u /* INTIDs of 14 bits */
#define VGIC_ID_BITS 14u
#define VGIC_WORDS ((VGIC_LPI + VGIC_LPIS) / 64)
#define VGIC_SPECIAL 1020u   /* 1020..1023 mean something else */
#define VGIC_PRIO_MASK 0xf8u /* 5 bits of priority, what every list register has */

/*
 * 32 interrupts as the registers have them: a bit for each, so that a register is one load; and a
 * few bytes for each.
 */
struct vgic_bank {
    uint32_t enabled;
    /* pending: edge seen, or set by software; of a v2 SGI: route is not 0 */
    uint32_t latch;
    /* input is high. PPI 27: the physical PPI is active on our behalf */
    uint32_t line;
    uint32_t active; /* active, and in no list register */
    uint32_t group1;
    uint32_t edge;
    uint32_t in_lr;
    uint32_t deact;  /* its list register is to lose the active state ... */
    uint32_t unpend; /* ... or the pending state, when its CPU comes by */
    uint8_t prio[32];
    uint16_t home[32]; /* the vCPU where it is ready, active or in a list register */
    /*
     * v3 SPI, LPI: target vCPU, or one of the two below. v2 SPI: GICD_ITARGETSR. v2 SGI: vCPUs it
     * is pending from
     */
    uint16_t route[32];
};
static_assert(sizeof(struct vgic_bank) == 196, "layout of images");
#define PPI_VTIMER (1u << ARM_PPI_VTIMER)
#define PPI_PTIMER (1u << ARM_PPI_PTIMER)
#define ROUTE_NONE 0xffffu
#define ROUTE_ANY 0xfffeu /* 1 of N */
#define VGIC_SPI_BANKS ((VGIC_SPIS_MAX + 31) / 32)
#define VGIC_LPI_BANKS (VGIC_LPIS / 32)

/* One interrupt: its bank, its bit there, and the bit's number. */
struct vgic_irq {
    struct vgic_bank *b;
    uint32_t bit, n;
};

/* What a guest can see, one per vCPU; list registers are in arm_gic_cpu beside it. */
struct vgic_cpu_state {
    struct vgic_bank local; /* SGIs, PPIs */
    uint32_t waker, ctlr;   /* GICR_WAKER, GICR_CTLR */
    uint32_t cntp_ctl;      /* ENABLE, IMASK */
    uint64_t propbaser, pendbaser;
    uint64_t cntp_cval;
};
static_assert(sizeof(struct vgic_cpu_state) == 232, "layout of images");
struct vgic_state {
    uint32_t ctlr; /* GICD_CTLR's group enables */
    struct vgic_bank spi[VGIC_SPI_BANKS];
    uint64_t irouter[VGIC_SPIS_MAX]; /* as the guest wrote them */
};
static_assert(sizeof(struct vgic_state) == 13984, "layout of images");
enum { ITS_BASERS = 2, ITS_DEVICES = 0, ITS_COLLECTIONS = 1 };
struct its_state {
    uint32_t ctlr, zero;
    uint64_t cbaser, cwriter, creadr, baser[ITS_BASERS];
};
static_assert(sizeof(struct its_state) == 48, "layout of images");

struct vgic;
/* A timer of an unloaded vCPU, or an emulated one: armed at `when` host cycles. */
struct vtimer_alarm {
    struct event ev;
    uint64_t cval;
    bool armed;
};
struct vgic_cpu {
    struct arm_gic_cpu gic; /* first: the engine's */
    struct vcpu *v;
    struct vgic *g;
    uint32_t id;
    /* atomic: SGIs and PPIs that became pending and were not looked at yet */
    uint32_t raise;
    /* atomic: a list register is to be looked at after the next exit */
    uint32_t stale;
    uint8_t sgi_src[16]; /* atomic, v2: who raised */
    uint32_t active_out; /* interrupts active here and in no list register */
    /* bit per list register that was given to the engine with its pending state */
    uint32_t lr_pending;
    /* own CPU: all list registers were looked after since the guest last ran */
    bool looked;
    /* own CPU: vgic_wakeable() has just filled the list registers */
    bool woken;
    /* own CPU: the host has just taken the virtual timer's interrupt */
    bool just_fired;
    bool phys_sync; /* the virtual timer's physical PPI is to follow VF_LINE */
    /* bytes of the pending table still to be read, since EnableLPIs was set */
    uint16_t lpi_left;
    uint32_t nready;
    uint64_t ready[VGIC_WORDS], ready_words[(VGIC_WORDS + 63) / 64];
    struct vtimer_alarm virt, phys;
    struct vgic_cpu_state s;
};
struct its {
    struct its_state s;
    struct event work;
    uint64_t base;
};
struct vgic {
    struct spinlock lock;
    struct vm *vm;
    uint8_t version; /* 2, 3; 0: not created yet */
    uint8_t nlrs;
    uint16_t nspis, n; /* n: vCPUs */
    uint16_t next_any; /* 1 of N: who is next */
    bool has_its, gicc_mapped;
    uint64_t gicc, v2m;
    uint32_t v2m_first, v2m_count;
    /* whose list registers are being filled now: needs no request */
    struct vgic_cpu *servicing;
    struct vgic_cpu *cpu[MAX_VCPUS];
    struct vgic_bank *lpi; /* VGIC_LPI_BANKS, with an ITS */
    struct its its;
    uint64_t cntvoff; /* CNTVOFF_EL2 of all vCPUs: follows from the VM's clock */
    struct vgic_state s;
};

#define GICD_CTLR_G0 1u
#define GICD_CTLR_G1 2u
#define GICR_CTLR_LPIS 1u
#define LR_STATE_SHIFT 62
#define LR_SRC_SHIFT 10 /* source of a v2 SGI within the INTID */

static inline struct vgic_cpu *vgic_cpu_of(const struct vcpu *v) { return v->vintc; }
static inline uint32_t vgic_intid(unsigned idx)
{
    return idx < VGIC_LPI ? idx : idx - VGIC_LPI + VGIC_LPI_INTID;
}
/* The index of an INTID, or ~0u: there is no such LPI or SPI. */
unsigned vgic_index(const struct vgic *, uint32_t intid);
/* The bank of 32 that idx is in; NULL: not implemented. c: whose, for idx below 32. */
static inline struct vgic_bank *vgic_bank_at(struct vgic *g, struct vgic_cpu *c, unsigned idx)
{
    if (idx < 32)
        return &c->s.local;
    if (idx < VGIC_LPI)
        return idx - 32 < g->nspis ? &g->s.spi[index_nospec(idx - 32, g->nspis) / 32] : NULL;
    if (!g->lpi || idx - VGIC_LPI >= VGIC_LPIS)
        return NULL;
    return &g->lpi[index_nospec(idx - VGIC_LPI, VGIC_LPIS) / 32];
}
/* b NULL: not implemented. */
static inline struct vgic_irq vgic_irq_at(struct vgic *g, struct vgic_cpu *c, unsigned idx)
{
    return (struct vgic_irq){ vgic_bank_at(g, c, idx), 1u << (idx & 31), idx & 31 };
}
/*
 * Which of a bank's interrupts are pending outside the list registers: LINE of an edge-triggered
 * one does not count.
 */
static inline uint32_t vgic_bank_pending(const struct vgic_bank *b)
{
    return b->latch | (b->line & ~b->edge);
}
/*
 * Which of them shall be delivered, if their targets allow: those that are ready, when all is at
 * rest.
 */
static inline uint32_t vgic_bank_wanted(const struct vgic_bank *b)
{
    return b->enabled & ~b->active & vgic_bank_pending(b);
}
/* The same for each of a bank's interrupts. */
static inline void vgic_fill(uint16_t at[32], uint16_t v)
{
    for (unsigned n = 0; n < 32; n++)
        at[n] = v;
}
static inline void vgic_put_bit(uint32_t *word, uint32_t bit, bool on)
{
    *word = on ? *word | bit : *word & ~bit;
}
static inline bool vgic_is_sgi_v2(const struct vgic *g, unsigned idx)
{
    return g->version == 2 && idx < 16;
}

/* ---- vgic.c; under the lock unless stated ---- */
/*
 * After any change of an interrupt: puts it where it belongs and tells its home. c: whose, for idx
 * below 32.
 */
void vgic_update(struct vgic *, struct vgic_cpu *c, unsigned idx);
/* Where it goes now; NULL: nowhere. */
struct vgic_cpu *vgic_target(struct vgic *, struct vgic_cpu *c, struct vgic_irq, unsigned idx);
/* c's list registers are to be looked after: at once. */
void vgic_look(struct vgic_cpu *c);
/* No lock. Sets bits of c->raise; v2 SGI: from vCPU src. Any CPU. */
void vgic_raise(struct vgic_cpu *c, unsigned idx, unsigned src);
/* The same of anything but a v2 SGI. */
static inline void vgic_raise_bit(struct vgic_cpu *c, uint32_t bit)
{
    if (!(__atomic_fetch_or(&c->raise, bit, __ATOMIC_SEQ_CST) & bit))
        vcpu_request(c->v, REQ_IRQ);
}
/* What was raised becomes pending. */
void vgic_take_raised(struct vgic_cpu *);
void vgic_set_input(struct vgic *, struct vgic_cpu *c, unsigned idx, bool level);
void vgic_set_latch(struct vgic *, struct vgic_cpu *c, unsigned idx); /* an edge: MSI, LPI */
void vgic_clear_latch(struct vgic *, struct vgic_cpu *c, unsigned idx);
void vgic_set_active(struct vgic *, struct vgic_cpu *c, unsigned idx, bool on);
/* no lock: that of the vCPU whose exit this is; vCPU 0's if it is none */
struct vgic_cpu *vgic_this_cpu(const struct vgic *);

/* ---- vgic_lr.c ---- */
void vgic_set_ready(struct vgic_cpu *, unsigned idx, bool on);
/* While c's list registers are being filled: true, it is in one now. It is not ready. */
bool vgic_place_at_once(struct vgic_cpu *, struct vgic_irq, unsigned idx);
/* own CPU, servicing: these were just raised; returns those that it did not place */
uint32_t vgic_place_sgis(struct vgic_cpu *, uint32_t raised);
/* own CPU, lock held: the guest has ended what was in these (bits) */
void vgic_lr_ended(struct vgic_cpu *, uint32_t lrs);
/*
 * Own CPU, lock held: looks after the list registers, fills free ones with the best that is ready.
 */
void vgic_service(struct vgic_cpu *);
/*
 * Lock held: state bits (pending 1, active 2) of an interrupt that is in a list register of its
 * home.
 */
unsigned vgic_lr_state(struct vgic *, struct vgic_irq, unsigned idx);
/* of a v2 SGI pending there: bit of its source; else 0 */
uint8_t vgic_lr_source(struct vgic *, struct vgic_irq, unsigned idx);
/* lock held: it may have been taken since its CPU looked */
void vgic_lr_note(struct vgic *, struct vgic_irq, unsigned idx);
/* own CPU: a list register holds what the CPU interface would signal */
bool vgic_lr_wakes(struct vgic_cpu *);
/*
 * Lock held, vCPU parked: a list register of a saved state (INTID, source, state): into a free one,
 * else its state goes back to the interrupt.
 */
void vgic_lr_put_back(struct vgic_cpu *, uint64_t lr, bool was_pending);
/* own CPU, lock held: takes everything back */
void vgic_lr_reset(struct vgic_cpu *);
/* vCPUs whose list registers hold some of a bank's interrupts. */
struct vgic_holders {
    unsigned n;
    struct vcpu *vcpu[32];
};
/*
 * No lock held: waits until what is in the list registers of these vCPUs was read back at least
 * once.
 */
void vgic_settle(const struct vgic_holders *);

/* ---- vgic_bank.c: registers with a field per interrupt; take the lock themselves ---- */
enum vgic_bank_reg {
    BANK_GROUP,
    BANK_ENABLE_SET,
    BANK_ENABLE_CLEAR,
    BANK_PEND_SET,
    BANK_PEND_CLEAR,
    BANK_ACTIVE_SET,
    BANK_ACTIVE_CLEAR
};
/*
 * GICD_IGROUPR to GICD_ICACTIVER, and a redistributor's, one kind after the other in the order of
 * the enum.
 */
#define BANK_LEN 0x80u
static inline bool vgic_is_bank(uint32_t off, unsigned size)
{
    return off - BANK_LEN < 7 * BANK_LEN && size == 4 && !(off & 3);
}
static inline enum vgic_bank_reg vgic_bank_reg(uint32_t off)
{
    return (enum vgic_bank_reg)(off / BANK_LEN - 1);
}
static inline unsigned vgic_bank_first(uint32_t off) { return off % BANK_LEN * 8; }
uint32_t vgic_bank_read(struct vgic *, struct vgic_cpu *, enum vgic_bank_reg, unsigned first);
void vgic_bank_write(struct vgic *, struct vgic_cpu *, enum vgic_bank_reg, unsigned first,
                     uint32_t val);
/* n bytes */
uint32_t vgic_prio_read(struct vgic *, struct vgic_cpu *, unsigned first, unsigned n);
void vgic_prio_write(struct vgic *, struct vgic_cpu *, unsigned first, unsigned n, uint32_t val);
/* 16 fields of 2 bits */
uint32_t vgic_cfg_read(struct vgic *, struct vgic_cpu *, unsigned first);
void vgic_cfg_write(struct vgic *, struct vgic_cpu *, unsigned first, uint32_t val);

/* ---- register tables ---- */
/*
 * One kind of register: offsets first..last. arg is the kind's own. `wide`: 64-bit registers;
 * others are read and written as 32 bits.
 */
struct vgic_reg {
    uint32_t first, last;
    uint8_t sizes; /* accesses that it takes: 1 | 4 | 8 */
    uint8_t arg;
    uint64_t (*read)(struct vgic *, struct vgic_cpu *, const struct vgic_reg *, uint32_t off,
                     unsigned size);
    void (*write)(struct vgic *, struct vgic_cpu *, const struct vgic_reg *, uint32_t off,
                  unsigned size, uint64_t val);
};
/*
 * Finds off in a table sorted by offset. What is not there, or not of that size, reads as 0 and
 * ignores writes (GICv3 §12.1.3).
 */
uint64_t vgic_reg_read(const struct vgic_reg *, size_t n, struct vgic *, struct vgic_cpu *,
                       uint32_t off, unsigned size);
void vgic_reg_write(const struct vgic_reg *, size_t n, struct vgic *, struct vgic_cpu *,
                    uint32_t off, unsigned size, uint64_t val);
/* A 64-bit register accessed in halves: the part of `reg` at off; and what it becomes. */
uint64_t vgic_half(uint64_t reg, uint32_t off, unsigned size);
uint64_t vgic_merge(uint64_t reg, uint32_t off, unsigned size, uint64_t val);
#define VGIC_IIDR 0x0001043bu /* ProductID 0, variant 0, revision 1, implementer Arm */

/* ---- vgic_dist.c, vgic_redist.c, vgic_v2.c, its.c: io_ops, creation ---- */
int must_check vgic_dist_create(struct vgic *, const struct vgic_layout *);
int must_check vgic_redist_create(struct vgic *, const struct vgic_layout *);
int must_check vgic_v2_create(struct vgic *, const struct vgic_layout *);
void vgic_sgi_v3(struct vcpu *, uint32_t id, uint64_t val); /* ICC_SGI*R_EL1 */
int must_check its_create(struct vgic *, const struct vgic_layout *);
/* no lock: no command is processed any more */
void its_stop(struct vgic *);
/* no lock, CPU 0, all vCPUs parked: nothing is done until its_resume() */
void its_quiesce(struct vgic *);
void its_resume(struct vgic *);
/* A state that the guest's writes can make. */
bool must_check its_state_valid(const struct its_state *);
bool must_check vgic_redist_valid(const struct vgic *, const struct vgic_cpu_state *);
/* v3: what GICD_IROUTER says, as vgic_bank.route; ROUTE_NONE: no vCPU. */
uint16_t must_check vgic_route_of(const struct vgic *, uint64_t irouter);
int must_check its_msi(struct vgic *, uint32_t devid, uint32_t event);
/* GICR_CTLR.EnableLPIs changed: the pending table is read, or written back (GICv3 §5.1.2). */
void its_lpis_on(struct vgic *, struct vgic_cpu *);
void its_lpis_off(struct vgic *, struct vgic_cpu *);
/*
 * The lock held: reads what is left of the pending table, at most `most` pending LPIs. True: all is
 * read.
 */
bool its_read_pending(struct vgic *, struct vgic_cpu *, unsigned most);
/* Budgeted: true while commands remain. No lock held. */
bool its_process(struct vgic *, unsigned budget);

/* ---- vtimer.c ---- */
void vtimer_cpu_init(struct vgic_cpu *);
void vtimer_cpu_fini(struct vgic_cpu *);
void vtimer_cpu_reset(struct vgic_cpu *);
/* no lock, vCPU parked: no event of it runs until vtimer_cpu_resume() */
void vtimer_cpu_quiesce(struct vgic_cpu *);
/* the same, and the engine's registers and the guest's clock are there: events wait for both */
void vtimer_cpu_resume(struct vgic_cpu *);
/* own CPU: the virtual timer asserts its PPI */
bool vtimer_due(struct vgic_cpu *);
/* lock held: the PPI is no longer held for the guest */
void vtimer_drop(struct vgic_cpu *);
/* own CPU, lock held: after a drop by another CPU */
void vtimer_sync_phys(struct vgic_cpu *);
/* lock held; arms the event when it is too early */
bool ptimer_due(struct vgic_cpu *);
int must_check ptimer_access(struct vgic_cpu *, uint32_t id, bool write, uint64_t *val);
