/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernels: Linux `Image` (Documentation/arm64/booting.rst), plain, compressed (gzip, zstd, xz),
 * also in an EFI zboot file, and raw flat images. A compressed one goes into guest memory piece by
 * piece, so no second copy is made and a broken file can only spoil the guest's own memory. Each
 * step is short: other guests' events wait for it.
 */
#include "tables.h"
#include <hv/files.h>
#include <hv/inflate.h>
#include <hv/linux_image.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* 64 KiB-aligned; where other machines put a raw image too */
#define FLAT_OFFSET 0x80000ull
#define COPY_STEP (1 * MIB)
#define WHY 80 /* bytes of a sentence about a broken file */

struct file {
    const uint8_t *at;
    uint64_t len;
};

static int why(struct load *l, int err, const char *fmt, ...) printf_like(3, 4);
static int why(struct load *l, int err, const char *fmt, ...)
{
    va_list ap;
    int n = snprintf(l->vm->why, sizeof l->vm->why, "kernel %s: ", l->config->kernel);

    if (n < 0 || (size_t)n >= sizeof l->vm->why)
        return err;
    va_start(ap, fmt);
    vsnprintf(l->vm->why + n, sizeof l->vm->why - (size_t)n, fmt, ap);
    va_end(ap);
    return err;
}

/* RAM that a kernel may have: the device tree and the initrd lie at the end. */
static uint64_t ram_left(const struct load *l)
{
    uint64_t room = load_fdt_room(l->config) + (l->config->acpi ? load_tables_room(l->config) : 0);

    return l->config->memory > room ? l->config->memory - room : 0;
}

static int copy(struct load *l, uint64_t base, const void *src, uint64_t len)
{
    if (gmem_write(l->vm, gpa(base), src, len))
        return why(l, -EFAULT, "guest memory at %#llx cannot be written", (unsigned long long)base);
    if (l->initrd.len == 0) /* of the kernel still: code */
        gmem_sync_code(l->vm, gpa(base), len);
    return 0;
}

/* What the next steps copy. */
static int copy_later(struct load *l, uint64_t base, const void *src, uint64_t len)
{
    l->copy_to = base;
    l->copy_from = src;
    l->copy_left = len;
    return 0;
}

/* > 0: more. */
static int copy_step(struct load *l)
{
    uint64_t n = min_u64(l->copy_left, COPY_STEP);
    int err;

    if (n == 0)
        return 0;
    err = copy(l, l->copy_to, l->copy_from, n);
    l->copy_to += n;
    l->copy_from += n;
    l->copy_left -= n;
    return err ? err : l->copy_left != 0;
}

/* ---- Image ---- */

static bool is_image(const uint8_t *at, uint64_t len)
{
    struct linux_image image;

    return linux_image_read(at, len, LINUX_IMAGE_ARM64, &image);
}

/*
 * Where an Image goes, from the first `n` bytes of it. Before 3.17 image_size is 0 and text_offset
 * is 0x80000. what: to be said when it is none.
 */
static int place_image(struct load *l, const uint8_t *at, uint64_t n, const char *what)
{
    struct linux_image image;
    uint64_t size;

    if (!linux_image_read(at, n, LINUX_IMAGE_ARM64, &image))
        return why(l, -EINVAL, "%s", what);
    if (image.flags & LINUX_IMAGE_BIG_ENDIAN)
        return why(l, -EINVAL, "a big-endian Image; only little-endian ones run");
    if (image.image_size == 0)
        image.text_offset = 0x80000;
    size = max_u64(image.image_size, n);
    if (size > ram_left(l) || image.text_offset > ram_left(l) - size)
        return why(l, -ENOSPC, "it takes %llu MiB; give the guest more memory",
                   (unsigned long long)(size >> 20) + 1);
    l->kernel = (struct load_range){ PLAT_RAM + image.text_offset, size };
    l->entry = l->kernel.base;
    return 0;
}

static int load_image(struct load *l, struct file f)
{
    int err = place_image(l, f.at, f.len, "not an ARM64 Linux Image");

    return err ? err : copy_later(l, l->kernel.base, f.at, f.len);
}

/* ---- compressed ---- */

/* `n` more bytes of the Image; the first of them hold its header. */
static int inflated(struct load *l, const uint8_t *piece, uint64_t n)
{
    uint64_t done = l->inflated;

    if (done == 0) {
        int err = place_image(l, piece, n, "the compressed data is not an ARM64 Linux Image");

        if (err)
            return err;
    }
    if (!range_within(l->kernel.base + done, n, PLAT_RAM, ram_left(l)))
        return why(l, -ENOSPC, "longer than its header says; give the guest more memory");
    l->inflated += n;
    l->kernel.len = max_u64(l->kernel.len, l->inflated);
    return copy(l, l->kernel.base + done, piece, n);
}

/*
 * > 0: more. Bounded by the file and the guest's memory: each step reads some of the one or writes
 * some of the other, ends the stream, or fails.
 */
