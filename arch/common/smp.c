/* SPDX-License-Identifier: BSD-2-Clause */
/* smp.c: how the boot CPU and one that starts meet. How a CPU is woken is the ISA's matter. */
#include <arch/common.h>
#include <arch/cpu.h>
#include <arch/mmu.h>

#include <hv/assert.h>
#include <hv/time.h>

#define LOOK_NS 10000ull /* a look at the new CPU takes less: so many come after the time */

enum { AP_STARTING = 1, AP_UP, AP_GIVEN_UP, AP_GO };
static uint32_t state;

struct percpu *ap_prepare(void)
{
    static uint32_t stacks = 1; /* a CPU that was left out keeps its own */
    struct percpu *p = &percpus[cpu_count];
    void *stack = stacks < MAX_CPUS ? mmu_alloc_stack(stacks) : NULL;

    assert_cpu0();
    hv_assert(cpu_count < MAX_CPUS);
    if (!stack)
        return NULL;
    stacks++;
    *p = (struct percpu){ .self = p, .id = cpu_count, .stack_top = stack };
    return p;
}

void ap_expect(void)
{
    assert_cpu0();
    __atomic_store_n(&state, AP_STARTING, __ATOMIC_RELEASE);
}

/*
 * Not by the clock alone: when the whole machine stands for a while (SMM, an emulator that is held
 * up), the new CPU stands with it, and the clock goes on.
 */
bool ap_answered(uint64_t ns)
{
    uint64_t end = time_ns() + ns, looks = ns / LOOK_NS;

    assert_cpu0();
    while (__atomic_load_n(&state, __ATOMIC_ACQUIRE) != AP_UP) {
        if (time_ns() > end && looks-- == 0)
            return false;
        cpu_relax();
    }
    return true;
}

/* The one that comes first decides: the boot CPU, which has waited long enough, or the new one. */
static bool leave_starting(uint32_t to)
{
    uint32_t expected = AP_STARTING;

    return __atomic_compare_exchange_n(&state, &expected, to, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

bool ap_give_up(void)
{
    assert_cpu0();
    return leave_starting(AP_GIVEN_UP);
}

void ap_go(void)
{
    assert_cpu0();
    cpu_count++;
    __atomic_store_n(&state, AP_GO, __ATOMIC_RELEASE);
}

void ap_arrive(void)
{
    hv_assert(this_cpu()->id > 0);
    if (!leave_starting(AP_UP))
        cpu_halt_forever();
    while (__atomic_load_n(&state, __ATOMIC_ACQUIRE) == AP_UP)
        cpu_relax();
}
