/* SPDX-License-Identifier: BSD-2-Clause */
/* Dates of the Gregorian calendar, in UTC. */
#pragma once
#include <hv/types.h>
#define DATE_LEN 20
/* Seconds since 1970-01-01 as "2026-01-31 23:59:59"; of a year above 9999 its last four digits. */
void date_format(uint64_t seconds, char out[DATE_LEN]);
