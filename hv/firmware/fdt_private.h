/* SPDX-License-Identifier: BSD-2-Clause */
/* fdt_private.h: the parts of the reader of device trees. */
#pragma once
#include <hv/platform.h>

#define FDT_DEPTH_MAX 16 /* deeper nodes are not looked at */
#define FDT_CELL 4u

struct fdt_walk {
    const void *fdt;
    int node[FDT_DEPTH_MAX]; /* [0]: the root */
    int depth;               /* of the node that is looked at */
    int stdout_node;         /* of /chosen; -1: not told */
    uint32_t irq_cells;      /* of the interrupt controller */
    struct platform *out;
};

/* The tree, mapped and its header checked; NULL: it is none. */
const void *fdt_map_tree(uint64_t fdt, acpi_map_fn map);
/* Cell `i` of a property, big-endian; 0 beyond its end. */
uint32_t fdt_cell(const void *prop, int len, uint32_t i);
/* The first cell of a node's property; `missing` where there is none. */
uint32_t fdt_u32(const struct fdt_walk *, int node, const char *name, uint32_t missing);
/* Of the node that is looked at: entry `n` of `reg` as the CPUs see it; 0: there is none. */
uint64_t fdt_reg_base(const struct fdt_walk *, uint32_t n);
/* Interrupt `n` of that node as an INTID; 0: there is none. Edges are noted in out->edge. */
uint32_t fdt_intid(const struct fdt_walk *, uint32_t n);

/* fdt_route.c: a node that is an SMMUv3, and one of an older kind. */
void fdt_on_smmu(struct fdt_walk *);
void fdt_on_old_smmu(struct fdt_walk *);
