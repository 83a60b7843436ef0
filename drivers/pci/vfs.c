/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vfs.c: virtual functions (PCIe 4.0 chapter 9): those that trivet.conf wants of a function are
 * turned on at boot, before the groups are made and any driver runs. What the function says of
 * them, how many, where, how large, is checked; what cannot be is told, and none is turned on then.
 */
#include <hv/assert.h>
#include <hv/iommu.h>
#include <hv/irq.h>
#include <hv/log.h>
#include <hv/time.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "topology.h"

enum { VFS_BARS = 6, VFS_CLASS = 8, VFS_DEVICE_SHIFT = 3, VFS_PAGE_4K = 1 };
/* PCIe §7.5.3.15, §7.5.3.16 */
enum { EXPRESS_CAN2 = 0x24, EXPRESS_CONTROL2 = 0x28, EXPRESS_ARI = 1 << 5 };
#define VFS_MS 1000000ull
/* PCIe §9.3.3.3.1: after they are turned on, and off; §6.6.1: the longest that one may take */
#define VFS_ON_NS (100 * VFS_MS)
#define VFS_OFF_NS (1000 * VFS_MS)
#define VFS_ANSWER_NS (1000 * VFS_MS)

/* A function that has virtual ones, or is to have them. */
struct vfs {
    struct pci_select select;
    char text[24];  /* as trivet.conf has it; "": the firmware had turned them on */
    uint16_t want;  /* so many */
    uint16_t count; /* so many are on */
    uint32_t pf, at;
    const struct host_pci_dev *d;
    uint16_t control;
    uint32_t first, stride; /* requester IDs */
    struct host_pci_bar bar[VFS_BARS];
    char why[200]; /* none is on */
};
static struct vfs vfs[HOST_PCI_VFS_MOST];
static uint32_t nvfs, nwanted; /* those of trivet.conf are the first */

int host_pci_want_vfs(const struct pci_select *s, uint16_t n, const char *text)
{
    struct vfs *v = &vfs[nwanted];

    if (nwanted == ARRAY_SIZE(vfs))
        return -ENOSPC;
    *v = (struct vfs){ .select = *s, .want = n };
    snprintf(v->text, sizeof v->text, "%s", text);
    nvfs = ++nwanted;
    return 0;
}

static int vfs_refuse(struct vfs *v, const char *fmt, ...) printf_like(2, 3);
static int vfs_refuse(struct vfs *v, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(v->why, sizeof v->why, fmt, ap);
    va_end(ap);
    return -EINVAL;
}

static void vfs_wait(uint64_t ns)
{
    uint64_t from = time_ns();

    while (time_ns() - from < ns)
        cpu_relax();
}

static uint32_t vfs_read(const struct vfs *v, uint32_t reg)
{
    return host_pci_read(v->d, v->at + reg, 2);
}

static void vfs_write(const struct vfs *v, uint32_t reg, uint16_t val)
{
    host_pci_write(v->d, v->at + reg, 2, val);
}

/* ---- what the function says, step by step ---- */

static int vfs_count(struct vfs *v)
{
    uint32_t total = vfs_read(v, HOST_PCI_VF_TOTAL), there = vfs_read(v, HOST_PCI_VF_INITIAL);

    if (v->want > total || v->want > there)
        return vfs_refuse(v, "it can have %u at most", total < there ? total : there);
    return 0;
}

/* Their number and their places may be changed only while they are off (PCIe §9.3.3.7). */
static int vfs_off(struct vfs *v)
{
    uint32_t control = vfs_read(v, HOST_PCI_VF_CONTROL);

    if (!(control & HOST_PCI_VF_ENABLE))
        return 0;
    vfs_write(v, HOST_PCI_VF_CONTROL, 0);
    vfs_wait(VFS_OFF_NS);
    if (vfs_read(v, HOST_PCI_VF_CONTROL) & HOST_PCI_VF_ENABLE)
        return vfs_refuse(v, "those that are on cannot be turned off");
    return 0;
}

