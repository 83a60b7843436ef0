/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VT-d unit for tests, written from the specification and not from the driver: registers, the
 * invalidation queue, the walk from a requester ID to memory, and a cache that remembers what it
 * was not told to forget. It can be told to misbehave. Legacy mode. Included once.
 */
#pragma once
#include "arch/host/host.h"
#include <arch/mmu.h>
#include <hv/host_pci.h>
#include <hv/types.h>
#include <stdlib.h>
#include <string.h>

enum { M_CACHE = 64, M_RECORDS = 2, M_FRO = 0x200 };
static struct {
    uint8_t regs[0x1000];
    uint64_t root; /* latched by SRTP */
    struct {
        bool valid;
        uint16_t rid, did;
        uint64_t page, to;
        unsigned prot;
    } cache[M_CACHE]; /* translations, holes (prot 0) in caching mode */
    struct {
        bool valid;
        uint16_t rid;
        uint64_t lo, hi;
    } contexts[M_CACHE];
    struct {
        bool valid;
        unsigned index;
        uint64_t lo, hi;
    } irtes[M_CACHE];
    uint64_t irta; /* latched by SIRTP */
    unsigned next;
    bool caching_mode;
    uint64_t no_snoop_bits; /* bits of an entry that were not 0 and must be */
    /* how it misbehaves */
    bool never_done, queue_error, stuck;
    /* what it saw */
    unsigned gaps; /* times that translation went off */
    unsigned invalidations, write_flushes;
} m;

static uint32_t m_get(uint32_t reg)
{
    uint32_t v;

    memcpy(&v, m.regs + reg, 4);
    return v;
}
static void m_set(uint32_t reg, uint32_t v) { memcpy(m.regs + reg, &v, 4); }
static uint64_t m_get64(uint32_t reg) { return m_get(reg) | (uint64_t)m_get(reg + 4) << 32; }
static void m_set64(uint32_t reg, uint64_t v)
{
    m_set(reg, (uint32_t)v);
    m_set(reg + 4, (uint32_t)(v >> 32));
}

/* ---- invalidation: 6.5.2 ---- */

static void m_drop(unsigned kind, uint16_t did, uint64_t at, unsigned order)
{
    uint64_t size = PAGE_SIZE << order;

    for (unsigned i = 0; i < M_CACHE; i++)
        if (kind == 1 || (m.cache[i].did == did &&
                          (kind == 2 || (m.cache[i].page & ~(size - 1)) == (at & ~(size - 1)))))
            m.cache[i].valid = false;
}

static void m_descriptor(const uint64_t *d)
{
    unsigned kind = d[0] >> 4 & 3;
    uint16_t did = (uint16_t)(d[0] >> 16), rid = (uint16_t)(d[0] >> 32);

    switch (d[0] & 15) {
    case 1:
        m.invalidations++;
        for (unsigned i = 0; i < M_CACHE; i++)
            if (kind == 1 ||
                (kind == 3 && m.contexts[i].rid == rid && (uint16_t)(m.contexts[i].hi >> 8) == did))
                m.contexts[i].valid = false;
        break;
    case 2:
        m.invalidations++;
        m_drop(kind, did, d[1] & ~0xfffull, d[1] & 63);
        break;
    case 4:
        m.invalidations++;
        for (unsigned i = 0; i < M_CACHE; i++)
            if (!(d[0] >> 4 & 1) || m.irtes[i].index == rid)
                m.irtes[i].valid = false;
        break;
    case 5:
        if (d[0] & 1 << 5)
            *(volatile uint32_t *)d[1] = (uint32_t)(d[0] >> 32);
        break;
    default: abort();
    }
}

static void m_run_queue(void)
{
    const uint64_t *queue = (const uint64_t *)(m_get64(0x90) & ~0xfffull);
    uint32_t head = m_get(0x80), tail = m_get(0x88);

    if (m.queue_error)
        m_set(0x34, m_get(0x34) | 1 << 4);
    if (!(m_get(0x1c) & 1 << 26) || m.never_done || m.queue_error)
        return;
    for (; head != tail; head = (head + 16) & 0xff0)
        m_descriptor(&queue[head / 8]);
    m_set(0x80, head);
}

