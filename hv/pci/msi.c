/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupts of a function: MSI-X (PCIe 5.0 §7.7.2) and INTx (PCI 3.0 §2.2.6). */
#include <hv/assert.h>
#include <hv/vintc.h>
#include "vpci.h"

enum {
    MSIX_TABLE = 0,
    MSIX_PBA = 2048,
    MSIX_ENABLE = 1 << 15,
    MSIX_FUNCTION_MASK = 1 << 14,
    MSIX_ENTRY_MASKED = 1
};

static unsigned msix_control(const struct vpci_dev *d)
{
    return d->msix_cap ? vpci_cfg_get(d, d->msix_cap + 2u, 2) : 0;
}

bool vpci_msix_enabled(const struct vpci_dev *d) { return msix_control(d) & MSIX_ENABLE; }

/* A message is a write to memory: only a bus master may do it (PCI 3.0 §6.2.2). d->lock held. */
static bool msix_may_send(const struct vpci_dev *d)
{
    unsigned control = msix_control(d);

    debug_assert_held(&d->lock);
    return (control & MSIX_ENABLE) && !(control & MSIX_FUNCTION_MASK) && vpci_bus_master(d);
}

/* Takes what may be sent out of the PBA. d->lock held. */
static uint32_t msix_sendable(struct vpci_dev *d)
{
    uint32_t ready = 0;

    debug_assert_held(&d->lock);
    if (!msix_may_send(d))
        return 0;
    for (unsigned i = 0; i < d->nmsix; i++)
        if ((d->s.msix_pending >> i & 1) && !(d->s.msix[i].ctrl & MSIX_ENTRY_MASKED))
            ready |= 1u << i;
    __atomic_fetch_and(&d->s.msix_pending, ~ready, __ATOMIC_RELAXED);
    return ready;
}

/*
 * Sends all that is pending and not masked; the entries are copied under the lock and sent without
 * it.
 */
static void msix_flush(struct vpci_dev *d)
{
    struct vpci_msix_entry copy[VPCI_MSIX_MAX];
    uint32_t ready;

    debug_assert(!(this_cpu()->locks_held >> LOCK_DEVICE));
    spin_lock(&d->lock);
    ready = msix_sendable(d);
    for (unsigned i = 0; i < d->nmsix; i++)
        if (ready >> i & 1)
            copy[i] = d->s.msix[i];
    spin_unlock(&d->lock);
    for (unsigned i = 0; i < d->nmsix; i++)
        if (ready >> i & 1)
            (void)!virq_msi(d->vm, (uint32_t)d->slot << 3, copy[i].addr, copy[i].data);
}

void vpci_msix_notify(struct vpci_dev *d, unsigned vec)
{
    struct vpci_msix_entry e;
    bool send;

    debug_assert(!(this_cpu()->locks_held >> LOCK_DEVICE));
    if (vec >= d->nmsix || !vpci_msix_enabled(d))
        return;
    spin_lock(&d->lock);
    e = d->s.msix[index_nospec(vec, d->nmsix)];
    send = !(e.ctrl & MSIX_ENTRY_MASKED) && msix_may_send(d);
    if (!send)
        __atomic_fetch_or(&d->s.msix_pending, 1u << vec, __ATOMIC_RELAXED);
    spin_unlock(&d->lock);
    if (send)
        (void)!virq_msi(d->vm, (uint32_t)d->slot << 3, e.addr, e.data);
}

/*
 * Looks under the lock: a message that found the old mask is in the PBA by then, or finds the new
 * one.
 */
void vpci_msix_control_changed(struct vpci_dev *d)
{
    msix_flush(d);
    vpci_intx_update(d);
}

static uint64_t entry_get(const struct vpci_msix_entry *e, unsigned half)
{
    return half ? e->data | (uint64_t)e->ctrl << 32 : e->addr;
}

static int msix_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct vpci_dev *d = dev;
    uint64_t v = 0;

    spin_lock(&d->lock);
    if (off < MSIX_TABLE + 16ull * d->nmsix)
        v = entry_get(&d->s.msix[index_nospec(off / 16, d->nmsix)], off / 8 & 1);
    else if (off >= MSIX_PBA && off < MSIX_PBA + 8)
        v = d->s.msix_pending;
    spin_unlock(&d->lock);
    *val = v >> (8 * (off & 7));
    if (size == 4)
        *val &= UINT32_MAX;
    return 0;
}

static void entry_set32(struct vpci_msix_entry *e, unsigned word, uint32_t v)
{
    if (word == 0)
        e->addr = (e->addr & ~(uint64_t)UINT32_MAX) | (v & ~3u);
    else if (word == 1)
        e->addr = (e->addr & UINT32_MAX) | (uint64_t)v << 32;
    else if (word == 2)
        e->data = v;
    else
        e->ctrl = v & MSIX_ENTRY_MASKED;
}

static int msix_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct vpci_dev *d = dev;
    struct vpci_msix_entry *entry;
    bool flush;

    if (off >= MSIX_TABLE + 16ull * d->nmsix || (off & (size - 1)))
        return 0; /* the PBA is read-only, and undefined parts ignore writes */
    spin_lock(&d->lock);
    entry = &d->s.msix[index_nospec(off / 16, d->nmsix)];
    entry_set32(entry, off / 4 & 3, (uint32_t)val);
    if (size == 8)
        entry_set32(entry, (off / 4 & 3) + 1, (uint32_t)(val >> 32));
    flush = d->s.msix_pending != 0;
    spin_unlock(&d->lock);
    if (flush)
        msix_flush(d);
    return 0;
}

