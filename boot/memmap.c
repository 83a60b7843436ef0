/* memmap.c: the memory map: leaving boot services, then the map in our own words. */
#include "loader.h"

#define SLACK 64                        /* descriptors that later allocations may add */

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
    [EfiBootServicesCode] = BOOT_MEM_FREE,
    [EfiBootServicesData] = BOOT_MEM_FREE,
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

    return k == BOOT_MEM_FREE && !(d->Attribute & EFI_MEMORY_WB) ? BOOT_MEM_RESERVED : k;
}

static const EFI_MEMORY_DESCRIPTOR *desc(UINTN i)
{
    return (const EFI_MEMORY_DESCRIPTOR *)((const char *)map.raw + i * map.stride);
}

static EFI_STATUS get_map(void)
{
    map.size = map.room;
    return BS->GetMemoryMap(&map.size, map.raw, &map.key, &map.stride, &map.version);
}

/* Makes room for the firmware's map. */
static EFI_STATUS make_room(void)
{
    EFI_STATUS st;

    map.room = 0;
    st = get_map();
    if (st != EFI_BUFFER_TOO_SMALL)
        return bad(st) ? st : EFI_DEVICE_ERROR;
    map.room = map.size + SLACK * map.stride;
    map.raw = (void *)alloc_pages(map.room, ~0ull);
    return map.raw ? EFI_SUCCESS : EFI_OUT_OF_RESOURCES;
}

uint64_t memmap_top(void)
{
    uint64_t top = 0;

    if (bad(make_room()) || bad(get_map()))
        return 0;
    for (UINTN i = 0; i < map.size / map.stride; i++) {
        const EFI_MEMORY_DESCRIPTOR *d = desc(i);
        uint64_t end = d->PhysicalStart + (d->NumberOfPages << 12);
        uint32_t k = kind_of(d);

        if (k != BOOT_MEM_MMIO && k != BOOT_MEM_RESERVED && k != BOOT_MEM_BAD && end > top)
            top = end;
    }
    (void)BS->FreePages((uint64_t)map.raw, (map.room + 4095) >> 12);
    return top;
}

EFI_STATUS memmap_reserve(struct boot_info *bi)
{
    EFI_STATUS st = make_room();

    if (bad(st))
        return st;
    bi->mem = alloc_pages((map.room / map.stride + 1) * sizeof(struct boot_mem), ~0ull);
    return bi->mem ? EFI_SUCCESS : EFI_OUT_OF_RESOURCES;
}

/* Inserts in order of base, from the end: firmware maps are nearly sorted. */
static uint32_t insert(struct boot_mem *m, uint32_t n, struct boot_mem r)
{
    uint32_t i = n;

    for (; i > 0 && m[i - 1].base > r.base; i--)
        m[i] = m[i - 1];
    m[i] = r;
    return n + 1;
}

/* Joins neighbours of one type; where two ranges overlap, the later one is cut. */
static uint32_t merge(struct boot_mem *m, uint32_t n)
{
    uint32_t o = 0;

    for (uint32_t i = 0; i < n; i++) {
        struct boot_mem r = m[i];
        uint64_t end = o ? m[o - 1].base + m[o - 1].len : 0;

        if (o && r.base < end) {
            uint64_t cut = end - r.base < r.len ? end - r.base : r.len;
            r.base += cut;
            r.len -= cut;
        }
        if (!r.len)
            continue;
        if (o && m[o - 1].type == r.type && r.base == end)
            m[o - 1].len += r.len;
        else
            m[o++] = r;
    }
    return o;
}

EFI_STATUS memmap_exit_boot(struct boot_info *bi, EFI_HANDLE image)
{
    struct boot_mem *m = (struct boot_mem *)bi->mem;
    EFI_STATUS st = EFI_DEVICE_ERROR;
    uint32_t n = 0;

    for (int tries = 0; tries < 4; tries++) {
        if (bad(st = get_map()))
            return st;
        if (!bad(st = BS->ExitBootServices(image, map.key)))
            break;
    }
    if (bad(st))
        return st;
    for (UINTN i = 0; i < map.size / map.stride; i++) {
        const EFI_MEMORY_DESCRIPTOR *d = desc(i);

        n = insert(m, n, (struct boot_mem){ .base = d->PhysicalStart, .len = d->NumberOfPages << 12, .type = kind_of(d) });
    }
    bi->nmem = merge(m, n);
    return EFI_SUCCESS;
}
