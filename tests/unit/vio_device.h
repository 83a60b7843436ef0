/* SPDX-License-Identifier: BSD-2-Clause */
/* A device of the fake machine with its driver, for tests of whole virtio devices. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "vio_driver.h"

#define V1 F(32)
#define PACKED F(34)
#define INDIRECT F(28)
#define EVENT F(29)
static struct drv dev;
__attribute__((unused)) static struct drvq q, q2;

static int up(void **state)
{
    (void)state;
    fake_up();
    return 0;
}

static int down(void **state)
{
    (void)state;
    fake_down();
    return 0;
}

__attribute__((unused)) static void start(unsigned slot, unsigned queue, unsigned size,
                                          uint64_t features)
{
    memset(half[0] + 0x10000, 0, 0x3000);
    drv_find(&dev, slot);
    assert_true(drv_features(&dev, features));
    drv_queue(&dev, &q, queue, size, 0x10000);
    drv_ok(&dev);
    assert_int_equal(cr(&dev, C_STATUS, 1), 15);
}

__attribute__((unused)) static void needs_reset(void)
{
    run_events();
    assert_int_equal(cr(&dev, C_STATUS, 1), 15 | 64);
    assert_true(logs > 0);
    assert_true(mem_rd(dev.isr, 1) & 2);
}
