/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio over PCI (virtio 1.2 §4.1), modern interface only. BAR 0: MSI-X. BAR 2 (64-bit): the four
 * structures, a page each.
 */
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/nospec.h>
#include <hv/virtio.h>
#include <hv/vm.h>
#include <string.h>

/* §4.1.4 cfg_type */
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4, CAP_PCI_CFG = 5 };
enum {
    BAR_MSIX = 0,
    BAR_VIRTIO = 2,
    OFF_COMMON = 0,
    OFF_ISR = 0x1000,
    OFF_DEVICE = 0x2000,
    OFF_NOTIFY = 0x3000,
    BAR_SIZE = 0x4000
};
enum { NOTIFY_STEP = 4, COMMON_LEN = 64, ISR_QUEUE = 1, ISR_CONFIG = 2 };
/* after vndr and next */
struct virtio_pci_cap {
    uint8_t cap_len, cfg_type, bar, id, padding[2];
    uint8_t offset[4], length[4];
};
static_assert(sizeof(struct virtio_pci_cap) == 14, "virtio 1.2 §4.1.4");
static_assert(offsetof(struct virtio_pci_cap, cfg_type) == 1, "virtio 1.2 §4.1.4");
static_assert(offsetof(struct virtio_pci_cap, bar) == 2, "virtio 1.2 §4.1.4");
static_assert(offsetof(struct virtio_pci_cap, offset) == 6, "virtio 1.2 §4.1.4");
static_assert(offsetof(struct virtio_pci_cap, length) == 10, "virtio 1.2 §4.1.4");

/* ---- common configuration structure, §4.1.4.3: one row per field ---- */

static struct virtqueue *selected(struct virtio_dev *d)
{
    if (d->s.queue_select >= d->nqueues)
        return NULL;
    return &d->vq[index_nospec(d->s.queue_select, d->nqueues)];
}

/* A queue whose registers may be written now. */
static struct vq_state *settable(struct virtio_dev *d)
{
    struct virtqueue *q = selected(d);

    return q && !q->s->enabled && !d->resetting && !virtio_queue_resets(d, q->index) ? q->s : NULL;
}

static uint64_t get_dfselect(struct virtio_dev *d) { return d->s.device_feature_select; }
static uint64_t virtio_pci_get_features(struct virtio_dev *d)
{
    return d->s.device_feature_select < 2
               ? (d->features >> (32 * d->s.device_feature_select)) & UINT32_MAX
               : 0;
}
static uint64_t get_gfselect(struct virtio_dev *d) { return d->s.driver_feature_select; }
static uint64_t get_driver_features(struct virtio_dev *d)
{
    return d->s.driver_feature_select < 2
               ? (d->s.driver_features >> (32 * d->s.driver_feature_select)) & UINT32_MAX
               : 0;
}
static uint64_t get_config_vector(struct virtio_dev *d) { return d->s.config_vector; }
static uint64_t get_num_queues(struct virtio_dev *d) { return d->nqueues; }
static uint64_t get_status(struct virtio_dev *d)
{
    return __atomic_load_n(&d->s.status, __ATOMIC_ACQUIRE);
}
static uint64_t get_generation(struct virtio_dev *d) { return d->s.generation; }
static uint64_t get_queue_select(struct virtio_dev *d) { return d->s.queue_select; }
static uint64_t get_queue_size(struct virtio_dev *d)
{
    return selected(d) ? selected(d)->s->size : 0;
}
static uint64_t get_queue_vector(struct virtio_dev *d)
{
    return selected(d) ? selected(d)->s->vector : VIRTIO_NO_VECTOR;
}
static uint64_t get_queue_enable(struct virtio_dev *d)
{
    return selected(d) ? selected(d)->s->enabled : 0;
}
static uint64_t get_notify_off(struct virtio_dev *d) { return selected(d) ? d->s.queue_select : 0; }
static uint64_t virtio_pci_get_desc(struct virtio_dev *d)
{
    return selected(d) ? selected(d)->s->desc : 0;
}
static uint64_t get_driver(struct virtio_dev *d)
{
    return selected(d) ? selected(d)->s->driver : 0;
}
static uint64_t get_device(struct virtio_dev *d)
{
    return selected(d) ? selected(d)->s->device : 0;
}
static uint64_t get_queue_reset(struct virtio_dev *d)
{
    return selected(d) && virtio_queue_resets(d, d->s.queue_select);
}

