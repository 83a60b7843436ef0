/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fb.h: the log on the firmware's framebuffer, for machines with no serial port. For drivers/ only.
 */
#pragma once
#include <hv/types.h>
struct boot_info;
/*
 * Remembers the framebuffer and, if `log`, keeps the log's text for it; nothing is drawn yet.
 * False: none that we can use.
 */
bool fb_early(const struct boot_info *, bool log);
/*
 * Maps it, after mmu_init(). `log`: shows the text so far and becomes the host's line; else it
 * shows panics only.
 */
int must_check fb_init(bool log);
const char *fb_name(void);
