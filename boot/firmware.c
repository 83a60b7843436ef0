/* SPDX-License-Identifier: BSD-2-Clause */
/* firmware.c: what else the firmware knows: configuration tables, framebuffer, CPUs, the time. */
#include "loader.h"

#define FDT_MAX (2u << 20)

struct table_slot {
    EFI_GUID guid;
    size_t offset; /* of the uint64_t in struct boot_info */
};

/* UEFI 2.10 section 4.6.1. A later line wins over an earlier one for the same slot. */
static const struct table_slot slots[] = {
    { ACPI_TABLE_GUID, offsetof(struct boot_info, rsdp) },
    { ACPI_20_TABLE_GUID, offsetof(struct boot_info, rsdp) },
    { SMBIOS_TABLE_GUID, offsetof(struct boot_info, smbios) },
    { SMBIOS3_TABLE_GUID, offsetof(struct boot_info, smbios) },
    { EFI_DTB_TABLE_GUID, offsetof(struct boot_info, fdt) },
};

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/*
 * Devicetree specification 0.4 section 5.2. Some firmware keeps it in memory that is free after
 * ExitBootServices: it is copied.
 */
static void keep_fdt(struct boot_info *bi)
{
    const uint8_t *fdt = (const uint8_t *)bi->fdt;
    uint32_t size = fdt && be32(fdt) == 0xd00dfeed ? be32(fdt + 4) : 0;

    bi->fdt = size && size <= FDT_MAX ? alloc_pages(size, direct_limit - 1) : 0;
    if (bi->fdt)
        CopyMem((void *)bi->fdt, fdt, size);
}

void find_tables(struct boot_info *bi)
{
    for (size_t s = 0; s < sizeof slots / sizeof slots[0]; s++) {
        for (UINTN i = 0; i < ST->NumberOfTableEntries; i++) {
            EFI_GUID guid = slots[s].guid;
            EFI_CONFIGURATION_TABLE *t = &ST->ConfigurationTable[i];

            if (CompareGuid(&t->VendorGuid, &guid) == 0)
                *(uint64_t *)((char *)bi + slots[s].offset) = (uint64_t)t->VendorTable;
        }
    }
    keep_fdt(bi);
}

/*
 * UEFI 2.10 section 12.9.2. PixelBitMask: pixels are as wide as the highest bit in use; those of
 * 32 bits serve. PixelBltOnly: there is no framebuffer.
 */
static uint32_t fb_format(const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info)
{
    const EFI_PIXEL_BITMASK *m = &info->PixelInformation;
    bool wide = (m->RedMask | m->GreenMask | m->BlueMask | m->ReservedMask) >> 24;

    return info->PixelFormat == PixelRedGreenBlueReserved8BitPerColor   ? BOOT_FB_RGBX
           : info->PixelFormat == PixelBlueGreenRedReserved8BitPerColor ? BOOT_FB_BGRX
           : info->PixelFormat == PixelBitMask && wide                  ? BOOT_FB_MASK
                                                                        : BOOT_FB_NONE;
}

static bool take_framebuffer(struct boot_fb *fb, EFI_HANDLE handle)
{
    EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
    EFI_GRAPHICS_OUTPUT_PROTOCOL *gop;

    if (bad(BS->HandleProtocol(handle, &guid, (void **)&gop)) || !gop->Mode || !gop->Mode->Info ||
        fb_format(gop->Mode->Info) == BOOT_FB_NONE)
        return false;
    const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info = gop->Mode->Info;
    *fb = (struct boot_fb){ .base = gop->Mode->FrameBufferBase,
                            .size = gop->Mode->FrameBufferSize,
                            .width = info->HorizontalResolution,
                            .height = info->VerticalResolution,
                            .pitch = info->PixelsPerScanLine * 4,
                            .format = fb_format(info) };
    return true;
}

/* EFI_CONSOLE_OUT_DEVICE_GUID, which EDK II puts on the handles that its console writes to. */
static bool shows_the_console(EFI_HANDLE handle)
{
    EFI_GUID guid = {
        0xd3b36f2c, 0xd551, 0x11d4, { 0x9a, 0x46, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d }
    };
    void *any;

    return !bad(BS->HandleProtocol(handle, &guid, &any));
}