static int vfs_pages(struct vfs *v)
{
    if (!(host_pci_read(v->d, v->at + HOST_PCI_VF_PAGES, 4) & VFS_PAGE_4K))
        return vfs_refuse(v, "it does not know pages of 4 KiB");
    host_pci_write(v->d, v->at + HOST_PCI_VF_PAGE, 4, VFS_PAGE_4K);
    if (host_pci_read(v->d, v->at + HOST_PCI_VF_PAGE, 4) != VFS_PAGE_4K)
        return vfs_refuse(v, "it does not take pages of 4 KiB");
    return 0;
}

/* The port that leads to its device alone; TOPOLOGY_NONE: there is none. */
static int16_t vfs_port(const struct vfs *v)
{
    int16_t p = topology_at(v->pf)->parent;
    uint8_t type = p < 0 ? TOPOLOGY_CONVENTIONAL : topology_at((uint32_t)p)->type;

    return type == TOPOLOGY_ROOT_PORT || type == TOPOLOGY_DOWNSTREAM_PORT ? p : TOPOLOGY_NONE;
}

/*
 * Function numbers beyond 7 behind a port (PCIe §6.13): where both can it, for their places depend
 * on it (§9.3.3.9).
 */
static int vfs_ari(struct vfs *v)
{
    int16_t p = vfs_port(v);
    const struct host_pci_dev *port = p < 0 ? NULL : topology_dev((uint32_t)p);
    uint32_t at = port ? topology_at((uint32_t)p)->express : 0;

    v->control = 0;
    if (!at || !host_pci_ext_cap(v->d, HOST_PCI_EXT_ARI) ||
        !(host_pci_read(port, at + EXPRESS_CAN2, 4) & EXPRESS_ARI))
        return 0;
    host_pci_write(port, at + EXPRESS_CONTROL2, 2,
                   host_pci_read(port, at + EXPRESS_CONTROL2, 2) | EXPRESS_ARI);
    if (host_pci_read(port, at + EXPRESS_CONTROL2, 2) & EXPRESS_ARI)
        v->control = HOST_PCI_VF_ARI;
    vfs_write(v, HOST_PCI_VF_CONTROL, v->control);
    return 0;
}

static int vfs_number(struct vfs *v)
{
    vfs_write(v, HOST_PCI_VF_COUNT, v->want);
    if (vfs_read(v, HOST_PCI_VF_COUNT) != v->want)
        return vfs_refuse(v, "it does not take that number");
    v->first = topology_rid(v->pf) + vfs_read(v, HOST_PCI_VF_FIRST);
    v->stride = vfs_read(v, HOST_PCI_VF_STRIDE);
    if (v->first == topology_rid(v->pf) || (v->want > 1 && !v->stride))
        return vfs_refuse(v, "it gives them no places of their own");
    return 0;
}

static uint32_t vfs_rid(const struct vfs *v, uint32_t n) { return v->first + n * v->stride; }

/* The last bus that leads to its device. */
static uint32_t vfs_last_bus(const struct vfs *v)
{
    int16_t p = topology_at(v->pf)->parent;

    return p < 0 ? v->d->bus : topology_at((uint32_t)p)->subordinate;
}

/* Only function numbers below 8 are asked for without ARI: of a device's number there is but 0. */
static bool vfs_in_reach(const struct vfs *v, uint32_t rid)
{
    return vfs_port(v) < 0 || v->control & HOST_PCI_VF_ARI || rid >> 8 != v->d->bus ||
           !((rid & 0xff) >> VFS_DEVICE_SHIFT);
}

