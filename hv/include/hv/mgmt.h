/* Management: the shell on the console, and what reads trivet.conf at boot. CPU 0 only. */
#pragma once
#include <hv/types.h>
/* Boot step: parses the text that the boot program read (text NULL: none was found) into the_config. Never fails for what the text holds. */
int must_check config_init(const char *text, size_t len);
/* Boot step: makes the shell's console and takes the host's line over from the early log. */
int must_check console_init(void);
/* Last boot step: shows configuration errors, defines the guests, starts those with autostart, prints the first prompt. */
int must_check mgmt_init(void);
