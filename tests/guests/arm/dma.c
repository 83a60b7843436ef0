/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dma: owns QEMU's device edu (docs/specs/edu), which interrupts it by INTx, and copies for it:
 * within the guest's own memory, and then from and to an address that is none of the guest's.
 * Option: at=N.
 */
#include "lib/guest.h"

enum { EDU_STATUS = 0x24, EDU_RAISE = 0x60, EDU_TAKE = 0x64, LINES = 8 };
enum { EDU_ID = 0x11e81234, EDU_SRC = 0x80, EDU_DST = 0x88, EDU_COUNT = 0x90, EDU_CMD = 0x98 };
/* Between reads of its register: each takes QEMU's lock, which the device's own timer needs. */
enum { DMA_POLL_US = 1000 };
enum { DMA_START = 1, DMA_FROM_DEVICE = 2, EDU_BUFFER = 0x40000, CHUNK = 64 };
static uint64_t edu;
static pci_t edu_at;
static volatile unsigned interrupts, spurious;

static bool find_edu(void)
{
    pci_t list[32];
    unsigned n = pci_scan(list, 32);

    for (unsigned i = 0; i < n; i++)
        if (pci_read(list[i], 0, 4) == EDU_ID) {
            edu_at = list[i];
            edu = pci_bar(list[i], 0, NULL);
            pci_write(list[i], 4, 2, 6); /* memory, bus master */
            return edu != 0;
        }
    return false;
}

/* Waits for the device, however long it takes: a host that is busy has it wait, too. */
static void dma(uint64_t from, uint64_t to, unsigned len, unsigned how)
{
    mmio_w32(edu + EDU_SRC, (uint32_t)from);
    mmio_w32(edu + EDU_DST, (uint32_t)to);
    mmio_w32(edu + EDU_COUNT, len);
    mmio_w32(edu + EDU_CMD, DMA_START | (uint32_t)how);
    while (mmio_r32(edu + EDU_CMD) & DMA_START)
        delay_us(DMA_POLL_US);
}

static void copy(const void *from, void *to, unsigned len)
{
    dma((uint64_t)from, EDU_BUFFER, len, 0);
    dma(EDU_BUFFER, (uint64_t)to, len, DMA_FROM_DEVICE);
}

static void on_line(void)
{
    uint32_t status = mmio_r32(edu + EDU_STATUS);

    if (status)
        interrupts++;
    else
        spurious++;
    mmio_w32(edu + EDU_TAKE, status);
}

/* Each is served once: the line is down when the guest has ended the interrupt. */
static void line(void)
{
    unsigned i = 0;

    irq_init();
    (void)irq_intx(edu_at, pci_read(edu_at, 0x3d, 1), on_line);
    irqs_on();
    for (; i < LINES && interrupts == i; i++) {
        mmio_w32(edu + EDU_RAISE, 1);
        for (unsigned wait = 0; interrupts == i && wait < 5000; wait++)
            delay_us(DMA_POLL_US);
    }
    irqs_off();
    if (interrupts != LINES || spurious > LINES)
        fail("line", "%u interrupts and %u spurious ones for %u", interrupts, spurious, i);
    else
        pass("line");
}

void guest_main(void)
{
    uint8_t *own = page_alloc(1), *other = page_alloc(1);
    uint64_t at = cmdline_num("at", 0);

    time_init();
    if (!find_edu()) {
        fail("edu", "it is not there");
        return;
    }
    line();
    for (unsigned i = 0; i < CHUNK; i++)
        own[i] = (uint8_t)(i * 3 + 1);
    copy(own, other, CHUNK);
    if (memcmp(own, other, CHUNK) != 0)
        fail("own", "the device did not reach the guest's own memory");
    else
        pass("own");
    /* a second of their own each: the log has a few lines of a device in a second */
    delay_us(1200000);
    copy((const void *)at, own, 8);
    print("read %lx\n", *(uint64_t *)(void *)own);
    delay_us(1200000);
    copy(other, (void *)at, 8);
    pass("tried");
}
