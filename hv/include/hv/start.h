/* SPDX-License-Identifier: BSD-2-Clause */
/* The last boot step. CPU 0. */
#pragma once
#include <hv/types.h>
/*
 * Defines every guest of the_config that this machine can run, starts those with autostart, and
 * shows the first prompt. Always 0.
 */
int must_check guests_start(void);
