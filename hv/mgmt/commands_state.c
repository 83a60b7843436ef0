/* SPDX-License-Identifier: BSD-2-Clause */
/* The command `state`: the state volume, and what it keeps. */
#include "mgmt.h"
#include "out.h"
#include <hv/store_volume.h>

static const char *state_word(const struct store *s)
{
    if (s->state == STORE_NEW)
        return "being read";
    if (s->state == STORE_DAMAGED)
        return "damaged";
    return s->frozen ? "read only" : "in use";
}

static void state_list(struct out *o, const struct store *s)
{
    static const struct column cols[] = {
        { "name", "Object", UNIT_NONE, false },
        { "bytes", "Size", UNIT_BYTES, true },
        { "update", "By update", UNIT_NONE, true },
        { "state", "State", UNIT_NONE, false },
    };
    struct store_object object;

    out_list(o, "objects", cols, ARRAY_SIZE(cols));
    for (uint32_t i = 0; s && store_object(s, i, &object); i++) {
        out_row(o);
        out_cell(o, object.name);
        out_cell_number(o, object.len);
        out_cell_number(o, object.sequence);
        out_cell(o, object.damaged ? "damaged" : "whole");
    }
    out_list_end(o);
}

void cmd_state(struct out *o, unsigned argc, char **argv)
{
    struct store_space p = { 0, 0, 0, 0 };
    const char *why = "";
    const struct store *s = store_volume(&why);

    (void)argc;
    (void)argv;
    if (s)
        store_space(s, &p);
    out_text(o, "volume", "State volume", "%s", s ? store_volume_name() : "");
    out_text(o, "state", "State", "%s", s ? state_word(s) : "none");
    if (*why)
        out_text(o, "why", "Why", "%s", why);
    else
        out_null(o, "why");
    if (!s)
        out_line(o, "What guests store in UEFI variables is lost when they stop.");
    out_number(o, "bytes", "Size", p.bytes, UNIT_BYTES);
    out_number(o, "free_bytes", "Free", p.free, UNIT_BYTES);
    out_number(o, "updates", "Updates", p.updates, UNIT_NONE);
    out_number(o, "written_bytes", "Ever written", p.written, UNIT_BYTES);
    state_list(o, s);
}
