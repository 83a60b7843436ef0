/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A function of the machine that says of itself what the input says, and a guest that does with it
 * what the input says: configuration space, BARs, the MSI-X table, interrupts, resets. The
 * function's configuration space is never written, only bus mastering is passed on, nothing of a
 * BAR is reached but what was asked for, and nothing stays mapped.
 */
#include <hv/passthrough.h>
#include "../unit/vio_fake.h"

enum { CFG = 256, SLOT = 4 };
struct passthrough_fn {
    uint8_t cfg[CFG];
    struct host_pci_bar bar[VPCI_BARS];
    uint64_t map_off[VPCI_BARS], map_len[VPCI_BARS];
    struct event *irq[VPCI_MSIX_MAX];
    bool open;
    uint8_t looked;
};
static struct passthrough_fn fn;

#include "../unit/passthrough_fake.h"

static struct passthrough_fn *fn_open(struct vm *m, const struct guest_config *c, unsigned n,
                                      int *err, char *why, size_t size)
{
    (void)m, (void)c, (void)n, (void)err, (void)why, (void)size;
    fn.open = true;
    return &fn;
}

static const char *fn_name(const struct passthrough_fn *f)
{
    (void)f;
    return "it";
}

static uint32_t fn_read(struct passthrough_fn *f, uint32_t off, unsigned size)
{
    uint32_t v = UINT32_MAX;

    if (off + size <= CFG)
        memcpy(&v, f->cfg + off, size);
    return size == 4 ? v : v & ((1u << 8 * size) - 1);
}

static uint32_t fn_cap(struct passthrough_fn *f, uint8_t id, unsigned n)
{
    return f->cfg[0x40 + (id & 31)] & 1u << (n & 7) ? (f->cfg[0x60 + (id & 31)] | 0x40u) & ~3u : 0;
}

static int fn_bar(struct passthrough_fn *f, unsigned i, struct host_pci_bar *b)
{
    *b = f->bar[i];
    return b->len ? 0 : -ENOENT;
}

static void fn_master(struct passthrough_fn *f, bool on) { (void)f, (void)on; }

static int fn_map(struct passthrough_fn *f, unsigned i, uint64_t off, uint64_t len)
{
    if (!range_within(off, len, 0, f->bar[i].len))
        return -EINVAL;
    f->map_off[i] = off;
    f->map_len[i] = len;
    return 0;
}

static void fn_check(struct passthrough_fn *f, unsigned i, uint64_t off, unsigned size)
{
    if (!range_within(off, size, f->map_off[i], f->map_len[i]) || size > 4 || !f->open)
        abort();
}

static uint32_t fn_mmio_read(struct passthrough_fn *f, unsigned i, uint64_t off, unsigned size)
{
    fn_check(f, i, off, size);
    return (uint32_t)off;
}

static void fn_mmio_write(struct passthrough_fn *f, unsigned i, uint64_t off, unsigned size,
                          uint32_t v)
{
    (void)v;
    fn_check(f, i, off, size);
}

static int fn_irq(struct passthrough_fn *f, unsigned n, struct event *ev)
{
    if (n >= VPCI_MSIX_MAX)
        abort();
    if (n > f->cfg[0x3b])
        return -ENOSPC;
    f->irq[n] = ev;
    return 0;
}

static void fn_mask(struct passthrough_fn *f, unsigned n, bool on) { (void)f, (void)n, (void)on; }

static int fn_reset(struct passthrough_fn *f, struct event *then)
{
    (void)then;
    memset(f->irq, 0, sizeof f->irq);
    return 0;
}

static void fn_close(struct passthrough_fn *f)
{
    memset(f->irq, 0, sizeof f->irq);
    f->open = false;
}

static void fn_mode(struct passthrough_fn *f, enum passthrough_mode mode) { (void)f, (void)mode; }

static bool fn_has_line(struct passthrough_fn *f) { return f->cfg[PCI_INT_PIN] & 1; }

/* Now so, now so. */
static bool fn_line(struct passthrough_fn *f)
{
    if (!f->open)
        abort();
    return f->looked++ & f->cfg[PCI_INT_PIN];
}

static const struct passthrough_ops machine = MACHINE_OPS;

/* BARs as host_pci_bar() would give them: powers of two, aligned. */
static void make_bars(const uint8_t *data)
{
    for (unsigned i = 0; i < VPCI_BARS; i++) {
        unsigned order = data[i] & 31;

        fn.bar[i] = (struct host_pci_bar){ .len = 0 };
        if (data[i] & 128 && order >= 2 && order <= 8) {
            fn.bar[i] = (struct host_pci_bar){ .base = 0x1000ull + ((uint64_t)i << 8),
                                               .len = 1ull << order,
                                               .io = true };
            continue;
        }
        if (order < 4 || order > 26 || (i && fn.bar[i - 1].wide))
            continue;
        fn.bar[i].len = 1ull << order;
        fn.bar[i].base = 0x100000000ull + ((uint64_t)(i + 1) << order);
        fn.bar[i].wide = data[i] & 32 && i + 1 < VPCI_BARS;
        fn.bar[i].prefetch = data[i] & 64;
    }
}

static void act(const uint8_t *p)
{
    uint32_t off = p[1] | (uint32_t)p[2] << 8,
             val = p[3] | (uint32_t)p[4] << 8 | (uint32_t)p[5] << 24;
    unsigned size = 1u << (p[0] >> 4 & 3);

    switch (p[0] & 7) {
    case 0:
    case 1: cfg_wr(SLOT, off & 0xff & ~(size - 1), size & 7 ? size : 4, val); break;
    case 2: (void)cfg_rd(SLOT, off & 0xff & ~(size - 1), size & 7 ? size : 4); break;
    case 3: mem_wr(bar_addr(SLOT, p[5] % VPCI_BARS) + (off & ~(size - 1)), size, val); break;
    case 4: (void)mem_rd(bar_addr(SLOT, p[5] % VPCI_BARS) + (off & ~(size - 1)), size); break;
    case 6:
        (void)access_space(IO_PORT,
                           (cfg_rd(SLOT, PCI_BAR0 + 4 * (p[5] % VPCI_BARS), 4) & ~3u) + p[1],
                           size & 7 ? size : 4, p[2] & 1, val);
        break;
    case 5:
        if (fn.irq[p[1] % VPCI_MSIX_MAX])
            event_post(fn.irq[p[1] % VPCI_MSIX_MAX]);
        break;
    default:
        tick = (p[1] & 3) * 1000000ull; /* at each look at the clock */
        (void)event_run();
        tick = 0;
        if (vm.after_run)
            vm.after_run(&vm);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t before[CFG];

    if (size < CFG + VPCI_BARS)
        return 0;
    memset(&fn, 0, sizeof fn);
    memcpy(fn.cfg, data, CFG);
    memcpy(before, data, CFG);
    make_bars(data + CFG);
    config.npassthrough = 0;
    nslots = 0;
    passthrough_ops = &machine;
    fake_up();
    config.npassthrough = 1;
    if (passthrough_build(&vm, &config) == 0)
        for (size_t at = CFG + VPCI_BARS; at + 6 <= size; at += 6)
            act(data + at);
    if (passthrough_quiesce(&vm))
        abort();
    fake_down();
    if (nslots || fn.open || vm.after_run || lines_high || memcmp(before, fn.cfg, CFG) != 0)
        abort();
    return 0;
}