/* The screen that the firmware's console is on; else the first that has a framebuffer. */
void find_framebuffer(struct boot_info *bi)
{
    EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
    EFI_HANDLE *handles;
    UINTN n;

    if (bad(BS->LocateHandleBuffer(ByProtocol, &guid, NULL, &n, &handles)))
        return;
    for (UINTN i = 0; i < n; i++) {
        struct boot_fb fb;
        bool shown = shows_the_console(handles[i]);

        if ((shown || bi->fb.format == BOOT_FB_NONE) && take_framebuffer(&fb, handles[i]))
            bi->fb = fb;
        if (shown && bi->fb.format != BOOT_FB_NONE)
            break;
    }
    (void)BS->FreePool(handles);
}

/*
 * EFI_MP_SERVICES_PROTOCOL, UEFI Platform Initialization 1.7 volume 2 section 13.4: the two calls
 * that we use.
 */
struct mp_info {
    UINT64 id;
    UINT32 flags; /* bit 0 boot CPU, bit 1 enabled, bit 2 healthy */
    UINT32 location[9];
};
static_assert(sizeof(struct mp_info) == 48, "PI 1.7 vol 2 §13.4: EFI_PROCESSOR_INFORMATION");
static_assert(offsetof(struct mp_info, flags) == 8, "PI 1.7 vol 2 §13.4");
struct mp_services {
    EFI_STATUS(EFIAPI *count)(struct mp_services *, UINTN *all, UINTN *enabled);
    EFI_STATUS(EFIAPI *info)(struct mp_services *, UINTN index, struct mp_info *);
};

void find_cpus(struct boot_info *bi)
{
    EFI_GUID guid = {
        0x3fdda605, 0xa76e, 0x4f46, { 0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08 }
    };
    struct mp_services *mp;
    UINTN all, enabled;

    if (bad(BS->LocateProtocol(&guid, NULL, (void **)&mp)) || bad(mp->count(mp, &all, &enabled)))
        return;
    for (UINTN i = 0; i < all && bi->ncpus < BOOT_CPUS_MAX; i++) {
        struct mp_info info;

        if (!bad(mp->info(mp, i, &info)) && (info.flags & 6) == 6)
            bi->cpu_ids[bi->ncpus++] = (uint32_t)info.id;
    }
}

/*
 * UEFI 2.10 section 8.3: TimeZone is minutes west of UTC, or 2047 for "not told", which we take for
 * UTC.
 */
void find_time(struct boot_info *bi)
{
    EFI_TIME t;

    if (bad(ST->RuntimeServices->GetTime(&t, NULL)) || t.Year < 1998 || t.Year > 9999 ||
        t.Month < 1 || t.Month > 12 || t.Day < 1)
        return;
    bi->wall_s =
        date_days(t.Year, t.Month, t.Day) * 86400 + t.Hour * 3600u + t.Minute * 60u + t.Second;
    if (t.TimeZone >= -1440 && t.TimeZone <= 1440)
        bi->wall_s += (uint64_t)((int64_t)t.TimeZone * 60);
}

/* EFI_RNG_PROTOCOL, UEFI 2.10 section 37.5: the firmware's default algorithm. */
struct rng_protocol {
    EFI_STATUS(EFIAPI *info)(struct rng_protocol *, UINTN *size, EFI_GUID *list);
    EFI_STATUS(EFIAPI *get)(struct rng_protocol *, EFI_GUID *algorithm, UINTN bytes, UINT8 *to);
};

void find_random(struct boot_info *bi)
{
    EFI_GUID guid = {
        0x3152bca5, 0xeade, 0x433d, { 0x86, 0x2e, 0xc0, 0x1c, 0xdc, 0x29, 0x1f, 0x44 }
    };
    struct rng_protocol *rng;

    if (bad(BS->LocateProtocol(&guid, NULL, (void **)&rng)) ||
        bad(rng->get(rng, NULL, BOOT_RANDOM, bi->random)))
        return;
    bi->random_bytes = BOOT_RANDOM;
}
