/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Our own bug: stop everything and say why, with registers and a symbolised back trace, in
 * memory that a reset keeps (kept.h) and on the host's lines.
 */
#pragma once
#include <hv/types.h>
/* Any CPU, any context; the first one to come tells, the others stop. */
_Noreturn void panic(const char *fmt, ...) printf_like(1, 2);
/*
 * The same for exception handlers: where it happened, and the registers as lines of text (may be
 * NULL).
 */
_Noreturn void panic_at(uint64_t pc, uint64_t fp, const char *registers, const char *fmt, ...)
    printf_like(4, 5);
/*
 * Where a panic goes: writes all of it at once, polled; it takes no lock and allocates nothing.
 * Before the first one is set, nowhere.
 */
typedef void panic_writer(const char *, size_t);
void panic_set_writer(panic_writer *);
#define hv_assert(c) ((c) ? (void)0 : panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #c))
/* Address -> "name+0x12", from the table that the second link makes. Returns false when unknown. */
bool symbol_lookup(uint64_t addr, const char **name, uint64_t *offset);
/* Prints the frames from frame pointer fp (and pc first), at most 32. */
void backtrace_print(uint64_t pc, uint64_t fp);
