/* SPDX-License-Identifier: BSD-2-Clause */
/* What a host driver's device reaches, behind the model of a VT-d unit and without one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vtd_model.h"

#include "drivers/iommu/vtd.h"
#include "advance.h"
#include <hv/dma.h>
#include <hv/pmm.h>

enum { RID = 0x318 };
static struct host_pci_dev devs[] = { { .bus = 3, .devfn = 0x18 },
                                      { .segment = 1, .bus = 3, .devfn = 0x18 } };

#include "pci_quiet.h"

static struct vtd v;

static int setup(void **state)
{
    const struct iommu_reserved r = {
        .first = RID, .last = RID, .prot = PROT_RW, .base = 17 * MIB, .len = MIB
    };

    (void)state;
    host_init(1, 64 * MIB);
    m_power_on(CAP_ZLR, ECAP_QI | ECAP_COHERENT);
    v = (struct vtd){ .regs = m.regs, .unit = { .name = "vtd0", .all = true } };
    assert_int_equal(iommu_reserve(&r), 0);
    assert_int_equal(vtd_begin(&v), 0);
    assert_int_equal(vtd_take_over(&v), 0);
    iommu_add(&v.unit);
    iommu_hold_reserved(&v.unit);
    assert_int_equal(vtd_switch_on(&v), 0);
    return 0;
}

static uint8_t memory[8 * PAGE_SIZE] __attribute__((aligned(4096)));

/* Of all that the device could name, what it reaches: pages below 64 MiB. */
static unsigned reach(void)
{
    unsigned n = 0;

    for (uint64_t at = 0; at < 64 * MIB; at += PAGE_SIZE) {
        uint64_t to = m_dma(RID, at, false) | m_dma(RID, at, true);

        n += to && !(at >= 17 * MIB && at < 18 * MIB && to == at);
    }
    return n;
}

static void memory_for_good(void **state)
{
    struct dma *d;
    uint8_t *p, *q;
    uint64_t at;

    (void)state;
    assert_string_equal(iommu_owner(&devs[0]), "the firmware");
    assert_int_equal(m_dma(RID, 17 * MIB, true), 17 * MIB);
    assert_int_equal(reach(), 0);
    assert_int_equal(dma_open(&d, &devs[0], "a driver", 4, 65536, 1), 0);
    assert_string_equal(iommu_owner(&devs[0]), "a driver");
    assert_int_equal(m_dma(RID, 17 * MIB, true), 17 * MIB); /* what the firmware wants goes on */
    assert_int_equal(reach(), 0);
    p = dma_alloc(d, 2);
    q = dma_alloc(d, 0);
    at = dma_at(d, p + 5000);
    assert_int_not_equal(at, (uint64_t)(p + 5000));
    assert_int_equal(m_dma(RID, at, true), (uint64_t)(p + 5000));
    assert_int_equal(m_dma(RID, dma_at(d, q), true), (uint64_t)q);
    assert_int_equal(reach(), 5);
    dma_free(d, p, 2);
    assert_int_equal(m_dma(RID, at, true), 0);
    assert_int_equal(reach(), 1);
    for (unsigned i = 0; i < 200; i++) { /* addresses are used again */
        p = dma_alloc(d, 2);
        assert_non_null(p);
        dma_free(d, p, 2);
    }
    dma_free(d, q, 0);
    dma_free(d, NULL, 0);
    dma_close(d);
    assert_null(iommu_owner(&devs[0]));
    assert_int_equal(m_dma(RID, 17 * MIB, true), 0);
    dma_close(NULL);
}

