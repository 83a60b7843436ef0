/* SPDX-License-Identifier: BSD-2-Clause */
/* hostile-spin: see hostile_end.c */
#define HOW "spin"
#include "hostile_end.c"
