/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fake machine of vio_fake.h as <hv/state.h> sees it: a bus, a console, an rng and a RAM disk
 * under way, saved, and a new one for them. Included once, by a test or a fuzzer.
 */
#pragma once
#include <hv/guest.h>
#include <hv/state.h>
#include <hv/vcpu.h>

#include "vio_driver.h"

#define IMAGE_MAX 8192
enum { HDR = 0x30000, DATA = 0x40000, ST = 0x31000, RINGS = 0x10000, DISK_SIZE = 32 };
static struct drv disk, con;
static struct drvq diskq, inq, outq;
static uint8_t kept_ram[2][HALF];
static uint8_t kept_page[64][4096];
static uint64_t kept_number[64];
static unsigned nkept;

static state_table vio_objects = { &vio_dev_ops, &vio_disk_ops, &vpci_bus_ops, &vpci_dev_ops,
                                   NULL };
static const struct guest_ops vio_guest = { .isa = ISA_X86_64, .state = vio_objects };
static const struct vcpu_ops no_engine = { .name = "none" };

static void new_machine(void)
{
    fake_up();
    vm.ops = &no_engine;
    vm.guest_ops = &vio_guest;
}

static void ask(uint32_t type, uint64_t sector, uint32_t len)
{
    const struct buf b[3] = { { HDR, 16, false }, { DATA, len, type == 0 }, { ST, 1, true } };
    uint8_t none = 0xee;

    p32(HDR, type);
    p32(HDR + 4, 0);
    p64(HDR + 8, sector);
    poke(ST, &none, 1);
    drvq_add(&diskq, b, 3, 0);
}

/* A disk that was written to, with one more request that nobody has looked at; typed input. */
static void get_busy(uint64_t ring)
{
    const struct buf in = { DATA + 0x20000, 4, true }, out = { DATA + 0x20000, 1, false };

    drv_find(&disk, SLOT_BLK);
    if (!drv_features(&disk, F(32) | F(9) | F(13) | ring))
        abort();
    drv_queue(&disk, &diskq, 0, DISK_SIZE, RINGS);
    drv_ok(&disk);
    ask(1, 0, 4096);
    drvq_kick(&diskq);
    (void)drvq_used(&diskq, 3);
    (void)mem_rd(disk.isr, 1);
    drv_find(&con, SLOT_CONSOLE);
    if (!drv_features(&con, F(32)))
        abort();
    drv_queue(&con, &inq, 0, 16, RINGS + 0x4000);
    drv_queue(&con, &outq, 1, 16, RINGS + 0x6000);
    drv_ok(&con);
    drvq_add(&outq, &out, 1, 0); /* from now on, what is typed comes here */
    drvq_kick(&outq);
    con_in = "typed text";
    drvq_add(&inq, &in, 1, 0);
    drvq_kick(&inq);
    con_in = "";
    ask(0, 0, 4096);
    mem_wr(disk.notify, 2, 0); /* its event waits */
    vm.paused_ns = time_ns();
    if (state_quiesce(&vm))
        abort();
}

/* The image; RAM and the disks' pages beside it. */
static size_t take(void *image)
{
    size_t len = state_size(&vm);
    uint64_t page = 0;
    const void *at;

    if (len > IMAGE_MAX || state_save(&vm, image, len))
        abort();
    memcpy(kept_ram[0], half[0], HALF);
    memcpy(kept_ram[1], half[1], HALF);
    for (nkept = 0; (at = vio_disk_pages.next(&vm, 0, &page)); nkept++, page++) {
        memcpy(kept_page[nkept], at, 4096);
        kept_number[nkept] = page;
    }
    return len;
}

/* A new machine with that memory. */
static void put_memory(void)
{
    new_machine();
    memcpy(half[0], kept_ram[0], HALF);
    memcpy(half[1], kept_ram[1], HALF);
    for (unsigned i = 0; i < nkept; i++)
        if (vio_disk_pages.put(&vm, 0, kept_number[i], kept_page[i]))
            abort();
}
