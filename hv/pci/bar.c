/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Base address registers: assignment at build time, and the trapped ranges that follow what the
 * guest writes. PCI 3.0 §6.2.5.1.
 */
#include <hv/assert.h>
#include <hv/log.h>
#include <string.h>
#include "vpci.h"

#define PORTS 0x10000u

enum { BAR_IO = 1, BAR_KIND = 6, BAR_64 = 4 };

static bool bar_is_io(const struct vpci_dev *d, unsigned bar)
{
    return d->s.cfg[PCI_BAR0 + 4 * bar] & BAR_IO;
}

static bool bar_is64(const struct vpci_dev *d, unsigned bar)
{
    return (d->s.cfg[PCI_BAR0 + 4 * bar] & (BAR_IO | BAR_KIND)) == BAR_64;
}

void vpci_add_bar(struct vpci_dev *d, unsigned bar, uint64_t size, bool is64)
{
    unsigned reg = PCI_BAR0 + 4 * bar;
    uint64_t mask = ~(size - 1);

    assert_cpu0();
    hv_assert(size >= 16 && !(size & (size - 1)));
    hv_assert(bar + is64 < VPCI_BARS);
    d->bar_size[bar] = size;
    d->s.cfg[reg] = is64 ? BAR_64 : 0;
    for (unsigned i = 0; i < (is64 ? 8u : 4u); i++)
        d->wmask[reg + i] = (uint8_t)(mask >> (8 * i));
    d->wmask[reg] &= 0xf0;
}

bool vpci_has_ports(const struct vm *vm) { return vm->pci && vm->pci->layout.io_len; }

void vpci_add_io_bar(struct vpci_dev *d, unsigned bar, uint32_t size)
{
    unsigned reg = PCI_BAR0 + 4 * bar;

    assert_cpu0();
    hv_assert(size >= 4 && size <= 256 && !(size & (size - 1)) && bar < VPCI_BARS);
    hv_assert(vpci_has_ports(d->vm));
    d->bar_size[bar] = size;
    d->s.cfg[reg] = BAR_IO;
    for (unsigned i = 0; i < 4; i++)
        d->wmask[reg + i] = (uint8_t)(~(size - 1) >> (8 * i));
    d->wmask[PCI_COMMAND] |= PCI_CMD_IO;
}

void vpci_add_region(struct vpci_dev *d, unsigned bar, const struct vpci_region *r)
{
    struct vpci_region *n = &d->region[d->nregions++];

    assert_cpu0();
    hv_assert(d->nregions <= VPCI_REGIONS && bar < VPCI_BARS);
    hv_assert(range_within(r->off, r->len, 0, d->bar_size[bar]));
    hv_assert(r->ops || !((r->off | r->len | r->host) & (PAGE_SIZE - 1)));
    hv_assert(r->ops || !bar_is_io(d, bar));
    *n = *r;
    n->bar = (uint8_t)bar;
    n->mapped = false;
}

/*
 * Where the guest wants the BAR now; 0: nowhere (no decoding, at 0, or beyond the end of the
 * address space).
 */
static uint64_t bar_wanted(const struct vpci_dev *d, unsigned bar)
{
    unsigned on = bar_is_io(d, bar) ? PCI_CMD_IO : PCI_CMD_MEM;
    uint64_t base;

    if (d->bar_size[bar] == 0 || !(vpci_cfg_get(d, PCI_COMMAND, 2) & on))
        return 0;
    base = vpci_cfg_get(d, PCI_BAR0 + 4 * bar, 4) & ~(d->bar_size[bar] - 1);
    if (bar_is_io(d, bar))
        return base + d->bar_size[bar] > PORTS ? 0 : base;
    if (bar_is64(d, bar))
        base |= (uint64_t)vpci_cfg_get(d, PCI_BAR0 + 4 * bar + 4, 4) << 32;
    return base > UINT64_MAX - d->bar_size[bar] ? 0 : base;
}

static int region_unmap(const struct vpci_dev *d, const struct vpci_region *r, uint64_t at)
{
    enum io_space space = bar_is_io(d, r->bar) ? IO_PORT : IO_MEM;

    return r->ops ? io_unregister(d->vm, space, at) : gmem_unmap(d->vm, gpa(at), r->len);
}

static int region_map(const struct vpci_dev *d, const struct vpci_region *r, uint64_t at)
{
    struct vm *vm = d->vm;

    if (!r->ops)
        return gmem_map(vm, &(struct memslot){ .base = gpa(at),
                                               .len = r->len,
                                               .host = hpa(r->host),
                                               .prot = PROT_RW,
                                               .type = r->combine ? MEM_WC : MEM_UC,
                                               .kind = MEMSLOT_MMIO });
    return io_register(vm, &(struct io_region){ .name = r->name,
                                                .space = bar_is_io(d, r->bar) ? IO_PORT : IO_MEM,
                                                .base = at,
                                                .len = r->len,
                                                .ops = r->ops,
                                                .dev = r->dev });
}

