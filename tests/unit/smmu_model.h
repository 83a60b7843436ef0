/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An SMMUv3 for tests, written from Arm IHI 0070 and not from the driver: it takes commands when
 * its index is written, walks stream tables, context descriptors and translation tables, keeps what
 * it read until it is told to forget it, and records what it refuses. It can be told to misbehave.
 * Time passes by its registers alone: 1 us for each that is read.
 */
#pragma once
#include <hv/host_pci.h>
#include <hv/types.h>
#include <stdlib.h>
#include <string.h>

#include "arch/host/host.h"

enum { MODEL_KEPT = 64, MODEL_REGS = 0x20000 };
static struct {
    uint8_t regs[MODEL_REGS];
    /* what it has read and not forgotten: stream table entries, and translations */
    struct {
        bool there;
        uint32_t stream;
        uint64_t ste[4], cd[4];
        uint64_t told[4]; /* what was in memory when it was told last to look */
    } config[MODEL_KEPT];
    struct {
        bool there;
        uint32_t id;
        uint64_t page, to;
        bool writable;
    } tlb[MODEL_KEPT];
    /* how it misbehaves */
    bool never_takes, takes_too_much, refuses, never_on, no_gbpa, fails;
    unsigned told; /* it tells of so many records that are not there */
    uint32_t busy; /* one behind a stream whose device tries all the time, at busy_at; 0: none */
    uint64_t busy_at;
    uint32_t (*lie)(uint32_t); /* what it says in place of a register's value */
    /* what it saw */
    unsigned commands, syncs, bad_commands;
} m;

static uint32_t model_get(unsigned off)
{
    uint32_t v;

    memcpy(&v, m.regs + off, 4);
    return v;
}
static void model_put(unsigned off, uint32_t v) { memcpy(m.regs + off, &v, 4); }
static uint64_t model_get64(unsigned off)
{
    return model_get(off) | (uint64_t)model_get(off + 4) << 32;
}

/* A word of memory, which is the program's: physical addresses are pointers. */
static uint64_t model_word(uint64_t at, unsigned i)
{
    return __atomic_load_n((uint64_t *)(uintptr_t)at + i, __ATOMIC_ACQUIRE);
}

static bool model_access(uint32_t stream, uint64_t addr, bool write, uint64_t *to);

/* ---- commands ---- */

static void model_forget(uint32_t id, bool one_page, uint64_t page)
{
    for (unsigned i = 0; i < MODEL_KEPT; i++)
        if (m.tlb[i].id == id && (!one_page || m.tlb[i].page == page))
            m.tlb[i].there = false;
}

/* Where the stream table entry lies. False: there is none. */
static bool model_ste(uint32_t stream, uint64_t *at)
{
    uint32_t cfg = model_get(0x88), bits = cfg & 63, split = cfg >> 6 & 31;
    uint64_t base = model_get64(0x80) & 0xfffffffffffc0ull;

    if (bits < 32 && stream >> bits)
        return false;
    if ((cfg >> 16 & 3) == 1) {
        uint64_t l1 = model_word(base, stream >> split), span = l1 & 31;

        if (!span || (stream & ((1u << split) - 1)) >= 1u << (span - 1))
            return false;
        *at = (l1 & 0xfffffffffffc0ull) + 64ull * (stream & ((1u << split) - 1));
    } else {
        *at = base + 64ull * stream;
    }
    return true;
}

/* §3.21.3.1: a valid entry becomes another valid one by way of an invalid one, which is told. */
static void model_look(uint32_t stream)
{
    unsigned n = stream % MODEL_KEPT;
    uint64_t at, now[4];

    m.config[n].there = m.config[n].there && m.config[n].stream != stream;
    if (!model_ste(stream, &at))
        return;
    for (unsigned i = 0; i < 4; i++)
        now[i] = model_word(at, i);
    if (m.config[n].stream == stream && (m.config[n].told[0] & now[0] & 1) &&
        memcmp(now, m.config[n].told, sizeof now) != 0)
        abort();
    m.config[n].stream = stream;
    memcpy(m.config[n].told, now, sizeof now);
}

