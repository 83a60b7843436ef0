/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scheduler: shares CPUs among vCPUs by weight (virtual run time), honours pinning, wakes onto
 * an idle CPU, and lets a CPU take a vCPU that waits longer elsewhere. One run queue per CPU. Time
 * slices are 1.5 to 6 ms when vCPUs wait for the CPU.
 */
#pragma once
#include <hv/cpuset.h>
#include <hv/types.h>
struct vcpu;
struct vm;
struct sched_group;
#define CLASS_WORDS 5u
struct classes { /* a set of classes of vCPUs, see hv/vm/class.h */
    uint64_t w[CLASS_WORDS];
};
struct sched_entity { /* embedded in struct vcpu as `sched` */
    /* private to sched.c, as is all but the first three config fields below */
    /* steal_ns: runnable but waiting, for the PV steal clock */
    uint64_t vruntime, ran_ns, steal_ns;
    /* atomic: work done for it elsewhere; counts at the end of its next turn */
    uint64_t charged_ns;
    uint64_t since; /* when it began to run or to wait */
    uint64_t slice_start;
    uint64_t spun_ns; /* when it last gave its turn up, spinning; 0: it has done something since */
    struct cpuset affinity; /* config, read by sched_add(); empty means any */
    uint32_t weight;        /* config: 1..10000, default 100 */
    uint32_t cpu;           /* CPU whose queue holds it or that runs it */
    uint8_t state;          /* enum sched_state */
    uint8_t wake_pending;
    uint8_t yielded;
    uint8_t errand; /* enum sched_errand */
    uint16_t class; /* see hv/vm/class.h */
    struct sched_group *group;
    /* its place in the run queue (hv/vm/runtree.h), and the classes of all below it */
    struct vcpu *up, *left, *right;
    uint32_t rank;
    struct classes below;
    struct vcpu *errand_next, *errand_prev;
};
enum sched_state {
    SCHED_OFF,
    SCHED_BLOCKED,
    SCHED_WAKING /* between queues */,
    SCHED_QUEUED,
    SCHED_RUNNING
};

int must_check sched_init(void); /* boot CPU, before the others are up */
void sched_add(struct vcpu *);   /* starts BLOCKED */
/* waits while another CPU runs it: it must be about to leave (REQ_PARK). It may be freed then */
void sched_remove(struct vcpu *);
/* any CPU, any context: BLOCKED -> QUEUED; a wake before a block is not lost */
void sched_wake(struct vcpu *);
/*
 * As sched_wake(), by another vCPU of the same VM, which may wait for the answer: a vCPU that has
 * to wait for its CPU gets a short turn before the others (an errand), paid for with its share. It
 * is at most 20 ms ahead of its share then, and errands in a row take at most 0.4 ms.
 */
void sched_wake_urgent(struct vcpu *);
/* This CPU: next vCPU to run (state RUNNING), or NULL to idle. Accounts the previous one. */
struct vcpu *sched_pick(void);
/* This CPU: the vCPU just run goes back: still runnable, or blocked until sched_wake. */
void sched_put(struct vcpu *, bool runnable);
/*
 * This CPU, v running here and halted: false when somebody else may want the CPU. Else the CPU
 * counts as idle, v stays on it, and the caller sleeps until v has something to do or percpu.wake
 * is set; then it calls sched_doze_end().
 */
bool must_check sched_doze(struct vcpu *v);
void sched_doze_end(struct vcpu *v);
/* This CPU: v's guest spins or asked for it: on sched_put, those who wait go first. */
void sched_step_back(struct vcpu *);
/*
 * This CPU, v running here, whose guest spins: it waits for a lock, maybe. True: one of the same VM
 * that waits for this CPU goes on with v's slice, and the caller leaves the guest. Where there is
 * none, others that wait here go first if `anybody`. False: v had better go on.
 */
bool must_check sched_spins(struct vcpu *v, bool anybody);
/*
 * This CPU, `from` running here: it steps back, and `to` of the same VM takes its place in line if
 * it waits; on this CPU, it goes on with the slice. The caller then leaves the guest.
 */
void sched_yield_to(struct vcpu *from, struct vcpu *to);
/* This CPU, v running here: its slice is over and another waits. */
bool sched_should_yield(const struct vcpu *);
/* The same: time_ns() at which the slice ends, even if nobody could ever wait. */
uint64_t sched_slice_end(const struct vcpu *);
/* any CPU: ns on CPUs since sched_add(), a turn that has not ended included */
uint64_t sched_ran_ns(const struct vcpu *);
/*
 * Any CPU, any context: `ns` of work was done on v's behalf outside of its turns. It counts as v's
 * own at the end of v's turn, or when v wakes; then it owes at most 20 ms of it.
 */
void sched_charge(struct vcpu *v, uint64_t ns);
/*
 * This CPU, from an event: the least virtual run time of those who want it, in ns for a weight of
 * 100; it never falls.
 */
uint64_t sched_floor(void);
/* how much virtual run time that much time is; weight 0: the default */
uint64_t sched_virtual(uint32_t weight, uint64_t ns);
/* This CPU, from an event: vCPUs of another VM could run here now. */
bool must_check sched_others_want(const struct vm *);
/*
 * waiting; waiting or running; idle although vCPUs wait, because another VM has the core; which
 * core it is a thread of
 */
struct sched_stats {
    uint32_t queued, runnable;
    uint64_t forced_ns;
    uint32_t core;
    bool parked;
};
void sched_cpu_stats(uint32_t cpu, struct sched_stats *);
/*
 * How the threads of a core share it. OFF: all but the first of each core run no guests. CORE:
 * those of one core run vCPUs of one VM at a time, or none (Trivet itself may run beside a guest).
 * ON: they are CPUs like any others.
 */
enum sched_smt { SMT_AUTO, SMT_OFF, SMT_CORE, SMT_ON };
/* Boot CPU, all CPUs up, before the first sched_add(). Not SMT_AUTO. ON is what holds before. */
void sched_set_smt(enum sched_smt);
/*
 * Boot CPU, after the configuration and arch_mitigations_init(), before the first sched_add():
 * chooses, sets and logs.
 */
void sched_smt_choose(void);
const char *sched_smt_text(void); /* what was chosen, in words */
/* all CPUs up: two of them are threads of one core */
bool sched_has_threads(void);
/* every CPU ends here: events; pick; run until exit or slice end; repeat */
_Noreturn void cpu_loop(void);
