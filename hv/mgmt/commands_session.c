/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about the session itself: what people type out of habit. */
#include "mgmt.h"
#include "out.h"
#include "session.h"
#include <hv/time.h>
#include <stdio.h>

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

/* Days since 1970-01-01 to a date of the Gregorian calendar, by eras of 400 years from March on. */
static void civil(uint64_t days, unsigned *year, unsigned *month, unsigned *day)
{
    uint64_t d = days + 719468, era = d / 146097, of_era = d % 146097,
             years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365,
             of_year = of_era - (365 * years + years / 4 - years / 100),
             m = (5 * of_year + 2) / 153;

    *day = (unsigned)(of_year - (153 * m + 2) / 5 + 1);
    *month = (unsigned)(m < 10 ? m + 3 : m - 9);
    *year = (unsigned)(years + era * 400 + (*month <= 2));
}

void session_date(uint64_t seconds, char out[20])
{
    unsigned year, month, day, s = (unsigned)(seconds % 86400);

    civil(seconds / 86400, &year, &month, &day);
    snprintf(out, 20, "%04u-%02u-%02u %02u:%02u:%02u", year % 10000, month, day, s / 3600,
             s / 60 % 60, s % 60);
}

void cmd_date(struct out *o, unsigned argc, char **argv)
{
    char text[20];

    (void)argc;
    (void)argv;
    session_date(time_wall_s(), text);
    out_text(o, "utc", "UTC", "%s", text);
    out_number(o, "uptime_ns", "Up for", time_ns(), UNIT_NS);
}
