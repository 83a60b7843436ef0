/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile-firmware: is its machine's firmware, and writes garbage to the flash and to fw_cfg: by
 * registers, and by DMA from and to any address. Both work afterwards, and nothing but a flash's
 * commands has changed what is in it. For both machines.
 */
#include "rom.h"

#define WINDOW (1u << 20) /* what DMA may hit of our memory, twice as much as one transfer */
enum { FLASH_ROUNDS = 3000, CFG_ROUNDS = 3000, DMA_ROUNDS = 300 };
enum { DMA_READ = 2, DMA_SELECT = 8 };

/* All in big-endian. */
struct transfer {
    uint32_t control, length;
    uint64_t address;
};

static uint32_t noise = 12345;
static uint8_t *window;

static uint32_t random(void)
{
    noise = noise * 1664525 + 1013904223;
    return noise >> 8;
}

static uint64_t sum_of(uint64_t at, uint64_t len)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < len; i += 8)
        sum = sum * 31 + mmio_r64(at + i);
    return sum;
}

/* Whatever it waits for: words that are beyond the buffer's window, or end the sequence. */
static void to_array(void)
{
    for (unsigned i = 0; i < 4; i++) {
        mmio_w32(rom.vars, 0xff * rom.chips);
        mmio_w32(rom.vars + rom.vars_len / 2, 0xff * rom.chips);
    }
}

static void check_flash(const char *name)
{
    uint32_t erased, word;

    to_array();
    mmio_w32(rom.vars, 0x20 * rom.chips);
    mmio_w32(rom.vars, 0xd0 * rom.chips);
    mmio_w32(rom.vars, 0xff * rom.chips);
    erased = mmio_r32(rom.vars + 8);
    mmio_w32(rom.vars + 8, 0x40 * rom.chips);
    mmio_w32(rom.vars + 8, 0x12345678);
    mmio_w32(rom.vars + 8, 0xff * rom.chips);
    word = mmio_r32(rom.vars + 8);
    if (erased == 0xffffffff && word == 0x12345678)
        pass(name);
    else
        fail(name, "erased %x, programmed %x", erased, word);
}

static void flash(void)
{
    static const uint8_t commands[] = { 0x10, 0x20, 0x40, 0x50, 0x60, 0x70,
                                        0x90, 0x98, 0xd0, 0xe8, 0xff, 0x01 };
    uint64_t code = sum_of(rom.code, rom.code_len);

    for (unsigned i = 0; i < FLASH_ROUNDS; i++) {
        unsigned size = 1u << random() % 4;
        uint64_t off = random() % rom.vars_len & ~(uint64_t)(size - 1), v = random();

        v |= (uint64_t)random() << 32;
        if (random() % 4)
            v = commands[random() % sizeof commands] * (uint64_t)rom.chips;
        mmio_write(rom.vars + off, size, v);
        mmio_write(rom.code + off % rom.code_len, size, v);
        (void)mmio_read(rom.vars + (random() % rom.vars_len & ~(uint64_t)(size - 1)), size);
    }
    check_flash("hostile-firmware flash");
    if (sum_of(rom.code, rom.code_len) != code)
        fail("hostile-firmware code", "its flash has changed");
}

static void check_cfg(const char *name)
{
    static const char want[4] = { 'Q', 'E', 'M', 'U' };
    struct transfer *t = (struct transfer *)window;
    volatile char *got = (volatile char *)window + 64;
    bool same = true;

    cfg_select(0);
    for (unsigned i = 0; i < 4; i++)
        same = same && cfg_byte() == (uint8_t)want[i];
    memset(window, 0, 128);
    *t = (struct transfer){ __builtin_bswap32(DMA_SELECT | DMA_READ), __builtin_bswap32(4),
                            __builtin_bswap64((uint64_t)got) };
    cfg_dma((uint64_t)t);
    for (unsigned i = 0; i < 4; i++)
        same = same && got[i] == want[i];
    if (same)
        pass(name);
    else
        fail(name, "it gives no signature");
}

static void registers(void)
{
    for (unsigned i = 0; i < CFG_ROUNDS; i++)
        cfg_garbage(random(), (uint64_t)random() << 40 ^ random());
    check_cfg("hostile-firmware registers");
}

static uint64_t any_address(void)
{
    const uint64_t list[] = { (uint64_t)window,
                              (uint64_t)window + 1,
                              (uint64_t)window + WINDOW - 8,
                              boot.ram_end - 4096,
                              boot.ram_end - 1,
                              boot.ram_end,
                              rom.vars,
                              rom.vars + rom.vars_len - 1,
                              rom.code,
                              rom.code + rom.code_len - 1,
                              rom.device,
                              1ull << 40,
                              1ull << 63,
                              UINT64_MAX,
                              UINT64_MAX - 14 };

    return list[random() % (sizeof list / sizeof list[0])];
}

static uint32_t any_length(void)
{
    static const uint32_t list[] = { 0,      1,          15,         4096,      65537,
                                     WINDOW, WINDOW + 1, 0x7fffffff, 0xffffffff };

    return list[random() % (sizeof list / sizeof list[0])];
}

static void dma(void)
{
    uint64_t code = sum_of(rom.code, rom.code_len), vars = sum_of(rom.vars, rom.vars_len);

    for (unsigned i = 0; i < DMA_ROUNDS; i++) {
        struct transfer t = { __builtin_bswap32(random() % 48 << 16 | random() % 32),
                              __builtin_bswap32(any_length()), __builtin_bswap64(any_address()) };
        uint64_t at = (uint64_t)window + random() % 4096;

        memcpy((void *)at, &t, sizeof t);
        cfg_dma(random() % 4 ? at : any_address());
    }
    check_cfg("hostile-firmware DMA");
    if (sum_of(rom.code, rom.code_len) != code || sum_of(rom.vars, rom.vars_len) != vars)
        fail("hostile-firmware DMA", "it has written to flash");
}

static uint64_t ram_size(void)
{
    uint64_t size = 0;

    cfg_select(3);
    for (unsigned i = 0; i < 8; i++)
        size |= (uint64_t)cfg_byte() << (8 * i);
    return size;
}

void guest_main(void)
{
    if (!boot.ram_end)
        boot.ram_end = ram_size();
    window = page_alloc(2 * WINDOW / 4096);
    flash();
    registers();
    dma();
    check_flash("hostile-firmware flash after DMA");
}
