/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hostile guest at configuration space, CF8/CFC, moved BARs, MSI-X tables and virtio's register
 * windows.
 */
#include "tests/unit/vio_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 8 bytes an operation: what, size and direction, 2 bytes where, 4 bytes value. */
static void one(const uint8_t *op)
{
    unsigned size = 1u << (op[1] & 3), slot = op[0] >> 4, where = op[2] | (unsigned)op[3] << 8;
    bool write = op[1] & 4;
    uint32_t val;
    uint64_t wide;

    memcpy(&val, op + 4, 4);
    wide = val * 0x100000001ull;
    switch (op[0] & 7) {
    case 0:
        access_space(IO_MEM, layout.ecam + ((uint64_t)slot << 15) + (where & 0xfff), size, write,
                     val);
        break;
    case 1: access_space(IO_PORT, 0xcf8 + (where & 7), size, write, val); break;
    case 2:
        access_space(IO_PORT, 0xcf8, 4, true, 0x80000000 | slot << 11 | (where & 0xfc));
        access_space(IO_PORT, 0xcfc + (where & 3), size, write, val);
        break;
    case 3: /* wherever the BARs are now */
        access_space(IO_MEM, bar_addr(slot & 3, op[1] & 8 ? 2 : 0) + (where & 0x3fff), size, write,
                     wide);
        break;
    case 4: /* one BAR on top of another, or near */
        cfg_wr(slot & 3, PCI_BAR0 + 4 * (where % 6), 4,
               bar_addr(where >> 8 & 3, op[1] & 8 ? 2 : 0) + (val & 0x1000));
        break;
    case 5: cfg_wr(slot & 3, PCI_COMMAND, 2, val); break;
    case 6: /* the window capability */
        cfg_wr(slot & 3, find_cap(slot & 3, PCI_CAP_VENDOR, 5) + (where & 31), size <= 4 ? size : 4,
               val);
        cfg_rd(slot & 3, find_cap(slot & 3, PCI_CAP_VENDOR, 5) + 16, 4);
        break;
    default: run_events();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fake_up();
    for (size_t i = 0; i + 8 <= size && i < 8 * 256; i += 8)
        one(data + i);
    run_events();
    fake_down();
    return 0;
}
