/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A saved state of an x86 machine's vCPUs, interrupt controllers and devices that somebody has
 * changed. It is refused, or it is taken: then it is what is saved again, byte for byte, and the
 * machine goes on under any use.
 */
#include "patch.h"
#include "tests/unit/x86_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VCPUS = 2, OPS = 60 };
static _Alignas(8) uint8_t saved[IMAGE_MAX], again[IMAGE_MAX];

static void use_apic(unsigned v, const uint8_t *op)
{
    uint32_t val = op[2] | (uint32_t)op[3] << 8 | (uint32_t)op[3] << 16;

    switch (op[1] & 3) {
    case 0: (void)apic_read(v, op[2] & 0x3f); break;
    case 1: apic_write(v, op[2] & 0x3f, val); break;
    case 2: (void)take(v); break;
    default: (void)virq_msi(&fake_vm, 0, PLAT_MSI | (uint64_t)op[2] << 12, op[3]);
    }
}

static void use(const uint8_t *op)
{
    static const uint16_t ports[] = { 0x20,  0x21,  0xa0,  0xa1,  0x4d0, 0x40,  0x41,  0x42,
                                      0x43,  0x61,  0x70,  0x71,  0x60,  0x64,  0x92,  0x600,
                                      0x602, 0x608, 0x3f8, 0x3f9, 0x3fa, 0x3fc, 0x3fd, 0x3fe };
    uint16_t port = ports[op[2] % ARRAY_SIZE(ports)];

    switch (op[0] & 7) {
    case 0:
    case 1: use_apic(op[1] >> 7, op); break;
    case 2: outb(port, op[3]); break;
    case 3: (void)inb(port); break;
    case 4: virq_set(&fake_vm, op[2] % IOAPIC_PINS, op[3] & 1); break;
    case 5: mem_write(PLAT_IOAPIC + (op[2] & 0x50), op[3] | (uint32_t)op[1] << 8); break;
    case 6: advance((uint64_t)op[2] << (op[3] & 31)); break;
    default:
        if (fake_vcpu[op[1] >> 7].vintc_hooks)
            x86_vintc.leave(&fake_vcpu[op[1] >> 7]);
    }
    fake_out_len = 0;
}

static void put_back(size_t len)
{
    if (state_restore(&fake_vm, saved, len))
        return;
    if (state_take(again) != len || memcmp(saved, again, len))
        abort();
    state_resume(&fake_vm);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned patches;
    size_t len;

    if (size < 4)
        return 0;
    patches = data[0] & 15;
    state_start(VCPUS);
    state_busy();
    len = state_take(saved);
    fake_stop();
    data += 4;
    size -= 4;
    fuzz_patch(saved, len, patches, &data, &size);
    state_start(VCPUS);
    put_back(len);
    for (unsigned n = 0; n < OPS && size >= 4; n++, data += 4, size -= 4)
        use(data);
    fake_stop();
    return 0;
}
