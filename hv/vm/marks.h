/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A set of CPUs that all CPUs read and write without a lock, in groups of 64: those that are idle,
 * those where vCPUs wait. Machines number the CPUs of a NUMA node one after the other, so that a
 * group lies within a node or spans whole ones; each group has a line of the caches to itself, and
 * a search begins in the group of its CPU.
 */
#pragma once
#include <hv/cpuset.h>
#include <hv/types.h>

struct own_line marks_group {
    uint64_t cpus;
};
struct own_line marks {
    /*
     * Bit per group that has members; where there is one group, or was: or that had some. While the
     * last member of a group leaves, one that has just joined may be overlooked for some
     * instructions.
     */
    uint64_t groups;
    struct marks_group group[CPUSET_WORDS];
};
static_assert(CPUSET_WORDS <= 64, "a bit per group");

/* In one order with all loads and stores of that kind: who sets, then looks elsewhere, is seen. */
void marks_set(struct marks *, uint32_t cpu);
void marks_clear(struct marks *, uint32_t cpu);
bool marks_any(const struct marks *);
/*
 * The first member that is in `among` (NULL: any CPU), at or above `from` in its group, else below
 * it there, else in the next groups in turn. MAX_CPUS: none.
 */
uint32_t marks_next(const struct marks *, uint32_t from, const struct cpuset *among);

static inline bool marks_has(const struct marks *m, uint32_t cpu)
{
    return __atomic_load_n(&m->group[cpu / 64].cpus, __ATOMIC_RELAXED) >> (cpu & 63) & 1;
}
