/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio-net device for tests of the host's driver, written from virtio 1.2 and not from the
 * driver. It can be told to misbehave.
 */
#pragma once
#include "drivers/net/netdev.h"
#include <string.h>

enum { M_QUEUES = 3, M_HELD = 64, M_NOTIFY = 64, M_MULT = 4, M_CFG = 0x100 };
struct model_queue {
    uint16_t size, vector, enable, notify_off, last;
    uint64_t desc, driver, device;
};
static struct {
    uint8_t common[64], notify[M_NOTIFY], config[24], pci[M_CFG];
    struct model_queue q[M_QUEUES];
    uint64_t offered, agreed;
    uint32_t select_device, select_driver;
    uint16_t select_queue, msix_config;
    uint8_t status;
    bool master, has_irq;
    void (*irq_fn)(void *);
    void *irq_arg;
    /* how it misbehaves */
    bool never_resets, gone, no_features;
    unsigned keep;  /* so many frames are taken and not sent */
    unsigned twice; /* so many are answered twice */
    /* what it saw */
    unsigned resets, sent, sent_bytes, promisc, dma_while_no_master, bells[M_QUEUES];
    uint8_t last[16384];
    uint32_t last_len;
    uint64_t held[M_HELD];
    unsigned nheld;
} m;

static bool model_may_reach(uint64_t at)
{
    for (unsigned i = 0; m.master && m.status & 4 && i < m.nheld; i++)
        if (m.held[i] == at)
            return true;
    return false;
}

/* ---- rings: §2.7 ---- */

struct model_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

static uint16_t *m_avail(const struct model_queue *q) { return (uint16_t *)(uintptr_t)q->driver; }
static uint8_t *m_used(const struct model_queue *q) { return (uint8_t *)(uintptr_t)q->device; }

static const struct model_desc *m_desc(const struct model_queue *q, uint16_t i)
{
    return (const struct model_desc *)(uintptr_t)q->desc + i % q->size;
}

static bool m_running(const struct model_queue *q) { return m.status & 4 && q->enable && m.master; }

static void m_answer(struct model_queue *q, uint32_t id, uint32_t len)
{
    uint16_t *idx = (uint16_t *)(void *)(m_used(q) + 2);
    uint32_t *e = (uint32_t *)(void *)(m_used(q) + 4 + 8 * (*idx % q->size));

    e[0] = id;
    e[1] = len;
    ++*idx;
    if (q->vector != 0xffff && !(m_avail(q)[0] & 1) && m.has_irq)
        m.irq_fn(m.irq_arg);
}

/* The next chain that the driver offers; false: none. */
static bool m_next(struct model_queue *q, uint16_t *head)
{
    if (!m_running(q) || q->last == m_avail(q)[1])
        return false;
    *head = m_avail(q)[2 + q->last++ % q->size];
    return true;
}

static void m_take_frame(struct model_queue *q, uint16_t head)
{
    uint16_t i = head;
    uint64_t first = 0;

    m.last_len = 0;
    for (unsigned n = 0; n < q->size; n++, i = m_desc(q, i)->next) {
        const struct model_desc *d = m_desc(q, i);

        if (n == 1)
            first = d->addr;
        if (n && d->addr && m.last_len + d->len <= sizeof m.last)
            memcpy(m.last + m.last_len, (void *)(uintptr_t)d->addr, d->len);
        m.last_len += n ? d->len : 0;
        if (!(d->flags & 1))
            break;
    }
    if (m.keep) {
        m.keep--;
        if (m.nheld < M_HELD)
            m.held[m.nheld++] = first;
        return;
    }
    m.sent++;
    m.sent_bytes += m.last_len;
    m_answer(q, head, 0);
    if (m.twice && m.twice--)
        m_answer(q, head, 0);
}

static void m_control(struct model_queue *q, uint16_t head)
{
    const struct model_desc *d = m_desc(q, head);
    const uint8_t *command = (const uint8_t *)(uintptr_t)d->addr;
    const struct model_desc *on = m_desc(q, d->next), *ack = m_desc(q, on->next);

    if (command[0] == 0 && command[1] == 0 && *(const uint8_t *)(uintptr_t)on->addr)
        m.promisc++;
    *(uint8_t *)(uintptr_t)ack->addr = 0;
    m_answer(q, head, 1);
}

/* A frame from outside; false: no buffer. `said`: the length that it is said to have, 0: its own.
 */
static bool model_receive(uint32_t len, uint32_t said)
{
    struct model_queue *q = &m.q[0];
    const struct model_desc *d;
    uint16_t head;
    uint8_t *p;

    if (!m_next(q, &head))
        return false;
    d = m_desc(q, head);
    p = (uint8_t *)(uintptr_t)d->addr;
    memset(p, 0, 12);
    for (uint32_t i = 0; i < len && 12 + i < d->len; i++)
        p[12 + i] = (uint8_t)(i * 3 + len);
    m_answer(q, head, said ? said : len + 12);
    return true;
}

static void model_run(void)
{
    uint16_t head;

    if (m.gone)
        return;
    for (unsigned i = 0; i < M_QUEUES; i++)
        if (m.status & 4 && !m.master && m.q[i].enable && m.q[i].last != m_avail(&m.q[i])[1])
            m.dma_while_no_master++;
    for (unsigned i = 0; i < M_HELD && m_next(&m.q[1], &head); i++)
        m_take_frame(&m.q[1], head);
    while (m_next(&m.q[2], &head))
        m_control(&m.q[2], head);
}

static void model_link(bool up) { m.config[6] = up; }

/* ---- registers: §4.1.4.3 ---- */