static int inflate_step(struct load *l)
{
    char broken[WHY];
    const uint8_t *piece;
    uint64_t n;
    int err, more = inflation_step(l->inflation, &piece, &n, broken, sizeof broken);

    if (more < 0)
        return why(l, more, "%s", broken);
    err = n || more == 0 ? inflated(l, piece, n) : 0;
    return err ? err : more;
}

void arm_load_end(struct load *l)
{
    if (!l)
        return;
    inflation_end(l->inflation);
    l->inflation = NULL;
}

/* ---- flat ---- */

static int load_flat(struct load *l, struct file f)
{
    if (f.len == 0)
        return why(l, -EINVAL, "an empty file");
    if (!range_within(FLAT_OFFSET, f.len, 0, ram_left(l)))
        return why(l, -ENOSPC, "it takes %llu MiB; give the guest more memory",
                   (unsigned long long)(f.len >> 20) + 1);
    l->kernel = (struct load_range){ PLAT_RAM + FLAT_OFFSET, f.len };
    l->entry = l->kernel.base;
    return copy_later(l, l->kernel.base, f.at, f.len);
}

/* ---- any ---- */

static int load_linux(struct load *l, struct file f)
{
    struct linux_file k;
    char broken[WHY];
    int err = linux_file_open(f.at, f.len, &k, broken, sizeof broken);

    if (err)
        return why(l, err, "%s", broken);
    if (k.packing == PACKED_NOT)
        return load_image(l, f);
    l->inflation = inflation_new(
        &k, (struct inflation_memory){ l->vm, vm_alloc, vm_free, scratch_take, scratch_give },
        ram_left(l));
    return l->inflation ? 0 : -ENOMEM;
}

static bool looks_like_linux(struct file f)
{
    return linux_file_is_packed(f.at, f.len) || is_image(f.at, f.len);
}

/* What has a header of another kind is not taken for a flat image by itself. */
static bool looks_flat(struct file f)
{
    return !(f.len >= 4 && memcmp(f.at,
                                  "\x7f"
                                  "ELF",
                                  4) == 0) &&
           !(f.len >= 2 && memcmp(f.at, "MZ", 2) == 0);
}

static int load_by_kind(struct load *l, struct file f)
{
    switch (l->config->kind) {
    case KIND_LINUX:
    case KIND_IMAGE: return load_linux(l, f);
    case KIND_FLAT: return load_flat(l, f);
    case KIND_AUTO: break;
    case KIND_PVH:
    case KIND_MULTIBOOT:
    case KIND_MULTIBOOT2:
        return why(l, -EINVAL, "kind = %s is not one of an ARM64 guest; give image or flat",
                   guest_kind_names[l->config->kind]);
    }
    if (looks_like_linux(f))
        return load_linux(l, f);
    if (looks_flat(f))
        return load_flat(l, f);
    return why(l, -EINVAL, "neither an ARM64 Linux Image nor a raw flat image");
}

/*
 * The device tree within the first GiB of RAM, at its end: Linux maps it before it knows its memory
 * (booting.rst: 2 MiB must not be crossed).
 */
static void place_fdt(struct load *l)
{
    uint64_t top = PLAT_RAM + min_u64(l->config->memory, GIB);

    l->fdt = align_down(top - load_fdt_room(l->config), FDT_ROOM);
    l->tables = l->config->acpi ? l->fdt - load_tables_room(l->config) : l->fdt;
}

static int begin_kernel(struct load *l)
{
    struct file f = { 0 };
    int err;

    place_fdt(l);
    f.at = file_find(l->config->kernel, &f.len);
    if (!f.at)
        return why(l, -ENOENT, "the file was not loaded at boot");
    err = load_by_kind(l, f);
    return err ? err : 1;
}

static int begin_initrd(struct load *l)
{
    const char *path = l->config->initrd;
    uint64_t len = 0, base;
    const void *data;

    if (l->kernel.base + l->kernel.len > l->tables)
        return why(l, -ENOSPC, "it leaves no room for its device tree; give the guest more memory");
    if (path[0] == '\0')
        return 0;
    data = file_find(path, &len);
    if (!data) {
        snprintf(l->vm->why, sizeof l->vm->why, "initrd %s: the file was not loaded at boot", path);
        return -ENOENT;
    }
    base = len <= l->tables - PLAT_RAM ? align_down(l->tables - len, PAGE_SIZE) : 0;
    if (base < l->kernel.base + l->kernel.len) {
        snprintf(l->vm->why, sizeof l->vm->why,
                 "initrd, %llu KiB: no room for it in the guest's memory; give it more",
                 (unsigned long long)(len / KIB));
        return -ENOSPC;
    }
    l->initrd = (struct load_range){ base, len };
    return copy_later(l, base, data, len);
}

/* With the kernel's last piece it is known where the initrd can be. */
static int step_kernel(struct load *l)
{
    int more = l->inflation ? inflate_step(l) : copy_step(l);

    return more == 0 ? begin_initrd(l) : more;
}

int arm_load_step(struct load *l)
{
    static int (*const phases[])(struct load *) = { begin_kernel, step_kernel, copy_step };
    int more = phases[l->phase](l);

    if (more < 0 || l->phase == ARRAY_SIZE(phases) - 1)
        return more;
    l->phase += l->phase == 0 || more == 0;
    return 1;
}
