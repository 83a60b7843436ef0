/* SPDX-License-Identifier: BSD-2-Clause */
/* runtree.c: see runtree.h. */
#include <hv/assert.h>
#include <hv/vcpu.h>

#include "runtree.h"
#include "steps.h"

const struct classes every_class = { { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX,
                                       UINT64_MAX } };
static_assert(CLASS_WORDS == 5, "every class");

static bool has_of(const struct vcpu *v, const struct classes *c)
{
    note_step();
    return v && classes_meet(&v->sched.below, c);
}

static bool is_one_of(const struct vcpu *v, const struct classes *c)
{
    unsigned id = v->sched.class;

    return c->w[id / 64] >> (id & 63) & 1;
}

/* The classes in word i of those below v, and its own. */
static uint64_t known_from(const struct vcpu *v, unsigned i)
{
    const struct vcpu *l = v->sched.left, *r = v->sched.right;
    uint64_t w = v->sched.class / 64 == i ? 1ull << (v->sched.class & 63) : 0;

    return w | (l ? l->sched.below.w[i] : 0) | (r ? r->sched.below.w[i] : 0);
}

/* True: what it knows of those below has changed. */
static bool learn(struct vcpu *v)
{
    unsigned used = classes_used();
    uint64_t changed = 0;

    note_step();
    for (unsigned i = 0; i < used; i++) {
        uint64_t w = known_from(v, i);

        changed |= w ^ v->sched.below.w[i];
        v->sched.below.w[i] = w;
    }
    return changed;
}

/* One of that class has come below v, or is v. True: v did not know of any. */
static bool learn_class(struct vcpu *v, unsigned id)
{
    uint64_t *w = &v->sched.below.w[id / 64], bit = 1ull << (id & 63);

    note_step();
    if (*w & bit)
        return false;
    *w |= bit;
    return true;
}

/* In the place of `old`, below `up`, comes v (NULL: nobody). */
static void runtree_replace(struct runtree *t, struct vcpu *up, const struct vcpu *old,
                            struct vcpu *v)
{
    if (!up)
        t->root = v;
    else if (up->sched.left == old)
        up->sched.left = v;
    else
        up->sched.right = v;
    if (v)
        v->sched.up = up;
}

/*
 * v and the one above it change places. What v knows is right then; the other must learn() again.
 */
static struct vcpu *rotate_up(struct runtree *t, struct vcpu *v)
{
    struct vcpu *up = v->sched.up, *between;

    runtree_replace(t, up->sched.up, up, v);
    if (up->sched.left == v) {
        between = v->sched.right;
        up->sched.left = between;
        v->sched.right = up;
    } else {
        between = v->sched.left;
        up->sched.right = between;
        v->sched.left = up;
    }
    if (between)
        between->sched.up = up;
    up->sched.up = v;
    v->sched.below = up->sched.below;
    return up;
}

/* xorshift: ranks need be no secret, only no guest's choice. */
static uint32_t runtree_draw(struct runtree *t)
{
    uint32_t x = t->random ? t->random : 2463534242u;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    t->random = x;
    return x;
}

static void hang_in(struct runtree *t, struct vcpu *v)
{
    struct vcpu *up = NULL, *at = t->root;
    bool left = false;

    while (at) {
        note_step();
        up = at;
        left = v->sched.vruntime < at->sched.vruntime;
        at = left ? at->sched.left : at->sched.right;
    }
    v->sched.up = up;
    if (!up)
        t->root = v;
    else if (left)
        up->sched.left = v;
    else
        up->sched.right = v;
}

void runtree_insert(struct runtree *t, struct vcpu *v)
{
    unsigned id = v->sched.class;

    v->sched.left = v->sched.right = NULL;
    v->sched.rank = runtree_draw(t);
    v->sched.below = (struct classes){ { 0 } };
    hang_in(t, v);
    for (struct vcpu *at = v; at && learn_class(at, id); at = at->sched.up)
        ;
    while (v->sched.up && v->sched.up->sched.rank < v->sched.rank)
        (void)learn(rotate_up(t, v));
    if (!t->first || v->sched.vruntime < t->first->sched.vruntime)
        t->first = v;
}

struct vcpu *runtree_second(const struct runtree *t)
{
    struct vcpu *v = t->first ? t->first->sched.right : NULL;

    if (!v)
        return t->first ? t->first->sched.up : NULL;
    for (; v->sched.left; v = v->sched.left)
        note_step();
    return v;
}

/* It goes down, and need learn nothing, until there is nobody below it on one side at least. */
static struct vcpu *runtree_sink(struct runtree *t, struct vcpu *v)
{
    while (v->sched.left && v->sched.right) {
        struct vcpu *l = v->sched.left, *r = v->sched.right;

        note_step();
        (void)rotate_up(t, l->sched.rank > r->sched.rank ? l : r);
    }
    return v->sched.left ? v->sched.left : v->sched.right;
}

void runtree_remove(struct runtree *t, struct vcpu *v)
{
    struct vcpu *up, *below;

    if (t->first == v)
        t->first = runtree_second(t);
    below = runtree_sink(t, v);
    up = v->sched.up;
    runtree_replace(t, up, v, below);
    v->sched.up = NULL;
    while (up && learn(up))
        up = up->sched.up;
}

static struct vcpu *first_below(struct vcpu *v, const struct classes *c)
{
    while (v) {
        if (has_of(v->sched.left, c))
            v = v->sched.left;
        else if (is_one_of(v, c))
            return v;
        else
            v = v->sched.right;
    }
    return NULL;
}

struct vcpu *runtree_first_of(const struct runtree *t, const struct classes *c)
{
    return has_of(t->root, c) ? first_below(t->root, c) : NULL;
}

struct vcpu *runtree_next_of(const struct vcpu *v, const struct classes *c)
{
    if (has_of(v->sched.right, c))
        return first_below(v->sched.right, c);
    for (struct vcpu *up = v->sched.up; up; v = up, up = up->sched.up) {
        note_step();
        if (v != up->sched.left)
            continue;
        if (is_one_of(up, c))
            return up;
        if (has_of(up->sched.right, c))
            return first_below(up->sched.right, c);
    }
    return NULL;
}
