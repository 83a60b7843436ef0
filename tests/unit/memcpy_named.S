/* SPDX-License-Identifier: BSD-2-Clause */
/* Trivet's own, beside the C library's. */
#define memcpy trivet_memcpy
#include "libc-shim/memcpy_x86_64.S"