static void set_dfselect(struct virtio_dev *d, uint64_t v)
{
    d->s.device_feature_select = (uint32_t)v;
}
static void set_gfselect(struct virtio_dev *d, uint64_t v)
{
    __atomic_store_n(&d->s.driver_feature_select, (uint32_t)v, __ATOMIC_RELAXED);
}
static uint16_t virtio_pci_vector(const struct virtio_dev *d, uint64_t v)
{
    return v < d->pci.nmsix ? (uint16_t)v : VIRTIO_NO_VECTOR;
}
static void set_config_vector(struct virtio_dev *d, uint64_t v)
{
    __atomic_store_n(&d->s.config_vector, virtio_pci_vector(d, v), __ATOMIC_RELAXED);
}
static void set_queue_select(struct virtio_dev *d, uint64_t v)
{
    __atomic_store_n(&d->s.queue_select, (uint16_t)v, __ATOMIC_RELAXED);
}
static void set_queue_size(struct virtio_dev *d, uint64_t v)
{
    if (settable(d) && v > 0 && v <= VQ_SIZE_MAX)
        settable(d)->size = (uint16_t)v;
}
static void set_queue_vector(struct virtio_dev *d, uint64_t v)
{
    if (selected(d))
        __atomic_store_n(&selected(d)->s->vector, virtio_pci_vector(d, v), __ATOMIC_RELAXED);
}
static void set_desc(struct virtio_dev *d, uint64_t v)
{
    if (settable(d))
        settable(d)->desc = v;
}
static void set_driver(struct virtio_dev *d, uint64_t v)
{
    if (settable(d))
        settable(d)->driver = v;
}
static void set_device(struct virtio_dev *d, uint64_t v)
{
    if (settable(d))
        settable(d)->device = v;
}

/* These act, outside of the lock. */
enum { F_DRIVER_FEATURES = 12, F_STATUS = 20, F_QUEUE_ENABLE = 28, F_QUEUE_RESET = 58 };
static const struct field {
    uint8_t off, len;
    uint64_t (*get)(struct virtio_dev *);
    void (*set)(struct virtio_dev *, uint64_t);
} common[] = {
    { 0, 4, get_dfselect, set_dfselect },
    { 4, 4, virtio_pci_get_features, NULL },
    { 8, 4, get_gfselect, set_gfselect },
    { F_DRIVER_FEATURES, 4, get_driver_features, NULL },
    { 16, 2, get_config_vector, set_config_vector },
    { 18, 2, get_num_queues, NULL },
    { F_STATUS, 1, get_status, NULL },
    { 21, 1, get_generation, NULL },
    { 22, 2, get_queue_select, set_queue_select },
    { 24, 2, get_queue_size, set_queue_size },
    { 26, 2, get_queue_vector, set_queue_vector },
    { F_QUEUE_ENABLE, 2, get_queue_enable, NULL },
    { 30, 2, get_notify_off, NULL },
    { 32, 8, virtio_pci_get_desc, set_desc },
    { 40, 8, get_driver, set_driver },
    { 48, 8, get_device, set_device },
    { F_QUEUE_RESET, 2, get_queue_reset, NULL },
};

static const struct field *field_at(uint64_t off, unsigned size)
{
    for (unsigned i = 0; i < ARRAY_SIZE(common); i++)
        if (range_within(off, size, common[i].off, common[i].len))
            return &common[i];
    return NULL;
}

static uint64_t size_mask(unsigned size)
{
    return size == 8 ? UINT64_MAX : (1ull << (8 * size)) - 1;
}

static int common_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct virtio_dev *d = dev;
    const struct field *f = field_at(off, size);

    *val = 0;
    if (!f)
        return 0;
    spin_lock(&d->lock);
    *val = f->get(d) >> (8 * (off - f->off)) & size_mask(size);
    spin_unlock(&d->lock);
    return 0;
}

