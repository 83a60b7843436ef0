/* SPDX-License-Identifier: BSD-2-Clause */
/* lock.c: ticket locks, and the check of their order. */
#include <arch/cpu.h>
#include <hv/assert.h>
#include <hv/lock.h>
#include <hv/panic.h>
#include <hv/percpu.h>

static bool bypassed;

void spin_init(struct spinlock *l, enum lock_level level)
{
    hv_assert(level >= LOCK_VM && level <= LOCK_SCREEN);
    *l = (struct spinlock)SPINLOCK_INIT(level);
}

/*
 * A lock of the same level counts as out of order too: two CPUs could take two such locks
 * crosswise.
 */
static void check_order(const struct spinlock *l)
{
    uint32_t held = this_cpu()->locks_held;

    if (held >> l->level)
        panic("lock of level %u taken while levels %#x are held", l->level, held);
}

static void lock_note_taken(struct spinlock *l)
{
    struct percpu *c = this_cpu();

    c->locks_held |= 1u << l->level;
    l->cpu = (uint16_t)c->id;
}

static void note_released(const struct spinlock *l)
{
    struct percpu *c = this_cpu();

    if (!(c->locks_held & 1u << l->level) || l->cpu != c->id)
        panic("lock of level %u released by CPU %u, which does not hold it", l->level, c->id);
    c->locks_held &= ~(1u << l->level);
}

/* Apart, so that a lock that is free costs no stack frame. */
static __attribute__((noinline)) void wait_for(struct spinlock *l, uint16_t ticket)
{
    while (__atomic_load_n(&l->owner, __ATOMIC_ACQUIRE) != ticket)
        cpu_relax();
}

void spin_lock(struct spinlock *l)
{
    if (bypassed)
        return;
    if (DEBUG_LOCKS)
        check_order(l);
    uint16_t ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);
    if (__builtin_expect(__atomic_load_n(&l->owner, __ATOMIC_ACQUIRE) != ticket, 0))
        wait_for(l, ticket);
    if (DEBUG_LOCKS)
        lock_note_taken(l);
}

void spin_unlock(struct spinlock *l)
{
    if (bypassed)
        return;
    if (DEBUG_LOCKS)
        note_released(l);
    __atomic_store_n(&l->owner, (uint16_t)(l->owner + 1), __ATOMIC_RELEASE);
}

bool spin_trylock(struct spinlock *l)
{
    uint16_t owner = __atomic_load_n(&l->owner, __ATOMIC_ACQUIRE), next = owner;

    if (bypassed)
        return true;
    if (DEBUG_LOCKS)
        check_order(l);
    if (!__atomic_compare_exchange_n(&l->next, &next, (uint16_t)(owner + 1), false,
                                     __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return false;
    if (DEBUG_LOCKS)
        lock_note_taken(l);
    return true;
}

void lock_assert_none(void)
{
    if (DEBUG_LOCKS && this_cpu()->locks_held)
        panic("a lock is still held: levels %#x", this_cpu()->locks_held);
}

void lock_assert_held(const struct spinlock *l)
{
    bool taken =
        __atomic_load_n(&l->next, __ATOMIC_RELAXED) != __atomic_load_n(&l->owner, __ATOMIC_RELAXED);
    const struct percpu *c = this_cpu();

    if (bypassed)
        return;
    if (!taken || (DEBUG_LOCKS && (!(c->locks_held >> l->level & 1) || l->cpu != c->id)))
        panic("a lock of level %u should be held here", l->level);
}

void locks_bypass(void) { bypassed = true; }
