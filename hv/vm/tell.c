/* SPDX-License-Identifier: BSD-2-Clause */
/* tell.c: what Trivet says to the people who look at a guest's console. */
#include <hv/console.h>
#include <hv/log.h>
#include <hv/vm.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TELL_MOST = 240 };

void vm_tell(struct vm *vm, enum log_level level, const char *fmt, ...)
{
    char text[TELL_MOST], line[TELL_MOST + 16];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    vm_log(vm, level, "%s", text);
    snprintf(line, sizeof line, "\r\n[Trivet: %s]\r\n", text);
    console_write(vm->console, line, strlen(line));
}
