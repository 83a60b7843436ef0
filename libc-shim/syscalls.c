/* What newlib asks of the system below it. */
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/reent.h>

void *heap_sbrk(ptrdiff_t increment); /* hv/mm/heap.c */
void __malloc_lock(struct _reent *r);
void __malloc_unlock(struct _reent *r);
struct _reent *__getreent(void);
void *_sbrk_r(struct _reent *r, ptrdiff_t increment);

static atomic_flag malloc_busy = ATOMIC_FLAG_INIT;

/* One for all CPUs: what we take of newlib keeps nothing in it but errno, which nobody here reads. */
struct _reent *__getreent(void)
{
    static struct _reent reent; /* zeros: there is no stdio */

    return &reent;
}

/* Not recursive: nano-mallocr.c never takes the lock twice. */
void __malloc_lock(struct _reent *r)
{
    (void)r;
    while (atomic_flag_test_and_set_explicit(&malloc_busy, memory_order_acquire))
        ;
}

void __malloc_unlock(struct _reent *r)
{
    (void)r;
    atomic_flag_clear_explicit(&malloc_busy, memory_order_release);
}

/* Until hv/mm/heap.c defines it. */
__attribute__((weak)) void *heap_sbrk(ptrdiff_t increment)
{
    (void)increment;
    return (void *)-1;
}

void *_sbrk_r(struct _reent *r, ptrdiff_t increment)
{
    (void)r;
    return heap_sbrk(increment);
}

_Noreturn void abort(void)
{
    for (;;)
        ;
}
