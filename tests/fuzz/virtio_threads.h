/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device's CPU of its own: a thread runs its events while the driver does what it does. Included
 * once, after virtio_dev.h.
 */
#pragma once
#include <pthread.h>
#include <sched.h>

/* 0: it stands still, 1: it runs events, 2: it is to stand still, 3: it is to end */
static uint32_t cpu1_goes;

static void *cpu1(void *arg)
{
    uint32_t stop = 2;

    host_cpu = 1;
    for (;;) {
        uint32_t want = __atomic_load_n(&cpu1_goes, __ATOMIC_ACQUIRE);

        if (want == 3)
            return arg;
        if (want == 2)
            (void)__atomic_compare_exchange_n(&cpu1_goes, &stop, 0, false, __ATOMIC_ACQ_REL,
                                              __ATOMIC_RELAXED);
        stop = 2;
        if (want != 1 || !event_run())
            sched_yield();
    }
}

static void cpu1_run(void) { __atomic_store_n(&cpu1_goes, 1, __ATOMIC_RELEASE); }

static void cpu1_rest(void)
{
    __atomic_store_n(&cpu1_goes, 2, __ATOMIC_RELEASE);
    while (__atomic_load_n(&cpu1_goes, __ATOMIC_ACQUIRE))
        sched_yield();
}

/* The device's CPU is the one whose vCPU first says DRIVER_OK: it shall be the other thread's. */
static void place_on_cpu1(void)
{
    static const uint8_t usual[OP_LEN] = { 0 };

    threads = false;
    host_cpu = 1;
    op_bring_up(usual);
    reset_device();
    host_cpu = 0;
    threads = true;
}

static void one_run(const uint8_t *data, size_t size)
{
    if (half[0])
        ram_open_all();
    fake_cpus = 2;
    fake_up();
    ram_granted = ram_open;
    device = SLOT_CONSOLE + data[0] % 3;
    plug_in();
    ram_shut();
    place_on_cpu1();
    cpu1_run();
    drive(data + 1, size - 1);
    cpu1_rest();
    ram_open_all();
    fake_down();
}
