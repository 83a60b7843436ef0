/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a VM starts from: a Linux kernel (Documentation/arch/riscv/boot-image-header.rst and
 * boot.rst), plain or compressed; or firmware, and what that starts: any program. No byte of the
 * files is trusted; each step is short.
 */
#include "rv_guest.h"
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/files.h>
#include <hv/inflate.h>
#include <hv/linux_image.h>
#include <hv/random.h>
#include <stdarg.h>
#include <stdio.h>

#define COPY_STEP MIB
#define WHY 80          /* bytes of a sentence about a broken file */
#define ALIGN (2 * MIB) /* of what follows the kernel, as its first page tables map it */

struct rv_load {
    struct rv_guest *g;
    const struct guest_config *config;
    unsigned phase;
    uint64_t firmware;   /* bytes; 0: it has none */
    uint64_t entry, end; /* of the kernel, with what it clears */
    uint64_t initrd, initrd_end, fdt;
    uint64_t to, left; /* what is being copied */
    const uint8_t *from;
    struct inflation *inflation; /* of a compressed kernel */
    uint64_t inflated;           /* bytes */
};

static int load_why(const struct rv_load *l, int err, const char *fmt, ...) printf_like(3, 4);
static int load_why(const struct rv_load *l, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(l->g->vm->why, sizeof l->g->vm->why, fmt, ap);
    va_end(ap);
    return err;
}

static uint64_t load_top(const struct rv_load *l) { return RVM_RAM + l->config->memory; }

/* > 0: more. */
static int load_copy(struct rv_load *l)
{
    uint64_t n = min_u64(l->left, COPY_STEP);

    if (n && gmem_write(l->g->vm, gpa(l->to), l->from, n))
        return load_why(l, -EFAULT, "guest memory cannot be written");
    l->to += n;
    l->from += n;
    l->left -= n;
    return l->left != 0;
}

static void load_later(struct rv_load *l, uint64_t to, const uint8_t *from, uint64_t len)
{
    l->to = to;
    l->from = from;
    l->left = len;
}

static int load_why_kernel(const struct rv_load *l, int err, const char *what)
{
    return load_why(l, err, "kernel %s: %s", l->config->kernel, what);
}

static bool load_has_firmware(const struct rv_load *l) { return l->config->firmware[0] != '\0'; }

/* Where a kernel goes, from its first n bytes: firmware starts any program, where it expects it. */
static int load_place(struct rv_load *l, const uint8_t *at, uint64_t n)
{
    struct linux_image image = { 0 };
    bool is_image = linux_image_read(at, n, LINUX_IMAGE_RISCV64, &image);
    uint64_t size = max_u64(image.image_size, n);

    if (!is_image && !load_has_firmware(l))
        return load_why_kernel(l, -EINVAL, "not a riscv64 Linux Image");
    if (load_has_firmware(l))
        image.text_offset = RVM_NEXT - RVM_RAM;
    if (!range_within(image.text_offset, size, 0, l->config->memory))
        return load_why(l, -ENOSPC, "kernel %s: it takes %llu MiB; give the guest more memory",
                        l->config->kernel, (unsigned long long)(size >> 20) + 1);
    l->entry = RVM_RAM + image.text_offset;
    l->end = align_up(l->entry + size, ALIGN);
    return 0;
}

static int load_firmware(struct rv_load *l)
{
    const char *name = l->config->firmware;
    const uint8_t *f;

    if (!load_has_firmware(l))
        return 0;
    f = file_find(name, &l->firmware);
    if (!f)
        return load_why(l, -ENOENT, "firmware %s: the file was not loaded at boot", name);
    if (l->firmware > l->config->memory)
        return load_why(l, -ENOSPC, "firmware %s: longer than the guest's memory", name);
    load_later(l, RVM_RAM, f, l->firmware);
    return 0;
}

static int boot_load_kernel(struct rv_load *l)
{
    struct linux_file k;
    char broken[WHY];
    uint64_t len = 0;
    const uint8_t *f = file_find(l->config->kernel, &len);
    int err;

    if (load_has_firmware(l) && l->config->kernel[0] == '\0')
        return 0;
    if (!f)
        return load_why_kernel(l, -ENOENT, "the file was not loaded at boot");
    err = linux_file_open(f, len, &k, broken, sizeof broken);
    if (err)
        return load_why_kernel(l, err, broken);
    if (k.packing != PACKED_NOT) {
        l->inflation = inflation_new(
            &k,
            (struct inflation_memory){ l->g->vm, vm_alloc, vm_free, scratch_take, scratch_give },
            l->config->memory);
        return l->inflation ? 0 : -ENOMEM;
    }
    err = load_place(l, f, len);
    load_later(l, l->entry, f, len);
    return err;
}

/* n more bytes of the Image; the first of them hold its header. */
static int load_inflated(struct rv_load *l, const uint8_t *piece, uint64_t n)
{
    int err = l->inflated ? 0 : load_place(l, piece, n);
    uint64_t to = l->entry + l->inflated;

    if (err)
        return err;
    if (!range_within(to, n, RVM_RAM, l->config->memory))
        return load_why_kernel(l, -ENOSPC,
                               "longer than its header says; give the guest more memory");
    l->inflated += n;
    l->end = max_u64(l->end, align_up(to + n, ALIGN));
    return gmem_write(l->g->vm, gpa(to), piece, n)
               ? load_why(l, -EFAULT, "guest memory cannot be written")
               : 0;
}

