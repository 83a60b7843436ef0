/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * explain.c: what topology.c and group.c found, in sentences for people, and whether a guest may
 * have a function.
 */
#include <hv/assert.h>
#include <hv/iommu.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "topology.h"

enum { SENTENCE = 400, NAMED = 6 };
/* PCI Local Bus Specification 3.0 section 6.2.5, 6.2.4 */
enum {
    EXPLAIN_CLASS = 0x08,
    EXPLAIN_BAR0 = 0x10,
    EXPLAIN_BARS = 6,
    EXPLAIN_ROM = 0x30,
    EXPLAIN_PIN = 0x3d
};
enum { EXPLAIN_STORAGE = 1, EXPLAIN_NVME = 8 };
enum { EXPLAIN_IO = 1, EXPLAIN_KIND = 6, EXPLAIN_64 = 4 };
struct explain {
    topology_say *say;
    void *ctx;
    char text[SENTENCE];
    char name[3][TOPOLOGY_NAME];
};

static const char *explain_name(struct explain *e, unsigned slot, uint32_t i)
{
    return host_pci_name(topology_dev(i), e->name[slot]);
}

static void explain_say(struct explain *e, const char *about, const char *fmt, ...)
    printf_like(3, 4);
static void explain_say(struct explain *e, const char *about, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    e->say(e->ctx, about, e->text);
}

static const char *explain_kind(uint32_t i)
{
    static const char *const words[] = {
        [TOPOLOGY_ENDPOINT] = "a PCI Express endpoint",
        [TOPOLOGY_LEGACY_ENDPOINT] = "a PCI Express endpoint of the legacy kind",
        [TOPOLOGY_ROOT_PORT] = "a root port",
        [TOPOLOGY_UPSTREAM_PORT] = "the upstream port of a switch",
        [TOPOLOGY_DOWNSTREAM_PORT] = "a downstream port of a switch",
        [TOPOLOGY_TO_PCI] = "a bridge from PCI Express to PCI",
        [TOPOLOGY_FROM_PCI] = "a bridge from PCI to PCI Express",
        [TOPOLOGY_INTEGRATED] = "integrated into the root complex",
        [TOPOLOGY_EVENT_COLLECTOR] = "an event collector of the root complex",
    };
    const struct host_topology *t = topology_at(i);

    if (t->physical >= 0)
        return "a virtual function";
    if (t->type < ARRAY_SIZE(words) && words[t->type])
        return words[t->type];
    return t->is_bridge ? "a bridge between PCI buses" : "a conventional PCI device";
}

/* ---- who has it ---- */

static void explain_owner(struct explain *e, uint32_t i)
{
    const struct host_topology *t = topology_at(i);
    const struct host_pci_dev *d = topology_dev(i);
    char who[120];

    if (t->use == TOPOLOGY_GUEST)
        snprintf(who, sizeof who, "belongs to guest %s", t->owner);
    else if (t->use == TOPOLOGY_TRIVET)
        snprintf(who, sizeof who, "belongs to Trivet, whose driver %s works for it", t->driver);
    else if (t->use == TOPOLOGY_BRIDGE)
        snprintf(who, sizeof who, "is a part of the machine that Trivet keeps");
    else
        snprintf(who, sizeof who, "belongs to nobody, and is no bus master");
    explain_say(e, "owner", "%s (%04x:%04x, %s) %s.", explain_name(e, 0, i), d->vendor, d->device,
                host_pci_class(d), who);
}

static void explain_place(struct explain *e, uint32_t i)
{
    const struct host_topology *t = topology_at(i);

    if (t->physical >= 0)
        explain_say(e, "place", "It is a virtual function of %s.",
                    explain_name(e, 0, (uint32_t)t->physical));
    else if (t->parent < 0)
        explain_say(e, "place", "It is %s, on root bus %02x.", explain_kind(i),
                    topology_dev(i)->bus);
    else
        explain_say(e, "place", "It is %s, behind %s, which is %s.", explain_kind(i),
                    explain_name(e, 0, (uint32_t)t->parent), explain_kind((uint32_t)t->parent));
    if (t->alias != topology_rid(i))
        explain_say(e, "place", "The IOMMU takes its requests for those of %02x:%02x.%u.",
                    t->alias >> 8, t->alias >> 3 & 31u, t->alias & 7u);
}

/* ---- virtual functions ---- */

/*
 * Trivet's NVMe driver gives them what they need. A network card's ask their physical one's driver,
 * which does not answer.
 */
static void explain_vf(struct explain *e, uint32_t i)
{
    const struct host_pci_dev *d = topology_dev(i);
    int16_t pf = topology_at(i)->physical;
    bool nvme = d->class == EXPLAIN_STORAGE && d->subclass == EXPLAIN_NVME;

    if (pf < 0 || (nvme && topology_at((uint32_t)pf)->use == TOPOLOGY_TRIVET))
        return;
    explain_say(e, "vfs",
                "No driver of Trivet's serves the virtual functions of %s: what they need from it, "
                "they do not get.",
                explain_name(e, 0, (uint32_t)pf));
}

