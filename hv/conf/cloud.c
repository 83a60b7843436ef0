/* SPDX-License-Identifier: BSD-2-Clause */
/* cloud.c: the key `cloud-init`: one more disk of the guest, made from one file or two. */
#include "parse.h"
#include <hv/config_files.h>
#include <string.h>

static bool cloud_path(struct parse *p, const char *value, char *path)
{
    size_t n = config_name_len(value, ",");

    if (n == 0) {
        complain(p, "give FILE, or FILE,META: the paths of user-data and meta-data on the stick");
        return false;
    }
    if (n >= PATH_LEN) {
        complain(p, "the path is %zu bytes long; at most %d are accepted", n, PATH_LEN - 1);
        return false;
    }
    memcpy(path, value, n);
    path[n] = '\0';
    check_file(p, path);
    return true;
}

/* The guest's own, or else a new one; NULL: there is no room. */
static struct guest_disk *cloud_disk(struct guest_config *g)
{
    for (unsigned i = 0; i < g->ndisks; i++)
        if (g->disk[i].source == DISK_CLOUD_INIT)
            return &g->disk[i];
    return g->ndisks < ARRAY_SIZE(g->disk) ? &g->disk[g->ndisks] : NULL;
}

void set_cloud_init(struct parse *p, const struct key *k, void *field)
{
    struct guest_config *g = field;
    struct guest_disk *d = cloud_disk(g);
    const char *meta = strchr(p->value, ',');

    (void)k;
    if (!d) {
        complain(p, "at most %zu disks are accepted, cloud-init's among them", ARRAY_SIZE(g->disk));
        return;
    }
    *d = (struct guest_disk){ .source = DISK_CLOUD_INIT, .ro = true };
    g->meta_data[0] = '\0';
    if (!cloud_path(p, p->value, d->path))
        return;
    if (meta && strchr(meta + 1, ',')) {
        complain(p, "give FILE, or FILE,META: no third file is read");
        return;
    }
    if (meta && !cloud_path(p, meta + 1 + strspn(meta + 1, " \t"), g->meta_data))
        return;
    if (d == &g->disk[g->ndisks])
        g->ndisks++;
}
