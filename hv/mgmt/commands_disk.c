/* SPDX-License-Identifier: BSD-2-Clause */
/* The command `disks`: the host's disks, their partitions, who holds them, how they fare. */
#include "mgmt.h"
#include "out.h"
#include <hv/disk.h>
#include <hv/time.h>
#include <stdio.h>
#include <string.h>

static const char *const tables[] = {
    [PART_NONE] = "none", [PART_MBR] = "MBR", [PART_GPT] = "GPT"
};

/* Who holds sectors of [first, first + sectors). */
static const char *disks_holders(const struct disk *d, uint64_t first, uint64_t sectors, char *buf,
                                 size_t len)
{
    size_t n = 0;

    buf[0] = '\0';
    for (const struct volume *v = d->volumes; v && n < len; v = v->next)
        if (v->first < first + sectors && first < v->first + v->blk.sectors)
            n += (size_t)snprintf(buf + n, len - n, "%s%s%s", n ? ", " : "", v->holder,
                                  v->blk.ro ? " (reads)" : "");
    return n ? buf : "-";
}

static void list_disks(struct out *o)
{
    static const struct column cols[] = {
        { "name", "Disk", UNIT_NONE, false },       { "bytes", "Size", UNIT_BYTES, true },
        { "block", "Block", UNIT_NONE, true },      { "model", "Model", UNIT_NONE, false },
        { "serial", "Serial", UNIT_NONE, false },   { "controller", "At", UNIT_NONE, false },
        { "unit", "Unit", UNIT_NONE, true },        { "table", "Partitions", UNIT_NONE, false },
        { "holders", "Held by", UNIT_NONE, false }, { "errors", "Errors", UNIT_NONE, true },
    };
    const struct disk *d;

    out_list(o, "disks", cols, ARRAY_SIZE(cols));
    for (unsigned i = 0; (d = disk_by_index(i)); i++) {
        char text[120];

        out_row(o);
        out_cell(o, d->blk.name);
        out_cell_number(o, d->blk.sectors * 512);
        out_cell_number(o, d->blk.limits.block);
        out_cell(o, d->model);
        out_cell(o, d->serial);
        out_cell(o, d->at);
        out_cell_number(o, d->unit);
        snprintf(text, sizeof text, "%s%s", d->table ? tables[d->table->kind] : "none",
                 d->table && d->table->second ? ", second header" : "");
        out_cell(o, text);
        out_cell(o, disks_holders(d, 0, d->blk.sectors, text, sizeof text));
        out_cell_number(o, d->stats.errors);
    }
    out_list_end(o);
}

static void partition(struct out *o, const struct disk *d, const struct part *p)
{
    char text[120];

    out_row(o);
    snprintf(text, sizeof text, "%sp%u", d->blk.name, p->number);
    out_cell(o, text);
    out_cell_number(o, p->sectors * 512);
    out_cell(o, p->label);
    if (d->table->kind == PART_GPT)
        part_guid_text(p->guid, text);
    else
        text[0] = '\0';
    out_cell(o, text);
    out_cell(o, disks_holders(d, p->first, p->sectors, text, sizeof text));
}

static void list_partitions(struct out *o)
{
    static const struct column cols[] = {
        { "name", "Partition", UNIT_NONE, false },   { "bytes", "Size", UNIT_BYTES, true },
        { "label", "partlabel:", UNIT_NONE, false }, { "uuid", "partuuid:", UNIT_NONE, false },
        { "holders", "Held by", UNIT_NONE, false },
    };
    const struct disk *d;

    out_list(o, "partitions", cols, ARRAY_SIZE(cols));
    for (unsigned i = 0; (d = disk_by_index(i)); i++)
        for (uint32_t n = 0; d->table && n < d->table->n; n++)
            partition(o, d, &d->table->part[n]);
    out_list_end(o);
}

static void list_traffic(struct out *o)
{
    static const struct column cols[] = {
        { "name", "Disk", UNIT_NONE, false },
        { "read_bytes", "Read", UNIT_BYTES, true },
        { "written_bytes", "Written", UNIT_BYTES, true },
        { "discarded_bytes", "Discarded", UNIT_BYTES, true },
        { "flushes", "Flushes", UNIT_NONE, true },
        { "retries", "Tried again", UNIT_NONE, true },
        { "timeouts", "Late", UNIT_NONE, true },
    };
    const struct disk *d;

    out_list(o, "traffic", cols, ARRAY_SIZE(cols));
    for (unsigned i = 0; (d = disk_by_index(i)); i++) {
        out_row(o);
        out_cell(o, d->blk.name);
        out_cell_number(o, d->stats.read);
        out_cell_number(o, d->stats.written);
        out_cell_number(o, d->stats.discarded);
        out_cell_number(o, d->stats.flushes);
        out_cell_number(o, d->stats.retries);
        out_cell_number(o, d->stats.timeouts);
    }
    out_list_end(o);
}

static void health_cell(struct out *o, uint64_t v)
{
    if (v == DISK_UNTOLD)
        out_cell_null(o);
    else
        out_cell_number(o, v);
}

/* Those that tell. */
static void list_health(struct out *o)
{
    static const struct column cols[] = {
        { "name", "Disk", UNIT_NONE, false },
        { "celsius", "Celsius", UNIT_NONE, true },
        { "worn_percent", "Worn, %", UNIT_NONE, true },
        { "media_errors", "Media errors", UNIT_NONE, true },
        { "logged_errors", "Error log", UNIT_NONE, true },
        { "warnings", "Warnings", UNIT_NONE, true },
        { "age_ns", "Told ago", UNIT_NS, true },
    };
    const struct disk *d;

    out_list(o, "health", cols, ARRAY_SIZE(cols));
    for (unsigned i = 0; (d = disk_by_index(i)); i++) {
        if (!d->health.asked)
            continue;
        out_row(o);
        out_cell(o, d->blk.name);
        health_cell(o, d->health.celsius);
        health_cell(o, d->health.worn);
        health_cell(o, d->health.media_errors);
        health_cell(o, d->health.logged);
        health_cell(o, d->health.warnings);
        out_cell_number(o, time_ns() - d->health.asked);
    }
    out_list_end(o);
}

void cmd_disks(struct out *o, unsigned argc, char **argv)
{
    (void)argc;
    (void)argv;
    list_disks(o);
    list_partitions(o);
    list_traffic(o);
    list_health(o);
}
