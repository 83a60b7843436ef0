/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * e1000.c: Intel's gigabit controllers: 82540EM ("e1000"), 82574L ("e1000e"), 82576 ("igb"). All
 * of them take legacy descriptors, so that one driver of rings does for all; what differs is their
 * interrupts and a few registers. "8254x" is the PCI/PCI-X Family of Gigabit Ethernet Controllers
 * Software Developer's Manual, "82574" and "82576" are their datasheets.
 */
#include <arch/barrier.h>

#include <hv/log.h>
#include <hv/time.h>
#include <stdlib.h>
#include <string.h>

#include "netdev.h"

/* 8254x chapter 13; 82574 section 10; 82576 section 8 */
enum {
    CTRL = 0,
    STATUS = 8,
    ICR = 0xc0,
    ITR = 0xc4,
    IMS = 0xd0,
    IMC = 0xd8,
    EIAC_82574 = 0xdc,
    IVAR_82574 = 0xe4,
    EITR_82574 = 0xe8,
    RCTL = 0x100,
    TCTL = 0x400,
    TIPG = 0x410,
    EITR_82576 = 0x1680,
    GPIE = 0x1514,
    EIMS = 0x1524,
    EIMC = 0x1528,
    EIAC_82576 = 0x152c,
    EIAM = 0x1530,
    IVAR_82576 = 0x1700,
    IVAR_MISC = 0x1740,
    RDBAL = 0x2800,
    RDLEN = 0x2808,
    SRRCTL = 0x280c,
    RDH = 0x2810,
    RDT = 0x2818,
    RXDCTL = 0x2828,
    TDBAL = 0x3800,
    TDLEN = 0x3808,
    TDH = 0x3810,
    TDT = 0x3818,
    TXDCTL = 0x3828,
    RAL = 0x5400,
    RAH = 0x5404,
    REGS = 0x6000
};
enum { CTRL_ASDE = 1 << 5, CTRL_SLU = 1 << 6, CTRL_RST = 1 << 26 };
enum { STATUS_LU = 2, STATUS_SPEED_SHIFT = 6, STATUS_SPEED = 3 };
enum { INT_TXDW = 1, INT_LSC = 4, INT_RXDMT = 1 << 4, INT_RXO = 1 << 6, INT_RXT = 1 << 7 };
/* 82574 section 10.2.4.1: causes of MSI-X */
enum { INT_RXQ0 = 1 << 20, INT_TXQ0 = 1 << 22, INT_OTHER = 1 << 24 };
enum {
    RCTL_EN = 2,
    RCTL_UPE = 8,
    RCTL_MPE = 1 << 4,
    RCTL_LPE = 1 << 5,
    RCTL_BAM = 1 << 15,
    RCTL_16K = 1 << 16 | 1 << 25, /* BSIZE 01 with BSEX; BSIZE 00 is 2 KiB */
    RCTL_SECRC = 1 << 26
};
enum { TCTL_EN = 2, TCTL_PSP = 8, TCTL_CT = 15 << 4, TCTL_COLD = 64 << 12 };
#define TIPG_COPPER (10u | 8u << 10 | 6u << 20)
enum { QUEUE_ENABLE = 1 << 25, TXDCTL_COUNT_DESC = 1 << 22 }; /* 82576 8.10.8; 82574 10.2.6.11 */
enum { GPIE_NSICR = 1, GPIE_MULTIPLE = 1 << 4 };
#define GPIE_PBA (1u << 31)
#define RAH_VALID (1u << 31)
enum { ITR_256NS = 200, ITR_US = 50 };            /* at most one interrupt in about 50 us */
enum { RX_DD = 1, RX_EOP = 2, RX_ERRORS = 0x97 }; /* 8254x 3.2.3: CE SE SEQ CXE RXE */
enum { TX_EOP = 1, TX_IFCS = 2, TX_RS = 8, TX_DD = 1 };
enum { RING = 256, ORDINARY = 1522 };
#define RESET_PAUSE_NS 10000000ull /* the EEPROM is read: 82574 4.6.1 */

struct rx_desc { /* 8254x 3.2.3 */
    uint64_t addr;
    uint16_t length, checksum;
    uint8_t status, errors;
    uint16_t special;
};
struct tx_desc { /* 8254x 3.3.3 */
    uint64_t addr;
    uint16_t length;
    uint8_t cso, cmd, status, css;
    uint16_t special;
};
static_assert(sizeof(struct rx_desc) == 16 && offsetof(struct rx_desc, status) == 12,
              "8254x 3.2.3");
static_assert(sizeof(struct tx_desc) == 16 && offsetof(struct tx_desc, status) == 12,
              "8254x 3.3.3");
