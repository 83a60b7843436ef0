/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own-nic: owns a network device, Intel's 82574L or 82540EM, and asks the network for the hardware
 * address of a neighbour, some times: a frame each way, and MSI-X, or of the older one INTx, says
 * that the answer is there. Options: from=A to=A, the last bytes of addresses in 10.0.2.0/24 (15
 * and 2). Sections are those of Intel's 82574 datasheet 3.4; what differs is of Intel's manual of
 * the 8254x family of controllers 4.0.
 */
#include "lib/guest.h"

enum {
    NIC_ID = 0x10d38086,
    OLD_ID = 0x100e8086,
    PORTS_BAR = 0x18, /* of the new one: the address of a register, and 4 on its contents */
    LINE_INTA = 16,
    CAP_MSIX = 0x11,
    VEC_RX = 0x51,
    RING = 16,
    ROUNDS = 20,
    FRAME = 60,
    WAIT_US = 250000
};
/* 10.2 */
enum {
    CTRL = 0,
    CTRL_UP = 1 << 6,
    ICR = 0xc0,
    IMS = 0xd0,
    RXQ0 = 1 << 20,
    RXT0 = 1 << 7, /* of the old one: §13.4.17 */
    IMC = 0xd8,
    IVAR = 0xe4,
    IVAR_RXQ0 = 8, /* vector 0 */
    RCTL = 0x100,
    RCTL_ON = 1 << 1 | 1 << 15, /* and broadcasts */
    TCTL = 0x400,
    TCTL_ON = 1 << 1 | 1 << 3, /* and padding */
    RX = 0x2800,
    TX = 0x3800,
    MAC_LOW = 0x5400,
    MAC_HIGH = 0x5404
};
/* of RX and TX */
enum { BASE = 0, BASE_HIGH = 4, LEN = 8, HEAD = 0x10, TAIL = 0x18 };
enum { TX_SEND = 1 | 2 | 8, DONE = 1 }; /* 7.2.10.1: end, checksum, report */
/* 7.1.4, 7.2.10.1: both kinds */
struct descriptor {
    uint64_t at;
    uint16_t len;
    uint8_t other, command, status, error;
    uint16_t special;
};
/* RFC 826 over Ethernet */
struct arp {
    uint8_t to[6], from[6];
    uint16_t kind, hardware, protocol;
    uint8_t hardware_len, protocol_len;
    uint16_t what;
    uint8_t sender[6], sender_ip[4], target[6], target_ip[4];
} __attribute__((packed));
#define BIG(x) ((uint16_t)((x) << 8 | (x) >> 8))

static uint64_t nic;
static volatile struct descriptor *rx, *tx;
static uint8_t *in[RING], *out;
static unsigned next_in, next_out;
static volatile unsigned interrupts, spurious;

static void on_frame(struct frame *f)
{
    (void)f;
    interrupts++;
    mmio_w32(nic + ICR, RXQ0); /* 7.4.5: with MSI-X a read clears nothing */
    apic_eoi();
}

/* A read takes the causes, and lets go of the line (§13.4.17). */
static void on_line(struct frame *f)
{
    (void)f;
    if (mmio_r32(nic + ICR) & RXT0)
        interrupts++;
    else
        spurious++;
    apic_eoi();
}

static void set_ring(uint32_t ring, const volatile void *at)
{
    mmio_w32(nic + ring + BASE, (uint32_t)(uint64_t)at);
    mmio_w32(nic + ring + BASE_HIGH, 0);
    mmio_w32(nic + ring + LEN, RING * sizeof(struct descriptor));
    mmio_w32(nic + ring + HEAD, 0);
    mmio_w32(nic + ring + TAIL, 0);
}

/* Its first message comes to this CPU. */
static void set_msix(pci_t d, unsigned cap)
{
    uint32_t place = pci_read(d, cap + 4, 4);
    uint64_t entry = pci_bar(d, place & 7, NULL) + (place & ~7u);

    mmio_w32(entry, (uint32_t)APIC_PAGE | apic_id() << 12);
    mmio_w32(entry + 4, 0);
    mmio_w32(entry + 8, VEC_RX);
    mmio_w32(entry + 12, 0);
    pci_write(d, cap + 2, 2, 1 << 15);
    mmio_w32(nic + IVAR, IVAR_RXQ0);
    mmio_w32(nic + IMS, RXQ0);
}

/* What is written by ports is there in memory. */
static void check_ports(pci_t d)
{
    uint16_t ports = (uint16_t)(pci_read(d, PORTS_BAR, 4) & ~3u);

    pci_write(d, 4, 2, 7);
    outl(ports, RX + LEN);
    outl(ports + 4, 0x80);
    if (!ports || inl(ports + 4) != 0x80 || mmio_r32(nic + RX + LEN) != 0x80)
        fail("ports", "%x: %x, in memory %x", ports, inl(ports + 4), mmio_r32(nic + RX + LEN));
    else
        pass("ports");
}

