/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole virtio device under a hostile driver: every register, ring, feature, reset, interrupt and
 * configuration access in any order, guest memory changed in between. Guest RAM is small and closed
 * (poisoned): only what the device was given through gmem_ptr() or gmem_run() opens, and a reset
 * closes it again. So AddressSanitizer notices whatever is touched beyond a ring's part or a
 * buffer, or after a reset.
 */
#pragma once
#define HALF 0x8000ull
#include "tests/unit/vio_driver.h"

enum { QUEUES = 5, OP_LEN = 8, OPS_MAX = 160, SETTLE_ROUNDS = 20000 };
enum {
    RINGS = 0x1000,
    RING_STEP = 0x1800,
    TABLES = 0x5000,
    HEADER = 0x7000,
    STATUS = 0x7100,
    RANGE = 0x7200,
    DATA = 0x9000,
    RINGS_3 = 0xd000,
};
static struct drv dev;
static struct drvq q[QUEUES];
static unsigned device;     /* its slot */
static unsigned queues = 2; /* that it is driven with; at most QUEUES */
/* what a driver is likely to ask of it */
static unsigned feature_bits[8] = { 34, 28, 29, 40, 33, 9, 12, 13 };
static uint64_t feature_more[8]; /* what goes with each of these */
static uint64_t bar[2];
static bool threads; /* another thread is the device's CPU */

#if __has_feature(address_sanitizer)
void __asan_poison_memory_region(void const volatile *, size_t);
void __asan_unpoison_memory_region(void const volatile *, size_t);
static void ram_open(void *p, uint64_t len) { __asan_unpoison_memory_region(p, len); }
static void ram_shut(void)
{
    __asan_poison_memory_region(half[0], HALF);
    __asan_poison_memory_region(half[1], HALF);
}
#else
static void ram_open(void *p, uint64_t len) { (void)p, (void)len; }
static void ram_shut(void) {}
#endif

static void ram_open_all(void)
{
    ram_open(half[0], HALF);
    ram_open(half[1], HALF);
}

/* Lets the device's CPU work: its events, or its thread. */
static void let_work(unsigned round)
{
    __atomic_fetch_add(&host_now, 1000000, __ATOMIC_RELAXED);
    if (!threads)
        (void)event_run();
    else if (round % 8 == 7)
        sched_yield();
}

static void restore(unsigned reg, unsigned size, uint64_t v)
{
    if (cfg_rd(device, reg, size) != v)
        cfg_wr(device, reg, size, v);
}

