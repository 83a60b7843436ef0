/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scheduler on machines of up to 1,024 CPUs in nodes of 64, with 4 vCPUs for each CPU:
 * everybody gets his share, who wakes up runs soon, and each operation takes a number of steps
 * (nodes of a tree, words of a set, queues looked at) that grows as the logarithm of the machine.
 * The sources are included, so that they count their steps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#define COUNT_STEPS 1
#include "hv/vm/class.c"
#include "hv/vm/marks.c"
#include "hv/vm/queue.c"
#include "hv/vm/runtree.c"
#include "hv/vm/sched.c"
#include "hv/vm/sched_steal.c"
#include "hv/vm/sched_yield.c"
#include "hv/vm/turn.c"

#include <hv/vm.h>

#include "arch/host/host.h"

#define MOST 4096u
#define PER_VM 16u
#define STEP_NS 1000000ull
#define WAIT_MAX 32u

uint64_t sched_steps;
static struct vcpu all[MOST];
static struct vm vms[MOST / PER_VM];
static struct vcpu *runs[MAX_CPUS];
static uint64_t had[MOST], asleep_until[MOST], woke_at[MOST], waits[WAIT_MAX + 1];
static unsigned n;

struct cost {
    uint64_t sum, most, times;
};
static struct cost of_wake, of_pick, of_put, of_spin;

void vcpu_unload_remote(struct vcpu *v)
{
    assert_ptr_equal(this_cpu()->loaded, v);
    this_cpu()->loaded = NULL;
}

static void add_cost(struct cost *c, uint64_t from)
{
    uint64_t steps = sched_steps - from;

    c->sum += steps;
    c->most = max_u64(c->most, steps);
    c->times++;
}

static double mean(const struct cost *c)
{
    return c->times ? (double)c->sum / (double)c->times : 0;
}

static unsigned log2_of(unsigned x) { return 31u - (unsigned)__builtin_clz(x); }

static void begin(uint32_t cpus)
{
    memset(all, 0, sizeof all);
    memset(runs, 0, sizeof runs);
    memset(waits, 0, sizeof waits);
    memset(asleep_until, 0, sizeof asleep_until);
    of_wake = of_pick = of_put = (struct cost){ 0, 0, 0 };
    n = 0;
    host_init(cpus, 0);
    for (uint32_t c = 0; c < cpus; c++) {
        percpus[c].loaded = NULL;
        percpus[c].current = &all[0]; /* wakes come while a CPU is not in its loop's events */
    }
}

/* Its VM's vCPUs are on any CPU, or on those of one node of 64 CPUs. */
static void add(uint32_t node, bool pinned)
{
    struct vcpu *v = &all[n];

    v->vm = &vms[n / PER_VM];
    if (pinned)
        v->sched.affinity.w[node] = UINT64_MAX;
    n++;
    sched_add(v);
    sched_wake(v);
}

static void finish(void)
{
    for (host_cpu = 0; host_cpu < cpu_count; host_cpu++)
        if (runs[host_cpu])
            sched_put(runs[host_cpu], false);
    host_cpu = 0;
    while (n)
        sched_remove(&all[--n]);
}

static void pick_on(uint32_t cpu)
{
    uint64_t from = sched_steps;
    struct vcpu *v = sched_pick();
    unsigned i = (unsigned)(v - all);

    add_cost(&of_pick, from);
    runs[cpu] = v;
    if (!v)
        return;
    assert_true(cpuset_has(class_cpus(v), cpu));
    percpus[cpu].loaded = v;
    if (woke_at[i]) {
        waits[min_u64((host_now - woke_at[i]) / STEP_NS, WAIT_MAX)]++;
        woke_at[i] = 0;
    }
}

static void put_on(uint32_t cpu, bool runnable)
{
    uint64_t from = sched_steps;

    sched_put(runs[cpu], runnable);
    add_cost(&of_put, from);
    runs[cpu] = NULL;
}

/* Of each VM's 16, four sleep for 9 ms after each millisecond. */
static bool is_sleeper(const struct vcpu *v) { return (v - all) % PER_VM % 4 == 3; }

static void look(uint32_t cpu)
{
    struct vcpu *v = runs[cpu];
    bool sleeps = v && is_sleeper(v);

    host_cpu = cpu;
    if (sleeps)
        asleep_until[v - all] = host_now + 9 * STEP_NS;
    if (!sleeps && !percpus[cpu].wake && (!v || !sched_should_yield(v)))
        return;
    percpus[cpu].wake = 0;
    if (v)
        put_on(cpu, !sleeps);
    pick_on(cpu);
}

