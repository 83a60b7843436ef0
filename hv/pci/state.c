/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.c: the bus and its functions as <hv/state.h> wants them. A function's configuration space
 * is taken as a guest could have written it: what it may not write must be what it is.
 */
#include <hv/state.h>
#include <string.h>
#include "vpci.h"

#define ISR_BITS 3u /* reasons of a device for INTx */
struct bus_state {
    uint32_t cf8;
    uint8_t reset_control, pad[3];
};
static_assert(sizeof(struct bus_state) == 8, "a saved state");

static size_t bus_size(const struct vm *vm, uint32_t i)
{
    (void)i;
    return vm->pci ? sizeof(struct bus_state) : 0;
}

static int bus_save(struct vm *vm, uint32_t i, void *buf)
{
    struct bus_state *s = buf;

    (void)i;
    s->cf8 = __atomic_load_n(&vm->pci->cf8, __ATOMIC_RELAXED);
    s->reset_control = vm->pci->reset_control;
    return 0;
}

static int bus_restore(struct vm *vm, uint32_t i, const void *buf)
{
    const struct bus_state *s = buf;

    (void)i;
    if (!state_all_zero(s->pad, sizeof s->pad))
        return -EINVAL;
    __atomic_store_n(&vm->pci->cf8, s->cf8, __ATOMIC_RELAXED);
    vm->pci->reset_control = s->reset_control;
    return 0;
}

const struct state_ops vpci_bus_ops = { .name = "PCI bus",
                                        .kind = STATE_VPCI,
                                        .version = VPCI_STATE_VERSION,
                                        .size = bus_size,
                                        .save = bus_save,
                                        .restore = bus_restore };

/* ---- a function, by its slot ---- */

static uint32_t slots(const struct vm *vm) { return vm->pci ? VPCI_SLOTS : 0; }

static size_t pci_dev_size(const struct vm *vm, uint32_t i)
{
    return vm->pci->dev[i] ? sizeof(struct vpci_state) : 0;
}

static int pci_dev_save(struct vm *vm, uint32_t i, void *buf)
{
    struct vpci_dev *d = vm->pci->dev[i];

    spin_lock(&d->lock);
    memcpy(buf, &d->s, sizeof d->s);
    spin_unlock(&d->lock);
    return 0;
}

static bool msix_valid(const struct vpci_dev *d, const struct vpci_state *s)
{
    for (unsigned i = 0; i < VPCI_MSIX_MAX; i++) {
        const struct vpci_msix_entry *e = &s->msix[i];

        if (i >= d->nmsix ? !state_all_zero(e, sizeof *e) : (e->addr & 3) || e->ctrl > 1)
            return false;
    }
    return !((uint64_t)s->msix_pending >> d->nmsix) && !(s->intx & ~ISR_BITS);
}

static bool pci_dev_valid(const struct vpci_dev *d, const struct vpci_state *s)
{
    for (unsigned i = 0; i < sizeof s->cfg; i++)
        if ((s->cfg[i] ^ d->s.cfg[i]) & ~d->wmask[i])
            return false;
    return s->version == d->s.version && !s->pad && msix_valid(d, s);
}

/* Lines are the interrupt controller's to restore: nothing is raised here. */
static void hold_line(struct vpci *p, const struct vpci_dev *d)
{
    unsigned line = (d->slot + d->pin - 1u) & 3;

    if (!d->pin)
        return;
    p->intx_held[line] &= ~(1u << d->slot);
    if (vpci_intx_holds(d))
        p->intx_held[line] |= 1u << d->slot;
}

static int pci_dev_restore(struct vm *vm, uint32_t i, const void *buf)
{
    struct vpci *p = vm->pci;
    struct vpci_dev *d = p->dev[i];

    if (!pci_dev_valid(d, buf))
        return -EINVAL;
    spin_lock(&p->cfg_lock);
    memcpy(&d->s, buf, sizeof d->s);
    vpci_bars_sync(p);
    vpci_ecam_sync(p);
    spin_unlock(&p->cfg_lock);
    spin_lock(&p->intx_lock);
    hold_line(p, d);
    spin_unlock(&p->intx_lock);
    return 0;
}

const struct state_ops vpci_dev_ops = { .name = "PCI function",
                                        .kind = STATE_VPCI_DEV,
                                        .version = VPCI_STATE_VERSION,
                                        .count = slots,
                                        .size = pci_dev_size,
                                        .save = pci_dev_save,
                                        .restore = pci_dev_restore };