/* > 0: more. Each step reads some of the file, writes to the guest's memory, ends, or fails. */
static int load_kernel_piece(struct rv_load *l)
{
    char broken[WHY];
    const uint8_t *piece;
    uint64_t n;
    int err, more;

    if (!l->inflation)
        return load_copy(l);
    more = inflation_step(l->inflation, &piece, &n, broken, sizeof broken);
    if (more < 0)
        return load_why_kernel(l, more, broken);
    err = n || more == 0 ? load_inflated(l, piece, n) : 0;
    return err ? err : more;
}

/* An initrd of so many bytes, or none, and the device tree. */
static int load_place_rest(struct rv_load *l, uint64_t len)
{
    l->initrd = l->end;
    if (len && !range_within(l->initrd, len, RVM_RAM, l->config->memory))
        return load_why(l, -ENOSPC, "initrd, %llu KiB: no room for it in the guest's memory",
                        (unsigned long long)(len / KIB));
    l->fdt = len ? align_up(l->initrd + len, ALIGN) : l->end;
    return 0;
}

/* The same of a guest with firmware. */
static int load_place_behind(struct rv_load *l, uint64_t len)
{
    const struct rvm_bytes n = { l->firmware, l->end ? l->end - RVM_NEXT : 0, len };
    struct rvm_places p;

    if (!rvm_firmware_places(&l->g->m, &n, &p))
        return load_why(l, -ENOSPC,
                        "firmware of %llu KiB, kernel and initrd of %llu KiB: no room in the "
                        "guest's memory (2 MiB for firmware with a kernel)",
                        (unsigned long long)(n.firmware / KIB),
                        (unsigned long long)((n.next + len) / KIB));
    l->initrd = p.initrd;
    l->fdt = p.fdt;
    return 0;
}

static int load_initrd(struct rv_load *l)
{
    const char *name = l->config->initrd;
    const uint8_t *f = NULL;
    uint64_t len = 0;
    int err;

    if (name[0])
        f = file_find(name, &len);
    if (name[0] && !f)
        return load_why(l, -ENOENT, "initrd %s: the file was not loaded at boot", name);
    err = load_has_firmware(l) ? load_place_behind(l, len) : load_place_rest(l, len);
    l->initrd_end = l->initrd + len;
    if (!err)
        load_later(l, l->initrd, f, len);
    return err;
}

/* A guest without a seed finds out; one with a seed that a neighbour can work out does not. */
static int load_fdt_seeded(struct rv_load *l, void *at)
{
    struct rv_machine *m = &l->g->m;
    uint64_t seed[RVM_SEED];
    int len;

    if (random_fill(&l->g->vm->random, seed, sizeof seed))
        vm_log(l->g->vm, LOG_WARN, "no rng-seed: there are no random numbers yet");
    else
        m->seed = seed;
    len = rvm_fdt(m, at, RVM_FDT_ROOM, l->config->cmdline,
                  l->initrd_end > l->initrd ? l->initrd : 0, l->initrd_end);
    m->seed = NULL;
    wipe(seed, sizeof seed);
    return len;
}

static int load_fdt(struct rv_load *l)
{
    void *at = l->fdt < load_top(l) ? gmem_ptr(l->g->vm, gpa(l->fdt), RVM_FDT_ROOM, PROT_R | PROT_W)
                                    : NULL;

    if (!at)
        return load_why(l, -ENOSPC, "no room for the device tree; give the guest more memory");
    if (load_fdt_seeded(l, at) < 0)
        return load_why(l, -ENOSPC, "its device tree has no room for the command line");
    return 0;
}

/* The boot hart's registers, or all harts'. */
static void load_start(struct rv_load *l)
{
    struct rv_machine *m = &l->g->m;

    spin_lock(&l->g->lock);
    if (load_has_firmware(l))
        rvm_firmware_start(m, l->fdt, l->end != 0);
    else
        rvm_start(m, 0, l->entry, 0, l->fdt);
    spin_unlock(&l->g->lock);
}

int rv_load_step(struct rv_load *l)
{
    static int (*const phases[])(
        struct rv_load *) = { load_firmware, load_copy, boot_load_kernel, load_kernel_piece,
                              load_initrd,   load_copy, load_fdt };
    int more = phases[l->phase](l); /* nospec: ours */

    if (more < 0)
        return more;
    l->phase += more == 0;
    if (l->phase < ARRAY_SIZE(phases))
        return 1;
    load_start(l);
    return 0;
}

struct rv_load *rv_load_new(struct rv_guest *g, const struct guest_config *c)
{
    struct rv_load *l = vm_alloc(g->vm, sizeof *l);

    if (l) {
        l->g = g;
        l->config = c;
    }
    return l;
}

void rv_load_end(struct rv_guest *g)
{
    if (g->load)
        inflation_end(g->load->inflation);
    if (g->load)
        vm_free(g->vm, g->load, sizeof *g->load);
    g->load = NULL;
}
