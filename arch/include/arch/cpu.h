/* SPDX-License-Identifier: BSD-2-Clause */
/* The CPU we run on. Implemented by exactly one ISA per image. */
#pragma once
#include <hv/types.h>
struct boot_info;
/*
 * Boot CPU, first of all: GDT and IDT or vectors, control registers, the clock's start, the
 * firmware's random bytes. Logging works. -ENOTSUP: the CPU lacks what Trivet needs; logged.
 */
int must_check arch_early_init(struct boot_info *);
/* Each further CPU, on itself, before it counts: control registers. -ENOTSUP as above. */
int must_check arch_cpu_init(void);
const char *arch_cpu_name(void); /* the brand, for people; lives for ever. Any CPU */
/* any CPU, all up: the same for CPUs that are threads of one core */
uint32_t arch_core_id(uint32_t cpu);
struct vm;
/*
 * Own CPU, which holds no guest's registers: code that was compiled for this VM may use all SIMD
 * registers from here on, until a vCPU of another engine is loaded.
 */
void arch_code_enter(const struct vm *);
void cpu_relax(void); /* in each round of a loop that spins: PAUSE, YIELD. Any context */
_Noreturn void cpu_halt_forever(void); /* this CPU, interrupts off */
/*
 * Any CPU, any context. By the firmware's way (ACPI, PSCI), then by the machine's older ones. If
 * none works, this CPU halts.
 */
_Noreturn void arch_reboot(void);
_Noreturn void arch_poweroff(void);
/*
 * Boot CPU, once: the engines are on, the configuration is read, no guest exists. Decides what is
 * done against attacks by speculation
 * ([host] mitigations), prepares it, and reports it by mitigations_set() (<hv/mitigations.h>).
 */
void arch_mitigations_init(void);
/*
 * Boot CPU, once, all CPUs up: from now on each looks by itself for errors that the machine has
 * corrected without a word, and logs them.
 */
void arch_errors_watch(void);
void arch_stop_others(void); /* panic: NMI */
/*
 * Words from the CPU's own generator (RDRAND, RNDR) or the firmware's (TRNG): how many of n came, 0
 * where there is none or it is not known yet. *name: which, for people. Any CPU, any context.
 */
uint32_t arch_entropy(uint64_t *words, uint32_t n, const char **name);
/* a return address as it lies on the stack -> where it leads (ARM64 signs them) */
uint64_t arch_code_address(uint64_t stored);
/* in order of preference, NULL-terminated */
extern const struct vcpu_ops *const arch_vcpu_backends[];