static void act(struct virtio_dev *d, unsigned off, uint64_t v)
{
    unsigned q = __atomic_load_n(&d->s.queue_select, __ATOMIC_RELAXED);

    if (off == F_STATUS)
        virtio_set_status(d, (uint8_t)v);
    else if (off == F_DRIVER_FEATURES)
        virtio_set_features(d, __atomic_load_n(&d->s.driver_feature_select, __ATOMIC_RELAXED),
                            (uint32_t)v);
    else if (off == F_QUEUE_ENABLE && v == 1)
        virtio_enable_queue(d, q);
    else if (off == F_QUEUE_RESET && v == 1)
        virtio_reset_queue(d, q);
}

/*
 * §4.1.3.1: each field is written whole, 64-bit ones also as two halves. Anything else is dropped.
 */
static int common_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct virtio_dev *d = dev;
    const struct field *f = field_at(off, size);
    unsigned shift = f ? 8 * (unsigned)(off - f->off) : 0;
    uint64_t m = size_mask(size) << shift;

    if (!f || (size != f->len && !(f->len == 8 && size == 4 && shift % 32 == 0)))
        return 0;
    if (!f->set) {
        act(d, f->off, val & size_mask(size));
        return 0;
    }
    spin_lock(&d->lock);
    f->set(d, f->len == 8 ? (f->get(d) & ~m) | (val << shift & m) : val & m);
    spin_unlock(&d->lock);
    return 0;
}

/* ---- ISR status §4.1.4.5, notification §4.1.4.4, device configuration §4.1.4.6 ---- */

static int isr_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct virtio_dev *d = dev;

    (void)off;
    (void)size;
    *val = vpci_intx_take(&d->pci);
    return 0;
}

static int drop_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    (void)dev;
    (void)off;
    (void)size;
    (void)val;
    return 0;
}

static int zero_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    (void)dev;
    (void)off;
    (void)size;
    *val = 0;
    return 0;
}

/* The hot exit. */
static int notify_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    (void)size;
    (void)val;
    virtio_notified(dev, (unsigned)(off / NOTIFY_STEP));
    return 0;
}

static int virtio_pci_device_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct virtio_dev *d = dev;
    struct io_access a = { .addr = off, .size = (uint8_t)size };

    d->ops->config(d, &a);
    *val = a.val;
    return 0;
}

static int virtio_pci_device_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct virtio_dev *d = dev;
    struct io_access a = { .addr = off, .val = val, .size = (uint8_t)size, .write = true };

    d->ops->config(d, &a);
    return 0;
}

static const struct io_ops common_ops = { common_read, common_write, 1 | 2 | 4 | 8 };
static const struct io_ops isr_ops = { isr_read, drop_write, 1 | 2 | 4 };
static const struct io_ops notify_ops = { zero_read, notify_write, 1 | 2 | 4 };
static const struct io_ops device_ops = { virtio_pci_device_read, virtio_pci_device_write,
                                          1 | 2 | 4 | 8 };

/* ---- PCI configuration access capability, §4.1.4.9: a window into the BARs ---- */

static bool window_access(struct vpci_dev *pci, struct io_access *a)
{
    struct virtio_dev *d = container_of(pci, struct virtio_dev, pci);
    struct io_access inner = { .val = a->val, .size = a->size, .write = a->write };
    unsigned data = d->window + 16u, len = vpci_cfg_get(pci, d->window + 12u, 4);

    if (a->addr < data || a->addr >= data + 4u)
        return false;
    if (len == 0)
        len = a->size; /* not set up: let the BAR decide */
    inner.size = (uint8_t)(len < a->size ? len : a->size);
    inner.addr = vpci_cfg_get(pci, d->window + 8u, 4) + (a->addr - data);
    if (!(inner.size == 1 || inner.size == 2 || inner.size == 4) ||
        vpci_bar_access(pci, pci->s.cfg[d->window + 4u], &inner))
        inner.val = UINT32_MAX;
    a->val = inner.val;
    return true;
}

