/* SPDX-License-Identifier: BSD-2-Clause */
/* Between topology.c, group.c and explain.c. */
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
/* group.c */
void topology_group_all(void);
/* A port or a function of several that lets nothing pass to its neighbours. */
bool topology_isolates(uint32_t i);
/* of one device, and no virtual function */
bool topology_same_device(uint32_t a, uint32_t b);
