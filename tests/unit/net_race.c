/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A switch with a thread for each CPU: two stations send to one another, to one that comes and goes
 * and to all, also what the switch is to cut; what they have received is taken by a third CPU, and
 * what they take changes meanwhile. CPU 0 plugs, unplugs, and captures. Every frame is whole, and
 * nothing comes after a port has gone down.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hv/net.h>
#include <hv/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "arch/host/host.h"

uint64_t time_ns(void) { return __atomic_add_fetch(&host_now, 1000, __ATOMIC_RELAXED); }

enum { PORTS = 4, STATIONS = 3, GOING = 2, TAKER_CPU = 3, CPUS = 4 };
enum { QUEUE = 1 << 17, FRAMES = 1000, CHANGES = 50, PLAIN = 500, LONG = 5000, HEADERS = 40 };
static struct station {
    struct net_port port;
    struct net_queue queue;
    uint32_t down; /* atomic: nothing may come */
    struct net_learned learned[NET_LEARNED];
} st[PORTS];
static struct net_switch *net;
static uint8_t rings[PORTS][QUEUE] __attribute__((aligned(64)));
static uint32_t senders, stop, wrong, taken, taken_long;
static uint64_t changes;

static net_mac mac_of(unsigned i) { return 0x020000000001ull + i; }

static void mistake(void) { __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED); }

static bool deliver(struct net_port *p, unsigned from, const struct net_frame *f)
{
    struct station *s = container_of(p, struct station, port);

    if (__atomic_load_n(&s->down, __ATOMIC_ACQUIRE) || from == p->index)
        mistake();
    return net_queue_put(&s->queue, from, f);
}
static const struct net_port_ops ops = { .deliver = deliver };

static void plug(unsigned i)
{
    st[i].port = (struct net_port){ .ops = &ops, .mac = mac_of(i) };
    if (i == STATIONS)
        st[i].port.learned = st[i].learned;
    if (net_port_add(net, &st[i].port))
        abort();
    __atomic_store_n(&st[i].down, 0, __ATOMIC_RELEASE);
    net_port_up(&st[i].port);
}

/* ---- senders ---- */

/* A TCP segment: its payload is the sequence number's low byte, all over. */
static void send(struct net_port *p, net_mac to, uint8_t v, unsigned bytes, bool cut)
{
    uint8_t headers[HEADERS] = { 0x45 }, data[LONG];
    const struct iov iov[2] = { { headers, HEADERS }, { data, bytes } };
    struct net_frame f = { .len = NET_HEAD + HEADERS + bytes, .iov = iov, .niov = 2 };

    headers[9] = 6;
    headers[20 + 12] = 0x50;
    memset(data, v, bytes);
    net_mac_to(to, f.head);
    net_mac_to(p->mac, f.head + 6);
    f.head[12] = 8;
    if (cut)
        f.offload = (struct net_offload){ .flags = NET_NEEDS_CSUM,
                                          .gso = NET_GSO_TCP4,
                                          .gso_size = 1000,
                                          .csum_start = NET_HEAD + 20,
                                          .csum_offset = 16 };
    (void)net_send(p, &f);
}

/* CPUs 1 and 2 are stations 0 and 1. */
static void *sender(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg - 1, seed = me + 1;
    struct net_port *p = &st[me].port;

    host_cpu = me + 1;
    for (unsigned i = 0; i < FRAMES; i++) {
        unsigned r = (unsigned)rand_r(&seed);
        net_mac to = r % 8 == 0 ? NET_MAC_BROADCAST : mac_of(r / 8 % PORTS);

        send(p, to, (uint8_t)i, r / 64 % 3 ? PLAIN : LONG, r / 64 % 3 == 0);
        if (r / 256 % 16 == 0) /* what a driver negotiates anew */
            __atomic_store_n(&p->takes, r & 4096 ? NET_TAKES_CSUM | NET_TAKES_TSO4 : 0,
                             __ATOMIC_RELAXED);
    }
    __atomic_fetch_sub(&senders, 1, __ATOMIC_RELEASE);
    return arg;
}

/* ---- who takes ---- */

static void check(const uint8_t *p, uint32_t len, const struct net_offload *o)
{
    uint32_t payload = len - NET_HEAD - HEADERS;

    __atomic_fetch_add(o->gso ? &taken_long : &taken, 1, __ATOMIC_RELAXED);
    if ((o->gso ? payload != LONG : payload != PLAIN && payload != 1000) ||
        (o->gso != 0) != (o->flags != 0) || p[NET_HEAD] != 0x45)
        mistake();
    if (memcmp(p + NET_HEAD + HEADERS, p + NET_HEAD + HEADERS + 1, payload - 1) != 0)
        mistake();
}

static void take_all(struct station *s)
{
    struct net_offload o;
    const uint8_t *p;
    uint32_t len;

    while ((p = net_queue_first(&s->queue, &len, &o))) {
        check(p, len, &o);
        net_queue_drop(&s->queue);
    }
}

static void *taker(void *arg)
{
    host_cpu = TAKER_CPU;
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        for (unsigned i = 0; i < PORTS; i++)
            if (i != GOING)
                take_all(&st[i]);
        sched_yield();
    }
    return arg;
}

/* ---- CPU 0 ---- */

static void capture(unsigned n)
{
    struct net_capture_state s;

    if (n % 8 == 0 && net_capture_start(net, n % 16 ? &st[GOING].port : NULL))
        abort();
    (void)net_capture_get(&s);
    if (s.len > 0 && !net_capture_get(&s))
        mistake();
    if (n % 8 == 4)
        net_capture_drop();
}

/* A station goes and returns; nothing reaches it meanwhile. */
static void come_and_go(void)
{
    for (unsigned n = 0; __atomic_load_n(&senders, __ATOMIC_ACQUIRE) || n < CHANGES; n++) {
        capture(n);
        take_all(&st[GOING]);
        net_port_down(&st[GOING].port);
        __atomic_store_n(&st[GOING].down, 1, __ATOMIC_RELEASE);
        take_all(&st[GOING]);
        net_queue_clear(&st[GOING].queue);
        net_port_remove(&st[GOING].port);
        plug(GOING);
        changes++;
        sched_yield();
    }
}

static void test_race(void **state)
{
    pthread_t thread[CPUS];

    (void)state;
    host_init(CPUS, 16 * MIB);
    assert_int_equal(net_add("lan", 1500, 1000000), 0);
    net = net_find("lan");
    for (unsigned i = 0; i < PORTS; i++) {
        net_queue_init(&st[i].queue, rings[i], QUEUE);
        plug(i);
    }
    senders = 2;
    for (uintptr_t i = 1; i < CPUS; i++)
        assert_int_equal(
            pthread_create(&thread[i], NULL, i == TAKER_CPU ? taker : sender, (void *)i), 0);
    come_and_go();
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (unsigned i = 1; i < CPUS; i++)
        pthread_join(thread[i], NULL);
    for (unsigned i = 0; i < PORTS; i++)
        take_all(&st[i]);
    net_capture_drop();
    print_message("%u frames, %u long ones, %u changes\n", taken, taken_long, (unsigned)changes);
    assert_int_equal(wrong, 0);
    assert_true(taken > 50); /* the queues hold more, whoever takes it when */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_race) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
