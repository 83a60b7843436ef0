/* SPDX-License-Identifier: BSD-2-Clause */
/* A new switch for each test of a program: switches are never taken away. */
#pragma once
#include <hv/net.h>
#include <stdio.h>

/* Frames of up to `mtu` bytes; `floods` a second. The clock is a while after the last test's. */
static struct net_switch *net_fresh(unsigned mtu, unsigned floods)
{
    static unsigned number;
    char name[16];

    if (!number)
        host_init(1, 16 * MIB);
    host_now = 1000000000000ull * (number + 1);
    snprintf(name, sizeof name, "lan%u", number++);
    assert_int_equal(net_add(name, mtu, floods), 0);
    return net_find(name);
}
