/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernels: Linux `Image` (Documentation/arm64/booting.rst), plain, as a gzip file or in an EFI
 * zboot file, and raw flat images. zlib inflates straight into guest memory, piece by piece, so no
 * second copy is made and a broken file can only spoil the guest's own memory. Each step is short:
 * other guests' events wait for it.
 */
#include "tables.h"
#include <hv/files.h>
#include <hv/linux_image.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

/* Linux drivers/firmware/efi/libstub/zboot-header.S */
enum { ZBOOT_MAGIC = 4, ZBOOT_PAYLOAD = 8, ZBOOT_LEN = 12, ZBOOT_METHOD = 24, ZBOOT_HEADER = 64 };
/* 64 KiB-aligned; where other machines put a raw image too */
#define FLAT_OFFSET 0x80000ull
#define INFLATE_STEP (128 * KIB)
#define COPY_STEP (1 * MIB)

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
    uint64_t room = FDT_ROOM + (l->config->acpi ? TABLES_ROOM : 0);

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

struct inflation {
    struct load *l;
    z_stream z;
    uint64_t done;
    uint8_t buf[INFLATE_STEP];
};

/* zlib does not say how long what it gives back is. */
struct z_block {
    uint64_t len, pad;
    uint8_t at[];
};

static void *z_alloc(void *opaque, unsigned n, unsigned size)
{
    size_t len = sizeof(struct z_block) + (size_t)n * size;
    struct z_block *b = vm_alloc(opaque, len);

    if (!b)
        return NULL;
    b->len = len;
    return b->at;
}

static void z_free(void *opaque, void *p)
{
    struct z_block *b = container_of(p, struct z_block, at);

    vm_free(opaque, b, b->len);
}

/* `n` more bytes of the Image; the first of them hold its header. */
static int inflated(struct inflation *s, uint64_t n)
{
    struct load *l = s->l;

    if (s->done == 0) {
        int err = place_image(l, s->buf, n, "the compressed data is not an ARM64 Linux Image");

        if (err)
            return err;
    }
    if (!range_within(l->kernel.base + s->done, n, PLAT_RAM, ram_left(l)))
        return why(l, -ENOSPC, "longer than its header says; give the guest more memory");
    s->done += n;
    l->kernel.len = max_u64(l->kernel.len, s->done);
    return copy(l, l->kernel.base + s->done - n, s->buf, n);
}

/*
 * > 0: more. Bounded by the guest's memory: each step writes INFLATE_STEP bytes of it, ends the
 * stream, or fails.
 */
static int inflate_step(struct inflation *s)
{
    int state, err;

    s->z.next_out = s->buf;
    s->z.avail_out = (unsigned)INFLATE_STEP;
    state = inflate(&s->z, Z_NO_FLUSH);
    if (state != Z_OK && state != Z_STREAM_END)
        return why(s->l, -EINVAL, "its compressed data is broken (zlib %d)", state);
    if (s->z.avail_out != 0 && state != Z_STREAM_END)
        return why(s->l, -EINVAL, "its compressed data ends too early");
    err = inflated(s, INFLATE_STEP - s->z.avail_out);
    return err ? err : state != Z_STREAM_END;
}

void arm_load_end(struct load *l)
{
    if (!l || !l->inflation)
        return;
    (void)inflateEnd(&l->inflation->z);
    vm_free(l->vm, l->inflation, sizeof *l->inflation);
    l->inflation = NULL;
}

static int load_gzip(struct load *l, struct file f)
{
    struct inflation *s = vm_alloc(l->vm, sizeof *s);

    if (!s)
        return -ENOMEM;
    l->inflation = s;
    s->l = l;
    s->z.zalloc = z_alloc;
    s->z.zfree = z_free;
    s->z.opaque = l->vm;
    s->z.next_in = f.at;
    s->z.avail_in = (unsigned)f.len;
    if (f.len > UINT32_MAX)
        return why(l, -EINVAL, "more than 4 GiB");
    return inflateInit2(&s->z, 15 + 16) == Z_OK ? 0 : -ENOMEM;
}

/* An EFI application that holds a compressed Image. */
static int load_zboot(struct load *l, struct file f)
{
    uint64_t at = get_le(f.at + ZBOOT_PAYLOAD, 4), len = get_le(f.at + ZBOOT_LEN, 4);

    if (strncmp((const char *)f.at + ZBOOT_METHOD, "gzip", 8) != 0)
        return why(l, -EINVAL, "compressed with %.8s; only gzip is supported",
                   (const char *)f.at + ZBOOT_METHOD);
    if (!range_within(at, len, 0, f.len))
        return why(l, -EINVAL, "its payload is outside the file");
    return load_gzip(l, (struct file){ f.at + at, len });
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
    if (f.len >= 2 && memcmp(f.at, "\x1f\x8b", 2) == 0)
        return load_gzip(l, f);
    if (f.len >= ZBOOT_HEADER && memcmp(f.at, "MZ", 2) == 0 &&
        memcmp(f.at + ZBOOT_MAGIC, "zimg", 4) == 0)
        return load_zboot(l, f);
    return load_image(l, f);
}

static bool looks_like_linux(struct file f)
{
    return (f.len >= 2 && memcmp(f.at, "\x1f\x8b", 2) == 0) ||
           (f.len >= 8 && memcmp(f.at + ZBOOT_MAGIC, "zimg", 4) == 0) || is_image(f.at, f.len);
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

    l->fdt = align_down(top - FDT_ROOM, FDT_ROOM);
    l->tables = l->config->acpi ? l->fdt - TABLES_ROOM : l->fdt;
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
    int more = l->inflation ? inflate_step(l->inflation) : copy_step(l);

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