static_assert(RING * sizeof(struct rx_desc) == PAGE_SIZE, "a ring is one page");
static_assert(NETDEV_TX * NIC_SEGS < (int)RING && NETDEV_RX < (int)RING, "a ring is never full");

enum kind { K82540, K82574, K82576 };
struct e1000 {
    struct netdev dev;
    enum kind kind;
    bool msix;
    volatile uint8_t *regs;
    uint64_t reset_ns; /* when it was reset */
    volatile struct rx_desc *rx;
    volatile struct tx_desc *tx;
    /* places in the rings, free-running */
    uint32_t rx_put, rx_got, tx_put;
    uint8_t rx_slot[RING]; /* whose buffer it is */
    bool rx_tail;          /* the next descriptors belong to a frame that was dropped */
    /* frames in their order: the slot of each, and its last descriptor */
    struct {
        uint8_t slot;
        uint16_t last;
    } sent[NETDEV_TX];
    uint32_t sent_put, sent_got;
};

static struct e1000 *e1000_of(struct netdev *n) { return container_of(n, struct e1000, dev); }

static uint32_t e1000_rd(const struct e1000 *e, uint32_t reg)
{
    return host_reg_read(e->regs + reg, 4);
}

static void e1000_wr(const struct e1000 *e, uint32_t reg, uint32_t v)
{
    host_reg_write(e->regs + reg, 4, v);
}

/* ---- sending ---- */

static void e1000_tx(struct netdev *n, unsigned slot, const struct nic_frame *f)
{
    struct e1000 *e = e1000_of(n);
    uint32_t at = 0;

    for (unsigned i = 0; i < f->nseg; i++) {
        volatile struct tx_desc *d = &e->tx[at = e->tx_put++ % RING];

        d->addr = f->seg[i].at.v;
        d->length = (uint16_t)f->seg[i].len;
        d->cso = d->css = d->status = 0;
        d->special = 0;
        d->cmd = i + 1u == f->nseg ? TX_EOP | TX_IFCS | TX_RS : TX_IFCS;
    }
    e->sent[e->sent_put % NETDEV_TX].slot = (uint8_t)slot;
    e->sent[e->sent_put % NETDEV_TX].last = (uint16_t)at;
    e->sent_put++;
    dma_wmb();
    e1000_wr(e, TDT, e->tx_put % RING);
}

static bool e1000_tx_done(struct netdev *n, uint32_t *slot)
{
    struct e1000 *e = e1000_of(n);
    uint32_t at = e->sent_got % NETDEV_TX;

    if (e->sent_got == e->sent_put || !(e->tx[e->sent[at].last].status & TX_DD))
        return false;
    *slot = e->sent[at].slot;
    e->sent_got++;
    return true;
}

/* ---- receiving ---- */

static void e1000_rx(struct netdev *n, unsigned slot)
{
    struct e1000 *e = e1000_of(n);
    uint32_t at = e->rx_put++ % RING;

    e->rx[at].addr = netdev_rx_at(n, slot);
    e->rx[at].status = 0;
    e->rx_slot[at] = (uint8_t)slot;
}

static void e1000_rx_kick(struct netdev *n)
{
    struct e1000 *e = e1000_of(n);

    dma_wmb();
    e1000_wr(e, RDT, e->rx_put % RING);
}

/* A frame is in one buffer. What goes on in a second one is longer than any may be: it is bad. */
static bool e1000_rx_done(struct netdev *n, struct netdev_rx *r)
{
    struct e1000 *e = e1000_of(n);
    uint32_t at = e->rx_got % RING;
    uint8_t status;

    if (e->rx_got == e->rx_put)
        return false;
    status = e->rx[at].status;
    if (!(status & RX_DD))
        return false;
    dma_rmb();
    *r = (struct netdev_rx){ .slot = e->rx_slot[at],
                             .len = e->rx[at].length,
                             .bad =
                                 e->rx_tail || !(status & RX_EOP) || e->rx[at].errors & RX_ERRORS };
    e->rx_tail = !(status & RX_EOP);
    e->rx_got++;
    return true;
}

/* ---- interrupts ---- */

static void interrupts_on(const struct e1000 *e)
{
    if (e->kind == K82576 && e->msix)
        e1000_wr(e, EIMS, 1);
    e1000_wr(e, IMS,
             e->kind == K82576 && e->msix   ? INT_LSC
             : e->kind == K82574 && e->msix ? INT_LSC | INT_RXQ0 | INT_TXQ0 | INT_OTHER
                                            : INT_LSC | INT_TXDW | INT_RXDMT | INT_RXO | INT_RXT);
}

