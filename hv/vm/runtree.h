/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to the scheduler: the vCPUs of a run queue in the order of their virtual run times, those
 * with equal times in the order in which they came. A treap: a search tree that random ranks keep
 * flat. Each node knows the classes of all below it, so that the first of some classes is found
 * without a walk. Every operation takes a number of steps logarithmic in the vCPUs that wait. The
 * queue's lock is held.
 */
#pragma once
#include "class.h"
struct vcpu;
struct runtree {
    struct vcpu *root, *first;
    uint32_t random; /* the last rank given out; anything at first */
};

extern const struct classes every_class;
void runtree_insert(struct runtree *, struct vcpu *);
void runtree_remove(struct runtree *, struct vcpu *);
struct vcpu *runtree_second(const struct runtree *); /* the next after the first; NULL: none */
/* the first of these classes; NULL: none */
struct vcpu *runtree_first_of(const struct runtree *, const struct classes *);
/* the next after v, of these classes */
struct vcpu *runtree_next_of(const struct vcpu *v, const struct classes *);
