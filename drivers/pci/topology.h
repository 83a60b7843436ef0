/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the files of this folder. */
#pragma once
#include <hv/host_topology.h>

uint32_t topology_count(void);
struct host_topology *topology_at(uint32_t i);
const struct host_pci_dev *topology_dev(uint32_t i);
/* Its own requester ID: bus << 8 | devfn (PCIe §2.2.6.2). */
uint16_t topology_rid(uint32_t i);
/* A bridge behind which requesters cannot be told apart. */
bool topology_hides(uint32_t bridge);
/* i is somewhere below that bridge */
bool topology_below(uint32_t i, uint32_t bridge);
/* keep.c: after the groups */
void topology_keep_all(void);
bool pci_selects(const struct pci_select *, const struct host_pci_dev *);
/* pci.c: how its configuration space is reached. -ENOSPC: not at all. */
int must_check pci_reach(struct host_pci_dev *);
/* A function that no scan finds. -EEXIST; -ENOSPC: no place, or no access leads to it. */
int must_check pci_add(const struct host_pci_dev *);
/* function.c: the BAR at that offset; last: none follows it. It must decode nothing. */
void pci_bar_size(const struct host_pci_dev *, uint32_t reg, bool last, struct host_pci_bar *);
/* vfs.c: after the topology is known. True: functions came to it. */
bool vfs_all(void);
/* BAR i of a virtual function: as host_pci_bar(). */
int must_check vfs_bar(const struct host_pci_dev *, unsigned i, struct host_pci_bar *);
/* Whether b has memory of virtual functions in it that function i does not stand for. */
bool vfs_claim(uint32_t i, const struct host_pci_bar *b);
/* group.c */
void topology_group_all(void);
/* A port or a function of several that lets nothing pass to its neighbours. */
bool topology_isolates(uint32_t i);
/* of one device, and no virtual function */
bool topology_same_device(uint32_t a, uint32_t b);
