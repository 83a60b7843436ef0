/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Broken kernels through the ARM64 loaders: nothing is written outside of the guest's RAM, failures
 * say why, and a guest that starts has a sound device tree.
 */
#include <hv/files.h>
#include <libfdt.h>
#include "hv/guest/aarch64/load.h"
#define FAKE_RAM (1 * MIB)
#include "../unit/arm_machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *file;
static uint64_t file_len;

const void *file_find(const char *path, uint64_t *len)
{
    *len = file_len;
    return path[0] == 'k' ? file : NULL;
}

static void load(enum guest_kind kind, uint64_t memory)
{
    struct load l = { .vm = &fake_vm, .config = &fake_config };
    unsigned steps = 0;
    int err;

    fake_config.kind = kind;
    fake_config.memory = memory;
    fake_vm.why[0] = '\0';
    do {
        if (++steps > 1000)
            abort();
        err = arm_load_step(&l);
    } while (err > 0);
    arm_load_end(&l);
    if ((err != 0 && err != -ENOMEM && fake_vm.why[0] == '\0') || err == -EFAULT)
        abort(); /* -EFAULT: a write where there is no RAM was tried */
    if (err == 0 && (l.entry < PLAT_RAM || l.entry >= PLAT_RAM + memory ||
                     l.kernel.base + l.kernel.len > l.fdt))
        abort();
    if (err == 0 && (arm_fdt_build(&l) || fdt_check_full(fake_at(l.fdt, FDT_ROOM), FDT_ROOM)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t copy[8192];
    static const uint64_t memories[] = { 128 * KIB, 704 * KIB, FAKE_RAM };

    fake_start(1);
    fake_machine();
    strcpy(fake_config.kernel, "k");
    if (size && data[0] == 'A' && size > 60 && size < sizeof copy) { /* help it over the magic */
        memcpy(copy, data, size);
        memcpy(copy + 56, "ARM\x64", 4);
        data = copy;
    }
    file = data;
    file_len = size;
    for (unsigned i = 0; i < ARRAY_SIZE(memories); i++) {
        load(KIND_AUTO, memories[i]);
        load(KIND_IMAGE, memories[i]);
        load(KIND_FLAT, memories[i]);
    }
    fake_config.memory = FAKE_RAM;
    fake_stop();
    return 0;
}
