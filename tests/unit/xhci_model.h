/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A USB host controller with devices for tests, written from xHCI 1.2 and USB 2.0 and not from the
 * driver: commands, control transfers and one interrupt endpoint of each device, done at once. It
 * counts what the driver does against the rules. It can be told to misbehave.
 */
#pragma once
#include "arch/host/host.h"
#include <hv/console.h>
#include <hv/drivers.h>
#include <hv/event.h>
#include <hv/host_pci.h>
#include <hv/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { M_OP = 0x40, M_EXT = 0x800, M_RUN = 0x1000, M_BELLS = 0x2000, M_LEN = 0x3000 };
enum { M_PORTS = 8, M_SLOTS = 32, M_FIRST_3 = 5, M_HUB_PORTS = 4, M_REPORTS = 64 };
enum { M_KEYBOARD, M_MOUSE, M_HUB };

/* A device. `speed` as xHCI numbers it: 1 full, 2 low, 3 high, 4 super. */
struct gadget {
    unsigned kind, speed, packet0;
    bool refuses_idle, deaf; /* deaf: no request ends */
    unsigned babbles;        /* so many reports are errors */
    unsigned config, protocol, idles, requests;
    struct gadget *child[M_HUB_PORTS + 1];
    uint32_t status[M_HUB_PORTS + 1]; /* USB tables 11-21 and 11-22 */
    uint8_t reports[M_REPORTS][8];
    unsigned put, got;
};

struct m_ring {
    uint64_t at;
    uint32_t cycle;
};
static struct {
    uint32_t legacy, smi, command, status, config, dcbaa, dcbaa_high, erst, erst_high, erst_size;
    uint32_t erdp, portsc[M_PORTS + 1], wide, csz, pads;
    struct m_ring commands;
    unsigned event;
    uint32_t event_cycle;
    bool master;
    struct gadget *port[M_PORTS + 1];
    struct {
        bool enabled, halted, in_halted, in_on;
        struct gadget *gadget;
        struct m_ring control, in;
        unsigned in_dci;
        uint32_t slot[4]; /* its context, as it was given */
    } slot[M_SLOTS + 1];
    /* how it misbehaves */
    bool bios_keeps, never_halts, never_resets, gone, mute, ports_busy;
    unsigned wrong_slot, code; /* code: what commands end with; 0: as they do */
    uint32_t lie_at, lie;      /* the register has these bits wrong */
    bool lied;                 /* about where things are: then it does not look there */
    unsigned flip_at, flip;    /* of what devices say, these bits of a byte */
    /* what it saw */
    unsigned broken, resets, enabled, handoffs;
    const char *rule; /* the last one that the driver broke */
} m;
static struct host_pci_dev model_dev = {
    .class = 12, .subclass = 3, .prog_if = 0x30, .devfn = 4 << 3
};
static char typed[512];
static size_t ntyped;

static void m_rule(const char *what)
{
    m.broken++;
    m.rule = what;
}

void host_console_rx(const char *s, size_t n)
{
    for (size_t i = 0; i < n && ntyped < sizeof typed; i++)
        typed[ntyped++] = s[i];
}

/* ---- what it says ---- */

static uint32_t *m_memory(uint64_t at) { return (uint32_t *)(uintptr_t)at; }

static void m_say(uint64_t parameter, uint32_t status, uint32_t control)
{
    uint32_t *segment = m_memory(m.erst | (uint64_t)m.erst_high << 32), *trb;

    if (!(m.command & 1) || !m.master || !m.erst || m.erst_size != 1 || m.lied)
        return;
    trb = m_memory(segment[0] | (uint64_t)segment[1] << 32) + 4 * m.event;
    trb[0] = (uint32_t)parameter;
    trb[1] = (uint32_t)(parameter >> 32);
    trb[2] = status;
    trb[3] = control | m.event_cycle;
    if (++m.event >= segment[2]) {
        m.event = 0;
        m.event_cycle ^= 1;
    }
}

static void m_say_port(unsigned port) { m_say((uint64_t)port << 24, 1u << 24, 34u << 10); }

static void m_say_transfer(unsigned slot, unsigned dci, uint64_t at, uint32_t code, uint32_t left)
{
    m_say(at, code << 24 | left, 32u << 10 | dci << 16 | slot << 24);
}

