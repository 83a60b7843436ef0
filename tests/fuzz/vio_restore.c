/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A saved state of virtio devices, the PCI bus and a RAM disk that somebody has changed, with what
 * is in the guest's memory. It is refused, or taken: then it is what is saved again, and the
 * devices go on, whatever they find in their rings.
 */
#include "patch.h"
#include "tests/unit/vio_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(8) uint8_t image[IMAGE_MAX], again[IMAGE_MAX];

static void use(const uint8_t *op)
{
    switch (op[0] & 3) {
    case 0: mem_wr(disk.notify + 4u * (op[1] & 3), 2, 0); break;
    case 1: cfg_wr(op[1] & 3, op[2], 1, op[3]); break;
    case 2: cw(op[1] & 1 ? &disk : &con, op[2] & 63, 1u << (op[1] >> 6) % 3, op[3]); break;
    default: p16(RINGS + (uint64_t)(op[1] & 0x7f) * 256 + op[2], op[3]); break;
    }
    run_events();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned patches;
    size_t len;

    if (size < 4)
        return 0;
    patches = data[0] & 15;
    new_machine();
    get_busy(data[1] & 1 ? F(34) : 0);
    len = take(image);
    fake_down();
    data += 4;
    size -= 4;
    fuzz_patch(image, len, patches, &data, &size);
    put_memory();
    if (state_restore(&vm, image, len) == 0) {
        if (state_save(&vm, again, len) || memcmp(image, again, len))
            abort();
        state_resume(&vm);
        run_events();
    }
    for (unsigned n = 0; n < 40 && size >= 4; n++, data += 4, size -= 4)
        use(data);
    fake_down();
    return 0;
}
