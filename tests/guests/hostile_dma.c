/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile-dma: owns QEMU's device edu, and has it copy from and to whatever address it is told over
 * the serial port: "c HEX HEX", answered by a line; "r HEX": it reads there over and over. It knows
 * addresses that are not its own; what keeps it from them is the IOMMU. Options: victim (no device:
 * its memory holds a pattern, and it tells on any byte whether it still does), unmapped (addresses
 * are the machine's: it does not try its own memory first).
 */
#include "lib/guest.h"

enum { EDU_ID = 0x11e81234, EDU_SRC = 0x80, EDU_DST = 0x88, EDU_COUNT = 0x90, EDU_CMD = 0x98 };
enum { DMA_START = 1, DMA_FROM_DEVICE = 2, DMA_IRQ = 4, EDU_IRQ_STATUS = 0x24, EDU_IRQ_ACK = 0x64 };
/* Between reads of its register: each takes QEMU's lock, which the device's own timer needs. */
enum { DMA_POLL_US = 1000 };
enum { EDU_BUFFER = 0x40000, CHUNK = 64, INSISTS = 80, PATTERN_PAGES = 16, VEC_DMA = 0x50 };
static uint64_t edu;
static uint8_t *own;
static volatile unsigned interrupts;

static void on_dma(struct frame *f)
{
    (void)f;
    interrupts++;
    mmio_w32(edu + EDU_IRQ_ACK, mmio_r32(edu + EDU_IRQ_STATUS));
    apic_eoi();
}

static bool find_edu(void)
{
    pci_t list[32];
    unsigned n = pci_scan(list, 32);

    for (unsigned i = 0; i < n; i++) {
        unsigned msi;

        if (pci_read(list[i], 0, 4) != EDU_ID)
            continue;
        edu = pci_bar(list[i], 0, NULL);
        msi = pci_cap(list[i], 5, 0);
        if (!edu || !msi)
            return false;
        pci_write(list[i], msi + 4, 4, (uint32_t)APIC_PAGE | apic_id() << 12);
        pci_write(list[i], msi + 8, 4, 0);
        pci_write(list[i], msi + 12, 2, VEC_DMA);
        pci_write(list[i], msi + 2, 2, 1);
        pci_write(list[i], 4, 2, 6); /* memory, bus master */
        return true;
    }
    return false;
}

/* Waits for the device, however long it takes: a host that is busy has it wait, too. */
static void dma(uint64_t from, uint64_t to, unsigned len, unsigned how)
{
    mmio_w64(edu + EDU_SRC, from);
    mmio_w64(edu + EDU_DST, to);
    mmio_w64(edu + EDU_COUNT, len);
    mmio_w64(edu + EDU_CMD, DMA_START | how);
    while (mmio_r64(edu + EDU_CMD) & DMA_START)
        delay_us(DMA_POLL_US);
}

/* Whatever the device may read and write of that. */
static void attack(uint64_t from, uint64_t to)
{
    memset(own, 0x5a, CHUNK);
    dma(from, EDU_BUFFER, CHUNK, 0);
    dma(EDU_BUFFER, to, CHUNK, DMA_FROM_DEVICE);
    print("copied %lx to %lx, own ", from, to);
    for (unsigned i = 0; i < 8; i++)
        print("%x ", own[i]);
    print("\n");
}

/* A device that faults so often is cut off. */
static void insist(uint64_t from)
{
    for (unsigned i = 0; i < INSISTS; i++)
        dma(from, EDU_BUFFER, CHUNK, 0);
    print("insisted\n");
}

static int next_byte(void)
{
    int c;

    while ((c = serial_getc()) < 0)
        cpu_pause();
    return c;
}

static uint64_t read_hex(void)
{
    uint64_t v = 0;

    for (int c = next_byte(); c != ' ' && c != '\r' && c != '\n'; c = next_byte())
        v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    return v;
}

/* Own memory works, and so does the interrupt: else nothing below would say anything. */
static void try_own(void)
{
    uint8_t *other = page_alloc(1);

    for (unsigned i = 0; i < CHUNK; i++)
        own[i] = (uint8_t)(i * 3 + 1);
    dma((uint64_t)own, EDU_BUFFER, CHUNK, 0);
    dma(EDU_BUFFER, (uint64_t)other, CHUNK, DMA_FROM_DEVICE | DMA_IRQ);
    for (struct patience p = patience(1000000); !interrupts && patience_left(&p);)
        cpu_sti_hlt_cli();
    if (memcmp(own, other, CHUNK) != 0)
        fail("own", "the device did not reach the guest's own memory");
    else if (!interrupts)
        fail("own", "no interrupt came");
    else
        pass("own");
}

static void victim(void)
{
    static const char mark[16] = "victim's pattern";
    /* at the end of RAM: not at an address of the attacker's own in the machine's memory */
    uint8_t *p = (uint8_t *)(boot.ram_end - PATTERN_PAGES * 4096);
    unsigned bad = 0;

    for (unsigned i = 0; i < PATTERN_PAGES * 4096; i++)
        p[i] = (uint8_t)mark[i % 16];
    print("ready\n");
    (void)next_byte();
    for (unsigned i = 0; i < PATTERN_PAGES * 4096; i++)
        bad += p[i] != (uint8_t)mark[i % 16];
    if (bad)
        fail("kept", "%u bytes changed", bad);
    else
        pass("kept");
}

void guest_main(void)
{
    time_init();
    apic_init_cpu();
    pic_mask_all();
    if (cmdline_has("victim")) {
        victim();
        return;
    }
    own = page_alloc(1);
    trap_handle(VEC_DMA, on_dma);
    if (!find_edu()) {
        fail("edu", "it is not there");
        return;
    }
    if (!cmdline_has("unmapped"))
        try_own();
    print("ready %lx\n", (uint64_t)own);
    for (int c = next_byte(); c != 'q'; c = next_byte()) {
        if (c != 'c' && c != 'r')
            continue;
        (void)next_byte();
        uint64_t from = read_hex();

        if (c == 'c')
            attack(from, read_hex());
        else
            insist(from);
    }
}