/* The next TRB of a ring, past its link. False: none is there. */
static bool m_take(struct m_ring *r, uint32_t trb[4], uint64_t *at)
{
    for (unsigned i = 0; r->at && i < 2; i++) {
        memcpy(trb, m_memory(r->at), 16);
        *at = r->at;
        if ((trb[3] & 1) != r->cycle)
            return false;
        if ((trb[3] >> 10 & 63) != 6) {
            r->at += 16;
            return true;
        }
        r->at = trb[0] | (uint64_t)trb[1] << 32;
        r->cycle ^= trb[3] >> 1 & 1;
    }
    return false;
}

/* ---- devices ---- */

static const uint8_t m_keyboard_config[] = {
    9, 2,    59,   0, 2, 1, 0,    0xa0, 50, /* two interfaces */
    9, 4,    0,    0, 1, 3, 0,    0,    0,  /* HID, but no boot keyboard */
    9, 0x21, 0x11, 1, 0, 1, 0x22, 63,   0,  7, 5, 0x83, 3, 8, 0, 10,
    9, 4,    1,    0, 1, 3, 1,    1,    0, /* the keyboard */
    9, 0x21, 0x11, 1, 0, 1, 0x22, 63,   0,  7, 5, 0x81, 3, 8, 0, 10,
};
static_assert(sizeof m_keyboard_config == 59, "wTotalLength");
static const uint8_t m_mouse_config[] = {
    9, 2, 34,   0,    1, 1, 0, 0xa0, 50, 9, 4, 0, 0,    1, 3, 1, 2,
    0, 9, 0x21, 0x11, 1, 0, 1, 0x22, 63, 0, 7, 5, 0x81, 3, 4, 0, 10,
};
static const uint8_t m_hub_config[] = {
    9, 2, 25, 0, 1, 1, 0, 0xe0, 0, 9, 4, 0, 0, 1, 9, 0, 0, 0, 7, 5, 0x81, 3, 1, 0, 12,
};
static const uint8_t m_hub_descriptor[] = { 9, 0x29, M_HUB_PORTS, 0x20, 0, 50, 0, 0, 0xff };

static size_t m_descriptor(const struct gadget *g, unsigned type, uint8_t out[64])
{
    static const uint8_t *const configs[] = { m_keyboard_config, m_mouse_config, m_hub_config };
    static const size_t sizes[] = { sizeof m_keyboard_config, sizeof m_mouse_config,
                                    sizeof m_hub_config };
    uint8_t device[18] = { 18,
                           1,
                           0,
                           2,
                           g->kind == M_HUB ? 9 : 0,
                           0,
                           0,
                           (uint8_t)g->packet0,
                           0x27,
                           6,
                           (uint8_t)g->kind,
                           0,
                           0,
                           0,
                           0,
                           0,
                           0,
                           1 };

    if (type == 1)
        memcpy(out, device, 18);
    else if (type == 2)
        memcpy(out, configs[g->kind], sizes[g->kind]);
    return type == 1 ? 18 : type == 2 ? sizes[g->kind] : 0;
}

static bool m_hub_request(struct gadget *g, const uint8_t *q, uint8_t out[64], size_t *n)
{
    unsigned port = q[4], feature = q[2];

    if (q[0] == 0xa0 && q[1] == 6 && q[3] == 0x29) {
        memcpy(out, m_hub_descriptor, *n = sizeof m_hub_descriptor);
        return true;
    }
    if (!port || port > M_HUB_PORTS)
        return false;
    if (q[0] == 0xa3 && q[1] == 0) {
        memcpy(out, &g->status[port], *n = 4);
        return true;
    }
    if (q[0] != 0x23 || (q[1] != 1 && q[1] != 3))
        return false;
    if (q[1] == 1 && feature >= 16)
        g->status[port] &= ~(1u << feature);
    else if (q[1] == 3 && feature == 8)
        g->status[port] |= 1 << 8 | (g->child[port] ? 0x10001u : 0);
    else if (q[1] == 3 && feature == 4 && g->child[port])
        g->status[port] |= 1u << 20 | 2 |
                           (g->child[port]->speed == 2   ? 1u << 9
                            : g->child[port]->speed == 3 ? 1u << 10
                                                         : 0);
    return true;
}