/* ---- registers ---- */

static void m_command(uint32_t v)
{
    uint32_t was = m_get(0x1c), one_shot = 1u << 30 | 1u << 29 | 1u << 27 | 1u << 24;
    uint32_t sts = (v & ~one_shot) | (was & (1u << 30 | 1u << 24));

    if (m.stuck)
        return;
    m.gaps += was >> 31 && !(v >> 31);
    if (v & 1u << 30) {
        m.root = m_get64(0x20);
        sts |= 1u << 30;
    }
    if (v & 1u << 24) {
        m.irta = m_get64(0xb8);
        sts |= 1u << 24;
    }
    m.write_flushes += v >> 27 & 1;
    m_set(0x1c, sts);
}

uint32_t host_reg_read(const volatile uint8_t *p, unsigned size)
{
    uint32_t reg = (uint32_t)(p - m.regs), v = 0;

    if (reg + size > sizeof m.regs || reg & (size - 1))
        abort();
    host_now += m.stuck || m.never_done || m.queue_error ? 20000000 : 1000;
    memcpy(&v, m.regs + reg, size);
    return v;
}

void host_reg_write(volatile uint8_t *p, unsigned size, uint32_t v)
{
    uint32_t reg = (uint32_t)(p - m.regs);

    if (reg + size > sizeof m.regs || size != 4 || reg & 3)
        abort();
    if (reg == 0x18) {
        m_command(v);
    } else if (reg == 0x88) {
        m_set(reg, v);
        m_run_queue();
    } else if (reg == 0x34) {
        m_set(reg, m_get(reg) & ~(v & 0x79));
    } else if (reg >= M_FRO && reg < M_FRO + M_RECORDS * 16) {
        if ((reg & 15) == 12 && v >> 31)
            m_set(reg, m_get(reg) & 0x7fffffff);
    } else if (reg > 0x1c && reg < 0x100) {
        m_set(reg, v);
    }
}

/* ---- what a device does ---- */

static void m_record(uint16_t rid, uint64_t at, bool write, unsigned code)
{
    for (unsigned i = 0; i < M_RECORDS; i++) {
        uint32_t reg = M_FRO + i * 16;

        if (m_get(reg + 12) >> 31)
            continue;
        m_set64(reg, at & ~0xfffull);
        m_set(reg + 8, rid);
        m_set(reg + 12, 1u << 31 | (write ? 0 : 1u << 30) | code);
        return;
    }
    m_set(0x34, m_get(0x34) | 1);
}

static bool m_context(uint16_t rid, uint64_t *lo, uint64_t *hi)
{
    const uint64_t *root = (const uint64_t *)(m.root & ~0xfffull) + 2 * (rid >> 8), *e;
    unsigned i;

    for (i = 0; i < M_CACHE; i++)
        if (m.contexts[i].valid && m.contexts[i].rid == rid) {
            *lo = m.contexts[i].lo;
            *hi = m.contexts[i].hi;
            return true;
        }
    if (!(root[0] & 1))
        return false;
    e = (const uint64_t *)(root[0] & ~0xfffull) + 2 * (rid & 0xff);
    *lo = e[0];
    *hi = e[1];
    if (!(*lo & 1) && !m.caching_mode)
        return true;
    i = m.next++ % M_CACHE;
    m.contexts[i].valid = true;
    m.contexts[i].rid = rid;
    m.contexts[i].lo = *lo;
    m.contexts[i].hi = *lo & 1 ? *hi : 0;
    return true;
}

/* Second-level walk, 3.7 and 9.8; rights are those of all entries together. */
static unsigned m_walk(uint64_t table, unsigned levels, uint64_t at, uint64_t *to)
{
    unsigned prot = 3;

    if (at >> (12 + 9 * levels))
        return 0;
    for (unsigned level = levels; level--;) {
        uint64_t e = ((const uint64_t *)table)[at >> (12 + 9 * level) & 511];
        uint64_t mask = (PAGE_SIZE << 9 * level) - 1;

        prot &= e & 3;
        if (!prot)
            return 0;
        if (level == 0 || e & 1 << 7) {
            *to = (e & 0x000ffffffffff000ull & ~mask) | (at & mask & ~0xfffull);
            return prot;
        }
        table = e & 0x000ffffffffff000ull;
    }
    return 0;
}

