/* fb.h: the log on the firmware's framebuffer, for machines with no serial port. For drivers/ only. */
#pragma once
#include <hv/types.h>
struct boot_info;
/* Remembers the framebuffer; nothing is drawn yet. False: there is none that we can use. */
bool fb_early(const struct boot_info *);
/* Maps it, shows the text so far, and registers the host console. After mmu_init(). */
int must_check fb_init(void);
const char *fb_name(void);
