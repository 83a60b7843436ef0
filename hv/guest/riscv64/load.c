/* SPDX-License-Identifier: BSD-2-Clause */
/* A Linux kernel in RAM: Documentation/arch/riscv/boot-image-header.rst and boot.rst. */
#include "machine_parts.h"
#include <hv/linux_image.h>
#include <string.h>

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

static int load_rest(struct rv_machine *m, const struct rvm_files *f, const struct rvm_places *p)
{
    uint8_t *at = rvm_ram(m, p->fdt, RVM_FDT_ROOM);

    if (!at || load_bytes(m, p->initrd, f->initrd, f->initrd_size) ||
        rvm_fdt(m, at, RVM_FDT_ROOM, f->append, f->initrd_size ? p->initrd : 0,
                p->initrd + f->initrd_size) < 0)
        return -1;
    return 0;
}

/* The initrd behind the kernel, and behind that the device tree. */
int rvm_load_linux(struct rv_machine *m, const struct rvm_files *f)
{
    struct rvm_places p;
    uint64_t entry, end;

    if (load_place_kernel(m, f, &entry, &end))
        return -1;
    p.initrd = up(end);
    p.fdt = up(p.initrd + f->initrd_size);
    if (load_rest(m, f, &p))
        return -1;
    rvm_start(m, 0, entry, 0, p.fdt);
    return 0;
}

/* A kernel's Image needs more room than the file has. */
static uint64_t load_next_bytes(const struct rvm_files *f)
{
    struct linux_image header;

    if (linux_image_read(f->kernel, f->kernel_size, LINUX_IMAGE_RISCV64, &header) &&
        header.image_size > f->kernel_size)
        return header.image_size;
    return f->kernel_size;
}

int rvm_load_firmware(struct rv_machine *m, const struct rvm_files *f)
{
    const struct rvm_bytes n = { f->firmware_size, load_next_bytes(f), f->initrd_size };
    struct rvm_places p;

    if (!rvm_firmware_places(m, &n, &p) || load_bytes(m, RVM_RAM, f->firmware, f->firmware_size) ||
        load_bytes(m, RVM_NEXT, f->kernel, f->kernel_size) || load_rest(m, f, &p))
        return -1;
    rvm_firmware_start(m, p.fdt, n.next != 0);
    return 0;
}
