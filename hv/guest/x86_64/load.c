/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a kernel, its modules and its boot information go in guest memory. */
#include "load.h"
#include "platform.h"
#include <hv/assert.h>
#include <hv/files.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RAM_PIECES 4

uint64_t x86_low_ram(const struct guest_config *c)
{
    return min_u64(c->memory, c->firmware[0] ? PLAT_Q35_ECAM : PLAT_RAM_LOW_END);
}

/*
 * Where the guest's RAM is: its memory and its map of it are both made from this. What a PC has for
 * its BIOS is there in whole, however little memory there is.
 */
static unsigned ram_pieces(const struct guest_config *c, struct load_range piece[RAM_PIECES])
{
    uint64_t memory = c->memory, low_top = x86_low_ram(c);
    unsigned n = 0;

    piece[n++] = (struct load_range){ 0, min_u64(low_top, PLAT_EBDA + PLAT_EBDA_LEN) };
    piece[n++] = (struct load_range){ PLAT_SHADOW, PLAT_ACPI_LOW_END - PLAT_SHADOW };
    if (low_top > MIB)
        piece[n++] = (struct load_range){ MIB, low_top - MIB };
    if (memory > low_top)
        piece[n++] = (struct load_range){ 4 * GIB, memory - low_top };
    return n;
}

int x86_ram_layout(struct vm *vm, const struct guest_config *c)
{
    struct load_range piece[RAM_PIECES];
    unsigned n;
    int err = 0;

    assert_cpu0();
    if (c->memory > PLAT_MMIO64 - 4 * GIB) {
        snprintf(vm->why, sizeof vm->why, "memory: an x86 guest can have at most 252G");
        return -EINVAL;
    }
    if (c->vcpus > X86_VCPUS_MAX) {
        snprintf(vm->why, sizeof vm->why, "vcpus: an x86 guest can have at most %u", X86_VCPUS_MAX);
        return -EINVAL;
    }
    n = ram_pieces(c, piece);
    for (unsigned i = 0; !err && i < n; i++)
        err = gmem_add_ram(vm, gpa(piece[i].base), piece[i].len);
    if (!err && c->firmware[0])
        return x86_firmware_layout(vm);
    if (err != 0 && vm->why[0] == '\0')
        snprintf(vm->why, sizeof vm->why, "not enough free memory for %llu MiB",
                 (unsigned long long)(c->memory / MIB));
    return err;
}

/* [base, base+len), but for what of it is reserved. */
static unsigned map_piece(struct load_mem *map, struct load_range r)
{
    if (r.base == PLAT_SHADOW) {
        map[0] = (struct load_mem){ r.base, r.len, 2 };
        return 1;
    }
    map[0] = (struct load_mem){ r.base, r.len, 1 };
    if (!range_within(PLAT_EBDA, PLAT_EBDA_LEN, r.base, r.len))
        return 1;
    map[0].len = PLAT_EBDA - r.base;
    map[1] = (struct load_mem){ PLAT_EBDA, PLAT_EBDA_LEN, 2 };
    return 2;
}

unsigned load_memory_map(const struct vm *vm, struct load_mem map[LOAD_MEMS])
{
    static const struct load_mem devices[] = {
        { PLAT_ECAM, PLAT_ECAM_LEN, 2 },
        { PLAT_IOAPIC, PLAT_IOAPIC_LEN, 2 },
        { PLAT_LAPIC, PAGE_SIZE, 2 },
    };
    struct load_range piece[RAM_PIECES];
    unsigned npieces = ram_pieces(vm->config, piece), n = 0, i = 0;

    for (; i < npieces && piece[i].base < PLAT_ECAM; i++)
        n += map_piece(map + n, piece[i]);
    memcpy(map + n, devices, sizeof devices);
    n += ARRAY_SIZE(devices);
    for (; i < npieces; i++)
        n += map_piece(map + n, piece[i]);
    return n;
}