/* A request. False: it refuses. */
static bool m_request(struct gadget *g, const uint8_t *q, uint8_t out[64], size_t *n)
{
    g->requests++;
    *n = 0;
    if (q[0] == 0x80 && q[1] == 6) {
        *n = m_descriptor(g, q[3], out);
        return *n;
    }
    if (q[0] == 0 && q[1] == 9) {
        g->config = q[2];
        return true;
    }
    if (q[0] == 2 && q[1] == 1)
        return true;
    if (g->kind == M_HUB)
        return m_hub_request(g, q, out, n);
    if (q[0] != 0x21 || (g->kind == M_KEYBOARD && q[4] != 1))
        return false;
    if (q[1] == 11)
        g->protocol = q[2];
    if (q[1] == 10)
        g->idles++;
    return q[1] == 11 || (q[1] == 10 && !g->refuses_idle);
}

/* ---- transfers ---- */

/* Setup, data, status: xHCI section 4.11.2.2 */
static void m_control(unsigned slot)
{
    uint32_t trb[4], data[4] = { 0 };
    uint8_t q[8], out[64] = { 0 };
    uint64_t at, data_at = 0;
    size_t n, room;
    struct gadget *g = m.slot[slot].gadget;
    bool fine;

    if (!g || g->deaf || m.slot[slot].halted || !m_take(&m.slot[slot].control, trb, &at))
        return;
    if ((trb[3] >> 10 & 63) != 2 || !(trb[3] & 1 << 6) || trb[2] != 8)
        m_rule("a control transfer begins with a setup stage");
    memcpy(q, trb, 8);
    room = get_le(q + 6, 2);
    fine = m_request(g, q, out, &n);
    if (room && m_take(&m.slot[slot].control, data, &data_at) && (data[3] >> 10 & 63) != 3)
        m_rule("a data stage follows");
    if (!fine) {
        m.slot[slot].halted = true;
        m_say_transfer(slot, 1, room ? data_at : at, 6, (uint32_t)room);
        return;
    }
    n = n < room ? n : room;
    out[m.flip_at % sizeof out] ^= (uint8_t)m.flip;
    if (n)
        memcpy(m_memory(data[0] | (uint64_t)data[1] << 32), out, n);
    if (n < room && data[3] & 4)
        m_say_transfer(slot, 1, data_at, 13, (uint32_t)(room - n));
    if (!m_take(&m.slot[slot].control, trb, &at) || (trb[3] >> 10 & 63) != 4)
        m_rule("a status stage ends it");
    m_say_transfer(slot, 1, at, 1, 0);
}

static void m_in(unsigned slot)
{
    struct gadget *g = m.slot[slot].gadget;
    uint32_t trb[4];
    uint64_t at;

    while (g && m.slot[slot].in_on && !m.slot[slot].in_halted && g->got != g->put &&
           m_take(&m.slot[slot].in, trb, &at)) {
        if (g->babbles) {
            g->babbles--;
            m.slot[slot].in_halted = true;
            m_say_transfer(slot, m.slot[slot].in_dci, at, 3, trb[2]);
            return;
        }
        memcpy(m_memory(trb[0] | (uint64_t)trb[1] << 32), g->reports[g->got++ % M_REPORTS], 8);
        m_say_transfer(slot, m.slot[slot].in_dci, at, trb[2] > 8 ? 13 : 1, trb[2] - 8);
    }
}

/* ---- commands ---- */

static uint32_t *m_context(uint64_t input, unsigned n)
{
    return m_memory(input + n * (m.csz ? 64 : 32));
}

static struct gadget *m_find(const uint32_t *slot)
{
    unsigned port = slot[1] >> 16 & 0xff;
    struct gadget *g = port <= M_PORTS ? m.port[port] : NULL;

    for (uint32_t route = slot[0] & 0xfffff; route && g; route >>= 4)
        g = (route & 15) <= M_HUB_PORTS ? g->child[route & 15] : NULL;
    return g;
}

