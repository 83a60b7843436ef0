/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amdvi_irq.c: interrupt remapping, section 2.2.5. Each sender has a table of its own; what it
 * sends says which entry. Entries of 32 bits.
 */
#include <arch/irq.h>

#include "amdvi.h"

#include <hv/assert.h>
#include <hv/percpu.h>
#include <hv/pmm.h>

enum { IRQS = 1024, VECTORS = 256, VECTOR_FIRST = 16 };
/* 2.2.5.2 */
#define IRTE_ENABLED 1u
#define IRTE_DEST(d) ((uint32_t)(d) << 8)
#define IRTE_VECTOR(v) ((uint32_t)(v) << 16)
/* AMD APM volume 2 section 16.11 (as the Intel SDM): what irq_message() makes */
#define PLAIN_FIXED 0xfee00000ull
#define PLAIN_DEST(a) ((uint32_t)((a) >> 12 & 0xff))
#define PLAIN_OTHER 0xfff00fffull

/* A sender's: what the unit reads, and whose each entry is. */
struct irq_table {
    uint32_t entry[IRQS];
    uint32_t key[IRQS];
};
enum { TABLE_ORDER = 1 };
static_assert(sizeof(struct irq_table) == PAGE_SIZE << TABLE_ORDER, "2.2.5.1: the first page");

static uint32_t amdvi_irq_key_of(uint32_t stream, unsigned n)
{
    return 1u << 31 | (stream & 0xffff) << 11 | n;
}

static struct irq_table *table_of(const struct amdvi *v, uint16_t sender)
{
    uint64_t at = v->devtab[sender].q[2] & DTE_IRQS_AT;

    return at ? phys_to_virt(hpa(at)) : NULL;
}

/* Its entry of the device table has it from now on. NULL: no memory. */
static struct irq_table *make_table(struct amdvi *v, uint16_t sender, int *err)
{
    hpa_t at = pmm_alloc_zero(TABLE_ORDER, PMM_PT); /* charge: a unit's tables are Trivet's own */

    *err = -ENOMEM;
    if (!at.v)
        return NULL;
    spin_lock(&v->lock);
    __atomic_store_n(&v->devtab[sender].q[2],
                     at.v | DTE_IRQS_VALID | DTE_IRQS_LEN | DTE_IRQS_REMAPPED, __ATOMIC_RELEASE);
    *err = amdvi_forget_device(v, sender);
    spin_unlock(&v->lock);
    return phys_to_virt(at);
}

static unsigned amdvi_irq_find_entry(const struct irq_table *t, uint32_t key, bool new)
{
    unsigned free_one = IRQS;

    for (unsigned i = 0; i < IRQS; i++) {
        if (t->key[i] == key)
            return i;
        if (t->key[i] == 0 && free_one == IRQS)
            free_one = i;
    }
    return new ? free_one : IRQS;
}

static int amdvi_irq_put_entry(struct amdvi *v, uint16_t sender, uint32_t *e, uint32_t val)
{
    int err;

    __atomic_store_n(e, val, __ATOMIC_RELEASE);
    spin_lock(&v->lock);
    err = amdvi_forget_irqs(v, sender);
    spin_unlock(&v->lock);
    return err;
}

int amdvi_irq(struct iommu_unit *u, uint32_t stream, unsigned n, uint32_t sender,
              const struct irq_message *plain, struct irq_message *out)
{
    struct amdvi *v = container_of(u, struct amdvi, unit);
    struct irq_table *t = table_of(v, (uint16_t)sender);
    unsigned i;
    int err = 0;

    assert_cpu0();
    if ((plain->address & PLAIN_OTHER) != PLAIN_FIXED || plain->data > 0xff)
        return -EINVAL;
    if (!t)
        t = make_table(v, (uint16_t)sender, &err);
    if (err)
        return err;
    i = amdvi_irq_find_entry(t, amdvi_irq_key_of(stream, n), true);
    if (i == IRQS)
        return -ENOSPC;
    t->key[i] = amdvi_irq_key_of(stream, n);
    *out = (struct irq_message){ PLAIN_FIXED, i };
    return amdvi_irq_put_entry(v, (uint16_t)sender, &t->entry[i],
                               IRTE_ENABLED | IRTE_DEST(PLAIN_DEST(plain->address)) |
                                   IRTE_VECTOR(plain->data));
}

void amdvi_irq_off(struct iommu_unit *u, uint32_t stream, unsigned n, uint32_t sender)
{
    struct amdvi *v = container_of(u, struct amdvi, unit);
    struct irq_table *t = table_of(v, (uint16_t)sender);
    unsigned i = t ? amdvi_irq_find_entry(t, amdvi_irq_key_of(stream, n), false) : IRQS;

    assert_cpu0();
    if (i == IRQS)
        return;
    t->key[i] = 0;
    (void)amdvi_irq_put_entry(v, (uint16_t)sender, &t->entry[i], 0); /* noticed at the next flush */
}

/*
 * What an I/O APIC sends for a line of vector n names entry n, since its delivery mode is 0: its
 * entries of before go on, to the boot CPU, where Trivet has all lines.
 */
int amdvi_let_lines(struct amdvi *v, uint16_t rid)
{
    struct irq_table *t;
    int err;

    assert_cpu0();
    t = make_table(v, rid, &err);
    if (err)
        return err;
    for (unsigned i = VECTOR_FIRST; i < VECTORS; i++)
        t->entry[i] = IRTE_ENABLED | IRTE_DEST(percpus[0].hw_id) | IRTE_VECTOR(i);
    return amdvi_irq_put_entry(v, rid, &t->entry[0], 0);
}
