/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sched.c: who runs next. Virtual run times of all queues are on one scale, so that a CPU can
 * compare its own first with another CPU's first and take the one that has had least; a vCPU that
 * lags far behind (it slept, or it was pinned to a crowded CPU) is brought up to at most LAG_NS
 * behind those it joins.
 *
 * A vCPU whose FPU state a CPU still holds (percpu.loaded) never leaves that CPU's queue:
 * sched_pick() stores the state before the CPU turns to another vCPU, and from then on any CPU may
 * take it.
 */
#include <arch/cpu.h>
#include <hv/assert.h>
#include <hv/lock.h>
#include <hv/order.h>
#include <hv/panic.h>
#include <hv/percpu.h>
#include <hv/sched.h>
#include <hv/time.h>
#include <hv/vcpu.h>
#include <stdlib.h>
#include <string.h>

#include "queue.h"
#include "steps.h"
#include "turn.h"

#define SLICE_MAX_NS 6000000ull
#define SLICE_MIN_NS 1500000ull
/* with many waiting, slices shrink so that a round takes about this long */
#define ROUND_NS 12000000ull
/* nobody waits here: how often to look whether somebody waits elsewhere */
#define LONE_SLICE_NS 50000000ull
/* nobody could wait anywhere: a kick that was lost on its way is made up for */
#define LONGEST_NS 200000000ull
/* a woken vCPU must be this far behind the running one to take its CPU */
#define WAKE_EDGE_NS 1000000ull
/* what it pays for that: the two switches are in nobody's turn */
#define SWITCH_NS 10000ull
#define STEAL_EDGE_NS 10000000ull
/* enough for a guest to take an interrupt and to answer it */
#define ERRAND_NS 40000ull
/* errands in a row, before somebody has a turn again */
#define ERRANDS_NS 400000ull

struct sched_cpu queues[MAX_CPUS];
static own_line uint32_t entities; /* all vCPUs added */
static struct marks idle_cpus;     /* those that found nothing to run */
static struct cpuset parked_cpus;  /* those that run no guests */

int sched_init(void)
{
    assert_cpu0();
    entities = 0;
    memset(&idle_cpus, 0, sizeof idle_cpus);
    memset(&queues_waiting, 0, sizeof queues_waiting);
    turn_set(SMT_ON, &parked_cpus);
    class_init(&parked_cpus);
    for (uint32_t i = 0; i < MAX_CPUS; i++) {
        queues[i] = (struct sched_cpu){
            .nqueued = 0, .offered = i, .look = i, .look_far = i, .tree.random = i
        };
        spin_init(&queues[i].lock, LOCK_SCHED);
        queues[i].first_vruntime = UINT64_MAX;
    }
    return 0;
}

/* ---- which queue, and whether in it ---- */

struct sched_cpu *sched_lock_queue_of(struct vcpu *v)
{
    for (;;) {
        uint32_t cpu = __atomic_load_n(&v->sched.cpu, __ATOMIC_ACQUIRE);

        spin_lock(&queues[cpu].lock);
        if (__atomic_load_n(&v->sched.cpu, __ATOMIC_RELAXED) == cpu)
            return &queues[cpu];
        spin_unlock(&queues[cpu].lock);
    }
}

/*
 * With q's lock held. queue_woken() gives a vCPU another CPU under the lock of its new queue alone,
 * so that one found by sched_lock_queue_of() while it was WAKING may be queued elsewhere by now;
 * its CPU is written before its state. (steal_from() writes them the other way round, under the
 * lock of the old queue alone.)
 */
bool sched_is_in(const struct sched_cpu *q, const struct vcpu *v)
{
    debug_assert_held(&q->lock);
    return __atomic_load_n(&v->sched.state, __ATOMIC_ACQUIRE) == SCHED_QUEUED &&
           q == &queues[__atomic_load_n(&v->sched.cpu, __ATOMIC_RELAXED)];
}

