/* SPDX-License-Identifier: BSD-2-Clause */
/* hostile-halt: see hostile_end.c */
#define HOW "halt"
#include "hostile_end.c"
