/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trivet.conf is read twice: the loader looks for the files that it names, the hypervisor reads the
 * rest. Both must see the same files.
 */
#include <hv/config.h>
#include <hv/config_files.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILES = 256 };
static struct {
    const char *name;
    char copy[PATH_LEN];
} files[FILES];
static unsigned nfiles;

static void add(void *ctx, unsigned line, const char *name, size_t len)
{
    (void)ctx;
    (void)line;
    if (nfiles == FILES)
        return;
    if (len >= PATH_LEN) /* the hypervisor refuses it */
        len = PATH_LEN - 1;
    memcpy(files[nfiles].copy, name, len);
    files[nfiles++].copy[len] = '\0';
}

static bool exists(const char *path)
{
    (void)path;
    return true;
}

static void expect(const char *path)
{
    for (unsigned i = 0; i < nfiles; i++)
        if (strcmp(files[i].copy, path) == 0)
            return;
    if (path[0] && nfiles < FILES)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct config_limits limits = { .memory_max = GIB, .cpus = 64, .file_exists = exists };
    char *text = malloc(size + 1);
    struct config c;

    memcpy(text, data, size);
    text[size] = '\0';
    nfiles = 0;
    config_files(text, CONFIG_ALL_ISAS, add, NULL);
    if (config_parse(text, strlen(text), &limits, &c) < 0)
        abort();
    for (unsigned i = 0; i < c.nguests; i++) {
        const struct guest_config *g = &c.guest[i];

        if (g->bad)
            continue;
        expect(g->kernel);
        expect(g->initrd);
        for (unsigned n = 0; n < g->ndisks; n++)
            /* else it is the name of one of the machine's */
            if (g->disk[n].source == DISK_FILE || g->disk[n].source == DISK_CLOUD_INIT)
                expect(g->disk[n].path);
        expect(g->meta_data);
        for (unsigned n = 0; n < g->nmodules; n++)
            expect(g->module[n].path);
    }
    config_free(&c);
    free(text);
    return 0;
}