/* Blocked or off: it stays so while its queue's lock is held. */
static bool is_still(const struct vcpu *v)
{
    uint8_t state = __atomic_load_n(&v->sched.state, __ATOMIC_ACQUIRE);

    return state == SCHED_BLOCKED || state == SCHED_OFF;
}

/* ---- adding, removing ---- */

static uint32_t load_of(uint32_t cpu)
{
    const struct sched_cpu *q = &queues[cpu];

    return __atomic_load_n(&q->nqueued, __ATOMIC_RELAXED) +
           (__atomic_load_n(&q->running, __ATOMIC_RELAXED) != NULL);
}

/* The next CPU that v may run on, at or above `from`, else from the first on. */
static uint32_t next_allowed(const struct cpuset *cpus, uint32_t from)
{
    uint32_t cpu = cpuset_next(cpus, from, cpu_count);

    return cpu < MAX_CPUS ? cpu : cpuset_next(cpus, 0, cpu_count);
}

/* Of a few that follow `first_choice`. */
static uint32_t least_loaded(const struct cpuset *cpus, uint32_t first_choice)
{
    uint32_t first = next_allowed(cpus, first_choice), best = first, cpu = first;
    uint32_t load = load_of(first);

    for (unsigned i = 1; i < LOOKS && load; i++) {
        cpu = next_allowed(cpus, cpu + 1);
        if (cpu == first)
            break; /* these were all */
        note_step();
        if (load_of(cpu) < load) {
            best = cpu;
            load = load_of(cpu);
        }
    }
    return best;
}

void sched_add(struct vcpu *v)
{
    struct sched_entity *se = &v->sched;
    uint32_t n = __atomic_fetch_add(&entities, 1, __ATOMIC_RELAXED);

    hv_assert(se->state == SCHED_OFF);
    hv_assert(cpu_count > 0);
    se->up = se->left = se->right = NULL;
    se->vruntime = se->ran_ns = se->steal_ns = 0;
    se->charged_ns = se->spun_ns = se->wake_pending = se->yielded = 0;
    se->errand = ERRAND_NONE;
    se->errand_next = se->errand_prev = NULL;
    class_join(v);
    if (!se->weight)
        se->weight = WEIGHT_UNIT;
    const struct cpuset *may = class_cpus(v);
    se->cpu = least_loaded(may, cpuset_nth(may, n % cpuset_count(may)));
    se->since = time_ns();
    se->state = SCHED_BLOCKED;
}

void sched_remove(struct vcpu *v)
{
    struct sched_cpu *q = sched_lock_queue_of(v);

    debug_assert(this_cpu()->locks_held >> LOCK_SCHED == 1);
    /*
     * One that parks tells so a moment before it has left its CPU; one that is being woken is in no
     * queue, or just now in another.
     */
    while (!sched_is_in(q, v) && !is_still(v)) {
        hv_assert(v->sched.state != SCHED_RUNNING || v->sched.cpu != this_cpu()->id);
        spin_unlock(&q->lock);
        cpu_relax();
        q = sched_lock_queue_of(v);
    }
    if (sched_is_in(q, v))
        queue_take_out(q, v);
    bool added = v->sched.state != SCHED_OFF;
    v->sched.state = SCHED_OFF;
    spin_unlock(&q->lock);
    if (!added)
        return;
    __atomic_fetch_sub(&entities, 1, __ATOMIC_RELAXED);
    class_leave(v);
}

/* ---- waking ---- */

/*
 * Where a blocked vCPU shall wait to run: where its state is, else where it was if that is idle,
 * else on an idle CPU, else where it was.
 */
static uint32_t sched_place(const struct vcpu *v)
{
    uint32_t was = v->sched.cpu;
    const struct cpuset *may = class_cpus(v);

    if (__atomic_load_n(&percpus[was].loaded, __ATOMIC_ACQUIRE) == v ||
        (marks_has(&idle_cpus, was) && cpuset_has(may, was)))
        return was;
    uint32_t idle = marks_next(&idle_cpus, was, may);
    return idle < MAX_CPUS ? idle : least_loaded(may, was);
}

/*
 * What the one has had that runs, or that was interrupted in its slice and is to go on; UINT64_MAX:
 * nobody is.
 */
