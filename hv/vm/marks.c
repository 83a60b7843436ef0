/* SPDX-License-Identifier: BSD-2-Clause */
/* marks.c: see marks.h. */
#include <hv/percpu.h>

#include "marks.h"
#include "steps.h"

static bool one_group(void) { return cpu_count <= 64; }

static uint64_t members(const struct marks *m, uint32_t group)
{
    return __atomic_load_n(&m->group[group].cpus, __ATOMIC_SEQ_CST);
}

void marks_set(struct marks *m, uint32_t cpu)
{
    uint64_t group = 1ull << cpu / 64;

    note_step();
    __atomic_fetch_or(&m->group[cpu / 64].cpus, 1ull << (cpu & 63), __ATOMIC_SEQ_CST);
    if (!(__atomic_load_n(&m->groups, __ATOMIC_SEQ_CST) & group))
        __atomic_fetch_or(&m->groups, group, __ATOMIC_SEQ_CST);
}

void marks_clear(struct marks *m, uint32_t cpu)
{
    uint64_t bit = 1ull << (cpu & 63), group = 1ull << cpu / 64;
    uint64_t was = __atomic_fetch_and(&m->group[cpu / 64].cpus, ~bit, __ATOMIC_SEQ_CST);

    note_step();
    if (one_group() || was != bit)
        return;
    __atomic_fetch_and(&m->groups, ~group, __ATOMIC_SEQ_CST);
    if (members(m, cpu / 64))
        __atomic_fetch_or(&m->groups, group, __ATOMIC_SEQ_CST);
}

bool marks_any(const struct marks *m)
{
    note_step();
    return one_group() ? members(m, 0) : __atomic_load_n(&m->groups, __ATOMIC_SEQ_CST);
}

static uint32_t in_group(const struct marks *m, uint32_t group, uint32_t bit,
                         const struct cpuset *among)
{
    uint64_t w = members(m, group) & (among ? among->w[group] : UINT64_MAX), above;

    note_step();
    above = w & UINT64_MAX << bit;
    return w ? group * 64 + (uint32_t)__builtin_ctzll(above ? above : w) : MAX_CPUS;
}

uint32_t marks_next(const struct marks *m, uint32_t from, const struct cpuset *among)
{
    uint32_t home = from / 64, cpu = in_group(m, home, from & 63, among);
    uint64_t groups, above;

    if (cpu != MAX_CPUS || one_group())
        return cpu;
    groups = __atomic_load_n(&m->groups, __ATOMIC_SEQ_CST) & ~(1ull << home);
    while (groups) { /* above home, then below it */
        above = groups & UINT64_MAX << home;
        uint32_t group = (uint32_t)__builtin_ctzll(above ? above : groups);

        cpu = in_group(m, group, 0, among);
        if (cpu != MAX_CPUS)
            return cpu;
        groups &= ~(1ull << group);
    }
    return MAX_CPUS;
}
