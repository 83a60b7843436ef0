/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two drivers on two CPUs, whose devices are behind one unit: each maps and unmaps requests all the
 * time, so that both use the unit's queue.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vtd_model.h"

#include "drivers/iommu/vtd.h"
#include <hv/dma.h>

enum { ROUNDS = 2000, DEVICES = 2, SLOTS = 4 };
static struct host_pci_dev devs[DEVICES] = { { .bus = 3, .devfn = 8 }, { .bus = 3, .devfn = 16 } };

#include "pci_quiet.h"

static struct vtd v;
static struct dma *dmas[DEVICES];
static uint64_t last[DEVICES];
static uint8_t memory[DEVICES][4 * PAGE_SIZE] __attribute__((aligned(4096)));

static void *driver(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    struct spinlock lock = SPINLOCK_INIT(LOCK_DRIVER);

    host_cpu = me;
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned slot = i % SLOTS;

        spin_lock(&lock);
        dma_unmap(dmas[me], slot);
        if (dma_map(dmas[me], slot, hpa((uint64_t)memory[me]), 3 * PAGE_SIZE, PROT_W, &last[me]))
            abort();
        spin_unlock(&lock);
    }
    for (unsigned slot = 0; slot + 1 < SLOTS; slot++) /* the last one stays */
        dma_unmap(dmas[me], slot);
    return NULL;
}

static void two_drivers(void **state)
{
    pthread_t thread[DEVICES];

    (void)state;
    host_init(DEVICES, 64 * MIB);
    m_power_on(CAP_ZLR, ECAP_QI | ECAP_COHERENT);
    v = (struct vtd){ .regs = m.regs, .unit = { .name = "vtd0", .all = true } };
    assert_int_equal(vtd_begin(&v), 0);
    assert_int_equal(vtd_take_over(&v), 0);
    iommu_add(&v.unit);
    assert_int_equal(vtd_switch_on(&v), 0);
    for (unsigned i = 0; i < DEVICES; i++)
        assert_int_equal(dma_open(&dmas[i], &devs[i], "a driver", SLOTS, 4 * PAGE_SIZE, 1), 0);
    for (unsigned i = 0; i < DEVICES; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, driver, (void *)(uintptr_t)i), 0);
    for (unsigned i = 0; i < DEVICES; i++)
        pthread_join(thread[i], NULL);
    assert_false(v.unit.broken);
    for (unsigned i = 0; i < DEVICES; i++) {
        uint16_t rid = host_pci_rid(&devs[i]);

        assert_int_equal(m_dma(rid, last[i], true), (uint64_t)memory[i]);
        dma_unmap(dmas[i], SLOTS - 1);
        assert_int_equal(m_dma(rid, last[i], true), 0);
        dma_close(dmas[i]);
    }
    assert_true(m.invalidations >= DEVICES * (ROUNDS - SLOTS));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(two_drivers) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