static uint64_t had_by_running(const struct sched_cpu *q)
{
    const struct vcpu *r = running_in(q);

    if (!r)
        return q->prefer ? q->prefer->sched.vruntime : UINT64_MAX;
    uint64_t since = __atomic_load_n(&r->sched.since, __ATOMIC_RELAXED), now = time_ns();
    return had_of(&r->sched) + (now > since ? to_virtual(&r->sched, now - since) : 0);
}

/* Not when those before it would only run sooner. */
bool sched_preempt(struct sched_cpu *q, struct vcpu *v)
{
    uint64_t had = had_by_running(q);

    debug_assert_held(&q->lock);
    if (had != UINT64_MAX) {
        if (q->tree.first != v || v->sched.vruntime + WAKE_EDGE_NS >= had)
            return false;
        sched_charge(v, SWITCH_NS);
    }
    __atomic_store_n(&q->prefer, NULL, __ATOMIC_RELAXED);
    __atomic_store_n(&q->resched, true, __ATOMIC_RELAXED);
    return true;
}

/*
 * Somebody waits for `cpu`, which shall look. Where that is this CPU, and it runs events between
 * two guests, it picks next anyhow: a kick would take it out of the guest again before that has
 * run.
 */
static void sched_call(uint32_t cpu)
{
    const struct percpu *me = this_cpu();

    if (cpu != me->id || me->current)
        cpu_kick(cpu);
}

/* v is WAKING, so it is ours alone. */
static void queue_woken(struct vcpu *v, uint32_t cpu)
{
    struct sched_cpu *q = &queues[cpu];

    debug_assert(v->sched.state == SCHED_WAKING);
    debug_assert(cpu < cpu_count);
    spin_lock(&q->lock);
    queue_advance(q);
    queue_catch_up(q, &v->sched);
    v->sched.vruntime += to_virtual(&v->sched, take_charge(&v->sched));
    queue_clamp(q, &v->sched);
    __atomic_store_n(&v->sched.cpu, cpu, __ATOMIC_RELEASE);
    queue_add(q, v);
    bool first = q->nqueued == 1, now = sched_preempt(q, v);
    spin_unlock(&q->lock);
    if (marks_has(&idle_cpus, cpu))
        marks_clear(&idle_cpus, cpu);
    /* The first to wait also starts the clock of the running one's slice. */
    if (now || first)
        sched_call(cpu);
}

void sched_wake(struct vcpu *v)
{
    /* Either we see that it does not block, or sched_put() sees wake_pending. */
    __atomic_store_n(&v->sched.wake_pending, 1, __ATOMIC_RELEASE);
    store_before_load();
    if (__atomic_load_n(&v->sched.state, __ATOMIC_SEQ_CST) != SCHED_BLOCKED)
        return;
    struct sched_cpu *q = sched_lock_queue_of(v);
    bool ours = __atomic_load_n(&v->sched.state, __ATOMIC_RELAXED) == SCHED_BLOCKED;
    if (ours)
        /* in no list: other wakers leave it alone */
        __atomic_store_n(&v->sched.state, SCHED_WAKING, __ATOMIC_RELAXED);
    spin_unlock(&q->lock);
    if (ours)
        queue_woken(v, sched_place(v));
}

/*
 * Only for as long as it is not far ahead of its share: guests that send themselves interrupts all
 * the time get no more than others.
 */
static bool add_errand(struct sched_cpu *q, struct vcpu *v)
{
    if (!sched_is_in(q, v) || v->sched.errand != ERRAND_NONE ||
        v->sched.vruntime > queue_floor(q) + LAG_NS)
        return false;
    sched_charge(v, SWITCH_NS);
    queue_errand(q, v, false);
    return true;
}

void sched_wake_urgent(struct vcpu *v)
{
    sched_wake(v);
    if (__atomic_load_n(&v->sched.state, __ATOMIC_RELAXED) != SCHED_QUEUED)
        return;
    struct sched_cpu *q = sched_lock_queue_of(v);
    bool added = add_errand(q, v);
    spin_unlock(&q->lock);
    if (added)
        sched_call((uint32_t)(q - queues));
}

