/* SPDX-License-Identifier: BSD-2-Clause */
/* The ITS's own terms. Private to its.c and its_cmd.c; all under vgic.lock. */
#pragma once
#include "vgic_int.h"

#define ITS_VALID (1ull << 63)
#define ITS_ITT_ADDR 0xfffffffffff00ull
#define ITS_EVENT_BITS 16u
struct its_target {
    uint64_t *entry; /* of the ITT, in guest memory */
    uint32_t icid;
    unsigned idx;         /* of the LPI */
    struct vgic_cpu *cpu; /* NULL: the collection is not mapped */
};
uint64_t its_load(const uint64_t *entry);
void its_store(uint64_t *entry, uint64_t val);
/* An entry of a table in guest memory; NULL: out of range, or not RAM. */
uint64_t *its_table(struct vgic *, unsigned which, uint32_t id);
/* of the device's ITT; NULL also: no such device */
uint64_t *its_entry(struct vgic *, uint32_t devid, uint32_t event);
struct vgic_cpu *its_collection(struct vgic *, uint32_t icid); /* NULL: not mapped */
/* false: not mapped to an LPI */
bool its_translate(struct vgic *, uint32_t devid, uint32_t event, struct its_target *);
void its_pend(struct vgic *, const struct its_target *);
/* from now on it goes there, with its pending state */
void its_route(struct vgic *, unsigned idx, struct vgic_cpu *);
/* the same, with its configuration read anew, if it went elsewhere or nowhere before */
void its_route_anew(struct vgic *, unsigned idx, struct vgic_cpu *);
void its_unroute(struct vgic *, unsigned idx); /* it is pending no more, and goes nowhere */
/* The LPI's byte in the vCPU's configuration table is read anew (GICv3 §5.1.1). */
void its_load_config(struct vgic *, struct vgic_cpu *, unsigned idx);
void its_load_all(struct vgic *, struct vgic_cpu *);
void its_set_config(struct vgic *, unsigned idx, uint8_t config);
/* its_cmd.c: does it; returns what it cost, in units of a simple one. */
unsigned its_command(struct vgic *, const uint64_t cmd[4]);