static int vfs_places(struct vfs *v)
{
    uint32_t last = vfs_rid(v, v->want - 1u), count;
    const struct host_pci_dev *d = host_pci_devs(&count); /* those just added among them */

    if (v->want > HOST_PCI_MAX - count)
        return vfs_refuse(v, "Trivet cannot keep track of so many functions");
    if (last > 0xffff || last >> 8 > vfs_last_bus(v))
        return vfs_refuse(v,
                          "the last one would be on bus %x, to which nothing leads: switch SR-IOV "
                          "on in the firmware's set-up",
                          last >> 8);
    for (uint32_t n = 0; n < v->want; n++) {
        if (!vfs_in_reach(v, vfs_rid(v, n)))
            return vfs_refuse(v, "the port above it, or it, lacks ARI: %x.%u would be out of reach",
                              vfs_rid(v, n) >> VFS_DEVICE_SHIFT, vfs_rid(v, n) & 7);
        for (uint32_t i = 0; i < count; i++)
            if (d[i].segment == v->d->segment && host_pci_rid(&d[i]) == vfs_rid(v, n))
                return vfs_refuse(v, "one of them would be where another function is");
    }
    return 0;
}

/* ---- their memory ---- */

static bool vfs_overlap(const struct host_pci_bar *a, uint64_t na, const struct host_pci_bar *b,
                        uint64_t nb)
{
    return a->len && b->len && a->base < b->base + b->len * nb && b->base < a->base + a->len * na;
}

/* What all of them have by BAR i is neither its own nor theirs by another. */
static bool vfs_is_apart(const struct vfs *v, unsigned i)
{
    struct host_pci_bar own;

    for (unsigned k = 0; k < VFS_BARS; k++)
        if (!host_pci_bar(v->d, k, &own) && !own.io && vfs_overlap(&own, 1, &v->bar[i], v->want))
            return false;
    for (unsigned k = 0; k < i; k++)
        if (vfs_overlap(&v->bar[k], v->want, &v->bar[i], v->want))
            return false;
    return true;
}

static int vfs_memory_of(struct vfs *v, unsigned i)
{
    const struct host_pci_bar *b = &v->bar[i];
    struct host_pci_bar whole = *b;

    if (!b->base)
        return vfs_refuse(v,
                          "the firmware gave them no memory (BAR %u): switch SR-IOV on in its "
                          "set-up",
                          i);
    if (b->io || b->len < PAGE_SIZE || b->len > UINT64_MAX / 2 / v->want ||
        b->base & (b->len - 1) || b->base > UINT64_MAX / 2)
        return vfs_refuse(v, "what it says of their BAR %u cannot be", i);
    whole.len *= v->want;
    if (!host_pci_bar_is_its_own(v->pf, &whole) || !vfs_is_apart(v, i))
        return vfs_refuse(v, "their BAR %u is not where the machine leads to it", i);
    return 0;
}

static int vfs_memory(struct vfs *v)
{
    int err = 0;

    memset(v->bar, 0, sizeof v->bar);
    for (unsigned i = 0; !err && i < VFS_BARS; i++) {
        bool wide;

        pci_bar_size(v->d, v->at + HOST_PCI_VF_BAR + 4 * i, i + 1 == VFS_BARS, &v->bar[i]);
        if (!v->bar[i].len)
            continue;
        wide = v->bar[i].wide;
        err = vfs_memory_of(v, i);
        i += wide; /* the next one is its upper half */
    }
    return err;
}

/* ---- on ---- */

static int vfs_on(struct vfs *v)
{
    v->control |= HOST_PCI_VF_ENABLE | HOST_PCI_VF_MEMORY;
    vfs_write(v, HOST_PCI_VF_CONTROL, v->control);
    vfs_wait(VFS_ON_NS);
    if (vfs_read(v, HOST_PCI_VF_CONTROL) != v->control)
        return vfs_refuse(v, "they do not go on");
    return 0;
}

/* Its header names no vendor (PCIe §9.3.4.1.1). What it is is said by its physical function. */
static struct host_pci_dev vfs_dev(const struct vfs *v, uint32_t n)
{
    struct host_pci_dev d = *v->d;

    d.bus = (uint8_t)(vfs_rid(v, n) >> 8);
    d.devfn = (uint8_t)vfs_rid(v, n);
    d.device = (uint16_t)vfs_read(v, HOST_PCI_VF_DEVICE);
    d.physical = v->d;
    d.vf = (uint16_t)n;
    d.stopped = false;
    return d;
}

