/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * file.c: reads trivet.conf and the files it names from the volume that the loader was started
 * from.
 */
#include "loader.h"
#include <hv/config_files.h>
#include <string.h>

/* one Read call; some firmware fails with very large ones */
#define CHUNK (4ull << 20)
#define CONFIG_MAX (1ull << 20)

static uint64_t cycles_per_ms;

struct reader {
    struct boot_info *bi;
    EFI_FILE_HANDLE root;
};

static uint64_t to_ms(uint64_t cycles) { return cycles_per_ms ? cycles / cycles_per_ms : 0; }

static void calibrate(void)
{
    uint64_t t = boot_cycles();

    (void)BS->Stall(1000);
    cycles_per_ms = boot_cycles() - t;
}

static EFI_STATUS file_size(EFI_FILE_HANDLE f, uint64_t *size)
{
    EFI_FILE_INFO *fi = LibFileInfo(f);

    if (!fi)
        return EFI_DEVICE_ERROR;
    *size = fi->Attribute & EFI_FILE_DIRECTORY ? 0 : fi->FileSize;
    FreePool(fi);
    return EFI_SUCCESS;
}

/* Reads exactly `size` bytes; a short read is an error. */
static EFI_STATUS read_all(EFI_FILE_HANDLE f, uint64_t at, uint64_t size)
{
    for (uint64_t done = 0; done < size;) {
        UINTN n = size - done < CHUNK ? size - done : CHUNK;
        EFI_STATUS st = f->Read(f, &n, (void *)(at + done));

        if (bad(st) || n == 0)
            return EFI_DEVICE_ERROR;
        done += n;
        if (size > 8 * CHUNK)
            Print(L" %d%%\r", (int)(done * 100 / size));
    }
    return EFI_SUCCESS;
}

/* The file's bytes in fresh pages with at least one zero byte after them. */
static enum boot_file_status slurp(EFI_FILE_HANDLE root, const char *name, uint64_t max,
                                   uint64_t *phys, uint64_t *size)
{
    CHAR16 path[BOOT_NAME_MAX + 2];
    EFI_FILE_HANDLE f;
    enum boot_file_status res = BOOT_FILE_OK;

    path_utf16(name, path, sizeof path / sizeof path[0]);
    if (bad(root->Open(root, &f, path, EFI_FILE_MODE_READ, 0)))
        return BOOT_FILE_MISSING;
    if (bad(file_size(f, size)) || *size > max) {
        res = BOOT_FILE_READ_ERROR;
        goto out;
    }
    uint64_t room = (*size + 4096) & ~4095ull;
    *phys = alloc_pages(room, ~0ull);
    if (!*phys) {
        res = BOOT_FILE_NO_MEMORY;
        goto out;
    }
    SetMem((void *)(*phys + room - 4096), 4096, 0);
    if (bad(read_all(f, *phys, *size))) {
        (void)BS->FreePages(*phys, room >> 12);
        *phys = 0;
        res = BOOT_FILE_READ_ERROR;
    }
out:
    (void)f->Close(f);
    return res;
}

static const CHAR16 *const status_text[] = {
    [BOOT_FILE_OK] = L"ok",
    [BOOT_FILE_MISSING] = L"NOT FOUND on the boot volume; guests that need it will not start",
    [BOOT_FILE_READ_ERROR] = L"CANNOT BE READ; guests that need it will not start",
    [BOOT_FILE_NO_MEMORY] = L"does not fit into memory; guests that need it will not start",
};

static void report(const struct boot_file *f)
{
    if (f->status == BOOT_FILE_OK)
        Print(L"  %a  %ld KiB in %ld ms\r\n", f->name, (f->size + 1023) >> 10, to_ms(f->cycles));
    else
        Print(L"  %a  %s\r\n", f->name, status_text[f->status]);
}

/* config_files() callback: one file name; the same name twice is read once. */
static void add_file(void *ctx, unsigned line, const char *name, size_t len)
{
    struct reader *r = ctx;
    struct boot_info *bi = r->bi;

    if (len >= BOOT_NAME_MAX) {
        Print(L"  trivet.conf, line %d: a path of %ld bytes is too long (at most %d)\r\n", line,
              len, BOOT_NAME_MAX - 1);
        return; /* the hypervisor's reader says so too, and leaves the guest out */
    }
    for (uint32_t i = 0; i < bi->nfiles; i++)
        if (config_same_file(bi->files[i].name, strlen(bi->files[i].name), name, len))
            return;
    if (bi->nfiles == BOOT_FILES_MAX) {
        bi->files_dropped++;
        return;
    }
    struct boot_file *f = &bi->files[bi->nfiles++];
    CopyMem(f->name, name, len);
    uint64_t t = boot_cycles();
    f->status = slurp(r->root, f->name, ~0ull >> 1, &f->phys, &f->size);
    f->cycles = boot_cycles() - t;
    report(f);
}

void load_files(struct boot_info *bi, EFI_HANDLE device)
{
    struct reader r = { .bi = bi, .root = device ? LibOpenRoot(device) : NULL };

    calibrate();
    if (!r.root) {
        Print(L"trivet: the boot volume has no file system that the firmware can read: no "
              L"trivet.conf, no guests\r\n");
        return;
    }
    enum boot_file_status st =
        slurp(r.root, "trivet.conf", CONFIG_MAX, &bi->config, &bi->config_size);
    if (st != BOOT_FILE_OK) {
        bi->config = 0;
        bi->config_size = 0;
        Print(L"trivet: \\trivet.conf %s\r\n",
              st == BOOT_FILE_MISSING ? L"is not on the boot volume: starting without guests"
                                      : L"cannot be read: starting without guests");
    } else {
        Print(L"Trivet: trivet.conf, %ld bytes; reading the files that it names\r\n",
              bi->config_size);
        config_files((const char *)bi->config, loader_isa, add_file, &r);
    }
    (void)r.root->Close(r.root);
}
