/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio.c: see <hv/host_virtio.h>. Sections are those of virtio 1.2. */
#include <arch/barrier.h>

#include <hv/host_virtio.h>
#include <hv/log.h>
#include <hv/pmm.h>
#include <string.h>

/* §4.1.4: capabilities; §4.1.4.3: the common configuration */
enum { CAP_VENDOR = 9, CAP_TYPE = 3, CAP_BAR = 4, CAP_OFFSET = 8, CAP_LENGTH = 12, CAP_MULT = 16 };
enum { PART_COMMON = 1, PART_NOTIFY = 2, PART_DEVICE = 4, COMMON_LEN = 56 };
enum common {
    DEVICE_FEATURE_SELECT = 0,
    DEVICE_FEATURE = 4,
    DRIVER_FEATURE_SELECT = 8,
    DRIVER_FEATURE = 12,
    MSIX_CONFIG = 16,
    DEVICE_STATUS = 20,
    QUEUE_SELECT = 22,
    QUEUE_SIZE = 24,
    QUEUE_MSIX = 26,
    QUEUE_ENABLE = 28,
    QUEUE_NOTIFY_OFF = 30,
    QUEUE_DESC = 32,
    QUEUE_DRIVER = 40,
    QUEUE_DEVICE = 48
};
#define ACCESS_PLATFORM HOST_VIRTIO_BIT(33) /* §6 */
enum { SIZE_MOST = HOST_VIRTIO_QUEUE_MOST, AVAIL_NO_INTERRUPT = 1 };
struct host_virtio_avail { /* §2.7.6 */
    uint16_t flags, idx, ring[SIZE_MOST], used_event;
};
struct host_virtio_used { /* §2.7.8 */
    uint16_t flags, idx;
    struct {
        uint32_t id, len;
    } ring[SIZE_MOST];
};
/* a queue's memory: two pages */
enum { RINGS_ORDER = 1, AVAIL_AT = 4096, USED_AT = 4096 + 1024 };
static_assert(sizeof(struct host_virtio_desc) * SIZE_MOST <= AVAIL_AT, "§2.7.5");
static_assert(sizeof(struct host_virtio_avail) <= USED_AT - AVAIL_AT, "§2.7.6");
static_assert(offsetof(struct host_virtio_used, ring) == 4, "§2.7.8");
static_assert(sizeof(struct host_virtio_used) + 2 <= (PAGE_SIZE << RINGS_ORDER) - USED_AT,
              "§2.7.8");

static uint32_t virtio_rd(const struct host_virtio *v, enum common off, unsigned size)
{
    return host_reg_read(v->common + off, size);
}

static void virtio_wr(const struct host_virtio *v, enum common off, unsigned size, uint32_t val)
{
    host_reg_write(v->common + off, size, val);
}

static void virtio_wr64(const struct host_virtio *v, enum common off, const volatile void *p)
{
    uint64_t at = dma_at(v->dma, p);

    host_reg_write(v->common + off, 4, (uint32_t)at);
    host_reg_write(v->common + off + 4, 4, (uint32_t)(at >> 32));
}

/* ---- finding its parts ---- */

static uint32_t find_cap(const struct host_pci_dev *d, uint8_t type)
{
    uint32_t at;

    for (unsigned i = 0; (at = host_pci_cap_nth(d, CAP_VENDOR, i)); i++)
        if (host_pci_read(d, at + CAP_TYPE, 1) == type)
            break;
    return at;
}

/* NULL: there is none of `least` bytes that can be used. */
static volatile uint8_t *find_part(const struct host_virtio *v, uint8_t type, uint32_t least,
                                   uint32_t *len)
{
    uint32_t at = find_cap(v->pci, type), off;
    uint8_t *bar;

    if (!at)
        return NULL;
    off = host_pci_read(v->pci, at + CAP_OFFSET, 4);
    *len = host_pci_read(v->pci, at + CAP_LENGTH, 4);
    if (*len < least)
        return NULL;
    bar = host_pci_map(v->pci, host_pci_read(v->pci, at + CAP_BAR, 1), (uint64_t)off + *len);
    return bar ? bar + off : NULL;
}

int host_virtio_map(struct host_virtio *v, uint32_t config_least)
{
    uint32_t len, at = find_cap(v->pci, PART_NOTIFY);

    v->common = find_part(v, PART_COMMON, COMMON_LEN, &len);
    v->notify = find_part(v, PART_NOTIFY, 2, &v->notify_len);
    v->config = find_part(v, PART_DEVICE, config_least, &v->config_len);
    v->notify_mult = at ? host_pci_read(v->pci, at + CAP_MULT, 4) : 0;
    return v->common && v->notify && v->config && v->notify_mult <= UINT16_MAX ? 0 : -ENOTSUP;
}

uint32_t host_virtio_config(const struct host_virtio *v, uint32_t off, unsigned size)
{
    return host_reg_read(v->config + off, size);
}

/* ---- the device ---- */

void host_virtio_reset(const struct host_virtio *v) { virtio_wr(v, DEVICE_STATUS, 1, 0); }

uint8_t host_virtio_status(const struct host_virtio *v)
{
    return (uint8_t)virtio_rd(v, DEVICE_STATUS, 1);
}

bool host_virtio_is_reset(const struct host_virtio *v) { return host_virtio_status(v) == 0; }

