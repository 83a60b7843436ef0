/* SPDX-License-Identifier: BSD-2-Clause */
/* guests.c: the guest ISAs that this build knows. */
#include <hv/guest.h>

const struct guest_ops *guest_ops_for(enum isa isa)
{
    static const struct guest_ops *const known[ISA_COUNT] = {
        [ISA_X86_64] = &guest_x86, [ISA_AARCH64] = &guest_arm
    };

    return isa < ISA_COUNT ? known[isa] : NULL;
}
