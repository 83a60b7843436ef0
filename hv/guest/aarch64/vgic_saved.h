/* SPDX-License-Identifier: BSD-2-Clause */
/* vgic_saved.h: STATE_VGIC, version 2: a head, one of the second for each vCPU, and LPIs' banks. */
#pragma once
#include "vgic_int.h"

struct saved_head {
    uint8_t gic, has_its;
    uint16_t nspis, n, next_any;
    struct vgic_state s;
    struct its_state its;
};
static_assert(sizeof(struct saved_head) == 14040, "layout of images");
struct saved_cpu {
    struct vgic_cpu_state s;
    uint64_t lr[ARM_LRS_MAX]; /* state, source, INTID: the first nlrs */
    uint32_t raise;
    uint16_t nlrs, lr_pending; /* a bit for each */
    uint8_t sgi_src[16];
};
static_assert(sizeof(struct saved_cpu) == 384, "layout of images");
