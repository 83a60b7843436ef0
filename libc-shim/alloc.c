/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two entries of malloc that newlib 3.3.0's nano-mallocr.c gets wrong: its calloc does not notice
 * when the product overflows, and its realloc copies the new size out of the old, smaller block,
 * past the end of the heap.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reent.h>

void *_calloc_r(struct _reent *r, size_t n, size_t size)
{
    size_t bytes;
    void *p;

    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    p = _malloc_r(r, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

void *_realloc_r(struct _reent *r, void *old, size_t size)
{
    size_t had;
    void *p;

    if (!old)
        return _malloc_r(r, size);
    if (size == 0) {
        _free_r(r, old);
        return NULL;
    }
    had = _malloc_usable_size_r(r, old);
    if (had >= size)
        return old;
    p = _malloc_r(r, size);
    if (p) {
        memcpy(p, old, had);
        _free_r(r, old);
    }
    return p;
}