uint64_t host_virtio_hello(const struct host_virtio *v)
{
    uint64_t low;

    virtio_wr(v, DEVICE_STATUS, 1, HOST_VIRTIO_ACKNOWLEDGE);
    virtio_wr(v, DEVICE_STATUS, 1, HOST_VIRTIO_ACKNOWLEDGE | HOST_VIRTIO_DRIVER);
    virtio_wr(v, DEVICE_FEATURE_SELECT, 4, 0);
    low = virtio_rd(v, DEVICE_FEATURE, 4);
    virtio_wr(v, DEVICE_FEATURE_SELECT, 4, 1);
    return low | (uint64_t)virtio_rd(v, DEVICE_FEATURE, 4) << 32;
}

int host_virtio_dma(struct host_virtio *v, uint64_t offered, const char *owner, unsigned slots,
                    uint32_t bytes, unsigned pieces)
{
    int err = dma_open(&v->dma, v->pci, owner, slots, bytes, pieces);

    v->platform = offered & ACCESS_PLATFORM;
    if (!err && !v->platform)
        dma_bypass(v->dma);
    return err;
}

int host_virtio_agree(struct host_virtio *v, uint64_t features, uint16_t vector)
{
    const uint8_t said = HOST_VIRTIO_ACKNOWLEDGE | HOST_VIRTIO_DRIVER | HOST_VIRTIO_FEATURES_OK;

    if (!(features & HOST_VIRTIO_VERSION_1) || (v->platform && !(features & ACCESS_PLATFORM)))
        return -ENOTSUP;
    virtio_wr(v, DRIVER_FEATURE_SELECT, 4, 0);
    virtio_wr(v, DRIVER_FEATURE, 4, (uint32_t)features);
    virtio_wr(v, DRIVER_FEATURE_SELECT, 4, 1);
    virtio_wr(v, DRIVER_FEATURE, 4, (uint32_t)(features >> 32));
    virtio_wr(v, DEVICE_STATUS, 1, said);
    v->features = features;
    if (host_virtio_status(v) != said)
        return -ENOTSUP;
    virtio_wr(v, MSIX_CONFIG, 2, vector);
    return virtio_rd(v, MSIX_CONFIG, 2) == vector ? 0 : -EIO; /* §4.1.5.1.2.1 */
}

void host_virtio_live(const struct host_virtio *v)
{
    virtio_wr(v, DEVICE_STATUS, 1, host_virtio_status(v) | HOST_VIRTIO_DRIVER_OK);
}

/* ---- queues ---- */

int host_virtio_make_queue(struct host_virtio *v, struct host_virtio_queue *q, uint16_t index,
                           uint16_t least, uint16_t most)
{
    uint8_t *p = dma_alloc(v->dma, RINGS_ORDER);
    uint32_t can;

    if (!p)
        return -ENOMEM;
    *q = (struct host_virtio_queue){ .desc = (struct host_virtio_desc *)(void *)p,
                                     .avail = (struct host_virtio_avail *)(void *)(p + AVAIL_AT),
                                     .used =
                                         (volatile struct host_virtio_used *)(void *)(p + USED_AT),
                                     .index = index,
                                     .size = 1 };
    virtio_wr(v, QUEUE_SELECT, 2, index);
    can = (uint32_t)min_u64(virtio_rd(v, QUEUE_SIZE, 2), min_u64(most, SIZE_MOST));
    while (q->size * 2u <= can)
        q->size = (uint16_t)(q->size * 2);
    return can >= 1 && q->size >= least ? 0 : -ENOTSUP;
}

void host_virtio_free_queue(struct host_virtio *v, struct host_virtio_queue *q)
{
    dma_free(v->dma, q->desc, RINGS_ORDER);
    q->desc = NULL;
}

int host_virtio_start_queue(const struct host_virtio *v, struct host_virtio_queue *q,
                            uint16_t vector)
{
    uint64_t off;

    virtio_wr(v, QUEUE_SELECT, 2, q->index);
    off = (uint64_t)virtio_rd(v, QUEUE_NOTIFY_OFF, 2) * v->notify_mult;
    if (virtio_rd(v, QUEUE_SIZE, 2) < q->size || off > v->notify_len - 2)
        return -EIO;
    memset(q->desc, 0, PAGE_SIZE << RINGS_ORDER);
    q->put = q->got = 0;
    q->avail->flags = vector == HOST_VIRTIO_NO_VECTOR ? AVAIL_NO_INTERRUPT : 0;
    q->bell = v->notify + off;
    virtio_wr(v, QUEUE_SIZE, 2, q->size);
    virtio_wr(v, QUEUE_MSIX, 2, vector);
    virtio_wr64(v, QUEUE_DESC, q->desc);
    virtio_wr64(v, QUEUE_DRIVER, q->avail);
    virtio_wr64(v, QUEUE_DEVICE, q->used);
    if (virtio_rd(v, QUEUE_MSIX, 2) != vector) /* §4.1.5.1.2.1: it could not */
        return -EIO;
    virtio_wr(v, QUEUE_ENABLE, 2, 1);
    return 0;
}

void host_virtio_offer(struct host_virtio_queue *q, uint16_t head)
{
    q->avail->ring[q->put % q->size] = head;
    q->put++;
}

void host_virtio_ring(const struct host_virtio_queue *q)
{
    dma_wmb();
    __atomic_store_n(&q->avail->idx, q->put, __ATOMIC_RELEASE);
    dma_mb();
    host_reg_write(q->bell, 2, q->index);
}

int host_virtio_take(struct host_virtio_queue *q, uint32_t *head, uint32_t *len)
{
    uint16_t ready = (uint16_t)(__atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE) - q->got);

    if (ready > q->size)
        return -EPROTO;
    if (ready == 0)
        return 0;
    dma_rmb();
    *head = q->used->ring[q->got % q->size].id;
    *len = q->used->ring[q->got % q->size].len;
    q->got++;
    return 1;
}
