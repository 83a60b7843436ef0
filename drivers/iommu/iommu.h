/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the portable core share. Context: CPU 0, where nothing else is said. */
#pragma once
#include <arch/irq.h>

#include <hv/iommu.h>

enum { IOMMU_IRQS = 2048 }; /* of a device: PCI Local Bus Specification 3.0 section 6.8.2 */

/*
 * A stream that a device uses or once used. dev: the device whose own it is, or the first of those
 * behind the bridge whose it is; NULL: nobody's.
 */
struct iommu_source {
    struct iommu_unit *unit;
    uint32_t stream;
    uint32_t users; /* devices that are attached and use it */
    const struct host_pci_dev *dev;
    bool owned;                  /* dev is attached, and this is its own stream */
    struct iommu_domain *domain; /* NULL: blocked */
    bool cut;                    /* and blocked, although it has a domain */
    struct iommu_stats stats;
    uint64_t second; /* that the lines below were written in */
    uint32_t lines, untold;
    uint64_t burst, burst_ns;       /* faults that are not forgotten; since when */
    uint64_t irqs[IOMMU_IRQS / 64]; /* those that are remapped */
    struct iommu_source *next;
};
struct iommu_source *iommu_find_source(const struct iommu_unit *, uint32_t stream);
/* The unit's after s, or its first; NULL: there is none. */
struct iommu_source *iommu_next_source(const struct iommu_unit *, const struct iommu_source *s);
struct iommu_source *iommu_make_source(struct iommu_unit *, uint32_t stream); /* NULL: no memory */
struct iommu_source *iommu_source_of(const struct host_pci_dev *);
void iommu_set_dev(struct iommu_source *, const struct host_pci_dev *);
bool iommu_is_broken(const struct iommu_unit *); /* any CPU */
/* Any CPU, locks up to LOCK_DMA_PT held: the unit did not answer. */
void iommu_break(struct iommu_unit *);
/* Blocks it and stops its device; it keeps its domain until it is detached. */
void iommu_cut(struct iommu_source *);
/* faults.c: a new unit's event. */
void iommu_watch(struct iommu_unit *);
