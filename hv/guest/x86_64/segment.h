/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptor tables as the CPU reaches them: for hardware task switches and for emulated
 * instructions that load segments. APM vol 2 section 4.7 and 4.8, SDM vol 3 section 3.4. All of it
 * on the vCPU's own CPU. Private to hv/guest/x86_64.
 */
#pragma once
#include "x86.h"

#define ATTR_P (1u << 7)
#define ATTR_S (1u << 4)
#define ATTR_L (1u << 9)
#define ATTR_D (1u << 10)
#define TYPE_BUSY 2u

/* Whose tables; EXT of the error codes that faults get: an event from outside the program. */
struct x86_tables {
    struct vcpu *v;
    struct x86_mode m;
    uint32_t ext;
};
/* `at`: linear address of the descriptor. `attr` as in X86_SEG_ATTR: type, S, DPL, P; AVL, L, D, G
 * from bit 8. */
struct x86_desc {
    uint64_t at, base;
    uint32_t limit;
    uint16_t sel, attr;
};

/*
 * Copies `len` bytes at linear address `va` with supervisor rights, and with those of `rights`
 * (PF_W: to the guest; PF_U). Where there is no RAM, reads give ones and writes go nowhere. 0, or
 * -EFAULT: a page fault is queued.
 */
int must_check x86_tables_copy(struct x86_tables *t, uint64_t va, void *buf, unsigned len,
                               uint32_t rights);
/* Queues a fault about a selector. Always -EFAULT. */
int must_check x86_tables_fault(const struct x86_tables *t, unsigned vector, uint16_t sel);
/* Reads the descriptor of `sel`. 0; -EFAULT: a fault is queued, `vector` if it lies beyond its
 * table. A null selector is not refused. */
int must_check x86_desc_find(struct x86_tables *t, uint16_t sel, unsigned vector,
                             struct x86_desc *d);
/* A system descriptor of long mode has 8 bytes more: the base's upper half. 0 or -EFAULT. */
int must_check x86_desc_find_system(struct x86_tables *t, uint16_t sel, unsigned vector,
                                    struct x86_desc *d);
/* Changes bits of the type in the table. 0 or -EFAULT. */
int must_check x86_desc_set_type(struct x86_tables *t, const struct x86_desc *d, unsigned set,
                                 unsigned clear);
void x86_desc_load(struct x86_tables *t, unsigned seg, const struct x86_desc *d);

static inline unsigned x86_desc_dpl(const struct x86_desc *d) { return d->attr >> 5 & 3; }
static inline bool x86_desc_is_code(const struct x86_desc *d)
{
    return (d->attr & (ATTR_S | 8)) == (ATTR_S | 8);
}
static inline bool x86_desc_is_data(const struct x86_desc *d)
{
    return (d->attr & (ATTR_S | 8)) == ATTR_S;
}
static inline bool x86_desc_conforming(const struct x86_desc *d)
{
    return x86_desc_is_code(d) && (d->attr & 4) != 0;
}

/*
 * MOV and POP to a segment register (never CS) and the loads of LTR and LLDT (`seg` X86_TR,
 * X86_LDTR), with all checks of the current mode. 0, or -EFAULT: a fault is queued and nothing has
 * changed.
 */
int must_check x86_segment_load(struct vcpu *v, unsigned seg, uint16_t sel);
/*
 * The new CS of a far jump or call to `sel`:`off`, looked up and checked, its accessed bit set; the
 * caller loads it. 0; -EFAULT: a fault is queued; -ENOTSUP: a gate or a TSS.
 */
int must_check x86_segment_far(struct x86_tables *t, uint16_t sel, uint64_t off,
                               struct x86_desc *d);
