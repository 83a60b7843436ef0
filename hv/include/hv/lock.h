/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Spin locks. Hypervisor code runs with interrupts disabled, so there is no irqsave form.
 * A CPU may only take a lock whose level is higher than the highest it holds; debug builds check
 * this and panic. No lock is held across vcpu_ops.run, blk_ops.submit or an event's function.
 */
#pragma once
#include <hv/types.h>

enum lock_level {
    LOCK_VM = 1,
    LOCK_IO_REGIONS,
    LOCK_DEVICE,
    LOCK_VINTC,
    LOCK_GMEM,
    LOCK_PT,
    LOCK_DRIVER,
    LOCK_DMA,        /* of addresses that a host driver's device must forget yet */
    LOCK_DMA_PT,     /* page tables of a host driver's device, within the driver's own lock */
    LOCK_IOMMU,      /* who has which device */
    LOCK_IOMMU_UNIT, /* a unit's queues and tables */
    LOCK_PORTS,      /* of PCI configuration, within a driver's own */
    LOCK_NET,        /* of a switch, of a queue of frames */
    LOCK_SCHED,
    LOCK_EVENT,
    LOCK_HEAP,
    LOCK_HOST_PT,
    LOCK_PMM,
    LOCK_LINES,   /* of what the host's lines show */
    LOCK_CONSOLE, /* of one console */
    LOCK_RANDOM,
    LOCK_LOG,
    LOCK_EARLY,  /* of where log lines go before there is a console */
    LOCK_SCREEN, /* of the text and pixels of the framebuffer */
};
/* A ticket lock: fair, so that no CPU starves. */
struct spinlock {
    uint16_t next, owner;
    uint16_t cpu; /* that has it, in debug builds */
    uint8_t level;
};
#define SPINLOCK_INIT(lvl)      \
    {                           \
        .level = (uint8_t)(lvl) \
    }

void spin_init(struct spinlock *, enum lock_level); /* before anybody knows of it */
/*
 * Any CPU; fair. Debug builds panic when this CPU holds a lock of the same level or a higher one,
 * or unlocks what it does not hold.
 */
void spin_lock(struct spinlock *);
void spin_unlock(struct spinlock *);
bool spin_trylock(struct spinlock *); /* false: somebody has it, or waits for it */
/*
 * From here on no lock is waited for or checked: for panic(), when the other CPUs have stopped.
 * Never undone.
 */
void locks_bypass(void);
/*
 * Panics (debug builds) unless this CPU holds no lock: called by the loop before a guest is
 * entered.
 */
void lock_assert_none(void);
/* Panics unless this CPU holds it; in release builds: unless somebody does. */
void lock_assert_held(const struct spinlock *);
