/* SPDX-License-Identifier: BSD-2-Clause */
/* A Linux kernel in RAM: Documentation/arch/riscv/boot-image-header.rst and boot.rst. */
#include "machine_parts.h"
#include <hv/linux_image.h>
#include <string.h>

#define FDT_ROOM 0x10000u
#define ALIGN 0x200000ull /* what follows the kernel */

static uint64_t up(uint64_t v) { return (v + ALIGN - 1) & ~(ALIGN - 1); }

/* Where in RAM it goes, or -1. */
static int load_place_kernel(struct rv_machine *m, const struct rvm_files *f, uint64_t *entry,
                             uint64_t *end)
{
    struct linux_image header;
    uint64_t bytes;

    if (!linux_image_read(f->kernel, f->kernel_size, LINUX_IMAGE_RISCV64, &header))
        return -1;
    bytes = header.image_size > f->kernel_size ? header.image_size : f->kernel_size;
    *entry = RVM_RAM + header.text_offset;
    *end = *entry + bytes;
    if (header.text_offset > m->ram_size || !rvm_ram(m, *entry, bytes))
        return -1;
    memcpy(rvm_ram(m, *entry, f->kernel_size), f->kernel, f->kernel_size);
    return 0;
}

/* Behind the kernel, then the device tree. */
int rvm_load_linux(struct rv_machine *m, const struct rvm_files *f)
{
    uint64_t entry, end, initrd, fdt;
    uint8_t *at;

    if (load_place_kernel(m, f, &entry, &end))
        return -1;
    initrd = up(end);
    if (f->initrd_size) {
        at = rvm_ram(m, initrd, f->initrd_size);
        if (!at)
            return -1;
        memcpy(at, f->initrd, f->initrd_size);
    }
    fdt = up(initrd + f->initrd_size);
    at = rvm_ram(m, fdt, FDT_ROOM);
    if (!at || rvm_fdt(m, at, FDT_ROOM, f->append, f->initrd_size ? initrd : 0,
                       initrd + f->initrd_size) < 0)
        return -1;
    rvm_start(m, 0, entry, 0, fdt);
    return 0;
}