int load_bad(struct load *l, const char *fmt, ...)
{
    va_list ap;
    int n = snprintf(l->vm->why, sizeof l->vm->why, "kernel %s: ", l->config->kernel);

    if (n < 0 || (size_t)n >= sizeof l->vm->why)
        return -EINVAL;
    va_start(ap, fmt);
    vsnprintf(l->vm->why + n, sizeof l->vm->why - (size_t)n, fmt, ap);
    va_end(ap);
    return -EINVAL;
}

/* A taken range that [base, base+len) meets. */
static const struct load_range *overlaps(const struct load *l, uint64_t base, uint64_t len)
{
    for (unsigned i = 0; i < l->nused; i++) {
        const struct load_range *u = &l->used[i];

        if (base < u->base + u->len && u->base < base + len)
            return u;
    }
    return NULL;
}

/* The piece of RAM that holds [base, base+len); false: none does. Page 0 is not offered. */
static bool in_ram(const struct load *l, uint64_t base, uint64_t len)
{
    struct load_mem map[LOAD_MEMS];
    unsigned n = load_memory_map(l->vm, map);

    for (unsigned i = 0; i < n; i++)
        if (map[i].type == 1 && range_within(base, len, map[i].base, map[i].len))
            return base >= PAGE_SIZE;
    return false;
}

static int add_range(struct load *l, uint64_t base, uint64_t len)
{
    if (l->nused == LOAD_RANGES) {
        snprintf(l->vm->why, sizeof l->vm->why, "kernel %s: more than %d pieces to load",
                 l->config->kernel, LOAD_RANGES);
        return -ENOSPC;
    }
    l->used[l->nused++] = (struct load_range){ base, len };
    return 0;
}

int load_take(struct load *l, uint64_t base, uint64_t len, const char *what)
{
    if (len == 0)
        return 0;
    if (!in_ram(l, base, len)) {
        snprintf(l->vm->why, sizeof l->vm->why,
                 "%s at %#llx, %llu KiB: not in the guest's memory; give it more", what,
                 (unsigned long long)base, (unsigned long long)(len / KIB));
        return -ENOSPC;
    }
    if (overlaps(l, base, len) != NULL) {
        snprintf(l->vm->why, sizeof l->vm->why, "%s at %#llx: overlaps another part", what,
                 (unsigned long long)base);
        return -ENOSPC;
    }
    return add_range(l, base, len);
}

/*
 * Highest free place in one piece of RAM. Each step goes below a taken range, so there are at most
 * LOAD_RANGES.
 */
static bool place_in(const struct load *l, const struct load_mem *m,
                     const struct load_range *limits, uint64_t align, uint64_t len, uint64_t *out)
{
    uint64_t lo = max_u64(max_u64(m->base, limits->base), PAGE_SIZE),
             hi = min_u64(m->base + m->len, limits->base + limits->len);
    const struct load_range *u;

    for (unsigned i = 0; i <= LOAD_RANGES; i++) {
        if (hi < len || hi < lo || hi - lo < len)
            return false;
        *out = align_down(hi - len, align);
        if (*out < lo)
            return false;
        u = overlaps(l, *out, len);
        if (u == NULL)
            return true;
        hi = u->base;
    }
    return false;
}

static bool place_low(const struct load *l, const struct load_mem *m, uint64_t above,
                      uint64_t align, uint64_t len, uint64_t *out)
{
    const struct load_range *u;

    *out = align_up(max_u64(m->base, above), align);
    for (unsigned i = 0; i <= LOAD_RANGES && range_within(*out, len, m->base, m->len); i++) {
        u = overlaps(l, *out, len);
        if (u == NULL)
            return true;
        *out = align_up(u->base + u->len, align);
    }
    return false;
}

static int no_room(struct load *l, const char *what, uint64_t len)
{
    snprintf(l->vm->why, sizeof l->vm->why,
             "%s, %llu KiB: no room for it in the guest's memory; give it more", what,
             (unsigned long long)(len / KIB));
    return -ENOSPC;
}

