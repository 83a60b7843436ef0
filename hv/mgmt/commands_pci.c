/* SPDX-License-Identifier: BSD-2-Clause */
/* The command `pci`: the machine's PCI functions as a tree, and all about one of them. */
#include "mgmt.h"
#include "out.h"
#include <hv/host_topology.h>
#include <stdio.h>
#include <string.h>

enum { DEPTH_MOST = 8 }; /* of indentation */

static const char *const uses[] = {
    [TOPOLOGY_FREE] = "-",
    [TOPOLOGY_BRIDGE] = "machine",
    [TOPOLOGY_TRIVET] = "trivet",
};

static const char *pci_owner(const struct host_topology *t)
{
    return t->use == TOPOLOGY_GUEST ? t->owner : uses[t->use];
}

static void pci_row(struct out *o, const struct host_pci_dev *d, uint32_t i, unsigned depth)
{
    const struct host_topology *t = host_topology_of(i);
    char at[TOPOLOGY_NAME], id[16], shown[TOPOLOGY_NAME + 2 * DEPTH_MOST];

    host_pci_name(&d[i], at);
    snprintf(shown, sizeof shown, "%*s%s", o->json ? 0 : 2 * (int)depth, "", at);
    snprintf(id, sizeof id, "%04x:%04x", d[i].vendor, d[i].device);
    out_row(o);
    out_cell(o, shown);
    out_cell(o, id);
    out_cell(o, host_pci_class(&d[i]));
    out_cell(o, pci_owner(t));
    out_cell(o, t->driver ? t->driver : "-");
    out_cell_number(o, t->group);
    if (o->json)
        out_cell(o, t->parent < 0 ? "" : host_pci_name(&d[t->parent], at));
}

/* The next function below `parent` from i on; count: there is none. */
static uint32_t pci_next_below(int parent, uint32_t i, uint32_t count)
{
    while (i < count && host_topology_of(i)->parent != parent)
        i++;
    return i;
}

/* Depth first. A bridge's parent is on a bus of a lower number, so this ends. */
static void pci_tree(struct out *o)
{
    uint32_t count, i;
    const struct host_pci_dev *d = host_pci_devs(&count);
    int parent = TOPOLOGY_NONE;
    unsigned depth = 0;

    for (i = pci_next_below(parent, 0, count); i < count || parent >= 0;) {
        if (i == count) { /* up again */
            i = (uint32_t)parent;
            parent = host_topology_of(i)->parent;
            depth--;
        } else {
            pci_row(o, d, i, depth < DEPTH_MOST ? depth : DEPTH_MOST);
            if (pci_next_below((int)i, 0, count) < count) {
                parent = (int)i;
                depth++;
                i = pci_next_below(parent, 0, count);
                continue;
            }
        }
        i = pci_next_below(parent, i + 1, count);
    }
}

static void pci_list(struct out *o)
{
    static const struct column cols[] = {
        { "address", "Address", UNIT_NONE, false }, { "id", "ID", UNIT_NONE, false },
        { "class", "Class", UNIT_NONE, false },     { "owner", "Owner", UNIT_NONE, false },
        { "driver", "Driver", UNIT_NONE, false },   { "group", "Group", UNIT_NONE, true },
        { "parent", "", UNIT_NONE, false },
    };

    out_list(o, "devices", cols, ARRAY_SIZE(cols) - !o->json);
    pci_tree(o);
    out_list_end(o);
    out_text(o, "access", "Configuration space by", "%s", host_pci_access());
}

/* ---- explain ---- */

static void pci_say(void *ctx, const char *about, const char *text)
{
    struct out *o = ctx;

    if (!o->json) {
        out_line(o, "%s", text);
        return;
    }
    out_row(o);
    out_cell(o, about);
    out_cell(o, text);
}

static void pci_explain(struct out *o, const char *name)
{
    static const struct column cols[] = { { "about", "", UNIT_NONE, false },
                                          { "text", "", UNIT_NONE, false } };
    char at[TOPOLOGY_NAME];
    uint32_t i, count;
    int err = host_pci_find(name, &i);

    if (err) {
        out_error_code(o, err == -EINVAL ? OUT_USAGE : OUT_UNKNOWN,
                       err == -EINVAL
                           ? "`%.40s` is not an address such as 03:00.0; `pci` lists them"
                           : "there is no PCI function %.40s; `pci` lists them",
                       name);
        return;
    }
    if (!o->json) {
        host_topology_explain(i, pci_say, o);
        return;
    }
    out_text(o, "address", "", "%s", host_pci_name(&host_pci_devs(&count)[i], at));
    out_text(o, "owner", "", "%s", pci_owner(host_topology_of(i)));
    out_number(o, "group", "", host_topology_of(i)->group, UNIT_NONE);
    out_list(o, "sentences", cols, ARRAY_SIZE(cols));
    host_topology_explain(i, pci_say, o);
    out_list_end(o);
}

void cmd_pci(struct out *o, unsigned argc, char **argv)
{
    if (argc == 1)
        pci_list(o);
    else if (argc == 3 && strcmp(argv[1], "explain") == 0)
        pci_explain(o, argv[2]);
    else
        out_error_code(o, OUT_USAGE,
                       "`pci` lists the functions, `pci explain 03:00.0` tells of one");
}
