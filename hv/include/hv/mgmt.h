/* SPDX-License-Identifier: BSD-2-Clause */
/* Management: the shell on the home console. CPU 0 only. */
#pragma once
#include <hv/types.h>
/*
 * Boot step: makes the home console and listens to it; takes the host's line over from the early
 * log. -ENOMEM.
 */
int must_check shell_init(void);
/* Last boot step: shows the log since boot and the first prompt. */
void shell_start(void);
