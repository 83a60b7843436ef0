/* SPDX-License-Identifier: BSD-2-Clause */
/* Machines of a few CPUs that run vCPUs by hv/vm/sched.c: each step is one millisecond. */
#pragma once
#include <hv/percpu.h>
#include <hv/sched.h>
#include <hv/vcpu.h>
#include <stdlib.h>
#include <string.h>

#include "arch/host/host.h"

#define SIM_VCPUS 160
#define STEP_NS 1000000ull

static struct vcpu sim[SIM_VCPUS];
static uint64_t sim_ran[SIM_VCPUS]; /* ms */
static unsigned sim_n;
static uint64_t sim_parked; /* CPUs that run no guests, whatever a vCPU is pinned to */
static struct vcpu *on_cpu[MAX_CPUS];
static struct vcpu sim_current; /* wakes come while a CPU is not in its loop's events */

void vcpu_unload_remote(struct vcpu *v)
{
    struct percpu *c = this_cpu();

    if (c->loaded != v)
        abort();
    c->loaded = NULL;
}

static void sim_start(uint32_t cpus)
{
    memset(sim, 0, sizeof(sim));
    memset(sim_ran, 0, sizeof(sim_ran));
    memset(on_cpu, 0, sizeof(on_cpu));
    sim_n = 0;
    host_init(cpus, 0);
    for (uint32_t c = 0; c < MAX_CPUS; c++) {
        percpus[c].loaded = NULL;
        percpus[c].current = &sim_current;
    }
}

static struct vcpu *sim_add_to(struct vm *vm, uint32_t weight, uint64_t affinity)
{
    struct vcpu *v = &sim[sim_n++];

    v->vm = vm;
    v->sched.weight = weight;
    v->sched.affinity.w[0] = affinity;
    sched_add(v);
    return v;
}

static __attribute__((unused)) struct vcpu *sim_add(uint32_t weight, uint64_t affinity)
{
    return sim_add_to(NULL, weight, affinity);
}

/* What is true at any time: nobody runs in two places, or away from where its state is. */
static void sim_check(struct vcpu *v, uint32_t cpu)
{
    for (uint32_t c = 0; c < cpu_count; c++)
        if (c != cpu && (on_cpu[c] == v || percpus[c].loaded == v))
            abort();
    if (v->sched.state != SCHED_RUNNING || v->sched.cpu != cpu)
        abort();
    if (v->sched.affinity.w[0] & ((1ull << cpu_count) - 1) & ~sim_parked &&
        !(v->sched.affinity.w[0] >> cpu & 1))
        abort();
}

static void sim_pick(uint32_t cpu)
{
    struct vcpu *v = sched_pick();

    on_cpu[cpu] = v;
    if (!v)
        return;
    sim_check(v, cpu);
    percpus[cpu].loaded = v;
}

static __attribute__((unused)) void sim_block(uint32_t cpu)
{
    host_cpu = cpu;
    if (on_cpu[cpu])
        sched_put(on_cpu[cpu], false);
    on_cpu[cpu] = NULL;
    sim_pick(cpu);
}

/* As cpu_loop() does: looks again when it was kicked, when the slice is over, or when it idles. */
static void sim_step(void)
{
    for (uint32_t c = 0; c < cpu_count; c++) {
        struct vcpu *v = on_cpu[c];

        host_cpu = c;
        if (v && !percpus[c].wake && !sched_should_yield(v))
            continue;
        if (!v && !percpus[c].wake)
            continue;
        percpus[c].wake = 0;
        if (v)
            sched_put(v, true);
        sim_pick(c);
    }
    host_now += STEP_NS;
    for (uint32_t c = 0; c < cpu_count; c++)
        if (on_cpu[c])
            sim_ran[on_cpu[c] - sim]++;
}

static __attribute__((unused)) void sim_run(unsigned ms)
{
    for (unsigned i = 0; i < ms; i++)
        sim_step();
}
