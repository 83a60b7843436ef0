/* SPDX-License-Identifier: BSD-2-Clause */
/* changes.c: in what two readings of trivet.conf differ, for `reload`. */
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/config_files.h>
#include <stddef.h>
#include <string.h>

/* What says where in the file something stands, and no more; by offset. */
#define PLACE(f)                                                                \
    {                                                                           \
        offsetof(struct guest_config, f), sizeof(((struct guest_config *)0)->f) \
    }
static const struct {
    size_t at, size;
} places[] = {
    PLACE(line),        PLACE(after_line),  PLACE(boot_line),
    PLACE(net[0].line), PLACE(net[1].line), PLACE(net[2].line),
    PLACE(net[3].line), PLACE(bad_line),    PLACE(keys_seen),
};
static_assert(ARRAY_SIZE(((struct guest_config *)0)->net) == 4, "places[] has each");

bool config_same_guest(const struct guest_config *a, const struct guest_config *b)
{
    const char *p = (const char *)a, *q = (const char *)b;
    size_t from = 0;

    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        hv_assert(places[i].at >= from);
        if (memcmp(p + from, q + from, places[i].at - from) != 0)
            return false;
        from = places[i].at + places[i].size;
    }
    return memcmp(p + from, q + from, sizeof *a - from) == 0;
}

static bool is_path(const char *path, const char *other)
{
    return other && *other && config_same_file(path, strlen(path), other, strlen(other));
}

bool config_guest_uses(const struct guest_config *g, const char *path)
{
    bool uefi = strcmp(g->firmware, FIRMWARE_UEFI) == 0;
    bool uses = is_path(path, g->kernel) || is_path(path, g->initrd) ||
                is_path(path, g->meta_data) || (!uefi && is_path(path, g->firmware));

    for (unsigned isa = 0; uefi && isa < ISA_COUNT; isa++)
        uses |= is_path(path, config_uefi_file(isa));
    for (unsigned i = 0; i < g->nmodules; i++)
        uses |= is_path(path, g->module[i].path);
    for (unsigned i = 0; i < g->ndisks; i++)
        uses |= (g->disk[i].source == DISK_FILE || g->disk[i].source == DISK_CLOUD_INIT) &&
                is_path(path, g->disk[i].path);
    return uses;
}

const char *config_host_change(const struct host_config *a, const struct host_config *b,
                               unsigned *i)
{
#define HOST_KEY(name, f)                                   \
    {                                                       \
        name, offsetof(struct host_config, f), sizeof(a->f) \
    }
    static const struct {
        const char *name;
        size_t at, size;
    } keys[] = {
        HOST_KEY("escape", escape),
        HOST_KEY("log", log),
        HOST_KEY("log-time", log_time),
        HOST_KEY("json", json),
        HOST_KEY("max-cpus", max_cpus),
        HOST_KEY("mitigations", mitigations),
        HOST_KEY("smt", smt),
        HOST_KEY("iommu", unmap),
        HOST_KEY("microcode", nmicrocode),
        HOST_KEY("vfs", vfs),
    };

    while (*i < ARRAY_SIZE(keys)) {
        size_t at = keys[*i].at;

        if (memcmp((const char *)a + at, (const char *)b + at, keys[(*i)++].size) != 0)
            return keys[*i - 1].name;
    }
    return NULL;
}
