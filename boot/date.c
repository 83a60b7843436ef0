/* SPDX-License-Identifier: BSD-2-Clause */
/* date.c: the calendar. */
#include "pure.h"

/*
 * Years are counted from March, so that the leap day comes last and the lengths of the months
 * before it follow a line.
 */
uint64_t date_days(uint64_t year, uint64_t month, uint64_t day)
{
    uint64_t y = month < 3 ? year - 1 : year, m = month < 3 ? month + 9 : month - 3;

    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}