int load_alloc_low(struct load *l, uint64_t len, uint64_t align, uint64_t above, const char *what,
                   uint64_t *base)
{
    struct load_mem map[LOAD_MEMS];
    unsigned n = load_memory_map(l->vm, map);

    for (unsigned i = 0; i < n; i++)
        if (map[i].type == 1 && map[i].base < 4 * GIB &&
            place_low(l, &map[i], above, align, max_u64(len, 1), base))
            return add_range(l, *base, max_u64(len, 1));
    return no_room(l, what, len);
}

int load_alloc(struct load *l, uint64_t len, uint64_t align, uint64_t above, uint64_t below,
               const char *what, uint64_t *base)
{
    struct load_mem map[LOAD_MEMS];
    unsigned n = load_memory_map(l->vm, map);
    struct load_range limits = { above, below > above ? below - above : 0 };

    for (unsigned i = n; i-- > 0;)
        if (map[i].type == 1 && place_in(l, &map[i], &limits, align, max_u64(len, 1), base))
            return add_range(l, *base, max_u64(len, 1));
    return no_room(l, what, len);
}

int load_copy(struct load *l, uint64_t base, const void *src, uint64_t len)
{
    if (len == 0 || gmem_write(l->vm, gpa(base), src, len) == 0)
        return 0;
    snprintf(l->vm->why, sizeof l->vm->why, "guest memory at %#llx cannot be written",
             (unsigned long long)base);
    return -EFAULT;
}

int load_later(struct load *l, uint64_t base, const uint8_t *src, uint64_t len)
{
    if (len == 0)
        return 0;
    if (l->njobs == LOAD_RANGES)
        return -ENOSPC;
    l->job[l->njobs++] = (struct load_job){ base, src, len };
    return 0;
}

int load_copy_step(struct load *l, uint64_t budget)
{
    for (; l->next < l->njobs && budget; l->next += l->job[l->next].len == 0) {
        struct load_job *j = &l->job[l->next];
        uint64_t n = min_u64(j->len, budget);
        int err = load_copy(l, j->base, j->src, n);

        if (err != 0)
            return err;
        j->base += n;
        j->src += n;
        j->len -= n;
        budget -= n;
    }
    return l->next < l->njobs;
}

int load_file(struct load *l, const char *path, const uint8_t **data, uint64_t *len)
{
    *data = file_find(path, len);
    if (*data != NULL)
        return 0;
    snprintf(l->vm->why, sizeof l->vm->why, "file %s was not loaded at boot", path);
    return -ENOENT;
}

/*
 * The BIOS data area and the extended one, as a BIOS leaves them on a PC with one serial port and
 * neither printer nor display (IBM PS/2 and PC BIOS Interface Technical Reference, "BIOS data
 * areas"). What is not here is 0: ports that do not exist, disks, keys, ticks.
 */
int load_bda(struct vm *vm)
{
    uint64_t base_kib = min_u64(vm->config->memory, PLAT_EBDA) / KIB;
    const struct {
        uint16_t at, val;
    } words[] = { { 0x400, PORT_COM1 },
                  { 0x40e, PLAT_EBDA >> 4 },
                  { 0x410, 1 << 9 | 1 << 1 }, /* equipment: serial ports, coprocessor */
                  { 0x413, (uint16_t)base_kib },
                  { 0x480, 0x1e },   /* keyboard buffer */
                  { 0x482, 0x3e } }; /* its end */
    uint8_t kib = PLAT_EBDA_LEN / KIB;
    int err = 0;

    for (unsigned i = 0; err == 0 && i < ARRAY_SIZE(words); i++)
        err = gmem_write(vm, gpa(words[i].at), &words[i].val, sizeof words[i].val);
    if (err == 0 && vm->config->memory >= PLAT_EBDA + PLAT_EBDA_LEN)
        err = gmem_write(vm, gpa(PLAT_EBDA), &kib, 1);
    return err;
}