static bool vfs_answers(const struct host_pci_dev *d)
{
    uint64_t from = time_ns();

    while (host_pci_read(d, VFS_CLASS, 4) == UINT32_MAX) {
        if (time_ns() - from >= VFS_ANSWER_NS)
            return false;
        cpu_relax();
    }
    return true;
}

static int vfs_add(struct vfs *v)
{
    for (uint32_t n = 0; n < v->want; n++) {
        struct host_pci_dev d = vfs_dev(v, n);

        if (pci_reach(&d) || !vfs_answers(&d))
            return vfs_refuse(v, "number %u does not answer", n);
    }
    for (; v->count < v->want; v->count++) {
        struct host_pci_dev d = vfs_dev(v, v->count);

        if (pci_add(&d))
            return vfs_refuse(v, "number %u is out of reach", v->count);
    }
    return 0;
}

static int (*const vfs_steps[])(struct vfs *) = {
    vfs_count, vfs_off, vfs_pages, vfs_ari, vfs_number, vfs_places, vfs_memory, vfs_on, vfs_add,
};

static void vfs_tell(const struct vfs *v, int err)
{
    char name[TOPOLOGY_NAME], first[TOPOLOGY_NAME];
    struct host_pci_dev d = vfs_dev(v, 0);

    host_pci_name(v->d, name);
    if (err)
        log_err("PCI %s: no virtual function (%u are wanted): %s", name, v->want, v->why);
    else
        log_info("PCI %s: %u virtual functions, from %s on", name, v->count,
                 host_pci_name(&d, first));
}

/* All or none. True: functions were added. */
static bool vfs_make(struct vfs *v)
{
    int err = 0;

    for (size_t i = 0; !err && i < ARRAY_SIZE(vfs_steps); i++)
        err = vfs_steps[i](v);
    if (err && !v->count) /* those that are listed already stay, and work */
        vfs_write(v, HOST_PCI_VF_CONTROL, 0);
    vfs_tell(v, v->count ? 0 : err);
    return v->count;
}

static struct vfs *vfs_of(const struct host_pci_dev *d)
{
    for (uint32_t i = 0; i < nvfs; i++)
        if (vfs[i].d == d)
            return &vfs[i];
    return NULL;
}

/* The first function that it names, of those that nobody named before. */
static int vfs_find(struct vfs *v)
{
    uint32_t count;
    const struct host_pci_dev *d = host_pci_devs(&count);

    for (v->pf = 0; v->pf < count; v->pf++)
        if (pci_selects(&v->select, &d[v->pf]) && !vfs_of(&d[v->pf]))
            break;
    if (v->pf == count) {
        vfs_refuse(v, "this machine has no such function");
        log_err("vfs = %s,%u: %s", v->text, v->want, v->why);
        return -ENODEV;
    }
    v->d = &d[v->pf];
    v->at = topology_at(v->pf)->vf_cap;
    if (v->at)
        return 0;
    vfs_refuse(v, "it has no virtual functions (SR-IOV)");
    vfs_tell(v, -ENOTSUP);
    return -ENOTSUP;
}

/* What the firmware has turned on is turned off, and on again as if it had been asked for. */
static void vfs_of_the_firmware(void)
{
    for (uint32_t i = 0; i < topology_count() && nvfs < ARRAY_SIZE(vfs); i++) {
        uint32_t at = topology_at(i)->vf_cap;
        const struct host_pci_dev *d = topology_dev(i);

        if (!at || vfs_of(d) ||
            !(host_pci_read(d, at + HOST_PCI_VF_CONTROL, 2) & HOST_PCI_VF_ENABLE))
            continue;
        vfs[nvfs] = (struct vfs){ .pf = i, .at = at, .d = d };
        vfs[nvfs].want = (uint16_t)host_pci_read(d, at + HOST_PCI_VF_COUNT, 2);
        nvfs += vfs[nvfs].want > 0;
    }
}

