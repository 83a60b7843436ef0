/* SPDX-License-Identifier: BSD-2-Clause */
/* `reload`: what it answers. reload.c does it. */
#include "mgmt.h"
#include "out.h"
#include "reload.h"
#include <hv/stick.h>
#include <hv/time.h>

static void reload_say_errors(struct out *o, const struct reload *r)
{
    static const struct column cols[] = { { "line", "Line", UNIT_NONE, true },
                                          { "text", "", UNIT_NONE, false } };

    out_list(o, "errors", cols, ARRAY_SIZE(cols));
    for (unsigned i = 0; i < r->next.nerrors; i++) {
        out_row(o);
        out_cell_number(o, r->next.error[i].line);
        out_cell(o, r->next.error[i].text);
    }
    out_list_end(o);
}

static void say_changes(struct out *o, const struct reload *r)
{
    static const struct column cols[] = { { "section", "Section", UNIT_NONE, false },
                                          { "change", "Is", UNIT_NONE, false },
                                          { "text", "", UNIT_NONE, false } };

    out_list(o, "changes", cols, ARRAY_SIZE(cols));
    for (unsigned i = 0; i < r->nchanges; i++) {
        out_row(o);
        out_cell(o, r->changes[i].section);
        out_cell(o, r->changes[i].change);
        out_cell(o, r->changes[i].text);
    }
    out_list_end(o);
}

static void say_reloaded(struct out *o, const struct reload *r)
{
    bool refused = r->next.nerrors > 0;

    if (refused || o->json)
        reload_say_errors(o, r);
    if (!refused || o->json)
        say_changes(o, r);
    if (o->json)
        out_number(o, "changes_untold", "", r->untold, UNIT_NONE);
    out_number(o, "read_bytes", "Read", r->read, UNIT_BYTES);
    out_number(o, "new_bytes", "  of it new", r->kept, UNIT_BYTES);
    if (refused)
        out_line(o, "trivet.conf: %u %s: nothing was changed",
                 r->next.nerrors + r->next.errors_untold,
                 r->next.nerrors + r->next.errors_untold == 1 ? "error" : "errors");
    else if (!r->nchanges)
        out_line(o, "trivet.conf: nothing has changed");
    if (r->untold)
        out_line(o, "... and %u more changes", r->untold);
}

static bool reload_poll(struct out *o, struct wait *w)
{
    const struct reload *r = reload_job();

    if (!r->done) {
        if (wait_progress_due(w))
            shell_progress(o, "reload: %s: %llu of %llu MiB, %llu s", r->file.path,
                           (unsigned long long)(r->at / MIB),
                           (unsigned long long)(r->file.bytes / MIB), wait_seconds(w));
        return false;
    }
    if (r->why[0])
        out_error(o, "nothing was changed: %s", r->why);
    else
        say_reloaded(o, r);
    reload_end();
    return true;
}

void cmd_reload(struct out *o, unsigned argc, char **argv)
{
    int err = reload_begin();

    (void)argc, (void)argv;
    if (err == -EBUSY)
        out_error_code(o, OUT_STATE, "a `reload` is under way");
    else if (err == -ENODEV)
        out_error_code(
            o, OUT_STATE,
            "what Trivet started from cannot be read again: %s; `disks` lists those. Put "
            "the stick's contents onto one of them and start from that, or change single "
            "keys by `set`, or `reboot`",
            stick_why());
    else if (err)
        out_error_code(o, OUT_NO_MEMORY, "not enough memory");
    else
        wait_for(o, NULL, UINT64_MAX, reload_poll);
}
