/* SPDX-License-Identifier: BSD-2-Clause */
#include <arch/cpu.h>
#include "arch/host/host.h"
#include <hv/event.h>
#include <hv/gmem.h>
#include <hv/percpu.h>
#include <sched.h>
#include <stdlib.h>

_Thread_local uint32_t host_cpu;
uint32_t host_threads = 1;

__attribute__((weak)) struct percpu *this_cpu(void) { return &percpus[host_cpu]; }
__attribute__((weak)) void arch_code_enter(const struct vm *vm) { (void)vm; }
__attribute__((weak)) uint32_t arch_core_id(uint32_t cpu) { return cpu / host_threads; }
__attribute__((weak)) void cpu_relax(void) { sched_yield(); }
__attribute__((weak)) _Noreturn void cpu_halt_forever(void) { abort(); }
__attribute__((weak)) _Noreturn void arch_reboot(void) { abort(); }
__attribute__((weak)) _Noreturn void arch_poweroff(void) { abort(); }
__attribute__((weak)) void arch_mitigations_init(void) {}
__attribute__((weak)) void arch_errors_watch(void) {}
__attribute__((weak)) void arch_stop_others(void) {}
__attribute__((weak)) void arch_sync_code(const void *from, uint64_t len) { (void)from, (void)len; }
__attribute__((weak)) const char *arch_cpu_name(void) { return "host"; }

/* The same in every run: Knuth's MMIX generator. */
__attribute__((weak)) uint32_t arch_entropy(uint64_t *words, uint32_t n, const char **name)
{
    static uint64_t seed = 1;

    for (uint32_t i = 0; i < n; i++)
        words[i] = seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    *name = "the test";
    return n;
}

/* No engine: a test of vcpu.c brings its own. */
__attribute__((weak)) const struct vcpu_ops *const arch_vcpu_backends[] = { NULL };
uint64_t arch_code_address(uint64_t stored) { return stored; }