static void wake_sleepers(void)
{
    for (unsigned i = 3; i < n; i += 4) {
        uint64_t from = sched_steps;

        if (!asleep_until[i] || asleep_until[i] > host_now)
            continue;
        asleep_until[i] = 0;
        woke_at[i] = host_now;
        host_cpu = i % cpu_count;
        sched_wake(&all[i]);
        add_cost(&of_wake, from);
    }
}

static void run_ms(unsigned ms)
{
    while (ms--) {
        wake_sleepers();
        for (uint32_t c = 0; c < cpu_count; c++)
            look(c);
        host_now += STEP_NS;
    }
}

static unsigned wait_of(unsigned percent)
{
    uint64_t sum = 0, seen = 0;
    unsigned ms = 0;

    for (unsigned i = 0; i <= WAIT_MAX; i++)
        sum += waits[i];
    while (ms < WAIT_MAX && (seen += waits[ms]) * 100 < sum * percent)
        ms++;
    return ms;
}

/* The least and the most that those had who always want to run, in percent of the mean. */
static void shares(unsigned *least_of, unsigned *most_of)
{
    uint64_t sum = 0, low = UINT64_MAX, high = 0, hogs = 0;

    for (unsigned i = 0; i < n; i++) {
        uint64_t ran = sched_ran_ns(&all[i]) - had[i];

        if (is_sleeper(&all[i]))
            continue;
        sum += ran;
        low = min_u64(low, ran);
        high = max_u64(high, ran);
        hogs++;
    }
    *least_of = (unsigned)(low * 100 * hogs / sum);
    *most_of = (unsigned)(high * 100 * hogs / sum);
}

/* Half of the VMs are pinned to a node where the machine has several. */
static void test_machines(void **state)
{
    static const uint32_t machines[] = { 4, 16, 64, 256, 1024 };

    (void)state;
    printf("CPUs  vCPUs   steps of a wake, pick, put (most)             "
           "ms to run: p50 p99   share %%\n");
    for (unsigned m = 0; m < ARRAY_SIZE(machines); m++) {
        uint32_t cpus = machines[m], nodes = (cpus + 63) / 64;
        unsigned low, high, bound = 24 + 4 * log2_of(4 * cpus);

        begin(cpus);
        for (unsigned i = 0; i < 4 * cpus; i++)
            add(i / PER_VM % nodes, nodes > 1 && i / PER_VM / nodes % 2);
        run_ms(300); /* they spread, and have a claim */
        memset(waits, 0, sizeof waits);
        for (unsigned i = 0; i < n; i++)
            had[i] = sched_ran_ns(&all[i]);
        run_ms(3000);
        shares(&low, &high);
        printf("%4u  %5u   %5.1f (%3u)  %5.1f (%3u)  %5.1f (%3u)          %2u  %2u   %3u-%3u\n",
               cpus, n, mean(&of_wake), (unsigned)of_wake.most, mean(&of_pick),
               (unsigned)of_pick.most, mean(&of_put), (unsigned)of_put.most, wait_of(50),
               wait_of(99), low, high);
        assert_in_range(of_wake.most, 1, bound);
        assert_in_range(of_pick.most, 1, bound);
        assert_in_range(of_put.most, 1, bound);
        assert_in_range(low, 90, 100);
        assert_in_range(high, 100, 112);
        assert_true(wait_of(50) <= 1 && wait_of(99) <= 3);
        finish();
    }
}

/* Who runs on the one CPU spins, as does who runs then, and so on. */
static void spin_often(void)
{
    host_cpu = 0;
    of_spin = (struct cost){ 0 };
    for (unsigned i = 0; i < 500; i++) {
        uint64_t from = sched_steps;
        bool leaves = sched_spins(runs[0], true);

        add_cost(&of_spin, from);
        assert_true(leaves);
        host_now += 10000;
        put_on(0, true);
        pick_on(0);
    }
}

/* All wait for one CPU: the steps of a queue. */
static void test_one_queue(void **state)
{
    (void)state;
    printf("waiting   steps of a wake, pick, put, spin (most)\n");
    for (unsigned waiting = 16; waiting <= MOST; waiting *= 4) {
        begin(1);
        for (unsigned i = 0; i < waiting; i++)
            add(0, false);
        run_ms(600);
        spin_often();
        printf("%7u   %5.1f (%3u)  %5.1f (%3u)  %5.1f (%3u)  %5.1f (%3u)\n", waiting,
               mean(&of_wake), (unsigned)of_wake.most, mean(&of_pick), (unsigned)of_pick.most,
               mean(&of_put), (unsigned)of_put.most, mean(&of_spin), (unsigned)of_spin.most);
        assert_in_range(of_wake.most, 1, 40 + 4 * log2_of(waiting));
        assert_in_range(of_pick.most, 1, 40 + 4 * log2_of(waiting));
        assert_in_range(of_put.most, 1, 40 + 4 * log2_of(waiting));
        assert_in_range(of_spin.most, 1, 40 + 8 * log2_of(waiting));
        finish();
    }
}