/* All by message 0. 82574 section 10.2.4.9: four bits each, of which the highest says "valid". */
static void interrupts_set(const struct e1000 *e)
{
    if (e->kind == K82574 && e->msix) {
        e1000_wr(e, IVAR_82574, 8 | 8 << 8 | 8 << 16);
        e1000_wr(e, EIAC_82574, INT_RXQ0 | INT_TXQ0 | INT_OTHER);
        e1000_wr(e, EITR_82574, ITR_256NS);
    } else if (e->kind == K82576 && e->msix) { /* 82576 section 7.3.1: of queue 0, and others */
        e1000_wr(e, GPIE, GPIE_NSICR | GPIE_MULTIPLE | GPIE_PBA);
        e1000_wr(e, IVAR_82576, 0x80 | 0x80 << 8);
        e1000_wr(e, IVAR_MISC, 0x80 << 8);
        e1000_wr(e, EIAC_82576, 1);
        e1000_wr(e, EIAM, 0);
        e1000_wr(e, EITR_82576, ITR_US << 2);
    } else {
        e1000_wr(e, ITR, ITR_256NS);
    }
    interrupts_on(e);
}

static void e1000_ack(struct netdev *n)
{
    const struct e1000 *e = e1000_of(n);

    if (!n->nic.irq)
        return;
    e1000_wr(e, ICR, e1000_rd(e, ICR)); /* reading does not clear all with MSI-X: 82574 10.2.4.1 */
    interrupts_on(e);
}

/* ---- starting ---- */

static void e1000_reset(struct netdev *n)
{
    struct e1000 *e = e1000_of(n);

    e1000_wr(e, IMC, UINT32_MAX);
    e1000_wr(e, RCTL, 0);
    e1000_wr(e, TCTL, TCTL_PSP);
    e1000_wr(e, CTRL, e1000_rd(e, CTRL) | CTRL_RST);
    e->reset_ns = time_ns();
}

static bool e1000_is_reset(struct netdev *n)
{
    const struct e1000 *e = e1000_of(n);

    if (time_ns() - e->reset_ns < RESET_PAUSE_NS || e1000_rd(e, CTRL) & CTRL_RST)
        return false;
    e1000_wr(e, IMC, UINT32_MAX);
    return true;
}

static void set_ring(const struct e1000 *e, uint32_t base, uint32_t len, const volatile void *ring)
{
    uint64_t at = dma_at(e->dev.dma, ring);

    e1000_wr(e, base, (uint32_t)at);
    e1000_wr(e, base + 4, (uint32_t)(at >> 32));
    e1000_wr(e, len, PAGE_SIZE);
}

static void start_rings(struct e1000 *e)
{
    uint32_t buffer = e->dev.rx_len / 1024;

    memset((void *)(uintptr_t)e->rx, 0, PAGE_SIZE);
    memset((void *)(uintptr_t)e->tx, 0, PAGE_SIZE);
    e->rx_put = e->rx_got = e->tx_put = e->sent_put = e->sent_got = 0;
    e->rx_tail = false;
    set_ring(e, RDBAL, RDLEN, e->rx);
    set_ring(e, TDBAL, TDLEN, e->tx);
    if (e->kind == K82576) { /* descriptors of kind 0: 82576 section 8.10.2 */
        e1000_wr(e, SRRCTL, buffer);
        e1000_wr(e, RXDCTL, e1000_rd(e, RXDCTL) | QUEUE_ENABLE);
        e1000_wr(e, TXDCTL, e1000_rd(e, TXDCTL) | QUEUE_ENABLE);
    } else if (e->kind == K82574) {
        e1000_wr(e, TXDCTL, e1000_rd(e, TXDCTL) | TXDCTL_COUNT_DESC);
    }
    e1000_wr(e, RDH, 0);
    e1000_wr(e, RDT, 0);
    e1000_wr(e, TDH, 0);
    e1000_wr(e, TDT, 0);
}

static int e1000_start(struct netdev *n)
{
    struct e1000 *e = e1000_of(n);
    uint32_t rctl = RCTL_EN | RCTL_MPE | RCTL_BAM | RCTL_SECRC;

    e1000_wr(e, CTRL, (e1000_rd(e, CTRL) & ~(uint32_t)CTRL_RST) | CTRL_SLU | CTRL_ASDE);
    start_rings(e);
    e1000_wr(e, TIPG, TIPG_COPPER);
    e1000_wr(e, TCTL, TCTL_EN | TCTL_PSP | TCTL_CT | TCTL_COLD);
    if (n->mode.all)
        rctl |= RCTL_UPE;
    if (n->mode.mtu + NET_HEAD + 2 * NET_TAG > ORDINARY)
        rctl |= RCTL_LPE;
    if (n->rx_len > 2048)
        rctl |= RCTL_16K;
    e1000_wr(e, RCTL, rctl);
    if (n->nic.irq)
        interrupts_set(e);
    return 0;
}

