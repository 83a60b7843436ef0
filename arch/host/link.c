/* SPDX-License-Identifier: BSD-2-Clause */
/* link.c: what the linker script and the symbol table define in the real image. */
#include <hv/types.h>
extern const char __text_start[], __text_end[], symbol_strings[];
extern const uint32_t symbol_count, symbol_offsets[], symbol_names[];

__attribute__((weak)) const char __text_start[1] = "", __text_end[1] = "", symbol_strings[1] = "";
__attribute__((weak)) const uint32_t symbol_count = 0, symbol_offsets[1] = { 0 },
                                     symbol_names[1] = { 0 };