static void model_command(uint64_t a, uint64_t b)
{
    uint32_t high = (uint32_t)(a >> 32);

    m.commands++;
    switch (a & 0xff) {
    case 0x03: model_look(high); break;
    case 0x04:
        for (unsigned i = 0; i < MODEL_KEPT; i++)
            m.config[i].there = false;
        break;
    case 0x11: model_forget(high >> 16, false, 0); break;
    case 0x12: model_forget(high >> 16, true, b & ~0xfffull); break;
    case 0x28: model_forget(high & 0xffff, false, 0); break;
    case 0x2a: model_forget(high & 0xffff, true, b & ~0xfffull); break;
    case 0x30: memset(m.tlb, 0, sizeof m.tlb); break;
    case 0x46: m.syncs++; break;
    default: m.bad_commands++; break;
    }
}

static void model_commands(void)
{
    uint32_t cons = model_get(0x9c), prod = model_get(0x98);
    uint64_t base = model_get64(0x90), bits = base & 31;

    if (m.never_takes || !(model_get(0x20) & 8))
        return;
    if (m.takes_too_much)
        prod += 3;
    if (m.refuses) {
        model_put(0x60, model_get(0x60) ^ 1);
        return;
    }
    while (cons != prod) {
        uint64_t at = (base & 0xfffffffffffe0ull) + 16 * (cons & ((1u << bits) - 1));

        if (!m.takes_too_much)
            model_command(model_word(at, 0), model_word(at, 1));
        cons = (cons + 1) & ((2u << bits) - 1);
        if (m.takes_too_much && cons == (prod & ((2u << bits) - 1)))
            break;
    }
    model_put(0x9c, cons);
    if (m.busy) {
        uint64_t to;

        (void)model_access(m.busy - 1, m.busy_at, false, &to);
    }
}

/* ---- registers ---- */

static unsigned model_off(const volatile uint8_t *p) { return (unsigned)(p - m.regs); }

uint32_t host_reg_read(const volatile uint8_t *p, unsigned size)
{
    if (size != 4 || model_off(p) >= MODEL_REGS)
        abort();
    host_now += 1000;
    if (m.lie)
        return m.lie(model_get(model_off(p)));
    if (model_off(p) == 0x100a8)
        return model_get(0x100a8) + m.told;
    return model_get(model_off(p));
}

void host_reg_write(volatile uint8_t *p, unsigned size, uint32_t val)
{
    unsigned off = model_off(p);

    if (size != 4 || off < 0x20) /* the ID registers are read-only */
        abort();
    /* bases change while nothing uses them (§6.3.24, 6.3.26) */
    if (((off >= 0x90 && off < 0x98) && (model_get(0x20) & 8)) ||
        ((off >= 0x80 && off < 0x8c) && (model_get(0x20) & 1)))
        abort();
    if (off == 0x44) {
        if (!m.no_gbpa)
            model_put(off, val & ~(1u << 31));
        return;
    }
    model_put(off, val);
    if (off == 0x20 && !m.never_on)
        model_put(0x24, val);
    if (off == 0x50)
        model_put(0x54, val);
    if (off == 0x98)
        model_commands();
}

/* ---- translation ---- */

static void model_record(unsigned type, uint32_t stream, uint64_t addr, bool write)
{
    uint64_t base = model_get64(0xa0), bits = base & 31;
    uint32_t prod = model_get(0x100a8), cons = model_get(0x100ac), round = 1u << bits;
    uint64_t e[4] = { type | (uint64_t)stream << 32, write ? 0 : 1ull << 35, addr, 0 };

    if (!(model_get(0x20) & 4))
        return;
    if (((prod - cons) & (2 * round - 1)) == round) {
        if (!((prod ^ cons) >> 31))
            model_put(0x100a8, prod ^ 1u << 31);
        return;
    }
    memcpy((void *)(uintptr_t)((base & 0xfffffffffffe0ull) + 32 * (prod & (round - 1))), e,
           sizeof e);
    model_put(0x100a8, (prod & 1u << 31) | ((prod + 1) & (2 * round - 1)));
}

static bool model_refuse(unsigned type, uint32_t stream, uint64_t addr, bool write)
{
    model_record(type, stream, addr, write);
    return false;
}

/* Stage 1 or 2 with 4 KiB pages: the page's descriptor, 0: none. */
static uint64_t model_walk(uint64_t root, unsigned levels, unsigned bits, uint64_t addr,
                           unsigned *shift)
{
    uint64_t table = root & 0xfffffffff000ull;

    for (unsigned level = levels; level-- > 0;) {
        uint64_t n = addr >> (12 + 9 * level), d;

        if (level != levels - 1)
            n &= 511;
        d = model_word(table, (unsigned)(bits >= 64 ? 0 : n));
        *shift = 12 + 9 * level;
        if (!(d & 1) || (level == 0 && !(d & 2)))
            return 0;
        if (level == 0 || !(d & 2))
            return d;
        table = d & 0xfffffffff000ull;
    }
    return 0;
}