uint64_t vpci_msix_table_read(struct vpci_dev *d, uint64_t off, unsigned size)
{
    uint64_t val = 0;

    if (size >= 4 && off < 16ull * d->nmsix)
        (void)msix_read(d, off, size, &val);
    return val;
}

void vpci_msix_table_write(struct vpci_dev *d, uint64_t off, unsigned size, uint64_t val)
{
    if (size >= 4 && off < 16ull * d->nmsix)
        (void)msix_write(d, off, size, val);
}

static const struct io_ops msix_ops = { msix_read, msix_write, 4 | 8 };

void vpci_add_msix(struct vpci_dev *d, unsigned bar, unsigned nvec)
{
    const uint8_t body[10] = {
        (uint8_t)(nvec - 1), 0, (uint8_t)bar, 0, 0, 0, (uint8_t)bar, MSIX_PBA >> 8, 0, 0
    };
    const uint8_t wmask[10] = { 0, (MSIX_ENABLE | MSIX_FUNCTION_MASK) >> 8 };

    assert_cpu0();
    hv_assert(nvec > 0 && nvec <= VPCI_MSIX_MAX);
    d->nmsix = (uint8_t)nvec;
    d->msix_cap = (uint8_t)vpci_add_cap(d, PCI_CAP_MSIX, body, wmask, sizeof body);
    for (unsigned i = 0; i < nvec; i++)
        d->s.msix[i].ctrl = MSIX_ENTRY_MASKED;
    vpci_add_region(
        d, bar, &(struct vpci_region){ .name = "msix", .len = 4096, .ops = &msix_ops, .dev = d });
}

bool vpci_intx_holds(const struct vpci_dev *d)
{
    return d->s.intx && !vpci_msix_enabled(d) &&
           !(vpci_cfg_get(d, PCI_COMMAND, 2) & PCI_CMD_INTX_OFF);
}

/*
 * The lines are shared: a line is high while any device holds it. intx_lock orders the calls of
 * virq_set.
 */
static void intx_sync(struct vpci_dev *d)
{
    struct vpci *p = d->vm->pci;
    unsigned line = (d->slot + d->pin - 1u) & 3;
    uint32_t bit = 1u << d->slot, was = p->intx_held[line];

    debug_assert_held(&d->vm->pci->intx_lock);
    debug_assert(d->pin);
    p->intx_held[line] = vpci_intx_holds(d) ? was | bit : was & ~bit;
    if (!was != !p->intx_held[line])
        virq_set(d->vm, p->layout.intx_gsi + line, p->intx_held[line] != 0);
}

void vpci_intx_update(struct vpci_dev *d)
{
    if (!d->pin)
        return;
    spin_lock(&d->vm->pci->intx_lock);
    intx_sync(d);
    spin_unlock(&d->vm->pci->intx_lock);
}

/* After a vCPU has left the guest: devices whose line is up are asked whether it still is. */
static void intx_ask(struct vm *vm)
{
    uint32_t asked = __atomic_load_n(&vm->pci->intx_asked, __ATOMIC_RELAXED);

    for (; asked; asked &= asked - 1) {
        struct vpci_dev *d = vm->pci->dev[__builtin_ctz(asked)];

        if (!d->intx_level(d))
            (void)vpci_intx_take(d);
    }
}

static void intx_note_asked(struct vpci_dev *d)
{
    struct vpci *p = d->vm->pci;
    uint32_t bit = 1u << d->slot, now = d->s.intx ? p->intx_asked | bit : p->intx_asked & ~bit;

    debug_assert_held(&p->intx_lock);
    if (!d->intx_level || now == p->intx_asked)
        return;
    __atomic_store_n(&p->intx_asked, now, __ATOMIC_RELAXED);
    __atomic_store_n(&d->vm->after_run, now ? intx_ask : NULL, __ATOMIC_RELAXED);
}

void vpci_intx_raise(struct vpci_dev *d, uint32_t reasons)
{
    debug_assert(reasons);
    spin_lock(&d->vm->pci->intx_lock);
    __atomic_fetch_or(&d->s.intx, reasons, __ATOMIC_RELAXED);
    intx_note_asked(d);
    intx_sync(d);
    spin_unlock(&d->vm->pci->intx_lock);
}

void vpci_intx_set(struct vpci_dev *d, bool level)
{
    bool was = __atomic_load_n(&d->s.intx, __ATOMIC_RELAXED);

    if (level && !was)
        vpci_intx_raise(d, 1);
    else if (!level && was)
        (void)vpci_intx_take(d);
}

uint32_t vpci_intx_take(struct vpci_dev *d)
{
    uint32_t reasons;

    spin_lock(&d->vm->pci->intx_lock);
    reasons = d->s.intx;
    __atomic_store_n(&d->s.intx, 0, __ATOMIC_RELAXED);
    if (reasons) {
        intx_note_asked(d);
        intx_sync(d);
    }
    spin_unlock(&d->vm->pci->intx_lock);
    return reasons;
}
