/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about the session itself: what people type out of habit. */
#include "mgmt.h"
#include "out.h"
#include "session.h"
#include <hv/date.h>
#include <hv/time.h>

void cmd_exit(struct out *o, unsigned argc, char **argv)
{
    (void)argc;
    (void)argv;
    out_line(o,
             "there is no login to leave. `poweroff` switches the machine off; in a guest's "
             "console, the leave key (Ctrl-] unless trivet.conf says otherwise) comes back here");
}

void cmd_clear(struct out *o, unsigned argc, char **argv)
{
    (void)argc;
    (void)argv;
    if (!o->json)
        session_write(session_of(o), LE_CLEAR, sizeof LE_CLEAR - 1);
}

void cmd_date(struct out *o, unsigned argc, char **argv)
{
    char text[DATE_LEN];

    (void)argc;
    (void)argv;
    date_format(time_wall_s(), text);
    out_text(o, "utc", "UTC", "%s", text);
    out_number(o, "uptime_ns", "Up for", time_ns(), UNIT_NS);
}
