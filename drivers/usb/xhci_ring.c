/* SPDX-License-Identifier: BSD-2-Clause */
/* xhci_ring.c: rings of TRBs (xHCI section 4.9), see xhci.h. */
#include <arch/barrier.h>

#include "xhci.h"

static void xhci_ring_set(struct xhci_ring *r, unsigned i, uint64_t parameter, uint32_t status,
                          uint32_t control)
{
    r->trb[i].parameter = parameter;
    r->trb[i].status = status;
    dma_wmb();
    r->trb[i].control = control | r->cycle;
}

void xhci_ring_init(struct xhci_ring *r, volatile void *trb, uint64_t at, unsigned size)
{
    *r = (struct xhci_ring){ .trb = trb, .at = at, .size = size, .cycle = TRB_CYCLE };
    for (unsigned i = 0; i < size; i++) {
        r->trb[i].parameter = 0;
        r->trb[i].status = r->trb[i].control = 0;
    }
}

uint64_t xhci_ring_put(struct xhci_ring *r, uint64_t parameter, uint32_t status, uint32_t control)
{
    uint64_t at = r->at + r->put * sizeof(struct xhci_trb);

    xhci_ring_set(r, r->put++, parameter, status, control);
    if (r->put == r->size - 1) {
        xhci_ring_set(r, r->put, r->at, 0, TRB_TYPE(TRB_LINK) | TRB_TOGGLE);
        r->put = 0;
        r->cycle ^= TRB_CYCLE;
    }
    return at;
}

unsigned xhci_ring_index(const struct xhci_ring *r, uint64_t at)
{
    uint64_t off = at - r->at;

    return off % sizeof(struct xhci_trb) || off / sizeof(struct xhci_trb) >= r->size
               ? r->size
               : (unsigned)(off / sizeof(struct xhci_trb));
}

bool xhci_events_get(struct xhci_events *e, struct xhci_trb *out)
{
    const volatile struct xhci_trb *trb = &e->trb[e->got];

    out->control = trb->control;
    if ((out->control & TRB_CYCLE) != e->cycle)
        return false;
    dma_rmb();
    out->parameter = trb->parameter;
    out->status = trb->status;
    if (++e->got == e->size) {
        e->got = 0;
        e->cycle ^= TRB_CYCLE;
    }
    return true;
}