bool vfs_all(void)
{
    bool added = false;

    nvfs = nwanted;
    for (uint32_t i = 0; i < nvfs; i++) { /* the bus was searched anew */
        vfs[i].d = NULL;
        vfs[i].count = 0;
    }
    for (uint32_t i = 0; i < nwanted; i++)
        if (vfs_find(&vfs[i]))
            vfs[i].at = 0;
    vfs_of_the_firmware();
    for (uint32_t i = 0; i < nvfs; i++)
        if (vfs[i].at)
            added |= vfs_make(&vfs[i]);
    return added;
}

/* ---- afterwards ---- */

unsigned host_pci_vfs(const struct host_pci_dev *d, const char **why)
{
    const struct vfs *v = vfs_of(d);

    if (why)
        *why = v && !v->count ? v->why : NULL;
    return v ? v->count : 0;
}

int vfs_bar(const struct host_pci_dev *d, unsigned i, struct host_pci_bar *out)
{
    const struct vfs *v = vfs_of(d->physical);

    *out = (struct host_pci_bar){ .len = 0 };
    if (!v || i >= VFS_BARS || !v->bar[i].len)
        return -ENOENT;
    *out = v->bar[i];
    out->base += d->vf * out->len;
    return 0;
}

bool vfs_claim(uint32_t i, const struct host_pci_bar *b)
{
    const struct host_pci_dev *d = topology_dev(i);

    for (uint32_t k = 0; k < nvfs; k++)
        for (unsigned n = 0; vfs[k].count && vfs[k].d != d->physical && n < VFS_BARS; n++)
            if (vfs_overlap(&vfs[k].bar[n], vfs[k].count, b, 1))
                return true;
    return false;
}

/* A reset of the function takes all of it (PCIe §9.2.2.2). */
static void vfs_restore(const struct vfs *v)
{
    host_pci_write(v->d, v->at + HOST_PCI_VF_PAGE, 4, VFS_PAGE_4K);
    vfs_write(v, HOST_PCI_VF_CONTROL, v->control & HOST_PCI_VF_ARI);
    vfs_write(v, HOST_PCI_VF_COUNT, v->want);
    for (unsigned i = 0; i < VFS_BARS; i++) {
        uint32_t reg = v->at + HOST_PCI_VF_BAR + 4 * i;

        if (!v->bar[i].len)
            continue;
        host_pci_write(v->d, reg, 4, (uint32_t)v->bar[i].base);
        if (v->bar[i].wide)
            host_pci_write(v->d, reg + 4, 4, (uint32_t)(v->bar[i].base >> 32));
    }
}

/* They are where they were. */
static bool vfs_is_back(struct vfs *v)
{
    if (vfs_read(v, HOST_PCI_VF_COUNT) != v->want ||
        topology_rid(v->pf) + vfs_read(v, HOST_PCI_VF_FIRST) != v->first ||
        vfs_read(v, HOST_PCI_VF_STRIDE) != v->stride || vfs_on(v))
        return false;
    for (uint32_t n = 0; n < v->count; n++) {
        struct host_pci_dev d = vfs_dev(v, n);

        if (pci_reach(&d) || !vfs_answers(&d))
            return false;
    }
    return true;
}

int host_pci_vfs_reset(const struct host_pci_dev *d)
{
    struct host_pci_reset r = { .step = 0 };
    struct vfs *v = vfs_of(d);
    uint64_t wait = 0;
    int err;

    assert_cpu0();
    if (!v || !v->count || !host_pci_reset_kind(v->pf))
        return -ENOTSUP;
    while ((err = host_pci_reset_step(v->pf, &r, &wait)) == -EINPROGRESS)
        vfs_wait(wait);
    if (err)
        return err;
    host_pci_command(d, HOST_PCI_MEMORY, 0);
    vfs_restore(v);
    return vfs_is_back(v) ? 0 : -EIO;
}
