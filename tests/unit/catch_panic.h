/* SPDX-License-Identifier: BSD-2-Clause */
/* A panic that a test expects: it ends the code under test, and leaves its text. */
#pragma once
#include <hv/panic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

static char panic_text[200];
static jmp_buf on_panic;

_Noreturn void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(panic_text, sizeof panic_text, fmt, ap);
    va_end(ap);
    longjmp(on_panic, 1);
}