static void explain_vfs(struct explain *e, uint32_t i)
{
    const struct host_topology *t = topology_at(i);
    const char *why;
    unsigned n = host_pci_vfs(topology_dev(i), &why);

    explain_vf(e, i);
    if (n)
        explain_say(e, "vfs", "It has %u virtual functions (SR-IOV), and can have up to %u.", n,
                    t->vfs);
    else if (t->vfs)
        explain_say(e, "vfs",
                    "It can have up to %u virtual functions (SR-IOV): `vfs = %s,%u` in [host] of "
                    "trivet.conf.",
                    t->vfs, explain_name(e, 0, i), t->vfs);
    if (why)
        explain_say(e, "vfs", "It has none of the virtual functions that trivet.conf wants: %s.",
                    why);
}

/* ---- its group ---- */

static bool explain_is_other(uint32_t i, uint32_t k)
{
    return k != i && topology_at(k)->group == topology_at(i)->group &&
           topology_at(k)->use != TOPOLOGY_BRIDGE;
}

static void explain_alone(struct explain *e, uint32_t i)
{
    const struct host_topology *t = topology_at(i);

    if (t->physical >= 0)
        explain_say(e, "why",
                    "A virtual function has a requester ID of its own, and the ports above it "
                    "let nothing pass between their devices (ACS).");
    else if (t->parent < 0)
        explain_say(e, "why",
                    "It is on a root bus, has a requester ID of its own, and shares its device "
                    "with no function that could reach it.");
    else
        explain_say(e, "why",
                    "Every port between it and the root complex sends all requests on to the "
                    "IOMMU (ACS), or leads to nothing else.");
}

static void explain_members(struct explain *e, uint32_t i)
{
    char list[NAMED * (TOPOLOGY_NAME + 2) + 24] = "";
    uint32_t n = 0;
    size_t len = 0;

    for (uint32_t k = 0; k < topology_count(); k++) {
        if (!explain_is_other(i, k) || n++ >= NAMED)
            continue;
        len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", len ? ", " : "",
                                explain_name(e, 1, k));
    }
    if (n > NAMED)
        snprintf(list + len, sizeof list - len, " and %u more", n - NAMED);
    if (n)
        explain_say(e, "group", "Its group is %u. It cannot be kept apart from %s.",
                    topology_at(i)->group, list);
    else
        explain_say(e, "group", "Its group is %u, in which no other device is.",
                    topology_at(i)->group);
}

/* What makes it so, and what would have to change; %s: the culprit. */
static const struct {
    const char *why, *change;
} explain_causes[] = {
    [TOPOLOGY_SAME_REQUESTER] = { "Behind %s, %s, all devices share one requester ID: the IOMMU "
                                  "cannot tell them apart.",
                                  "Put it into a PCI Express slot that is not behind %s, or give "
                                  "all devices behind that "
                                  "bridge to one guest." },
    [TOPOLOGY_NO_ACS_SWITCH] = { "%s, %s, has no ACS that redirects requests: devices below that "
                                 "switch reach one another "
                                 "without passing the IOMMU.",
                                 "Put it into a slot that is not below the switch of %s, use a "
                                 "switch with ACS, or give all "
                                 "devices below it to one guest." },
    [TOPOLOGY_NO_ACS_ROOT] = { "%s, %s, has no ACS: what is below it may reach one another without "
                               "passing the IOMMU.",
                               "Put it below another root port than %s, or give all devices below "
                               "that one to one "
                               "guest." },
    [TOPOLOGY_FUNCTIONS] = { "%s, %s, is one of several functions of a device, without ACS: they "
                             "may reach one another "
                             "within it.",
                             "All functions of the device of %s have to go to one guest; firmware "
                             "set-up may switch "
                             "some of them off." },
    [TOPOLOGY_CLAIMED_TWICE] = { "%s, %s, claims the same bus as another bridge: what is behind "
                                 "which cannot be told.",
                                 "The firmware has set %s up wrongly: look for a newer one." },
};

static void explain_why(struct explain *e, uint32_t i)
{
    const struct topology_join *j;

    for (uint32_t n = 0; (j = host_topology_join(n)) != NULL; n++) {
        if (j->group != topology_at(i)->group)
            continue;
        explain_say(e, "why", explain_causes[j->why].why, explain_name(e, 0, j->culprit),
                    explain_kind(j->culprit));
        explain_say(e, "change", explain_causes[j->why].change, explain_name(e, 0, j->culprit));
    }
}

