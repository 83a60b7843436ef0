/* SPDX-License-Identifier: BSD-2-Clause */
/* build_id.c: see <hv/version.h>. */
#include <hv/types.h>
#include <hv/version.h>

/* The linker's note, in our read-only data; programs of another script have none. */
extern const uint8_t __build_id_start[] __attribute__((weak));
extern const uint8_t __build_id_end[] __attribute__((weak));

#define NOTE_HEAD 16u /* three numbers of 4 bytes, and "GNU" */

void version_build_id(char *text, size_t len)
{
    static const char digit[] = "0123456789abcdef";
    uintptr_t at = (uintptr_t)__build_id_start + NOTE_HEAD, end = (uintptr_t)__build_id_end;

    for (; at < end && len > 2; at++, len -= 2) {
        *text++ = digit[*(const uint8_t *)at >> 4];
        *text++ = digit[*(const uint8_t *)at & 15];
    }
    if (len)
        *text = '\0';
}
