/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An image of a riscv64 machine that somebody has changed. It is refused, or it is taken: then it
 * saves as it was read, and harts and devices go on without touching anything outside its RAM
 * (ASan).
 */
#include "tests/fuzz/image_bytes.h"
#include "tests/unit/rv_vm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(8) uint8_t image[8192], good[8192], again[8192];
static struct fake f;

static void put_back(size_t len)
{
    if (state_restore(&f.vm, image, len)) {
        if (!f.vm.why[0])
            abort();
        return; /* it is destroyed */
    }
    if (fake_save(&f, again, sizeof again) != len || memcmp(image, again, len) || f.wakes)
        abort();
    f.vm.paused_ns = 0;
    state_resume(&f.vm);
    (void)event_run();
    lock_assert_none();
    for (unsigned i = 0; i < 4; i++)
        fake_turn(&f, 200);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    uint8_t how[2 + 8 * FAKE_HARTS], patches;
    size_t len;

    if (size < sizeof how)
        return 0;
    if (!ready)
        host_init(1, 0);
    ready = true;
    memcpy(how, data, sizeof how);
    data += sizeof how;
    size -= sizeof how;
    fake_make(&f, how[0] & 1);
    patches = how[1] & 15;
    memcpy(f.ram, data, size < FAKE_RAM ? size : FAKE_RAM);
    for (unsigned n = 0; n < FAKE_HARTS; n++)
        if (n == 0 || how[0] & 2)
            fake_begin(&f, n, how + 2 + 8 * n);
    fake_turn(&f, how[0] >> 2);
    f.vm.paused_ns = host_now;
    len = fake_save(&f, good, sizeof good);
    memcpy(image, good, len);
    for (; patches && size >= 4; patches--, data += 4, size -= 4) {
        uint8_t *at = image_byte(image, good, data[0], data[1] | (uint32_t)(data[3] >> 4) << 8);

        *at = data[3] & 2 ? (uint8_t)(*at ^ data[2]) : data[2];
    }
    f.wakes = 0;
    put_back(len);
    return 0;
}
