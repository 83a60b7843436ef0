/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SFENCE.VMA of a riscv64 hart, and those that other harts ask it for by SBI: a short queue, filled
 * by one at a time and emptied by the hart's own CPU. Whoever asks for more than it keeps, or for
 * many pages, gets a fence of everything.
 */
#pragma once
#include <hv/rv_hart.h>

#define RV_FENCE_PAGES 64 /* more than these are everything */
#define RV_FENCE_ALL UINT32_MAX
#define RV_FENCES 16

struct rv_fence {
    uint64_t va;    /* where the pages begin */
    uint32_t pages; /* 0: all addresses; of pages: for every address space */
    uint32_t asid;  /* 0 to 0xffff, or RV_FENCE_ALL */
};

/* Own CPU: the hart forgets these translations. */
void rv_fence(struct rv_hart *h, const struct rv_fence *f);

struct rv_fences {
    uint32_t posted, done; /* counts; atomic */
    uint32_t all;          /* what was not kept: a fence of everything; atomic */
    struct rv_fence ring[RV_FENCES];
};

/* Any CPU, one at a time. The hart's CPU is to be told afterwards. */
void rv_fences_post(struct rv_fences *q, const struct rv_fence *f);
/* Own CPU: does what was posted before; at most RV_FENCE_PAGES pages, or everything once. */
void rv_fences_do(struct rv_fences *q, struct rv_hart *h);
