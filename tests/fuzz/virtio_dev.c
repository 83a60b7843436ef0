/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One virtio device, whole, on one CPU: events run where the input says. See virtio_dev.h for what
 * is checked.
 */
#include "virtio_dev.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 + OP_LEN)
        return 0;
    if (half[0])
        ram_open_all();
    fake_up();
    ram_granted = ram_open;
    device = SLOT_CONSOLE + data[0] % 3;
    plug_in();
    ram_shut();
    drive(data + 1, size - 1);
    ram_open_all();
    fake_down();
    return 0;
}
