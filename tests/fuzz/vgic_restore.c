/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A saved state of the GIC and the timers that somebody has changed. It is refused and nothing has
 * changed, or it is taken: then it saves as it was read, and the machine goes on under any use.
 * (The fake engine checks each entry's list registers.)
 */
#include "tests/unit/vgic_fakes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VCPUS = 2, OPS = 60 };
static _Alignas(8) uint8_t saved[128 * 1024], again[128 * 1024];

static void set_up(void)
{
    wr(GICD(0), 3);
    for (unsigned n = 0; n < VCPUS; n++) {
        on(n);
        wr(fake_version == 2 ? GICD(0x100) : GICS(n, 0x100), ~0u);
    }
    on(0);
    wr(GICD(0x104), ~0u);
    wr(GICD(0xc10), 0xaaaaaaaa);
    for (unsigned id = 60; id < 72; id++) {
        virq_set(&fake_vm, id, true);
        virq_set(&fake_vm, id, false);
    }
    (void)attend(0);
    (void)attend(1);
}

static void use(const uint8_t *op)
{
    unsigned v = op[1] % VCPUS;
    uint32_t val = op[2] | (uint32_t)op[3] << 8 | (uint32_t)op[3] << 20;

    on(v);
    switch (op[0] % 7) {
    case 0: virq_set(&fake_vm, 32 + op[2] % 96u, op[3] & 1); break;
    case 1: wr(GICD((op[2] & 15u) << 8 | (op[3] & 0x3cu)), val); break;
    case 2: (void)rd(GICD((op[2] & 15u) << 8 | (op[3] & 0x7cu))); break;
    case 3: visit(v); break;
    case 4:
        if (fake_cpu[v].depth < 8)
            (void)take(v);
        break;
    case 5: advance(val); break;
    default:
        if (fake_version == 3)
            wr(GICS(v, (op[2] & 15u) << 8 | (op[3] & 0x3cu)), val);
    }
}

/* With as many list registers as there can be, a state that is taken is what is saved again. */
static void put_back(size_t len)
{
    static _Alignas(8) uint8_t third[sizeof again];
    int err = restore_only(saved);

    save_parked(again);
    if (!err) {
        if (fake_lrs == ARM_LRS_MAX && memcmp(saved, again, len))
            abort();
        if (restore_only(again))
            abort(); /* what it saves itself it takes */
        save_parked(third);
        if (memcmp(again, third, len))
            abort();
    }
    resume_parked();
    on(0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned version, patches;
    size_t len;

    if (size < 4)
        return 0;
    version = 2 + (data[0] & 1);
    patches = data[1] & 15;
    fake_lrs = 1 + (data[2] & 15);
    fake_start(version, VCPUS);
    set_up();
    len = saved_size();
    save_parked(saved);
    fake_stop();
    for (data += 4, size -= 4; patches && size >= 4; patches--, data += 4, size -= 4) {
        uint8_t *at =
            saved + ((uint32_t)data[0] | (uint32_t)data[1] << 8 | (data[3] & 1u) << 16) % len;

        *at = data[3] & 2 ? (uint8_t)(*at ^ data[2]) : data[2];
    }
    fake_start(version, VCPUS);
    put_back(len);
    for (unsigned n = 0; n < OPS && size >= 4; n++, data += 4, size -= 4)
        use(data);
    fake_stop();
    return 0;
}
