/* SPDX-License-Identifier: BSD-2-Clause */
/* Management: the shell on the home console. CPU 0 only. */
#pragma once
#include <hv/types.h>
/*
 * Boot step: makes the home console and listens to it; takes the host's line over from the early
 * log. Errors as of session_open().
 */
int must_check shell_init(void);
/*
 * Last boot step, once trivet.conf was read: the first prompt, or the greeting of the JSON
 * protocol. From here on the shell shows what is logged.
 */
void shell_start(void);