static void requests(void **state)
{
    uint64_t a, b, c;
    struct dma *d;

    (void)state;
    assert_int_equal(dma_open(&d, &devs[0], "a driver", 4, 4 * PAGE_SIZE, 1), 0);
    assert_int_equal(dma_map(d, 0, hpa((uint64_t)memory + 512), 3584, PROT_R, &a), 0);
    assert_int_equal(dma_map(d, 0, hpa((uint64_t)memory + 0x5000), 4096, PROT_R, &b), 0);
    assert_int_equal(dma_map(d, 3, hpa((uint64_t)memory), 100, PROT_W, &c), 0);
    assert_int_equal(b, a + 3584); /* they follow each other */
    assert_int_equal(m_dma(RID, a, false), (uint64_t)memory + 512);
    assert_int_equal(m_dma(RID, a, true), 0);
    assert_int_equal(m_dma(RID, b + 4095, false), (uint64_t)memory + 0x5fff);
    assert_int_equal(m_dma(RID, c, true), (uint64_t)memory);
    assert_int_equal(m_dma(RID, c, false), 0);
    assert_int_equal(reach(), 3);
    dma_unmap(d, 0);
    dma_unmap(d, 0);
    assert_int_equal(m_dma(RID, a, false), 0);
    assert_int_equal(reach(), 1);
    dma_unmap(d, 3);
    /* a slot holds its bytes, from anywhere in a page, and no more */
    assert_int_equal(dma_map(d, 1, hpa((uint64_t)memory + 1), 4 * PAGE_SIZE, PROT_W, &a), 0);
    assert_int_equal(dma_map(d, 1, hpa((uint64_t)memory), 1, PROT_W, &b), -EINVAL);
    assert_int_equal(dma_map(d, 2, hpa((uint64_t)memory), 5 * PAGE_SIZE + 1, PROT_W, &b), -EINVAL);
    assert_int_equal(dma_map(d, 2, hpa((uint64_t)memory), UINT32_MAX, PROT_W, &b), -EINVAL);
    assert_int_equal(dma_map(d, 2, hpa((uint64_t)memory), 0, PROT_W, &b), -EINVAL);
    assert_int_equal(reach(), 5);
    dma_unmap(d, 1);
    assert_int_equal(reach(), 0);
    dma_close(d);
}

/* Once it is open, requests need no memory. */
static void mapping_cannot_fail(void **state)
{
    enum { MANY = 4096 };
    static hpa_t hoard[MANY * 16];
    unsigned n = 0;
    struct dma *d;
    uint64_t at;

    (void)state;
    assert_int_equal(dma_open(&d, &devs[0], "a driver", 32, (uint32_t)MIB, 1), 0);
    while (n < ARRAY_SIZE(hoard) && (hoard[n] = pmm_alloc(0, PMM_HV)).v)
        n++;
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(dma_map(d, i, hpa((uint64_t)memory), (uint32_t)MIB, PROT_W, &at), 0);
    assert_int_equal(m_dma(RID, at + MIB - 1, true), (uint64_t)memory + MIB - 1);
    assert_null(dma_alloc(d, 0));
    while (n--)
        pmm_free(hoard[n], 0, PMM_HV);
    for (unsigned i = 0; i < 32; i++)
        dma_unmap(d, i);
    assert_int_equal(reach(), 0);
    dma_close(d);
}

static void without_a_unit(void **state)
{
    struct iommu_stats stats;
    struct dma *d;
    uint64_t at;
    uint8_t *p;

    (void)state;
    assert_null(iommu_unit_of(&devs[1]));
    assert_int_equal(dma_open(&d, &devs[1], "a driver", 4, 4096, 1), 0);
    p = dma_alloc(d, 0);
    assert_int_equal(dma_at(d, p + 8), (uint64_t)(p + 8));
    assert_int_equal(dma_map(d, 0, hpa(0x123456), 100, PROT_W, &at), 0);
    assert_int_equal(at, 0x123456);
    dma_unmap(d, 0);
    dma_free(d, p, 0);
    dma_close(d);
    assert_int_equal(dma_open(&d, &devs[0], "a driver", 4, 4096, 1), 0);
    dma_bypass(d);
    assert_null(iommu_owner(&devs[0]));
    iommu_dev_stats(&devs[0], &stats);
    assert_true(stats.bypass);
    assert_int_equal(dma_map(d, 0, hpa(0x123456), 100, PROT_W, &at), 0);
    assert_int_equal(at, 0x123456);
    dma_close(d);
    assert_int_equal(dma_open(&d, &devs[0], "a driver", 4, 4096, 1), 0);
    iommu_dev_stats(&devs[0], &stats);
    assert_false(stats.bypass);
    dma_close(d);
}

