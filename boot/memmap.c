/* SPDX-License-Identifier: BSD-2-Clause */
/* memmap.c: the memory map: leaving boot services, then the map in our own words. */
#include "loader.h"

#define SLACK 64         /* descriptors that later allocations may add */
#define RESERVED_MAX 64u /* ranges that a device tree reserves */

static struct {
    void *raw;
    UINTN room, size, key, stride;
    UINT32 version;
} map;

/* UEFI 2.10 table 7.10; types beyond the table are reserved. */
static const uint8_t kind[] = {
    [EfiReservedMemoryType] = BOOT_MEM_RESERVED,
    [EfiLoaderCode] = BOOT_MEM_FREE,
    [EfiLoaderData] = BOOT_MEM_LOADER,
    [EfiBootServicesCode] = BOOT_MEM_BOOT_SERVICES,
    [EfiBootServicesData] = BOOT_MEM_BOOT_SERVICES,
    [EfiRuntimeServicesCode] = BOOT_MEM_RUNTIME,
    [EfiRuntimeServicesData] = BOOT_MEM_RUNTIME,
    [EfiConventionalMemory] = BOOT_MEM_FREE,
    [EfiUnusableMemory] = BOOT_MEM_BAD,
    [EfiACPIReclaimMemory] = BOOT_MEM_ACPI,
    [EfiACPIMemoryNVS] = BOOT_MEM_NVS,
    [EfiMemoryMappedIO] = BOOT_MEM_MMIO,
    [EfiMemoryMappedIOPortSpace] = BOOT_MEM_MMIO,
    [EfiPalCode] = BOOT_MEM_RESERVED,
};

static uint32_t kind_of(const EFI_MEMORY_DESCRIPTOR *d)
{
    uint32_t k = d->Type < sizeof kind ? kind[d->Type] : BOOT_MEM_RESERVED;

    if (k != BOOT_MEM_MMIO && d->PhysicalStart + (d->NumberOfPages << 12) > direct_limit)
        return BOOT_MEM_RESERVED;
    return k <= BOOT_MEM_BOOT_SERVICES && !(d->Attribute & EFI_MEMORY_WB) ? BOOT_MEM_RESERVED : k;
}

static const EFI_MEMORY_DESCRIPTOR *desc(UINTN i)
{
    return (const EFI_MEMORY_DESCRIPTOR *)((const char *)map.raw + i * map.stride);
}

static EFI_STATUS memmap_get_map(void)
{
    map.size = map.room;
    return BS->GetMemoryMap(&map.size, map.raw, &map.key, &map.stride, &map.version);
}

/* After memmap_get_map() has said how much there is: room for it, and for what comes. */
static EFI_STATUS grow(void)
{
    map.room = map.size + SLACK * map.stride;
    map.raw = (void *)alloc_pages(map.room, ~0ull);
    return map.raw ? EFI_SUCCESS : EFI_OUT_OF_RESOURCES;
}

/* Makes room for the firmware's map. */
static EFI_STATUS memmap_make_room(void)
{
    EFI_STATUS st;

    map.room = 0;
    st = memmap_get_map();
    if (st != EFI_BUFFER_TOO_SMALL)
        return bad(st) ? st : EFI_DEVICE_ERROR;
    return grow();
}

static EFI_STATUS room_for_ours(struct boot_info *bi)
{
    bi->mem = alloc_pages((map.room / map.stride + SLACK + RESERVED_MAX) * sizeof(struct boot_mem),
                          ~0ull);
    return bi->mem ? EFI_SUCCESS : EFI_OUT_OF_RESOURCES;
}

/*
 * The map as it is now; where it has grown by more than the slack, in a larger place. Memory may be
 * allocated also after an ExitBootServices that failed (UEFI 2.10 §7.4.6); nothing else may be
 * called.
 */
static EFI_STATUS map_now(struct boot_info *bi)
{
    EFI_STATUS st = memmap_get_map();

    for (int tries = 0; st == EFI_BUFFER_TOO_SMALL && tries < 4; tries++) {
        st = grow();
        if (!bad(st))
            st = room_for_ours(bi);
        if (!bad(st))
            st = memmap_get_map();
    }
    return st;
}

EFI_STATUS memmap_each(EFI_STATUS (*fn)(void *ctx, uint64_t base, uint64_t len), void *ctx)
{
    EFI_STATUS st = memmap_make_room();

    if (!bad(st))
        st = memmap_get_map();
    for (UINTN i = 0; !bad(st) && i < map.size / map.stride; i++) {
        uint32_t k = kind_of(desc(i));

        if (k != BOOT_MEM_MMIO && k != BOOT_MEM_RESERVED && k != BOOT_MEM_BAD &&
            desc(i)->Attribute & EFI_MEMORY_WB)
            st = fn(ctx, desc(i)->PhysicalStart, desc(i)->NumberOfPages << 12);
    }
    if (map.room)
        (void)BS->FreePages((uint64_t)map.raw, (map.room + 4095) >> 12);
    return st;
}

EFI_STATUS memmap_reserve(struct boot_info *bi)
{
    EFI_STATUS st = memmap_make_room();

    return bad(st) ? st : room_for_ours(bi);
}

/*
 * The whole of it is memory that we map: firmware may have given what it does not let be cached, or
 * what the device tree reserves.
 */
static bool memmap_is_ours(const struct boot_info *bi, const struct boot_mem *m, uint64_t at,
                           uint64_t len)
{
    for (uint32_t i = 0; i < bi->nmem; i++)
        if (m[i].type == BOOT_MEM_LOADER && at >= m[i].base && len <= m[i].len &&
            at - m[i].base <= m[i].len - len)
            return true;
    return false;
}

EFI_STATUS memmap_exit_boot(struct boot_info *bi, EFI_HANDLE image)
{
    struct boot_mem *m;
    EFI_STATUS st = map_now(bi);
    uint32_t n = 0, room;

    if (bad(st))
        return st; /* the firmware is whole yet */
    for (int tries = 0; bad(BS->ExitBootServices(image, map.key)); tries++)
        if (tries == 4 || bad(st = map_now(bi)))
            /* the console is gone: start again, rather than stand still without a word */
            RT->ResetSystem(EfiResetCold, bad(st) ? st : EFI_DEVICE_ERROR, 0, NULL);
    m = (struct boot_mem *)bi->mem;
    room = (uint32_t)(map.room / map.stride + SLACK + RESERVED_MAX);
    for (UINTN i = 0; i < map.size / map.stride; i++) {
        const EFI_MEMORY_DESCRIPTOR *d = desc(i);

        n = ranges_insert(m, n,
                          (struct boot_mem){ .base = d->PhysicalStart,
                                             .len = d->NumberOfPages << 12,
                                             .type = kind_of(d) });
    }
    if (bi->fdt)
        n = fdt_reserved((const void *)bi->fdt, m, n, n + RESERVED_MAX);
    bi->nmem = ranges_normalise(m, n, room);
    if (!memmap_is_ours(bi, m, bi->kept, BOOT_KEPT_SIZE))
        bi->kept = 0;
    return EFI_SUCCESS;
}
