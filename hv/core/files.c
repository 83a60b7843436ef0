/* SPDX-License-Identifier: BSD-2-Clause */
/* files.c: finds the stick's files, of any generation. */
#include <hv/assert.h>
#include <hv/files.h>
#include <hv/log.h>
#include <hv/pmm.h>
#include <hv/time.h>

static const struct boot_info *info;
/* The boot program's: from generation 1 until this one; 0: they still are. */
static struct {
    uint64_t until;
    bool keep;
} booted[BOOT_FILES_MAX];
static struct file_version *added;
static uint64_t newest = 1, looked_at = FILES_NEWEST;

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

/* ---- generations ---- */

uint64_t files_generation(void) { return newest; }

void files_look_at(uint64_t generation)
{
    assert_cpu0();
    looked_at = generation;
}

/* until: 0: it still is. */
static bool files_visible(uint64_t from, uint64_t until, bool keep)
{
    uint64_t at = looked_at == FILES_NEWEST ? newest : looked_at;

    if (at == FILES_COMING)
        return from > newest || (keep && !until);
    return from <= at && (!until || at < until);
}

static const void *booted_find(const char *path, uint64_t *len, uint32_t *which)
{
    for (uint32_t i = 0; info && i < info->nfiles && i < BOOT_FILES_MAX; i++) {
        const struct boot_file *f = &info->files[i];

        if (f->status != BOOT_FILE_OK || !files_visible(1, booted[i].until, booted[i].keep) ||
            !files_same(f->name, path))
            continue;
        *len = f->size;
        *which = i;
        return phys_to_virt(hpa(f->phys));
    }
    return NULL;
}

static struct file_version *added_find(const char *path)
{
    struct file_version *v = added;

    while (v && (!files_visible(v->from, v->until, v->keep) || !files_same(v->path, path)))
        v = v->next;
    return v;
}

const void *file_find(const char *path, uint64_t *len)
{
    const struct file_version *v;
    uint32_t which;

    hv_assert(path && len);
    v = added_find(path);
    if (!v)
        return booted_find(path, len, &which);
    *len = v->len;
    return v->bytes;
}

/* ---- the coming generation ---- */

void files_add(struct file_version *v)
{
    assert_cpu0();
    hv_assert(v->drop && !v->path[sizeof v->path - 1]);
    v->from = newest + 1;
    v->until = 0;
    v->keep = false;
    v->next = added;
    added = v;
}

void files_keep(const char *path)
{
    struct file_version *v;
    uint64_t len;
    uint32_t which;

    assert_cpu0();
    hv_assert(looked_at == FILES_NEWEST);
    v = added_find(path);
    if (v)
        v->keep = true;
    else if (booted_find(path, &len, &which))
        booted[which].keep = true;
}

void files_commit(void)
{
    assert_cpu0();
    newest++;
    for (uint32_t i = 0; i < BOOT_FILES_MAX; i++) {
        if (!booted[i].until && !booted[i].keep)
            booted[i].until = newest;
        booted[i].keep = false;
    }
    for (struct file_version *v = added; v; v = v->next) {
        if (!v->until && !v->keep && v->from != newest)
            v->until = newest;
        v->keep = false;
    }
}

static void drop_those(bool (*which)(const struct file_version *, uint64_t), uint64_t n)
{
    for (struct file_version **at = &added; *at;) {
        struct file_version *v = *at;

        if (!which(v, n)) {
            at = &v->next;
            continue;
        }
        *at = v->next;
        v->drop(v);
    }
}

static bool is_coming(const struct file_version *v, uint64_t n) { return v->from > n; }
static bool is_past(const struct file_version *v, uint64_t n) { return v->until && v->until <= n; }

void files_cancel(void)
{
    assert_cpu0();
    drop_those(is_coming, newest);
    for (uint32_t i = 0; i < BOOT_FILES_MAX; i++)
        booted[i].keep = false;
    for (struct file_version *v = added; v; v = v->next)
        v->keep = false;
}

void files_drop(uint64_t oldest)
{
    assert_cpu0();
    drop_those(is_past, oldest);
}

uint64_t files_bytes(void)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; info && i < info->nfiles && i < BOOT_FILES_MAX; i++)
        if (info->files[i].status == BOOT_FILE_OK)
            sum += align_up(info->files[i].size + 1, PAGE_SIZE);
    for (const struct file_version *v = added; v; v = v->next)
        sum += align_up(v->len + 1, PAGE_SIZE);
    return sum;
}
