/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A picture of a guest's screen, kept in the state volume as screen/NAME. CPU 0.
 *
 * guest_ops.screenshot begins one, of a guest that runs or is paused; it goes on in events, at the
 * guest's cost, and vm->shot says how far it is. The guest is not stopped: what it draws meanwhile
 * may be in the lower part only. -EBUSY: one is under way, and vm->shot is of that; else
 * vm->shot.why says why: -ENOTSUP: the guest has no screen; -ENODATA: it shows nothing that is a
 * picture; -ENODEV: there is no state volume; -ENOMEM.
 */
#pragma once
#include <hv/types.h>

#define SCREEN_OBJECT 64
struct vm_shot {
    bool under_way;
    const char *why; /* it is not there; NULL: it is */
    char object[SCREEN_OBJECT];
    uint32_t width, height; /* pixels */
    uint32_t row;           /* rows that were read */
    uint64_t bytes;         /* of the file, when it is there */
};