/* ---- running ---- */

static uint64_t slice_ns(const struct sched_cpu *q)
{
    uint32_t n = waiting_in(q);
    uint64_t ns = ROUND_NS / (n + 1);

    return n ? min_u64(SLICE_MAX_NS, max_u64(SLICE_MIN_NS, ns)) : LONE_SLICE_NS;
}

static uint64_t slice_end(uint32_t cpu, const struct vcpu *v)
{
    const struct sched_cpu *q = &queues[cpu];
    const struct core *core = turn_core[cpu];
    bool errand = v->sched.errand == ERRAND_RUNS;
    uint64_t end = v->sched.slice_start + (errand ? ERRAND_NS : slice_ns(q));

    if (core && turn_contended(core))
        return min_u64(end, turn_end(core));
    if (!errand && !waiting_in(q) && __atomic_load_n(&entities, __ATOMIC_RELAXED) <= cpu_count)
        return v->sched.slice_start + LONGEST_NS;
    return end;
}

/*
 * With core scheduling: either we see here that somebody waits for the core, or that thread sees an
 * `armed` beyond the turn's end, and kicks us.
 */
uint64_t sched_slice_end(const struct vcpu *v)
{
    uint32_t cpu = v->sched.cpu;
    uint64_t end = slice_end(cpu, v), *armed = &turn_claims[cpu].armed;

    debug_assert_on_cpu(v);
    if (!turn_core[cpu])
        return end;
    __atomic_store_n(armed, end, __ATOMIC_RELEASE);
    store_before_load();
    end = min_u64(end, slice_end(cpu, v));
    __atomic_store_n(armed, end, __ATOMIC_RELEASE);
    store_before_load();
    return end;
}

static bool errand_due(const struct sched_cpu *q)
{
    return __atomic_load_n(&q->errands, __ATOMIC_RELAXED) && q->errands_ns < ERRANDS_NS;
}

bool sched_should_yield(const struct vcpu *v)
{
    const struct sched_cpu *q = &queues[v->sched.cpu];

    debug_assert_on_cpu(v);
    if (__atomic_load_n(&q->resched, __ATOMIC_RELAXED) && waiting_in(q))
        return true;
    return time_ns() >= slice_end(v->sched.cpu, v);
}

static inline void account_to(struct percpu *c, struct sched_entity *se)
{
    uint64_t now = time_ns(), ran = now - se->since;

    set_relaxed(&se->ran_ns, se->ran_ns + ran);
    set_relaxed(&se->vruntime, se->vruntime + to_virtual(se, ran + take_charge(se)));
    set_relaxed(&se->since, now);
    set_relaxed(&c->guest_ns, c->guest_ns + ran);
}

void sched_account(struct vcpu *v) { account_to(this_cpu(), &v->sched); }

/* Another CPU may end the turn meanwhile: the sum is then late or early by one turn, once. */
uint64_t sched_ran_ns(const struct vcpu *v)
{
    const struct sched_entity *se = &v->sched;
    uint64_t ran = __atomic_load_n(&se->ran_ns, __ATOMIC_RELAXED),
             since = __atomic_load_n(&se->since, __ATOMIC_RELAXED), now = time_ns();
    bool running = __atomic_load_n(&queues[__atomic_load_n(&se->cpu, __ATOMIC_RELAXED)].running,
                                   __ATOMIC_RELAXED) == v;

    return running && now > since ? ran + now - since : ran;
}

void sched_charge(struct vcpu *v, uint64_t ns)
{
    __atomic_fetch_add(&v->sched.charged_ns, ns, __ATOMIC_RELAXED);
}

/*
 * A guest that waits for its own next interrupt mostly gets it before anybody else wants the CPU:
 * it need not go through the queue. Who is queued here from now on kicks this CPU, as does offer():
 * the bit in idle_cpus is set before the last look.
 */
