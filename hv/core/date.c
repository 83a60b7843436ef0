/* SPDX-License-Identifier: BSD-2-Clause */
/* date.c: see <hv/date.h>. */
#include <hv/date.h>
#include <stdio.h>

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

void date_format(uint64_t seconds, char out[DATE_LEN])
{
    unsigned year, month, day, s = (unsigned)(seconds % 86400);

    civil(seconds / 86400, &year, &month, &day);
    snprintf(out, DATE_LEN, "%04u-%02u-%02u %02u:%02u:%02u", year % 10000, month, day, s / 3600,
             s / 60 % 60, s % 60);
}
