/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intel's gigabit controllers for tests, written from their manuals and not from the driver: 8254x,
 * 82574, 82576, of which this is what is alike, and their interrupts. It can be told to misbehave.
 */
#pragma once
#include "drivers/net/netdev.h"
#include <string.h>

enum { M_REGS = 0x20000, M_HELD = 256 };
static struct {
    uint8_t regs[M_REGS];
    bool master, has_irq, msix;
    void (*irq_fn)(void *);
    void *irq_arg;
    /* how it misbehaves */
    bool never_resets, gone;
    unsigned keep; /* so many frames are taken and not sent */
    /* what it saw */
    unsigned resets, sent, sent_bytes, irqs, dma_while_no_master;
    uint8_t last[16384];
    uint32_t last_len;
    uint64_t held[M_HELD]; /* first bytes of frames that it has and keeps */
    unsigned nheld;
} m;

static uint32_t m_get(uint32_t reg)
{
    uint32_t v;

    memcpy(&v, m.regs + reg, 4);
    return v;
}

static void m_set(uint32_t reg, uint32_t v) { memcpy(m.regs + reg, &v, 4); }

/* After its reset: 8254x 13.4 */
static void m_defaults(void)
{
    uint32_t low = m_get(0x5400), high = m_get(0x5404), speed = m_get(8);

    memset(m.regs, 0, sizeof m.regs);
    m_set(0x5400, low);
    m_set(0x5404, high);
    m_set(8, speed);
    m.nheld = 0;
}

/* Whether it may still reach the memory there. */
static bool model_may_reach(uint64_t at)
{
    for (unsigned i = 0; m.master && i < m.nheld; i++)
        if (m.held[i] == at)
            return true;
    return false;
}

/* By message 0: what the driver must have set up for that, by kind of controller. */
static bool m_interrupts(uint32_t cause, uint32_t queue_bit)
{
    uint32_t ims = m_get(0xd0);

    if (!m.msix)
        return ims & cause;
    if (m_get(0x1514) & 1 << 4) /* 82576 */
        return m_get(0x1524) & 1 && (m_get(0x1700) & 0x8080) == 0x8080;
    return ims & queue_bit && (m_get(0xe4) & 0x808) == 0x808;
}

static void m_interrupt(uint32_t cause, uint32_t queue_bit)
{
    m_set(0xc0, m_get(0xc0) | cause | queue_bit);
    if (!m.has_irq || !m_interrupts(cause, queue_bit))
        return;
    m.irqs++;
    m.irq_fn(m.irq_arg);
}

static void m_transmit(void)
{
    uint64_t ring = m_get(0x3800) | (uint64_t)m_get(0x3804) << 32;
    uint32_t size = m_get(0x3808) / 16, head = m_get(0x3810), tail = m_get(0x3818), begin = head;
    bool any = false;

    if (!(m_get(0x400) & 2) || !ring || !size || tail >= size || !(m_get(8) & 2))
        return;
    m.dma_while_no_master += !m.master && head != tail;
    while (m.master && head != tail) {
        uint8_t *d = (uint8_t *)(uintptr_t)ring + 16 * (uint64_t)head;
        uint64_t at;
        uint16_t len;

        memcpy(&at, d, 8);
        memcpy(&len, d + 8, 2);
        if (head == begin)
            m.last_len = 0;
        head = (head + 1) % size;
        if (m.keep && d[11] & 1) {
            m.keep--;
            if (m.nheld < M_HELD)
                m.held[m.nheld++] = at;
            begin = head;
            continue;
        }
        if (m.last_len + len <= sizeof m.last)
            memcpy(m.last + m.last_len, (void *)(uintptr_t)at, len);
        m.last_len += len;
        if (!(d[11] & 1)) /* not the end of a packet */
            continue;
        m.sent++;
        m.sent_bytes += m.last_len;
        begin = head;
        any = true;
        if (d[11] & 8)
            d[12] |= 1;
    }
    m_set(0x3810, head);
    if (any)
        m_interrupt(1, 1 << 22);
}

/* A frame from outside. False: it was dropped. `bad`: with errors; `parts`: in so many buffers. */
static bool model_receive(uint32_t len, uint8_t bad, unsigned parts)
{
    uint64_t ring = m_get(0x2800) | (uint64_t)m_get(0x2804) << 32;
    uint32_t size = m_get(0x2808) / 16, head = m_get(0x2810), tail = m_get(0x2818);

    if (!(m_get(0x100) & 2) || !ring || !size || tail >= size || !m.master)
        return false;
    for (unsigned k = 0; k < parts; k++) {
        uint8_t *d = (uint8_t *)(uintptr_t)ring + 16 * (uint64_t)head, *p;
        uint16_t n = (uint16_t)len;
        uint64_t at;

        memcpy(&at, d, 8);
        if (head == tail || !at)
            return false;
        p = (uint8_t *)(uintptr_t)at;
        for (uint32_t i = 0; i < len && i < 16384; i++)
            p[i] = (uint8_t)(i * 3 + len);
        memcpy(d + 8, &n, 2);
        d[13] = bad;
        d[12] = k + 1 == parts ? 3 : 1;
        head = (head + 1) % size;
    }
    m_set(0x2810, head);
    m_interrupt(1 << 7, 1 << 20);
    return true;
}

static void model_run(void)
{
    if (m.gone)
        return;
    if (m_get(0) & 1 << 26 && !m.never_resets) {
        m_defaults();
        m.resets++;
    }
    m_transmit();
}

static void model_link(bool up) { m_set(8, up ? 2 | 2 << 6 : 0); }

/* ---- registers ---- */

uint32_t host_reg_read(const volatile uint8_t *p, unsigned size)
{
    uint32_t reg = (uint32_t)(p - m.regs), v;

    if (m.gone)
        return UINT32_MAX >> (32 - 8 * size);
    v = m_get(reg);
    if (reg == 0xc0 && !m.msix)
        m_set(0xc0, 0);
    return v;
}

void host_reg_write(volatile uint8_t *p, unsigned size, uint32_t val)
{
    uint32_t reg = (uint32_t)(p - m.regs);

    (void)size;
    if (reg == 0xc0)
        val = m_get(reg) & ~val;
    else if (reg == 0xd0)
        val |= m_get(reg);
    else if (reg == 0xd8) {
        m_set(0xd0, m_get(0xd0) & ~val);
        return;
    }
    m_set(reg, val);
}

void *host_pci_map(const struct host_pci_dev *d, unsigned i, uint64_t len)
{
    (void)d;
    return i == 0 && len <= sizeof m.regs ? m.regs : NULL;
}

uint32_t host_pci_cap(const struct host_pci_dev *d, uint8_t id)
{
    (void)d;
    return m.msix && id == HOST_PCI_CAP_MSIX ? 0x50 : 0;
}

/* What the firmware left: receiving, somewhere. */
static void model_new(void)
{
    memset(&m, 0, sizeof m);
    m_set(0x5400, 0x12005452);
    m_set(0x5404, 0x80005634);
    m_set(0x100, 2);
    m_set(0x400, 2);
    m_set(0xd0, UINT32_MAX);
    m_set(0x2800, 0x1000);
    m_set(0x2808, 4096);
    model_link(true);
}