static unsigned m_address(unsigned slot, uint64_t input)
{
    uint32_t *c = m_context(input, 1), *e = m_context(input, 2);
    const uint32_t *dcbaa = m_memory(m.dcbaa | (uint64_t)m.dcbaa_high << 32);
    struct gadget *g = m_find(c);
    unsigned packet = e[1] >> 16;

    if (!m.slot[slot].enabled)
        return 11;
    if (m_context(input, 0)[0] || m_context(input, 0)[1] != 3 || (e[1] >> 3 & 7) != 4)
        m_rule("flags and endpoint 0 of Address Device");
    if (!dcbaa[2 * slot] && !dcbaa[2 * slot + 1])
        m_rule("the slot has an output context");
    if (!g || g->deaf)
        return 4;
    if ((c[0] >> 20 & 15) != g->speed || (g->speed > 1 && packet != g->packet0))
        m_rule("speed and packets of the device");
    m.slot[slot].gadget = g;
    memcpy(m.slot[slot].slot, c, 16);
    m.slot[slot].control = (struct m_ring){ (e[2] & ~15u) | (uint64_t)e[3] << 32, e[2] & 1 };
    return 1;
}

static unsigned m_configure(unsigned slot, uint64_t input)
{
    uint32_t flags = m_context(input, 0)[1], *c = m_context(input, 1);
    unsigned dci = c[0] >> 27;
    uint32_t *e = m_context(input, dci + 1);

    if (!m.slot[slot].gadget)
        return 11;
    memcpy(m.slot[slot].slot, c, 16);
    if (flags == 1)
        return 1;
    if (flags != (1 | 1u << dci) || (e[1] >> 3 & 7) != 7 || (e[1] >> 16) != 8 || e[4] != 0x80008)
        m_rule("an interrupt endpoint of 8 bytes");
    m.slot[slot].in_dci = dci;
    m.slot[slot].in_on = true;
    m.slot[slot].in_halted = false;
    m.slot[slot].in = (struct m_ring){ (e[2] & ~15u) | (uint64_t)e[3] << 32, e[2] & 1 };
    return 1;
}

static unsigned m_dequeue(unsigned slot, unsigned dci, uint64_t to)
{
    struct m_ring r = { to & ~15ull, to & 1 };

    if (dci == 1)
        m.slot[slot].control = r;
    else
        m.slot[slot].in = r;
    return 1;
}

static unsigned m_reset_endpoint(unsigned slot, unsigned dci)
{
    bool *halted = dci == 1 ? &m.slot[slot].halted : &m.slot[slot].in_halted;

    if (!*halted)
        return 19;
    *halted = false;
    return 1;
}

static unsigned m_enable(unsigned *slot)
{
    for (*slot = 1; *slot <= M_SLOTS && *slot <= m.config; ++*slot)
        if (!m.slot[*slot].enabled) {
            memset(&m.slot[*slot], 0, sizeof m.slot[0]);
            m.slot[*slot].enabled = true;
            m.enabled++;
            return 1;
        }
    *slot = 0;
    return 9;
}

static unsigned m_command(const uint32_t trb[4], unsigned *slot)
{
    uint64_t parameter = trb[0] | (uint64_t)trb[1] << 32;
    unsigned dci = trb[3] >> 16 & 31;

    if ((trb[3] >> 10 & 63) == 9)
        return m_enable(slot);
    if (!*slot || *slot > M_SLOTS || !m.slot[*slot].enabled)
        return 11;
    switch (trb[3] >> 10 & 63) {
    case 10:
        m.slot[*slot].enabled = false;
        m.slot[*slot].gadget = NULL;
        return 1;
    case 11: return m_address(*slot, parameter);
    case 12: return m_configure(*slot, parameter);
    case 13: return 1;
    case 14: return m_reset_endpoint(*slot, dci);
    case 16: return m_dequeue(*slot, dci, parameter);
    default: m_rule("a command that there is"); return 5;
    }
}

static void m_commands(void)
{
    uint32_t trb[4];
    uint64_t at;

    while (m.command & 1 && m_take(&m.commands, trb, &at)) {
        unsigned slot = trb[3] >> 24, code = m_command(trb, &slot);

        if (m.wrong_slot && (trb[3] >> 10 & 63) == 9)
            slot = m.wrong_slot;
        m_say(at, (m.code ? m.code : code) << 24, 33u << 10 | slot << 24);
    }
}

