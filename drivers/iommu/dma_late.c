/* SPDX-License-Identifier: BSD-2-Clause */
/* dma_late.c: see dma_late.h. */
#include "dma_late.h"

#include <hv/assert.h>
#include <hv/event.h>
#include <hv/gmem.h>
#include <hv/pmm.h>
#include <hv/time.h>
#include <stdlib.h>

static struct spinlock lock = SPINLOCK_INIT(LOCK_DMA);
static struct dma_late *devices; /* under the lock, as is all below but the policy */
static uint32_t pending;         /* late windows of all; read without the lock, too */
static struct event event;
static bool armed, policy;

/* `pending` is lowered when the units have answered: who reads 0 has nothing to wait for. */
static void dma_late_flush(struct dma_late *l)
{
    assert_held(&lock);
    hv_assert(l->nlate <= DMA_LATE_MOST && l->nlate <= pending);
    if (!l->nlate)
        return;
    l->domain->flush(l->domain, gpa(l->base), l->len);
    for (unsigned i = 0; i < l->nlate; i++)
        l->clean[l->nclean++] = l->late[i];
    __atomic_store_n(&pending, pending - l->nlate, __ATOMIC_RELEASE);
    l->nlate = 0;
}

static void flush_devices(void)
{
    assert_held(&lock);
    for (struct dma_late *l = devices; l; l = l->next)
        dma_late_flush(l);
}

/* Called for every block of memory that may get another owner. Any CPU, locks below LOCK_DMA. */
static void dma_late_settle(void)
{
    if (!__atomic_load_n(&pending, __ATOMIC_ACQUIRE))
        return;
    spin_lock(&lock);
    flush_devices();
    spin_unlock(&lock);
}

static void time_is_up(struct event *e)
{
    (void)e;
    spin_lock(&lock);
    armed = false;
    flush_devices();
    spin_unlock(&lock);
}

void dma_defer(bool deferred)
{
    assert_cpu0();
    if (deferred && !event.fn) {
        event_init(&event, time_is_up, 0);
        pmm_settle_by(dma_late_settle);
    }
    policy = deferred;
}

bool dma_deferred(void) { return policy; }

int dma_late_open(struct dma_late *l, struct gmem_domain *d, uint64_t base, uint64_t len,
                  unsigned windows)
{
    assert_cpu0();
    hv_assert(windows > DMA_LATE_MOST && windows <= DMA_LATE_WINDOWS);
    l->clean = calloc(windows, sizeof *l->clean); /* charge: the host's devices are Trivet's own */
    if (!l->clean)
        return -ENOMEM;
    for (unsigned i = windows; i--;)
        l->clean[l->nclean++] = (uint16_t)i;
    l->base = base;
    l->len = len;
    l->domain = d;
    spin_lock(&lock);
    l->next = devices;
    devices = l;
    spin_unlock(&lock);
    return 0;
}

void dma_late_close(struct dma_late *l)
{
    struct dma_late **p = &devices;

    assert_cpu0();
    if (!l->domain)
        return;
    spin_lock(&lock);
    dma_late_flush(l);
    while (*p != l)
        p = &(*p)->next;
    *p = l->next;
    spin_unlock(&lock);
    free(l->clean);
    *l = (struct dma_late){ .domain = NULL };
}

unsigned dma_late_take(struct dma_late *l)
{
    unsigned window;

    spin_lock(&lock);
    hv_assert(l->nclean); /* DMA_LATE_MOST more than slots, and fewer are late */
    window = l->clean[--l->nclean];
    spin_unlock(&lock);
    return window;
}

void dma_late_give(struct dma_late *l, unsigned window)
{
    spin_lock(&lock);
    hv_assert(l->nlate < DMA_LATE_MOST);
    l->late[l->nlate++] = (uint16_t)window;
    __atomic_store_n(&pending, pending + 1, __ATOMIC_RELEASE);
    if (l->nlate == DMA_LATE_MOST) {
        dma_late_flush(l);
    } else if (!armed) {
        armed = true;
        event_at(&event, time_ns() + DMA_LATE_NS);
    }
    spin_unlock(&lock);
}
