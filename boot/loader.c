/* SPDX-License-Identifier: BSD-2-Clause */
/* loader.c: from the firmware to the hypervisor's entry point. */
#include "loader.h"

EFI_STATUS fail(const CHAR16 *what, EFI_STATUS st)
{
    Print(L"trivet: %s: %r\r\n", what, st);
    return st;
}

uint64_t alloc_pages(uint64_t bytes, uint64_t max)
{
    EFI_PHYSICAL_ADDRESS a = max;
    EFI_ALLOCATE_TYPE how = max == ~0ull ? AllocateAnyPages : AllocateMaxAddress;
    UINTN pages = (bytes + 4095) >> 12;

    if (bad(BS->AllocatePages(how, EfiLoaderData, pages, &a)))
        return 0;
    return a;
}

/*
 * Where what outlives a reset is looked for: RAM begins somewhere here on most machines. Not at its
 * very start, where firmware and QEMU put things anew in a reset.
 */
#define KEPT_FIRST 0x3000000ull
#define KEPT_STEP 0x2000000ull
#define KEPT_LAST 0x200000000ull

/*
 * The first place that is free. Called before any other memory is taken, so that it is the same in
 * every boot as long as the firmware behaves alike.
 */
static uint64_t find_kept(void)
{
    for (EFI_PHYSICAL_ADDRESS at = KEPT_FIRST; at < KEPT_LAST; at += KEPT_STEP) {
        EFI_PHYSICAL_ADDRESS got = at;

        if (!bad(BS->AllocatePages(AllocateAddress, EfiLoaderData, BOOT_KEPT_SIZE >> 12, &got)))
            return at;
    }
    return 0;
}

static void record_boot_path(struct boot_info *bi, EFI_LOADED_IMAGE *li)
{
    CHAR16 *s = DevicePathToStr(DevicePathFromHandle(li->DeviceHandle));

    if (!s)
        return;
    for (UINTN i = 0; i + 1 < BOOT_NAME_MAX && s[i]; i++)
        bi->boot_path[i] = s[i] < 0x80 ? (char)s[i] : '?';
    FreePool(s);
}

#define HD_LEN 42u /* UEFI 2.10 section 10.3.5.1, table 10.46: without what C adds at its end */

static uint32_t part_kind(uint8_t signature_type)
{
    return signature_type == SIGNATURE_TYPE_GUID  ? BOOT_PART_GPT
           : signature_type == SIGNATURE_TYPE_MBR ? BOOT_PART_MBR
                                                  : BOOT_PART_NONE;
}

/* The node of the device path that names the partition. It need not be aligned. */
static void record_boot_part(struct boot_info *bi, EFI_LOADED_IMAGE *li)
{
    EFI_DEVICE_PATH *path = DevicePathFromHandle(li->DeviceHandle);
    HARDDRIVE_DEVICE_PATH hd;

    for (; path && !IsDevicePathEnd(path); path = NextDevicePathNode(path)) {
        UINTN len = (UINTN)DevicePathNodeLength(path);

        if (len < sizeof(EFI_DEVICE_PATH))
            return;
        if (DevicePathType(path) != MEDIA_DEVICE_PATH ||
            DevicePathSubType(path) != MEDIA_HARDDRIVE_DP || len < HD_LEN)
            continue;
        CopyMem(&hd, path, HD_LEN);
        bi->boot_part.kind = part_kind(hd.SignatureType);
        bi->boot_part.number = hd.PartitionNumber;
        CopyMem(bi->boot_part.signature, hd.Signature, sizeof bi->boot_part.signature);
    }
}

static struct boot_info *new_boot_info(void)
{
    uint64_t kept = find_kept(), phys = alloc_pages(sizeof(struct boot_info), ~0ull);
    struct boot_info *bi = (struct boot_info *)phys;

    if (!phys)
        return NULL;
    SetMem(bi, (sizeof *bi + 4095) & ~4095ull, 0);
    bi->magic = BOOT_INFO_MAGIC;
    bi->version = BOOT_INFO_VERSION;
    bi->size = sizeof *bi;
    bi->self = phys;
    bi->kept = kept;
    bi->efi_systab = (uint64_t)ST;
    return bi;
}

/* Everything that needs boot services. On success only handoff() is left to do. */
static EFI_STATUS loader_prepare(struct boot_info *bi, EFI_HANDLE image, uint64_t *entry)
{
    EFI_LOADED_IMAGE *li;
    EFI_STATUS st = BS->HandleProtocol(image, &LoadedImageProtocol, (void **)&li);

    if (bad(st))
        return fail(L"the firmware does not say where it loaded us from", st);
    record_boot_path(bi, li);
    record_boot_part(bi, li);
    load_files(bi, li->DeviceHandle);
    bi->tsc_files = boot_cycles();
    find_tables(bi);
    find_framebuffer(bi);
    find_cpus(bi);
    find_time(bi);
    find_random(bi);
    if (bad(st = map_direct(bi)))
        return fail(L"no memory for page tables", st);
    if (bad(st = load_image(bi, entry)))
        return fail(L"the hypervisor image", st);
    if (bad(st = handoff_prepare(bi)))
        return fail(L"no memory for the hand-over", st);
    if (bad(st = memmap_reserve(bi)))
        return fail(L"no memory for the memory map", st);
    return EFI_SUCCESS;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *systab)
{
    uint64_t start = boot_cycles(), entry = 0;
    struct boot_info *bi;
    EFI_STATUS st;

    InitializeLib(image, systab);
    (void)BS->SetWatchdogTimer(0, 0, 0, NULL);
    Print(L"Trivet: started by UEFI %d.%d (%s)\r\n", ST->Hdr.Revision >> 16,
          (ST->Hdr.Revision & 0xffff) / 10, ST->FirmwareVendor);
    const CHAR16 *missing = machine_check();
    if (missing) {
        Print(L"trivet: cannot run on this machine: %s\r\n", missing);
        return EFI_UNSUPPORTED;
    }
    bi = new_boot_info();
    if (!bi)
        return fail(L"no memory", EFI_OUT_OF_RESOURCES);
    bi->tsc_entry = start;
    if (bad(st = loader_prepare(bi, image, &entry)))
        return st;
    if (bad(st = memmap_exit_boot(bi, image)))
        return fail(L"the firmware does not let go (ExitBootServices)", st);
    bi->tsc_exit = boot_cycles();
    handoff(bi, entry);
}
