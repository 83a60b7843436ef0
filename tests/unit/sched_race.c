/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scheduler, events and locks with threads for CPUs. Tokens go round among vCPUs: who has one
 * gives it to another and wakes it, who has none blocks. A wake that is lost, or a vCPU that runs
 * in two places, ends the round dance.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>
#include <arch/irq.h>
#include <hv/event.h>
#include <hv/percpu.h>
#include <hv/sched.h>
#include <hv/time.h>
#include <hv/vcpu.h>

#include "arch/host/host.h"

#define CPUS 4
#define VCPUS 10
#define PASSES 60000

static struct vcpu vcpus[VCPUS];
static uint32_t token[VCPUS], inside[VCPUS], passes, errors, stop, timer_runs;
static struct event ticks[CPUS];
static pthread_mutex_t asleep[CPUS];
static pthread_cond_t kicked[CPUS];

uint64_t time_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void vcpu_unload_remote(struct vcpu *v)
{
    if (this_cpu()->loaded != v)
        errors++;
    __atomic_store_n(&this_cpu()->loaded, NULL, __ATOMIC_RELEASE);
}

static void tick(struct event *ev)
{
    __atomic_fetch_add(&timer_runs, 1, __ATOMIC_RELAXED);
    event_at(ev, time_ns() + 300000);
}

static void pass_on(unsigned me, unsigned *seed)
{
    unsigned to = (unsigned)rand_r(seed) % VCPUS;

    while (__atomic_load_n(&token[me], __ATOMIC_SEQ_CST)) {
        __atomic_fetch_sub(&token[me], 1, __ATOMIC_SEQ_CST);
        __atomic_fetch_add(&token[to], 1, __ATOMIC_SEQ_CST);
        __atomic_fetch_add(&passes, 1, __ATOMIC_RELAXED);
        if (to == me)
            return;
        if (to % 2)
            sched_wake_urgent(&vcpus[to]);
        else
            sched_wake(&vcpus[to]);
    }
}

static void run(struct percpu *c, struct vcpu *v, unsigned *seed)
{
    unsigned me = (unsigned)(v - vcpus);

    if (__atomic_fetch_add(&inside[me], 1, __ATOMIC_SEQ_CST))
        __atomic_fetch_add(&errors, 1, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < CPUS; i++)
        if (i != c->id && __atomic_load_n(&percpus[i].loaded, __ATOMIC_ACQUIRE) == v)
            __atomic_fetch_add(&errors, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&c->loaded, v, __ATOMIC_RELEASE);
    pass_on(me, seed);
    if (rand_r(seed) % 4 == 0)
        sched_yield_to(v, &vcpus[(unsigned)rand_r(seed) % VCPUS]);
    bool leaves = rand_r(seed) % 4 == 0 && sched_spins(v, rand_r(seed) % 2);
    if (!leaves && rand_r(seed) % 4 == 0 && sched_doze(v)) {
        event_run();
        sched_doze_end(v);
    }
    /* What an exit handler does after its last look at who wants something. */
    bool runnable = rand_r(seed) % 8 == 0 || __atomic_load_n(&token[me], __ATOMIC_SEQ_CST);
    for (int i = rand_r(seed) % 200; i; i--)
        __asm__ volatile("" : : : "memory");
    __atomic_fetch_sub(&inside[me], 1, __ATOMIC_SEQ_CST);
    sched_put(v, runnable);
}

void irq_send_kick(uint32_t cpu)
{
    pthread_mutex_lock(&asleep[cpu]);
    pthread_cond_signal(&kicked[cpu]);
    pthread_mutex_unlock(&asleep[cpu]);
}

/* The host runs other threads meanwhile: with fewer processors than CPUs, who polled would be in
 * the way. */
static void sleep_in(const struct percpu *c)
{
    uint64_t until;

    pthread_mutex_lock(&asleep[c->id]);
    while (!__atomic_load_n(&c->wake, __ATOMIC_SEQ_CST) && (until = event_next()) > time_ns() &&
           !__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
        struct timespec t = { .tv_sec = (time_t)(until / 1000000000),
                              .tv_nsec = (long)(until % 1000000000) };

        pthread_cond_timedwait(&kicked[c->id], &asleep[c->id], &t);
    }
    pthread_mutex_unlock(&asleep[c->id]);
}

static void *cpu_thread(void *arg)
{
    struct percpu *c = &percpus[(uintptr_t)arg];
    unsigned seed = 17 + c->id;

    host_cpu = c->id;
    while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
        __atomic_store_n(&c->wake, 0, __ATOMIC_SEQ_CST);
        event_run();
        struct vcpu *v = sched_pick();
        if (v) {
            run(c, v, &seed);
            continue;
        }
        __atomic_store_n(&c->where, CPU_ASLEEP, __ATOMIC_SEQ_CST);
        sleep_in(c);
        __atomic_store_n(&c->where, CPU_IN_LOOP, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

/* True when the dance went on to its end. */
static bool watch(void)
{
    uint32_t last = 0;
    unsigned still = 0;

    while (last < PASSES && still < 100) {
        struct timespec t = { .tv_nsec = 50000000 };

        nanosleep(&t, NULL);
        uint32_t now = __atomic_load_n(&passes, __ATOMIC_RELAXED);
        still = now == last ? still + 1 : 0;
        last = now;
    }
    return last >= PASSES;
}

static void dance(unsigned tokens)
{
    pthread_t t[CPUS];
    uint32_t left = 0;

    host_cpu = 0;
    stop = passes = timer_runs = 0;
    host_init(CPUS, 0);
    for (unsigned i = 0; i < VCPUS; i++) {
        vcpus[i] = (struct vcpu){ .id = i };
        token[i] = 0;
        vcpus[i].sched.affinity.w[0] = i % 5 == 4 ? 1ull << i % CPUS : 0;
        vcpus[i].sched.weight = 50 + 40 * i;
        sched_add(&vcpus[i]);
    }
    for (uint32_t i = 0; i < CPUS; i++) {
        percpus[i].loaded = NULL;
        event_init(&ticks[i], tick, i);
        event_at(&ticks[i], time_ns() + 1);
    }
    for (unsigned i = 0; i < tokens; i++) {
        token[i]++;
        sched_wake(&vcpus[i]);
    }
    for (uintptr_t i = 0; i < CPUS; i++)
        pthread_create(&t[i], NULL, cpu_thread, (void *)i);
    bool ended = watch();
    __atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < CPUS; i++)
        pthread_join(t[i], NULL);
    for (unsigned i = 0; i < VCPUS; i++)
        left += token[i];
    assert_true(ended);
    assert_int_equal(errors, 0);
    assert_int_equal(left, tokens);
    assert_true(timer_runs > CPUS);
    for (uint32_t i = 0; i < CPUS; i++)
        event_cancel(&ticks[i]);
}

/* With one, the first that is lost ends it all. */
static void test_one_token(void **state)
{
    (void)state;
    dance(1);
}

static void test_three_tokens(void **state)
{
    (void)state;
    dance(3);
}

static void init_sleep(void)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    for (uint32_t i = 0; i < CPUS; i++) {
        pthread_mutex_init(&asleep[i], NULL);
        pthread_cond_init(&kicked[i], &monotonic);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_one_token),
                                        cmocka_unit_test(test_three_tokens) };

    init_sleep();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
