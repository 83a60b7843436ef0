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

static int load_bytes(struct rv_machine *m, uint64_t pa, const void *bytes, size_t n)
{
    void *at = n ? rvm_ram(m, pa, n) : NULL;

    if (n && !at)
        return -1;
    if (n)
        memcpy(at, bytes, n);
    return 0;
}

/* The initrd behind `end`, and behind that the device tree. */
static int load_rest(struct rv_machine *m, const struct rvm_files *f, uint64_t end, uint64_t *fdt)
{
    uint64_t initrd = up(end);
    uint8_t *at;

    *fdt = up(initrd + f->initrd_size);
    at = rvm_ram(m, *fdt, FDT_ROOM);
    if (!at || load_bytes(m, initrd, f->initrd, f->initrd_size) ||
        rvm_fdt(m, at, FDT_ROOM, f->append, f->initrd_size ? initrd : 0, initrd + f->initrd_size) <
            0)
        return -1;
    return 0;
}

int rvm_load_linux(struct rv_machine *m, const struct rvm_files *f)
{
    uint64_t entry, end, fdt;

    if (load_place_kernel(m, f, &entry, &end) || load_rest(m, f, end, &fdt))
        return -1;
    rvm_start(m, 0, entry, 0, fdt);
    return 0;
}

/* A kernel's Image needs more room than the file has. */
static uint64_t load_next_end(const struct rvm_files *f)
{
    struct linux_image header;
    uint64_t bytes = f->kernel_size;

    if (linux_image_read(f->kernel, f->kernel_size, LINUX_IMAGE_RISCV64, &header) &&
        header.image_size > bytes)
        bytes = header.image_size;
    return RVM_NEXT + bytes;
}

/* OpenSBI, docs/firmware/fw_dynamic.md. */
struct fw_dynamic_info {
    uint64_t magic, version, next_addr, next_mode, options, boot_hart;
};

int rvm_load_firmware(struct rv_machine *m, const struct rvm_files *f)
{
    struct fw_dynamic_info info = {
        .magic = 0x4942534f, .version = 2, .next_addr = RVM_NEXT, .next_mode = RV_S
    };
    uint64_t fdt;

    if (f->firmware_size > RVM_NEXT - RVM_RAM ||
        load_bytes(m, RVM_RAM, f->firmware, f->firmware_size) ||
        load_bytes(m, RVM_NEXT, f->kernel, f->kernel_size) ||
        load_rest(m, f, load_next_end(f), &fdt) ||
        load_bytes(m, fdt + FDT_ROOM, &info, sizeof info))
        return -1;
    for (unsigned n = 0; n < m->harts; n++) {
        rvm_start(m, n, RVM_RAM, n, fdt);
        m->hart[n]->cpu.x[12] = fdt + FDT_ROOM;
    }
    return 0;
}