/* What an entry says of an address: 0, or the event. */
static unsigned model_by_tables(const uint64_t ste[4], const uint64_t cd[4], uint64_t addr,
                                bool write, uint64_t *to, uint32_t *id, bool *writable)
{
    bool one = (ste[0] >> 1 & 7) == 5;
    uint64_t control = one ? cd[0] : ste[2] >> 32;
    unsigned bits = 64 - (unsigned)(control & 63), shift,
             levels = one ? (bits > 39 ? 4 : 3) : 2 + (unsigned)(ste[2] >> 38 & 3);
    uint64_t d;

    *id = (uint32_t)(one ? cd[0] >> 48 : ste[2] & 0xffff);
    if (bits < 64 && addr >> bits)
        return 0x10;
    d = model_walk(one ? cd[1] : ste[3], levels, bits, addr, &shift);
    if (!d)
        return 0x10;
    *writable = one ? !(d & 0x80) : d & 0x80;
    if (!(d & 1 << 10) || (one && (!(d & 0x800) || (d >> 2 & 7) > 2)))
        return 0x12;
    if ((write && !*writable) || !(d & 0x40))
        return 0x13;
    *to = (d & 0xfffffffff000ull & ~((1ull << shift) - 1)) | (addr & ((1ull << shift) - 1));
    return 0;
}

/* Whether the entries are as the manual wants them. */
static unsigned model_check(const uint64_t ste[4], const uint64_t cd[4])
{
    unsigned config = ste[0] >> 1 & 7;

    if (!(ste[0] & 1) || (config != 0 && config != 5 && config != 6))
        return 0x04;
    if (config == 5 && (model_get(0) & 2) == 0)
        return 0x04;
    if (config == 6 && ((model_get(0) & 1) == 0 || !(ste[2] >> 51 & 1)))
        return 0x04;
    if (config == 5 && (!(cd[0] >> 31 & 1) || !(cd[0] >> 41 & 1) || !(cd[0] >> 46 & 1) ||
                        !(cd[0] >> 30 & 1) || (cd[0] & 63) < 16))
        return 0x0a;
    return 0;
}

/* An access of a device. True: it is let through, to *to. */
static bool model_access(uint32_t stream, uint64_t addr, bool write, uint64_t *to)
{
    unsigned n = stream % MODEL_KEPT, t, why;
    uint64_t at;
    uint32_t id;
    bool writable;

    if (!(model_get(0x20) & 1))
        return !(model_get(0x44) >> 20 & 1);
    if (!m.config[n].there || m.config[n].stream != stream) {
        m.config[n].there = false;
        if (!model_ste(stream, &at))
            return model_refuse(0x02, stream, addr, write);
        for (unsigned i = 0; i < 4; i++)
            m.config[n].ste[i] = model_word(at, i);
        for (unsigned i = 0; i < 4 && (m.config[n].ste[0] & 15) == (5 << 1 | 1); i++)
            m.config[n].cd[i] = model_word(m.config[n].ste[0] & 0xfffffffffffc0ull, i);
        m.config[n].stream = stream;
        m.config[n].there = true;
    }
    why = model_check(m.config[n].ste, m.config[n].cd);
    if (why)
        return model_refuse(why, stream, addr, write);
    if (!(m.config[n].ste[0] >> 1 & 7))
        return false; /* Config 0: no record */
    t = (unsigned)(addr >> 12) % MODEL_KEPT;
    id = (uint32_t)((m.config[n].ste[0] >> 1 & 7) == 5 ? m.config[n].cd[0] >> 48
                                                       : m.config[n].ste[2] & 0xffff);
    if (m.tlb[t].there && m.tlb[t].id == id && m.tlb[t].page == addr >> 12 << 12 &&
        (!write || m.tlb[t].writable)) {
        *to = m.tlb[t].to | (addr & 0xfff);
        return true;
    }
    why = model_by_tables(m.config[n].ste, m.config[n].cd, addr, write, to, &id, &writable);
    if (why)
        return model_refuse(why, stream, addr, write);
    m.tlb[t].there = true;
    m.tlb[t].id = id;
    m.tlb[t].page = addr >> 12 << 12;
    m.tlb[t].to = *to >> 12 << 12;
    m.tlb[t].writable = writable;
    return true;
}