static void bar_unmap(struct vpci_dev *d, unsigned bar)
{
    for (unsigned i = 0; i < d->nregions; i++) {
        struct vpci_region *r = &d->region[i];

        if (r->bar != bar || !r->mapped)
            continue;
        if (region_unmap(d, r, d->bar_mapped[bar] + r->off))
            log_err("pci: BAR %u of 00:%02x.0 was not registered", bar, d->slot);
        r->mapped = false;
    }
    d->bar_mapped[bar] = 0;
}

/*
 * Once for each place: a guest that lays out its bus anew has BARs overlap for a while, and every
 * write to configuration space tries again.
 */
static void bar_say_taken(struct vpci_dev *d, unsigned bar, uint64_t base, int err)
{
    if (d->bar_told[bar] == base)
        return;
    d->bar_told[bar] = base;
    vm_log(d->vm, LOG_INFO, "pci 00:%02x.0: BAR %u at 0x%llx is not mapped yet (%d): %s", d->slot,
           bar, (unsigned long long)base, err, "the range is taken");
}

static void bar_map(struct vpci_dev *d, unsigned bar, uint64_t base)
{
    hv_assert(!d->bar_mapped[bar] || d->bar_mapped[bar] == base);
    d->bar_mapped[bar] = base;
    for (unsigned i = 0; i < d->nregions; i++) {
        struct vpci_region *r = &d->region[i];
        int e;

        if (r->bar != bar)
            continue;
        e = region_map(d, r, base + r->off);
        if (e) {
            bar_say_taken(d, bar, base, e);
            bar_unmap(d, bar);
            return;
        }
        r->mapped = true;
    }
    d->bar_told[bar] = 0;
}

void vpci_bars_unmap(struct vpci_dev *d)
{
    for (unsigned bar = 0; bar < VPCI_BARS; bar++)
        if (d->bar_mapped[bar])
            bar_unmap(d, bar);
}

/*
 * First everything that moved away, then what wants a place: so two BARs may change places, and one
 * that was in the way frees the other.
 */
void vpci_bars_sync(struct vpci *p)
{
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < VPCI_SLOTS * VPCI_BARS; i++) {
            struct vpci_dev *d = p->dev[i / VPCI_BARS];
            unsigned bar = i % VPCI_BARS;
            uint64_t want = d ? bar_wanted(d, bar) : 0;

            if (!d || want == d->bar_mapped[bar])
                continue;
            if (pass == 0 && d->bar_mapped[bar])
                bar_unmap(d, bar);
            if (pass == 1 && want)
                bar_map(d, bar, want);
        }
}

static int bar_assign_io(struct vpci *p, struct vpci_dev *d, unsigned bar)
{
    const struct vpci_layout *l = &p->layout;
    uint32_t size = (uint32_t)d->bar_size[bar];
    uint64_t base = align_up(p->next_io, size);

    if (!range_within(base, size, l->io, l->io_len))
        return -ENOSPC;
    p->next_io = (uint32_t)base + size;
    vpci_cfg_set(d, PCI_BAR0 + 4 * bar, 4, base | BAR_IO);
    return 0;
}

static int bar_assign(struct vpci *p, struct vpci_dev *d, unsigned bar)
{
    const struct vpci_layout *l = &p->layout;
    uint64_t size = d->bar_size[bar], base = align_up(p->next32, size);
    bool is64 = bar_is64(d, bar);

    if (range_within(base, size, l->mmio32, l->mmio32_len)) {
        p->next32 = base + size;
    } else {
        base = align_up(p->next64, size);
        if (!is64 || !range_within(base, size, l->mmio64, l->mmio64_len))
            return -ENOSPC;
        p->next64 = base + size;
    }
    vpci_cfg_set(d, PCI_BAR0 + 4 * bar, is64 ? 8 : 4, base | d->s.cfg[PCI_BAR0 + 4 * bar]);
    return 0;
}

/*
 * Everything fits below 4 GiB, where every kernel can reach it; what does not goes into the upper
 * window if it can.
 */
int vpci_bars_assign(struct vpci *p, struct vpci_dev *d)
{
    int err = 0;

    assert_cpu0();
    for (unsigned bar = 0; !err && bar < VPCI_BARS; bar++)
        if (d->bar_size[bar])
            err = bar_is_io(d, bar) ? bar_assign_io(p, d, bar) : bar_assign(p, d, bar);
    return err;
}

int vpci_bar_access(struct vpci_dev *d, unsigned bar, struct io_access *a)
{
    for (unsigned i = 0; i < d->nregions; i++) {
        const struct vpci_region *r = &d->region[i];
        uint64_t off;

        if (!r->ops || r->bar != bar || !range_within(a->addr, a->size, r->off, r->len) ||
            !(r->ops->sizes & a->size))
            continue;
        off = index_nospec(a->addr - r->off, r->len);
        return a->write ? r->ops->write(r->dev, off, a->size, a->val)
                        : r->ops->read(r->dev, off, a->size, &a->val);
    }
    return -ENOENT;
}
