/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fb.h: the host's console on the firmware's framebuffer, beside the serial port. For drivers/
 * only.
 */
#pragma once
#include <hv/types.h>
struct boot_info;
/*
 * First thing on the boot CPU: shows what is written from here on. The loader's tables and ours map
 * the framebuffer as part of the direct map. False: none that we can use.
 */
bool fb_early(const struct boot_info *);
/* Boot step, when events can be posted: from here on an event draws, in pieces. -ENODEV */
int must_check fb_init(void);
/* Any CPU, any context: shown on return. Does nothing when there is no framebuffer. */
void fb_write_sync(const char *, size_t);
/* in words, for the log; empty when there is none */
const char *fb_name(void);