/* A line that the guest's PCI bus shares among its slots. */
static bool set_line(pci_t d)
{
    unsigned line = ((unsigned)d >> 3) & 3;

    if (pci_read(d, 0x3d, 1) != 1)
        return false;
    mmio_w32(nic + IMC, UINT32_MAX);
    ioapic_route(LINE_INTA + line, (uint64_t)apic_id() << 56 | 0x8000 | VEC_RX);
    mmio_w32(nic + IMS, RXT0);
    return true;
}

static bool find_nic(void)
{
    pci_t list[32];
    unsigned n = pci_scan(list, 32);

    for (unsigned i = 0; i < n; i++) {
        unsigned cap = pci_cap(list[i], CAP_MSIX, 0);
        uint32_t id = pci_read(list[i], 0, 4);

        if (id != OLD_ID && (id != NIC_ID || !cap))
            continue;
        nic = pci_bar(list[i], 0, NULL);
        pci_write(list[i], 4, 2, 6); /* memory, bus master */
        trap_handle(VEC_RX, id == OLD_ID ? on_line : on_frame);
        if (id == OLD_ID)
            return set_line(list[i]);
        check_ports(list[i]);
        set_msix(list[i], cap);
        return nic;
    }
    return false;
}

static void start(void)
{
    rx = (volatile struct descriptor *)page_alloc(1);
    tx = (volatile struct descriptor *)page_alloc(1);
    out = page_alloc(1);
    for (unsigned i = 0; i < RING; i++) {
        in[i] = page_alloc(1);
        rx[i].at = (uint64_t)in[i];
    }
    set_ring(RX, rx);
    set_ring(TX, tx);
    mmio_w32(nic + CTRL, mmio_r32(nic + CTRL) | CTRL_UP);
    mmio_w32(nic + RCTL, RCTL_ON);
    mmio_w32(nic + TCTL, TCTL_ON);
    mmio_w32(nic + RX + TAIL, RING - 1);
}

static void ask(uint8_t from, uint8_t to)
{
    uint64_t mac = mmio_r32(nic + MAC_LOW) | (uint64_t)mmio_r32(nic + MAC_HIGH) << 32;
    struct arp *a = (struct arp *)out;

    memset(out, 0, FRAME);
    memset(a->to, 0xff, 6);
    memcpy(a->from, &mac, 6);
    a->kind = BIG(0x0806);
    a->hardware = BIG(1);
    a->protocol = BIG(0x0800);
    a->hardware_len = 6;
    a->protocol_len = 4;
    a->what = BIG(1);
    memcpy(a->sender, &mac, 6);
    memcpy(a->sender_ip, (uint8_t[]){ 10, 0, 2, from }, 4);
    memcpy(a->target_ip, (uint8_t[]){ 10, 0, 2, to }, 4);
    tx[next_out] = (struct descriptor){ .at = (uint64_t)out, .len = FRAME, .command = TX_SEND };
    next_out = (next_out + 1) % RING;
    mmio_w32(nic + TX + TAIL, next_out);
}

/* What has come is taken; true: the answer was among it. */
static bool answered(uint8_t to)
{
    bool found = false;

    for (; rx[next_in].status & DONE; next_in = (next_in + 1) % RING) {
        const struct arp *a = (const struct arp *)in[next_in];

        found |= a->kind == BIG(0x0806) && a->what == BIG(2) && a->sender_ip[3] == to;
        rx[next_in].status = 0;
        mmio_w32(nic + RX + TAIL, next_in);
    }
    return found;
}

/* Waits for the answer and for its interrupt. */
static bool wait_answer(uint8_t to, unsigned before)
{
    bool found = false;

    for (struct patience p = patience(WAIT_US);
         (!found || interrupts == before) && patience_left(&p);) {
        cpu_sti();
        cpu_cli();
        found |= answered(to);
    }
    return found;
}

/* Asks again when nothing comes: after a reset the link takes a while. */
static void exchange(uint8_t from, uint8_t to)
{
    unsigned before = interrupts;
    bool found = false;

    for (unsigned i = 0; i < 40 && (!found || interrupts == before); i++) {
        ask(from, to);
        found |= wait_answer(to, before);
    }
    if (!found)
        fail("frames", "10.0.2.%u does not answer", to);
    else if (interrupts == before)
        fail("frames", "no interrupt came");
    else
        pass("frames");
}

void guest_main(void)
{
    uint8_t from = (uint8_t)cmdline_num("from", 15), to = (uint8_t)cmdline_num("to", 2);

    time_init();
    apic_init_cpu();
    pic_mask_all();
    if (!find_nic()) {
        fail("nic", "it is not there");
        return;
    }
    start();
    for (unsigned i = 0; i < ROUNDS; i++)
        exchange(from, to);
    /* one each, at most: the line is down when the interrupt is served */
    if (spurious > interrupts)
        fail("line", "%u spurious interrupts beside %u", spurious, interrupts);
    /* QEMU 7.2 ends when MSI-X goes off before the last interrupt's throttling is over */
    for (struct patience p = patience(8 * WAIT_US); patience_left(&p);)
        cpu_pause();
}
