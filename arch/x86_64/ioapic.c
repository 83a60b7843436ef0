/* SPDX-License-Identifier: BSD-2-Clause */
/* ioapic.c: I/O APICs (Intel 82093AA data sheet) and the legacy PIC, which is masked for good. */
#include <arch/io.h>
#include <arch/irq.h>
#include <arch/mmu.h>

#include <hv/acpi.h>
#include <hv/assert.h>
#include <hv/lock.h>
#include <hv/log.h>

#include "private.h"

#define REG_VERSION 1u
#define REG_TABLE(n) (0x10u + 2 * (n))
#define RTE_MASKED (1u << 16)
#define RTE_LEVEL (1u << 15)
#define RTE_LOW (1u << 13)

struct ioapic {
    volatile uint8_t *page;
    uint32_t gsi, pins;
    uint8_t id; /* as ACPI has it */
};
static struct ioapic ioapics[ACPI_IOAPICS_MAX];
static uint32_t nioapics;
static struct spinlock lock = SPINLOCK_INIT(LOCK_DRIVER);

static uint32_t ioapic_rd(struct ioapic *io, uint32_t reg)
{
    mmio_write32(io->page, reg);
    return mmio_read32(io->page + 0x10);
}

static void ioapic_wr(struct ioapic *io, uint32_t reg, uint32_t val)
{
    mmio_write32(io->page, reg);
    mmio_write32(io->page + 0x10, val);
}

/*
 * Remaps it away from the exception vectors, because a masked PIC can still raise a spurious
 * interrupt; then masks it.
 */
static void pic_mask(void)
{
    static const uint8_t init[][2] = { { 0x20, 0x11 }, { 0xa0, 0x11 }, { 0x21, 0x20 },
                                       { 0xa1, 0x28 }, { 0x21, 4 },    { 0xa1, 2 },
                                       { 0x21, 1 },    { 0xa1, 1 },    { 0x21, 0xff },
                                       { 0xa1, 0xff } };

    for (size_t i = 0; i < ARRAY_SIZE(init); i++)
        outb(init[i][0], init[i][1]);
}

static void ioapic_add(uint64_t addr, uint32_t gsi, uint8_t id)
{
    struct ioapic *io = &ioapics[nioapics];

    io->page = mmu_map_device(hpa(addr), 0x20);
    if (!io->page)
        return;
    io->gsi = gsi;
    io->id = id;
    io->pins = (ioapic_rd(io, REG_VERSION) >> 16 & 0xff) + 1;
    if (io->pins > 240) /* all ones: nothing answers */
        return;
    for (uint32_t i = 0; i < io->pins; i++)
        ioapic_wr(io, REG_TABLE(i), RTE_MASKED);
    nioapics++;
}

int ioapic_init(void)
{
    const struct acpi_info *a = acpi_info();

    assert_cpu0();
    pic_mask();
    for (uint32_t i = 0; i < a->nioapics; i++)
        ioapic_add(a->ioapics[i].addr, a->ioapics[i].gsi, a->ioapics[i].id);
    if (!a->madt) /* the address that every PC without tables has */
        ioapic_add(0xfec00000, 0, 0);
    if (!nioapics)
        log_warn("no IOAPIC: devices cannot interrupt; the console is polled");
    return 0;
}

static uint64_t (*remap)(const struct irq_line *);

/* To the boot CPU. 0: it cannot be. */
static uint64_t entry_of(const struct irq_line *l)
{
    return remap ? remap(l)
                 : (uint64_t)l->dest << 56 | l->vector | (l->level ? RTE_LEVEL : 0) |
                       (l->low ? RTE_LOW : 0);
}

static void put_entry(struct ioapic *io, const struct irq_line *l)
{
    uint32_t reg = REG_TABLE((uint32_t)l->pin);
    uint64_t entry = entry_of(l);

    spin_lock(&lock);
    ioapic_wr(io, reg, RTE_MASKED);
    ioapic_wr(io, reg + 1, (uint32_t)(entry >> 32));
    if (entry)
        ioapic_wr(io, reg, (uint32_t)entry);
    spin_unlock(&lock);
    if (!entry)
        log_err("I/O APIC %u: line %u cannot be remapped: it stays off", io->id, l->pin);
}

/* Those that are routed: with what they had. */
static void remap_pin(struct ioapic *io, uint16_t pin)
{
    uint32_t was = ioapic_rd(io, REG_TABLE((uint32_t)pin));

    if (!(was & RTE_MASKED))
        put_entry(io, &(struct irq_line){ .ioapic = io->id,
                                          .pin = pin,
                                          .vector = (uint8_t)was,
                                          .dest = percpus[0].hw_id,
                                          .level = was & RTE_LEVEL,
                                          .low = was & RTE_LOW });
}

void irq_remap_lines(uint64_t (*fn)(const struct irq_line *))
{
    assert_cpu0();
    remap = fn;
    for (uint32_t i = 0; i < nioapics; i++)
        for (uint32_t pin = 0; pin < ioapics[i].pins; pin++)
            remap_pin(&ioapics[i], (uint16_t)pin);
}

int ioapic_route(uint32_t gsi, uint8_t vector, bool level, bool low)
{
    for (uint32_t i = 0; i < nioapics; i++) {
        struct ioapic *io = &ioapics[i];

        if (gsi < io->gsi || gsi - io->gsi >= io->pins)
            continue;
        put_entry(io, &(struct irq_line){ .ioapic = io->id,
                                          .pin = (uint16_t)(gsi - io->gsi),
                                          .vector = vector,
                                          .dest = percpus[0].hw_id,
                                          .level = level,
                                          .low = low });
        return 0;
    }
    return -ENOENT;
}