bool sched_doze(struct vcpu *v)
{
    struct percpu *c = this_cpu();
    struct sched_cpu *q = &queues[c->id];

    debug_assert_on_cpu(v);
    debug_assert_no_locks();
    __atomic_store_n(&q->running, NULL, __ATOMIC_RELAXED);
    if (turn_core[c->id]) { /* who waits for the core kicks us */
        set_relaxed(&turn_claims[c->id].runs, UINT64_MAX);
        __atomic_store_n(&turn_claims[c->id].armed, UINT64_MAX, __ATOMIC_RELEASE);
        store_before_load();
    }
    marks_set(&idle_cpus, c->id);
    if (marks_any(&queues_waiting)) { /* here, or where this CPU could take it from */
        marks_clear(&idle_cpus, c->id);
        __atomic_store_n(&q->running, v, __ATOMIC_RELAXED);
        return false;
    }
    account_to(c, &v->sched);
    __atomic_store_n(&c->idle_since, v->sched.since, __ATOMIC_RELAXED);
    return true;
}

void sched_doze_end(struct vcpu *v)
{
    struct percpu *c = this_cpu();
    uint64_t now = time_ns();

    debug_assert_on_cpu(v);
    set_relaxed(&c->idle_ns, c->idle_ns + now - c->idle_since);
    __atomic_store_n(&c->idle_since, 0, __ATOMIC_RELAXED);
    v->sched.slice_start = now;
    set_relaxed(&v->sched.since, now);
    if (marks_has(&idle_cpus, c->id))
        marks_clear(&idle_cpus, c->id);
    __atomic_store_n(&queues[c->id].running, v, __ATOMIC_RELAXED);
}

/* v was left before its turn was over: it goes on before others. */
static void keep_turn(struct sched_cpu *q, struct vcpu *v, bool errand)
{
    if (errand)
        queue_errand(q, v, true);
    else
        q->prefer = v;
}

/* For those who choose the next one to yield to, and for whom this one has yielded to. */
static void note_spin(struct sched_cpu *q, struct sched_entity *se, bool errand)
{
    q->handed_ns = se->yielded && !errand && q->prefer ? se->since : 0;
    if (!se->yielded)
        se->spun_ns = 0;
    se->yielded = 0;
}

void sched_put(struct vcpu *v, bool runnable)
{
    struct sched_cpu *q = &queues[v->sched.cpu];
    struct sched_entity *se = &v->sched;

    debug_assert_on_cpu(v);
    debug_assert_no_locks();
    spin_lock(&q->lock);
    bool over = se->yielded || sched_should_yield(v), errand = se->errand == ERRAND_RUNS;
    sched_account(v);
    if (errand)
        q->errands_ns += se->since - se->slice_start;
    se->errand = ERRAND_NONE;
    queue_catch_up(q, se);
    __atomic_store_n(&q->running, NULL, __ATOMIC_RELAXED);
    if (!runnable) {
        __atomic_store_n(&se->state, SCHED_BLOCKED, __ATOMIC_RELEASE);
        store_before_load();
        runnable = __atomic_load_n(&se->wake_pending, __ATOMIC_SEQ_CST);
    }
    if (runnable) {
        /* Behind the first who waits: with equal times it would be picked again at once. */
        if (se->yielded && q->tree.first)
            se->vruntime = max_u64(se->vruntime, q->first_vruntime + 1);
        queue_add(q, v);
        if (!over)
            keep_turn(q, v, errand);
    }
    note_spin(q, se, errand);
    queue_advance(q);
    spin_unlock(&q->lock);
}

/* One that woke up and is due goes before any errand. Of a group: if it is one of the first. */
static struct vcpu *next_errand(const struct sched_cpu *q, const struct sched_group *group)
{
    struct vcpu *v = errand_due(q) && !q->resched ? q->errands : NULL;

    for (unsigned i = 0; v && !class_is_of(v, group); i++)
        v = i < LOOKS ? v->sched.errand_next : NULL;
    return v;
}

static struct vcpu *first_of(const struct sched_cpu *q, const struct sched_group *group)
{
    if (!group)
        return q->tree.first;
    struct classes c = classes_of(group);
    return runtree_first_of(&q->tree, &c);
}

