/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vtd_irq.c: interrupt remapping, section 5.1. An entry of the unit's table says where an interrupt
 * goes, and from which requester it is taken; messages in the format from before are refused.
 */
#include <arch/irq.h>

#include "vtd.h"

#include <hv/assert.h>
#include <hv/pmm.h>

/* 9.10: an entry */
#define IRTE_PRESENT 1ull
#define IRTE_LEVEL (1ull << 4)
#define IRTE_VECTOR(v) ((uint64_t)(v) << 16)
#define IRTE_DEST_X2(d) ((uint64_t)(d) << 32)
#define IRTE_DEST(d) ((uint64_t)((d)&0xffu) << 40)
#define IRTE_FROM(rid) ((uint64_t)(rid) | 1ull << 18) /* SVT 1, SQ 0: this requester alone */
/* IRTA: 2^(size + 1) entries */
#define IRTA_X2 (1ull << 11)
#define IRTA_SIZE 11u
/* 5.1.2.2: a message in the remappable format */
#define MESSAGE_ADDRESS 0xfee00010ull
/* Intel SDM volume 3 section 11.11: what irq_message() makes; of the data, the vector alone */
#define PLAIN_FIXED 0xfee00000ull
#define PLAIN_DEST(a) ((uint32_t)((a) >> 12 & 0xff))
#define PLAIN_OTHER 0xfff00fffull

enum { KEY_FREE = 0 };
static_assert(VTD_IRQS == 2u << IRTA_SIZE, "the table's size");

static uint64_t vtd_irq_key_of(uint32_t stream, unsigned n)
{
    return 1ull << 63 | (uint64_t)stream << 32 | n;
}

/* The entry that the key has; new: or a free one. VTD_IRQS: none. */
static unsigned vtd_irq_find_entry(const struct vtd *v, uint64_t key, bool new)
{
    unsigned free_one = VTD_IRQS;

    for (unsigned i = 0; i < VTD_IRQS; i++) {
        if (v->irq_key[i] == key)
            return i;
        if (v->irq_key[i] == KEY_FREE && free_one == VTD_IRQS)
            free_one = i;
    }
    return new ? free_one : VTD_IRQS;
}

/* The half that says "present" goes last, and went first. */
static int vtd_irq_put_entry(struct vtd *v, unsigned i, uint64_t lo, uint64_t hi)
{
    struct vtd_entry *e = &v->irqs[i];
    int err;

    spin_lock(&v->lock);
    __atomic_store_n(&e->lo, 0, __ATOMIC_RELEASE);
    vtd_clean(v, e, sizeof *e);
    __atomic_store_n(&e->hi, hi, __ATOMIC_RELEASE);
    __atomic_store_n(&e->lo, lo, __ATOMIC_RELEASE);
    vtd_clean(v, e, sizeof *e);
    err = vtd_forget_irq(v, i);
    spin_unlock(&v->lock);
    return err;
}

static uint64_t vtd_irq_entry_of(const struct vtd *v, uint32_t dest, uint8_t vector, bool level)
{
    return IRTE_PRESENT | (level ? IRTE_LEVEL : 0) | IRTE_VECTOR(vector) |
           (v->x2apic ? IRTE_DEST_X2(dest) : IRTE_DEST(dest));
}

int vtd_irq(struct iommu_unit *u, uint32_t stream, unsigned n, uint32_t sender,
            const struct irq_message *plain, struct irq_message *out)
{
    struct vtd *v = container_of(u, struct vtd, unit);
    uint64_t key = vtd_irq_key_of(stream, n);
    unsigned i = vtd_irq_find_entry(v, key, true);

    assert_cpu0();
    if ((plain->address & PLAIN_OTHER) != PLAIN_FIXED || plain->data > 0xff)
        return -EINVAL;
    if (i == VTD_IRQS)
        return -ENOSPC;
    v->irq_key[i] = key;
    *out = (struct irq_message){ MESSAGE_ADDRESS | (i & 0x7fffu) << 5 | (i >> 15) << 2, 0 };
    return vtd_irq_put_entry(
        v, i, vtd_irq_entry_of(v, PLAIN_DEST(plain->address), (uint8_t)plain->data, false),
        IRTE_FROM((uint16_t)sender));
}

void vtd_irq_off(struct iommu_unit *u, uint32_t stream, unsigned n, uint32_t sender)
{
    struct vtd *v = container_of(u, struct vtd, unit);
    unsigned i = vtd_irq_find_entry(v, vtd_irq_key_of(stream, n), false);

    (void)sender;
    assert_cpu0();
    if (i == VTD_IRQS)
        return;
    v->irq_key[i] = KEY_FREE;
    (void)vtd_irq_put_entry(v, i, 0, 0); /* who does not answer is noticed at the next flush */
}

/* ---- lines: 5.1.5.1 ---- */

uint64_t vtd_line(struct vtd *v, uint16_t rid, const struct irq_line *l)
{
    uint64_t key = vtd_irq_key_of(0x10000u | rid, l->pin);
    unsigned i = vtd_irq_find_entry(v, key, true);

    assert_cpu0();
    if (i == VTD_IRQS)
        return 0;
    v->irq_key[i] = key;
    if (vtd_irq_put_entry(v, i, vtd_irq_entry_of(v, l->dest, l->vector, l->level), IRTE_FROM(rid)))
        return 0;
    return (uint64_t)(i & 0x7fffu) << 49 | 1ull << 48 | (uint64_t)(i >> 15) << 11 | l->vector |
           (l->level ? 1u << 15 : 0) | (l->low ? 1u << 13 : 0);
}

/* ---- switching it on ---- */

int vtd_irqs_on(struct vtd *v)
{
    hpa_t at = pmm_alloc_zero(VTD_IRQS_ORDER, PMM_PT); /* charge: a unit's tables are Trivet's */
    int err;

    if (!at.v)
        return -ENOMEM;
    v->irqs = phys_to_virt(at);
    v->x2apic = irq_is_x2apic() && v->ecap & ECAP_EIM;
    spin_lock(&v->lock);
    vtd_clean(v, v->irqs, PAGE_SIZE << VTD_IRQS_ORDER);
    vtd_write64(v, VTD_IRTA, at.v | (v->x2apic ? IRTA_X2 : 0) | IRTA_SIZE);
    err = vtd_command(v, VTD_SIRTP, true);
    if (!err)
        err = vtd_forget_irqs(v);
    if (!err)
        err = vtd_command(v, VTD_IRE, true);
    spin_unlock(&v->lock);
    return err;
}
