/* SPDX-License-Identifier: BSD-2-Clause */
/* files.c: finds the files that the boot program read. */
#include "boot/boot_info.h"
#include <hv/assert.h>
#include <hv/files.h>
#include <hv/log.h>
#include <hv/pmm.h>
#include <hv/time.h>

static const struct boot_info *info;

static const char *const why[] = {
    [BOOT_FILE_MISSING] = "is not on the boot partition",
    [BOOT_FILE_READ_ERROR] = "could not be read",
    [BOOT_FILE_NO_MEMORY] = "does not fit into memory",
};

int files_init(const struct boot_info *bi)
{
    assert_cpu0();
    hv_assert(bi);
    for (uint32_t i = 0; i < bi->nfiles && i < BOOT_FILES_MAX; i++) {
        const struct boot_file *f = &bi->files[i];

        if (f->status == BOOT_FILE_OK)
            log_info("file %.*s: %llu KiB, read in %llu ms", BOOT_NAME_MAX, f->name,
                     (unsigned long long)((f->size + 1023) / KIB),
                     (unsigned long long)(time_cycles_to_ns(f->cycles) / 1000000));
        else
            log_warn("file %.*s %s", BOOT_NAME_MAX, f->name,
                     f->status < ARRAY_SIZE(why) ? why[f->status] : "is missing");
    }
    if (bi->files_dropped)
        log_warn("trivet.conf names %u files more than the %u that can be loaded",
                 bi->files_dropped, BOOT_FILES_MAX);
    info = bi;
    return 0;
}

static char files_fold(char c)
{
    if (c == '\\')
        return '/';
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static const char *skip_slash(const char *p)
{
    while (files_fold(*p) == '/')
        p++;
    return p;
}

static bool files_same(const char *name, const char *path)
{
    size_t n = 0;

    name = skip_slash(name);
    path = skip_slash(path);
    while (n + 1 < BOOT_NAME_MAX && name[n] && files_fold(name[n]) == files_fold(path[n]))
        n++;
    return !name[n] && !path[n];
}

const void *file_find(const char *path, uint64_t *len)
{
    hv_assert(path && len);
    for (uint32_t i = 0; info && i < info->nfiles && i < BOOT_FILES_MAX; i++) {
        const struct boot_file *f = &info->files[i];

        if (f->status != BOOT_FILE_OK || !files_same(f->name, path))
            continue;
        *len = f->size;
        return phys_to_virt(hpa(f->phys));
    }
    return NULL;
}

uint64_t files_bytes(void)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; info && i < info->nfiles && i < BOOT_FILES_MAX; i++)
        if (info->files[i].status == BOOT_FILE_OK)
            sum += align_up(info->files[i].size + 1, PAGE_SIZE);
    return sum;
}