/*
 * v goes on with the slice of one that yielded to it. As those two could do so all the time, they
 * pay for the switch: what was done in between for others is not more than that.
 */
static void pay_switch(const struct sched_cpu *q, struct vcpu *v)
{
    struct sched_entity *se = &v->sched;
    uint64_t ns = q->handed_ns ? min_u64(se->since - q->handed_ns, SWITCH_NS) : 0;

    se->steal_ns -= ns;
    set_relaxed(&se->since, se->since - ns);
}

static struct vcpu *pick_own(struct sched_cpu *q, const struct sched_group *group)
{
    bool goes_on = q->prefer && class_is_of(q->prefer, group);
    struct vcpu *v = next_errand(q, group);

    debug_assert_held(&q->lock);
    if (v) { /* `prefer` stays */
        queue_take_out(q, v);
        queue_start(v, false);
        v->sched.errand = ERRAND_RUNS;
        return v;
    }
    q->errands_ns = 0;
    if (!goes_on)
        queue_collect(q);
    v = goes_on ? q->prefer : first_of(q, group);
    __atomic_store_n(&q->prefer, NULL, __ATOMIC_RELAXED);
    if (!v)
        return NULL;
    queue_take_out(q, v);
    queue_start(v, goes_on);
    if (goes_on)
        pay_switch(q, v);
    return v;
}

/*
 * The state of the vCPU that ran last goes to memory unless it runs again; then it can run
 * anywhere.
 */
static void turn_to(struct vcpu *v)
{
    struct percpu *c = this_cpu();

    if (c->loaded && c->loaded != v)
        vcpu_unload_remote(c->loaded);
}

/*
 * v: taken from another queue, or NULL: the first here of that VM, if there is one. It runs here
 * now.
 */
static struct vcpu *set_running(struct sched_cpu *q, struct vcpu *v,
                                const struct sched_group *group)
{
    debug_assert(q == &queues[this_cpu()->id]);
    spin_lock(&q->lock);
    if (!v)
        v = pick_own(q, group);
    else
        queue_clamp(q, &v->sched);
    __atomic_store_n(&q->running, v, __ATOMIC_RELAXED);
    __atomic_store_n(&q->resched, false, __ATOMIC_RELAXED);
    queue_advance(q);
    spin_unlock(&q->lock);
    return v;
}

static struct vcpu *pick_any(struct sched_cpu *q, uint32_t me)
{
    bool goes_on = __atomic_load_n(&q->prefer, __ATOMIC_RELAXED) || errand_due(q);
    uint64_t own = goes_on ? 0 : __atomic_load_n(&q->first_vruntime, __ATOMIC_RELAXED);
    struct vcpu *v = NULL;

    if (own == UINT64_MAX)
        v = sched_steal(q, me, UINT64_MAX, NULL);
    else if (own > STEAL_EDGE_NS)
        v = sched_steal(q, me, own - STEAL_EDGE_NS, NULL);
    return set_running(q, v, NULL);
}

/* ---- cores of several threads ---- */

static void set_idle(struct sched_cpu *q)
{
    debug_assert(q == &queues[this_cpu()->id]);
    spin_lock(&q->lock);
    __atomic_store_n(&q->running, NULL, __ATOMIC_RELAXED);
    __atomic_store_n(&q->prefer, NULL, __ATOMIC_RELAXED);
    __atomic_store_n(&q->resched, false, __ATOMIC_RELAXED);
    spin_unlock(&q->lock);
}

static struct vcpu *take_of(struct sched_cpu *q, uint32_t me, const struct sched_group *group)
{
    struct vcpu *v = set_running(q, NULL, group);

    if (v)
        return v;
    v = sched_steal(q, me, UINT64_MAX, group);
    return v ? set_running(q, v, group) : NULL;
}

/*
 * The vCPU that is next may be pinned elsewhere or still be loaded there: then one of the core
 * comes next. If that one is in another thread's queue, that thread is called, and this one stays
 * idle until it has entered.
 */