/* ---- deferred ---- */

static uint64_t used[3 * DMA_LATE_MOST]; /* addresses of requests, newest last */

/* A request of one page that the device has done, which is what makes its unit remember it. */
static void request(struct dma *d, unsigned slot, unsigned n)
{
    assert_int_equal(dma_map(d, slot, hpa((uint64_t)memory), 4096, PROT_W, &used[n]), 0);
    assert_int_equal(m_dma(RID, used[n], true), (uint64_t)memory);
    dma_unmap(d, slot);
}

/* Of the first n requests, how many buffers the device still reaches. */
static unsigned remembered(unsigned n)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += m_dma(RID, used[i], true) != 0;
    return sum;
}

/* The bound in requests; no address is used twice before its unit has forgotten it. */
static void late_by_number(void **state)
{
    unsigned before, n = 0;
    struct dma *d;

    (void)state;
    dma_defer(true);
    assert_int_equal(dma_open(&d, &devs[0], "a driver", 4, 65536, 1), 0);
    before = m.invalidations;
    for (; n < DMA_LATE_MOST - 1; n++) {
        request(d, n % 4, n);
        assert_int_equal(remembered(n + 1), n + 1);
        for (unsigned i = 0; i < n; i++)
            assert_int_not_equal(used[i], used[n]);
    }
    assert_int_equal(m.invalidations, before);
    request(d, 0, n++);
    assert_int_equal(m.invalidations, before + 1); /* one for all of them */
    assert_int_equal(remembered(n), 0);
    assert_int_equal(reach(), 0);
    for (; n < ARRAY_SIZE(used); n++)
        request(d, n % 4, n);
    assert_int_equal(m.invalidations, before + 3);
    assert_int_equal(remembered(n), 0);
    dma_close(d);
}

static void late_by_time(void **state)
{
    struct dma *d;

    (void)state;
    advance(2 * DMA_LATE_NS);
    assert_int_equal(dma_open(&d, &devs[0], "a driver", 4, 65536, 1), 0);
    request(d, 0, 0);
    advance(DMA_LATE_NS / 2);
    request(d, 1, 1);
    advance(DMA_LATE_NS / 2 - 100000);
    assert_int_equal(remembered(2), 2);
    advance(100000);
    assert_int_equal(remembered(2), 0);
    request(d, 2, 0); /* and again */
    assert_int_equal(remembered(1), 1);
    advance(DMA_LATE_NS);
    assert_int_equal(remembered(1), 0);
    dma_close(d);
}

/* Whoever frees a buffer, or zeroes it for its next owner: the device is out of it by then. */
static void late_and_freed(void **state)
{
    static const enum pmm_owner owners[] = { PMM_HV, PMM_GUEST, PMM_FILE, PMM_SAVED };
    struct dma *d;
    unsigned before;

    (void)state;
    assert_int_equal(dma_open(&d, &devs[0], "a driver", 4, 65536, 1), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(owners); i++)
        for (unsigned order = 0; order < 2; order++) {
            hpa_t at = pmm_alloc(order, owners[i]);
            uint64_t addr;

            assert_int_equal(dma_map(d, 0, at, 4096, PROT_W, &addr), 0);
            assert_int_equal(m_dma(RID, addr, true), at.v);
            dma_unmap(d, 0);
            assert_int_equal(m_dma(RID, addr, true), at.v);
            pmm_free(at, order, owners[i]);
            assert_int_equal(m_dma(RID, addr, true), 0);
        }
    request(d, 0, 0);
    pmm_free_clean(pmm_alloc(PMM_CLEAN_ORDER, PMM_GUEST), PMM_CLEAN_ORDER);
    assert_int_equal(remembered(1), 0);
    request(d, 0, 0);
    pmm_settle();
    assert_int_equal(remembered(1), 0);
    before = m.invalidations;
    pmm_settle();
    pmm_free(pmm_alloc(0, PMM_HV), 0, PMM_HV);
    assert_int_equal(m.invalidations, before); /* there was nothing to tell */
    dma_close(d);
}