/* Every queue but one has only vCPUs pinned to its CPU: who is idle is called for the others. */
static void test_work_among_the_pinned(void **state)
{
    (void)state;
    begin(256);
    for (unsigned i = 0; i < 510; i++) {
        all[n].vm = &vms[n / PER_VM % 16];
        cpuset_add(&all[n].sched.affinity, i / 2);
        n++;
        sched_add(&all[n - 1]);
        sched_wake(&all[n - 1]);
    }
    for (unsigned i = 0; i < 8; i++) { /* on any CPU: one gets the idle one, the others wait */
        all[n].vm = &vms[200];
        n++;
        sched_add(&all[n - 1]);
        sched_wake(&all[n - 1]);
    }
    run_ms(50);
    for (unsigned i = 0; i < 3; i++) { /* who runs there blocks: another comes */
        host_cpu = 255;
        if (runs[255])
            put_on(255, false);
        pick_on(255);
        run_ms(20);
        assert_non_null(runs[255]);
    }
    finish();
}

/* The tree in any order of arrivals and departures, beside a list. */
static void test_tree(void **state)
{
    static struct vcpu *in[512];
    struct runtree t = { NULL, NULL, 7 };
    unsigned held = 0, seed = 1;

    (void)state;
    memset(all, 0, sizeof all);
    class_words = CLASS_WORDS; /* as class_join() would have it */
    for (unsigned i = 0; i < 200000; i++) {
        struct vcpu *v;

        seed = seed * 1103515245 + 12345;
        if (held && (seed >> 16 & 1 || held == ARRAY_SIZE(in))) {
            unsigned at = (seed >> 17) % held;

            runtree_remove(&t, in[at]);
            in[at] = in[--held];
            continue;
        }
        v = &all[i % MOST];
        for (unsigned k = 0; k < held; k++)
            if (in[k] == v)
                v = NULL;
        if (!v)
            continue;
        v->sched.vruntime = (seed >> 18) % 97;
        v->sched.class = (uint16_t)((seed >> 20) % MAX_CLASSES);
        runtree_insert(&t, v);
        in[held++] = v;
        if (i % 64)
            continue;
        struct classes some = { { seed, seed >> 3, 0, 0, 0 } };
        unsigned count = 0, of_some = 0;
        uint64_t last = 0;
        for (v = t.first; v; v = runtree_next_of(v, &every_class), count++) {
            assert_true(v->sched.vruntime >= last);
            last = v->sched.vruntime;
        }
        assert_int_equal(count, held);
        assert_ptr_equal(runtree_second(&t), runtree_next_of(t.first, &every_class));
        for (unsigned k = 0; k < held; k++)
            of_some += some.w[in[k]->sched.class / 64] >> (in[k]->sched.class & 63) & 1;
        for (v = runtree_first_of(&t, &some); v; v = runtree_next_of(v, &some))
            of_some--;
        assert_int_equal(of_some, 0);
    }
}

static void test_marks(void **state)
{
    static struct marks m;
    struct cpuset among = { { 0 } };

    (void)state;
    begin(1024);
    assert_false(marks_any(&m));
    assert_int_equal(marks_next(&m, 5, NULL), MAX_CPUS);
    marks_set(&m, 3);
    marks_set(&m, 700);
    assert_int_equal(marks_next(&m, 5, NULL), 3);
    assert_int_equal(marks_next(&m, 3, NULL), 3);
    assert_int_equal(marks_next(&m, 64, NULL), 700);
    assert_int_equal(marks_next(&m, 1000, NULL), 3);
    cpuset_add(&among, 700);
    assert_int_equal(marks_next(&m, 5, &among), 700);
    marks_clear(&m, 700);
    assert_int_equal(marks_next(&m, 700, &among), MAX_CPUS);
    marks_clear(&m, 3);
    assert_false(marks_any(&m));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_one_queue),
        cmocka_unit_test(test_machines),
        cmocka_unit_test(test_work_among_the_pinned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