static struct vcpu *pick_in_turn(struct core *k, struct sched_cpu *q, uint32_t me)
{
    bool goes_on = __atomic_load_n(&q->prefer, __ATOMIC_RELAXED), fresh = false;
    struct vcpu *v = NULL;

    for (int which = TURN_ALL; !v && which >= TURN_CORE; which--) {
        const struct sched_group *group =
            turn_enter(k, me, goes_on, (enum turn_claims)which, &fresh);

        if (!group)
            break;
        __atomic_store_n(&turn_claims[me].armed, UINT64_MAX, __ATOMIC_RELEASE);
        store_before_load();
        v = take_of(q, me, group);
        if (!v)
            turn_leave(k, me);
        goes_on = false;
    }
    if (!v) {
        set_idle(q);
        /* else a CPU that offers its work would be kicked in return, and offer it again */
        if (waiting_in(q))
            turn_call_insiders(k, me);
    }
    if (!v || fresh)
        turn_call_outsiders(k, me, fresh);
    return v;
}

/* Idle although vCPUs wait here. */
static void note_forced(struct sched_cpu *q, bool forced)
{
    uint64_t now = q->forced_since || forced ? time_ns() : 0;

    if (q->forced_since)
        set_relaxed(&q->forced_ns, q->forced_ns + now - q->forced_since);
    q->forced_since = forced ? now : 0;
}

static struct vcpu *pick(struct sched_cpu *q, uint32_t me)
{
    return turn_core[me] ? pick_in_turn(turn_core[me], q, me) : pick_any(q, me);
}

/*
 * A CPU that must not run what waits for it does not count as idle: it is called when the turn
 * passes.
 */
struct vcpu *sched_pick(void)
{
    uint32_t me = this_cpu()->id;
    struct sched_cpu *q = &queues[me];
    struct vcpu *v;

    debug_assert_no_locks();
    if (cpuset_has(&parked_cpus, me))
        return NULL;
    v = pick(q, me);
    if (!v && !(turn_core[me] && waiting_in(q)) && !marks_has(&idle_cpus, me)) {
        marks_set(&idle_cpus, me);
        v = pick(q, me); /* who came to wait before the bit was seen */
    }
    bool forced = !v && turn_core[me] && waiting_in(q);
    if (turn_core[me])
        note_forced(q, forced);
    if ((v || forced) && marks_has(&idle_cpus, me))
        marks_clear(&idle_cpus, me);
    if (!v)
        return NULL;
    turn_to(v);
    sched_offer(q, me, &idle_cpus);
    return v;
}

void sched_set_smt(enum sched_smt smt)
{
    assert_cpu0();
    hv_assert(entities == 0);
    turn_set(smt, &parked_cpus);
    class_init(&parked_cpus);
}

uint64_t sched_floor(void) { return queue_floor(&queues[this_cpu()->id]); }

/* Those of another VM that wait for their turn on a core cannot. */
bool sched_others_want(const struct vm *vm)
{
    struct sched_cpu *q = &queues[this_cpu()->id];
    const struct vcpu *v;

    if (q->forced_since || !waiting_in(q))
        return false;
    spin_lock(&q->lock);
    v = q->tree.first;
    if (v && v->vm == vm) {
        struct classes others = classes_of(v->sched.group);

        for (unsigned i = 0; i < CLASS_WORDS; i++)
            others.w[i] = ~others.w[i];
        v = runtree_first_of(&q->tree, &others);
    }
    spin_unlock(&q->lock);
    return v;
}

void sched_cpu_stats(uint32_t cpu, struct sched_stats *s)
{
    hv_assert(cpu < cpu_count && s);
    s->queued = __atomic_load_n(&queues[cpu].nqueued, __ATOMIC_RELAXED);
    s->runnable = load_of(cpu);
    s->forced_ns = __atomic_load_n(&queues[cpu].forced_ns, __ATOMIC_RELAXED);
    s->parked = cpuset_has(&parked_cpus, cpu);
    s->core = arch_core_id(cpu);
}