/* Where the device's access ends, or 0: it was refused, and that is on record. */
static uint64_t m_dma(uint16_t rid, uint64_t at, bool write)
{
    uint64_t lo = 0, hi = 0, to = 0;
    unsigned prot = 0, i;

    if (!(m_get(0x1c) >> 31))
        return at;
    if (!m_context(rid, &lo, &hi)) {
        m_record(rid, at, write, 1);
        return 0;
    }
    if (!(lo & 1) || (lo >> 2 & 3)) {
        if (!(lo & 2))
            m_record(rid, at, write, 2);
        return 0;
    }
    for (i = 0; i < M_CACHE; i++)
        if (m.cache[i].valid && m.cache[i].rid == rid && m.cache[i].page == at >> 12 << 12 &&
            m.cache[i].did == (uint16_t)(hi >> 8))
            break;
    if (i < M_CACHE) {
        prot = m.cache[i].prot;
        to = m.cache[i].to;
    } else {
        prot = m_walk(lo & ~0xfffull, (hi & 7) + 2, at, &to);
        if (prot || m.caching_mode) {
            i = m.next++ % M_CACHE;
            m.cache[i].valid = true;
            m.cache[i].rid = rid;
            m.cache[i].did = (uint16_t)(hi >> 8);
            m.cache[i].page = at >> 12 << 12;
            m.cache[i].to = to;
            m.cache[i].prot = prot;
        }
    }
    if (prot >> write & 1)
        return to | (at & 0xfff);
    m_record(rid, at, write, write ? 5 : 6);
    return 0;
}

/* ---- interrupts: 5.1 ---- */

/* Where a message of the device's arrives: APIC ID << 8 | vector, or 0: it is refused, on record.
 */
__attribute__((unused)) static uint64_t m_message(uint16_t rid, uint64_t address, uint32_t data)
{
    unsigned index = (unsigned)(address >> 5 & 0x7fff) | (unsigned)(address >> 2 & 1) << 15, i;
    unsigned entries = 2u << (m.irta & 15);
    const uint64_t *e;

    if (!(m_get(0x1c) >> 25 & 1))
        return (address >> 12 & 0xff) << 8 | (data & 0xff);
    if (!(address >> 4 & 1) || index >= entries) {
        m_record(rid, 0, true, address >> 4 & 1 ? 0x21 : 0x25);
        return 0;
    }
    for (i = 0; i < M_CACHE; i++)
        if (m.irtes[i].valid && m.irtes[i].index == index)
            break;
    if (i == M_CACHE) {
        e = (const uint64_t *)(m.irta & ~0xfffull) + 2 * index;
        i = m.next++ % M_CACHE;
        m.irtes[i].valid = true;
        m.irtes[i].index = index;
        m.irtes[i].lo = e[0];
        m.irtes[i].hi = e[1];
    }
    if (!(m.irtes[i].lo & 1) || (m.irtes[i].hi >> 18 & 3) != 1 || (m.irtes[i].hi >> 16 & 3) ||
        (uint16_t)m.irtes[i].hi != rid) {
        m_record(rid, 0, true, m.irtes[i].lo & 1 ? 0x26 : 0x22);
        return 0;
    }
    return (m.irta >> 11 & 1 ? m.irtes[i].lo >> 32 : m.irtes[i].lo >> 40 & 0xff) << 8 |
           (m.irtes[i].lo >> 16 & 0xff);
}

/* CAP: 3-level tables and 48 bits, 2 MiB and 1 GiB pages, page-selective, two records, 256 ids. */
static void m_power_on(uint64_t cap_extra, uint64_t ecap)
{
    memset(&m, 0, sizeof m);
    m_set64(0x08, 2 | 6ull << 8 | 47ull << 16 | (uint64_t)(M_FRO / 16) << 24 | 3ull << 34 |
                      1ull << 39 | (M_RECORDS - 1ull) << 40 | 9ull << 48 | cap_extra);
    m_set64(0x10, ecap);
    m.caching_mode = cap_extra >> 7 & 1;
    m_set(0x38, 1u << 31);
}