static void m_bell(unsigned slot, uint32_t target)
{
    if (!(m.command & 1) || m.mute || m.lied)
        return;
    if (!m.master)
        m_rule("bus master before the first doorbell");
    if (slot == 0)
        m_commands();
    else if (slot <= M_SLOTS && m.slot[slot].enabled && target == 1)
        m_control(slot);
    else if (slot <= M_SLOTS && m.slot[slot].enabled && target == m.slot[slot].in_dci)
        m_in(slot);
}

/* ---- ports ---- */

static void m_port_write(unsigned port, uint32_t val)
{
    struct gadget *g = m.port[port];
    uint32_t *p = &m.portsc[port];

    if (val & 2)
        m_rule("a 1 in PED turns the port off");
    *p &= ~(val & 0xfe0000);
    if (m.ports_busy || !g || !(val & (1 << 4 | 1u << 31)))
        return;
    if (val & 1u << 31 && port < M_FIRST_3)
        m_rule("a warm reset is for USB 3");
    *p |= 2 | 1 << 21;
    m_say_port(port);
}

static void model_plug(unsigned port, struct gadget *g)
{
    m.port[port] = g;
    m.portsc[port] = 1 << 9 | 1 << 17 | 1 | g->speed << 10 | (port >= M_FIRST_3 ? 2 : 0);
    m_say_port(port);
}

static void m_lose(const struct gadget *g)
{
    for (unsigned i = 1; i <= M_SLOTS; i++)
        if (m.slot[i].gadget == g)
            m.slot[i].gadget = NULL;
    for (unsigned i = 1; i <= M_HUB_PORTS; i++)
        if (g->child[i])
            m_lose(g->child[i]);
}

static void model_unplug(unsigned port)
{
    if (m.port[port])
        m_lose(m.port[port]);
    m.port[port] = NULL;
    m.portsc[port] = 1 << 9 | 1 << 17;
    m_say_port(port);
}

/* The same on a hub; NULL: taken out. */
static void model_plug_hub(struct gadget *hub, unsigned port, struct gadget *g)
{
    if (hub->child[port])
        m_lose(hub->child[port]);
    hub->child[port] = g;
    hub->status[port] = 1 << 8 | 1 << 16 | (g ? 1 : 0);
}

static void model_report(struct gadget *g, const uint8_t report[8])
{
    memcpy(g->reports[g->put++ % M_REPORTS], report, 8);
    for (unsigned i = 1; i <= M_SLOTS; i++)
        if (m.slot[i].gadget == g && !m.mute)
            m_in(i);
}

/* ---- registers ---- */

static void m_reset(void)
{
    m.resets++;
    m.command = m.config = m.dcbaa = m.erst = m.erst_size = 0;
    m.status = 1;
    m.event = 0;
    m.event_cycle = 1;
    memset(m.slot, 0, sizeof m.slot);
    memset(&m.commands, 0, sizeof m.commands);
    for (unsigned i = 1; i <= M_PORTS; i++)
        if (m.port[i])
            model_plug(i, m.port[i]);
        else
            m.portsc[i] = 1 << 9;
}

static void m_command_write(uint32_t val)
{
    if (val & 2 && !m.never_resets) {
        if (!(m.status & 1))
            m_rule("halted before it is reset");
        m_reset();
        return;
    }
    m.command = val;
    if (val & 1)
        m.status &= ~1u;
    else if (!m.never_halts)
        m.status |= 1;
    if (val & 1)
        for (unsigned i = 1; i <= M_PORTS; i++)
            if (m.portsc[i] & 1 << 17)
                m_say_port(i);
}

static uint32_t m_ext_read(uint32_t reg)
{
    switch (reg) {
    case 0: return 1 | 4 << 8 | m.legacy;
    case 4: return m.smi;
    case 0x10: return 2 | 4 << 8 | 2 << 24; /* USB 2 */
    case 0x18: return 1 | (M_FIRST_3 - 1) << 8;
    case 0x20: return 2 | 3 << 24; /* USB 3 */
    case 0x28: return M_FIRST_3 | (M_PORTS - M_FIRST_3 + 1) << 8;
    default: return 0;
    }
}

