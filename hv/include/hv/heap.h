/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * newlib's malloc stands on this: a growing, contiguous virtual range backed by pmm pages. Any CPU;
 * not from exceptions.
 */
#pragma once
#include <hv/types.h>
/* boot step, after mmu_init() and pmm_init(). -ENOMEM: no address space */
int must_check heap_init(void);
void *heap_sbrk(ptrdiff_t); /* (void *)-1 at the limit or without memory */
/* bytes: given out by malloc(), mapped for it */
void heap_stats(uint64_t *used, uint64_t *mapped);
/*
 * libc-shim: bytes that malloc() has given out, and what one of its allocations takes of them; with
 * malloc's own headers.
 */
uint64_t heap_in_use(void);
uint64_t heap_cost(void *);