static void explain_group(struct explain *e, uint32_t i)
{
    bool alone = true;

    explain_members(e, i);
    for (uint32_t k = 0; k < topology_count(); k++)
        alone &= !explain_is_other(i, k);
    if (alone)
        explain_alone(e, i);
    else
        explain_why(e, i);
}

/* ---- reset ---- */

static void explain_reset(struct explain *e, uint32_t i)
{
    const struct host_topology *t = topology_at(i);

    if (t->resets & TOPOLOGY_RESET_FLR)
        explain_say(e, "reset", "It can be reset by itself (function-level reset).");
    else if (t->resets & TOPOLOGY_RESET_AF_FLR)
        explain_say(e, "reset",
                    "It can be reset by itself (function-level reset of Advanced Features).");
    else if (t->resets & TOPOLOGY_RESET_PM)
        explain_say(e, "reset",
                    "It has no function-level reset; switching it to D3hot and back resets "
                    "it.");
    else if (t->resets & TOPOLOGY_RESET_BUS)
        explain_say(e, "reset",
                    "It has no reset of its own: %s can reset it, with all else that is below "
                    "that bridge.",
                    explain_name(e, 0, (uint32_t)t->parent));
    else
        explain_say(e, "reset",
                    "Nothing can reset it: what one owner left in it, the next one finds.");
}

static void explain_errors(struct explain *e, uint32_t i)
{
    uint64_t count;
    const char *last = host_pci_errors(i, &count);

    if (last)
        explain_say(e, "errors",
                    "Errors that it has reported since Trivet started: %llu, last: %s.",
                    (unsigned long long)count, last);
}

/* ---- what a guest would miss of it ---- */

static bool explain_answers(struct explain *e, uint32_t i)
{
    if (host_pci_read(topology_dev(i), EXPLAIN_CLASS, 4) != UINT32_MAX)
        return true;
    explain_say(e, "answers", "It does not answer now: it is in a reset, without power, or gone.");
    return false;
}

static void explain_bars(struct explain *e, uint32_t i)
{
    const struct host_pci_dev *d = topology_dev(i);

    for (unsigned b = 0; b < EXPLAIN_BARS; b++) {
        uint32_t bar = host_pci_read(d, EXPLAIN_BAR0 + 4 * b, 4);

        if (bar & EXPLAIN_IO)
            explain_say(e, "bars",
                        "BAR %u is of I/O ports, which Trivet reaches for a guest: slower than "
                        "memory. On ARM64 a guest does not see them.",
                        b);
        else if ((bar & EXPLAIN_KIND) == EXPLAIN_64)
            b++; /* the next one is its upper half */
    }
    if (host_pci_read(d, EXPLAIN_ROM, 4))
        explain_say(e, "rom",
                    "Its option ROM is not shown to a guest, so that UEFI in a guest has no driver "
                    "from it.");
}

static void explain_interrupts(struct explain *e, uint32_t i)
{
    const struct host_pci_dev *d = topology_dev(i);

    if (host_pci_read(d, EXPLAIN_PIN, 1) && !host_pci_cap(d, HOST_PCI_CAP_MSI) &&
        !host_pci_cap(d, HOST_PCI_CAP_MSIX))
        explain_say(e, "interrupts",
                    "It interrupts by a line alone (INTx): for a guest Trivet looks 1000 times a "
                    "second whether it would, so that no other device shares the line.");
}

/* ---- may a guest have it? ---- */

static void explain_free(const struct host_topology *t, const char *name, char *why, size_t n)
{
    if (t->use == TOPOLOGY_TRIVET)
        snprintf(why, n,
                 "Trivet's driver %s works for %s; what a guest is to have by `passthrough` when "
                 "Trivet starts, no driver takes",
                 t->driver, name);
    else
        snprintf(why, n, "%s belongs to guest %s", name, t->owner);
}

static bool explain_taken(const struct host_topology *t, const char *guest)
{
    return t->use == TOPOLOGY_TRIVET ||
           (t->use == TOPOLOGY_GUEST && strncmp(t->owner, guest, sizeof t->owner) != 0);
}

/* What isolates it in the machine: an IOMMU for its memory and its interrupts. */
/* virtio 1.2 section 4.1.2 */
enum { VIRTIO_VENDOR = 0x1af4, VIRTIO_FIRST = 0x1000, VIRTIO_LAST = 0x107f };