static uint32_t m_read(uint32_t reg)
{
    switch (reg) {
    case 0: return M_OP | 0x110u << 16;
    case 4: return M_SLOTS | 1 << 8 | (uint32_t)M_PORTS << 24;
    case 8: return (m.pads & 31) << 27 | (m.pads >> 5) << 21;
    case 0x10: return M_EXT / 4 << 16 | m.csz << 2 | m.wide;
    case 0x14: return M_BELLS;
    case 0x18: return M_RUN;
    case M_OP: return m.command | (m.never_resets ? 2 : 0);
    case M_OP + 4: return m.status;
    case M_OP + 8: return 1;
    default: break;
    }
    if (reg >= M_EXT && reg < M_EXT + 0x40)
        return m_ext_read(reg - M_EXT);
    if (reg >= M_OP + 0x400 && reg < M_OP + 0x400 + 16 * M_PORTS)
        return reg % 16 ? 0 : m.portsc[(reg - M_OP - 0x400) / 16 + 1];
    return 0;
}

uint32_t host_reg_read(const volatile uint8_t *p, unsigned size);
void host_reg_write(volatile uint8_t *p, unsigned size, uint32_t val);
static uint8_t m_regs[M_LEN];

uint32_t host_reg_read(const volatile uint8_t *p, unsigned size)
{
    uint32_t reg = (uint32_t)(p - m_regs);

    if (size != 4)
        m_rule("registers of 4 bytes");
    return m.gone ? UINT32_MAX : m_read(reg) ^ (reg == m.lie_at ? m.lie : 0);
}

static void m_write_op(uint32_t reg, uint32_t val)
{
    switch (reg) {
    case 0: m_command_write(val); break;
    case 0x18: m.commands = (struct m_ring){ val & ~63u, val & 1 }; break;
    case 0x1c: m.commands.at |= (uint64_t)val << 32; break;
    case 0x30: m.dcbaa = val; break;
    case 0x34: m.dcbaa_high = val; break;
    case 0x38: m.config = val; break;
    default:
        if (reg >= 0x400 && reg < 0x400 + 16 * M_PORTS && reg % 16 == 0)
            m_port_write((reg - 0x400) / 16 + 1, val);
    }
}

void host_reg_write(volatile uint8_t *p, unsigned size, uint32_t val)
{
    uint32_t reg = (uint32_t)(p - m_regs);

    (void)size;
    if (m.gone)
        return;
    switch (reg) {
    case M_EXT:
        m.handoffs += !(m.legacy & 1 << 24) && val & 1 << 24;
        m.legacy = (m.bios_keeps ? val | (m.legacy & 1 << 16) : val & ~(1u << 16)) & 0x1010000;
        return;
    case M_EXT + 4: m.smi = val; return;
    case M_RUN + 0x28: m.erst_size = val; return;
    case M_RUN + 0x30: m.erst = val; return;
    case M_RUN + 0x34: m.erst_high = val; return;
    case M_RUN + 0x38: m.erdp = val; return;
    default: break;
    }
    if (reg >= M_BELLS)
        m_bell((reg - M_BELLS) / 4, val);
    else if (reg >= M_OP && reg < M_EXT)
        m_write_op(reg - M_OP, val);
}

/* ---- PCI, screen ---- */

const struct host_pci_dev *host_pci_devs(uint32_t *count)
{
    *count = 1;
    return &model_dev;
}

int host_pci_bar(const struct host_pci_dev *d, unsigned i, struct host_pci_bar *out)
{
    (void)d;
    *out = (struct host_pci_bar){ .base = 0xf0000000, .len = M_LEN };
    return i ? -ENOENT : 0;
}

void *host_pci_map(const struct host_pci_dev *d, unsigned i, uint64_t len)
{
    (void)d;
    return i == 0 && len <= M_LEN ? m_regs : NULL;
}

void host_pci_command(const struct host_pci_dev *d, uint16_t set, uint16_t clear)
{
    (void)d;
    m.master = (m.master || set & HOST_PCI_MASTER) && !(clear & HOST_PCI_MASTER);
}

static bool model_screen = true;
bool drivers_have_screen(void) { return model_screen; }

/* As the firmware leaves it: running, and its own. */
static void model_new(void)
{
    memset(&m, 0, sizeof m);
    m.legacy = 1 << 16;
    m.smi = 0xe001;
    m.command = 1;
    m.wide = m.csz = 1;
    m.pads = 3;
    ntyped = 0;
}

/* So many ms pass. */
static void model_run(unsigned ms)
{
    for (unsigned i = 0; i < ms; i++) {
        host_now += 1000000;
        event_run();
    }
}
