/* SPDX-License-Identifier: BSD-2-Clause */
/* The parser of ACPI's DMAR: the input is the table behind its ACPI header. */
#include <stdlib.h>
#include <string.h>

#include "drivers/iommu/dmar.h"

/* Bridges whose buses are what the input says, at every place. */
static const uint8_t *in;
static size_t in_len;
static const struct host_pci_dev bridges[2] = { { .header = 1, .devfn = 8 },
                                                { .header = 1, .bus = 1 } };

const struct host_pci_dev *host_pci_devs(uint32_t *count)
{
    *count = ARRAY_SIZE(bridges);
    return bridges;
}

uint32_t host_pci_read(const struct host_pci_dev *d, uint32_t off, unsigned size)
{
    (void)d, (void)size;
    return in_len ? in[off % in_len] : 0xff;
}

static void check_part(const struct dmar *d, const struct dmar_part *p)
{
    struct iommu_scope out[2];

    if (p->scope + p->nscopes > d->nscopes)
        abort();
    for (unsigned i = 0; i < p->nscopes; i++) {
        unsigned n = dmar_scope_rids(&d->scope[p->scope + i], p->segment, out);

        for (unsigned k = 0; k < n; k++)
            if (out[k].first > out[k].last)
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct dmar d;
    uint8_t *table = malloc(n + 36); /* of its exact length, for the sanitizer */
    uint32_t len = (uint32_t)n + 36;

    in = data;
    in_len = n;
    memset(table, 0, 36);
    memcpy(table + 4, &len, 4);
    memcpy(table + 36, data, n);
    if (dmar_parse(&d, table) != (d.nunits != 0))
        abort();
    for (unsigned i = 0; i < d.nunits; i++)
        check_part(&d, &d.unit[i].part);
    for (unsigned i = 0; i < d.nreserved; i++) {
        check_part(&d, &d.reserved[i].part);
        if (d.reserved[i].limit < d.reserved[i].base)
            abort();
    }
    free(table);
    return 0;
}