static void m_reset(void)
{
    for (unsigned i = 0; i < M_QUEUES; i++)
        m.q[i] = (struct model_queue){ .size = i == 2 ? 64 : 256,
                                       .vector = 0xffff,
                                       .notify_off = (uint16_t)i };
    m.status = 0;
    m.agreed = 0;
    m.nheld = 0;
    m.resets++;
}

static uint32_t m_common_read(uint32_t off)
{
    const struct model_queue *q = &m.q[m.select_queue % M_QUEUES];

    switch (off) {
    case 4: return (uint32_t)(m.offered >> (m.select_device ? 32 : 0));
    case 12: return (uint32_t)(m.agreed >> (m.select_driver ? 32 : 0));
    case 16: return m.msix_config;
    case 18: return M_QUEUES;
    case 20: return m.status;
    case 24: return m.select_queue < M_QUEUES ? q->size : 0;
    case 26: return q->vector;
    case 28: return q->enable;
    case 30: return q->notify_off;
    default: return 0;
    }
}

static void m_half(uint64_t *at, bool high, uint32_t val)
{
    *at = high ? (*at & UINT32_MAX) | (uint64_t)val << 32 : (*at & ~(uint64_t)UINT32_MAX) | val;
}

static void m_status(uint32_t val)
{
    if (val == 0 && !m.never_resets)
        m_reset();
    else if (val)
        m.status = (uint8_t)(m.no_features ? val & ~8u : val);
}

static void m_common_write(uint32_t off, uint32_t val)
{
    struct model_queue *q = &m.q[m.select_queue % M_QUEUES];

    switch (off) {
    case 0: m.select_device = val; break;
    case 8: m.select_driver = val; break;
    case 12: m_half(&m.agreed, m.select_driver, val); break;
    case 16: m.msix_config = (uint16_t)val; break;
    case 20: m_status(val); break;
    case 22: m.select_queue = (uint16_t)val; break;
    case 24: q->size = (uint16_t)val; break;
    case 26: q->vector = (uint16_t)val; break;
    case 28: q->enable = (uint16_t)val; break;
    case 32:
    case 36: m_half(&q->desc, off & 4, val); break;
    case 40:
    case 44: m_half(&q->driver, off & 4, val); break;
    case 48:
    case 52: m_half(&q->device, off & 4, val); break;
    default: break;
    }
}

static bool m_within(const volatile uint8_t *p, const uint8_t *area, size_t len)
{
    return p >= area && p < area + len;
}

uint32_t host_reg_read(const volatile uint8_t *p, unsigned size)
{
    uint32_t v = 0;

    if (m.gone)
        return UINT32_MAX >> (32 - 8 * size);
    if (m_within(p, m.common, sizeof m.common))
        return m_common_read((uint32_t)(p - m.common));
    if (m_within(p, m.config, sizeof m.config))
        memcpy(&v, (const void *)(uintptr_t)p, size);
    return v;
}

void host_reg_write(volatile uint8_t *p, unsigned size, uint32_t val)
{
    (void)size;
    if (m_within(p, m.common, sizeof m.common))
        m_common_write((uint32_t)(p - m.common), val);
    else if (m_within(p, m.notify, sizeof m.notify) && val < M_QUEUES)
        m.bells[val]++;
}

/* ---- PCI: BAR 1 common, 2 notify, 3 configuration ---- */

void *host_pci_map(const struct host_pci_dev *d, unsigned i, uint64_t len)
{
    uint8_t *at[] = { NULL, m.common, m.notify, m.config };
    size_t room[] = { 0, sizeof m.common, sizeof m.notify, sizeof m.config };

    (void)d;
    return i < 4 && len <= room[i] ? at[i] : NULL;
}

uint32_t host_pci_read(const struct host_pci_dev *d, uint32_t off, unsigned size)
{
    uint32_t v = 0;

    (void)d;
    if (off + size <= sizeof m.pci)
        memcpy(&v, m.pci + off, size);
    return v;
}

uint32_t host_pci_cap_nth(const struct host_pci_dev *d, uint8_t id, unsigned n)
{
    (void)d;
    return id == 9 && n < 3 && m.pci[0x40 + 0x20 * n] ? 0x40 + 0x20 * n : 0;
}

uint32_t host_pci_cap(const struct host_pci_dev *d, uint8_t id)
{
    return host_pci_cap_nth(d, id, 0);
}

static void m_part(unsigned n, uint8_t type, uint8_t bar, uint32_t len)
{
    uint8_t *p = m.pci + 0x40 + 0x20 * n;
    uint32_t mult = M_MULT;

    p[0] = 9;
    p[3] = type;
    p[4] = bar;
    memcpy(p + 12, &len, 4);
    memcpy(p + 16, &mult, 4);
}

/* What the firmware left: running. */
static void model_new(void)
{
    static const uint8_t mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x57 };
    uint32_t speed = 2500;
    uint16_t mtu = 9000;

    memset(&m, 0, sizeof m);
    m_reset();
    m.resets = 0;
    m.status = 15;
    m.offered = 1ull << 3 | 1ull << 5 | 1ull << 15 | 1ull << 16 | 1ull << 17 | 1ull << 18 |
                1ull << 32 | 1ull << 63;
    memcpy(m.config, mac, 6);
    memcpy(m.config + 10, &mtu, 2);
    memcpy(m.config + 12, &speed, 4);
    m_part(0, 2, 2, sizeof m.notify);
    m_part(1, 4, 3, sizeof m.config);
    m_part(2, 1, 1, sizeof m.common);
    model_link(true);
}
