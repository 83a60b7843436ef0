/* SPDX-License-Identifier: BSD-2-Clause */
/* See virtio.h. */
#include <virtio.h>

static void barrier(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

static void map_cap(struct vdev *v, unsigned cap)
{
    unsigned type = pci_read(v->pci, cap + 3, 1), bar = pci_read(v->pci, cap + 4, 1);
    uint64_t base = bar < 6 ? pci_bar(v->pci, bar, NULL) : 0,
             at = base + pci_read(v->pci, cap + 8, 4);
    if (!base)
        return;
    if (type == 1 && !v->common)
        v->common = at;
    else if (type == 2 && !v->notify) {
        v->notify = at;
        v->notify_mult = pci_read(v->pci, cap + 16, 4);
    } else if (type == 3 && !v->isr)
        v->isr = at;
    else if (type == 4 && !v->config)
        v->config = at;
}

bool vdev_find(unsigned type, unsigned nth, struct vdev *v)
{
    pci_t list[64];
    unsigned n = pci_scan(list, 64);
    for (unsigned i = 0; i < n; i++) {
        if (pci_read(list[i], 0, 4) != (0x1af4u | (0x1040 + type) << 16) || nth-- > 0)
            continue;
        *v = (struct vdev){ .pci = list[i] };
        for (unsigned c = pci_cap(v->pci, 9, 0); c; c = pci_cap(v->pci, 9, c))
            map_cap(v, c);
        v->msix = pci_cap(v->pci, 0x11, 0);
        if (v->msix) {
            uint32_t t = pci_read(v->pci, v->msix + 4, 4);
            v->msix_table = pci_bar(v->pci, t & 7, NULL) + (t & ~7u);
        }
        pci_write(v->pci, 4, 2, pci_read(v->pci, 4, 2) | 6);
        return v->common && v->notify;
    }
    return false;
}

uint8_t vdev_status(struct vdev *v) { return mmio_r8(v->common + VC_STATUS); }
static void set_status(struct vdev *v, uint8_t s) { mmio_w8(v->common + VC_STATUS, s); }

void vdev_reset(struct vdev *v)
{
    set_status(v, 0);
    for (uint64_t t = ticks(); vdev_status(v) && ticks() - t < ticks_hz * 5;)
        cpu_pause();
}

uint64_t vdev_features(struct vdev *v)
{
    mmio_w32(v->common + VC_DF_SEL, 1);
    uint64_t hi = mmio_r32(v->common + VC_DF);
    mmio_w32(v->common + VC_DF_SEL, 0);
    return hi << 32 | mmio_r32(v->common + VC_DF);
}

bool vdev_negotiate(struct vdev *v, uint64_t want)
{
    vdev_reset(v);
    set_status(v, VS_ACK);
    set_status(v, VS_ACK | VS_DRIVER);
    v->features = want & vdev_features(v);
    mmio_w32(v->common + VC_GF_SEL, 0);
    mmio_w32(v->common + VC_GF, (uint32_t)v->features);
    mmio_w32(v->common + VC_GF_SEL, 1);
    mmio_w32(v->common + VC_GF, (uint32_t)(v->features >> 32));
    set_status(v, VS_ACK | VS_DRIVER | VS_FEATURES_OK);
    return vdev_status(v) & VS_FEATURES_OK;
}

void vdev_ok(struct vdev *v) { set_status(v, VS_ACK | VS_DRIVER | VS_FEATURES_OK | VS_DRIVER_OK); }

static void layout(struct vq *q)
{
    uint8_t *ring = page_alloc(4), *side = page_alloc(4);
    q->desc = (void *)ring;
    q->tables = page_alloc(16);
    if (q->packed) {
        q->driver_event = (void *)side;
        q->device_event = (void *)(side + 4096);
        return;
    }
    q->avail = (void *)side;
    q->used = (void *)(side + 4096);
    for (unsigned i = 0; i < q->size; i++)
        q->desc[i].next = (uint16_t)(i + 1);
}

bool vq_setup(struct vdev *v, struct vq *q, unsigned index, unsigned size)
{
    mmio_w16(v->common + VC_Q_SEL, (uint16_t)index);
    unsigned max = mmio_r16(v->common + VC_Q_SIZE);
    if (!max)
        return false;
    size = size ? size : max;
    size = size > 256 ? 256 : size;
    *q = (struct vq){ .dev = v,
                      .index = (uint16_t)index,
                      .size = (uint16_t)size,
                      .free = (uint16_t)size,
                      .wrap = true,
                      .used_wrap = true };
    q->packed = v->features & VF_PACKED;
    q->event_idx = v->features & VF_EVENT_IDX;
    q->indirect = v->features & VF_INDIRECT;
    layout(q);
    mmio_w16(v->common + VC_Q_SIZE, (uint16_t)size);
    mmio_w64(v->common + VC_Q_DESC, (uint64_t)q->desc);
    mmio_w64(v->common + VC_Q_DRIVER, q->packed ? (uint64_t)q->driver_event : (uint64_t)q->avail);
    mmio_w64(v->common + VC_Q_DEVICE, q->packed ? (uint64_t)q->device_event : (uint64_t)q->used);
    mmio_w16(v->common + VC_Q_MSIX, 0xffff);
    mmio_w16(v->common + VC_Q_ENABLE, 1);
    q->notify = v->notify + (uint64_t)mmio_r16(v->common + VC_Q_NOTIFY_OFF) * v->notify_mult;
    return mmio_r16(v->common + VC_Q_ENABLE) == 1;
}

/* Parts into the indirect table of entry `id`, in the ring's own layout. */
static void fill_table(struct vq *q, unsigned id, const struct viov *iov, unsigned nout, unsigned n)
{
    struct vdesc *t = q->tables + id * 16;
    for (unsigned i = 0; i < n; i++) {
        uint16_t f = i >= nout ? VD_WRITE : 0;
        if (q->packed)
            t[i] = (struct vdesc){ iov[i].addr, iov[i].len, 0, f };
        else
            t[i] = (struct vdesc){ iov[i].addr, iov[i].len,
                                   (uint16_t)(f | (i + 1 < n ? VD_NEXT : 0)), (uint16_t)(i + 1) };
    }
}

static int add_split(struct vq *q, const struct viov *iov, unsigned nout, unsigned n)
{
    bool indirect = q->indirect && n > 1;
    unsigned need = indirect ? 1 : n, head = q->next, d = head;
    if (q->free < need)
        return -1;
    struct viov table = { (uint64_t)(q->tables + head * 16), n * 16 };
    if (indirect)
        fill_table(q, head, iov, nout, n);
    for (unsigned i = 0; i < need; i++) {
        const struct viov *p = indirect ? &table : &iov[i];
        uint16_t f = indirect
                         ? VD_INDIRECT
                         : (uint16_t)((i >= nout ? VD_WRITE : 0) | (i + 1 < need ? VD_NEXT : 0));
        q->desc[d].addr = p->addr;
        q->desc[d].len = p->len;
        q->desc[d].flags = f;
        q->next = q->desc[d].next;
        d = q->next;
    }
    q->free = (uint16_t)(q->free - need);
    q->count[head] = (uint16_t)need;
    q->avail->ring[q->avail->idx % q->size] = (uint16_t)head;
    barrier();
    q->avail->idx++;
    return (int)head;
}

/* Ids are ring positions; the flags of the first descriptor are written last (virtio 1.2 2.8.6). */
static int add_packed(struct vq *q, const struct viov *iov, unsigned nout, unsigned n)
{
    bool indirect = q->indirect && n > 1;
    unsigned need = indirect ? 1 : n, head = q->next;
    uint16_t first = 0;
    if (q->free < need)
        return -1;
    struct viov table = { (uint64_t)(q->tables + head * 16), n * 16 };
    if (indirect)
        fill_table(q, head, iov, nout, n);
    for (unsigned i = 0; i < need; i++) {
        const struct viov *p = indirect ? &table : &iov[i];
        volatile struct vdesc *d = &q->desc[q->next];
        uint16_t f = indirect
                         ? VD_INDIRECT
                         : (uint16_t)((i >= nout ? VD_WRITE : 0) | (i + 1 < need ? VD_NEXT : 0));
        f |= q->wrap ? VD_AVAIL : VD_USED;
        d->addr = p->addr;
        d->len = p->len;
        d->flags = (uint16_t)head; /* the id, in this layout */
        if (i)
            d->next = f;
        else
            first = f;
        if (++q->next == q->size) {
            q->next = 0;
            q->wrap = !q->wrap;
        }
    }
    q->free = (uint16_t)(q->free - need);
    q->count[head] = (uint16_t)need;
    barrier();
    q->desc[head].next = first;
    return (int)head;
}

int vq_add(struct vq *q, const struct viov *iov, unsigned nout, unsigned nin)
{
    return q->packed ? add_packed(q, iov, nout, nout + nin) : add_split(q, iov, nout, nout + nin);
}

void vq_kick(struct vq *q)
{
    barrier();
    if (!q->event_idx && (q->packed ? q->device_event->flags == 1 : q->used->flags & 1))
        return;
    q->kicks++;
    mmio_w16(q->notify, q->index);
}

static int poll_split(struct vq *q, uint32_t *len)
{
    if (q->used->idx == q->last_used)
        return -1;
    barrier();
    uint32_t id = q->used->ring[q->last_used % q->size].id;
    *len = q->used->ring[q->last_used % q->size].len;
    q->last_used++;
    if (q->event_idx)
        q->avail->ring[q->size] = q->last_used;
    unsigned last = id, n = q->count[id];
    for (unsigned i = 1; i < n; i++)
        last = q->desc[last].next;
    q->desc[last].next = q->next;
    q->next = (uint16_t)id;
    q->free = (uint16_t)(q->free + n);
    return (int)id;
}

static int poll_packed(struct vq *q, uint32_t *len)
{
    volatile struct vdesc *d = &q->desc[q->last_used];
    uint16_t f = d->next;
    if (!!(f & VD_AVAIL) != q->used_wrap || !!(f & VD_USED) != q->used_wrap)
        return -1;
    barrier();
    unsigned id = d->flags, n = q->count[id];
    *len = d->len;
    q->last_used = (uint16_t)(q->last_used + n);
    if (q->last_used >= q->size) {
        q->last_used = (uint16_t)(q->last_used - q->size);
        q->used_wrap = !q->used_wrap;
    }
    q->free = (uint16_t)(q->free + n);
    if (q->event_idx) {
        q->driver_event->off_wrap = (uint16_t)(q->last_used | q->used_wrap << 15);
        q->driver_event->flags = 2;
    }
    return (int)id;
}

int vq_poll(struct vq *q, uint32_t *len)
{
    return q->packed ? poll_packed(q, len) : poll_split(q, len);
}

int vq_wait(struct vq *q, uint32_t *len)
{
    for (uint64_t t = ticks(); ticks() - t < ticks_hz * 5;) {
        int id = vq_poll(q, len);
        if (id >= 0)
            return id;
        cpu_pause();
    }
    return -1;
}

void vdev_msix(struct vdev *v, struct vq *q, unsigned entry, void (*fn)(void))
{
    uint64_t e = v->msix_table + entry * 16;
    struct msi_msg m = irq_msi(v->pci, entry, fn);
    pci_write(v->pci, v->msix + 2, 2, 0x8000);
    mmio_w32(e, (uint32_t)m.addr);
    mmio_w32(e + 4, (uint32_t)(m.addr >> 32));
    mmio_w32(e + 8, m.data);
    mmio_w32(e + 12, 0);
    mmio_w16(v->common + VC_Q_SEL, q->index);
    mmio_w16(v->common + VC_Q_MSIX, (uint16_t)entry);
    if (mmio_r16(v->common + VC_Q_MSIX) != entry)
        fail("virtio MSI-X", "queue %u refuses entry %u", q->index, entry);
}