static unsigned add_cap(struct virtio_dev *d, uint8_t type, uint32_t offset, uint32_t length,
                        uint32_t extra, bool window)
{
    struct {
        struct virtio_pci_cap cap;
        uint8_t extra[4];
    } b = { 0 }, m = { 0 };
    unsigned len = type == CAP_NOTIFY || window ? sizeof b : sizeof b.cap;

    b.cap.cap_len = (uint8_t)(len + 2);
    b.cap.cfg_type = type;
    b.cap.bar = window ? 0 : BAR_VIRTIO;
    for (unsigned i = 0; i < 4; i++) {
        b.cap.offset[i] = (uint8_t)(offset >> (8 * i));
        b.cap.length[i] = (uint8_t)(length >> (8 * i));
        b.extra[i] = (uint8_t)(extra >> (8 * i));
    }
    if (window) {
        m.cap.bar = 0xff;
        memset(m.cap.offset, 0xff, sizeof m.cap.offset);
        memset(m.cap.length, 0xff, sizeof m.cap.length);
    }
    return vpci_add_cap(&d->pci, PCI_CAP_VENDOR, &b, &m, len);
}

static void command_changed(struct vpci_dev *pci)
{
    struct virtio_dev *d = container_of(pci, struct virtio_dev, pci);

    if (vpci_bus_master(pci))
        virtio_resume(d); /* what was asked for meanwhile, or stopped halfway */
}

static void add_structure(struct virtio_dev *d, uint8_t type, const char *name, uint32_t off,
                          uint32_t len, const struct io_ops *ops)
{
    add_cap(d, type, off, len, NOTIFY_STEP, false);
    vpci_add_region(
        &d->pci, BAR_VIRTIO,
        &(struct vpci_region){ .name = name, .off = off, .len = len, .ops = ops, .dev = d });
}

/* ---- seen from virtio.c ---- */

int virtio_transport_attach(struct virtio_dev *d)
{
    const struct vpci_id id = { .vendor = 0x1af4,
                                .device = (uint16_t)(0x1040 + d->ops->id),
                                .subsys_vendor = 0x1af4,
                                .subsys = (uint16_t)(0x1040 + d->ops->id),
                                .class_code = d->ops->class_code,
                                .revision = 1,
                                .pin = 1 };

    assert_cpu0();
    vpci_dev_init(&d->pci, d->vm, &id);
    d->pci.cfg_access = window_access;
    d->pci.command_changed = command_changed;
    vpci_add_bar(&d->pci, BAR_MSIX, 4096, false);
    vpci_add_bar(&d->pci, BAR_VIRTIO, BAR_SIZE, true);
    vpci_add_msix(&d->pci, BAR_MSIX, d->nqueues + 1u);
    add_structure(d, CAP_NOTIFY, "virtio-notify", OFF_NOTIFY, (uint32_t)NOTIFY_STEP * d->nqueues,
                  &notify_ops);
    add_structure(d, CAP_COMMON, "virtio-common", OFF_COMMON, COMMON_LEN, &common_ops);
    add_structure(d, CAP_ISR, "virtio-isr", OFF_ISR, 4, &isr_ops);
    if (d->ops->config_len)
        add_structure(d, CAP_DEVICE, "virtio-device", OFF_DEVICE, d->ops->config_len, &device_ops);
    d->window = (uint8_t)add_cap(d, CAP_PCI_CFG, 0, 0, 0, true);
    return vpci_attach(&d->pci);
}

void virtio_transport_detach(struct virtio_dev *d)
{
    assert_cpu0();
    vpci_detach(&d->pci);
}

void virtio_transport_reset(struct virtio_dev *d)
{
    if (d->vm->pci && d->pci.vm)
        vpci_intx_take(&d->pci);
}

static void irq(struct virtio_dev *d, uint16_t vec, uint32_t isr)
{
    if (vpci_msix_enabled(&d->pci)) {
        if (vec != VIRTIO_NO_VECTOR)
            vpci_msix_notify(&d->pci, vec);
    } else {
        vpci_intx_raise(&d->pci, isr);
    }
}

void virtio_irq_queue(struct virtio_dev *d, unsigned q)
{
    debug_assert(virtio_is_here(d));
    debug_assert(q < d->nqueues);
    irq(d, __atomic_load_n(&d->vq[q].s->vector, __ATOMIC_RELAXED), ISR_QUEUE);
}

void virtio_irq_config(struct virtio_dev *d)
{
    irq(d, __atomic_load_n(&d->s.config_vector, __ATOMIC_RELAXED), ISR_CONFIG);
}
