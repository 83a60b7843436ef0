/* SPDX-License-Identifier: BSD-2-Clause */
/* What newlib asks of the system below it. */
#include <hv/heap.h>
#include <hv/lock.h>
#include <hv/panic.h>
#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/reent.h>

void *_sbrk_r(struct _reent *r, ptrdiff_t increment);

#define CHUNK_HEAD 8 /* nano-mallocr.c: the size of a chunk, before what the caller gets */

static struct spinlock malloc_lock = SPINLOCK_INIT(LOCK_HEAP);

/*
 * One for all CPUs: what we take of newlib keeps nothing in it but errno, which nobody here reads.
 */
struct _reent *__getreent(void)
{
    static struct _reent reent; /* zeros: there is no stdio */

    return &reent;
}

/* Not recursive: nano-mallocr.c never takes the lock twice. */
void __malloc_lock(struct _reent *r)
{
    (void)r;
    spin_lock(&malloc_lock);
}

void __malloc_unlock(struct _reent *r)
{
    (void)r;
    spin_unlock(&malloc_lock);
}

void *_sbrk_r(struct _reent *r, ptrdiff_t increment)
{
    (void)r;
    return heap_sbrk(increment);
}

uint64_t heap_in_use(void) { return (uint64_t)_mallinfo_r(__getreent()).uordblks; }

uint64_t heap_cost(void *p) { return _malloc_usable_size_r(__getreent(), p) + CHUNK_HEAD; }

_Noreturn void abort(void) { panic("abort() was called"); }
