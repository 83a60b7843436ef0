/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * direct.c: the direct map that the hypervisor is entered with: RAM and firmware tables, and only
 * of these, because a CPU may read ahead in whatever is mapped as memory; and the framebuffer, so
 * that the hypervisor's first line can be seen.
 */
#include "loader.h"

/* One range of RAM, with the largest blocks that fit. */
static EFI_STATUS map_range(void *ctx, uint64_t base, uint64_t len)
{
    struct boot_info *bi = ctx;
    EFI_STATUS st = EFI_SUCCESS;

    for (uint64_t a = base, end = base + len; a < end && !bad(st);) {
        unsigned shift = 12;

        for (unsigned s = shift + 9; s <= largest_block(); s += 9)
            if (!(a & ((1ull << s) - 1)) && end - a >= 1ull << s)
                shift = s;
        st = map_block(direct_base + a, a, shift, MAP_WRITE);
        a += 1ull << shift;
    }
    if (base + len > bi->direct_map_end)
        bi->direct_map_end = base + len;
    return st;
}

/* A framebuffer in memory that somebody may be given is none. */
static EFI_STATUS check_screen(void *ctx, uint64_t base, uint64_t len)
{
    struct boot_fb *fb = ctx;

    if (base < fb->base + fb->size && fb->base < base + len)
        fb->format = BOOT_FB_NONE;
    return EFI_SUCCESS;
}

static EFI_STATUS direct_map_screen(struct boot_fb *fb)
{
    uint64_t first = fb->base & ~4095ull, end = (fb->base + fb->size + 4095) & ~4095ull;
    EFI_STATUS st;

    if (end <= first || end > direct_limit)
        fb->format = BOOT_FB_NONE;
    st = memmap_each(check_screen, fb);
    for (uint64_t a = first; fb->format != BOOT_FB_NONE && a < end && !bad(st); a += 4096)
        st = map_block(direct_base + a, a, 12, MAP_WRITE | MAP_DEVICE);
    return st;
}

EFI_STATUS map_direct(struct boot_info *bi)
{
    EFI_STATUS st = tables_begin(bi);

    if (!bad(st))
        st = memmap_each(map_range, bi);
    return bad(st) ? st : direct_map_screen(&bi->fb);
}

EFI_STATUS map_image(uint64_t virt, uint64_t phys, uint64_t len, unsigned flags)
{
    EFI_STATUS st = EFI_SUCCESS;

    for (uint64_t o = 0; o < len && !bad(st); o += 4096)
        st = map_block(virt + o, phys + o, 12, flags);
    return st;
}