/* All slots at once, requests that fail, memory for good, a device that is closed or bypassed. */
static void late_edges(void **state)
{
    uint64_t at, other;
    struct dma *d;
    uint8_t *p;

    (void)state;
    assert_int_equal(dma_open(&d, &devs[0], "a driver", 4, 65536, 1), 0);
    for (unsigned i = 0; i < DMA_LATE_MOST - 1; i++)
        request(d, 3, i);
    for (unsigned i = 0; i < 100; i++) /* a slot keeps the address that it did not use */
        assert_int_equal(dma_map(d, 2, hpa((uint64_t)memory), UINT32_MAX, PROT_W, &at), -EINVAL);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(dma_map(d, i, hpa((uint64_t)memory), 4096, PROT_W, &at), 0);
        assert_int_equal(m_dma(RID, at, true), (uint64_t)memory);
    }
    assert_int_equal(dma_map(d, 3, hpa((uint64_t)memory + 4096), 4096, PROT_W, &other), 0);
    assert_int_equal(other, at + 4096);
    for (unsigned i = 0; i < 4; i++)
        dma_unmap(d, i);
    p = dma_alloc(d, 0);
    at = dma_at(d, p);
    assert_int_equal(m_dma(RID, at, true), (uint64_t)p);
    dma_free(d, p, 0);
    assert_int_equal(m_dma(RID, at, true), 0);
    request(d, 0, 0);
    dma_close(d);
    assert_int_equal(remembered(1), 0);
    assert_int_equal(dma_open(&d, &devs[0], "a driver", 4, 4096, 1), 0);
    dma_bypass(d);
    dma_unmap(d, 0);
    dma_close(d);
    advance(2 * DMA_LATE_NS);
}

/* So many slots that there is no room for late ones: strict. */
static void late_too_many(void **state)
{
    struct dma *d;

    (void)state;
    assert_int_equal(dma_open(&d, &devs[0], "a driver", 980, (uint32_t)MIB, 1), 0);
    request(d, 979, 0);
    assert_int_equal(remembered(1), 0);
    dma_close(d);
    dma_defer(false);
    assert_int_equal(dma_open(&d, &devs[0], "a driver", 4, 65536, 1), 0);
    request(d, 0, 0);
    assert_int_equal(remembered(1), 0);
    dma_close(d);
}

/* Two drivers for one device, and a unit that is broken: none has it. */
static void refused(void **state)
{
    struct dma *d, *e;

    (void)state;
    assert_int_equal(dma_open(&d, &devs[0], "a driver", 4, 4096, 1), 0);
    assert_int_equal(dma_open(&e, &devs[0], "another", 4, 4096, 1), -EBUSY);
    assert_null(e);
    assert_string_equal(iommu_owner(&devs[0]), "a driver");
    dma_close(d);
    assert_int_equal(dma_open(&e, &devs[0], "another", 4096, (uint32_t)MIB, 1), -ENOSPC);
    m.never_done = true;
    assert_int_equal(dma_open(&d, &devs[0], "a driver", 4, 4096, 1), -EIO);
    assert_int_equal(dma_open(&d, &devs[0], "a driver", 4, 4096, 1), -EIO);
    assert_true(v.unit.broken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_for_good),     cmocka_unit_test(requests),
        cmocka_unit_test(mapping_cannot_fail), cmocka_unit_test(without_a_unit),
        cmocka_unit_test(late_by_number),      cmocka_unit_test(late_by_time),
        cmocka_unit_test(late_and_freed),      cmocka_unit_test(late_edges),
        cmocka_unit_test(late_too_many),       cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