/* Back to where the driver finds it. */
static void map_registers(void)
{
    restore(PCI_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
    restore(PCI_BAR0, 4, bar[0]);
    restore(PCI_BAR0 + 8, 4, bar[1] & UINT32_MAX);
    restore(PCI_BAR0 + 12, 4, bar[1] >> 32);
}

/*
 * A reset. The device never hangs: it ends. What it was given before is closed to it from then on.
 */
static void reset_device(void)
{
    __atomic_store_n(&waiting, 0, __ATOMIC_RELAXED);
    map_registers();
    cw(&dev, C_STATUS, 1, 0);
    for (unsigned i = 0; cr(&dev, C_STATUS, 1) != 0; i++) {
        if (i == SETTLE_ROUNDS * (threads ? 1000u : 1u)) {
            fprintf(stderr, "the device hangs in a reset\n");
            abort();
        }
        let_work(i);
    }
    ram_shut();
}

/* ---- operations: 8 bytes each ---- */

static uint32_t val32(const uint8_t *op)
{
    return op[4] | (uint32_t)op[5] << 8 | (uint32_t)op[6] << 16 | (uint32_t)op[7] << 24;
}

/* Mostly RAM and its borders, tables and rings, seldom nonsense. */
static uint64_t address(unsigned a, unsigned b)
{
    static const uint64_t base[] = { DATA,  HALF - 64,     RAM_END - 64,    TABLES,
                                     RINGS, DATA + 0x1000, UINT64_MAX - 63, 0xc0000000 };

    return base[a >> 4 & 7] + (a & 15) * 16 + (b & 63);
}

static uint32_t length(unsigned v)
{
    static const uint32_t len[] = { 16, 1, 512, 0, 4096, 48, UINT32_MAX, 20 };

    return len[v & 7] + (v >> 3 & 3) * (v >> 5 & 7);
}

static uint64_t features(const uint8_t *op)
{
    uint64_t f = F(32);

    for (unsigned i = 0; i < 8; i++)
        if (op[2] >> i & 1)
            f |= F(feature_bits[i]) | feature_more[i];
    return (op[3] & 15) == 15 ? f ^ F(op[4] & 63) : f & (cr(&dev, C_DF, 4) | ~(uint64_t)UINT32_MAX);
}

static void set_features(uint64_t f)
{
    dev.features = f;
    for (unsigned i = 0; i < 2; i++) {
        cw(&dev, C_GFSEL, 4, i);
        cw(&dev, C_GF, 4, f >> (32 * i) & UINT32_MAX);
    }
}

static uint64_t part_address(unsigned how, unsigned index, unsigned part, unsigned len)
{
    static const uint64_t off[] = { 0, 0x1000, 0x1400 };
    uint64_t usual = (index < 2 ? RINGS + index * RING_STEP * 1ull : RINGS_3) + off[part];

    switch (how & 7) {
    case 1: return RAM_END - align_up(len, 16);
    case 2: return HALF - align_up(len, 16);
    case 3: /* across the two pieces of RAM */ return HALF - align_up(len / 2, 16);
    case 4: return RAM_END - 4; /* as little as a packed ring's part needs */
    case 5: return usual + (how >> 3);
    case 6: return how & 8 ? UINT64_MAX - 15 : RAM_END;
    default: return usual;
    }
}

static void set_up(unsigned i, unsigned n, const uint8_t *how, bool enable)
{
    bool packed = dev.features & F(34);
    unsigned len[3] = { 16 * n, packed ? 4 : 6 + 2 * n, packed ? 4 : 6 + 8 * n };

    q[i] = (struct drvq){
        .d = &dev, .index = i, .size = n, .packed = packed, .avail_wrap = true, .used_wrap = true
    };
    q[i].desc = part_address(how[0], i, 0, len[0]);
    q[i].driver = part_address(how[1], i, 1, len[1]);
    q[i].device = part_address(how[2], i, 2, len[2]);
    cw(&dev, C_QSEL, 2, i);
    cw(&dev, C_QSIZE, 2, n);
    cw(&dev, C_QVEC, 2, i);
    cw(&dev, C_QDESC, 8, q[i].desc);
    cw(&dev, C_QDRIVER, 8, q[i].driver);
    cw(&dev, C_QDEVICE, 8, q[i].device);
    if (enable)
        cw(&dev, C_QEN, 2, 1);
}

static unsigned queue_size(unsigned v)
{
    static const unsigned sizes[] = { 8, 1, 2, 256, 16, 64, 7, 0 };

    return sizes[v & 7];
}

static void op_set_up(const uint8_t *op)
{
    set_up(op[1] % queues, queue_size(op[2]), op + 3, !(op[1] & 0x80));
}

static void op_status(const uint8_t *op)
{
    static const uint8_t usual[] = { 0, 1, 3, 11, 15, 15, 0x80, 0 };
    uint8_t v = op[1] & 8 ? op[2] : usual[op[1] & 7];

    if (v == 0 && op[1] & 16)
        reset_device();
    else
        cw(&dev, C_STATUS, 1, v);
}

static void op_features(const uint8_t *op) { set_features(features(op)); }

static void set_up_all(const uint8_t *op)
{
    for (unsigned i = 0; i < queues; i++)
        set_up(i, queue_size(op[3] >> 4), op + 5, true);
}

/*
 * From the beginning to DRIVER_OK, with rings as the input wants them; the steps also in orders
 * that virtio 1.2 §3.1.1 forbids.
 */
static void op_bring_up(const uint8_t *op)
{
    enum { AS_IT_SHALL_BE, BEFORE_FEATURES, BETWEEN_FEATURES, AT_THE_END } order = op[4] >> 6 & 3;
    const uint8_t second[OP_LEN] = { 0, 0, op[1], op[3] };

    reset_device();
    cw(&dev, C_STATUS, 1, 3);
    cw(&dev, C_DFSEL, 4, 0);
    if (order == BEFORE_FEATURES)
        set_up_all(op);
    set_features(features(op));
    if (order == BETWEEN_FEATURES) {
        set_up_all(op);
        set_features(features(second));
        for (unsigned i = 0; i < queues; i++)
            q[i].packed = dev.features >> 34 & 1;
    }
    cw(&dev, C_STATUS, 1, 11);
    if (order == AS_IT_SHALL_BE)
        set_up_all(op);
    cw(&dev, C_STATUS, 1, 15);
    if (order == AT_THE_END)
        set_up_all(op);
}

static void op_request(const uint8_t *op)
{
    static const uint32_t types[] = { 0, 1, 4, 8, 11, 13, 2, 99 };
    struct drvq *r = &q[op[1] % queues];
    const struct buf b[4] = {
        { HEADER, op[1] & 8 ? length(op[2]) : 16, false },
        { address(op[4], op[5]), length(op[6]), op[3] & 8 },
        { address(op[7], 0), length(op[2]), op[3] & 16 || op[3] & 8 },
        { STATUS, op[3] & 32 ? length(op[7]) : 1, true },
    };

    if (r->size == 0)
        return;
    p32(HEADER, types[op[3] & 7]);
    p64(HEADER + 8, op[4] == 255 ? UINT64_MAX - op[5] : (uint64_t)op[4] * op[5] / 64);
    for (unsigned i = 0; i < 4; i++) { /* ranges, for discard */
        p64(HEADER + 16 + 16 * i, (uint64_t)op[6] * op[4]);
        p32(HEADER + 24 + 16 * i, op[5]);
        p32(HEADER + 28 + 16 * i, op[3] >> 6);
    }
    r->packed ^= op[1] >> 6 & 1; /* a ring of the other kind */
    drvq_add(r, b, 2 + (op[1] >> 4) % 3, op[1] & 4 ? TABLES + 64u * (op[2] & 15) : 0);
    r->packed ^= op[1] >> 6 & 1;
    if (!(op[1] & 0x80))
        mem_wr(dev.notify + 4 * r->index, 2, 0);
}

static void op_descriptor(const uint8_t *op)
{
    const struct drvq *r = &q[op[1] % queues];
    uint64_t at =
        op[1] & 2 || r->size == 0 ? TABLES + 16u * (op[2] % 64) : r->desc + 16u * (op[2] % r->size);

    put_desc(at, address(op[4], op[5]), length(op[6]), (uint16_t)(op[3] | op[7] << 8),
             (uint16_t)(op[7] | op[3] << 8));
}

static void op_ring_field(const uint8_t *op)
{
    const struct drvq *r = &q[op[1] % queues];

    p16(((op[1] & 2 ? r->device : r->driver) + op[2]) & ~1ull, (uint16_t)val32(op));
}

static void op_memory(const uint8_t *op)
{
    p32(((uint64_t)op[1] << 8 | op[2]) % (RAM_END - 4), val32(op));
}
static void op_kick(const uint8_t *op) { mem_wr(dev.notify + 4 * (op[1] & 3), 2, val32(op)); }

static void op_register(const uint8_t *op)
{
    if (op[3] & 1)
        cw(&dev, op[2] & 63, 1u << (op[1] & 3), val32(op));
    else
        (void)cr(&dev, op[2] & 63, 1u << (op[1] & 3));
}

static void op_reset_queue(const uint8_t *op)
{
    cw(&dev, C_QSEL, 2, op[1] % queues);
    cw(&dev, C_QRESET, 2, 1);
    for (unsigned i = 0; op[1] & 16 && i < 64 && cr(&dev, C_QRESET, 2); i++)
        let_work(i);
}

static void op_pci(const uint8_t *op)
{
    static const unsigned regs[] = { PCI_COMMAND,   PCI_COMMAND, PCI_BAR0,     PCI_BAR0 + 8,
                                     PCI_BAR0 + 12, 0x40,        PCI_INT_LINE, 0x80 };
    unsigned reg = regs[op[1] & 7] + (op[1] & 4 ? op[2] & 0x7c : 0);

    if ((op[1] & 6) == 0)
        cfg_wr(device, PCI_COMMAND, 2,
               (op[2] & 1 ? PCI_CMD_MASTER : 0) | (op[2] & 14 ? PCI_CMD_MEM : 0) |
                   (op[2] & 16 ? PCI_CMD_INTX_OFF : 0));
    else if (op[1] & 8)
        (void)cfg_rd(device, reg, 4);
    else
        cfg_wr(device, reg, 4, val32(op));
}

static void op_msix(const uint8_t *op)
{
    unsigned cap = find_cap(device, PCI_CAP_MSIX, -1);

    if (cap && op[1] & 1)
        cfg_wr(device, cap + 2, 2, (uint64_t)op[2] << 8);
    else
        mem_wr(bar[0] + (op[2] & ~3u), 4, val32(op));
}

static void op_device_config(const uint8_t *op)
{
    if (!dev.config)
        return;
    if (op[1] & 1)
        mem_wr(dev.config + op[2] % 64, 1u << (op[1] >> 1 & 3), val32(op));
    else
        (void)mem_rd(dev.config + op[2] % 64, 1u << (op[1] >> 1 & 3));
    (void)mem_rd(dev.isr, 1);
}

static void typed(const uint8_t *op)
{
    struct event *ready;

    pthread_mutex_lock(&fake_lock);
    con_in = op[1] & 1 ? "typed text that is longer than a small buffer" : "x";
    ready = con_ready;
    if (ready)
        event_post(ready);
    pthread_mutex_unlock(&fake_lock);
}

/* What comes from outside. */
static void (*input)(const uint8_t *) = typed;
static void op_input(const uint8_t *op) { input(op); }

static void op_time(const uint8_t *op)
{
    __atomic_fetch_add(&host_now, (uint64_t)val32(op) << 2, __ATOMIC_RELAXED);
    __atomic_store_n(&waiting, op[1] >> 6, __ATOMIC_RELAXED);
}

static void op_run(const uint8_t *op)
{
    for (unsigned i = 0; i <= (op[1] & 7) * 4u; i++)
        let_work(i);
}

static void (*const ops[])(const uint8_t *) = {
    op_bring_up,      op_request,    op_run,        op_status,  op_set_up,   op_features, op_kick,
    op_reset_queue,   op_descriptor, op_ring_field, op_memory,  op_register, op_pci,      op_msix,
    op_device_config, op_input,      op_time,       op_request, op_run,      op_request,
};

/* ---- a run ---- */

static void plug_in(void)
{
    drv_find(&dev, device);
    bar[0] = bar_addr(device, 0);
    bar[1] = bar_addr(device, 2) | 4;
    for (unsigned i = 0; i < queues; i++)
        q[i] = (struct drvq){ .d = &dev,
                              .index = i,
                              .size = 8,
                              .desc = RINGS,
                              .driver = RINGS + 0x1000,
                              .device = RINGS + 0x1400 };
}

/* Whatever was done to it, after a reset the device serves a driver that follows the rules. */
static void prove_alive(void)
{
    static const uint8_t usual[8] = { 0 };
    bool out = device != SLOT_RNG && device != SLOT_BLK; /* the second queue sends */
    unsigned i = out ? 1 : 0;
    const struct buf whole[3] = { { HEADER, 16, false }, { DATA, 512, !out }, { STATUS, 1, true } };

    reset_device();
    for (unsigned a = RINGS; a < RINGS + 2 * RING_STEP; a += 4)
        p32(a, 0);
    for (unsigned a = RINGS_3; a < RINGS_3 + RING_STEP; a += 4)
        p32(a, 0);
    op_bring_up(usual);
    p64(HEADER, 0);
    p64(HEADER + 8, 0);
    drvq_add(&q[i], device == SLOT_BLK ? whole : whole + 1, device == SLOT_BLK ? 3 : 1, 0);
    mem_wr(dev.notify + 4 * i, 2, 0);
    for (unsigned round = 0; g16(q[i].device + 2) == 0; round++) {
        if (round == SETTLE_ROUNDS * (threads ? 1000u : 1u)) {
            fprintf(stderr, "the device no longer answers: status 0x%x, %s\n",
                    (unsigned)cr(&dev, C_STATUS, 1), last_log);
            abort();
        }
        let_work(round);
    }
    reset_device();
}

static void drive(const uint8_t *data, size_t size)
{
    for (unsigned n = 0; n < OPS_MAX && size >= OP_LEN; n++, data += OP_LEN, size -= OP_LEN)
        ops[data[0] % ARRAY_SIZE(ops)](data);
    prove_alive();
}
