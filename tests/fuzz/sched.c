/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scheduler under any order of wakes, blocks and steps on four CPUs: nobody runs twice or away
 * from its state, and in the end nobody who is awake is forgotten.
 */
#include "tests/unit/simsched.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void everybody_runs(void)
{
    uint64_t before[SIM_VCPUS];

    memcpy(before, sim_ran, sizeof(before));
    sim_run(1500);
    for (unsigned i = 0; i < sim_n; i++)
        if (sim[i].sched.state != SCHED_BLOCKED && sim_ran[i] == before[i])
            abort();
}

static void yield(uint32_t cpu, unsigned to)
{
    struct vcpu *v = on_cpu[cpu];

    host_cpu = cpu;
    if (v && (to & 12) == 12)
        (void)sched_spins(v, to & 1);
    else if (v && to & 8)
        sched_step_back(v);
    else if (v)
        sched_yield_to(v, &sim[to % sim_n]);
}

/*
 * Sleeps on its CPU while others run, and perhaps wakes somebody: who then waits for this CPU has
 * it told so.
 */
static void doze(uint32_t cpu, unsigned other)
{
    struct vcpu *v = on_cpu[cpu], *w = &sim[other % sim_n];

    host_cpu = cpu;
    if (!v || !sched_doze(v))
        return;
    percpus[cpu].wake = 0;
    host_cpu = (cpu + 1) % cpu_count;
    if (other & 8)
        sched_wake(w);
    if (w->sched.state == SCHED_QUEUED && w->sched.cpu == cpu && !percpus[cpu].wake)
        abort();
    host_now += STEP_NS * (other & 7);
    host_cpu = cpu;
    sched_doze_end(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    sim_start(1 + data[0] % 4);
    for (unsigned i = 0; i < 3u + data[1] % 8; i++)
        sim_add(50 + (data[1] * (i + 7)) % 400, (data[0] >> 2) * i & 15);
    /* Who is pinned to no CPU that is up may run anywhere: the checks want that plain. */
    for (unsigned i = 0; i < sim_n; i++)
        if (!(sim[i].sched.affinity.w[0] & ((1u << cpu_count) - 1)))
            sim[i].sched.affinity.w[0] = 0;
    for (data += 2, size -= 2; size; data++, size--) {
        switch (*data & 3) {
        case 0:
            host_cpu = (*data >> 2) % cpu_count;
            sched_wake(&sim[(*data >> 2) % sim_n]);
            break;
        case 1:
            if (*data & 0x80)
                doze((*data >> 2) % cpu_count, *data >> 3);
            else
                sim_block((*data >> 2) % cpu_count);
            break;
        case 2: sim_run(*data >> 4); break;
        default: yield((*data >> 2) % cpu_count, *data >> 4); break;
        }
    }
    everybody_runs();
    for (uint32_t c = 0; c < cpu_count; c++) {
        host_cpu = c;
        if (on_cpu[c])
            sched_put(on_cpu[c], true);
    }
    while (sim_n)
        sched_remove(&sim[--sim_n]);
    return 0;
}
