/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ITS with memory that is the fuzzer's input: tables, configuration, pending bits and the
 * command queue may hold anything. Nothing may be touched outside the guest's RAM, each call must
 * end soon, and after each message every LPI must be where it belongs.
 */
#include "tests/unit/vgic_fakes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VCPUS 2u

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* The input is repeated over all of the RAM's areas, each shifted. */
static void spread(const uint8_t *data, size_t size)
{
    static const uint32_t areas[] = { 0,       0x10400, 0x20400, 0x30000,
                                      0x40000, 0x50000, 0x60000, 0xfff00 };

    for (unsigned n = 0; n < ARRAY_SIZE(areas); n++) {
        size_t at = n < size ? data[n] % size : 0, len = min_u64(size - at, FAKE_RAM - areas[n]);

        memcpy(fake_ram + areas[n], data + at, min_u64(len, 4096));
    }
}

static void check_lpis(struct vgic *g)
{
    for (unsigned n = 0; n < VGIC_LPIS; n++) {
        const struct vgic_bank *b = &g->lpi[n / 32];
        uint32_t bit = 1u << n % 32;
        unsigned idx = VGIC_LPI + n, ready = 0;

        for (unsigned v = 0; v < VCPUS; v++)
            ready |= (unsigned)(g->cpu[v]->ready[idx >> 6] >> (idx & 63) & 1) << v;
        check(!(ready & (ready - 1)));
        if (ready)
            check(b->enabled & b->latch & ~b->in_lr & bit && ready == 1u << b->home[n % 32]);
        check(!(b->active & bit));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vgic *g;
    uint64_t valid = 1ull << 63, word[4] = { 0, 0, 0, 0 };

    if (size < 16)
        return 0;
    memcpy(word, data, min_u64(size, sizeof word));
    fake_lrs = 4;
    fake_start(3, VCPUS);
    g = fake_vm.vintc;
    spread(data, size);
    wr(GICD(0), 2);
    for (unsigned v = 0; v < VCPUS; v++) {
        wr64(GICR(v, 0x70), PLAT_RAM | (word[0] & 1 ? 13 : word[0] & 0xfff1f));
        wr64(GICR(v, 0x78), PLAT_RAM + 0x10000 * (v + 1) + (word[0] & 2 ? 0 : word[1] & 0xff0000));
        wr(GICR(v, 0), 1);
    }
    wr64(GITS(0x100), (PLAT_RAM + 0x30000) | valid | (word[0] >> 8 & 0xff));
    wr64(GITS(0x108), (PLAT_RAM + 0x40000) | valid | (word[0] >> 16 & 0xff));
    wr64(GITS(0x80),
         (PLAT_RAM + (word[0] & 4 ? 0xff000 : 0x50000)) | valid | (word[0] >> 24 & 0xff));
    wr(GITS(0), 1);
    for (unsigned n = 0; n < 8; n++) {
        wr64(GITS(0x88), (uint64_t)data[n % size] << 5 | (n == 7));
        for (unsigned k = 0; k < 300 && event_run(); k++)
            ;
        (void)!virq_msi(&fake_vm, data[8 + n % 8], PLAT_ITS + GITS_TRANSLATER, data[n]);
        (void)take(n % VCPUS);
    }
    for (unsigned v = 0; v < VCPUS; v++)
        wr(GICR(v, 0), 0);
    check_lpis(g);
    fake_stop();
    return 0;
}
