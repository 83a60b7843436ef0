/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The files that the boot program read from the ESP. They stay in memory, read-only, until
 * power-off.
 */
#pragma once
#include <hv/types.h>
struct boot_info;
/* Boot step: logs what the boot program has loaded and what not; keeps the pointer. Always 0. */
int must_check files_init(const struct boot_info *);
/*
 * Any CPU. The file's contents, for ever, with their bytes in *len; NULL: not loaded. Paths compare
 * without case, / equals \, and a leading / does not matter.
 */
const void *file_find(const char *path, uint64_t *len);
/* any CPU: memory that the files take */
uint64_t files_bytes(void);