static int explain_iommu(uint32_t i, const char *name, char *why, size_t n)
{
    const struct host_pci_dev *d = topology_dev(i);
    const struct iommu_reserved *r = iommu_reserved_of(d, 0);

    if (!iommu_unit_of(d))
        snprintf(why, n,
                 "no IOMMU stands before %s, which would reach all memory: switch VT-d, "
                 "AMD-Vi or the SMMU on in the firmware's set-up",
                 name);
    else if (!iommu_irqs_safe(d))
        snprintf(why, n, "its IOMMU does not check interrupts, and %s could send any", name);
    else if (d->vendor == VIRTIO_VENDOR && d->device >= VIRTIO_FIRST && d->device <= VIRTIO_LAST)
        snprintf(why, n, "%s is a virtio device, which may go past the IOMMU", name);
    else if (r)
        snprintf(why, n,
                 "the firmware uses %s with memory at 0x%llx, and it would go on reaching "
                 "that",
                 name, (unsigned long long)r->base);
    else
        return 0;
    return -EACCES;
}

/*
 * One steers the other: a physical function its virtual ones. Trivet may have the physical one and
 * guests the others.
 */
static bool explain_is_tied(uint32_t i, uint32_t k)
{
    return topology_at(k)->physical == (int)i ||
           (topology_at(i)->physical == (int)k && topology_at(k)->use == TOPOLOGY_GUEST);
}

/* What cannot be kept apart from it is somebody else's. */
static int explain_shared(uint32_t i, const char *guest, const char *name, char *why, size_t n)
{
    char other[TOPOLOGY_NAME], taken[160];

    for (uint32_t k = 0; k < topology_count(); k++) {
        if (!explain_is_other(i, k) && !explain_is_tied(i, k))
            continue;
        if (!explain_taken(topology_at(k), guest))
            continue;
        explain_free(topology_at(k), host_pci_name(topology_dev(k), other), taken, sizeof taken);
        snprintf(why, n, "it cannot be kept apart from %s, and %s; `pci explain %s` tells why",
                 other, taken, name);
        return -EPERM;
    }
    return 0;
}

int host_topology_may_pass(uint32_t i, const char *guest, char *why, size_t n)
{
    const struct host_topology *t = topology_at(i);
    char name[TOPOLOGY_NAME];
    int err;

    host_pci_name(topology_dev(i), name);
    if (t->use == TOPOLOGY_BRIDGE) {
        snprintf(why, n, "%s is %s: no guest can have a bridge", name,
                 t->is_bridge ? explain_kind(i) : host_pci_class(topology_dev(i)));
        return -ENOTSUP;
    }
    if (explain_taken(t, guest)) {
        explain_free(t, name, why, n);
        return -EBUSY;
    }
    if (host_pci_vfs(topology_dev(i), NULL)) {
        snprintf(why, n,
                 "its reset would take the virtual functions of %s away: give these to guests, or "
                 "take `vfs` out of trivet.conf",
                 name);
        return -ENOTSUP;
    }
    err = explain_shared(i, guest, name, why, n);
    if (!err)
        err = explain_iommu(i, name, why, n);
    if (!err && !host_pci_reset_kind(i)) {
        snprintf(why, n,
                 "nothing resets %s, so that its next owner would find what the last one "
                 "left",
                 name);
        err = -EACCES;
    }
    return err;
}

/* Memory that it reaches whoever has it. */
static void explain_memory(struct explain *e, uint32_t i)
{
    const struct iommu_reserved *r;

    for (unsigned n = 0; (r = iommu_reserved_of(topology_dev(i), n)) != NULL; n++) {
        explain_say(e, "memory",
                    "The firmware binds it to memory from 0x%llx to 0x%llx (RMRR, unity map), "
                    "which it has to go on reaching.",
                    (unsigned long long)r->base, (unsigned long long)(r->base + r->len - 1));
        explain_say(e, "change",
                    "A setting of the firmware may free it of that: legacy support of USB, or "
                    "management of the machine.");
    }
}

static void explain_pass(struct explain *e, uint32_t i)
{
    const struct host_topology *t = topology_at(i);
    const char *owner = t->use == TOPOLOGY_GUEST ? t->owner : "";
    char why[300];
    int err = host_topology_may_pass(i, owner, why, sizeof why);

    if (err && owner[0])
        explain_say(e, "guests", "Guest %s cannot start with it: %s.", owner, why);
    else if (err)
        explain_say(e, "guests", "No guest can have it now: %s.", why);
    else if (!owner[0])
        explain_say(e, "guests", "A guest can have it: `passthrough = %s` in trivet.conf.",
                    explain_name(e, 0, i));
}

void host_topology_explain(uint32_t i, topology_say *say, void *ctx)
{
    struct explain e = { .say = say, .ctx = ctx };

    explain_owner(&e, i);
    explain_place(&e, i);
    explain_vfs(&e, i);
    explain_group(&e, i);
    explain_reset(&e, i);
    explain_memory(&e, i);
    explain_errors(&e, i);
    if (topology_at(i)->use != TOPOLOGY_BRIDGE && explain_answers(&e, i)) {
        explain_bars(&e, i);
        explain_interrupts(&e, i);
    }
    explain_pass(&e, i);
}
