/* SPDX-License-Identifier: BSD-2-Clause */
/* For tests of what is logged: included by one file of a test. */
#pragma once
#include <hv/log.h>
#include <string.h>

/* Lines that say so, since the last time. */
static unsigned said(const char *what)
{
    static uint64_t seq;
    char line[300];
    unsigned n = 0;

    while (log_read(&seq, LOG_DEBUG, line, sizeof line))
        n += strstr(line, what) != NULL;
    return n;
}
