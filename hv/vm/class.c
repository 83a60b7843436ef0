/* SPDX-License-Identifier: BSD-2-Clause */
/* class.c: see class.h. */
#include <hv/assert.h>
#include <hv/lock.h>
#include <hv/percpu.h>
#include <hv/vcpu.h>
#include <string.h>

#include "class.h"

struct sched_class {
    struct sched_group *group;
    uint32_t vcpus; /* 0: free */
    struct cpuset cpus;
};

static struct spinlock lock = SPINLOCK_INIT(LOCK_SCHED); /* joining and leaving */
static struct sched_class table[MAX_CLASSES];
static struct sched_group group_table[MAX_CLASSES];
static struct classes may_run[MAX_CPUS]; /* atomic words */
static struct cpuset not_used;           /* CPUs that are parked */
uint32_t class_words = 1;

void class_init(const struct cpuset *parked)
{
    memset(table, 0, sizeof table);
    memset(group_table, 0, sizeof group_table);
    memset(may_run, 0, sizeof may_run);
    not_used = *parked;
}

static struct cpuset class_usable(void)
{
    struct cpuset s = { { 0 } };

    for (uint32_t i = 0; i < CPUSET_WORDS && i * 64 < cpu_count; i++) {
        uint32_t n = cpu_count - i * 64;

        s.w[i] = (n >= 64 ? UINT64_MAX : (1ull << n) - 1) & ~not_used.w[i];
    }
    return s;
}

/* Pinned to CPUs that did not come up, or that are parked: better anywhere than nowhere. */
static struct cpuset class_allowed(const struct cpuset *affinity)
{
    struct cpuset all = class_usable(), s;

    for (unsigned i = 0; i < CPUSET_WORDS; i++)
        s.w[i] = affinity->w[i] & all.w[i];
    return cpuset_is_empty(&s) ? all : s;
}

static struct sched_group *group_of(const struct vm *vm)
{
    struct sched_group *empty = NULL;

    for (unsigned i = 0; i < MAX_CLASSES; i++) {
        if (group_table[i].vcpus && group_table[i].vm == vm)
            return &group_table[i];
        if (!group_table[i].vcpus && !empty)
            empty = &group_table[i];
    }
    hv_assert(empty);
    empty->vm = vm;
    return empty;
}

static unsigned class_find(const struct sched_group *g, const struct cpuset *cpus)
{
    unsigned empty = MAX_CLASSES;

    for (unsigned i = 0; i < MAX_CLASSES; i++) {
        if (table[i].vcpus && table[i].group == g && cpuset_equal(&table[i].cpus, cpus))
            return i;
        if (!table[i].vcpus && empty == MAX_CLASSES)
            empty = i;
    }
    hv_assert(empty < MAX_CLASSES);
    return empty;
}

static void class_set_bit(struct classes *c, unsigned id, bool on)
{
    if (on)
        __atomic_fetch_or(&c->w[id / 64], 1ull << (id & 63), __ATOMIC_RELAXED);
    else
        __atomic_fetch_and(&c->w[id / 64], ~(1ull << (id & 63)), __ATOMIC_RELAXED);
}

static void tell_cpus(unsigned id, bool on)
{
    const struct cpuset *cpus = &table[id].cpus;

    for (uint32_t c = 0; (c = cpuset_next(cpus, c, cpu_count)) < MAX_CPUS; c++)
        class_set_bit(&may_run[c], id, on);
    class_set_bit(&table[id].group->classes, id, on);
}

void class_join(struct vcpu *v)
{
    struct cpuset cpus = class_allowed(&v->sched.affinity);

    spin_lock(&lock);
    struct sched_group *g = group_of(v->vm);
    unsigned id = class_find(g, &cpus);
    g->vcpus++;
    if (id / 64 >= class_words)
        __atomic_store_n(&class_words, id / 64 + 1, __ATOMIC_RELAXED);
    if (!table[id].vcpus++) {
        table[id].group = g;
        table[id].cpus = cpus;
        tell_cpus(id, true);
    }
    v->sched.class = (uint16_t)id;
    v->sched.group = g;
    spin_unlock(&lock);
}

void class_leave(struct vcpu *v)
{
    unsigned id = v->sched.class;

    spin_lock(&lock);
    hv_assert(id < MAX_CLASSES && table[id].vcpus && v->sched.group->vcpus);
    if (!--table[id].vcpus)
        tell_cpus(id, false);
    v->sched.group->vcpus--;
    spin_unlock(&lock);
}

const struct cpuset *class_cpus(const struct vcpu *v) { return &table[v->sched.class].cpus; }

struct classes classes_for(uint32_t cpu, const struct sched_group *group)
{
    struct classes c;

    for (unsigned i = 0; i < CLASS_WORDS; i++) {
        c.w[i] = __atomic_load_n(&may_run[cpu].w[i], __ATOMIC_RELAXED);
        if (group)
            c.w[i] &= __atomic_load_n(&group->classes.w[i], __ATOMIC_RELAXED);
    }
    return c;
}

bool class_is_of(const struct vcpu *v, const struct sched_group *group)
{
    return !group || v->sched.group == group;
}
