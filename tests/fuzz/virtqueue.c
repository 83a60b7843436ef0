/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hostile drivers for each device, with split and packed rings: descriptors, indices, tables and
 * registers come from the input.
 */
#include "tests/unit/vio_driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RINGS = 0x10000, RING_STEP = 0x4000, TABLES = 0x28000, OPS = 128 };
static struct drv dev;
static struct drvq q[2];

/*
 * An address from 2 bytes: mostly RAM and its borders, tables and the rings themselves, seldom
 * nonsense.
 */
static uint64_t address(unsigned v)
{
    static const uint64_t base[] = { 0x30000, HALF - 64, RAM_END - 64,    TABLES,
                                     RINGS,   0x31000,   UINT64_MAX - 63, 0xc0000000 };

    return base[v >> 4 & 7] + (v & 15) * 16 + (v >> 8 & 63);
}

static uint32_t length(unsigned v)
{
    static const uint32_t len[] = { 16, 1, 512, 0, 4096, 48, UINT32_MAX, 20 };

    return len[v & 7] + (v >> 3 & 3) * (v >> 5 & 7);
}

static void desc_op(const uint8_t *op)
{
    const struct drvq *r = &q[op[1] & 1];
    uint64_t at = op[1] & 2 ? TABLES + 16u * (op[2] % 64) : r->desc + 16u * (op[2] % r->size);

    if (op[1] & 4) /* flags and next as they are in a sane ring */
        put_desc(at, address(op[4] | (unsigned)op[5] << 8), length(op[6]),
                 r->packed ? 0 : op[3] & 7,
                 r->packed ? (op[3] & 7) | (op[7] & 1 ? 0x80 : 0x8000) : (uint16_t)(op[2] + 1));
    else
        put_desc(at, address(op[4] | (unsigned)op[5] << 8), length(op[6]),
                 (uint16_t)(op[3] | op[7] << 8), (uint16_t)(op[7] | op[3] << 8));
}

/* A request as a driver would send it, header and all, with values of the input's choice. */
static void request_op(const uint8_t *op)
{
    static const uint32_t types[] = { 0, 1, 4, 8, 11, 13, 2, 99 };
    struct drvq *r = &q[op[1] & 1];
    const struct buf b[4] = {
        { 0x30000, op[1] & 8 ? length(op[2]) : 16, false },
        { address(op[4] | (unsigned)op[5] << 8), length(op[6]), op[3] & 8 },
        { address(op[7]), length(op[2]), op[3] & 16 || op[3] & 8 },
        { 0x32000, op[3] & 32 ? length(op[7]) : 1, true },
    };

    p32(0x30000, types[op[3] & 7]);
    p64(0x30008, op[4] == 255 ? UINT64_MAX - op[5] : (uint64_t)op[4] * op[5] / 64);
    for (unsigned i = 0; i < 4; i++) { /* ranges, for discard */
        p64(0x30010 + 16 * i, (uint64_t)op[6] * op[4]);
        p32(0x30018 + 16 * i, op[5]);
        p32(0x3001c + 16 * i, op[3] >> 6);
    }
    drvq_add(r, b, 2 + (op[1] >> 4) % 3, op[1] & 4 ? TABLES + 64u * (op[2] & 15) : 0);
}

static void one(const uint8_t *op)
{
    uint32_t val = op[4] | (uint32_t)op[5] << 8 | (uint32_t)op[6] << 16 | (uint32_t)op[7] << 24;
    struct drvq *r = &q[op[1] & 1];

    switch (op[0] & 7) {
    case 0: desc_op(op); break;
    case 1:
    case 2: request_op(op); break;
    /* an index, a ring entry, an event suppression field */
    case 3: p16((op[1] & 2 ? r->device : r->driver) + (op[2] & 127), (uint16_t)val); break;
    case 4: mem_wr(dev.notify + 4 * (op[1] & 3), 2, val); break;
    case 5: mem_wr(dev.common + (op[2] & 63), 1u << (op[1] & 3), val); break;
    case 6: /* starts again */
        con_in = "typed text";
        if (con_ready)
            event_post(con_ready);
        if (op[1] & 1) {
            cw(&dev, C_QSEL, 2, op[2] & 1);
            cw(&dev, C_QRESET, 2, 1);
        }
        break;
    default:
        host_now += (uint64_t)val << 4;
        if (op[1] & 1)
            run_events();
        else
            (void)event_run();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned sizes[] = { 8, 1, 2, 256, 16, 64, 7, 128 };

    unsigned n;

    if (size < 2)
        return 0;
    fake_up();
    drv_find(&dev, SLOT_CONSOLE + data[0] % 3);
    drv_features(&dev, F(32) | F(40) | (data[0] & 4 ? F(34) : 0) | (data[0] & 8 ? F(28) : 0) |
                           (data[0] & 16 ? F(29) : 0));
    /*
     * Each part once at the very end of a piece of RAM, where reading or writing beyond it is
     * noticed.
     */
    n = sizes[data[1] & 7];
    drv_queue_at(&dev, &q[0], 0, n, HALF - 16 * n, RINGS,
                 data[1] & 8 ? RAM_END - align_up(6 + 8 * n, 4) : RINGS + RING_STEP);
    drv_queue_at(&dev, &q[1], 1, n, RINGS + 2 * RING_STEP,
                 data[1] & 8 ? RINGS + 3 * RING_STEP : RAM_END - align_up(6 + 2 * n, 4),
                 RINGS + 4 * RING_STEP);
    drv_ok(&dev);
    for (size_t i = 2; i + 8 <= size && i < 8 * OPS; i += 8)
        one(data + i);
    run_events();
    for (unsigned i = 0; i < 2; i++)
        mem_wr(dev.notify + 4 * i, 2, 0);
    if (data[0] & 32)
        run_events();
    fake_down();
    return 0;
}
