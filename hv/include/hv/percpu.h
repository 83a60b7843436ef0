/* SPDX-License-Identifier: BSD-2-Clause */
/* What each host CPU has of its own. this_cpu() is valid from the first C line on each CPU. */
#pragma once
#include <hv/event.h>
#include <hv/stretch.h>
#include <hv/types.h>

struct vcpu;
struct view;
/* IN_GUEST: anywhere within vcpu_run() */
enum cpu_where { CPU_IN_LOOP, CPU_IN_GUEST, CPU_ASLEEP };
struct own_line percpu {
    struct percpu *self;  /* offset 0: x86_64 reads it through GS */
    void *arch;           /* owned by arch/; offset 8: aarch64's entry code reads it */
    uint32_t id;          /* 0..cpu_count-1; 0 is the boot CPU */
    uint32_t hw_id;       /* APIC ID, or MPIDR affinity */
    void *stack_top;      /* this CPU's only stack; a guard page lies below it */
    struct vcpu *current; /* the vCPU this CPU is running or has just left; NULL when idle */
    /* the vCPU whose FPU and machine state this CPU still holds; NULL: none */
    struct vcpu *loaded;
    const struct view *view; /* the guest whose RAM this CPU reaches (view.h); NULL: none's */
    volatile uint32_t wake;  /* work waits (events, reschedule): leave the guest's inner loop */
    /* enum cpu_where, written by this CPU: whether a kick needs an interrupt */
    uint32_t where;
    struct event_queue events;
    uint32_t locks_held;        /* bit per lock level (debug builds) */
    uint64_t idle_ns, guest_ns; /* time accounting since boot */
    uint64_t idle_since;        /* time_ns() when it went to sleep; 0: awake */
    struct stretches stretches; /* written by this CPU */
};
extern struct percpu percpus[MAX_CPUS];
extern uint32_t cpu_most;  /* no more CPUs than these are started */
extern uint32_t cpu_count; /* CPUs that are up; grows only during boot */
static_assert(offsetof(struct percpu, self) == 0, "this_cpu() reads GS:0");
struct percpu *this_cpu(void);   /* implemented by arch/ */
const char *host_cpu_name(void); /* as the CPU calls itself; lives for ever */
/*
 * Any CPU, any context: makes `cpu` leave its guest or its idle sleep soon and look at its events
 * and run queue.
 */
void cpu_kick(uint32_t cpu);
