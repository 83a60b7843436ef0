/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to the scheduler: vCPUs of one VM that may run on the same CPUs are of one class. A run
 * queue finds the first of a set of classes without looking at the others. All vCPUs of a guest are
 * of one class, so there are as many as guests.
 */
#pragma once
#include <hv/sched.h>
#define MAX_CLASSES (64 * CLASS_WORDS)
static_assert(MAX_VMS <= MAX_CLASSES - 64, "a class per guest, and some for the tests");

/*
 * A VM, for the scheduler. It is reused, but never freed: a pointer to it may be compared and read
 * when the VM is gone.
 */
struct sched_group {
    const struct vm *vm;
    uint32_t vcpus;
    struct classes classes; /* of which its vCPUs are; atomic words */
};

/*
 * The words of a struct classes that were ever in use: it only grows, before a vCPU of such a class
 * waits anywhere. The others are zero, and most machines need the first one alone.
 */
extern uint32_t class_words;
static inline unsigned classes_used(void)
{
    return __atomic_load_n(&class_words, __ATOMIC_RELAXED);
}

static inline bool classes_meet(const struct classes *a, const struct classes *b)
{
    unsigned used = classes_used();
    uint64_t common = 0;

    for (unsigned i = 0; i < used; i++)
        common |= a->w[i] & b->w[i];
    return common;
}

/* Any CPU. Those of which the group's vCPUs are now. */
static inline struct classes classes_of(const struct sched_group *group)
{
    struct classes c;

    for (unsigned i = 0; i < CLASS_WORDS; i++)
        c.w[i] = __atomic_load_n(&group->classes.w[i], __ATOMIC_RELAXED);
    return c;
}

/* Boot, and when parked CPUs change, with no vCPU added: nobody runs on `parked`. */
void class_init(const struct cpuset *parked);
/*
 * Any CPU: v joins the class of its VM and affinity, or leaves it. Sets v->sched.class, group,
 * which stay until class_leave(). In words of 64 CPUs and of all classes: once for each vCPU.
 */
void class_join(struct vcpu *v);
void class_leave(struct vcpu *v);
const struct cpuset *class_cpus(const struct vcpu *); /* where it may run: not empty */
/* Any CPU: the classes that may run on `cpu`; of `group` alone where that is not NULL. */
struct classes classes_for(uint32_t cpu, const struct sched_group *group);
bool class_is_of(const struct vcpu *, const struct sched_group *); /* NULL: any group */
