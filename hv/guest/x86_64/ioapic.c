/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The IOAPIC: 24 pins, version 20h with an EOI register. Intel 82093AA data sheet; the EOI
 * register: ICH9 data sheet §13.5.5.
 */
#include <hv/assert.h>
#include <hv/io.h>
#include <hv/log.h>
#include <hv/nospec.h>
#include <hv/vm.h>
#include <string.h>
#include "x86_dev.h"

enum { IOREGSEL = 0x00, IOWIN = 0x10, IOEOI = 0x40 };
#define IOAPIC_VERSION (0x20u | (IOAPIC_PINS - 1u) << 16)

void ioapic_reset(struct x86_intc *x)
{
    assert_held(&x->lock);
    memset(&x->ioapic, 0, sizeof x->ioapic);
    x->ioapic.version = 1;
    x->ioapic.id = IOAPIC_ID;
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        x->ioapic.rte[i] = RTE_MASKED;
}

static unsigned rte_mode(uint64_t rte) { return rte >> 8 & 7; }

/* Only fixed and lowest-priority interrupts can be level-triggered. */
static bool rte_level(uint64_t rte) { return rte & RTE_LEVEL && rte_mode(rte) <= DM_LOWEST; }

static void deliver(struct x86_intc *x, unsigned pin)
{
    uint64_t rte = x->ioapic.rte[pin];
    struct apic_msg m = {
        .dest = (uint32_t)(rte >> 56),
        .vector = (uint8_t)rte,
        .mode = (uint8_t)rte_mode(rte),
        .logical = rte & RTE_LOGICAL,
        .level = rte_level(rte),
    };

    debug_assert_held(&x->lock);
    m.broadcast = m.dest == 0xff;
    if (apic_send(x, &m) && m.level)
        x->ioapic.rte[pin] |= RTE_REMOTE;
}

/*
 * A level-triggered pin that is asserted, unmasked and not yet waiting for its EOI interrupts
 * (again).
 */
static void service_level(struct x86_intc *x, unsigned pin)
{
    uint64_t rte = x->ioapic.rte[pin];

    if (rte_level(rte) && x->ioapic.lines >> pin & 1 && !(rte & (RTE_MASKED | RTE_REMOTE)))
        deliver(x, pin);
}

void ioapic_set_pin(struct x86_intc *x, unsigned pin, bool level)
{
    uint32_t bit = 1u << pin, old = x->ioapic.lines;

    debug_assert_held(&x->lock);
    x->ioapic.lines = level ? old | bit : old & ~bit;
    if (!level)
        return;
    if (rte_level(x->ioapic.rte[pin]))
        service_level(x, pin);
    else if (!(old & bit) && !(x->ioapic.rte[pin] & RTE_MASKED))
        deliver(x, pin);
}

static void eoi_locked(struct x86_intc *x, uint8_t vector)
{
    debug_assert_held(&x->lock);
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        if ((uint8_t)x->ioapic.rte[i] != vector || !(x->ioapic.rte[i] & RTE_REMOTE))
            continue;
        x->ioapic.rte[i] &= ~RTE_REMOTE;
        service_level(x, i);
    }
}

void ioapic_eoi(struct x86_intc *x, uint8_t vector)
{
    spin_lock(&x->lock);
    eoi_locked(x, vector);
    spin_unlock(&x->lock);
}

static void write_rte(struct x86_intc *x, unsigned pin, bool high, uint32_t val)
{
    uint64_t *rte = &x->ioapic.rte[pin], v;

    debug_assert_held(&x->lock);
    v = high ? (uint64_t)val << 32 | (uint32_t)*rte : (*rte & 0xffffffff00000000) | val;
    v = (v & RTE_WRITABLE) | (*rte & RTE_REMOTE);
    if (!rte_level(v))
        v &= ~RTE_REMOTE; /* what kernels do to clear a stuck bit */
    *rte = v;
    service_level(x, pin);
}

static uint32_t read_reg(const struct x86_intc *x, uint8_t reg)
{
    unsigned pin = (reg - 0x10u) / 2;

    debug_assert_held(&x->lock);
    switch (reg) {
    case 0:
    case 2: return x->ioapic.id << 24;
    case 1: return IOAPIC_VERSION;
    default:
        if (reg < 0x10 || pin >= IOAPIC_PINS)
            return 0;
        return (uint32_t)(x->ioapic.rte[index_nospec(pin, IOAPIC_PINS)] >> (reg & 1) * 32);
    }
}

static void write_reg(struct x86_intc *x, uint8_t reg, uint32_t val)
{
    unsigned pin = (reg - 0x10u) / 2;

    if (reg == 0)
        x->ioapic.id = val >> 24 & 0xf;
    else if (reg >= 0x10 && pin < IOAPIC_PINS)
        write_rte(x, (unsigned)index_nospec(pin, IOAPIC_PINS), reg & 1, val);
}

static int ioapic_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct x86_intc *x = dev;

    (void)size;
    *val = 0;
    spin_lock(&x->lock);
    if (off == IOREGSEL)
        *val = x->ioapic.select;
    else if (off == IOWIN)
        *val = read_reg(x, (uint8_t)x->ioapic.select);
    spin_unlock(&x->lock);
    return 0;
}

static int ioapic_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct x86_intc *x = dev;

    (void)size;
    spin_lock(&x->lock);
    if (off == IOREGSEL)
        x->ioapic.select = (uint8_t)val;
    else if (off == IOWIN)
        write_reg(x, (uint8_t)x->ioapic.select, (uint32_t)val);
    else if (off == IOEOI)
        eoi_locked(x, (uint8_t)val);
    spin_unlock(&x->lock);
    return 0;
}

int ioapic_create(struct x86_devices *d, struct x86_intc *x)
{
    static const struct io_ops ops = { ioapic_read, ioapic_write, 1 | 2 | 4 };

    assert_cpu0();
    return io_list_add(
        d->vm, &d->regions,
        &(struct io_region){ "ioapic", IO_MEM, PLAT_IOAPIC, PLAT_IOAPIC_LEN, &ops, x });
}
