/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes a guest's device tree in one pass with libfdt (Devicetree Specification 0.4). The first
 * error sticks in the tree, so that dt_finish() is the one check. Names and contents are copied.
 * Any CPU; takes no lock.
 */
#pragma once
#include <hv/types.h>
#include <libfdt.h>

struct dt_tree {
    void *fdt; /* the caller's */
    int err;   /* 0 or -FDT_ERR_ */
};

/* An empty tree of at most `room` bytes at `at`; its root node is begun. */
void dt_create(struct dt_tree *, void *at, size_t room);
/* Ends the root. The tree's length, at most `room`, or -FDT_ERR_. */
int must_check dt_finish(struct dt_tree *);

void dt_begin(struct dt_tree *, const char *name);
void dt_begin_at(struct dt_tree *, const char *name, uint64_t unit); /* name@unit */
void dt_end(struct dt_tree *);

void dt_flag(struct dt_tree *, const char *name); /* there, and empty */
void dt_text(struct dt_tree *, const char *name, const char *);
void dt_bytes(struct dt_tree *, const char *name, const void *, size_t n);
/* A list of strings: one literal, with a zero between each two. */
#define DT_LIST(t, name, s) dt_bytes(t, name, s, sizeof(s))
/* Numbers, written as the tree has them: big-endian words of 32 bits. At most DT_CELLS_MAX. */
#define DT_CELLS_MAX 160
void dt_cells(struct dt_tree *, const char *name, const uint32_t *, size_t n);
#define DT_CELLS(t, name, ...)                           \
    dt_cells(t, name, (const uint32_t[]){ __VA_ARGS__ }, \
             sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))
/* A number of 64 bits within DT_CELLS(). */
#define DT_PAIR(v) (uint32_t)((v) >> 32), (uint32_t)(v)
/* Each as two words; at most DT_CELLS_MAX / 2. */
void dt_words64(struct dt_tree *, const char *name, const uint64_t *, size_t n);
/* `reg` with one range; the parent has two cells for each number. */
void dt_reg(struct dt_tree *, uint64_t base, uint64_t len);
void dt_two_cells(struct dt_tree *); /* says so of the node: #address-cells, #size-cells */

/*
 * A PCI host bridge that is found by ECAM ("pci-host-ecam-generic"), one bus. Addresses and lengths
 * in bytes. INTx of slot s, pin p goes to the line (s + p - 1) & 3, which is added to
 * line[line_at]: what stands in `interrupt-map` for the interrupt controller and its line.
 */
#define DT_PCI_LINE_CELLS 6
struct dt_pci {
    uint64_t ecam, ecam_len, mmio32, mmio32_len, mmio64, mmio64_len;
    uint32_t line[DT_PCI_LINE_CELLS];
    unsigned line_cells, line_at; /* at most DT_PCI_LINE_CELLS; below line_cells */
};
/* Begins the node, so that the caller can say where its messages go, and ends it. */
void dt_pci_begin(struct dt_tree *, const char *name, const struct dt_pci *);
