/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to sched.c and turn.c: whose turn it is on a core of several threads. */
#pragma once
#include <hv/sched.h>
struct core;

/*
 * What a CPU of such a core tells the other threads, without a lock.
 */
struct own_line turn_claim {
    const struct sched_group *group; /* of the first vCPU that waits here, NULL without */
    uint64_t had;                    /* its virtual run time */
    uint64_t since;                  /* when it began to wait, ns */
    /* when the running one's slice was last said to end; UINT64_MAX: not yet */
    uint64_t armed;
    /* virtual run time of the one that runs here, UINT64_MAX without */
    uint64_t runs;
};
extern struct turn_claim turn_claims[MAX_CPUS];

/* of which queues a VM may get the core when it is free */
enum turn_claims { TURN_CORE, TURN_ALL };

/*
 * The core of each CPU; NULL: it is alone on its core, or its VMs need not have the core for
 * themselves.
 */
extern struct core *turn_core[MAX_CPUS];
/* fills turn_core, and `parked` with the CPUs that are to run no guests */
void turn_set(enum sched_smt, struct cpuset *parked);
bool turn_has_threads(uint32_t cpu);      /* its core has other CPUs, too */
bool turn_contended(const struct core *); /* another VM waits for the core */
uint64_t turn_end(const struct core *);   /* ns */
/*
 * The least virtual run time of all that wait or run on the core's threads, as far as it has ever
 * got. A CPU calls turn_advance() after its claim or `runs` has changed. A vCPU that was away is
 * never further behind than LAG_NS below it.
 */
uint64_t turn_floor(const struct core *);
void turn_advance(struct core *);
/*
 * CPU `me`, which runs nothing now: the VM whose vCPUs it may run; NULL: none. goes_on: it was
 * interrupted within its slice. *fresh: a turn has begun. The caller finds a vCPU of it, or leaves.
 * No queue's lock is held, here and below.
 */
const struct sched_group *turn_enter(struct core *, uint32_t me, bool goes_on, enum turn_claims,
                                     bool *fresh);
void turn_leave(struct core *, uint32_t me);
/* that would stay beyond the turn's end: they look again */
void turn_call_insiders(struct core *, uint32_t me);
/*
 * Those for whom vCPUs wait: the same. Not fresh: only if nobody is inside; who is inside calls
 * them when the turn ends.
 */
void turn_call_outsiders(struct core *, uint32_t me, bool fresh);