static enum netdev_health e1000_health(struct netdev *n)
{
    return e1000_rd(e1000_of(n), STATUS) == UINT32_MAX ? NETDEV_GONE : NETDEV_FINE;
}

static void e1000_link(struct netdev *n)
{
    static const uint32_t speeds[] = { 10, 100, 1000, 1000 }; /* 8254x 13.4.2 */
    uint32_t status = e1000_rd(e1000_of(n), STATUS);

    n->nic.up = status != UINT32_MAX && status & STATUS_LU;
    n->nic.speed = n->nic.up ? speeds[status >> STATUS_SPEED_SHIFT & STATUS_SPEED] : 0;
}

#define HW(called)                                                                              \
    {                                                                                           \
        .name = called, .reset = e1000_reset, .is_reset = e1000_is_reset, .start = e1000_start, \
        .health = e1000_health, .ack = e1000_ack, .link = e1000_link, .tx = e1000_tx,           \
        .tx_done = e1000_tx_done, .rx = e1000_rx, .rx_kick = e1000_rx_kick,                     \
        .rx_done = e1000_rx_done                                                                \
    }
static const struct {
    uint16_t device;
    struct netdev_hw hw;
} models[] = {
    [K82540] = { 0x100e, HW("e1000") },
    [K82574] = { 0x10d3, HW("e1000e") },
    [K82576] = { 0x10c9, HW("igb") },
};

/* ---- finding it ---- */

static net_mac e1000_address(const struct e1000 *e)
{
    uint32_t low = e1000_rd(e, RAL), high = e1000_rd(e, RAH);
    uint8_t mac[6] = { (uint8_t)low,         (uint8_t)(low >> 8), (uint8_t)(low >> 16),
                       (uint8_t)(low >> 24), (uint8_t)high,       (uint8_t)(high >> 8) };
    net_mac m = net_mac_from(mac);

    return high & RAH_VALID && net_mac_is_station(m) ? m : net_mac_of_guest(e->dev.nic.at, 0);
}

static int e1000_set_up(struct e1000 *e)
{
    struct netdev *n = &e->dev;
    int err = dma_open(&n->dma, n->pci, n->hw->name, NETDEV_TX, NETDEV_BYTES, NETDEV_PIECES);

    if (err)
        return err;
    e->regs = host_pci_map(n->pci, 0, REGS);
    e->rx = dma_alloc(n->dma, 0);
    e->tx = dma_alloc(n->dma, 0);
    if (!e->regs || !e->rx || !e->tx)
        return e->regs ? -ENOMEM : -EINVAL;
    err = netdev_begin(n);
    if (err)
        return err;
    e->msix = host_pci_cap(n->pci, HOST_PCI_CAP_MSIX) != 0;
    n->nic.irq = host_pci_irq(n->pci, 0, 0, netdev_interrupt, n) == 0;
    if (!n->nic.irq)
        host_pci_command(n->pci, HOST_PCI_NO_INTX, 0);
    n->nic.mac = e1000_address(e);
    n->nic.mtu_max = NET_MTU_MAX;
    n->ntx = NETDEV_TX;
    n->nrx = NETDEV_RX;
    netdev_add(n);
    return 0;
}

static void e1000_unmake(struct e1000 *e)
{
    dma_free(e->dev.dma, e->rx, 0);
    dma_free(e->dev.dma, e->tx, 0);
    dma_close(e->dev.dma);
    free(e);
}

static int e1000_probe(const struct host_pci_dev *pci)
{
    unsigned kind = 0;
    struct e1000 *e;
    int err;

    while (kind < ARRAY_SIZE(models) &&
           (pci->vendor != 0x8086 || pci->device != models[kind].device))
        kind++;
    if (kind == ARRAY_SIZE(models))
        return -ENODEV;
    e = calloc(1, sizeof *e); /* charge: as above */
    if (!e)
        return -ENOMEM;
    e->kind = (enum kind)kind;
    e->dev.hw = &models[kind].hw;
    e->dev.pci = pci;
    err = e1000_set_up(e);
    if (err)
        e1000_unmake(e);
    return err;
}

const struct pci_driver e1000_driver = { "e1000", 0x020000, e1000_probe, netdev_shutdown };
PCI_DRIVER(e1000_driver);
